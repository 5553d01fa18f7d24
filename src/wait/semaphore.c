/* SPDX-License-Identifier: MIT */
/* A number of permits. */
#include "base/bits.h"
#include "base/failure.h"
#include "base/trace.h"
#include "wait/object.h"

#include <errno.h>
#include <stddef.h>

PIER__OBJECT_FITS(pier_semaphore);

static struct pier__object *object_of(pier_semaphore *semaphore) { return (void *)semaphore; }

/* What the caller has filled in may be nonsense. */
static bool is_valid(const pier_semaphore *semaphore)
{
    return semaphore->bound == 0 || semaphore->value <= semaphore->bound;
}

static int acquire(pier_semaphore *semaphore, pier_time deadline)
{
    struct pier__object *object = object_of(semaphore);
    struct pier__place place;
    int err = pier__object_begin(object, deadline);
    if (err < 0) return err;
    if (!is_valid(semaphore))
        err = -EINVAL;
    else if (semaphore->value > 0)
        semaphore->value--;
    else
        err = pier__object_wait(object, &place, deadline, "a semaphore");
    pier__object_leave(object);
    return err;
}

int pier_semaphore_acquire(pier_semaphore *semaphore, pier_time deadline)
{
    pier_time began = pier__trace_begin();
    int err = acquire(semaphore, deadline);
    if (PIER_UNLIKELY(began)) pier__trace_end(began, -1, err, "semaphore_acquire()");
    return (int)pier__failed("acquire a semaphore", NULL, err);
}

/*
 * Nobody waits while there is a permit left, so one more goes to the first who waits, or is there
 * for whoever comes.
 */
static int add_permit(pier_semaphore *semaphore)
{
    struct pier__object *object = object_of(semaphore);
    size_t most = semaphore->bound ? semaphore->bound : SIZE_MAX;
    if (!is_valid(semaphore)) return -EINVAL;
    if (semaphore->value == most) return -EOVERFLOW;
    if (pier__line_call(&object->waiting, 0)) return 0;
    semaphore->value++;
    pier__line_stir(&object->watching);
    return 0;
}

static int release(pier_semaphore *semaphore)
{
    int err = pier__object_enter(object_of(semaphore));
    if (err < 0) return err;
    err = add_permit(semaphore);
    pier__object_leave(object_of(semaphore));
    return err;
}

int pier_semaphore_release(pier_semaphore *semaphore)
{
    pier_time began = pier__trace_begin();
    int err = release(semaphore);
    if (PIER_UNLIKELY(began)) pier__trace_end(began, -1, err, "semaphore_release()");
    return (int)pier__failed("release a semaphore", NULL, err);
}

int pier__semaphore_ready(pier_semaphore *semaphore)
{
    int err = pier__object_enter(object_of(semaphore));
    if (err < 0) return err;
    int ready = !is_valid(semaphore) ? -EINVAL : semaphore->value > 0;
    pier__object_leave(object_of(semaphore));
    return ready;
}

int pier_semaphore_locked(pier_semaphore *semaphore)
{
    int ready = pier__semaphore_ready(semaphore);
    return (int)pier__failed("look at a semaphore", NULL, ready < 0 ? ready : !ready);
}
