/* SPDX-License-Identifier: MIT */
#include "wait/object.h"

#include "base/seam.h"
#include "base/strand.h"
#include "wait/loop.h"
#include "wait/task.h"

#include <pier/error.h>

#include <errno.h>

static bool is_own(struct pier__object *object)
{
    uint32_t self = pier__thread_number();
    uint32_t owner = atomic_load_explicit(&object->owner, memory_order_relaxed);
    if (owner == self) return true;
    return owner == 0 && atomic_compare_exchange_strong(&object->owner, &owner, self);
}

int pier__object_enter(struct pier__object *object)
{
    if (!object) return -EINVAL;
    if (object->outside)
        pthread_mutex_lock(&object->lock);
    else if (!is_own(object))
        return PIER_EFOREIGN;
    return 0;
}

void pier__object_leave(struct pier__object *object)
{
    if (object->outside) pthread_mutex_unlock(&object->lock);
}

int pier__object_begin(struct pier__object *object, pier_time deadline)
{
    if (deadline < 0) return (int)deadline;
    if (!object) return -EINVAL;
    int code = pier__task_begin();
    if (code < 0) return code;
    return pier__object_enter(object);
}

bool pier__object_is_local(const struct pier__object *object)
{
    return !object->outside && !(pier__loop_here && pier__loop_here->driven);
}

static bool is_over(pier_time deadline)
{
    return deadline != PIER_NEVER && pier__seam->now() >= deadline;
}

int pier__object_wait(
    struct pier__object *object, struct pier__place *place, pier_time deadline, const char *doing)
{
    const struct pier__standing how = {.lock = object->outside ? &object->lock : NULL,
        .local = pier__object_is_local(object),
        .deadline = deadline,
        .doing = doing};
    if (!object->outside && !pier__task_here()) return is_over(deadline) ? -ETIME : PIER_ENOTASK;
    return pier__line_wait(&object->waiting, place, &how);
}

int pier__object_watch(struct pier__object *object, struct pier__place *place)
{
    int err = pier__object_enter(object);
    if (err < 0) return err;
    pier__line_join(&object->watching, place);
    pier__object_leave(object);
    return 0;
}

void pier__object_unwatch(struct pier__object *object, struct pier__place *place)
{
    if (pier__object_enter(object) < 0) return;
    pier__line_leave(place);
    pier__object_leave(object);
}
