/* SPDX-License-Identifier: MIT */
#include "base/seam.h"
#include "harness.h"
#include "scene.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
#include <pier.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

/* Two ends of a TCP connection on loopback. */
static void tcp_pair(int pair[2])
{
    int server = pier_create_server("127.0.0.1:0", NULL);
    pier_addr own;
    assert_int_equal(pier_getsockname(server, &own), 0);
    pair[0] = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(pier_connect(pair[0], own), 0);
    pair[1] = pier_accept(server, NULL);
    assert_true(pair[1] >= 0);
    pier_close(server);
    const int on = 1; /* for when a byte at a time is sent */
    for (int i = 0; i < 2; i++)
        assert_int_equal(setsockopt(pair[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
}

static void unix_pair(int pair[2])
{
    assert_int_equal(pier_socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
}

/* Everything that does not hang on the kind of stream is tried on both. */
static void (*const kinds[])(int pair[2]) = {tcp_pair, unix_pair};
#define FOR_BOTH_KINDS                                   \
    for (size_t kind = 0; kind < 2; kind++)              \
        for (int p[2], once = (kinds[kind](p), 1); once; \
             once = 0, pier_close(p[0]), pier_close(p[1]))

static void say(int s, const char *text)
{
    assert_int_equal(pier_sendall(s, text, strlen(text), 0), (ssize_t)strlen(text));
}

/* Sends text a byte at a time, and then ends the stream if asked. */
struct dripper {
    int s;
    const char *text;
    size_t length;
    bool end;
    double pause;
};

static void *drip(void *arg)
{
    const struct dripper *d = arg;
    for (size_t i = 0; i < d->length; i++) {
        assert_int_equal(pier_send(d->s, d->text + i, 1, 0), 1);
        if (d->pause > 0) test_sleep(d->pause);
    }
    if (d->end) assert_int_equal(pier_shutdown(d->s, SHUT_WR), 0);
    return NULL;
}

static pthread_t start_dripping(struct dripper *d) { return test_thread(drip, d); }

static void expect_line(int s, const char *line)
{
    char buf[100];
    assert_int_equal(pier_recv_line(s, buf, sizeof buf), (ssize_t)strlen(line));
    assert_string_equal(buf, line);
}

TEST(lines_come_one_by_one)
{
    FOR_BOTH_KINDS
    {
        say(p[0], "first\nsecond\r\n\nlast");
        pier_shutdown(p[0], SHUT_WR);
        expect_line(p[1], "first\n");
        expect_line(p[1], "second\r\n");
        expect_line(p[1], "\n");
        expect_line(p[1], "last");
        expect_line(p[1], "");
        expect_line(p[1], "");
    }
}

TEST(lines_come_right_from_a_one_byte_sender)
{
    FOR_BOTH_KINDS
    {
        static const char text[] = "GET / HTTP/1.0\r\nHost: x\r\n\r\nbody";
        struct dripper d = {
            .s = p[0], .text = text, .length = sizeof text - 1, .end = true, .pause = 0.001};
        pthread_t thread = start_dripping(&d);
        expect_line(p[1], "GET / HTTP/1.0\r\n");
        expect_line(p[1], "Host: x\r\n");
        expect_line(p[1], "\r\n");
        char body[10];
        assert_int_equal(pier_recvall(p[1], body, sizeof body), 4);
        assert_memory_equal(body, "body", 4);
        test_join(thread);
    }
}

static ssize_t recv_one_byte(int fd, void *buf, size_t len, int flags)
{
    return pier__seam_system.recv(fd, buf, len ? 1 : 0, flags);
}

TEST(every_read_is_right_when_the_kernel_gives_one_byte_a_call)
{
    struct pier__seam seam = pier__seam_system;
    seam.recv = recv_one_byte;
    pier__seam = &seam;
    FOR_BOTH_KINDS
    {
        char buf[100];
        say(p[0], "a line\r\nEXACTLYab|-|cd|--|rest of it");
        pier_shutdown(p[0], SHUT_WR);
        expect_line(p[1], "a line\r\n");
        assert_int_equal(pier_recv_exactly(p[1], buf, 7), 7);
        assert_memory_equal(buf, "EXACTLY", 7);
        assert_int_equal(pier_recv_until(p[1], buf, sizeof buf, "|--|", 4), 11);
        assert_memory_equal(buf, "ab|-|cd|--|", 11);
        assert_int_equal(pier_recvall(p[1], buf, sizeof buf), 10);
        assert_memory_equal(buf, "rest of it", 10);
    }
    pier__seam = &pier__seam_system;
}

TEST(a_nul_in_a_line_counts)
{
    FOR_BOTH_KINDS
    {
        char buf[20];
        assert_int_equal(pier_sendall(p[0], "a\0b\n", 4, 0), 4);
        assert_int_equal(pier_recv_line(p[1], buf, sizeof buf), 4);
        assert_memory_equal(buf, "a\0b\n", 5);
    }
}

TEST(a_line_that_just_fits_is_taken_and_a_longer_one_is_kept)
{
    FOR_BOTH_KINDS
    {
        char buf[8] = "";
        say(p[0], "123456\n1234567\nx");
        assert_int_equal(pier_recv_line(p[1], buf, 8), 7);
        assert_string_equal(buf, "123456\n");
        assert_int_equal(pier_recv_line(p[1], buf, 8), -EMSGSIZE);
        assert_string_equal(buf, "");
        assert_int_equal(pier_error_code(), -EMSGSIZE);
        assert_int_equal(pier_recv_line(p[1], buf, 8), -EMSGSIZE);
        assert_int_equal(pier_recv_line(p[1], buf, 1), -EMSGSIZE);
        char more[9];
        assert_int_equal(pier_recv_line(p[1], more, 9), 8);
        assert_string_equal(more, "1234567\n");
        assert_int_equal(pier_recv(p[1], buf, 8, 0), 1);
    }
}

TEST(the_refused_line_can_be_read_in_other_ways)
{
    FOR_BOTH_KINDS
    {
        char buf[20];
        say(p[0], "1234567890\nnext\n");
        assert_int_equal(pier_recv_line(p[1], buf, 5), -EMSGSIZE);
        assert_int_equal(pier_recv_exactly(p[1], buf, 4), 4);
        assert_memory_equal(buf, "1234", 4);
        for (size_t n = 0; n < 3; n++)
            assert_int_equal(pier_recv(p[1], buf + n, 1, 0), 1);
        assert_memory_equal(buf, "567", 3);
        expect_line(p[1], "890\n");
        expect_line(p[1], "next\n");
    }
}

static void *send_pattern(void *arg)
{
    const struct dripper *d = arg;
    assert_int_equal(pier_sendall(d->s, d->text, d->length, 0), (ssize_t)d->length);
    if (d->end) pier_shutdown(d->s, SHUT_WR);
    return NULL;
}

TEST(the_longest_line_is_64_kibibytes_whatever_the_buffer)
{
    static char text[PIER_LINE_MAX + 2], buf[2 * PIER_LINE_MAX];
    memset(text, 'x', sizeof text);
    FOR_BOTH_KINDS
    {
        text[PIER_LINE_MAX - 1] = '\n';
        struct dripper d = {.s = p[0], .text = text, .length = PIER_LINE_MAX};
        pthread_t thread = test_thread(send_pattern, &d);
        assert_int_equal(pier_recv_line(p[1], buf, sizeof buf), PIER_LINE_MAX);
        assert_memory_equal(buf, text, PIER_LINE_MAX);
        test_join(thread);

        text[PIER_LINE_MAX - 1] = 'x';
        text[PIER_LINE_MAX] = '\n';
        d.length = PIER_LINE_MAX + 1;
        thread = test_thread(send_pattern, &d);
        assert_int_equal(pier_recv_line(p[1], buf, sizeof buf), -EMSGSIZE);
        assert_int_equal(pier_recvall(p[1], buf, PIER_LINE_MAX), -EMSGSIZE);
        assert_int_equal(pier_error_moved(), PIER_LINE_MAX);
        expect_line(p[1], "\n");
        test_join(thread);
    }
}

TEST(many_long_lines_come_whole)
{
    enum { LINES = 60 };
    size_t length = 0;
    char *text = malloc((size_t)LINES * PIER_LINE_MAX), *line = malloc(PIER_LINE_MAX + 1);
    assert_true(text && line);
    size_t lengths[LINES];
    for (int i = 0; i < LINES; i++) {
        lengths[i] = 1 + (size_t)(i * 7919) % (PIER_LINE_MAX - 1);
        memset(text + length, 'a' + i % 26, lengths[i] - 1);
        length += lengths[i];
        text[length - 1] = '\n';
    }
    FOR_BOTH_KINDS
    {
        struct dripper d = {.s = p[0], .text = text, .length = length, .end = true};
        pthread_t thread = test_thread(send_pattern, &d);
        size_t at = 0;
        for (int i = 0; i < LINES; i++) {
            assert_int_equal(pier_recv_line(p[1], line, PIER_LINE_MAX + 1), (ssize_t)lengths[i]);
            assert_memory_equal(line, text + at, lengths[i]);
            at += lengths[i];
        }
        assert_int_equal(pier_recv_line(p[1], line, PIER_LINE_MAX + 1), 0);
        test_join(thread);
    }
    free(text);
    free(line);
}

TEST(a_delimiter_may_be_split_over_reads_and_look_like_itself)
{
    FOR_BOTH_KINDS
    {
        char buf[50];
        static const char text[] = "aabaabaaab|aab";
        struct dripper d = {
            .s = p[0], .text = text, .length = sizeof text - 1, .end = true, .pause = 0.001};
        pthread_t thread = start_dripping(&d);
        assert_int_equal(pier_recv_until(p[1], buf, sizeof buf, "aaab", 4), 10);
        assert_memory_equal(buf, "aabaabaaab", 10);
        assert_int_equal(pier_recv_until(p[1], buf, sizeof buf, "aaab", 4), 4);
        assert_memory_equal(buf, "|aab", 4);
        assert_int_equal(pier_recv_until(p[1], buf, sizeof buf, "aaab", 4), 0);
        test_join(thread);
    }
}

TEST(a_delimiter_may_hold_a_nul)
{
    FOR_BOTH_KINDS
    {
        char buf[50];
        assert_int_equal(pier_sendall(p[0], "one\0\0two", 8, 0), 8);
        assert_int_equal(pier_recv_until(p[1], buf, sizeof buf, "\0\0", 2), 5);
        assert_memory_equal(buf, "one\0\0", 5);
    }
}

TEST(exactly_means_all_or_a_code)
{
    FOR_BOTH_KINDS
    {
        char buf[10];
        say(p[0], "12345678");
        pier_shutdown(p[0], SHUT_WR);
        assert_int_equal(pier_recv_exactly(p[1], buf, 0), 0);
        assert_int_equal(pier_recv_exactly(p[1], buf, 5), 5);
        assert_memory_equal(buf, "12345", 5);
        assert_int_equal(pier_recv_exactly(p[1], buf, 5), PIER_EINCOMPLETE);
        assert_int_equal(pier_error_moved(), 3);
        assert_int_equal(pier_error_code(), PIER_EINCOMPLETE);
        assert_memory_equal(buf, "678", 3);
        assert_int_equal(pier_recv_exactly(p[1], buf, 5), 0);
    }
}

TEST(large_exact_reads_come_whole_after_lines)
{
    enum { SIZE = 3000000 };
    char *text = malloc(SIZE), *buf = malloc(SIZE);
    assert_true(text && buf);
    for (size_t i = 0; i < SIZE; i++)
        text[i] = (char)(i * 7 + i / 255);
    memcpy(text, "head\n", 5);
    FOR_BOTH_KINDS
    {
        struct dripper d = {.s = p[0], .text = text, .length = SIZE};
        pthread_t thread = test_thread(send_pattern, &d);
        expect_line(p[1], "head\n");
        assert_int_equal(pier_recv_exactly(p[1], buf, SIZE - 5), SIZE - 5);
        assert_memory_equal(buf, text + 5, SIZE - 5);
        test_join(thread);
    }
    free(text);
    free(buf);
}

static int calls;

static ssize_t count_recv(int fd, void *buf, size_t len, int flags)
{
    calls++;
    return pier__seam_system.recv(fd, buf, len, flags);
}

TEST(many_small_reads_cost_one_system_call)
{
    int p[2];
    tcp_pair(p);
    for (int i = 0; i < 100; i++)
        say(p[0], "ab\n");
    scene_await_bytes(p[1], 300);
    struct pier__seam seam = pier__seam_system;
    seam.recv = count_recv;
    pier__seam = &seam;
    char buf[10];
    for (int i = 0; i < 50; i++) {
        expect_line(p[1], "ab\n");
        assert_int_equal(pier_recv_exactly(p[1], buf, 3), 3);
    }
    assert_true(calls <= 2);
    pier__seam = &pier__seam_system;
    pier_close(p[0]);
    pier_close(p[1]);
}

TEST(recvall_takes_all_or_says_that_it_did_not_fit)
{
    FOR_BOTH_KINDS
    {
        char buf[20];
        say(p[0], "line\n0123456789");
        expect_line(p[1], "line\n");
        assert_int_equal(pier_recvall(p[1], buf, 4), -EMSGSIZE);
        assert_int_equal(pier_error_moved(), 4);
        assert_memory_equal(buf, "0123", 4);
        pier_shutdown(p[0], SHUT_WR);
        assert_int_equal(pier_recvall(p[1], buf, 0), -EMSGSIZE);
        assert_int_equal(pier_error_moved(), 0);
        assert_int_equal(pier_recvall(p[1], buf, 6), 6); /* just so */
        assert_memory_equal(buf, "456789", 6);
        assert_int_equal(pier_recvall(p[1], buf, 6), 0);
        assert_int_equal(pier_recvall(p[1], NULL, 0), 0);
    }
}

TEST(what_is_read_ahead_is_there_for_every_other_call)
{
    int p[2];
    tcp_pair(p);
    char buf[20];
    pier_addr from;
    say(p[0], "line\nabcdefghijklmnop");
    expect_line(p[1], "line\n");
    assert_int_equal(pier_pending(p[1]), 16);
    assert_int_equal(pier_wait_readable(p[1], pier_after(0)), 0);
    assert_int_equal(pier_recv(p[1], buf, 3, MSG_PEEK), 3);
    assert_memory_equal(buf, "abc", 3);
    assert_int_equal(pier_recv(p[1], buf, 3, 0), 3);
    assert_memory_equal(buf, "abc", 3);
    assert_int_equal(pier_recvfrom(p[1], buf, 3, MSG_DONTWAIT, &from), 3);
    assert_memory_equal(buf, "def", 3);
    struct iovec iov[2] = {{buf, 1}, {buf + 1, 2}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
    assert_int_equal(pier_recvmsg(p[1], &msg, 0), 3);
    assert_memory_equal(buf, "ghi", 3);
    assert_int_equal(pier_dup(p[1]), -EBUSY);
    assert_int_equal(pier_detach(p[1]), -EBUSY);
    say(p[0], "qrs");
    assert_int_equal(pier_recv(p[1], buf, 10, MSG_WAITALL), 10);
    assert_memory_equal(buf, "jklmnopqrs", 10);
    assert_int_equal(pier_pending(p[1]), 0);
    pier_close(p[0]);
    pier_close(p[1]);
}

/* Descriptors on AF_UNIX. */

union control {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr aligned;
};

static void send_with_fd(int s, const char *text, int fd)
{
    union control control = {{0}};
    struct iovec iov = {(char *)(uintptr_t)text, strlen(text)};
    struct msghdr msg = {.msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof control.bytes};
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(cmsg), &fd, sizeof fd);
    assert_int_equal(pier_sendmsg(s, &msg, 0), (ssize_t)strlen(text));
}

static void expect_fd(int s, const char *text)
{
    char buf[50];
    int fd = -1;
    union control control;
    struct iovec iov = {buf, sizeof buf};
    struct msghdr msg = {.msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof control.bytes};
    ssize_t n = pier_recvmsg(s, &msg, 0);
    assert_true(n > 0);
    assert_non_null(CMSG_FIRSTHDR(&msg));
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof fd);
    assert_true(fd >= 0);
    close(fd);
    size_t left = strlen(text) - (size_t)n;
    assert_int_equal(pier_recv_exactly(s, buf + n, left), left);
    assert_memory_equal(buf, text, strlen(text));
}

TEST(a_line_does_not_swallow_the_descriptor_behind_it)
{
    int p[2];
    unix_pair(p);
    say(p[0], "take this\n");
    send_with_fd(p[0], "X", STDERR_FILENO);
    expect_line(p[1], "take this\n");
    assert_int_equal(pier_pending(p[1]), 0);
    expect_fd(p[1], "X");
    pier_close(p[0]);
    pier_close(p[1]);
}

TEST(exact_and_full_reads_leave_the_descriptor_behind_them)
{
    int p[2];
    unix_pair(p);
    char buf[10];
    say(p[0], "12345");
    send_with_fd(p[0], "X", STDERR_FILENO);
    assert_int_equal(pier_recv_exactly(p[1], buf, 5), 5);
    expect_fd(p[1], "X");
    say(p[0], "12345");
    send_with_fd(p[0], "X", STDERR_FILENO);
    assert_int_equal(pier_recvall(p[1], buf, 5), -EMSGSIZE);
    expect_fd(p[1], "X");
    pier_close(p[0]);
    pier_close(p[1]);
}

TEST(a_refused_line_keeps_its_descriptor)
{
    int p[2];
    unix_pair(p);
    char buf[10];
    send_with_fd(p[0], "12345678", STDERR_FILENO);
    assert_int_equal(pier_recv_line(p[1], buf, 5), -EMSGSIZE);
    expect_fd(p[1], "12345678");
    pier_close(p[0]);
    pier_close(p[1]);
}

TEST(a_line_longer_than_what_the_sender_may_queue_comes_all_the_same)
{
    int p[2], small = 1;
    unix_pair(p);
    assert_int_equal(setsockopt(p[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    char text[2000], buf[2001];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\n';
    struct dripper d = {.s = p[0], .text = text, .length = sizeof text};
    pthread_t thread = start_dripping(&d);
    assert_int_equal(pier_recv_line(p[1], buf, sizeof buf), sizeof text);
    assert_memory_equal(buf, text, sizeof text);
    test_join(thread);
    pier_close(p[0]);
    pier_close(p[1]);
}

TEST(a_line_may_go_on_behind_a_descriptor)
{
    int p[2];
    unix_pair(p);
    char buf[10];
    int before = test_fd_count();
    say(p[0], "ab");
    send_with_fd(p[0], "cd", STDERR_FILENO);
    send_with_fd(p[0], "ef", STDERR_FILENO);
    say(p[0], "g\nh");
    expect_line(p[1], "abcdefg\n");
    assert_int_equal(test_fd_count(), before); /* a plain read drops what comes with its bytes */
    assert_int_equal(pier_recv(p[1], buf, sizeof buf, MSG_DONTWAIT), 1);
    pier_close(p[0]);
    pier_close(p[1]);
}

/* Limits. */

TEST(a_line_times_out_at_the_deadline_and_keeps_what_came)
{
    FOR_BOTH_KINDS
    {
        char buf[20];
        say(p[0], "half a ");
        pier_time until = pier_after(0.1);
        pier_setdeadline(p[1], until);
        assert_int_equal(pier_recv_line(p[1], buf, sizeof buf), -ETIME);
        assert_true(pier_now() >= until);
        assert_int_equal(pier_error_moved(), 0);
        pier_setdeadline(p[1], PIER_NEVER);
        say(p[0], "line\n");
        expect_line(p[1], "half a line\n");
    }
}

TEST(a_dripping_peer_does_not_stretch_the_time_out)
{
    FOR_BOTH_KINDS
    {
        static const char text[] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
        struct dripper d = {.s = p[0], .text = text, .length = 50, .pause = 0.02};
        char buf[100];
        pier_settimeout(p[1], 0.2);
        pier_time began = pier_now();
        pthread_t thread = start_dripping(&d);
        assert_int_equal(pier_recv_exactly(p[1], buf, 51), -ETIME);
        assert_true(pier_now() - began >= PIER_SECOND / 5);
        assert_true(pier_error_moved() < 51);
        assert_int_equal(pier_recv_line(p[1], buf, sizeof buf), -ETIME);
        test_join(thread);
        pier_settimeout(p[1], INFINITY);
        pier_shutdown(p[0], SHUT_WR);
        (void)pier_recvall(p[1], buf, sizeof buf);
    }
}

TEST(without_waiting_what_is_there_is_kept_for_the_next_try)
{
    FOR_BOTH_KINDS
    {
        char buf[20];
        pier_setblocking(p[1], false);
        assert_int_equal(pier_recv_line(p[1], buf, sizeof buf), -EAGAIN);
        say(p[0], "ab");
        scene_await_bytes(p[1], 2);
        assert_int_equal(pier_recv_line(p[1], buf, sizeof buf), -EAGAIN);
        assert_int_equal(pier_recv_exactly(p[1], buf, 3), -EAGAIN);
        assert_int_equal(pier_error_moved(), 2);
        assert_memory_equal(buf, "ab", 2);
        say(p[0], "c\n");
        scene_await_bytes(p[1], 2);
        expect_line(p[1], "c\n");
    }
}

/* Closing, resets, interruption. */

struct reader {
    int s;
    ssize_t result;
    atomic_bool
        began; /* what a loop needs is open: nothing takes the number of what is closed then */
};

static void *read_a_line(void *arg)
{
    struct reader *r = arg;
    char buf[100];
    atomic_store(&r->began, true);
    r->result = pier_recv_line(r->s, buf, sizeof buf);
    return NULL;
}

TEST(closing_wakes_a_reader_in_the_middle_of_a_line)
{
    for (size_t kind = 0; kind < 2; kind++) {
        for (int late = 0; late < 2; late++) {
            int p[2];
            kinds[kind](p);
            struct reader r = {.s = p[1]};
            say(p[0], "half");
            pthread_t thread = test_thread(read_a_line, &r);
            while (!atomic_load(&r.began))
                sched_yield();
            if (late) test_sleep(0.05);
            pier_close(p[1]);
            test_join(thread);
            if (r.result != -ECANCELED) assert_int_equal(r.result, -EBADF);
            pier_close(p[0]);
        }
    }
}

TEST(a_reset_in_the_middle_is_no_end_of_stream)
{
    int p[2];
    tcp_pair(p);
    say(p[0], "half");
    test_sleep(0.02);
    struct linger at_once = {1, 0};
    setsockopt(p[0], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    struct reader r = {.s = p[1]};
    pthread_t thread = test_thread(read_a_line, &r);
    test_sleep(0.05);
    pier_close(p[0]);
    test_join(thread);
    assert_int_equal(r.result, -ECONNRESET);
    char buf[10];
    assert_int_equal(pier_recv_exactly(p[1], buf, 4), 4); /* what had come is still there */
    assert_memory_equal(buf, "half", 4);
    pier_close(p[1]);
}

static void on_signal(int number) { (void)number; }

static int interruptions;

static int give_up_at_the_third(void *arg)
{
    (void)arg;
    return ++interruptions == 3;
}

static void start_timer(int ms)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval every = {{0, ms * 1000}, {0, ms * 1000}};
    setitimer(ITIMER_REAL, ms ? &every : &(struct itimerval){{0, 0}, {0, 0}}, NULL);
}

TEST(signals_do_not_end_a_read_unless_the_hook_says_so)
{
    FOR_BOTH_KINDS
    {
        char buf[100];
        sigset_t alarm;
        sigemptyset(&alarm);
        sigaddset(&alarm, SIGALRM);
        pthread_sigmask(SIG_BLOCK, &alarm, NULL); /* the sender's signals are not the point */
        struct dripper d = {.s = p[0], .text = "a line\nhalf", .length = 11, .pause = 0.01};
        pthread_t thread = start_dripping(&d);
        pthread_sigmask(SIG_UNBLOCK, &alarm, NULL);
        start_timer(3);
        expect_line(p[1], "a line\n");
        test_join(thread);
        interruptions = 0;
        pier_sethook(give_up_at_the_third, NULL);
        assert_int_equal(pier_recv_line(p[1], buf, sizeof buf), -EINTR);
        assert_true(interruptions >= 3); /* a loop asks of each, also when it is over */
        pier_sethook(NULL, NULL);
        start_timer(0);
        say(p[0], "\n");
        expect_line(p[1], "half\n");
    }
}

TEST(one_reader_at_a_time_the_next_waits_its_turn)
{
    FOR_BOTH_KINDS
    {
        struct reader a = {.s = p[1]}, b = {.s = p[1]};
        pthread_t first = test_thread(read_a_line, &a), second = test_thread(read_a_line, &b);
        test_sleep(0.02);
        say(p[0], "one\nlonger\n");
        test_join(first);
        test_join(second);
        assert_int_equal(a.result + b.result, 4 + 7);
    }
}

static int64_t take_a_line(void *s)
{
    char buf[100];
    return pier_recv_line(*(int *)s, buf, sizeof buf);
}

TEST(the_turn_counts_in_the_time_out)
{
    int p[2];
    tcp_pair(p);
    struct scene_call call;
    scene_start(&call, take_a_line, &p[1]);
    scene_await_blocked(&call);
    char buf[10];
    pier_settimeout(p[1], 0.1); /* not for the one who waits already */
    pier_time began = pier_now();
    assert_int_equal(pier_recv_line(p[1], buf, sizeof buf), -ETIME);
    assert_true(pier_now() - began >= PIER_SECOND / 10);
    pier_setblocking(p[1], false);
    assert_int_equal(pier_recv_line(p[1], buf, sizeof buf), -EAGAIN);
    pier_setblocking(p[1], true);
    say(p[0], "x\n");
    assert_int_equal(scene_finish(&call), 2);
    pier_close(p[0]);
    pier_close(p[1]);
}

/* Bad input. */

TEST(bad_arguments_are_refused)
{
    FOR_BOTH_KINDS
    {
        char buf[10];
        assert_int_equal(pier_recv_exactly(p[1], buf, SIZE_MAX), -EINVAL);
        assert_int_equal(pier_recv_exactly(p[1], NULL, 1), -EFAULT);
        assert_int_equal(pier_recvall(p[1], buf, SIZE_MAX / 2 + 1), -EINVAL);
        assert_int_equal(pier_recv_until(p[1], buf, 10, "x", 0), -EINVAL);
        assert_int_equal(pier_recv_until(p[1], buf, 10, NULL, 1), -EFAULT);
        assert_int_equal(pier_recv_until(p[1], buf, 10, "x", SIZE_MAX), -EINVAL);
        assert_int_equal(pier_recv_until(p[1], buf, 0, "x", 1), -EMSGSIZE);
        assert_int_equal(pier_recv_line(p[1], buf, 0), -EINVAL);
        assert_int_equal(pier_recv_line(p[1], NULL, 10), -EFAULT);
        say(p[0], "abcd");
        assert_int_equal(pier_recv_until(p[1], buf, 3, "bcde", 4), -EMSGSIZE);
        pier_shutdown(p[0], SHUT_WR);
        assert_int_equal(pier_recv_until(p[1], buf, 10, "bcdef", 5), 4);
    }
}

TEST(handles_that_are_none_are_passed_on)
{
    char buf[10];
    int refused = pier_create_server("127.0.0.1:99999", NULL);
    assert_int_equal(pier_recv_exactly(refused, buf, 4), refused);
    assert_int_equal(pier_recv_line(refused, buf, 4), refused);
    assert_int_equal(pier_recv_until(refused, buf, 4, "x", 1), refused);
    assert_int_equal(pier_recvall(refused, buf, 4), refused);
    assert_int_equal(pier_error_code(), refused);
    int pipes[2];
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    assert_int_equal(pier_recv_exactly(pipes[0], buf, 4), -ENOTSOCK);
    close(pipes[0]);
    close(pipes[1]);
}

TEST(messages_are_not_framed)
{
    static const int types[] = {SOCK_DGRAM, SOCK_SEQPACKET};
    for (size_t i = 0; i < 2; i++) {
        int p[2];
        char buf[10];
        assert_int_equal(pier_socketpair(AF_UNIX, types[i], 0, p), 0);
        assert_int_equal(pier_recv_exactly(p[1], buf, 4), -EINVAL);
        assert_int_equal(pier_recv_line(p[1], buf, 4), -EINVAL);
        assert_int_equal(pier_recv_until(p[1], buf, 4, "x", 1), -EINVAL);
        assert_int_equal(pier_recvall(p[1], buf, 4), -EINVAL);
        pier_close(p[0]);
        pier_close(p[1]);
    }
}

TEST(a_bare_descriptor_reads_exactly_but_has_no_place_for_lines)
{
    int p[2];
    char buf[10];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p), 0);
    assert_int_equal(write(p[0], "abcdef", 6), 6);
    assert_int_equal(pier_recv_exactly(p[1], buf, 4), 4);
    assert_int_equal(pier_recv_line(p[1], buf, 10), -EBADF);
    assert_int_equal(shutdown(p[0], SHUT_WR), 0);
    assert_int_equal(pier_recvall(p[1], buf, 10), 2);
    close(p[0]);
    close(p[1]);
}

static void *no_memory(void *old, size_t size)
{
    (void)old, (void)size;
    return NULL;
}

TEST(without_memory_for_the_buffer_nothing_is_lost)
{
    int p[2];
    tcp_pair(p);
    struct pier__seam seam = pier__seam_system;
    char buf[10];
    say(p[0], "line\n");
    seam.allocate = no_memory;
    pier__seam = &seam;
    assert_int_equal(pier_recv_line(p[1], buf, sizeof buf), -ENOMEM);
    pier__seam = &pier__seam_system;
    expect_line(p[1], "line\n");
    pier_close(p[0]);
    pier_close(p[1]);
}

TEST(the_sentence_says_what_and_with_whom)
{
    int p[2];
    tcp_pair(p);
    char buf[10], expected[1200];
    pier_addr own, peer;
    pier_getsockname(p[1], &own);
    pier_getpeername(p[1], &peer);
    say(p[0], "abc");
    pier_shutdown(p[0], SHUT_WR);
    assert_int_equal(pier_recv_exactly(p[1], buf, 5), PIER_EINCOMPLETE);
    (void)snprintf(expected, sizeof expected, "receive exactly on %s from %s: %s, after 3 bytes",
        pier_addr_text(own).text, pier_addr_text(peer).text, pier_strerror(PIER_EINCOMPLETE));
    assert_string_equal(pier_error(), expected);
    pier_close(p[0]);
    pier_close(p[1]);
}
