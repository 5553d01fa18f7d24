/* SPDX-License-Identifier: MIT */
/* TCP Fast Open: a send that connects. Whoever has no cookie of the peer yet has to wait for that. */
#include "base/bits.h"
#include "harness.h"
#include "scene.h"

#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pier.h>
#include <string.h>
#include <sys/socket.h>

static int64_t by_sendto(int s, pier_addr at, int flags)
{
    return pier_sendto(s, "hello", 5, MSG_FASTOPEN | flags, at);
}

static int64_t by_sendmsg(int s, pier_addr at, int flags)
{
    struct iovec iov = {.iov_base = (char[]){"hello"}, .iov_len = 5};
    struct msghdr msg = {
        .msg_name = &at.sa.any, .msg_namelen = at.length, .msg_iov = &iov, .msg_iovlen = 1};
    return pier_sendmsg(s, &msg, MSG_FASTOPEN | flags);
}

/* The option makes connect() put off the connecting until something is sent, or not, as it likes. */
static int64_t by_option(int s, pier_addr at, int flags)
{
    assert_int_equal(pier_setsockopt_int(s, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1), 0);
    int err = pier_connect(s, at);
    return err < 0 ? err : pier_sendall(s, "hello", 5, flags);
}

static int64_t (*const ways[])(int s, pier_addr at, int flags) = {by_sendto, by_sendmsg, by_option};

static int client(double timeout)
{
    int s = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_true(s >= 0);
    assert_int_equal(pier_settimeout(s, timeout), 0);
    return s;
}

static const double timeouts[] = {(double)INFINITY, 60};

TEST(send_that_connects_waits_for_its_connection)
{
    pier_addr at;
    int listener = scene_listener(&at);
    assert_int_equal(pier_setsockopt_int(listener, IPPROTO_TCP, TCP_FASTOPEN, 16), 0);
    for (size_t i = 0; i < PIER_COUNT(ways); i++) {
        for (size_t k = 0; k < PIER_COUNT(timeouts); k++) {
            char got[8];
            int s = client(timeouts[k]);
            int64_t n = ways[i](s, at, 0);
            if (n == -EOPNOTSUPP) SKIP("tcp_fastopen is off");
            assert_int_equal(n, 5);
            int peer = pier_accept(listener, NULL);
            assert_int_equal(pier_recv_exactly(peer, got, 5), 5);
            assert_memory_equal(got, "hello", 5);
            scene_close((int[]){s, peer});
        }
    }
    assert_int_equal(pier_close(listener), 0);
}

TEST(send_whose_connection_is_refused_says_so)
{
    for (size_t i = 0; i < PIER_COUNT(ways); i++) {
        for (size_t k = 0; k < PIER_COUNT(timeouts); k++) {
            int s = client(timeouts[k]);
            int64_t n = ways[i](s, scene_nobody(), 0);
            if (n == -EOPNOTSUPP) SKIP("tcp_fastopen is off");
            assert_int_equal(n, -ECONNREFUSED);
            assert_int_equal(pier_close(s), 0);
        }
    }
}

TEST(send_that_may_not_wait_says_that_its_connection_is_under_way)
{
    pier_addr at;
    int listener = scene_listener(&at);
    int s = client(INFINITY);
    int64_t n = by_sendto(s, at, MSG_DONTWAIT);
    if (n == -EOPNOTSUPP) SKIP("tcp_fastopen is off");
    assert_true(n == -EINPROGRESS || n == 5); /* who has a cookie need not wait */
    int peer = pier_accept(listener, NULL);
    assert_int_equal(pier_send(s, "x", 1, 0), 1);
    scene_close((int[]){s, peer});
    assert_int_equal(pier_close(listener), 0);
}
