/* SPDX-License-Identifier: MIT */
#include "wait/waker.h"

#include "wait/loop.h"
#include "wait/thread.h"

int pier__waker(struct pier__waker **out)
{
    struct pier__task *task = pier__task_here();
    if (!task) return pier__thread_waker(out);
    *out = &task->waker;
    return 0;
}

void pier__wake_from_signal(struct pier__waker *waker)
{
    if (waker->loop)
        pier__loop_post(waker->loop, waker);
    else
        pier__thread_wake(waker);
}

void pier__wake(struct pier__waker *waker)
{
    if (waker->loop && waker->loop == pier__loop_here)
        pier__task_woken(PIER_CONTAINER_OF(waker, struct pier__task, waker));
    else
        pier__wake_from_signal(waker);
}
