/* SPDX-License-Identifier: MIT */
/* pier connect: a server, on stdin and stdout. */
#include "cli.h"

#include <math.h>

static bool verbose;
static double seconds = INFINITY;

static const struct choice choices[] = {
    {'v', "verbose", TAKES_NOTHING, NULL, "tell on stderr when the connection stands", &verbose},
    {'w', "wait", TAKES_SECONDS, "SECONDS",
        "give up when connecting takes so long, or nothing moves either way", &seconds},
    {0},
};

static int connect_to(char **operands)
{
    const char *address = operands[0];
    int s =
        pier_create_connection(address, &(pier_connection_opts){.deadline = pier_after(seconds)});
    if (s < 0) return fail("%s", pier_error());
    pier_setdeadline(s, PIER_NEVER); /* it was for connecting */
    pier_addr peer;
    pier_getpeername(s, &peer);
    if (verbose) say("connected to %s", pier_addr_text(peer).text);
    return relay(s, seconds);
}

const struct verb connect_verb = {
    .name = "connect",
    .summary = "talk to a server over stdin and stdout",
    .example = "pier connect localhost:12345 < page",
    .text =
        "Connect, then send what comes on stdin and write to stdout what the server sends. When "
        "stdin ends, the server is told so and may go on; when both have ended, so does pier. (If "
        "stdin is a terminal, pier ends with the server.) On a terminal, control characters from "
        "the server are shown as \\x1b.",
    .operands = {{"ADDRESS", TAKES_ADDRESS, CLIENT_ADDRESS}},
    .choices = choices,
    .run = connect_to,
};
