/* SPDX-License-Identifier: MIT */
#ifndef PIER_BASE_HOLDER_H
#define PIER_BASE_HOLDER_H

#include <stddef.h>
#include <sys/socket.h>

/*
 * Who holds the local address that a bind or a listen was refused: "nginx[812]", or "a closed
 * connection in TIME_WAIT". Looks into /proc, as far as this process may, and not beyond a bound;
 * writes "" when it finds nobody. `type` is SOCK_STREAM, SOCK_DGRAM, or 0 for either. An INET
 * address whose host is not known may come as the wildcard.
 */
void pier__holder(
    const struct sockaddr *address, socklen_t length, int type, char *buf, size_t size);

#endif
