/* SPDX-License-Identifier: MIT */
/* Look-ups as the verbs use them: for a socket, several at once, beside descriptors. */
#include "base/bits.h"
#include "base/seam.h"
#include "harness.h"
#include "sock/resolve.h"
#include "sock/table.h"
#include "stub_dns.h"
#include "wait/thread.h"
#include "wait/work.h"

#include <pier/error.h>
#include <pier/socket.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct stub_name names[] = {
    {.name = "both.test", .inet = "127.0.0.1", .inet6 = "::1"},
    {.name = "four.test", .inet = "127.0.0.4"},
    {.name = "held6.test", .inet = "127.0.0.1", .inet6 = "::1", .wait6 = STUB_HELD},
    {.name = "mute.test", .how = STUB_MUTE},
};

static void start_stub(void) { stub_dns_start(names, PIER_COUNT(names)); }

static pier_time far(void) { return pier_after(1000); }

/* A text for a socket of this family, and what becomes of it. */
static void assert_for(int family, bool passive, const char *text, const char *to)
{
    pier_addr addr = pier_addr_parse(text, NULL);
    assert_int_equal(pier__resolve_for(&addr, NULL, family, SOCK_STREAM, PIER_NEVER, passive), 0);
    assert_string_equal(pier_addr_text(addr).text, to);
}

static void assert_refused(int family, const char *text, int code)
{
    pier_addr addr = pier_addr_parse(text, NULL), before = addr;
    assert_int_equal(pier__resolve_for(&addr, NULL, family, SOCK_STREAM, PIER_NEVER, true), code);
    assert_memory_equal(&addr, &before, sizeof addr);
}

TEST(an_address_is_completed_for_the_family_of_its_socket)
{
    start_stub();
    assert_for(AF_INET, true, "both.test:80", "127.0.0.1:80");
    assert_for(AF_INET6, true, "both.test:http", "[::1]:80");
    assert_for(AF_RDS, true, "both.test:80", "127.0.0.1:80");
    assert_for(AF_INET, true, "127.0.0.1:http", "127.0.0.1:80");
    assert_for(AF_UNIX, true, "unix:/x", "unix:/x");
    assert_refused(AF_INET6, "four.test:80", PIER_EAI_NODATA);
    assert_refused(AF_INET6, "nosuch.test:80", PIER_EAI_NONAME);
    assert_refused(AF_INET, "four.test:nosuch", PIER_EAI_SERVICE);
    assert_refused(AF_INET, "127.0.0.1:nosuch", PIER_EAI_SERVICE);
    assert_refused(AF_UNIX, "four.test:80", PIER_EFAMILY);
    stub_dns_stop();
}

TEST(literals_of_the_other_family_are_refused)
{
    assert_refused(AF_INET6, "127.0.0.1:80", PIER_EAI_ADDRFAMILY);
    assert_refused(AF_INET6, "127.0.0.1:http", PIER_EAI_ADDRFAMILY);
    assert_refused(AF_INET, "[::1]:80", PIER_EAI_ADDRFAMILY);
    assert_refused(AF_INET, "[fe80::1%lo]:80", PIER_EAI_ADDRFAMILY);
    assert_refused(AF_INET, ":99999", PIER_EPORT);
}

TEST(no_host_is_any_to_listen_on_and_this_host_to_talk_to)
{
    assert_for(AF_INET, true, ":80", "0.0.0.0:80");
    assert_for(AF_INET6, true, ":80", "[::]:80");
    assert_for(AF_INET, false, ":80", "127.0.0.1:80");
    assert_for(AF_INET6, false, ":http", "[::1]:80");
    assert_for(AF_RDS, false, ":80", "127.0.0.1:80");
}

TEST(what_the_caller_does_not_know_is_asked_of_the_descriptor)
{
    const struct pier__use use = {.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    assert_true(use.fd >= 0);
    pier_addr addr = pier_addr_parse(":syslog", NULL);
    assert_int_equal(pier__resolve_for(&addr, &use, 0, 0, PIER_NEVER, false), 0);
    assert_string_equal(pier_addr_text(addr).text, "127.0.0.1:514");

    addr = pier_packet("lo", 3, 0, 0, NULL, 0);
    assert_int_equal(pier__resolve_for(&addr, &use, AF_PACKET, SOCK_RAW, PIER_NEVER, true), 0);
    assert_int_equal(addr.pending, 0);
    addr = pier_can("nosuchif0");
    assert_int_equal(pier__resolve_for(&addr, &use, AF_CAN, SOCK_RAW, PIER_NEVER, true), -ENODEV);
    close(use.fd);

    const struct pier__use gone = {.fd = use.fd};
    addr = pier_addr_parse(":80", NULL);
    assert_int_equal(pier__resolve_for(&addr, &gone, 0, 0, PIER_NEVER, false), -EBADF);
    addr = pier_can("lo");
    assert_int_equal(pier__resolve_for(&addr, &gone, AF_CAN, 0, PIER_NEVER, true), -EBADF);
}

static struct pier__life life;

static void *close_it(void *unused)
{
    (void)unused;
    while (stub_dns_questions() == 0) {
        test_sleep(0.001);
    }
    atomic_fetch_or(&life.state, PIER__CLOSING);
    pier__life_wake(&life, -1);
    return NULL;
}

TEST(closing_the_socket_ends_its_look_up)
{
    start_stub();
    atomic_store(&life.state, PIER__OPEN | PIER__WAITER);
    pthread_t closer = test_thread(close_it, NULL);
    pier_addrinfo *list;
    const struct pier__question question = {.host = "mute.test"};
    assert_int_equal(pier__getaddrinfo(&question, &life, far(), &list), -ECANCELED);
    assert_null(list);
    test_join(closer);
    stub_dns_stop();
}

/* Wait as dialling does: for descriptors of its own, and to be woken. */
static void wait_woken(int fd)
{
    struct pollfd room[2] = {{.fd = fd, .events = POLLIN}};
    struct pier__op op = {.code = PIER_OP_POLL,
        .timeout = PIER_NEVER,
        .deadline = far(),
        .with.poll = {.fds = room, .count = 1}};
    assert_int_equal(pier__await(&op), 0);
}

TEST(two_look_ups_run_at_once_beside_a_descriptor)
{
    assert_int_equal(setenv("RES_OPTIONS", "timeout:30", 1), 0); /* the resolver is patient, too */
    start_stub();
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    const struct pier__question
        ask6 = {.host = "held6.test", .service = "80", .family = AF_INET6, .type = SOCK_STREAM},
        ask4 = {.host = "held6.test", .service = "80", .family = AF_INET, .type = SOCK_STREAM};
    struct pier__lookup *six, *four;
    assert_int_equal(pier__lookup_start(&ask6, &six), 0);
    assert_int_equal(pier__lookup_start(&ask4, &four), 0);
    while (!pier__lookup_done(four)) {
        wait_woken(pair[0]);
    }
    assert_false(pier__lookup_done(six));
    stub_dns_let_go();
    pier_addrinfo *list;
    assert_int_equal(pier__lookup_take(four, &list), 1);
    assert_string_equal(pier_addr_text(list->addr).text, "127.0.0.1:80");
    pier_freeaddrinfo(list);
    while (!pier__lookup_done(six)) {
        wait_woken(pair[0]);
    }
    assert_int_equal(pier__lookup_take(six, &list), 1);
    assert_string_equal(pier_addr_text(list->addr).text, "[::1]:80");
    pier_freeaddrinfo(list);
    close(pair[0]);
    close(pair[1]);
    stub_dns_stop();
}

TEST(a_look_up_may_be_left_at_any_time)
{
    start_stub();
    const struct pier__question mute = {.host = "mute.test"}, four = {.host = "four.test"};
    struct pier__lookup *lookups[40];
    for (size_t i = 0; i < PIER_COUNT(lookups); i++) {
        assert_int_equal(pier__lookup_start(i % 2 ? &mute : &four, &lookups[i]), 0);
    }
    while (!pier__lookup_done(lookups[0])) {
        test_sleep(0.001);
    }
    for (size_t i = 0; i < PIER_COUNT(lookups); i++) {
        pier__lookup_leave(lookups[i]);
    }
    pier__lookup_leave(NULL);
    stub_dns_stop();
}

TEST(a_literal_is_done_when_it_is_started)
{
    const struct pier__question question = {.host = "::1", .service = "80", .type = SOCK_DGRAM};
    struct pier__lookup *lookup;
    assert_int_equal(pier__lookup_start(&question, &lookup), 0);
    assert_true(pier__lookup_done(lookup));
    pier_addrinfo *list;
    assert_int_equal(pier__lookup_take(lookup, &list), 1);
    pier_freeaddrinfo(list);
    assert_int_equal(pier__lookup_start(&question, &lookup), 0);
    pier__lookup_leave(lookup);

    const struct pier__question wrong = {.host = "::1", .service = "65536"};
    assert_int_equal(pier__lookup_start(&wrong, &lookup), PIER_EPORT);
    const struct pier__question other = {.host = "::1", .family = AF_INET};
    assert_int_equal(pier__lookup_start(&other, &lookup), 0);
    assert_int_equal(pier__lookup_take(lookup, &list), PIER_EAI_ADDRFAMILY);
    assert_null(list);
    assert_int_equal(pier__work_counts().threads, 0);
}

static int no_thread(pthread_t *out, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
    (void)out, (void)attr, (void)fn, (void)arg;
    return -ENOMEM;
}

TEST(a_look_up_that_cannot_be_started_is_an_error_at_once)
{
    struct pier__seam mine = pier__seam_system;
    mine.thread = no_thread;
    pier__seam = &mine;
    const struct pier__question question = {.host = "four.test"};
    struct pier__lookup *lookup;
    assert_int_equal(pier__lookup_start(&question, &lookup), PIER_EAI_AGAIN);
    pier__seam = &pier__seam_system;
}

TEST(verbs_look_names_up_under_the_sockets_deadline)
{
    start_stub();
    int s = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_true(s >= 0);
    assert_int_equal(pier_bind(s, pier_addr_parse("localhost:0", NULL)), 0);
    pier_addr own;
    assert_int_equal(pier_getsockname(s, &own), 0);
    assert_string_equal(pier_addr_host(own).text, "127.0.0.1");
    pier_time deadline = pier_after(0.05);
    assert_int_equal(pier_setdeadline(s, deadline), 0);
    assert_int_equal(pier_connect(s, pier_inet("mute.test", 80)), -ETIME);
    assert_true(pier_now() >= deadline);
    pier_close(s);

    s = pier_socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(pier_settimeout(s, 0.05), 0);
    assert_int_equal(pier_sendto(s, "x", 1, 0, pier_inet("mute.test", 80)), -ETIME);
    /* As in Python, a non-blocking socket looks up all the same. */
    assert_int_equal(pier_setblocking(s, false), 0);
    assert_int_equal(pier_sendto(s, "x", 1, 0, pier_inet("four.test", 80)), 1);
    pier_close(s);
    stub_dns_stop();
}
