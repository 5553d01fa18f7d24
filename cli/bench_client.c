/* SPDX-License-Identifier: MIT */
/*
 * One connection of a bench, from the first connect to the last close: what each kind of request
 * is.
 */
#include "bench.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

enum {
    PART = 65536,    /* read at once, at the most */
    PROBES = 3,      /* datagrams that ask whether anybody is there */
    LONGEST = 65536, /* of a datagram, and a byte that would be too much */
};

/* How long a peer may take to read what is left, in seconds. */
static const double patience = 1;

static int fail_as(struct bench_target *target, enum bench_error kind, const char *sentence)
{
    char *first = target->result->sentences[kind];
    if (target->result->errors[kind]++ == 0)
        snprintf(first, sizeof target->result->sentences[kind], "%s", sentence);
    return 1;
}

static int fail_with(struct bench_target *target, int code)
{
    char text[64];
    switch (code) {
    case -ECANCELED: return code;
    case -ECONNREFUSED: /* of a datagram; and of the next connection, if that is asked now */
    case -ENOENT: return fail_as(target, BENCH_CONNECT, pier_error());
    case -ECONNRESET:
    case -EPIPE:
    case -ECONNABORTED: return fail_as(target, BENCH_RESET, pier_error());
    case -ETIMEDOUT: return fail_as(target, BENCH_TIMEOUT, pier_error());
    case -ETIME:
        snprintf(text, sizeof text, "no answer within %g seconds", target->how->wait);
        return fail_as(target, BENCH_TIMEOUT, text);
    default: return fail_as(target, BENCH_OTHER, pier_error());
    }
}

static int dial(const struct bench_target *target)
{
    if (target->how->kind == BENCH_UDP) return aim_socket(target->to);
    int s = pier_create_connection(
        target->text, &(pier_connection_opts){.deadline = pier_after(target->how->wait)});
    if (s < 0) return s;
    pier_setdeadline(s, PIER_NEVER);                     /* it was for connecting */
    pier_setsockopt_int(s, IPPROTO_TCP, TCP_NODELAY, 1); /* on AF_UNIX there is no such thing */
    return s;
}

int client_connect(struct bench_target *target, struct bench_client *it)
{
    if (it->buffer == NULL) {
        it->room = target->how->kind == BENCH_UDP    ? LONGEST
                   : target->how->kind == BENCH_BULK ? 1
                   : target->how->size < PART        ? (size_t)target->how->size + 1
                                                     : PART;
        it->buffer = malloc(it->room);
        if (it->buffer == NULL) return fail_as(target, BENCH_OTHER, strerror(ENOMEM));
    }
    it->s = dial(target);
    if (it->s >= 0 || it->s == -ECANCELED) return it->s < 0 ? it->s : 0;
    return fail_as(target, BENCH_CONNECT, pier_error());
}

void client_close(struct bench_client *it)
{
    if (it->s >= 0) pier_close(it->s);
    it->s = -EBADF;
    if (it->reading) pier_event_wait(&it->silent, PIER_NEVER);
    it->reading = false;
}

void client_finish(struct bench_client *it)
{
    if (it->reading && pier_shutdown(it->s, SHUT_WR) == 0)
        pier_event_wait(&it->silent, pier_after(patience));
    client_close(it);
}

/* Until one of the two can go on. */
static int wait_for_either(int s)
{
    pier_waitable ways[] = {{PIER_WAIT_READABLE, .socket = s}, {PIER_WAIT_WRITABLE, .socket = s}};
    ssize_t n = pier_wait_any(ways, 2, PIER_NEVER);
    return n < 0 ? (int)n : 0;
}

struct exchange {
    uint64_t number, size, sent, came;
};

/* Sends what can go and reads what is there; -EAGAIN: neither has ended, and both may go on. */
static ssize_t send_and_receive(struct bench_client *it, struct exchange *now)
{
    bool sending = now->sent < now->size;
    ssize_t went = sending ? message_send(it->s, now->number, now->sent, MSG_DONTWAIT) : -EAGAIN;
    if (went < 0 && went != -EAGAIN) return went;
    if (went > 0) now->sent += (uint64_t)went;
    /* A byte more than is missing would be one too many. */
    uint64_t most = now->size - now->came + 1;
    size_t room = most < it->room ? (size_t)most : it->room;
    ssize_t n = pier_recv(it->s, it->buffer, room, now->sent < now->size ? MSG_DONTWAIT : 0);
    if (n != -EAGAIN || went > 0) return n;
    int err = wait_for_either(it->s);
    return err < 0 ? err : -EAGAIN;
}

/*
 * Sends a message and reads it back. Both at once: a long one fills what lies between, and a peer
 * that cannot get rid of its beginning would not read on.
 */
static int exchange(struct bench_target *target, struct bench_client *it)
{
    struct exchange now = {.number = ++target->numbers, .size = target->how->size};
    while (now.came < now.size) {
        ssize_t n = send_and_receive(it, &now);
        if (n == -EAGAIN) continue;
        if (n < 0) return fail_with(target, (int)n);
        if (n == 0) return fail_as(target, BENCH_ENDED, "the peer ended the connection");
        if (now.came + (uint64_t)n > now.sent ||
            !message_fits(now.number, now.came, it->buffer, (size_t)n))
            return fail_as(target, BENCH_WRONG, "what came back is not what was sent");
        now.came += (uint64_t)n;
    }
    return 0;
}

/* A datagram there and back. */
static int exchange_datagram(struct bench_target *target, struct bench_client *it)
{
    uint64_t number = ++target->numbers;
    ssize_t n = message_send(it->s, number, 0, 0);
    if (n < 0) return fail_with(target, (int)n);
    for (;;) {
        n = pier_recv(it->s, it->buffer, it->room, 0);
        if (n < 0) return fail_with(target, (int)n);
        if ((uint64_t)n == target->how->size && message_fits(number, 0, it->buffer, (size_t)n))
            return 0;
        if (!message_is_late(number, it->buffer, (size_t)n))
            return fail_as(target, BENCH_WRONG, "what came back is not what was sent");
        target->result->late++;
    }
}

/* Throws away what a peer says that was to listen alone, or it would not listen any more. */
static int drop_all(void *arg)
{
    static char anything[PART]; /* of all connections at once: nobody looks at it */
    struct bench_client *it = arg;
    int s = it->s;
    while (pier_recv(s, anything, sizeof anything, 0) > 0)
        continue;
    pier_event_set(&it->silent);
    return 0;
}

static int send_bulk(struct bench_target *target, struct bench_client *it)
{
    uint64_t number = ++target->numbers, size = target->how->size;
    if (!it->reading) {
        it->silent = (pier_event){0};
        pier_task reader = pier_group_spawn(&target->group, drop_all, it, NULL);
        if (reader.number < 0) return fail_with(target, reader.number);
        it->reading = true;
    }
    for (uint64_t sent = 0; sent < size;) {
        ssize_t n = message_send(it->s, number, sent, 0);
        if (n < 0) return fail_with(target, (int)n);
        sent += (uint64_t)n;
    }
    return 0;
}

int client_request(struct bench_target *target, struct bench_client *it, bool *out_answered)
{
    static int (*const how[BENCH_KINDS])(struct bench_target *, struct bench_client *) = {
        [BENCH_ECHO] = exchange,
        [BENCH_CHURN] = exchange,
        [BENCH_BULK] = send_bulk,
        [BENCH_UDP] = exchange_datagram,
    };
    pier_scope scope = {0};
    int err = pier_scope_enter(&scope, pier_after(target->how->wait));
    if (err < 0) return err;
    err = how[target->how->kind](target, it);
    bool expired = pier_scope_leave(&scope) == -ETIME;
    *out_answered = err == 0;
    if (err != -ECANCELED || !expired) return err;
    if (target->how->kind != BENCH_UDP) return fail_with(target, -ETIME);
    target->result->lost++;
    return 0;
}

/* Whoever is there answers one of a few datagrams. */
static int probe_datagrams(struct bench_target *target, struct bench_client *out_first)
{
    target->to = aim(target->how->address, AF_UNSPEC, pier_after(target->how->wait));
    if (target->to.error < 0)
        return fail("%s: %s", screen_quote(target->how->address), pier_strerror(target->to.error));
    snprintf(
        target->result->peer, sizeof target->result->peer, "%s", pier_addr_text(target->to).text);
    bool answered = false;
    int err = client_connect(target, out_first);
    for (int i = 0; i < PROBES && err == 0 && !answered; i++)
        err = client_request(target, out_first, &answered);
    if (answered) return DONE;
    for (int i = 0; i < BENCH_ERRORS; i++)
        if (target->result->errors[i] > 0) return fail("%s", target->result->sentences[i]);
    return fail("%s: no answer to %d datagrams, each within %g seconds", target->result->peer,
        PROBES, target->how->wait);
}

int client_probe(struct bench_target *target, struct bench_client *out_first)
{
    if (target->how->kind == BENCH_UDP) return probe_datagrams(target, out_first);
    target->text = target->how->address;
    if (client_connect(target, out_first) != 0)
        return fail("%s", target->result->sentences[BENCH_CONNECT]);
    /* From now on no name is looked up. */
    pier_addr peer;
    int err = pier_getpeername(out_first->s, &peer);
    bool ip = err == 0 && (peer.sa.any.sa_family == AF_INET || peer.sa.any.sa_family == AF_INET6);
    snprintf(target->result->peer, sizeof target->result->peer, "%s",
        ip ? pier_addr_text(peer).text : target->how->address);
    target->text = target->result->peer;
    return DONE;
}
