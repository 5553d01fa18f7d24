/* SPDX-License-Identifier: MIT */
#include "base/iov.h"
#include "harness.h"
#include "scene.h"
#include "seams.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <pier.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static char scratch[1 << 20];

/* Nothing, and arguments that make no sense. */

TEST(recv_of_no_bytes_asks_nobody)
{
    for (const char *const *kind = scene_kinds(); *kind; kind++) {
        int pair[2];
        scene_pair(*kind, pair);
        assert_int_equal(pier_send(pair[1], "abc", 3, 0), 3);
        seams_install();
        assert_int_equal(pier_recv(pair[0], scratch, 0, 0), 0);
        assert_int_equal(pier_recv(pair[0], NULL, 0, 0), 0);
        assert_int_equal(seams_system_calls(), 0);
        seams_remove();
        assert_int_equal(pier_recv(pair[0], scratch, 10, 0), 3); /* still there */
        scene_close(pair);
    }
}

TEST(recvfrom_of_no_bytes_takes_a_datagram_off_the_queue)
{
    static const char *const kinds[] = {"udp", "unix dgram", "unix seqpacket"};
    for (size_t i = 0; i < 3; i++) {
        int pair[2];
        scene_pair(kinds[i], pair);
        assert_int_equal(pier_send(pair[1], "first", 5, 0), 5);
        assert_int_equal(pier_send(pair[1], "second", 6, 0), 6);
        pier_addr from;
        assert_int_equal(pier_recvfrom(pair[0], NULL, 0, 0, &from), 0);
        assert_int_equal(pier_recvfrom(pair[0], scratch, 10, 0, NULL), 6);
        assert_memory_equal(scratch, "second", 6);
        scene_close(pair);
    }
}

/* G.103 */
TEST(length_that_is_a_failed_result_is_refused_and_nothing_is_sent)
{
    int pair[2];
    scene_pair("tcp", pair);
    seams_install();
    size_t lengths[] = {(size_t)-1, (size_t)-ECONNRESET, (size_t)SSIZE_MAX + 1};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(pier_send(pair[0], scratch, lengths[i], 0), -EINVAL);
        assert_int_equal(pier_sendall(pair[0], scratch, lengths[i], 0), -EINVAL);
        assert_true(pier_error_moved() == 0);
        assert_int_equal(
            pier_sendto(pair[0], scratch, lengths[i], 0, pier_inet("127.0.0.1", 9)), -EINVAL);
        assert_int_equal(pier_recv(pair[0], scratch, lengths[i], 0), -EINVAL);
        assert_int_equal(pier_recvfrom(pair[0], scratch, lengths[i], 0, NULL), -EINVAL);
    }
    assert_int_equal(seams_calls(send) + seams_calls(recv) + seams_calls(sendto), 0);
    assert_int_equal(pier_send(pair[0], NULL, 5, 0), -EFAULT);
    assert_int_equal(pier_sendall(pair[0], NULL, 5, 0), -EFAULT);
    assert_int_equal(pier_recv(pair[0], NULL, 5, 0), -EFAULT);
    assert_int_equal(pier_recvfrom(pair[0], NULL, 5, 0, NULL), -EFAULT);
    assert_int_equal(seams_calls(send) + seams_calls(recv) + seams_calls(recvfrom), 0);
    seams_remove();
    assert_int_equal(pier_send(pair[0], NULL, 0, 0), 0);
    assert_int_equal(pier_sendall(pair[0], NULL, 0, 0), 0);
    scene_close(pair);
}

/* A stand-in kernel that moves what a kernel moves, and touches no memory. */
static size_t asked_most;

static ssize_t send_like_linux(int fd, const void *buf, size_t len, int flags)
{
    (void)fd, (void)buf, (void)flags;
    if (len > asked_most) asked_most = len;
    return (ssize_t)(len < PIER__MOST ? len : PIER__MOST);
}

static ssize_t recv_like_linux(int fd, void *buf, size_t len, int flags)
{
    return send_like_linux(fd, buf, len, flags);
}

TEST(no_call_moves_more_than_linux_does_and_sendall_moves_all_of_5_gb)
{
    int pair[2];
    scene_pair("tcp", pair);
    const size_t much = UINT64_C(5) << 30;
    assert_int_equal(pier_send(pair[1], "x", 1, 0), 1); /* so that there is something */
    seams_install();
    seams_replace(send, send_like_linux);
    seams_replace(recv, recv_like_linux);
    assert_int_equal(pier_send(pair[0], scratch, much, 0), PIER__MOST);
    assert_int_equal(pier_recv(pair[0], scratch, much, 0), PIER__MOST);
    assert_int_equal(pier_sendall(pair[0], scratch, much, 0), much);
    assert_int_equal(pier_settimeout(pair[0], 10), 0);
    asked_most = 0;
    assert_int_equal(pier_sendall(pair[0], scratch, much, 0), much);
    assert_true(asked_most <= PIER__MOST);
    seams_remove();
    scene_close(pair);
}

/* Streams. */

/* A.4, A.5 */
TEST(sendall_sends_all_of_it_however_small_the_parts)
{
    for (const char *const *kind = scene_kinds(); *kind; kind++) {
        if (!scene_is_stream(*kind)) continue;
        int pair[2], small = 2048;
        scene_pair(*kind, pair);
        assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
        static unsigned char sent[300000], got[300000];
        for (size_t i = 0; i < sizeof sent; i++)
            sent[i] = (unsigned char)(i * 7 + i / 256);
        for (int limited = 0; limited < 2; limited++) {
            if (limited) assert_int_equal(pier_settimeout(pair[0], 15), 0);
            pid_t child = fork();
            if (child == 0)
                _exit(pier_sendall(pair[0], sent, sizeof sent, 0) == sizeof sent ? 0 : 1);
            size_t have = 0;
            while (have < sizeof got) {
                ssize_t n = pier_recv(pair[1], got + have, 1 + (have * 31) % 4096, 0);
                assert_true(n > 0);
                have += (size_t)n;
                if (have > sizeof got) break;
            }
            assert_int_equal(have, sizeof got);
            assert_memory_equal(got, sent, sizeof got);
            int status;
            assert_int_equal(waitpid(child, &status, 0), child);
            assert_int_equal(status, 0);
        }
        scene_close(pair);
    }
}

/* B.20 */
TEST(half_closed_connection_still_sends_the_other_way)
{
    for (const char *const *kind = scene_kinds(); *kind; kind++) {
        if (!scene_is_stream(*kind)) continue;
        int pair[2];
        scene_pair(*kind, pair);
        assert_int_equal(pier_sendall(pair[0], "request", 7, 0), 7);
        assert_int_equal(pier_shutdown(pair[0], SHUT_WR), 0);
        assert_int_equal(pier_recv(pair[1], scratch, 100, 0), 7);
        assert_int_equal(pier_recv(pair[1], scratch, 100, 0), 0);
        assert_int_equal(pier_recv(pair[1], scratch, 100, 0), 0); /* as often as one asks */
        assert_int_equal(pier_sendall(pair[1], "answer", 6, 0), 6);
        assert_int_equal(pier_recv(pair[0], scratch, 100, 0), 6);
        assert_int_equal(pier_send(pair[0], "more", 4, 0), -EPIPE);
        assert_int_equal(pier_close(pair[1]), 0);
        assert_int_equal(pier_recv(pair[0], scratch, 100, 0), 0);
        assert_int_equal(pier_close(pair[0]), 0);
    }
}

/* B.21 */
TEST(reset_delivers_what_had_arrived_and_then_econnreset_never_an_end)
{
    for (int limited = 0; limited < 2; limited++) {
        int pair[2];
        scene_pair("tcp", pair);
        if (limited) assert_int_equal(pier_settimeout(pair[0], 10), 0);
        assert_int_equal(pier_sendall(pair[1], "abc", 3, 0), 3);
        assert_int_equal(pier_wait_readable(pair[0], PIER_NEVER), 0);
        scene_reset(pair[1]);
        assert_int_equal(pier_recv(pair[0], scratch, 2, 0), 2);
        assert_int_equal(pier_recv(pair[0], scratch, 2, 0), 1);
        assert_int_equal(pier_recv(pair[0], scratch, 2, 0), -ECONNRESET);
        assert_int_equal(pier_error_code(), -ECONNRESET);
        assert_non_null(strstr(pier_error(), "receive on 127.0.0.1:"));
        assert_non_null(strstr(pier_error(), " from 127.0.0.1:"));
        assert_int_equal(pier_close(pair[0]), 0);
    }
}

/*
 * A.7: the default disposition of SIGPIPE ends the process; the harness sees to it that it is not
 * changed.
 */
TEST(send_after_the_end_is_epipe_and_never_a_signal)
{
    static const char *const kinds[] = {"tcp", "unix stream", "unix seqpacket"};
    for (size_t i = 0; i < 3; i++) {
        int pair[2];
        scene_pair(kinds[i], pair);
        assert_int_equal(pier_shutdown(pair[0], SHUT_WR), 0);
        char text[] = "x";
        struct iovec v = {text, 1};
        struct msghdr msg = {.msg_iov = &v, .msg_iovlen = 1};
        for (int limited = 0; limited < 3; limited++) {
            if (limited) assert_int_equal(pier_settimeout(pair[0], limited == 1 ? 5 : 0), 0);
            assert_int_equal(pier_send(pair[0], "x", 1, 0), -EPIPE);
            assert_int_equal(pier_sendall(pair[0], "x", 1, 0), -EPIPE);
            assert_int_equal(pier_sendto(pair[0], "x", 1, 0, (pier_addr){0}), -EPIPE);
            assert_int_equal(pier_sendmsg(pair[0], &msg, 0), -EPIPE);
        }
        scene_close(pair);
    }
    int pair[2]; /* and to a peer that is gone */
    scene_pair("tcp", pair);
    scene_reset(pair[1]);
    assert_int_equal(pier_recv(pair[0], scratch, 1, 0), -ECONNRESET);
    assert_int_equal(pier_send(pair[0], "x", 1, 0), -EPIPE);
    assert_int_equal(pier_close(pair[0]), 0);
}

TEST(recv_with_peek_takes_nothing_away)
{
    int pair[2];
    scene_pair("tcp", pair);
    for (int limited = 0; limited < 2; limited++) {
        if (limited) assert_int_equal(pier_settimeout(pair[0], 10), 0);
        assert_int_equal(pier_sendall(pair[1], "abc", 3, 0), 3);
        assert_int_equal(pier_recv(pair[0], scratch, 3, MSG_PEEK), 3);
        assert_int_equal(pier_recv(pair[0], scratch, 2, MSG_PEEK), 2);
        assert_int_equal(pier_recvfrom(pair[0], scratch, 9, MSG_PEEK, NULL), 3);
        assert_int_equal(pier_recv(pair[0], scratch, 9, 0), 3);
        assert_int_equal(pier_recv(pair[0], scratch, 9, MSG_DONTWAIT), -EAGAIN);
    }
    scene_close(pair);
}

static int64_t recv_eight(void *arg)
{
    static char buf[8];
    return pier_recv(*(int *)arg, buf, 8, MSG_WAITALL);
}

TEST(recv_with_waitall_waits_for_all_and_takes_less_at_the_end)
{
    int pair[2];
    scene_pair("tcp", pair);
    struct scene_call call;
    scene_start(&call, recv_eight, &pair[0]);
    assert_int_equal(pier_sendall(pair[1], "abc", 3, 0), 3);
    scene_await_blocked(&call);
    assert_int_equal(pier_sendall(pair[1], "defgh", 5, 0), 5);
    assert_int_equal(scene_finish(&call), 8);
    scene_start(&call, recv_eight, &pair[0]);
    assert_int_equal(pier_sendall(pair[1], "abc", 3, 0), 3);
    scene_await_blocked(&call);
    assert_int_equal(pier_shutdown(pair[1], SHUT_WR), 0);
    assert_int_equal(scene_finish(&call), 3);
    scene_close(pair);
}

/* Nothing more comes, which each verb says, and from nobody. */
static void assert_end(int s)
{
    pier_addr from = pier_inet("127.0.0.1", 9);
    struct sockaddr_storage sender;
    struct iovec v = {scratch, 100};
    struct msghdr msg = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_name = &sender, .msg_namelen = sizeof sender};
    assert_int_equal(pier_recv(s, scratch, 10, 0), 0);
    assert_int_equal(pier_recvfrom(s, scratch, 10, 0, &from), 0);
    assert_int_equal(from.length, 0);
    assert_int_equal(pier_recvmsg(s, &msg, 0), 0);
    assert_int_equal(msg.msg_namelen, 0);
}

TEST(datagrams_of_a_socket_that_is_shut_down_have_an_end_in_every_verb)
{
    static const char *const kinds[] = {"udp", "unix dgram", "udp6"};
    for (int k = 0; k < (test_ipv6() ? 3 : 2); k++) {
        int pair[2];
        scene_pair(kinds[k], pair);
        assert_int_equal(pier_send(pair[1], "last", 4, 0), 4);
        assert_int_equal(pier_wait_readable(pair[0], PIER_NEVER), 0);
        assert_int_equal(pier_shutdown(pair[0], SHUT_RD), 0);
        assert_int_equal(pier_recv(pair[0], scratch, 10, 0), 4);
        assert_end(pair[0]);
        assert_end(pair[0]);
        assert_int_equal(pier_settimeout(pair[0], 3600), 0);
        assert_end(pair[0]);
        assert_int_equal(pier_settimeout(pair[0], INFINITY), 0);
        assert_int_equal(pier_setdeadline(pair[0], pier_after(3600)), 0);
        assert_end(pair[0]);
        assert_int_equal(pier_settimeout(pair[0], 0), 0); /* the kernel's own answer */
        assert_int_equal(pier_recv(pair[0], scratch, 10, 0), -EAGAIN);
        scene_close(pair);
    }
}

TEST(dontwait_never_waits_in_any_verb)
{
    for (const char *const *kind = scene_kinds(); *kind; kind++) {
        for (int limited = 0; limited < 2; limited++) {
            int pair[2];
            scene_pair(*kind, pair);
            if (limited) assert_int_equal(pier_settimeout(pair[0], 1000), 0);
            struct iovec v = {scratch, 100};
            struct msghdr msg = {.msg_iov = &v, .msg_iovlen = 1};
            assert_int_equal(pier_recv(pair[0], scratch, 1, MSG_DONTWAIT), -EAGAIN);
            assert_int_equal(pier_recvfrom(pair[0], scratch, 1, MSG_DONTWAIT, NULL), -EAGAIN);
            assert_int_equal(pier_recvmsg(pair[0], &msg, MSG_DONTWAIT), -EAGAIN);
            if (strncmp(*kind, "udp", 3) != 0) {
                scene_fill(pair[0]);
                assert_int_equal(pier_send(pair[0], "x", 1, MSG_DONTWAIT), -EAGAIN);
                assert_int_equal(pier_sendall(pair[0], "x", 1, MSG_DONTWAIT), -EAGAIN);
                assert_int_equal(
                    pier_sendto(pair[0], "x", 1, MSG_DONTWAIT, (pier_addr){0}), -EAGAIN);
                assert_int_equal(pier_sendmsg(pair[0], &msg, MSG_DONTWAIT), -EAGAIN);
            }
            scene_close(pair);
        }
    }
}

struct part {
    int s;
    char letter;
    size_t length;
    int flags;
};

static int64_t send_part(void *arg)
{
    struct part *part = arg;
    char *bytes = malloc(part->length);
    assert_non_null(bytes);
    memset(bytes, part->letter, part->length);
    int64_t n = pier_sendall(part->s, bytes, part->length, part->flags);
    free(bytes);
    return n;
}

TEST(dontwait_does_not_wait_for_a_sendalls_turn_either)
{
    int pair[2];
    scene_pair("unix stream", pair);
    scene_fill(pair[0]);
    struct scene_call call;
    struct part part = {pair[0], 'a', 5, 0};
    scene_start(&call, send_part, &part);
    scene_await_blocked(&call);
    assert_int_equal(pier_sendall(pair[0], "x", 1, MSG_DONTWAIT), -EAGAIN);
    assert_true(pier_error_moved() == 0);
    pier_time deadline = pier_after(0.02);
    assert_int_equal(pier_setdeadline(pair[0], deadline), 0);
    assert_int_equal(
        pier_sendall(pair[0], "x", 1, 0), -ETIME); /* a turn is waited for within limits */
    assert_true(pier_now() >= deadline);
    assert_int_equal(pier_setdeadline(pair[0], PIER_NEVER), 0);
    scene_empty(pair[1]);
    assert_int_equal(scene_finish(&call), 5);
    scene_close(pair);
}

TEST(sendall_of_several_threads_never_interleaves_and_serves_in_order)
{
    enum { THREADS = 6, LENGTH = 300000 };
    for (int limited = 0; limited < 2; limited++) {
        int pair[2];
        scene_pair("unix stream", pair);
        if (limited) assert_int_equal(pier_settimeout(pair[0], 15), 0);
        struct scene_call calls[THREADS];
        struct part parts[THREADS];
        for (int i = 0; i < THREADS; i++) {
            parts[i] = (struct part){pair[0], (char)('a' + i), LENGTH, 0};
            scene_start(&calls[i], send_part, &parts[i]);
            scene_await_blocked(&calls[i]); /* the first for room, the others for their turn */
        }
        for (int i = 0; i < THREADS; i++) {
            for (size_t have = 0; have < LENGTH;) {
                size_t want = LENGTH - have < 10000 ? LENGTH - have : 10000;
                ssize_t n = pier_recv(pair[1], scratch, want, 0);
                assert_true(n > 0);
                for (ssize_t k = 0; k < n; k++)
                    assert_int_equal(scratch[k], 'a' + i);
                have += (size_t)n;
            }
            assert_int_equal(scene_finish(&calls[i]), LENGTH);
        }
        assert_int_equal(pier_recv(pair[1], scratch, 1, MSG_DONTWAIT), -EAGAIN);
        scene_close(pair);
    }
}

static void *send_small_parts(void *arg)
{
    struct part *part = arg;
    char bytes[64];
    memset(bytes, part->letter, sizeof bytes);
    for (int i = 0; i < 500; i++)
        assert_int_equal(pier_sendall(part->s, bytes, sizeof bytes, 0), sizeof bytes);
    return NULL;
}

TEST(sendall_turns_are_given_back_under_contention)
{
    enum { THREADS = 4 };
    int pair[2], small = 2048;
    scene_pair("unix stream", pair);
    assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    pthread_t threads[THREADS];
    struct part parts[THREADS];
    for (int i = 0; i < THREADS; i++) {
        parts[i] = (struct part){pair[0], (char)('a' + i), 0, 0};
        threads[i] = test_thread(send_small_parts, &parts[i]);
    }
    for (int k = 0; k < THREADS * 500; k++) {
        char bytes[64];
        assert_int_equal(pier_recv(pair[1], bytes, sizeof bytes, MSG_WAITALL), sizeof bytes);
        for (size_t i = 1; i < sizeof bytes; i++)
            assert_int_equal(bytes[i], bytes[0]);
    }
    for (int i = 0; i < THREADS; i++)
        test_join(threads[i]);
    scene_close(pair);
}

static void await_urgent(int s)
{
    struct pollfd urgent = {.fd = s, .events = POLLPRI};
    assert_int_equal(poll(&urgent, 1, -1), 1);
}

/* B.36 */
TEST(urgent_byte_is_no_part_of_the_stream_and_nobody_spins_on_it)
{
    int pair[2];
    scene_pair("tcp", pair);
    assert_int_equal(pier_sendall(pair[1], "ab", 2, 0), 2);
    assert_int_equal(pier_send(pair[1], "!", 1, MSG_OOB), 1);
    assert_int_equal(pier_sendall(pair[1], "cd", 2, 0), 2);
    scene_await_bytes(pair[0], 2);
    await_urgent(pair[0]);
    assert_int_equal(pier_recv(pair[0], scratch, 10, 0), 2); /* up to the mark */
    assert_memory_equal(scratch, "ab", 2);
    assert_int_equal(pier_recv(pair[0], scratch, 1, MSG_OOB), 1);
    assert_int_equal(scratch[0], '!');
    assert_int_equal(pier_recv(pair[0], scratch, 10, 0), 2);
    assert_memory_equal(scratch, "cd", 2);
    assert_int_equal(pier_recv(pair[0], scratch, 1, MSG_OOB), -EINVAL); /* there is no other */

    assert_int_equal(pier_send(pair[1], "!", 1, MSG_OOB), 1);
    seams_install();
    assert_int_equal(pier_wait_readable(pair[0], pier_after(0.05)), -ETIME);
    assert_int_equal(pier_settimeout(pair[0], 0.05), 0);
    assert_int_equal(pier_recv(pair[0], scratch, 10, 0), -ETIME);
    assert_true(seams_calls(poll) + seams_calls(recv) <= 8);
    seams_remove();
    scene_close(pair);
}

/*
 * recv(2) never waits for an urgent byte; neither does a time-out make us wait for something else.
 */
TEST(urgent_byte_is_received_under_a_time_out_as_without)
{
    int pair[2];
    scene_pair("tcp", pair);
    assert_int_equal(pier_settimeout(pair[0], 1000), 0);
    assert_int_equal(pier_recv(pair[0], scratch, 1, MSG_OOB), -EINVAL);
    assert_int_equal(pier_send(pair[1], "!", 1, MSG_OOB), 1);
    await_urgent(pair[0]);
    assert_int_equal(pier_recv(pair[0], scratch, 1, MSG_OOB), 1);
    assert_int_equal(scratch[0], '!');
    scene_close(pair);
}

/* So it is with the queue of errors. */
TEST(queue_of_errors_is_looked_at_and_not_waited_for)
{
    int s = scene_udp(NULL);
    assert_int_equal(pier_settimeout(s, 1000), 0);
    struct iovec v = {scratch, 100};
    struct msghdr msg = {.msg_iov = &v, .msg_iovlen = 1};
    assert_int_equal(pier_recvmsg(s, &msg, MSG_ERRQUEUE), -EAGAIN);
    assert_int_equal(pier_close(s), 0);
}

/* Readiness that was none. */

static _Atomic int lies_left;

static int lying_poll(struct pollfd *fds, nfds_t count, pier_time deadline)
{
    bool asked = fds[0].fd >= 0 && fds[0].events & (POLLIN | POLLOUT);
    if (!asked || atomic_fetch_sub(&lies_left, 1) <= 0)
        return seams_below()->poll(fds, count, deadline);
    fds[0].revents = fds[0].events;
    for (nfds_t i = 1; i < count; i++)
        fds[i].revents = 0;
    return 1;
}

/* A.6 */
TEST(readiness_that_was_none_is_no_error)
{
    for (const char *const *kind = scene_kinds(); *kind; kind++) {
        int pair[2];
        scene_pair(*kind, pair);
        assert_int_equal(pier_settimeout(pair[0], 0.05), 0);
        seams_install();
        seams_replace(poll, lying_poll);
        atomic_store(&lies_left, 5);
        pier_time start = pier_now();
        assert_int_equal(pier_recv(pair[0], scratch, 1, 0), -ETIME);
        assert_true(pier_now() - start >= PIER_SECOND / 20);
        atomic_store(&lies_left, INT32_MAX); /* for ever */
        assert_int_equal(pier_recvfrom(pair[0], scratch, 1, 0, NULL), -ETIME);
        assert_true(seams_system_calls() < 400);
        seams_remove();
        scene_close(pair);
    }
}

/* Once it has been lied to, a receive must go on to listen, not nap for ever. */
TEST(receive_that_was_lied_to_listens_again)
{
    int pair[2];
    scene_pair("tcp", pair);
    assert_int_equal(pier_settimeout(pair[0], 1.5), 0);
    seams_install();
    seams_replace(poll, lying_poll);
    atomic_store(&lies_left, 10);
    assert_int_equal(pier_recv(pair[0], scratch, 1, 0), -ETIME);
    assert_true(seams_calls(poll) <= 10 + 10 + 2); /* the lies, a nap after each, and a long wait */
    seams_remove();
    scene_close(pair);
}

/*
 * A UDP datagram with a wrong checksum, which poll(2) takes for one as long as the socket is
 * O_NONBLOCK.
 */
static void send_wrong_checksum(int raw, const pier_addr *to)
{
    struct {
        struct iphdr ip;
        struct udphdr udp;
        char data[4];
    } packet = {
        .ip = {.ihl = 5, .version = 4, .ttl = 64, .protocol = IPPROTO_UDP, .tot_len = htons(32)},
        .udp = {.dest = to->sa.inet.sin_port,
            .source = htons(9),
            .len = htons(12),
            .check = htons(0xdead)},
        .data = "bad",
    };
    packet.ip.daddr = packet.ip.saddr = htonl(INADDR_LOOPBACK);
    assert_int_equal(
        sendto(raw, &packet, sizeof packet, 0, &to->sa.any, to->length), sizeof packet);
}

/* A.6 */
TEST(datagram_with_a_wrong_checksum_is_no_error_and_no_datagram)
{
    test_in_netns();
    pier_addr at;
    int s = scene_udp(&at), raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
    if (raw < 0) SKIP("no raw sockets here");
    assert_int_equal(pier_settimeout(s, 0.05), 0);
    for (int i = 0; i < 5; i++)
        send_wrong_checksum(raw, &at);
    seams_install();
    assert_int_equal(pier_recv(s, scratch, 10, 0), -ETIME);
    assert_true(seams_system_calls() < 40);
    seams_remove();
    assert_int_equal(pier_settimeout(s, 1000), 0);
    send_wrong_checksum(raw, &at);
    assert_int_equal(pier_sendto(s, "good", 4, 0, at), 4);
    assert_int_equal(pier_recv(s, scratch, 10, 0), 4);
    close(raw);
    assert_int_equal(pier_close(s), 0);
}

/* Odd answers of the kernel. */

/* A.11 */
TEST(kernel_without_buffers_or_memory_is_told_and_the_socket_goes_on)
{
    static const int codes[] = {-ENOBUFS, -ENOMEM, -EHOSTUNREACH, -ENETDOWN, -ENOSYS, -EINVAL};
    for (const char *const *kind = scene_kinds(); *kind; kind++) {
        int pair[2];
        scene_pair(*kind, pair);
        for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
            if (i == 3) assert_int_equal(pier_settimeout(pair[0], 5), 0);
            seams_install();
            seams_fail(send, 1, codes[i]);
            assert_int_equal(pier_send(pair[0], "x", 1, 0), codes[i]);
            assert_int_equal(pier_error_code(), codes[i]);
            seams_fail(send, 1, codes[i]);
            assert_int_equal(pier_sendall(pair[0], "x", 1, 0), codes[i]);
            seams_fail(recv, 1, codes[i]);
            assert_int_equal(pier_send(pair[1], "y", 1, 0), 1);
            assert_int_equal(pier_recv(pair[0], scratch, 1, 0), codes[i]);
            assert_int_equal(pier_recv(pair[0], scratch, 1, 0), 1);
            assert_int_equal(pier_sendall(pair[0], "x", 1, 0), 1);
            assert_int_equal(pier_recv(pair[1], scratch, 1, 0), 1);
            seams_remove();
        }
        scene_close(pair);
    }
}

TEST(sendall_that_fails_in_the_middle_tells_what_went)
{
    int pair[2];
    scene_pair("tcp", pair);
    seams_install();
    seams_script(send, 3, 4, -ENOBUFS);
    assert_int_equal(pier_sendall(pair[0], "0123456789", 10, 0), -ENOBUFS);
    assert_true(pier_error_moved() == 7);
    assert_non_null(strstr(pier_error(), "No buffer space available, after 7 bytes"));
    seams_script(send, 3, -EAGAIN);
    assert_int_equal(pier_settimeout(pair[0], 0), 0);
    assert_int_equal(pier_sendall(pair[0], "0123456789", 10, 0), -EAGAIN);
    assert_true(
        pier_error_moved() == 3); /* though -EAGAIN is no failure, this has a count to tell */
    seams_remove();
    scene_close(pair);
}

/* What a failed bind or connect leaves behind. */

TEST(failed_bind_is_what_listen_accept_and_receiving_say_until_one_succeeds)
{
    pier_addr at;
    int holder = scene_listener(&at), s = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(pier_bind(s, at), -EADDRINUSE);
    char first[700];
    char name[32] = "";
    assert_int_equal(prctl(PR_GET_NAME, name), 0);
    (void)snprintf(first, sizeof first, "bind %s: Address already in use, held by %s[%d]",
        pier_addr_text(at).text, name, (int)getpid());
    assert_string_equal(pier_error(), first);
    assert_int_equal(pier_listen(s, 5), -EADDRINUSE);
    assert_string_equal(pier_error(), first);
    assert_int_equal(pier_accept(s, NULL), -EADDRINUSE);
    assert_string_equal(pier_error(), first);
    assert_int_equal(pier_recv(s, scratch, 10, 0), -EADDRINUSE);
    assert_int_equal(pier_recvfrom(s, scratch, 10, 0, NULL), -EADDRINUSE);
    struct iovec v = {scratch, 4};
    struct msghdr msg = {.msg_iov = &v, .msg_iovlen = 1};
    assert_int_equal(pier_recvmsg(s, &msg, 0), -EADDRINUSE);
    assert_string_equal(pier_error(), first);
    assert_int_equal(pier_bind(s, pier_inet("127.0.0.1", 0)), 0);
    assert_int_equal(pier_recv(s, scratch, 10, 0), -ENOTCONN);
    assert_int_equal(pier_listen(s, 5), 0);
    assert_int_equal(pier_close(s), 0);

    s = pier_socket(AF_INET, SOCK_STREAM, 0); /* without a bind it stays legal */
    assert_int_equal(pier_listen(s, 5), 0);
    assert_int_equal(pier_close(s), 0);
    assert_int_equal(pier_close(holder), 0);
}

TEST(failed_bind_is_told_although_another_call_failed_in_between)
{
    pier_addr at;
    int holder = scene_listener(&at), s = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(pier_bind(s, at), -EADDRINUSE);
    assert_int_equal(pier_socket(AF_UNSPEC, SOCK_STREAM, 0), -EAFNOSUPPORT);
    assert_int_equal(pier_accept(s, NULL), -EADDRINUSE);
    assert_non_null(strstr(pier_error(), "bind"));
    assert_non_null(strstr(pier_error(), "Address already in use"));
    assert_int_equal(pier_close(s), 0);
    assert_int_equal(pier_close(holder), 0);
}

TEST(failed_connect_stands_in_for_enotconn_and_epipe)
{
    pier_addr nobody = scene_nobody(), at;
    int s = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(pier_connect(s, nobody), -ECONNREFUSED);
    char first[700];
    (void)snprintf(
        first, sizeof first, "connect to %s: Connection refused", pier_addr_text(nobody).text);
    assert_string_equal(pier_error(), first);
    assert_int_equal(pier_sendall(s, "x", 1, 0), -ECONNREFUSED);
    assert_string_equal(pier_error(), first);
    assert_int_equal(pier_recv(s, scratch, 10, 0), -ECONNREFUSED);
    assert_string_equal(pier_error(), first);
    pier_addr peer;
    assert_int_equal(pier_getpeername(s, &peer), -ECONNREFUSED);
    assert_int_equal(pier_socket(AF_UNSPEC, SOCK_STREAM, 0), -EAFNOSUPPORT);
    assert_int_equal(pier_send(s, "x", 1, 0), -ECONNREFUSED); /* after some other failure too */
    assert_string_equal(pier_error(), first);

    int listener = scene_listener(&at);
    assert_int_equal(pier_connect(s, at), 0); /* Linux lets one try again */
    assert_int_equal(pier_send(s, "x", 1, 0), 1);
    assert_int_equal(pier_shutdown(s, SHUT_WR), 0);
    assert_int_equal(pier_send(s, "x", 1, 0), -EPIPE); /* and this is a failure of its own */
    assert_int_equal(pier_close(s), 0);
    assert_int_equal(pier_close(listener), 0);
}

TEST(sendto_that_arrives_makes_the_failed_bind_old_news)
{
    pier_addr at;
    int holder = scene_udp(&at), s = pier_socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(pier_bind(s, at), -EADDRINUSE);
    assert_int_equal(pier_recv(s, scratch, 10, MSG_DONTWAIT), -EADDRINUSE);
    assert_int_equal(pier_sendto(s, "x", 1, 0, at), 1);
    assert_int_equal(pier_recv(s, scratch, 10, MSG_DONTWAIT), -EAGAIN);
    assert_int_equal(pier_close(s), 0);
    assert_int_equal(pier_close(holder), 0);
}

TEST(failure_of_today_is_not_told_as_the_failed_connect_of_yesterday)
{
    pier_addr at;
    int listener = scene_listener(&at), s = pier_socket(AF_INET, SOCK_STREAM, 0);
    seams_install();
    seams_fail(connect, 1, -ENETUNREACH);
    assert_int_equal(pier_connect(s, at), -ENETUNREACH);
    assert_int_equal(pier_connect(s, at), 0);
    assert_int_equal(pier_send(s, "x", 1, 0), 1);
    seams_fail(send, 1, -ENETUNREACH);
    assert_int_equal(pier_send(s, "x", 1, 0), -ENETUNREACH);
    assert_int_equal(strncmp(pier_error(), "send on", 7), 0);
    seams_remove();
    assert_int_equal(pier_close(s), 0);
    assert_int_equal(pier_close(listener), 0);
}

/* What framing has read ahead. */

static void buffer_some(int pair[2])
{
    char line[16];
    assert_int_equal(pier_sendall(pair[1], "line\nrest", 9, 0), 9);
    assert_int_equal(pier_recv_line(pair[0], line, sizeof line), 5);
    assert_int_equal(pier_pending(pair[0]), 4);
}

TEST(recv_takes_what_was_read_ahead_first)
{
    int pair[2];
    scene_pair("tcp", pair);
    buffer_some(pair);
    pier_addr from;
    assert_int_equal(pier_wait_readable(pair[0], pier_now()), 0);
    assert_int_equal(pier_recv(pair[0], scratch, 2, MSG_PEEK), 2);
    assert_int_equal(pier_recvfrom(pair[0], scratch, 2, 0, &from), 2);
    assert_memory_equal(scratch, "re", 2);
    assert_int_equal(from.length, 0);
    assert_int_equal(pier_recv(pair[0], scratch, 10, MSG_DONTWAIT), 2);
    assert_memory_equal(scratch, "st", 2);
    assert_int_equal(pier_recv(pair[0], scratch, 10, MSG_DONTWAIT), -EAGAIN);
    buffer_some(pair);
    assert_int_equal(pier_sendall(pair[1], "more", 4, 0), 4);
    assert_int_equal(pier_recv(pair[0], scratch, 8, MSG_WAITALL), 8);
    assert_memory_equal(scratch, "restmore", 8);
    assert_int_equal(pier_pending(pair[0]), 0);
    scene_close(pair);
}

TEST(bytes_that_were_read_ahead_keep_the_descriptor)
{
    int pair[2], passed[2];
    scene_pair("tcp", pair);
    scene_pair("unix stream", passed);
    buffer_some(pair);
    assert_int_equal(pier_dup(pair[0]), -EBUSY);
    assert_int_equal(pier_detach(pair[0]), -EBUSY);
    assert_int_equal(pier_send_fds(passed[0], "x", 1, 0, &pair[0], 1), -EBUSY);
    assert_int_equal(pier_recv(pair[0], scratch, 10, 0), 4);
    int copy = pier_dup(pair[0]);
    assert_true(copy >= 0);
    assert_int_equal(pier_close(copy), 0);
    scene_close(passed);
    scene_close(pair);
}

TEST(recvfrom_of_no_bytes_does_not_wait_when_some_were_read_ahead)
{
    int pair[2];
    scene_pair("tcp", pair);
    buffer_some(pair);
    pier_addr from;
    assert_int_equal(pier_recvfrom(pair[0], scratch, 0, 0, &from), 0);
    assert_int_equal(pier_pending(pair[0]), 4);
    scene_close(pair);
}

/* The deadline bounds the conversation, also that part of it which lies in the buffer. */
TEST(deadline_that_has_passed_holds_for_what_was_read_ahead_too_and_loses_nothing)
{
    int pair[2];
    scene_pair("tcp", pair);
    buffer_some(pair);
    assert_int_equal(pier_setdeadline(pair[0], pier_now()), 0);
    struct iovec v = {scratch, 10};
    struct msghdr msg = {.msg_iov = &v, .msg_iovlen = 1};
    assert_int_equal(pier_recv(pair[0], scratch, 10, 0), -ETIME);
    assert_int_equal(pier_recvfrom(pair[0], scratch, 10, 0, NULL), -ETIME);
    assert_int_equal(pier_recvmsg(pair[0], &msg, 0), -ETIME);
    assert_int_equal(pier_recv_exactly(pair[0], scratch, 2), -ETIME);
    assert_int_equal(pier_setdeadline(pair[0], PIER_NEVER), 0);
    assert_int_equal(pier_recv(pair[0], scratch, 10, 0), 4);
    assert_memory_equal(scratch, "rest", 4);
    scene_close(pair);
}
