/* SPDX-License-Identifier: MIT */
/* pier connect: a server, on stdin and stdout. */
#include "cli.h"

#include <errno.h>
#include <math.h>

static struct talk talk = {.idle = INFINITY, .linger = 1};
static const char *source;
static bool only4, only6;

static const struct choice choices[] = {
    {'u', "udp", TAKES_NOTHING, NULL, UDP_OR_DATAGRAMS, &talk.datagrams},
    {'v', "verbose", TAKES_NOTHING, NULL, "tell on stderr when the connection stands",
        &talk.verbose},
    {'w', "wait", TAKES_SECONDS, "SECONDS",
        "give up when connecting takes so long, or nothing moves either way", &talk.idle},
    {'s', "source", TAKES_ADDRESS, "ADDRESS", "the address and port to come from", &source},
    {'4', "ipv4", TAKES_NOTHING, NULL, "over IPv4 only", &only4},
    {'6', "ipv6", TAKES_NOTHING, NULL, "over IPv6 only", &only6},
    {'l', "lines", TAKES_NOTHING, NULL, LINES_HELP, &talk.lines},
    {'x', "hex", TAKES_NOTHING, NULL, HEX_HELP, &talk.hex},
    {'t', "statistics", TAKES_NOTHING, NULL, STATISTICS_HELP, &talk.statistics},
    {0},
};

static int family(void) { return only4 == only6 ? AF_UNSPEC : only4 ? AF_INET : AF_INET6; }

static int dial(const char *address)
{
    pier_connection_opts opts = {.deadline = pier_after(talk.idle), .family = family()};
    if (source != NULL) opts.source = pier_addr_parse(source, NULL);
    int s = pier_create_connection(address, &opts);
    if (s < 0) return s;
    pier_setdeadline(s, PIER_NEVER); /* it was for connecting */
    return s;
}

/* A socket for datagrams to the address; from `source`, if there is one. */
static int open_datagrams(const char *address)
{
    pier_addr to = aim(address, family(), pier_after(talk.idle));
    if (to.error < 0) return fail("%s: %s", screen_quote(address), pier_strerror(to.error)), -1;
    int s = source != NULL ? datagram_socket(source) : aim_socket(to);
    int err = source != NULL && s >= 0 ? pier_connect(s, to) : 0;
    if (s >= 0 && err == 0) return s;
    fail("%s", pier_error());
    if (s >= 0) pier_close(s);
    return -1;
}

static int run(char **operands)
{
    int s = talk.datagrams ? open_datagrams(operands[0]) : dial(operands[0]);
    if (s < 0) return talk.datagrams ? FAILED : fail("%s", pier_error());
    pier_addr peer;
    pier_getpeername(s, &peer);
    if (talk.verbose) say("connected to %s", pier_addr_text(peer).text);
    return relay(s, &talk);
}

const struct verb connect_verb = {
    .name = "connect",
    .summary = "talk to a server over stdin and stdout",
    .example = "pier connect localhost:12345 < page",
    .text =
        "Connect, then send what comes on stdin and write to stdout what the server sends. When "
        "stdin ends, the server is told so and may go on; when both have ended, so does pier. (If "
        "stdin is a terminal, pier ends with the server.) With -u each piece of stdin, a line as a "
        "rule, is a datagram, and pier ends when stdin has and nothing has come for a second, or "
        "for that of -w. On a terminal, control characters from the server are shown as \\x1b.",
    .operands = {{"ADDRESS", TAKES_ADDRESS, CLIENT_ADDRESS}},
    .choices = choices,
    .run = run,
};
