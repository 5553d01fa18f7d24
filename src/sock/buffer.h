/* SPDX-License-Identifier: MIT */
#ifndef PIER_SOCK_BUFFER_H
#define PIER_SOCK_BUFFER_H

#include "sock/table.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * The one read buffer of a socket: what framing and makefile have read ahead, in the order of the
 * stream. It grows with what lies in it, from 4 KiB to PIER_LINE_MAX, and shrinks when the stream
 * slows down. PIER__HAS_BUFFER is set in entry->special while bytes lie in it.
 *
 * Any call inside the socket may take from it. Only the holder of the turn entry->reading fills it,
 * and bytes never move while it does. The lock is held for a copy, never while waiting.
 *
 * A datagram socket has none. What its datagrams were taken apart in (sock/gro.h) counts as its
 * buffer where that is asked how much lies in it, freed, or taken through a fork.
 */

/*
 * Take up to len bytes, or with MSG_PEEK in flags look at them; no other flag matters. Returns how
 * many, 0 if nothing is buffered.
 */
ssize_t pier__buffer_drain(struct pier__entry *entry, void *buf, size_t len, int flags);

/* The place of its first byte in the stream. */
uint64_t pier__buffer_place(struct pier__entry *entry);

/*
 * Give n bytes back that were drained from this place on, and were all that lay in it. False: not
 * if others have been there meanwhile.
 */
bool pier__buffer_untake(struct pier__entry *entry, uint64_t place, size_t n);

/* How many bytes lie in it, and whether the next receive gets something without the kernel. */
size_t pier__buffer_pending(struct pier__entry *entry);
bool pier__buffer_ready(struct pier__entry *entry);

/*
 * Drop the bytes and their memory, and leave the entry's state alone. For the last one out: nobody
 * may be filling.
 */
void pier__buffer_free(struct pier__entry *entry);

/* In a forked child: whoever held the lock or filled is gone. */
void pier__buffer_after_fork(struct pier__entry *entry);

/*
 * Room to receive into, at least a byte, until pier__buffer_commit(). NULL: no memory, or
 * PIER_LINE_MAX bytes lie in it already.
 */
void *pier__buffer_reserve(struct pier__entry *entry, size_t *out_room);

/* That so many bytes came, perhaps 0. */
void pier__buffer_commit(struct pier__entry *entry, size_t came);

/*
 * A search for a delimiter that goes on where it was when more bytes have come. Begin with seen 0.
 */
struct pier__search {
    const void *delimiter;
    size_t length; /* of the delimiter, at least 1 */
    size_t limit;  /* the longest record, delimiter included; at most PIER_LINE_MAX */
    uint64_t seen; /* where in the stream the delimiter may begin at the earliest */
};

/*
 * Take the bytes up to and including the delimiter into buf, which has room for `limit`. Returns
 * how many; 0 if more must come first; -EMSGSIZE, and nothing is taken, if `limit` bytes hold no
 * delimiter.
 */
ssize_t pier__buffer_take(struct pier__entry *entry, struct pier__search *search, void *buf);

/*
 * The length of the record, delimiter included, at the head of n bytes, of which those before
 * `from` cannot begin a delimiter. 0: there is none.
 */
size_t pier__find(const char *bytes, size_t n, size_t from, const struct pier__search *search);

#endif
