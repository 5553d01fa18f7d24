/* SPDX-License-Identifier: MIT */
/*
 * A connect(2) on AF_UNIX that a signal interrupts has not begun, unlike one over IP: it waited for room in
 * the listener's queue. Taken for under way, it counted as done without a connection.
 */
#include "harness.h"

#include <pier.h>
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <unistd.h>

static void nothing(int signal) { (void)signal; }

/* Signals every millisecond, which restart no call. */
static void storm(bool on)
{
    sigaction(SIGALRM, &(struct sigaction){.sa_handler = nothing}, NULL);
    suseconds_t us = on ? 1000 : 0;
    setitimer(
        ITIMER_REAL, &(struct itimerval){.it_value.tv_usec = us, .it_interval.tv_usec = us}, NULL);
}

static void *accept_late(void *arg)
{
    int listener = *(int *)arg;
    test_sleep(0.05);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pier_close(pier_accept(listener, NULL)), 0);
    return NULL;
}

static void connect_to_a_full_queue(int s)
{
    char path[120];
    (void)snprintf(path, sizeof path, "%s/s", test_tmpdir());
    int listener = pier_socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(pier_bind(listener, pier_unix(path)), 0);
    assert_int_equal(pier_listen(listener, 0), 0);
    int first = pier_socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(pier_connect(first, pier_unix(path)), 0);

    sigset_t alarm;
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &alarm, NULL); /* the signals are for this thread alone */
    pthread_t acceptor = test_thread(accept_late, &listener);
    pthread_sigmask(SIG_UNBLOCK, &alarm, NULL);
    storm(true);
    assert_int_equal(pier_connect(s, pier_unix(path)), 0);
    storm(false);
    pier_addr peer;
    assert_int_equal(pier_getpeername(s, &peer), 0);
    test_join(acceptor);
    pier_close(first);
    pier_close(listener);
}

TEST(a_bare_descriptor_is_connected_when_connect_says_so)
{
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    connect_to_a_full_queue(s);
    assert_int_equal(close(s), 0);
}

TEST(a_socket_is_connected_when_connect_says_so)
{
    int s = pier_socket(AF_UNIX, SOCK_STREAM, 0);
    connect_to_a_full_queue(s);
    assert_int_equal(pier_close(s), 0);
}
