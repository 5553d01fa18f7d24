/* SPDX-License-Identifier: MIT */
#ifndef PIER_NET_CANDIDATES_H
#define PIER_NET_CANDIDATES_H

#include "sock/resolve.h"

#include <pier/addr.h>
#include <pier/resolve.h>
#include <pier/time.h>

#include <stdbool.h>
#include <stddef.h>

/*
 * Which addresses a dial tries, and in which order, as the look-ups answer: RFC 8305, sections 3
 * and 4. Under a deadline both families are looked up at once. Who has IPv6 first begins; who has
 * IPv4 first waits a moment for IPv6. The families take turns.
 */

/* The addresses of one family within a list of answers. */
struct pier__queue {
    int family;
    const pier_addrinfo *list;
    size_t count, at;
    struct pier__lookup *lookup; /* still under way, or NULL */
    int code;                    /* what the look-up failed with, or 0 */
};

struct pier__candidates {
    struct pier__queue queue[2]; /* IPv6, IPv4 */
    pier_addrinfo *owned[2];     /* the lists */
    size_t turn;                 /* the queue whose turn it is */
    pier_time held_until;        /* IPv4 came first and waits; 0: it does not */
    pier_addrinfo literal;
};

/*
 * Begin. `to` is an IP address, complete or pending; family is AF_INET, AF_INET6 or 0. 0, or what
 * is wrong. After a code, too, the caller ends them.
 */
int pier__candidates_begin(
    struct pier__candidates *c, const pier_addr *to, int family, pier_time limit);

/*
 * When the next address may be had: 0 for now, a point, or PIER_NEVER: when a look-up ends, which
 * wakes the thread, or never.
 */
pier_time pier__candidates_when(struct pier__candidates *c);

/* The next address, if it may be had now; else NULL. Borrowed until the end. */
const pier_addr *pier__candidates_next(struct pier__candidates *c);

/* Will there never be another one? */
bool pier__candidates_over(struct pier__candidates *c);

/* What the look-ups failed with, when they gave no address. */
int pier__candidates_code(const struct pier__candidates *c);

void pier__candidates_end(struct pier__candidates *c);

#endif
