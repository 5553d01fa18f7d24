/* SPDX-License-Identifier: MIT */
/* A cancel is told once, by a call that may wait, whatever comes at the same moment. */
#include "harness.h"
#include "scene.h"

#include <errno.h>
#include <pier.h>
#include <stdatomic.h>

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
