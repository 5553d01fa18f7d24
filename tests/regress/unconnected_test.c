/* SPDX-License-Identifier: MIT */
/*
 * A failed connect was hidden where the kernel says "not connected" in other words: EINVAL to the
 * reader of an AF_UNIX stream, EDESTADDRREQ to the sender of a datagram.
 */
#include "harness.h"

#include <errno.h>
#include <pier.h>
#include <string.h>

TEST(a_failed_connect_is_told_by_recv_on_a_unix_stream)
{
    char buf[8];
    int s = pier_socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(pier_connect(s, pier_unix(test_path("nobody"))), -ENOENT);
    assert_int_equal(pier_recv(s, buf, sizeof buf, 0), -ENOENT);
    assert_non_null(strstr(pier_error(), "/nobody: No such file or directory"));
    assert_int_equal(pier_close(s), 0);
}

TEST(a_failed_connect_is_told_by_send_on_udp)
{
    int s = pier_socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(pier_connect(s, pier_inet("127.0.0.1", 65536)), PIER_EPORT);
    assert_int_equal(pier_send(s, "x", 1, 0), PIER_EPORT);
    assert_int_equal(pier_close(s), 0);
}

TEST(an_invalid_argument_is_still_one_where_nothing_was_hidden)
{
    char buf[8];
    int s = pier_socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(pier_recv(s, buf, sizeof buf, 0), -EINVAL);
    assert_int_equal(pier_close(s), 0);
}
