/* SPDX-License-Identifier: MIT */
#include "wait/thread.h"

#include "base/seam.h"
#include "wait/loop.h"

#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>

/* Its descriptor is 0, as in a new thread, until it has one. */
static _Thread_local struct pier__waker own;
static _Thread_local bool has_waker;

_Thread_local pier_hook pier__thread_hook;

static pthread_key_t at_exit;
static pthread_once_t at_exit_once = PTHREAD_ONCE_INIT;

static void thread_ends(void *unused)
{
    (void)unused;
    if (has_waker) pier__seam->close(own.fd);
    has_waker = false;
}

/* In a forked child: this thread, its only one, has come with a descriptor that is the parent's. */
static void after_fork(void) { thread_ends(NULL); }

static void make_key(void)
{
    pthread_key_create(&at_exit, thread_ends);
    pthread_atfork(NULL, NULL, after_fork);
}

int pier__thread_waker(struct pier__waker **out)
{
    *out = &own;
    if (PIER_LIKELY(has_waker)) return 0;
    pthread_once(&at_exit_once, make_key);
    int fd = pier__seam->eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) return fd;
    own.fd = fd;
    has_waker = true;
    pthread_setspecific(at_exit, &own);
    return 0;
}

void pier__thread_wake(const struct pier__waker *waker)
{
    const uint64_t one = 1;
    (void)pier__seam->write(waker->fd, &one, sizeof one); /* full counts as woken */
}

void pier__thread_woken(void)
{
    uint64_t count;
    if (has_waker) (void)pier__seam->read(own.fd, &count, sizeof count);
}

/* The calls of this thread that are running their hook, innermost first. */
struct asking {
    struct pier__life *life;
    struct asking *outer;
};
static _Thread_local struct asking *asking;

int pier__thread_interrupted(struct pier__life *life)
{
    pier_hook hook = pier__thread_hook;
    if (!hook.call) return 0;
    struct pier__task *task = pier__task_here();
    if (task) { /* a task has no stack to spare for it: the loop asks */
        task->loop->ask_hook = true;
        return 0;
    }
    struct asking self = {.life = life, .outer = asking};
    asking = &self;
    int err = hook.call(hook.arg) ? -EINTR : 0;
    asking = self.outer;
    return err;
}

void pier__thread_reenter(void)
{
    for (struct asking *a = asking; a; a = a->outer) {
        if (a->life) atomic_fetch_add(&a->life->state, PIER__WAITER);
    }
}

void pier__thread_forget_hooks(void) { asking = NULL; }

pier_hook pier_sethook(int (*call)(void *arg), void *arg)
{
    pier_hook old = pier__thread_hook;
    pier__thread_hook = (pier_hook){.call = call, .arg = arg};
    return old;
}
