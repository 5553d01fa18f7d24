/* SPDX-License-Identifier: MIT */
#include "wait/task.h"

#include "base/failure.h"
#include "base/seam.h"
#include "base/text.h"
#include "base/time.h"
#include "base/trace.h"
#include "wait/await.h"
#include "wait/overflow.h"
#include "wait/park.h"

#include <pier/error.h>

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

static _Atomic uint64_t births;

static void enqueue(struct pier__loop *loop, struct pier__task *task)
{
    task->state = PIER__TASK_READY;
    task->next_ready = NULL;
    if (loop->last_ready)
        loop->last_ready->next_ready = task;
    else
        loop->first_ready = task;
    loop->last_ready = task;
    loop->ready_count++;
    if (PIER_UNLIKELY(loop->idle)) pier__loop_rouse(loop);
}

void pier__task_ready(struct pier__task *task)
{
    if (task->state != PIER__TASK_PARKED) return;
    if (!task->local) task->loop->outside--;
    enqueue(task->loop, task);
}

void pier__task_woken(struct pier__task *task)
{
    task->waker.woken = true;
    pier__task_ready(task);
}

void pier__task_yield(struct pier__task *task)
{
    enqueue(task->loop, task);
    pier__task_leave(task);
}

void pier__task_spend(struct pier__task *task)
{
    if (task->budget == 0)
        pier__task_yield(task);
    else
        task->budget--;
}

int pier__task_called_off_why(const struct pier__task *task)
{
    if (task->cancel) return task->cancel;
    return pier__seam->now() >= task->scopes_deadline ? -ECANCELED : 0;
}

int pier__task_take_off(struct pier__task *task, int code)
{
    if (task->cancel) {
        task->cancel = 0;
        task->cancels++;
        return code;
    }
    pier_time now = pier__seam->now();
    for (pier_scope *scope = task->scope; scope; scope = scope->outer) {
        if (scope->deadline <= now) scope->expired = true;
    }
    return code;
}

int pier__task_begin(void)
{
    struct pier__task *task = pier__task_here();
    if (!task) return 0;
    int code = pier__task_called_off(task);
    if (code < 0) return pier__task_take_off(task, code);
    pier__task_spend(task);
    return 0;
}

void pier__task_stands(struct pier__task *task, struct pier__place *places, size_t count)
{
    task->places = places;
    task->place_count = count;
    if (!places) task->waker.woken = false;
}

/* A free slot's number, or -ENOMEM. */
static int take_slot(struct pier__loop *loop)
{
    int number = loop->free_slot;
    if (number) {
        loop->free_slot = loop->slots[number - 1].next_free;
        return number;
    }
    int count = loop->slot_count ? 2 * loop->slot_count : 16;
    if (count > 1 << 28) return -ENOMEM;
    void *slots = pier__seam->allocate(loop->slots, (size_t)count * sizeof *loop->slots);
    if (!slots) return -ENOMEM;
    loop->slots = slots;
    for (int i = loop->slot_count; i < count; i++) {
        loop->slots[i] = (struct pier__slot){.next_free = i + 1 < count ? i + 2 : 0};
    }
    number = loop->slot_count + 1;
    loop->free_slot = loop->slots[number - 1].next_free;
    loop->slot_count = count;
    return number;
}

static void give_slot(struct pier__loop *loop, int number)
{
    loop->slots[number - 1] = (struct pier__slot){.next_free = loop->free_slot};
    loop->free_slot = number;
}

/* The slot of a task value in this thread's loop, or NULL. */
static struct pier__slot *find(struct pier__loop *loop, pier_task task)
{
    if (!loop || task.number < 1 || task.number > loop->slot_count) return NULL;
    struct pier__slot *slot = &loop->slots[task.number - 1];
    return task.birth && slot->birth == task.birth ? slot : NULL;
}

bool pier__task_lives(pier_task task)
{
    const struct pier__slot *slot = find(pier__loop_here, task);
    return slot && slot->task;
}

/* In the handler of SIGSEGV: is it this thread's task, at the end of its stack? */
static bool describe_overflow(const void *address, char *buf, size_t size)
{
    const struct pier__task *task = pier__task_here();
    if (!task || !pier__stack_guards(&task->stack, address)) return false;
    struct pier__text t = pier__text_begin(buf, size, 0);
    pier__text_format(&t, "task %d", task->number);
    if (task->name[0]) pier__text_format(&t, " \"%s\"", task->name);
    pier__text_format(&t, " overflowed its stack of %zu bytes", task->stack.size);
    return true;
}

__attribute__((constructor)) static void answer_overflows(void)
{
    pier__overflow_describe = describe_overflow;
}

/* A task that forked is a plain thread in the child, and its function the child's main. */
static void task_main(void *arg)
{
    struct pier__task *task = arg;
    int result = task->fn(task->arg);
    if (task->loop->dead) pier__seam->exit(result);
    task->result = result;
    task->state = PIER__TASK_ENDED;
    pier__strand_of_task = NULL;
    pier__switch_last(&task->context, &task->loop->context);
}

/* Room for one more: its slot, its timer, its stack. */
static int make_room(struct pier__loop *loop, size_t size, int *out_number, struct pier__stack *out)
{
    int err = pier__timers_reserve(&loop->timers, loop->task_count + 1);
    if (err < 0) return err;
    int number = take_slot(loop);
    if (number < 0) return number;
    err = pier__stack_take(&loop->stacks, size, out);
    if (err < 0) {
        give_slot(loop, number);
        return err;
    }
    *out_number = number;
    return 0;
}

static void enlist(struct pier__loop *loop, struct pier__task *task)
{
    task->link = &loop->tasks;
    task->next = loop->tasks;
    if (task->next) task->next->link = &task->next;
    loop->tasks = task;
    loop->task_count++;
    task->run->live++;
    if (task->group) task->group->running++;
}

static void name_task(struct pier__task *task, const char *name)
{
    if (!name) return;
    memccpy(task->name, name, '\0', sizeof task->name - 1);
    task->strand.name = task->name;
}

int pier__spawn(const struct pier__home *home, int (*fn)(void *arg), void *arg,
    const pier_spawn_opts *opts, struct pier__task **out)
{
    struct pier__loop *loop = home->loop;
    pier_group *group = home->group;
    static const pier_spawn_opts defaults = {0};
    struct pier__stack stack;
    int number;
    if (!opts) opts = &defaults;
    if (!fn || !pier__is_zero(opts->reserved, sizeof opts->reserved)) return -EINVAL;
    int err = make_room(loop, opts->stack_size, &number, &stack);
    if (err < 0) return err;

    uintptr_t top = (uintptr_t)stack.bottom + stack.size - sizeof(struct pier__task);
    struct pier__task *task = (void *)(stack.bottom + (top / 64 * 64 - (uintptr_t)stack.bottom));
    *task = (struct pier__task){.strand.task = number,
        .stack = stack,
        .loop = loop,
        .waker.loop = loop,
        .detached = opts->detached || group,
        .budget = PIER__BUDGET,
        .number = number,
        .birth = atomic_fetch_add(&births, 1) + 1,
        .fn = fn,
        .arg = arg,
        .scopes_deadline = PIER_NEVER,
        .group = group,
        .group_owner = group ? group->birth : 0,
        .run = home->run,
        .ended = home->ended};
    name_task(task, opts->name);
    size_t size = (size_t)((char *)task - stack.bottom);
    pier__context_make(&task->context, stack.bottom, size, task_main, task);
    loop->slots[number - 1] = (struct pier__slot){.birth = task->birth, .task = task};
    enlist(loop, task);
    enqueue(loop, task);
    *out = task;
    return 0;
}

/*
 * A group that was not left may have been on its stack, and is gone; what is still in it belongs to
 * nobody.
 */
static void orphan(const struct pier__task *task)
{
    for (struct pier__task *t = task->loop->tasks; t; t = t->next) {
        if (t->group_owner == task->birth) t->group = NULL;
    }
}

void pier__task_reap(struct pier__task *task)
{
    struct pier__loop *loop = task->loop;
    struct pier__run *run = task->run;
    struct pier__slot *slot = &loop->slots[task->number - 1];
    bool wanted = !task->detached && !task->joiners.first;
    if (task->ended) task->ended(task->arg);
    slot->task = NULL;
    slot->result = task->result;
    if (!wanted) give_slot(loop, task->number);
    for (size_t i = 0; i < task->place_count; i++) {
        pier__line_leave(&task->places[i]); /* of a loop that gave up: they lie on its stack */
    }
    while (pier__line_call(&task->joiners, task->result) || pier__line_call(&task->watchers, 0)) {
    }
    if (task->entered) orphan(task);
    if (task->group) pier__group_lost(task, task->result);
    if (task == run->main) {
        run->result = task->result;
        run->main = NULL;
        pier__failure_keep(&run->kept, &task->strand, task->result, run);
    }
    if (--run->live == 0 && run->waiter) pier__task_ready(run->waiter);
    *task->link = task->next;
    if (task->next) task->next->link = task->link;
    loop->task_count--;
    if (atomic_load(&task->waker.queued)) pier__loop_drain(loop);
    pier__failure_forget(&task->strand);
    pier__failure_drop(&task->kept, NULL);
    pier__context_done(&task->context);
    struct pier__stack stack = task->stack; /* the task lies on it */
    pier__stack_give(&loop->stacks, &stack);
}

void pier__task_cancel(struct pier__task *task, int code)
{
    task->cancel = code;
    task->cancel_by = NULL;
    if (!task->shielded) pier__task_ready(task);
}

static int spawn_here(pier_group *group, int (*fn)(void *arg), void *arg,
    const pier_spawn_opts *opts, struct pier__task **out)
{
    struct pier__task *self = pier__task_here();
    struct pier__loop *loop = pier__loop_here;
    if (!self && !(loop && loop->driven)) return PIER_ENOTASK;
    const struct pier__home home = {
        .loop = loop, .run = self ? self->run : &loop->root, .group = group};
    return pier__spawn(&home, fn, arg, opts, out);
}

static pier_task spawn(
    pier_group *group, int (*fn)(void *arg), void *arg, const pier_spawn_opts *opts)
{
    pier_time began = pier__trace_begin();
    struct pier__task *task;
    int err = spawn_here(group, fn, arg, opts, &task);
    pier_task made = {.number = (int)pier__failed("start a task", NULL, err)};
    if (err == 0) made = (pier_task){task->number, task->birth};
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, -1, made.number, "spawn(%s)", opts && opts->name ? opts->name : "");
    return made;
}

pier_task pier_spawn(int (*fn)(void *arg), void *arg, const pier_spawn_opts *opts)
{
    return spawn(NULL, fn, arg, opts);
}

pier_task pier_group_spawn(
    pier_group *group, int (*fn)(void *arg), void *arg, const pier_spawn_opts *opts)
{
    int err = !pier__task_here()               ? PIER_ENOTASK
              : !pier__group_is_entered(group) ? -EINVAL
              : group->error < 0               ? -ECANCELED
                                               : 0;
    if (err < 0) return (pier_task){.number = (int)pier__failed("start a task", NULL, err)};
    return spawn(group, fn, arg, opts);
}

/* The slot of a task that this one may wait for: 0 or a code. */
static int find_other(pier_task task, struct pier__slot **out)
{
    const struct pier__task *self = pier__task_here();
    if (task.number < 0) return task.number;
    struct pier__loop *loop = pier__loop_here;
    if (!self && !(loop && loop->driven)) return PIER_ENOTASK;
    if (task.number == 0) return -EINVAL;
    struct pier__slot *slot = find(loop, task);
    if (!slot) return -ESRCH;
    if (slot->task && !self) return -EAGAIN;
    if (slot->task && slot->task == self) return -EDEADLK;
    *out = slot;
    return 0;
}

int pier__task_watch(pier_task task, struct pier__place *place)
{
    struct pier__slot *slot;
    int err = find_other(task, &slot);
    if (err < 0) return err;
    if (!slot->task) return 1;
    pier__line_join(&slot->task->watchers, place);
    return 0;
}

static int join(pier_task task, int *out_result)
{
    struct pier__task *self = pier__task_here();
    struct pier__slot *slot;
    int err = find_other(task, &slot);
    if (err < 0) return err;
    int result = slot->result;
    if (slot->task) {
        struct pier__place place;
        const struct pier__standing how = {
            .local = true, .deadline = PIER_NEVER, .doing = "a task"};
        err = pier__line_wait(&slot->task->joiners, &place, &how);
        if (err < 0) return err;
        result = (int)place.value;
    } else {
        int code = self ? pier__task_called_off(self) : 0;
        if (code < 0) return pier__task_take_off(self, code);
        give_slot(pier__loop_here, task.number);
    }
    if (out_result) *out_result = result;
    return 0;
}

int pier_join(pier_task task, int *out_result)
{
    pier_time began = pier__trace_begin();
    int err = join(task, out_result);
    if (PIER_UNLIKELY(began)) pier__trace_end(began, -1, err, "join(%d)", task.number);
    return (int)pier__failed("join a task", NULL, err);
}

int pier_cancel(pier_task task)
{
    pier_time began = pier__trace_begin();
    struct pier__slot *slot = find(pier__loop_here, task);
    int err = task.number < 0        ? task.number
              : !pier__loop_here     ? PIER_ENOTASK
              : task.number == 0     ? -EINVAL
              : !slot || !slot->task ? -ESRCH
                                     : 0;
    if (err == 0) pier__task_cancel(slot->task, -ECANCELED);
    if (PIER_UNLIKELY(began)) pier__trace_end(began, -1, err, "cancel(%d)", task.number);
    return (int)pier__failed("cancel a task", NULL, err);
}

static int yield(void)
{
    struct pier__task *self = pier__task_here();
    if (!self) return 0;
    int code = pier__task_called_off(self);
    if (code < 0) return pier__task_take_off(self, code);
    pier__task_yield(self);
    return 0;
}

int pier_sleep(double seconds)
{
    pier_time began = pier__trace_begin();
    int64_t duration = pier__duration(seconds);
    int err = duration < 0    ? (int)duration
              : duration == 0 ? yield()
                              : pier__await_point(pier__point(pier__seam->now(), duration));
    if (PIER_UNLIKELY(began)) pier__trace_end(began, -1, err, "sleep(%g)", seconds);
    return (int)pier__failed("sleep", NULL, err);
}

int pier_yield(void) { return (int)pier__failed("yield", NULL, yield()); }

pier_task pier_current(void)
{
    const struct pier__task *self = pier__task_here();
    return self ? (pier_task){self->number, self->birth} : (pier_task){0};
}
