/* SPDX-License-Identifier: MIT */
/* pier listen: one client, on stdin and stdout. */
#include "cli.h"

#include <math.h>

static bool verbose;
static double seconds = INFINITY;

static const struct choice choices[] = {
    {'v', "verbose", TAKES_NOTHING, NULL, "tell on stderr who listens and who came", &verbose},
    {'w', "wait", TAKES_SECONDS, "SECONDS",
        "give up when nobody comes for so long, or nothing moves either way", &seconds},
    {0},
};

static bool chosen_by_the_system(const char *address)
{
    pier_addr asked = pier_addr_parse(address, NULL);
    return pier_addr_port(asked) == 0 || (pier_addr_family(asked) == AF_UNIX && address[5] == '\0');
}

static int serve_one(char **operands)
{
    const char *address = operands[0];
    struct server listener;
    if (server_open(&listener, address, false) < 0) return fail("%s", pier_error());
    pier_addr here, peer;
    pier_getsockname(listener.s, &here);
    if (verbose || chosen_by_the_system(address)) say("listening on %s", pier_addr_text(here).text);
    pier_settimeout(listener.s, seconds);
    int s = pier_accept(listener.s, &peer);
    server_close(&listener);
    if (s < 0) return fail("%s", pier_error());
    if (verbose) say("connection from %s", pier_addr_text(pier_addr_unmap(peer)).text);
    return relay(s, seconds);
}

const struct verb listen_verb = {
    .name = "listen",
    .summary = "wait for one client, and talk to it over stdin and stdout",
    .example = "pier listen :12345 > page",
    .text =
        "Wait for one client, then send it what comes on stdin and write to stdout what it sends. "
        "When stdin ends, the client is told so and may go on; when both have ended, so does "
        "pier. (If stdin is a terminal, pier ends with the client.) On a terminal, control "
        "characters from the client are shown as \\x1b.",
    .operands = {{"ADDRESS", TAKES_ADDRESS, SERVER_ADDRESS ", and is told on stderr"}},
    .choices = choices,
    .run = serve_one,
};
