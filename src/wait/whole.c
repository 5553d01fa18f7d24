/* SPDX-License-Identifier: MIT */
#include "wait/whole.h"

#include "base/ask.h"
#include "base/iov.h"
#include "base/seam.h"

#include <errno.h>
#include <linux/sockios.h>
#include <string.h>

/*
 * MSG_WAITALL. Under a limit it means nothing, in a thread neither: the socket is O_NONBLOCK. Else
 * the kernel sees to it for who blocks, but not so its ring, which glues records of a seqpacket
 * socket together, fills up what it has peeked at with the same bytes again, stops early where
 * there is room for control data, and swallows an error that comes after some bytes. So it is put
 * together here, as the kernel would for a thread.
 */

static bool is_stream(const struct pier__op *op)
{
    int type = 0;
    if (op->life) return op->stream;
    return pier__ask_int(op->fd, SO_TYPE, &type) >= 0 && type == SOCK_STREAM;
}

/* What comes with control data is not glued to anything, and peeking tells of one piece alone. */
static bool is_unix(const struct pier__op *op)
{
    int family = AF_UNSPEC;
    return pier__ask_int(op->fd, SO_DOMAIN, &family) >= 0 && family == AF_UNIX;
}

/* Wait for more. False: there shall be no more, or an error has come, which is the next call's. */
static bool await_more(struct pier__wait *w)
{
    const struct pier__op *op = w->op;
    struct pollfd fds[2] = {{.fd = op->fd, .events = pier__op_events(op)}};
    struct pier__op poll = {.code = PIER_OP_POLL,
        .fd = op->fd,
        .shielded = op->shielded,
        .life = op->life,
        .heir = op->heir,
        .timeout = PIER_NEVER,
        .deadline = PIER_NEVER,
        .with.poll = {.fds = fds, .count = 1, .doing = pier__wait_doing(op)}};
    struct pier__wait waits = {
        .task = w->task, .op = &poll, .limit = PIER_NEVER, .moved = w->moved};
    while (waits.off == 0) {
        int64_t n = pier__wait_poll(&waits);
        if (n != 0) return n > 0 && !(fds[0].revents & (POLLERR | POLLNVAL));
    }
    return false;
}

/* No receive goes across the place of an urgent byte. */
static bool is_at_mark(const struct pier__op *op)
{
    int at_mark = 0;
    if (!pier__op_receives(op)) return false;
    return pier__seam->ioctl(op->fd, SIOCATMARK, &at_mark) >= 0 && at_mark;
}

/* The piece after one that has come or gone: its length, or 0 when there is none. */
static int64_t next_piece(struct pier__wait *w)
{
    int64_t n;
    do {
        pier__task_spend(w->task);
        if (is_at_mark(w->op) || !await_more(w) || is_at_mark(w->op)) return 0;
        n = pier__wait_attempt(w);
        if (pier__op_sends(w->op)) pier__op_learn_room(w->op, n);
    } while (n == -EAGAIN);
    return n > 0 ? n : 0;
}

static int64_t recv_all(struct pier__wait *w)
{
    struct pier__op *op = w->op;
    int64_t n = pier__wait_call(w);
    while (n > 0) {
        w->moved += (size_t)n;
        op->with.in.buf = (char *)op->with.in.buf + n;
        op->with.in.len -= (size_t)n;
        if (op->with.in.len == 0 || w->off < 0) break;
        n = next_piece(w);
    }
    return w->moved > 0 ? (int64_t)w->moved : n;
}

/* Likewise into several buffers, of which iov is a copy. */
static int64_t recvmsg_all(
    struct pier__wait *w, struct msghdr *whole, struct iovec *iov, size_t left)
{
    const struct msghdr room = *whole;
    struct msghdr part = room;
    size_t count = room.msg_iovlen;
    part.msg_iov = iov;
    w->op->with.msg_in = &part;
    int64_t n = pier__wait_call(w);
    while (n >= 0) {
        whole->msg_namelen = part.msg_namelen;
        whole->msg_controllen = part.msg_controllen;
        whole->msg_flags = part.msg_flags;
        w->moved += (size_t)n;
        left -= (size_t)n;
        bool apart = (part.msg_controllen > 0 || part.msg_flags & MSG_CTRUNC) && is_unix(w->op);
        if (n == 0 || left == 0 || apart || w->off < 0) break;
        size_t done = pier__iov_skip(iov, count, (size_t)n);
        iov += done;
        count -= done;
        part = room;
        part.msg_iov = iov;
        part.msg_iovlen = count;
        n = next_piece(w);
        if (n == 0) break; /* what was told of those before holds */
    }
    return w->moved > 0 ? (int64_t)w->moved : n;
}

#define FEW 8 /* buffers of a message that find room on the stack */

/* A copy of a message's buffers: in `few`, or to be released if there are more; NULL: no memory. */
static struct iovec *copy_of(const struct msghdr *msg, struct iovec few[FEW])
{
    size_t bytes = msg->msg_iovlen * sizeof *few;
    struct iovec *iov = msg->msg_iovlen > FEW ? pier__seam->allocate(NULL, bytes) : few;
    if (iov) memcpy(iov, msg->msg_iov, bytes);
    return iov;
}

static int64_t await_message(struct pier__wait *w, struct msghdr *msg, size_t len)
{
    struct iovec few[FEW], *iov = copy_of(msg, few);
    if (!iov) return -ENOMEM;
    int64_t n = recvmsg_all(w, msg, iov, len);
    w->op->with.msg_in = msg;
    if (iov != few) pier__seam->release(iov);
    return n;
}

/* No more will come, or not before an urgent byte is taken. */
static bool has_ended(const struct pier__op *op)
{
    struct pollfd fd = {.fd = op->fd, .events = POLLRDHUP | POLLPRI};
    return pier__seam->poll(&fd, 1, /* deadline= */ 0) > 0;
}

/* Look until there is enough. Readiness does not tell when that is. */
static int64_t peek_all(struct pier__wait *w, size_t len)
{
    struct pier__op *op = w->op;
    struct msghdr *msg = op->code == PIER_OP_RECVMSG ? op->with.msg_in : NULL;
    const struct msghdr room = msg ? *msg : (struct msghdr){0};
    for (unsigned naps = 0;; naps++) {
        bool last = has_ended(op);
        if (msg) *msg = room;
        int64_t n = pier__wait_call(w);
        if (n <= 0 || (size_t)n >= len || last || w->off < 0) return n;
        if (pier__wait_nap(w, naps) < 0) return pier__wait_deliver(w);
    }
}

int64_t pier__wait_all(struct pier__wait *w)
{
    struct pier__op *op = w->op;
    struct msghdr *msg = op->code == PIER_OP_RECVMSG ? op->with.msg_in : NULL;
    bool peeks = op->flags & MSG_PEEK;
    bool waits = pier__op_unlimited(op) && op->code <= PIER_OP_RECVMSG && is_stream(op) &&
                 !(op->flags & (MSG_OOB | MSG_ERRQUEUE)) && !(peeks && is_unix(op));
    op->flags &= ~MSG_WAITALL;
    int64_t len = 0;
    if (waits)
        len = msg ? pier__iov_length(msg->msg_iov, msg->msg_iovlen) : (int64_t)op->with.in.len;
    if (len == 0) return pier__wait_call(w);
    if (peeks) return peek_all(w, (size_t)len);
    return msg ? await_message(w, msg, (size_t)len) : recv_all(w);
}

/* A send of who blocks: the kernel returns to a thread when it has taken everything. */

static void send_rest(struct pier__wait *w)
{
    struct pier__op *op = w->op;
    for (int64_t n = (int64_t)w->moved; n > 0; n = next_piece(w), w->moved += (size_t)n) {
        op->with.out.buf = (const char *)op->with.out.buf + n;
        op->with.out.len -= (size_t)n;
        if (op->with.out.len == 0) break;
    }
}

/* Likewise from several buffers, of which iov is a copy. Control data went with the first byte. */
static void sendmsg_rest(struct pier__wait *w, struct iovec *iov, size_t count, size_t len)
{
    struct msghdr part = {0};
    w->op->with.msg_out = &part;
    for (int64_t n = (int64_t)w->moved; n > 0; n = next_piece(w), w->moved += (size_t)n) {
        if (w->moved == len) break;
        size_t done = pier__iov_skip(iov, count, (size_t)n);
        iov += done;
        count -= done;
        part.msg_iov = iov;
        part.msg_iovlen = count;
    }
}

static void send_message_rest(struct pier__wait *w)
{
    const struct msghdr *msg = w->op->with.msg_out;
    int64_t len = pier__iov_length(msg->msg_iov, msg->msg_iovlen);
    if (len <= (int64_t)w->moved) return;
    struct iovec few[FEW], *iov = copy_of(msg, few);
    if (!iov) return; /* what has gone is told */
    sendmsg_rest(w, iov, msg->msg_iovlen, (size_t)len);
    w->op->with.msg_out = msg;
    if (iov != few) pier__seam->release(iov);
}

int64_t pier__wait_send_rest(struct pier__wait *w, int64_t n)
{
    struct pier__op *op = w->op;
    w->moved = (size_t)n;
    op->flags &= ~MSG_FASTOPEN; /* it has connected */
    if (op->code == PIER_OP_SENDMSG)
        send_message_rest(w);
    else
        send_rest(w);
    return (int64_t)w->moved;
}
