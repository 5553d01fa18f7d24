/* SPDX-License-Identifier: MIT */
/* Something that happens, and who waits for it. */
#include "base/bits.h"
#include "base/failure.h"
#include "base/trace.h"
#include "wait/object.h"

#include <stddef.h>

PIER__OBJECT_FITS(pier_event);

static struct pier__object *object_of(pier_event *event) { return (void *)event; }

static int change(pier_event *event, bool to)
{
    struct pier__object *object = object_of(event);
    int err = pier__object_enter(object);
    if (err < 0) return err;
    event->happened = to;
    while (to && pier__line_call(&object->waiting, 0)) {
    }
    if (to) pier__line_stir(&object->watching);
    pier__object_leave(object);
    return 0;
}

int pier_event_set(pier_event *event)
{
    pier_time began = pier__trace_begin();
    int err = change(event, true);
    if (PIER_UNLIKELY(began)) pier__trace_end(began, -1, err, "event_set()");
    return (int)pier__failed("set an event", NULL, err);
}

int pier_event_clear(pier_event *event)
{
    pier_time began = pier__trace_begin();
    int err = change(event, false);
    if (PIER_UNLIKELY(began)) pier__trace_end(began, -1, err, "event_clear()");
    return (int)pier__failed("clear an event", NULL, err);
}

int pier__event_ready(pier_event *event)
{
    int err = pier__object_enter(object_of(event));
    if (err < 0) return err;
    int set = event->happened;
    pier__object_leave(object_of(event));
    return set;
}

int pier_event_is_set(pier_event *event)
{
    return (int)pier__failed("look at an event", NULL, pier__event_ready(event));
}

static int wait_for(pier_event *event, pier_time deadline)
{
    struct pier__object *object = object_of(event);
    struct pier__place place;
    int err = pier__object_begin(object, deadline);
    if (err < 0) return err;
    if (!event->happened) err = pier__object_wait(object, &place, deadline, "an event");
    pier__object_leave(object);
    return err;
}

int pier_event_wait(pier_event *event, pier_time deadline)
{
    pier_time began = pier__trace_begin();
    int err = wait_for(event, deadline);
    if (PIER_UNLIKELY(began)) pier__trace_end(began, -1, err, "event_wait()");
    return (int)pier__failed("wait for an event", NULL, err);
}
