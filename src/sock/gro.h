/* SPDX-License-Identifier: MIT */
#ifndef PIER_SOCK_GRO_H
#define PIER_SOCK_GRO_H

#include "sock/table.h"

#include <pier/socket.h>

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/*
 * UDP sockets for which the kernel puts datagrams together (UDP_GRO, udp(7)); PIER__COALESCES is
 * set in their state. What arrives is a super-datagram: up to 64 KiB of datagrams of one sender,
 * all of one length but the last, which may be shorter. Here they are received and taken apart;
 * what the caller has no room for stays for the next call.
 *
 * Who receives, or looks at what is there, has the turn entry->reading, which each call here takes.
 */

static inline bool pier__is_udp(const struct pier__entry *entry)
{
    bool ip = entry->family == AF_INET || entry->family == AF_INET6;
    return ip && entry->type == SOCK_DGRAM &&
           (entry->protocol == 0 || entry->protocol == IPPROTO_UDP);
}

/*
 * From now on what the socket receives may be super-datagrams. 0 or -ENOMEM. For an entry that
 * nobody else is in.
 */
int pier__gro_prepare(struct pier__entry *entry);

/* The verb pier_recv_many(), inside a socket entered as PIER__WAITER. */
int64_t pier__gro_recv_many(
    const struct pier__use *use, pier_datagram *datagrams, size_t count, int flags);

/*
 * Receive one datagram as recvmsg(2) would have if there were no super-datagrams. Not for MSG_OOB
 * and MSG_ERRQUEUE.
 */
int64_t pier__gro_recvmsg(const struct pier__use *use, struct msghdr *msg, int flags);

/* What of a super-datagram is left, in bytes. */
size_t pier__gro_pending(struct pier__entry *entry);

/* Is there anything for the next call: a datagram, be it of 0 bytes, or an error? */
bool pier__gro_kept(struct pier__entry *entry);

/* Drop what is left and its memory. For the last one out. */
void pier__gro_free(struct pier__entry *entry);

/* In a forked child: what somebody else was taking apart is dropped. */
void pier__gro_after_fork(struct pier__entry *entry);

#endif
