/* SPDX-License-Identifier: MIT */
/*
 * When requests are due. Without a rate: at once, until the end. With one, a task releases a permit
 * at the moment each is due, and whoever is free takes it: one for which nobody was free in time
 * waits, and its latency counts from when it was due.
 */
#include "bench.h"

#include <errno.h>
#include <math.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { TURN = 64 };

static pier_time due_at(const struct pace *it, uint64_t number)
{
    return it->start + (pier_time)((double)number * (double)PIER_SECOND / it->rate);
}

/* A timer of its own: epoll_wait(2), which may run the loop, counts milliseconds. */
static int wait_until(int timer, pier_time point)
{
    struct itimerspec when = {
        .it_value = {.tv_sec = point / PIER_SECOND, .tv_nsec = point % PIER_SECOND}};
    if (timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL) < 0) return -errno;
    int err = pier_wait_readable(timer, PIER_NEVER);
    uint64_t times;
    if (err == 0 && read(timer, &times, sizeof times) < 0 && errno != EAGAIN) err = -errno;
    return err;
}

int pace_run(void *pace)
{
    struct pace *it = pace;
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    int err = timer < 0 ? -errno : 0;
    while (err == 0) {
        pier_time next = due_at(it, it->given);
        if (next >= it->end) break;
        if (next > pier_now()) {
            err = wait_until(timer, next);
        } else {
            pier_semaphore_release(&it->due);
            /* At a rate that nobody keeps up with the others have their turn all the same. */
            if (++it->given % TURN == 0) err = pier_yield();
        }
    }
    if (timer >= 0) close(timer);
    return err;
}

pier_time pace_next(struct pace *it)
{
    pier_time now = pier_now();
    if (now >= it->end) return -ETIME;
    if (it->rate == 0) return now;
    int err = pier_semaphore_acquire(&it->due, it->end);
    return err < 0 ? err : due_at(it, it->taken++);
}

uint64_t pace_unsent(const struct pace *it)
{
    if (it->rate == 0 || it->end <= it->start) return 0;
    /* Not what was given: its task may not have come to give the last ones. */
    uint64_t due = (uint64_t)((double)(it->end - it->start) * it->rate / (double)PIER_SECOND);
    while (due_at(it, due) < it->end)
        due++;
    while (due > 0 && due_at(it, due - 1) >= it->end)
        due--;
    return due > it->taken ? due - it->taken : 0;
}
