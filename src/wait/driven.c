/* SPDX-License-Identifier: MIT */
/*
 * A loop that another loop drives. Between its turns it is idle. The other one watches an epoll(7)
 * of two descriptors: the backend's own, and an alarm, which goes off when the next timer is due,
 * or at once if somebody is ready.
 */
#include "base/bits.h"
#include "base/failure.h"
#include "base/seam.h"
#include "base/time.h"
#include "base/trace.h"
#include "wait/loop.h"

#include <pier/error.h>
#include <pier/loop.h>

#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>

#define AT_ONCE 1 /* a point that has passed */

static void set_alarm(struct pier__loop *loop, pier_time at)
{
    if (loop->alarm == at) return;
    if (pier__seam->timerfd_set(loop->alarm_fd, at) == 0) loop->alarm = at;
}

void pier__loop_rouse(struct pier__loop *loop) { set_alarm(loop, AT_ONCE); }

static void wake(struct pier__loop *loop)
{
    loop->idle = false;
    pier__loop_enter(loop);
}

static void rest(struct pier__loop *loop)
{
    bool at_once = loop->ready_count > 0 || loop->backlog;
    pier_time next = pier__timers_next(&loop->timers);
    if (loop->task_count == 0) loop->stuck = false;
    set_alarm(loop, at_once || next < AT_ONCE ? AT_ONCE : next);
    pier__loop_leave(loop);
    loop->idle = true;
}

static int watch(struct pier__loop *loop, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};
    return pier__seam->epoll_ctl(loop->outer_fd, EPOLL_CTL_ADD, fd, &event);
}

static int make_descriptors(struct pier__loop *loop)
{
    loop->outer_fd = pier__seam->epoll_create(EPOLL_CLOEXEC);
    if (loop->outer_fd < 0) return loop->outer_fd;
    loop->alarm_fd = pier__seam->timerfd();
    if (loop->alarm_fd < 0) return loop->alarm_fd;
    int err = watch(loop, loop->alarm_fd);
    return err < 0 ? err : watch(loop, loop->fd);
}

void pier__driven_close(struct pier__loop *loop)
{
    if (loop->alarm_fd >= 0) pier__seam->close(loop->alarm_fd);
    if (loop->outer_fd >= 0) pier__seam->close(loop->outer_fd);
}

static int open_driven(const pier_run_opts *opts)
{
    static const pier_run_opts defaults = {0};
    if (!opts) opts = &defaults;
    if (!pier__is_zero(opts->reserved, sizeof opts->reserved)) return -EINVAL;
    if (pier__loop_here) return -EBUSY;
    struct pier__loop *loop;
    int err = pier__loop_open(opts, /* driven= */ true, &loop);
    if (err < 0) return err;
    err = make_descriptors(loop);
    if (err < 0) {
        pier__loop_close(loop);
        return err;
    }
    loop->alarm = PIER_NEVER;
    rest(loop);
    return 0;
}

int pier_loop_open(const pier_run_opts *opts)
{
    pier_time began = pier__trace_begin();
    int err = open_driven(opts);
    if (PIER_UNLIKELY(began)) pier__trace_end(began, -1, err, "loop_open()");
    return (int)pier__failed("open a loop", NULL, err);
}

int pier_loop_fd(void)
{
    const struct pier__loop *loop = pier__loop_here;
    if (loop && loop->driven) return loop->outer_fd;
    return (int)pier__failed("ask for the descriptor of a loop", NULL, PIER_ENOLOOP);
}

/* This thread's driven loop, if nothing of it is running. */
static int find(struct pier__loop **out)
{
    struct pier__loop *loop = pier__loop_here;
    if (!loop || !loop->driven) return PIER_ENOLOOP;
    if (!loop->idle) return -EBUSY;
    *out = loop;
    return 0;
}

/* First what has come, since that is why it was called. */
static int look_and_turn(struct pier__loop *loop, pier_time until)
{
    int err = pier__loop_look(loop, until);
    if (err == 0) err = pier__loop_turn(loop, until);
    if (err < 0)
        pier__loop_unstick(loop);
    else
        loop->stuck = false;
    return err;
}

static int turn(void)
{
    struct pier__loop *loop;
    int err = find(&loop);
    if (err < 0) return err;
    wake(loop);
    err = pier__loop_run(loop, look_and_turn, 0);
    rest(loop);
    size_t count = loop->task_count;
    return err < 0 ? err : count < INT_MAX ? (int)count : INT_MAX;
}

int pier_loop_turn(void)
{
    int err = turn();
    pier__thread_end();
    return (int)pier__failed("turn the loop", NULL, err);
}

/* Cancel all, and turn until they have ended. */
static int end_tasks(struct pier__loop *loop, pier_time deadline)
{
    int result = 0;
    loop->stuck = false;
    pier__loop_cancel_all(loop, -ECANCELED);
    while (loop->task_count > 0) {
        int err = pier__loop_turn(loop, deadline);
        if (err < 0) pier__loop_give_up(loop);
        if (err < 0 && result == 0) result = err;
        if (loop->task_count > 0 && deadline != PIER_NEVER && pier__seam->now() >= deadline)
            return -ETIME;
    }
    return result;
}

int pier__driven_end(struct pier__loop *loop, pier_time deadline)
{
    wake(loop);
    int err = pier__loop_run(loop, end_tasks, deadline);
    if (err == -ETIME)
        rest(loop);
    else
        pier__loop_close(loop);
    return err;
}

static int close_driven(pier_time deadline)
{
    struct pier__loop *loop;
    if (deadline < 0) return -EINVAL;
    int err = find(&loop);
    if (err < 0) return err;
    return pier__driven_end(loop, deadline);
}

int pier_loop_close(pier_time deadline)
{
    pier_time began = pier__trace_begin();
    int err = close_driven(deadline);
    pier__thread_end();
    if (PIER_UNLIKELY(began)) pier__trace_end(began, -1, err, "loop_close()");
    return (int)pier__failed("close the loop", NULL, err);
}
