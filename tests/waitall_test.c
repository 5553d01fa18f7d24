/* SPDX-License-Identifier: MIT */
/* MSG_WAITALL: in every world what the kernel does for a thread that blocks. */
#include "base/bits.h"
#include "harness.h"
#include "scene.h"

#include <errno.h>
#include <pier.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define HALF 10
#define BOTH (2 * HALF)

static const char text[] = "abcdefghij0123456789";
static char got[64];

/* Somebody who sends the text in two halves, the second when the first was received, or peeked at. */
struct sender {
    int s, peer;
    int descriptor; /* goes with the half `with`; -1: none */
    int with;
    /* Nothing tells that the first half was peeked at: a while must do, but where somebody tells. */
    bool peeked;
    const atomic_bool *shown;
    bool resets; /* instead of the second half */
};

static void send_half(const struct sender *sender, int half)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr header;
    } control = {0};
    struct iovec iov = {.iov_base = (char *)(uintptr_t)text + (size_t)half * HALF, .iov_len = HALF};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (sender->descriptor >= 0 && sender->with == half) {
        msg.msg_control = control.bytes;
        msg.msg_controllen = sizeof control.bytes;
        control.header = (struct cmsghdr){
            .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.header), &sender->descriptor, sizeof(int));
    }
    assert_int_equal(sendmsg(sender->s, &msg, MSG_NOSIGNAL), HALF);
}

static void *send_halves(void *arg)
{
    const struct sender *sender = arg;
    test_sleep(0.005);
    send_half(sender, 0);
    int left = 1;
    while (sender->shown != NULL ? !*sender->shown : left > 0 && !sender->peeked) {
        test_sleep(0.001);
        assert_int_equal(ioctl(sender->peer, FIONREAD, &left), 0);
    }
    test_sleep(0.02);
    if (sender->resets) {
        scene_reset(sender->s);
        return NULL;
    }
    send_half(sender, 1);
    test_sleep(0.02);
    assert_int_equal(shutdown(sender->s, SHUT_WR), 0);
    return NULL;
}

/* The ways to receive len bytes. */

static int64_t by_recv(int s, size_t len, int flags) { return pier_recv(s, got, len, flags); }

static int64_t by_recvfrom(int s, size_t len, int flags)
{
    pier_addr from;
    return pier_recvfrom(s, got, len, flags, &from);
}

static char room[256];
static struct msghdr message;

static int64_t by_message(int s, size_t len, int flags, size_t control)
{
    enum { PARTS = 12 };
    struct iovec iov[PARTS]; /* of one byte each, but the last */
    for (size_t i = 0; i < PARTS; i++)
        iov[i] = (struct iovec){got + i, i + 1 < PARTS ? 1 : len - i};
    struct iovec before[PARTS];
    memcpy(before, iov, sizeof iov);
    message = (struct msghdr){.msg_iov = iov,
        .msg_iovlen = PARTS,
        .msg_control = control ? room : NULL,
        .msg_controllen = control};
    int64_t n = pier_recvmsg(s, &message, flags);
    assert_memory_equal(iov, before, sizeof iov);
    assert_ptr_equal(message.msg_iov, iov);
    assert_int_equal(message.msg_iovlen, PARTS);
    return n;
}

static int64_t by_recvmsg(int s, size_t len, int flags) { return by_message(s, len, flags, 0); }

static int64_t by_recvmsg_with_room(int s, size_t len, int flags)
{
    return by_message(s, len, flags, sizeof room);
}

static int64_t (*const ways[])(int s, size_t len, int flags) = {
    by_recv, by_recvfrom, by_recvmsg, by_recvmsg_with_room};

/* n bytes of the text have come, and no more. */
static void assert_came(int64_t n, size_t wanted)
{
    assert_int_equal(n, wanted);
    assert_memory_equal(got, text, wanted);
    assert_int_equal(got[wanted], 0);
}

static const char *const streams[] = {"tcp", "unix stream"};

/* Receive len bytes from one who sends the text. */
static int64_t receive(
    int64_t (*way)(int s, size_t len, int flags), const char *kind, size_t len, int flags)
{
    int pair[2];
    scene_pair(kind, pair);
    atomic_bool shown = false;
    struct sender sender = {.s = pair[1], .peer = pair[0], .descriptor = -1};
    sender.peeked = flags & MSG_PEEK;
    if (sender.peeked && strcmp(kind, "unix stream") == 0) sender.shown = &shown;
    memset(got, 0, sizeof got);
    pthread_t thread = test_thread(send_halves, &sender);
    int64_t n = way(pair[0], len, flags | MSG_WAITALL);
    shown = true;
    assert_null(test_join(thread));
    if (flags & MSG_PEEK) { /* it is all still there */
        char again[sizeof got];
        assert_int_equal(pier_recv_exactly(pair[0], again, BOTH), BOTH);
        assert_memory_equal(again, text, BOTH);
    }
    scene_close(pair);
    return n;
}

TEST(stream_is_received_until_the_buffer_is_full_or_it_ends)
{
    for (size_t i = 0; i < PIER_COUNT(streams); i++) {
        for (size_t k = 0; k < PIER_COUNT(ways); k++) {
            for (size_t len = BOTH - 1; len <= BOTH + 5; len += 3) {
                assert_came(receive(ways[k], streams[i], len, 0), len < BOTH ? len : BOTH);
            }
        }
    }
}

TEST(stream_of_tcp_is_peeked_at_until_there_is_enough_or_it_ends)
{
    for (size_t k = 0; k < PIER_COUNT(ways); k++) {
        for (size_t len = BOTH - 1; len <= BOTH + 5; len += 3) {
            assert_came(receive(ways[k], "tcp", len, MSG_PEEK), len < BOTH ? len : BOTH);
        }
    }
}

TEST(stream_of_unix_shows_its_first_piece_alone)
{
    for (size_t k = 0; k < PIER_COUNT(ways); k++) {
        int64_t n = receive(ways[k], "unix stream", BOTH, MSG_PEEK);
        assert_in_range(n, 1, HALF);
        assert_came(n, (size_t)n);
    }
}

TEST(records_stay_apart)
{
    static const char *const kinds[] = {"udp", "unix dgram", "unix seqpacket"};
    for (size_t i = 0; i < PIER_COUNT(kinds); i++) {
        for (size_t k = 0; k < PIER_COUNT(ways); k++) {
            int pair[2];
            scene_pair(kinds[i], pair);
            struct sender sender = {.s = pair[1], .peer = pair[0], .descriptor = -1};
            send_half(&sender, 0);
            send_half(&sender, 1);
            memset(got, 0, sizeof got);
            assert_int_equal(ways[k](pair[0], BOTH + 5, MSG_PEEK | MSG_WAITALL), HALF);
            assert_string_equal(got, "abcdefghij");
            memset(got, 0, sizeof got);
            assert_int_equal(ways[k](pair[0], BOTH, MSG_WAITALL), HALF);
            assert_string_equal(got, "abcdefghij");
            assert_int_equal(ways[k](pair[0], BOTH, MSG_WAITALL), HALF);
            assert_string_equal(got, "0123456789");
            scene_close(pair);
        }
    }
}

/* What comes with a descriptor is glued to what came before it, and not to what comes after. */
TEST(descriptors_come_with_their_bytes_and_end_a_message)
{
    for (int with = 0; with < 2; with++) {
        int pair[2];
        scene_pair("unix stream", pair);
        struct sender sender = {
            .s = pair[1], .peer = pair[0], .descriptor = STDIN_FILENO, .with = with};
        memset(got, 0, sizeof got);
        pthread_t thread = test_thread(send_halves, &sender);
        int64_t n = by_recvmsg_with_room(pair[0], BOTH, MSG_WAITALL);
        assert_came(n, with == 0 ? HALF : BOTH);
        const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        assert_non_null(header);
        assert_int_equal(header->cmsg_type, SCM_RIGHTS);
        assert_int_equal(pier_cmsg_close_fds(&message), 1);
        if (with == 0) assert_int_equal(pier_recv(pair[0], got, HALF, MSG_WAITALL), HALF);
        assert_null(test_join(thread));
        scene_close(pair);
    }
}

TEST(reset_after_some_bytes_is_told_by_the_next_call)
{
    for (size_t k = 0; k < PIER_COUNT(ways); k++) {
        int pair[2];
        scene_pair("tcp", pair);
        struct sender sender = {.s = pair[1], .peer = pair[0], .descriptor = -1, .resets = true};
        pthread_t thread = test_thread(send_halves, &sender);
        assert_int_equal(ways[k](pair[0], BOTH, MSG_WAITALL), HALF);
        assert_null(test_join(thread));
        assert_int_equal(ways[k](pair[0], BOTH, MSG_WAITALL), -ECONNRESET);
        assert_int_equal(pier_close(pair[0]), 0);
    }
}

TEST(nothing_is_taken_across_the_place_of_an_urgent_byte)
{
    for (size_t k = 0; k < PIER_COUNT(ways); k++) {
        int pair[2];
        scene_pair("tcp", pair);
        struct sender sender = {.s = pair[1], .peer = pair[0], .descriptor = -1};
        send_half(&sender, 0);
        assert_int_equal(send(pair[1], "!", 1, MSG_OOB), 1);
        send_half(&sender, 1);
        struct pollfd urgent = {.fd = pair[0], .events = POLLPRI};
        assert_int_equal(poll(&urgent, 1, -1), 1);
        memset(got, 0, sizeof got);
        assert_came(ways[k](pair[0], BOTH, MSG_PEEK | MSG_WAITALL), HALF);
        assert_came(ways[k](pair[0], BOTH, MSG_WAITALL), HALF);
        assert_int_equal(pier_recv_exactly(pair[0], got, HALF), HALF);
        assert_memory_equal(got, text + HALF, HALF);
        scene_close(pair);
    }
}

/* Python makes the socket O_NONBLOCK, and the kernel takes that for an answer. */
TEST(under_a_limit_what_is_there_is_enough)
{
    for (size_t i = 0; i < PIER_COUNT(streams); i++) {
        for (size_t k = 0; k < PIER_COUNT(ways); k++) {
            int pair[2];
            scene_pair(streams[i], pair);
            struct sender sender = {.s = pair[1], .peer = pair[0], .descriptor = -1};
            assert_int_equal(pier_settimeout(pair[0], 30), 0);
            send_half(&sender, 0);
            scene_await_bytes(pair[0], HALF);
            assert_in_range(ways[k](pair[0], BOTH, MSG_WAITALL | MSG_PEEK), 1, HALF);
            assert_in_range(ways[k](pair[0], BOTH, MSG_WAITALL), 1, HALF);
            scene_close(pair);
        }
    }
}

/* In a task. */

static int pair_of_tasks[2];

static int receives_both(void *way)
{
    int64_t (*receive_by)(int s, size_t len, int flags) = ways[(size_t)(uintptr_t)way];
    return (int)receive_by(pair_of_tasks[0], BOTH, MSG_WAITALL);
}

static int is_cancelled_half_way(void *unused)
{
    (void)unused;
    for (size_t i = 0; i < PIER_COUNT(streams); i++) {
        for (size_t k = 0; k < PIER_COUNT(ways); k++) {
            int result;
            scene_pair(streams[i], pair_of_tasks);
            pier_task task = pier_spawn(receives_both, (void *)(uintptr_t)k, NULL);
            assert_int_equal(pier_sleep(0.001), 0);
            assert_int_equal(pier_sendall(pair_of_tasks[1], text, HALF, 0), HALF);
            assert_int_equal(pier_sleep(0.002), 0);
            assert_int_equal(pier_cancel(task), 0);
            assert_int_equal(pier_join(task, &result), 0);
            assert_int_equal(result, HALF); /* no byte is lost */
            assert_memory_equal(got, text, HALF);
            scene_close(pair_of_tasks);
        }
    }
    return 0;
}

TEST(cancel_half_way_returns_what_has_come) { scene_on_each_backend(is_cancelled_half_way); }

static int peeks_at_both(void *unused)
{
    (void)unused;
    return (int)pier_recv(pair_of_tasks[0], got, BOTH, MSG_PEEK | MSG_WAITALL);
}

static int is_ended_while_peeking(void *unused)
{
    (void)unused;
    int result;
    scene_pair("tcp", pair_of_tasks);
    assert_int_equal(pier_sendall(pair_of_tasks[1], text, HALF, 0), HALF);
    for (int closes = 0; closes < 2; closes++) {
        pier_task task = pier_spawn(peeks_at_both, NULL, NULL);
        assert_int_equal(pier_sleep(0.005), 0);
        assert_int_equal(closes ? pier_close(pair_of_tasks[0]) : pier_cancel(task), 0);
        assert_int_equal(pier_join(task, &result), 0);
        assert_int_equal(result, -ECANCELED);
        if (closes) break;
        assert_int_equal(pier_recv(pair_of_tasks[0], got, BOTH, MSG_PEEK), HALF);
    }
    assert_int_equal(pier_close(pair_of_tasks[1]), 0);
    return 0;
}

TEST(cancel_and_close_end_a_peek_that_waits_for_more)
{
    scene_on_each_backend(is_ended_while_peeking);
}

/* A pair, of which the first has read the first half ahead, behind a line. */
static void read_ahead(int pair[2])
{
    char line[8];
    scene_pair("tcp", pair);
    assert_int_equal(pier_send(pair[1], "x\nabcdefghij", 2 + HALF, 0), 2 + HALF);
    scene_await_bytes(pair[0], 2 + HALF);
    assert_int_equal(pier_recv_line(pair[0], line, sizeof line), 2);
    assert_int_equal(pier_pending(pair[0]), HALF);
    memset(got, 0, sizeof got);
}

static void *send_second_half(void *arg)
{
    const struct sender *sender = arg;
    test_sleep(0.02);
    send_half(sender, 1);
    return NULL;
}

TEST(what_was_read_ahead_is_no_reason_to_stop)
{
    for (size_t i = 0; i < PIER_COUNT(ways); i++) {
        int pair[2];
        read_ahead(pair);
        struct sender sender = {.s = pair[1], .descriptor = -1};
        pthread_t thread = test_thread(send_second_half, &sender);
        assert_came(ways[i](pair[0], BOTH, MSG_WAITALL), BOTH);
        test_join(thread);
        scene_close(pair);
    }
}

TEST(failure_of_the_rest_is_told_and_what_was_read_ahead_is_still_there)
{
    for (size_t i = 0; i < PIER_COUNT(ways); i++) {
        int pair[2];
        read_ahead(pair);
        scene_reset(pair[1]);
        struct pollfd reset = {.fd = pair[0], .events = POLLIN};
        assert_int_equal(poll(&reset, 1, -1), 1);
        assert_int_equal(ways[i](pair[0], BOTH, MSG_WAITALL), -ECONNRESET);
        memset(got, 0, sizeof got);
        assert_came(ways[i](pair[0], BOTH, 0), HALF);
        assert_int_equal(pier_close(pair[0]), 0);
    }
}
