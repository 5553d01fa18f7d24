/* SPDX-License-Identifier: MIT */
#ifndef PIER_BASE_STRAND_H
#define PIER_BASE_STRAND_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A strand of calls: a thread, or a task. What pier remembers for each of them lies here; a loop
 * that goes from one task to the next changes one pointer. Zeroed: a strand that has done nothing
 * yet.
 */
struct pier__record; /* base/failure.c: its last failure */

struct pier__strand {
    struct pier__record *failed; /* NULL: nothing has failed yet */
    uint64_t returned[4];        /* a bit for each errno that a failed call returned */
    const char *name;            /* the task's own, or NULL */
    int task;                    /* the task's number; 0: it is a thread */
    uint32_t number;             /* see pier__strand_number(); 0: not given yet */
    bool traced; /* a traced call is under way: what it calls in turn is its own business */
};

/* The strand of the task that runs in this thread; NULL: the thread itself. */
extern _Thread_local struct pier__strand *pier__strand_of_task
    __attribute__((tls_model("initial-exec"), visibility("hidden")));

/* The strand that is running. */
struct pier__strand *pier__strand(void);

/* A number for this strand that no other has or had, and that is not 0. */
uint32_t pier__strand_number(void);

/* The same for the thread itself, whichever of its tasks is running. */
uint32_t pier__thread_number(void);

#endif
