/* SPDX-License-Identifier: MIT */
#include "sock/limit.h"

#include "base/seam.h"
#include "base/time.h"
#include "base/trace.h"
#include "sock/socket.h"

#include <pier/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sys/ioctl.h>

static _Atomic int64_t default_timeout = PIER_NEVER;

int64_t pier__default_timeout(void)
{
    return atomic_load_explicit(&default_timeout, memory_order_relaxed);
}

int pier__set_nonblock(struct pier__entry *entry, int fd, bool nonblock)
{
    int8_t wanted = nonblock ? PIER__MODE_NONBLOCK : PIER__MODE_BLOCKING;
    int8_t known = entry ? atomic_load(&entry->life.mode) : PIER__MODE_UNKNOWN;
    if (known == wanted) return 0;
    int on = nonblock;
    int err = pier__seam->ioctl(fd, FIONBIO, &on);
    if (err < 0) return err;
    if (known != PIER__MODE_UNKNOWN) atomic_store(&entry->life.mode, wanted);
    return 0;
}

int pier__is_nonblock(struct pier__entry *entry, int fd)
{
    int8_t known = entry ? atomic_load(&entry->life.mode) : PIER__MODE_UNKNOWN;
    if (known != PIER__MODE_UNKNOWN) return known == PIER__MODE_NONBLOCK;
    int flags = pier__seam->fcntl(fd, F_GETFL, 0);
    return flags < 0 ? flags : (flags & O_NONBLOCK) != 0;
}

/*
 * Enter s for a call that never waits and needs the entry: a bare descriptor has no place for a
 * limit.
 */
static int visit(struct pier__use *use, int s)
{
    int err = pier__enter(use, s, PIER__VISITOR);
    return err < 0 || use->entry ? err : -EBADF;
}

int pier__settimeout(int s, int64_t timeout)
{
    struct pier__use use;
    int err = visit(&use, s);
    if (err < 0) return err;
    err = pier__set_nonblock(use.entry, s, timeout != PIER_NEVER);
    if (err >= 0) {
        atomic_store(&use.entry->timeout, timeout);
        pier__mark_special(use.entry, PIER__HAS_TIMEOUT, timeout != PIER_NEVER);
    }
    pier__leave(&use);
    return err;
}

int pier_settimeout(int s, double seconds)
{
    pier_time began = pier__trace_begin();
    int64_t timeout = pier__duration(seconds);
    int err = s < 0         ? pier__passed_on(s)
              : timeout < 0 ? (int)timeout
                            : pier__settimeout(s, timeout);
    if (PIER_UNLIKELY(began)) pier__trace_end(began, s, err, "settimeout(%d, %g)", s, seconds);
    return (int)pier__sock_failed("set the time-out of", s, NULL, NULL, err);
}

static double get_timeout(int s)
{
    struct pier__use use;
    int err = visit(&use, s);
    if (err < 0) return (double)pier__sock_failed("get the time-out of", s, NULL, NULL, err);
    int64_t timeout = atomic_load(&use.entry->timeout);
    pier__leave(&use);
    return timeout == PIER_NEVER ? (double)INFINITY : (double)timeout / 1e9;
}

double pier_gettimeout(int s)
{
    pier_time began = pier__trace_begin();
    double seconds = get_timeout(s);
    if (PIER_UNLIKELY(began))
        pier__trace_end(
            began, s, seconds < 0 ? (int64_t)seconds : 0, "gettimeout(%d): %g", s, seconds);
    return seconds;
}

int pier_setblocking(int s, bool blocking)
{
    pier_time began = pier__trace_begin();
    int err = pier__settimeout(s, blocking ? PIER_NEVER : 0);
    if (PIER_UNLIKELY(began)) pier__trace_end(began, s, err, "setblocking(%d, %d)", s, blocking);
    return (int)pier__sock_failed("set the mode of", s, NULL, NULL, err);
}

int pier_getblocking(int s)
{
    pier_time began = pier__trace_begin();
    double seconds = get_timeout(s);
    int result = seconds < 0 ? (int)seconds : seconds != 0;
    if (PIER_UNLIKELY(began)) pier__trace_end(began, s, result, "getblocking(%d)", s);
    return result;
}

int pier_setdefaulttimeout(double seconds)
{
    pier_time began = pier__trace_begin();
    int64_t timeout = pier__duration(seconds);
    int err = timeout < 0 ? (int)timeout : 0;
    if (err == 0) atomic_store_explicit(&default_timeout, timeout, memory_order_relaxed);
    if (PIER_UNLIKELY(began)) pier__trace_end(began, -1, err, "setdefaulttimeout(%g)", seconds);
    return (int)pier__failed("set the default time-out", NULL, err);
}

double pier_getdefaulttimeout(void)
{
    int64_t timeout = pier__default_timeout();
    return timeout == PIER_NEVER ? (double)INFINITY : (double)timeout / 1e9;
}

int pier__setdeadline(int s, pier_time deadline)
{
    struct pier__use use;
    if (s >= 0 && deadline < 0) return (int)deadline;
    int err = visit(&use, s);
    if (err < 0) return err;
    atomic_store(&use.entry->deadline, deadline);
    pier__mark_special(use.entry, PIER__HAS_DEADLINE, deadline != PIER_NEVER);
    pier__leave(&use);
    return 0;
}

int pier_setdeadline(int s, pier_time deadline)
{
    pier_time began = pier__trace_begin();
    int err = pier__setdeadline(s, deadline);
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, s, err, "setdeadline(%d, in %g s)", s, pier_remaining(deadline));
    return (int)pier__sock_failed("set the deadline of", s, NULL, NULL, err);
}

pier_time pier_getdeadline(int s)
{
    pier_time began = pier__trace_begin();
    struct pier__use use;
    pier_time deadline = visit(&use, s);
    if (deadline == 0) {
        deadline = atomic_load(&use.entry->deadline);
        pier__leave(&use);
    }
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, s, deadline < 0 ? deadline : 0, "getdeadline(%d)", s);
    return pier__sock_failed("get the deadline of", s, NULL, NULL, deadline);
}
