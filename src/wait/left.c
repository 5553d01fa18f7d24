/* SPDX-License-Identifier: MIT */
/*
 * Who ends the thread of a loop, and leaves the loop's other tasks behind.
 *
 * pthread_exit(3) unwinds the stack that it is called on, and at its end jumps to the innermost
 * handler of the thread, pthread_cleanup_push(3). So while a loop runs, the innermost one is the
 * loop's: there only the task has ended. The others go on, and when they have ended, so does the
 * ending of the thread, with the handlers below. What is done here by hand is what the macros of
 * glibc's <pthread.h> do; they would not let it be done more than once.
 *
 * A thread that ends between two turns of a driven loop is noticed by the destructor of a key.
 */
#include "base/seam.h"
#include "base/strand.h"
#include "base/text.h"
#include "wait/loop.h"
#include "wait/thread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#ifdef __GLIBC__

#    ifdef __EXCEPTIONS /* then the header does not declare them */
extern void __pthread_register_cancel(__pthread_unwind_buf_t *buf);
extern void __pthread_unregister_cancel(__pthread_unwind_buf_t *buf);
extern _Noreturn void __pthread_unwind_next(__pthread_unwind_buf_t *buf);
#    endif

/* Its macro for this takes a buffer of another size. */
extern int set_handler(void *env, int save_mask) __asm__("__sigsetjmp")
    __attribute__((returns_twice));

static _Thread_local bool told_to_end; /* by a task, in the loop that ran last */

#    define NEXT(handler) ((handler)->__pad[0]) /* the handler below */

/*
 * The running task is gone, with its frames; or in a forked child who was one, and in a loop that
 * is dead. No locals that have an address: where ASan keeps them is what changes here.
 */
static __attribute__((noinline)) void bury(struct pier__loop *loop)
{
    struct pier__task *task = pier__task_here();
    pier__strand_of_task = NULL;
    if (task || loop->dead) pier__switch_lost(&loop->context);
    pier__thread_forget_hooks();
    if (loop->dead) return;
    if (!task) { /* it was the hook */
        pier__loop_cancel_all(loop, -ECANCELED);
        return;
    }
    task->state = PIER__TASK_ENDED;
    pier__task_reap(task);
}

int pier__loop_run(struct pier__loop *loop, pier__loop_work *work, pier_time deadline)
{
    __pthread_unwind_buf_t handler, above;
    told_to_end = false;
    if (set_handler(handler.__cancel_jmp_buf, 0) == 0) {
        __pthread_register_cancel(&handler);
    } else {
        told_to_end = true;
        bury(loop);
        NEXT(&above) = &handler; /* what was above it is gone, too */
        __pthread_unregister_cancel(&above);
        if (loop->dead) __pthread_unwind_next(&handler);
    }
    int result = work(loop, deadline);
    __pthread_unregister_cancel(&handler);
    return result;
}

void pier__thread_end(void)
{
    const struct pier__loop *loop = pier__loop_here;
    if (!told_to_end || (loop && !loop->idle)) return; /* a task or the hook calls: not yet */
    told_to_end = false;
    __pthread_unwind_buf_t handler;
    __pthread_register_cancel(&handler);
    __pthread_unwind_next(&handler);
}

#else

int pier__loop_run(struct pier__loop *loop, pier__loop_work *work, pier_time deadline)
{
    return work(loop, deadline);
}

void pier__thread_end(void) {}

#endif

/* Where a loop cannot go on, not everything is lost in silence. */
static void die(const struct pier__task *task)
{
    char line[128];
    struct pier__text t = pier__text_begin(line, sizeof line, 0);
    pier__text_format(&t, "pier: task %d", task->number);
    if (task->name[0]) pier__text_format(&t, " \"%s\"", task->name);
    pier__text_format(&t, " ended the thread of all tasks of its loop\n");
    (void)pier__seam->write(STDERR_FILENO, line, t.used);
    (void)pier__seam->raise(SIGABRT);
}

static void thread_ends(void *arg)
{
    struct pier__loop *loop = arg;
    if (loop != pier__loop_here) return; /* a forked child has none any more */
    if (pier__task_here()) die(pier__task_here());
    if (!loop->driven) return;
    (void)pier__driven_end(loop, PIER_NEVER);
}

static pthread_key_t key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static int unusable; /* why there is no key, or 0 */

static void make_key(void) { unusable = -pthread_key_create(&key, thread_ends); }

int pier__left_watch(struct pier__loop *loop)
{
    pthread_once(&key_once, make_key);
    return unusable ? unusable : -pthread_setspecific(key, loop);
}

void pier__left_unwatch(void) { pthread_setspecific(key, NULL); }
