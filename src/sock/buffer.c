/* SPDX-License-Identifier: MIT */
#include "sock/buffer.h"

#include "base/seam.h"
#include "sock/gro.h"

#include <pier/net.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>

#define LEAST 4096
#define MOST  ((size_t)PIER_LINE_MAX)

/*
 * Once made it stays with its entry for good, so that nobody finds it gone; its bytes come and go.
 */
struct pier__buffer {
    pthread_mutex_t lock;
    char *bytes;
    size_t capacity;
    size_t head, tail; /* what lies in it: from head up to tail */
    size_t room;       /* what the last pier__buffer_reserve() gave */
    size_t came;       /* what the last pier__buffer_commit() brought */
    uint64_t taken;    /* how many bytes ever left: the place of head in the stream */
    bool filling;      /* between reserve and commit: nothing may move */
};

static struct pier__buffer *buffer_of(struct pier__entry *entry)
{
    return atomic_load_explicit(&entry->buffer, memory_order_acquire);
}

/* Only the holder of the turn makes one, so nobody is faster. */
static struct pier__buffer *make(struct pier__entry *entry)
{
    struct pier__buffer *b = pier__allocate_zeroed(1, sizeof *b);
    if (!b) return NULL;
    pthread_mutex_init(&b->lock, NULL);
    atomic_store_explicit(&entry->buffer, b, memory_order_release);
    return b;
}

static void take(struct pier__entry *entry, struct pier__buffer *b, void *buf, size_t n)
{
    memcpy(buf, b->bytes + b->head, n);
    b->head += n;
    b->taken += n;
    if (b->head == b->tail) pier__mark_special(entry, PIER__HAS_BUFFER, false);
}

ssize_t pier__buffer_drain(struct pier__entry *entry, void *buf, size_t len, int flags)
{
    struct pier__buffer *b = buffer_of(entry);
    if (!b || len == 0) return 0;
    pthread_mutex_lock(&b->lock);
    size_t n = b->tail - b->head;
    if (n > len) n = len;
    if (n > 0 && flags & MSG_PEEK)
        memcpy(buf, b->bytes + b->head, n);
    else if (n > 0)
        take(entry, b, buf, n);
    pthread_mutex_unlock(&b->lock);
    return (ssize_t)n;
}

uint64_t pier__buffer_place(struct pier__entry *entry)
{
    struct pier__buffer *b = buffer_of(entry);
    if (!b) return 0;
    pthread_mutex_lock(&b->lock);
    uint64_t place = b->taken;
    pthread_mutex_unlock(&b->lock);
    return place;
}

bool pier__buffer_untake(struct pier__entry *entry, uint64_t place, size_t n)
{
    struct pier__buffer *b = buffer_of(entry);
    if (!b) return false;
    pthread_mutex_lock(&b->lock);
    bool alone = b->taken == place + n && b->head >= n && !b->filling;
    if (alone) {
        b->head -= n;
        b->taken -= n;
        pier__mark_special(entry, PIER__HAS_BUFFER, true);
    }
    pthread_mutex_unlock(&b->lock);
    return alone;
}

size_t pier__buffer_pending(struct pier__entry *entry)
{
    struct pier__buffer *b = buffer_of(entry);
    if (!b) return pier__gro_pending(entry);
    pthread_mutex_lock(&b->lock);
    size_t n = b->tail - b->head;
    pthread_mutex_unlock(&b->lock);
    return n;
}

bool pier__buffer_ready(struct pier__entry *entry)
{
    return pier__gro_kept(entry) || pier__buffer_pending(entry) > 0;
}

void pier__buffer_free(struct pier__entry *entry)
{
    pier__gro_free(entry);
    struct pier__buffer *b = buffer_of(entry);
    if (!b) return;
    pthread_mutex_lock(&b->lock);
    pier__seam->release(b->bytes);
    b->bytes = NULL;
    b->capacity = b->head = b->tail = b->room = b->came = 0;
    b->filling = false;
    pthread_mutex_unlock(&b->lock);
}

void pier__buffer_after_fork(struct pier__entry *entry)
{
    pier__gro_after_fork(entry);
    struct pier__buffer *b = buffer_of(entry);
    if (!b) return;
    if (pthread_mutex_trylock(&b->lock) == 0) {
        pthread_mutex_unlock(&b->lock);
    } else { /* what another thread was changing may be half changed; it is that thread's to read */
        *b = (struct pier__buffer){.taken = b->taken};
        pthread_mutex_init(&b->lock, NULL);
        pier__mark_special(entry, PIER__HAS_BUFFER, false);
    }
    b->filling = false;
}

/* A stream that fills all the room it gets shall have more, one that has slowed down less. */
static size_t best_capacity(const struct pier__buffer *b)
{
    size_t pending = b->tail - b->head;
    if (b->capacity == 0) return LEAST;
    bool filled = b->came > 0 && b->came == b->room;
    if (b->capacity < MOST && (filled || b->capacity - pending < b->capacity / 2))
        return 2 * b->capacity;
    return pending == 0 && b->came <= LEAST / 2 ? LEAST : b->capacity;
}

/* Move what lies in it to the front of memory of another size; where there is none, of its own. */
static void settle(struct pier__buffer *b)
{
    size_t pending = b->tail - b->head, capacity = best_capacity(b);
    char *bytes = capacity == b->capacity ? NULL : pier__seam->allocate(NULL, capacity);
    if (bytes) {
        if (pending > 0) memcpy(bytes, b->bytes + b->head, pending);
        pier__seam->release(b->bytes);
        b->bytes = bytes;
        b->capacity = capacity;
    } else if (pending > 0 && b->head > 0) {
        memmove(b->bytes, b->bytes + b->head, pending);
    }
    b->head = 0;
    b->tail = pending;
}

void *pier__buffer_reserve(struct pier__entry *entry, size_t *out_room)
{
    struct pier__buffer *b = buffer_of(entry);
    if (!b) b = make(entry);
    if (!b) return NULL;
    pthread_mutex_lock(&b->lock);
    settle(b);
    b->room = b->capacity - b->tail;
    b->filling = b->room > 0;
    void *room = b->filling ? b->bytes + b->tail : NULL;
    *out_room = b->room;
    pthread_mutex_unlock(&b->lock);
    return room;
}

void pier__buffer_commit(struct pier__entry *entry, size_t came)
{
    struct pier__buffer *b = buffer_of(entry);
    pthread_mutex_lock(&b->lock);
    b->tail += came;
    b->came = came;
    b->filling = false;
    if (came > 0) pier__mark_special(entry, PIER__HAS_BUFFER, true);
    pthread_mutex_unlock(&b->lock);
}

size_t pier__find(const char *bytes, size_t n, size_t from, const struct pier__search *search)
{
    if (n < search->length || from > n - search->length) return 0;
    const char *at = search->length == 1
                         ? memchr(bytes + from, *(const char *)search->delimiter, n - from)
                         : memmem(bytes + from, n - from, search->delimiter, search->length);
    return at ? (size_t)(at - bytes) + search->length : 0;
}

ssize_t pier__buffer_take(struct pier__entry *entry, struct pier__search *search, void *buf)
{
    struct pier__buffer *b = buffer_of(entry);
    if (!b) return search->limit ? 0 : -EMSGSIZE;
    pthread_mutex_lock(&b->lock);
    size_t pending = b->tail - b->head;
    size_t n = pending < search->limit ? pending : search->limit;
    size_t from = search->seen > b->taken ? (size_t)(search->seen - b->taken) : 0;
    size_t found = n > 0 ? pier__find(b->bytes + b->head, n, from, search) : 0;
    ssize_t result = (ssize_t)found;
    if (found > 0)
        take(entry, b, buf, found);
    else if (n == search->limit)
        result = -EMSGSIZE;
    else if (n >= search->length)
        search->seen = b->taken + n - (search->length - 1);
    pthread_mutex_unlock(&b->lock);
    return result;
}
