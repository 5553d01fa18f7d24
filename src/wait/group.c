/* SPDX-License-Identifier: MIT */
/* Tasks that end together. */
#include "base/failure.h"
#include "base/trace.h"
#include "wait/loop.h"
#include "wait/task.h"

#include <pier/error.h>

#include <errno.h>

/* What lies in the fields that the header hides. */
struct group {
    struct pier__task *owner;  /* who entered it, */
    int number;                /* and its number, for the owner may be gone */
    struct pier__line leaving; /* it, while it waits for the end */
};
_Static_assert(sizeof(struct group) <= sizeof((pier_group *)0)->hidden, "room in the header");

static struct group *inside(pier_group *group) { return (struct group *)(void *)group->hidden; }

bool pier__group_is_entered(const pier_group *group)
{
    if (!group || group->birth == 0) return false;
    const struct group *g = (const void *)group->hidden;
    return pier__task_lives((pier_task){.number = g->number, .birth = group->birth});
}

static void cancel_all(const pier_group *group, struct pier__loop *loop)
{
    for (struct pier__task *task = loop->tasks; task; task = task->next) {
        if (task->group == group) pier__task_cancel(task, -ECANCELED);
    }
}

/* Does it lie around this one, which the same task has entered? */
static bool is_around(const pier_group *group, const pier_group *inner)
{
    while (inner && inner != group) {
        inner = inner->outer;
    }
    return inner;
}

/*
 * Cancel who entered it. If a group within it has done so, that will be left first, and its cancel
 * be over then: it becomes this one's.
 */
static void cancel_owner(pier_group *group)
{
    struct pier__task *owner = inside(group)->owner;
    if (owner->cancel && !is_around(group, owner->cancel_by)) return;
    if (owner->cancel == 0) pier__task_cancel(owner, -ECANCELED);
    owner->cancel_by = group;
}

void pier__group_lost(struct pier__task *task, int result)
{
    pier_group *group = task->group;
    struct group *g = inside(group);
    task->group = NULL;
    group->running--;
    if (result < 0 && result != -ECANCELED && group->error == 0) {
        group->error = result;
        pier__failure_keep(&g->owner->kept, &task->strand, result, group);
        cancel_all(group, task->loop);
        if (!g->leaving.first) cancel_owner(group); /* it is still busy in the group */
    }
    if (group->running == 0) (void)pier__line_call(&g->leaving, 0);
}

/* Is it one that this task has entered? */
static bool is_entered(const struct pier__task *task, const pier_group *wanted)
{
    for (const pier_group *group = task->entered; group; group = group->outer) {
        if (group == wanted) return true;
    }
    return false;
}

static int enter(pier_group *group)
{
    struct pier__task *self = pier__task_here();
    if (!group) return -EINVAL;
    if (!self) return PIER_ENOTASK;
    if (is_entered(self, group)) return -EINVAL;
    *group = (pier_group){.birth = self->birth, .outer = self->entered};
    *inside(group) = (struct group){.owner = self, .number = self->number};
    pier__failure_drop(&self->kept, group); /* of one that lay there and was never left */
    self->entered = group;
    return 0;
}

int pier_group_enter(pier_group *group)
{
    return (int)pier__failed("enter a group", NULL, enter(group));
}

int pier_group_cancel(pier_group *group)
{
    struct pier__loop *loop = pier__loop_here;
    int err = !loop ? PIER_ENOTASK : !pier__group_is_entered(group) ? -EINVAL : 0;
    if (err == 0) cancel_all(group, loop);
    return (int)pier__failed("cancel a group", NULL, err);
}

/*
 * Wait for all of them; a cancel, or a scope that expires, is passed on to them once and told at
 * the end. An error goes first: then a cancel is for the next wait.
 */
static int wait_for_all(pier_group *group, struct pier__task *self)
{
    const struct pier__standing how = {
        .local = true, .deadline = PIER_NEVER, .doing = "a group of tasks"};
    int canceled = 0;
    unsigned cancels = self->cancels;
    while (group->running > 0) {
        struct pier__place place;
        self->shielded = canceled < 0;
        int code = pier__line_wait(&inside(group)->leaving, &place, &how);
        self->shielded = false;
        if (code == 0) continue;
        canceled = code;
        cancel_all(group, self->loop);
    }
    if (group->error == 0) return canceled;
    if (self->cancels != cancels) self->cancel = canceled;
    return group->error;
}

static int leave(pier_group *group)
{
    struct pier__task *self = pier__task_here();
    if (!self) return PIER_ENOTASK;
    if (!group || self->entered != group) return -EINVAL;
    if (self->cancel_by == group) { /* the group's own cancel is over with it, noticed or not */
        self->cancel = 0;
        self->cancel_by = NULL;
    }
    int err = wait_for_all(group, self);
    self->entered = group->outer;
    group->birth = 0;
    return err;
}

/* Of the task whose error it is, if that knows; else of the leaving. */
static int tell(const pier_group *group, int err)
{
    struct pier__task *self = pier__task_here();
    if (err < 0 && self && pier__failure_tell(&self->kept, group)) return err;
    return (int)pier__failed("leave a group", NULL, err);
}

int pier_group_leave(pier_group *group)
{
    pier_time began = pier__trace_begin();
    int err = leave(group);
    if (PIER_UNLIKELY(began)) pier__trace_end(began, -1, err, "group_leave()");
    return tell(group, err);
}
