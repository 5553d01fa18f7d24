/* SPDX-License-Identifier: MIT */
#ifndef PIER_WAIT_LIFE_H
#define PIER_WAIT_LIFE_H

#include "base/bits.h"
#include "wait/waker.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * The life of a descriptor that pier owns, as far as waiting is concerned: who is
 * inside a call, who must be woken when it closes, and whether a receive is likely
 * to find something. It is embedded in the socket table's entry.
 *
 *      (free) --open--> OPEN --close--> OPEN|CLOSING --last one out--> CLOSING --closed--> (free)
 *                                                                        |
 *                                       (the number was given out again) +--open--> OPEN
 *
 * Closing never waits: it marks and wakes, and the last one to leave closes the
 * descriptor. So a descriptor number cannot be given out again while a call is
 * still using it. CLOSING alone, the grave, is for those who come while close(2) runs: free, the number
 * would be a bare descriptor to them, which nobody wakes.
 */

/*
 * The state is one word, so that stepping in tells all: who is inside in the low 48 bits, above
 * them why a call cannot take the shortest way (the table's bits), and open and closing on top.
 */
#define PIER__WAITER  INT64_C(1)         /* one call that may wait is inside */
#define PIER__VISITOR (INT64_C(1) << 24) /* one call that never waits is inside */
#define PIER__WAITERS (PIER__VISITOR - 1)
#define PIER__INSIDE  ((INT64_C(1) << 48) - 1)
#define PIER__ABOVE   48
#define PIER__OPEN    (INT64_C(1) << 62)
#define PIER__CLOSING INT64_MIN /* the sign: what a subtraction tells for nothing */

/* The grave of a descriptor, told from that of the next one with its number by the bits above. */
#define PIER__GRAVE(birth) (PIER__CLOSING | (int64_t)((birth)&0x3fff) << PIER__ABOVE)

/* What is true of this kind of socket. */
enum pier__trait {
    /* Blocked in which calls is a thread woken by shutdown(2)? All others wait in poll(2). */
    PIER__WAKES_RECV = 1,
    PIER__WAKES_SEND = 2,
    PIER__WAKES_CONNECT = 4,
    PIER__WAKES = 7,
    PIER__DRAINS = 8, /* a receive that has room for more leaves nothing there */
};

/* One strand that is to be woken when the descriptor closes. */
struct pier__waiter {
    struct pier__waiter *next, **link; /* link: what points at this one */
    struct pier__waker *waker;
};

/*
 * Whether to guess, under a limit, that there is something to receive. A right guess saves the poll
 * that CPython makes first, a wrong one wastes a call. After a wrong one there is a pause, longer
 * each time, up to 31 receives; each right one takes the last doubt away. So data that is always
 * there is hardly ever polled for, and data that never is costs a call more in 31 receives. Guesses
 * with the readable mark and without it are doubted each for themselves. The first receive polls:
 * what it waits for, the answer to a request, say, is hardly ever there yet.
 */
struct pier__guess {
    _Atomic uint8_t unmarked, marked; /* doubts: await.c's PAUSE, and wrong ones above that */
};

/* The readable mark: what a stream's last receive says of the next. */
enum pier__mark {
    PIER__DRAINED,  /* it found less than it had room for */
    PIER__READABLE, /* it filled its buffer, so there may be more */
    PIER__UNTRIED,  /* there was none yet */
};

/* O_NONBLOCK belongs to the description, which duplicates and forks share. */
enum pier__mode {
    PIER__MODE_UNKNOWN, /* adopted, or shared with a duplicate */
    PIER__MODE_BLOCKING,
    PIER__MODE_NONBLOCK,
};

struct pier__life {
    _Atomic int64_t state;
    _Atomic uint64_t birth;       /* a number that no other descriptor has or had */
    struct pier__waiter *waiters; /* under the one lock of life.c */
    _Atomic uint8_t traits;       /* bits of enum pier__trait */
    _Atomic int8_t mode;          /* enum pier__mode: what O_NONBLOCK is known to be */
    _Atomic bool shared;          /* the description may have other owners: duplicates, forks */
    _Atomic bool listening;       /* accept may wait for it, and a receive fails */
    _Atomic uint8_t mark;         /* enum pier__mark */
    _Atomic bool full;            /* the full mark: the last send found too little room */
    struct pier__guess guess;
};

/*
 * Step inside. 1: entered; 0: pier does not own this number; -ECANCELED: it is closing. The caller
 * leaves in each case.
 */
static inline int pier__life_enter(struct pier__life *life, int64_t as)
{
    int64_t was = atomic_fetch_add_explicit(&life->state, as, memory_order_acquire);
    if (PIER_LIKELY((was & (PIER__OPEN | PIER__CLOSING)) == PIER__OPEN)) return 1;
    return was & PIER__CLOSING ? -ECANCELED : 0;
}

/* Step out. True when the descriptor is closing, and perhaps nobody is left inside. */
static inline bool pier__life_leave(struct pier__life *life, int64_t as)
{
    int64_t was = atomic_fetch_sub_explicit(&life->state, as, memory_order_acq_rel);
    return PIER_UNLIKELY(was - as < 0);
}

static inline bool pier__life_marked(struct pier__life *life, enum pier__mark mark)
{
    return atomic_load_explicit(&life->mark, memory_order_relaxed) == mark;
}

static inline void pier__life_mark(struct pier__life *life, bool readable)
{
    uint8_t mark = readable ? PIER__READABLE : PIER__DRAINED;
    if (!pier__life_marked(life, mark))
        atomic_store_explicit(&life->mark, mark, memory_order_relaxed);
}

static inline bool pier__life_closing(struct pier__life *life)
{
    return PIER_UNLIKELY(atomic_load_explicit(&life->state, memory_order_acquire) & PIER__CLOSING);
}

/* Be woken when the descriptor closes, until told otherwise. */
void pier__life_watch(struct pier__life *life, struct pier__waiter *waiter);
void pier__life_unwatch(struct pier__waiter *waiter);

/* Wake every watcher, and the tasks that wait for fd, its descriptor. */
void pier__life_wake(struct pier__life *life, int fd);

/* What was in the grave is closed: the number is free, if it has not been given out again. */
void pier__life_clear_grave(struct pier__life *life, int64_t grave);

/* In a forked child: nobody else is inside, and nobody waits. */
void pier__life_after_fork(struct pier__life *life);

/* The lock that guards every list of waiters; held for a few instructions, never while waiting. */
void pier__life_lock(void);
void pier__life_unlock(void);

/* From now on no fork finds it held: to be called before it is first taken. */
void pier__life_watch_forks(void);

#endif
