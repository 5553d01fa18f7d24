/* SPDX-License-Identifier: MIT */
/*
 * A ring that is full, either way: what it cannot take now it is told later, and what it has to
 * tell is not lost.
 */
#include "harness.h"
#include "scene.h"
#include "small_ring.h"
#include "wait/loop.h"

#include <errno.h>
#include <pier.h>
#include <sys/socket.h>
#include <unistd.h>

static int on_small_ring(int (*fn)(void *arg))
{
    small_ring_install();
    int result = pier_run(fn, NULL, &(pier_run_opts){.backend = "uring", .stack_size = 1 << 20});
    small_ring_remove();
    return result;
}

static int receives(void *arg)
{
    char byte;
    return (int)pier_recv((int)(intptr_t)arg, &byte, 1, 0);
}

/* A task that waits to receive, and whose wait the kernel knows. */
static pier_task receiver(int s)
{
    pier_task task = pier_spawn(receives, (void *)(intptr_t)s, NULL);
    assert_int_equal(pier_sleep(0.001), 0);
    return task;
}

static void refuses_then_joins(pier_task task, int code, int expected)
{
    int result = 0;
    small_ring_stuff();
    small_ring_refuse(5, code);
    if (expected < 0) assert_int_equal(pier_cancel(task), 0);
    assert_int_equal(pier_join(task, &result), 0);
    assert_int_equal(result, expected);
    assert_int_equal(small_ring_refusals(), 0);
}

static const int refusals[] = {-EBUSY, -EAGAIN, -ENOMEM, -EINTR, 0};

static int cancels_on_a_full_ring(void *unused)
{
    (void)unused;
    int pair[2];
    scene_pair("tcp", pair);
    for (const int *code = refusals; *code; code++)
        refuses_then_joins(receiver(pair[0]), *code, -ECANCELED);
    assert_int_equal(pier_send(pair[1], "x", 1, 0), 1);
    char byte;
    assert_int_equal(pier_recv(pair[0], &byte, 1, 0), 1);
    assert_int_equal(pier_close(pair[0]), 0);
    assert_int_equal(pier_close(pair[1]), 0);
    return 0;
}

TEST(cancel_that_a_full_ring_does_not_take_is_told_later)
{
    assert_int_equal(on_small_ring(cancels_on_a_full_ring), 0);
}

static int begins_on_a_full_ring(void *unused)
{
    (void)unused;
    int pair[2];
    scene_pair("tcp", pair);
    for (int nonblock = 0; nonblock < 2; nonblock++) {
        if (nonblock) assert_int_equal(pier_setblocking(pair[0], false), 0);
        if (nonblock) assert_int_equal(pier_settimeout(pair[0], 100), 0);
        for (const int *code = refusals; *code; code++) {
            pier_task task = pier_spawn(receives, (void *)(intptr_t)pair[0], NULL);
            assert_int_equal(send(pair[1], "x", 1, 0), 1);
            refuses_then_joins(task, *code, 1);
            /* Cancelled before the kernel has heard of it. */
            int result = 0;
            task = pier_spawn(receives, (void *)(intptr_t)pair[0], NULL);
            small_ring_stuff();
            small_ring_refuse(3, *code);
            assert_int_equal(pier_yield(), 0);
            assert_int_equal(pier_cancel(task), 0);
            assert_int_equal(pier_join(task, &result), 0);
            assert_int_equal(result, -ECANCELED);
            small_ring_refuse(0, 0);
        }
    }
    assert_int_equal(pier_close(pair[0]), 0);
    assert_int_equal(pier_close(pair[1]), 0);
    return 0;
}

TEST(operation_that_a_full_ring_does_not_take_begins_later)
{
    assert_int_equal(on_small_ring(begins_on_a_full_ring), 0);
}

static int seven(void *unused)
{
    (void)unused;
    return 7;
}

/*
 * Another thread can still reach a loop whose watch ended while there was no room to begin it anew.
 */
static int loses_its_watch(void *unused)
{
    (void)unused;
    for (const int *code = refusals; *code; code++) {
        small_ring_end_watch();
        small_ring_stuff();
        small_ring_refuse(2, *code);
        assert_int_equal(pier_yield(), 0);
        assert_int_equal(small_ring_refusals(), 0);
        assert_int_equal(pier_to_thread(seven, NULL), 7);
    }
    return 0;
}

TEST(loop_whose_watch_a_full_ring_did_not_take_still_hears_other_threads)
{
    assert_int_equal(on_small_ring(loses_its_watch), 0);
}

#define MANY 200

static int is_flooded(void *unused)
{
    (void)unused;
    int pairs[MANY][2];
    pier_task tasks[MANY];
    for (int i = 0; i < MANY; i++) {
        scene_pair("unix stream", pairs[i]);
        tasks[i] = pier_spawn(receives, (void *)(intptr_t)pairs[i][0], NULL);
    }
    assert_int_equal(pier_sleep(0.001), 0);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(send(pairs[i][1], "x", 1, 0), 1);
    small_ring_flood();
    for (int i = 0; i < MANY; i++) {
        int result = 0;
        assert_int_equal(pier_join(tasks[i], &result), 0);
        assert_int_equal(result, 1);
        assert_int_equal(pier_close(pairs[i][0]), 0);
        assert_int_equal(pier_close(pairs[i][1]), 0);
    }
    return 0;
}

TEST(more_results_than_the_ring_holds_all_arrive)
{
    assert_int_equal(on_small_ring(is_flooded), 0);
}
