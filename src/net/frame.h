/* SPDX-License-Identifier: MIT */
#ifndef PIER_NET_FRAME_H
#define PIER_NET_FRAME_H

#include "sock/table.h"

#include <stdint.h>

/*
 * Reading ahead. The caller is inside the socket, which has an entry, and has the turn
 * entry->reading.
 */

/*
 * Receive into the read buffer, once: how many bytes came, 0 at the end of the stream, or a code.
 */
int64_t pier__fill(const struct pier__use *use, int64_t timeout, pier_time limit);

/*
 * May more be taken from this socket than was asked for? Not where descriptors come with the bytes.
 */
static inline bool pier__reads_ahead(const struct pier__entry *entry)
{
    return entry && entry->family != AF_UNIX;
}

#endif
