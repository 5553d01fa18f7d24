/* SPDX-License-Identifier: MIT */
#ifndef PIER_SOCK_SOCKET_H
#define PIER_SOCK_SOCKET_H

#include "sock/table.h"

#include <stdbool.h>

/*
 * The verbs of <pier/socket.h> for use inside the library: they neither trace nor record a failure.
 */

int pier__socket(int family, int type, int protocol);
int pier__adopt(int fd);
int pier__close(int s);

/*
 * Close s if it still is the socket of this birth, soon: before this thread's loop waits, where it
 * can see to that.
 */
void pier__close_born(int s, uint64_t birth, bool soon);
int pier__bind(int s, const pier_addr *addr);
int pier__listen(int s, int backlog);
int pier__accept(int s, pier_addr *out_peer);
int pier__getsockname(int s, pier_addr *out);
int pier__settimeout(int s, int64_t timeout);
int pier__setdeadline(int s, pier_time deadline);
uint64_t pier__birth(int s);

/*
 * accept() inside a listener already entered as PIER__WAITER. Without waiting it takes what is
 * queued, or returns -EAGAIN; the description must be O_NONBLOCK then.
 */
int pier__accept_in(const struct pier__use *use, struct pier__sockaddr *peer, bool wait);

/*
 * What an accept that is not pier__accept_in()'s own needs: the flags of accept4(2) beside
 * SOCK_CLOEXEC, and a socket of what it got with them (or -ENOMEM, and that is closed).
 */
int pier__accept_flags(void);
int pier__accepted(const struct pier__use *use, int fd, int flags);

/*
 * What accept(2) may report of the new connection rather than of the listener: try the next one.
 * EPERM is a firewall's.
 */
bool pier__accept_is_transient(int64_t code);

/* May accept wait on this descriptor? On what is no listener it must fail at once instead. */
bool pier__is_listening(struct pier__entry *entry, int fd);

/*
 * Own a descriptor that the library has just made, or close it when there is no room for it in the
 * table: fd, or -ENOMEM.
 */
int pier__own(int fd, int family, int type, int protocol, bool nonblock);

/* The family and the type of the socket that the caller is inside; a code: it is none. */
int pier__family_of(const struct pier__use *use);
int pier__type_of(const struct pier__use *use);

/* 0 for a stream, -EINVAL for another socket. */
int pier__check_stream(const struct pier__use *use);

/*
 * Did the kernel connect this stream to itself? It can, when an unbound socket dials a local port
 * that nobody listens on and happens to be given that very port (simultaneous open, RFC 9293 3.5).
 * Go's net refuses such connections too.
 */
bool pier__connected_to_itself(struct pier__entry *entry, int fd);

#endif
