/* SPDX-License-Identifier: MIT */
#include "wait/work.h"

#include "base/seam.h"
#include "base/time.h"
#include "wait/await.h"
#include "wait/thread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <time.h>

static struct {
    pthread_mutex_t lock;
    pthread_cond_t more; /* work was queued; by the monotonic clock */
    struct pier__work *first, **last;
    struct pier__work_counts counts;
    unsigned generation;
    int unusable; /* why pthread_atfork() failed, or 0 */
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .last = &pool.first};

static pthread_once_t pool_once = PTHREAD_ONCE_INIT;

static void make_condition(void)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&pool.more, &attr);
    pthread_condattr_destroy(&attr);
}

/* A fork finds the pool between two steps, never in one. */
static void before_fork(void) { pthread_mutex_lock(&pool.lock); }

static void after_fork(void) { pthread_mutex_unlock(&pool.lock); }

/*
 * The child has none of the threads. What was queued belongs to threads that are gone too, but for
 * the one that forked, which finds out by the generation.
 */
static void after_fork_in_child(void)
{
    pool.first = NULL;
    pool.last = &pool.first;
    pool.counts = (struct pier__work_counts){0};
    pool.generation++;
    make_condition(); /* the old one counts waiters that are gone */
    pthread_mutex_unlock(&pool.lock);
}

static void make_pool(void)
{
    make_condition();
    pool.unusable = -pthread_atfork(before_fork, after_fork, after_fork_in_child);
}

static void enqueue(struct pier__work *work)
{
    work->state = PIER__WORK_QUEUED;
    work->generation = pool.generation;
    work->next = NULL;
    *pool.last = work;
    pool.last = &work->next;
    pool.counts.queued++;
}

static void dequeue(struct pier__work *work)
{
    struct pier__work **link = &pool.first;
    while (*link != work) {
        link = &(*link)->next;
    }
    *link = work->next;
    if (!work->next) pool.last = link;
    pool.counts.queued--;
}

/* The next piece of work, or NULL when there has been none for long enough. */
static struct pier__work *take(void)
{
    pier_time until = pier__point(pier__seam->now(), PIER__WORK_IDLE);
    struct timespec at = {until / PIER_SECOND, until % PIER_SECOND};
    int err = 0;
    while (!pool.first && err == 0) {
        pool.counts.idle++;
        err = pthread_cond_timedwait(&pool.more, &pool.lock, &at);
        pool.counts.idle--;
    }
    struct pier__work *work = pool.first;
    if (work) dequeue(work);
    return work;
}

/*
 * It has been run. It is touched only if its starter has left, or cannot leave for the lock, which
 * is taken here.
 */
static void finish(struct pier__work *work)
{
    pthread_mutex_lock(&pool.lock);
    if (work->state == PIER__WORK_LEFT) {
        pthread_mutex_unlock(&pool.lock);
        work->drop(work);
        pthread_mutex_lock(&pool.lock);
    } else {
        work->state = PIER__WORK_DONE;
        pier__wake(work->starter);
    }
    pier__seam = &pier__seam_system;
}

static int add_thread(void);

/* It has ended its thread, pthread_exit(3). What is queued may have counted on that. */
static void lose_thread(void *work)
{
    finish(work);
    pool.counts.threads--;
    if (pool.first) (void)add_thread();
    pthread_mutex_unlock(&pool.lock);
}

/* Run it, unlocked. */
static void run(struct pier__work *work)
{
    work->state = PIER__WORK_RUNNING;
    pthread_mutex_unlock(&pool.lock);
    pier__seam = work->seam;
    pthread_cleanup_push(lose_thread, work);
    work->run(work);
    pthread_cleanup_pop(0);
    finish(work);
}

static void *serve(void *unused)
{
    (void)unused;
    (void)pier__seam->thread_name("pier-resolve");
    pthread_mutex_lock(&pool.lock);
    /*
     * In a forked child, glibc (seen in 2.36) gives new threads the stacks of those that are gone,
     * and with one the resolver's state of a look-up that was under way: its socket, shared with
     * the parent, which would take the answer.
     */
    if (pool.generation > 0) pier__seam->forget_resolver();
    for (struct pier__work *work; (work = take());) {
        run(work);
    }
    pool.counts.threads--;
    pthread_mutex_unlock(&pool.lock);
    return NULL;
}

/*
 * All but those that the thread's own mistakes raise, which the program's crash handler wants to
 * see.
 */
static void signals_to_block(sigset_t *out)
{
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
    sigfillset(out);
    for (size_t i = 0; i < PIER_COUNT(own); i++) {
        sigdelset(out, own[i]);
    }
}

static int create_thread(void)
{
    pthread_t id;
    pthread_attr_t attr;
    int err = -pthread_attr_init(&attr);
    if (err < 0) return err;
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, PIER__WORK_STACK);
    err = pier__seam->thread(&id, &attr, serve, NULL);
    if (err == -EINVAL) { /* the program's thread-local variables, which lie there too, want more */
        pthread_attr_destroy(&attr);
        pthread_attr_init(&attr);
        pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
        err = pier__seam->thread(&id, &attr, serve, NULL);
    }
    pthread_attr_destroy(&attr);
    return err;
}

/* One more thread, its signals blocked from its first instruction. */
static int add_thread(void)
{
    sigset_t blocked, before;
    signals_to_block(&blocked);
    int err = pier__seam->signal_mask(SIG_BLOCK, &blocked, &before);
    if (err < 0) return err;
    err = create_thread();
    (void)pier__seam->signal_mask(SIG_SETMASK, &before, NULL);
    if (err < 0) return err;
    pool.counts.threads++;
    return 0;
}

/*
 * Queue it, and see that somebody will run it. The lock is held, for the creation of a thread too:
 * so there is never work in the queue that counts on a thread that then cannot be made.
 */
static int submit(struct pier__work *work)
{
    if (pool.unusable < 0) return pool.unusable;
    if (pool.counts.queued >= PIER__WORK_QUEUE) return -EAGAIN;
    if (pool.counts.idle <= pool.counts.queued && pool.counts.threads < PIER__WORK_THREADS) {
        int err = add_thread();
        if (err < 0 && pool.counts.threads == 0) return -EAGAIN;
    }
    enqueue(work);
    pthread_cond_signal(&pool.more);
    return 0;
}

int pier__work_start(struct pier__work *work)
{
    pthread_once(&pool_once, make_pool);
    int err = pier__waker(&work->starter);
    if (err < 0) return err;
    work->seam = pier__seam;
    pthread_mutex_lock(&pool.lock);
    err = submit(work);
    pthread_mutex_unlock(&pool.lock);
    return err;
}

void pier__work_here(struct pier__work *work)
{
    work->run(work);
    work->state = PIER__WORK_DONE;
}

bool pier__work_done(struct pier__work *work)
{
    pthread_mutex_lock(&pool.lock);
    bool done = work->state == PIER__WORK_DONE;
    bool lost = !done && work->generation != pool.generation;
    pthread_mutex_unlock(&pool.lock);
    if (!lost) return done;
    if (pier__work_start(work) == 0) return false;
    work->state = PIER__WORK_DONE;
    return true;
}

void pier__work_leave(struct pier__work *work)
{
    pthread_mutex_lock(&pool.lock);
    bool ours = work->generation == pool.generation;
    bool running = ours && work->state == PIER__WORK_RUNNING;
    if (ours && work->state == PIER__WORK_QUEUED) dequeue(work);
    if (running) work->state = PIER__WORK_LEFT;
    pthread_mutex_unlock(&pool.lock);
    if (!running) work->drop(work);
}

int pier__work_await(struct pier__work *work, struct pier__life *life, pier_time deadline)
{
    if (deadline == PIER_NEVER && pier__await_is_patient()) {
        pier__work_here(work);
        return 0;
    }
    int64_t err = pier__seam->now() >= deadline ? -ETIME : pier__work_start(work);
    if (err < 0) {
        work->drop(work);
        return (int)err;
    }
    while (err >= 0 && !pier__work_done(work)) {
        err = pier__await_woken(life, deadline);
    }
    bool late = err == -ETIME && pier__work_done(work); /* at the last moment */
    if (err >= 0 || late) return 0;
    pier__work_leave(work); /* done or not: a cancel that was told here is told nowhere else */
    return (int)err;
}

struct pier__work_counts pier__work_counts(void)
{
    pthread_mutex_lock(&pool.lock);
    struct pier__work_counts counts = pool.counts;
    pthread_mutex_unlock(&pool.lock);
    return counts;
}
