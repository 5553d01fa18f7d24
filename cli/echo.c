/* SPDX-License-Identifier: MIT */
/* pier echo: says back what it hears, to as many clients as come. */
#include "cli.h"

#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { PART = 65536 };

static bool datagrams, verbose;
static uint64_t max_clients = 1024;
static double seconds = INFINITY, drain = 1;

static const struct choice choices[] = {
    {'u', "udp", TAKES_NOTHING, NULL, UDP_OR_DATAGRAMS, &datagrams},
    {'v', "verbose", TAKES_NOTHING, NULL, "tell who comes and goes", &verbose},
    {'m', "max-clients", TAKES_COUNT, "N", "serve so many at once, and let others wait; 1024",
        &max_clients},
    {'w', "wait", TAKES_SECONDS, "SECONDS", "leave a client that is silent for so long", &seconds},
    {'d', "drain", TAKES_SECONDS, "SECONDS",
        "how long clients may go on after Ctrl-C or SIGTERM; 1", &drain},
    {0},
};

static struct server listener;

static struct {
    atomic_uint_fast64_t bytes, broken, datagrams, unanswered;
} count;

/* 0 at the client's end, or a code. */
static int echo(int s, char *part)
{
    for (;;) {
        ssize_t n = pier_recv(s, part, PART, 0);
        if (n <= 0) return (int)n;
        n = pier_sendall(s, part, (size_t)n, 0);
        if (n < 0) return (int)n;
        atomic_fetch_add(&count.bytes, (uint64_t)n);
    }
}

static void serve(int client, void *unused)
{
    (void)unused;
    pier_addr peer;
    pier_getpeername(client, &peer);
    pier_text name = pier_addr_text(pier_addr_unmap(peer));
    char *part = malloc(PART); /* a handler's stack is small */
    if (verbose) announce("connection from %s\n", name.text);
    pier_settimeout(client, seconds);
    int err = part != NULL ? echo(client, part) : -ENOMEM;
    free(part);
    if (err < 0 && err != -ECANCELED) atomic_fetch_add(&count.broken, 1);
    if (verbose) announce("%s: %s\n", name.text, err < 0 ? pier_strerror(err) : "has ended");
}

static int stop(int times) { return pier_stop(listener.s, times > 1 ? 0 : drain); }

static int serve_streams(void)
{
    pier_serve_counts counts = {0};
    int err = pier_serve(
        listener.s, serve, NULL, &(pier_serve_opts){.max_clients = max_clients, .counts = &counts});
    if (err < 0) return fail("%s", pier_error());
    announce(
        "%ju clients, %ju at once at most, %ju bytes echoed; %ju broken, %ju stopped, %ju turned "
        "away\n",
        (uintmax_t)counts.accepted, (uintmax_t)counts.peak, (uintmax_t)count.bytes,
        (uintmax_t)count.broken, (uintmax_t)counts.canceled, (uintmax_t)counts.rejected);
    return DONE;
}

static int stop_datagrams(int times)
{
    (void)times;
    pier_close(listener.s);
    return 0;
}

static int serve_datagrams(void)
{
    static char part[PART];
    for (;;) {
        pier_addr from;
        ssize_t n = pier_recvfrom(listener.s, part, sizeof part, 0, &from);
        if (n == -ECANCELED || n == -EBADF) break; /* stop_datagrams() */
        if (n < 0) return fail("%s", pier_error());
        if (verbose) announce("%zd bytes from %s\n", n, pier_addr_text(pier_addr_unmap(from)).text);
        atomic_fetch_add(&count.datagrams, 1);
        /* Nobody to answer (AF_UNIX), or one that is gone: the next one counts as much. */
        ssize_t sent = pier_sendto(listener.s, part, (size_t)n, 0, from);
        if (sent == n)
            atomic_fetch_add(&count.bytes, (uint64_t)n);
        else
            atomic_fetch_add(&count.unanswered, 1);
    }
    announce("%ju datagrams, %ju bytes echoed; %ju not answered\n", (uintmax_t)count.datagrams,
        (uintmax_t)count.bytes, (uintmax_t)count.unanswered);
    return DONE;
}

static int run(char **operands)
{
    if (server_open(&listener, operands[0], datagrams) < 0) return fail("%s", pier_error());
    confine(&(struct freedom){.listener = &listener, .datagrams = datagrams, .verbose = verbose});
    if (on_signals(datagrams ? stop_datagrams : stop) != DONE) return FAILED;
    pier_addr here;
    pier_getsockname(listener.s, &here);
    announce(
        "socket is %s on %s\n", datagrams ? "waiting" : "listening", pier_addr_text(here).text);
    int status = datagrams ? serve_datagrams() : serve_streams();
    server_close(&listener);
    return status;
}

const struct verb echo_verb = {
    .name = "echo",
    .summary = "say back to each client what it says",
    .example = "pier echo :7777",
    .text =
        "Send back to each client what it sends, until it ends. Ctrl-C or SIGTERM ends pier: no "
        "more clients are taken, those that are there may finish for a moment, and a line tells "
        "how many there were and what became of them." CONFINED_HELP,
    .operands = {{"ADDRESS", TAKES_ADDRESS, SERVER_ADDRESS}},
    .choices = choices,
    .run = run,
};
