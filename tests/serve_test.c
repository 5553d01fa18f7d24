/* SPDX-License-Identifier: MIT */
#include "base/seam.h"
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pier.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* A server that runs in a thread of the test. */
struct server {
    int listener;
    pier_addr at;
    void (*handler)(int client, void *arg);
    pier_serve_opts opts;
    pier_serve_counts counts;
    atomic_int ready, release; /* for handlers to meet the test */
    pthread_t thread;
};

/* When something went wrong, a test shall fail and not hang; no machine is as slow as this. */
#define PATIENCE (TEST_LIMIT / 2)

/* Wait for a fact that another thread brings about; for ever would hide that it cannot. */
#define WAIT_UNTIL(fact)                           \
    do {                                           \
        pier_time too_late = pier_after(PATIENCE); \
        while (!(fact)) {                          \
            assert_true(pier_now() < too_late);    \
            test_sleep(0.001);                     \
        }                                          \
    } while (0)

static uint64_t now(const uint64_t *number) { return __atomic_load_n(number, __ATOMIC_RELAXED); }

static void *serve(void *arg)
{
    struct server *server = arg;
    return (void *)(intptr_t)pier_serve(server->listener, server->handler, server, &server->opts);
}

/* pier_stop() must find it serving. */
static void start(struct server *server)
{
    server->listener = pier_create_server("127.0.0.1:0", NULL);
    assert_true(server->listener >= 0);
    assert_int_equal(pier_getsockname(server->listener, &server->at), 0);
    server->opts.counts = &server->counts;
    server->thread = test_thread(serve, server);
}

static int dial(const struct server *server)
{
    int s = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(pier_connect(s, server->at), 0);
    assert_int_equal(pier_setdeadline(s, pier_after(PATIENCE)), 0);
    return s;
}

static void stop(struct server *server, double drain)
{
    int err;
    WAIT_UNTIL((err = pier_stop(server->listener, drain)) != -ESRCH); /* it may not yet serve */
    assert_int_equal(err, 0);
}

static int join(struct server *server)
{
    int err = (int)(intptr_t)test_join(server->thread);
    assert_int_equal(now(&server->counts.active), 0);
    assert_int_equal(pier_close(server->listener), 0);
    return err;
}

static void wait_for(const uint64_t *number, uint64_t value) { WAIT_UNTIL(now(number) == value); }

static void expect_greeting(int s)
{
    char text[32];
    assert_int_equal(pier_recv_exactly(s, text, 24), 24);
    assert_memory_equal(text, "Thank you for connecting", 24);
    assert_int_equal(pier_recv(s, text, sizeof text, 0), 0);
    assert_int_equal(pier_close(s), 0);
}

static void greet(int client, void *arg)
{
    (void)arg;
    assert_int_equal(pier_sendall(client, "Thank you for connecting", 24, 0), 24);
}

TEST(each_client_is_served_and_closed_after_its_handler)
{
    struct server server = {.handler = greet};
    start(&server);
    for (int i = 0; i < 100; i++) {
        expect_greeting(dial(&server));
    }
    stop(&server, 1);
    assert_int_equal(join(&server), 0);
    assert_int_equal(server.counts.accepted, 100);
    assert_int_equal(server.counts.rejected, 0);
    assert_true(server.counts.peak >= 1);
}

static pthread_mutex_t release_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t released = PTHREAD_COND_INITIALIZER;

static void let_go(struct server *server)
{
    pthread_mutex_lock(&release_lock);
    atomic_store(&server->release, 1);
    pthread_cond_broadcast(&released);
    pthread_mutex_unlock(&release_lock);
}

/*
 * Say that it is there, then wait until the test lets it go: asleep, since hundreds of threads that
 * look again and again leave no time for the one that is to let them go.
 */
static void linger(int client, void *arg)
{
    struct server *server = arg;
    atomic_fetch_add(&server->ready, 1);
    pthread_mutex_lock(&release_lock);
    while (!atomic_load(&server->release))
        pthread_cond_wait(&released, &release_lock);
    pthread_mutex_unlock(&release_lock);
    greet(client, arg);
}

TEST(at_the_limit_of_clients_accept_waits)
{
    struct server server = {.handler = linger, .opts.max_clients = 2};
    start(&server);
    int s[4];
    for (int i = 0; i < 4; i++)
        s[i] = dial(&server);
    WAIT_UNTIL(atomic_load(&server.ready) >= 2);
    test_sleep(0.05);
    assert_int_equal(now(&server.counts.accepted), 2);
    let_go(&server);
    for (int i = 0; i < 4; i++)
        expect_greeting(s[i]);
    stop(&server, 1);
    assert_int_equal(join(&server), 0);
    assert_int_equal(server.counts.accepted, 4);
    assert_int_equal(server.counts.peak, 2);
}

TEST(stop_serves_the_clients_that_are_queued)
{
    struct server server = {.handler = linger, .opts.max_clients = 1};
    start(&server);
    int s[5];
    for (int i = 0; i < 5; i++)
        s[i] = dial(&server);
    WAIT_UNTIL(atomic_load(&server.ready) >= 1);
    stop(&server, INFINITY);
    let_go(&server);
    for (int i = 0; i < 5; i++)
        expect_greeting(s[i]);
    assert_int_equal(join(&server), 0);
    assert_int_equal(server.counts.accepted, 5);
}

static void receive_for_ever(int client, void *arg)
{
    struct server *server = arg;
    char byte;
    atomic_fetch_add(&server->ready, 1);
    assert_int_equal(pier_recv(client, &byte, 1, 0), -ECANCELED);
    assert_int_equal(pier_send(client, "x", 1, 0), -ECANCELED);
    assert_int_equal(pier_recv_exactly(client, &byte, 1), -ECANCELED);
}

TEST(at_the_end_of_the_drain_the_calls_of_clients_are_canceled)
{
    struct server server = {.handler = receive_for_ever};
    start(&server);
    int s[3];
    for (int i = 0; i < 3; i++)
        s[i] = dial(&server);
    WAIT_UNTIL(atomic_load(&server.ready) >= 3);
    pier_time due = pier_after(0.05);
    stop(&server, 0.05);
    assert_int_equal(join(&server), 0);
    assert_true(pier_now() >= due);
    assert_int_equal(server.counts.canceled, 3);
    char byte;
    for (int i = 0; i < 3; i++) {
        assert_true(pier_recv(s[i], &byte, 1, 0) <= 0);
        assert_int_equal(pier_close(s[i]), 0);
    }
}

TEST(a_second_stop_shortens_the_drain_and_never_lengthens_it)
{
    struct server server = {.handler = receive_for_ever};
    start(&server);
    int s = dial(&server);
    WAIT_UNTIL(atomic_load(&server.ready) >= 1);
    stop(&server, INFINITY);
    test_sleep(0.02);
    assert_int_equal(now(&server.counts.active), 1);
    stop(&server, 0);
    assert_int_equal(join(&server), 0);
    assert_int_equal(server.counts.canceled, 1);
    assert_int_equal(pier_close(s), 0);
}

static void close_early(int client, void *arg)
{
    (void)arg;
    assert_int_equal(pier_sendall(client, "Thank you for connecting", 24, 0), 24);
    assert_int_equal(pier_close(client), 0);
    int again = pier_socket(AF_INET, SOCK_STREAM, 0); /* has the client's number, as a rule */
    test_sleep(0.01);
    assert_int_equal(pier_close(again), 0);
}

TEST(a_handler_may_close_its_client)
{
    struct server server = {.handler = close_early};
    start(&server);
    for (int i = 0; i < 10; i++)
        expect_greeting(dial(&server));
    stop(&server, 1);
    assert_int_equal(join(&server), 0);
}

static atomic_int detached;

static void take_away(int client, void *arg)
{
    (void)arg;
    atomic_store(&detached, pier_detach(client));
}

TEST(a_handler_may_detach_its_client)
{
    struct server server = {.handler = take_away};
    atomic_store(&detached, -1);
    start(&server);
    int s = dial(&server);
    wait_for(&server.counts.accepted, 1);
    wait_for(&server.counts.active, 0);
    int fd = atomic_load(&detached);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "x", 1), 1);
    char byte;
    assert_int_equal(pier_recv(s, &byte, 1, 0), 1);
    assert_int_equal(close(fd), 0);
    assert_int_equal(pier_close(s), 0);
    stop(&server, 1);
    assert_int_equal(join(&server), 0);
}

static volatile sig_atomic_t to_stop;
static volatile sig_atomic_t stopped;

static void on_signal(int signal)
{
    (void)signal;
    stopped = pier_stop(to_stop, 1) == 0;
}

TEST(a_signal_handler_may_stop_it)
{
    struct server server = {.handler = greet};
    start(&server);
    expect_greeting(dial(&server));
    to_stop = server.listener;
    signal(SIGUSR1, on_signal);
    pthread_kill(server.thread, SIGUSR1);
    assert_int_equal(join(&server), 0);
    assert_true(stopped);
}

TEST(closing_the_listener_ends_it)
{
    struct server server = {.handler = greet};
    start(&server);
    expect_greeting(dial(&server));
    assert_int_equal(pier_close(server.listener), 0);
    assert_int_equal((int)(intptr_t)test_join(server.thread), -ECANCELED);
}

static void nobody(int client, void *arg)
{
    (void)client;
    (void)arg;
}

TEST(bad_arguments_are_named)
{
    int s = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(pier_serve(s, nobody, NULL, NULL), -EINVAL); /* it does not listen */
    assert_int_equal(pier_close(s), 0);
    assert_int_equal(pier_serve(s, nobody, NULL, NULL), -EBADF);
    assert_int_equal(pier_serve(-ENFILE, nobody, NULL, NULL), -ENFILE);
    s = pier_create_server("127.0.0.1:0", NULL);
    assert_int_equal(pier_serve(s, NULL, NULL, NULL), -EINVAL);
    assert_int_equal(pier_serve(s, nobody, NULL, &(pier_serve_opts){.reserved = {1}}), -EINVAL);
    assert_int_equal(pier_serve(s, nobody, NULL, &(pier_serve_opts){.stack_size = 1}), -EINVAL);
    assert_int_equal(pier_stop(s, 0), -ESRCH);
    assert_int_equal(pier_stop(s, -1), -EINVAL);
    assert_int_equal(pier_stop(s, (double)NAN), -EINVAL);
    assert_int_equal(pier_stop(-EBADF, 1), -EBADF);
    assert_int_equal(pier_close(s), 0);
}

TEST(a_listener_is_served_once_at_a_time)
{
    struct server server = {.handler = greet};
    start(&server);
    expect_greeting(dial(&server));
    assert_int_equal(pier_serve(server.listener, greet, NULL, NULL), -EBUSY);
    stop(&server, 1);
    assert_int_equal((int)(intptr_t)test_join(server.thread), 0);
    server.thread = test_thread(serve, &server); /* and again afterwards */
    expect_greeting(dial(&server));
    stop(&server, 1);
    assert_int_equal(join(&server), 0);
}

TEST(a_deadline_of_the_listener_ends_it)
{
    struct server server = {.handler = greet};
    server.listener = pier_create_server("127.0.0.1:0", NULL);
    pier_time due = pier_after(0.05);
    assert_int_equal(pier_setdeadline(server.listener, due), 0);
    assert_int_equal(pier_serve(server.listener, greet, NULL, NULL), -ETIME);
    assert_true(pier_now() >= due);
    assert_int_equal(pier_close(server.listener), 0);
}

TEST(without_descriptors_it_pauses_and_goes_on)
{
    struct server server = {.handler = greet};
    int clients[8];
    for (size_t i = 0; i < 8; i++)
        clients[i] = pier_socket(AF_INET, SOCK_STREAM, 0);
    start(&server);
    expect_greeting(dial(&server)); /* the server is there, with its wake descriptor */
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 3; /* every number below is taken */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(pier_connect(clients[i], server.at), 0);
    WAIT_UNTIL(now(&server.counts.backoffs) >= 3);
    assert_true(now(&server.counts.backoffs) < 1000); /* it does not spin */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    for (size_t i = 0; i < 8; i++)
        expect_greeting(clients[i]);
    stop(&server, 1);
    assert_int_equal(join(&server), 0);
    assert_int_equal(server.counts.accepted, 9);
}

/* Clients come and go while the server is stopped: each is served, or never accepted. */
static void *storm(void *arg)
{
    const struct server *server = arg;
    for (int i = 0; i < 200; i++) {
        int s = pier_socket(AF_INET, SOCK_STREAM, 0);
        char text[32];
        if (pier_connect(s, server->at) == 0) {
            (void)pier_settimeout(s, 0.5);
            ssize_t n = pier_recv_exactly(s, text, 24);
            assert_true(n == 24 || n < 0 || n == 0);
        }
        assert_int_equal(pier_close(s), 0);
    }
    return NULL;
}

TEST(stopping_in_a_storm_of_clients_loses_no_handler)
{
    struct server server = {.handler = greet, .opts.max_clients = 8};
    start(&server);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        threads[i] = test_thread(storm, &server);
    test_sleep(0.05);
    stop(&server, 1);
    assert_int_equal((int)(intptr_t)test_join(server.thread), 0);
    assert_int_equal(now(&server.counts.active), 0);
    assert_int_equal(pier_close(server.listener), 0);
    for (int i = 0; i < 4; i++)
        test_join(threads[i]);
}

TEST(hundreds_of_clients_are_served_at_once)
{
    enum { MANY = 300 };
    struct server server = {.handler = linger};
    start(&server);
    int s[MANY];
    for (int i = 0; i < MANY; i++)
        s[i] = dial(&server);
    WAIT_UNTIL(atomic_load(&server.ready) == MANY);
    assert_int_equal(now(&server.counts.active), MANY);
    let_go(&server);
    for (int i = 0; i < MANY; i++)
        expect_greeting(s[i]);
    stop(&server, 10);
    assert_int_equal(join(&server), 0);
    assert_int_equal(server.counts.peak, MANY);
    assert_int_equal(server.counts.canceled, 0);
}

TEST(a_unix_listener_is_served_and_drained)
{
    char text[600];
    (void)snprintf(text, sizeof text, "unix:%s", test_path("x.sock"));
    struct server server = {.handler = linger, .opts.max_clients = 1};
    server.listener = pier_create_server(text, NULL);
    server.opts.counts = &server.counts;
    server.thread = test_thread(serve, &server);
    int s[3];
    for (int i = 0; i < 3; i++)
        s[i] =
            pier_create_connection(text, &(pier_connection_opts){.deadline = pier_after(PATIENCE)});
    WAIT_UNTIL(atomic_load(&server.ready) == 1);
    stop(&server, INFINITY);
    let_go(&server);
    for (int i = 0; i < 3; i++)
        expect_greeting(s[i]);
    assert_int_equal(join(&server), 0);
    assert_int_equal(server.counts.accepted, 3);
}

/* A client that asks for the next one as soon as it has been greeted, without end. */
struct flood {
    struct server *server;
    atomic_int over;
};

static void *keep_dialling(void *arg)
{
    struct flood *flood = arg;
    char text[32];
    while (!atomic_load(&flood->over)) {
        int s = pier_socket(AF_INET, SOCK_STREAM, 0);
        pier_settimeout(s, 1);
        if (pier_connect(s, flood->server->at) == 0) (void)pier_recv(s, text, sizeof text, 0);
        pier_close(s);
    }
    return NULL;
}

static void greet_slowly(int client, void *arg)
{
    test_sleep(0.005);
    (void)arg;
    (void)pier_sendall(client, "Thank you for connecting", 24, 0);
}

TEST(stop_does_not_wait_for_clients_that_keep_coming)
{
    struct server server = {.handler = greet_slowly, .opts.max_clients = 2};
    struct flood flood = {.server = &server};
    start(&server);
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        threads[i] = test_thread(keep_dialling, &flood);
    wait_for(&server.counts.active, 2);
    test_sleep(0.05);
    stop(&server, INFINITY);
    assert_int_equal((int)(intptr_t)test_join(server.thread), 0);
    atomic_store(&flood.over, 1);
    assert_int_equal(pier_close(server.listener), 0);
    for (int i = 0; i < 8; i++)
        test_join(threads[i]);
}

TEST(a_drain_of_nothing_serves_nobody_who_is_queued)
{
    struct server server = {.handler = receive_for_ever, .opts.max_clients = 1};
    start(&server);
    int s[4];
    for (int i = 0; i < 4; i++)
        s[i] = dial(&server);
    WAIT_UNTIL(atomic_load(&server.ready) == 1);
    stop(&server, 0);
    assert_int_equal(join(&server), 0);
    assert_int_equal(server.counts.accepted, 1);
    for (int i = 0; i < 4; i++)
        pier_close(s[i]);
}

TEST(stop_and_close_in_one_breath_is_no_failure)
{
    for (int i = 0; i < 20; i++) {
        struct server server = {.handler = greet};
        start(&server);
        expect_greeting(dial(&server));
        stop(&server, 1);
        assert_int_equal(pier_close(server.listener), 0);
        assert_int_equal((int)(intptr_t)test_join(server.thread), 0);
    }
}

TEST(a_closed_listener_lets_its_clients_finish)
{
    struct server server = {.handler = linger};
    start(&server);
    int s = dial(&server);
    WAIT_UNTIL(atomic_load(&server.ready) == 1);
    assert_int_equal(pier_close(server.listener), 0);
    test_sleep(0.02);
    assert_int_equal(now(&server.counts.active), 1);
    let_go(&server);
    expect_greeting(s);
    assert_int_equal((int)(intptr_t)test_join(server.thread), -ECANCELED);
}

static void leave_the_thread(int client, void *arg)
{
    greet(client, arg);
    pthread_exit(NULL);
}

TEST(a_handler_may_end_its_thread)
{
    struct server server = {.handler = leave_the_thread};
    start(&server);
    for (int i = 0; i < 10; i++)
        expect_greeting(dial(&server));
    stop(&server, 5);
    assert_int_equal(join(&server), 0);
    assert_int_equal(server.counts.accepted, 10);
}

static void fork_and_return(int client, void *arg)
{
    pid_t child = fork();
    if (child == 0) return; /* ends the child */
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(
        WIFEXITED(status)); /* a leak checker minds the stacks of threads that are not there */
    greet(client, arg);
}

TEST(a_handler_may_fork)
{
    struct server server = {.handler = fork_and_return};
    start(&server);
    for (int i = 0; i < 5; i++)
        expect_greeting(dial(&server));
    stop(&server, 5);
    assert_int_equal(join(&server), 0);
}

/* The handler closes its client, and the number goes to a socket that is not pier_serve()'s. */
static void close_and_reopen(int client, void *arg)
{
    struct server *server = arg;
    assert_int_equal(pier_close(client), 0);
    int other[2];
    assert_int_equal(pier_socketpair(AF_UNIX, SOCK_STREAM, 0, other), 0);
    atomic_fetch_add(&server->ready, 1);
    while (!atomic_load(&server->release))
        test_sleep(0.001);
    char byte;
    assert_int_equal(pier_send(other[0], "x", 1, 0), 1);
    assert_int_equal(pier_recv(other[1], &byte, 1, 0), 1);
    assert_int_equal(pier_close(other[0]), 0);
    assert_int_equal(
        pier_recv(other[1], &byte, 1, 0), 0); /* really closed, though the drain is over */
    assert_int_equal(pier_close(other[1]), 0);
}

TEST(the_end_of_the_drain_spares_a_number_that_is_somebody_elses)
{
    struct server server = {.handler = close_and_reopen};
    start(&server);
    int s = dial(&server);
    WAIT_UNTIL(atomic_load(&server.ready) == 1);
    stop(&server, 0);
    test_sleep(0.02);
    let_go(&server);
    assert_int_equal(join(&server), 0);
    assert_int_equal(server.counts.canceled, 0);
    pier_close(s);
}

static int no_thread(pthread_t *out, const pthread_attr_t *attr, void *(*begin)(void *), void *arg)
{
    (void)out, (void)attr, (void)begin, (void)arg;
    return -EAGAIN;
}

TEST(a_client_for_whom_there_is_no_thread_is_turned_away_and_counted)
{
    struct server server = {.handler = greet};
    struct pier__seam seam = pier__seam_system;
    seam.thread = no_thread;
    pier__seam = &seam; /* which the server's thread will use, too */
    start(&server);
    char byte;
    for (uint64_t i = 1; i <= 3; i++) {
        int s = dial(&server);
        assert_true(pier_recv(s, &byte, 1, 0) <= 0);
        wait_for(&server.counts.rejected, i);
        pier_close(s);
    }
    stop(&server, 1);
    assert_int_equal(join(&server), 0);
    assert_int_equal(server.counts.accepted, 3);
    assert_true(server.counts.backoffs >= 3);
    pier__seam = &pier__seam_system;
}

static _Atomic int refusals;

static int accept_badly(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    static const int codes[] = {-ECONNABORTED, -EPROTO, -ENETDOWN, -EPERM, -EINTR, -EHOSTUNREACH,
        -ENOBUFS, -ENOMEM, -EMFILE, -ENFILE};
    int i = atomic_fetch_add(&refusals, 1);
    if (i < 10) return codes[i];
    return pier__seam_system.accept4(fd, addr, len, flags);
}

TEST(what_accept_may_say_of_a_client_does_not_end_the_server)
{
    struct server server = {.handler = greet};
    struct pier__seam seam = pier__seam_system;
    seam.accept4 = accept_badly;
    pier__seam = &seam;
    start(&server);
    expect_greeting(dial(&server));
    stop(&server, 1);
    assert_int_equal(join(&server), 0);
    assert_int_equal(server.counts.backoffs, 4);
    pier__seam = &pier__seam_system;
}

static atomic_int alarms;

static void on_alarm(int signal)
{
    (void)signal;
    atomic_fetch_add(&alarms, 1);
}

/* Noise interrupts without a signal; that is not meant. */
static int interrupt(void *arg)
{
    (void)arg;
    return atomic_load(&alarms) > 0;
}

static void *serve_with_hook(void *arg)
{
    pier_sethook(interrupt, NULL);
    return serve(arg);
}

TEST(the_hook_ends_it_and_cancels_its_clients)
{
    struct server server = {.handler = receive_for_ever};
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGUSR1, &action, NULL);
    server.listener = pier_create_server("127.0.0.1:0", NULL);
    assert_int_equal(pier_getsockname(server.listener, &server.at), 0);
    server.opts.counts = &server.counts;
    server.thread = test_thread(serve_with_hook, &server);
    int s = dial(&server);
    WAIT_UNTIL(atomic_load(&server.ready) == 1);
    pier_time patience = pier_after(PATIENCE);
    while (now(&server.counts.canceled) < 1) {
        assert_true(pier_now() < patience);
        pthread_kill(server.thread, SIGUSR1);
        test_sleep(0.01);
    }
    assert_int_equal(join(&server), -EINTR);
    pier_close(s);
}

TEST(signals_alone_do_not_end_it)
{
    struct server server = {.handler = greet};
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval often = {{0, 2000}, {0, 2000}};
    start(&server);
    setitimer(ITIMER_REAL, &often, NULL);
    for (int i = 0; i < 50; i++)
        expect_greeting(dial(&server));
    stop(&server, 5);
    assert_int_equal(join(&server), 0);
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 0}}, NULL);
    assert_int_equal(server.counts.accepted, 50);
}

TEST(the_time_out_of_the_listener_does_not_end_it)
{
    struct server server = {.handler = greet};
    pier_setdefaulttimeout(0.02);
    start(&server);
    pier_setdefaulttimeout(INFINITY);
    test_sleep(0.1);
    expect_greeting(dial(&server));
    stop(&server, 1);
    assert_int_equal(join(&server), 0);
}

static void *stop_often(void *arg)
{
    const struct server *server = arg;
    int err;
    for (int i = 0; i < 100; i++) {
        err = pier_stop(server->listener, 1);
        assert_true(err == 0 || err == -ESRCH);
    }
    while (pier_stop(server->listener, 0) == 0)
        test_sleep(0.0001);
    return NULL;
}

TEST(many_threads_may_stop_it)
{
    for (int round = 0; round < 20; round++) {
        struct server server = {.handler = greet};
        start(&server);
        expect_greeting(dial(&server));
        pthread_t threads[4];
        for (int i = 0; i < 4; i++)
            threads[i] = test_thread(stop_often, &server);
        assert_int_equal((int)(intptr_t)test_join(server.thread), 0);
        for (int i = 0; i < 4; i++)
            test_join(threads[i]);
        assert_int_equal(pier_stop(server.listener, 0), -ESRCH);
        assert_int_equal(pier_close(server.listener), 0);
    }
}

static int served_by[2];

static void tell_who(int client, void *arg)
{
    (void)pier_sendall(client, *(char *)arg == 'a' ? "a" : "b", 1, 0);
}

TEST(two_processes_serve_one_listener_and_one_of_them_may_stop)
{
    int listener = pier_create_server("127.0.0.1:0", NULL);
    pier_addr at;
    assert_int_equal(pier_getsockname(listener, &at), 0);
    pid_t children[2];
    for (int i = 0; i < 2; i++) {
        children[i] = fork();
        if (children[i] != 0) continue;
        to_stop = listener;
        signal(SIGTERM, on_signal);
        char name = i ? 'b' : 'a';
        _exit(pier_serve(listener, tell_who, &name, NULL) == 0 ? 0 : 1);
    }
    assert_int_equal(pier_close(listener), 0);
    for (int round = 0; round < 2; round++) {
        served_by[0] = served_by[1] = 0;
        for (int i = 0; i < 40; i++) {
            char who;
            int s = pier_socket(AF_INET, SOCK_STREAM, 0);
            assert_int_equal(pier_connect(s, at), 0);
            assert_int_equal(pier_setdeadline(s, pier_after(PATIENCE)), 0);
            assert_int_equal(pier_recv_exactly(s, &who, 1), 1);
            served_by[who == 'b']++;
            pier_close(s);
        }
        if (round == 1) break;
        int status;
        assert_int_equal(kill(children[0], SIGTERM), 0);
        assert_int_equal(waitpid(children[0], &status, 0), children[0]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(served_by[0], 0);
    assert_int_equal(served_by[1], 40);
    int status;
    assert_int_equal(kill(children[1], SIGTERM), 0);
    assert_int_equal(waitpid(children[1], &status, 0), children[1]);
    assert_int_equal(status, 0);
}
