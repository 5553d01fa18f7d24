/* SPDX-License-Identifier: MIT */
#include "harness.h"
#include "scene.h"
#include "seams.h"
#include "sock/table.h"

#include <errno.h>
#include <limits.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <math.h>
#include <netinet/in.h>
#include <pier.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static _Thread_local char scratch[65536];

/* The verbs that wait. */

static int64_t do_recv(void *arg) { return pier_recv(*(int *)arg, scratch, 10, 0); }

static int64_t do_recvfrom(void *arg)
{
    pier_addr from;
    int64_t n = pier_recvfrom(*(int *)arg, scratch, 10, 0, &from);
    assert_true(n >= 0 || from.error == n);
    return n;
}

static int64_t do_recvmsg(void *arg)
{
    struct iovec v = {scratch, 10};
    struct msghdr msg = {.msg_iov = &v, .msg_iovlen = 1};
    return pier_recvmsg(*(int *)arg, &msg, 0);
}

static int64_t do_recv_all(void *arg)
{
    static _Thread_local char bytes[10];
    return pier_recv(*(int *)arg, bytes, 10, MSG_WAITALL);
}

static int64_t do_recv_line(void *arg)
{
    char line[100];
    return pier_recv_line(*(int *)arg, line, sizeof line);
}

static int64_t do_wait_readable(void *arg) { return pier_wait_readable(*(int *)arg, PIER_NEVER); }

static int64_t do_wait_readable_a_while(void *arg)
{
    return pier_wait_readable(*(int *)arg, pier_after(1000));
}

static int64_t do_send(void *arg) { return pier_send(*(int *)arg, scratch, 1000, 0); }

static int64_t do_sendall(void *arg) { return pier_sendall(*(int *)arg, scratch, 1000, 0); }

static int64_t do_sendto(void *arg)
{
    return pier_sendto(*(int *)arg, scratch, 1000, 0, (pier_addr){0});
}

static int64_t do_sendmsg(void *arg)
{
    struct iovec v = {scratch, 1000};
    struct msghdr msg = {.msg_iov = &v, .msg_iovlen = 1};
    return pier_sendmsg(*(int *)arg, &msg, 0);
}

static int64_t do_wait_writable(void *arg) { return pier_wait_writable(*(int *)arg, PIER_NEVER); }

static int64_t do_accept(void *arg)
{
    pier_addr peer;
    int s = pier_accept(*(int *)arg, &peer);
    assert_true(s >= 0 || peer.error == s);
    return s;
}

typedef int64_t verb(void *arg);

static verb *const receiving[] = {
    do_recv, do_recvfrom, do_recvmsg, do_wait_readable, do_wait_readable_a_while, NULL};
static verb *const receiving_from_streams[] = {do_recv_all, do_recv_line, NULL};
static verb *const sending[] = {do_send, do_sendall, do_sendto, do_sendmsg, do_wait_writable, NULL};
static verb *const accepting[] = {do_accept, do_wait_readable, NULL};

enum limit { NONE, TIME_OUT, DEADLINE, LIMITS };

static void set_limit(int s, enum limit limit)
{
    if (limit == TIME_OUT) assert_int_equal(pier_settimeout(s, 1000), 0);
    if (limit == DEADLINE) assert_int_equal(pier_setdeadline(s, pier_after(1000)), 0);
}

/* A call that blocks on s ends with -ECANCELED when s is closed, and the descriptor is gone. */
static void assert_close_wakes(int s, verb *call_verb)
{
    struct scene_call call;
    int number = s;
    scene_start(&call, call_verb, &number);
    scene_await_blocked(&call);
    assert_int_equal(pier_close(s), 0);
    assert_int_equal(pier_close(s), -EBADF);
    assert_int_equal(scene_finish(&call), -ECANCELED);
    assert_int_equal(call.code, -ECANCELED);
    assert_false(scene_open(s));
    assert_true(pier_birth(s) == 0);
}

/* D.55 */
static void close_during(verb *const verbs[], bool fill, bool (*wanted)(const char *kind))
{
    for (const char *const *kind = scene_kinds(); *kind; kind++) {
        if (!wanted(*kind)) continue;
        for (int limit = NONE; limit < LIMITS; limit++) {
            for (verb *const *v = verbs; *v; v++) {
                int pair[2];
                scene_pair(*kind, pair);
                set_limit(pair[0], (enum limit)limit);
                if (fill) scene_fill(pair[0]);
                assert_close_wakes(pair[0], *v);
                if (fill) scene_empty(pair[1]);
                if (scene_is_stream(*kind)) {
                    ssize_t n;
                    while ((n = pier_recv(pair[1], scratch, sizeof scratch, 0)) > 0) {
                    }
                    assert_int_equal(n, 0); /* the peer sees the end */
                }
                assert_int_equal(pier_close(pair[1]), 0);
            }
        }
    }
}

static bool any(const char *kind) { return kind != NULL; }

/* A UDP socket's sends do not block: the loopback drops what does not fit. */
static bool sends_block(const char *kind) { return strncmp(kind, "udp", 3) != 0; }

TEST(close_wakes_a_receive_on_every_kind_of_connected_socket)
{
    close_during(receiving, /* fill= */ false, any);
}

TEST(close_wakes_receives_that_only_streams_have)
{
    close_during(receiving_from_streams, /* fill= */ false, scene_is_stream);
}

TEST(close_wakes_a_send_that_finds_no_room)
{
    close_during(sending, /* fill= */ true, sends_block);
}

static int unconnected(int kind)
{
    int s;
    switch (kind) {
    case 0: return scene_udp(NULL);
    case 1: return pier_socket(AF_INET, SOCK_DGRAM, 0); /* not even bound */
    case 2: return pier_socket(AF_UNIX, SOCK_DGRAM, 0);
    case 3:
        s = pier_socket(AF_UNIX, SOCK_DGRAM, 0);
        assert_int_equal(pier_bind(s, pier_unix("")), 0);
        return s;
    case 4: return pier_socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    case 5: return pier_socket(AF_PACKET, SOCK_RAW, 0);
    case 6: return pier_socket(AF_INET, SOCK_RAW, 253); /* nobody uses it, RFC 3692 */
    case 7: return pier_socket(AF_INET6, SOCK_DGRAM, 0);
    case 8: return pier_socket(AF_PACKET, SOCK_DGRAM, 0);
    default: return -EPERM;
    }
}

/* D.55 */
TEST(close_wakes_a_receive_on_every_kind_of_unconnected_socket)
{
    for (int kind = 0; kind < 9; kind++) {
        for (int limit = NONE; limit < LIMITS; limit++) {
            for (verb *const *v = receiving; *v; v++) {
                int s = unconnected(kind);
                if (s < 0) continue; /* not here, or not permitted */
                set_limit(s, (enum limit)limit);
                assert_close_wakes(s, *v);
            }
        }
    }
}

static int listener_of(int kind)
{
    pier_addr at;
    int s;
    switch (kind) {
    case 0: return scene_listener(&at);
    case 1:
        s = pier_socket(AF_UNIX, SOCK_STREAM, 0);
        assert_int_equal(pier_bind(s, pier_unix("")), 0);
        break;
    case 2:
        s = pier_socket(AF_UNIX, SOCK_SEQPACKET, 0);
        assert_int_equal(pier_bind(s, pier_unix("")), 0);
        break;
    case 3:
        s = pier_socket(AF_INET, SOCK_STREAM, 262 /* IPPROTO_MPTCP */);
        if (s < 0) return s;
        assert_int_equal(pier_bind(s, pier_inet("127.0.0.1", 0)), 0);
        break;
    default:
        s = pier_socket(AF_VSOCK, SOCK_STREAM, 0);
        if (s < 0) return s;
        if (pier_bind(s, pier_vsock((unsigned)-1, (unsigned)-1)) < 0) {
            (void)pier_close(s);
            return -ENODEV;
        }
        break;
    }
    assert_int_equal(pier_listen(s, 5), 0);
    return s;
}

/* D.55 */
TEST(close_wakes_an_accept_on_every_kind_of_listener)
{
    for (int kind = 0; kind < 5; kind++) {
        for (int limit = NONE; limit < LIMITS; limit++) {
            for (verb *const *v = accepting; *v; v++) {
                int s = listener_of(kind);
                if (s < 0) continue;
                set_limit(s, (enum limit)limit);
                assert_close_wakes(s, *v);
            }
        }
    }
}

TEST(close_wakes_all_who_accept_on_one_listener)
{
    for (int limit = NONE; limit < LIMITS; limit++) {
        enum { THREADS = 4 };
        pier_addr at;
        int listener = scene_listener(&at);
        set_limit(listener, (enum limit)limit);
        struct scene_call calls[THREADS];
        for (int i = 0; i < THREADS; i++)
            scene_start(&calls[i], do_accept, &listener);
        for (int i = 0; i < THREADS; i++)
            scene_await_blocked(&calls[i]);
        int number = listener;
        assert_int_equal(pier_close(number), 0);
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(scene_finish(&calls[i]), -ECANCELED);
        assert_false(scene_open(number));
        int s = pier_socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(pier_connect(s, at), -ECONNREFUSED); /* nobody listens any more */
        assert_int_equal(pier_close(s), 0);
    }
}

TEST(close_wakes_several_readers_and_writers_at_once)
{
    enum { THREADS = 6 };
    for (int limit = NONE; limit < LIMITS; limit++) {
        int pair[2];
        scene_pair("tcp", pair);
        set_limit(pair[0], (enum limit)limit);
        scene_fill(pair[0]);
        static verb *const verbs[THREADS] = {
            do_recv, do_recv, do_recvmsg, do_send, do_sendall, do_sendall};
        struct scene_call calls[THREADS];
        int number = pair[0];
        for (int i = 0; i < THREADS; i++) {
            scene_start(&calls[i], verbs[i], &number);
            scene_await_blocked(&calls[i]);
        }
        assert_int_equal(pier_close(pair[0]), 0);
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(scene_finish(&calls[i]), -ECANCELED);
        assert_false(scene_open(number));
        assert_int_equal(pier_close(pair[1]), 0);
    }
}

/*
 * The descriptor outlives the close until the last call has left; for everybody else it is closed.
 */
static _Atomic int hook_state;

static int hold_in_hook(void *arg)
{
    (void)arg;
    atomic_store(&hook_state, 1);
    while (atomic_load(&hook_state) == 1)
        test_sleep(0.001);
    return 0;
}

static int64_t recv_with_hook(void *arg)
{
    pier_sethook(hold_in_hook, NULL);
    int64_t n = do_recv(arg);
    pier_sethook(NULL, NULL);
    return n;
}

TEST(number_is_kept_until_the_last_call_has_left)
{
    int pair[2];
    scene_pair("unix stream", pair);
    scene_catch_signals();
    struct scene_call call;
    int number = pair[0];
    scene_start(&call, recv_with_hook, &number);
    scene_await_blocked(&call);
    scene_signal(&call);
    while (atomic_load(&hook_state) != 1)
        test_sleep(0.001);
    assert_int_equal(pier_close(pair[0]), 0);
    assert_true(scene_open(number)); /* so no stranger can get it */
    assert_int_equal(pier_close(number), -EBADF);
    assert_int_equal(pier_send(number, "x", 1, 0), -ECANCELED);
    assert_int_equal(pier_dup(number), -ECANCELED);
    assert_int_equal(pier_settimeout(number, 1), -ECANCELED);
    assert_int_equal(pier_detach(number), -EBADF);
    assert_int_equal(pier_adopt(number), -EBADF);
    assert_true(pier_birth(number) == 0);
    atomic_store(&hook_state, 2);
    assert_int_equal(scene_finish(&call), -ECANCELED);
    assert_false(scene_open(number));
    assert_int_equal(pier_close(pair[1]), 0);
}

static ssize_t recv_and_close(int fd, void *buf, size_t len, int flags)
{
    ssize_t n = seams_below()->recv(fd, buf, len, flags);
    if (n < 0) return n; /* noise */
    assert_int_equal(pier_close(fd), 0);
    assert_true(scene_open(fd));
    return n;
}

/* What arrived before is the call's, whatever is closed meanwhile. */
TEST(close_takes_no_data_away_from_a_call_that_got_it)
{
    int pair[2];
    scene_pair("unix stream", pair);
    seams_install();
    seams_replace(recv, recv_and_close);
    assert_int_equal(pier_send(pair[1], "abc", 3, 0), 3);
    assert_int_equal(pier_recv(pair[0], scratch, 10, 0), 3);
    assert_memory_equal(scratch, "abc", 3);
    seams_remove();
    assert_false(scene_open(pair[0]));
    assert_int_equal(pier_recv(pair[0], scratch, 10, 0), -EBADF);
    assert_int_equal(pier_close(pair[1]), 0);
}

/* Races. */

struct race {
    _Atomic int socket; /* -1: none */
    _Atomic int round;
    _Atomic bool ready, over;
    _Atomic int64_t result;
    verb *verb;
};

static void *run_race(void *arg)
{
    struct race *race = arg;
    harness_settle(); /* the thread's own descriptor must not take the number that is raced for */
    atomic_store(&race->ready, true);
    for (int seen = 0; !atomic_load(&race->over);) {
        int round = atomic_load(&race->round);
        if (round == seen) {
            sched_yield();
            continue;
        }
        seen = round;
        int s = atomic_load(&race->socket);
        atomic_store(&race->result, race->verb(&s));
    }
    return NULL;
}

static pthread_t start_race(struct race *race)
{
    pthread_t thread = test_thread(run_race, race);
    while (!atomic_load(&race->ready))
        test_sleep(0.001);
    return thread;
}

static void spin(unsigned turns)
{
    for (volatile unsigned i = 0; i < turns; i++) {
    }
}

/*
 * A call and a close at the same moment, with every distance between them: exactly one outcome, and
 * none hangs.
 */
static void race_close(const char *kind, verb *v, int rounds, enum limit limit)
{
    struct race race = {.verb = v};
    pthread_t thread = start_race(&race);
    int canceled = 0, closed = 0, round = 0;
    for (pier_time start = pier_now(); scene_race_goes_on(round, rounds, start);) {
        round++;
        int pair[2];
        scene_pair(kind, pair);
        set_limit(pair[0], limit);
        atomic_store(&race.result, INT64_MIN);
        atomic_store(&race.socket, pair[0]);
        atomic_store(&race.round, round);
        spin((unsigned)round * 7 % 1500);
        assert_int_equal(pier_close(pair[0]), 0);
        int64_t result;
        while ((result = atomic_load(&race.result)) == INT64_MIN)
            sched_yield();
        canceled += result == -ECANCELED;
        closed += result == -EBADF;
        if (result != -ECANCELED && result != -EBADF) print_error("%d\n", (int)result);
        assert_true(result == -ECANCELED || result == -EBADF);
        assert_false(scene_open(pair[0]));
        assert_int_equal(pier_close(pair[1]), 0);
    }
    atomic_store(&race.over, true);
    test_join(thread);
    assert_int_equal(canceled + closed, round);
}

/* E.71 */
TEST(close_and_recv_race_to_exactly_one_outcome)
{
    race_close("unix stream", do_recv, 100000 / SLOW, NONE);
}

TEST(close_and_other_calls_race_to_exactly_one_outcome)
{
    race_close("unix dgram", do_recvfrom, 10000 / SLOW, NONE);
    race_close("unix seqpacket", do_recvmsg, 10000 / SLOW, TIME_OUT);
    race_close("unix stream", do_recv, 10000 / SLOW, DEADLINE);
    race_close("unix stream", do_wait_readable, 10000 / SLOW, NONE);
    race_close("tcp", do_recv, 3000 / SLOW, NONE);
    race_close("udp", do_recv, 3000 / SLOW, NONE);
}

/* Data and a close at the same moment: it is received, or the call is cancelled. */
TEST(data_and_close_race_to_exactly_one_outcome)
{
    struct race race = {.verb = do_recv};
    pthread_t thread = start_race(&race);
    pier_time start = pier_now();
    for (int round = 1; scene_race_goes_on(round - 1, 5000 / SLOW, start); round++) {
        int pair[2];
        scene_pair("unix dgram", pair);
        atomic_store(&race.result, INT64_MIN);
        atomic_store(&race.socket, pair[0]);
        atomic_store(&race.round, round);
        spin((unsigned)round % 500);
        assert_int_equal(pier_send(pair[1], "0123456789", 10, 0), 10);
        spin((unsigned)round * 7 % 700);
        assert_int_equal(pier_close(pair[0]), 0);
        int64_t result;
        while ((result = atomic_load(&race.result)) == INT64_MIN)
            sched_yield();
        assert_true(result == 10 || result == -ECANCELED || result == -EBADF);
        assert_int_equal(pier_close(pair[1]), 0);
    }
    atomic_store(&race.over, true);
    test_join(thread);
}

/* D.54: a number that is closed and made again, and threads that go on using it. */
enum { WRITERS = 2, READERS = 2, RECORDS = 60000 / SLOW };

struct reuse {
    _Atomic int number, ready;
    _Atomic bool over;
    _Atomic long records;
    _Atomic uint64_t sure[RECORDS]; /* by which socket the record went, if its sender can be sure */
    _Atomic uint64_t came[RECORDS]; /* by which it came */
};
static struct reuse reuse;

static void *write_records(void *unused)
{
    (void)unused;
    harness_settle();
    atomic_fetch_add(&reuse.ready, 1);
    while (!atomic_load(&reuse.over)) {
        long record = atomic_fetch_add(&reuse.records, 1);
        if (record >= RECORDS) break;
        int s = atomic_load(&reuse.number);
        uint64_t before = pier_birth(s);
        ssize_t n = pier_send(s, &record, sizeof record, 0);
        if (n == sizeof record && before && pier_birth(s) == before)
            atomic_store(&reuse.sure[record], before);
    }
    return NULL;
}

static void *read_births(void *unused)
{
    (void)unused;
    harness_settle();
    atomic_fetch_add(&reuse.ready, 1);
    while (!atomic_load(&reuse.over)) {
        uint64_t birth = 0;
        int s = atomic_load(&reuse.number);
        uint64_t before = pier_birth(s);
        ssize_t n = pier_recv(s, &birth, sizeof birth, 0);
        uint64_t after = pier_birth(s);
        if (n != sizeof birth) continue;
        assert_true(birth >= before);
        if (before && before == after) assert_true(birth == before);
        if (after) assert_true(birth <= after);
    }
    return NULL;
}

TEST(number_closed_and_reborn_over_and_over_gives_no_data_to_strangers)
{
#if defined(__SANITIZE_THREAD__)
    SKIP("the sanitizer takes the use of a number that is being given out for a race");
#endif
    pthread_t threads[WRITERS + READERS];
    int pair[2], number = -1;
    pier_time start = pier_now();
    for (int round = 0; scene_race_goes_on(round, 20000 / SLOW, start); round++) {
        scene_pair("unix dgram", pair);
        uint64_t birth = pier_birth(pair[0]);
        if (round == 0) {
            atomic_store(&reuse.number, number = pair[0]);
            for (int i = 0; i < WRITERS + READERS; i++)
                threads[i] = test_thread(i < WRITERS ? write_records : read_births, NULL);
            while (atomic_load(&reuse.ready) < WRITERS + READERS)
                test_sleep(0.001);
        }
        assert_int_equal(pair[0], number);
        for (int i = 0; i < 2; i++)
            assert_int_equal(pier_send(pair[1], &birth, sizeof birth, MSG_DONTWAIT), sizeof birth);
        spin((unsigned)round * 7 % 3000);
        assert_int_equal(pier_close(pair[0]), 0);
        long record;
        while (recv(pair[1], &record, sizeof record, MSG_DONTWAIT) == sizeof record)
            atomic_store(&reuse.came[record], birth);
        while (scene_open(number)) /* until the last one is out */
            sched_yield();
        assert_int_equal(pier_close(pair[1]), 0);
    }
    atomic_store(&reuse.over, true);
    for (int i = 0; i < WRITERS + READERS; i++)
        test_join(threads[i]);
    for (long i = 0; i < RECORDS; i++) {
        uint64_t sure = atomic_load(&reuse.sure[i]), came = atomic_load(&reuse.came[i]);
        if (sure && came) assert_true(sure == came);
    }
}

/* The interruption hook. */

struct hooked {
    int s, peer, calls, answer;
    int (*act)(struct hooked *h);
    int64_t inner;
    bool by_signal; /* not by the noise of tools/noise.py, which interrupts without one */
    int caught;     /* signals seen so far */
};

static int run_hook(void *arg)
{
    struct hooked *h = arg;
    int caught = scene_signals_caught();
    if (h->by_signal && caught == h->caught) return 0;
    h->caught = caught;
    h->calls++;
    return h->act ? h->act(h) : h->answer;
}

static int64_t recv_hooked(void *arg)
{
    struct hooked *h = arg;
    h->caught = scene_signals_caught();
    pier_hook old = pier_sethook(run_hook, h);
    int64_t n = pier_recv(h->s, scratch, 10, 0);
    pier_sethook(old.call, old.arg);
    return n;
}

static int64_t accept_hooked(void *arg)
{
    struct hooked *h = arg;
    h->caught = scene_signals_caught();
    pier_hook old = pier_sethook(run_hook, h);
    int64_t n = pier_accept(h->s, NULL);
    pier_sethook(old.call, old.arg);
    return n;
}

static int64_t sendall_hooked(void *arg)
{
    static char much[3000000];
    struct hooked *h = arg;
    h->caught = scene_signals_caught();
    pier_hook old = pier_sethook(run_hook, h);
    int64_t n = pier_sendall(h->s, much, sizeof much, 0);
    pier_sethook(old.call, old.arg);
    return n;
}

TEST(sethook_returns_the_hook_that_was_there)
{
    struct hooked one = {0}, two = {0};
    pier_hook old = pier_sethook(run_hook, &one);
    assert_true(old.call == NULL);
    old = pier_sethook(run_hook, &two);
    assert_true(old.call == run_hook && old.arg == &one);
    old = pier_sethook(NULL, NULL);
    assert_true(old.call == run_hook && old.arg == &two);
}

TEST(hook_that_returns_0_lets_the_call_go_on)
{
    scene_catch_signals();
    for (int limit = NONE; limit < LIMITS; limit++) {
        int pair[2];
        scene_pair("tcp", pair);
        set_limit(pair[0], (enum limit)limit);
        struct hooked h = {.s = pair[0], .by_signal = true};
        struct scene_call call;
        scene_start(&call, recv_hooked, &h);
        for (int i = 0; i < 3; i++) {
            scene_await_blocked(&call);
            scene_signal(&call);
        }
        scene_await_blocked(&call);
        assert_int_equal(pier_send(pair[1], "abc", 3, 0), 3);
        assert_int_equal(scene_finish(&call), 3);
        assert_int_equal(h.calls, 3);
        assert_int_equal(pier_close(pair[0]), 0);
        assert_int_equal(pier_close(pair[1]), 0);
    }
}

TEST(hook_that_returns_non_zero_ends_the_call_with_eintr_and_no_byte_is_lost)
{
    scene_catch_signals();
    for (int limit = NONE; limit < LIMITS; limit++) {
        int pair[2];
        scene_pair("tcp", pair);
        set_limit(pair[0], (enum limit)limit);
        struct hooked h = {.s = pair[0], .answer = 1, .by_signal = true};
        struct scene_call call;
        scene_start(&call, recv_hooked, &h);
        scene_await_blocked(&call);
        scene_signal(&call);
        assert_int_equal(scene_finish(&call), -EINTR);
        assert_int_equal(call.code, -EINTR);
        assert_int_equal(h.calls, 1);
        assert_int_equal(pier_send(pair[1], "abc", 3, 0), 3);
        assert_int_equal(pier_recv(pair[0], scratch, 10, 0), 3);
        assert_int_equal(pier_close(pair[0]), 0);
        assert_int_equal(pier_close(pair[1]), 0);

        pier_addr at;
        struct hooked listener = {.s = scene_listener(&at), .answer = 1, .by_signal = true};
        set_limit(listener.s, (enum limit)limit);
        scene_start(&call, accept_hooked, &listener);
        scene_await_blocked(&call);
        scene_signal(&call);
        assert_int_equal(scene_finish(&call), -EINTR);
        assert_int_equal(pier_close(listener.s), 0);
    }
}

static int close_it(struct hooked *h)
{
    if (h->calls > 1) return 0;
    h->inner = pier_close(h->s);
    return h->answer;
}

TEST(hook_may_close_the_socket_it_was_called_for)
{
    scene_catch_signals();
    for (int limit = NONE; limit < LIMITS; limit++) {
        for (int answer = 0; answer < 2; answer++) {
            int pair[2];
            scene_pair("tcp", pair);
            set_limit(pair[0], (enum limit)limit);
            struct hooked h = {.s = pair[0], .act = close_it, .answer = answer, .by_signal = true};
            struct scene_call call;
            scene_start(&call, recv_hooked, &h);
            scene_await_blocked(&call);
            scene_signal(&call);
            assert_int_equal(scene_finish(&call), answer ? -EINTR : -ECANCELED);
            assert_int_equal(h.inner, 0);
            assert_false(scene_open(pair[0]));
            assert_int_equal(pier_recv(pair[1], scratch, 10, 0), 0);
            assert_int_equal(pier_close(pair[1]), 0);

            pier_addr at;
            struct hooked listener = {
                .s = scene_listener(&at), .act = close_it, .answer = answer, .by_signal = true};
            set_limit(listener.s, (enum limit)limit);
            scene_start(&call, accept_hooked, &listener);
            scene_await_blocked(&call);
            scene_signal(&call);
            assert_int_equal(scene_finish(&call), answer ? -EINTR : -ECANCELED);
            assert_false(scene_open(listener.s));
        }
    }
}

static int send_on_it(struct hooked *h)
{
    h->inner = pier_send(h->s, "from the hook", 13, 0);
    return 0;
}

TEST(hook_may_use_the_socket_it_was_called_for)
{
    scene_catch_signals();
    int pair[2];
    scene_pair("tcp", pair);
    struct hooked h = {.s = pair[0], .act = send_on_it, .by_signal = true};
    struct scene_call call;
    scene_start(&call, recv_hooked, &h);
    scene_await_blocked(&call);
    scene_signal(&call);
    assert_int_equal(pier_recv(pair[1], scratch, 13, MSG_WAITALL), 13);
    assert_int_equal(pier_send(pair[1], "abc", 3, 0), 3);
    assert_int_equal(scene_finish(&call), 3);
    assert_int_equal(h.inner, 13);
    assert_int_equal(pier_close(pair[0]), 0);
    assert_int_equal(pier_close(pair[1]), 0);
}

/* Nobody reads but a hook, so that each part is as long as the small buffer, on any machine. */
static void sendall_with_hook(struct hooked *h, enum limit limit, int64_t expected, size_t *moved)
{
    int pair[2], small = 4096;
    scene_pair("unix stream", pair);
    assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    set_limit(pair[0], limit);
    h->s = pair[0];
    h->peer = pair[1];
    assert_int_equal(sendall_hooked(h), expected);
    *moved = pier_error_moved();
    if (scene_open(pair[0])) assert_int_equal(pier_close(pair[0]), 0);
    assert_int_equal(pier_close(pair[1]), 0);
}

static int drain_its_peer(struct hooked *h)
{
    while (recv(h->peer, scratch, sizeof scratch, MSG_DONTWAIT) > 0) {
    }
    return 0;
}

TEST(hook_is_asked_after_each_part_of_a_sendall)
{
    struct hooked h = {.act = drain_its_peer};
    size_t moved;
    sendall_with_hook(&h, TIME_OUT, 3000000, &moved);
    assert_true(h.calls > 10);
    h = (struct hooked){.answer = 1};
    sendall_with_hook(&h, DEADLINE, -EINTR, &moved);
    assert_int_equal(h.calls, 1);
    assert_true(moved > 0 && moved < 3000000);
}

TEST(hook_may_close_the_socket_in_the_middle_of_a_sendall)
{
    struct hooked h = {.act = close_it};
    size_t moved;
    sendall_with_hook(&h, TIME_OUT, -ECANCELED, &moved);
    assert_int_equal(h.inner, 0);
    assert_true(moved > 0 && moved < 3000000);
}

static int sendall_on_it(struct hooked *h)
{
    h->inner = pier_sendall(h->s, "x", 1, 0);
    return 1;
}

/* It is its own turn that it would wait for. */
TEST(hook_that_sends_all_in_the_middle_of_a_sendall_is_refused_and_does_not_hang)
{
    struct hooked h = {.act = sendall_on_it};
    size_t moved;
    sendall_with_hook(&h, TIME_OUT, -EINTR, &moved);
    assert_int_equal(h.inner, -EDEADLK);
}

static int recv_again(struct hooked *h)
{
    if (h->calls > 1) return 0;
    h->inner = pier_recv(h->s, scratch + 100, 10, 0);
    return 0;
}

TEST(hook_may_wait_on_the_socket_it_was_called_for)
{
    scene_catch_signals();
    int pair[2];
    scene_pair("unix dgram", pair);
    struct hooked h = {.s = pair[0], .act = recv_again, .by_signal = true};
    struct scene_call call;
    scene_start(&call, recv_hooked, &h);
    scene_await_blocked(&call);
    scene_signal(&call);
    scene_await_blocked(&call);
    assert_int_equal(pier_send(pair[1], "inner", 5, 0), 5);
    assert_int_equal(pier_send(pair[1], "outer!", 6, 0), 6);
    assert_int_equal(scene_finish(&call), 6);
    assert_int_equal(h.inner, 5);
    assert_int_equal(pier_close(pair[0]), 0);
    assert_int_equal(pier_close(pair[1]), 0);
}

TEST(hook_is_each_threads_own)
{
    scene_catch_signals();
    int pair[2];
    scene_pair("tcp", pair);
    struct hooked h = {.answer = 1, .by_signal = true};
    pier_sethook(run_hook, &h); /* this thread's; the other has none */
    struct scene_call call;
    scene_start(&call, do_recv, &pair[0]);
    scene_await_blocked(&call);
    scene_signal(&call);
    scene_await_blocked(&call);
    assert_int_equal(pier_send(pair[1], "abc", 3, 0), 3);
    assert_int_equal(scene_finish(&call), 3);
    assert_int_equal(h.calls, 0);
    pier_sethook(NULL, NULL);
    assert_int_equal(pier_close(pair[0]), 0);
    assert_int_equal(pier_close(pair[1]), 0);
}

/*
 * Who waits for the turn of a sendall is woken too, and the turn goes to the next when one gives
 * up.
 */
TEST(close_wakes_those_who_wait_for_their_turn)
{
    enum { THREADS = 4 };
    int pair[2];
    scene_pair("unix stream", pair);
    scene_fill(pair[0]);
    struct scene_call calls[THREADS];
    int number = pair[0];
    for (int i = 0; i < THREADS; i++) {
        scene_start(&calls[i], do_sendall, &number);
        scene_await_blocked(&calls[i]);
    }
    assert_int_equal(pier_close(pair[0]), 0);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(scene_finish(&calls[i]), -ECANCELED);
        assert_true(calls[i].moved == 0);
    }
    assert_false(scene_open(number));
    assert_int_equal(pier_close(pair[1]), 0);
}

TEST(turn_goes_to_the_next_when_one_gives_up)
{
    int pair[2];
    scene_pair("unix stream", pair);
    size_t filled = scene_fill(pair[0]);
    scene_catch_signals();
    struct scene_call first, last;
    struct hooked impatient = {.s = pair[0], .answer = 1, .by_signal = true};
    struct scene_call middle;
    scene_start(&first, do_sendall, &pair[0]);
    scene_await_blocked(&first);
    scene_start(&middle, sendall_hooked, &impatient);
    scene_await_blocked(&middle);
    scene_start(&last, do_sendall, &pair[0]);
    scene_await_blocked(&last);
    scene_signal(&middle);
    assert_int_equal(scene_finish(&middle), -EINTR);
    assert_true(middle.moved == 0);
    for (size_t have = 0; have < filled + 2000;) {
        ssize_t n = pier_recv(pair[1], scratch, sizeof scratch, 0);
        assert_true(n > 0);
        have += (size_t)n;
    }
    assert_int_equal(scene_finish(&first), 1000);
    assert_int_equal(scene_finish(&last), 1000);
    assert_int_equal(pier_close(pair[0]), 0);
    assert_int_equal(pier_close(pair[1]), 0);
}

/*
 * A thread needs a wake descriptor for some waits; without one it is told so, and nothing is stuck.
 */
static int64_t accept_without_descriptors(void *arg)
{
    seams_fail(eventfd, 1, -EMFILE);
    int64_t s = pier_accept(*(int *)arg, NULL);
    return s;
}

TEST(no_descriptor_to_be_woken_by_is_an_error_and_not_a_hang)
{
    pier_addr at;
    int listener = scene_listener(&at);
    seams_install();
    struct scene_call call;
    scene_start(&call, accept_without_descriptors, &listener);
    assert_int_equal(scene_finish(&call), -EMFILE);
    seams_remove();
    assert_int_equal(pier_close(listener), 0);
}

/* Nothing but time ends a sleep. */
static int64_t sleep_without_descriptors(void *unused)
{
    (void)unused;
    seams_fail(eventfd, 1, -EMFILE);
    pier_time began = pier_now();
    int err = pier_sleep(0.01);
    assert_true(err < 0 || pier_now() >= began + PIER_SECOND / 100);
    return err;
}

TEST(a_sleep_needs_no_descriptor)
{
    seams_install();
    struct scene_call call;
    scene_start(&call, sleep_without_descriptors, NULL);
    assert_int_equal(scene_finish(&call), 0);
    seams_remove();
}
