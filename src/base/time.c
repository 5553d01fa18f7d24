/* SPDX-License-Identifier: MIT */
#include "base/time.h"

#include "base/seam.h"

#include <errno.h>
#include <math.h>

int64_t pier__duration(double seconds)
{
    if (isnan(seconds) || seconds < 0) return -EINVAL;
    double ns = seconds * 1e9;
    if (ns >= 0x1p63) return PIER_NEVER;
    int64_t whole = (int64_t)ns;
    return whole + ((double)whole < ns); /* up: what is above 0 stays above 0 */
}

pier_time pier__point(pier_time from, int64_t duration)
{
    return duration < PIER_NEVER - from ? from + duration : PIER_NEVER;
}

pier_time pier_now(void) { return pier__seam->now(); }

pier_time pier_after(double seconds)
{
    int64_t duration = pier__duration(seconds);
    if (duration < 0 || duration == PIER_NEVER) return duration;
    return pier__point(pier__seam->now(), duration);
}

double pier_remaining(pier_time point)
{
    if (point < 0) return (double)point;
    if (point == PIER_NEVER) return (double)INFINITY;
    pier_time left = point - pier__seam->now();
    return left > 0 ? (double)left / 1e9 : 0;
}
