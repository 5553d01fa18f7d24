/* SPDX-License-Identifier: MIT */
#ifndef PIER_WAIT_OP_H
#define PIER_WAIT_OP_H

#include "base/seam.h"
#include "wait/life.h"

#include <pier/time.h>

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

/*
 * An operation is a system call written down as data, so that a thread, the
 * epoll loop and the io_uring loop can all run the same one. Whoever starts it
 * keeps every pointer in it alive until it is done, cancelled or not.
 */
enum pier__opcode {
    PIER_OP_RECV,
    PIER_OP_RECVFROM,
    PIER_OP_RECVMSG,
    PIER_OP_RECVMMSG, /* waits for the first message alone; how many came */
    PIER_OP_SEND,
    PIER_OP_SENDTO,
    PIER_OP_SENDMSG,
    PIER_OP_SENDMMSG, /* how many went */
    PIER_OP_SENDFILE, /* the description must be O_NONBLOCK if there is a limit */
    PIER_OP_ACCEPT,
    PIER_OP_CONNECT, /* likewise */
    PIER_OP_POLL,    /* wait for any of several descriptors, or to be woken */
};

struct pier__op {
    enum pier__opcode code;
    int fd;
    int flags;
    bool stream;     /* the readable mark means something */
    bool connecting; /* a connect is under way: its next try asks what came of it */
    bool whole;      /* of a send: without a limit it is over when all has gone */
    bool many;       /* of an accept that reports: one connection after the other */
    bool shielded;   /* neither a task's cancel nor a scope ends it */
    bool local;      /* a poll that only another task of the same loop can end, by waking */
    bool unwoken;    /* a poll that in a thread nobody ends by waking: it needs no descriptor */
    struct pier__life *life; /* NULL: a bare descriptor, never woken */
    /* Of a bare one: its number's, for which pier may open a socket meanwhile, and close it. */
    struct pier__life *heir;
    int64_t timeout;    /* the longest wait in ns; 0: none, PIER_NEVER: no limit */
    pier_time deadline; /* the point beyond which nothing is done at all */
    union {
        struct { /* RECV, RECVFROM; ACCEPT has the address alone */
            void *buf;
            size_t len;
            struct sockaddr *addr;
            socklen_t *addrlen;
        } in;
        struct { /* SEND, SENDTO; CONNECT has the address alone */
            const void *buf;
            size_t len;
            const struct sockaddr *addr;
            socklen_t addrlen;
        } out;
        struct msghdr *msg_in;
        const struct msghdr *msg_out;
        struct { /* RECVMMSG, SENDMMSG */
            struct mmsghdr *msgs;
            unsigned count;
        } many;
        struct {
            int fd;
            off_t *offset;
            size_t count;
        } file;
        struct { /* with one more element than count, for the wake descriptor */
            struct pollfd *fds;
            nfds_t count;
            struct pier__life *const *lives; /* those of the descriptors, each or all NULL */
            const char *doing;               /* for people; NULL: "poll" */
        } poll;
    } with;
};

static inline bool pier__op_receives(const struct pier__op *op)
{
    return op->code <= PIER_OP_RECVMMSG;
}

static inline bool pier__op_sends(const struct pier__op *op)
{
    return !pier__op_receives(op) && op->code <= PIER_OP_SENDFILE;
}

static inline bool pier__op_unlimited(const struct pier__op *op)
{
    return op->timeout == PIER_NEVER && op->deadline == PIER_NEVER;
}

/*
 * Is what it waits on closing? A bare descriptor's number may have become a socket's meanwhile,
 * which nobody else would tell a task of: shutdown(2) wakes only who blocks.
 */
static inline bool pier__op_closing(const struct pier__op *op)
{
    struct pier__life *life = op->life ? op->life : op->heir;
    return life && pier__life_closing(life);
}

/* The readable mark says something about receives from streams into a buffer of known room. */
static inline bool pier__op_marked(const struct pier__op *op)
{
    return op->life && op->stream && op->code <= PIER_OP_RECVFROM;
}

/*
 * A receive on a listener fails, and there is no waiting for that: readiness tells of connections.
 */
static inline bool pier__op_fails(const struct pier__op *op)
{
    return pier__op_receives(op) && op->life &&
           atomic_load_explicit(&op->life->listening, memory_order_relaxed);
}

/* Is there nothing to send? On a stream that needs no room, of which readiness tells. */
bool pier__op_empty(const struct pier__op *op);

/* The full mark: was there too little room for the last send? Then the next, too, will have to wait. */
static inline bool pier__op_full(const struct pier__op *op)
{
    return op->life && PIER_UNLIKELY(atomic_load_explicit(&op->life->full, memory_order_relaxed)) &&
           !pier__op_empty(op);
}

/* Keep it: what the result of a send says. */
static inline void pier__op_learn_room(const struct pier__op *op, int64_t n)
{
    bool counted = op->code == PIER_OP_SEND || op->code == PIER_OP_SENDTO;
    bool full = n == -EAGAIN || (counted && n >= 0 && (size_t)n < op->with.out.len);
    if (op->life && full != atomic_load_explicit(&op->life->full, memory_order_relaxed))
        atomic_store_explicit(&op->life->full, full, memory_order_relaxed);
}

/* Does the call itself, where it blocks, return when the descriptor is shut down? */
bool pier__op_shutdown_wakes(const struct pier__op *op);

/*
 * Poll may call a descriptor ready whose call then says EAGAIN: another was faster, or a datagram
 * turned out to be damaged. When such lies repeat themselves, a short nap is taken before it is
 * asked again. What poll cannot tell at all is not asked: an AF_UNIX datagram socket tells of its
 * own queue, not of the receiver's, and nothing tells of a Unix listener's. These are blind, and
 * tried again after naps that grow longer, up to 50 ms.
 */
bool pier__op_blind(const struct pier__op *op);
int64_t pier__op_nap(unsigned before); /* how long, in ns, after so many naps */

/*
 * An IP connect that a signal interrupts goes on, and must not be called again; in the other
 * families it must be.
 */
bool pier__op_goes_on(const struct pier__op *op);

/*
 * Does this result mean that a connect is under way, which from now on is to be waited for? A
 * send's, too, may: TCP Fast Open connects by sending (MSG_FASTOPEN, TCP_FASTOPEN_CONNECT), and
 * where the peer's cookie is not known yet nothing has gone.
 */
bool pier__op_connects(struct pier__op *op, int64_t n);

/*
 * A result that came while the descriptor was closing: what moved counts, all else is the cancel.
 */
int64_t pier__op_settle(const struct pier__op *op, int64_t n);

/* The others of pier__op_try(). */
int64_t pier__op_try_other(struct pier__op *op, int flags);

/*
 * Attempt the call once; with wait false, without waiting, where the call has a flag for that (all
 * but SENDFILE, ACCEPT and CONNECT, which go by O_NONBLOCK). Returns its result, or -errno; -EAGAIN
 * and, see pier__op_connects(), -EINPROGRESS mean wait, -EINTR that a signal came.
 */
static inline int64_t pier__op_try(struct pier__op *op, bool wait)
{
    int flags = wait ? op->flags : op->flags | MSG_DONTWAIT;
    if (op->code == PIER_OP_RECV)
        return pier__seam_recv(op->fd, op->with.in.buf, op->with.in.len, flags);
    if (op->code == PIER_OP_SEND)
        return pier__seam_send(op->fd, op->with.out.buf, op->with.out.len, flags | MSG_NOSIGNAL);
    return pier__op_try_other(op, flags);
}

/*
 * What to say when it was ready and said -EAGAIN all the same. The end of datagrams the kernel tells
 * only to who blocks: shut down for reading, their socket is ready, and says EAGAIN when it is
 * empty. (CPython asks again and again, until the time-out.) 0 at that end, -EAGAIN if it is none,
 * or what another try says.
 */
int64_t pier__op_look_for_end(struct pier__op *op);

/* What to wait for when that said -EAGAIN: POLLIN or POLLOUT. */
short pier__op_events(const struct pier__op *op);

/*
 * What came of an IP connect that was under way: 0, -EINPROGRESS if it still is, or why it failed.
 * It is asked by connecting again, which leaves the socket ready for another connect. After
 * SO_ERROR the kernel would keep that waiting: a refused socket's next connect says -ECONNABORTED,
 * and a connected one's 0 instead of -EISCONN.
 */
int pier__connect_outcome(int fd, const struct sockaddr *addr, socklen_t length);

#endif
