/* SPDX-License-Identifier: MIT */
/* pier listen: one client, or all that come, on stdin and stdout. */
#include "cli.h"

#include <errno.h>
#include <math.h>

static struct talk talk = {.idle = INFINITY, .linger = INFINITY};
static uint64_t max_clients;

static const struct choice choices[] = {
    {'u', "udp", TAKES_NOTHING, NULL, UDP_OR_DATAGRAMS, &talk.datagrams},
    {'v', "verbose", TAKES_NOTHING, NULL, "tell on stderr who listens and who came", &talk.verbose},
    {'w', "wait", TAKES_SECONDS, "SECONDS",
        "give up when nobody comes for so long, or nothing moves either way", &talk.idle},
    {'k', "keep-open", TAKES_NOTHING, NULL, "take all clients that come, until Ctrl-C", &talk.many},
    {'m', "max-clients", TAKES_COUNT, "N", "with -k: so many at once, and let others wait; 1024",
        &max_clients},
    {'l', "lines", TAKES_NOTHING, NULL, LINES_HELP, &talk.lines},
    {'x', "hex", TAKES_NOTHING, NULL, HEX_HELP, &talk.hex},
    {'t', "statistics", TAKES_NOTHING, NULL, STATISTICS_HELP, &talk.statistics},
    {0},
};

static int serve_one(struct server *listener)
{
    pier_addr peer;
    pier_settimeout(listener->s, talk.idle);
    int s = pier_accept(listener->s, &peer);
    server_close(listener);
    confine(&(struct freedom){.listener = listener}); /* its path is gone */
    if (s < 0) return fail("%s", pier_error());
    if (talk.verbose) say("connection from %s", pier_addr_text(pier_addr_unmap(peer)).text);
    return relay(s, &talk);
}

/* Who sends the first datagram is the peer, and from then on nobody else is heard. */
static int serve_datagrams(struct server *listener)
{
    pier_addr peer;
    char byte;
    pier_settimeout(listener->s, talk.idle);
    ssize_t n = pier_recvfrom(listener->s, &byte, 1, MSG_PEEK, &peer);
    pier_settimeout(listener->s, INFINITY);
    /* One without a name cannot be answered, but heard. */
    bool named = n >= 0 && peer.length > offsetof(struct sockaddr, sa_data);
    if (named) n = pier_connect(listener->s, peer);
    if (n < 0) {
        fail("%s", pier_error());
        server_close(listener);
        return FAILED;
    }
    if (talk.verbose) say("datagrams from %s", pier_addr_text(pier_addr_unmap(peer)).text);
    int status = relay(listener->s, &talk);
    server_forget(listener);
    return status;
}

static int run(char **operands)
{
    struct server listener;
    if (talk.datagrams && talk.many) return misuse("-u has no clients to be kept: -k is too much");
    if (max_clients > 0 && !talk.many) return misuse("without -k there is one client");
    if (server_open(&listener, operands[0], talk.datagrams) < 0) return fail("%s", pier_error());
    pier_addr here;
    pier_getsockname(listener.s, &here);
    if (talk.verbose || is_chosen(operands[0])) say("listening on %s", pier_addr_text(here).text);
    confine(&(struct freedom){
        .listener = &listener, .datagrams = talk.datagrams, .verbose = talk.verbose});
    if (talk.datagrams) return serve_datagrams(&listener);
    if (!talk.many) return serve_one(&listener);
    int status = serve_crowd(&listener, &talk, max_clients);
    server_close(&listener);
    return status;
}

const struct verb listen_verb = {
    .name = "listen",
    .summary = "wait for one client, and talk to it over stdin and stdout",
    .example = "pier listen :12345 > page",
    .text =
        "Wait for one client, then send it what comes on stdin and write to stdout what it sends. "
        "When stdin ends, the client is told so and may go on; when both have ended, so does "
        "pier. (If stdin is a terminal, pier ends with the client.) With -k many clients are there "
        "at once: stdout has what all of them send, and each gets what comes on stdin, which is "
        "not read before the first has come; a client that ends is left. With -u the peer is who "
        "sends the first datagram. On a terminal, control characters from the client are shown as "
        "\\x1b." CONFINED_HELP,
    .operands = {{"ADDRESS", TAKES_ADDRESS, SERVER_ADDRESS ", and is told on stderr"}},
    .choices = choices,
    .run = run,
};
