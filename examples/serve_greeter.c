/* SPDX-License-Identifier: MIT */
/*
 * serve_greeter [PORT]: the greeting server for many clients at once, each in a task of its
 * own. On Ctrl-C it takes no more of them, gives those that are here five seconds, and says how
 * many there were.
 */
#include <pier.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static int server;

static void greet(int client, void *unused)
{
    (void)unused;
    pier_addr peer;
    pier_getpeername(client, &peer);
    printf("Got connection from %s\n", pier_addr_text(pier_addr_unmap(peer)).text);
    pier_sendall(client, "Thank you for connecting", 24, 0);
}

static void stop(int signal)
{
    (void)signal;
    if (pier_stop(server, 5) < 0) _Exit(0); /* not serving yet */
}

int main(int argc, char **argv)
{
    char address[64];
    snprintf(address, sizeof address, ":%s", argc > 1 ? argv[1] : "12345");
    setvbuf(stdout, NULL, _IOLBF, 0); /* each line at once, into a pipe too */

    server = pier_create_server(address, NULL);
    pier_addr here;
    if (pier_getsockname(server, &here) == 0)
        printf("socket is listening on %s\n", pier_addr_text(here).text);
    signal(SIGINT, stop);
    signal(SIGTERM, stop);
    pier_serve_counts counts = {0};
    if (pier_serve(server, greet, NULL, &(pier_serve_opts){.counts = &counts}) < 0)
        return fprintf(stderr, "%s\n", pier_error()), 1;
    printf("greeted %llu clients\n", (unsigned long long)counts.accepted);
    pier_close(server);
    return 0;
}
