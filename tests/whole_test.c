/* SPDX-License-Identifier: MIT */
/*
 * A send on a stream, without a limit, takes everything: in every world what the kernel does for a
 * thread that blocks.
 */
#include "harness.h"
#include "scene.h"

#include <errno.h>
#include <pier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LENGTH = 3 << 20, PIECES = 12 };

static const char *const kinds[] = {"tcp", "unix stream"};
static char *bytes;

static void make_bytes(void)
{
    bytes = malloc(LENGTH);
    for (int i = 0; i < LENGTH; i++)
        bytes[i] = (char)(i % 251);
}

/* A pair that holds much less. */
static void small_pair(const char *kind, int pair[2])
{
    scene_pair(kind, pair);
    assert_int_equal(pier_setsockopt_int(pair[0], SOL_SOCKET, SO_SNDBUF, 50000), 0);
}

struct reader {
    int s;
    size_t limit; /* then it resets the connection */
    size_t got;
};

static void *reads(void *arg)
{
    static _Thread_local char part[50000];
    struct reader *reader = arg;
    test_sleep(0.01);
    for (ssize_t n; (n = recv(reader->s, part, sizeof part, 0)) > 0;) {
        assert_memory_equal(part, bytes + reader->got, (size_t)n);
        reader->got += (size_t)n;
        if (reader->got >= reader->limit) {
            scene_reset(reader->s);
            break;
        }
        if (reader->got % 7 == 0) test_sleep(0.001);
    }
    return NULL;
}

static ssize_t by_send(int s) { return pier_send(s, bytes, LENGTH, 0); }

static ssize_t by_message(int s)
{
    struct iovec iov[PIECES];
    size_t each = LENGTH / PIECES;
    for (size_t i = 0; i < PIECES; i++)
        iov[i] = (struct iovec){bytes + i * each, i + 1 < PIECES ? each : LENGTH - i * each};
    struct iovec before[PIECES];
    memcpy(before, iov, sizeof iov);
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = PIECES};
    ssize_t n = pier_sendmsg(s, &msg, 0);
    assert_memory_equal(iov, before, sizeof iov);
    return n;
}

static ssize_t (*const ways[])(int s) = {by_send, by_message};

TEST(a_send_without_a_limit_takes_everything)
{
    make_bytes();
    for (int i = 0; i < 4; i++) {
        int pair[2];
        small_pair(kinds[i % 2], pair);
        struct reader reader = {.s = pair[1], .limit = SIZE_MAX};
        pthread_t thread = test_thread(reads, &reader);
        assert_int_equal(ways[i / 2](pair[0]), LENGTH);
        assert_int_equal(pier_shutdown(pair[0], SHUT_WR), 0);
        test_join(thread);
        assert_int_equal(reader.got, LENGTH);
        scene_close(pair);
    }
    free(bytes);
}

TEST(descriptors_go_with_the_first_piece_and_no_other)
{
    make_bytes();
    int pair[2];
    small_pair("unix stream", pair);
    int fd = pair[0];
    struct reader reader = {.s = pair[1], .limit = SIZE_MAX};
    pthread_t thread = test_thread(reads, &reader); /* which drops them */
    assert_int_equal(pier_send_fds(pair[0], bytes, LENGTH, 0, &fd, 1), LENGTH);
    assert_int_equal(pier_shutdown(pair[0], SHUT_WR), 0);
    test_join(thread);
    assert_int_equal(reader.got, LENGTH);
    scene_close(pair);
    free(bytes);
}

TEST(what_went_before_a_reset_is_told_and_the_reset_by_the_next_call)
{
    make_bytes();
    for (int i = 0; i < 4; i++) {
        int pair[2];
        small_pair(kinds[i % 2], pair);
        struct reader reader = {.s = pair[1], .limit = 100000};
        pthread_t thread = test_thread(reads, &reader);
        ssize_t n = ways[i / 2](pair[0]);
        assert_true(n >= 100000 && n < LENGTH);
        test_join(thread);
        n = pier_send(pair[0], "x", 1, 0);
        assert_true(n == -ECONNRESET || n == -EPIPE);
        assert_int_equal(pier_close(pair[0]), 0);
    }
    free(bytes);
}

TEST(under_a_limit_what_finds_room_goes)
{
    make_bytes();
    for (int i = 0; i < 4; i++) {
        int pair[2];
        small_pair(kinds[i % 2], pair);
        assert_int_equal(pier_settimeout(pair[0], 60), 0);
        ssize_t n = ways[i / 2](pair[0]);
        assert_true(n > 0 && n < LENGTH);
        scene_close(pair);
    }
    free(bytes);
}

/* Closes the first of a pair, as soon as something of a send has come to the second. */
static void *closes(void *arg)
{
    const int *pair = arg;
    int come = 0;
    while (come == 0) {
        test_sleep(0.001);
        assert_int_equal(ioctl(pair[1], FIONREAD, &come), 0);
    }
    test_sleep(0.02);
    assert_int_equal(pier_close(pair[0]), 0);
    return NULL;
}

TEST(what_went_before_a_close_is_told)
{
    make_bytes();
    for (int i = 0; i < 4; i++) {
        int pair[2];
        small_pair(kinds[i % 2], pair);
        pthread_t thread = test_thread(closes, pair);
        ssize_t n = ways[i / 2](pair[0]);
        assert_true(n > 0 && n < LENGTH);
        test_join(thread);
        assert_int_equal(pier_send(pair[0], "x", 1, 0), -EBADF);
        assert_int_equal(pier_close(pair[1]), 0);
    }
    free(bytes);
}

/* In a task: a cancel, and a scope. */

struct canceled {
    int s;
    ssize_t sent;
    int after;
};

static int sends_until_called_off(void *arg)
{
    struct canceled *it = arg;
    it->sent = by_send(it->s);
    it->after = pier_sleep(0);
    return 0;
}

static int cancels(void *unused)
{
    (void)unused;
    for (int i = 0; i < 2; i++) {
        int pair[2];
        small_pair(kinds[i], pair);
        struct canceled it = {.s = pair[0]};
        pier_task task = pier_spawn(sends_until_called_off, &it, NULL);
        assert_int_equal(pier_sleep(0.01), 0);
        assert_int_equal(pier_cancel(task), 0);
        assert_int_equal(pier_join(task, NULL), 0);
        assert_true(it.sent > 0 && it.sent < LENGTH);
        assert_int_equal(it.after, -ECANCELED);
        (void)scene_empty(pair[1]);
        ssize_t n = -ECANCELED;
        for (double limit = 0.01; n == -ECANCELED; limit *= 2) { /* until it was not over at once */
            pier_scope scope = {0};
            assert_int_equal(pier_scope_enter(&scope, pier_after(limit)), 0);
            n = by_send(pair[0]);
            assert_int_equal(pier_sleep(1), -ECANCELED);
            assert_int_equal(pier_scope_leave(&scope), -ETIME);
        }
        assert_true(n > 0 && n < LENGTH);
        scene_close(pair);
    }
    return 0;
}

TEST(what_went_before_a_task_was_called_off_is_told)
{
    make_bytes();
    scene_on_each_backend(cancels);
    free(bytes);
}
