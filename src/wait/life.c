/* SPDX-License-Identifier: MIT */
#include "wait/life.h"

#include "wait/loop.h"

#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void pier__life_lock(void) { pthread_mutex_lock(&lock); }

void pier__life_unlock(void) { pthread_mutex_unlock(&lock); }

static void watch_forks(void)
{
    pthread_atfork(pier__life_lock, pier__life_unlock, pier__life_unlock);
}

void pier__life_watch_forks(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
}

void pier__life_watch(struct pier__life *life, struct pier__waiter *waiter)
{
    pier__life_lock();
    waiter->link = &life->waiters;
    waiter->next = life->waiters;
    if (waiter->next) waiter->next->link = &waiter->next;
    life->waiters = waiter;
    pier__life_unlock();
}

void pier__life_unwatch(struct pier__waiter *waiter)
{
    pier__life_lock();
    *waiter->link = waiter->next;
    if (waiter->next) waiter->next->link = waiter->link;
    pier__life_unlock();
}

void pier__life_wake(struct pier__life *life, int fd)
{
    pier__life_lock();
    for (struct pier__waiter *w = life->waiters; w; w = w->next) {
        pier__wake(w->waker);
    }
    pier__loops_closing(life, fd);
    pier__life_unlock();
}

void pier__life_clear_grave(struct pier__life *life, int64_t grave)
{
    int64_t was = atomic_load(&life->state);
    while ((was & ~PIER__INSIDE) == grave) {
        if (atomic_compare_exchange_weak(&life->state, &was, was & PIER__INSIDE)) break;
    }
}

void pier__life_after_fork(struct pier__life *life)
{
    int64_t was = atomic_load(&life->state);
    bool grave = (was & (PIER__OPEN | PIER__CLOSING)) == PIER__CLOSING;
    atomic_store(
        &life->state, grave ? 0 : was & ~PIER__INSIDE); /* nobody is left to clear a grave */
    life->waiters = NULL;
}
