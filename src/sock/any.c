/* SPDX-License-Identifier: MIT */
/* Waiting for any of several: sockets, objects, tasks. */
#include "base/seam.h"
#include "base/time.h"
#include "base/trace.h"
#include "sock/buffer.h"
#include "sock/table.h"
#include "wait/object.h"
#include "wait/task.h"

#include <pier/error.h>

#include <errno.h>
#include <limits.h>

/* One of them, while it is waited for. */
struct part {
    struct pier__use use;       /* a socket's, */
    struct pier__waiter waiter; /* and what its closing wakes */
    bool ready;
};

/* A wait. */
struct any {
    pier_waitable *waitables;
    size_t count, begun;        /* so many of them need to be ended */
    struct part *parts;         /* one each, */
    struct pier__place *places; /* among the watchers of objects and tasks, */
    struct pier__life **lives;  /* of sockets, else NULL */
    struct pollfd *fds;         /* with one more; negative where there is no descriptor */
    bool sockets, outside;      /* are there any? */
    bool local;                 /* are there only tasks, and objects that only tasks change? */
    struct pier__waker *waker;
    pier_time limit;
    const pier_waitable *culprit; /* what an error is about, or NULL */
};

static bool is_socket(const pier_waitable *w)
{
    return w->what == PIER_WAIT_READABLE || w->what == PIER_WAIT_WRITABLE;
}

static struct pier__object *object_of(const pier_waitable *w)
{
    switch (w->what) {
    case PIER_WAIT_EVENT: return (void *)w->event;
    case PIER_WAIT_SEMAPHORE: return (void *)w->semaphore;
    case PIER_WAIT_GET:
    case PIER_WAIT_PUT: return (void *)w->queue;
    default: return NULL;
    }
}

static int begin_socket(struct any *any, size_t i)
{
    const pier_waitable *w = &any->waitables[i];
    struct part *part = &any->parts[i];
    any->sockets = true;
    any->local = false;
    int err = pier__enter(&part->use, w->socket, PIER__WAITER);
    if (err < 0) return err;
    any->fds[i] = (struct pollfd){
        .fd = w->socket, .events = w->what == PIER_WAIT_READABLE ? POLLIN : POLLOUT};
    struct pier__entry *entry = part->use.entry;
    if (!entry) return 0;
    any->lives[i] = &entry->life;
    part->waiter.waker = any->waker;
    pier__life_watch(&entry->life, &part->waiter);
    pier_time own = atomic_load_explicit(&entry->deadline, memory_order_relaxed);
    any->limit = pier__earlier(any->limit, own);
    return 0;
}

static void end_socket(struct any *any, size_t i)
{
    struct part *part = &any->parts[i];
    if (any->lives[i]) pier__life_unwatch(&part->waiter);
    pier__leave(&part->use);
}

/* Enter or watch one of them: 0 or a code, and nothing is to be ended then. */
static int begin(struct any *any, size_t i)
{
    const pier_waitable *w = &any->waitables[i];
    any->fds[i] = (struct pollfd){.fd = -1};
    any->lives[i] = NULL;
    any->parts[i] = (struct part){0};
    any->places[i] = (struct pier__place){.waker = any->waker};
    any->culprit = w;
    if (is_socket(w)) return begin_socket(any, i);
    if (w->what == PIER_WAIT_NOTHING) return 0;
    if (w->what == PIER_WAIT_TASK) {
        int ended = pier__task_watch(w->task, &any->places[i]);
        any->places[i].called = ended > 0;
        return ended < 0 ? ended : 0;
    }
    struct pier__object *object = object_of(w);
    if (object && object->outside) any->outside = true;
    if (object && !pier__object_is_local(object)) any->local = false;
    return pier__object_watch(object, &any->places[i]);
}

static void end(struct any *any, size_t i)
{
    const pier_waitable *w = &any->waitables[i];
    if (is_socket(w))
        end_socket(any, i);
    else if (w->what == PIER_WAIT_TASK)
        pier__line_leave(&any->places[i]);
    else if (w->what != PIER_WAIT_NOTHING)
        pier__object_unwatch(object_of(w), &any->places[i]);
}

static bool is_closing(const struct any *any, size_t i)
{
    return any->lives[i] && pier__life_closing(any->lives[i]);
}

/* Is it ready, without asking the kernel? 1, 0 or a code. */
static int look(struct any *any, size_t i)
{
    const pier_waitable *w = &any->waitables[i];
    struct pier__entry *entry = any->parts[i].use.entry;
    switch (w->what) {
    case PIER_WAIT_NOTHING: return 0;
    case PIER_WAIT_READABLE:
    case PIER_WAIT_WRITABLE:
        if (is_closing(any, i)) return -ECANCELED;
        return entry && w->what == PIER_WAIT_READABLE && pier__buffer_ready(entry);
    case PIER_WAIT_EVENT: return pier__event_ready(w->event);
    case PIER_WAIT_SEMAPHORE: return pier__semaphore_ready(w->semaphore);
    case PIER_WAIT_GET: return pier__queue_ready(w->queue, /* to_put= */ false);
    case PIER_WAIT_PUT: return pier__queue_ready(w->queue, /* to_put= */ true);
    case PIER_WAIT_TASK: return any->places[i].called;
    }
    return -EINVAL;
}

/* How many are ready, or a code. */
static int look_at_all(struct any *any)
{
    int ready = 0;
    for (size_t i = 0; i < any->count; i++) {
        any->culprit = &any->waitables[i];
        int is = look(any, i);
        if (is < 0) return is;
        any->parts[i].ready = is;
        ready += is;
    }
    any->culprit = NULL;
    return ready;
}

/* How many more are, by what the kernel said; or a code. */
static int collect(struct any *any)
{
    int more = 0;
    for (size_t i = 0; i < any->count; i++) {
        short told = any->fds[i].revents;
        if (any->fds[i].fd < 0 || told == 0) continue;
        any->culprit = &any->waitables[i];
        if (told & POLLNVAL) return -EBADF;
        if (is_closing(any, i)) return -ECANCELED; /* which shuts it down first */
        more += !any->parts[i].ready;
        any->parts[i].ready = true;
    }
    any->culprit = NULL;
    return more;
}

/* Have the kernel look at the sockets and, unless `at_once`, wait. 0 or more, or a code. */
static int64_t await_change(struct any *any, bool at_once)
{
    if (at_once && !any->sockets) return 0;
    if (!any->sockets && !any->outside && !pier__task_here()) return PIER_ENOTASK;
    struct pier__op op = {.code = PIER_OP_POLL,
        .fd = -1,
        .local = any->local,
        .timeout = at_once ? 0 : PIER_NEVER,
        .deadline = at_once ? PIER_NEVER : any->limit,
        .with.poll = {.fds = any->fds,
            .count = any->sockets ? any->count : 0,
            .lives = any->lives,
            .doing = "any of several"}};
    return pier__await(&op);
}

static int wait_for(struct any *any)
{
    for (;;) {
        int ready = look_at_all(any);
        if (ready < 0) return ready;
        bool over = any->limit != PIER_NEVER && pier__seam->now() >= any->limit;
        int64_t told = await_change(any, /* at_once= */ ready > 0 || over);
        if (told == -ETIME) continue; /* look once more */
        if (told < 0) return (int)told;
        int more = told > 0 ? collect(any) : 0;
        if (more < 0) return more;
        if (ready + more > 0) return ready + more;
        if (over) return -ETIME;
    }
}

/* The memory is there. */
static int wait_with(struct any *any)
{
    int err = pier__waker(&any->waker);
    for (size_t i = 0; err == 0 && i < any->count; i++) {
        err = begin(any, i);
        any->begun += err == 0;
    }
    struct pier__task *task = pier__task_here();
    if (task) pier__task_stands(task, any->places, any->begun);
    int ready = err < 0 ? err : wait_for(any);
    if (task) pier__task_stands(task, NULL, 0);
    for (size_t i = 0; i < any->begun; i++) {
        end(any, i);
        if (ready > 0) any->waitables[i].ready = any->parts[i].ready;
    }
    return ready;
}

#define FEW 4 /* find room on the stack */

static int wait_any(struct any *any)
{
    size_t count = any->count, each = sizeof *any->parts + sizeof *any->places + sizeof(void *);
    struct {
        struct part parts[FEW];
        struct pier__place places[FEW];
        struct pier__life *lives[FEW];
        struct pollfd fds[FEW + 1];
    } few;
    if (count <= FEW) {
        any->parts = few.parts;
        any->places = few.places;
        any->lives = few.lives;
        any->fds = few.fds;
        return wait_with(any);
    }
    void *many = pier__seam->allocate(NULL, count * each + (count + 1) * sizeof *any->fds);
    if (!many) return -ENOMEM;
    any->parts = many;
    any->places = (void *)(any->parts + count);
    any->lives = (void *)(any->places + count);
    any->fds = (void *)(any->lives + count);
    int ready = wait_with(any);
    pier__seam->release(many);
    return ready;
}

/* Is there anything in it to wait for, and nothing strange? */
static bool is_sound(const pier_waitable *waitables, size_t count)
{
    bool something = false;
    if (!waitables || count > INT_MAX) return false;
    for (size_t i = 0; i < count; i++) {
        const pier_waitable *w = &waitables[i];
        bool other = is_socket(w) || w->what == PIER_WAIT_TASK || w->what == PIER_WAIT_NOTHING;
        if (!other && !object_of(w)) return false;
        something = something || w->what != PIER_WAIT_NOTHING;
    }
    return something;
}

static int enter(struct any *any)
{
    if (any->limit < 0) return (int)any->limit;
    if (!is_sound(any->waitables, any->count)) return -EINVAL;
    int code = pier__task_begin();
    return code < 0 ? code : wait_any(any);
}

int pier_wait_any(pier_waitable *waitables, size_t count, pier_time deadline)
{
    struct any any = {.waitables = waitables, .count = count, .local = true, .limit = deadline};
    pier_time began = pier__trace_begin();
    int ready = enter(&any);
    if (PIER_UNLIKELY(began)) pier__trace_end(began, -1, ready, "wait_any(%zu)", count);
    if (any.culprit && is_socket(any.culprit))
        return (int)pier__sock_failed("wait for", any.culprit->socket, NULL, NULL, ready);
    return (int)pier__failed("wait for any of several", NULL, ready);
}
