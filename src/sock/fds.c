/* SPDX-License-Identifier: MIT */
#include "base/seam.h"
#include "base/trace.h"
#include "sock/buffer.h"
#include "sock/io.h"
#include "sock/message.h"
#include "sock/socket.h"

#include <pier/message.h>

#include <errno.h>
#include <string.h>

/* Descriptors that travel over Unix sockets. */

#define FDS_ROOM CMSG_SPACE(PIER_FDS_MAX * sizeof(int))

/*
 * What else may come in front of the descriptors, if the socket's options ask for it: credentials,
 * a security label, time stamps. Without room for it the descriptors would be cut.
 */
#define OTHER_ROOM 1024

/* A control buffer, aligned as the kernel likes it. */
union control {
    struct cmsghdr first;
    char bytes[FDS_ROOM + OTHER_ROOM];
};

static int kind(const struct pier__use *use, int *out_family, int *out_type)
{
    *out_family = pier__family_of(use);
    if (*out_family < 0) return *out_family;
    *out_type = pier__type_of(use);
    return *out_type < 0 ? *out_type : 0;
}

/*
 * 0 if these descriptors can go. The kernel says nothing of two mistakes: in a stream, descriptors
 * without a byte vanish, and other families ignore them.
 */
static int check_fds(const struct pier__use *use, size_t len, const int *fds, size_t count)
{
    int family = 0, type = 0;
    if (!fds) return -EFAULT;
    if (count > PIER_FDS_MAX) return -EINVAL;
    int err = kind(use, &family, &type);
    if (err < 0) return err;
    if (family != AF_UNIX) return -EOPNOTSUPP;
    if (type == SOCK_STREAM && len == 0) return -EINVAL;
    for (size_t i = 0; i < count; i++) {
        struct pier__entry *entry = pier__entry_at(fds[i]);
        if (entry && pier__buffer_pending(entry)) return -EBUSY;
        if (entry) pier__entry_share(entry);
    }
    return 0;
}

static int64_t send_fds(const struct pier__use *use, const void *buf, size_t len, int flags,
    const int *fds, size_t count)
{
    int err = pier__check_buffer(buf, len);
    if (err == 0 && count) err = check_fds(use, len, fds, count);
    if (err < 0) return err;
    union control control;
    struct iovec part = {.iov_len = len};
    memcpy(&part.iov_base, &buf, sizeof buf); /* sendmsg only reads it */
    struct msghdr msg = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control};
    if (count)
        err =
            pier__cmsg_put(&msg, sizeof control, SOL_SOCKET, SCM_RIGHTS, fds, count * sizeof *fds);
    return err < 0 ? err : pier__sendmsg(use, &msg, flags);
}

ssize_t pier_send_fds(
    int s, const void *buf, size_t len, int flags, const int *fds, size_t fd_count)
{
    pier_time began = pier__trace_begin();
    struct pier__use use;
    int64_t n = pier__enter(&use, s, PIER__WAITER);
    if (n == 0) {
        n = send_fds(&use, buf, len, flags, fds, fd_count);
        if (n < 0) pier__sock_failed("send descriptors on", s, &use, NULL, n);
        pier__leave(&use);
    } else {
        pier__sock_failed("send descriptors on", s, NULL, NULL, n);
    }
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, s, n, "send_fds(%d, %s, %zu, %#x, %zu descriptors)", s,
            pier__trace_bytes(buf, pier__check_buffer(buf, len) < 0 ? -1 : (int64_t)len), len,
            flags, fd_count);
    return n;
}

/* How many descriptors came for the caller. */
static size_t count_fds(const struct msghdr *msg)
{
    size_t count = 0;
    for (pier_cmsg cmsg = {0}; pier_cmsg_next(msg, &cmsg);)
        if (cmsg.type == SCM_RIGHTS) count += pier__cmsg_fd_count(&cmsg);
    return count;
}

/*
 * Hand them over; a process's descriptor (SO_PASSPIDFD) is none of them and has nobody to close it.
 */
static void hand_over(const struct msghdr *msg, int *fds)
{
    for (pier_cmsg cmsg = {0}; pier_cmsg_next(msg, &cmsg);) {
        size_t n = pier__cmsg_fd_count(&cmsg);
        int pidfd;
        if (n == 0) continue;
        if (cmsg.type != SCM_RIGHTS) {
            memcpy(&pidfd, cmsg.data, sizeof pidfd);
            if (pidfd >= 0) pier__seam->close(pidfd);
        } else if (fds) {
            memcpy(fds, cmsg.data, n * sizeof *fds);
            fds += n;
        }
    }
}

/* *out_lost: how many bytes came although the result is an error. */
static int64_t recv_fds(const struct pier__use *use, struct iovec *part, int flags, int *fds,
    size_t *fd_count, size_t *out_lost)
{
    int err = pier__check_buffer(part->iov_base, part->iov_len);
    if (err == 0 && (!fd_count || (!fds && *fd_count))) err = -EFAULT;
    if (err < 0) return err;
    union control control;
    struct msghdr msg = {.msg_iov = part,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof control};
    int64_t n = pier__recvmsg(use, &msg, flags);
    if (n < 0) return n;
    size_t came = count_fds(&msg);
    if (came > *fd_count || msg.msg_flags & MSG_CTRUNC) {
        pier__cmsg_close_fds(&msg);
        *fd_count = 0;
        *out_lost = (size_t)n;
        return -EMSGSIZE;
    }
    hand_over(&msg, fds);
    *fd_count = came;
    return n;
}

ssize_t pier_recv_fds(int s, void *buf, size_t len, int flags, int *fds, size_t *fd_count)
{
    pier_time began = pier__trace_begin();
    struct pier__use use;
    struct iovec part = {.iov_base = buf, .iov_len = len};
    size_t lost = 0;
    int64_t n = pier__enter(&use, s, PIER__WAITER);
    if (n == 0) {
        n = recv_fds(&use, &part, flags, fds, fd_count, &lost);
        if (n < 0) pier__sock_failed("receive descriptors on", s, &use, NULL, n);
        if (n == -EMSGSIZE) pier__failure()->moved = lost;
        pier__leave(&use);
    } else {
        pier__sock_failed("receive descriptors on", s, NULL, NULL, n);
    }
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, s, n, "recv_fds(%d, %s, %zu, %#x, %zu descriptors)", s,
            pier__trace_came(buf, len, n), len, flags, n < 0 ? 0 : *fd_count);
    return n;
}
