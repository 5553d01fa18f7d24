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

#endif
