/* SPDX-License-Identifier: MIT */
#ifndef PIER_WAIT_TURN_H
#define PIER_WAIT_TURN_H

#include "wait/life.h"
#include "wait/line.h"

#include <pier/time.h>

#include <stdatomic.h>
#include <stdint.h>

/*
 * Whose turn it is, where a verb takes several steps that must not interleave with another's: first
 * come, first served. Zeroed: free. Taking a free turn and giving back one that nobody waits for
 * is one atomic instruction each.
 */
struct pier__turn {
    _Atomic uint32_t state;    /* 0 free, 1 taken, 2 taken and perhaps waited for */
    _Atomic uint32_t holder;   /* pier__strand_number() of whoever has taken it */
    struct pier__line waiting; /* under pier__life_lock() */
};

/*
 * Take the turn, waiting for it until the limit. Returns 0, or -EAGAIN (timeout is 0), -EDEADLK
 * (this very strand has it, in whose hook we are), -ETIME, -ECANCELED, -EINTR; then the turn was
 * not taken. life may be NULL.
 */
int pier__turn_take(
    struct pier__turn *turn, struct pier__life *life, int64_t timeout, pier_time deadline);

void pier__turn_give(struct pier__turn *turn);

#endif
