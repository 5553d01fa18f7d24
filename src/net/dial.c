/* SPDX-License-Identifier: MIT */
/* A connection from one line of text: RFC 8305, section 5. */
#include "base/addr.h"
#include "base/seam.h"
#include "base/time.h"
#include "base/trace.h"
#include "net/candidates.h"
#include "sock/limit.h"
#include "sock/socket.h"

#include <pier/error.h>
#include <pier/net.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ATTEMPT_DELAY  (PIER_SECOND / 4)   /* RFC 8305, section 8: between attempts, */
#define SHORTEST_DELAY (PIER_SECOND / 100) /* and the least that it allows */

/*
 * Attempts under way at once. When the next one is due and there is no room, the oldest is given
 * up, after at least 4 s with the usual delay: one dead address after another must not keep the
 * last one waiting.
 */
#define MOST 16

/* A socket that is connecting. */
struct attempt {
    int fd;
    unsigned number; /* among all attempts, from 0 */
    const pier_addr *to;
};

struct dial {
    pier_time limit;
    int64_t timeout; /* the socket's, later */
    pier_time deadline;
    int64_t delay;
    int family;
    bool has_source;
    bool fixed_port;               /* the source has a port of its own */
    pier_addr source[2];           /* for IPv6, for IPv4: complete, or it carries the error */
    pier_time due;                 /* when the next attempt may begin beside the others */
    const pier_addr *postponed;    /* there was no descriptor for it */
    struct attempt attempts[MOST]; /* the oldest first */
    size_t count;
    int last;                  /* the code of the attempt that failed last */
    struct pier__failure told; /* its attempts */
};

/* What each attempt came to, for the sentence. */
static void note_start(struct dial *d, const pier_addr *to)
{
    unsigned number = d->told.attempt_count++;
    if (number >= PIER__ATTEMPTS) return;
    d->told.attempts[number].to.length = to->length;
    memcpy(&d->told.attempts[number].to.storage, &to->sa.storage, sizeof to->sa.storage);
    d->told.attempts[number].code = 0;
}

static void note_end(struct dial *d, unsigned number, int code)
{
    if (number < PIER__ATTEMPTS) d->told.attempts[number].code = code;
    d->last = code;
}

static int bind_source(const struct dial *d, int fd, int family)
{
    const pier_addr *source = &d->source[family == AF_INET];
    const int on = 1;
    if (source->error) return source->error;
    /*
     * Without a port of its own it need not be one that no connection at all uses; with one, all
     * attempts must share it.
     */
    if (d->fixed_port)
        (void)pier__seam->setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    else if (family != AF_UNIX)
        (void)pier__seam->setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    return pier__seam->bind(fd, &source->sa.any, source->length);
}

/* A socket that may connect, or a code. */
static int make_socket(const struct dial *d, int family)
{
    int fd = pier__seam->socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || !d->has_source) return fd;
    int err = bind_source(d, fd, family);
    if (err == 0) return fd;
    pier__seam->close(fd);
    return err;
}

/* Make the socket that is connected the caller's. */
static int win(const struct dial *d, int fd, const pier_addr *to)
{
    int s = pier__own(fd, to->sa.any.sa_family, SOCK_STREAM, 0, /* nonblock= */ true);
    if (s < 0) return s;
    struct pier__entry *entry = pier__entry_at(s);
    pier__entry_set_peer(entry, &to->sa.any, to->length);
    atomic_store(&entry->bound, d->has_source);
    int err = pier__settimeout(s, d->timeout);
    if (err >= 0) err = pier__setdeadline(s, d->deadline);
    if (err >= 0) return s;
    (void)pier__close(s);
    return err;
}

static pier_addr name_of(int (*which)(int, struct sockaddr *, socklen_t *), int fd)
{
    struct sockaddr_storage name;
    socklen_t length = sizeof name;
    int err = which(fd, (struct sockaddr *)&name, &length);
    return err < 0 ? pier_addr_failed(err)
                   : pier__addr_from_sockaddr((struct sockaddr *)&name, length);
}

/* Did the kernel connect it to itself? See pier__connected_to_itself(), which needs an entry. */
static bool is_own_peer(const struct dial *d, int fd)
{
    return !d->fixed_port && pier_addr_equal(name_of(pier__seam->getsockname, fd),
                                 name_of(pier__seam->getpeername, fd));
}

static void drop(struct dial *d, size_t i)
{
    pier__seam->close(d->attempts[i].fd);
    d->count--;
    memmove(&d->attempts[i], &d->attempts[i + 1], (d->count - i) * sizeof d->attempts[0]);
}

static bool is_out_of_resources(int err)
{
    return err == -EMFILE || err == -ENFILE || err == -ENOBUFS || err == -ENOMEM;
}

/* Begin to connect: the socket if that is all, 0 if it is under way or has failed. */
static int start(struct dial *d, const pier_addr *to)
{
    int fd = make_socket(d, to->sa.any.sa_family);
    if (is_out_of_resources(fd) && d->count > 0) {
        d->postponed = to;
        d->due = PIER_NEVER; /* until another attempt has ended */
        return 0;
    }
    unsigned number = d->told.attempt_count;
    note_start(d, to);
    int err = fd < 0 ? fd : pier__seam->connect(fd, &to->sa.any, to->length);
    if (err == 0 && is_own_peer(d, fd)) err = -ECONNREFUSED;
    if (err == 0) return win(d, fd, to);
    if (err == -EINPROGRESS || err == -EINTR) {
        d->attempts[d->count++] = (struct attempt){.fd = fd, .number = number, .to = to};
        d->due = pier__point(pier__seam->now(), d->delay);
        return 0;
    }
    if (fd >= 0) pier__seam->close(fd);
    note_end(d, number, err);
    return is_out_of_resources(fd) ? err : 0;
}

/* Start whatever is due: the socket if one connected at once, 0, or a code that ends it all. */
static int start_due(struct dial *d, struct pier__candidates *candidates)
{
    while (d->count == 0 || pier__seam->now() >= d->due) {
        const pier_addr *to = d->postponed;
        d->postponed = NULL;
        if (!to) to = pier__candidates_next(candidates);
        if (!to) return 0;
        if (d->count == MOST) drop(d, 0);
        int result = start(d, to);
        if (result != 0) return result;
    }
    return 0;
}

/* An attempt ended, as poll says: the socket, or 0, and the next one may begin at once. */
static int settle(struct dial *d, size_t i)
{
    struct attempt a = d->attempts[i];
    int code = pier__connect_outcome(a.fd, &a.to->sa.any, a.to->length);
    if (code == -EINPROGRESS) return 0;
    if (code == 0 && is_own_peer(d, a.fd)) code = -ECONNREFUSED;
    if (code == 0) {
        d->attempts[i].fd = -1; /* nobody's any more */
        return win(d, a.fd, a.to);
    }
    drop(d, i);
    note_end(d, a.number, code);
    d->due = 0;
    return 0;
}

/* Wait for attempts to end, for look-ups, for the next attempt: the socket, 0, or a code. */
static int await_any(struct dial *d, struct pier__candidates *candidates)
{
    struct pollfd fds[MOST + 1];
    pier_time next = d->postponed ? 0 : pier__candidates_when(candidates);
    if (next < d->due && d->count > 0) next = d->due;
    for (size_t i = 0; i < d->count; i++)
        fds[i] = (struct pollfd){.fd = d->attempts[i].fd, .events = POLLOUT};
    struct pier__op op = {.code = PIER_OP_POLL,
        .timeout = PIER_NEVER,
        .deadline = pier__earlier(d->limit, next),
        .with.poll = {.fds = fds, .count = d->count}};
    int64_t n = pier__await(&op);
    if (n == -ETIME) return next < d->limit ? 0 : -ETIME;
    if (n < 0) return (int)n;
    int result = 0;
    for (size_t i = d->count; i-- > 0 && result == 0;)
        if (fds[i].revents) result = settle(d, i);
    return result;
}

/* One attempt after another, or beside it, until one has connected. */
static int race(struct dial *d, struct pier__candidates *candidates)
{
    for (;;) {
        int result = start_due(d, candidates);
        if (result != 0) return result;
        bool over = d->count == 0 && pier__candidates_over(candidates);
        if (over) return d->last ? d->last : pier__candidates_code(candidates);
        result = await_any(d, candidates);
        if (result != 0) return result;
    }
}

static int dial_ip(struct dial *d, const pier_addr *to)
{
    struct pier__candidates candidates;
    int result = pier__candidates_begin(&candidates, to, d->family, d->limit);
    if (result == 0) result = race(d, &candidates);
    while (d->count > 0) {
        d->count--;
        if (d->attempts[d->count].fd >= 0) pier__seam->close(d->attempts[d->count].fd);
    }
    pier__candidates_end(&candidates);
    return result;
}

/* An address with no alternatives: Unix, vsock. */
static int dial_one(struct dial *d, const pier_addr *to)
{
    note_start(d, to);
    int fd = make_socket(d, to->sa.any.sa_family);
    if (fd < 0) return fd;
    struct pier__op op = {.code = PIER_OP_CONNECT,
        .fd = fd,
        .timeout = PIER_NEVER,
        /* Without any limit the call itself would be expected to wait. */
        .deadline = d->limit == PIER_NEVER ? PIER_NEVER - 1 : d->limit,
        .with.out = {.addr = &to->sa.any, .addrlen = to->length}};
    int err = (int)pier__await(&op);
    if (err == 0) return win(d, fd, to);
    pier__seam->close(fd);
    if (err != -ETIME) note_end(d, 0, err);
    return err;
}

/* The source for a family; what cannot be had is told by the attempts that need it. */
static void resolve_source(struct dial *d, const pier_addr *source, int family)
{
    pier_addr *mine = &d->source[family == AF_INET];
    *mine = *source;
    int err = pier__resolve_for(mine, NULL, family, SOCK_STREAM, d->limit, /* passive= */ true);
    if (err < 0) *mine = pier_addr_failed(err);
}

/* Can the source go with the target at all? */
static int take_source(struct dial *d, const pier_addr *source, const pier_addr *to)
{
    if (source->error) return source->error;
    if (!source->length && !source->pending) return 0;
    int from = source->sa.any.sa_family, family = to->sa.any.sa_family;
    bool ip = family == AF_INET || family == AF_INET6 || family == AF_UNSPEC;
    bool from_ip = from == AF_INET || from == AF_INET6 || from == AF_UNSPEC;
    if (ip != from_ip || (!ip && from != family)) return PIER_EFAMILY;
    d->has_source = true;
    if (!ip) {
        d->source[0] = *source;
        return 0;
    }
    if (from && ((family && from != family) || (d->family && from != d->family)))
        return PIER_EAI_ADDRFAMILY;
    if (from) d->family = from;
    d->fixed_port = source->sa.inet.sin_port != 0 || source->pending & PIER_ADDR_SERVICE;
    if (!family) family = d->family;
    if (family != AF_INET) resolve_source(d, source, AF_INET6);
    if (family != AF_INET6) resolve_source(d, source, AF_INET);
    return 0;
}

/* What the options say. */
static int take_options(struct dial *d, const pier_connection_opts *opts)
{
    d->deadline = opts->deadline ? opts->deadline : PIER_NEVER;
    d->timeout = opts->timeout != 0 ? pier__duration(opts->timeout) : pier__default_timeout();
    d->delay = opts->attempt_delay != 0 ? pier__duration(opts->attempt_delay) : ATTEMPT_DELAY;
    d->family = opts->family;
    if (d->family && d->family != AF_INET && d->family != AF_INET6) return -EINVAL;
    if (!pier__is_zero(opts->reserved, sizeof opts->reserved)) return -EINVAL;
    if (d->deadline < 0) return (int)d->deadline;
    if (d->timeout < 0 || d->delay < 0) return -EINVAL;
    if (d->delay < SHORTEST_DELAY) d->delay = SHORTEST_DELAY;
    d->limit = d->deadline;
    /*
     * A default time-out of 0 is for what the program does with the socket: nothing can be dialled
     * without waiting.
     */
    if (d->timeout != 0 && d->timeout != PIER_NEVER)
        d->limit = pier__earlier(d->limit, pier__point(pier__seam->now(), d->timeout));
    return d->limit != PIER_NEVER && pier__seam->now() >= d->limit ? -ETIME : 0;
}

static int dial(struct dial *d, const char *address, const pier_connection_opts *opts)
{
    static const pier_connection_opts defaults;
    if (!opts) opts = &defaults;
    int err = take_options(d, opts);
    if (err < 0) return err;
    /* The family is asked for later: of AF_INET ":80" would be 0.0.0.0, and it means this host. */
    pier_addr to = pier_addr_parse(address, NULL);
    if (to.error) return to.error;
    int family = to.sa.any.sa_family;
    if (d->family && family && family != d->family) return PIER_EAI_ADDRFAMILY;
    err = take_source(d, &opts->source, &to);
    if (err < 0) return err;
    bool ip = family == AF_INET || family == AF_INET6 || family == AF_UNSPEC;
    return ip ? dial_ip(d, &to) : dial_one(d, &to);
}

int pier_create_connection(const char *address, const pier_connection_opts *opts)
{
    pier_time began = pier__trace_begin();
    struct dial d = {.limit = PIER_NEVER};
    int s = dial(&d, address, opts);
    if (s < 0) {
        struct pier__failure *failure = pier__failure_begin("connect to", s);
        failure->type = SOCK_STREAM;
        failure->attempt_count = d.told.attempt_count;
        memcpy(failure->attempts, d.told.attempts, sizeof failure->attempts);
        if (address) (void)snprintf(failure->target, sizeof failure->target, "%s", address);
    }
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, s, s, "create_connection(%s)", address ? address : "NULL");
    return s;
}
