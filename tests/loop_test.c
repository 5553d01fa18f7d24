/* SPDX-License-Identifier: MIT */
/*
 * Tasks in a loop of another's, on each backend: what <pier/loop.h> promises. That loop is poll(2),
 * by hand.
 */
#include "base/bits.h"
#include "base/seam.h"
#include "harness.h"
#include "scene.h"

#include <errno.h>
#include <fcntl.h>
#include <pier.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const backends[] = {"epoll", "uring"};

static pier_run_opts on(const char *backend)
{
    return (pier_run_opts){.backend = backend, .keep_sigsegv = true};
}

/* Run the body with a loop open, on each backend, and expect to have no task left. */
static void on_each(void (*body)(void))
{
    for (size_t i = 0; i < PIER_COUNT(backends); i++) {
        pier_run_opts opts = on(backends[i]);
        assert_int_equal(pier_loop_open(&opts), 0);
        body();
        assert_int_equal(pier_loop_close(PIER_NEVER), 0);
        assert_int_equal(pier_loop_fd(), PIER_ENOLOOP);
    }
}

static bool is_readable(void)
{
    struct pollfd fd = {.fd = pier_loop_fd(), .events = POLLIN};
    return poll(&fd, 1, 0) == 1;
}

/* The whole of a main loop. */
static void wait_readable(void)
{
    struct pollfd fd = {.fd = pier_loop_fd(), .events = POLLIN};
    int n;
    do {
        n = poll(&fd, 1, -1);
    } while (n < 0 && errno == EINTR);
    assert_int_equal(n, 1);
}

static void drive(void)
{
    int n;
    while ((n = pier_loop_turn()) > 0)
        wait_readable();
    assert_int_equal(n, 0);
}

/* Turn until nothing is left to do at once. */
static void settle(void)
{
    do {
        assert_true(pier_loop_turn() >= 0);
    } while (is_readable());
}

/* Conversations. */

static int serve(void *arg)
{
    int listener = (int)(intptr_t)arg;
    for (int i = 0; i < 20; i++) {
        int s = pier_accept(listener, NULL);
        assert_true(s >= 0);
        pier_task task =
            pier_spawn(scene_echo, (void *)(intptr_t)s, &(pier_spawn_opts){.detached = true});
        assert_true(task.number > 0);
    }
    assert_int_equal(pier_close(listener), 0);
    return 0;
}

static int talks;

static int talk(void *arg)
{
    const pier_addr *where = arg;
    int s = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(pier_connect(s, *where), 0);
    for (int i = 0; i < 20; i++) {
        char out[64], in[64];
        int length = snprintf(out, sizeof out, "%d says %d", s, i);
        assert_int_equal(pier_sendall(s, out, (size_t)length, 0), length);
        assert_int_equal(pier_recv_exactly(s, in, (size_t)length), length);
        assert_memory_equal(in, out, (size_t)length);
        if (i % 10 == 0) {
            pier_time began = pier_now();
            assert_int_equal(pier_sleep(0.002), 0);
            assert_true(pier_now() - began >= 2 * PIER_SECOND / 1000);
        }
    }
    assert_int_equal(pier_close(s), 0);
    talks++;
    return 0;
}

static void converse(void)
{
    static pier_addr where;
    talks = 0;
    int listener = scene_listener(&where);
    assert_true(pier_spawn(serve, (void *)(intptr_t)listener, NULL).number > 0);
    for (int i = 0; i < 20; i++)
        assert_true(pier_spawn(talk, &where, NULL).number > 0);
    drive();
    assert_int_equal(talks, 20);
}

TEST(conversations_go_on_under_poll) { on_each(converse); }

static int receive_byte(void *arg)
{
    char byte;
    ssize_t n = pier_recv((int)(intptr_t)arg, &byte, 1, 0);
    return n == 1 ? byte : (int)n;
}

static void tells_when(void)
{
    int pair[2], result = 0;
    scene_pair("tcp", pair);
    assert_false(is_readable());
    assert_int_equal(pier_loop_turn(), 0); /* one too many */
    pier_task task = pier_spawn(receive_byte, (void *)(intptr_t)pair[0], NULL);
    assert_true(is_readable());
    settle();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pier_loop_turn(), 1);
        assert_false(is_readable());
    }
    assert_int_equal(pier_join(task, &result), -EAGAIN);
    assert_int_equal(pier_send(pair[1], "x", 1, 0), 1);
    wait_readable();
    assert_int_equal(pier_loop_turn(), 0); /* takes it, and the task runs: in one turn */
    assert_false(is_readable());
    assert_int_equal(pier_join(task, &result), 0);
    assert_int_equal(result, 'x');
    assert_int_equal(pier_join(task, NULL), -ESRCH);
    assert_int_equal(pier_close(pair[0]), 0);
    assert_int_equal(pier_close(pair[1]), 0);
}

TEST(descriptor_is_readable_when_a_turn_is_worth_while) { on_each(tells_when); }

static int sleeps(void *arg)
{
    pier_time *woke = arg;
    assert_int_equal(pier_sleep(0.05), 0);
    *woke = pier_now();
    return 0;
}

static void keeps_time(void)
{
    pier_time woke[3] = {0}, began = pier_now();
    for (size_t i = 0; i < PIER_COUNT(woke); i++)
        assert_true(pier_spawn(sleeps, &woke[i], NULL).number > 0);
    settle();
    if (pier_loop_turn() > 0) wait_readable(); /* they may have ended, if the machine slept, too */
    assert_true(pier_now() - began >= PIER_SECOND / 20);
    drive();
    for (size_t i = 0; i < PIER_COUNT(woke); i++)
        assert_true(woke[i] - began >= PIER_SECOND / 20);
    assert_false(is_readable());
}

TEST(timers_make_it_readable_and_never_early) { on_each(keeps_time); }

static int yields(void *arg)
{
    for (int i = 0; i < 10; i++) {
        assert_int_equal(pier_yield(), 0);
        ++*(int *)arg;
    }
    return 0;
}

static void goes_on(void)
{
    int count = 0;
    assert_true(pier_spawn(yields, &count, NULL).number > 0);
    while (pier_loop_turn() > 0)
        assert_true(is_readable());
    assert_int_equal(count, 10);
}

TEST(task_that_is_ready_again_after_a_turn_keeps_it_readable) { on_each(goes_on); }

static void reaches_in(void)
{
    int pair[2], result = 0;
    scene_pair("tcp", pair);
    pier_task canceled = pier_spawn(receive_byte, (void *)(intptr_t)pair[0], NULL);
    pier_task closed = pier_spawn(receive_byte, (void *)(intptr_t)pair[1], NULL);
    settle();
    assert_int_equal(pier_cancel(canceled), 0);
    assert_true(is_readable());
    settle();
    assert_int_equal(pier_join(canceled, &result), 0);
    assert_int_equal(result, -ECANCELED);
    assert_int_equal(pier_close(pair[1]), 0);
    assert_true(is_readable());
    drive();
    assert_int_equal(pier_join(closed, &result), 0);
    assert_int_equal(result, -ECANCELED);
    assert_int_equal(pier_close(pair[0]), 0);
}

TEST(what_is_done_between_two_turns_makes_it_readable) { on_each(reaches_in); }

static int slow(void *arg)
{
    test_sleep(0.02);
    return (int)(intptr_t)arg;
}

static int leaves_it_to_a_thread(void *unused)
{
    (void)unused;
    for (int i = 0; i < 3; i++)
        assert_int_equal(pier_to_thread(slow, (void *)7), 7);
    return 0;
}

static void *close_later(void *arg)
{
    test_sleep(0.02);
    assert_int_equal(pier_close(*(int *)arg), 0);
    return NULL;
}

static void is_woken(void)
{
    int pair[2], result;
    scene_pair("tcp", pair);
    pier_task closed = pier_spawn(receive_byte, (void *)(intptr_t)pair[0], NULL);
    assert_true(pier_spawn(leaves_it_to_a_thread, NULL, NULL).number > 0);
    settle();
    pthread_t thread = test_thread(close_later, &pair[0]);
    drive();
    assert_int_equal(pier_join(closed, &result), 0);
    assert_int_equal(result, -ECANCELED);
    test_join(thread);
    assert_int_equal(pier_close(pair[1]), 0);
}

TEST(other_threads_wake_tasks_between_two_turns) { on_each(is_woken); }

static int waits_for_all(void *arg)
{
    const int *sockets = arg;
    for (int i = 0; i < 300; i++)
        pier_spawn(
            receive_byte, (void *)(intptr_t)sockets[i], &(pier_spawn_opts){.detached = true});
    return 0;
}

static void has_many(void)
{
    static int ends[300], peers[300];
    for (int i = 0; i < 300; i++) {
        int pair[2];
        assert_int_equal(pier_socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        ends[i] = pair[0];
        peers[i] = pair[1];
    }
    for (int round = 0; round < 3; round++) {
        assert_true(pier_spawn(waits_for_all, ends, NULL).number > 0);
        settle();
        assert_int_equal(pier_loop_turn(), 300);
        for (int i = 0; i < 300; i++)
            assert_int_equal(pier_send(peers[i], "x", 1, 0), 1);
        drive();
    }
    for (int i = 0; i < 300; i++) {
        assert_int_equal(pier_close(ends[i]), 0);
        assert_int_equal(pier_close(peers[i]), 0);
    }
}

TEST(what_comes_for_many_tasks_at_once_is_all_taken) { on_each(has_many); }

/* What it refuses, and how it fails. */

static int tries_to_drive(void *unused)
{
    (void)unused;
    assert_true(pier_loop_fd() >= 0);
    assert_int_equal(pier_loop_turn(), -EBUSY);
    assert_int_equal(pier_loop_close(PIER_NEVER), -EBUSY);
    assert_int_equal(pier_loop_open(NULL), -EBUSY);
    return 0;
}

static int is_no_guest(void *unused)
{
    (void)unused;
    assert_int_equal(pier_loop_fd(), PIER_ENOLOOP);
    assert_int_equal(pier_loop_turn(), PIER_ENOLOOP);
    assert_int_equal(pier_loop_close(PIER_NEVER), PIER_ENOLOOP);
    assert_int_equal(pier_loop_open(NULL), -EBUSY);
    return 42;
}

static int runs_within(void *unused)
{
    (void)unused;
    return pier_run(receive_byte, (void *)-1, NULL);
}

static void refuses(void)
{
    assert_int_equal(pier_loop_open(NULL), -EBUSY);
    assert_int_equal(pier_run(is_no_guest, NULL, NULL), -EBUSY);
    assert_string_equal(pier_backend_name(), "thread");
    assert_int_equal(pier_loop_close(-1), -EINVAL);
    pier_task task = pier_spawn(tries_to_drive, NULL, NULL);
    pier_task nested = pier_spawn(runs_within, NULL, NULL);
    drive();
    int result;
    assert_int_equal(pier_join(task, &result), 0);
    assert_int_equal(result, 0);
    assert_int_equal(pier_join(nested, &result), 0);
    assert_true(result < 0);
}

TEST(loop_refuses_what_it_cannot_do)
{
    assert_int_equal(pier_loop_turn(), PIER_ENOLOOP);
    assert_int_equal(pier_loop_close(PIER_NEVER), PIER_ENOLOOP);
    assert_string_equal(pier_error(), "close the loop: no loop was opened in this thread");
    assert_int_equal(pier_loop_open(&(pier_run_opts){.backend = "kqueue"}), -EINVAL);
    assert_int_equal(pier_loop_open(&(pier_run_opts){.reserved = {1}}), -EINVAL);
    assert_int_equal(pier_run(is_no_guest, NULL, NULL), 42);
    on_each(refuses);
}

static int fail_at, calls;

static bool fails(void) { return calls++ == fail_at; }

static int failing_epoll_create(int flags)
{
    return fails() ? -EMFILE : pier__seam_system.epoll_create(flags);
}

static int failing_timerfd(void) { return fails() ? -EMFILE : pier__seam_system.timerfd(); }

static int failing_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
    return fails() ? -ENOSPC : pier__seam_system.epoll_ctl(epfd, op, fd, event);
}

static int failing_eventfd(unsigned initial, int flags)
{
    return fails() ? -EMFILE : pier__seam_system.eventfd(initial, flags);
}

TEST(loop_that_cannot_be_made_leaves_nothing_behind)
{
    struct pier__seam seam = pier__seam_system;
    seam.epoll_create = failing_epoll_create;
    seam.epoll_ctl = failing_epoll_ctl;
    seam.timerfd = failing_timerfd;
    seam.eventfd = failing_eventfd;
    for (size_t i = 0; i < PIER_COUNT(backends); i++) {
        pier_run_opts opts = on(backends[i]);
        int err = -1, before = test_fd_count();
        for (fail_at = 0; err < 0; fail_at++) {
            calls = 0;
            pier__seam = &seam;
            err = pier_loop_open(&opts);
            pier__seam = &pier__seam_system;
            if (err == 0) break;
            assert_true(err == -EMFILE || err == -ENOSPC);
            assert_int_equal(test_fd_count(), before);
        }
        assert_true(fail_at >= 5); /* eventfd, epoll, timerfd, and two that are watched */
        assert_int_equal(pier_loop_close(PIER_NEVER), 0);
        assert_int_equal(test_fd_count(), before);
    }
}

static pier_task either[2];

static int joins_the_other(void *arg) { return pier_join(either[(intptr_t)arg], NULL); }

static void is_stuck(void)
{
    int pipes[2], stderr_was = dup(STDERR_FILENO);
    static char said[4096];
    assert_true(stderr_was >= 0);
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    either[0] = pier_spawn(joins_the_other, (void *)1, &(pier_spawn_opts){.name = "one"});
    either[1] = pier_spawn(joins_the_other, (void *)0, &(pier_spawn_opts){.name = "two"});
    assert_true(dup2(pipes[1], STDERR_FILENO) >= 0);
    int turned = pier_loop_turn();
    assert_true(dup2(stderr_was, STDERR_FILENO) >= 0);
    assert_int_equal(turned, -EDEADLK);
    ssize_t n = read(pipes[0], said, sizeof said - 1);
    assert_true(n > 0);
    assert_non_null(strstr(said, "\"one\": waiting for a task"));
    drive(); /* they were cancelled */
    int count = 0;
    assert_true(pier_spawn(yields, &count, NULL).number > 0);
    drive();
    assert_int_equal(count, 10);
    close(stderr_was);
    close(pipes[0]);
    close(pipes[1]);
}

TEST(tasks_that_wait_for_each_other_fail_a_turn_and_the_loop_goes_on) { on_each(is_stuck); }

static bool may_end;

static int joins_again_and_again(void *arg)
{
    while (!may_end)
        (void)pier_join(either[(intptr_t)arg], NULL);
    return 0;
}

/* However often they are cancelled: they are not lost. */
static void is_stuck_again(void)
{
    int stderr_was = dup(STDERR_FILENO), nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    assert_true(stderr_was >= 0 && nowhere >= 0);
    may_end = false;
    either[0] = pier_spawn(joins_again_and_again, (void *)1, &(pier_spawn_opts){.detached = true});
    either[1] = pier_spawn(joins_again_and_again, (void *)0, &(pier_spawn_opts){.detached = true});
    assert_true(dup2(nowhere, STDERR_FILENO) >= 0);
    int failed = 0;
    for (int i = 0; i < 5; i++)
        failed += pier_loop_turn() == -EDEADLK;
    assert_true(dup2(stderr_was, STDERR_FILENO) >= 0);
    assert_int_equal(failed, 5);
    may_end = true;
    drive();
    close(stderr_was);
    close(nowhere);
}

TEST(tasks_that_go_on_waiting_for_each_other_fail_each_turn) { on_each(is_stuck_again); }

/* What the thread's own code will do may be what they wait for. */
static pier_event happened;

static int waits_for_it(void *unused)
{
    (void)unused;
    return pier_event_wait(&happened, PIER_NEVER);
}

static int waits_for_any(void *unused)
{
    (void)unused;
    pier_waitable w = {.what = PIER_WAIT_EVENT, .event = &happened};
    return pier_wait_any(&w, 1, PIER_NEVER);
}

static void is_set_from_between(void)
{
    int results[2] = {-1, -1};
    pier_task tasks[2] = {
        pier_spawn(waits_for_it, NULL, NULL), pier_spawn(waits_for_any, NULL, NULL)};
    happened = (pier_event){0};
    for (int i = 0; i < 3; i++)
        assert_int_equal(pier_loop_turn(), 2);
    assert_int_equal(pier_event_set(&happened), 0);
    drive();
    for (int i = 0; i < 2; i++)
        assert_int_equal(pier_join(tasks[i], &results[i]), 0);
    assert_int_equal(results[0], 0);
    assert_int_equal(results[1], 1);
}

TEST(tasks_may_wait_for_what_is_done_between_two_turns) { on_each(is_set_from_between); }

static int is_stubborn(void *arg)
{
    while (*(volatile bool *)arg)
        (void)pier_sleep(60);
    return 0;
}

static void ends(void)
{
    int pair[2];
    static bool stay;
    stay = true;
    scene_pair("tcp", pair);
    assert_true(pier_spawn(receive_byte, (void *)(intptr_t)pair[0], NULL).number > 0);
    assert_true(pier_spawn(is_stubborn, &stay, NULL).number > 0);
    settle();
    pier_time began = pier_now();
    assert_int_equal(pier_loop_close(pier_after(0.05)), -ETIME);
    assert_true(pier_now() - began >= PIER_SECOND / 20);
    assert_int_equal(pier_loop_turn(), 1); /* the other one has ended */
    assert_int_equal(pier_loop_close(0), -ETIME);
    stay = false;
    assert_int_equal(pier_close(pair[0]), 0); /* and on_each() closes, with success */
    assert_int_equal(pier_close(pair[1]), 0);
}

TEST(closing_cancels_the_tasks_and_does_not_wait_beyond_its_deadline) { on_each(ends); }

__attribute__((noinline)) static int recurse(volatile int depth)
{
    volatile char room[200];
    room[0] = (char)depth;
    int deeper = depth > 0 ? recurse(depth + 1) : 0;
    return deeper + room[0];
}

static int overflows(void *unused)
{
    (void)unused;
    return recurse(1);
}

static _Noreturn void overflow(const char *backend, int out)
{
    dup2(out, STDERR_FILENO);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    signal(SIGSEGV, SIG_DFL); /* sanitizers have a handler */
    if (pier_loop_open(&(pier_run_opts){.backend = backend}) < 0) _exit(1);
    pier_spawn(overflows, NULL, &(pier_spawn_opts){.name = "deep"});
    (void)pier_loop_turn();
    _exit(2);
}

TEST(task_that_overflows_its_stack_is_named_in_a_driven_loop_too)
{
    for (size_t i = 0; i < PIER_COUNT(backends); i++) {
        int ends[2], status;
        char said[512];
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) overflow(backends[i], ends[1]);
        close(ends[1]);
        ssize_t n = read(ends[0], said, sizeof said - 1);
        assert_true(n > 0);
        said[n] = '\0';
        assert_string_equal(said, "pier: task 1 \"deep\" overflowed its stack of 65536 bytes\n");
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGSEGV);
        close(ends[0]);
    }
}

static void forks(void)
{
    int pair[2], status;
    scene_pair("unix", pair);
    assert_true(pier_spawn(receive_byte, (void *)(intptr_t)pair[0], NULL).number > 0);
    settle();
    int fd = pier_loop_fd();
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (pier_loop_turn() != PIER_ENOLOOP || scene_open(fd)) _exit(1);
        if (pier_loop_open(NULL) < 0) _exit(2);
        if (pier_spawn(receive_byte, (void *)-1, NULL).number < 0) _exit(3);
        drive();
        if (pier_loop_close(PIER_NEVER) < 0) _exit(4);
        _exit(5);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 5);
    assert_int_equal(pier_send(pair[1], "x", 1, 0), 1);
    drive();
    assert_int_equal(pier_close(pair[0]), 0);
    assert_int_equal(pier_close(pair[1]), 0);
}

TEST(forked_child_has_no_loop_and_can_open_one) { on_each(forks); }
