/* SPDX-License-Identifier: MIT */
#include "base/bits.h"
#include "base/seam.h"
#include "harness.h"
#include "wait/switch.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pier.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
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

/* What runs the handlers in this run of the test; see pier_serve_opts.backend. */
static const char *crew;

/* A test that is run with each of them. */
#define ON_EACH(sentence)                                                \
    static void on_##sentence(void);                                     \
    TEST(sentence)                                                       \
    {                                                                    \
        static const char *const crews[] = {"thread", "epoll", "uring"}; \
        for (size_t i = 0; i < PIER_COUNT(crews); i++) {                 \
            crew = crews[i];                                             \
            on_##sentence();                                             \
        }                                                                \
    }                                                                    \
    static void on_##sentence(void)

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
    server->opts.backend = crew;
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

ON_EACH(each_client_is_served_and_closed_after_its_handler)
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

static void let_go(struct server *server) { atomic_store(&server->release, 1); }

/* Let others run meanwhile, on whatever this handler runs. */
static void pause_in_handler(void) { assert_int_equal(pier_sleep(0.001), 0); }

/* Say that it is there, then wait until the test lets it go. */
static void linger(int client, void *arg)
{
    struct server *server = arg;
    atomic_fetch_add(&server->ready, 1);
    while (!atomic_load(&server->release))
        pause_in_handler();
    greet(client, arg);
}

ON_EACH(at_the_limit_of_clients_accept_waits)
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

ON_EACH(stop_serves_the_clients_that_are_queued)
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

ON_EACH(at_the_end_of_the_drain_the_calls_of_clients_are_canceled)
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

ON_EACH(a_second_stop_shortens_the_drain_and_never_lengthens_it)
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

ON_EACH(a_handler_may_close_its_client)
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

ON_EACH(a_handler_may_detach_its_client)
{
    struct server server = {.handler = take_away};
    atomic_store(&detached, -1);
    start(&server);
    int s = dial(&server);
    WAIT_UNTIL(atomic_load(&detached) != -1);
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

ON_EACH(a_signal_handler_may_stop_it)
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

ON_EACH(closing_the_listener_ends_it)
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
    assert_int_equal(
        pier_serve(s, nobody, NULL, &(pier_serve_opts){.backend = "thread", .stack_size = 1}),
        -EINVAL);
    assert_int_equal(pier_serve(s, nobody, NULL, &(pier_serve_opts){.backend = "kqueue"}), -EINVAL);
    assert_int_equal(pier_serve(s, nobody, NULL, &(pier_serve_opts){.workers = 100000}), -EINVAL);
    assert_int_equal(
        pier_serve(s, nobody, NULL, &(pier_serve_opts){.stack_size = (size_t)1 << 40}), -EINVAL);
    assert_int_equal(pier_stop(s, 0), -ESRCH);
    assert_int_equal(pier_stop(s, -1), -EINVAL);
    assert_int_equal(pier_stop(s, (double)NAN), -EINVAL);
    assert_int_equal(pier_stop(-EBADF, 1), -EBADF);
    assert_int_equal(pier_close(s), 0);
}

ON_EACH(a_listener_is_served_once_at_a_time)
{
    struct server server = {.handler = greet};
    start(&server);
    expect_greeting(dial(&server));
    assert_int_equal(
        pier_serve(server.listener, greet, NULL, &(pier_serve_opts){.backend = crew}), -EBUSY);
    stop(&server, 1);
    assert_int_equal((int)(intptr_t)test_join(server.thread), 0);
    server.thread = test_thread(serve, &server); /* and again afterwards */
    expect_greeting(dial(&server));
    stop(&server, 1);
    assert_int_equal(join(&server), 0);
}

ON_EACH(a_deadline_of_the_listener_ends_it)
{
    struct server server = {.handler = greet};
    server.listener = pier_create_server("127.0.0.1:0", NULL);
    pier_time due = pier_after(0.05);
    assert_int_equal(pier_setdeadline(server.listener, due), 0);
    assert_int_equal(
        pier_serve(server.listener, greet, NULL, &(pier_serve_opts){.backend = crew}), -ETIME);
    assert_true(pier_now() >= due);
    assert_int_equal(pier_close(server.listener), 0);
}

ON_EACH(without_descriptors_it_pauses_and_goes_on)
{
    enum { LIMIT = 200 };
    struct server server = {.handler = greet};
    struct rlimit before, few;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur =
        LIMIT; /* before it serves: what the kernel accepts by itself keeps to the limit of then */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    int clients[8], fillers[LIMIT], filled = 0;
    for (size_t i = 0; i < 8; i++)
        clients[i] = pier_socket(AF_INET, SOCK_STREAM, 0);
    start(&server);
    expect_greeting(dial(&server)); /* the server is there, with its wake descriptor */
    wait_for(&server.counts.active, 0);
    while ((fillers[filled] = dup(0)) >= 0)
        filled++;
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(pier_connect(clients[i], server.at), 0);
    WAIT_UNTIL(now(&server.counts.backoffs) >= 3);
    assert_true(now(&server.counts.backoffs) < 1000); /* it does not spin */
    while (filled > 0)
        close(fillers[--filled]);
    for (size_t i = 0; i < 8; i++)
        expect_greeting(clients[i]);
    stop(&server, 1);
    assert_int_equal(join(&server), 0);
    assert_int_equal(server.counts.accepted, 9);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
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

ON_EACH(stopping_in_a_storm_of_clients_loses_no_handler)
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

ON_EACH(hundreds_of_clients_are_served_at_once)
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

ON_EACH(a_unix_listener_is_served_and_drained)
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
    (void)arg;
    (void)pier_sleep(0.005);
    (void)pier_sendall(client, "Thank you for connecting", 24, 0);
}

ON_EACH(stop_does_not_wait_for_clients_that_keep_coming)
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

ON_EACH(a_drain_of_nothing_serves_nobody_who_is_queued)
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

ON_EACH(stop_and_close_in_one_breath_is_no_failure)
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

ON_EACH(a_closed_listener_lets_its_clients_finish)
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

ON_EACH(a_handler_may_end_its_thread)
{
#ifdef PIER__TSAN
    if (strcmp(crew, "thread") != 0) return; /* it lets no fiber do so */
#endif
    struct server server = {.handler = leave_the_thread};
    start(&server);
    for (int i = 0; i < 10; i++)
        expect_greeting(dial(&server));
    stop(&server, 5);
    assert_int_equal(join(&server), 0); /* in tasks it has ended by now, and with NULL */
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

ON_EACH(a_handler_may_fork)
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
        (void)pier_sleep(0.001); /* which the end of the drain cancels in a task */
    char byte;
    assert_int_equal(pier_send(other[0], "x", 1, 0), 1);
    assert_int_equal(pier_recv(other[1], &byte, 1, 0), 1);
    assert_int_equal(pier_close(other[0]), 0);
    assert_int_equal(
        pier_recv(other[1], &byte, 1, 0), 0); /* really closed, though the drain is over */
    assert_int_equal(pier_close(other[1]), 0);
}

ON_EACH(the_end_of_the_drain_spares_a_number_that_is_somebody_elses)
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
    crew = "thread";
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
    assert_true(server.counts.backoffs >= 2); /* the last one may be cut short by the stop */
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

ON_EACH(what_accept_may_say_of_a_client_does_not_end_the_server)
{
    struct server server = {.handler = greet};
    struct pier__seam seam = pier__seam_system;
    seam.accept4 = accept_badly;
    atomic_store(&refusals, 0);
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

ON_EACH(the_hook_ends_it_and_cancels_its_clients)
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

ON_EACH(signals_alone_do_not_end_it)
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

ON_EACH(the_time_out_of_the_listener_does_not_end_it)
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

ON_EACH(many_threads_may_stop_it)
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

/* Again and again, for it may not yet serve when it is told the first time. */
static void stop_process(pid_t child)
{
    int status;
    pid_t ended;
    do {
        assert_int_equal(kill(child, SIGTERM), 0);
        test_sleep(0.01);
        ended = waitpid(child, &status, WNOHANG);
    } while (ended == 0);
    assert_int_equal(ended, child);
    assert_int_equal(status, 0);
}

ON_EACH(two_processes_serve_one_listener_and_one_of_them_may_stop)
{
#ifdef PIER__TSAN
    if (harness_in_task()) SKIP("ThreadSanitizer: no threads after a fork beside others");
#endif
    int listener = pier_create_server("127.0.0.1:0", NULL);
    pier_addr at;
    assert_int_equal(pier_getsockname(listener, &at), 0);
    pid_t children[2];
    to_stop = listener;
    signal(SIGTERM, on_signal); /* before one of them can be told */
    for (int i = 0; i < 2; i++) {
        children[i] = fork();
        if (children[i] != 0) continue;
        char name = i ? 'b' : 'a';
        _exit(pier_serve(listener, tell_who, &name, &(pier_serve_opts){.backend = crew}) == 0 ? 0
                                                                                              : 1);
    }
    signal(SIGTERM, SIG_DFL);
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
        stop_process(children[0]);
    }
    assert_int_equal(served_by[0], 0);
    assert_int_equal(served_by[1], 40);
    stop_process(children[1]);
}

/* Tasks. */

static _Atomic pthread_t seen_thread[2];
static atomic_int seen[2];

/* Count the clients of either of two threads. */
static void tell_the_thread(int client, void *arg)
{
    pthread_t nobody = 0, self = pthread_self();
    for (int i = 0; i < 2; i++) {
        nobody = 0;
        if (atomic_compare_exchange_strong(&seen_thread[i], &nobody, self) || nobody == self) {
            atomic_fetch_add(&seen[i], 1);
            break;
        }
    }
    linger(client, arg);
}

TEST(clients_are_spread_evenly_over_the_workers)
{
    static const char *const backends[] = {"epoll", "uring"};
    if (harness_in_task()) SKIP("a server in a task has one worker");
    for (size_t b = 0; b < 2; b++) {
        struct server server = {.handler = tell_the_thread, .opts.workers = 2};
        crew = backends[b];
        for (int i = 0; i < 2; i++) {
            atomic_store(&seen_thread[i], 0);
            atomic_store(&seen[i], 0);
        }
        start(&server);
        int s[20];
        for (int i = 0; i < 20; i++)
            s[i] = dial(&server);
        WAIT_UNTIL(atomic_load(&server.ready) == 20);
        assert_int_equal(atomic_load(&seen[0]), 10);
        assert_int_equal(atomic_load(&seen[1]), 10);
        let_go(&server);
        for (int i = 0; i < 20; i++)
            expect_greeting(s[i]);
        stop(&server, 5);
        assert_int_equal(join(&server), 0);
    }
}

static void sleep_for_ever(int client, void *arg)
{
    struct server *server = arg;
    char byte;
    atomic_fetch_add(&server->ready, 1);
    assert_int_equal(pier_sleep(1e9), -ECANCELED);
    assert_int_equal(pier_recv(client, &byte, 1, 0), -ECANCELED);
}

/* What handlers of a server have spawned, and its clients have long gone. */
static atomic_int left_running, left_ended;

static int goes_on_and_on(void *unused)
{
    (void)unused;
    atomic_fetch_add(&left_running, 1);
    while (pier_sleep(0.005) == 0) {
    }
    atomic_fetch_add(&left_ended, 1);
    return 0;
}

static void leave_a_task_behind(int client, void *unused)
{
    (void)unused;
    assert_true(pier_spawn(goes_on_and_on, NULL, NULL).number > 0);
    assert_int_equal(pier_sendall(client, "Thank you for connecting", 24, 0), 24);
}

TEST(the_end_of_the_drain_ends_what_handlers_have_left_behind)
{
    if (harness_in_task()) SKIP("a server in a task leaves them to the loop of that task");
    for (size_t i = 0; i < 2; i++) {
        struct server server = {.handler = leave_a_task_behind, .opts.workers = 2};
        crew = i ? "uring" : "epoll";
        atomic_store(&left_running, 0);
        atomic_store(&left_ended, 0);
        start(&server);
        for (int k = 0; k < 4; k++) {
            expect_greeting(dial(&server));
        }
        WAIT_UNTIL(atomic_load(&left_running) == 4);
        pier_time began = pier_now();
        stop(&server, 0.1);
        assert_int_equal(join(&server), 0);
        assert_true(pier_now() >= began + PIER_SECOND / 10); /* they had the time of the drain */
        assert_int_equal(atomic_load(&left_ended), 4);
    }
}

TEST(the_end_of_the_drain_reaches_a_handler_that_waits_for_something_else)
{
    for (size_t i = 0; i < 2; i++) {
        struct server server = {.handler = sleep_for_ever};
        crew = i ? "uring" : "epoll";
        start(&server);
        int s[4];
        for (int k = 0; k < 4; k++)
            s[k] = dial(&server);
        WAIT_UNTIL(atomic_load(&server.ready) == 4);
        stop(&server, 0);
        assert_int_equal(join(&server), 0);
        assert_int_equal(server.counts.canceled, 4);
        for (int k = 0; k < 4; k++)
            pier_close(s[k]);
    }
}

/* A server in a task, beside its clients in the same loop. */
struct inside {
    struct server server;
    pthread_t thread;
    int result;
};

static void greet_here(int client, void *arg)
{
    struct inside *inside = arg;
    assert_true(pthread_equal(pthread_self(), inside->thread));
    greet(client, arg);
}

static int serve_in_task(void *arg)
{
    struct inside *inside = arg;
    inside->result =
        pier_serve(inside->server.listener, inside->server.handler, inside, &inside->server.opts);
    return 0;
}

static int dial_and_stop(void *arg)
{
    struct inside *inside = arg;
    for (int i = 0; i < 10; i++)
        expect_greeting(dial(&inside->server));
    assert_int_equal(pier_stop(inside->server.listener, 1), 0);
    return 0;
}

static int serve_and_dial(void *arg)
{
    struct inside *inside = arg;
    inside->thread = pthread_self();
    pier_spawn(serve_in_task, inside, &(pier_spawn_opts){.detached = true});
    return dial_and_stop(inside);
}

static void listen_inside(struct inside *inside)
{
    inside->server.listener = pier_create_server("127.0.0.1:0", NULL);
    assert_int_equal(pier_getsockname(inside->server.listener, &inside->server.at), 0);
    inside->server.opts.counts = &inside->server.counts;
}

/* Run the main task on each backend. */
static void run_inside(int (*main)(void *arg), void (*handler)(int client, void *arg), int result)
{
    for (size_t i = 0; i < 2; i++) {
        struct inside inside = {.server.handler = handler};
        pier_run_opts opts = {.backend = i ? "uring" : "epoll", .stack_size = (size_t)1 << 18};
        listen_inside(&inside);
        assert_int_equal(pier_run(main, &inside, &opts), 0);
        assert_int_equal(inside.result, result);
        assert_int_equal(now(&inside.server.counts.active), 0);
        assert_int_equal(pier_close(inside.server.listener), 0);
    }
}

TEST(in_a_task_it_serves_in_that_loop) { run_inside(serve_and_dial, greet_here, 0); }

static void wait_in_vain(int client, void *arg)
{
    struct inside *inside = arg;
    char byte;
    atomic_fetch_add(&inside->server.ready, 1);
    assert_int_equal(pier_recv(client, &byte, 1, 0), -ECANCELED);
}

static int serve_and_cancel(void *arg)
{
    struct inside *inside = arg;
    pier_task server = pier_spawn(serve_in_task, inside, NULL);
    int s[3];
    for (int i = 0; i < 3; i++)
        s[i] = dial(&inside->server);
    while (atomic_load(&inside->server.ready) < 3)
        assert_int_equal(pier_sleep(0.001), 0);
    assert_int_equal(pier_cancel(server), 0);
    assert_int_equal(pier_join(server, NULL), 0);
    for (int i = 0; i < 3; i++)
        pier_close(s[i]);
    return 0;
}

TEST(a_cancel_of_the_task_that_serves_cancels_its_clients)
{
    run_inside(serve_and_cancel, wait_in_vain, -ECANCELED);
}

static int serve_in_scope(void *arg)
{
    struct inside *inside = arg;
    pier_scope scope = {0};
    int s = dial(&inside->server);
    assert_int_equal(pier_scope_enter(&scope, pier_after(0.05)), 0);
    serve_in_task(inside);
    assert_int_equal(pier_scope_leave(&scope), -ETIME);
    return pier_close(s);
}

TEST(the_scope_of_the_task_that_serves_ends_it)
{
    run_inside(serve_in_scope, wait_in_vain, -ECANCELED);
}

static int map_nothing(size_t size, int protection, int flags, int fd, off_t offset, void **out)
{
    (void)size, (void)protection, (void)flags, (void)fd, (void)offset, (void)out;
    return -ENOMEM;
}

static _Thread_local struct pier__seam narrow;

static void keep_the_rest_away(int client, void *arg)
{
    narrow = *pier__seam;
    narrow.mmap = map_nothing;
    pier__seam = &narrow; /* of this loop's thread */
    linger(client, arg);
}

TEST(a_client_for_whom_there_is_no_stack_is_turned_away_and_counted)
{
    enum { MANY = 6 };
    for (size_t i = 0; i < 2; i++) {
        struct server server = {.handler = keep_the_rest_away,
            .opts = {.workers = 1, .stack_size = (size_t)1 << 30}}; /* few lie in one mapping */
        crew = i ? "uring" : "epoll";
        start(&server);
        int s[MANY], served = 0;
        for (int k = 0; k < MANY; k++) {
            s[k] = dial(&server);
            WAIT_UNTIL(atomic_load(&server.ready) > 0); /* the first one closes the door */
        }
        WAIT_UNTIL(now(&server.counts.rejected) > 0 && now(&server.counts.backoffs) > 0);
        let_go(&server);
        char text[32];
        for (int k = 0; k < MANY; k++) {
            served += pier_recv_exactly(s[k], text, 24) == 24;
            pier_close(s[k]);
        }
        stop(&server, 5);
        assert_int_equal(join(&server), 0);
        assert_int_equal(served + (int)server.counts.rejected, MANY);
        assert_true(served > 0);
    }
}

static atomic_int threads_left;

static int few_threads(
    pthread_t *out, const pthread_attr_t *attr, void *(*begin)(void *), void *arg)
{
    if (atomic_fetch_sub(&threads_left, 1) <= 0) return -EAGAIN;
    return pier__seam_system.thread(out, attr, begin, arg);
}

static int few_loops(unsigned initial, int flags)
{
    if (atomic_fetch_sub(&threads_left, 1) <= 0) return -EMFILE;
    return pier__seam_system.eventfd(initial, flags);
}

TEST(workers_that_cannot_be_had_are_an_error_and_leave_nothing_behind)
{
    if (harness_in_task()) SKIP("a server in a task has one worker");
    int listener = pier_create_server("127.0.0.1:0", NULL);
    struct pier__seam seam = pier__seam_system;
    pier__seam = &seam;
    for (int i = 0; i < 4; i++) {
        bool threads = i % 2;
        seam.thread = threads ? few_threads : pier__seam_system.thread;
        seam.eventfd = threads ? pier__seam_system.eventfd : few_loops;
        atomic_store(&threads_left, i);
        pier_serve_opts opts = {.backend = "epoll", .workers = 5};
        assert_int_equal(pier_serve(listener, nobody, NULL, &opts), threads ? -EAGAIN : -EMFILE);
    }
    pier__seam = &pier__seam_system;
    assert_int_equal(pier_close(listener), 0);
}

static void tell_the_backend(int client, void *arg)
{
    (void)arg;
    const char *name = pier_backend_name();
    (void)pier_sendall(client, name, strlen(name), 0);
}

TEST(the_environment_chooses_who_runs_the_handlers)
{
    if (harness_in_task()) SKIP("a server in a task has that task's backend");
    static const char *const names[] = {"thread", "epoll", "uring"};
    for (size_t i = 0; i < PIER_COUNT(names); i++) {
        struct server server = {.handler = tell_the_backend};
        crew = NULL;
        setenv("PIER_BACKEND", names[i], 1);
        start(&server);
        char text[16] = "";
        int s = dial(&server);
        assert_int_equal(pier_recvall(s, text, sizeof text), (int)strlen(names[i]));
        assert_string_equal(text, names[i]);
        pier_close(s);
        stop(&server, 1);
        assert_int_equal(join(&server), 0);
    }
}

/*
 * More are queued than there is room for, and the kernel may have accepted them before it can be
 * told to stop.
 */
ON_EACH(a_burst_of_clients_keeps_to_the_limit_and_is_served_at_the_end)
{
    enum { MANY = 700, ROOM = 300 };
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    struct server server = {.handler = linger, .opts.max_clients = ROOM};
    server.listener = pier_create_server("127.0.0.1:0", &(pier_server_opts){.backlog = MANY});
    assert_int_equal(pier_getsockname(server.listener, &server.at), 0);
    server.opts.counts = &server.counts;
    int s[MANY];
    for (int i = 0; i < MANY; i++)
        s[i] = dial(&server);
    server.thread = test_thread(serve, &server);
    WAIT_UNTIL(atomic_load(&server.ready) == ROOM);
    test_sleep(0.02);
    assert_int_equal(atomic_load(&server.ready), ROOM);
    stop(&server, INFINITY);
    let_go(&server);
    for (int i = 0; i < MANY; i++)
        expect_greeting(s[i]);
    assert_int_equal(join(&server), 0);
    assert_int_equal(server.counts.accepted, MANY);
    assert_int_equal(server.counts.rejected, 0);
    assert_int_equal(server.counts.peak, ROOM);
}
