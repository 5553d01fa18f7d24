/* SPDX-License-Identifier: MIT */
/*
 * How many system calls it takes. CPython makes one without a time-out, and with one a poll before
 * each.
 */
#include "base/bits.h"
#include "harness.h"
#include "scene.h"
#include "seams.h"

#include <errno.h>
#include <pier.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

static char scratch[1 << 20];

TEST(blocking_send_and_recv_are_one_system_call_each)
{
    static const char *const kinds[] = {"tcp", "udp", "unix stream", "unix seqpacket"};
    for (size_t i = 0; i < 4; i++) {
        int pair[2];
        scene_pair(kinds[i], pair);
        seams_install();
        for (int k = 0; k < 10; k++) {
            assert_int_equal(pier_send(pair[0], "0123456789", 10, 0), 10);
            assert_int_equal(pier_recv(pair[1], scratch, 100, 0), 10);
        }
        assert_int_equal(seams_system_calls(), 20);
        assert_int_equal(seams_calls(allocate), 0);
        assert_int_equal(pier_sendall(pair[0], "0123456789", 10, 0), 10);
        assert_int_equal(seams_system_calls(), 21);
        assert_int_equal(pier_recvfrom(pair[1], scratch, 100, 0, NULL), 10);
        assert_int_equal(seams_system_calls(), 22);
        seams_remove();
        scene_close(pair);
    }
}

/*
 * Run a conversation under a time-out on pair[0], and compare. `received`, `sent`: its calls on
 * pair[0].
 */
struct tally {
    long received, sent;
};

static void ask_with_room(size_t room, int s, int peer, struct tally *t)
{
    for (int i = 0; i < 50; i++) {
        assert_int_equal(pier_send(s, "0123456789", 10, 0), 10);
        assert_int_equal(recv(peer, scratch, 100, 0), 10);
        assert_int_equal(send(peer, scratch, 10, 0), 10);
        assert_int_equal(pier_recv(s, scratch, room, 0), 10);
        t->sent++, t->received++;
    }
}

static void ping_pong(int s, int peer, struct tally *t) { ask_with_room(100, s, peer, t); }

static void exact_ping_pong(int s, int peer, struct tally *t) { ask_with_room(10, s, peer, t); }

static void receive_with_room(size_t room, int s, int peer, struct tally *t)
{
    for (int i = 0; i < 50; i++) {
        assert_int_equal(send(peer, scratch, 10, 0), 10);
        assert_int_equal(pier_recv(s, scratch, room, 0), 10);
        t->received++;
    }
}

static void receive_only(int s, int peer, struct tally *t) { receive_with_room(100, s, peer, t); }

static void receive_only_exact(int s, int peer, struct tally *t)
{
    receive_with_room(10, s, peer, t);
}

static void receive_only_bulk(int s, int peer, struct tally *t)
{
    for (int i = 0; i < 10; i++) {
        assert_int_equal(send(peer, scratch, 60000, 0), 60000);
        for (int have = 0; have < 60000; t->received++)
            have += (int)pier_recv(s, scratch, 4096, 0);
    }
}

/* A request, and an answer of many parts. */
static void request_and_bulk(int s, int peer, struct tally *t)
{
    for (int i = 0; i < 20; i++) {
        assert_int_equal(pier_send(s, "0123456789", 10, 0), 10);
        assert_int_equal(recv(peer, scratch, 100, 0), 10);
        t->sent++;
        assert_int_equal(send(peer, scratch, 60000, 0), 60000);
        for (int have = 0; have < 60000; t->received++)
            have += (int)pier_recv(s, scratch, 4096, 0);
    }
}

static void send_only(int s, int peer, struct tally *t)
{
    for (int i = 0; i < 50; i++) {
        assert_int_equal(pier_send(s, scratch, 1000, 0), 1000);
        assert_int_equal(recv(peer, scratch, 1000, MSG_WAITALL), 1000);
        t->sent++;
    }
}

/* Whole lines, sent in two parts: a header, whose buffer is filled, and what it announces. */
static void header_and_body(int s, int peer, struct tally *t)
{
    for (int i = 0; i < 50; i++) {
        assert_int_equal(pier_send(s, "0123456789", 10, 0), 10);
        assert_int_equal(recv(peer, scratch, 100, 0), 10);
        assert_int_equal(send(peer, scratch, 24, 0), 24);
        assert_int_equal(pier_recv(s, scratch, 4, 0), 4);
        assert_int_equal(pier_recv(s, scratch, 20, 0), 20);
        t->sent++, t->received += 2;
    }
}

TEST(data_that_is_there_is_not_polled_for)
{
    static const struct {
        const char *name;
        void (*talk)(int s, int peer, struct tally *t);
    } works[] = {
        {"ping-pong", ping_pong},
        {"exact ping-pong", exact_ping_pong},
        {"receive only", receive_only},
        {"receive only, exact", receive_only_exact},
        {"receive only, bulk", receive_only_bulk},
        {"request and bulk", request_and_bulk},
        {"send only", send_only},
        {"header and body", header_and_body},
    };
    for (const char *const *kind = scene_kinds(); *kind; kind++) {
        for (size_t i = 0; i < PIER_COUNT(works); i++) {
            if (!scene_is_stream(*kind) && strstr(works[i].name, "bulk")) continue;
            if (!scene_is_stream(*kind) && strstr(works[i].name, "header")) continue;
            int pair[2];
            struct tally tally = {0};
            scene_pair(*kind, pair);
            assert_int_equal(pier_settimeout(pair[0], 10), 0);
            seams_install();
            works[i].talk(pair[0], pair[1], &tally);
            long polls = seams_system_calls() - tally.received - tally.sent;
            assert_true(polls <= 1); /* before the first receive */
            seams_remove();
            scene_close(pair);
        }
    }
}

/* Who answers when it is polled for, and so never before. */
static int answers_late = -1;
static size_t answer;

static int answer_and_poll(struct pollfd *fds, nfds_t count, pier_time deadline)
{
    if (answer > 0) assert_int_equal(send(answers_late, scratch, answer, 0), answer);
    answer = 0;
    return seams_below()->poll(fds, count, deadline);
}

/*
 * On pair[0], under a time-out, polls for an answer of so many parts, again and again; before it
 * asks for it, or not. How many calls that takes beyond one for each part, one for each poll that
 * must be and one for each question.
 */
static long wasted_calls(const int pair[2], int parts, bool asks, int rounds)
{
    answers_late = pair[1];
    seams_install();
    seams_replace(poll, answer_and_poll);
    for (int i = 0; i < rounds; i++) {
        if (asks) {
            assert_int_equal(pier_send(pair[0], "0123456789", 10, 0), 10);
            assert_int_equal(recv(pair[1], scratch, 100, 0), 10);
        }
        answer = (size_t)parts * 100 - 1; /* so that the last part is short */
        for (int k = 1; k <= parts; k++)
            assert_int_equal(pier_recv(pair[0], scratch, 100, 0), k < parts ? 100 : 99);
    }
    long wasted = seams_system_calls() - (long)rounds * (parts + 1 + asks);
    seams_remove();
    return wasted;
}

TEST(guesses_that_are_always_wrong_become_rare_and_leave_the_others_alone)
{
    enum { ROUNDS = 330, PARTS = 10 };
    for (const char *const *kind = scene_kinds(); *kind; kind++) {
        for (int parts = 1; parts <= PARTS; parts += PARTS - 1) {
            if (parts > 1 && !scene_is_stream(*kind)) continue;
            for (int asks = 0; asks <= 1; asks++) {
                int pair[2];
                scene_pair(*kind, pair);
                assert_int_equal(pier_settimeout(pair[0], 10), 0);
                assert_in_range(wasted_calls(pair, parts, asks, ROUNDS), 0, ROUNDS / 31 + 5);
                scene_close(pair);
            }
        }
    }
}

/*
 * A stream that is always full: every part is waited for. Nobody reads but the seam, after each
 * part, so that it is as long as the small buffer, on any machine.
 */
static long parts_sent;
static int peer_of_full;

static ssize_t count_parts(int fd, const void *buf, size_t len, int flags)
{
    ssize_t n = seams_below()->send(fd, buf, len, flags);
    if (n > 0) parts_sent++;
    (void)scene_empty(peer_of_full);
    return n;
}

TEST(sendall_to_a_full_stream_makes_no_more_calls_than_cpython)
{
    int pair[2], small = 4096;
    scene_pair("unix stream", pair);
    assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    peer_of_full = pair[1];
    assert_int_equal(pier_settimeout(pair[0], 15), 0);
    seams_install();
    seams_replace(send, count_parts);
    assert_int_equal(pier_sendall(pair[0], scratch, sizeof scratch, 0), sizeof scratch);
    assert_true(parts_sent > 20);
    assert_true(seams_system_calls() <= 2 * parts_sent);
    seams_remove();
    scene_close(pair);
}

TEST(no_time_out_and_nothing_to_wait_for_never_allocates)
{
    int pair[2];
    pier_addr at;
    scene_pair("tcp", pair);
    int listener = scene_listener(&at), client = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(pier_connect(client, at), 0);
    struct iovec v = {scratch, 10};
    struct msghdr msg = {.msg_iov = &v, .msg_iovlen = 1};
    seams_install();
    assert_int_equal(pier_sendall(pair[0], scratch, 10, 0), 10);
    assert_int_equal(pier_recvmsg(pair[1], &msg, 0), 10);
    assert_int_equal(pier_sendmsg(pair[1], &msg, 0), 10);
    assert_int_equal(pier_recvfrom(pair[0], scratch, 10, 0, NULL), 10);
    int s = pier_accept(listener, NULL);
    assert_true(s >= 0);
    assert_int_equal(seams_calls(allocate), 0);
    seams_remove();
    int all[] = {s, client, listener, pair[0], pair[1]};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(pier_close(all[i]), 0);
}
