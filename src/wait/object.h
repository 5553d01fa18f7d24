/* SPDX-License-Identifier: MIT */
#ifndef PIER_WAIT_OBJECT_H
#define PIER_WAIT_OBJECT_H

#include "wait/line.h"

#include <pier/sync.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * What the objects of <pier/sync.h> begin with: whose it is, and who waits for it. It lies over
 * their first fields, `outside` and `hidden`, in the caller's memory. Zeroed: nobody's yet; a
 * zeroed mutex of Linux is one that is free.
 *
 * An object that is not `outside` belongs to a thread, that is to the tasks of the one loop that
 * runs there at a time: it needs no lock, and who waits for it can be woken by those tasks alone.
 */
struct pier__object {
    bool outside;
    _Atomic uint32_t owner; /* pier__thread_number(); 0: nobody's yet, or everybody's */
    pthread_mutex_t lock;   /* of one that is outside; never held while waiting */
    struct pier__line waiting;
    struct pier__line watching; /* who only want to know when it is worth a look */
};

#define PIER__OBJECT_FITS(type)                                                                  \
    _Static_assert(                                                                              \
        offsetof(type, outside) == offsetof(struct pier__object, outside) &&                     \
            sizeof(struct pier__object) <= offsetof(type, hidden) + sizeof(((type *)0)->hidden), \
        "room in the header")

/*
 * Step in, which makes it the thread's own: 0, or PIER_EFOREIGN; -EINVAL: it is NULL. Then the
 * caller leaves.
 */
int pier__object_enter(struct pier__object *object);
void pier__object_leave(struct pier__object *object);

/*
 * The same for a call that may wait until the deadline: the task's cancel, which is taken, and the
 * turn of the others come before. A negative deadline is returned.
 */
int pier__object_begin(struct pier__object *object, pier_time deadline);

/*
 * Can tasks of this thread's loop alone change it? Where another loop drives that, the thread's own
 * code can, too.
 */
bool pier__object_is_local(const struct pier__object *object);

/*
 * Inside, wait in its line until called: as pier__line_wait(); PIER_ENOTASK where nobody could
 * call: outside a task, if it is the thread's own.
 */
int pier__object_wait(
    struct pier__object *object, struct pier__place *place, pier_time deadline, const char *doing);

/* Be woken when it may have become ready, until told otherwise: 0, or as pier__object_enter(). */
int pier__object_watch(struct pier__object *object, struct pier__place *place);
void pier__object_unwatch(struct pier__object *object, struct pier__place *place);

/* Is it ready, that is: would its verb return at once? 1, 0, or as pier__object_enter(). */
int pier__event_ready(pier_event *event);
int pier__semaphore_ready(pier_semaphore *semaphore);
int pier__queue_ready(pier_queue *queue, bool to_put);

#endif
