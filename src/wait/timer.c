/* SPDX-License-Identifier: MIT */
#include "wait/timer.h"

#include "base/seam.h"

#include <errno.h>

int pier__timers_reserve(struct pier__timers *timers, size_t room)
{
    if (room <= timers->room) return 0;
    size_t more = timers->room < 16 ? 16 : 2 * timers->room;
    if (more < room) more = room;
    void *heap = pier__seam->allocate(timers->heap, more * sizeof(void *));
    if (!heap) return -ENOMEM;
    timers->heap = heap;
    timers->room = more;
    return 0;
}

void pier__timers_free(struct pier__timers *timers)
{
    pier__seam->release(timers->heap);
    *timers = (struct pier__timers){0};
}

static void put(struct pier__timers *timers, struct pier__timer *timer, size_t i)
{
    timers->heap[i] = timer;
    timer->place = i + 1;
}

/* Let it rise from i to where its parent is no later. */
static void rise(struct pier__timers *timers, struct pier__timer *timer, size_t i)
{
    while (i > 0) {
        size_t parent = (i - 1) / 2;
        if (timers->heap[parent]->at <= timer->at) break;
        put(timers, timers->heap[parent], i);
        i = parent;
    }
    put(timers, timer, i);
}

/* Let it sink from i to where its children are no earlier. */
static void sink(struct pier__timers *timers, struct pier__timer *timer, size_t i)
{
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= timers->count) break;
        if (child + 1 < timers->count && timers->heap[child + 1]->at < timers->heap[child]->at)
            child++;
        if (timers->heap[child]->at >= timer->at) break;
        put(timers, timers->heap[child], i);
        i = child;
    }
    put(timers, timer, i);
}

void pier__timer_set(struct pier__timers *timers, struct pier__timer *timer, pier_time at)
{
    timer->at = at;
    rise(timers, timer, timers->count++);
}

void pier__timer_clear(struct pier__timers *timers, struct pier__timer *timer)
{
    if (timer->place == 0) return;
    size_t i = timer->place - 1;
    timer->place = 0;
    struct pier__timer *last = timers->heap[--timers->count];
    if (last == timer) return;
    if (i > 0 && timers->heap[(i - 1) / 2]->at > last->at)
        rise(timers, last, i);
    else
        sink(timers, last, i);
}

struct pier__timer *pier__timers_due(struct pier__timers *timers, pier_time now)
{
    if (pier__timers_next(timers) > now || timers->count == 0) return NULL;
    struct pier__timer *timer = timers->heap[0];
    pier__timer_clear(timers, timer);
    return timer;
}
