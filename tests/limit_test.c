/* SPDX-License-Identifier: MIT */
#include "harness.h"
#include "scene.h"
#include "seams.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pier.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ASSERT_NOT_BEFORE(start, seconds) \
    assert_true(pier_now() - (start) >= (pier_time)((seconds) * (double)PIER_SECOND))

/* Values. */

/* E.76, E.77 */
TEST(settimeout_means_what_python_means_for_every_value)
{
    static const struct {
        double given, kept;
        int blocking;
        bool nonblock;
    } values[] = {
        {INFINITY, INFINITY, 1, false},
        {0, 0, 0, true},
        {-0.0, 0, 0, true},
        {1e-12, 1e-9, 1, true}, /* never 0 */
        {1e-9, 1e-9, 1, true},
        {5e-324, 1e-9, 1, true},
        {2.5, 2.5, 1, true},
        {1e9, 1e9, 1, true},
        {1e20, INFINITY, 1, false}, /* beyond the clock */
        {1.7e308, INFINITY, 1, false},
    };
    int s = pier_socket(AF_INET, SOCK_DGRAM, 0);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        assert_int_equal(pier_settimeout(s, values[i].given), 0);
        assert_true(pier_gettimeout(s) == values[i].kept);
        assert_int_equal(pier_getblocking(s), values[i].blocking);
        assert_int_equal(scene_nonblock(s), values[i].nonblock);
    }
    assert_int_equal(pier_settimeout(s, 3), 0);
    static const double refused[] = {-1, -1e-9, -INFINITY, NAN, -NAN};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        assert_int_equal(pier_settimeout(s, refused[i]), -EINVAL);
        assert_true(pier_gettimeout(s) == 3); /* as it was */
    }
    assert_int_equal(pier_close(s), 0);
}

TEST(setblocking_is_all_or_nothing)
{
    int s = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(pier_setblocking(s, false), 0);
    assert_true(pier_gettimeout(s) == 0);
    assert_true(scene_nonblock(s));
    assert_int_equal(pier_setblocking(s, true), 0);
    assert_true(pier_gettimeout(s) == (double)INFINITY);
    assert_false(scene_nonblock(s));
    assert_int_equal(pier_close(s), 0);
}

TEST(default_time_out_holds_for_every_socket_made_from_then_on)
{
    assert_true(pier_getdefaulttimeout() == (double)INFINITY);
    int before = pier_socket(AF_INET, SOCK_DGRAM, 0), pair[2];
    assert_int_equal(pier_setdefaulttimeout(7.5), 0);
    assert_true(pier_getdefaulttimeout() == 7.5);
    assert_true(pier_gettimeout(before) == (double)INFINITY);
    int s = pier_socket(AF_INET, SOCK_DGRAM, 0);
    assert_true(pier_gettimeout(s) == 7.5);
    assert_true(scene_nonblock(s));
    scene_pair("unix stream", pair);
    assert_true(pier_gettimeout(pair[0]) == 7.5 && pier_gettimeout(pair[1]) == 7.5);
    assert_true(scene_nonblock(pair[0]) && scene_nonblock(pair[1]));
    static const double refused[] = {-1, NAN, -INFINITY};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(pier_setdefaulttimeout(refused[i]), -EINVAL);
        assert_true(pier_getdefaulttimeout() == 7.5);
    }
    assert_int_equal(pier_setdefaulttimeout(0), 0);
    int never = pier_socket(AF_INET, SOCK_DGRAM, 0);
    char byte;
    assert_int_equal(pier_recv(never, &byte, 1, 0), -EAGAIN);
    assert_int_equal(pier_setdefaulttimeout(INFINITY), 0);
    assert_true(pier_getdefaulttimeout() == (double)INFINITY);
    int blocking = pier_socket(AF_INET, SOCK_DGRAM, 0);
    assert_false(scene_nonblock(blocking));
    int all[] = {before, s, pair[0], pair[1], never, blocking};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        assert_int_equal(pier_close(all[i]), 0);
}

/* What accept gives its socket: the default's time-out, or none; never the listener's. */
TEST(accepted_socket_never_has_the_listeners_time_out)
{
    pier_addr at;
    int listener = scene_listener(&at);
    static const double limits[] = {INFINITY, 0, 5};
    static const double defaults[] = {INFINITY, 0, 3};
    for (size_t i = 0; i < 3; i++) {
        for (size_t d = 0; d < 3; d++) {
            int client = pier_socket(AF_INET, SOCK_STREAM, 0);
            assert_int_equal(pier_connect(client, at), 0);
            assert_int_equal(pier_settimeout(listener, limits[i]), 0);
            assert_int_equal(pier_setdeadline(listener, d ? pier_after(60) : PIER_NEVER), 0);
            assert_int_equal(pier_setdefaulttimeout(defaults[d]), 0);
            int s = pier_accept(listener, NULL);
            assert_true(s >= 0);
            assert_true(pier_gettimeout(s) == defaults[d]);
            assert_true(pier_getdeadline(s) == PIER_NEVER);
            assert_int_equal(scene_nonblock(s), d != 0);
            assert_int_equal(pier_setdefaulttimeout(INFINITY), 0);
            assert_int_equal(pier_close(s), 0);
            assert_int_equal(pier_close(client), 0);
        }
    }
    assert_int_equal(pier_close(listener), 0);
}

/* Deadlines as values. */

TEST(deadline_is_kept_as_a_point_and_codes_are_passed_on)
{
    int s = pier_socket(AF_INET, SOCK_DGRAM, 0);
    assert_true(pier_getdeadline(s) == PIER_NEVER);
    pier_time point = pier_after(9);
    assert_int_equal(pier_setdeadline(s, point), 0);
    assert_true(pier_getdeadline(s) == point);
    assert_false(scene_nonblock(s)); /* the mode stays */
    assert_int_equal(pier_setdeadline(s, pier_after(-1)), -EINVAL);
    assert_true(pier_getdeadline(s) == point);
    assert_int_equal(pier_setdeadline(s, PIER_NEVER), 0);
    assert_true(pier_getdeadline(s) == PIER_NEVER);
    assert_int_equal(pier_setdeadline(s, pier_after(INFINITY)), 0);
    assert_true(pier_getdeadline(s) == PIER_NEVER);
    assert_int_equal(pier_close(s), 0);
}

/* Waiting: never early, in every verb. */

struct verb {
    const char *name;
    int64_t (*call)(int s);
    bool sends;
};

static char scratch[70000];

static int64_t do_recv(int s) { return pier_recv(s, scratch, 10, 0); }

static int64_t do_recvfrom(int s)
{
    pier_addr from;
    int64_t n = pier_recvfrom(s, scratch, 10, 0, &from);
    if (n < 0) assert_int_equal(from.error, n);
    return n;
}

static int64_t do_recvmsg(int s)
{
    struct iovec v = {scratch, 10};
    struct msghdr msg = {.msg_iov = &v, .msg_iovlen = 1};
    return pier_recvmsg(s, &msg, 0);
}

static int64_t do_send(int s) { return pier_send(s, "0123456789", 10, 0); }

static int64_t do_sendall(int s) { return pier_sendall(s, "0123456789", 10, 0); }

static int64_t do_sendto(int s) { return pier_sendto(s, "0123456789", 10, 0, (pier_addr){0}); }

static int64_t do_sendmsg(int s)
{
    char text[] = "0123456789";
    struct iovec v = {text, 10};
    struct msghdr msg = {.msg_iov = &v, .msg_iovlen = 1};
    return pier_sendmsg(s, &msg, 0);
}

static const struct verb verbs[] = {
    {"recv", do_recv, false},
    {"recvfrom", do_recvfrom, false},
    {"recvmsg", do_recvmsg, false},
    {"send", do_send, true},
    {"sendall", do_sendall, true},
    {"sendto", do_sendto, true},
    {"sendmsg", do_sendmsg, true},
};
#define VERBS (sizeof verbs / sizeof *verbs)

/*
 * A pair whose first socket has nothing to receive, and no room to send where sending can block at
 * all.
 */
static bool stuck_pair(const char *kind, int pair[2], bool sends)
{
    scene_pair(kind, pair);
    if (!sends) return true;
    if (strncmp(kind, "udp", 3) != 0) {
        scene_fill(pair[0]);
        return true;
    }
    assert_int_equal(pier_close(pair[0]), 0);
    assert_int_equal(pier_close(pair[1]), 0);
    return false;
}

TEST(every_verb_times_out_at_the_time_out_and_not_before)
{
    for (const char *const *kind = scene_kinds(); *kind; kind++) {
        for (size_t i = 0; i < VERBS; i++) {
            int pair[2];
            if (!stuck_pair(*kind, pair, verbs[i].sends)) continue;
            assert_int_equal(pier_settimeout(pair[0], 0.01), 0);
            pier_time start = pier_now();
            assert_int_equal(verbs[i].call(pair[0]), -ETIME);
            ASSERT_NOT_BEFORE(start, 0.01);
            assert_int_equal(pier_error_code(), -ETIME);
            assert_true(pier_error_moved() == 0);
            assert_int_equal(pier_close(pair[0]), 0);
            assert_int_equal(pier_close(pair[1]), 0);
        }
    }
}

TEST(every_verb_times_out_at_the_deadline_and_not_before)
{
    for (const char *const *kind = scene_kinds(); *kind; kind++) {
        for (size_t i = 0; i < VERBS; i++) {
            int pair[2];
            if (!stuck_pair(*kind, pair, verbs[i].sends)) continue;
            pier_time deadline = pier_after(0.01);
            assert_int_equal(pier_setdeadline(pair[0], deadline), 0);
            assert_int_equal(verbs[i].call(pair[0]), -ETIME);
            assert_true(pier_now() >= deadline);
            assert_false(scene_nonblock(pair[0]));
            assert_int_equal(pier_close(pair[0]), 0);
            assert_int_equal(pier_close(pair[1]), 0);
        }
    }
}

TEST(every_verb_says_eagain_at_once_with_a_time_out_of_0)
{
    for (const char *const *kind = scene_kinds(); *kind; kind++) {
        for (size_t i = 0; i < VERBS; i++) {
            int pair[2];
            if (!stuck_pair(*kind, pair, verbs[i].sends)) continue;
            assert_int_equal(pier_settimeout(pair[0], 0), 0);
            seams_install();
            assert_int_equal(verbs[i].call(pair[0]), -EAGAIN);
            assert_int_equal(seams_calls(poll), 0);
            assert_int_equal(seams_system_calls(), 1);
            seams_remove();
            assert_int_equal(pier_close(pair[0]), 0);
            assert_int_equal(pier_close(pair[1]), 0);
        }
    }
}

TEST(time_out_is_per_operation_and_the_deadline_for_the_conversation)
{
    int pair[2];
    scene_pair("tcp", pair);
    char byte;
    assert_int_equal(pier_settimeout(pair[0], 0.02), 0);
    pier_time start = pier_now();
    for (int i = 0; i < 3; i++)
        assert_int_equal(pier_recv(pair[0], &byte, 1, 0), -ETIME);
    ASSERT_NOT_BEFORE(start, 0.06);
    assert_int_equal(pier_setdeadline(pair[0], pier_now()), 0);
    assert_int_equal(pier_send(pair[1], "x", 1, 0), 1);
    seams_install();
    assert_int_equal(pier_recv(pair[0], &byte, 1, 0), -ETIME);
    assert_int_equal(pier_send(pair[0], "x", 1, 0), -ETIME); /* even if it need not wait */
    assert_int_equal(pier_sendall(pair[0], "x", 1, 0), -ETIME);
    assert_int_equal(seams_system_calls() - seams_calls(getsockname) - seams_calls(getpeername), 0);
    seams_remove();
    assert_int_equal(pier_setdeadline(pair[0], PIER_NEVER), 0);
    assert_int_equal(pier_recv(pair[0], &byte, 1, 0), 1);
    assert_int_equal(pier_close(pair[0]), 0);
    assert_int_equal(pier_close(pair[1]), 0);
}

TEST(earlier_of_time_out_and_deadline_wins)
{
    int pair[2];
    scene_pair("tcp", pair);
    char byte;
    assert_int_equal(pier_settimeout(pair[0], 0.02), 0);
    assert_int_equal(pier_setdeadline(pair[0], pier_after(1000)), 0);
    pier_time start = pier_now();
    assert_int_equal(pier_recv(pair[0], &byte, 1, 0), -ETIME);
    ASSERT_NOT_BEFORE(start, 0.02);
    assert_int_equal(pier_settimeout(pair[0], 1000), 0);
    pier_time deadline = pier_after(0.02);
    assert_int_equal(pier_setdeadline(pair[0], deadline), 0);
    assert_int_equal(pier_recv(pair[0], &byte, 1, 0), -ETIME);
    assert_true(pier_now() >= deadline);
    assert_int_equal(pier_close(pair[0]), 0);
    assert_int_equal(pier_close(pair[1]), 0);
}

TEST(deadline_with_a_time_out_of_0_still_does_not_wait)
{
    int pair[2];
    scene_pair("tcp", pair);
    char byte;
    assert_int_equal(pier_settimeout(pair[0], 0), 0);
    assert_int_equal(pier_setdeadline(pair[0], pier_after(1000)), 0);
    assert_int_equal(pier_recv(pair[0], &byte, 1, 0), -EAGAIN);
    assert_int_equal(pier_setdeadline(pair[0], pier_now()), 0);
    assert_int_equal(pier_recv(pair[0], &byte, 1, 0), -ETIME);
    assert_int_equal(pier_close(pair[0]), 0);
    assert_int_equal(pier_close(pair[1]), 0);
}

/* Python asks once, however short the time-out: what is there is received. */
TEST(shortest_time_out_still_gets_what_is_there)
{
    int pair[2];
    scene_pair("tcp", pair);
    char bytes[4];
    assert_int_equal(pier_settimeout(pair[0], 1e-12), 0);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(pier_send(pair[1], "abcd", 4, 0), 4);
        assert_int_equal(pier_wait_readable(pair[0], PIER_NEVER), 0);
        assert_int_equal(pier_recv(pair[0], bytes, 4, 0), 4);
        assert_int_equal(pier_recv(pair[0], bytes, 4, 0), -ETIME);
    }
    pier_addr at;
    int listener = scene_listener(&at), client = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(pier_settimeout(listener, 1e-12), 0);
    assert_int_equal(pier_accept(listener, NULL), -ETIME);
    assert_int_equal(pier_connect(client, at), 0);
    assert_int_equal(pier_wait_readable(listener, PIER_NEVER), 0);
    int s = pier_accept(listener, NULL);
    assert_true(s >= 0);
    int all[] = {s, client, listener, pair[0], pair[1]};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(pier_close(all[i]), 0);
}

TEST(shortest_time_out_is_long_enough_for_a_first_step)
{
    int pair[2];
    scene_pair("tcp", pair);
    pier_addr at;
    int listener = scene_listener(&at);
    assert_int_equal(pier_settimeout(pair[0], 1e-12), 0);
    int64_t n;
    while ((n = pier_sendall(pair[0], "abcd", 4, 0)) != 4) /* sooner or later, on any machine */
        assert_int_equal(n, -ETIME);
    do {
        int client = pier_socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(pier_settimeout(client, 1e-12), 0);
        n = pier_connect(client, at);
        if (n != 0) assert_int_equal(n, -ETIME);
        assert_int_equal(pier_close(client), 0);
    } while (n != 0);
    int all[] = {listener, pair[0], pair[1]};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pier_close(all[i]), 0);
}

/* Signals. */

/* A.1 */
TEST(storm_of_signals_neither_ends_a_wait_early_nor_starts_it_anew)
{
    for (size_t i = 0; i < VERBS; i++) {
        int pair[2];
        stuck_pair("tcp", pair, verbs[i].sends);
        assert_int_equal(pier_settimeout(pair[0], 0.1), 0);
        int caught;
        do { /* on a machine with other work a hundred signals may come as one */
            caught = scene_signals_caught();
            scene_signal_storm(true);
            pier_time start = pier_now();
            assert_int_equal(
                verbs[i].call(pair[0]), -ETIME); /* were it started anew, it would not end */
            pier_time took = pier_now() - start;
            scene_signal_storm(false);
            assert_true(took >= PIER_SECOND / 10);
        } while (scene_signals_caught() < caught + 8);
        assert_int_equal(pier_close(pair[0]), 0);
        assert_int_equal(pier_close(pair[1]), 0);
    }
}

/* A.1: interrupted again and again, by the seam: the wait ends when a virtual clock has run out. */
static pier_time virtual_now;

static pier_time tell_virtual_time(void) { return virtual_now; }

static int interrupted_poll(struct pollfd *fds, nfds_t count, pier_time deadline)
{
    (void)fds, (void)count;
    virtual_now += PIER_SECOND / 10; /* part of the wait is over, then a signal comes */
    assert_true(deadline == 1000 * PIER_SECOND + PIER_SECOND);
    return virtual_now >= deadline ? 0 : -EINTR;
}

TEST(interrupted_wait_goes_on_to_the_same_point)
{
    int pair[2];
    scene_pair("tcp", pair);
    assert_int_equal(pier_settimeout(pair[0], 1), 0);
    virtual_now = 1000 * PIER_SECOND;
    seams_install();
    seams_replace(now, tell_virtual_time);
    seams_replace(poll, interrupted_poll);
    char byte;
    assert_int_equal(pier_recv(pair[0], &byte, 1, 0), -ETIME);
    assert_int_equal(seams_calls(poll), 10);
    assert_true(virtual_now == 1001 * PIER_SECOND);
    seams_remove();
    assert_int_equal(pier_close(pair[0]), 0);
    assert_int_equal(pier_close(pair[1]), 0);
}

static int64_t recv_one(void *arg)
{
    char byte;
    return pier_recv(*(int *)arg, &byte, 1, 0);
}

/* A.1 */
TEST(storm_of_signals_does_not_end_a_wait_without_a_limit)
{
    for (const char *const *kind = scene_kinds(); *kind; kind++) {
        int pair[2];
        scene_pair(*kind, pair);
        struct scene_call call;
        scene_catch_signals();
        scene_start(&call, recv_one, &pair[0]);
        scene_await_blocked(&call);
        for (int i = 0; i < 20; i++) {
            scene_signal(&call);
            test_sleep(0.0005);
        }
        scene_await_blocked(&call);
        assert_int_equal(pier_send(pair[1], "x", 1, 0), 1);
        assert_int_equal(scene_finish(&call), 1);
        assert_int_equal(pier_close(pair[0]), 0);
        assert_int_equal(pier_close(pair[1]), 0);
    }
}

/* Whole conversations. */

struct flood {
    int s;
    _Atomic bool over;
};

static void *flood(void *arg)
{
    struct flood *f = arg;
    static const char bytes[8192];
    while (!atomic_load(&f->over)) {
        if (pier_send(f->s, bytes, sizeof bytes, MSG_DONTWAIT) < 0) test_sleep(0.0001);
    }
    return NULL;
}

TEST(flood_does_not_outlive_the_deadline)
{
    int pair[2];
    scene_pair("tcp", pair);
    struct flood f = {.s = pair[1]};
    pthread_t thread = test_thread(flood, &f);
    pier_time deadline = pier_after(0.1);
    assert_int_equal(pier_setdeadline(pair[0], deadline), 0);
    ssize_t n;
    while ((n = pier_recv(pair[0], scratch, sizeof scratch, 0)) > 0) {
    }
    assert_int_equal(n, -ETIME);
    assert_true(pier_now() >= deadline);
    atomic_store(&f.over, true);
    test_join(thread);
    assert_int_equal(pier_close(pair[0]), 0);
    assert_int_equal(pier_close(pair[1]), 0);
}

static void *drip(void *arg)
{
    struct flood *f = arg;
    while (!atomic_load(&f->over)) {
        pier_send(f->s, "x", 1, 0);
        test_sleep(0.005);
    }
    return NULL;
}

/* B.30: per operation each byte is in time. */
TEST(peer_that_drips_a_byte_now_and_then_does_not_outlive_the_deadline)
{
    int pair[2];
    scene_pair("tcp", pair);
    struct flood f = {.s = pair[1]};
    pthread_t thread = test_thread(drip, &f);
    pier_time deadline = pier_after(0.1);
    assert_int_equal(pier_settimeout(pair[0], 10), 0);
    assert_int_equal(pier_setdeadline(pair[0], deadline), 0);
    ssize_t n;
    while ((n = pier_recv(pair[0], scratch, sizeof scratch, 0)) > 0) {
    }
    assert_int_equal(n, -ETIME);
    assert_true(pier_now() >= deadline);
    atomic_store(&f.over, true);
    test_join(thread);
    assert_int_equal(pier_close(pair[0]), 0);
    assert_int_equal(pier_close(pair[1]), 0);
}

static void *sip(void *arg)
{
    struct flood *f = arg;
    char some[512];
    while (!atomic_load(&f->over)) {
        (void)!pier_recv(f->s, some, sizeof some, MSG_DONTWAIT);
        test_sleep(0.002);
    }
    return NULL;
}

/* B.30: the time-out is for the whole sendall, not for each part that goes. */
TEST(sendall_to_a_slow_reader_ends_at_its_one_deadline_and_tells_what_went)
{
    int pair[2], small = 4096;
    scene_pair("unix stream", pair);
    assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    struct flood f = {.s = pair[1]};
    pthread_t thread = test_thread(sip, &f);
    static char much[4000000];
    size_t moved = 0;
    for (double limit = 0.15; moved == 0; limit *= 2) { /* until some goes, on any machine */
        assert_int_equal(pier_settimeout(pair[0], limit), 0);
        pier_time start = pier_now();
        assert_int_equal(pier_sendall(pair[0], much, sizeof much, 0), -ETIME);
        ASSERT_NOT_BEFORE(start, limit);
        moved = pier_error_moved();
    }
    assert_true(moved < sizeof much);
    atomic_store(&f.over, true);
    test_join(thread);
    assert_int_equal(pier_close(pair[0]), 0);
    assert_int_equal(pier_close(pair[1]), 0);
}

/* B.31 */
TEST(peer_that_never_reads_is_left_at_the_deadline_and_what_went_is_told)
{
    int pair[2];
    scene_pair("tcp", pair);
    static char much[16000000];
    size_t moved = 0;
    for (double limit = 0.05; moved == 0; limit *= 2) { /* until some goes, on any machine */
        assert_int_equal(pier_setdeadline(pair[0], pier_after(limit)), 0);
        assert_int_equal(pier_sendall(pair[0], much, sizeof much, 0), -ETIME);
        moved = pier_error_moved();
    }
    assert_true(moved < sizeof much);
    assert_non_null(strstr(pier_error(), ", after "));
    assert_int_equal(pier_close(pair[0]), 0);
    size_t arrived = 0;
    ssize_t n;
    while ((n = pier_recv(pair[1], scratch, sizeof scratch, 0)) > 0)
        arrived += (size_t)n;
    assert_int_equal(n, 0);
    assert_true(arrived == moved); /* not one byte more or less */
    assert_int_equal(pier_close(pair[1]), 0);
}

/* Waiting for readiness. */

TEST(wait_has_its_own_limit_and_not_the_time_out)
{
    int pair[2];
    scene_pair("tcp", pair);
    assert_int_equal(pier_settimeout(pair[0], 0), 0);
    pier_time start = pier_now();
    assert_int_equal(pier_wait_readable(pair[0], pier_after(0.02)), -ETIME);
    ASSERT_NOT_BEFORE(start, 0.02);
    assert_int_equal(pier_wait_writable(pair[0], pier_now()), 0);
    assert_int_equal(pier_wait_readable(pair[0], pier_now()), -ETIME); /* only looks */
    assert_int_equal(pier_send(pair[1], "x", 1, 0), 1);
    assert_int_equal(pier_wait_readable(pair[0], PIER_NEVER), 0);
    assert_int_equal(pier_wait_readable(pair[0], 1), 0); /* long past, and yet it looks */
    assert_int_equal(pier_wait_readable(pair[0], pier_after(-1)), -EINVAL);
    scene_fill(pair[0]);
    assert_int_equal(pier_wait_writable(pair[0], pier_after(0.01)), -ETIME);
    assert_int_equal(pier_setdeadline(pair[0], pier_after(0.01)), 0);
    assert_int_equal(pier_wait_writable(pair[0], PIER_NEVER), -ETIME); /* the socket's own */
    assert_int_equal(pier_close(pair[1]), 0);
    assert_int_equal(pier_wait_readable(pair[0], PIER_NEVER), 0); /* the end, too, is something */
    assert_int_equal(pier_close(pair[0]), 0);
}

TEST(wait_survives_a_storm_of_signals)
{
    int pair[2];
    scene_pair("unix dgram", pair);
    scene_signal_storm(true);
    pier_time start = pier_now();
    assert_int_equal(pier_wait_readable(pair[0], pier_after(0.05)), -ETIME);
    pier_time took = pier_now() - start;
    scene_signal_storm(false);
    assert_true(took >= PIER_SECOND / 20);
    assert_int_equal(pier_close(pair[0]), 0);
    assert_int_equal(pier_close(pair[1]), 0);
}

TEST(accept_times_out_at_the_limit_and_not_before)
{
    pier_addr at, peer;
    int listener = scene_listener(&at);
    assert_int_equal(pier_settimeout(listener, 0.02), 0);
    pier_time start = pier_now();
    assert_int_equal(pier_accept(listener, &peer), -ETIME);
    ASSERT_NOT_BEFORE(start, 0.02);
    assert_int_equal(peer.error, -ETIME);
    assert_int_equal(pier_settimeout(listener, INFINITY), 0);
    pier_time deadline = pier_after(0.02);
    assert_int_equal(pier_setdeadline(listener, deadline), 0);
    scene_signal_storm(true);
    int err = pier_accept(listener, NULL);
    scene_signal_storm(false);
    assert_int_equal(err, -ETIME);
    assert_true(pier_now() >= deadline);
    assert_int_equal(pier_close(listener), 0);
}

/* Connections that fail while they are accepted do not start the time-out anew. */
static int broken_accept(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    (void)fd, (void)addr, (void)len, (void)flags;
    virtual_now += PIER_SECOND / 4;
    return -ECONNABORTED;
}

static int ready_poll(struct pollfd *fds, nfds_t count, pier_time deadline)
{
    if (fds[0].fd < 0 && count < 3) { /* a nap */
        virtual_now = deadline;
        return 0;
    }
    fds[0].revents = fds[0].events;
    for (nfds_t i = 1; i < count; i++)
        fds[i].revents = 0;
    return 1;
}

TEST(accept_keeps_its_one_limit_over_connections_that_fail)
{
    pier_addr at;
    int listener = scene_listener(&at);
    assert_int_equal(pier_settimeout(listener, 1), 0);
    int client = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(pier_connect(client, at), 0); /* so that there is something */
    virtual_now = 1000 * PIER_SECOND;
    seams_install();
    seams_replace(now, tell_virtual_time);
    seams_replace(accept4, broken_accept);
    seams_replace(poll, ready_poll);
    assert_int_equal(pier_accept(listener, NULL), -ETIME);
    assert_true(virtual_now >= 1001 * PIER_SECOND);
    assert_true(seams_calls(accept4) <= 4);
    seams_remove();
    assert_int_equal(pier_close(client), 0);
    assert_int_equal(pier_close(listener), 0);
}

/* A filter of system calls that forbids accept4(2) looks like a firewall's EPERM, for ever. */
TEST(accept_that_is_always_forbidden_neither_spins_nor_hangs)
{
    pier_addr at;
    int listener = scene_listener(&at), client = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(pier_connect(client, at), 0);
    seams_install();
    seams_fail_from(accept4, 1, -EPERM);
    assert_int_equal(pier_settimeout(listener, 0.05), 0);
    pier_time start = pier_now();
    assert_int_equal(pier_accept(listener, NULL), -ETIME);
    ASSERT_NOT_BEFORE(start, 0.05);
    assert_true(seams_calls(accept4) <= 64 * 52); /* 64 and a pause of 1 ms */
    assert_int_equal(pier_settimeout(listener, 0), 0);
    seams_fail_from(accept4, 1, -EPERM);
    assert_int_equal(pier_accept(listener, NULL), -EAGAIN);
    seams_remove();
    assert_int_equal(pier_close(listener), 0);
    assert_int_equal(pier_close(client), 0);
}

TEST(accepted_socket_that_cannot_be_adopted_is_closed)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(pier_bind(fd, pier_inet("127.0.0.1", 0)), 0);
    assert_int_equal(pier_listen(fd, 1), 0);
    pier_addr at;
    assert_int_equal(pier_getsockname(fd, &at), 0);
    int client = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(pier_connect(client, at), 0);
    int before = test_fd_count();
    seams_install();
    seams_fail(getsockopt, 2, -ENOBUFS); /* the first asks whether it listens */
    assert_int_equal(pier_accept(fd, NULL), -ENOBUFS);
    seams_remove();
    assert_int_equal(test_fd_count(), before);
    assert_int_equal(pier_close(client), 0);
    close(fd);
}

TEST(limits_may_change_while_a_call_waits_and_hold_from_the_next_on)
{
    int pair[2];
    scene_pair("tcp", pair);
    struct scene_call call;
    scene_start(&call, recv_one, &pair[0]);
    scene_await_blocked(&call);
    assert_int_equal(pier_settimeout(pair[0], 0.01), 0);
    test_sleep(0.03);
    scene_await_blocked(&call);
    assert_int_equal(pier_send(pair[1], "x", 1, 0), 1);
    assert_int_equal(scene_finish(&call), 1);
    char byte;
    assert_int_equal(pier_recv(pair[0], &byte, 1, 0), -ETIME);
    assert_int_equal(pier_close(pair[0]), 0);
    assert_int_equal(pier_close(pair[1]), 0);
}

static int64_t recv_three_exactly(void *arg)
{
    char bytes[3];
    return pier_recv_exactly(*(int *)arg, bytes, sizeof bytes);
}

TEST(limits_hold_from_the_next_call_on_for_one_of_several_steps_too)
{
    int pair[2];
    scene_pair("tcp", pair);
    struct scene_call call;
    scene_start(&call, recv_three_exactly, &pair[0]);
    scene_await_blocked(&call);
    assert_int_equal(pier_settimeout(pair[0], 0.01), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pier_send(pair[1], "x", 1, 0), 1);
        test_sleep(0.03);
        scene_await_blocked(&call);
    }
    assert_int_equal(pier_send(pair[1], "x", 1, 0), 1);
    assert_int_equal(scene_finish(&call), 3);
    scene_close(pair);
}

/* The two kinds of late are told apart. */
TEST(own_deadline_and_the_networks_verdict_have_different_codes)
{
    int pair[2];
    scene_pair("tcp", pair);
    char byte;
    assert_int_equal(pier_settimeout(pair[0], 5), 0);
    seams_install();
    seams_fail(poll, 1, 1);
    seams_fail(recv, 1, -ETIMEDOUT);
    assert_int_equal(pier_recv(pair[0], &byte, 1, 0), -ETIMEDOUT);
    seams_remove();
    assert_string_equal(pier_errname(-ETIME), "ETIME");
    assert_int_equal(pier_close(pair[0]), 0);
    assert_int_equal(pier_close(pair[1]), 0);
}
