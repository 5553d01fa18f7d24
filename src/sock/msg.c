/* SPDX-License-Identifier: MIT */
#include "base/iov.h"
#include "base/seam.h"
#include "base/trace.h"
#include "sock/buffer.h"
#include "sock/gro.h"
#include "sock/io.h"
#include "sock/socket.h"

#include <pier/socket.h>

#include <errno.h>
#include <limits.h>
#include <string.h>

/*
 * 0, or why this cannot be a message: no header, buffers of more than SSIZE_MAX together, or too
 * many for one call.
 */
static int check(const struct msghdr *msg, bool may_split)
{
    if (!msg || (!msg->msg_iov && msg->msg_iovlen) || (!msg->msg_control && msg->msg_controllen))
        return -EINVAL;
    if (pier__iov_length(msg->msg_iov, msg->msg_iovlen) < 0) return -EINVAL;
    return msg->msg_iovlen > PIER__IOVECS && !may_split ? -EMSGSIZE : 0;
}

static bool is_stream(const struct pier__use *use) { return pier__type_of(use) == SOCK_STREAM; }

/*
 * One sendmsg(2) of at most PIER__IOVECS buffers, from the first on; some bytes have gone already,
 * or none.
 */
static int64_t send_part(
    const struct pier__use *use, const struct msghdr *msg, size_t from, bool some, int flags)
{
    struct msghdr part = *msg;
    part.msg_iov = msg->msg_iov ? msg->msg_iov + from : NULL;
    part.msg_iovlen = msg->msg_iovlen - from < PIER__IOVECS ? msg->msg_iovlen - from : PIER__IOVECS;
    struct pier__op op = {.code = PIER_OP_SENDMSG,
        .fd = use->fd,
        .flags = flags,
        .whole = true,
        .with.msg_out = &part};
    pier__limit(&op, use);
    /*
     * What has gone is not held back by what comes after, as in one call. Without a limit that
     * waits too.
     */
    if (some && (op.timeout != PIER_NEVER || op.deadline != PIER_NEVER)) op.timeout = 0;
    return pier__remembered(use->entry, pier__await(&op));
}

int64_t pier__sendmsg(const struct pier__use *use, const struct msghdr *msg, int flags)
{
    int err = check(msg, /* may_split= */ true);
    if (err == 0 && msg->msg_iovlen > PIER__IOVECS && (msg->msg_controllen || !is_stream(use)))
        err = -EMSGSIZE;
    if (err < 0) return err;
    int64_t moved = 0;
    size_t from = 0;
    do {
        size_t count =
            msg->msg_iovlen - from < PIER__IOVECS ? msg->msg_iovlen - from : PIER__IOVECS;
        int64_t whole = count ? pier__iov_length(msg->msg_iov + from, count) : 0;
        int64_t n = send_part(use, msg, from, moved > 0, flags);
        if (n < 0) return moved > 0 ? moved : n;
        moved += n;
        if (n < whole) break;
        from += count;
    } while (from < msg->msg_iovlen);
    return moved;
}

ssize_t pier_sendmsg(int s, const struct msghdr *msg, int flags)
{
    pier_time began = pier__trace_begin();
    struct pier__use use;
    int64_t n = pier__enter(&use, s, PIER__WAITER);
    if (n == 0) {
        n = pier__sendmsg(&use, msg, flags);
        if (n < 0) pier__sock_failed("send a message on", s, &use, NULL, n);
        pier__leave(&use);
    } else {
        pier__sock_failed("send a message on", s, NULL, NULL, n);
    }
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, s, n, "sendmsg(%d, %zu buffers, %#x)", s,
            msg ? (size_t)msg->msg_iovlen : 0, flags);
    return n;
}

/* Spread what framing has read ahead over the buffers. */
static int64_t drain(const struct pier__use *use, const struct msghdr *msg, int flags)
{
    int64_t moved = 0;
    for (size_t i = 0; i < msg->msg_iovlen; i++) {
        const struct iovec *v = &msg->msg_iov[i];
        ssize_t n = pier__buffer_drain(use->entry, v->iov_base, v->iov_len, flags);
        moved += n;
        if ((size_t)n < v->iov_len || (moved > 0 && flags & MSG_PEEK)) break;
    }
    return moved;
}

/* Only Unix sockets bring descriptors, and AF_PACKET refuses to be asked to close them on exec. */
static bool may_bring_descriptors(const struct pier__use *use, const struct msghdr *msg)
{
    if (msg->msg_controllen == 0) return false;
    int family = pier__family_of(use);
    return family == AF_UNIX || family < 0;
}

static int64_t recv_kernel(const struct pier__use *use, struct msghdr *msg, int flags)
{
    socklen_t name_room = msg->msg_namelen;
    struct pier__op op = {.code = PIER_OP_RECVMSG,
        .fd = use->fd,
        .flags = may_bring_descriptors(use, msg) ? flags | MSG_CMSG_CLOEXEC : flags,
        .with.msg_in = msg};
    pier__limit(&op, use);
    int64_t n = pier__remembered(use->entry, pier__await(&op));
    /* Whoever did not ask for close-on-exec is not told of it. */
    if (n >= 0 && !(flags & MSG_CMSG_CLOEXEC)) msg->msg_flags &= ~MSG_CMSG_CLOEXEC;
    /* The kernel tells the length that the name has, not the one it wrote (accept(2)). */
    if (n >= 0 && msg->msg_namelen > name_room) msg->msg_namelen = name_room;
    return n;
}

/* MSG_WAITALL: what comes after the first `have` bytes, which were read ahead. */
static int64_t recv_rest(
    const struct pier__use *use, const struct msghdr *msg, size_t have, int flags)
{
    struct iovec *iov = pier__seam->allocate(NULL, msg->msg_iovlen * sizeof *iov);
    if (!iov) return -ENOMEM;
    memcpy(iov, msg->msg_iov, msg->msg_iovlen * sizeof *iov);
    size_t done = pier__iov_skip(iov, msg->msg_iovlen, have);
    struct msghdr rest = {.msg_iov = iov + done, .msg_iovlen = msg->msg_iovlen - done};
    int64_t n = recv_kernel(use, &rest, flags);
    pier__seam->release(iov);
    return n;
}

/*
 * Take what framing has read ahead, which came without a name and without control data. 0: there is
 * nothing. See pier__with_buffered().
 */
static int64_t recv_buffered(const struct pier__use *use, struct msghdr *msg, int flags)
{
    struct pier__op limits = {0};
    pier__limit(&limits, use);
    int err = pier__begin_buffered(limits.timeout, limits.deadline);
    if (err < 0) return err;
    uint64_t place = pier__buffer_place(use->entry);
    int64_t have = drain(use, msg, flags), all = pier__iov_length(msg->msg_iov, msg->msg_iovlen);
    if (have == 0) return 0;
    if (have < all && pier__waits_for_all(flags, limits.timeout, limits.deadline)) {
        int64_t n = recv_rest(use, msg, (size_t)have, flags);
        have = pier__with_buffered(use->entry, place, (size_t)have, n);
        if (have < 0) return have;
    }
    msg->msg_namelen = 0;
    msg->msg_controllen = 0;
    msg->msg_flags = 0;
    return have;
}

static int64_t recv_message(const struct pier__use *use, struct msghdr *msg, int flags)
{
    struct pier__entry *entry = use->entry;
    if (entry && pier__special(entry) & PIER__HAS_FAILED_BIND)
        return atomic_load(&entry->failed_bind);
    bool past = flags & (MSG_OOB | MSG_ERRQUEUE);
    if (entry && pier__special(entry) & PIER__COALESCES && !past)
        return pier__gro_recvmsg(use, msg, flags);
    if (entry && pier__special(entry) & PIER__HAS_BUFFER && !past) {
        int64_t n = recv_buffered(use, msg, flags);
        if (n != 0) return n;
    }
    return recv_kernel(use, msg, flags);
}

int64_t pier__recvmsg(const struct pier__use *use, struct msghdr *msg, int flags)
{
    int err = check(msg, /* may_split= */ true);
    if (err < 0) return err;
    if (msg->msg_iovlen <= PIER__IOVECS) return recv_message(use, msg, flags);
    if (!is_stream(use)) return -EMSGSIZE;
    size_t all = msg->msg_iovlen;
    msg->msg_iovlen = PIER__IOVECS;
    int64_t n = recv_message(use, msg, flags);
    msg->msg_iovlen = all;
    return n;
}

ssize_t pier_recvmsg(int s, struct msghdr *msg, int flags)
{
    pier_time began = pier__trace_begin();
    struct pier__use use;
    int64_t n = pier__enter(&use, s, PIER__WAITER);
    if (n == 0) {
        n = pier__recvmsg(&use, msg, flags);
        if (n < 0) pier__sock_failed("receive a message on", s, &use, NULL, n);
        pier__leave(&use);
    } else {
        pier__sock_failed("receive a message on", s, NULL, NULL, n);
    }
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, s, n, "recvmsg(%d, %zu buffers, %#x)", s,
            msg ? (size_t)msg->msg_iovlen : 0, flags);
    return n;
}
