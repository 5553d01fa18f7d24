/* SPDX-License-Identifier: MIT */
#ifndef PIER_WAIT_WORK_H
#define PIER_WAIT_WORK_H

#include "wait/life.h"

#include <pier/time.h>

#include <stdbool.h>

/*
 * The pool for calls that can only block (the resolver's): whoever wants the answer can leave
 * before it comes. The one thing in the process, beside the socket table, that belongs to nobody.
 *
 * A piece of work is embedded in what it needs to know, and shared by the one who started it and
 * a thread of the pool. It ends once, for both:
 *
 *     start --> QUEUED --> RUNNING --> DONE --leave--> dropped by the starter
 *                  |           |
 *                leave       leave --> LEFT --> dropped by the pool's thread, when the call returns
 *                  |
 *               dropped by the starter
 *
 * The pool's threads block every signal that could be meant for the program, end when there has
 * been nothing to do for a while, and are made anew after a fork. Work runs under the seam of
 * whoever started it, which must therefore outlive the work.
 */
#define PIER__WORK_THREADS 8    /* run at once */
#define PIER__WORK_QUEUE   1024 /* wait for a thread */
#define PIER__WORK_IDLE    (5 * PIER_SECOND)
#define PIER__WORK_STACK   ((size_t)512 * 1024) /* NSS modules are known to want 256 KiB */

enum pier__work_state {
    PIER__WORK_NEW,
    PIER__WORK_QUEUED,
    PIER__WORK_RUNNING,
    PIER__WORK_LEFT,
    PIER__WORK_DONE,
};

struct pier__work {
    void (*run)(struct pier__work *work); /* blocks; puts its answer into what surrounds the work */
    void (*drop)(struct pier__work *work); /* frees all that, with an answer or without */

    /* The pool's own, under its lock. */
    enum pier__work_state state;
    unsigned generation; /* of the process; a fork takes the threads away */
    struct pier__waker *starter;
    const struct pier__seam *seam;
    struct pier__work *next;
};

/*
 * Have it run by the pool. Returns 0; -EAGAIN when too much is waiting or no thread could be
 * made; -EMFILE and the like when the calling strand can have no waker. On failure it is as it
 * was, and still the caller's alone.
 */
int pier__work_start(struct pier__work *work);

/* Have the calling thread run it, where that does not block. It is done then. */
void pier__work_here(struct pier__work *work);

/*
 * Is it done? When it is, pier__wake() has been called for the strand that started it, which alone
 * may ask. In a forked child this starts it anew; if that fails, it is done without having run.
 */
bool pier__work_done(struct pier__work *work);

/*
 * Give up the starter's half, at any time after the start: work and answer are dropped, now or
 * later.
 */
void pier__work_leave(struct pier__work *work);

/*
 * Have it done before the deadline: by the calling thread itself if there is no reason to leave
 * early (no deadline, no interruption hook, no other tasks), else by the pool. Returns 0, and the
 * caller drops it; or -EAGAIN, -ETIME, -EINTR, -ECANCELED (life, which may be NULL, closes), an
 * errno of pier__work_start(), and it is gone.
 */
int pier__work_await(struct pier__work *work, struct pier__life *life, pier_time deadline);

/* What the pool is doing now. */
struct pier__work_counts {
    unsigned threads, idle, queued;
};
struct pier__work_counts pier__work_counts(void);

#endif
