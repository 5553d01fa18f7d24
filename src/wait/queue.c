/* SPDX-License-Identifier: MIT */
/* Items of one size, first in, first out. */
#include "base/bits.h"
#include "base/failure.h"
#include "base/seam.h"
#include "base/trace.h"
#include "wait/object.h"

#include <pier/error.h>

#include <errno.h>
#include <stddef.h>
#include <string.h>

PIER__OBJECT_FITS(pier_queue);

/*
 * Who waits, with the item. Getters wait only while the queue is empty and putters only while it is
 * full, so never both; and an item goes straight into the hands of the getter who is called for it.
 */
struct waiter {
    struct pier__place place;
    void *into;       /* a getter */
    const void *from; /* a putter */
};

static struct pier__object *object_of(pier_queue *queue) { return (void *)queue; }

static struct waiter *first_of(pier_queue *queue)
{
    struct pier__place *first = object_of(queue)->waiting.first;
    return first ? PIER_CONTAINER_OF(first, struct waiter, place) : NULL;
}

static bool is_full(const pier_queue *queue) { return queue->count == queue->capacity; }

/* Making and unmaking. */

static int init(pier_queue *queue, const pier_queue_opts *opts)
{
    static const pier_queue_opts defaults = {0};
    if (!opts) opts = &defaults;
    if (!queue || !pier__is_zero(opts->reserved, sizeof opts->reserved)) return -EINVAL;
    size_t size = opts->item_size ? opts->item_size : sizeof(void *);
    size_t capacity = opts->capacity ? opts->capacity : PIER_QUEUE_CAPACITY;
    if (size > PTRDIFF_MAX / capacity) return -EINVAL;
    char *items = pier__seam->allocate(NULL, capacity * size);
    if (!items) return -ENOMEM;
    *queue = (pier_queue){
        .outside = opts->outside, .items = items, .item_size = size, .capacity = capacity};
    return 0;
}

int pier_queue_init(pier_queue *queue, const pier_queue_opts *opts)
{
    pier_time began = pier__trace_begin();
    int err = init(queue, opts);
    if (PIER_UNLIKELY(began)) pier__trace_end(began, -1, err, "queue_init()");
    return (int)pier__failed("make a queue", NULL, err);
}

static int done(pier_queue *queue)
{
    if (!queue) return 0;
    struct pier__object *object = object_of(queue);
    if (queue->outside) pthread_mutex_lock(&object->lock);
    bool busy = object->waiting.first || object->watching.first;
    if (queue->outside) pthread_mutex_unlock(&object->lock);
    if (busy) return -EBUSY;
    pier__seam->release(queue->items);
    *queue = (pier_queue){0};
    return 0;
}

int pier_queue_done(pier_queue *queue)
{
    pier_time began = pier__trace_begin();
    int err = done(queue);
    if (PIER_UNLIKELY(began)) pier__trace_end(began, -1, err, "queue_done()");
    return (int)pier__failed("free a queue", NULL, err);
}

/* Moving items. */

static char *slot(const pier_queue *queue, size_t i)
{
    return queue->items + (queue->head + i) % queue->capacity * queue->item_size;
}

static void push(pier_queue *queue, const void *item)
{
    memcpy(slot(queue, queue->count), item, queue->item_size);
    queue->count++;
}

/* 0; -EAGAIN: it is full; PIER_ESHUTDOWN. */
static int try_put(pier_queue *queue, const void *item)
{
    struct pier__object *object = object_of(queue);
    if (queue->shut) return PIER_ESHUTDOWN;
    if (is_full(queue)) return -EAGAIN;
    const struct waiter *getter = first_of(queue);
    if (getter) {
        memcpy(getter->into, item, queue->item_size);
        (void)pier__line_call(&object->waiting, 0);
    } else {
        push(queue, item);
        pier__line_stir(&object->watching);
    }
    return 0;
}

/* 0; -EAGAIN: it is empty; PIER_ESHUTDOWN. */
static int try_get(pier_queue *queue, void *out)
{
    struct pier__object *object = object_of(queue);
    if (queue->count == 0) return queue->shut ? PIER_ESHUTDOWN : -EAGAIN;
    memcpy(out, slot(queue, 0), queue->item_size);
    queue->head = (queue->head + 1) % queue->capacity;
    queue->count--;
    const struct waiter *putter = first_of(queue);
    if (putter) {
        push(queue, putter->from);
        (void)pier__line_call(&object->waiting, 0);
    } else {
        pier__line_stir(&object->watching);
    }
    return 0;
}

/* One that was never made, or is done, has no room. */
static int check(const pier_queue *queue, const void *item)
{
    return !queue || !item || queue->capacity == 0 ? -EINVAL : 0;
}

static int wait_in(pier_queue *queue, struct waiter *self, pier_time deadline, const char *doing)
{
    int err = pier__object_wait(object_of(queue), &self->place, deadline, doing);
    return err < 0 ? err : (int)self->place.value;
}

static int put(pier_queue *queue, const void *item, pier_time deadline)
{
    struct waiter self = {.from = item};
    int err = check(queue, item);
    if (err == 0) err = pier__object_begin(object_of(queue), deadline);
    if (err < 0) return err;
    err = try_put(queue, item);
    if (err == -EAGAIN) err = wait_in(queue, &self, deadline, "room in a queue");
    pier__object_leave(object_of(queue));
    return err;
}

int pier_queue_put(pier_queue *queue, const void *item, pier_time deadline)
{
    pier_time began = pier__trace_begin();
    int err = put(queue, item, deadline);
    if (PIER_UNLIKELY(began)) pier__trace_end(began, -1, err, "queue_put()");
    return (int)pier__failed("put into a queue", NULL, err);
}

static int get(pier_queue *queue, void *out, pier_time deadline)
{
    struct waiter self = {.into = out};
    int err = check(queue, out);
    if (err == 0) err = pier__object_begin(object_of(queue), deadline);
    if (err < 0) return err;
    err = try_get(queue, out);
    if (err == -EAGAIN) err = wait_in(queue, &self, deadline, "something in a queue");
    pier__object_leave(object_of(queue));
    return err;
}

int pier_queue_get(pier_queue *queue, void *out, pier_time deadline)
{
    pier_time began = pier__trace_begin();
    int err = get(queue, out, deadline);
    if (PIER_UNLIKELY(began)) pier__trace_end(began, -1, err, "queue_get()");
    return (int)pier__failed("get from a queue", NULL, err);
}

/* Without waiting. */

static int put_nowait(pier_queue *queue, const void *item)
{
    int err = check(queue, item);
    if (err == 0) err = pier__object_enter(object_of(queue));
    if (err < 0) return err;
    err = try_put(queue, item);
    pier__object_leave(object_of(queue));
    return err;
}

int pier_queue_put_nowait(pier_queue *queue, const void *item)
{
    pier_time began = pier__trace_begin();
    int err = put_nowait(queue, item);
    if (PIER_UNLIKELY(began)) pier__trace_end(began, -1, err, "queue_put_nowait()");
    return (int)pier__failed("put into a queue", NULL, err);
}

static int get_nowait(pier_queue *queue, void *out)
{
    int err = check(queue, out);
    if (err == 0) err = pier__object_enter(object_of(queue));
    if (err < 0) return err;
    err = try_get(queue, out);
    pier__object_leave(object_of(queue));
    return err;
}

int pier_queue_get_nowait(pier_queue *queue, void *out)
{
    pier_time began = pier__trace_begin();
    int err = get_nowait(queue, out);
    if (PIER_UNLIKELY(began)) pier__trace_end(began, -1, err, "queue_get_nowait()");
    return (int)pier__failed("get from a queue", NULL, err);
}

static int shut_down(pier_queue *queue, bool immediate)
{
    struct pier__object *object = object_of(queue);
    int err = check(queue, queue);
    if (err == 0) err = pier__object_enter(object);
    if (err < 0) return err;
    queue->shut = true;
    if (immediate) queue->count = 0;
    while (pier__line_call(&object->waiting, PIER_ESHUTDOWN)) {
    }
    pier__line_stir(&object->watching);
    pier__object_leave(object);
    return 0;
}

int pier_queue_shutdown(pier_queue *queue, bool immediate)
{
    pier_time began = pier__trace_begin();
    int err = shut_down(queue, immediate);
    if (PIER_UNLIKELY(began)) pier__trace_end(began, -1, err, "queue_shutdown(%d)", immediate);
    return (int)pier__failed("shut a queue down", NULL, err);
}

/* Asking. */

int pier__queue_ready(pier_queue *queue, bool to_put)
{
    int err = check(queue, queue);
    if (err == 0) err = pier__object_enter(object_of(queue));
    if (err < 0) return err;
    bool ready = to_put ? !is_full(queue) : queue->count > 0;
    ready = ready || queue->shut;
    pier__object_leave(object_of(queue));
    return ready;
}

static ssize_t how_many(pier_queue *queue)
{
    int err = check(queue, queue);
    if (err == 0) err = pier__object_enter(object_of(queue));
    if (err < 0) return err;
    size_t count = queue->count;
    pier__object_leave(object_of(queue));
    return (ssize_t)count;
}

ssize_t pier_queue_qsize(pier_queue *queue)
{
    return (ssize_t)pier__failed("look at a queue", NULL, how_many(queue));
}

ssize_t pier_queue_maxsize(const pier_queue *queue)
{
    int err = check(queue, queue);
    return err < 0 ? (ssize_t)pier__failed("look at a queue", NULL, err) : (ssize_t)queue->capacity;
}
