/* SPDX-License-Identifier: MIT */
/* Very many tasks at once, each with a stack and a guard below it. */
#include "base/bits.h"
#include "base/missing.h"
#include "harness.h"
#include "wait/loop.h"
#include "wait/task.h"

#include <errno.h>
#include <fcntl.h>
#include <pier.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * Under sanitizers fewer: TSan counts tasks as threads, of which it can have 8,128; ASan makes
 * mappings for each.
 */
#if defined PIER__TSAN || defined PIER__ASAN
#    define CROWD 5000
#else
#    define CROWD 100000
#endif

static const char *const backends[] = {"epoll", "uring"};

static void on_each(int (*fn)(void *arg))
{
    if (harness_in_task()) SKIP("has a loop already");
    for (size_t i = 0; i < PIER_COUNT(backends); i++) {
        pier_run_opts opts = {.backend = backends[i], .stack_size = (size_t)1 << 20};
        assert_int_equal(pier_run(fn, (void *)(uintptr_t)backends[i], &opts), 0);
    }
}

/*
 * Guards that split no mapping are of Linux 6.13; before that, they are as many mappings as there
 * may be (vm.max_map_count). And where each call is to fail in turn there must not be too many.
 */
static size_t crowd(void)
{
    if (getenv("PIER_TEST_FAULT") || getenv("PIER_TEST_NOISE")) return 100;
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(page, MAP_FAILED);
    bool light = madvise(page, 4096, MADV_GUARD_INSTALL) == 0;
    munmap(page, 4096);
    return light || CROWD < 20000 ? CROWD : 20000;
}

static size_t lines_of(const char *path)
{
    size_t lines = 0;
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    for (int c; (c = getc(file)) != EOF;)
        lines += c == '\n';
    (void)fclose(file);
    return lines;
}

/* Bytes of this process that are in memory, with its page tables. */
static size_t resident(void)
{
    char line[128];
    size_t sum = 0, kib;
    FILE *file = fopen("/proc/self/status", "re");
    assert_non_null(file);
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "VmRSS: %zu", &kib) == 1 || sscanf(line, "VmPTE: %zu", &kib) == 1)
            sum += kib << 10;
    (void)fclose(file);
    return sum;
}

/* Can this byte be read? The kernel tells without a signal. */
static bool readable(const char *at)
{
    int pair[2];
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    long n = syscall(SYS_write, pair[1], at, 1);
    close(pair[0]);
    close(pair[1]);
    return n == 1;
}

static void check_guarded(void)
{
    const struct pier__stack *stack = &pier__task_here()->stack;
    assert_int_equal(stack->size, PIER_STACK_SIZE);
    assert_true(readable(stack->bottom));
    assert_false(readable(stack->bottom - 1));
    assert_false(readable(stack->bottom - PIER__STACK_GUARD));
}

static void report(const char *what, const char *backend, size_t count, size_t before)
{
    size_t bytes = resident() - before;
    printf("%zu tasks %s on %s: %zu bytes of memory each, %zu mappings\n", count, what, backend,
        bytes / count, lines_of("/proc/self/maps"));
#if !defined PIER__TSAN && !defined PIER__ASAN
    assert_true(bytes / count < 32768 || count < 1000);
    assert_true(lines_of("/proc/self/maps") < 1000 || count <= 20000);
#endif
}

/* Asleep, all to the same point. */

static size_t asleep, awake;
static pier_time point;

static int sleeps(void *arg)
{
    pier_scope scope;
    size_t number = (size_t)(uintptr_t)arg;
    if (number % 10000 == 0) check_guarded();
    assert_int_equal(pier_scope_enter(&scope, point), 0);
    asleep++;
    assert_int_equal(pier_sleep(3600), -ECANCELED);
    assert_true(pier_now() >= point);
    assert_int_equal(pier_scope_leave(&scope), -ETIME);
    awake++;
    return 0;
}

static int crowd_sleeps(void *backend)
{
    size_t count = crowd(), before = resident();
    const pier_spawn_opts opts = {.detached = true};
    asleep = awake = 0;
    point = pier_now() + 3600 * PIER_SECOND;
    for (size_t i = 0; i < count; i++)
        assert_true(pier_spawn(sleeps, (void *)(uintptr_t)i, &opts).number > 0);
    point = pier_after(1); /* however long that took */
    while (asleep < count)
        assert_int_equal(pier_yield(), 0);
    report("asleep", backend, count, before);
    while (awake < count)
        assert_int_equal(pier_yield(), 0);
    printf("%zu timers at one point, all told %.3f s after it\n", count,
        (double)(pier_now() - point) / PIER_SECOND);
    return 0;
}

TEST(hundred_thousand_tasks_sleep_to_the_same_point) { on_each(crowd_sleeps); }

/* Each in a sleep of its own, so that timers come and go in any order. */

static size_t ended;

static int sleeps_a_while(void *arg)
{
    double seconds = (double)((uintptr_t)arg * 7919 % 500) * 0.001;
    pier_time began = pier_now();
    assert_int_equal(pier_sleep(seconds), 0);
    assert_true(pier_now() - began >= (pier_time)(seconds * 0.999999 * PIER_SECOND));
    ended++;
    return 0;
}

static int crowd_comes_and_goes(void *unused)
{
    (void)unused;
    size_t count = crowd();
    pier_group group;
    ended = 0;
    assert_int_equal(pier_group_enter(&group), 0);
    for (size_t i = 0; i < count; i++) {
        assert_true(
            pier_group_spawn(&group, sleeps_a_while, (void *)(uintptr_t)i, NULL).number > 0);
        if (i % 1000 == 0) assert_int_equal(pier_yield(), 0);
    }
    assert_int_equal(pier_group_leave(&group), 0);
    assert_int_equal(ended, count);
    return 0;
}

TEST(hundred_thousand_tasks_of_a_group_sleep_as_long_as_each_should)
{
    on_each(crowd_comes_and_goes);
}

/* Cancelled at once. */

static int sleeps_for_ever(void *unused)
{
    (void)unused;
    ended += pier_sleep(3600) == -ECANCELED;
    return 0;
}

static int crowd_is_canceled(void *unused)
{
    (void)unused;
    size_t count = crowd();
    pier_group group;
    ended = 0;
    assert_int_equal(pier_group_enter(&group), 0);
    for (size_t i = 0; i < count; i++)
        assert_true(pier_group_spawn(&group, sleeps_for_ever, NULL, NULL).number > 0);
    assert_int_equal(pier_yield(), 0);
    assert_int_equal(pier_group_cancel(&group), 0);
    assert_int_equal(pier_group_leave(&group), 0);
    assert_int_equal(ended, count);
    return 0;
}

TEST(hundred_thousand_tasks_are_canceled_at_once) { on_each(crowd_is_canceled); }

/* In a receive, as many as there may be descriptors. */

static int receives(void *arg)
{
    int s = (int)(intptr_t)arg;
    char byte;
    asleep++;
    assert_int_equal(pier_recv(s, &byte, 1, 0), 1);
    assert_int_equal(byte, 'x');
    assert_int_equal(pier_close(s), 0);
    awake++;
    return 0;
}

static size_t pairs_permitted(void)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    size_t most = limit.rlim_cur < 100000 ? limit.rlim_cur : 100000;
    return (most - (size_t)test_fd_count() - 20) / 2;
}

static int crowd_receives(void *backend)
{
    size_t count = pairs_permitted();
    if (count > crowd()) count = crowd();
    int *peers = calloc(count, sizeof *peers);
    assert_non_null(peers);
    asleep = awake = 0;
    size_t before = resident();
    for (size_t i = 0; i < count; i++) {
        int pair[2];
        assert_int_equal(pier_socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        peers[i] = pair[1];
        pier_spawn(receives, (void *)(intptr_t)pair[0], &(pier_spawn_opts){.detached = true});
    }
    while (asleep < count)
        assert_int_equal(pier_yield(), 0);
    assert_int_equal(pier_sleep(0.01), 0); /* what is to be submitted has been */
    assert_int_equal(awake, 0);
    report("in a receive", backend, count, before);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(pier_send(peers[i], "x", 1, 0), 1);
    while (awake < count)
        assert_int_equal(pier_yield(), 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(pier_close(peers[i]), 0);
    free(peers);
    return 0;
}

TEST(as_many_tasks_receive_as_there_may_be_descriptors) { on_each(crowd_receives); }
