/* SPDX-License-Identifier: MIT */
#include "base/addr.h"
#include "base/ask.h"
#include "base/seam.h"
#include "base/time.h"
#include "base/trace.h"
#include "sock/limit.h"
#include "sock/resolve.h"
#include "sock/socket.h"

#include <pier/socket.h>

#include <errno.h>

/* Remember that bind or connect failed; or, with code 0, that one succeeded. */
static void remember(struct pier__entry *entry, int64_t bit, int code)
{
    if (!entry) return;
    if (code == 0) {
        pier__mark_special(entry, PIER__HAS_FAILED_BIND | PIER__HAS_FAILED_CONNECT, false);
        return;
    }
    atomic_store(bit == PIER__HAS_FAILED_BIND ? &entry->failed_bind : &entry->failed_connect, code);
    pier__mark_special(entry, bit, true);
}

/* Complete an address for this socket, under its limits. */
static int complete(const struct pier__use *use, pier_addr *addr, pier_time limit, bool passive)
{
    struct pier__entry *entry = use->entry;
    if (addr->error == 0 && addr->pending) {
        int err = pier__resolve_for(addr, use, entry ? entry->family : addr->sa.any.sa_family,
            entry ? entry->type : 0, limit, passive);
        if (err < 0) return err;
    }
    return pier__addr_check(addr);
}

static int bind_in(const struct pier__use *use, pier_addr *addr)
{
    int64_t timeout;
    pier_time limit = pier__conversation_limit(use->entry, &timeout);
    int err = complete(use, addr, limit, /* passive= */ true);
    if (err == 0) err = pier__seam->bind(use->fd, &addr->sa.any, addr->length);
    remember(use->entry, PIER__HAS_FAILED_BIND, err);
    if (err == 0 && use->entry) atomic_store(&use->entry->bound, true);
    return err;
}

int pier__bind(int s, const pier_addr *addr)
{
    struct pier__use use;
    pier_addr full = *addr;
    int err = pier__enter(&use, s, PIER__WAITER);
    if (err < 0) return err;
    err = bind_in(&use, &full);
    pier__leave(&use);
    return err;
}

int pier_bind(int s, pier_addr addr)
{
    pier_time began = pier__trace_begin();
    int err = pier__bind(s, &addr);
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, -1, err, "bind(%d, %s)", s, pier_addr_text(addr).text);
    struct pier__use use = {.fd = s, .entry = s < 0 ? NULL : pier__entry_at(s)};
    return (int)pier__sock_failed("bind", s, &use, &addr, err);
}

int pier__listen(int s, int backlog)
{
    struct pier__use use;
    int err = pier__enter(&use, s, PIER__VISITOR);
    if (err < 0) return err;
    struct pier__entry *entry = use.entry;
    if (entry && pier__special(entry) & PIER__HAS_FAILED_BIND)
        err = atomic_load(&entry->failed_bind);
    else
        err = pier__seam->listen(s, backlog < 0 ? 0 : backlog);
    if (err == 0 && entry) atomic_store(&entry->life.listening, true);
    pier__leave(&use);
    return err;
}

int pier_listen(int s, int backlog)
{
    pier_time began = pier__trace_begin();
    int err = pier__listen(s, backlog);
    if (PIER_UNLIKELY(began)) pier__trace_end(began, -1, err, "listen(%d, %d)", s, backlog);
    struct pier__use use = {.fd = s, .entry = s < 0 ? NULL : pier__entry_at(s)};
    return (int)pier__sock_failed("listen on", s, &use, NULL, err);
}

bool pier__accept_is_transient(int64_t code)
{
    switch (code) {
    case -ECONNABORTED:
    case -EPROTO:
    case -ENETDOWN:
    case -ENOPROTOOPT:
    case -EHOSTDOWN:
    case -ENONET:
    case -EHOSTUNREACH:
    case -EOPNOTSUPP:
    case -ENETUNREACH:
    case -EPERM: return true;
    default: return false;
    }
}

/* May accept wait on this descriptor? On what is no listener it must fail at once instead. */
bool pier__is_listening(struct pier__entry *entry, int fd)
{
    if (entry && atomic_load(&entry->life.listening)) return true;
    int listening = 0;
    if (pier__ask_int(fd, SO_ACCEPTCONN, &listening) < 0) return false;
    if (entry && listening) atomic_store(&entry->life.listening, true);
    return listening;
}

/*
 * accept4(2) has no MSG_DONTWAIT: where it may not block, or beside another accept, in this process
 * or another, that may be faster after the same poll, the description itself must not block.
 */
static int prepare_accept(const struct pier__use *use, const struct pier__op *op)
{
    struct pier__entry *entry = use->entry;
    int64_t state = entry ? atomic_load(&entry->life.state) : 0;
    bool rival = (state & PIER__WAITERS) > 1 || (entry && atomic_load(&entry->life.shared));
    return rival || !pier__await_may_block(op) ? pier__set_nonblock(entry, use->fd, true) : 0;
}

/*
 * So many connections may fail one after the other before a pause is made: perhaps it is no
 * connection's fault.
 */
#define FAILURES_IN_A_ROW 64

static int64_t pause_accepting(const struct pier__op *accept)
{
    if (accept->timeout == 0) return -EAGAIN;
    pier_time end = pier__seam->now() + PIER_SECOND / 1000;
    int64_t n = pier__await_woken(accept->life, pier__earlier(end, accept->deadline));
    return n == -ETIME ? 0 : n; /* if that was the whole time, the next accept says so */
}

/* Accept from a listener, past the connections that fail on the way, within one limit. */
static int64_t accept_next(struct pier__op *op)
{
    const socklen_t room = *op->with.in.addrlen;
    pier_time end = PIER_NEVER;
    if (op->timeout != 0 && op->timeout != PIER_NEVER)
        end = pier__point(pier__seam->now(), op->timeout);
    for (int failures = 1;; failures++) {
        *op->with.in.addrlen = room;
        int64_t fd = pier__await(op);
        if (!pier__accept_is_transient(fd)) return fd;
        if (end != PIER_NEVER) {
            op->timeout = PIER_NEVER;
            op->deadline = pier__earlier(op->deadline, end);
        }
        int64_t err = failures % FAILURES_IN_A_ROW == 0 ? pause_accepting(op) : 0;
        if (err < 0) return err;
    }
}

/* What a bare descriptor accepted is no bare one. */
static int adopt_accepted(int fd)
{
    int s = pier__adopt(fd);
    if (s < 0) pier__seam->close(fd);
    return s;
}

/* The peer may be unknown: who reports a failure then asks for it. */
static int own_accepted(
    const struct pier__entry *listener, int fd, const struct pier__sockaddr *peer, bool nonblock)
{
    int s = pier__own(fd, listener->family, listener->type, listener->protocol, nonblock);
    if (s >= 0 && peer)
        pier__entry_set_peer(
            pier__entry_at(s), (const struct sockaddr *)&peer->storage, peer->length);
    return s;
}

int pier__accept_flags(void) { return pier__default_timeout() != PIER_NEVER ? SOCK_NONBLOCK : 0; }

int pier__accept_in(const struct pier__use *use, struct pier__sockaddr *peer, bool wait)
{
    struct pier__entry *entry = use->entry;
    if (entry && pier__special(entry) & PIER__HAS_FAILED_BIND)
        return atomic_load(&entry->failed_bind);
    bool listener = pier__is_listening(entry, use->fd);
    struct pier__op op = {.code = PIER_OP_ACCEPT,
        .fd = use->fd,
        .flags = pier__accept_flags(),
        .with.in = {.addr = (struct sockaddr *)&peer->storage, .addrlen = &peer->length}};
    pier__limit(&op, use);
    if (!wait) op.timeout = 0;
    int err = listener && wait ? prepare_accept(use, &op) : 0;
    if (err < 0) return err;
    peer->length = sizeof peer->storage;
    int64_t fd = listener ? accept_next(&op) : pier__op_try(&op, /* wait= */ true);
    if (fd < 0) return (int)fd;
    if (!entry) return adopt_accepted((int)fd);
    return own_accepted(entry, (int)fd, peer, op.flags);
}

int pier__accepted(const struct pier__use *use, int fd, int flags)
{
    return own_accepted(use->entry, fd, /* peer= */ NULL, flags & SOCK_NONBLOCK);
}

static int enter_accept(int s, pier_addr *out_peer, bool record)
{
    struct pier__use use;
    struct pier__sockaddr peer;
    peer.length = 0;
    int client = pier__enter(&use, s, PIER__WAITER);
    if (client == 0) {
        client = pier__accept_in(&use, &peer, /* wait= */ true);
        if (client < 0 && record) pier__sock_failed("accept on", s, &use, NULL, client);
        pier__leave(&use);
    } else if (record) {
        pier__sock_failed("accept on", s, NULL, NULL, client);
    }
    if (!out_peer) return client;
    if (client < 0)
        pier__addr_fail(out_peer, client);
    else
        *out_peer = pier__addr_from_sockaddr((struct sockaddr *)&peer.storage, peer.length);
    return client;
}

int pier__accept(int s, pier_addr *out_peer)
{
    return enter_accept(s, out_peer, /* record= */ false);
}

int pier_accept(int s, pier_addr *out_peer)
{
    pier_time began = pier__trace_begin();
    int client = enter_accept(s, out_peer, /* record= */ true);
    if (PIER_UNLIKELY(began)) pier__trace_end(began, client, client, "accept(%d)", s);
    return client;
}

bool pier__connected_to_itself(struct pier__entry *entry, int fd)
{
    if (!entry || entry->bound || entry->type != SOCK_STREAM) return false;
    if (entry->family != AF_INET && entry->family != AF_INET6) return false;
    struct pier__sockaddr own = {.length = sizeof own.storage},
                          peer = {.length = sizeof own.storage};
    if (pier__seam->getsockname(fd, (struct sockaddr *)&own.storage, &own.length) < 0) return false;
    if (pier__seam->getpeername(fd, (struct sockaddr *)&peer.storage, &peer.length) < 0)
        return false;
    return pier_addr_equal(pier__addr_from_sockaddr((struct sockaddr *)&own.storage, own.length),
        pier__addr_from_sockaddr((struct sockaddr *)&peer.storage, peer.length));
}

/*
 * Back to unconnected; the other half of the odd connection, which is this socket too, goes with
 * it.
 */
static int refuse_itself(int fd)
{
    const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    (void)pier__seam->connect(fd, &nobody, sizeof nobody);
    return -ECONNREFUSED;
}

/*
 * The connect(2) itself. Where it must be able to stop waiting, the description is made O_NONBLOCK
 * meanwhile. For a plain TCP connect without a limit, shutdown wakes it: one system call.
 */
static int connect_in(
    const struct pier__use *use, const pier_addr *addr, int64_t timeout, pier_time limit)
{
    struct pier__entry *entry = use->entry;
    struct pier__op op = {.code = PIER_OP_CONNECT,
        .fd = use->fd,
        .life = entry ? &entry->life : NULL,
        .timeout = timeout,
        .deadline = limit,
        .with.out = {.addr = &addr->sa.any, .addrlen = addr->length}};
    bool waits = timeout != 0 && !pier__await_may_block(&op);
    int was = waits ? pier__is_nonblock(entry, use->fd) : 1;
    if (was < 0) return was;
    if (entry && pier__life_closing(&entry->life)) return -ECANCELED; /* during the look-up, say */
    /* An adopted O_NONBLOCK descriptor without a limit behaves as its owner left it. */
    if (waits && was && limit == PIER_NEVER) op.timeout = 0;
    int err = was ? 0 : pier__set_nonblock(entry, use->fd, true);
    if (err < 0) return err;
    err = (int)pier__await(&op);
    if (!was) {
        int restored = pier__set_nonblock(entry, use->fd, false);
        if (err == 0) err = restored;
    }
    return err == 0 && pier__connected_to_itself(entry, use->fd) ? refuse_itself(use->fd) : err;
}

/* Which failures of connect stand for a socket that has no connection. */
static bool leaves_unconnected(int err)
{
    return err != -EINPROGRESS && err != -EALREADY && err != -EISCONN && err != -EAGAIN;
}

static int connect_to(const struct pier__use *use, pier_addr *addr)
{
    int64_t timeout;
    pier_time limit = pier__conversation_limit(use->entry, &timeout);
    int err = complete(use, addr, limit, /* passive= */ false);
    if (err == 0) err = connect_in(use, addr, timeout, limit);
    if (err == 0 || leaves_unconnected(err)) remember(use->entry, PIER__HAS_FAILED_CONNECT, err);
    bool to_nobody = addr->sa.any.sa_family == AF_UNSPEC; /* which dissolves a connection */
    if (use->entry && addr->length)
        pier__entry_set_peer(use->entry, &addr->sa.any, to_nobody ? 0 : addr->length);
    return err;
}

static int enter_connect(int s, const pier_addr *addr)
{
    struct pier__use use;
    pier_addr full = *addr;
    int err = pier__enter(&use, s, PIER__WAITER);
    if (err < 0) return (int)pier__sock_failed("connect to", s, NULL, addr, err);
    err = connect_to(&use, &full);
    if (err < 0) {
        int64_t code = pier__sock_failed("connect to", s, &use, addr, err);
        if (code != -EAGAIN && code != -EINPROGRESS)
            pier__failure()->peer.length = 0; /* the target says it */
    }
    pier__leave(&use);
    return err;
}

int pier_connect(int s, pier_addr addr)
{
    pier_time began = pier__trace_begin();
    int err = enter_connect(s, &addr);
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, -1, err, "connect(%d, %s)", s, pier_addr_text(addr).text);
    return err;
}

int pier_connect_ex(int s, pier_addr addr)
{
    pier_time began = pier__trace_begin();
    int err = enter_connect(s, &addr);
    int result = err;
    if (s >= 0 && err < 0 && err > -4096) result = err == -ETIME ? EAGAIN : -err;
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, -1, result, "connect_ex(%d, %s)", s, pier_addr_text(addr).text);
    return result;
}

int pier_forget_failure(int s)
{
    pier_time began = pier__trace_begin();
    struct pier__use use;
    int err = pier__enter(&use, s, PIER__VISITOR);
    if (err == 0) {
        remember(use.entry, 0, 0);
        pier__leave(&use);
    }
    if (PIER_UNLIKELY(began)) pier__trace_end(began, s, err, "forget_failure(%d)", s);
    return (int)pier__sock_failed("forget the failure of", s, NULL, NULL, err);
}

/* getsockname or getpeername of s into out. */
static int ask_name(int s, pier_addr *out, bool peer)
{
    struct pier__use use;
    struct pier__sockaddr name = {.length = sizeof name.storage};
    struct sockaddr *sa = (struct sockaddr *)&name.storage;
    int err = pier__enter(&use, s, PIER__VISITOR);
    if (err == 0) {
        err = peer ? pier__seam->getpeername(s, sa, &name.length)
                   : pier__seam->getsockname(s, sa, &name.length);
        err = (int)pier__remembered(use.entry, err);
        pier__leave(&use);
    }
    if (err < 0)
        pier__addr_fail(out, err);
    else
        *out = pier__addr_from_sockaddr(sa, name.length);
    return err;
}

int pier__getsockname(int s, pier_addr *out) { return ask_name(s, out, /* peer= */ false); }

int pier_getsockname(int s, pier_addr *out)
{
    pier_time began = pier__trace_begin();
    int err = out ? ask_name(s, out, /* peer= */ false) : -EINVAL;
    if (PIER_UNLIKELY(began))
        pier__trace_end(
            began, -1, err, "getsockname(%d): %s", s, err < 0 ? "-" : pier_addr_text(*out).text);
    return (int)pier__sock_failed("get the address of", s, NULL, NULL, err);
}

int pier_getpeername(int s, pier_addr *out)
{
    pier_time began = pier__trace_begin();
    int err = out ? ask_name(s, out, /* peer= */ true) : -EINVAL;
    if (PIER_UNLIKELY(began))
        pier__trace_end(
            began, -1, err, "getpeername(%d): %s", s, err < 0 ? "-" : pier_addr_text(*out).text);
    struct pier__use use = {.fd = s, .entry = s < 0 ? NULL : pier__entry_at(s)};
    return (int)pier__sock_failed("get the peer of", s, &use, NULL, err);
}
