/* SPDX-License-Identifier: MIT */
#ifndef PIER_WAIT_WAKER_H
#define PIER_WAIT_WAKER_H

#include <stdatomic.h>
#include <stdbool.h>

struct pier__loop;

/*
 * A strand as those see it who have to wake it: a thread, which waits in poll(2) beside an eventfd,
 * or a task, parked in its loop. It is waited on by PIER_OP_POLL, which ends when its strand is
 * woken; waking one that does not wait yet ends its next wait. Whoever keeps a waker must see to it
 * that the strand does not end meanwhile.
 */
struct pier__waker {
    struct pier__loop *loop;  /* the task's; NULL: it is a thread */
    int fd;                   /* the thread's eventfd */
    bool woken;               /* the task's: not yet noticed; the loop's own */
    _Atomic bool queued;      /* it lies in the loop's inbox */
    struct pier__waker *next; /* there */
};

/*
 * The running strand's waker: 0, or a code when the thread can have no eventfd. A forked child has
 * one of its own.
 */
int pier__waker(struct pier__waker **out);

/* Wake the strand, from wherever. */
void pier__wake(struct pier__waker *waker);

/* The same from a signal handler, which may have interrupted the loop itself. */
void pier__wake_from_signal(struct pier__waker *waker);

#endif
