/* SPDX-License-Identifier: MIT */
#include "wait/accepting.h"

#include "wait/loop.h"

#include <errno.h>

static void link_pending(struct pier__loop *loop, struct pier__pending *pending)
{
    pending->link = &loop->reporting;
    pending->next = loop->reporting;
    if (pending->next) pending->next->link = &pending->next;
    loop->reporting = pending;
}

static void report(struct pier__pending *pending, int64_t result, bool more)
{
    struct pier__accepting *accepting = PIER_CONTAINER_OF(pending, struct pier__accepting, pending);
    accepting->runs = more;
    if (!more) pier__pending_unlink(pending);
    accepting->told(accepting, result);
}

bool pier__accepting_begin(
    struct pier__accepting *accepting, struct pier__life *life, int fd, int flags, bool many)
{
    struct pier__task *task = pier__task_here();
    if (!task || !task->loop->backend->reports) return false;
    accepting->op = (struct pier__op){.code = PIER_OP_ACCEPT,
        .fd = fd,
        .flags = flags,
        .many = many,
        .life = life,
        .timeout = PIER_NEVER,
        .deadline = PIER_NEVER};
    accepting->pending = (struct pier__pending){
        .op = &accepting->op, .task = task, .life = life, .fd = fd, .report = report};
    accepting->ends = false;
    accepting->runs = task->loop->backend->reports(task->loop, &accepting->pending);
    if (accepting->runs) link_pending(task->loop, &accepting->pending);
    return accepting->runs;
}

void pier__accepting_cancel(struct pier__accepting *accepting)
{
    struct pier__loop *loop = accepting->pending.task->loop;
    if (!accepting->runs || accepting->ends) return;
    accepting->ends = true;
    loop->backend->cancel(loop, &accepting->pending);
}
