/* SPDX-License-Identifier: MIT */
/*
 * Running a main task, and all that comes of it, to its end: in a loop made for that, or within one
 * that runs.
 */
#include "base/bits.h"
#include "base/failure.h"
#include "base/trace.h"
#include "wait/park.h"

#include <errno.h>

/* What a run could not do. What its main task returned is told as that told it, if it did. */
static int failed(int err) { return (int)pier__failed("run tasks", NULL, err); }

static int result_of(struct pier__run *run)
{
    (void)pier__failure_tell(&run->kept, run);
    return run->result;
}

/* The time of those that its main task has left behind may be up. */
static void call_off(struct pier__loop *loop)
{
    if (!loop->root.until || loop->now < loop->root.until) return;
    loop->root.until = 0;
    pier__loop_cancel_all(loop, -ECANCELED);
}

static int run_until_ended(struct pier__loop *loop, pier_time deadline)
{
    int result = 0;
    while (loop->root.live > 0) {
        int err = pier__loop_turn(loop, deadline);
        call_off(loop);
        if (err == 0) continue;
        if (result == 0) result = err;
        pier__loop_give_up(loop);
    }
    if (result == 0) return result_of(&loop->root);
    pier__failure_drop(&loop->root.kept, NULL);
    return failed(result);
}

static int run_main(
    struct pier__loop *loop, int (*fn)(void *), void *arg, const pier_run_opts *opts)
{
    const pier_spawn_opts how = {
        .name = opts->name ? opts->name : "main", .stack_size = opts->stack_size, .detached = true};
    const struct pier__home home = {.loop = loop, .run = &loop->root};
    int err = pier__spawn(&home, fn, arg, &how, &loop->root.main);
    return err < 0 ? failed(err) : pier__loop_run(loop, run_until_ended, PIER_NEVER);
}

static int run_thread(int (*fn)(void *), void *arg, const pier_run_opts *opts)
{
    struct pier__loop *loop;
    int result = pier__loop_open(opts, /* driven= */ false, &loop);
    if (result < 0) return failed(result);
    result = run_main(loop, fn, arg, opts);
    pier__loop_close(loop);
    return result;
}

/* Its main task, or, when that has ended, all that it has left behind. */
static void call_off_run(const struct pier__run *run, struct pier__loop *loop, int code)
{
    for (struct pier__task *task = loop->tasks; task; task = task->next) {
        if (run->main ? task == run->main : task->run == run) pier__task_cancel(task, code);
    }
}

/*
 * A run within a run: its main task is a child of this one, which waits for all that comes of it.
 */
static int run_child(
    struct pier__task *self, int (*fn)(void *), void *arg, const pier_run_opts *opts)
{
    struct pier__run run = {.waiter = self};
    const pier_spawn_opts how = {
        .name = opts->name, .stack_size = opts->stack_size, .detached = true};
    const struct pier__home home = {.loop = self->loop, .run = &run};
    int err = pier__spawn(&home, fn, arg, &how, &run.main);
    if (err < 0) return failed(err);
    while (run.live > 0) {
        int code = pier__task_called_off(self);
        if (code < 0) {
            (void)pier__task_take_off(self, code);
            call_off_run(&run, self->loop, code);
            self->shielded = true; /* an expired scope would be told for ever */
        }
        self->local = true;
        pier__task_park(self, "a run of tasks", PIER_NEVER);
        self->local = self->shielded = false;
    }
    return result_of(&run);
}

int pier__run_here(int (*fn)(void *arg), void *arg, const pier_run_opts *opts)
{
    static const pier_run_opts defaults = {0};
    struct pier__task *self = pier__task_here();
    if (!opts) opts = &defaults;
    if (!fn || !pier__is_zero(opts->reserved, sizeof opts->reserved)) return failed(-EINVAL);
    if (self) return run_child(self, fn, arg, opts);
    if (pier__loop_here) return failed(-EBUSY); /* from the hook, on the loop's own stack */
    return run_thread(fn, arg, opts);
}

int pier_run(int (*main)(void *arg), void *arg, const pier_run_opts *opts)
{
    pier_time began = pier__trace_begin();
    int result = pier__run_here(main, arg, opts);
    pier__thread_end();
    if (PIER_UNLIKELY(began)) pier__trace_end(began, -1, result, "run()");
    return result;
}

const char *pier_backend_name(void)
{
    return pier__task_here() ? pier__loop_here->backend->name : "thread";
}
