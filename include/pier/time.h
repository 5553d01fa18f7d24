/* SPDX-License-Identifier: MIT */
#ifndef PIER_TIME_H
#define PIER_TIME_H

/**
 * @file
 * Points in time and deadlines.
 *
 * @defgroup pier_time Time
 * @ingroup pier
 * Points in time and deadlines. Durations are `double` seconds, as in Python; points in
 * time are pier_time, nanoseconds of a clock that only goes forward (CLOCK_MONOTONIC: it
 * does not run while the machine is suspended, and setting the wall clock does not move
 * it).
 *
 * A duration becomes a point once, with pier_after(), and from then on the point travels;
 * so nothing that retries or loops ever starts the waiting anew.
 *
 * What a duration may be, here and wherever seconds are an argument:
 *
 *     INFINITY              no limit (Python's None)
 *     0                     do not wait
 *     above 0, below 1 ns   1 ns: a positive time never turns into 0
 *     above 292 years       no limit
 *     negative, NaN         -EINVAL
 * @{
 */

#include <pier/version.h>

#include <stdint.h>

PIER_BEGIN_DECLS

/**
 * A point on the monotonic clock, in nanoseconds. Points are positive; a negative pier_time
 * is an error code (from pier_after(-1), say) and a verb that gets it returns it. In an
 * options struct 0 means "not given".
 */
typedef int64_t pier_time;

#define PIER_NEVER  INT64_MAX           /**< The point that is never reached: no deadline. */
#define PIER_SECOND INT64_C(1000000000) /**< One second in pier_time's nanoseconds. */

/**
 * Now.
 *
 * Threads: any. Cannot fail. Python: time.monotonic_ns().
 */
PIER_API pier_time pier_now(void);

/**
 * The point `seconds` from now: `pier_setdeadline(s, pier_after(2))`.
 *
 * Returns a positive point; PIER_NEVER for INFINITY and for whatever lies beyond the
 * clock's range; -EINVAL for a negative number or NaN. pier_after(0) is now.
 *
 * Threads: any. Python: time.monotonic() + seconds.
 */
PIER_API pier_time pier_after(double seconds);

/**
 * The seconds that are left until a point: 0 when it has passed, INFINITY for PIER_NEVER,
 * and the (negative) code itself when `point` is an error code.
 *
 * Threads: any. Python: max(0, point - time.monotonic()).
 */
PIER_API double pier_remaining(pier_time point);

PIER_END_DECLS

/** @} */
#endif
