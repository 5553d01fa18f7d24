/* SPDX-License-Identifier: MIT */
#include "base/bits.h"
#include "base/seam.h"
#include "base/trace.h"
#include "harness.h"
#include "stub_dns.h"
#include "wait/work.h"

#include <pier/error.h>
#include <pier/resolve.h>
#include <pier/socket.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const struct stub_name names[] = {
    {.name = "both.test", .inet = "127.0.0.1", .inet6 = "::1"},
    {.name = "four.test", .inet = "127.0.0.4 127.0.0.5"},
    {.name = "six.test", .inet6 = "::1"},
    {.name = "alias.test", .cname = "four.test"},
    {.name = "xn--bcher-kva.test", .inet = "127.0.0.6"},
    {.name = "under_score.test", .inet = "127.0.0.7"},
    {.name = "held.test", .inet = "127.0.0.8", .wait4 = STUB_HELD, .wait6 = STUB_HELD},
    {.name = "empty.test"},
    {.name = "servfail.test", .how = STUB_SERVFAIL},
    {.name = "refused.test", .how = STUB_REFUSED},
    {.name = "mute.test", .how = STUB_MUTE},
    {.name = "garbage.test", .how = STUB_GARBAGE},
    {.name = "cut.test", .how = STUB_CUT, .inet = "127.0.0.1", .inet6 = "::1"},
    {.name = "truncated.test", .how = STUB_TRUNCATED, .inet = "127.0.0.1"},
    {.name = "wrongid.test", .how = STUB_WRONG_ID, .inet = "127.0.0.1", .inet6 = "::1"},
    {.name = "9.0.0.127.in-addr.arpa", .ptr = "nine.test"},
    {.name = "10.0.0.127.in-addr.arpa", .how = STUB_MUTE},
};

static void start_stub(void) { stub_dns_start(names, PIER_COUNT(names)); }

/* A deadline, so that the pool is used, which is not meant to pass. */
static pier_time far(void) { return pier_after(1000); }

static ssize_t look_up(const char *host, const char *service, int family, pier_addrinfo **out)
{
    return pier_getaddrinfo(host, service,
        &(pier_addrinfo_opts){.family = family, .type = SOCK_STREAM, .deadline = far()}, out);
}

/* What a look-up that must fail says. */
static ssize_t failure_of(const char *host, const char *service)
{
    pier_addrinfo *list = (pier_addrinfo *)&list;
    ssize_t n = look_up(host, service, 0, &list);
    assert_true(n < 0);
    assert_null(list);
    return n;
}

static void assert_addr(pier_addr addr, const char *text)
{
    assert_string_equal(pier_addr_text(addr).text, text);
}

static void assert_failed(pier_addr addr, int error)
{
    assert_int_equal(addr.error, error);
    assert_int_equal(addr.length, 0);
}

TEST(literals_never_ask_anybody)
{
    pier_addrinfo *list;
    static const char *const literals[][2] = {{"127.0.0.1", "127.0.0.1:80"}, {"::1", "[::1]:80"},
        {"127.1", "127.0.0.1:80"}, {"0x7f000001", "127.0.0.1:80"}, {"fe80::1%7", "[fe80::1%7]:80"},
        {"::ffff:127.0.0.1", "[::ffff:127.0.0.1]:80"}};
    for (size_t i = 0; i < PIER_COUNT(literals); i++) {
        /* Even after the deadline: there is nothing to wait for. */
        assert_int_equal(
            pier_getaddrinfo(literals[i][0], "80",
                &(pier_addrinfo_opts){.type = SOCK_STREAM, .deadline = pier_now() - 1}, &list),
            1);
        assert_addr(list->addr, literals[i][1]);
        assert_int_equal(list->type, SOCK_STREAM);
        assert_int_equal(list->protocol, IPPROTO_TCP);
        assert_string_equal(list->canonname, "");
        pier_freeaddrinfo(list);
    }
    assert_int_equal(pier__work_counts().threads, 0);
}

TEST(without_a_host_the_answer_is_this_host_or_any)
{
    pier_addrinfo *list;
    assert_int_equal(look_up(NULL, "80", AF_INET, &list), 1);
    assert_addr(list->addr, "127.0.0.1:80");
    pier_freeaddrinfo(list);
    assert_int_equal(
        pier_getaddrinfo(NULL, "80",
            &(pier_addrinfo_opts){.family = AF_INET6, .type = SOCK_DGRAM, .flags = AI_PASSIVE},
            &list),
        1);
    assert_addr(list->addr, "[::]:80");
    assert_int_equal(list->protocol, IPPROTO_UDP);
    pier_freeaddrinfo(list);
}

TEST(nothing_and_the_empty_name_are_no_names)
{
    assert_int_equal(failure_of(NULL, NULL), PIER_EAI_NONAME);
    assert_int_equal(failure_of("", NULL), PIER_EAI_NONAME);
    assert_int_equal(failure_of("", "80"), PIER_EAI_NONAME);
}

TEST(ports_are_checked_before_glibc_cuts_them)
{
    static const char *const bad[] = {
        "65536", "99999999999", "-1", "+80", "-0", "--1", "99999999999999999999999999", "0065536"};
    for (size_t i = 0; i < PIER_COUNT(bad); i++) {
        assert_int_equal(failure_of("127.0.0.1", bad[i]), PIER_EPORT);
    }
    static const char *const unknown[] = {"80abc", " 80", "80 ", "\t80", "0x50", "nosuchservice"};
    for (size_t i = 0; i < PIER_COUNT(unknown); i++) {
        assert_int_equal(failure_of("127.0.0.1", unknown[i]), PIER_EAI_SERVICE);
    }
    char long_name[400];
    memset(long_name, 'x', sizeof long_name);
    long_name[sizeof long_name - 1] = '\0';
    assert_int_equal(failure_of("127.0.0.1", long_name), PIER_EAI_SERVICE);

    static const char *const good[][2] = {{"65535", "127.0.0.1:65535"}, {"0", "127.0.0.1:0"},
        {"00000000080", "127.0.0.1:80"}, {"", "127.0.0.1:0"}};
    for (size_t i = 0; i < PIER_COUNT(good); i++) {
        pier_addrinfo *list;
        assert_int_equal(look_up("127.0.0.1", good[i][0], 0, &list), 1);
        assert_addr(list->addr, good[i][1]);
        pier_freeaddrinfo(list);
    }
    assert_int_equal(failure_of("127.0.0.1", "65536"), PIER_EPORT);
    assert_string_equal(pier_error(), "resolve 65536: port must be 0-65535");
}

TEST(bad_arguments_are_refused)
{
    pier_addrinfo *list = (pier_addrinfo *)&list;
    assert_int_equal(pier_getaddrinfo("127.0.0.1", "80", NULL, NULL), -EINVAL);
    assert_int_equal(
        pier_getaddrinfo("127.0.0.1", "80", &(pier_addrinfo_opts){.reserved = {0, 1}}, &list),
        -EINVAL);
    assert_null(list);
    assert_int_equal(pier_getaddrinfo("127.0.0.1", "80",
                         &(pier_addrinfo_opts){.deadline = pier_after(-1)}, &list),
        -EINVAL);
    assert_int_equal(
        pier_getaddrinfo("127.0.0.1", "80", &(pier_addrinfo_opts){.family = 77}, &list),
        PIER_EAI_FAMILY);
    assert_int_equal(
        pier_getaddrinfo("127.0.0.1", "80", &(pier_addrinfo_opts){.flags = 1 << 30}, &list),
        PIER_EAI_BADFLAGS);
    assert_int_equal(pier_getaddrinfo("127.0.0.1", "80", &(pier_addrinfo_opts){.type = 77}, &list),
        PIER_EAI_SOCKTYPE);
    assert_int_equal(pier_getaddrinfo("::1", "80", &(pier_addrinfo_opts){.family = AF_INET}, &list),
        PIER_EAI_ADDRFAMILY);
    pier_freeaddrinfo(NULL);
    pier_freehostent(NULL);
}

TEST(hosts_that_cannot_be_names_are_refused_without_asking)
{
    start_stub();
    char label[80], long_name[300] = "";
    memset(label, 'a', 64);
    memcpy(label + 64, ".test", 6);
    for (int i = 0; i < 51; i++) {
        memcpy(long_name + 5 * i, "abcd.", 6);
    }
    assert_int_equal(failure_of(label, "80"), PIER_EHOSTTEXT);
    assert_int_equal(failure_of(long_name, "80"), PIER_EHOSTTEXT);
    assert_int_equal(failure_of("a..test", "80"), PIER_EHOSTTEXT);
    assert_int_equal(failure_of(".test", "80"), PIER_EHOSTTEXT);
    assert_int_equal(failure_of(".", "80"), PIER_EHOSTTEXT);
    assert_int_equal(failure_of("both\n.test", "80"), PIER_EHOSTTEXT);
    assert_int_equal(failure_of("both\x7f.test", "80"), PIER_EHOSTTEXT);
    assert_int_equal(failure_of("b\xfcro.test", "80"), PIER_EAI_IDN_ENCODE);
    assert_int_equal(failure_of("::1q", "80"), PIER_EAI_NONAME);
    assert_int_equal(failure_of("::1::2", "80"), PIER_EAI_NONAME);
    assert_int_equal(failure_of("[::1]", "80"), PIER_EAI_NONAME);
    assert_int_equal(failure_of("fe80::1%nope", "80"), PIER_EAI_NONAME);
    assert_int_equal(failure_of("fe80::1%thisnameistoolong", "80"), PIER_EAI_NONAME);
    pier_addrinfo *list;
    assert_int_equal(
        pier_getaddrinfo("both.test", "80", &(pier_addrinfo_opts){.flags = AI_NUMERICHOST}, &list),
        PIER_EAI_NONAME);
    assert_int_equal(stub_dns_questions(), 0);
    stub_dns_stop();
}

TEST(names_are_looked_up_with_and_without_a_deadline)
{
    start_stub();
    for (int pooled = 0; pooled < 2; pooled++) {
        pier_addrinfo_opts opts = {.type = SOCK_STREAM, .deadline = pooled ? far() : 0};
        pier_addrinfo *list;
        assert_int_equal(pier_getaddrinfo("both.test", "http", &opts, &list), 2);
        int sum = list[0].family + list[1].family;
        assert_int_equal(sum, AF_INET + AF_INET6);
        assert_int_equal(pier_addr_port(list[0].addr), 80);
        assert_int_equal(pier_addr_port(list[1].addr), 80);
        pier_freeaddrinfo(list);

        opts.flags = AI_CANONNAME;
        assert_int_equal(pier_getaddrinfo("alias.test", NULL, &opts, &list), 2);
        assert_string_equal(list[0].canonname, "four.test");
        assert_string_equal(list[1].canonname, "");
        pier_freeaddrinfo(list);

        opts.flags = 0;
        assert_int_equal(pier_getaddrinfo("B\xc3\x9c"
                                          "CHER.test",
                             NULL, &opts, &list),
            1);
        assert_addr(list->addr, "127.0.0.6:0");
        pier_freeaddrinfo(list);
        assert_int_equal(pier_getaddrinfo("under_score.test.", NULL, &opts, &list), 1);
        assert_addr(list->addr, "127.0.0.7:0");
        pier_freeaddrinfo(list);
        if (!harness_in_task()) assert_int_equal(pier__work_counts().threads > 0, pooled);
    }
    stub_dns_stop();
}

TEST(failures_are_told_apart)
{
    start_stub();
    assert_int_equal(failure_of("nosuch.test", "80"), PIER_EAI_NONAME);
    assert_int_equal(failure_of("empty.test", "80"), PIER_EAI_NODATA);
    assert_int_equal(failure_of("servfail.test", "80"), PIER_EAI_AGAIN);
    assert_int_equal(failure_of("mute.test", "80"), PIER_EAI_AGAIN);
    assert_string_equal(pier_error(), "resolve mute.test: Temporary failure in name resolution");
    assert_int_equal(failure_of("truncated.test", "80"), PIER_EAI_AGAIN);
    assert_int_equal(failure_of("wrongid.test", "80"), PIER_EAI_AGAIN);
    pier_addrinfo *list;
    assert_true(look_up("six.test", "80", AF_INET, &list) < 0);
    static const char *const broken[] = {"refused.test", "garbage.test", "cut.test"};
    for (size_t i = 0; i < PIER_COUNT(broken); i++) {
        ssize_t code = failure_of(broken[i], "80");
        assert_true(code <= PIER_EAI_BADFLAGS && code >= PIER_EAI_IDN_ENCODE);
    }
    stub_dns_stop();
}

TEST(a_host_of_120_addresses_gives_all_of_them_in_one_block)
{
    start_stub();
    char hosts[120 * 32] = "";
    size_t used = 0;
    for (int i = 1; i <= 120; i++) {
        used += (size_t)snprintf(hosts + used, sizeof hosts - used, "10.0.%d.1 many.test\n", i);
    }
    stub_dns_hosts(hosts);
    for (int pooled = 0; pooled < 2; pooled++) {
        pier_addrinfo *list;
        assert_int_equal(
            pier_getaddrinfo("many.test", "80",
                &(pier_addrinfo_opts){.type = SOCK_STREAM, .deadline = pooled ? far() : 0}, &list),
            120);
        bool seen[256] = {false};
        for (int i = 0; i < 120; i++) {
            unsigned third = ntohl(list[i].addr.sa.inet.sin_addr.s_addr) >> 8 & 0xff;
            assert_false(seen[third]);
            seen[third] = true;
        }
        pier_freeaddrinfo(list);
        pier_hostent *host;
        assert_int_equal(pier_gethostbyname_ex("many.test", pooled ? far() : PIER_NEVER, &host), 0);
        assert_int_equal(host->addr_count, 120);
        assert_addr(host->addrs[119], "10.0.120.1:0");
        pier_freehostent(host);
    }
    stub_dns_stop();
}

TEST(the_deadline_is_kept_when_the_resolver_hangs_and_not_before)
{
    start_stub();
    for (int i = 0; i < 20; i++) {
        pier_addrinfo *list = (pier_addrinfo *)&list;
        pier_time deadline = pier_after(0.02);
        assert_int_equal(
            pier_getaddrinfo("mute.test", "80", &(pier_addrinfo_opts){.deadline = deadline}, &list),
            -ETIME);
        assert_true(pier_now() >= deadline);
        assert_null(list);
        assert_true(pier__work_counts().threads <= PIER__WORK_THREADS);
    }
    assert_string_equal(pier_error(), "resolve mute.test: Timed out");
    pier_time deadline = pier_after(0.05);
    assert_failed(pier_gethostbyname("mute.test", deadline), -ETIME);
    assert_failed(pier_resolve(pier_addr_parse("mute.test:80", NULL), deadline), -ETIME);
    pier_hostent *host;
    assert_int_equal(pier_gethostbyname_ex("mute.test", pier_after(0.05), &host), -ETIME);
    assert_null(host);
    assert_int_equal(pier_gethostbyaddr("127.0.0.10", pier_after(0.05), &host), -ETIME);
    pier_nameinfo info = {.host = "untouched"};
    assert_int_equal(
        pier_getnameinfo(pier_inet("127.0.0.10", 80), 0, pier_after(0.05), &info), -ETIME);
    assert_string_equal(info.host, "untouched");
    char buf[100] = "untouched";
    assert_int_equal(pier_getfqdn("127.0.0.10", pier_after(0.05), buf, sizeof buf), -ETIME);
    assert_string_equal(buf, "untouched");
    stub_dns_stop();
    assert_int_equal(pier__work_counts().queued, 0);
}

TEST(a_late_answer_is_dropped)
{
    assert_int_equal(setenv("RES_OPTIONS", "timeout:30", 1), 0); /* the resolver is patient */
    start_stub();
    for (int i = 0; i < 10; i++) {
        pier_addrinfo *list;
        assert_int_equal(pier_getaddrinfo("held.test", "80",
                             &(pier_addrinfo_opts){.deadline = pier_after(0.01)}, &list),
            -ETIME);
    }
    pier_addrinfo *list;
    stub_dns_let_go();
    assert_int_equal(look_up("held.test", "80", 0, &list), 1);
    assert_addr(list->addr, "127.0.0.8:80");
    pier_freeaddrinfo(list);
    stub_dns_stop();
}

TEST(no_thread_is_started_without_a_deadline)
{
    start_stub();
    pier_addrinfo *list;
    assert_int_equal(pier_getaddrinfo("four.test", "80", NULL, &list), 6);
    pier_freeaddrinfo(list);
    assert_addr(pier_resolve(pier_addr_parse("four.test:http", NULL), PIER_NEVER), "127.0.0.4:80");
    assert_int_equal(pier__work_counts().threads, 0);
    stub_dns_stop();
}

static void no_effect(int signal) { (void)signal; }

static int refuse(void *unused)
{
    (void)unused;
    return 1;
}

TEST(the_hook_interrupts_a_look_up)
{
    start_stub();
    pier_sethook(refuse, NULL);
    struct sigaction action = {.sa_handler = no_effect};
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    timer_t timer;
    assert_int_equal(timer_create(CLOCK_MONOTONIC, NULL, &timer), 0);
    struct itimerspec every = {{0, 20000000}, {0, 20000000}};
    assert_int_equal(timer_settime(timer, 0, &every, NULL), 0);
    assert_failed(pier_gethostbyname("mute.test", PIER_NEVER), -EINTR);
    stub_dns_stop();
}

#if defined(__has_feature)
#    if __has_feature(thread_sanitizer)
#        define __SANITIZE_THREAD__ 1
#    endif
#endif

static void *look_up_mute(void *unused)
{
    (void)unused;
    assert_failed(pier_gethostbyname("mute.test", pier_after(0.3)), -ETIME);
    return NULL;
}

TEST(a_child_forked_during_a_look_up_looks_up_by_itself)
{
#ifdef __SANITIZE_THREAD__
    SKIP("ThreadSanitizer refuses threads in a forked child");
#endif
    start_stub();
    pthread_t others[3];
    for (int i = 0; i < 3; i++) {
        others[i] = test_thread(look_up_mute, NULL);
    }
    pier_time patience = pier_after(0.2); /* one thread may have to ask for two */
    while (stub_dns_questions() < 3 && pier_now() < patience) {
        test_sleep(0.001);
    }
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        pier_addr direct = pier_gethostbyname("four.test", PIER_NEVER);
        pier_addr pooled = pier_gethostbyname("four.test", far());
        pier_addr late = pier_gethostbyname("mute.test", pier_after(0.01));
        bool right = direct.error == 0 && pier_addr_equal(direct, pooled) && late.error == -ETIME;
        _exit(right ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    for (int i = 0; i < 3; i++) {
        test_join(others[i]);
    }
    stub_dns_stop();
}

/* An address of a family (AF_UNSPEC: any) in the text form, and what becomes of it. */
static void assert_resolved(int family, const char *from, const char *to)
{
    pier_addr addr = pier_addr_parse(from, &(pier_parse_opts){.family = family});
    assert_addr(pier_resolve(addr, far()), to);
}

static void assert_unresolved(pier_addr addr, int code)
{
    assert_failed(pier_resolve(addr, far()), code);
}

TEST(pending_addresses_are_resolved_by_hand)
{
    start_stub();
    assert_resolved(AF_INET, "four.test:7", "127.0.0.4:7");
    assert_resolved(AF_INET6, "both.test:7", "[::1]:7");
    assert_resolved(AF_UNSPEC, "six.test:domain", "[::1]:53");
    assert_resolved(AF_UNSPEC, "127.0.0.1:http", "127.0.0.1:80");
    assert_resolved(AF_UNSPEC, ":80", "[::]:80");
    assert_resolved(AF_INET, ":80", "0.0.0.0:80");
    assert_resolved(AF_UNSPEC, ":http", "[::]:80");
    assert_resolved(AF_UNSPEC, "[fe80::1%lo]:80", "[fe80::1%1]:80");
    assert_resolved(AF_UNSPEC, "[fe80::1%lo]:http", "[fe80::1%1]:80");
    assert_resolved(AF_UNSPEC, "unix:/tmp/x", "unix:/tmp/x");
    assert_addr(pier_resolve(pier_inet("127.0.0.1", 7), pier_now() - 1), "127.0.0.1:7");
    pier_addr packet = pier_resolve(pier_packet("lo", 3, 0, 0, NULL, 0), far());
    assert_int_equal(packet.error, 0);
    assert_int_equal(packet.pending, 0);
    stub_dns_stop();
}

TEST(addresses_that_cannot_be_resolved_carry_the_error)
{
    start_stub();
    assert_unresolved(pier_inet("six.test", 7), PIER_EAI_NODATA);
    assert_unresolved(pier_addr_parse("four.test:nosuch", NULL), PIER_EAI_SERVICE);
    assert_unresolved(pier_addr_parse("[fe80::1%nope]:80", NULL), PIER_EAI_NONAME);
    assert_unresolved(pier_can("nope"), -ENODEV);
    assert_unresolved((pier_addr){0}, PIER_ENOADDR);
    assert_unresolved(pier_inet("127.0.0.1", -1), PIER_EPORT);
    assert_failed(pier_resolve(pier_inet("four.test", 7), pier_after(-1)), -EINVAL);
    stub_dns_stop();
}

TEST(gethostbyname_takes_names_numbers_and_the_two_special_hosts)
{
    start_stub();
    static const char *const hosts[][2] = {{"", "0.0.0.0:0"}, {"<broadcast>", "255.255.255.255:0"},
        {"127.1", "127.0.0.1:0"}, {"1", "0.0.0.1:0"}, {"four.test", "127.0.0.4:0"},
        {"localhost", "127.0.0.1:0"}};
    for (size_t i = 0; i < PIER_COUNT(hosts); i++) {
        assert_addr(pier_gethostbyname(hosts[i][0], far()), hosts[i][1]);
        assert_addr(pier_gethostbyname(hosts[i][0], PIER_NEVER), hosts[i][1]);
    }
    assert_failed(pier_gethostbyname(NULL, PIER_NEVER), -EINVAL);
    assert_failed(pier_gethostbyname("four.test", pier_after(-1)), -EINVAL);
    assert_failed(pier_gethostbyname("::1", PIER_NEVER), PIER_EAI_ADDRFAMILY);
    assert_failed(pier_gethostbyname("nosuch.test", PIER_NEVER), PIER_EAI_NONAME);
    assert_string_equal(pier_error(), "resolve nosuch.test: Name or service not known");
    stub_dns_stop();
}

static int name(pier_addr addr, int flags, pier_nameinfo *out)
{
    return pier_getnameinfo(addr, flags, far(), out);
}

TEST(getnameinfo_tells_names_of_address_and_port)
{
    start_stub();
    pier_nameinfo info = {.host = ""};
    assert_int_equal(name(pier_inet("127.0.0.9", 80), 0, &info), 0);
    assert_string_equal(info.host, "nine.test");
    assert_string_equal(info.service, "http");
    assert_int_equal(name(pier_inet("127.0.0.9", 514), NI_DGRAM, &info), 0);
    assert_string_equal(info.service, "syslog");
    assert_int_equal(pier_getnameinfo(pier_inet("127.0.0.9", 9), 0, PIER_NEVER, &info), 0);
    assert_string_equal(info.service, "discard");

    /* Numbers are there at once, deadline or not. */
    const int numeric = NI_NUMERICHOST | NI_NUMERICSERV;
    assert_int_equal(
        pier_getnameinfo(pier_inet6("fe80::1%1", 80), numeric, pier_now() - 1, &info), 0);
    assert_string_equal(info.host, "fe80::1%lo");
    assert_string_equal(info.service, "80");

    assert_int_equal(name(pier_inet("127.0.0.11", 80), 0, &info), 0);
    assert_string_equal(info.host, "127.0.0.11");
    stub_dns_stop();
}

TEST(getnameinfo_leaves_its_output_alone_when_it_fails)
{
    start_stub();
    pier_nameinfo info = {.host = "untouched"};
    assert_int_equal(name(pier_inet("127.0.0.11", 80), NI_NAMEREQD, &info), PIER_EAI_NONAME);
    assert_int_equal(name(pier_inet("four.test", 80), 0, &info), PIER_EUNRESOLVED);
    assert_int_equal(name(pier_unix("/x"), 0, &info), PIER_EFAMILY);
    assert_int_equal(name(pier_inet("", 99999), 0, &info), PIER_EPORT);
    assert_int_equal(name((pier_addr){0}, 0, &info), PIER_ENOADDR);
    assert_int_equal(name(pier_inet("", 9), 0x4000000, &info), PIER_EAI_BADFLAGS);
    assert_int_equal(name(pier_inet("", 9), 0, NULL), -EINVAL);
    assert_string_equal(info.host, "untouched");
    stub_dns_stop();
}

/* What can go wrong below: the seam says so. */
static int eai_system, failing_allocation = -1;

static int system_fails(const char *host, const char *service, const struct addrinfo *hints,
    struct addrinfo **out, int *system)
{
    (void)host, (void)service, (void)hints, (void)out;
    *system = eai_system;
    return EAI_SYSTEM;
}

TEST(a_system_error_of_the_resolver_is_an_errno)
{
    struct pier__seam mine = pier__seam_system;
    mine.getaddrinfo = system_fails;
    pier__seam = &mine;
    eai_system = -EMFILE;
    assert_int_equal(failure_of("some.test", "80"), -EMFILE);
    eai_system = 0;
    assert_int_equal(failure_of("some.test", "80"), PIER_EAI_FAIL);
    pier__seam = &pier__seam_system;
}

static int no_thread(pthread_t *out, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
    (void)out, (void)attr, (void)fn, (void)arg;
    return -EAGAIN;
}

TEST(a_look_up_that_gets_no_thread_may_be_tried_again)
{
    struct pier__seam mine = pier__seam_system;
    mine.thread = no_thread;
    pier__seam = &mine;
    pier_hostent *host;
    pier_nameinfo info;
    assert_int_equal(failure_of("some.test", "80"), PIER_EAI_AGAIN);
    assert_failed(pier_gethostbyname("some.test", far()), PIER_EAI_AGAIN);
    assert_int_equal(pier_gethostbyaddr("127.0.0.1", far(), &host), PIER_EAI_AGAIN);
    assert_int_equal(pier_getnameinfo(pier_inet("127.0.0.1", 9), 0, far(), &info), PIER_EAI_AGAIN);
    pier__seam = &pier__seam_system;
}

static void *allocate(void *old, size_t size)
{
    if (failing_allocation == 0) return NULL;
    if (failing_allocation > 0) failing_allocation--;
    return pier__seam_system.allocate(old, size);
}

TEST(a_look_up_without_memory_says_so_and_leaks_nothing)
{
    struct pier__seam mine = pier__seam_system;
    mine.allocate = allocate;
    pier__seam = &mine;
    pier_addrinfo *list;
    pier_hostent *host;
    ssize_t err = -ENOMEM;
    int n;
    for (n = 0; err == -ENOMEM; n++) {
        failing_allocation = n;
        err = pier_getaddrinfo("127.0.0.1", "80", NULL, &list);
        if (err > 0) pier_freeaddrinfo(list);
    }
    assert_int_equal(err, 3);
    assert_true(n > 2);
    err = -ENOMEM;
    for (n = 0; err == -ENOMEM; n++) {
        failing_allocation = n;
        err = pier_gethostbyname_ex("127.0.0.1", PIER_NEVER, &host);
        if (err == 0) pier_freehostent(host);
    }
    assert_int_equal(err, 0);
    assert_true(n > 4);
    pier__seam = &pier__seam_system;
}

/* Each line of Python's answer to a question, against ours. */
static void assert_as_python(const char *host, const char *service, int family, int type)
{
    char command[512], theirs[2048], ours[2048] = "";
    snprintf(command, sizeof command,
        "/usr/bin/python3 -c \"import socket\n"
        "for f, t, p, c, a in socket.getaddrinfo(%s, '%s', %d, %d): print(int(f), int(t), p, a[0], a[1])\"",
        host ? host : "None", service, family, type);
    FILE *python = popen(command, "re"); /* NOLINT(cert-env33-c) */
    assert_non_null(python);
    size_t n = fread(theirs, 1, sizeof theirs - 1, python);
    theirs[n] = '\0';
    if (pclose(python) != 0) SKIP("no /usr/bin/python3");

    char plain[64] = "";
    if (host) memcpy(plain, host + 1, strlen(host) - 2);
    pier_addrinfo *list;
    ssize_t count = pier_getaddrinfo(
        host ? plain : NULL, service, &(pier_addrinfo_opts){.family = family, .type = type}, &list);
    assert_true(count > 0);
    size_t used = 0;
    for (ssize_t i = 0; i < count; i++) {
        used += (size_t)snprintf(ours + used, sizeof ours - used, "%d %d %d %s %d\n",
            list[i].family, list[i].type, list[i].protocol, pier_addr_host(list[i].addr).text,
            pier_addr_port(list[i].addr));
    }
    pier_freeaddrinfo(list);
    assert_string_equal(ours, theirs);
}

TEST(answers_are_those_of_python)
{
    start_stub();
    assert_as_python("'127.0.0.1'", "80", 0, 0);
    assert_as_python("'both.test'", "http", 0, 0);
    assert_as_python("'localhost'", "domain", 0, SOCK_DGRAM);
    assert_as_python("'0x7f.1'", "", AF_INET, SOCK_RAW);
    assert_as_python(NULL, "ftp", 0, SOCK_STREAM);
    stub_dns_stop();
}

TEST(calls_with_null_and_strange_text_can_be_traced)
{
    pier__trace_on = true; /* the lines go nowhere: no file was opened for them */
    pier_addrinfo *list;
    pier_hostent *host;
    pier_nameinfo info;
    pier_interface *interfaces;
    char buf[300];
    assert_true(pier_getaddrinfo(NULL, NULL, NULL, &list) < 0);
    assert_true(pier_getaddrinfo("\xff%s\n", "%n", NULL, &list) < 0);
    assert_failed(pier_gethostbyname(NULL, PIER_NEVER), -EINVAL);
    assert_failed(pier_resolve((pier_addr){0}, PIER_NEVER), PIER_ENOADDR);
    assert_true(pier_gethostbyname_ex(NULL, PIER_NEVER, &host) < 0);
    assert_true(pier_gethostbyaddr(NULL, PIER_NEVER, &host) < 0);
    assert_true(pier_getnameinfo((pier_addr){0}, 0, PIER_NEVER, &info) < 0);
    assert_true(pier_getfqdn(NULL, PIER_NEVER, NULL, 0) < 0);
    assert_true(pier_gethostname(buf, sizeof buf) > 0);
    assert_true(pier_sethostname(NULL, 5) < 0);
    assert_true(pier_getservbyname(NULL, NULL) < 0);
    assert_true(pier_getservbyport(-1, NULL, buf, sizeof buf) < 0);
    assert_true(pier_getprotobyname(NULL) < 0);
    assert_true(pier_inet_aton(NULL, NULL) < 0);
    assert_true(pier_inet_pton(AF_INET, NULL, NULL) < 0);
    assert_true(pier_inet_ntop(AF_INET, NULL, 0, NULL, 0) < 0);
    assert_string_equal(pier_inet_ntoa((struct in_addr){0}).text, "0.0.0.0");
    assert_true(pier_htons(-1) < 0);
    assert_true(pier_if_nametoindex(NULL) < 0);
    assert_true(pier_if_indextoname(0, buf, sizeof buf) < 0);
    assert_true(pier_if_nameindex(&interfaces) > 0);
    pier_freenameindex(interfaces);
    pier__trace_on = false;
}
