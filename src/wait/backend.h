/* SPDX-License-Identifier: MIT */
#ifndef PIER_WAIT_BACKEND_H
#define PIER_WAIT_BACKEND_H

#include "wait/op.h"

#include <pier/time.h>

#include <stdbool.h>
#include <sys/socket.h>

struct pier__loop;
struct pier__task;
struct pier__watch;

/* A message of one buffer. */
struct pier__message {
    struct msghdr header;
    struct iovec iov;
};

/* What a ring does for an operation. */
enum pier__ring_does {
    PIER__RING_ALL,     /* it was handed over whole */
    PIER__RING_POLLS,   /* the kernel only tells when to try */
    PIER__RING_WATCHES, /* it goes on telling, see poll_on() */
    PIER__RING_ENDS,    /* it shall not any more; what it told is in `result` */
};

/* What a ring that was full has not been told of an operation. */
enum pier__owed { PIER__OWES_NOTHING, PIER__OWES_START, PIER__OWES_CANCEL };

/*
 * An operation that a task has begun. It lies on the task's stack, and stays there until `done`:
 * the kernel may hold it, and the buffers of its op, until then. PIER_OP_POLL has one for each
 * descriptor.
 */
struct pier__pending {
    struct pier__op *op;
    struct pier__task *task;
    struct pier__life *life;            /* its descriptor's; NULL: a bare one */
    struct pier__pending *next, **link; /* in the watch of its descriptor; link NULL: not there */
    int64_t result;                     /* for a poll, what is ready */
    int fd;
    unsigned lies; /* how often it was ready and then was not */
    short events;  /* what its descriptor must become ready for */
    bool done;     /* it has ended, with the result */
    bool canceled; /* it shall not begin anew */
    uint8_t does;  /* io_uring: an enum pier__ring_does */
    uint8_t owed;  /* io_uring: what the kernel could not be told yet, an enum pier__owed */

    /* Not NULL: it is no task's wait; its results are told here, the last one without more. */
    void (*report)(struct pier__pending *pending, int64_t result, bool more);
    struct pier__message *message; /* room for what io_uring makes recvfrom and sendto of */
};

/*
 * The cut below the door: what a way of finishing operations must do. An operation that was started
 * ends exactly once, by pier__pending_done(), cancelled or not; whoever wants more operations needs
 * no more slots.
 */
struct pier__backend {
    const char *name;

    /*
     * Make what the loop needs: 0 or a code; -EPERM, -ENOSYS, -EINVAL and the like where the kernel
     * denies it.
     */
    int (*open)(struct pier__loop *loop);
    void (*close)(struct pier__loop *loop);

    /* In a forked child: give up the descriptors, which are the parent's too, and nothing else. */
    void (*abandon)(struct pier__loop *loop);

    /*
     * Begin; pier__pending_done() follows, or has been called on return. A result of -EAGAIN means
     * that readiness cannot be believed: the task shall try again after a nap.
     */
    void (*start)(
        struct pier__loop *loop, struct pier__pending *pending, struct pier__watch *watch);

    /* Begin one that reports; false: that is not to be had. NULL: never. */
    bool (*reports)(struct pier__loop *loop, struct pier__pending *pending);

    /* Close a socket and clear its grave, before the loop waits; false: not now. NULL: never. */
    bool (*closes)(struct pier__loop *loop, int fd, struct pier__life *life, int64_t grave);

    /* Make it end soon; with -ECANCELED unless something came first. */
    void (*cancel)(struct pier__loop *loop, struct pier__pending *pending);

    /*
     * Let the kernel work, until something has ended, the loop was signalled, or the deadline (0:
     * at once): 0, -EINTR or a code.
     */
    int (*wait)(struct pier__loop *loop, pier_time deadline);
};

extern const struct pier__backend pier__backend_epoll, pier__backend_uring;

/*
 * A description that others share is about to be closed here: epoll would go on telling of it. From
 * any thread.
 */
void pier__backend_epoll_forget(struct pier__loop *loop, int fd);

/* What a try came to. */
enum pier__turnout {
    PIER__ENDED,
    PIER__WAITS, /* it would have to wait; of a connect, that is under way from now on */
    PIER__ANEW,  /* to be tried again at once: a signal came */
};
enum pier__turnout pier__pending_judge(struct pier__pending *pending, int64_t n);

/* Take it out of the list that it is in, if it is in one. */
void pier__pending_unlink(struct pier__pending *pending);

/*
 * It has ended: its task goes on. Also for one that ends while it is being started.
 */
void pier__pending_done(struct pier__pending *pending, int64_t result);

#endif
