/* SPDX-License-Identifier: MIT */
/* Datagrams, one by one; many_test.c has them in bulk. */
#include "harness.h"
#include "scene.h"
#include "seams.h"

#include <errno.h>
#include <pier.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

static char scratch[1 << 20];

/* C.41 */
TEST(datagram_of_no_bytes_is_received_and_is_no_end)
{
    static const char *const kinds[] = {"udp", "unix dgram"};
    for (size_t i = 0; i < 2; i++) {
        for (int limited = 0; limited < 2; limited++) {
            int pair[2];
            scene_pair(kinds[i], pair);
            if (limited) assert_int_equal(pier_settimeout(pair[0], 10), 0);
            assert_int_equal(pier_send(pair[1], "", 0, 0), 0);
            assert_int_equal(pier_sendall(pair[1], NULL, 0, 0), 0);
            assert_int_equal(pier_sendto(pair[1], "", 0, 0, (pier_addr){0}), 0);
            assert_int_equal(pier_send(pair[1], "x", 1, 0), 1);
            for (int k = 0; k < 3; k++)
                assert_int_equal(pier_recv(pair[0], scratch, 10, 0), 0);
            assert_int_equal(pier_recv(pair[0], scratch, 10, 0), 1);
            scene_close(pair);
        }
    }
}

/* C.42: what tells them apart is poll's HUP, and the sender's absence. */
TEST(seqpacket_message_of_no_bytes_and_the_end_look_alike_to_recv)
{
    int pair[2];
    scene_pair("unix seqpacket", pair);
    assert_int_equal(pier_send(pair[1], "", 0, 0), 0);
    assert_int_equal(pier_recv(pair[0], scratch, 10, 0), 0);
    struct pollfd end = {.fd = pair[0], .events = POLLIN | POLLRDHUP};
    assert_int_equal(poll(&end, 1, 0), 0);
    assert_int_equal(pier_recv(pair[0], scratch, 10, MSG_DONTWAIT), -EAGAIN);
    assert_int_equal(pier_close(pair[1]), 0);
    assert_int_equal(pier_recv(pair[0], scratch, 10, 0), 0);
    assert_int_equal(poll(&end, 1, 0), 1);
    assert_true(end.revents & POLLRDHUP);
    assert_int_equal(pier_close(pair[0]), 0);
}

/* C.43 */
TEST(datagram_that_is_too_long_loses_its_rest_and_trunc_tells_its_length)
{
    static const char *const kinds[] = {"udp", "unix dgram", "unix seqpacket"};
    for (size_t i = 0; i < 3; i++) {
        int pair[2];
        scene_pair(kinds[i], pair);
        for (int k = 0; k < 4; k++)
            assert_int_equal(pier_send(pair[1], "0123456789", 10, 0), 10);
        assert_int_equal(pier_recv(pair[0], scratch, 4, 0), 4);
        assert_int_equal(pier_recv(pair[0], scratch, 4, MSG_TRUNC), 10);
        assert_int_equal(pier_recvfrom(pair[0], scratch, 4, MSG_TRUNC | MSG_PEEK, NULL), 10);
        struct iovec v = {scratch, 4};
        struct msghdr msg = {.msg_iov = &v, .msg_iovlen = 1};
        assert_int_equal(pier_recvmsg(pair[0], &msg, 0), 4);
        assert_true(msg.msg_flags & MSG_TRUNC);
        assert_int_equal(pier_recv(pair[0], scratch, 20, MSG_TRUNC), 10);
        scene_close(pair);
    }
}

/* A.13 */
TEST(datagram_that_cannot_go_whole_is_emsgsize_and_nothing_goes)
{
    int pair[2];
    scene_pair("udp", pair);
    assert_int_equal(pier_send(pair[0], scratch, 65508, 0), -EMSGSIZE);
    assert_int_equal(pier_sendall(pair[0], scratch, 65508, 0), -EMSGSIZE);
    assert_true(pier_error_moved() == 0);
    pier_addr to;
    assert_int_equal(pier_getsockname(pair[1], &to), 0);
    assert_int_equal(pier_sendto(pair[0], scratch, 65508, 0, to), -EMSGSIZE);
    assert_int_equal(pier_send(pair[0], scratch, 65507, 0), 65507);
    assert_int_equal(pier_recv(pair[1], scratch, sizeof scratch, 0), 65507);
    assert_int_equal(pier_recv(pair[1], scratch, 1, MSG_DONTWAIT), -EAGAIN);
    scene_close(pair);
}

/* C.49 */
TEST(refusal_reaches_a_connected_udp_socket_once_and_it_stays_usable)
{
    for (int limited = 0; limited < 2; limited++) {
        pier_addr at, nobody = scene_nobody();
        int server = scene_udp(&at), s = pier_socket(AF_INET, SOCK_DGRAM, 0);
        if (limited) assert_int_equal(pier_settimeout(s, 10), 0);
        assert_int_equal(pier_connect(s, nobody), 0);
        assert_int_equal(pier_send(s, "x", 1, 0), 1);
        assert_int_equal(pier_recv(s, scratch, 1, 0), -ECONNREFUSED);
        assert_int_equal(pier_recv(s, scratch, 1, MSG_DONTWAIT), -EAGAIN);
        assert_int_equal(pier_send(s, "x", 1, 0), 1);
        int err;
        while ((err = (int)pier_send(s, "x", 1, 0)) == 1) {
        }
        assert_int_equal(err, -ECONNREFUSED);
        scene_empty(s);
        assert_int_equal(pier_connect(s, at), 0);
        while ((err = (int)pier_send(s, "hello", 5, 0)) == -ECONNREFUSED) {
        }
        assert_int_equal(err, 5);
        pier_addr from, own;
        assert_int_equal(pier_recvfrom(server, scratch, 10, 0, &from), 5);
        assert_int_equal(pier_getsockname(s, &own), 0);
        assert_true(pier_addr_equal(own, from));
        assert_int_equal(pier_close(s), 0);
        assert_int_equal(pier_close(server), 0);
    }
}

TEST(recvfrom_tells_from_whom_and_is_always_written)
{
    pier_addr at[2], from;
    int s[2] = {scene_udp(&at[0]), scene_udp(&at[1])};
    assert_int_equal(pier_sendto(s[0], "abc", 3, 0, at[1]), 3);
    assert_int_equal(pier_recvfrom(s[1], scratch, 10, 0, &from), 3);
    assert_true(pier_addr_equal(from, at[0]));
    assert_int_equal(pier_sendto(s[1], "de", 2, 0, from), 2);
    assert_int_equal(pier_recvfrom(s[0], scratch, 10, 0, NULL), 2);
    assert_int_equal(pier_recvfrom(s[0], scratch, 10, MSG_DONTWAIT, &from), -EAGAIN);
    assert_int_equal(from.error, -EAGAIN);
    scene_close(s);

    scene_pair("tcp", s);
    assert_int_equal(pier_send(s[0], "abc", 3, 0), 3);
    assert_int_equal(pier_recvfrom(s[1], scratch, 10, 0, &from), 3);
    assert_int_equal(from.length, 0); /* a connected stream: no address */
    assert_int_equal(from.error, 0);
    scene_close(s);

    int named = pier_socket(AF_UNIX, SOCK_DGRAM, 0), unnamed = pier_socket(AF_UNIX, SOCK_DGRAM, 0);
    pier_addr path = pier_unix(test_path("d"));
    assert_int_equal(pier_bind(named, path), 0);
    assert_int_equal(pier_sendto(unnamed, "x", 1, 0, path), 1);
    assert_int_equal(pier_recvfrom(named, scratch, 10, 0, &from), 1);
    assert_int_equal(from.length, 0);
    assert_int_equal(pier_close(named), 0);
    assert_int_equal(pier_close(unnamed), 0);
}

TEST(sendto_needs_an_address_that_fits)
{
    pier_addr at;
    int s = scene_udp(&at), stream = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(pier_sendto(s, "x", 1, 0, (pier_addr){0}), -EDESTADDRREQ);
    assert_int_equal(pier_sendto(s, "x", 1, 0, pier_inet("127.0.0.1", 65536)), PIER_EPORT);
    assert_int_equal(pier_sendto(s, "x", 1, 0, pier_unix("/nowhere/to/be/found")), -EAFNOSUPPORT);
    assert_int_equal(pier_sendto(stream, "x", 1, 0, at), -EPIPE);
    assert_int_equal(pier_close(s), 0);
    assert_int_equal(pier_close(stream), 0);
}

/* A.12 */
struct to_name {
    int s;
    pier_addr to;
};

static int64_t send_to_name(void *arg)
{
    struct to_name *to = arg;
    return pier_sendto(to->s, "late", 4, 0, to->to);
}

TEST(unix_datagram_waits_for_room_in_the_receivers_queue_without_spinning)
{
    for (int limited = 0; limited < 2; limited++) {
        int server = pier_socket(AF_UNIX, SOCK_DGRAM, 0);
        struct to_name to = {pier_socket(AF_UNIX, SOCK_DGRAM, 0),
            pier_unix(test_path(limited ? "limited" : "unlimited"))};
        assert_int_equal(pier_bind(server, to.to), 0);
        int queued = 0;
        while (pier_sendto(to.s, "x", 1, MSG_DONTWAIT, to.to) == 1)
            queued++;
        assert_true(queued > 0);
        if (limited) assert_int_equal(pier_settimeout(to.s, 15), 0);
        seams_install();
        struct scene_call call;
        pier_time began = pier_now();
        scene_start(&call, send_to_name, &to);
        test_sleep(0.4);
        long calls = seams_system_calls();
        pier_time naps = (pier_now() - began) / (PIER_SECOND / 20); /* and some shorter ones */
        assert_true(calls < 40 + 3 * naps);
        seams_remove();
        for (int i = 0; i < queued; i++)
            assert_int_equal(pier_recv(server, scratch, 10, 0), 1);
        assert_int_equal(pier_recv(server, scratch, 10, 0), 4);
        assert_int_equal(scene_finish(&call), 4);
        assert_int_equal(pier_close(to.s), 0);
        assert_int_equal(pier_close(server), 0);
    }
}

TEST(unix_datagram_sender_learns_that_the_receiver_is_gone)
{
    int server = pier_socket(AF_UNIX, SOCK_DGRAM, 0);
    struct to_name to = {pier_socket(AF_UNIX, SOCK_DGRAM, 0), pier_unix(test_path("gone"))};
    assert_int_equal(pier_bind(server, to.to), 0);
    while (pier_sendto(to.s, "x", 1, MSG_DONTWAIT, to.to) == 1) {
    }
    struct scene_call call;
    scene_start(&call, send_to_name, &to);
    scene_await_blocked(&call);
    assert_int_equal(pier_close(server), 0);
    assert_int_equal(scene_finish(&call), -ECONNREFUSED);
    assert_int_equal(pier_close(to.s), 0);
}
