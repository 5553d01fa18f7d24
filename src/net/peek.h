/* SPDX-License-Identifier: MIT */
#ifndef PIER_NET_PEEK_H
#define PIER_NET_PEEK_H

#include "sock/buffer.h"
#include "sock/table.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Reading on AF_UNIX, where a byte may carry a descriptor and who takes one byte too many loses it.
 * The caller has the turn entry->reading.
 */

/*
 * Take a record into buf, which has room for search->limit, and nothing that lies beyond its
 * delimiter. Returns its length, what was left at the end of the stream, or a code; then what came
 * is buffered or still in the kernel.
 */
int64_t pier__peek_until(const struct pier__use *use, struct pier__search *search, char *buf,
    int64_t timeout, pier_time limit);

/*
 * pier__fill(), but only of bytes that carry no descriptor. *out_carries tells, with 0, that the
 * next ones do.
 */
int64_t pier__peek_fill(
    const struct pier__use *use, int64_t timeout, pier_time limit, bool *out_carries);

#endif
