/* SPDX-License-Identifier: MIT */
#ifndef PIER_BASE_TRACE_H
#define PIER_BASE_TRACE_H

#include "base/bits.h"

#include <pier/time.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * The learner's strace: with PIER_TRACE=1 each call of the public surface prints
 * one line on stderr, with PIER_TRACE=FILE into that file (appended). Read once,
 * with secure_getenv, when the library is loaded. A public function reads
 *
 *     pier_time began = pier__trace_begin();
 *     int err = work(s, …);
 *     if (PIER_UNLIKELY(began)) pier__trace_end(began, s, err, "bind(%d, %s)", s, …);
 *     return err;
 *
 * and prints
 *
 *     pier[812.1] bind(3, 0.0.0.0:80) = -EADDRINUSE (Address already in use)  0.000021 s
 *     pier[812.1] recv(4, "Thank you for connecting", 1024) = 24  127.0.0.1:12345  0.000107 s
 */
extern bool pier__trace_on PIER_HIDDEN;

pier_time pier__trace_start(void);

/* When the call began, or 0 if nobody watches or the call was made by pier itself. */
static inline pier_time pier__trace_begin(void)
{
    return PIER_UNLIKELY(pier__trace_on) ? pier__trace_start() : 0;
}

/*
 * Print the line: the call as the format says, its result (a negative one with its
 * name and sentence), the peer of socket s if s is one that has a peer (s < 0: none),
 * and how long it took. Leaves the thread's last failure alone.
 */
void pier__trace_end(pier_time began, int s, int64_t result, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/*
 * The first bytes of a buffer as C source has them, "a\r\n"..., for a trace line; borrowed until
 * the thread's next call. A negative n (a failed receive) gives "".
 */
const char *pier__trace_bytes(const void *buf, int64_t n);

/* Of what came into a buffer, which MSG_TRUNC may say was longer. */
const char *pier__trace_came(const void *buf, size_t len, int64_t n);

#endif
