/* SPDX-License-Identifier: MIT */
/*
 * What a call in a task waits for, and what ends it, at the same moment on the real kernel: a
 * thread does the one, the loop the other, with ever another distance between them. A call that was
 * ended has moved nothing; what was sent is there once; and nothing is written to a buffer whose
 * call has returned. D.55, E.71, E.72.
 *
 * PIER_TEST_SOAK=1: 100,000 rounds of each race, however long that takes (tools/races.sh).
 */
#include "harness.h"
#include "scene.h"
#include "wait/loop.h"

#include <errno.h>
#include <linux/filter.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum rival { CANCEL, DEADLINE, CLOSE };

struct race;

struct kind {
    const char *name;
    void (*set_up)(struct race *r); /* a socket, unless there is one still, that has to wait */
    int64_t (*call)(struct race *r);
    void (*complete)(struct race *r); /* in either thread */
    void (*look)(struct race *r);
};

struct race {
    const struct kind *kind;
    enum rival rival;
    bool uring;
    int round;
    unsigned chance;

    _Atomic int go, seen, done; /* rounds */
    bool over;
    bool thread_closes;
    unsigned delay; /* ns that the thread waits; before a deadline, since that was set */
    pier_time from;
    int bias
        [2]; /* ns that the loop waits longer than the thread, so that each is first as often; by who closes */

    int s, peer, made; /* the socket, its other end, what a completion made; -1: none */
    uint64_t birth;
    pier_addr at;
    size_t filled;
    char buffers[2][16]; /* received, this round and the one before */
    char before[16];     /* what the one before was left with */
    int64_t result;
    int ended, completed; /* rounds that went so */
};

static unsigned chance(struct race *r, unsigned below)
{
    r->chance = r->chance * 1664525U + 1013904223U;
    return (r->chance >> 8) % below;
}

/* Wait until then, and leave the processor to the other meanwhile. */
static void linger_until(pier_time point)
{
    while (pier_now() < point)
        sched_yield();
}

static void await(const _Atomic int *value, int wanted)
{
    for (int n = 1; atomic_load(value) != wanted; n++) {
        if (n % 1000 == 0) sched_yield(); /* the other may need this processor */
    }
}

static bool lives(const struct race *r) { return pier_birth(r->s) == r->birth; }

static void close_hard(int *fd)
{
    const struct linger at_once = {1, 0};
    if (*fd < 0) return;
    (void)setsockopt(*fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    assert_int_equal(close(*fd), 0);
    *fd = -1;
}

/* recv */

static void set_up_pair(struct race *r)
{
    if (r->s >= 0) return;
    int pair[2];
    scene_pair("unix stream", pair);
    r->s = pair[0];
    r->peer = pair[1];
}

static char *buffer(struct race *r) { return r->buffers[r->round % 2]; }

static int64_t call_recv(struct race *r)
{
    memset(buffer(r), '#', 16);
    return pier_recv(r->s, buffer(r), 16, 0);
}

static void complete_recv(struct race *r)
{
    (void)send(r->peer, &r->round, sizeof r->round, MSG_NOSIGNAL);
}

static void look_recv(struct race *r)
{
    char expected[16], rest[16];
    memset(expected, '#', sizeof expected);
    if (r->result > 0) {
        assert_int_equal(r->result, sizeof r->round);
        memcpy(expected, &r->round, sizeof r->round);
    }
    assert_memory_equal(buffer(r), expected, sizeof expected);
    if (r->round > 1) assert_memory_equal(r->buffers[(r->round + 1) % 2], r->before, 16);
    memcpy(r->before, buffer(r), 16);
    if (!lives(r)) return;
    ssize_t left = recv(r->s, rest, sizeof rest, MSG_DONTWAIT);
    assert_int_equal(left, r->result > 0 ? -1 : (int)sizeof r->round);
    if (left > 0) assert_memory_equal(rest, &r->round, sizeof r->round);
}

/* send */

static void set_up_full_pair(struct race *r)
{
    const int little = 4608;
    bool fresh = r->s < 0;
    set_up_pair(r);
    if (fresh) setsockopt(r->s, SOL_SOCKET, SO_SNDBUF, &little, sizeof little);
    r->filled = scene_fill(r->s);
}

static int64_t call_send(struct race *r) { return pier_send(r->s, &r->round, sizeof r->round, 0); }

static void complete_send(struct race *r) { r->filled -= scene_empty(r->peer); }

static void look_send(struct race *r)
{
    size_t sent = r->result > 0 ? (size_t)r->result : 0;
    assert_true(sent <= sizeof r->round);
    assert_int_equal(scene_empty(r->peer), r->filled + sent);
}

/* accept */

static void set_up_listener(struct race *r)
{
    if (r->s < 0) r->s = scene_listener(&r->at);
}

static int64_t call_accept(struct race *r) { return pier_accept(r->s, NULL); }

static void complete_accept(struct race *r)
{
    r->made = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(r->made >= 0);
    (void)connect(r->made, &r->at.sa.any, r->at.length); /* refused, when it is closed */
}

static void look_accept(struct race *r)
{
    struct sockaddr_in a, b;
    socklen_t length = sizeof a;
    int s = (int)r->result;
    if (s < 0 && lives(r)) assert_int_equal(poll(&(struct pollfd){r->s, POLLIN, 0}, 1, 10000), 1);
    if (s < 0 && lives(r)) s = accept4(r->s, NULL, NULL, SOCK_CLOEXEC);
    if (s < 0) assert_int_equal(r->rival, CLOSE);
    if (lives(r)) assert_int_equal(poll(&(struct pollfd){r->s, POLLIN, 0}, 1, 0), 0);
    if (s >= 0) {
        assert_int_equal(getsockname(r->made, (void *)&a, &length), 0);
        length = sizeof b;
        assert_int_equal(getpeername(s, (void *)&b, &length), 0);
        assert_int_equal(a.sin_port, b.sin_port);
    }
    close_hard(&r->made);
    if (r->result >= 0)
        assert_int_equal(pier_close(s), 0);
    else
        close_hard(&s);
}

/* connect: to a listener that lets nothing in, until a socket of its address connects in turn. */

static int at_port_of(pier_addr *at)
{
    const int on = 1;
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(s >= 0);
    assert_int_equal(setsockopt(s, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on), 0);
    assert_int_equal(bind(s, &at->sa.any, at->length), 0);
    return s;
}

static void set_up_connect(struct race *r)
{
    struct sock_filter nothing[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
    const struct sock_fprog program = {1, nothing};
    if (r->peer < 0) {
        r->at = pier_inet("127.0.0.1", 0);
        r->peer = at_port_of(&r->at);
        assert_int_equal(
            setsockopt(r->peer, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), 0);
        assert_int_equal(listen(r->peer, 10), 0);
        assert_int_equal(getsockname(r->peer, &r->at.sa.any, &r->at.length), 0);
    }
    if (r->s >= 0) assert_int_equal(pier_close(r->s), 0);
    r->s = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_true(r->s >= 0);
}

static int64_t call_connect(struct race *r)
{
    const struct linger at_once = {1, 0};
    (void)setsockopt(r->s, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    int err = pier_connect(r->s, r->at);
    return err == 0 ? 1 : err;
}

static void complete_connect(struct race *r)
{
    struct sockaddr_in to;
    socklen_t length = sizeof to;
    /* Closed already; or the time was over before it began. */
    if (getsockname(r->s, (void *)&to, &length) < 0 || to.sin_port == 0) return;
    r->made = at_port_of(&r->at);
    /* Not waited for: the other may be gone before it has answered. */
    (void)connect(r->made, (void *)&to, length);
}

static void look_connect(struct race *r)
{
    char byte = 0;
    if (r->result > 0) assert_true(r->made >= 0);
    if (lives(r) && r->made >= 0) {
        assert_int_equal(poll(&(struct pollfd){r->made, POLLOUT, 0}, 1, -1), 1);
        assert_int_equal(send(r->made, "x", 1, MSG_NOSIGNAL), 1);
        assert_int_equal(recv(r->s, &byte, 1, 0), 1);
        assert_int_equal(byte, 'x');
    } else {
        assert_true(r->rival == CLOSE || r->result == -ETIME);
    }
    close_hard(&r->made);
}

/* The race. */

static void close_it(struct race *r) { assert_int_equal(pier_close(r->s), 0); }

static void *run_thread(void *arg)
{
    struct race *r = arg;
    for (int round = 1;; round++) {
        await(&r->go, round);
        if (r->over) return NULL;
        atomic_store(&r->seen, round);
        linger_until((r->rival == DEADLINE ? r->from : pier_now()) + r->delay);
        if (r->rival == CLOSE && r->thread_closes)
            close_it(r);
        else
            r->kind->complete(r);
        atomic_store(&r->done, round);
    }
}

static int suffer(void *arg)
{
    struct race *r = arg;
    r->result = r->kind->call(r);
    return 0;
}

#define SPREAD 5000 /* ns */
#define MOST   500000
#define LIMIT  50000 /* ns; on epoll a millisecond comes of it */

static void set_delays(struct race *r)
{
    unsigned late = r->uring ? 4 * LIMIT : 1300000;
    if (r->kind->call == call_connect)
        late = 2000000; /* whose shortest time-out is a millisecond */
    r->thread_closes = chance(r, 2);
    int bias = r->bias[r->thread_closes];
    r->delay = r->rival == DEADLINE ? chance(r, late)
                                    : chance(r, SPREAD) + (unsigned)(bias < 0 ? -bias : 0);
    r->from = pier_now();
    if (r->rival == DEADLINE) assert_int_equal(pier_settimeout(r->s, LIMIT * 1e-9), 0);
}

static void balance(struct race *r, bool completed)
{
    bool loop_was_first = completed == (r->rival == CLOSE && r->thread_closes);
    int *bias = &r->bias[r->thread_closes], step = 500 + abs(*bias) / 16;
    *bias += loop_was_first ? step : -step;
    if (*bias > MOST) *bias = MOST;
    if (*bias < -MOST) *bias = -MOST;
}

/* The loop's side. */
static void act(struct race *r, pier_task victim)
{
    for (unsigned turns = chance(r, 3); turns > 0; turns--)
        assert_int_equal(pier_yield(), 0);
    int bias = r->bias[r->thread_closes];
    pier_time until = pier_now() + chance(r, SPREAD) + (bias > 0 ? bias : 0);
    while (pier_now() < until) {
        assert_int_equal(pier_yield(), 0);
        sched_yield();
    }
    if (r->rival == CANCEL) {
        int err = pier_cancel(victim);
        assert_true(err == 0 || err == -ESRCH);
    } else if (r->rival == CLOSE && r->thread_closes) {
        r->kind->complete(r);
    } else if (r->rival == CLOSE) {
        close_it(r);
    }
}

static void run_round(struct race *r)
{
    r->kind->set_up(r);
    r->birth = pier_birth(r->s);
    set_delays(r);
    pier_task victim = pier_spawn(suffer, r, &(pier_spawn_opts){.stack_size = 262144});
    assert_int_equal(pier_yield(), 0);
    atomic_store(&r->go, r->round);
    if (r->rival != DEADLINE) await(&r->seen, r->round);
    act(r, victim);
    assert_int_equal(pier_join(victim, NULL), 0);
    await(&r->done, r->round);
    bool done = r->result > 0;
    if (!done) assert_int_equal(r->result, r->rival == DEADLINE ? -ETIME : -ECANCELED);
    *(done ? &r->completed : &r->ended) += 1;
    balance(r, done);
    assert_int_equal(lives(r), r->rival != CLOSE);
    r->kind->look(r);
    if (r->rival != CLOSE) return;
    if (r->peer >= 0 && r->at.length == 0) {
        assert_int_equal(pier_close(r->peer), 0);
        r->peer = -1;
    }
    r->s = -1;
}

static bool goes_on(const struct race *r, pier_time start)
{
    if (getenv("PIER_TEST_SOAK")) return r->round < 100000;
    return scene_race_goes_on(r->round, SLOW > 1 ? 5000 : 20000, start);
}

static int run(void *arg)
{
    struct race *r = arg;
    pthread_t thread = test_thread(run_thread, r);
    for (pier_time start = pier_now(); goes_on(r, start);) {
        r->round++;
        run_round(r);
    }
    r->over = true;
    atomic_store(&r->go, r->round + 1);
    test_join(thread);
    const struct pier__loop *loop = pier__loop_here;
    assert_true(loop->task_count == 1 && loop->outside == 0 && loop->timers.count == 0);
    if (r->s >= 0) assert_int_equal(pier_close(r->s), 0);
    if (r->peer >= 0 && r->at.length == 0) assert_int_equal(pier_close(r->peer), 0);
    if (r->peer >= 0 && r->at.length > 0) close_hard(&r->peer);
    return 0;
}

static void on_each(const struct kind *kind, enum rival rival)
{
    static const char *const backends[] = {"epoll", "uring"};
    static const char *const words[] = {"cancel", "deadline", "close"};
    for (int i = 0; i < 2; i++) {
        static struct race race;
        memset(&race, 0, sizeof race);
        race.kind = kind;
        race.rival = rival;
        race.uring = i;
        race.s = race.peer = race.made = -1;
        pier_run_opts opts = {.backend = backends[i], .stack_size = (size_t)1 << 20};
        assert_int_equal(pier_run(run, &race, &opts), 0);
        print_message("%s against %s on %s: %d rounds, %d completed, %d ended\n", words[rival],
            kind->name, backends[i], race.round, race.completed, race.ended);
    }
}

static const struct kind a_recv = {"recv", set_up_pair, call_recv, complete_recv, look_recv};
static const struct kind a_send = {"send", set_up_full_pair, call_send, complete_send, look_send};
static const struct kind an_accept = {
    "accept", set_up_listener, call_accept, complete_accept, look_accept};
static const struct kind a_connect = {
    "connect", set_up_connect, call_connect, complete_connect, look_connect};

TEST(cancel_and_bytes_that_come_race_to_one_outcome) { on_each(&a_recv, CANCEL); }
TEST(cancel_and_room_to_send_race_to_one_outcome) { on_each(&a_send, CANCEL); }
TEST(cancel_and_a_connection_that_comes_race_to_one_outcome) { on_each(&an_accept, CANCEL); }
TEST(cancel_and_an_answer_to_connect_race_to_one_outcome) { on_each(&a_connect, CANCEL); }
TEST(deadline_and_bytes_that_come_race_to_one_outcome) { on_each(&a_recv, DEADLINE); }
TEST(deadline_and_room_to_send_race_to_one_outcome) { on_each(&a_send, DEADLINE); }
TEST(deadline_and_a_connection_that_comes_race_to_one_outcome) { on_each(&an_accept, DEADLINE); }
TEST(deadline_and_an_answer_to_connect_race_to_one_outcome) { on_each(&a_connect, DEADLINE); }
TEST(close_and_bytes_that_come_race_to_one_outcome) { on_each(&a_recv, CLOSE); }
TEST(close_and_room_to_send_race_to_one_outcome) { on_each(&a_send, CLOSE); }
TEST(close_and_a_connection_that_comes_race_to_one_outcome) { on_each(&an_accept, CLOSE); }
TEST(close_and_an_answer_to_connect_race_to_one_outcome) { on_each(&a_connect, CLOSE); }
