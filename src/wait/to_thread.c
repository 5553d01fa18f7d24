/* SPDX-License-Identifier: MIT */
/* Calls that can only block, made by the pool for a task. */
#include "base/bits.h"
#include "base/failure.h"
#include "base/strand.h"
#include "base/trace.h"
#include "wait/await.h"
#include "wait/task.h"
#include "wait/work.h"

#include <errno.h>
#include <stddef.h>

struct call {
    struct pier__work work;
    int (*fn)(void *arg);
    void *arg;
    int result;
    struct pier__record *kept; /* the failure that fn returned */
};

static void run(struct pier__work *work)
{
    struct call *call = PIER_CONTAINER_OF(work, struct call, work);
    call->result = call->fn(call->arg);
    pier__failure_keep(&call->kept, pier__strand(), call->result, call);
}

/* It is never left, and lies on the caller's stack. */
static void drop(struct pier__work *work) { (void)work; }

static int failed(int err) { return (int)pier__failed("call in a thread", NULL, err); }

static int to_thread(int (*fn)(void *arg), void *arg)
{
    if (!fn) return failed(-EINVAL);
    struct pier__task *self = pier__task_here();
    if (!self) return fn(arg);
    int code = pier__task_called_off(self);
    if (code < 0) return failed(pier__task_take_off(self, code));
    struct call call = {.work = {.run = run, .drop = drop}, .fn = fn, .arg = arg};
    int err = pier__work_start(&call.work);
    if (err < 0) return failed(err);
    while (!pier__work_done(&call.work)) {
        struct pollfd room[1];
        struct pier__op op = {.code = PIER_OP_POLL,
            .shielded = true,
            .timeout = PIER_NEVER,
            .deadline = PIER_NEVER,
            .with.poll = {.fds = room, .count = 0}};
        (void)pier__await(&op);
    }
    (void)pier__failure_tell(&call.kept, &call);
    return call.result;
}

int pier_to_thread(int (*fn)(void *arg), void *arg)
{
    pier_time began = pier__trace_begin();
    int result = to_thread(fn, arg);
    if (PIER_UNLIKELY(began)) pier__trace_end(began, -1, result, "to_thread()");
    return result;
}
