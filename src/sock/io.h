/* SPDX-License-Identifier: MIT */
#ifndef PIER_SOCK_IO_H
#define PIER_SOCK_IO_H

#include "base/iov.h"
#include "sock/table.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>

/* What several verbs that move bytes are made of. Neither traces nor records a failure. */

/*
 * A call begins that may find what it wants in the read buffer: 0, -ETIME, or what else ends a call
 * that may wait.
 */
int pier__begin_buffered(int64_t timeout, pier_time deadline);

/* Does MSG_WAITALL mean something? */
bool pier__waits_for_all(int flags, int64_t timeout, pier_time deadline);

/*
 * What a receive has come to that took `have` bytes from the read buffer at `place`, and asked the
 * kernel for the rest, which said n. If that is a failure, they go back and it is told; or they are
 * what has moved, where others have read on meanwhile.
 */
int64_t pier__with_buffered(struct pier__entry *entry, uint64_t place, size_t have, int64_t n);

/*
 * One receive or send under given limits (as in struct pier__op), past the read buffer and without
 * a turn. Receiving is stopped by a remembered failed bind.
 */
int64_t pier__recv_some(const struct pier__use *use, void *buf, size_t len, int flags,
    int64_t timeout, pier_time deadline);
int64_t pier__send_some(const struct pier__use *use, const void *buf, size_t len, int flags,
    int64_t timeout, pier_time deadline);

/* How long each part of a longer verb may wait, as in struct pier__op. */
struct pier__limits {
    int64_t timeout;
    pier_time deadline;
};

/*
 * Send all of it, while the caller has the turn entry->sending (a bare descriptor has none).
 * Returns 0 or a code, and in both cases how much went.
 */
int pier__send_all(const struct pier__use *use, const void *buf, size_t len, int flags,
    const struct pier__limits *limits, size_t *out_moved);

/* The same, waiting for the turn, and all under the one limit that the socket sets now. */
int pier__send_in_turn(
    const struct pier__use *use, const void *buf, size_t len, int flags, size_t *out_moved);

/* A datagram that went to an address makes an earlier failure to bind or connect old news. */
void pier__forget_failures(struct pier__entry *entry);

/* 0 if buf and len can be a buffer, else -EINVAL (length above SSIZE_MAX) or -EFAULT (NULL). */
static inline int pier__check_buffer(const void *buf, size_t len)
{
    if (PIER_UNLIKELY(len > SSIZE_MAX)) return -EINVAL;
    return PIER_UNLIKELY(!buf && len) ? -EFAULT : 0;
}

/*
 * The verbs of the same name, inside a socket already entered as PIER__WAITER: limits, buffer,
 * remembered failures.
 */
int64_t pier__recv(const struct pier__use *use, void *buf, size_t len, int flags);
int64_t pier__recvmsg(const struct pier__use *use, struct msghdr *msg, int flags);
int64_t pier__sendmsg(const struct pier__use *use, const struct msghdr *msg, int flags);

#endif
