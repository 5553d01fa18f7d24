/* SPDX-License-Identifier: MIT */
#include "wait/turn.h"

#include "base/strand.h"
#include "wait/await.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>

void pier__turn_give(struct pier__turn *turn)
{
    atomic_store_explicit(&turn->holder, 0, memory_order_relaxed);
    uint32_t alone = 1;
    if (atomic_compare_exchange_strong_explicit(
            &turn->state, &alone, 0, memory_order_release, memory_order_relaxed))
        return;
    pier__life_lock();
    if (!pier__line_call(&turn->waiting, 0))
        atomic_store_explicit(&turn->state, 0, memory_order_release);
    pier__life_unlock();
}

/*
 * Wait until granted, or give up and leave the queue. A grant that came at the last moment is
 * accepted; but a cancel that was told here is told nowhere else, so then it is passed on.
 */
static int await_grant(
    struct pier__turn *turn, struct pier__place *self, struct pier__life *life, pier_time deadline)
{
    int64_t err = 0;
    for (;;) {
        pier__life_lock();
        bool granted = self->called;
        if (!granted && err < 0) pier__line_leave(self);
        pier__life_unlock();
        if (granted && (err >= 0 || err == -ETIME)) return 0;
        if (granted) pier__turn_give(turn);
        if (err < 0) return (int)err;
        err = pier__await_woken(life, deadline);
    }
}

static int take(
    struct pier__turn *turn, struct pier__life *life, int64_t timeout, pier_time deadline)
{
    uint32_t is_free = 0;
    if (atomic_compare_exchange_strong_explicit(
            &turn->state, &is_free, 1, memory_order_acquire, memory_order_relaxed))
        return 0;
    if (timeout == 0) return -EAGAIN;
    uint32_t holder = atomic_load_explicit(&turn->holder, memory_order_relaxed);
    if (holder == pier__strand_number()) return -EDEADLK;
    struct pier__place self = {0};
    int err = pier__waker(&self.waker);
    if (err < 0) return err;
    pier__life_lock();
    bool got_it = atomic_exchange_explicit(&turn->state, 2, memory_order_acquire) == 0;
    if (!got_it) pier__line_join(&turn->waiting, &self);
    pier__life_unlock();
    return got_it ? 0 : await_grant(turn, &self, life, deadline);
}

int pier__turn_take(
    struct pier__turn *turn, struct pier__life *life, int64_t timeout, pier_time deadline)
{
    int err = take(turn, life, timeout, deadline);
    if (err == 0) atomic_store_explicit(&turn->holder, pier__strand_number(), memory_order_relaxed);
    return err;
}
