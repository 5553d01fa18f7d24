/* SPDX-License-Identifier: MIT */
#ifndef PIER_WAIT_PARK_H
#define PIER_WAIT_PARK_H

/*
 * Leaving a task for its loop. Inline, and PIER_FLAT whatever is above them on the way to a
 * backend: on the way back each function returns to where no processor expects it.
 */
#include "base/time.h"
#include "wait/loop.h"
#include "wait/task.h"

/* So many calls may a task make that did not have to wait, before the others have a turn. */
#define PIER__BUDGET 64

static inline void pier__task_leave(struct pier__task *task)
{
    task->budget = PIER__BUDGET;
    pier__strand_of_task = NULL;
    pier__switch(&task->context, &task->loop->context);
}

/* Let the others run until somebody makes the task ready, or the point has come. */
static inline void pier__task_park(struct pier__task *task, const char *doing, pier_time until)
{
    struct pier__loop *loop = task->loop;
    task->doing = doing;
    task->since = loop->now;
    if (!task->shielded) until = pier__earlier(until, task->scopes_deadline);
    if (until != PIER_NEVER) pier__timer_set(&loop->timers, &task->timer, until);
    task->state = PIER__TASK_PARKED;
    if (!task->local) loop->outside++;
    pier__task_leave(task);
    pier__timer_clear(&loop->timers, &task->timer);
    task->doing = NULL;
}

/* A task's wait in progress. */
struct pier__wait {
    struct pier__task *task;
    struct pier__op *op;
    pier_time limit; /* when to give up */
    size_t moved;    /* of what shall move as a whole */
    int off;         /* why it shall end: a code of ours; 0: it need not */
    bool taken;      /* that code comes from the task: to be taken by who delivers it */
};

/* Run its operation until something has moved, or it has ended. */
int64_t pier__wait_call(struct pier__wait *w);

/* Wait for any of several descriptors, or to be woken: a PIER_OP_POLL. */
int64_t pier__wait_poll(struct pier__wait *w);

/* One attempt of the call, without waiting: its result, or -EAGAIN. */
int64_t pier__wait_attempt(struct pier__wait *w);

/*
 * Readiness tells nothing here, or has lied: wait a little. Meanwhile the operation is in no
 * backend's hands, so closing must wake the task itself. 0, or why there is no more waiting.
 */
int pier__wait_nap(struct pier__wait *w, unsigned before);

/* Of what has moved the length is told first, and the code by the next wait. */
int64_t pier__wait_deliver(const struct pier__wait *w);

/* What it is called, for people. */
const char *pier__wait_doing(const struct pier__op *op);

#endif
