/* SPDX-License-Identifier: MIT */
#include "datagrams.h"
#include "harness.h"
#include "scene.h"
#include "seams.h"

#include <errno.h>
#include <netinet/in.h>
#include <pier.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Send n of `length` from the second to the first, as super-datagrams where they fit. */
static void send_super(const int pair[2], pier_addr *at, size_t n, size_t length)
{
    fill_out(n, length, at);
    assert_int_equal(pier_send_many(pair[1], out, n, 0), n);
    if (length > 0) await_datagrams(pair[0], n * length);
}

TEST(super_datagram_is_taken_apart_by_every_call)
{
    int pair[2];
    pier_addr at, me;
    receiver_and_sender(/* gro= */ true, pair, &at);
    assert_int_equal(pier_getsockname(pair[1], &me), 0);
    send_super(pair, &at, 8, 100);
    char buf[ROOM];

    assert_int_equal(pier_recv(pair[0], buf, sizeof buf, 0), 100);
    assert_memory_equal(buf, bytes_out[0], 100);
    bool super = pier_pending(pair[0]) == 700; /* not where there is no UDP_SEGMENT */
    assert_int_equal(pier_wait_readable(pair[0], pier_after(0)), 0);
    struct pollfd quiet = {.fd = pair[0], .events = POLLIN};
    if (super) assert_int_equal(poll(&quiet, 1, 0), 0);

    assert_int_equal(pier_recv(pair[0], buf, sizeof buf, MSG_PEEK), 100);
    assert_memory_equal(buf, bytes_out[1], 100);
    pier_addr who;
    assert_int_equal(pier_recvfrom(pair[0], buf, sizeof buf, 0, &who), 100);
    assert_memory_equal(buf, bytes_out[1], 100);
    assert_true(pier_addr_equal(who, me));

    struct sockaddr_in name;
    char head[30], rest[ROOM];
    struct iovec iov[3] = {{head, 30}, {NULL, 0}, {rest, sizeof rest}};
    struct msghdr msg = {
        .msg_name = &name, .msg_namelen = sizeof name, .msg_iov = iov, .msg_iovlen = 3};
    assert_int_equal(pier_recvmsg(pair[0], &msg, 0), 100);
    assert_memory_equal(head, bytes_out[2], 30);
    assert_memory_equal(rest, bytes_out[2] + 30, 70);
    assert_int_equal(msg.msg_namelen, sizeof name);
    assert_int_equal(name.sin_port, me.sa.inet.sin_port);
    assert_int_equal(msg.msg_flags, 0);

    assert_int_equal(pier_recv(pair[0], buf, 10, 0), 10); /* cut */
    assert_memory_equal(buf, bytes_out[3], 10);
    assert_int_equal(pier_recv(pair[0], buf, 10, MSG_TRUNC), 100);
    assert_int_equal(pier_recvfrom(pair[0], buf, 0, 0, &who), 0); /* takes one */
    if (super) assert_int_equal(pier_pending(pair[0]), 200);
    clear_in(2);
    assert_int_equal(pier_recv_many(pair[0], in, 1, 0), 1);
    assert_came(0, 6);
    assert_int_equal(pier_recv_many(pair[0], in + 1, 1, 0), 1);
    assert_came(1, 7);
    assert_int_equal(pier_pending(pair[0]), 0);
    assert_int_equal(pier_recv(pair[0], buf, sizeof buf, MSG_DONTWAIT), -EAGAIN);
    assert_int_equal(pier_wait_readable(pair[0], pier_after(0)), -ETIME);
    scene_close(pair);
}

TEST(array_that_is_full_leaves_the_rest_for_the_next_call)
{
    static const size_t lengths[] = {1, 64, 511, 512, 1000, 1400};
    int pair[2];
    pier_addr at;
    receiver_and_sender(/* gro= */ true, pair, &at);
    for (size_t i = 0; i < 6; i++) {
        for (int times = 0; times < 2;
             times++) { /* the second time it is known how long they are */
            send_super(pair, &at, 40, lengths[i]);
            clear_in(40);
            for (size_t got = 0; got < 40; got += 8)
                assert_int_equal(pier_recv_many(pair[0], in + got, 8, 0), 8);
            assert_all_came(40);
            assert_int_equal(pier_pending(pair[0]), 0);
        }
    }
    scene_close(pair);
}

TEST(another_length_than_before_is_taken_apart_as_well)
{
    static const size_t lengths[] = {1400, 64, 1400, 600, 1300, 0, 700, 2000, 1, 1200};
    int pair[2];
    pier_addr at;
    receiver_and_sender(/* gro= */ true, pair, &at);
    for (size_t i = 0; i < 10; i++) {
        for (size_t n = 1; n < 36; n += 17) {
            send_super(pair, &at, n, lengths[i]);
            clear_in(36);
            assert_int_equal(pier_recv_many(pair[0], in, 36, 0), n);
            assert_all_came(n);
        }
    }
    scene_close(pair);
}

TEST(two_senders_that_alternate_keep_their_names_and_order)
{
    int pair[2], other = scene_udp(NULL);
    pier_addr at, me[2];
    receiver_and_sender(/* gro= */ true, pair, &at);
    assert_int_equal(pier_getsockname(pair[1], &me[0]), 0);
    assert_int_equal(pier_getsockname(other, &me[1]), 0);
    fill_out(120, 600, &at);
    for (size_t i = 0; i < 120; i += 20) {
        assert_int_equal(pier_send_many(pair[1], out + i, 10, 0), 10);
        assert_int_equal(pier_send_many(other, out + i + 10, 10, 0), 10);
    }
    clear_in(120);
    for (size_t got = 0; got < 120;) {
        ssize_t n = pier_recv_many(pair[0], in + got, got + 7 < 120 ? 7 : 120 - got, 0);
        assert_true(n > 0);
        got += (size_t)n;
    }
    assert_all_came(120);
    for (size_t i = 0; i < 120; i++)
        assert_true(pier_addr_equal(from[i], me[i / 10 % 2]));
    assert_int_equal(pier_close(other), 0);
    scene_close(pair);
}

TEST(longest_datagram_and_datagrams_of_one_byte_come_whole)
{
    static char longest_out[65507], longest_in[70000];
    for (size_t i = 0; i < sizeof longest_out; i++)
        longest_out[i] = (char)(i % 253);
    for (int gro = 0; gro < 2; gro++) {
        int pair[2];
        pier_addr at;
        receiver_and_sender(gro, pair, &at);
        fill_out(66, 1, &at);
        out[33] = (pier_datagram){.data = longest_out, .length = sizeof longest_out, .addr = &at};
        assert_int_equal(pier_send_many(pair[1], out, 66, 0), 66);
        clear_in(66);
        in[33].data = longest_in;
        in[33].size = sizeof longest_in;
        for (size_t got = 0; got < 66;) {
            ssize_t n = pier_recv_many(pair[0], in + got, 66 - got, 0);
            assert_true(n > 0);
            got += (size_t)n;
        }
        for (size_t i = 0; i < 66; i++) {
            assert_int_equal(in[i].length, out[i].length);
            assert_memory_equal(in[i].data, out[i].data, out[i].length);
        }
        out[0] = (pier_datagram){.data = longest_in, .length = 65508, .addr = &at};
        assert_int_equal(pier_send_many(pair[1], out, 1, 0), -EMSGSIZE);
        scene_close(pair);
    }
}

TEST(ipv6_goes_the_same_ways)
{
    if (!test_ipv6()) SKIP("no IPv6 here");
    int pair[2];
    scene_pair("udp6", pair);
    pier_addr me;
    assert_int_equal(pier_getsockname(pair[0], &me), 0);
    assert_int_equal(pier_enable_gro(pair[1]), 0);
    fill_out(100, 700, NULL);
    assert_int_equal(pier_send_many(pair[0], out, 100, 0), 100);
    receive_all(pair[1], 100);
    assert_all_came(100);
    for (size_t i = 0; i < 100; i++)
        assert_true(pier_addr_equal(from[i], me));
    scene_close(pair);
}

TEST(control_data_comes_with_each_datagram)
{
    int pair[2], on = 1;
    pier_addr at;
    receiver_and_sender(/* gro= */ true, pair, &at);
    assert_int_equal(setsockopt(pair[0], IPPROTO_IP, IP_PKTINFO, &on, sizeof on), 0);
    assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on), 0);
    send_super(pair, &at, 3, 100);
    for (int i = 0; i < 3; i++) {
        char buf[ROOM];
        _Alignas(struct cmsghdr) char control[256];
        struct iovec iov = {buf, sizeof buf};
        struct msghdr msg = {.msg_iov = &iov,
            .msg_iovlen = 1,
            .msg_control = control,
            .msg_controllen = i == 1 ? 20 : sizeof control};
        assert_int_equal(pier_recvmsg(pair[0], &msg, 0), 100);
        int infos = 0, stamps = 0, others = 0;
        for (pier_cmsg cmsg = {0}; pier_cmsg_next(&msg, &cmsg);) {
            bool info = cmsg.level == IPPROTO_IP && cmsg.type == IP_PKTINFO;
            bool stamp = cmsg.level == SOL_SOCKET && cmsg.type == SCM_TIMESTAMPNS;
            infos += info;
            stamps += stamp;
            others += !info && !stamp;
        }
        assert_int_equal(others, 0); /* not a word of UDP_GRO */
        assert_int_equal(infos, i != 1);
        assert_int_equal(stamps, i != 1);
        assert_int_equal(msg.msg_flags & MSG_CTRUNC ? 1 : 0, i == 1);
    }
    scene_close(pair);
}

TEST(handles_with_datagrams_left_are_busy)
{
    int pair[2], carrier[2];
    pier_addr at;
    receiver_and_sender(/* gro= */ true, pair, &at);
    send_super(pair, &at, 4, 100);
    clear_in(4);
    assert_int_equal(pier_recv_many(pair[0], in, 1, 0), 1);
    if (pier_pending(pair[0]) == 0) SKIP("no UDP_SEGMENT here");
    scene_pair("unix stream", carrier);
    assert_int_equal(pier_dup(pair[0]), -EBUSY);
    assert_int_equal(pier_detach(pair[0]), -EBUSY);
    assert_int_equal(pier_send_fds(carrier[0], "x", 1, 0, &pair[0], 1), -EBUSY);
    assert_int_equal(pier_recv_many(pair[0], in + 1, 3, 0), 3);
    assert_all_came(4);

    int copy = pier_dup(pair[0]);
    assert_true(copy >= 0);
    int other = pier_fromfd(pair[0]);
    assert_true(other >= 0);
    int handles[] = {copy, other, pair[0]};
    for (int i = 0; i < 3; i++) { /* they know too */
        send_super(pair, &at, 4, 100);
        clear_in(4);
        for (size_t j = 0; j < 4; j++)
            assert_int_equal(pier_recv_many(handles[i], in + j, 1, 0), 1);
        assert_all_came(4);
    }
    assert_int_equal(pier_close(copy), 0);
    assert_int_equal(pier_close(other), 0);
    int fd = pier_detach(pair[0]);
    assert_int_equal(fd, pair[0]);
    assert_int_equal(pier_adopt(fd), fd);
    assert_int_equal(pier_enable_gro(fd), 0); /* told again */
    scene_close(carrier);
    scene_close(pair);
}

TEST(socket_of_the_same_number_begins_without_gro_and_leftovers)
{
    int pair[2];
    pier_addr at;
    receiver_and_sender(/* gro= */ true, pair, &at);
    send_super(pair, &at, 4, 100);
    clear_in(1);
    assert_int_equal(pier_recv_many(pair[0], in, 1, 0), 1);
    assert_int_equal(pier_close(pair[0]), 0);
    int again = scene_udp(&at);
    assert_int_equal(again, pair[0]);
    assert_int_equal(pier_pending(again), 0);
    seams_install();
    assert_int_equal(pier_recv_many(again, in, 1, MSG_DONTWAIT), -EAGAIN);
    assert_int_equal(seams_calls(recvmmsg), 1);
    seams_remove();
    assert_int_equal(pier_enable_gro(again), 0);
    send_super(pair, &at, 4, 100);
    receive_all(again, 4);
    assert_all_came(4);
    scene_close(pair);
}

TEST(fork_leaves_each_process_what_was_left)
{
    int pair[2];
    pier_addr at;
    receiver_and_sender(/* gro= */ true, pair, &at);
    send_super(pair, &at, 6, 600);
    clear_in(6);
    assert_int_equal(pier_recv_many(pair[0], in, 2, 0), 2);
    if (pier_pending(pair[0]) == 0) SKIP("no UDP_SEGMENT here");
    pid_t child = fork();
    assert_true(child >= 0);
    assert_int_equal(pier_recv_many(pair[0], in + 2, 4, 0), 4);
    assert_all_came(6);
    if (child == 0) { /* and it goes on taking apart */
        send_super(pair, &at, 6, 600);
        clear_in(6);
        for (size_t i = 0; i < 6; i++)
            assert_int_equal(pier_recv_many(pair[0], in + i, 1, 0), 1);
        assert_all_came(6);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    scene_close(pair);
}

TEST(fork_beside_a_receive_leaves_the_child_a_free_socket)
{
    int pair[2];
    pier_addr at;
    receiver_and_sender(/* gro= */ true, pair, &at);
    struct scene_call call;
    scene_start(&call, recv_ten, &pair[0]);
    scene_await_blocked(&call);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) _exit(recv_ten(&pair[0]) > 0 ? 0 : 1);
    fill_out(3, 50, &at);
    for (int status, done = 0; !done;) { /* whichever of the two gets it */
        assert_int_equal(pier_send_many(pair[1], out, 3, 0), 3);
        test_sleep(0.001);
        done = waitpid(child, &status, WNOHANG) == child;
        if (done) assert_int_equal(status, 0);
    }
    assert_int_equal(pier_close(pair[0]), 0);
    (void)scene_finish(&call);
    assert_int_equal(pier_close(pair[1]), 0);
}

TEST(gro_is_refused_where_it_cannot_be_and_then_nothing_changes)
{
    int pair[2];
    pier_addr at;
    receiver_and_sender(/* gro= */ false, pair, &at);
    struct scene_call call;
    scene_start(&call, recv_ten, &pair[0]);
    scene_await_blocked(&call);
    assert_int_equal(pier_enable_gro(pair[0]), -EBUSY); /* that one would get a super-datagram */
    fill_out(1, 10, &at);
    assert_int_equal(pier_send_many(pair[1], out, 1, 0), 1);
    assert_int_equal(scene_finish(&call), 1);

    seams_install();
    seams_fail(setsockopt, 1, -ENOPROTOOPT);
    assert_int_equal(pier_enable_gro(pair[0]), -ENOPROTOOPT);
    assert_int_equal(pier_error_code(), -ENOPROTOOPT);
    seams_fail(allocate, 1, 0);
    int fresh = scene_udp(NULL);
    assert_int_equal(pier_enable_gro(fresh), -ENOMEM);
    seams_remove();
    send_super(pair, &at, 5, 10);
    receive_all(pair[0], 5);
    assert_all_came(5);
    assert_int_equal(pier_enable_gro(pair[0]), 0);
    assert_int_equal(pier_enable_gro(pair[0]), 0);
    assert_int_equal(pier_close(fresh), 0);

    int local[2];
    scene_pair("unix dgram", local);
    assert_int_equal(pier_enable_gro(local[0]), -EOPNOTSUPP);
    scene_close(local);
    scene_close(pair);
}

TEST(datagrams_queued_before_gro_come_as_they_were)
{
    int pair[2];
    pier_addr at;
    receiver_and_sender(/* gro= */ false, pair, &at);
    send_super(pair, &at, 10, 100);
    assert_int_equal(pier_enable_gro(pair[0]), 0);
    fill_out(20, 100, &at);
    assert_int_equal(pier_send_many(pair[1], out + 10, 10, 0), 10);
    await_datagrams(pair[0], 20 * 100);
    clear_in(20);
    assert_int_equal(pier_recv_many(pair[0], in, 20, 0), 20);
    assert_all_came(20);
    scene_close(pair);
}

TEST(error_after_some_datagrams_is_the_next_calls)
{
    int pair[2];
    pier_addr at;
    receiver_and_sender(/* gro= */ true, pair, &at);
    send_super(pair, &at, 3, 100);
    seams_install();
    seams_fail_from(recvmsg, 2, -ECONNREFUSED);
    clear_in(MOST);
    assert_int_equal(pier_recv_many(pair[0], in, MOST, 0), 3);
    seams_remove();
    assert_int_equal(pier_wait_readable(pair[0], 0), 0);
    assert_int_equal(pier_recv_many(pair[0], in, MOST, MSG_DONTWAIT), -ECONNREFUSED);
    assert_int_equal(pier_wait_readable(pair[0], 0), -ETIME);
    assert_int_equal(pier_recv_many(pair[0], in, MOST, MSG_DONTWAIT), -EAGAIN);
    scene_close(pair);
}

TEST(datagrams_of_no_bytes_that_are_left_can_be_waited_for)
{
    int pair[2];
    pier_addr at;
    receiver_and_sender(/* gro= */ true, pair, &at);
    assert_int_equal(pier_wait_readable(pair[0], 0), -ETIME);
    send_super(pair, &at, 2, 100);
    pier_waitable either = {.what = PIER_WAIT_READABLE, .socket = pair[0]};
    clear_in(MOST);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pier_wait_readable(pair[0], 0), 0);
        assert_int_equal(pier_wait_any(&either, 1, 0), 1);
        assert_int_equal(pier_recv_many(pair[0], in, 1, 0), 1);
    }
    assert_int_equal(pier_wait_readable(pair[0], 0), -ETIME);
    scene_close(pair);
}

TEST(refused_connection_is_told_after_what_had_come)
{
    int pair[2];
    scene_pair("udp", pair);
    fill_out(64, 20, NULL);
    assert_int_equal(pier_send_many(pair[0], out, 64, 0), 64);
    assert_int_equal(pier_send_many(pair[1], out, 1, 0), 1); /* so that the peer is there */
    assert_int_equal(pier_close(pair[0]), 0);
    assert_int_equal(pier_send_many(pair[1], out, 1, 0), 1); /* and is not any more */
    clear_in(MOST);
    ssize_t n = pier_recv_many(pair[1], in, MOST, 0);
    if (n > 0) n = pier_recv_many(pair[1], in, MOST, 0);
    assert_int_equal(n, -ECONNREFUSED);
    assert_int_equal(pier_close(pair[1]), 0);
}

/* All together. */

static unsigned random_state;

static unsigned draw(unsigned below)
{
    random_state = random_state * 1664525U + 1013904223U;
    return (random_state >> 16) % below;
}

/* Receive some of those that in[] waits for, by whichever call. How many. */
static size_t receive_somehow(int s, size_t at, size_t left)
{
    struct iovec iov = {bytes_in[at], ROOM};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t n;
    switch (draw(6)) {
    case 0: n = pier_recv(s, bytes_in[at], ROOM, 0); break;
    case 1: n = pier_recvfrom(s, bytes_in[at], ROOM, 0, &from[at]); break;
    case 2: n = pier_recvmsg(s, &msg, 0); break;
    case 3:
        n = pier_recv(s, bytes_in[at], ROOM, MSG_PEEK);
        assert_int_equal(n, out[at].length);
        assert_memory_equal(bytes_in[at], out[at].data, out[at].length);
        assert_int_equal(pier_wait_readable(s, PIER_NEVER), 0);
        return 0;
    default:
        n = pier_recv_many(s, in + at, 1 + draw((unsigned)left), 0);
        assert_true(n > 0);
        return (size_t)n;
    }
    assert_true(n > 0);
    in[at].length = (size_t)n;
    return 1;
}

TEST(any_mix_of_calls_gets_every_datagram_once_and_in_order)
{
    int pair[2];
    pier_addr at;
    receiver_and_sender(/* gro= */ true, pair, &at);
    for (random_state = 1; random_state <= 60; random_state++) {
        unsigned seed = random_state;
        size_t n = 1 + draw(150), length = 1;
        fill_out(n, 1, &at);
        for (size_t i = 0; i < n; i++) {
            if (draw(12) == 0) length = 1 + draw(draw(2) ? 100 : ROOM - 1);
            out[i].length = length;
            memset(bytes_out[i], (int)draw(256), length);
        }
        for (size_t sent = 0; sent < n;) {
            size_t part = 1 + draw((unsigned)(n - sent));
            assert_int_equal(pier_send_many(pair[1], out + sent, part, 0), part);
            sent += part;
        }
        clear_in(n);
        for (size_t got = 0; got < n;)
            got += receive_somehow(pair[0], got, n - got);
        assert_all_came(n);
        assert_int_equal(pier_pending(pair[0]), 0);
        random_state = seed;
    }
    scene_close(pair);
}

struct share {
    int s;
    _Atomic size_t *left;
    _Atomic int *seen; /* how often each number came */
    bool one_by_one;
};

static int64_t receive_share(void *arg)
{
    const struct share *share = arg;
    static _Thread_local uint32_t numbers[20][150];
    pier_datagram twenty[20];
    for (int i = 0; i < 20; i++)
        twenty[i] = (pier_datagram){.data = numbers[i], .size = sizeof numbers[i]};
    while (atomic_load(share->left) > 0) {
        ssize_t n = share->one_by_one ? pier_recv(share->s, numbers[0], sizeof numbers[0], 0) > 0
                                      : pier_recv_many(share->s, twenty, 20, 0);
        if (n <= 0) return n;
        for (ssize_t i = 0; i < n; i++) {
            assert_true(numbers[i][0] < MOST);
            assert_int_equal(numbers[i][0], numbers[i][149]);
            atomic_fetch_add(&share->seen[numbers[i][0]], 1);
            atomic_fetch_sub(share->left, 1);
        }
    }
    return 0;
}

TEST(several_threads_share_what_comes_and_each_datagram_is_once)
{
    for (int gro = 0; gro < 2; gro++) {
        int pair[2];
        pier_addr at;
        receiver_and_sender(gro, pair, &at);
        static _Atomic int seen[MOST];
        memset(seen, 0, sizeof seen);
        _Atomic size_t left = MOST;
        struct share shares[3];
        struct scene_call calls[3];
        for (int i = 0; i < 3; i++) {
            shares[i] = (struct share){pair[0], &left, seen, i == 2};
            scene_start(&calls[i], receive_share, &shares[i]);
        }
        fill_out(MOST, 600, &at);
        for (uint32_t i = 0; i < MOST; i++)
            for (size_t j = 0; j < 150; j++)
                memcpy(bytes_out[i] + 4 * j, &i, 4);
        for (size_t sent = 0; sent < MOST; sent += 50)
            assert_int_equal(pier_send_many(pair[1], out + sent, 50, 0), 50);
        while (atomic_load(&left) > 0)
            test_sleep(0.001);
        assert_int_equal(pier_close(pair[0]), 0); /* who waits for more */
        for (int i = 0; i < 3; i++)
            (void)scene_finish(&calls[i]);
        for (size_t i = 0; i < MOST; i++)
            assert_int_equal(atomic_load(&seen[i]), 1);
        assert_int_equal(pier_close(pair[1]), 0);
    }
}
