/* SPDX-License-Identifier: MIT */
/* Handlers of signals that come while a task runs, and so on its stack. */
#include "base/bits.h"
#include "harness.h"
#include "scene.h"
#include "wait/task.h"

#include <pier.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const char *const backends[] = {"epoll", "uring"};

/* The smallest that there is; code that a sanitizer has been through needs more. */
#if defined PIER__ASAN || defined PIER__TSAN
#    define SMALL ((size_t)256 << 10)
#else
#    define SMALL PIER__STACK_LEAST
#endif

static void on_each(int (*fn)(void *arg))
{
    if (harness_in_task()) SKIP("has a loop already");
    for (size_t i = 0; i < PIER_COUNT(backends); i++) {
        pier_run_opts opts = {.backend = backends[i], .stack_size = (size_t)1 << 20};
        assert_int_equal(pier_run(fn, NULL, &opts), 0);
    }
}

static int enough; /* signals, as scene_signals_caught() counts them */

static int answers(void *arg)
{
    int s = (int)(intptr_t)arg;
    char line[64];
    for (ssize_t n; (n = pier_recv_line(s, line, sizeof line)) != 0;) {
        assert_true(n > 0);
        assert_int_equal(pier_sendall(s, line, (size_t)n, 0), n);
    }
    assert_int_equal(pier_close(s), 0);
    return 0;
}

static int asks(void *arg)
{
    int s = (int)(intptr_t)arg;
    for (int i = 0; i < 10 || scene_signals_caught() < enough; i++) {
        char out[64], in[64];
        int length = snprintf(out, sizeof out, "%d asks %d, %g\n", s, i, i / 3.0);
        assert_int_equal(pier_sendall(s, out, (size_t)length, 0), length);
        assert_int_equal(pier_recv_line(s, in, sizeof in), length);
        assert_string_equal(in, out);
    }
    assert_int_equal(pier_close(s), 0);
    return 0;
}

static int talk_in_a_storm(void *unused)
{
    (void)unused;
    const pier_spawn_opts small = {.stack_size = SMALL};
    pier_group group;
    enough = scene_signals_caught() + 100;
    assert_int_equal(pier_group_enter(&group), 0);
    for (int i = 0; i < 20; i++) {
        int pair[2];
        scene_pair("tcp", pair);
        pier_group_spawn(&group, answers, (void *)(intptr_t)pair[0], &small);
        pier_group_spawn(&group, asks, (void *)(intptr_t)pair[1], &small);
    }
    scene_signal_storm(true);
    assert_int_equal(pier_group_leave(&group), 0);
    scene_signal_storm(false);
    return 0;
}

TEST(storm_of_signals_on_the_smallest_stacks_disturbs_nobody)
{
    scene_catch_signals();
    on_each(talk_in_a_storm);
}

/* A handler that needs more room asks for a stack of its own, as on any thread. */

static volatile uintptr_t ran_at;

static void notes_where(int signal)
{
    (void)signal;
    ran_at = (uintptr_t)__builtin_frame_address(0);
}

static int raises(void *on_own_stack)
{
    const struct pier__stack *stack = &pier__task_here()->stack;
    ran_at = 0;
    assert_int_equal(raise(SIGUSR2), 0);
    assert_true(ran_at != 0);
    bool inside = ran_at - (uintptr_t)stack->bottom < stack->size;
    assert_int_equal(inside, on_own_stack == NULL);
    return 0;
}

static int raises_both_ways(void *unused)
{
    (void)unused;
    struct sigaction action = {.sa_handler = notes_where}, before;
    assert_int_equal(sigaction(SIGUSR2, &action, &before), 0);
    (void)raises(NULL);
    action.sa_flags = SA_ONSTACK;
    assert_int_equal(sigaction(SIGUSR2, &action, NULL), 0);
    (void)raises(&action);
    assert_int_equal(sigaction(SIGUSR2, &before, NULL), 0);
    return 0;
}

TEST(handler_that_asks_for_a_stack_of_its_own_does_not_use_the_tasks) { on_each(raises_both_ways); }
