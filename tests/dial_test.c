/* SPDX-License-Identifier: MIT */
#include "base/bits.h"
#include "base/seam.h"
#include "harness.h"
#include "stub_dns.h"
#include "wait/work.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <math.h>
#include <netinet/in.h>
#include <pier.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <unistd.h>

#define PORT 7777 /* in the test's own network namespace */

/* "host:7777" */
static const char *at(const char *host)
{
    static _Thread_local char texts[4][300];
    static _Thread_local unsigned next;
    char *text = texts[next++ % 4];
    (void)snprintf(text, sizeof texts[0], "%s:%d", host, PORT);
    return text;
}

static int own_port(int s)
{
    pier_addr own;
    assert_int_equal(pier_getsockname(s, &own), 0);
    return pier_addr_port(own);
}

static void assert_peer(int s, const char *expected)
{
    pier_addr peer;
    if (s < 0) fprintf(stderr, "%s\n", pier_error());
    assert_true(s >= 0);
    assert_int_equal(pier_getpeername(s, &peer), 0);
    assert_string_equal(pier_addr_text(peer).text, expected);
}

static int listen_at(const char *text)
{
    int s = pier_create_server(text, NULL);
    if (s < 0) fprintf(stderr, "%s\n", pier_error());
    assert_true(s >= 0);
    return s;
}

/* A listener whose queue is full: the kernel drops what knocks, as a firewall does. */
struct hole {
    int server, filler;
};

static struct hole black_hole(const char *text)
{
    struct hole hole = {.server = pier_create_server(text, &(pier_server_opts){.backlog = 1})};
    assert_true(hole.server >= 0);
    assert_int_equal(listen(hole.server, 0), 0);
    pier_addr addr;
    pier_getsockname(hole.server, &addr);
    hole.filler = pier_socket(pier_addr_family(addr), SOCK_STREAM, 0);
    assert_int_equal(pier_connect(hole.filler, addr), 0);
    return hole;
}

static void close_hole(struct hole hole)
{
    pier_close(hole.filler);
    pier_close(hole.server);
}

static const struct stub_name names[] = {
    {.name = "both.test", .inet = "127.0.0.1", .inet6 = "::1"},
    {.name = "four.test", .inet = "127.0.0.1"},
    {.name = "six.test", .inet6 = "::1"},
    {.name = "late4.test", .inet = "127.0.0.1", .inet6 = "::1", .wait4 = 0.5},
    {.name = "late6.test", .inet = "127.0.0.1", .inet6 = "::1", .wait6 = 0.5},
    {.name = "held6.test", .inet = "127.0.0.1", .inet6 = "::1", .wait6 = STUB_HELD},
    {.name = "far.test", .inet = "127.0.0.1", .inet6 = "2001:db8::1"},
    {.name = "mute.test", .how = STUB_MUTE},
    {.name = "empty.test"},
    {.name = "servfail.test", .how = STUB_SERVFAIL},
};

static void start_stub(void) { stub_dns_start(names, PIER_COUNT(names)); }

/* A deadline that is not meant to pass, so that look-ups run beside each other. */
static pier_connection_opts *hurry(void)
{
    static pier_connection_opts opts;
    opts = (pier_connection_opts){.deadline = pier_after(1000)};
    return &opts;
}

TEST(literals_connect_without_a_look_up)
{
    int server = listen_at("127.0.0.1:0");
    char text[40];
    (void)snprintf(text, sizeof text, "127.0.0.1:%d", own_port(server));
    for (int limited = 0; limited < 2; limited++) {
        int s = pier_create_connection(text, limited ? hurry() : NULL);
        assert_peer(s, text);
        pier_close(s);
    }
    pier_close(server);
    if (test_ipv6()) {
        server = listen_at("[::1]:0");
        (void)snprintf(text, sizeof text, "[::1]:%d", own_port(server));
        int s = pier_create_connection(text, hurry());
        assert_peer(s, text);
        pier_close(s);
        pier_close(server);
    }
    assert_int_equal(pier__work_counts().threads, 0);
}

TEST(unix_paths_and_abstract_names_connect)
{
    char text[600];
    (void)snprintf(text, sizeof text, "unix:%s", test_path("x.sock"));
    int server = listen_at(text);
    for (int limited = 0; limited < 2; limited++) {
        int s = pier_create_connection(text, limited ? hurry() : NULL);
        assert_peer(s, text);
        pier_close(s);
    }
    pier_close(server);
    assert_int_equal(pier_create_connection(text, NULL), -ECONNREFUSED);
    char sentence[700];
    (void)snprintf(sentence, sizeof sentence, "connect to %s: Connection refused", text);
    assert_string_equal(pier_error(), sentence);
    assert_int_equal(unlink(test_path("x.sock")), 0);
    assert_int_equal(pier_create_connection(text, NULL), -ENOENT);

    (void)snprintf(text, sizeof text, "unix:@pier-dial-%d", (int)getpid());
    server = listen_at(text);
    int s = pier_create_connection(text, NULL);
    assert_peer(s, text);
    pier_close(s);
    pier_close(server);
}

static void *take_one(void *server)
{
    test_sleep(0.1);
    int s = pier_accept((int)(intptr_t)server, NULL);
    assert_true(s >= 0);
    pier_close(s);
    return NULL;
}

TEST(a_full_unix_queue_is_waited_for_until_the_deadline)
{
    char text[600];
    (void)snprintf(text, sizeof text, "unix:%s", test_path("x.sock"));
    int server = pier_create_server(text, &(pier_server_opts){.backlog = 1});
    int fillers[2];
    for (int i = 0; i < 2; i++) {
        fillers[i] = pier_create_connection(text, NULL);
        assert_true(fillers[i] >= 0);
    }
    pier_time until = pier_after(0.1);
    assert_int_equal(
        pier_create_connection(text, &(pier_connection_opts){.deadline = until}), -ETIME);
    assert_true(pier_now() >= until);
    pthread_t thread = test_thread(take_one, (void *)(intptr_t)server);
    int s = pier_create_connection(text, NULL);
    assert_peer(s, text);
    test_join(thread);
    pier_close(s);
    pier_close(fillers[0]);
    pier_close(fillers[1]);
    pier_close(server);
}

TEST(no_host_is_this_host)
{
    test_in_netns();
    static const char *const hosts[] = {"127.0.0.1", "[::1]"};
    for (size_t i = 0; i < PIER_COUNT(hosts); i++) {
        int server = listen_at(at(hosts[i]));
        for (int limited = 0; limited < 2; limited++) {
            int s = pier_create_connection(at(""), limited ? hurry() : NULL);
            assert_peer(s, at(hosts[i]));
            pier_close(s);
            s = pier_create_connection(
                at(""), &(pier_connection_opts){.family = i ? AF_INET6 : AF_INET});
            assert_peer(s, at(hosts[i]));
            pier_close(s);
        }
        pier_close(server);
    }
    assert_int_equal(pier__work_counts().threads, 0);
}

TEST(a_name_connects_with_and_without_a_deadline)
{
    start_stub();
    int server = listen_at(at(""));
    for (int limited = 0; limited < 2; limited++) {
        int s = pier_create_connection(at("four.test"), limited ? hurry() : NULL);
        assert_peer(s, at("127.0.0.1"));
        pier_close(s);
        s = pier_create_connection(at("six.test"), limited ? hurry() : NULL);
        assert_peer(s, at("[::1]"));
        pier_close(s);
        pier_connection_opts opts = {.family = AF_INET, .deadline = limited ? pier_after(1000) : 0};
        s = pier_create_connection(at("both.test"), &opts);
        assert_peer(s, at("127.0.0.1"));
        pier_close(s);
        if (!limited && !harness_in_task()) assert_int_equal(pier__work_counts().threads, 0);
    }
    pier_close(server);
    stub_dns_stop();
}

TEST(a_service_name_is_looked_up)
{
    start_stub();
    int server = pier_create_server(":http", NULL);
    if (server == PIER_EAI_SERVICE) SKIP("no /etc/services here");
    assert_true(server >= 0);
    static const char *const hosts[][2] = {{"127.0.0.1:http", "127.0.0.1:80"},
        {"[::1]:http", "[::1]:80"}, {"four.test:http", "127.0.0.1:80"}, {":http", NULL}};
    for (size_t i = 0; i < PIER_COUNT(hosts); i++) {
        int s = pier_create_connection(hosts[i][0], i % 2 ? hurry() : NULL);
        assert_true(s >= 0);
        if (hosts[i][1]) assert_peer(s, hosts[i][1]);
        pier_close(s);
    }
    assert_int_equal(pier_create_connection("127.0.0.1:nonsuch", NULL), PIER_EAI_SERVICE);
    pier_close(server);
    stub_dns_stop();
}

TEST(when_all_refuse_the_sentence_lists_them)
{
    start_stub();
    int s = pier_create_connection("localhost:7777", hurry());
    assert_int_equal(s, -ECONNREFUSED);
    assert_string_equal(pier_error(),
        "connect to localhost:7777 (tried [::1]:7777, 127.0.0.1:7777): Connection refused");
    s = pier_create_connection("far.test:7777", hurry());
    assert_int_equal(s, -ECONNREFUSED);
    assert_string_equal(pier_error(),
        "connect to far.test:7777 (tried [2001:db8::1]:7777: Network is "
        "unreachable; 127.0.0.1:7777: Connection refused): Connection refused");
    stub_dns_stop();
}

TEST(an_unreachable_address_is_passed_over_at_once)
{
    start_stub();
    int server = listen_at(at("127.0.0.1"));
    pier_connection_opts opts = {.deadline = pier_after(1000), .attempt_delay = 500};
    int s = pier_create_connection(at("far.test"), &opts);
    assert_peer(s, at("127.0.0.1"));
    pier_close(s);
    s = pier_create_connection(at("both.test"), &opts); /* refused on ::1 */
    assert_peer(s, at("127.0.0.1"));
    pier_close(s);
    pier_close(server);
    stub_dns_stop();
}

TEST(a_silent_address_is_overtaken_after_the_attempt_delay)
{
    start_stub();
    struct hole hole = black_hole(at("[::1]"));
    int server = listen_at(at("127.0.0.1"));
    pier_addr found = pier_resolve(pier_addr_parse(at("both.test"), NULL), pier_after(1000));
    assert_int_equal(found.error, 0); /* the stub has begun */
    int before = test_fd_count();
    static const double delays[] = {0, 0.1};
    for (size_t i = 0; i < PIER_COUNT(delays); i++) {
        pier_connection_opts opts = {.deadline = pier_after(1000), .attempt_delay = delays[i]};
        pier_time began = pier_now();
        int s = pier_create_connection(at("both.test"), &opts);
        assert_true(pier_now() - began >= (i == 0 ? PIER_SECOND / 4 : PIER_SECOND / 10));
        assert_peer(s, at("127.0.0.1"));
        pier_close(s);
    }
    while (test_fd_count() > before) /* the pool's own may linger */
        test_sleep(0.01);
    assert_int_equal(test_fd_count(), before);
    pier_close(server);
    close_hole(hole);
    stub_dns_stop();
}

TEST(the_slower_address_still_wins_if_it_is_the_only_one)
{
    start_stub();
    struct hole six = black_hole(at("[::1]"));
    struct hole four = black_hole(at("127.0.0.1"));
    pthread_t thread = test_thread(take_one, (void *)(intptr_t)six.server);
    int s = pier_create_connection(at("both.test"), hurry()); /* its SYN is sent again */
    assert_peer(s, at("[::1]"));
    test_join(thread);
    pier_close(s);
    close_hole(six);
    close_hole(four);
    stub_dns_stop();
}

TEST(the_deadline_covers_all_attempts)
{
    start_stub();
    struct hole six = black_hole(at("[::1]"));
    struct hole four = black_hole(at("127.0.0.1"));
    bool both = false;
    for (double limit = 1; !both; limit *= 2) { /* once more, if there was no time for both */
        pier_time until = pier_after(limit);
        pier_connection_opts opts = {.deadline = until, .attempt_delay = 0.01};
        assert_int_equal(pier_create_connection(at("both.test"), &opts), -ETIME);
        assert_true(pier_now() >= until);
        assert_int_equal(pier_error_code(), -ETIME);
        both = strstr(pier_error(), "(tried [::1]:7777, 127.0.0.1:7777): ") != NULL;
    }
    pier_time began = pier_now();
    pier_connection_opts opts = {.timeout = 0.2};
    assert_int_equal(pier_create_connection(at("127.0.0.1"), &opts), -ETIME);
    assert_true(pier_now() - began >= PIER_SECOND / 5);
    close_hole(six);
    close_hole(four);
    stub_dns_stop();
}

TEST(the_deadline_covers_the_look_up)
{
    start_stub();
    pier_time until = pier_after(0.2);
    pier_connection_opts opts = {.deadline = until};
    assert_int_equal(pier_create_connection(at("mute.test"), &opts), -ETIME);
    assert_true(pier_now() >= until);
    assert_non_null(strstr(pier_error(), "connect to mute.test:7777: "));
    assert_int_equal(
        pier_create_connection(at("127.0.0.1"), &(pier_connection_opts){.deadline = 1}), -ETIME);
    stub_dns_stop();
}

TEST(ipv6_that_answers_first_begins_at_once)
{
    start_stub();
    int server = listen_at(at(""));
    int s = pier_create_connection(at("late4.test"), hurry());
    assert_peer(s, at("[::1]"));
    pier_close(s);
    pier_close(server);
    stub_dns_stop();
}

TEST(ipv4_that_answers_first_waits_a_moment_for_ipv6)
{
    start_stub();
    int server = listen_at(at(""));
    pier_time began = pier_now();
    int s = pier_create_connection(at("held6.test"), hurry());
    assert_true(pier_now() - began >= PIER_SECOND / 20);
    assert_peer(s, at("127.0.0.1"));
    pier_close(s);
    stub_dns_let_go();
    pier_close(server);
    stub_dns_stop();
}

TEST(ipv6_that_comes_late_is_tried_too)
{
    start_stub();
    struct hole hole = black_hole(at("127.0.0.1"));
    int server = listen_at(at("[::1]"));
    int s = pier_create_connection(at("late6.test"), hurry());
    assert_peer(s, at("[::1]"));
    pier_close(s);
    pier_close(server);
    close_hole(hole);
    stub_dns_stop();
}

TEST(names_without_an_address_are_the_resolvers_errors)
{
    start_stub();
    for (int limited = 0; limited < 2; limited++) {
        int s = pier_create_connection(at("nowhere.test"), limited ? hurry() : NULL);
        assert_int_equal(s, PIER_EAI_NONAME);
        assert_string_equal(
            pier_error(), "connect to nowhere.test:7777: Name or service not known");
        s = pier_create_connection(at("empty.test"), limited ? hurry() : NULL);
        assert_true(s == PIER_EAI_NODATA || s == PIER_EAI_NONAME);
        s = pier_create_connection(at("servfail.test"), limited ? hurry() : NULL);
        assert_int_equal(s, PIER_EAI_AGAIN);
    }
    stub_dns_stop();
}

/* All of 127.0.1.x, for one name. */
static void many_hosts(int count)
{
    static char text[8000];
    (void)snprintf(text, sizeof text, "127.0.0.1 localhost\n");
    for (int i = 1; i <= count; i++)
        (void)snprintf(text + strlen(text), 40, "127.0.1.%d many.test\n", i);
    stub_dns_hosts(text);
}

TEST(a_hundred_and_twenty_addresses_are_all_tried)
{
    start_stub();
    many_hosts(120);
    for (int limited = 0; limited < 2; limited++) {
        assert_int_equal(
            pier_create_connection(at("many.test"), limited ? hurry() : NULL), -ECONNREFUSED);
        assert_non_null(strstr(pier_error(), " and 112 more): Connection refused"));
    }
    stub_dns_stop();
}

static int sockets_open, sockets_most;

static int count_socket(int family, int type, int protocol)
{
    int fd = pier__seam_system.socket(family, type, protocol);
    sockets_open += fd >= 0;
    if (sockets_open > sockets_most) sockets_most = sockets_open;
    return fd;
}

static int count_close(int fd)
{
    sockets_open--;
    return pier__seam_system.close(fd);
}

TEST(of_many_silent_addresses_few_are_tried_at_a_time)
{
    enum { HOLES = 40 };
    start_stub();
    many_hosts(HOLES + 1);
    struct hole holes[HOLES];
    for (int i = 0; i < HOLES; i++) {
        char host[20];
        (void)snprintf(host, sizeof host, "127.0.1.%d", i + 1);
        holes[i] = black_hole(at(host));
    }
    char last[20];
    (void)snprintf(last, sizeof last, "127.0.1.%d", HOLES + 1);
    int server = listen_at(at(last));
    struct pier__seam seam = pier__seam_system;
    seam.socket = count_socket;
    seam.close = count_close;
    pier__seam = &seam;
    int s = pier_create_connection(at("many.test"), &(pier_connection_opts){.attempt_delay = 0.01});
    pier__seam = &pier__seam_system;
    assert_peer(s, at(last));
    assert_true(sockets_most <= 16);
    assert_int_equal(sockets_open, 1);
    pier_close(s);
    pier_close(server);
    for (int i = 0; i < HOLES; i++)
        close_hole(holes[i]);
    stub_dns_stop();
}

/*
 * A link in the test's own network whose other end nobody reads: 10.9.0.1/24. What goes through a
 * TUN is gone without a trace, as behind a firewall that drops; through a TAP nobody answers who
 * has an address.
 */
static int dead_link(short kind)
{
    struct ifreq link = {.ifr_name = "dead0"};
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    link.ifr_flags = (short)(kind | IFF_NO_PI);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &link) < 0) SKIP("no TUN here");
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x0a090001)};
    memcpy(&link.ifr_addr, &addr, sizeof addr);
    assert_int_equal(ioctl(s, SIOCSIFADDR, &link), 0);
    addr.sin_addr.s_addr = htonl(0xffffff00);
    memcpy(&link.ifr_netmask, &addr, sizeof addr);
    assert_int_equal(ioctl(s, SIOCSIFNETMASK, &link), 0);
    link.ifr_flags = IFF_UP | IFF_RUNNING;
    assert_int_equal(ioctl(s, SIOCSIFFLAGS, &link), 0);
    close(s);
    return fd;
}

TEST(a_dropped_syn_ends_at_the_deadline_and_not_when_the_kernel_gives_up)
{
    test_in_netns();
    int link = dead_link(IFF_TUN);
    pier_time until = pier_after(0.3);
    assert_int_equal(
        pier_create_connection("10.9.0.2:80", &(pier_connection_opts){.deadline = until}), -ETIME);
    assert_true(pier_now() >= until);
    until = pier_after(0.3);
    assert_int_equal(
        pier_create_connection("10.9.0.2:80", &(pier_connection_opts){.timeout = 0.3}), -ETIME);
    assert_true(pier_now() >= until);
    close(link);
}

TEST(a_host_that_is_not_there_is_the_networks_verdict)
{
    test_in_netns();
    int link = dead_link(IFF_TAP);
    assert_int_equal(pier_create_connection("10.9.0.2:80", NULL), -EHOSTUNREACH); /* ARP gave up */
    assert_string_equal(pier_error(), "connect to 10.9.0.2:80: No route to host");
    close(link);
}

TEST(a_link_that_is_gone_is_unreachable_at_once)
{
    test_in_netns();
    int link = dead_link(IFF_TUN);
    pier_connection_opts opts = {.deadline = pier_after(0.3)};
    assert_int_equal(pier_create_connection("10.9.0.2:80", &opts), -ETIME);
    close(link);
    assert_int_equal(pier_create_connection("10.9.0.2:80", NULL), -ENETUNREACH);
}

/* What stays on the socket. */

TEST(the_limits_of_dialling_stay_on_the_socket)
{
    int server = listen_at("127.0.0.1:0");
    char text[40];
    (void)snprintf(text, sizeof text, "127.0.0.1:%d", own_port(server));
    int s = pier_create_connection(text, NULL);
    assert_true(isinf(pier_gettimeout(s)));
    assert_true(pier_getdeadline(s) == PIER_NEVER);
    assert_false(fcntl(s, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(s, F_GETFD) & FD_CLOEXEC);
    pier_close(s);

    pier_time until = pier_after(100);
    s = pier_create_connection(text, &(pier_connection_opts){.deadline = until});
    assert_true(pier_getdeadline(s) == until);
    assert_false(fcntl(s, F_GETFL) & O_NONBLOCK);
    pier_close(s);

    s = pier_create_connection(text, &(pier_connection_opts){.timeout = 7});
    assert_true(pier_gettimeout(s) == 7);
    assert_true(fcntl(s, F_GETFL) & O_NONBLOCK);
    pier_close(s);

    pier_setdefaulttimeout(8);
    s = pier_create_connection(text, NULL);
    assert_true(pier_gettimeout(s) == 8);
    pier_close(s);
    s = pier_create_connection(text, &(pier_connection_opts){.timeout = INFINITY});
    assert_true(isinf(pier_gettimeout(s)));
    assert_false(fcntl(s, F_GETFL) & O_NONBLOCK);
    pier_close(s);

    pier_setdefaulttimeout(0); /* for what follows; dialling must wait all the same */
    s = pier_create_connection(text, NULL);
    assert_true(s >= 0);
    assert_true(pier_gettimeout(s) == 0);
    pier_close(s);
    pier_setdefaulttimeout(INFINITY);
    pier_close(server);
}

TEST(the_conversation_ends_at_the_deadline_of_the_dial)
{
    int server = listen_at("127.0.0.1:0");
    char text[40], byte;
    (void)snprintf(text, sizeof text, "127.0.0.1:%d", own_port(server));
    pier_time until = pier_after(0.1);
    int s = pier_create_connection(text, &(pier_connection_opts){.deadline = until});
    assert_int_equal(pier_recv(s, &byte, 1, 0), -ETIME);
    assert_true(pier_now() >= until);
    pier_close(s);
    pier_close(server);
}

/* The source. */

static pier_addr seen_from(int server, int client)
{
    pier_addr peer;
    if (client < 0) fprintf(stderr, "%s\n", pier_error());
    assert_true(client >= 0);
    int taken = pier_accept(server, &peer);
    assert_true(taken >= 0);
    pier_close(taken);
    return peer;
}

TEST(the_source_is_what_the_server_sees)
{
    test_in_netns();
    int server = listen_at(at(""));
    pier_connection_opts opts = {.source = pier_inet("127.0.0.9", 0)};
    int s = pier_create_connection(at("127.0.0.1"), &opts);
    pier_addr peer = pier_addr_unmap(seen_from(server, s));
    assert_string_equal(pier_addr_host(peer).text, "127.0.0.9");
    int value = 0;
    socklen_t size = sizeof value;
    assert_int_equal(getsockopt(s, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &value, &size), 0);
    assert_int_equal(value, 1);
    pier_close(s);

    opts.source = pier_inet("127.0.0.9", 5555);
    s = pier_create_connection(at("127.0.0.1"), &opts);
    assert_string_equal(
        pier_addr_text(pier_addr_unmap(seen_from(server, s))).text, "127.0.0.9:5555");
    pier_close(s);

    opts.source = pier_addr_parse(":5556", NULL);
    s = pier_create_connection(at("[::1]"), &opts);
    assert_string_equal(pier_addr_text(seen_from(server, s)).text, "[::1]:5556");
    pier_close(s);
    pier_close(server);
}

TEST(a_source_chooses_the_family)
{
    start_stub();
    int server = listen_at(at(""));
    pier_connection_opts opts = {.source = pier_inet("127.0.0.9", 0)};
    int s = pier_create_connection(at("both.test"), &opts);
    assert_peer(s, at("127.0.0.1"));
    pier_close(s);
    assert_int_equal(pier_create_connection(at("[::1]"), &opts), PIER_EAI_ADDRFAMILY);
    assert_int_equal(pier_create_connection("unix:/x", &opts), PIER_EFAMILY);
    opts.family = AF_INET6;
    assert_int_equal(pier_create_connection(at("both.test"), &opts), PIER_EAI_ADDRFAMILY);
    opts = (pier_connection_opts){.source = pier_inet("203.0.113.7", 0)};
    assert_int_equal(pier_create_connection(at("127.0.0.1"), &opts), -EADDRNOTAVAIL);
    opts.source = pier_inet("127.0.0.1", 99999);
    assert_int_equal(pier_create_connection(at("127.0.0.1"), &opts), PIER_EPORT);
    opts.source = pier_unix("/x");
    assert_int_equal(pier_create_connection(at("127.0.0.1"), &opts), PIER_EFAMILY);
    opts = (pier_connection_opts){.source = pier_addr_parse("six.test:0", NULL)};
    s = pier_create_connection(
        at("both.test"), &opts); /* IPv4 has no such source, and is passed over */
    assert_peer(s, at("[::1]"));
    pier_close(s);
    pier_close(server);
    stub_dns_stop();
}

TEST(a_unix_source_is_a_path)
{
    char text[600];
    (void)snprintf(text, sizeof text, "unix:%s", test_path("x.sock"));
    int server = listen_at(text);
    pier_connection_opts opts = {.source = pier_unix(test_path("me.sock"))};
    int s = pier_create_connection(text, &opts);
    pier_addr peer = seen_from(server, s);
    assert_string_equal(pier_addr_host(peer).text, test_path("me.sock"));
    pier_close(s);
    pier_close(server);
}

/* What goes wrong. */

static void put_ports(const char *range)
{
    int fd = open("/proc/sys/net/ipv4/ip_local_port_range", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, range, strlen(range)) < 0) SKIP("the port range cannot be set here");
    close(fd);
}

TEST(a_connection_to_itself_is_refused)
{
    test_in_netns();
    put_ports("7776 7777");
    int refused = 0;
    for (int i = 0; i < 20; i++) {
        int s = pier_create_connection(at("127.0.0.1"), NULL);
        assert_int_equal(s, -ECONNREFUSED);
        refused++;
    }
    assert_int_equal(refused, 20);
    /* With a port of its own somebody has asked for it. */
    int s = pier_create_connection(
        at("127.0.0.1"), &(pier_connection_opts){.source = pier_inet("127.0.0.1", PORT)});
    assert_peer(s, at("127.0.0.1"));
    pier_close(s);
}

TEST(when_ports_run_out_that_is_the_error)
{
    test_in_netns();
    put_ports("6000 6001");
    int server = listen_at(at("127.0.0.1")), clients[2];
    for (int i = 0; i < 2; i++) {
        clients[i] = pier_create_connection(at("127.0.0.1"), NULL);
        assert_true(clients[i] >= 0);
    }
    assert_int_equal(pier_create_connection(at("127.0.0.1"), NULL), -EADDRNOTAVAIL);
    pier_close(clients[0]);
    pier_close(clients[1]);
    pier_close(server);
}

static int sockets_left;

static int few_sockets(int family, int type, int protocol)
{
    if (sockets_left-- <= 0) return -EMFILE;
    return pier__seam_system.socket(family, type, protocol);
}

TEST(without_descriptors_the_attempts_under_way_go_on)
{
    start_stub();
    struct hole six = black_hole(at("[::1]"));
    struct hole four = black_hole(at("127.0.0.1"));
    struct pier__seam seam = pier__seam_system;
    seam.socket = few_sockets;
    pthread_t thread = test_thread(take_one, (void *)(intptr_t)six.server);
    pier__seam = &seam;
    sockets_left = 1;
    int s = pier_create_connection(
        at(""), &(pier_connection_opts){.deadline = pier_after(1000), .attempt_delay = 0.02});
    assert_true(s >= 0 || s == -EMFILE); /* which of the two is first is not ours to say */
    if (s >= 0) {
        assert_peer(s, at("[::1]"));
        pier_close(s);
    }
    test_join(thread);
    sockets_left = 0;
    assert_int_equal(pier_create_connection(at(""), NULL), -EMFILE);
    pier__seam = &pier__seam_system;
    close_hole(six);
    close_hole(four);
    stub_dns_stop();
}

TEST(an_address_without_a_descriptor_is_tried_when_there_is_one_again)
{
    start_stub();
    int server = listen_at(at("127.0.0.1")); /* and ::1 refuses */
    struct pier__seam seam = pier__seam_system;
    seam.socket = few_sockets;
    pier__seam = &seam;
    sockets_left = 2;
    int s = pier_create_connection(at("both.test"), hurry());
    pier__seam = &pier__seam_system;
    assert_peer(s, at("127.0.0.1"));
    pier_close(s);
    pier_close(server);
    stub_dns_stop();
}

static void on_alarm(int number) { (void)number; }

static int always(void *arg)
{
    ++*(int *)arg;
    return 1;
}

TEST(the_hook_ends_a_dial_and_closes_its_attempts)
{
    start_stub();
    struct hole six = black_hole(at("[::1]"));
    struct hole four = black_hole(at("127.0.0.1"));
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval soon = {{0, 400000}, {0, 400000}};
    int asked = 0;
    pier_sethook(always, &asked);
    setitimer(ITIMER_REAL, &soon, NULL);
    assert_int_equal(pier_create_connection(at("both.test"), NULL), -EINTR);
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 0}}, NULL);
    pier_sethook(NULL, NULL);
    assert_true(asked >= 1); /* a loop asks of each interruption, also while all is closed */
    close_hole(six);
    close_hole(four);
    stub_dns_stop();
}

TEST(signals_do_not_disturb_a_dial)
{
    start_stub();
    struct hole hole = black_hole(at("[::1]"));
    int server = listen_at(at("127.0.0.1"));
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval often = {{0, 2000}, {0, 2000}};
    setitimer(ITIMER_REAL, &often, NULL);
    pier_time began = pier_now();
    int s = pier_create_connection(at("both.test"), hurry());
    assert_true(pier_now() - began >= PIER_SECOND / 4);
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 0}}, NULL);
    assert_peer(s, at("127.0.0.1"));
    pier_close(s);
    pier_close(server);
    close_hole(hole);
    stub_dns_stop();
}

TEST(bad_arguments_are_refused)
{
    static const struct {
        const char *address;
        int code;
    } wrong[] = {{NULL, -EINVAL}, {"", PIER_EADDRTEXT}, {"127.0.0.1", PIER_EADDRTEXT},
        {"127.0.0.1:65536", PIER_EPORT}, {"::1:80", PIER_EADDRTEXT}, {"1.2.3.4.5:80", PIER_EIPTEXT},
        {"unix:", -EINVAL}};
    for (size_t i = 0; i < PIER_COUNT(wrong); i++) {
        int s = pier_create_connection(wrong[i].address, NULL);
        if (wrong[i].address && strcmp(wrong[i].address, "unix:") == 0) {
            assert_true(s < 0); /* the kernel's own word for it */
            continue;
        }
        assert_int_equal(s, wrong[i].code);
        assert_int_equal(pier_error_code(), wrong[i].code);
    }
    const pier_connection_opts bad[] = {{.deadline = pier_after(-1)}, {.timeout = -1},
        {.timeout = NAN}, {.attempt_delay = -0.1}, {.attempt_delay = NAN}, {.family = AF_UNIX},
        {.family = 12345}, {.reserved = {1}}};
    for (size_t i = 0; i < PIER_COUNT(bad); i++)
        assert_int_equal(pier_create_connection("127.0.0.1:80", &bad[i]), -EINVAL);
    assert_int_equal(
        pier_create_connection("127.0.0.1:80", &(pier_connection_opts){.family = AF_INET6}),
        PIER_EAI_ADDRFAMILY);
}

static void *dial_often(void *unused)
{
    (void)unused;
    for (int i = 0; i < 20; i++) {
        int s = pier_create_connection(at("both.test"), NULL);
        assert_true(s >= 0);
        char greeting[10];
        assert_int_equal(pier_recvall(s, greeting, sizeof greeting), 2);
        pier_close(s);
    }
    return NULL;
}

static void *greet(void *server)
{
    for (int i = 0; i < 80; i++) {
        int s = pier_accept((int)(intptr_t)server, NULL);
        assert_true(s >= 0);
        pier_sendall(s, "hi", 2, 0);
        pier_close(s);
    }
    return NULL;
}

TEST(many_threads_dial_at_once)
{
    start_stub();
    stub_dns_hosts("127.0.0.1 both.test\n::1 both.test\n");
    int server = listen_at(at(""));
    pthread_t greeter = test_thread(greet, (void *)(intptr_t)server), dialers[4];
    pier_setdefaulttimeout(1000); /* so that the pool is used */
    for (int i = 0; i < 4; i++)
        dialers[i] = test_thread(dial_often, NULL);
    for (int i = 0; i < 4; i++)
        test_join(dialers[i]);
    test_join(greeter);
    pier_setdefaulttimeout(INFINITY);
    pier_close(server);
    stub_dns_stop();
}
