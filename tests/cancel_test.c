/* SPDX-License-Identifier: MIT */
/* A cancel is told once, by a call that may wait, whatever comes at the same moment. */
#include "harness.h"
#include "scene.h"

#include <errno.h>
#include <fcntl.h>
#include <pier.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

static char flood[8 << 20];

static int floods(void *s) { return (int)pier_sendall(*(int *)s, flood, sizeof flood, 0); }

/* A thread that takes the turn and gives it back all the time, and one that reads what comes. */
static atomic_bool stops;

static void *takes_turns(void *s)
{
    while (!stops)
        assert_int_equal(pier_sendall(*(int *)s, "yy", 2, 0), 2);
    return NULL;
}

static void *reads(void *s)
{
    char room[4096];
    while (pier_recv(*(int *)s, room, sizeof room, 0) > 0) {
    }
    return NULL;
}

/* A task that waits for its turn. */
struct victim {
    int s;
    bool ended;
    bool cancelled; /* before it had ended */
};

static int waits_for_its_turn(void *arg)
{
    struct victim *victim = arg;
    int n = (int)pier_sendall(victim->s, "x", 1, 0);
    victim->ended = true;
    if (n < 0 || !victim->cancelled) return n;
    return pier_yield();
}

static int races(void *unused)
{
    (void)unused;
    int pair[2], result;
    scene_pair("unix stream", pair);
    stops = false;
    pthread_t taker = test_thread(takes_turns, &pair[0]), reader = test_thread(reads, &pair[1]);
    pier_time start = pier_now();
    for (int round = 0; scene_race_goes_on(round, 20000 / SLOW, start); round++) {
        struct victim victim = {.s = pair[0]};
        pier_task task = pier_spawn(waits_for_its_turn, &victim, NULL);
        assert_int_equal(pier_yield(), 0);
        victim.cancelled = !victim.ended;
        if (victim.cancelled) assert_int_equal(pier_cancel(task), 0);
        assert_int_equal(pier_join(task, &result), 0);
        assert_int_equal(result, victim.cancelled ? -ECANCELED : 1);
    }
    stops = true;
    test_join(taker);
    assert_int_equal(pier_close(pair[0]), 0);
    test_join(reader);
    return pier_close(pair[1]);
}

TEST(cancel_is_told_by_who_gets_a_turn_at_the_same_moment) { scene_on_each_backend(races); }

/* One in vain, and the third has it: a turn that was passed on is not lost. */
static int passes(void *unused)
{
    (void)unused;
    int pair[2], result;
    pier_task tasks[3];
    scene_pair("tcp", pair);
    for (int i = 0; i < 3; i++) {
        tasks[i] = pier_spawn(floods, &pair[0], NULL);
        assert_int_equal(pier_yield(), 0);
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(pier_cancel(tasks[i]), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pier_join(tasks[i], NULL), 0);
    assert_int_equal(pier_close(pair[1]), 0);
    assert_int_equal(pier_join(tasks[2], &result), 0);
    assert_true(result == -EPIPE || result == -ECONNRESET);
    return pier_close(pair[0]);
}

TEST(turn_that_a_cancelled_task_got_goes_to_the_next) { scene_on_each_backend(passes); }

/* It is cancelled in the look-up, or when that is over; told it is in any case. */
static int looks_up(void *unused)
{
    (void)unused;
    pier_addrinfo *list;
    ssize_t n = pier_getaddrinfo("localhost", "80", NULL, &list);
    pier_freeaddrinfo(list);
    if (n < 0) return (int)n;
    int turn = pier_yield(); /* it was cancelled before, or is now */
    return turn < 0 ? turn : pier_yield();
}

static int answers(void *unused)
{
    (void)unused;
    for (int i = 0; i < 20; i++) {
        int result;
        pier_task task = pier_spawn(looks_up, NULL, NULL);
        assert_int_equal(pier_yield(), 0);
        test_sleep(0.001 * i); /* the answer comes, and nobody notices yet */
        assert_int_equal(pier_cancel(task), 0);
        assert_int_equal(pier_join(task, &result), 0);
        assert_int_equal(result, -ECANCELED);
    }
    return 0;
}

TEST(cancel_is_told_though_an_answer_comes_at_the_same_moment) { scene_on_each_backend(answers); }

static int fails(void *unused)
{
    (void)unused;
    return -EIO;
}

/*
 * Both have failed before anything was waited for, in either order; the inner one's cancel is over
 * with it.
 */
static int enters_two_groups(void *unused)
{
    (void)unused;
    for (int first = 0; first < 2; first++) {
        pier_group groups[2], *outer = &groups[0], *inner = &groups[1];
        assert_int_equal(pier_group_enter(outer), 0);
        assert_int_equal(pier_group_enter(inner), 0);
        assert_true(pier_group_spawn(&groups[first], fails, NULL, NULL).number > 0);
        assert_true(pier_group_spawn(&groups[!first], fails, NULL, NULL).number > 0);
        assert_int_equal(pier_yield(), 0); /* and both have ended */
        assert_int_equal(inner->running + outer->running, 0);
        assert_int_equal(pier_group_leave(inner), -EIO);
        assert_int_equal(pier_sleep(0.1), -ECANCELED);
        assert_int_equal(pier_group_leave(outer), -EIO);
        assert_int_equal(pier_sleep(0.001), 0);
    }
    return 0;
}

TEST(failed_group_cancels_who_is_in_a_failed_group_within)
{
    scene_on_each_backend(enters_two_groups);
}

/* A run within a run, whose main task has ended. */
static int sleeps_long(void *result)
{
    *(int *)result = pier_sleep(1000);
    return 0;
}

static int leaves_one_behind(void *result)
{
    assert_true(pier_spawn(sleeps_long, result, &(pier_spawn_opts){.detached = true}).number > 0);
    return 7;
}

static int runs_within(void *result) { return pier_run(leaves_one_behind, result, NULL); }

static int cancels_a_run(void *unused)
{
    (void)unused;
    int slept = 0, result = 0;
    pier_task task = pier_spawn(runs_within, &slept, NULL);
    assert_int_equal(pier_sleep(0.01), 0);
    assert_int_equal(pier_cancel(task), 0);
    assert_int_equal(pier_join(task, &result), 0);
    assert_int_equal(result, 7);
    assert_int_equal(slept, -ECANCELED);
    return 0;
}

TEST(cancel_of_a_run_reaches_what_its_main_task_has_left_behind)
{
    scene_on_each_backend(cancels_a_run);
}

/* A sleep that is over before it begins. */
static int counts(void *count)
{
    ++*(int *)count;
    return 0;
}

static int dozes(void *unused)
{
    (void)unused;
    int count = 0;
    assert_true(pier_spawn(counts, &count, &(pier_spawn_opts){.detached = true}).number > 0);
    while (count == 0)
        assert_int_equal(pier_sleep(1e-9), 0);
    assert_int_equal(pier_cancel(pier_current()), 0);
    assert_int_equal(pier_sleep(1e-9), -ECANCELED);
    return pier_sleep(1e-9);
}

TEST(shortest_sleep_gives_others_a_turn_and_tells_a_cancel) { scene_on_each_backend(dozes); }

/* A server that waits for the lock of a folder, to remove a path that nobody serves any more. */
static int creates(void *address) { return pier_create_server(address, NULL); }

static int is_locked_out(void *unused)
{
    (void)unused;
    char address[600];
    int result = 0;
    (void)snprintf(address, sizeof address, "unix:%s", test_path("x.sock"));
    int gone = pier_create_server(address, NULL);
    assert_true(gone >= 0);
    assert_int_equal(pier_close(gone), 0);
    int folder = open(test_tmpdir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(folder >= 0);
    assert_int_equal(flock(folder, LOCK_EX), 0);
    pier_task task = pier_spawn(creates, address, NULL);
    assert_int_equal(pier_yield(), 0);
    assert_int_equal(pier_cancel(task), 0);
    assert_int_equal(pier_join(task, &result), 0);
    assert_int_equal(result, -ECANCELED);
    assert_int_equal(access(test_path("x.sock"), F_OK), 0);
    assert_int_equal(close(folder), 0);
    assert_int_equal(unlink(test_path("x.sock")), 0);
    return 0;
}

TEST(cancel_ends_the_wait_for_the_lock_of_a_folder) { scene_on_each_backend(is_locked_out); }

/* What lies in the read buffer needs no waiting, but might. */
static int read_ahead(void *unused)
{
    (void)unused;
    int pair[2];
    char room[16];
    pier_scope scope = {0};
    struct iovec v = {room, sizeof room};
    struct msghdr msg = {.msg_iov = &v, .msg_iovlen = 1};
    scene_pair("tcp", pair);
    assert_int_equal(pier_send(pair[1], "1\n2\n3\n4\n", 8, 0), 8);
    assert_int_equal(pier_recv_line(pair[0], room, sizeof room), 2);
    assert_int_equal(pier_cancel(pier_current()), 0);
    assert_int_equal(pier_recv_line(pair[0], room, sizeof room), -ECANCELED);
    assert_int_equal(pier_recv_line(pair[0], room, sizeof room), 2);
    assert_int_equal(pier_scope_enter(&scope, pier_now()), 0);
    assert_int_equal(pier_recv_exactly(pair[0], room, 2), -ECANCELED);
    assert_int_equal(pier_recv(pair[0], room, 2, 0), -ECANCELED);
    assert_int_equal(pier_recvmsg(pair[0], &msg, 0), -ECANCELED);
    assert_int_equal(pier_scope_leave(&scope), -ETIME);
    assert_int_equal(pier_recv_exactly(pair[0], room, 2), 2);
    assert_int_equal(pier_recvmsg(pair[0], &msg, 0), 2);
    scene_close(pair);
    return 0;
}

TEST(cancel_is_told_though_a_line_was_read_ahead) { scene_on_each_backend(read_ahead); }
