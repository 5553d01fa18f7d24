/* SPDX-License-Identifier: MIT */
/* pier_forget_failure(): a program that has dealt with a failed bind or connect goes on. */
#include "harness.h"

#include <errno.h>
#include <pier.h>
#include <unistd.h>

/* An address that nobody listens on: that of a socket which is bound and does not listen. */
static pier_addr nobody(int *out_holder)
{
    pier_addr addr;
    *out_holder = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(pier_bind(*out_holder, pier_inet("127.0.0.1", 0)), 0);
    assert_int_equal(pier_getsockname(*out_holder, &addr), 0);
    return addr;
}

TEST(after_a_forgotten_connect_the_kernel_says_that_nobody_is_connected)
{
    int holder, s = pier_socket(AF_INET, SOCK_STREAM, 0);
    pier_addr peer, addr = nobody(&holder);
    assert_int_equal(pier_connect(s, addr), -ECONNREFUSED);
    assert_int_equal(pier_getpeername(s, &peer), -ECONNREFUSED);
    assert_int_equal(pier_forget_failure(s), 0);
    assert_int_equal(pier_getpeername(s, &peer), -ENOTCONN);
    assert_int_equal(pier_close(s), 0);
    assert_int_equal(pier_close(holder), 0);
}

TEST(after_a_forgotten_bind_the_socket_may_listen)
{
    int holder, s = pier_socket(AF_INET, SOCK_STREAM, 0);
    pier_addr addr = nobody(&holder);
    assert_int_equal(pier_bind(s, addr), -EADDRINUSE);
    assert_int_equal(pier_listen(s, 1), -EADDRINUSE);
    assert_int_equal(pier_forget_failure(s), 0);
    assert_int_equal(pier_listen(s, 1), 0);
    assert_int_equal(pier_close(s), 0);
    assert_int_equal(pier_close(holder), 0);
}

TEST(nothing_to_forget_is_no_failure)
{
    int pair[2];
    assert_int_equal(pier_socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(pier_forget_failure(pair[0]), 0);
    assert_int_equal(pier_close(pair[0]), 0);
    assert_int_equal(pier_forget_failure(pair[0]), 0);
    assert_int_equal(pier_forget_failure(-EMFILE), -EMFILE);
    assert_int_equal(pier_close(pair[1]), 0);
}
