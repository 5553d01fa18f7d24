/* SPDX-License-Identifier: MIT */
#ifndef PIER_SOCK_RESOLVE_H
#define PIER_SOCK_RESOLVE_H

#include <pier/addr.h>
#include <pier/resolve.h>
#include <pier/time.h>

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Look-ups for the rest of the library: what an address still waits for, and all addresses of a
 * name, with or without waiting for them. Nothing here records a failure; the verb that asked does.
 */

struct pier__life; /* wait/life.h */
struct pier__work; /* wait/work.h */
struct pier__use;  /* sock/table.h */

/*
 * Complete an address for a socket of this family and type (0: not known; the family is then asked
 * of use->fd), as CPython's setipaddr does: the resolver's first answer of that family. With
 * `passive` (to bind) ":80" is the any address, else (to connect, to send) the loopback address.
 * Interfaces are looked up on use->fd. use may be NULL: no socket; then ":80" of no family is
 * [::]:80.
 *
 * A complete address costs nothing; literals never ask anybody. Waits until the limit, or
 * PIER_NEVER for ever. A time-out of 0 should be no limit: as in Python, a non-blocking socket
 * resolves all the same.
 *
 * Returns 0, or a code, and *addr is untouched then: the error that it carries, PIER_ENOADDR,
 * PIER_EAI_ADDRFAMILY (IPv4 for an IPv6 socket or the reverse), PIER_EFAMILY (a name for a family
 * that has none), PIER_EAI_*, PIER_EHOSTTEXT, -ENODEV (no such interface), -ETIME, -EINTR, or
 * -ECANCELED when the socket is closed meanwhile.
 */
int pier__resolve_for(pier_addr *addr, const struct pier__use *use, int family, int type,
    pier_time limit, bool passive);

/* What getaddrinfo(3) is asked. Either name may be NULL, not both. */
struct pier__question {
    const char *host, *service;
    int family, type, protocol, flags;
};

/* pier_getaddrinfo(). life may be NULL; else the wait ends with -ECANCELED when it closes. */
ssize_t pier__getaddrinfo(const struct pier__question *question, struct pier__life *life,
    pier_time deadline, pier_addrinfo **out_list);

/*
 * The same without waiting: a look-up that runs by itself, several at once if need be. Whoever
 * started one, and only that thread, ends it: by taking the answer when it is done, or by leaving
 * it; the late answer is dropped. Completion wakes the thread that started it (pier__waker()), so
 * it may wait in a PIER_OP_POLL, with descriptors of its own or none, which then returns 0 or more.
 * Literals are done at once.
 */
struct pier__lookup;

/* Begin. 0, or what is wrong with the question, PIER_EAI_AGAIN (too many look-ups), or an errno. */
int pier__lookup_start(const struct pier__question *question, struct pier__lookup **out);

bool pier__lookup_done(struct pier__lookup *lookup);

/*
 * End one that is done: how many, at least 1, and a list for pier_freeaddrinfo(); or a code and
 * NULL.
 */
ssize_t pier__lookup_take(struct pier__lookup *lookup, pier_addrinfo **out_list);

/* End one that nobody waits for any more. NULL is fine. */
void pier__lookup_leave(struct pier__lookup *lookup);

/* For this room. */

/* Is this the text of an IPv4 or IPv6 address, in any form? */
bool pier__host_is_literal(const char *host);

/*
 * setipaddr of CPython: a host to its first address of a family (AF_UNSPEC: either), port 0. "" is
 * 0.0.0.0 (PIER_EMULTIPLE for AF_UNSPEC), "<broadcast>" is 255.255.255.255.
 */
int pier__first_address(const char *host, int family, pier_time deadline, pier_addr *out);

/* pier__work_await(), with the pool's -EAGAIN as the resolver's PIER_EAI_AGAIN. */
int pier__ask(struct pier__work *work, struct pier__life *life, pier_time deadline);

/* The code for an EAI_*; system is the -errno behind EAI_SYSTEM. */
int pier__eai_code(int eai, int system);

/* pier_gethostbyaddr(), unrecorded. */
int64_t pier__gethostbyaddr(const char *address, pier_time deadline, pier_hostent **out);

/* Text into the caller's buffer: its length, or -ENOSPC and the buffer is untouched. */
ssize_t pier__give_text(const char *text, char *buf, size_t size);

#endif
