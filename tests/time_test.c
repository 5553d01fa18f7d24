/* SPDX-License-Identifier: MIT */
/* Durations and points: every row of the table in <pier/time.h>. */
#include "base/seam.h"
#include "base/time.h"
#include "harness.h"

#include <pier/time.h>

#include <errno.h>
#include <float.h>
#include <math.h>
#include <time.h>

static pier_time clock_says;

static pier_time fixed_now(void) { return clock_says; }

/* A world whose clock stands at `now`. */
static void stop_clock(pier_time now)
{
    static struct pier__seam seam;
    seam = pier__seam_system;
    seam.now = fixed_now;
    clock_says = now;
    pier__seam = &seam;
}

TEST(a_duration_in_seconds_becomes_nanoseconds)
{
    assert_int_equal(pier__duration(1), PIER_SECOND);
    assert_int_equal(pier__duration(0.5), PIER_SECOND / 2);
    assert_int_equal(pier__duration(1e-9), 1);
    assert_int_equal(pier__duration(86400 * 365.0), 86400 * INT64_C(365) * PIER_SECOND);
}

TEST(zero_is_zero_and_so_is_negative_zero)
{
    assert_int_equal(pier__duration(0), 0);
    assert_int_equal(pier__duration(-0.0), 0);
}

TEST(a_positive_duration_never_becomes_zero)
{
    assert_int_equal(pier__duration(1e-10), 1);
    assert_int_equal(pier__duration(DBL_MIN), 1);
    assert_int_equal(pier__duration(DBL_TRUE_MIN), 1);
}

TEST(a_duration_is_rounded_up)
{
    assert_int_equal(pier__duration(1.1e-9), 2);
    assert_int_equal(pier__duration(1.9e-9), 2);
    assert_int_equal(pier__duration(0.0000000015), 2);
}

TEST(what_lies_beyond_the_range_is_no_limit)
{
    assert_int_equal(pier__duration((double)INFINITY), PIER_NEVER);
    assert_int_equal(pier__duration(DBL_MAX), PIER_NEVER);
    assert_int_equal(pier__duration(1e20), PIER_NEVER);
    assert_int_equal(pier__duration(9223372037.0), PIER_NEVER);
    assert_true(pier__duration(9223372036.0) < PIER_NEVER);
    assert_true(pier__duration(9223372036.0) > 0);
}

TEST(negative_durations_and_nan_are_refused)
{
    static const double bad[] = {
        -1, -1e-10, -DBL_TRUE_MIN, -DBL_MAX, -(double)INFINITY, (double)NAN, -(double)NAN};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(pier__duration(bad[i]), -EINVAL);
        assert_int_equal(pier_after(bad[i]), -EINVAL);
    }
}

TEST(a_point_is_the_clock_plus_the_duration)
{
    stop_clock(1000);
    assert_int_equal(pier_now(), 1000);
    assert_int_equal(pier_after(0), 1000);
    assert_int_equal(pier_after(-0.0), 1000);
    assert_int_equal(pier_after(1e-10), 1001);
    assert_int_equal(pier_after(2), 1000 + 2 * PIER_SECOND);
}

TEST(a_point_beyond_the_clock_is_never)
{
    stop_clock(PIER_NEVER - 10);
    assert_int_equal(pier_after(5e-9), PIER_NEVER - 5);
    assert_int_equal(pier_after(10e-9), PIER_NEVER);
    assert_int_equal(pier_after(1), PIER_NEVER);
    stop_clock(1000);
    assert_int_equal(pier_after((double)INFINITY), PIER_NEVER);
    assert_int_equal(pier_after(1e20), PIER_NEVER);
    assert_int_equal(pier_after(9e9), 1000 + INT64_C(9000000000) * PIER_SECOND);
}

TEST(remaining_is_what_is_left_and_never_negative)
{
    stop_clock(10 * PIER_SECOND);
    assert_true(pier_remaining(12 * PIER_SECOND) == 2.0);
    assert_true(pier_remaining(10 * PIER_SECOND + 1) > 0);
    assert_true(pier_remaining(10 * PIER_SECOND) == 0);
    assert_true(pier_remaining(9 * PIER_SECOND) == 0);
    assert_true(pier_remaining(0) == 0);
    assert_true(isinf(pier_remaining(PIER_NEVER)));
    assert_true(pier_remaining(PIER_NEVER) > 0);
}

TEST(remaining_of_an_error_is_the_error)
{
    assert_true(pier_remaining(pier_after(-1)) == -EINVAL);
    assert_true(pier_remaining(INT64_MIN) < 0);
}

TEST(the_clock_goes_forward_and_is_positive)
{
    pier_time before = pier_now();
    assert_true(before > 0);
    test_sleep(0.001);
    assert_true(pier_now() >= before + PIER_SECOND / 1000);
}

static pier_time monotonic(void)
{
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return now.tv_sec * PIER_SECOND + now.tv_nsec;
}

TEST(the_clock_is_the_one_that_nobody_sets)
{
    pier_time before = monotonic(), now = pier_now();
    assert_true(before <= now);
    assert_true(now <= monotonic());
}

TEST(the_earlier_of_two_points_wins)
{
    assert_int_equal(pier__earlier(1, 2), 1);
    assert_int_equal(pier__earlier(PIER_NEVER, 2), 2);
    assert_int_equal(pier__earlier(PIER_NEVER, PIER_NEVER), PIER_NEVER);
}
