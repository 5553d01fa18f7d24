/* SPDX-License-Identifier: MIT */
#ifndef PIER_BASE_TIME_H
#define PIER_BASE_TIME_H

#include <pier/time.h>

#include <stdint.h>

/*
 * Durations inside the library are nanoseconds, PIER_NEVER for no limit, as points are.
 */

/* Seconds to nanoseconds by the table in <pier/time.h>; -EINVAL for a negative number or NaN. */
int64_t pier__duration(double seconds);

/* The point `duration` nanoseconds after `from`, saturating at PIER_NEVER. */
pier_time pier__point(pier_time from, int64_t duration);

/* The earlier of two points. */
static inline pier_time pier__earlier(pier_time a, pier_time b) { return a < b ? a : b; }

#endif
