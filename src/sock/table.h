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
#include <sys/un.h>

/*
 * What pier knows of a descriptor, indexed by its number. Entries lie in chunks that never move, so
 * a pointer to one stays good for the life of the process; the first chunk is static and
 * the others are allocated when a number falls into them, never per operation.
 */

#define PIER__CHUNK  4096
#define PIER__CHUNKS 4096 /* numbers up to 2^24 */

/* Why a call cannot take the shortest way; in life.state, PIER__ABOVE bits up. */
enum pier__special {
    PIER__HAS_TIMEOUT = 1,         /* timeout is not PIER_NEVER */
    PIER__HAS_DEADLINE = 2,        /* deadline is not PIER_NEVER */
    PIER__HAS_BUFFER = 4,          /* bytes may lie in the read buffer */
    PIER__HAS_FAILED_BIND = 8,     /* bind failed last; receiving verbs return that */
    PIER__HAS_FAILED_CONNECT = 16, /* connect failed last; stands in for ENOTCONN and EPIPE */
    PIER__POLLS = 32,              /* shutdown(2) does not wake every call that blocks */
    PIER__TRACED = 64,             /* PIER_TRACE is on */
    PIER__COALESCES = 128,         /* what it receives must be taken apart (sock/gro.h) */
};

/* Sending several datagrams as one, which not every kernel and device can (sock/many.c). */
enum pier__gso {
    PIER__GSO_UNKNOWN,
    PIER__GSO_WORKS,
    PIER__GSO_NEVER,
};

struct pier__buffer;  /* sock/buffer.h */
struct pier__gro;     /* sock/gro.h */
struct pier__serving; /* net/serve.c */

struct pier__entry {
    struct pier__life life;
    uint16_t family, type;
    int protocol;
    _Atomic uint16_t stoppers;               /* pier_stop() calls that look at serving now */
    _Atomic bool bound;                      /* it was given a local address by hand */
    uint8_t peer_length;                     /* 0: unknown */
    _Atomic uint8_t gso;                     /* enum pier__gso */
    _Atomic int64_t timeout;                 /* ns; 0: non-blocking, PIER_NEVER: none */
    _Atomic pier_time deadline;              /* PIER_NEVER: none */
    _Atomic int failed_bind, failed_connect; /* codes, or 0 */
    struct pier__turn sending;               /* whose sendall it is */
    struct pier__turn reading;               /* whose framing read it is */
    struct pier__buffer *_Atomic buffer;     /* read ahead by framing; freed with the entry */
    struct pier__serving *_Atomic serving;   /* the pier_serve() that runs on this listener */
    union {                                  /* the peer as connect or accept told it */
        struct sockaddr any;
        struct sockaddr_in inet;
        struct sockaddr_in6 inet6;
        struct sockaddr_un local;
    } peer;
    struct pier__gro *_Atomic gro; /* what it receives is taken apart in; emptied with the entry */
};

_Static_assert(sizeof(struct pier__entry) == 256, "a number becomes a pointer by a shift");

/* A call that is inside a descriptor. */
struct pier__use {
    int fd;
    struct pier__entry *entry; /* NULL: a bare descriptor */
    struct pier__entry *bare;  /* then: where it is counted all the same */
    int64_t as;
};

extern struct pier__entry pier__first_chunk[PIER__CHUNK] PIER_HIDDEN;
extern struct pier__entry *_Atomic pier__chunks[PIER__CHUNKS] PIER_HIDDEN;

/* The entry of a number, or NULL if none was ever made. */
static inline struct pier__entry *pier__entry_at(int s)
{
    if (PIER_UNLIKELY((unsigned)s >= PIER__CHUNK * PIER__CHUNKS)) return NULL;
    struct pier__entry *chunk =
        atomic_load_explicit(&pier__chunks[(unsigned)s / PIER__CHUNK], memory_order_acquire);
    return PIER_LIKELY(chunk != NULL) ? &chunk[(unsigned)s % PIER__CHUNK] : NULL;
}

/*
 * The last one out of a closing descriptor closes it; anybody else does nothing. Returns what
 * close(2) said. Soon: before the loop of this thread waits, where it can see to that, and nobody
 * hears what close(2) said.
 */
int pier__entry_bury(struct pier__entry *entry, int fd);
void pier__entry_bury_soon(struct pier__entry *entry, int fd);

/*
 * The slow half of pier__enter(): closing, or a bare descriptor. That stays counted, for its number
 * may be one that was closed and is being given out again right now: who blocks on it then must be
 * woken by the next close.
 */
int pier__enter_slowly(struct pier__use *use, struct pier__entry *entry, int said);

/* The slow half of pier__leave(): of a bare descriptor. */
void pier__leave_bare(struct pier__use *use);

/*
 * Step inside the socket s, as PIER__WAITER (the call may wait) or PIER__VISITOR. Returns 0, s
 * itself if it is negative, or -ECANCELED if it is closing; only after 0 must the caller
 * pier__leave().
 */
static inline int pier__enter(struct pier__use *use, int s, int64_t as)
{
    if (PIER_UNLIKELY(s < 0)) {
        pier__passed_on(s);
        return s; /* negative, as clang-tidy can see here */
    }
    struct pier__entry *entry = pier__entry_at(s);
    *use = (struct pier__use){.fd = s, .entry = entry, .as = as};
    if (PIER_UNLIKELY(!entry)) return 0;
    int said = pier__life_enter(&entry->life, as);
    return PIER_LIKELY(said == 1) ? 0 : pier__enter_slowly(use, entry, said);
}

static inline void pier__leave(struct pier__use *use)
{
    if (PIER_UNLIKELY(use->bare))
        pier__leave_bare(use);
    else if (use->entry && pier__life_leave(&use->entry->life, use->as))
        pier__entry_bury(use->entry, use->fd);
}

/* The bits of enum pier__special. */
static inline int64_t pier__special(const struct pier__entry *entry)
{
    return atomic_load_explicit(&entry->life.state, memory_order_acquire) >> PIER__ABOVE;
}

static inline void pier__mark_special(struct pier__entry *entry, int64_t bits, bool on)
{
    if (on)
        atomic_fetch_or(&entry->life.state, bits << PIER__ABOVE);
    else if (pier__special(entry) & bits)
        atomic_fetch_and(&entry->life.state, ~(bits << PIER__ABOVE));
}

/*
 * Step inside s, below PIER__CHUNK, as PIER__WAITER. True if it is a socket of the simplest kind,
 * as most are: open, and with nothing special about it, so that a call without MSG_DONTWAIT just
 * blocks. If not, the caller leaves all the same.
 */
static inline bool pier__enter_plain(struct pier__entry *entry)
{
    int64_t was = atomic_fetch_add_explicit(&entry->life.state, PIER__WAITER, memory_order_acquire);
    return PIER_LIKELY(was >> PIER__ABOVE == PIER__OPEN >> PIER__ABOVE);
}

/*
 * Open the entry of a descriptor that pier owns from now on, with the default time-out. A live one
 * starts afresh. Returns the entry, NULL when there is no memory for its chunk or the number is too
 * high.
 */
struct pier__entry *pier__entry_open(int fd, int family, int type, int protocol);

/* From now on others may own the description too, and change its mode. */
static inline void pier__entry_share(struct pier__entry *entry)
{
    atomic_store(&entry->life.mode, PIER__MODE_UNKNOWN);
    atomic_store(&entry->life.shared, true);
}

/*
 * Remember the other end's address, for error sentences: after a reset the kernel has forgotten it.
 */
void pier__entry_set_peer(struct pier__entry *entry, const struct sockaddr *addr, socklen_t length);

/* Set an op's limits from the socket's time-out and deadline; a bare descriptor has none. */
static inline void pier__limit(struct pier__op *op, const struct pier__use *use)
{
    op->timeout = op->deadline = PIER_NEVER;
    if (!use->entry) {
        op->heir = use->bare ? &use->bare->life : NULL;
        return;
    }
    op->life = &use->entry->life;
    op->stream = use->entry->type == SOCK_STREAM;
    if (PIER_LIKELY(!(pier__special(use->entry) & (PIER__HAS_TIMEOUT | PIER__HAS_DEADLINE))))
        return;
    op->timeout = atomic_load_explicit(&use->entry->timeout, memory_order_relaxed);
    op->deadline = atomic_load_explicit(&use->entry->deadline, memory_order_relaxed);
}

/*
 * One point for a verb of several steps: the earlier of now + time-out and the deadline. With a
 * time-out of 0 the steps must not wait: *out_timeout is 0 then, else PIER_NEVER. NULL: a bare
 * descriptor.
 */
pier_time pier__conversation_limit(const struct pier__entry *entry, int64_t *out_timeout);

/*
 * What the entry remembers of a failed bind or connect, instead of a code that is only its
 * consequence (ENOTCONN, EPIPE). PIER__HAS_FAILED_BIND is looked at before a receiving verb begins.
 */
int64_t pier__remembered(struct pier__entry *entry, int64_t code);

/*
 * Record that `verb` ("recv on", "bind") failed on s and return the code. -EAGAIN, and a code that
 * is the negative handle itself, leave the record alone. use may be NULL. Fills in the addresses of
 * both ends. target: the address that was meant, or NULL.
 */
int64_t pier__sock_failed(
    const char *verb, int s, const struct pier__use *use, const pier_addr *target, int64_t code);

/*
 * The same for a verb that has a count to tell, of bytes or datagrams; so -EAGAIN is recorded, too.
 */
int64_t pier__sock_failed_after(size_t moved, const char *verb, int s, const struct pier__use *use,
    const pier_addr *target, int64_t code);

#endif
