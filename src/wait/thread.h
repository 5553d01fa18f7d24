/* SPDX-License-Identifier: MIT */
#ifndef PIER_WAIT_THREAD_H
#define PIER_WAIT_THREAD_H

#include "wait/life.h"

#include <pier/socket.h>

#include <stdint.h>

/*
 * What belongs to a thread that waits: its waker, with an eventfd that others write to, made when
 * it is first needed and closed when the thread ends; and its interruption hook.
 */

/*
 * This thread's waker: 0, or a code when it can have no descriptor. A forked child gets one of its
 * own.
 */
int pier__thread_waker(struct pier__waker **out);

/* Wake the thread. Async-signal-safe. */
void pier__thread_wake(const struct pier__waker *waker);

/* Swallow what has been written to this thread's descriptor. */
void pier__thread_woken(void);

/*
 * Ask the interruption hook: 0 to go on, -EINTR to give up. No lock may be held. life is what the
 * calling verb is inside of (or NULL): the hook may fork, and the child must know who is still
 * inside.
 */
int pier__thread_interrupted(struct pier__life *life);

/* In a forked child: step inside again wherever this thread is running a hook from. */
void pier__thread_reenter(void);

/* The calls that were running hooks are gone, with their frames. */
void pier__thread_forget_hooks(void);

/* This thread's hook; call is NULL when there is none. */
extern _Thread_local pier_hook pier__thread_hook
    __attribute__((tls_model("initial-exec"), visibility("hidden")));

#endif
