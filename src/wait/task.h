/* SPDX-License-Identifier: MIT */
#ifndef PIER_WAIT_TASK_H
#define PIER_WAIT_TASK_H

#include "base/bits.h"
#include "base/strand.h"
#include "wait/backend.h"
#include "wait/line.h"
#include "wait/stack.h"
#include "wait/switch.h"
#include "wait/timer.h"
#include "wait/waker.h"

#include <pier/task.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * A task lies at the top of its own stack, in the page that it touches anyway.
 *
 *     spawn --> READY --turn--> RUNNING --park--> PARKED --ready--> READY
 *                                   |
 *                                 ended --> ENDED --reaped by the loop--> (gone; its slot keeps the result)
 *
 * Only the thread of its loop touches it, but for its waker.
 */
enum pier__task_state { PIER__TASK_READY, PIER__TASK_RUNNING, PIER__TASK_PARKED, PIER__TASK_ENDED };

#define PIER__TASK_NAME 32

/* What must have ended before a pier_run() returns: its main task and all that came of it. */
struct pier__run {
    size_t live;               /* tasks */
    int result;                /* of the main task */
    struct pier__task *main;   /* NULL: it has ended */
    struct pier__task *waiter; /* of a run inside a loop: who waits for it */
    struct pier__record *kept; /* the main task's last failure, if that is its result */
    pier_time until; /* when all that still runs is cancelled; 0: never. The outermost alone. */
};

struct pier__task {
    struct pier__strand strand; /* first: found from pier__strand_of_task */
    struct pier__context context;
    struct pier__stack stack;
    struct pier__loop *loop;
    struct pier__waker waker;
    struct pier__timer timer;
    enum pier__task_state state;
    bool local;    /* parked: only another task of this loop can wake it */
    bool shielded; /* parked: neither a cancel nor a scope ends the wait */
    bool detached;
    unsigned budget; /* calls that it may make without waiting before the others have a turn */
    int number;
    uint64_t birth;
    int (*fn)(void *arg);
    void *arg;
    int result;
    int cancel; /* what its next wait is to return: -ECANCELED, -EINTR; 0: nothing */
    const pier_group *cancel_by; /* of which group that is the doing; NULL: of somebody else */
    unsigned cancels;            /* so many were delivered */
    pier_time scopes_deadline;   /* the earliest of its scopes */
    pier_scope *scope;           /* the innermost */
    pier_group *entered;         /* the innermost group that it has entered */
    pier_group *group;           /* the one that it was spawned into, or NULL, */
    uint64_t group_owner;        /* and the birth of the task that entered that */
    struct pier__record *kept;   /* of the tasks whose error ended a group that it has entered */
    struct pier__run *run;
    void (*ended)(void *arg);       /* called by the loop when it has; or NULL */
    struct pier__line joiners;      /* each gets the result */
    struct pier__line watchers;     /* who only want to know */
    struct pier__place *places;     /* in the lines where it stands, */
    size_t place_count;             /* so many */
    struct pier__pending *pendings; /* what it waits for, */
    size_t pending_count;
    const char *doing; /* in words, */
    pier_time since;   /* since when */
    struct pier__task *next_ready;
    struct pier__task *next, **link; /* among all of the loop's */
    char name[PIER__TASK_NAME];
};

/* The running task of this thread, or NULL. */
static inline struct pier__task *pier__task_here(void)
{
    return PIER_UNLIKELY(pier__strand_of_task != NULL)
               ? PIER_CONTAINER_OF(pier__strand_of_task, struct pier__task, strand)
               : NULL;
}

/* A parked task may run again; any other one is left alone. */
void pier__task_ready(struct pier__task *task);

/* Its waker was called, in its own loop. */
void pier__task_woken(struct pier__task *task);

/* Let the others have a turn. */
void pier__task_yield(struct pier__task *task);

/*
 * Is a wait to be ended? A code, by a cancel or an expired scope, or 0. It is taken when it is
 * delivered.
 */
int pier__task_called_off_why(const struct pier__task *task);
static inline int pier__task_called_off(const struct pier__task *task)
{
    bool never = task->cancel == 0 && task->scopes_deadline == PIER_NEVER;
    return PIER_LIKELY(never) ? 0 : pier__task_called_off_why(task);
}
int pier__task_take_off(struct pier__task *task, int code);

/*
 * A call has the chance to wait and may not need it: after many of those, the others have a turn.
 */
void pier__task_spend(struct pier__task *task);

/*
 * A call that may wait begins, perhaps outside a task: 0, or what pier__task_called_off() says,
 * taken.
 */
int pier__task_begin(void);

/*
 * It stands in lines, with these places, out of which a task that is given up must be taken; NULL:
 * it has left them.
 */
void pier__task_stands(struct pier__task *task, struct pier__place *places, size_t count);

/*
 * Put a place among the watchers of a task of this loop: 0, or 1 if it has ended; as pier_join() if
 * there is none. The end takes the place out.
 */
int pier__task_watch(pier_task task, struct pier__place *place);

/* What a new task belongs to. */
struct pier__home {
    struct pier__loop *loop;
    struct pier__run *run;
    pier_group *group; /* or NULL */
    void (*ended)(
        void *arg); /* to be called on the loop's own stack when it has ended, however; or NULL */
};

/* As pier_spawn(); 0 or a code. */
int pier__spawn(const struct pier__home *home, int (*fn)(void *arg), void *arg,
    const pier_spawn_opts *opts, struct pier__task **out);

/* It has ended, and runs no more: its result goes to who wants it, and its stack back. */
void pier__task_reap(struct pier__task *task);

/* Cancel it with this code. */
void pier__task_cancel(struct pier__task *task, int code);

/* Does this name a task of this thread's loop that has not ended? */
bool pier__task_lives(pier_task task);

/* Is it a group that a task of this thread's loop has entered, and which that task can still leave? */
bool pier__group_is_entered(const pier_group *group);

/* A task of its group has ended with this result. */
void pier__group_lost(struct pier__task *task, int result);

/* The task half of the door; see pier__await(). */
int64_t pier__task_await(struct pier__task *task, struct pier__op *op);

#endif
