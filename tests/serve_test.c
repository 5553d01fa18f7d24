/* SPDX-License-Identifier: MIT */
#include "base/seam.h"
#include "scene.h"
#include "serving.h"
#include "wait/switch.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

ON_EACH(each_client_is_served_and_closed_after_its_handler)
{
    struct server server = {.handler = server_greet};
    server_start(&server);
    for (int i = 0; i < 100; i++) {
        server_expect_greeting(server_dial(&server));
    }
    server_stop(&server, 1);
    assert_int_equal(server_join(&server), 0);
    assert_int_equal(server.counts.accepted, 100);
    assert_int_equal(server.counts.rejected, 0);
    assert_true(server.counts.peak >= 1);
}

ON_EACH(at_the_limit_of_clients_accept_waits)
{
    struct server server = {.handler = server_linger, .opts.max_clients = 2};
    server_start(&server);
    int s[4];
    for (int i = 0; i < 4; i++)
        s[i] = server_dial(&server);
    WAIT_UNTIL(atomic_load(&server.ready) >= 2);
    test_sleep(0.05);
    assert_int_equal(server_count(&server.counts.accepted), 2);
    server_let_go(&server);
    for (int i = 0; i < 4; i++)
        server_expect_greeting(s[i]);
    server_stop(&server, 1);
    assert_int_equal(server_join(&server), 0);
    assert_int_equal(server.counts.accepted, 4);
    assert_int_equal(server.counts.peak, 2);
}

ON_EACH(stop_serves_the_clients_that_are_queued)
{
    struct server server = {.handler = server_linger, .opts.max_clients = 1};
    server_start(&server);
    int s[5];
    for (int i = 0; i < 5; i++)
        s[i] = server_dial(&server);
    WAIT_UNTIL(atomic_load(&server.ready) >= 1);
    server_stop(&server, INFINITY);
    server_let_go(&server);
    for (int i = 0; i < 5; i++)
        server_expect_greeting(s[i]);
    assert_int_equal(server_join(&server), 0);
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
    server_start(&server);
    int s[3];
    for (int i = 0; i < 3; i++)
        s[i] = server_dial(&server);
    WAIT_UNTIL(atomic_load(&server.ready) >= 3);
    pier_time due = pier_after(0.05);
    server_stop(&server, 0.05);
    assert_int_equal(server_join(&server), 0);
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
    server_start(&server);
    int s = server_dial(&server);
    WAIT_UNTIL(atomic_load(&server.ready) >= 1);
    server_stop(&server, INFINITY);
    test_sleep(0.02);
    assert_int_equal(server_count(&server.counts.active), 1);
    server_stop(&server, 0);
    assert_int_equal(server_join(&server), 0);
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
    server_start(&server);
    for (int i = 0; i < 10; i++)
        server_expect_greeting(server_dial(&server));
    server_stop(&server, 1);
    assert_int_equal(server_join(&server), 0);
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
    server_start(&server);
    int s = server_dial(&server);
    WAIT_UNTIL(atomic_load(&detached) != -1);
    int fd = atomic_load(&detached);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "x", 1), 1);
    char byte;
    assert_int_equal(pier_recv(s, &byte, 1, 0), 1);
    assert_int_equal(close(fd), 0);
    assert_int_equal(pier_close(s), 0);
    server_stop(&server, 1);
    assert_int_equal(server_join(&server), 0);
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
    struct server server = {.handler = server_greet};
    server_start(&server);
    server_expect_greeting(server_dial(&server));
    to_stop = server.listener;
    signal(SIGUSR1, on_signal);
    pthread_kill(server.thread, SIGUSR1);
    assert_int_equal(server_join(&server), 0);
    assert_true(stopped);
}

ON_EACH(closing_the_listener_ends_it)
{
    struct server server = {.handler = server_greet};
    server_start(&server);
    server_expect_greeting(server_dial(&server));
    assert_int_equal(pier_close(server.listener), 0);
    assert_int_equal((int)(intptr_t)test_join(server.thread), -ECANCELED);
}

TEST(bad_arguments_are_named)
{
    int s = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(pier_serve(s, server_ignore, NULL, NULL), -EINVAL); /* it does not listen */
    assert_int_equal(pier_close(s), 0);
    assert_int_equal(pier_serve(s, server_ignore, NULL, NULL), -EBADF);
    assert_int_equal(pier_serve(-ENFILE, server_ignore, NULL, NULL), -ENFILE);
    s = pier_create_server("127.0.0.1:0", NULL);
    assert_int_equal(pier_serve(s, NULL, NULL, NULL), -EINVAL);
    assert_int_equal(
        pier_serve(s, server_ignore, NULL, &(pier_serve_opts){.reserved = {1}}), -EINVAL);
    assert_int_equal(pier_serve(s, server_ignore, NULL,
                         &(pier_serve_opts){.backend = "thread", .stack_size = 1}),
        -EINVAL);
    assert_int_equal(
        pier_serve(s, server_ignore, NULL, &(pier_serve_opts){.backend = "kqueue"}), -EINVAL);
    assert_int_equal(
        pier_serve(s, server_ignore, NULL, &(pier_serve_opts){.workers = 100000}), -EINVAL);
    assert_int_equal(
        pier_serve(s, server_ignore, NULL, &(pier_serve_opts){.stack_size = (size_t)1 << 40}),
        -EINVAL);
    assert_int_equal(pier_stop(s, 0), -ESRCH);
    assert_int_equal(pier_stop(s, -1), -EINVAL);
    assert_int_equal(pier_stop(s, (double)NAN), -EINVAL);
    assert_int_equal(pier_stop(-EBADF, 1), -EBADF);
    assert_int_equal(pier_close(s), 0);
}

ON_EACH(a_listener_is_served_once_at_a_time)
{
    struct server server = {.handler = server_greet};
    server_start(&server);
    server_expect_greeting(server_dial(&server));
    assert_int_equal(
        pier_serve(server.listener, server_greet, NULL, &(pier_serve_opts){.backend = server_crew}),
        -EBUSY);
    server_stop(&server, 1);
    assert_int_equal((int)(intptr_t)test_join(server.thread), 0);
    server.thread = test_thread(server_run, &server); /* and again afterwards */
    server_expect_greeting(server_dial(&server));
    server_stop(&server, 1);
    assert_int_equal(server_join(&server), 0);
}

ON_EACH(a_deadline_of_the_listener_ends_it)
{
    struct server server = {.handler = server_greet};
    server.listener = pier_create_server("127.0.0.1:0", NULL);
    pier_time due = pier_after(0.05);
    assert_int_equal(pier_setdeadline(server.listener, due), 0);
    assert_int_equal(
        pier_serve(server.listener, server_greet, NULL, &(pier_serve_opts){.backend = server_crew}),
        -ETIME);
    assert_true(pier_now() >= due);
    assert_int_equal(pier_close(server.listener), 0);
}

ON_EACH(without_descriptors_it_pauses_and_goes_on)
{
    enum { LIMIT = 200 };
    struct server server = {.handler = server_greet};
    struct rlimit before, few;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur =
        LIMIT; /* before it serves: what the kernel accepts by itself keeps to the limit of then */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    int clients[8], fillers[LIMIT], filled = 0;
    for (size_t i = 0; i < 8; i++)
        clients[i] = pier_socket(AF_INET, SOCK_STREAM, 0);
    server_start(&server);
    server_expect_greeting(
        server_dial(&server)); /* the server is there, with its wake descriptor */
    server_wait_for(&server.counts.active, 0);
    while ((fillers[filled] = dup(0)) >= 0)
        filled++;
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(pier_connect(clients[i], server.at), 0);
    WAIT_UNTIL(server_count(&server.counts.backoffs) >= 3);
    assert_true(server_count(&server.counts.backoffs) < 1000); /* it does not spin */
    while (filled > 0)
        close(fillers[--filled]);
    for (size_t i = 0; i < 8; i++)
        server_expect_greeting(clients[i]);
    server_stop(&server, 1);
    assert_int_equal(server_join(&server), 0);
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
    struct server server = {.handler = server_greet, .opts.max_clients = 8};
    server_start(&server);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        threads[i] = test_thread(storm, &server);
    test_sleep(0.05);
    server_stop(&server, 1);
    assert_int_equal((int)(intptr_t)test_join(server.thread), 0);
    assert_int_equal(server_count(&server.counts.active), 0);
    assert_int_equal(pier_close(server.listener), 0);
    for (int i = 0; i < 4; i++)
        test_join(threads[i]);
}

ON_EACH(hundreds_of_clients_are_served_at_once)
{
    enum { MANY = 300 };
    struct server server = {.handler = server_linger};
    server_start(&server);
    int s[MANY];
    for (int i = 0; i < MANY; i++)
        s[i] = server_dial(&server);
    WAIT_UNTIL(atomic_load(&server.ready) == MANY);
    assert_int_equal(server_count(&server.counts.active), MANY);
    server_let_go(&server);
    for (int i = 0; i < MANY; i++)
        server_expect_greeting(s[i]);
    server_stop(&server, 10);
    assert_int_equal(server_join(&server), 0);
    assert_int_equal(server.counts.peak, MANY);
    assert_int_equal(server.counts.canceled, 0);
}

ON_EACH(a_unix_listener_is_served_and_drained)
{
    char text[600];
    (void)snprintf(text, sizeof text, "unix:%s", test_path("x.sock"));
    struct server server = {.handler = server_linger, .opts.max_clients = 1};
    server.listener = pier_create_server(text, NULL);
    server.opts.counts = &server.counts;
    server.thread = test_thread(server_run, &server);
    int s[3];
    for (int i = 0; i < 3; i++)
        s[i] =
            pier_create_connection(text, &(pier_connection_opts){.deadline = pier_after(PATIENCE)});
    WAIT_UNTIL(atomic_load(&server.ready) == 1);
    server_stop(&server, INFINITY);
    server_let_go(&server);
    for (int i = 0; i < 3; i++)
        server_expect_greeting(s[i]);
    assert_int_equal(server_join(&server), 0);
    assert_int_equal(server.counts.accepted, 3);
}

static char told[512]; /* of a client */

static void tell_of_a_reset(int client, void *arg)
{
    struct server *server = arg;
    char byte;
    assert_int_equal(pier_recv(client, &byte, 1, 0), 1);
    atomic_fetch_add(&server->ready, 1);
    while (!atomic_load(&server->release))
        server_pause();
    assert_int_equal(pier_recv(client, &byte, 1, 0), -ECONNRESET);
    (void)snprintf(told, sizeof told, "%s", pier_error());
}

ON_EACH(a_client_that_has_reset_is_named)
{
    struct server server = {.handler = tell_of_a_reset};
    server_start(&server);
    int s = server_dial(&server);
    pier_addr own;
    assert_int_equal(pier_getsockname(s, &own), 0);
    assert_int_equal(pier_send(s, "x", 1, 0), 1);
    WAIT_UNTIL(atomic_load(&server.ready) == 1);
    scene_reset(s);
    server_let_go(&server);
    server_stop(&server, INFINITY);
    assert_int_equal(server_join(&server), 0);
    assert_non_null(strstr(told, pier_addr_text(own).text));
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
    server_start(&server);
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        threads[i] = test_thread(keep_dialling, &flood);
    server_wait_for(&server.counts.active, 2);
    test_sleep(0.05);
    server_stop(&server, INFINITY);
    assert_int_equal((int)(intptr_t)test_join(server.thread), 0);
    atomic_store(&flood.over, 1);
    (void)pier_shutdown(server.listener, SHUT_RDWR); /* refuses, and keeps the port ours */
    for (int i = 0; i < 8; i++)
        test_join(threads[i]);
    assert_int_equal(pier_close(server.listener), 0);
}

ON_EACH(a_drain_of_nothing_serves_nobody_who_is_queued)
{
    struct server server = {.handler = receive_for_ever, .opts.max_clients = 1};
    server_start(&server);
    int s[4];
    for (int i = 0; i < 4; i++)
        s[i] = server_dial(&server);
    WAIT_UNTIL(atomic_load(&server.ready) == 1);
    server_stop(&server, 0);
    assert_int_equal(server_join(&server), 0);
    assert_int_equal(server.counts.accepted, 1);
    for (int i = 0; i < 4; i++)
        pier_close(s[i]);
}

ON_EACH(stop_and_close_in_one_breath_is_no_failure)
{
    for (int i = 0; i < 20; i++) {
        struct server server = {.handler = server_greet};
        server_start(&server);
        server_expect_greeting(server_dial(&server));
        server_stop(&server, 1);
        assert_int_equal(pier_close(server.listener), 0);
        assert_int_equal((int)(intptr_t)test_join(server.thread), 0);
    }
}

ON_EACH(a_closed_listener_lets_its_clients_finish)
{
    struct server server = {.handler = server_linger};
    server_start(&server);
    int s = server_dial(&server);
    WAIT_UNTIL(atomic_load(&server.ready) == 1);
    assert_int_equal(pier_close(server.listener), 0);
    test_sleep(0.02);
    assert_int_equal(server_count(&server.counts.active), 1);
    server_let_go(&server);
    server_expect_greeting(s);
    assert_int_equal((int)(intptr_t)test_join(server.thread), -ECANCELED);
}

static void leave_the_thread(int client, void *arg)
{
    server_greet(client, arg);
    pthread_exit(NULL);
}

ON_EACH(a_handler_may_end_its_thread)
{
#ifdef PIER__TSAN
    if (strcmp(server_crew, "thread") != 0) return; /* it lets no fiber do so */
#endif
    struct server server = {.handler = leave_the_thread};
    server_start(&server);
    for (int i = 0; i < 10; i++)
        server_expect_greeting(server_dial(&server));
    server_stop(&server, 5);
    assert_int_equal(server_join(&server), 0); /* in tasks it has ended by now, and with NULL */
    assert_int_equal(server.counts.accepted, 10);
}

static void fork_and_return(int client, void *arg)
{
    pid_t child = fork();
#ifdef PIER__ASAN
    if (child == 0)
        alarm(10); /* its leak checker may find its own lock held, by who is not there */
    bool may_hang = true;
#else
    bool may_hang = false;
#endif
    if (child == 0) return; /* ends the child */
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    /* a leak checker minds the stacks of threads that are not there */
    bool hung = may_hang && WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
    assert_true(WIFEXITED(status) || hung);
    server_greet(client, arg);
}

ON_EACH(a_handler_may_fork)
{
    struct server server = {.handler = fork_and_return};
    server_start(&server);
    for (int i = 0; i < 5; i++)
        server_expect_greeting(server_dial(&server));
    server_stop(&server, 5);
    assert_int_equal(server_join(&server), 0);
}

/* The handler closes its client, and the number goes to a socket that is not pier_serve()'s. */
static void close_and_reopen(int client, void *arg)
{
    struct server *server = arg;
    assert_int_equal(pier_close(client), 0);
    int other[2];
    assert_int_equal(pier_socketpair(AF_UNIX, SOCK_STREAM, 0, other), 0);
    bool noticed = pier_current().number == 0; /* the end of the drain cancels a task, once */
    atomic_fetch_add(&server->ready, 1);
    while (!atomic_load(&server->release) || !noticed) {
        if (pier_sleep(0.001) == -ECANCELED) noticed = true;
    }
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
    server_start(&server);
    int s = server_dial(&server);
    WAIT_UNTIL(atomic_load(&server.ready) == 1);
    server_stop(&server, 0);
    test_sleep(0.02);
    server_let_go(&server);
    assert_int_equal(server_join(&server), 0);
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
    struct server server = {.handler = server_greet};
    struct pier__seam seam = pier__seam_system;
    server_crew = "thread";
    seam.thread = no_thread;
    pier__seam = &seam; /* which the server's thread will use, too */
    server_start(&server);
    char byte;
    for (uint64_t i = 1; i <= 3; i++) {
        int s = server_dial(&server);
        assert_true(pier_recv(s, &byte, 1, 0) <= 0);
        server_wait_for(&server.counts.rejected, i);
        pier_close(s);
    }
    server_stop(&server, 1);
    assert_int_equal(server_join(&server), 0);
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
    struct server server = {.handler = server_greet};
    struct pier__seam seam = pier__seam_system;
    seam.accept4 = accept_badly;
    atomic_store(&refusals, 0);
    pier__seam = &seam;
    server_start(&server);
    server_expect_greeting(server_dial(&server));
    server_stop(&server, 1);
    assert_int_equal(server_join(&server), 0);
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
    return server_run(arg);
}

ON_EACH(the_hook_ends_it_and_cancels_its_clients)
{
    struct server server = {.handler = receive_for_ever};
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGUSR1, &action, NULL);
    server_listen(&server, NULL);
    server.thread = test_thread(serve_with_hook, &server);
    int s = server_dial(&server);
    WAIT_UNTIL(atomic_load(&server.ready) == 1);
    pier_time patience = pier_after(PATIENCE);
    while (server_count(&server.counts.canceled) < 1) {
        assert_true(pier_now() < patience);
        pthread_kill(server.thread, SIGUSR1);
        test_sleep(0.01);
    }
    assert_int_equal(server_join(&server), -EINTR);
    pier_close(s);
}

ON_EACH(signals_alone_do_not_end_it)
{
    struct server server = {.handler = server_greet};
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval often = {{0, 2000}, {0, 2000}};
    server_start(&server);
    setitimer(ITIMER_REAL, &often, NULL);
    for (int i = 0; i < 50; i++)
        server_expect_greeting(server_dial(&server));
    server_stop(&server, 5);
    assert_int_equal(server_join(&server), 0);
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 0}}, NULL);
    assert_int_equal(server.counts.accepted, 50);
}

ON_EACH(the_time_out_of_the_listener_does_not_end_it)
{
    struct server server = {.handler = server_greet};
    pier_setdefaulttimeout(0.02);
    server_start(&server);
    pier_setdefaulttimeout(INFINITY);
    test_sleep(0.1);
    server_expect_greeting(server_dial(&server));
    server_stop(&server, 1);
    assert_int_equal(server_join(&server), 0);
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
        struct server server = {.handler = server_greet};
        server_start(&server);
        server_expect_greeting(server_dial(&server));
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
        _exit(pier_serve(listener, tell_who, &name, &(pier_serve_opts){.backend = server_crew}) == 0
                  ? 0
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
    struct server server = {.handler = server_linger, .opts.max_clients = ROOM};
    server_listen(&server, &(pier_server_opts){.backlog = MANY});
    int s[MANY];
    for (int i = 0; i < MANY; i++)
        s[i] = server_dial(&server);
    server.thread = test_thread(server_run, &server);
    WAIT_UNTIL(atomic_load(&server.ready) == ROOM);
    test_sleep(0.02);
    assert_int_equal(atomic_load(&server.ready), ROOM);
    server_stop(&server, INFINITY);
    server_let_go(&server);
    for (int i = 0; i < MANY; i++)
        server_expect_greeting(s[i]);
    assert_int_equal(server_join(&server), 0);
    assert_int_equal(server.counts.accepted, MANY);
    assert_int_equal(server.counts.rejected, 0);
    assert_int_equal(server.counts.peak, ROOM);
}
