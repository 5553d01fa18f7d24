/* SPDX-License-Identifier: MIT */
/* Tests that must not pass. They run only by their full id, from harness_test.c. */
#include "harness.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

TEST(leaves_a_descriptor_open) { assert_true(dup(STDERR_FILENO) >= 0); }

TEST(closes_a_descriptor_it_found) { assert_int_equal(close(STDERR_FILENO), 0); }

TEST(changes_sigpipe) { signal(SIGPIPE, SIG_IGN); }

TEST(fails_an_assert)
{
    (void)test_tmpdir();
    assert_string_equal("what is", "what should be");
}

static void *disagree(void *arg)
{
    (void)arg;
    assert_true(false);
    return NULL;
}

TEST(fails_an_assert_in_a_thread) { test_join(test_thread(disagree, NULL)); }

TEST(aborts) { abort(); }

TEST(is_skipped) { SKIP("to see it"); }
