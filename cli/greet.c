/* SPDX-License-Identifier: MIT */
/* pier greet: the tutorials' first server. */
#include "cli.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static const char help[] =
    "    pier greet :12345\n\n"
    "Thank each client for connecting, and tell where it came from. Ctrl-C ends it: clients that\n"
    "are being greeted have one second to finish.\n\n"
    "usage: pier greet ADDRESS\n\n"
    "  ADDRESS   HOST:PORT, :PORT, [IPV6]:PORT or unix:PATH; port 0 lets the system choose\n"
    "  -h, --help\n";

static struct server listener;

static void greet(int client, void *unused)
{
    (void)unused;
    pier_addr peer;
    if (pier_getpeername(client, &peer) < 0)
        printf("Got connection from somebody who has left\n");
    else
        printf("Got connection from %s\n", pier_addr_text(pier_addr_unmap(peer)).text);
    pier_sendall(client, "Thank you for connecting", 24, 0);
}

static void stop(int signal)
{
    (void)signal;
    if (pier_stop(listener.s, 1) < 0) _exit(DONE); /* not serving yet */
}

/* Not when whoever started us wants the signal ignored, as nohup does. */
static void catch_signal(int number)
{
    struct sigaction was;
    sigaction(number, NULL, &was);
    if (was.sa_handler != SIG_IGN) sigaction(number, &(struct sigaction){.sa_handler = stop}, NULL);
}

int greet_main(int argc, char **argv)
{
    static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {0}};
    int c;
    char *address;
    while ((c = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        if (c != 'h') return misused_option(c, argv);
        return print_help(help);
    }
    int status = address_argument(argc, argv, &address);
    if (status != DONE) return status;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (server_open(&listener, address) < 0) return fail("%s", pier_error());
    pier_addr here;
    pier_getsockname(listener.s, &here);
    printf("socket is listening on %s\n", pier_addr_text(here).text);
    catch_signal(SIGINT);
    catch_signal(SIGTERM);
    int err = pier_serve(listener.s, greet, NULL, NULL);
    status = err < 0 ? fail("%s", pier_error()) : DONE;
    server_close(&listener);
    return status;
}
