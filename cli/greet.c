/* SPDX-License-Identifier: MIT */
/* pier greet: the tutorials' first server. */
#include "cli.h"

#include <stdio.h>

static struct server listener;

static void greet(int client, void *unused)
{
    (void)unused;
    pier_addr peer;
    if (pier_getpeername(client, &peer) < 0)
        announce("Got connection from somebody who has left\n");
    else
        announce("Got connection from %s\n", pier_addr_text(pier_addr_unmap(peer)).text);
    pier_sendall(client, "Thank you for connecting", 24, 0);
}

/* Clients that are being greeted have a second to finish; who insists waits for none. */
static int stop(int times) { return pier_stop(listener.s, times > 1 ? 0 : 1); }

static int run(char **operands)
{
    if (server_open(&listener, operands[0], false) < 0) return fail("%s", pier_error());
    confine(&(struct freedom){.listener = &listener});
    if (on_signals(stop) != DONE) return FAILED;
    pier_addr here;
    pier_getsockname(listener.s, &here);
    announce("socket is listening on %s\n", pier_addr_text(here).text);
    int err = pier_serve(listener.s, greet, NULL, NULL);
    int status = err < 0 ? fail("%s", pier_error()) : DONE;
    server_close(&listener);
    return status;
}

const struct verb greet_verb = {
    .name = "greet",
    .summary = "thank each client for connecting",
    .example = "pier greet :12345",
    .text =
        "Thank each client for connecting, and tell where it came from. Ctrl-C ends it: clients "
        "that are being greeted have one second to finish." CONFINED_HELP,
    .operands = {{"ADDRESS", TAKES_ADDRESS, SERVER_ADDRESS}},
    .run = run,
};
