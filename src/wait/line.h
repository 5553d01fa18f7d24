/* SPDX-License-Identifier: MIT */
#ifndef PIER_WAIT_LINE_H
#define PIER_WAIT_LINE_H

#include "wait/waker.h"

#include <pier/time.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Strands in a queue, first come, first called. A line belongs to one loop, whose tasks alone touch
 * it, or it is guarded by a lock, which whoever touches it holds: then tasks of all loops may stand
 * in it, and threads.
 *
 * Whoever is called takes what it is called for, however late it notices: a cancel, a scope or a
 * deadline that comes after the call ends the strand's next wait instead. So nothing is handed over
 * to nobody.
 */

struct pier__line;

/* A strand's place; the strand's own, and it stays where it is while in a line. */
struct pier__place {
    struct pier__place *before, *behind;
    struct pier__line *line; /* NULL: in none */
    struct pier__waker *waker;
    bool called;
    int64_t value; /* what the caller had to say */
};

/* Zeroed: empty. */
struct pier__line {
    struct pier__place *first, *last;
};

/* How to stand in a line. */
struct pier__standing {
    pthread_mutex_t *lock; /* held, and given back for each wait; NULL: it is of one loop */
    bool local;            /* tasks of this loop alone can call */
    pier_time deadline;
    const char *doing; /* in words */
};

/* Go to the end of a line, and out of whatever line it is in. */
void pier__line_join(struct pier__line *line, struct pier__place *place);
void pier__line_leave(struct pier__place *place);

/*
 * Wait in a line until called: 0 and the value in place->value; -ETIME; in a task what
 * pier__task_called_off() says, taken; in a thread, for which there must be a lock, -EINTR, and a
 * code when it can have no descriptor to be woken by.
 */
int pier__line_wait(
    struct pier__line *line, struct pier__place *place, const struct pier__standing *how);

/* Call the first of a line, which takes it out, with a value for it. False: nobody is there. */
bool pier__line_call(struct pier__line *line, int64_t value);

/* Wake all that stand in it, and leave them there. */
void pier__line_stir(const struct pier__line *line);

#endif
