/* SPDX-License-Identifier: MIT */
/* Deadlines for a stretch of a task. */
#include "base/failure.h"
#include "base/time.h"
#include "wait/task.h"

#include <pier/error.h>

#include <errno.h>

static void find_earliest(struct pier__task *task)
{
    task->scopes_deadline = PIER_NEVER;
    for (const pier_scope *scope = task->scope; scope; scope = scope->outer) {
        task->scopes_deadline = pier__earlier(task->scopes_deadline, scope->deadline);
    }
}

static bool is_entered(const struct pier__task *task, const pier_scope *wanted)
{
    for (const pier_scope *scope = task->scope; scope; scope = scope->outer) {
        if (scope == wanted) return true;
    }
    return false;
}

static int enter(pier_scope *scope, pier_time deadline)
{
    struct pier__task *self = pier__task_here();
    if (!scope) return -EINVAL;
    if (deadline < 0) return -EINVAL;
    if (!self) return PIER_ENOTASK;
    if (is_entered(self, scope)) return -EINVAL;
    *scope = (pier_scope){.deadline = deadline, .outer = self->scope};
    self->scope = scope;
    self->scopes_deadline = pier__earlier(self->scopes_deadline, deadline);
    return 0;
}

int pier_scope_enter(pier_scope *scope, pier_time deadline)
{
    return (int)pier__failed("enter a scope", NULL, enter(scope, deadline));
}

int pier_scope_leave(pier_scope *scope)
{
    struct pier__task *self = pier__task_here();
    int err = !self ? PIER_ENOTASK : !scope || self->scope != scope ? -EINVAL : 0;
    if (err < 0) return (int)pier__failed("leave a scope", NULL, err);
    self->scope = scope->outer;
    find_earliest(self);
    return scope->expired ? (int)pier__failed("end in time", NULL, -ETIME) : 0;
}
