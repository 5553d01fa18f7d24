/* SPDX-License-Identifier: MIT */
/*
 * What the kernel refuses is refused at once in every world, whatever was waited for on the socket
 * before: there is no event for which a refusal would have to wait.
 */
#include "harness.h"
#include "scene.h"

#include <errno.h>
#include <pier.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const double soon = 0.01;

struct kind {
    const char *name;
    int family, type;
    int of_receive, of_send; /* what a listener says */
};

static const struct kind kinds[] = {
    {"TCP", AF_INET, SOCK_STREAM, -ENOTCONN, -EPIPE},
    {"a Unix stream", AF_UNIX, SOCK_STREAM, -EINVAL, -ENOTCONN},
    {"Unix packets", AF_UNIX, SOCK_SEQPACKET, -ENOTCONN, -ENOTCONN},
};

/* A socket that has a name, which the kernel chooses. */
static int bound(const struct kind *kind)
{
    const struct sockaddr any = {.sa_family = AF_UNIX};
    int s = pier_socket(kind->family, kind->type, 0);
    assert_true(s >= 0);
    bool ip = kind->family == AF_INET;
    pier_addr at = ip ? pier_inet("127.0.0.1", 0) : pier_addr_raw(&any, sizeof any.sa_family);
    assert_int_equal(pier_bind(s, at), 0);
    return s;
}

static int listener(const struct kind *kind)
{
    int s = bound(kind);
    assert_int_equal(pier_listen(s, 5), 0);
    return s;
}

static void assert_refused(const struct kind *kind, int s)
{
    char byte[1];
    pier_addr from;
    struct iovec iov = {.iov_base = byte, .iov_len = 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    assert_int_equal(pier_recv(s, byte, 1, 0), kind->of_receive);
    assert_int_equal(pier_recv(s, byte, 1, MSG_PEEK | MSG_WAITALL), kind->of_receive);
    assert_int_equal(pier_recvfrom(s, byte, 1, 0, &from), kind->of_receive);
    assert_int_equal(pier_recvmsg(s, &msg, 0), kind->of_receive);
    assert_int_equal(pier_send(s, "x", 1, 0), kind->of_send);
    assert_int_equal(pier_sendmsg(s, &msg, 0), kind->of_send);
    assert_int_equal(pier_sendall(s, "x", 1, 0), kind->of_send);
}

TEST(a_listener_neither_receives_nor_sends)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        int s = listener(&kinds[i]);
        assert_refused(&kinds[i], s);
        assert_int_equal(pier_wait_readable(s, pier_after(soon)), -ETIME);
        (void)pier_wait_writable(s, pier_after(soon)); /* the kinds differ in what they say */
        assert_refused(&kinds[i], s);
        assert_int_equal(pier_settimeout(s, 60), 0);
        assert_refused(&kinds[i], s);
        assert_int_equal(pier_close(s), 0);
    }
}

TEST(a_listener_that_another_made_neither_receives_nor_sends)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        int s = listener(&kinds[i]), fd = pier_detach(s);
        assert_int_equal(pier_adopt(fd), fd);
        assert_refused(&kinds[i], fd);
        int other = pier_dup(fd);
        assert_refused(&kinds[i], other);
        assert_int_equal(pier_close(other), 0);
        assert_int_equal(pier_close(fd), 0);
    }
}

TEST(one_that_came_to_listen_after_it_had_been_waited_for_neither_receives_nor_sends)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        int s = bound(&kinds[i]);
        assert_int_equal(
            pier_wait_readable(s, pier_after(soon)), 0); /* to hear that it has no peer */
        assert_int_equal(pier_listen(s, 5), 0);
        assert_refused(&kinds[i], s);
        assert_int_equal(pier_close(s), 0);
    }
}

/* A Unix socket counts as writable from a quarter of its buffer on only. */
TEST(a_send_for_which_there_is_room_goes_though_there_is_little)
{
    int pair[2];
    static const char bytes[50000];
    scene_pair("unix seqpacket", pair);
    while (pier_wait_writable(pair[0], pier_after(soon)) == 0) {
        assert_int_equal(pier_send(pair[0], bytes, sizeof bytes, 0), sizeof bytes);
    }
    assert_int_equal(pier_send(pair[0], "x", 1, 0), 1);
    scene_close(pair);
}

/* What has nothing to wait for is not refused either. */
TEST(a_send_of_nothing_needs_no_room)
{
    const char *const streams[] = {"tcp", "unix stream"};
    struct iovec iov = {0};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    for (int i = 0; i < 4; i++) {
        int pair[2];
        scene_pair(streams[i % 2], pair);
        if (i >= 2) assert_int_equal(pier_settimeout(pair[0], 60), 0);
        (void)scene_fill(pair[0]);
        assert_int_equal(pier_wait_writable(pair[0], pier_after(soon)), -ETIME);
        assert_int_equal(pier_setdeadline(pair[0], pier_after(soon)), 0);
        assert_int_equal(pier_send(pair[0], "x", 1, 0), -ETIME);
        assert_int_equal(pier_setdeadline(pair[0], PIER_NEVER), 0);
        assert_int_equal(pier_send(pair[0], "", 0, 0), 0);
        assert_int_equal(pier_sendmsg(pair[0], &msg, 0), 0);
        assert_int_equal(pier_sendall(pair[0], "", 0, 0), 0);
        scene_close(pair);
    }
}

TEST(what_was_waited_for_before_it_was_connected_can_be_sent_on_afterwards)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char byte[1];
        int s = listener(&kinds[i]), c = pier_socket(kinds[i].family, kinds[i].type, 0);
        pier_addr at;
        assert_int_equal(pier_getsockname(s, &at), 0);
        (void)pier_wait_writable(c, pier_after(soon));
        assert_int_equal(pier_connect(c, at), 0);
        assert_int_equal(pier_send(c, "x", 1, 0), 1);
        int accepted = pier_accept(s, NULL);
        assert_int_equal(pier_recv(accepted, byte, 1, 0), 1);
        assert_int_equal(pier_send(accepted, "y", 1, 0), 1);
        assert_int_equal(pier_recv(c, byte, 1, 0), 1);
        assert_int_equal(pier_close(accepted), 0);
        assert_int_equal(pier_close(c), 0);
        assert_int_equal(pier_close(s), 0);
    }
}
