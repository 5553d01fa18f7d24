/* SPDX-License-Identifier: MIT */
#ifndef PIER_SOCK_TABLE_H
#define PIER_SOCK_TABLE_H

#include "base/bits.h"
#include "base/failure.h"
#include "wait/await.h"
#include "wait/life.h"
#include "wait/turn.h"

#include <pier/addr.h>
#include <pier/time.h>

#include <stdatomic.h>
#include <stdint.h>
#include <sys/socket.h>

/*
 * What pier knows of a descriptor, indexed by its number. Entries lie in chunks that never move, so
 * a pointer to one stays good for the life of the process; the first chunk is static and
 * the others are allocated when a number falls into them, never per operation.
 */

#define PIER__CHUNK  1024
#define PIER__CHUNKS 16384 /* numbers up to 2^24 */

/* Why a call cannot take the shortest way; bits of entry.special. */
enum pier__special {
    PIER__HAS_TIMEOUT = 1,         /* timeout is not PIER_NEVER */
    PIER__HAS_DEADLINE = 2,        /* deadline is not PIER_NEVER */
    PIER__HAS_BUFFER = 4,          /* bytes may lie in the read buffer */
    PIER__HAS_FAILED_BIND = 8,     /* bind failed last; receiving verbs return that */
    PIER__HAS_FAILED_CONNECT = 16, /* connect failed last; stands in for ENOTCONN and EPIPE */
};

struct pier__buffer;  /* sock/buffer.h */
struct pier__serving; /* net/serve.c */

struct pier__entry {
    struct pier__life life;
    _Atomic uint32_t special; /* bits of enum pier__special */
    int family, type, protocol;
    _Atomic int64_t timeout;    /* ns; 0: non-blocking, PIER_NEVER: none */
    _Atomic pier_time deadline; /* PIER_NEVER: none */
    _Atomic uint64_t birth;
    _Atomic int failed_bind, failed_connect; /* codes, or 0 */
    struct pier__turn sending;               /* whose sendall it is */
    struct pier__turn reading;               /* whose framing read it is */
    struct pier__buffer *_Atomic buffer;     /* read ahead by framing; freed with the entry */
    struct pier__serving *_Atomic serving;   /* the pier_serve() that runs on this listener */
    socklen_t peer_length;                   /* 0: unknown */
    union {                                  /* the peer as connect or accept told it */
        struct sockaddr any;
        struct sockaddr_in inet;
        struct sockaddr_in6 inet6;
    } peer;
};

/* A call that is inside a descriptor. */
struct pier__use {
    int fd;
    struct pier__entry *entry; /* NULL: a bare descriptor */
    uint64_t as;
};

extern struct pier__entry *_Atomic pier__chunks[PIER__CHUNKS];

/* The entry of a number, or NULL if none was ever made. */
static inline struct pier__entry *pier__entry_at(int s)
{
    if (PIER_UNLIKELY((unsigned)s >= PIER__CHUNK * PIER__CHUNKS)) return NULL;
    struct pier__entry *chunk =
        atomic_load_explicit(&pier__chunks[(unsigned)s / PIER__CHUNK], memory_order_acquire);
    return PIER_LIKELY(chunk != NULL) ? &chunk[(unsigned)s % PIER__CHUNK] : NULL;
}

/* The last one out of a closing descriptor closes it. Returns what close(2) said. */
int pier__entry_bury(struct pier__entry *entry, int fd);

/* The slow half of pier__enter(): no entry, or closing. */
int pier__enter_slowly(struct pier__use *use, struct pier__entry *entry, int said);

/*
 * Step inside the socket s, as PIER__WAITER (the call may wait) or PIER__VISITOR. Returns 0, s itself if it
 * is negative, or -EBADF if it is closing; only after 0 must the caller pier__leave().
 */
static inline int pier__enter(struct pier__use *use, int s, uint64_t as)
{
    if (PIER_UNLIKELY(s < 0)) return pier__passed_on(s);
    struct pier__entry *entry = pier__entry_at(s);
    *use = (struct pier__use){.fd = s, .entry = entry, .as = as};
    if (PIER_UNLIKELY(!entry)) return 0;
    int said = pier__life_enter(&entry->life, as);
    return PIER_LIKELY(said == 1) ? 0 : pier__enter_slowly(use, entry, said);
}

static inline void pier__leave(struct pier__use *use)
{
    if (use->entry && pier__life_leave(&use->entry->life, use->as))
        pier__entry_bury(use->entry, use->fd);
}

static inline uint32_t pier__special(const struct pier__entry *entry)
{
    return atomic_load_explicit(&entry->special, memory_order_acquire);
}

static inline void pier__mark_special(struct pier__entry *entry, uint32_t bit, bool on)
{
    if (on)
        atomic_fetch_or_explicit(&entry->special, bit, memory_order_acq_rel);
    else if (pier__special(entry) & bit)
        atomic_fetch_and_explicit(&entry->special, ~bit, memory_order_acq_rel);
}

/*
 * Open the entry of a descriptor that pier owns from now on, with the default time-out. A live one starts afresh.
 * Returns the entry, NULL when there is no memory for its chunk or the number is too high.
 */
struct pier__entry *pier__entry_open(int fd, int family, int type, int protocol);

/* Remember the other end's address, for error sentences: after a reset the kernel has forgotten it. */
void pier__entry_set_peer(struct pier__entry *entry, const struct sockaddr *addr, socklen_t length);

/* Set an op's limits from the socket's time-out and deadline; a bare descriptor has none. */
static inline void pier__limit(struct pier__op *op, const struct pier__use *use)
{
    op->timeout = op->deadline = PIER_NEVER;
    if (!use->entry) return;
    op->life = &use->entry->life;
    op->stream = use->entry->type == SOCK_STREAM;
    if (PIER_LIKELY(!(pier__special(use->entry) & (PIER__HAS_TIMEOUT | PIER__HAS_DEADLINE))))
        return;
    op->timeout = atomic_load_explicit(&use->entry->timeout, memory_order_relaxed);
    op->deadline = atomic_load_explicit(&use->entry->deadline, memory_order_relaxed);
}

/*
 * One point for a verb of several steps: the earlier of now + time-out and the deadline. With a time-out of 0 the
 * steps must not wait: *out_timeout is 0 then, else PIER_NEVER. NULL: a bare descriptor.
 */
pier_time pier__conversation_limit(const struct pier__entry *entry, int64_t *out_timeout);

/*
 * Record that `verb` ("recv on", "bind") failed on s and return the code. -EAGAIN, and a code that is the negative
 * handle itself, leave the record alone. use may be NULL. Fills in the addresses of both ends.
 * target: the address that was meant, or NULL.
 */
int64_t pier__sock_failed(
    const char *verb, int s, const struct pier__use *use, const pier_addr *target, int64_t code);

#endif
