/* SPDX-License-Identifier: MIT */
#include "wait/op.h"

#include "base/ask.h"
#include "base/iov.h"
#include "base/seam.h"

#include <errno.h>
#include <signal.h>

/* What came of a connect that is under way, in the families that have no better way of asking. */
static int64_t ask_outcome(int fd)
{
    int err = 0;
    int failed = pier__ask_int(fd, SO_ERROR, &err);
    if (failed < 0) return failed;
    return err == EISCONN ? 0 : -err;
}

int pier__connect_outcome(int fd, const struct sockaddr *addr, socklen_t length)
{
    const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    int err = pier__seam->connect(fd, addr, length);
    switch (err) {
    case -EISCONN: return 0;
    case -EALREADY:
    case -EINTR: return -EINPROGRESS;
    case -EINPROGRESS: /* a new one: a shutdown had ended the first */
        (void)pier__seam->connect(fd, &nobody, sizeof nobody);
        return -ECONNABORTED;
    default: return err;
    }
}

static int64_t connect_try(struct pier__op *op)
{
    const struct sockaddr *addr = op->with.out.addr;
    if (!op->connecting) return pier__seam->connect(op->fd, addr, op->with.out.addrlen);
    if (addr->sa_family != AF_INET && addr->sa_family != AF_INET6) return ask_outcome(op->fd);
    return pier__connect_outcome(op->fd, addr, op->with.out.addrlen);
}

static bool holds_pipe(const sigset_t *set) { return sigismember(set, SIGPIPE) == 1; }

/* Take back the SIGPIPE that this thread has just caused. */
static void swallow_pipe(const sigset_t *pipe)
{
    const struct timespec at_once = {0};
    for (int tries = 0; tries < 3; tries++) {
        int signal = pier__seam->sigtimedwait(pipe, NULL, &at_once);
        if (signal == SIGPIPE || signal == -EAGAIN) return;
    }
}

/*
 * sendfile(2) has no MSG_NOSIGNAL, and a broken pipe may end it after it has moved bytes, so a
 * short count may come with a signal too. It is blocked meanwhile, and taken back unless one was
 * waiting before: then the two are one.
 */
static int64_t sendfile_try(struct pier__op *op)
{
    sigset_t pipe, before, waiting;
    sigemptyset(&pipe);
    sigemptyset(&waiting);
    sigaddset(&pipe, SIGPIPE);
    int err = pier__seam->signal_mask(SIG_BLOCK, &pipe, &before);
    if (err < 0) return err;
    bool blocked = holds_pipe(&before); /* else none can be waiting */
    bool others = blocked && (pier__seam->sigpending(&waiting) < 0 || holds_pipe(&waiting));
    ssize_t n =
        pier__seam->sendfile(op->fd, op->with.file.fd, op->with.file.offset, op->with.file.count);
    bool whole = n >= 0 && (size_t)n == op->with.file.count;
    if (!whole && !others) swallow_pipe(&pipe);
    if (!blocked) (void)pier__seam->signal_mask(SIG_SETMASK, &before, NULL);
    return n;
}

int64_t pier__op_try_other(struct pier__op *op, int flags)
{
    switch (op->code) {
    case PIER_OP_RECV:
    case PIER_OP_SEND: break; /* pier__op_try() itself */
    case PIER_OP_RECVFROM:
        return pier__seam->recvfrom(
            op->fd, op->with.in.buf, op->with.in.len, flags, op->with.in.addr, op->with.in.addrlen);
    case PIER_OP_RECVMSG: return pier__seam->recvmsg(op->fd, op->with.msg_in, flags);
    case PIER_OP_SENDTO:
        return pier__seam->sendto(op->fd, op->with.out.buf, op->with.out.len, flags | MSG_NOSIGNAL,
            op->with.out.addr, op->with.out.addrlen);
    case PIER_OP_SENDMSG:
        return pier__seam->sendmsg(op->fd, op->with.msg_out, flags | MSG_NOSIGNAL);
    case PIER_OP_RECVMMSG:
        return pier__seam->recvmmsg(
            op->fd, op->with.many.msgs, op->with.many.count, flags | MSG_WAITFORONE);
    case PIER_OP_SENDMMSG:
        return pier__seam->sendmmsg(
            op->fd, op->with.many.msgs, op->with.many.count, flags | MSG_NOSIGNAL);
    case PIER_OP_SENDFILE: return sendfile_try(op);
    case PIER_OP_ACCEPT:
        return pier__seam->accept4(
            op->fd, op->with.in.addr, op->with.in.addrlen, op->flags | SOCK_CLOEXEC);
    case PIER_OP_CONNECT: return connect_try(op);
    case PIER_OP_POLL: return pier__seam->poll(op->with.poll.fds, op->with.poll.count, 0);
    }
    return -ENOSYS;
}

bool pier__op_empty(const struct pier__op *op)
{
    const struct msghdr *msg = op->with.msg_out;
    if (op->code == PIER_OP_SENDMSG) return pier__iov_length(msg->msg_iov, msg->msg_iovlen) == 0;
    return (op->code == PIER_OP_SEND || op->code == PIER_OP_SENDTO) && op->with.out.len == 0;
}

/* Nothing has come, from nobody. */
static int64_t tell_end(struct pier__op *op)
{
    if (op->code == PIER_OP_RECVFROM) *op->with.in.addrlen = 0;
    if (op->code == PIER_OP_RECVMSG) {
        op->with.msg_in->msg_namelen = 0;
        op->with.msg_in->msg_controllen = 0;
        op->with.msg_in->msg_flags = 0;
    }
    return 0;
}

int64_t pier__op_look_for_end(struct pier__op *op)
{
    struct pollfd fd = {.fd = op->fd, .events = POLLRDHUP};
    if (!pier__op_receives(op) || op->stream) return -EAGAIN;
    if (pier__seam->poll(&fd, 1, /* deadline= */ 0) <= 0) return -EAGAIN;
    if (!(fd.revents & POLLRDHUP)) return -EAGAIN;
    int64_t n;
    do {
        n = pier__op_try(op, /* wait= */ false);
    } while (n == -EINTR);
    return n == -EAGAIN ? tell_end(op) : n;
}

bool pier__op_shutdown_wakes(const struct pier__op *op)
{
    if (pier__op_receives(op)) return op->life->traits & PIER__WAKES_RECV;
    if (pier__op_sends(op)) return op->life->traits & PIER__WAKES_SEND;
    return op->code == PIER_OP_CONNECT && op->life->traits & PIER__WAKES_CONNECT;
}

bool pier__op_blind(const struct pier__op *op)
{
    if (op->code == PIER_OP_CONNECT) return !op->connecting;
    return pier__op_sends(op) && op->life && !pier__op_shutdown_wakes(op);
}

bool pier__op_goes_on(const struct pier__op *op)
{
    if (op->code != PIER_OP_CONNECT) return false;
    /* On AF_UNIX it had only been waiting for room in the queue. */
    sa_family_t family = op->with.out.addr->sa_family;
    return family == AF_INET || family == AF_INET6;
}

bool pier__op_connects(struct pier__op *op, int64_t n)
{
    if (n == -EINPROGRESS && pier__op_sends(op)) {
        op->flags &= ~MSG_FASTOPEN;
        return true;
    }
    bool under_way = n == -EINPROGRESS && op->code == PIER_OP_CONNECT;
    if (!under_way && !(n == -EINTR && pier__op_goes_on(op))) return false;
    op->connecting = true;
    return true;
}

int64_t pier__op_nap(unsigned before)
{
    int64_t nap = PIER_SECOND / 1000 << (before < 6 ? before : 6);
    return nap < PIER_SECOND / 20 ? nap : PIER_SECOND / 20;
}

/*
 * Does a result of 0 stand for something that would be lost? Descriptor 0, or those that came with
 * an empty message.
 */
static bool zero_counts(const struct pier__op *op)
{
    return op->code == PIER_OP_ACCEPT ||
           (op->code == PIER_OP_RECVMSG && op->with.msg_in->msg_controllen > 0);
}

int64_t pier__op_settle(const struct pier__op *op, int64_t n)
{
    if (PIER_LIKELY(n > 0) || !op->life || !pier__life_closing(op->life)) return n;
    return n == 0 && zero_counts(op) ? n : -ECANCELED;
}

short pier__op_events(const struct pier__op *op)
{
    switch (op->code) {
    case PIER_OP_RECV:
    case PIER_OP_RECVFROM:
    case PIER_OP_RECVMSG:
    case PIER_OP_RECVMMSG:
    case PIER_OP_ACCEPT: return POLLIN;
    default: return POLLOUT;
    }
}
