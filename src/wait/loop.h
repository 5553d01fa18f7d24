/* SPDX-License-Identifier: MIT */
#ifndef PIER_WAIT_LOOP_H
#define PIER_WAIT_LOOP_H

#include "wait/backend.h"
#include "wait/stack.h"
#include "wait/switch.h"
#include "wait/task.h"
#include "wait/timer.h"
#include "wait/waker.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * A loop: the tasks of one thread, and what they wait with. A turn is: run who is ready, once each;
 * then let the backend work, without waiting if somebody is ready again, else until the next
 * deadline.
 *
 * Others reach it only through its inbox, a stack of wakers, and its eventfd, which the backend
 * watches.
 */

/* What a loop knows of tasks that have a number; kept until joined. */
struct pier__slot {
    uint64_t birth;          /* 0: free */
    struct pier__task *task; /* NULL: it has ended, with this result */
    int result;
    int next_free; /* a number, or 0 */
};

/* What waits for a descriptor; the epoll backend's, and how closing one finds its tasks. */
struct pier__watch {
    uint64_t birth;              /* of the socket that is registered; 0: none */
    struct pier__pending *first; /* in the order of their coming */
    uint8_t ready;               /* the directions that are not yet seen to be otherwise */
    bool ended;                  /* hung up or failed: always ready */
    bool urgent;                 /* there was an urgent byte, and receives stop at its place */
    bool doubt;                  /* a receive may have left something that no edge will tell of */
    bool bare;                   /* registered for one event, whatever it is */
};

#define PIER__WATCHES 1024 /* in a chunk */

struct pier__chunk {
    struct pier__watch *watches; /* NULL: nobody has waited for one of these yet */
};

struct pier__loop {
    const struct pier__backend *backend;
    void *state; /* the backend's */
    struct pier__context context;
    struct pier__stacks stacks;
    struct pier__timers timers;

    struct pier__task *first_ready, *last_ready;
    size_t ready_count;
    bool idle;                /* it is driven, and between two turns */
    struct pier__task *tasks; /* all */
    size_t task_count;
    size_t outside; /* parked tasks that the world outside may wake */
    pier_time now;  /* when this turn began */
    struct pier__slot *slots;
    int slot_count, free_slot;

    struct pier__pending *reporting; /* those that are no task's wait */
    struct pier__chunk *watches;     /* by descriptor */
    size_t watch_chunks;

    struct pier__waker *_Atomic inbox;
    _Atomic bool signalled; /* something was written to the eventfd, and not yet read */
    _Atomic bool closing;   /* a descriptor that a task may wait for is closing */
    int eventfd;
    int fd;       /* the backend's: readable when it has something to tell */
    bool backlog; /* the backend has something to hand over to the kernel */
    bool ask_hook;

    bool dead;             /* a fork left it to another process */
    bool stuck;            /* every task waited for another, and they were told to end */
    bool watched;          /* for overflows of its stacks */
    int cancel_state;      /* the thread's, for when the loop does not run */
    struct pier__run root; /* the outermost pier_run(), and all that belongs to no other */

    bool driven;            /* by another loop; see wait/driven.c */
    int outer_fd, alarm_fd; /* what that one watches, and what tells it that a timer is due */
    pier_time alarm;        /* when it is */

    struct pier__loop *next, **link; /* all of the process; under pier__life_lock() */
};

/* This thread's loop, or NULL. */
extern _Thread_local struct pier__loop *pier__loop_here
    __attribute__((tls_model("initial-exec"), visibility("hidden")));

/*
 * Make this thread's loop: 0 or a code. Closing it frees it; all its tasks have ended then. In
 * between the thread cannot be cancelled, pthread_cancel(3), for nobody's stack would be cleaned
 * up; but while another loop has it, between leaving and entering.
 */
int pier__loop_open(const pier_run_opts *opts, bool driven, struct pier__loop **out);
void pier__loop_close(struct pier__loop *loop);

void pier__loop_enter(struct pier__loop *loop);
void pier__loop_leave(const struct pier__loop *loop);

/*
 * One turn, which waits no longer than until the limit. 0; -EDEADLK: nobody can ever run again; or
 * how the backend failed.
 */
int pier__loop_turn(struct pier__loop *loop, pier_time limit);

/*
 * The second half of one: let the backend work, until something has come or the point has, and make
 * those ready.
 */
int pier__loop_look(struct pier__loop *loop, pier_time until);

/* A turn has failed: say so, the first time in a row, and cancel all tasks. */
void pier__loop_unstick(struct pier__loop *loop);

/* The same where that must end: the second time they are left where they are. */
void pier__loop_give_up(struct pier__loop *loop);

void pier__loop_cancel_all(struct pier__loop *loop, int code);

/* Somebody is ready, and the loop idle: have it driven. */
void pier__loop_rouse(struct pier__loop *loop);

/* Close what the other loop watches. */
void pier__driven_close(struct pier__loop *loop);

/* As pier_run(), but that a thread which was told to end does so by pier__thread_end(). */
int pier__run_here(int (*fn)(void *arg), void *arg, const pier_run_opts *opts);

/*
 * Let the loop work, so that a task that ends its thread ends only itself: then the work is done
 * anew. What it returned. When all has been cleaned up, the verb that the thread is in calls
 * pier__thread_end(), which does not return if that has happened.
 */
typedef int pier__loop_work(struct pier__loop *loop, pier_time deadline);
int pier__loop_run(struct pier__loop *loop, pier__loop_work *work, pier_time deadline);
void pier__thread_end(void);

/* See to it that its tasks end even if its thread does so while it is idle: 0 or a code. */
int pier__left_watch(struct pier__loop *loop);
void pier__left_unwatch(void);

/* Cancel the tasks of a driven loop, and close it when they have ended, as pier_loop_close(). */
int pier__driven_end(struct pier__loop *loop, pier_time deadline);

/*
 * Have this thread's loop, if there is one that can, close a socket with what else it has for the
 * kernel, before it waits; false: it is the caller's to close.
 */
bool pier__loop_closes(int fd, struct pier__life *life, int64_t grave);

/* Put a waker into the inbox and see that the loop looks there. Async-signal-safe. */
void pier__loop_post(struct pier__loop *loop, struct pier__waker *waker);

/* Wake whom the inbox names, and those whose descriptor is closing. */
void pier__loop_drain(struct pier__loop *loop);

/* The loop was signalled: read its eventfd. For backends. */
void pier__loop_signalled(struct pier__loop *loop);

/* The watch of a descriptor; NULL: nobody has waited for it, or one near it, yet. */
static inline struct pier__watch *pier__loop_find_watch(const struct pier__loop *loop, int fd)
{
    size_t chunk = (unsigned)fd / PIER__WATCHES;
    if (PIER_UNLIKELY(chunk >= loop->watch_chunks || !loop->watches[chunk].watches)) return NULL;
    return &loop->watches[chunk].watches[(unsigned)fd % PIER__WATCHES];
}

/* Likewise, made if need be; NULL: no memory, or no descriptor has such a number. */
struct pier__watch *pier__loop_make_watch(struct pier__loop *loop, int fd);
static inline struct pier__watch *pier__loop_watch(struct pier__loop *loop, int fd)
{
    struct pier__watch *watch = pier__loop_find_watch(loop, fd);
    return PIER_LIKELY(watch != NULL) ? watch : pier__loop_make_watch(loop, fd);
}

/* Report its tasks on a descriptor: 0 or what write(2) said. */
int pier__loop_dump(struct pier__loop *loop, int fd);

/*
 * A descriptor is closing: wake the tasks of all loops that wait for it. Under pier__life_lock().
 */
void pier__loops_closing(struct pier__life *life, int fd);

/*
 * The last one out is about to close a description that others share: no loop may hear of it any
 * more.
 */
void pier__loops_forget(int fd);

#endif
