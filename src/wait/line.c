/* SPDX-License-Identifier: MIT */
#include "wait/line.h"

#include "base/seam.h"
#include "wait/await.h"
#include "wait/park.h"

#include <errno.h>
#include <stddef.h>

void pier__line_join(struct pier__line *line, struct pier__place *place)
{
    place->line = line;
    place->before = line->last;
    place->behind = NULL;
    *(line->last ? &line->last->behind : &line->first) = place;
    line->last = place;
}

void pier__line_leave(struct pier__place *place)
{
    struct pier__line *line = place->line;
    if (!line) return;
    *(place->before ? &place->before->behind : &line->first) = place->behind;
    *(place->behind ? &place->behind->before : &line->last) = place->before;
    place->line = NULL;
}

/*
 * Let others have the lock, and the strand wait. 0: look again; or why it shall not stand there any
 * longer.
 */
static int pause_thread(const struct pier__standing *how)
{
    pthread_mutex_unlock(how->lock);
    int64_t woken = pier__await_woken(NULL, how->deadline);
    pthread_mutex_lock(how->lock);
    return woken < 0 ? (int)woken : 0;
}

static int pause_task(struct pier__task *task, const struct pier__standing *how)
{
    int code = task->shielded ? 0 : pier__task_called_off(task);
    if (code < 0) return pier__task_take_off(task, code);
    if (how->deadline != PIER_NEVER && pier__seam->now() >= how->deadline) return -ETIME;
    if (how->lock) pthread_mutex_unlock(how->lock);
    task->local = how->local;
    pier__task_park(task, how->doing, how->deadline);
    task->local = false;
    if (how->lock) pthread_mutex_lock(how->lock);
    return 0;
}

int pier__line_wait(
    struct pier__line *line, struct pier__place *place, const struct pier__standing *how)
{
    struct pier__task *task = pier__task_here();
    *place = (struct pier__place){0};
    int code = pier__waker(&place->waker);
    if (code < 0) return code;
    pier__line_join(line, place);
    if (task) pier__task_stands(task, place, 1);
    while (!place->called && code == 0) {
        code = task ? pause_task(task, how) : pause_thread(how);
    }
    if (task) pier__task_stands(task, NULL, 0);
    if (place->called) return 0;
    pier__line_leave(place);
    return code;
}

bool pier__line_call(struct pier__line *line, int64_t value)
{
    struct pier__place *place = line->first;
    if (!place) return false;
    pier__line_leave(place);
    place->value = value;
    place->called = true;
    pier__wake(place->waker);
    return true;
}

void pier__line_stir(const struct pier__line *line)
{
    for (const struct pier__place *place = line->first; place; place = place->behind) {
        pier__wake(place->waker);
    }
}
