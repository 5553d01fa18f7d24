/* SPDX-License-Identifier: MIT */
#ifndef PIER_TESTS_SERVING_H
#define PIER_TESTS_SERVING_H

#include "harness.h"

#include <pier.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

/* A server that runs in a thread of the test. */
struct server {
    int listener;
    pier_addr at;
    void (*handler)(int client, void *arg); /* arg: this server */
    pier_serve_opts opts;
    pier_serve_counts counts;
    atomic_int ready, release; /* for handlers to meet the test */
    pthread_t thread;
};

/* What runs the handlers in this run of the test; see pier_serve_opts.backend. */
extern const char *server_crew;

/* Of those: threads, tasks on epoll, tasks on io_uring; ended by NULL. */
extern const char *const server_crews[];

/* A test that is run with each of them. */
#define ON_EACH(sentence)                                             \
    static void on_##sentence(void);                                  \
    TEST(sentence)                                                    \
    {                                                                 \
        for (const char *const *each = server_crews; *each; each++) { \
            server_crew = *each;                                      \
            on_##sentence();                                          \
        }                                                             \
    }                                                                 \
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

/* Its listener at 127.0.0.1, and its counts. */
void server_listen(struct server *server, const pier_server_opts *opts);

/* Likewise, and a thread that serves there. */
void server_start(struct server *server);

/* What that thread runs. */
void *server_run(void *server);

/* A connection to it, with a deadline. */
int server_dial(const struct server *server);

/* Tell it to stop, once it serves. */
void server_stop(struct server *server, double drain);

/* Wait for its end, and close its listener. Returns what pier_serve() said. */
int server_join(struct server *server);

/* One of its counts; and wait until that has a value. */
uint64_t server_count(const uint64_t *number);
void server_wait_for(const uint64_t *number, uint64_t value);

/* A handler that does nothing. */
void server_ignore(int client, void *server);

/* A handler that greets; and what its client gets, up to the end, and then closes. */
void server_greet(int client, void *server);
void server_expect_greeting(int s);

/* A handler that says `ready`, waits for `release`, and then greets. */
void server_linger(int client, void *server);
void server_let_go(struct server *server);

/* Let others run meanwhile, on whatever this handler runs. */
void server_pause(void);

#endif
