/* SPDX-License-Identifier: MIT */
#include "harness.h"

#include <errno.h>
#include <math.h>
#include <pier.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
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
    return s;
}

static void stop(struct server *server, double drain)
{
    int err;
    while ((err = pier_stop(server->listener, drain)) == -ESRCH)
        test_sleep(0.001); /* not yet serving */
    assert_int_equal(err, 0);
}

static int join(struct server *server)
{
    int err = (int)(intptr_t)test_join(server->thread);
    assert_int_equal(now(&server->counts.active), 0);
    assert_int_equal(pier_close(server->listener), 0);
    return err;
}

static void wait_for(const uint64_t *number, uint64_t value)
{
    while (now(number) != value)
        test_sleep(0.001);
}

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

/* Say that it is there, then wait until the test lets it go. */
static void linger(int client, void *arg)
{
    struct server *server = arg;
    atomic_fetch_add(&server->ready, 1);
    while (!atomic_load(&server->release))
        test_sleep(0.001);
    greet(client, arg);
}

TEST(at_the_limit_of_clients_accept_waits)
{
    struct server server = {.handler = linger, .opts.max_clients = 2};
    start(&server);
    int s[4];
    for (int i = 0; i < 4; i++)
        s[i] = dial(&server);
    while (atomic_load(&server.ready) < 2)
        test_sleep(0.001);
    test_sleep(0.05);
    assert_int_equal(now(&server.counts.accepted), 2);
    atomic_store(&server.release, 1);
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
    while (atomic_load(&server.ready) < 1)
        test_sleep(0.001);
    stop(&server, INFINITY);
    atomic_store(&server.release, 1);
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
    while (atomic_load(&server.ready) < 3)
        test_sleep(0.001);
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
    while (atomic_load(&server.ready) < 1)
        test_sleep(0.001);
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
    while (now(&server.counts.backoffs) < 3)
        test_sleep(0.001);
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
