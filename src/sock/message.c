/* SPDX-License-Identifier: MIT */
#include "sock/message.h"

#include "base/ask.h"
#include "base/failure.h"
#include "base/missing.h"
#include "base/seam.h"
#include "base/trace.h"
#include "sock/option.h"
#include "sock/table.h"

#include <pier/error.h>

#include <errno.h>
#include <string.h>

/*
 * Control messages are read and written by offsets into the buffer, never through a pointer to a
 * struct cmsghdr: the buffer may be unaligned, and CMSG_NXTHDR of <sys/socket.h> believes lengths
 * that a peer or a bug made up. The layout is cmsg(3)'s: a header, data, padding up to the next
 * CMSG_ALIGN.
 */

#define LENGTH_MOST ((size_t)0x7fffffff)
#define HEADER      CMSG_LEN(0)

ssize_t pier_cmsg_len(size_t length)
{
    if (length > LENGTH_MOST - HEADER) return pier__failed("cmsg_len", NULL, PIER_ERANGE);
    return (ssize_t)CMSG_LEN(length);
}

/* Python counts the padding before and after the data, however much of it there is. */
static bool too_long(size_t length) { return length > LENGTH_MOST - CMSG_SPACE(1); }

ssize_t pier_cmsg_space(size_t length)
{
    if (too_long(length)) return pier__failed("cmsg_space", NULL, PIER_ERANGE);
    return (ssize_t)CMSG_SPACE(length);
}

int pier_cmsg_next(const struct msghdr *msg, pier_cmsg *cmsg)
{
    if (!msg || !cmsg || !msg->msg_control) return 0;
    size_t at = cmsg->next, end = msg->msg_controllen;
    if (at > end || end - at < HEADER) return 0;

    struct cmsghdr header;
    const char *bytes = (const char *)msg->msg_control + at;
    memcpy(&header, bytes, sizeof header);
    if (header.cmsg_len < HEADER) return 0;
    size_t claimed = header.cmsg_len - HEADER, there = end - at - HEADER;
    *cmsg = (pier_cmsg){.level = header.cmsg_level,
        .type = header.cmsg_type,
        .data = bytes + HEADER,
        .length = claimed < there ? claimed : there,
        .truncated = claimed > there};
    /* Within the last padding it may lie beyond the end, which ends the walk just as well. */
    cmsg->next = cmsg->truncated ? end : at + HEADER + CMSG_ALIGN(claimed);
    return 1;
}

int pier__cmsg_put(
    struct msghdr *msg, size_t capacity, int level, int type, const void *data, size_t length)
{
    if (!msg) return -EINVAL;
    if (length && !data) return -EFAULT;
    size_t used = msg->msg_controllen, at = CMSG_ALIGN(used);
    if (!msg->msg_control || too_long(length) || at < used || at > capacity) return -ENOBUFS;
    if (capacity - at < CMSG_SPACE(length)) return -ENOBUFS;

    char *bytes = (char *)msg->msg_control;
    struct cmsghdr header;
    memset(&header, 0, sizeof header);
    header.cmsg_len = CMSG_LEN(length);
    header.cmsg_level = level;
    header.cmsg_type = type;
    memset(bytes + used, 0, at + CMSG_SPACE(length) - used);
    memcpy(bytes + at, &header, sizeof header);
    if (length) memcpy(bytes + at + HEADER, data, length);
    msg->msg_controllen = at + CMSG_SPACE(length);
    return 0;
}

int pier_cmsg_put(
    struct msghdr *msg, size_t capacity, int level, int type, const void *data, size_t length)
{
    int err = pier__cmsg_put(msg, capacity, level, type, data, length);
    return (int)pier__failed("put a control message", NULL, err);
}

size_t pier__cmsg_fd_count(const pier_cmsg *cmsg)
{
    if (cmsg->level != SOL_SOCKET) return 0;
    if (cmsg->type == SCM_PIDFD) return cmsg->length >= sizeof(int);
    return cmsg->type == SCM_RIGHTS ? cmsg->length / sizeof(int) : 0;
}

int pier__cmsg_close_fds(struct msghdr *msg)
{
    static const int closed = -1;
    int count = 0;
    for (pier_cmsg cmsg = {0}; pier_cmsg_next(msg, &cmsg);) {
        char *at = (char *)msg->msg_control + ((const char *)cmsg.data - (char *)msg->msg_control);
        for (size_t n = pier__cmsg_fd_count(&cmsg); n > 0; n--, at += sizeof(int)) {
            int fd;
            memcpy(&fd, at, sizeof fd);
            if (fd < 0) continue;
            pier__seam->close(fd);
            memcpy(at, &closed, sizeof closed); /* so that a second call closes nobody else's */
            count++;
        }
    }
    return count;
}

int pier_cmsg_close_fds(struct msghdr *msg)
{
    pier_time began = pier__trace_begin();
    int count = pier__cmsg_close_fds(msg);
    if (PIER_UNLIKELY(began))
        pier__trace_end(
            began, -1, count, "cmsg_close_fds(%zu bytes)", msg ? (size_t)msg->msg_controllen : 0);
    return count;
}

static pier_credentials from_kernel(const struct ucred *ucred)
{
    return (pier_credentials){.pid = ucred->pid, .uid = ucred->uid, .gid = ucred->gid};
}

int pier_cmsg_credentials(const pier_cmsg *cmsg, pier_credentials *out)
{
    struct ucred ucred;
    if (!cmsg || !out || cmsg->level != SOL_SOCKET || cmsg->type != SCM_CREDENTIALS ||
        !cmsg->data || cmsg->length < sizeof ucred)
        return (int)pier__failed("cmsg_credentials", NULL, -EINVAL);
    memcpy(&ucred, cmsg->data, sizeof ucred);
    *out = from_kernel(&ucred);
    return 0;
}

/* Who nobody is: what the kernel says of a socket that no process connected. */
static bool is_nobody(const struct ucred *ucred)
{
    return ucred->uid == (uid_t)-1 && ucred->gid == (gid_t)-1;
}

static int get_peer(int s, struct ucred *out)
{
    socklen_t length = sizeof *out;
    int err = pier__getsockopt(s, SOL_SOCKET, SO_PEERCRED, out, &length);
    if (err < 0) return err;
    if (length != sizeof *out) return PIER_EOPTLEN;
    if (!is_nobody(out)) return 0;
    int family = AF_UNIX;
    err = pier__ask_int(s, SO_DOMAIN, &family);
    return err < 0 || family == AF_UNIX ? -ENOTCONN : -EOPNOTSUPP;
}

int pier_getpeercred(int s, pier_credentials *out)
{
    pier_time began = pier__trace_begin();
    struct ucred ucred = {0};
    struct pier__use use;
    int err = pier__enter(&use, s, PIER__VISITOR);
    if (err == 0) {
        err = out ? get_peer(s, &ucred) : -EFAULT;
        pier__leave(&use);
    }
    if (err == 0)
        *out = from_kernel(&ucred);
    else
        pier__option_failed("getsockopt", s, "SO_PEERCRED", err);
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, s, err, "getpeercred(%d): pid %d, uid %u, gid %u", s, (int)ucred.pid,
            (unsigned)ucred.uid, (unsigned)ucred.gid);
    return err;
}
