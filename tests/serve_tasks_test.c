/* SPDX-License-Identifier: MIT */
/* Serving in tasks; what is the same in threads is in serve_test.c. */
#include "base/bits.h"
#include "base/seam.h"
#include "serving.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
    server_linger(client, arg);
}

TEST(clients_are_spread_evenly_over_the_workers)
{
    static const char *const backends[] = {"epoll", "uring"};
    if (harness_in_task()) SKIP("a server in a task has one worker");
    for (size_t b = 0; b < 2; b++) {
        struct server server = {.handler = tell_the_thread, .opts.workers = 2};
        server_crew = backends[b];
        for (int i = 0; i < 2; i++) {
            atomic_store(&seen_thread[i], 0);
            atomic_store(&seen[i], 0);
        }
        server_start(&server);
        int s[20];
        for (int i = 0; i < 20; i++)
            s[i] = server_dial(&server);
        WAIT_UNTIL(atomic_load(&server.ready) == 20);
        assert_int_equal(atomic_load(&seen[0]), 10);
        assert_int_equal(atomic_load(&seen[1]), 10);
        server_let_go(&server);
        for (int i = 0; i < 20; i++)
            server_expect_greeting(s[i]);
        server_stop(&server, 5);
        assert_int_equal(server_join(&server), 0);
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
        server_crew = i ? "uring" : "epoll";
        atomic_store(&left_running, 0);
        atomic_store(&left_ended, 0);
        server_start(&server);
        for (int k = 0; k < 4; k++) {
            server_expect_greeting(server_dial(&server));
        }
        WAIT_UNTIL(atomic_load(&left_running) == 4);
        pier_time began = pier_now();
        server_stop(&server, 0.1);
        assert_int_equal(server_join(&server), 0);
        assert_true(pier_now() >= began + PIER_SECOND / 10); /* they had the time of the drain */
        assert_int_equal(atomic_load(&left_ended), 4);
    }
}

/* The client is closed, or its number another's: that changes nothing. */
static void close_and_sleep(int client, void *arg)
{
    struct server *server = arg;
    assert_int_equal(pier_close(client), 0);
    atomic_fetch_add(&server->ready, 1);
    assert_int_equal(pier_sleep(1e9), -ECANCELED);
}

/* One after the other ends, and each time the server looks at the others. */
static void clean_up(int client, void *arg)
{
    struct server *server = arg;
    char byte;
    int number = atomic_fetch_add(&server->ready, 1);
    assert_int_equal(pier_recv(client, &byte, 1, 0), -ECANCELED);
    for (int i = 0; i <= number; i++)
        assert_int_equal(pier_sleep(0.002), 0);
}

/* Four clients of a server that is stopped at once: what its handlers assert is the test. */
static void stop_at_once(void (*handler)(int client, void *arg), uint64_t canceled)
{
    for (size_t i = 0; i < 2; i++) {
        struct server server = {.handler = handler, .opts.workers = 2};
        server_crew = i ? "uring" : "epoll";
        server_start(&server);
        int s[4];
        for (int k = 0; k < 4; k++)
            s[k] = server_dial(&server);
        WAIT_UNTIL(atomic_load(&server.ready) == 4);
        server_stop(&server, 0);
        assert_int_equal(server_join(&server), 0);
        assert_int_equal(server.counts.canceled, canceled);
        for (int k = 0; k < 4; k++)
            pier_close(s[k]);
    }
}

TEST(the_end_of_the_drain_reaches_a_handler_that_waits_for_something_else)
{
    stop_at_once(sleep_for_ever, 4);
}

TEST(the_end_of_the_drain_reaches_a_handler_that_has_closed_its_client)
{
    stop_at_once(close_and_sleep, 0);
}

TEST(the_end_of_the_drain_leaves_what_handlers_do_to_clean_up_alone) { stop_at_once(clean_up, 4); }

/* Who is left when the server has stopped waits for what nobody will do: the drain ends that. */
static pier_event never;

static int wait_for_what_never_happens(void *unused)
{
    (void)unused;
    atomic_fetch_add(&left_running, 1);
    int result = pier_event_wait(&never, PIER_NEVER);
    atomic_fetch_add(&left_ended, 1);
    return result;
}

static void leave_one_behind(int client, void *unused)
{
    (void)client, (void)unused;
    assert_true(pier_spawn(wait_for_what_never_happens, NULL, NULL).number > 0);
}

TEST(tasks_left_behind_are_no_deadlock_before_the_end_of_the_drain)
{
    if (harness_in_task()) SKIP("a server in a task leaves them to the loop of that task");
    for (size_t i = 0; i < 4; i++) {
        struct server server = {.handler = leave_one_behind, .opts.workers = 1};
        server_crew = i % 2 ? "uring" : "epoll";
        never = (pier_event){0};
        atomic_store(&left_running, 0);
        atomic_store(&left_ended, 0);
        server_start(&server);
        int s = server_dial(&server);
        WAIT_UNTIL(atomic_load(&left_running) == 1);
        pier_time began = pier_now();
        server_stop(&server, i < 2 ? 0 : 0.05);
        assert_int_equal(server_join(&server), 0);
        if (i >= 2) assert_true(pier_now() >= began + PIER_SECOND / 20);
        assert_int_equal(atomic_load(&left_ended), 1);
        pier_close(s);
    }
}

/*
 * A worker that is busy when a client is handed to it and when the drain ends. Its turn comes with
 * both; the client's handler has not begun.
 */
static atomic_bool is_busy, may_rest;

static int compute(void *unused)
{
    (void)unused;
    atomic_store(&is_busy, true);
    while (!atomic_load(&may_rest))
        test_sleep(0.001);
    return 0;
}

static void keep_the_worker_busy(int client, void *arg)
{
    struct server *server = arg;
    char byte;
    switch (atomic_fetch_add(&server->ready, 1)) {
    case 0: /* in the server's own thread */
        assert_int_equal(pier_recv(client, &byte, 1, 0), -ECANCELED);
        break;
    case 1: assert_true(pier_spawn(compute, NULL, NULL).number > 0); break;
    default: assert_int_equal(pier_sleep(1e9), -ECANCELED);
    }
}

TEST(the_end_of_the_drain_reaches_a_handler_that_has_not_begun)
{
    if (harness_in_task()) SKIP("a server in a task has one worker");
    for (size_t i = 0; i < 2; i++) {
        struct server server = {.handler = keep_the_worker_busy, .opts.workers = 2};
        server_crew = i ? "uring" : "epoll";
        atomic_store(&is_busy, false);
        atomic_store(&may_rest, false);
        server_start(&server);
        int s[3];
        for (int k = 0; k < 3; k++) {
            s[k] = server_dial(&server);
            if (k == 0) WAIT_UNTIL(atomic_load(&server.ready) == 1);
            if (k == 1) WAIT_UNTIL(atomic_load(&is_busy));
            if (k == 1) WAIT_UNTIL(server_count(&server.counts.active) == 1);
        }
        WAIT_UNTIL(server_count(&server.counts.accepted) == 3);
        server_stop(&server, 0);
        WAIT_UNTIL(server_count(&server.counts.canceled) == 1); /* the first; the third waits */
        atomic_store(&may_rest, true);
        assert_int_equal(server_join(&server), 0);
        assert_int_equal(atomic_load(&server.ready), 3);
        for (int k = 0; k < 3; k++)
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
    server_greet(client, arg);
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
        server_expect_greeting(server_dial(&inside->server));
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

/* Run the main task on each backend. */
static void run_inside(int (*main)(void *arg), void (*handler)(int client, void *arg), int result)
{
    for (size_t i = 0; i < 2; i++) {
        struct inside inside = {.server.handler = handler};
        pier_run_opts opts = {.backend = i ? "uring" : "epoll", .stack_size = (size_t)1 << 18};
        server_listen(&inside.server, NULL);
        assert_int_equal(pier_run(main, &inside, &opts), 0);
        assert_int_equal(inside.result, result);
        assert_int_equal(server_count(&inside.server.counts.active), 0);
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
        s[i] = server_dial(&inside->server);
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
    int s = server_dial(&inside->server);
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
    server_linger(client, arg);
}

TEST(a_client_for_whom_there_is_no_stack_is_turned_away_and_counted)
{
    enum { MANY = 6 };
    for (size_t i = 0; i < 2; i++) {
        struct server server = {.handler = keep_the_rest_away,
            .opts = {.workers = 1, .stack_size = (size_t)1 << 30}}; /* few lie in one mapping */
        server_crew = i ? "uring" : "epoll";
        server_start(&server);
        int s[MANY], served = 0;
        for (int k = 0; k < MANY; k++) {
            s[k] = server_dial(&server);
            WAIT_UNTIL(atomic_load(&server.ready) > 0); /* the first one closes the door */
        }
        WAIT_UNTIL(
            server_count(&server.counts.rejected) > 0 && server_count(&server.counts.backoffs) > 0);
        server_let_go(&server);
        char text[32];
        for (int k = 0; k < MANY; k++) {
            served += pier_recv_exactly(s[k], text, 24) == 24;
            pier_close(s[k]);
        }
        server_stop(&server, 5);
        assert_int_equal(server_join(&server), 0);
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
        assert_int_equal(
            pier_serve(listener, server_ignore, NULL, &opts), threads ? -EAGAIN : -EMFILE);
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
        server_crew = NULL;
        setenv("PIER_BACKEND", names[i], 1);
        server_start(&server);
        char text[16] = "";
        int s = server_dial(&server);
        assert_int_equal(pier_recvall(s, text, sizeof text), (int)strlen(names[i]));
        assert_string_equal(text, names[i]);
        pier_close(s);
        server_stop(&server, 1);
        assert_int_equal(server_join(&server), 0);
    }
}

static void ends_at_once(int client, void *arg)
{
    (void)client;
    struct inside *inside = arg;
    atomic_fetch_add(&inside->server.ready, 1);
}

enum { CROWD = 400 };

/* All are queued when it begins. Handlers have a turn long before it has taken them all. */
static int serve_a_crowd(void *arg)
{
    struct inside *inside = arg;
    int s[CROWD];
    for (int i = 0; i < CROWD; i++)
        s[i] = server_dial(&inside->server);
    pier_spawn(serve_in_task, inside, &(pier_spawn_opts){.detached = true});
    while (atomic_load(&inside->server.ready) < CROWD)
        assert_int_equal(pier_sleep(0.001), 0);
    if (strcmp(pier_backend_name(), "epoll") == 0)
        assert_true(server_count(&inside->server.counts.peak) < CROWD / 2);
    server_stop(&inside->server, 5);
    for (int i = 0; i < CROWD; i++)
        pier_close(s[i]);
    return 0;
}

TEST(a_crowd_of_clients_leaves_the_others_a_turn) { run_inside(serve_a_crowd, ends_at_once, 0); }
