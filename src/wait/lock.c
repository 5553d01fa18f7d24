/* SPDX-License-Identifier: MIT */
/* What one strand at a time may have. */
#include "base/bits.h"
#include "base/failure.h"
#include "base/strand.h"
#include "base/trace.h"
#include "wait/object.h"

#include <pier/error.h>

#include <errno.h>
#include <stddef.h>

PIER__OBJECT_FITS(pier_lock);

/* Who wants it: it is theirs from the moment on when they are called. */
struct wanted {
    struct pier__place place;
    uint32_t by; /* pier__strand_number() */
};

static struct pier__object *object_of(pier_lock *lock) { return (void *)lock; }

static int acquire(pier_lock *lock, pier_time deadline)
{
    struct pier__object *object = object_of(lock);
    struct wanted self = {.by = pier__strand_number()};
    int err = pier__object_begin(object, deadline);
    if (err < 0) return err;
    if (lock->holder == 0)
        lock->holder = self.by;
    else if (lock->holder == self.by)
        err = -EDEADLK;
    else
        err = pier__object_wait(object, &self.place, deadline, "a lock");
    pier__object_leave(object);
    return err;
}

int pier_lock_acquire(pier_lock *lock, pier_time deadline)
{
    pier_time began = pier__trace_begin();
    int err = acquire(lock, deadline);
    if (PIER_UNLIKELY(began)) pier__trace_end(began, -1, err, "lock_acquire()");
    return (int)pier__failed("acquire a lock", NULL, err);
}

static int release(pier_lock *lock)
{
    struct pier__object *object = object_of(lock);
    int err = pier__object_enter(object);
    if (err < 0) return err;
    if (lock->holder == pier__strand_number()) {
        struct pier__place *next = object->waiting.first;
        lock->holder = next ? PIER_CONTAINER_OF(next, struct wanted, place)->by : 0;
        (void)pier__line_call(&object->waiting, 0);
    } else {
        err = PIER_ENOTHELD;
    }
    pier__object_leave(object);
    return err;
}

int pier_lock_release(pier_lock *lock)
{
    pier_time began = pier__trace_begin();
    int err = release(lock);
    if (PIER_UNLIKELY(began)) pier__trace_end(began, -1, err, "lock_release()");
    return (int)pier__failed("release a lock", NULL, err);
}

static int is_locked(pier_lock *lock)
{
    int err = pier__object_enter(object_of(lock));
    if (err < 0) return err;
    int locked = lock->holder != 0;
    pier__object_leave(object_of(lock));
    return locked;
}

int pier_lock_locked(pier_lock *lock)
{
    return (int)pier__failed("look at a lock", NULL, is_locked(lock));
}
