/* SPDX-License-Identifier: MIT */
#include "sock/socket.h"

#include "base/ask.h"
#include "base/seam.h"
#include "base/trace.h"
#include "sock/buffer.h"
#include "sock/gro.h"
#include "sock/limit.h"

#include <pier/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/time.h>

#define TYPE_FLAGS (SOCK_NONBLOCK | SOCK_CLOEXEC)

int pier__own(int fd, int family, int type, int protocol, bool nonblock)
{
    struct pier__entry *entry = pier__entry_open(fd, family, type & ~TYPE_FLAGS, protocol);
    if (!entry) {
        pier__seam->close(fd);
        return -ENOMEM;
    }
    int8_t mode = nonblock ? PIER__MODE_NONBLOCK : PIER__MODE_BLOCKING;
    atomic_store_explicit(&entry->life.mode, mode, memory_order_relaxed);
    if (type & SOCK_NONBLOCK) {
        atomic_store(&entry->timeout, 0);
        pier__mark_special(entry, PIER__HAS_TIMEOUT, true);
    }
    return fd;
}

/*
 * The type to ask the kernel for: close-on-exec, and O_NONBLOCK at once if the default time-out
 * wants it.
 */
static int kernel_type(int type)
{
    bool limited = pier__default_timeout() != PIER_NEVER;
    return type | SOCK_CLOEXEC | (limited ? SOCK_NONBLOCK : 0);
}

int pier__socket(int family, int type, int protocol)
{
    int wanted = kernel_type(type);
    int fd = pier__seam->socket(family, wanted, protocol);
    return fd < 0 ? fd : pier__own(fd, family, type, protocol, wanted & SOCK_NONBLOCK);
}

int pier_socket(int family, int type, int protocol)
{
    pier_time began = pier__trace_begin();
    int s = pier__socket(family, type, protocol);
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, -1, s, "socket(%s, %d, %d)",
            pier_family_name(family) ? pier_family_name(family) : "?", type, protocol);
    return s < 0 ? (int)pier__failed("make a socket", NULL, s) : s;
}

static int make_pair(int family, int type, int protocol, int out_pair[2])
{
    if (!out_pair) return -EINVAL;
    int wanted = kernel_type(type), pair[2];
    int err = pier__seam->socketpair(family, wanted, protocol, pair);
    if (err < 0) return err;
    err = pier__own(pair[0], family, type, protocol, wanted & SOCK_NONBLOCK);
    if (err < 0) {
        pier__seam->close(pair[1]);
        return err;
    }
    err = pier__own(pair[1], family, type, protocol, wanted & SOCK_NONBLOCK);
    if (err < 0) {
        pier__close(pair[0]);
        return err;
    }
    out_pair[0] = pair[0];
    out_pair[1] = pair[1];
    return 0;
}

int pier_socketpair(int family, int type, int protocol, int out_pair[2])
{
    pier_time began = pier__trace_begin();
    int err = make_pair(family, type, protocol, out_pair);
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, -1, err, "socketpair(%d, %d, %d, [%d, %d])", family, type, protocol,
            err < 0 ? -1 : out_pair[0], err < 0 ? -1 : out_pair[1]);
    return (int)pier__failed("make a pair of sockets", NULL, err);
}

/* What is known of a socket, or asked. */
static int told(const struct pier__use *use, int known, int name)
{
    int value = known;
    int err = use->entry ? 0 : pier__ask_int(use->fd, name, &value);
    return err < 0 ? err : value;
}

int pier__family_of(const struct pier__use *use)
{
    return told(use, use->entry ? use->entry->family : 0, SO_DOMAIN);
}

int pier__type_of(const struct pier__use *use)
{
    return told(use, use->entry ? use->entry->type : 0, SO_TYPE);
}

int pier__check_stream(const struct pier__use *use)
{
    int type = pier__type_of(use);
    if (type < 0) return type;
    return type == SOCK_STREAM ? 0 : -EINVAL;
}

int pier__adopt(int fd)
{
    int family, type, protocol, listening = 0;
    struct pier__entry *known = pier__entry_at(fd);
    const int64_t dying = PIER__OPEN | PIER__CLOSING; /* the last call inside will close it */
    if (known && (atomic_load(&known->life.state) & dying) == dying) return -EBADF;
    int err = pier__ask_int(fd, SO_DOMAIN, &family);
    if (err >= 0) err = pier__ask_int(fd, SO_TYPE, &type);
    if (err >= 0) err = pier__ask_int(fd, SO_PROTOCOL, &protocol);
    if (err < 0) return err;
    (void)pier__ask_int(fd, SO_ACCEPTCONN, &listening); /* not every family knows it */
    bool limited = pier__default_timeout() != PIER_NEVER;
    if (limited) err = pier__set_nonblock(NULL, fd, true);
    if (err < 0) return err;
    struct pier__entry *entry = pier__entry_open(fd, family, type, protocol);
    if (!entry) return -ENOMEM;
    atomic_store(&entry->life.listening, listening != 0);
    return fd;
}

int pier_adopt(int fd)
{
    pier_time began = pier__trace_begin();
    int s = fd < 0 ? pier__passed_on(fd) : pier__adopt(fd);
    if (PIER_UNLIKELY(began)) pier__trace_end(began, s, s, "adopt(%d)", fd);
    return (int)pier__sock_failed("adopt", fd, NULL, NULL, s);
}

/* A copy of fd's descriptor, close-on-exec. */
static int copy(int fd) { return pier__seam->fcntl(fd, F_DUPFD_CLOEXEC, 0); }

/* The copy of a socket that receives super-datagrams receives them too. */
static int copy_gro(const struct pier__entry *from, struct pier__entry *entry)
{
    if (!(pier__special(from) & PIER__COALESCES)) return 0;
    int err = pier__gro_prepare(entry);
    if (err == 0) pier__mark_special(entry, PIER__COALESCES, true);
    return err;
}

static int adopt_copy(const struct pier__use *use)
{
    int made = copy(use->fd);
    int s = made < 0 ? made : pier__adopt(made);
    if (made >= 0 && s < 0) pier__seam->close(made);
    if (s < 0) return s;
    pier__entry_share(pier__entry_at(s));
    if (use->entry) pier__entry_share(use->entry);
    int err = use->entry ? copy_gro(use->entry, pier__entry_at(s)) : 0;
    if (err < 0) pier__close(s);
    return err < 0 ? err : s;
}

int pier_fromfd(int fd)
{
    pier_time began = pier__trace_begin();
    struct pier__use use = {.entry = NULL};
    int s = pier__enter(&use, fd, PIER__VISITOR);
    if (s == 0) {
        s = adopt_copy(&use);
        pier__leave(&use);
    }
    if (PIER_UNLIKELY(began)) pier__trace_end(began, s, s, "fromfd(%d)", fd);
    return (int)pier__sock_failed("adopt a copy of", fd, NULL, NULL, s);
}

/* A second entry like the first. The description is shared, so neither knows its mode any more. */
static int duplicate(struct pier__use *use)
{
    struct pier__entry *from = use->entry;
    if (from && pier__buffer_pending(from)) return -EBUSY;
    if (!from) return adopt_copy(use);
    int fd = copy(use->fd);
    if (fd < 0) return fd;
    struct pier__entry *entry = pier__entry_open(fd, from->family, from->type, from->protocol);
    if (!entry) {
        pier__seam->close(fd);
        return -ENOMEM;
    }
    pier__entry_share(entry);
    pier__entry_share(from);
    atomic_store(&entry->timeout, atomic_load(&from->timeout));
    atomic_store(&entry->deadline, atomic_load(&from->deadline));
    entry->life.listening = from->life.listening;
    entry->bound = from->bound;
    int64_t limits = pier__special(from) & (PIER__HAS_TIMEOUT | PIER__HAS_DEADLINE);
    pier__mark_special(entry, PIER__HAS_TIMEOUT | PIER__HAS_DEADLINE, false);
    pier__mark_special(entry, limits, true);
    pier__entry_set_peer(entry, &from->peer.any, from->peer_length);
    int err = copy_gro(from, entry);
    if (err < 0) pier__close(fd);
    return err < 0 ? err : fd;
}

int pier_dup(int s)
{
    pier_time began = pier__trace_begin();
    struct pier__use use = {.entry = NULL};
    int fd = pier__enter(&use, s, PIER__VISITOR);
    if (fd == 0) {
        fd = duplicate(&use);
        pier__leave(&use);
    }
    if (PIER_UNLIKELY(began)) pier__trace_end(began, fd, fd, "dup(%d)", s);
    return (int)pier__sock_failed("duplicate", s, NULL, NULL, fd);
}

static int detach(int s)
{
    if (s < 0) return pier__passed_on(s);
    struct pier__entry *entry = pier__entry_at(s);
    if (!entry) return -EBADF;
    int64_t was = atomic_load(&entry->life.state);
    do {
        if ((was & (PIER__OPEN | PIER__CLOSING)) != PIER__OPEN) return -EBADF;
        if (was & PIER__INSIDE || pier__buffer_pending(entry)) return -EBUSY;
    } while (!atomic_compare_exchange_weak(&entry->life.state, &was, 0));
    pier__buffer_free(entry);
    return s;
}

int pier_detach(int s)
{
    pier_time began = pier__trace_begin();
    int fd = detach(s);
    if (PIER_UNLIKELY(began)) pier__trace_end(began, -1, fd, "detach(%d)", s);
    return (int)pier__sock_failed("detach", s, NULL, NULL, fd);
}

/*
 * End the calls that block on it. What shutdown(2) does lasts, so it meets those too that are only
 * about to begin, except a connect, which does not look at it: that one gives up by a time-out.
 */
static void shut_down(const struct pier__entry *entry, int fd)
{
    const struct timeval at_once = {.tv_usec = 1};
    if (entry->life.traits & PIER__WAKES_CONNECT && entry->type == SOCK_STREAM)
        (void)pier__seam->setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &at_once, sizeof at_once);
    pier__seam->shutdown(fd, SHUT_RDWR);
}

/* Wake whoever waits on a closing descriptor. A listener is not shut down: forks share it, and its
 * waiters all wait beside their wake descriptors. */
static void wake_waiters(struct pier__entry *entry, int fd)
{
    int listening = 0;
    if (entry->life.traits & PIER__WAKES) (void)pier__ask_int(fd, SO_ACCEPTCONN, &listening);
    if (entry->life.traits & PIER__WAKES && !listening) shut_down(entry, fd);
    pier__life_wake(&entry->life, fd);
}

/* From now on nobody can enter it: 0 or -EBADF. It is entered itself, as this. */
static int begin_closing(struct pier__entry *entry, int s, int64_t as)
{
    int64_t was = atomic_load(&entry->life.state);
    do {
        if ((was & (PIER__OPEN | PIER__CLOSING)) != PIER__OPEN) return -EBADF;
    } while (!atomic_compare_exchange_weak(&entry->life.state, &was, (was | PIER__CLOSING) + as));
    if (was & PIER__WAITERS) wake_waiters(entry, s);
    return 0;
}

int pier__close(int s)
{
    struct pier__entry *entry = pier__entry_at(s);
    if (!entry || begin_closing(entry, s, PIER__VISITOR) < 0) return -EBADF;
    pier__life_leave(&entry->life, PIER__VISITOR);
    int err = pier__entry_bury(entry, s);
    /*
     * Linux has closed it whatever close(2) says; a reset is the peer's affair (CPython,
     * bpo-30319).
     */
    return err == -EINTR || err == -ECONNRESET ? 0 : err;
}

void pier__close_born(int s, uint64_t birth, bool soon)
{
    struct pier__use use;
    if (pier__enter(&use, s, PIER__VISITOR) < 0) return;
    struct pier__entry *entry = use.entry;
    bool born = entry && atomic_load(&entry->life.birth) == birth;
    if (born && begin_closing(entry, s, 0) == 0 && soon) {
        pier__life_leave(&entry->life, PIER__VISITOR);
        pier__entry_bury_soon(entry, s);
    } else {
        pier__leave(&use);
    }
}

int pier_close(int s)
{
    pier_time began = pier__trace_begin();
    int err = s < 0 ? pier__passed_on(s) : pier__close(s);
    if (PIER_UNLIKELY(began)) pier__trace_end(began, -1, err, "close(%d)", s);
    return (int)pier__sock_failed("close", s, NULL, NULL, err);
}

int pier_shutdown(int s, int how)
{
    pier_time began = pier__trace_begin();
    struct pier__use use;
    int err = pier__enter(&use, s, PIER__VISITOR);
    if (err == 0) {
        err = (int)pier__remembered(use.entry, pier__seam->shutdown(s, how));
        err = (int)pier__sock_failed("shut down", s, &use, NULL, err);
        pier__leave(&use);
    }
    if (PIER_UNLIKELY(began)) pier__trace_end(began, s, err, "shutdown(%d, %d)", s, how);
    return err;
}

uint64_t pier__birth(int s)
{
    struct pier__entry *entry = s < 0 ? NULL : pier__entry_at(s);
    if (!entry) return 0;
    uint64_t birth = atomic_load(&entry->life.birth);
    int64_t state = atomic_load(&entry->life.state);
    return (state & (PIER__OPEN | PIER__CLOSING)) == PIER__OPEN ? birth : 0;
}

uint64_t pier_birth(int s) { return pier__birth(s); }

int pier_set_inheritable(int s, bool inheritable)
{
    pier_time began = pier__trace_begin();
    int err =
        s < 0 ? pier__passed_on(s) : pier__seam->fcntl(s, F_SETFD, inheritable ? 0 : FD_CLOEXEC);
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, s, err, "set_inheritable(%d, %d)", s, inheritable);
    return (int)pier__sock_failed("set the inheritance of", s, NULL, NULL, err);
}

int pier_get_inheritable(int s)
{
    pier_time began = pier__trace_begin();
    int flags = s < 0 ? pier__passed_on(s) : pier__seam->fcntl(s, F_GETFD, 0);
    int result = flags < 0 ? flags : !(flags & FD_CLOEXEC);
    if (PIER_UNLIKELY(began)) pier__trace_end(began, s, result, "get_inheritable(%d)", s);
    return (int)pier__sock_failed("get the inheritance of", s, NULL, NULL, result);
}
