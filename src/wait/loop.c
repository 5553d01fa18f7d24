/* SPDX-License-Identifier: MIT */
#include "wait/loop.h"

#include "base/seam.h"
#include "base/time.h"
#include "wait/overflow.h"
#include "wait/retire.h"
#include "wait/thread.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

_Thread_local struct pier__loop *pier__loop_here;

#define MOST_CHUNKS ((1 << 24) / PIER__WATCHES) /* no system has more descriptors in use */

static struct pier__loop *loops;  /* of the process; under pier__life_lock() */
static struct pier__loop *buried; /* the parent's, in a forked child: still known, not leaked */

/* Others. */

static void signal_loop(struct pier__loop *loop)
{
    const uint64_t one = 1;
    if (atomic_exchange(&loop->signalled, true)) return;
    (void)pier__seam->write(loop->eventfd, &one, sizeof one);
}

void pier__loop_post(struct pier__loop *loop, struct pier__waker *waker)
{
    if (!atomic_exchange(&waker->queued, true)) {
        struct pier__waker *first = atomic_load(&loop->inbox);
        do {
            waker->next = first;
        } while (!atomic_compare_exchange_weak(&loop->inbox, &first, waker));
    }
    signal_loop(loop);
}

void pier__loop_signalled(struct pier__loop *loop)
{
    uint64_t count;
    (void)pier__seam->read(loop->eventfd, &count, sizeof count);
    atomic_store(&loop->signalled, false);
}

/* Wake the tasks that wait for a descriptor which is closing. */
static void wake_closing(struct pier__loop *loop)
{
    for (struct pier__task *task = loop->tasks; task; task = task->next) {
        for (size_t i = 0; i < task->pending_count; i++) {
            if (pier__op_closing(task->pendings[i].op)) pier__task_ready(task);
        }
    }
}

void pier__loop_drain(struct pier__loop *loop)
{
    struct pier__waker *waker = atomic_load(&loop->inbox);
    if (waker) waker = atomic_exchange(&loop->inbox, NULL);
    while (waker) {
        struct pier__waker *next = waker->next;
        atomic_store(&waker->queued, false);
        pier__task_woken(PIER_CONTAINER_OF(waker, struct pier__task, waker));
        waker = next;
    }
    if (atomic_load(&loop->closing)) {
        atomic_store(&loop->closing, false);
        wake_closing(loop);
    }
}

struct pier__watch *pier__loop_make_watch(struct pier__loop *loop, int fd)
{
    size_t chunk = (size_t)fd / PIER__WATCHES;
    if (chunk >= MOST_CHUNKS) return NULL;
    if (chunk >= loop->watch_chunks) {
        size_t room = chunk < 8 ? 16 : 2 * chunk;
        void *chunks = pier__seam->allocate(loop->watches, room * sizeof *loop->watches);
        if (!chunks) return NULL;
        loop->watches = chunks;
        memset(loop->watches + loop->watch_chunks, 0,
            (room - loop->watch_chunks) * sizeof *loop->watches);
        loop->watch_chunks = room;
    }
    struct pier__watch **made = &loop->watches[chunk].watches;
    if (!*made) *made = pier__allocate_zeroed(PIER__WATCHES, sizeof **made);
    return pier__loop_find_watch(loop, fd);
}

/* The tasks of this thread's loop that wait for fd. */
static void wake_own(const struct pier__loop *loop, const struct pier__life *life, int fd)
{
    const struct pier__watch *watch = pier__loop_find_watch(loop, fd);
    for (struct pier__pending *p = watch ? watch->first : NULL; p; p = p->next) {
        if (p->life == life || p->op->heir == life) pier__task_ready(p->task);
    }
}

void pier__loops_closing(struct pier__life *life, int fd)
{
    for (struct pier__loop *loop = loops; loop; loop = loop->next) {
        if (loop == pier__loop_here) {
            wake_own(loop, life, fd);
        } else {
            atomic_store(&loop->closing, true);
            signal_loop(loop);
        }
    }
}

void pier__loops_forget(int fd)
{
    pier__life_lock();
    for (struct pier__loop *loop = loops; loop; loop = loop->next) {
        if (loop->backend == &pier__backend_epoll) pier__backend_epoll_forget(loop, fd);
    }
    pier__life_unlock();
}

bool pier__loop_closes(int fd, struct pier__life *life, int64_t grave)
{
    struct pier__loop *loop = pier__loop_here;
    return loop && loop->backend->closes && loop->backend->closes(loop, fd, life, grave);
}

enum pier__turnout pier__pending_judge(struct pier__pending *pending, int64_t n)
{
    if (pier__op_connects(pending->op, n) || n == -EAGAIN) return PIER__WAITS;
    return n == -EINTR ? PIER__ANEW : PIER__ENDED;
}

void pier__pending_unlink(struct pier__pending *pending)
{
    if (!pending->link) return;
    *pending->link = pending->next;
    if (pending->next) pending->next->link = pending->link;
    pending->link = NULL;
}

void pier__pending_done(struct pier__pending *pending, int64_t result)
{
    pier__retire_done(pending->task->loop, (uintptr_t)pending);
    if (pending->report) {
        pending->report(pending, result, /* more= */ false);
        return;
    }
    pier__pending_unlink(pending);
    pending->result = result;
    pending->done = true;
    pier__task_ready(pending->task);
}

/* A turn. */

static void run_first(struct pier__loop *loop)
{
    struct pier__task *task = loop->first_ready;
    loop->first_ready = task->next_ready;
    if (!loop->first_ready) loop->last_ready = NULL;
    loop->ready_count--;
    task->state = PIER__TASK_RUNNING;
    pier__strand_of_task = &task->strand;
    pier__switch(&loop->context, &task->context);
    if (task->state == PIER__TASK_ENDED) pier__task_reap(task);
}

/*
 * The hook runs on the loop's own stack; what it ends is the main task, or, when that has ended,
 * all others.
 */
static void ask_hook(struct pier__loop *loop)
{
    loop->ask_hook = false;
    if (pier__thread_interrupted(NULL) == 0) return;
    if (loop->root.main)
        pier__task_cancel(loop->root.main, -EINTR);
    else
        pier__loop_cancel_all(loop, -EINTR);
}

static void expire(struct pier__loop *loop)
{
    loop->now = pier__seam->now();
    for (struct pier__timer *timer; (timer = pier__timers_due(&loop->timers, loop->now));) {
        pier__task_ready(PIER_CONTAINER_OF(timer, struct pier__task, timer));
    }
}

int pier__loop_look(struct pier__loop *loop, pier_time until)
{
    int err = loop->backend->wait(loop, until);
    if (err == -EINTR) {
        ask_hook(loop);
        err = 0;
    }
    pier__loop_drain(loop);
    expire(loop);
    return err;
}

PIER_FLAT int pier__loop_turn(struct pier__loop *loop, pier_time limit)
{
    for (size_t n = loop->ready_count; n > 0; n--) {
        run_first(loop);
    }
    pier__loop_drain(loop);
    if (loop->task_count == 0) /* what they left to the kernel must go there all the same */
        return loop->driven ? pier__loop_look(loop, 0) : 0;
    if (loop->ask_hook) ask_hook(loop);
    pier_time until = loop->ready_count ? 0 : pier__timers_next(&loop->timers);
    if (loop->root.until) until = pier__earlier(until, loop->root.until);
    if (until == PIER_NEVER && loop->outside == 0) return -EDEADLK;
    return pier__loop_look(loop, pier__earlier(until, limit));
}

void pier__loop_cancel_all(struct pier__loop *loop, int code)
{
    for (struct pier__task *task = loop->tasks; task; task = task->next) {
        pier__task_cancel(task, code);
    }
}

void pier__loop_unstick(struct pier__loop *loop)
{
    if (!loop->stuck) pier__loop_dump(loop, STDERR_FILENO);
    loop->stuck = true;
    pier__loop_cancel_all(loop, -ECANCELED);
}

/* Whom the end of another makes ready will not run. */
static void forget_ready(struct pier__loop *loop)
{
    loop->first_ready = loop->last_ready = NULL;
    loop->ready_count = 0;
}

void pier__loop_give_up(struct pier__loop *loop)
{
    if (!loop->stuck) {
        pier__loop_unstick(loop);
        return;
    }
    for (struct pier__task *task = loop->tasks, *next; task; task = next) {
        next = task->next;
        forget_ready(loop);
        pier__task_reap(task);
    }
    forget_ready(loop);
}

/* Making and unmaking. */

void pier__loop_enter(struct pier__loop *loop)
{
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &loop->cancel_state);
}

void pier__loop_leave(const struct pier__loop *loop)
{
    pthread_setcancelstate(loop->cancel_state, NULL);
}

/* The backend by its name; NULL: the best that the kernel grants. Its code when none can be had. */
static int open_backend(struct pier__loop *loop, const char *name)
{
    bool asked = name != NULL;
    if (!asked) name = pier__seam->getenv("PIER_BACKEND");
    if (name && strcmp(name, "epoll") == 0) {
        loop->backend = &pier__backend_epoll;
        return loop->backend->open(loop);
    }
    bool uring = name && strcmp(name, "uring") == 0;
    if (asked && !uring) return -EINVAL;
    loop->backend = &pier__backend_uring;
    int err = loop->backend->open(loop);
    if (err == 0 || uring) return err;
    loop->backend = &pier__backend_epoll;
    return loop->backend->open(loop);
}

/*
 * In a forked child no loop goes on, for its tasks wait for what is the parent's. The one that
 * forked is a plain thread, on the stack where it is.
 */
static void after_fork(void)
{
    for (struct pier__loop *loop = loops; loop; loop = loop->next) {
        loop->dead = true;
        loop->backend->abandon(loop);
        pier__seam->close(loop->eventfd);
        if (loop->driven) pier__driven_close(loop);
    }
    if (pier__loop_here && !pier__loop_here->idle) pier__loop_leave(pier__loop_here);
    buried = loops;
    loops = NULL;
    pier__loop_here = NULL;
    pier__strand_of_task = NULL;
}

static void watch_forks(void)
{
    pier__life_watch_forks();
    pthread_atfork(NULL, NULL, after_fork);
}

static void enlist(struct pier__loop *loop)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    pier__life_lock();
    loop->link = &loops;
    loop->next = loops;
    if (loop->next) loop->next->link = &loop->next;
    loops = loop;
    pier__life_unlock();
}

static void strike_off(struct pier__loop *loop)
{
    pier__life_lock();
    *loop->link = loop->next;
    if (loop->next) loop->next->link = loop->link;
    pier__life_unlock();
}

static int make(struct pier__loop *loop, const char *backend)
{
    int fd = pier__seam->eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) return fd;
    loop->eventfd = fd;
    int err = open_backend(loop, backend);
    if (err < 0) {
        pier__seam->close(fd);
        return err;
    }
    err = pier__left_watch(loop);
    if (err < 0) {
        loop->backend->close(loop);
        pier__seam->close(fd);
        return err;
    }
    pier__context_own(&loop->context);
    enlist(loop);
    pier__loop_here = loop;
    return 0;
}

int pier__loop_open(const pier_run_opts *opts, bool driven, struct pier__loop **out)
{
    struct pier__loop *loop = pier__seam->allocate(NULL, sizeof *loop);
    if (!loop) return -ENOMEM;
    *loop = (struct pier__loop){
        .now = pier__seam->now(), .driven = driven, .outer_fd = -1, .alarm_fd = -1};
    pier__loop_enter(loop);
    int err = make(loop, opts->backend);
    if (err < 0) {
        pier__loop_leave(loop);
        pier__seam->release(loop);
        return err;
    }
    loop->watched = !opts->keep_sigsegv && pier__overflow_watch() == 0;
    *out = loop;
    return 0;
}

void pier__loop_close(struct pier__loop *loop)
{
    if (loop->watched) pier__overflow_unwatch();
    if (loop->driven) pier__driven_close(loop);
    pier__left_unwatch();
    pier__loop_here = NULL;
    strike_off(loop);
    loop->backend->close(loop);
    pier__seam->close(loop->eventfd);
    for (size_t i = 0; i < loop->watch_chunks; i++) {
        pier__seam->release(loop->watches[i].watches);
    }
    pier__seam->release(loop->watches);
    pier__seam->release(loop->slots);
    pier__timers_free(&loop->timers);
    pier__stacks_free(&loop->stacks);
    pier__loop_leave(loop);
    pier__seam->release(loop);
}
