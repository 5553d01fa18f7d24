/* SPDX-License-Identifier: MIT */
/* Lists of buffers when only a part has moved. */
#include "base/iov.h"
#include "harness.h"

#include <errno.h>
#include <limits.h>

static char bytes[16];

TEST(the_length_is_the_sum)
{
    struct iovec iov[] = {{bytes, 3}, {NULL, 0}, {bytes + 3, 4}};
    assert_int_equal(pier__iov_length(iov, 3), 7);
    assert_int_equal(pier__iov_length(iov, 0), 0);
    assert_int_equal(pier__iov_length(NULL, 0), 0);
}

TEST(a_length_above_ssize_max_is_refused)
{
    struct iovec iov[] = {{bytes, SSIZE_MAX}, {bytes, 0}, {bytes, 1}};
    assert_int_equal(pier__iov_length(iov, 2), SSIZE_MAX);
    assert_int_equal(pier__iov_length(iov, 3), -EINVAL);
    struct iovec huge[] = {{bytes, (size_t)SSIZE_MAX + 1}, {bytes, SIZE_MAX}};
    assert_int_equal(pier__iov_length(huge, 1), -EINVAL);
    assert_int_equal(pier__iov_length(huge + 1, 1), -EINVAL);
}

TEST(skipping_trims_the_buffer_in_which_the_transfer_stopped)
{
    struct iovec iov[] = {{bytes, 3}, {bytes + 3, 4}, {bytes + 7, 5}};
    assert_int_equal(pier__iov_skip(iov, 3, 5), 1);
    assert_ptr_equal(iov[1].iov_base, bytes + 5);
    assert_int_equal(iov[1].iov_len, 2);
    assert_int_equal(pier__iov_length(iov + 1, 2), 7);
}

TEST(skipping_to_a_border_passes_over_empty_buffers)
{
    struct iovec iov[] = {{bytes, 3}, {NULL, 0}, {NULL, 0}, {bytes + 3, 4}};
    assert_int_equal(pier__iov_skip(iov, 4, 3), 3);
    assert_ptr_equal(iov[3].iov_base, bytes + 3);
    assert_int_equal(iov[3].iov_len, 4);
}

TEST(skipping_nothing_passes_over_empty_buffers_at_the_start)
{
    struct iovec iov[] = {{NULL, 0}, {bytes, 3}};
    assert_int_equal(pier__iov_skip(iov, 2, 0), 1);
    assert_int_equal(iov[1].iov_len, 3);
}

TEST(skipping_everything_leaves_nothing)
{
    struct iovec iov[] = {{bytes, 3}, {bytes + 3, 4}};
    assert_int_equal(pier__iov_skip(iov, 2, 7), 2);
    assert_int_equal(pier__iov_skip(iov, 2, 100), 2);
    assert_int_equal(pier__iov_skip(NULL, 0, 0), 0);
}

TEST(capping_shortens_the_list_to_what_one_call_can_move)
{
    struct iovec iov[] = {{bytes, 3}, {bytes + 3, 4}, {bytes + 7, 5}};
    assert_int_equal(pier__iov_cap(iov, 3, 5), 2);
    assert_int_equal(iov[1].iov_len, 2);
    assert_int_equal(pier__iov_length(iov, 2), 5);

    struct iovec huge[] = {{bytes, PIER__MOST}, {bytes, 1}};
    assert_int_equal(pier__iov_cap(huge, 2, PIER__MOST), 1);
    assert_int_equal(huge[0].iov_len, PIER__MOST);
}

TEST(capping_leaves_a_shorter_list_alone)
{
    struct iovec iov[] = {{bytes, 3}, {NULL, 0}, {bytes + 3, 4}};
    assert_int_equal(pier__iov_cap(iov, 3, 8), 3);
    assert_int_equal(iov[2].iov_len, 4);
    assert_int_equal(pier__iov_cap(iov, 3, 0), 0);
}
