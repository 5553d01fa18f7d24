/* SPDX-License-Identifier: MIT */
#ifndef PIER_WAIT_TIMER_H
#define PIER_WAIT_TIMER_H

#include <pier/time.h>

#include <stddef.h>

/*
 * The deadlines of a loop: a heap of timers, the earliest on top. A timer is embedded in what it is
 * for, and lies in the heap at most once. Room is made when a task is made, so setting one cannot
 * fail.
 */
struct pier__timer {
    pier_time at;
    size_t place; /* in the heap, counted from 1; 0: not set */
};

/* Zeroed: empty. */
struct pier__timers {
    struct pier__timer **heap;
    size_t count, room;
};

/* Make room for so many: 0 or -ENOMEM. */
int pier__timers_reserve(struct pier__timers *timers, size_t room);
void pier__timers_free(struct pier__timers *timers);

/* Set a timer that is not set. */
void pier__timer_set(struct pier__timers *timers, struct pier__timer *timer, pier_time at);

/* Take it out again; one that is not set stays so. */
void pier__timer_clear(struct pier__timers *timers, struct pier__timer *timer);

/* When the earliest is due; PIER_NEVER if there is none. */
static inline pier_time pier__timers_next(const struct pier__timers *timers)
{
    return timers->count ? timers->heap[0]->at : PIER_NEVER;
}

/* Take out the earliest if it is due at `now`, or NULL. */
struct pier__timer *pier__timers_due(struct pier__timers *timers, pier_time now);

#endif
