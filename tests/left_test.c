/* SPDX-License-Identifier: MIT */
/* Threads that end, or are told to, while their loop has tasks. */
#include "base/bits.h"
#include "harness.h"
#include "scene.h"
#include "wait/switch.h"

#include <errno.h>
#include <fcntl.h>
#include <pier.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const backends[] = {"epoll", "uring"};

#ifdef PIER__TSAN
#    define NEEDS_PTHREAD_EXIT() SKIP("ThreadSanitizer lets no fiber call pthread_exit")
#else
#    define NEEDS_PTHREAD_EXIT() ((void)0)
#endif

/* What the tasks of a thread have to do with each other. */
struct story {
    const char *backend;
    int pair[2];
    _Atomic int cleaned; /* read by others */
    _Atomic bool receives;
    int ended;
    pier_task leaver;
};

static struct story *begin(const char *backend)
{
    static struct story story;
    story = (struct story){.backend = backend};
    scene_pair("tcp", story.pair);
    return &story;
}

static void end(struct story *story)
{
    assert_int_equal(pier_close(story->pair[0]), 0);
    assert_int_equal(pier_close(story->pair[1]), 0);
}

/* Run fn(story) in a thread of its own. What the thread returned. */
static void *in_thread(void *(*fn)(void *), struct story *story)
{
    pthread_t thread;
    void *result = &thread;
    assert_int_equal(pthread_create(&thread, NULL, fn, story), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    return result;
}

static void count_cleaning(void *arg) { ++((struct story *)arg)->cleaned; }

/* As a library would that gives up its thread. */
__attribute__((noinline)) static void give_up(struct story *story)
{
    pthread_cleanup_push(count_cleaning, story);
    pthread_exit(story);
    pthread_cleanup_pop(0);
}

static int leaves(void *arg)
{
    assert_int_equal(pier_sleep(0.01), 0);
    give_up(arg);
    return 1;
}

static int joins_the_leaver(void *arg)
{
    struct story *story = arg;
    int result = -1;
    assert_int_equal(pier_join(story->leaver, &result), 0);
    assert_int_equal(result, 0);
    story->ended++;
    return 0;
}

static int receives(void *arg)
{
    struct story *story = arg;
    char byte;
    story->receives = true;
    assert_int_equal(pier_recv(story->pair[0], &byte, 1, 0), 1);
    pier_time began = pier_now();
    assert_int_equal(pier_sleep(0.02), 0);
    assert_true(pier_now() - began >= PIER_SECOND / 50);
    assert_int_equal(pier_recv(story->pair[0], &byte, 1, 0), 1);
    story->ended++;
    return 0;
}

static int sends(void *arg)
{
    struct story *story = arg;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pier_sleep(0.03), 0);
        assert_int_equal(pier_send(story->pair[1], "x", 1, 0), 1);
    }
    story->ended++;
    return 0;
}

static int fails(void *unused)
{
    (void)unused;
    assert_int_equal(pier_recv(-1, NULL, 0, 0), -1);
    assert_true(pier_error_code() < 0);
    return 0;
}

static int leaves_after_a_failure(void *arg)
{
    (void)fails(NULL);
    return leaves(arg);
}

static int starts(void *arg)
{
    struct story *story = arg;
    story->leaver = pier_spawn(leaves_after_a_failure, story, NULL);
    assert_true(pier_spawn(joins_the_leaver, story, NULL).number > 0);
    assert_true(pier_spawn(receives, story, NULL).number > 0);
    assert_true(pier_spawn(sends, story, NULL).number > 0);
    return 0;
}

static void *runs(void *arg)
{
    struct story *story = arg;
    (void)fails(NULL);
    (void)pier_run(starts, story, &(pier_run_opts){.backend = story->backend});
    return NULL; /* not reached: the frame is gone */
}

TEST(when_a_task_ends_its_thread_the_others_go_on_until_they_have_ended)
{
    NEEDS_PTHREAD_EXIT();
    for (size_t i = 0; i < PIER_COUNT(backends); i++) {
        struct story *story = begin(backends[i]);
        assert_ptr_equal(in_thread(runs, story), story);
        assert_int_equal(story->cleaned, 1);
        assert_int_equal(story->ended, 3);
        end(story);
    }
}

static int starts_leavers(void *arg)
{
    for (int i = 0; i < 5; i++)
        assert_true(pier_spawn(leaves, arg, NULL).number > 0);
    (void)starts(arg);
    give_up(arg);
    return 0;
}

static void *runs_leavers(void *arg)
{
    struct story *story = arg;
    (void)pier_run(starts_leavers, story, &(pier_run_opts){.backend = story->backend});
    return NULL;
}

TEST(several_tasks_may_end_their_thread_and_the_main_one_too)
{
    NEEDS_PTHREAD_EXIT();
    for (size_t i = 0; i < PIER_COUNT(backends); i++) {
        struct story *story = begin(backends[i]);
        assert_ptr_equal(in_thread(runs_leavers, story), story);
        assert_int_equal(story->cleaned, 7);
        assert_int_equal(story->ended, 3);
        end(story);
    }
}

static int leaves_a_group(void *arg)
{
    pier_group group = {0};
    assert_int_equal(pier_group_enter(&group), 0);
    assert_true(pier_group_spawn(&group, receives, arg, NULL).number > 0);
    return leaves(arg);
}

static int runs_one_that_leaves(void *arg)
{
    struct story *story = arg;
    assert_int_equal(pier_run(leaves_a_group, arg, NULL), 0);
    story->ended++;
    pier_group group = {0};
    assert_int_equal(pier_group_enter(&group), 0);
    assert_true(pier_group_spawn(&group, leaves, arg, NULL).number > 0);
    assert_int_equal(pier_group_leave(&group), 0);
    story->ended++;
    return 0;
}

static int starts_nested(void *arg)
{
    assert_true(pier_spawn(runs_one_that_leaves, arg, NULL).number > 0);
    assert_true(pier_spawn(sends, arg, NULL).number > 0);
    return 0;
}

static void *runs_nested(void *arg)
{
    struct story *story = arg;
    (void)pier_run(starts_nested, story, &(pier_run_opts){.backend = story->backend});
    return NULL;
}

TEST(runs_and_groups_of_a_task_that_ended_its_thread_are_waited_for)
{
    NEEDS_PTHREAD_EXIT();
    for (size_t i = 0; i < PIER_COUNT(backends); i++) {
        struct story *story = begin(backends[i]);
        assert_ptr_equal(in_thread(runs_nested, story), story);
        assert_int_equal(story->cleaned, 2);
        assert_int_equal(story->ended, 4);
        end(story);
    }
}

static struct story *last_story;

/* Before a leak checker, which misses what only the frames of main() knew. */
static void exit_well(void) { _exit(last_story->ended == 3 ? 7 : 1); }

TEST(main_thread_may_be_ended_by_a_task_and_the_process_ends_well)
{
    NEEDS_PTHREAD_EXIT();
    for (size_t i = 0; i < PIER_COUNT(backends); i++) {
        struct story *story = begin(backends[i]);
        int ends[2], status;
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            dup2(ends[1], STDERR_FILENO);
            last_story = story;
            atexit(exit_well);
            (void)runs(story);
            _exit(3);
        }
        close(ends[1]);
        char said[512];
        assert_int_equal(read(ends[0], said, sizeof said), 0); /* not a word */
        close(ends[0]);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 7);
        end(story);
    }
}

static int is_canceled(void *arg)
{
    struct story *story = arg;
    char byte;
    assert_int_equal(pier_recv(story->pair[0], &byte, 1, 0), -ECANCELED);
    assert_int_equal(pier_sleep(0.01), 0); /* cleaning up may wait */
    story->ended++;
    return 0;
}

static void *opens(void *arg)
{
    struct story *story = arg;
    assert_int_equal(pier_loop_open(&(pier_run_opts){.backend = story->backend}), 0);
    assert_true(pier_spawn(is_canceled, story, NULL).number > 0);
    assert_int_equal(pier_loop_turn(), 1);
    return story;
}

static void *opens_and_a_task_leaves(void *arg)
{
    (void)opens(arg);
    assert_true(pier_spawn(leaves, arg, NULL).number > 0);
    while (pier_loop_turn() > 0)
        (void)poll(&(struct pollfd){.fd = pier_loop_fd(), .events = POLLIN}, 1, -1);
    return NULL;
}

TEST(thread_that_ends_with_an_open_loop_cancels_its_tasks_and_waits_for_them)
{
    for (size_t i = 0; i < PIER_COUNT(backends); i++) {
        struct story *story = begin(backends[i]);
        assert_ptr_equal(in_thread(opens, story), story);
        assert_int_equal(story->ended, 1);
        end(story);
    }
}

TEST(task_of_a_driven_loop_that_ends_its_thread_ends_the_others)
{
    NEEDS_PTHREAD_EXIT();
    for (size_t i = 0; i < PIER_COUNT(backends); i++) {
        struct story *story = begin(backends[i]);
        assert_ptr_equal(in_thread(opens_and_a_task_leaves, story), story);
        assert_int_equal(story->ended, 1);
        assert_int_equal(story->cleaned, 1);
        end(story);
    }
}

static int ends_a_thread_of_the_pool(void *arg)
{
    give_up(arg);
    return 1;
}

static int leaves_it_to_threads(void *arg)
{
    for (int i = 0; i < 20; i++)
        assert_int_equal(pier_to_thread(ends_a_thread_of_the_pool, arg), 0);
    return 0;
}

static int leaves_much_to_threads(void *arg)
{
    for (int i = 0; i < 30; i++)
        assert_true(pier_spawn(leaves_it_to_threads, arg, NULL).number > 0);
    return 0;
}

TEST(what_was_left_to_a_thread_may_end_that)
{
    for (size_t i = 0; i < PIER_COUNT(backends); i++) {
        struct story *story = begin(backends[i]);
        assert_int_equal(
            pier_run(leaves_much_to_threads, story, &(pier_run_opts){.backend = story->backend}),
            0);
        assert_int_equal(story->cleaned, 600);
        end(story);
    }
}

static int forks(void *arg)
{
    struct story *story = arg;
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        last_story = story;
        atexit(exit_well);
        story->ended = 3;
        give_up(story);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
    return 0;
}

TEST(forked_child_of_a_task_may_end_its_only_thread)
{
    NEEDS_PTHREAD_EXIT();
    for (size_t i = 0; i < PIER_COUNT(backends); i++) {
        struct story *story = begin(backends[i]);
        assert_int_equal(pier_run(forks, story, &(pier_run_opts){.backend = story->backend}), 0);
        end(story);
    }
}

static int leaves_from_the_hook(void *arg)
{
    if (((struct story *)arg)->cleaned == 0) give_up(arg);
    return 0;
}

static void *interrupts(void *arg)
{
    struct story *story = arg;
    (void)pier_sethook(leaves_from_the_hook, story);
    (void)pier_run(is_canceled, story, &(pier_run_opts){.backend = story->backend});
    return NULL;
}

TEST(hook_that_ends_the_thread_cancels_the_tasks)
{
    scene_catch_signals();
    for (size_t i = 0; i < PIER_COUNT(backends); i++) {
        struct story *story = begin(backends[i]);
        pthread_t thread;
        void *result;
        assert_int_equal(pthread_create(&thread, NULL, interrupts, story), 0);
        while (!story->cleaned) {
            test_sleep(0.01);
            assert_int_equal(pthread_kill(thread, SIGUSR1), 0);
        }
        assert_int_equal(pthread_join(thread, &result), 0);
        assert_ptr_equal(result, story);
        assert_int_equal(story->ended, 1);
        end(story);
    }
}

static void runs_to_its_end(struct story *story)
{
    assert_int_equal(pier_run(receives, story, &(pier_run_opts){.backend = story->backend}), 0);
    story->ended++;
}

/* A frame without a local that ASan would guard: it is not told of what a cancel leaves behind. */
static void *is_told_to_end(void *arg)
{
    runs_to_its_end(arg);
    pthread_testcancel();
    return NULL;
}

TEST(thread_is_not_cancelled_before_its_run_is_over)
{
    for (size_t i = 0; i < PIER_COUNT(backends); i++) {
        struct story *story = begin(backends[i]);
        pthread_t thread;
        void *result;
        assert_int_equal(pthread_create(&thread, NULL, is_told_to_end, story), 0);
        while (!story->receives)
            test_sleep(0.001);
        assert_int_equal(pthread_cancel(thread), 0);
        assert_int_equal(pier_sendall(story->pair[1], "xx", 2, 0), 2);
        assert_int_equal(pthread_join(thread, &result), 0);
        assert_ptr_equal(result, PTHREAD_CANCELED);
        assert_int_equal(story->ended, 2);
        end(story);
    }
}
