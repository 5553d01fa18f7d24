/* SPDX-License-Identifier: MIT */
/* Tasks, on each backend: what <pier/task.h> promises. */
#include "base/bits.h"
#include "harness.h"
#include "scene.h"
#include "seams.h"
#include "wait/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pier.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const backends[] = {"epoll", "uring"};

static void on_each(int (*fn)(void *arg))
{
    scene_on_each_backend(fn);
    if (!harness_in_task()) assert_string_equal(pier_backend_name(), "thread");
}

static pthread_t spawn_elsewhere(void *(*fn)(void *), void *arg)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, fn, arg), 0);
    return thread;
}

static int number_of(void *arg) { return (int)(intptr_t)arg; }

static int says_its_backend(void *arg)
{
    assert_string_equal(pier_backend_name(), arg);
    pier_task self = pier_current();
    assert_true(self.number > 0 && self.birth > 0);
    return 0;
}

TEST(run_returns_what_main_returned_on_the_backend_asked_for)
{
    on_each(says_its_backend);
    assert_int_equal(pier_run(number_of, (void *)42, NULL), 42);
    assert_int_equal(pier_run(number_of, (void *)-7, NULL), -7);
    assert_int_equal(pier_current().number, 0);
}

TEST(run_refuses_what_it_cannot_do)
{
    assert_int_equal(pier_run(NULL, NULL, NULL), -EINVAL);
    assert_int_equal(pier_run(number_of, NULL, &(pier_run_opts){.reserved = {1}}), -EINVAL);
    assert_int_equal(pier_run(number_of, NULL, &(pier_run_opts){.backend = "kqueue"}), -EINVAL);
    assert_int_equal(
        pier_run(number_of, NULL, &(pier_run_opts){.stack_size = (size_t)1 << 40}), -EINVAL);
}

static int joins(void *unused)
{
    (void)unused;
    pier_task tasks[100];
    for (int i = 0; i < 100; i++)
        tasks[i] = pier_spawn(number_of, (void *)(intptr_t)i, NULL);
    for (int i = 99; i >= 0; i--) {
        int result = -1;
        assert_int_equal(pier_join(tasks[i], &result), 0);
        assert_int_equal(result, i);
        assert_int_equal(pier_join(tasks[i], &result), -ESRCH); /* once */
        assert_int_equal(pier_cancel(tasks[i]), -ESRCH);
    }
    assert_int_equal(pier_join(pier_current(), NULL), -EDEADLK);
    assert_int_equal(pier_join((pier_task){0}, NULL), -EINVAL);
    assert_int_equal(pier_join((pier_task){.number = -ENOMEM}, NULL), -ENOMEM);
    assert_int_equal(pier_join((pier_task){.number = 1000000, .birth = 1}, NULL), -ESRCH);
    pier_task refused = pier_spawn(NULL, NULL, NULL);
    assert_int_equal(refused.number, -EINVAL);
    refused = pier_spawn(number_of, NULL, &(pier_spawn_opts){.stack_size = (size_t)1 << 40});
    assert_int_equal(refused.number, -EINVAL);
    pier_task detached = pier_spawn(number_of, NULL, &(pier_spawn_opts){.detached = true});
    assert_int_equal(pier_yield(), 0);
    assert_int_equal(pier_join(detached, NULL), -ESRCH);
    return 0;
}

TEST(join_gives_each_result_once) { on_each(joins); }

TEST(task_verbs_outside_a_loop_are_refused)
{
    if (harness_in_task()) SKIP("is inside a loop");
    assert_int_equal(pier_spawn(number_of, NULL, NULL).number, PIER_ENOTASK);
    assert_int_equal(pier_join((pier_task){1, 1}, NULL), PIER_ENOTASK);
    assert_int_equal(pier_cancel((pier_task){1, 1}), PIER_ENOTASK);
    assert_int_equal(pier_dump_tasks(2), PIER_ENOTASK);
    pier_scope scope;
    pier_group group;
    assert_int_equal(pier_scope_enter(&scope, pier_after(1)), PIER_ENOTASK);
    assert_int_equal(pier_group_enter(&group), PIER_ENOTASK);
    assert_int_equal(pier_yield(), 0);
    assert_int_equal(pier_to_thread(number_of, (void *)3), 3);
    pier_time began = pier_now();
    assert_int_equal(pier_sleep(0.01), 0);
    assert_true(pier_now() - began >= PIER_SECOND / 100);
    assert_int_equal(pier_sleep(-1), -EINVAL);
    assert_int_equal(pier_sleep(NAN), -EINVAL);
}

/* Conversations. */

static int talk(void *arg)
{
    int s = (int)(intptr_t)arg;
    for (int i = 0; i < 20; i++) {
        char out[64], in[64];
        int length = snprintf(out, sizeof out, "%d says %d", s, i);
        assert_int_equal(pier_sendall(s, out, (size_t)length, 0), length);
        assert_int_equal(pier_recv_exactly(s, in, (size_t)length), length);
        assert_memory_equal(in, out, (size_t)length);
    }
    assert_int_equal(pier_close(s), 0);
    return 0;
}

static int converse(void *unused)
{
    (void)unused;
    pier_group group;
    assert_int_equal(pier_group_enter(&group), 0);
    for (const char *const *kind = scene_kinds(); *kind; kind++) {
        for (int i = 0; i < 20 && scene_is_stream(*kind); i++) {
            int pair[2];
            scene_pair(*kind, pair);
            pier_group_spawn(&group, scene_echo, (void *)(intptr_t)pair[0], NULL);
            pier_group_spawn(&group, talk, (void *)(intptr_t)pair[1], NULL);
        }
    }
    assert_int_equal(pier_group_leave(&group), 0);
    return 0;
}

TEST(many_conversations_go_on_at_once) { on_each(converse); }

static int much(void *arg)
{
    int s = (int)(intptr_t)arg;
    char *buf = calloc(1, 4 << 20);
    assert_non_null(buf);
    assert_int_equal(pier_sendall(s, buf, 4 << 20, 0), 4 << 20);
    free(buf);
    assert_int_equal(pier_close(s), 0);
    return 0;
}

static int bulk(void *unused)
{
    (void)unused;
    int pair[2];
    scene_pair("tcp", pair);
    pier_task sender = pier_spawn(much, (void *)(intptr_t)pair[0], NULL);
    char *buf = malloc(65536);
    assert_non_null(buf);
    size_t total = 0;
    for (ssize_t n; (n = pier_recv(pair[1], buf, 65536, 0)) != 0;) {
        assert_true(n > 0);
        total += (size_t)n;
    }
    free(buf);
    assert_true(total == 4 << 20);
    assert_int_equal(pier_join(sender, NULL), 0);
    assert_int_equal(pier_close(pair[1]), 0);
    return 0;
}

TEST(more_than_any_buffer_holds_passes_between_two_tasks) { on_each(bulk); }

static int dials(void *arg)
{
    int s = pier_create_connection(arg, NULL);
    assert_true(s >= 0);
    char buf[64];
    assert_int_equal(pier_recvall(s, buf, sizeof buf), 5);
    assert_int_equal(pier_close(s), 0);
    return 0;
}

static int accepts(void *unused)
{
    (void)unused;
    pier_addr at;
    int server = scene_listener(&at);
    char address[64];
    (void)snprintf(address, sizeof address, "localhost:%d", pier_addr_port(at));
    for (int i = 0; i < 10; i++)
        pier_spawn(dials, address, &(pier_spawn_opts){.stack_size = 262144});
    for (int i = 0; i < 10; i++) {
        int client = pier_accept(server, NULL);
        assert_true(client >= 0);
        assert_int_equal(pier_sendall(client, "hello", 5, 0), 5);
        assert_int_equal(pier_close(client), 0);
    }
    assert_int_equal(pier_close(server), 0);
    return 0;
}

TEST(dialling_by_name_and_accepting_park_only_themselves) { on_each(accepts); }

/* Ends. */

static int waits_to_receive(void *arg)
{
    char byte;
    return (int)pier_recv((int)(intptr_t)arg, &byte, 1, 0);
}

static int cancels(void *unused)
{
    (void)unused;
    int pair[2], result;
    scene_pair("tcp", pair);
    pier_task task = pier_spawn(waits_to_receive, (void *)(intptr_t)pair[0], NULL);
    assert_int_equal(pier_yield(), 0);
    assert_int_equal(pier_cancel(task), 0);
    assert_int_equal(pier_join(task, &result), 0);
    assert_int_equal(result, -ECANCELED);
    /* The byte that comes then is nobody's yet. */
    assert_int_equal(pier_send(pair[1], "x", 1, 0), 1);
    char byte;
    assert_int_equal(pier_recv(pair[0], &byte, 1, 0), 1);
    /* Cancelled before it has begun: its first call that may wait. */
    task = pier_spawn(waits_to_receive, (void *)(intptr_t)pair[0], NULL);
    assert_int_equal(pier_cancel(task), 0);
    assert_int_equal(pier_join(task, &result), 0);
    assert_int_equal(result, -ECANCELED);
    assert_int_equal(pier_close(pair[0]), 0);
    assert_int_equal(pier_close(pair[1]), 0);
    return 0;
}

TEST(cancel_ends_a_wait_and_takes_no_byte) { on_each(cancels); }

static int waits_twice(void *unused)
{
    (void)unused;
    int first = pier_sleep(1000), second = pier_sleep(0.001);
    return first == -ECANCELED && second == 0 ? 0 : -1;
}

static int cancels_once(void *unused)
{
    (void)unused;
    int result = -1;
    pier_task task = pier_spawn(waits_twice, NULL, NULL);
    assert_int_equal(pier_yield(), 0);
    assert_int_equal(pier_cancel(task), 0);
    assert_int_equal(pier_cancel(task), 0);
    assert_int_equal(pier_join(task, &result), 0);
    assert_int_equal(result, 0);
    return 0;
}

TEST(cancel_is_told_once_and_cleaning_up_may_wait) { on_each(cancels_once); }

static int closes(void *unused)
{
    (void)unused;
    for (const char *const *kind = scene_kinds(); *kind; kind++) {
        int pair[2], result;
        scene_pair(*kind, pair);
        pier_task task = pier_spawn(waits_to_receive, (void *)(intptr_t)pair[0], NULL);
        assert_int_equal(pier_yield(), 0);
        assert_int_equal(pier_close(pair[0]), 0);
        assert_int_equal(pier_join(task, &result), 0);
        assert_int_equal(result, -ECANCELED);
        assert_false(scene_open(pair[0]));
        assert_int_equal(pier_close(pair[1]), 0);
    }
    return 0;
}

TEST(closing_wakes_the_task_that_waits) { on_each(closes); }

/* Said by another task, which runs when the one before waits. */
static _Atomic bool waits;

static int says_that_it_waits(void *unused)
{
    (void)unused;
    atomic_store(&waits, true);
    return 0;
}

static void *close_it(void *arg)
{
    while (!atomic_load(&waits))
        test_sleep(0.001);
    return (void *)(intptr_t)pier_close(*(int *)arg);
}

static int is_closed_from_outside(void *unused)
{
    (void)unused;
    for (const char *const *kind = scene_kinds(); *kind; kind++) {
        int pair[2];
        scene_pair(*kind, pair);
        int s = pair[0];
        atomic_store(&waits, false);
        pthread_t thread = spawn_elsewhere(close_it, &s);
        pier_spawn(says_that_it_waits, NULL, &(pier_spawn_opts){.detached = true});
        char byte;
        assert_int_equal(pier_recv(pair[0], &byte, 1, 0), -ECANCELED);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(pier_close(pair[1]), 0);
    }
    return 0;
}

TEST(closing_in_another_thread_wakes_the_task_that_waits) { on_each(is_closed_from_outside); }

static int has_limits(void *unused)
{
    (void)unused;
    int pair[2];
    char byte;
    scene_pair("tcp", pair);
    pier_time began = pier_now();
    assert_int_equal(pier_settimeout(pair[0], 0.02), 0);
    assert_int_equal(pier_recv(pair[0], &byte, 1, 0), -ETIME);
    assert_true(pier_now() - began >= PIER_SECOND / 50);
    assert_int_equal(pier_settimeout(pair[0], (double)INFINITY), 0);
    began = pier_now();
    assert_int_equal(pier_setdeadline(pair[0], pier_after(0.02)), 0);
    assert_int_equal(pier_recv(pair[0], &byte, 1, 0), -ETIME);
    assert_true(pier_now() - began >= PIER_SECOND / 50);
    assert_int_equal(pier_recv(pair[0], &byte, 1, MSG_DONTWAIT), -ETIME);
    assert_int_equal(pier_setdeadline(pair[0], PIER_NEVER), 0);
    assert_int_equal(pier_recv(pair[0], &byte, 1, MSG_DONTWAIT), -EAGAIN);
    assert_int_equal(pier_close(pair[0]), 0);
    assert_int_equal(pier_close(pair[1]), 0);
    return 0;
}

TEST(limits_of_sockets_hold_in_tasks_and_never_early) { on_each(has_limits); }

static int is_scoped(void *unused)
{
    (void)unused;
    int pair[2];
    char byte;
    scene_pair("tcp", pair);
    pier_scope outer, inner;
    pier_time began = pier_now();
    assert_int_equal(pier_scope_enter(&outer, pier_after(0.02)), 0);
    assert_int_equal(pier_scope_enter(&outer, pier_after(1)), -EINVAL);
    assert_int_equal(pier_scope_enter(&inner, pier_after(100)), 0);
    assert_int_equal(pier_recv(pair[0], &byte, 1, 0), -ECANCELED);
    assert_true(pier_now() - began >= PIER_SECOND / 50);
    assert_int_equal(pier_sleep(10), -ECANCELED); /* at every wait until it is left */
    assert_int_equal(pier_scope_leave(&outer), -EINVAL);
    assert_int_equal(pier_scope_leave(&inner), 0);
    assert_int_equal(pier_scope_leave(&outer), -ETIME);
    assert_int_equal(pier_scope_leave(&outer), -EINVAL);
    assert_int_equal(pier_sleep(0.001), 0);
    assert_int_equal(pier_scope_enter(&outer, pier_after(100)), 0);
    assert_int_equal(pier_sleep(0.001), 0);
    assert_int_equal(pier_scope_leave(&outer), 0);
    assert_int_equal(pier_scope_enter(&outer, -EINVAL), -EINVAL);
    assert_int_equal(pier_close(pair[0]), 0);
    assert_int_equal(pier_close(pair[1]), 0);
    return 0;
}

TEST(scope_ends_every_wait_until_it_is_left) { on_each(is_scoped); }

/* Groups. */

static int sleeps_long(void *arg)
{
    int code = pier_sleep(1000);
    *(int *)arg += code == -ECANCELED;
    return code;
}

static int fails_soon(void *unused)
{
    (void)unused;
    (void)pier_sleep(0.005);
    return -ENOENT;
}

static int groups(void *unused)
{
    (void)unused;
    pier_group group;
    int ended = 0;
    assert_int_equal(pier_group_enter(&group), 0);
    for (int i = 0; i < 5; i++)
        assert_true(pier_group_spawn(&group, sleeps_long, &ended, NULL).number > 0);
    pier_group_spawn(&group, number_of, (void *)3, NULL); /* a normal end ends nobody */
    assert_int_equal(pier_sleep(0.001), 0);
    assert_int_equal(ended, 0);
    pier_group_spawn(&group, fails_soon, NULL, NULL);
    assert_int_equal(pier_sleep(1000), -ECANCELED); /* who entered it is ended, too */
    assert_int_equal(pier_group_spawn(&group, number_of, NULL, NULL).number, -ECANCELED);
    assert_int_equal(pier_group_leave(&group), -ENOENT);
    assert_int_equal(ended, 5);
    assert_int_equal(pier_sleep(0.001), 0); /* and the cancel is over with it */
    assert_int_equal(pier_group_leave(&group), -EINVAL);
    assert_int_equal(pier_group_spawn(&group, number_of, NULL, NULL).number, -EINVAL);

    ended = 0;
    assert_int_equal(pier_group_enter(&group), 0);
    pier_group_spawn(&group, sleeps_long, &ended, NULL);
    assert_int_equal(pier_yield(), 0);
    assert_int_equal(pier_group_cancel(&group), 0);
    assert_int_equal(pier_group_leave(&group), 0);
    assert_int_equal(ended, 1);
    return 0;
}

TEST(error_in_a_group_ends_the_others_and_is_told) { on_each(groups); }

static int leaves_a_group(void *arg)
{
    pier_group group;
    assert_int_equal(pier_group_enter(&group), 0);
    pier_group_spawn(&group, sleeps_long, arg, NULL);
    return pier_group_leave(&group);
}

static int cancels_the_leaver(void *unused)
{
    (void)unused;
    int ended = 0, result = 0;
    pier_task task = pier_spawn(leaves_a_group, &ended, NULL);
    assert_int_equal(pier_sleep(0.002), 0);
    assert_int_equal(pier_cancel(task), 0);
    assert_int_equal(pier_join(task, &result), 0);
    assert_int_equal(result, -ECANCELED);
    assert_int_equal(ended, 1);
    return 0;
}

TEST(cancel_of_who_leaves_a_group_ends_the_group) { on_each(cancels_the_leaver); }

/* A group that fails, and a task of it that is in no hurry to end. */
struct failing_group {
    bool early;         /* it is left at once, not when it has failed */
    pier_event ending;  /* the task has noticed its cancel, */
    pier_event may_end; /* and ends when it may */
    int next[2];        /* how the next two waits of who left end */
};

static int ends_slowly(void *arg)
{
    struct failing_group *f = arg;
    assert_int_equal(pier_sleep(1000), -ECANCELED);
    assert_int_equal(pier_event_set(&f->ending), 0);
    while (pier_event_wait(&f->may_end, PIER_NEVER) == -ECANCELED) {
    }
    return 0;
}

static int leaves_a_failed_group(void *arg)
{
    struct failing_group *f = arg;
    pier_group group;
    assert_int_equal(pier_group_enter(&group), 0);
    pier_group_spawn(&group, ends_slowly, f, NULL);
    pier_group_spawn(&group, fails_soon, NULL, NULL);
    if (!f->early) assert_int_equal(pier_sleep(1000), -ECANCELED);
    int err = pier_group_leave(&group);
    f->next[0] = pier_sleep(0.001);
    f->next[1] = pier_sleep(0.001);
    return err;
}

static void fail_and_cancel(struct failing_group *f, bool cancel)
{
    int result = 0;
    pier_task task = pier_spawn(leaves_a_failed_group, f, NULL);
    assert_int_equal(pier_event_wait(&f->ending, PIER_NEVER), 0);
    assert_int_equal(pier_sleep(0.001), 0); /* now it is leaving, at all events */
    if (cancel) assert_int_equal(pier_cancel(task), 0);
    assert_int_equal(pier_event_set(&f->may_end), 0);
    assert_int_equal(pier_join(task, &result), 0);
    assert_int_equal(result, -ENOENT);
    assert_int_equal(f->next[0], cancel ? -ECANCELED : 0);
    assert_int_equal(f->next[1], 0);
}

static int sets_later(void *event)
{
    assert_int_equal(pier_sleep(0.02), 0);
    return pier_event_set(event);
}

/* A scope around it that expires is told by the scope: it must not come back as a cancel. */
static void fail_and_expire(void)
{
    struct failing_group f = {.early = true};
    pier_scope scope;
    pier_group group;
    pier_task later = pier_spawn(sets_later, &f.may_end, NULL);
    assert_int_equal(pier_scope_enter(&scope, pier_after(0.01)), 0);
    assert_int_equal(pier_group_enter(&group), 0);
    pier_group_spawn(&group, ends_slowly, &f, NULL);
    pier_group_spawn(&group, fails_soon, NULL, NULL);
    assert_int_equal(pier_group_leave(&group), -ENOENT);
    assert_int_equal(pier_scope_leave(&scope), -ETIME);
    assert_int_equal(pier_join(later, NULL), 0);
}

static int cancels_the_failed(void *unused)
{
    (void)unused;
    for (int way = 0; way <= 3; way++) {
        struct failing_group f = {.early = way & 1};
        fail_and_cancel(&f, way & 2);
    }
    fail_and_expire();
    return 0;
}

TEST(cancel_of_who_leaves_a_failed_group_ends_its_next_wait) { on_each(cancels_the_failed); }

struct fails_with {
    pier_task owner;
    bool before, after; /* whether the owner is cancelled besides */
};

static int cancels_and_fails(void *arg)
{
    const struct fails_with *f = arg;
    if (f->before) assert_int_equal(pier_cancel(f->owner), 0);
    return -ENOENT;
}

static int cancels_after(void *arg)
{
    const struct fails_with *f = arg;
    return f->after ? pier_cancel(f->owner) : 0;
}

static int enters_for_one_that_fails(void *arg)
{
    struct fails_with *f = arg;
    pier_group group;
    f->owner = pier_current();
    assert_int_equal(pier_group_enter(&group), 0);
    pier_group_spawn(&group, cancels_and_fails, f, NULL);
    pier_spawn(cancels_after, f, &(pier_spawn_opts){.detached = true});
    assert_int_equal(pier_yield(), 0); /* the task has failed, which is noticed by the next wait */
    assert_int_equal(pier_group_leave(&group), -ENOENT);
    return pier_sleep(0.001);
}

static int cancels_before_it_is_noticed(void *unused)
{
    (void)unused;
    for (int cancels = 0; cancels <= 3; cancels++) {
        struct fails_with f = {.before = cancels & 1, .after = cancels & 2};
        int result = 1;
        pier_task task = pier_spawn(enters_for_one_that_fails, &f, NULL);
        assert_int_equal(pier_join(task, &result), 0);
        assert_int_equal(result, cancels ? -ECANCELED : 0);
    }
    return 0;
}

TEST(cancel_that_a_failing_group_overtakes_is_not_lost) { on_each(cancels_before_it_is_noticed); }

/* Whole loops. */

static int joins_the_other(void *arg) { return pier_join(*(pier_task *)arg, NULL); }

static pier_task stuck[2];

static int gets_stuck(void *unused)
{
    (void)unused;
    stuck[0] = pier_spawn(joins_the_other, &stuck[1], &(pier_spawn_opts){.name = "one"});
    stuck[1] = pier_spawn(joins_the_other, &stuck[0], &(pier_spawn_opts){.name = "two"});
    return 0;
}

TEST(tasks_that_wait_for_each_other_are_reported)
{
    int out[2];
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    for (size_t i = 0; i < PIER_COUNT(backends); i++) {
        int saved = dup(STDERR_FILENO); /* NOLINT(android-cloexec-dup): for a moment */
        dup2(out[1], STDERR_FILENO);
        int result = pier_run(gets_stuck, NULL, &(pier_run_opts){.backend = backends[i]});
        dup2(saved, STDERR_FILENO);
        close(saved);
        if (!harness_in_task()) assert_int_equal(result, -EDEADLK);
        char text[1024];
        ssize_t n = read(out[0], text, sizeof text - 1);
        assert_true(n > 0);
        text[n] = '\0';
        assert_non_null(strstr(text, "2 tasks on"));
        assert_non_null(strstr(text, "\"one\": waiting for a task"));
        assert_non_null(strstr(text, "\"two\": waiting for a task"));
    }
    close(out[0]);
    close(out[1]);
}

static int spawns_more(void *arg)
{
    int left = *(int *)arg;
    if (left == 0) return 0;
    (*(int *)arg)--;
    pier_spawn(spawns_more, arg, &(pier_spawn_opts){.detached = true});
    return (int)pier_sleep(0.0001);
}

static int runs_within(void *unused)
{
    (void)unused;
    int left = 50;
    assert_int_equal(pier_run(spawns_more, &left, NULL), 0);
    assert_int_equal(left, 0); /* all that came of it has ended */
    assert_int_equal(pier_run(number_of, (void *)9, NULL), 9);
    return 0;
}

TEST(run_inside_a_loop_waits_for_all_that_came_of_it) { on_each(runs_within); }

static _Atomic int turns_of_others;

/* Until the others have gone on. */
static int blocks(void *answer)
{
    while (atomic_load(&turns_of_others) < 3)
        test_sleep(0.001);
    return *(int *)answer;
}

static int counts_turns(void *unused)
{
    (void)unused;
    while (pier_sleep(0.001) == 0)
        atomic_fetch_add(&turns_of_others, 1);
    return 0;
}

static int leaves_it_to_a_thread(void *unused)
{
    (void)unused;
    int answer = 17;
    atomic_store(&turns_of_others, 0);
    pier_task other = pier_spawn(counts_turns, NULL, NULL);
    assert_int_equal(pier_to_thread(blocks, &answer), 17);
    assert_int_equal(pier_to_thread(NULL, NULL), -EINVAL);
    assert_int_equal(pier_cancel(other), 0);
    return 0;
}

TEST(call_that_can_only_block_holds_up_nobody) { on_each(leaves_it_to_a_thread); }

static int reads_for_ever(void *arg)
{
    int s = *(int *)arg;
    char byte;
    while (pier_recv(s, &byte, 1, MSG_PEEK) == 1) {
    }
    return 0;
}

static int starves(void *unused)
{
    (void)unused;
    int pair[2];
    scene_pair("unix stream", pair);
    assert_int_equal(pier_send(pair[1], "x", 1, 0), 1);
    pier_task greedy = pier_spawn(reads_for_ever, &pair[0], NULL);
    for (int i = 0; i < 10; i++)
        assert_int_equal(pier_yield(), 0); /* comes back every time */
    assert_int_equal(pier_cancel(greedy), 0);
    assert_int_equal(pier_join(greedy, NULL), 0);
    assert_int_equal(pier_close(pair[0]), 0);
    assert_int_equal(pier_close(pair[1]), 0);
    return 0;
}

TEST(task_that_never_has_to_wait_starves_nobody) { on_each(starves); }

static int fails_by_itself(void *arg)
{
    assert_int_equal(pier_connect((int)(intptr_t)arg, scene_nobody()), -ECONNREFUSED);
    assert_int_equal(pier_sleep(0.005), 0);
    assert_int_equal(pier_error_code(), -ECONNREFUSED);
    return 0;
}

static int keeps_errors_apart(void *unused)
{
    (void)unused;
    int s = pier_socket(AF_INET, SOCK_STREAM, 0);
    pier_task other = pier_spawn(fails_by_itself, (void *)(intptr_t)s, NULL);
    assert_int_equal(pier_sleep(0.002), 0);
    assert_int_equal(pier_error_code(), 0);
    assert_int_equal(pier_join(other, NULL), 0);
    assert_int_equal(pier_close(s), 0);
    return 0;
}

TEST(each_task_has_an_error_of_its_own) { on_each(keeps_errors_apart); }

/* A failure with a sentence of its own, forgotten by nobody; how it is told must not depend on who made it. */
static int fails_to_connect(void *out_sentence)
{
    int s = pier_socket(AF_INET, SOCK_STREAM, 0);
    int err = pier_connect(s, scene_nobody());
    assert_int_equal(err, -ECONNREFUSED);
    snprintf(out_sentence, 256, "%s", pier_error());
    assert_int_equal(pier_close(s), 0);
    return err;
}

static int returns_a_number(void *out_sentence)
{
    (void)fails_to_connect(out_sentence);
    return -4000;
}

static void told(const char *sentence)
{
    assert_int_equal(pier_error_code(), -ECONNREFUSED);
    assert_string_equal(pier_error(), sentence);
    assert_int_equal(pier_close(-ECONNREFUSED), -ECONNREFUSED); /* it is known to be pier's */
    assert_int_equal(pier_error_code(), -ECONNREFUSED);
}

static int sleeps_well(void *unused)
{
    (void)unused;
    return pier_sleep(1000) == -ECANCELED ? 0 : -EPROTO;
}

static int group_of(int (*fn)(void *arg), void *arg)
{
    pier_group group;
    assert_int_equal(pier_group_enter(&group), 0);
    pier_group_spawn(&group, sleeps_well, NULL, NULL);
    pier_group_spawn(&group, fn, arg, NULL);
    assert_int_equal(pier_sleep(1000), -ECANCELED);
    return pier_group_leave(&group);
}

static int enters_and_forgets(void *sentence)
{
    pier_group group;
    assert_int_equal(pier_group_enter(&group), 0);
    pier_group_spawn(&group, fails_to_connect, sentence, NULL);
    assert_int_equal(pier_sleep(1000), -ECANCELED);
    return 0;
}

static int tells_what_others_returned(void *unused)
{
    (void)unused;
    char sentence[256];
    assert_int_equal(pier_run(fails_to_connect, sentence, NULL), -ECONNREFUSED);
    told(sentence);
    assert_int_equal(pier_sleep(-1), -EINVAL);
    assert_int_equal(pier_to_thread(fails_to_connect, sentence), -ECONNREFUSED);
    told(sentence);
    assert_int_equal(group_of(fails_to_connect, sentence), -ECONNREFUSED);
    told(sentence);

    /* Without a failure that has its code it is the group's own; a run tells nothing. */
    assert_int_equal(group_of(returns_a_number, sentence), -4000);
    assert_int_equal(pier_error_code(), -4000);
    assert_int_equal(pier_run(returns_a_number, sentence, NULL), -4000);
    assert_int_equal(pier_to_thread(returns_a_number, sentence), -4000);
    assert_int_equal(pier_error_code(), -4000);
    pier_task careless = pier_spawn(enters_and_forgets, sentence, NULL);
    assert_int_equal(pier_join(careless, NULL), 0);
    assert_int_equal(pier_error_code(), -4000);
    return 0;
}

TEST(failure_that_a_call_returns_for_another_strand_keeps_its_sentence)
{
    on_each(tells_what_others_returned);
    char sentence[256];
    assert_int_equal(pier_run(fails_to_connect, sentence, NULL), -ECONNREFUSED);
    told(sentence);
}

TEST(what_a_run_refuses_is_told)
{
    assert_int_equal(pier_run(NULL, NULL, NULL), -EINVAL);
    assert_string_equal(pier_error(), "run tasks: Invalid argument");
    if (harness_in_task()) return;
    assert_int_equal(pier_to_thread(NULL, NULL), -EINVAL);
    assert_string_equal(pier_error(), "call in a thread: Invalid argument");
    assert_int_equal(
        pier_run(number_of, NULL, &(pier_run_opts){.stack_size = (size_t)1 << 40}), -EINVAL);
    assert_string_equal(pier_error(), "run tasks: Invalid argument");
    assert_int_equal(pier_loop_open(NULL), 0);
    assert_int_equal(pier_run(number_of, NULL, NULL), -EBUSY);
    assert_string_equal(pier_error(), "run tasks: Device or resource busy");
    assert_int_equal(pier_loop_close(PIER_NEVER), 0);
}

static int forks(void *unused)
{
    (void)unused;
    int pair[2];
    scene_pair("tcp", pair);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) { /* a plain thread: it may use sockets, and run a loop of its own */
        assert_string_equal(pier_backend_name(), "thread");
        if (pier_send(pair[0], "c", 1, 0) != 1) _exit(2);
        _exit(pier_run(number_of, (void *)5, NULL));
    }
    char byte;
    assert_int_equal(pier_recv(pair[1], &byte, 1, 0), 1);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 5);
    assert_int_equal(pier_close(pair[0]), 0);
    assert_int_equal(pier_close(pair[1]), 0);
    return 0;
}

TEST(forked_child_of_a_task_is_a_plain_thread) { on_each(forks); }

static int asked;

static int says_stop(void *unused)
{
    (void)unused;
    __atomic_add_fetch(&asked, 1, __ATOMIC_RELAXED);
    return 1;
}

static void *interrupt(void *arg)
{
    while (!__atomic_load_n(&asked, __ATOMIC_RELAXED)) {
        test_sleep(0.005);
        (void)pthread_kill(*(pthread_t *)arg, SIGUSR1);
    }
    return NULL;
}

static int is_interrupted(void *unused)
{
    (void)unused;
    int pair[2];
    char byte;
    scene_pair("tcp", pair);
    pthread_t self = pthread_self();
    __atomic_store_n(&asked, 0, __ATOMIC_RELAXED);
    pier_hook before = pier_sethook(says_stop, NULL);
    pthread_t thread = spawn_elsewhere(interrupt, &self);
    assert_int_equal(pier_recv(pair[0], &byte, 1, 0), -EINTR);
    (void)pier_sethook(before.call, before.arg);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(pier_send(pair[1], "x", 1, 0), 1);
    assert_int_equal(pier_recv(pair[0], &byte, 1, 0), 1);
    assert_int_equal(pier_close(pair[0]), 0);
    assert_int_equal(pier_close(pair[1]), 0);
    return 0;
}

TEST(hook_ends_the_wait_of_the_main_task)
{
    scene_catch_signals();
    on_each(is_interrupted);
}

/* What the kernel denies. */

static int ring_denied(struct io_uring *ring, unsigned entries, struct io_uring_params *params)
{
    (void)ring, (void)entries, (void)params;
    return -EPERM;
}

static int enter_denied(struct io_uring *ring, pier_time deadline)
{
    (void)ring, (void)deadline;
    return -ENOSYS;
}

static int is_on_epoll(void *unused)
{
    (void)unused;
    assert_string_equal(pier_backend_name(), "epoll");
    return 0;
}

TEST(where_io_uring_is_denied_the_same_program_runs_on_epoll)
{
    if (harness_in_task()) SKIP("has a backend already");
    assert_int_equal(unsetenv("PIER_BACKEND"), 0);
    struct pier__seam seam = pier__seam_system;
    pier__seam = &seam;
    seam.ring_open = ring_denied;
    assert_int_equal(pier_run(is_on_epoll, NULL, NULL), 0);
    assert_int_equal(pier_run(is_on_epoll, NULL, &(pier_run_opts){.backend = "uring"}), -EPERM);
    seam.ring_open = pier__seam_system.ring_open;
    seam.ring_enter = enter_denied; /* setting up is allowed, entering is not */
    assert_int_equal(pier_run(is_on_epoll, NULL, NULL), 0);
    assert_int_equal(pier_run(is_on_epoll, NULL, &(pier_run_opts){.backend = "uring"}), -ENOSYS);
    seam.ring_enter = pier__seam_system.ring_enter;
    assert_int_equal(setenv("PIER_BACKEND", "epoll", 1), 0);
    assert_int_equal(pier_run(is_on_epoll, NULL, NULL), 0);
    pier__seam = &pier__seam_system;
}

TEST(loop_without_a_descriptor_is_an_error)
{
    if (harness_in_task()) SKIP("has a loop already");
    struct rlimit was, none = {0};
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    none.rlim_max = was.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int result = pier_run(number_of, NULL, NULL);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
    assert_int_equal(result, -EMFILE);
}
