/* SPDX-License-Identifier: MIT */
/*
 * pier proxy: clients of one address served by another one. Each client has two tasks, one for each
 * direction; what one side does not take, the other is not asked for, so nothing piles up. An end
 * is passed on as an end, and what was cut off as cut off: half must not look like the whole.
 */
#include "cli.h"

#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { PART = 65536 };

static bool verbose, unconfined;
static uint64_t max_clients = 1024;
static double idle = INFINITY, drain = 1, patience = 10;

static const struct choice choices[] = {
    {'v', "verbose", TAKES_NOTHING, NULL, "tell of each client", &verbose},
    {'m', "max-clients", TAKES_COUNT, "N", "serve so many at once, and let others wait; 1024",
        &max_clients},
    {'c', "connect", TAKES_SECONDS, "SECONDS", "how long TARGET may take to be reached; 10",
        &patience},
    {'w', "wait", TAKES_SECONDS, "SECONDS", "leave a client when nothing moves for so long", &idle},
    {'d', "drain", TAKES_SECONDS, "SECONDS",
        "how long clients may go on after Ctrl-C or SIGTERM; 1", &drain},
    {0, "unconfined", TAKES_NOTHING, NULL,
        "keep every right, for a resolver that needs files and ports of its own", &unconfined},
    {0},
};

static struct server listener;
static const char *target_address;

static struct {
    atomic_uint_fast64_t there, back, unreached, broken;
} count;

/* One client, and what became of it. */
struct pair {
    int client, target;
    pier_time quiet_until;
    uint64_t there, back;
    bool broken; /* one direction could not be carried to its end */
    int err;     /* why, if that ended the other as well */
    pier_group both;
};

/* One direction of it. */
struct pump {
    struct pair *pair;
    int from, to;
    uint64_t *moved;
};

static void moved(struct pair *it) { it->quiet_until = pier_after(idle); }

/* Some bytes, 0 at the end, or a code; -ETIME when nothing has moved either way for too long. */
static ssize_t receive(const struct pump *it, char *part)
{
    for (;;) {
        ssize_t n = pier_recv(it->from, part, PART, MSG_DONTWAIT);
        if (n != -EAGAIN) return n;
        pier_time until = it->pair->quiet_until;
        n = pier_wait_readable(it->from, until);
        if (n < 0 && (n != -ETIME || until == it->pair->quiet_until)) return n;
    }
}

static int carry(const struct pump *it, char *part)
{
    for (;;) {
        ssize_t n = receive(it, part);
        if (n == 0) return pier_shutdown(it->to, SHUT_WR), 0;
        if (n < 0) return (int)n;
        moved(it->pair);
        ssize_t sent = pier_sendall(it->to, part, (size_t)n, 0);
        if (sent == n) {
            moved(it->pair);
            *it->moved += (uint64_t)n;
            continue;
        }
        it->pair->broken = true;
        /* Who takes no more may have answered, and that is still carried the other way. */
        return sent == -EPIPE || sent == -ECONNRESET ? 0 : (int)sent;
    }
}

/* A task. A code ends the other direction as well, also that of a server which is stopped. */
static int pump(void *arg)
{
    const struct pump *it = arg;
    char *part = malloc(PART); /* a task's stack is small */
    int err = part != NULL ? carry(it, part) : -ENOMEM;
    free(part);
    if (err == 0) return 0;
    it->pair->broken = true;
    if (it->pair->err == 0) it->pair->err = err;
    pier_group_cancel(&it->pair->both);
    return err;
}

/* A task, too: the client's. */
static int pump_both(void *arg)
{
    struct pair *it = arg;
    struct pump there = {it, it->client, it->target, &it->there};
    struct pump back = {it, it->target, it->client, &it->back};
    int err = pier_group_enter(&it->both);
    if (err < 0) return err;
    pier_task tasks[] = {pier_group_spawn(&it->both, pump, &there, NULL),
        pier_group_spawn(&it->both, pump, &back, NULL)};
    for (int i = 0; i < 2; i++)
        if (tasks[i].number < 0) it->err = tasks[i].number;
    if (it->err < 0) pier_group_cancel(&it->both);
    err = pier_group_leave(&it->both);
    return it->err < 0 ? it->err : err;
}

/* The peer sees a reset instead of an end. */
static void cut_off(int s)
{
    const struct linger now = {.l_onoff = 1};
    pier_setsockopt(s, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

static int serve_pair(struct pair *it)
{
    /* What comes in pieces goes on in pieces; on AF_UNIX there is no such thing. */
    pier_setsockopt_int(it->client, IPPROTO_TCP, TCP_NODELAY, 1);
    pier_setsockopt_int(it->target, IPPROTO_TCP, TCP_NODELAY, 1);
    pier_setdeadline(it->target, PIER_NEVER); /* it was for connecting */
    pier_settimeout(it->client, idle);
    pier_settimeout(it->target, idle);
    moved(it);
    int err = pier_run(pump_both, it, NULL);
    if (err < 0) it->broken = true; /* there may have been no task for it at all */
    if (it->broken) cut_off(it->target);
    pier_close(it->target);
    return err;
}

static void serve(int client, void *unused)
{
    (void)unused;
    pier_addr peer;
    pier_time began = pier_now();
    pier_getpeername(client, &peer);
    pier_text name = pier_addr_text(pier_addr_unmap(peer));
    struct pair it = {.client = client};
    it.target = pier_create_connection(
        target_address, &(pier_connection_opts){.deadline = pier_after(patience)});
    if (it.target < 0) {
        say("%s: %s", name.text, pier_error());
        atomic_fetch_add(&count.unreached, 1);
        cut_off(client);
        return;
    }
    int err = serve_pair(&it);
    if (it.broken) cut_off(client);
    atomic_fetch_add(&count.there, it.there);
    atomic_fetch_add(&count.back, it.back);
    atomic_fetch_add(&count.broken, it.broken && err != -ECANCELED);
    if (!verbose) return;
    announce("%s: %ju bytes there, %ju back, in %.3f seconds%s%s\n", name.text, (uintmax_t)it.there,
        (uintmax_t)it.back, (double)(pier_now() - began) / (double)PIER_SECOND,
        it.broken ? "; broken off: " : "",
        !it.broken ? ""
        : err < 0  ? pier_strerror(err)
                   : "it was not all taken");
}

static int stop(int times) { return pier_stop(listener.s, times > 1 ? 0 : drain); }

static int run(char **operands)
{
    target_address = operands[1];
    if (server_open(&listener, operands[0], false) < 0) return fail("%s", pier_error());
    if (!unconfined)
        confine(
            &(struct freedom){.listener = &listener, .target = target_address, .verbose = verbose});
    if (on_signals(stop) != DONE) return FAILED;
    pier_addr here;
    pier_getsockname(listener.s, &here);
    announce("socket is listening on %s\n", pier_addr_text(here).text);
    pier_serve_counts counts = {0};
    int err = pier_serve(
        listener.s, serve, NULL, &(pier_serve_opts){.max_clients = max_clients, .counts = &counts});
    server_close(&listener);
    if (err < 0) return fail("%s", pier_error());
    announce("%ju clients, %ju at once at most, %ju bytes there, %ju back; %ju not connected, %ju "
             "broken, %ju stopped, %ju turned away\n",
        (uintmax_t)counts.accepted, (uintmax_t)counts.peak, (uintmax_t)count.there,
        (uintmax_t)count.back, (uintmax_t)count.unreached, (uintmax_t)count.broken,
        (uintmax_t)counts.canceled, (uintmax_t)counts.rejected);
    return DONE;
}

const struct verb proxy_verb = {
    .name = "proxy",
    .summary = "serve the clients of one address by another one",
    .example = "pier proxy :8080 unix:/run/app.sock",
    .text =
        "Take clients at LISTEN, connect to TARGET for each, and carry bytes both ways, each "
        "direction to its own end. What one side does not take, the other is not asked for. When one "
        "side is cut off, or TARGET cannot be reached, the other side is reset, so that half does not "
        "look like the whole. Ctrl-C or SIGTERM ends it: those that are there may finish for a "
        "moment, and a line tells what passed." CONFINED_HELP,
    .operands = {{"LISTEN", TAKES_ADDRESS, SERVER_ADDRESS},
        {"TARGET", TAKES_ADDRESS, CLIENT_ADDRESS}},
    .choices = choices,
    .run = run,
};
