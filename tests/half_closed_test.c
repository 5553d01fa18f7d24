/* SPDX-License-Identifier: MIT */
/*
 * A peer that has ended its side and is slow to read, as a client may be who has asked its question:
 * who waits for room to answer is not to be told of that end instead, again and again.
 */
#include "harness.h"
#include "scene.h"
#include "small_ring.h"

#include <errno.h>
#include <pier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *const kinds[] = {"tcp", "unix stream"};
static const double soon = 0.01;

/* A pair, of which the second end has ended its side, and what the first sends has no room. */
static void half_closed(const char *kind, int pair[2])
{
    scene_pair(kind, pair);
    (void)scene_fill(pair[0]);
    assert_int_equal(pier_shutdown(pair[1], SHUT_WR), 0);
}

static void *empties_later(void *arg)
{
    test_sleep(0.02);
    (void)scene_empty(*(int *)arg);
    return NULL;
}

TEST(the_end_of_the_peers_side_is_no_room)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        int pair[2];
        half_closed(kinds[i], pair);
        assert_int_equal(pier_wait_writable(pair[0], pier_after(soon)), -ETIME);
        pier_waitable any[] = {{PIER_WAIT_WRITABLE, .socket = pair[0]}};
        assert_int_equal(pier_wait_any(any, 1, pier_after(soon)), -ETIME);
        assert_int_equal(pier_wait_readable(pair[0], PIER_NEVER), 0);
        assert_int_equal(pier_setdeadline(pair[0], pier_after(soon)), 0);
        assert_int_equal(pier_send(pair[0], "x", 1, 0), -ETIME);
        assert_int_equal(pier_setdeadline(pair[0], PIER_NEVER), 0);
        assert_int_equal(pier_settimeout(pair[0], soon), 0);
        assert_int_equal(pier_send(pair[0], "x", 1, 0), -ETIME);
        scene_close(pair);
    }
}

TEST(room_that_comes_after_the_end_of_the_peers_side_is_told)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        int pair[2];
        half_closed(kinds[i], pair);
        pthread_t reader = test_thread(empties_later, &pair[1]);
        assert_int_equal(pier_wait_writable(pair[0], PIER_NEVER), 0);
        test_join(reader);
        (void)scene_fill(pair[0]);
        reader = test_thread(empties_later, &pair[1]);
        assert_int_equal(pier_send(pair[0], "x", 1, 0), 1);
        test_join(reader);
        scene_close(pair);
    }
}

/* A long answer. */

enum { LENGTH = 1 << 20 };

static char *answer;

static void *reads_slowly(void *arg)
{
    int s = *(int *)arg;
    char part[5000];
    size_t got = 0;
    for (ssize_t n; (n = recv(s, part, sizeof part, 0)) > 0; got += (size_t)n) {
        assert_memory_equal(part, answer + got, (size_t)n);
        if (got / 100000 != (got + (size_t)n) / 100000) test_sleep(0.002);
    }
    assert_int_equal(got, LENGTH);
    return NULL;
}

TEST(a_long_answer_reaches_a_slow_reader_who_has_ended_its_side)
{
    answer = malloc(LENGTH);
    for (int i = 0; i < LENGTH; i++)
        answer[i] = (char)(i % 251);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        for (int limited = 0; limited < 2; limited++) {
            int pair[2];
            scene_pair(kinds[i], pair);
            if (limited) assert_int_equal(pier_settimeout(pair[0], 60), 0);
            assert_int_equal(pier_shutdown(pair[1], SHUT_WR), 0);
            pthread_t reader = test_thread(reads_slowly, &pair[1]);
            assert_int_equal(pier_sendall(pair[0], answer, LENGTH, 0), LENGTH);
            assert_int_equal(pier_shutdown(pair[0], SHUT_WR), 0);
            test_join(reader);
            scene_close(pair);
        }
    }
    free(answer);
}

/* Many of them at once, in a loop of our own. */

enum { MANY = 24 };

static int pairs[MANY][2];

static int sends(void *arg) { return (int)pier_send(*(int *)arg, "x", 1, 0); }

static int threads(void)
{
    char line[256];
    int count = 0;
    FILE *status = fopen("/proc/self/status", "r");
    assert_non_null(status);
    while (count == 0 && fgets(line, sizeof line, status))
        (void)sscanf(line, "Threads: %d", &count);
    fclose(status);
    return count;
}

static int has_many_wait(void *unused)
{
    (void)unused;
    pier_task tasks[MANY];
    int before = threads();
    for (int i = 0; i < MANY; i++) {
        half_closed("tcp", pairs[i]);
        tasks[i] = pier_spawn(sends, &pairs[i][0], NULL);
    }
    assert_int_equal(pier_sleep(0.05), 0);
    assert_int_equal(threads(), before);
    for (int i = 0; i < MANY; i++) {
        int result = 0;
        if (i % 3 == 0) assert_int_equal(pier_cancel(tasks[i]), 0);
        if (i % 3 == 1) assert_int_equal(pier_close(pairs[i][0]), 0);
        if (i % 3 == 2) (void)scene_empty(pairs[i][1]);
        assert_int_equal(pier_join(tasks[i], &result), 0);
        assert_int_equal(result, i % 3 == 2 ? 1 : -ECANCELED);
        if (i % 3 != 1) assert_int_equal(pier_close(pairs[i][0]), 0);
        assert_int_equal(pier_close(pairs[i][1]), 0);
    }
    return 0;
}

TEST(many_that_wait_for_room_cost_no_thread_each)
{
    const char *const backends[] = {"epoll", "uring"};
    if (harness_in_task()) SKIP("has a loop already");
    for (size_t i = 0; i < sizeof backends / sizeof *backends; i++) {
        const pier_run_opts opts = {.backend = backends[i]};
        assert_int_equal(pier_run(has_many_wait, NULL, &opts), 0);
    }
}

/* A ring that is full when it is to go on watching, and to end that. */
static int watches_by_a_full_ring(void *unused)
{
    (void)unused;
    int pair[2];
    for (int turn = 0; turn < 3; turn++) {
        half_closed("tcp", pair);
        pier_task task = pier_spawn(sends, &pair[0], NULL);
        for (int i = 0; i < 3; i++) {
            small_ring_stuff();
            assert_int_equal(pier_yield(), 0);
        }
        int result = 0;
        if (turn == 1) assert_int_equal(pier_cancel(task), 0);
        if (turn == 1) small_ring_stuff();
        if (turn != 1) (void)scene_empty(pair[1]);
        small_ring_stuff();
        small_ring_refuse(3, -EBUSY);
        assert_int_equal(pier_join(task, &result), 0);
        assert_int_equal(result, turn == 1 ? -ECANCELED : 1);
        scene_close(pair);
    }
    return 0;
}

TEST(a_full_ring_is_told_later_to_go_on_watching)
{
    if (harness_in_task()) SKIP("has a loop already");
    small_ring_install();
    const pier_run_opts opts = {.backend = "uring", .stack_size = (size_t)1 << 20};
    assert_int_equal(pier_run(watches_by_a_full_ring, NULL, &opts), 0);
    small_ring_remove();
}
