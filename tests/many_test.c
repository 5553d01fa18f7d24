/* SPDX-License-Identifier: MIT */
#include "datagrams.h"
#include "harness.h"
#include "scene.h"
#include "seams.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <netinet/in.h>
#include <pier.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* What every datagram socket does. */

TEST(many_datagrams_come_in_order_with_their_lengths)
{
    for (size_t k = 0; k < kind_count(); k++) {
        int pair[2];
        scene_pair(kinds[k], pair);
        fill_out(9, 0, NULL);
        for (size_t i = 0; i < 9; i++)
            out[i].length = 1 + i * i;
        assert_int_equal(pier_send_many(pair[0], out, 9, 0), 9);
        receive_all(pair[1], 9);
        assert_all_came(9);
        scene_close(pair);
    }
}

TEST(one_call_takes_all_that_is_queued_and_waits_for_no_more)
{
    for (size_t k = 0; k < kind_count(); k++) {
        int pair[2];
        scene_pair(kinds[k], pair);
        fill_out(5, 20, NULL);
        assert_int_equal(pier_send_many(pair[0], out, 5, 0), 5);
        await_datagrams(pair[1], 5 * 20);
        clear_in(MOST);
        assert_int_equal(pier_recv_many(pair[1], in, 2, 0), 2);
        assert_int_equal(pier_recv_many(pair[1], in + 2, MOST - 2, 0), 3);
        assert_all_came(5);
        assert_int_equal(in[5].length, 7); /* the others are as they were */
        assert_int_equal(bytes_in[5][0], '?');
        assert_int_equal(pier_recv_many(pair[1], in, MOST, MSG_DONTWAIT), -EAGAIN);
        scene_close(pair);
    }
}

TEST(hundreds_come_in_one_call)
{
    for (int gro = 0; gro < 2; gro++) {
        int pair[2];
        pier_addr at;
        receiver_and_sender(gro, pair, &at);
        fill_out(MOST, 50, &at);
        assert_int_equal(pier_send_many(pair[1], out, MOST, 0), MOST);
        await_datagrams(pair[0], (size_t)MOST * 50);
        clear_in(MOST);
        assert_int_equal(pier_recv_many(pair[0], in, MOST, 0), MOST);
        assert_all_came(MOST);
        scene_close(pair);
    }
}

TEST(senders_are_told_where_they_are_wanted)
{
    for (int gro = 0; gro < 2; gro++) {
        int pair[2];
        pier_addr at, me;
        receiver_and_sender(gro, pair, &at);
        assert_int_equal(pier_getsockname(pair[1], &me), 0);
        fill_out(6, 30, &at);
        assert_int_equal(pier_send_many(pair[1], out, 6, 0), 6);
        await_datagrams(pair[0], 6 * 30);
        clear_in(6);
        memset(from, 0x55, sizeof from);
        for (size_t i = 0; i < 6; i += 2)
            in[i].addr = NULL;
        assert_int_equal(pier_recv_many(pair[0], in, 6, 0), 6);
        for (size_t i = 1; i < 6; i += 2) {
            assert_true(pier_addr_equal(from[i], me));
            assert_int_equal(from[i].error | (int)from[i].pending, 0);
        }
        assert_int_equal(from[0].error, 0x55555555);
        scene_close(pair);
    }
}

TEST(sender_without_a_name_is_no_address)
{
    int pair[2];
    scene_pair("unix dgram", pair);
    fill_out(2, 3, NULL);
    assert_int_equal(pier_send_many(pair[0], out, 2, 0), 2);
    memset(from, 0x55, sizeof from);
    receive_all(pair[1], 2);
    assert_int_equal(from[0].error, 0);
    assert_int_equal(from[0].length, 0);
    scene_close(pair);
}

TEST(what_was_received_can_be_sent_back_as_it_is)
{
    for (int gro = 0; gro < 2; gro++) {
        int pair[2];
        pier_addr at;
        receiver_and_sender(gro, pair, &at);
        fill_out(20, 700, &at);
        assert_int_equal(pier_send_many(pair[1], out, 20, 0), 20);
        receive_all(pair[0], 20);
        assert_int_equal(pier_send_many(pair[0], in, 20, 0), 20);
        receive_all(pair[1], 20);
        assert_all_came(20);
        scene_close(pair);
    }
}

static void waits_for_the_first(int receiver, int sender)
{
    struct scene_call call;
    scene_start(&call, recv_ten, &receiver);
    scene_await_blocked(&call);
    assert_int_equal(pier_send(sender, "x", 1, 0), 1);
    assert_int_equal(scene_finish(&call), 1);
}

TEST(receive_waits_for_the_first_datagram)
{
    for (size_t k = 0; k < kind_count(); k++) {
        for (int limited = 0; limited < 2; limited++) {
            int pair[2];
            scene_pair(kinds[k], pair);
            if (limited) assert_int_equal(pier_settimeout(pair[1], 1000), 0);
            waits_for_the_first(pair[1], pair[0]);
            if (strncmp(kinds[k], "udp", 3) == 0) {
                assert_int_equal(pier_enable_gro(pair[1]), 0);
                waits_for_the_first(pair[1], pair[0]);
            }
            scene_close(pair);
        }
    }
}

TEST(receive_times_out_at_the_time_out_or_deadline_and_not_before)
{
    for (size_t k = 0; k < kind_count(); k++) {
        for (int gro = 0; gro < 2; gro++) {
            int pair[2];
            scene_pair(kinds[k], pair);
            if (gro && pier_enable_gro(pair[1]) < 0) {
                scene_close(pair);
                continue;
            }
            assert_int_equal(pier_settimeout(pair[1], 0.01), 0);
            pier_time until = pier_after(0.01);
            assert_int_equal(recv_ten(&pair[1]), -ETIME);
            assert_true(pier_now() >= until);
            assert_int_equal(pier_settimeout(pair[1], (double)INFINITY), 0);
            assert_int_equal(pier_setdeadline(pair[1], until = pier_after(0.01)), 0);
            assert_int_equal(recv_ten(&pair[1]), -ETIME);
            assert_true(pier_now() >= until);
            assert_int_equal(pier_send(pair[0], "x", 1, 0), 1);
            assert_int_equal(recv_ten(&pair[1]), -ETIME); /* although there is something */
            assert_int_equal(pier_setdeadline(pair[1], PIER_NEVER), 0);
            assert_int_equal(recv_ten(&pair[1]), 1);
            assert_int_equal(pier_settimeout(pair[1], 0), 0);
            assert_int_equal(recv_ten(&pair[1]), -EAGAIN);
            scene_close(pair);
        }
    }
}

TEST(close_wakes_a_receive_of_many)
{
    for (size_t k = 0; k < kind_count(); k++) {
        for (int how = 0; how < 4; how++) {
            int pair[2];
            scene_pair(kinds[k], pair);
            if (how & 1) assert_int_equal(pier_settimeout(pair[1], 1000), 0);
            if (how & 2) (void)pier_enable_gro(pair[1]);
            struct scene_call call;
            scene_start(&call, recv_ten, &pair[1]);
            scene_await_blocked(&call);
            assert_int_equal(pier_close(pair[1]), 0);
            assert_int_equal(scene_finish(&call), -ECANCELED);
            assert_int_equal(pier_close(pair[0]), 0);
        }
    }
}

static int64_t send_hundred(void *arg)
{
    pier_datagram hundred[100];
    for (int i = 0; i < 100; i++)
        hundred[i] = (pier_datagram){.data = bytes_out[0], .length = 1000};
    return pier_send_many(*(int *)arg, hundred, 100, 0);
}

TEST(close_wakes_a_send_of_many_that_finds_no_room)
{
    for (size_t k = 1; k < 3; k++) {
        for (int limited = 0; limited < 2; limited++) {
            int pair[2];
            scene_pair(kinds[k], pair);
            if (limited) assert_int_equal(pier_settimeout(pair[0], 1000), 0);
            scene_fill(pair[0]);
            struct scene_call call;
            scene_start(&call, send_hundred, &pair[0]);
            scene_await_blocked(&call);
            assert_int_equal(pier_close(pair[0]), 0);
            assert_int_equal(scene_finish(&call), -ECANCELED);
            assert_int_equal(call.moved, 0);
            assert_int_equal(pier_close(pair[1]), 0);
        }
    }
}

TEST(send_without_room_says_how_many_datagrams_had_gone)
{
    for (size_t k = 1; k < 3; k++) {
        int pair[2];
        scene_pair(kinds[k], pair);
        fill_out(MOST, 1000, NULL);
        assert_int_equal(pier_send_many(pair[0], out, MOST, MSG_DONTWAIT), -EAGAIN);
        size_t moved = pier_error_moved();
        assert_int_equal(pier_error_code(), -EAGAIN);
        assert_true(moved > 0 && moved < MOST);
        receive_all(pair[1], moved);
        assert_all_came(moved);
        assert_int_equal(pier_recv_many(pair[1], in, 1, MSG_DONTWAIT), -EAGAIN);

        moved = 0;
        for (double limit = 0.01; moved == 0; limit *= 2) { /* until some goes, on any machine */
            assert_int_equal(pier_settimeout(pair[0], limit), 0);
            pier_time until = pier_after(limit);
            assert_int_equal(pier_send_many(pair[0], out, MOST, 0), -ETIME);
            assert_true(pier_now() >= until);
            moved = pier_error_moved();
        }
        assert_true(moved < MOST);
        scene_close(pair);
    }
}

static int64_t receive_all_of_them(void *arg)
{
    receive_all(*(int *)arg, MOST);
    return 0;
}

TEST(send_waits_for_room_until_all_have_gone)
{
    for (size_t k = 1; k < 3; k++) {
        for (int limited = 0; limited < 2; limited++) {
            int pair[2];
            scene_pair(kinds[k], pair);
            if (limited) assert_int_equal(pier_settimeout(pair[0], 1000), 0);
            fill_out(MOST, 1000, NULL);
            struct scene_call call;
            scene_start(&call, receive_all_of_them, &pair[1]);
            assert_int_equal(pier_send_many(pair[0], out, MOST, 0), MOST);
            assert_int_equal(scene_finish(&call), 0);
            assert_all_came(MOST);
            scene_close(pair);
        }
    }
}

TEST(datagrams_of_0_bytes_count_like_every_other)
{
    for (size_t k = 0; k < kind_count(); k++) {
        for (int gro = 0; gro < 2; gro++) {
            int pair[2];
            scene_pair(kinds[k], pair);
            if (gro) (void)pier_enable_gro(pair[1]);
            fill_out(5, 0, NULL);
            out[1].length = out[2].length = 3;
            out[0].data = NULL;
            assert_int_equal(pier_send_many(pair[0], out, 5, 0), 5);
            receive_all(pair[1], 5);
            for (size_t i = 0; i < 5; i++)
                assert_int_equal(in[i].length, out[i].length);
            scene_close(pair);
        }
    }
}

TEST(datagram_that_is_too_long_is_cut_and_says_so)
{
    for (size_t k = 0; k < kind_count(); k++) {
        for (int gro = 0; gro < 2; gro++) {
            int pair[2];
            scene_pair(kinds[k], pair);
            if (gro) (void)pier_enable_gro(pair[1]);
            for (int real = 0; real < 2; real++) {
                fill_out(6, 600, NULL);
                assert_int_equal(pier_send_many(pair[0], out, 6, 0), 6);
                await_datagrams(pair[1], 6 * 600);
                clear_in(6);
                in[1].size = 10;
                in[2].size = 0;
                in[2].data = NULL;
                in[3].size = 600;
                in[4].size = 599;
                assert_int_equal(pier_recv_many(pair[1], in, 6, real ? MSG_TRUNC : 0), 6);
                for (size_t i = 0; i < 6; i++) {
                    bool cut = in[i].size < 600;
                    size_t there = cut ? in[i].size : 600;
                    assert_int_equal(in[i].truncated, cut);
                    assert_int_equal(in[i].length, real ? 600 : there);
                    if (there > 0) assert_memory_equal(in[i].data, out[i].data, there);
                    assert_int_equal(bytes_in[i][in[i].size], '?');
                }
            }
            scene_close(pair);
        }
    }
}

TEST(peek_looks_at_the_first_alone)
{
    for (size_t k = 0; k < kind_count(); k++) {
        for (int gro = 0; gro < 2; gro++) {
            int pair[2];
            scene_pair(kinds[k], pair);
            if (gro) (void)pier_enable_gro(pair[1]);
            fill_out(3, 40, NULL);
            assert_int_equal(pier_send_many(pair[0], out, 3, 0), 3);
            for (int i = 0; i < 3; i++) {
                clear_in(3);
                assert_int_equal(pier_recv_many(pair[1], in, 3, MSG_PEEK), 1);
                assert_came(0, 0);
                assert_int_equal(pier_pending(pair[1]), 0);
            }
            receive_all(pair[1], 3);
            assert_all_came(3);
            scene_close(pair);
        }
    }
}

TEST(nothing_comes_any_more_after_shutdown)
{
    for (size_t k = 0; k < kind_count(); k++) {
        for (int gro = 0; gro < 2; gro++) {
            int pair[2];
            scene_pair(kinds[k], pair);
            if (gro) (void)pier_enable_gro(pair[1]);
            fill_out(3, 40, NULL);
            assert_int_equal(pier_send_many(pair[0], out, 3, 0), 3);
            await_datagrams(pair[1], 3 * 40);
            assert_int_equal(pier_shutdown(pair[1], SHUT_RD), 0);
            receive_all(pair[1], 3);
            assert_all_came(3);
            for (int i = 0; i < 3; i++)
                assert_int_equal(pier_recv_many(pair[1], in, MOST, 0), 0);
            assert_int_equal(pier_settimeout(pair[1], 3600), 0);
            assert_int_equal(pier_recv_many(pair[1], in, MOST, 0), 0);
            scene_close(pair);
        }
    }
}

TEST(empty_udp_datagrams_are_told_from_the_end)
{
    for (int gro = 0; gro < 2; gro++) {
        int pair[2];
        scene_pair("udp", pair);
        if (gro) assert_int_equal(pier_enable_gro(pair[1]), 0);
        fill_out(3, 0, NULL);
        assert_int_equal(pier_send_many(pair[0], out, 3, 0), 3);
        assert_int_equal(pier_shutdown(pair[1], SHUT_RD), 0);
        clear_in(5);
        for (size_t i = 0; i < 5; i++)
            in[i].addr = NULL;
        assert_int_equal(pier_recv_many(pair[1], in, 5, 0), 3);
        assert_int_equal(pier_recv_many(pair[1], in, 5, 0), 0);
        scene_close(pair);
    }
}

TEST(seqpacket_peer_that_closes_is_the_end)
{
    int pair[2];
    scene_pair("unix seqpacket", pair);
    fill_out(3, 40, NULL);
    assert_int_equal(pier_send_many(pair[0], out, 3, 0), 3);
    assert_int_equal(pier_close(pair[0]), 0);
    clear_in(MOST);
    assert_int_equal(pier_recv_many(pair[1], in, MOST, 0), 3);
    assert_all_came(3);
    assert_int_equal(pier_recv_many(pair[1], in, MOST, 0), 0);
    assert_int_equal(pier_close(pair[1]), 0);
}

TEST(absurd_arguments_are_refused_and_change_nothing)
{
    int pair[2], streams[2];
    scene_pair("udp", pair);
    scene_pair("tcp", streams);
    fill_out(3, 10, NULL);
    clear_in(3);
    const size_t huge = (size_t)SSIZE_MAX + 1;
    assert_int_equal(pier_recv_many(-ECONNREFUSED, in, 3, 0), -ECONNREFUSED);
    assert_int_equal(pier_send_many(-ECONNREFUSED, out, 3, 0), -ECONNREFUSED);
    assert_int_equal(pier_enable_gro(-ECONNREFUSED), -ECONNREFUSED);
    assert_int_equal(pier_recv_many(pair[1], NULL, 3, 0), -EFAULT);
    assert_int_equal(pier_send_many(pair[0], NULL, 3, 0), -EFAULT);
    assert_int_equal(pier_recv_many(pair[1], in, huge, 0), -EINVAL);
    assert_int_equal(pier_send_many(pair[0], out, (size_t)-EAGAIN, 0), -EINVAL);
    assert_int_equal(pier_recv_many(pair[1], NULL, 0, 0), 0);
    assert_int_equal(pier_send_many(pair[0], NULL, 0, 0), 0);
    in[2].size = huge;
    assert_int_equal(pier_recv_many(pair[1], in, 3, 0), -EINVAL);
    in[2] = (pier_datagram){.size = 1};
    assert_int_equal(pier_recv_many(pair[1], in, 3, 0), -EFAULT);
    out[2].length = huge;
    assert_int_equal(pier_send_many(pair[0], out, 3, 0), -EINVAL);
    out[2] = (pier_datagram){.length = 1};
    assert_int_equal(pier_send_many(pair[0], out, 3, 0), -EFAULT);
    assert_int_equal(pier_error_moved(), 0);
    assert_int_equal(pier_recv_many(pair[1], in, 1, MSG_DONTWAIT), -EAGAIN); /* none had gone */
    assert_int_equal(pier_recv_many(pair[1], in, 1, MSG_OOB), -EOPNOTSUPP);
    assert_int_equal(pier_recv_many(pair[1], in, 1, MSG_ERRQUEUE), -EOPNOTSUPP);
    assert_int_equal(pier_recv_many(streams[0], in, 1, 0), -EOPNOTSUPP);
    assert_int_equal(pier_send_many(streams[0], out, 1, 0), -EOPNOTSUPP);
    assert_int_equal(pier_enable_gro(streams[0]), -EOPNOTSUPP);
    scene_close(pair);
    scene_close(streams);
    assert_int_equal(pier_recv_many(pair[0], in, 1, 0), -EBADF);
    assert_int_equal(pier_send_many(pair[0], out, 1, 0), -EBADF);
    assert_int_equal(pier_enable_gro(pair[0]), -EBADF);
    int file = fileno(stdin);
    assert_true(pier_recv_many(file, in, 1, 0) < 0);
}

TEST(bare_descriptor_sends_and_receives_many)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
    fill_out(3, 10, NULL);
    assert_int_equal(pier_send_many(pair[0], out, 3, 0), 3);
    receive_all(pair[1], 3);
    assert_all_came(3);
    assert_int_equal(pier_enable_gro(pair[0]), -EBADF);
    close(pair[0]);
    close(pair[1]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(pier_send_many(pair[0], out, 3, 0), -EOPNOTSUPP);
    close(pair[0]);
    close(pair[1]);
}

/* Destinations. */

TEST(each_datagram_goes_to_its_own_address)
{
    static pier_addr at[3], target[MOST];
    int to[3], s = scene_udp(NULL);
    for (int i = 0; i < 3; i++)
        to[i] = scene_udp(&at[i]);
    fill_out(60, 33, NULL);
    for (size_t i = 0; i < 60; i++) {
        target[i] = at[i / 2 % 3];
        out[i].addr = &target[i]; /* equal, but another pointer */
    }
    assert_int_equal(pier_send_many(s, out, 60, 0), 60);
    for (size_t r = 0; r < 3; r++) {
        receive_all(to[r], 20);
        for (size_t i = 0; i < 20; i++)
            assert_came(i, i / 2 * 6 + r * 2 + i % 2);
        assert_int_equal(pier_close(to[r]), 0);
    }
    assert_int_equal(pier_close(s), 0);
}

TEST(no_address_is_the_connected_peer)
{
    int pair[2];
    scene_pair("udp", pair);
    pier_addr none = {0}, at;
    assert_int_equal(pier_getsockname(pair[1], &at), 0);
    fill_out(3, 10, NULL);
    out[1].addr = &none;
    out[2].addr = &at;
    assert_int_equal(pier_send_many(pair[0], out, 3, 0), 3);
    receive_all(pair[1], 3);
    assert_all_came(3);
    scene_close(pair);

    int s = scene_udp(NULL);
    assert_int_equal(pier_send_many(s, out, 2, 0), -EDESTADDRREQ);
    assert_int_equal(pier_close(s), 0);
}

TEST(names_are_looked_up_on_the_way)
{
    int pair[2];
    pier_addr at;
    receiver_and_sender(/* gro= */ false, pair, &at);
    pier_addr name = pier_inet("localhost", pier_addr_port(at)), other = name;
    fill_out(9, 10, &at);
    out[0].addr = out[3].addr = out[4].addr = out[8].addr = &name;
    out[5].addr = &other;
    assert_true(name.pending);
    assert_int_equal(pier_send_many(pair[1], out, 9, 0), 9);
    assert_true(name.pending);
    receive_all(pair[0], 9);
    assert_all_came(9);
    scene_close(pair);
}

TEST(failure_in_the_middle_says_who_and_how_many_had_gone)
{
    int pair[2];
    pier_addr at, bad = pier_inet("127.0.0.1", 70000), six = pier_inet6("::1", 9);
    receiver_and_sender(/* gro= */ false, pair, &at);
    fill_out(100, 10, &at);
    out[77].addr = &bad;
    assert_int_equal(pier_send_many(pair[1], out, 100, 0), PIER_EPORT);
    assert_int_equal(pier_error_code(), PIER_EPORT);
    assert_int_equal(pier_error_moved(), 77);
    receive_all(pair[0], 77);
    assert_all_came(77);
    assert_int_equal(pier_recv_many(pair[0], in, 1, MSG_DONTWAIT), -EAGAIN);

    out[50].addr = &six;
    assert_int_equal(pier_send_many(pair[1], out, 100, 0), -EAFNOSUPPORT);
    assert_int_equal(pier_error_moved(), 50);
    assert_non_null(strstr(pier_error(), "[::1]:9"));
    receive_all(pair[0], 50);
    assert_all_came(50);

    out[0].addr = &bad;
    assert_int_equal(pier_send_many(pair[1], out, 100, 0), PIER_EPORT);
    assert_int_equal(pier_error_moved(), 0);
    scene_close(pair);
}

TEST(failed_bind_is_told_until_a_datagram_goes_to_an_address)
{
    int pair[2];
    pier_addr at;
    receiver_and_sender(/* gro= */ false, pair, &at);
    int s = pier_socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(pier_bind(s, at), -EADDRINUSE);
    clear_in(1);
    assert_int_equal(pier_recv_many(s, in, 1, MSG_DONTWAIT), -EADDRINUSE);
    fill_out(2, 10, &at);
    assert_int_equal(pier_send_many(s, out, 2, 0), 2);
    assert_int_equal(pier_recv_many(s, in, 1, MSG_DONTWAIT), -EAGAIN);
    assert_int_equal(pier_close(s), 0);
    scene_close(pair);
}

/* Sending several as one: UDP_SEGMENT. */

/* What sendmmsg was given: the datagrams of each message. */
static unsigned messages, combined, longest;
static size_t refused_from; /* combined ones of datagrams of at least this length are refused ... */
static int refused_with;    /* ... with this */
static unsigned most;       /* messages taken by one call */

static unsigned pieces_of(const struct msghdr *msg)
{
    size_t all = 0;
    uint16_t each;
    if (msg->msg_controllen == 0) return 1;
    struct cmsghdr *cmsg = msg->msg_control;
    assert_int_equal(cmsg->cmsg_level, IPPROTO_UDP);
    assert_int_equal(cmsg->cmsg_type, UDP_SEGMENT);
    memcpy(&each, CMSG_DATA(cmsg), sizeof each);
    for (size_t i = 0; i < msg->msg_iovlen; i++)
        all += msg->msg_iov[i].iov_len;
    assert_true(all <= 65507);
    return (unsigned)((all + each - 1) / each);
}

static int watch_sendmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags)
{
    unsigned n = 0;
    for (; n < count && n < most; n++) {
        unsigned pieces = pieces_of(&msgs[n].msg_hdr);
        size_t each = msgs[n].msg_hdr.msg_iov[0].iov_len;
        if (pieces > 1) memcpy(&each, CMSG_DATA((struct cmsghdr *)msgs[n].msg_hdr.msg_control), 2);
        if (pieces > 1) each &= 0xffff;
        if (pieces > 1 && refused_with && each >= refused_from) break;
        if (pieces > 1) combined++;
        if (pieces > longest) longest = pieces;
        messages++;
    }
    if (n == 0) return refused_with;
    return seams_below()->sendmmsg(fd, msgs, n, flags);
}

static void watch_sends(void)
{
    seams_install();
    seams_replace(sendmmsg, watch_sendmmsg);
    messages = combined = longest = 0;
    refused_with = 0;
    refused_from = 0;
    most = UINT_MAX;
}

/* Send n of out[], and see that they come; how many messages that took. */
static unsigned send_watched(const int pair[2], size_t n)
{
    messages = combined = longest = 0;
    assert_int_equal(pier_send_many(pair[1], out, n, 0), n);
    receive_all(pair[0], n);
    assert_all_came(n);
    return messages;
}

TEST(runs_of_one_length_and_destination_are_combined)
{
    int pair[2];
    pier_addr at;
    receiver_and_sender(/* gro= */ false, pair, &at);
    pier_addr same = at;
    watch_sends();
    fill_out(300, 64, &at);
    if (send_watched(pair, 1), send_watched(pair, 2) == 2) SKIP("no UDP_SEGMENT here");
    assert_int_equal(send_watched(pair, 64), 1);
    assert_int_equal(longest, 64);
    assert_int_equal(send_watched(pair, 65), 2);
    assert_int_equal(send_watched(pair, 300), 5);

    out[10].length = 63; /* the last of a run may be shorter */
    assert_int_equal(send_watched(pair, 20), 2);
    out[10].length = 65; /* but not longer */
    assert_int_equal(send_watched(pair, 20), 3);
    out[10].length = 0;
    assert_int_equal(send_watched(pair, 20), 3);
    out[10].length = 64;
    out[10].addr = &same;
    assert_int_equal(send_watched(pair, 20), 1);

    fill_out(64, ROOM, &at); /* as many as 64 KiB hold */
    assert_int_equal(send_watched(pair, 62), 2);
    assert_int_equal(longest, 31);
    seams_remove();
    scene_close(pair);
}

TEST(bytes_that_lie_one_behind_the_other_are_one_piece)
{
    int pair[2];
    pier_addr at;
    receiver_and_sender(/* gro= */ false, pair, &at);
    watch_sends();
    fill_out(MOST, 20, &at);
    for (size_t i = 0; i < MOST; i++)
        out[i].data = (char *)bytes_out + 20 * i;
    for (size_t i = 0; i < MOST * 20; i++)
        ((char *)bytes_out)[i] = (char)(i % 251);
    send_watched(pair, MOST);
    if (combined == 0) SKIP("no UDP_SEGMENT here");
    assert_int_equal(messages, 7);
    assert_int_equal(seams_calls(sendmmsg), 1);
    seams_remove();
    scene_close(pair);
}

TEST(connected_sockets_combine_too)
{
    for (size_t k = 0; k < kind_count(); k++) {
        int pair[2];
        scene_pair(kinds[k], pair);
        watch_sends();
        fill_out(8, 100, NULL);
        assert_int_equal(pier_send_many(pair[0], out, 8, 0), 8);
        receive_all(pair[1], 8);
        assert_all_came(8);
        bool is_udp = strncmp(kinds[k], "udp", 3) == 0;
        assert_int_equal(messages, is_udp ? 1 : 8);
        seams_remove();
        scene_close(pair);
    }
}

TEST(kernel_without_gso_is_asked_once)
{
    static const int codes[] = {-ENOPROTOOPT, -EINVAL, -ENOSYS};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        int pair[2];
        pier_addr at;
        receiver_and_sender(/* gro= */ false, pair, &at);
        watch_sends();
        fill_out(100, 64, &at);
        assert_int_equal(pier_send_many(pair[1], out, 1, 0), 1);
        assert_int_equal(seams_calls(getsockopt), 0); /* one alone needs none */
        receive_all(pair[0], 1);
        seams_fail_from(getsockopt, 1, codes[i]);
        for (int times = 0; times < 3; times++) {
            assert_int_equal(send_watched(pair, 100), 100);
            assert_int_equal(combined, 0);
            assert_int_equal(seams_calls(getsockopt), 1);
        }
        seams_remove();
        scene_close(pair);
    }
}

TEST(device_without_gso_gets_every_datagram_and_is_remembered)
{
    static const int codes[] = {-EIO, -EINVAL, -ENOPROTOOPT, -EOPNOTSUPP, -EMSGSIZE};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        int pair[2];
        pier_addr at;
        receiver_and_sender(/* gro= */ false, pair, &at);
        watch_sends();
        fill_out(100, 64, &at);
        out[0].length = 3; /* so that the refused one is not the first */
        refused_with = codes[i];
        assert_int_equal(send_watched(pair, 100), 100);
        refused_with = 0;
        assert_int_equal(send_watched(pair, 100), 100);
        seams_remove();
        scene_close(pair);
    }
}

TEST(too_long_for_the_device_is_sent_alone_and_the_rest_combined)
{
    int pair[2];
    pier_addr at;
    receiver_and_sender(/* gro= */ false, pair, &at);
    watch_sends();
    fill_out(20, 1400, &at);
    if (send_watched(pair, 2) == 2) SKIP("no UDP_SEGMENT here");
    fill_out(20, 2000, &at);
    for (size_t i = 10; i < 20; i++)
        out[i].length = 1400;
    refused_from = 1500;
    refused_with = -EINVAL;
    for (int times = 0; times < 3; times++) {
        assert_int_equal(send_watched(pair, 20), 11);
        assert_int_equal(longest, 10);
    }
    seams_remove();
    scene_close(pair);
}

TEST(refusal_that_is_not_about_combining_is_told)
{
    int pair[2];
    pier_addr at;
    receiver_and_sender(/* gro= */ false, pair, &at);
    seams_install();
    fill_out(10, 64, &at);
    seams_fail_from(sendmmsg, 1, -EINVAL);
    assert_int_equal(pier_send_many(pair[1], out, 10, 0), -EINVAL);
    assert_int_equal(pier_error_moved(), 0);
    seams_fail_from(sendmmsg, 1, -EPERM);
    assert_int_equal(pier_send_many(pair[1], out, 10, 0), -EPERM);
    seams_obey(sendmmsg);
    watch_sends(); /* nor is it remembered as one */
    send_watched(pair, 2);
    if (combined == 0) SKIP("no UDP_SEGMENT here");
    seams_remove();
    scene_close(pair);
}

TEST(kernel_that_takes_few_at_a_time_gets_them_all)
{
    int pair[2];
    pier_addr at;
    receiver_and_sender(/* gro= */ false, pair, &at);
    for (unsigned few = 1; few < 4; few++) {
        watch_sends();
        most = few;
        fill_out(MOST, 0, &at);
        for (size_t i = 0; i < MOST; i++)
            out[i].length = 1 + i % 7;
        send_watched(pair, MOST);
        seams_remove();
    }
    scene_close(pair);
}

TEST(pause_and_failure_after_some_tell_how_many)
{
    int pair[2];
    pier_addr at;
    receiver_and_sender(/* gro= */ false, pair, &at);
    assert_int_equal(pier_settimeout(pair[1], 0), 0);
    static const int codes[] = {-EAGAIN, -ECONNREFUSED, -ENOBUFS};
    for (size_t i = 0; i < 3; i++) {
        watch_sends();
        fill_out(10, 0, &at);
        for (size_t j = 0; j < 10; j++)
            out[j].length = 10 + j; /* none is combined */
        most = 4;
        seams_script(sendmmsg, SEAMS_ASK, SEAMS_ASK, codes[i]);
        assert_int_equal(pier_send_many(pair[1], out, 10, 0), codes[i]);
        assert_int_equal(pier_error_moved(), 8);
        assert_int_equal(pier_error_code(), codes[i]);
        receive_all(pair[0], 8);
        assert_all_came(8);
        seams_remove();
    }
    scene_close(pair);
}

static int asked;

static int count_and_stop_at_the_second(void *arg)
{
    (void)arg;
    return ++asked == 2;
}

TEST(hook_is_asked_when_a_send_of_many_stopped_on_the_way)
{
    int pair[2];
    pier_addr at;
    receiver_and_sender(/* gro= */ false, pair, &at);
    watch_sends();
    most = 3;
    fill_out(10, 0, &at);
    for (size_t j = 0; j < 10; j++)
        out[j].length = 10 + j;
    asked = 0;
    pier_hook before = pier_sethook(count_and_stop_at_the_second, NULL);
    assert_int_equal(pier_send_many(pair[1], out, 10, 0), -EINTR);
    assert_int_equal(pier_error_moved(), 6);
    pier_sethook(before.call, before.arg);
    seams_remove();
    scene_close(pair);
}

TEST(own_segment_length_of_the_user_is_left_alone)
{
    int pair[2], own = 100;
    pier_addr at;
    receiver_and_sender(/* gro= */ false, pair, &at);
    if (setsockopt(pair[1], IPPROTO_UDP, UDP_SEGMENT, &own, sizeof own) < 0)
        SKIP("no UDP_SEGMENT here");
    watch_sends();
    fill_out(10, 64, &at);
    assert_int_equal(send_watched(pair, 10), 10);
    seams_remove();
    scene_close(pair);
}
