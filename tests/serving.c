/* SPDX-License-Identifier: MIT */
#include "serving.h"

#include <errno.h>

const char *server_crew;

const char *const server_crews[] = {"thread", "epoll", "uring", NULL};

uint64_t server_count(const uint64_t *number) { return __atomic_load_n(number, __ATOMIC_RELAXED); }

void server_wait_for(const uint64_t *number, uint64_t value)
{
    WAIT_UNTIL(server_count(number) == value);
}

void *server_run(void *arg)
{
    struct server *server = arg;
    server->opts.backend = server_crew;
    return (void *)(intptr_t)pier_serve(server->listener, server->handler, server, &server->opts);
}

void server_listen(struct server *server, const pier_server_opts *opts)
{
    server->listener = pier_create_server("127.0.0.1:0", opts);
    assert_true(server->listener >= 0);
    assert_int_equal(pier_getsockname(server->listener, &server->at), 0);
    server->opts.counts = &server->counts;
}

void server_start(struct server *server)
{
    server_listen(server, NULL);
    server->thread = test_thread(server_run, server);
}

int server_dial(const struct server *server)
{
    int s = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(pier_connect(s, server->at), 0);
    assert_int_equal(pier_setdeadline(s, pier_after(PATIENCE)), 0);
    return s;
}

void server_stop(struct server *server, double drain)
{
    int err;
    WAIT_UNTIL((err = pier_stop(server->listener, drain)) != -ESRCH); /* it may not yet serve */
    assert_int_equal(err, 0);
}

int server_join(struct server *server)
{
    int err = (int)(intptr_t)test_join(server->thread);
    assert_int_equal(server_count(&server->counts.active), 0);
    assert_int_equal(pier_close(server->listener), 0);
    return err;
}

void server_ignore(int client, void *server) { (void)client, (void)server; }

void server_greet(int client, void *server)
{
    (void)server;
    assert_int_equal(pier_sendall(client, "Thank you for connecting", 24, 0), 24);
}

void server_expect_greeting(int s)
{
    char text[32];
    assert_int_equal(pier_recv_exactly(s, text, 24), 24);
    assert_memory_equal(text, "Thank you for connecting", 24);
    assert_int_equal(pier_recv(s, text, sizeof text, 0), 0);
    assert_int_equal(pier_close(s), 0);
}

void server_let_go(struct server *server) { atomic_store(&server->release, 1); }

void server_pause(void) { assert_int_equal(pier_sleep(0.001), 0); }

void server_linger(int client, void *arg)
{
    struct server *server = arg;
    atomic_fetch_add(&server->ready, 1);
    while (!atomic_load(&server->release)) {
        server_pause();
    }
    server_greet(client, arg);
}
