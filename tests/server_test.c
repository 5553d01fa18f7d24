/* SPDX-License-Identifier: MIT */
#include "base/seam.h"
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
#include <pier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* "unix:<path>" of a name in the test's folder. */
static const char *unix_text(const char *name)
{
    static char text[600];
    (void)snprintf(text, sizeof text, "unix:%s", test_path(name));
    return text;
}

static int own_port(int s)
{
    pier_addr own;
    assert_int_equal(pier_getsockname(s, &own), 0);
    return pier_addr_port(own);
}

static int int_option(int s, int level, int name)
{
    int value = -1;
    socklen_t size = sizeof value;
    assert_int_equal(getsockopt(s, level, name, &value, &size), 0);
    return value;
}

/* 0 if a client reaches the server there and the server can take it, else the code. */
static int reach(int server, pier_addr to)
{
    int client = pier_socket(pier_addr_family(to), SOCK_STREAM, 0);
    assert_true(client >= 0);
    int err = pier_connect(client, to);
    if (err == 0) {
        int taken = pier_accept(server, NULL);
        assert_true(taken >= 0);
        pier_close(taken);
    }
    pier_close(client);
    return err;
}

TEST(a_port_alone_serves_both_families)
{
    if (!test_ipv6()) SKIP("no IPv6 here");
    int server = pier_create_server(":0", NULL);
    assert_true(server >= 0);
    int port = own_port(server);
    assert_int_equal(reach(server, pier_inet("127.0.0.1", port)), 0);
    assert_int_equal(reach(server, pier_inet6("::1", port)), 0);
    pier_close(server);
}

TEST(a_family_asked_for_is_the_only_one)
{
    int server = pier_create_server(":0", &(pier_server_opts){.family = AF_INET});
    assert_true(server >= 0);
    int port = own_port(server);
    assert_int_equal(reach(server, pier_inet("127.0.0.1", port)), 0);
    if (test_ipv6()) assert_int_equal(reach(server, pier_inet6("::1", port)), -ECONNREFUSED);
    pier_close(server);
    if (!test_ipv6()) return;

    server = pier_create_server(":0", &(pier_server_opts){.family = AF_INET6});
    assert_true(server >= 0);
    port = own_port(server);
    assert_int_equal(reach(server, pier_inet6("::1", port)), 0);
    assert_int_equal(reach(server, pier_inet("127.0.0.1", port)), -ECONNREFUSED);
    pier_close(server);
}

TEST(an_ipv6_address_serves_ipv6_alone)
{
    if (!test_ipv6()) SKIP("no IPv6 here");
    int server = pier_create_server("[::]:0", NULL);
    assert_true(server >= 0);
    assert_int_equal(int_option(server, IPPROTO_IPV6, IPV6_V6ONLY), 1);
    pier_close(server);
}

static int refuse_ipv6(int family, int type, int protocol)
{
    return family == AF_INET6 ? -EAFNOSUPPORT : pier__seam_system.socket(family, type, protocol);
}

TEST(without_ipv6_a_port_alone_serves_ipv4)
{
    struct pier__seam seam = pier__seam_system;
    seam.socket = refuse_ipv6;
    pier__seam = &seam;
    assert_false(pier_has_dualstack_ipv6());
    int server = pier_create_server(":0", NULL);
    assert_true(server >= 0);
    assert_int_equal(reach(server, pier_inet("127.0.0.1", own_port(server))), 0);
    pier_close(server);
    pier__seam = &pier__seam_system;
}

TEST(has_dualstack_ipv6_tells_the_truth)
{
    assert_int_equal(pier_has_dualstack_ipv6(), test_ipv6());
}

TEST(a_server_reuses_the_address_by_default)
{
    int server = pier_create_server("127.0.0.1:0", NULL);
    assert_true(server >= 0);
    assert_int_equal(int_option(server, SOL_SOCKET, SO_REUSEADDR), 1);
    pier_close(server);
    server = pier_create_server("127.0.0.1:0", &(pier_server_opts){.no_reuse_address = true});
    assert_true(server >= 0);
    assert_int_equal(int_option(server, SOL_SOCKET, SO_REUSEADDR), 0);
    pier_close(server);
}

TEST(a_restarted_server_gets_its_port_in_spite_of_time_wait)
{
    test_in_netns_with_time_wait();
    int server = pier_create_server("127.0.0.1:0", NULL);
    int port = own_port(server);
    int client = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(pier_connect(client, pier_inet("127.0.0.1", port)), 0);
    int taken = pier_accept(server, NULL);
    pier_close(taken); /* the server's end closes first, and waits */
    char byte;
    assert_int_equal(pier_recv(client, &byte, 1, 0), 0);
    pier_close(client);
    pier_close(server);
    char text[32];
    (void)snprintf(text, sizeof text, "127.0.0.1:%d", port);
    int refused = pier_create_server(text, &(pier_server_opts){.no_reuse_address = true});
    assert_int_equal(refused, -EADDRINUSE);
    server = pier_create_server(text, NULL);
    assert_true(server >= 0);
    pier_close(server);
}

TEST(two_servers_share_a_port_only_when_both_ask)
{
    pier_server_opts shared = {.reuse_port = true};
    int first = pier_create_server("127.0.0.1:0", &shared);
    assert_true(first >= 0);
    char text[32];
    (void)snprintf(text, sizeof text, "127.0.0.1:%d", own_port(first));
    int second = pier_create_server(text, &shared);
    assert_true(second >= 0);
    assert_int_equal(pier_create_server(text, NULL), -EADDRINUSE);
    pier_close(first);
    pier_close(second);
}

TEST(an_address_in_use_is_named_with_its_holder)
{
    int first = pier_create_server("127.0.0.1:0", NULL);
    char text[32], expected[120];
    (void)snprintf(text, sizeof text, "127.0.0.1:%d", own_port(first));
    assert_int_equal(pier_create_server(text, NULL), -EADDRINUSE);
    assert_int_equal(pier_error_code(), -EADDRINUSE);
    (void)snprintf(expected, sizeof expected, "bind %s: Address already in use, held by ", text);
    assert_true(strncmp(pier_error(), expected, strlen(expected)) == 0);
    (void)snprintf(expected, sizeof expected, "[%d]", (int)getpid());
    assert_non_null(strstr(pier_error(), expected));
    pier_close(first);
}

static int backlog_seen;

static int see_backlog(int fd, int backlog)
{
    backlog_seen = backlog;
    return pier__seam_system.listen(fd, backlog);
}

TEST(the_queue_is_as_long_as_the_system_allows_or_as_asked)
{
    struct pier__seam seam = pier__seam_system;
    seam.listen = see_backlog;
    pier__seam = &seam;
    int server = pier_create_server("127.0.0.1:0", NULL);
    assert_true(backlog_seen >= SOMAXCONN);
    struct tcp_info info;
    socklen_t size = sizeof info;
    assert_int_equal(getsockopt(server, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
    FILE *sysctl = fopen("/proc/sys/net/core/somaxconn", "r");
    unsigned most = 0;
    assert_true(sysctl && fscanf(sysctl, "%u", &most) == 1);
    (void)fclose(sysctl);
    assert_int_equal(info.tcpi_sacked, most); /* a listener's queue length */
    pier_close(server);

    server = pier_create_server("127.0.0.1:0", &(pier_server_opts){.backlog = 7});
    assert_int_equal(backlog_seen, 7);
    pier_close(server);
    pier__seam = &pier__seam_system;
}

TEST(every_server_is_close_on_exec)
{
    int server = pier_create_server("127.0.0.1:0", NULL);
    assert_true(fcntl(server, F_GETFD) & FD_CLOEXEC);
    pier_close(server);
}

TEST(bad_arguments_are_refused)
{
    static const struct {
        const char *address;
        int code;
    } wrong[] = {{"", PIER_EADDRTEXT}, {"127.0.0.1:65536", PIER_EPORT}, {"::1:80", PIER_EADDRTEXT},
        {"127.0.0.1:80abc", PIER_EPORT}, {NULL, -EINVAL}, {"a..b:80", PIER_EHOSTTEXT},
        {"203.0.113.1:0", -EADDRNOTAVAIL}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(pier_create_server(wrong[i].address, NULL), wrong[i].code);
        assert_int_equal(pier_error_code(), wrong[i].code);
    }
    static const pier_server_opts bad[] = {{.backlog = -1}, {.mode = 01000}, {.mode = -1},
        {.family = 12345}, {.reserved = {0, 0, 0, 1}}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(pier_create_server("127.0.0.1:0", &bad[i]), -EINVAL);
    assert_int_equal(pier_create_server("127.0.0.1:0", &(pier_server_opts){.family = AF_INET6}),
        PIER_EAI_ADDRFAMILY);
    assert_int_equal(
        pier_create_server("unix:@pier-mode", &(pier_server_opts){.mode = 0600}), -EINVAL);
    assert_int_equal(
        pier_create_server(unix_text("x"), &(pier_server_opts){.reuse_port = true}), -EOPNOTSUPP);
}

TEST(a_refused_address_is_told_as_it_was_given)
{
    assert_int_equal(pier_create_server("127.0.0.1:99999", NULL), PIER_EPORT);
    assert_non_null(strstr(pier_error(), "bind 127.0.0.1:99999: "));
    assert_int_equal(pier_create_server("203.0.113.1:80", NULL), -EADDRNOTAVAIL);
    assert_string_equal(pier_error(), "bind 203.0.113.1:80: Cannot assign requested address");
}

TEST(a_failing_server_leaves_nothing_open)
{
    int before = test_fd_count();
    for (int i = 0; i < 50; i++)
        assert_int_equal(pier_create_server("203.0.113.1:80", NULL), -EADDRNOTAVAIL);
    assert_int_equal(test_fd_count(), before);
}

/* The hosts file of this test. */
static void put_hosts(const char *text)
{
    const char *path = test_path("hosts");
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    assert_int_equal(mount(path, "/etc/hosts", NULL, MS_BIND, NULL), 0);
}

TEST(a_name_listens_on_its_first_address_that_is_here)
{
    test_in_netns();
    put_hosts("203.0.113.1 here.test\n127.0.0.5 here.test\n127.0.0.6 here.test\n");
    int server = pier_create_server("here.test:0", NULL);
    assert_true(server >= 0);
    pier_addr own;
    assert_int_equal(pier_getsockname(server, &own), 0);
    const char *host = pier_addr_host(own).text;
    assert_true(strcmp(host, "127.0.0.5") == 0 || strcmp(host, "127.0.0.6") == 0);
    pier_close(server);
    int refused = pier_create_server("nowhere.test:0", NULL);
    assert_true(refused < -10000);
    assert_int_equal(pier_error_code(), refused);
    assert_non_null(strstr(pier_error(), "bind nowhere.test:0: "));
}

TEST(a_service_name_is_a_port)
{
    test_in_netns();
    int server = pier_create_server("127.0.0.1:http", NULL);
    if (server == PIER_EAI_SERVICE || server == PIER_ENOSERVICE) SKIP("no /etc/services here");
    assert_int_equal(own_port(server), 80);
    pier_close(server);
    server = pier_create_server(":http", NULL);
    assert_int_equal(own_port(server), 80);
    pier_close(server);
}

/* Unix paths. */

TEST(a_unix_server_is_reached_by_its_path)
{
    int server = pier_create_server(unix_text("x.sock"), NULL);
    assert_true(server >= 0);
    assert_int_equal(reach(server, pier_unix(test_path("x.sock"))), 0);
    pier_close(server);
}

TEST(an_abstract_server_is_reached_by_its_name)
{
    char text[64], name[64];
    (void)snprintf(text, sizeof text, "unix:@pier-%d\\x00x", (int)getpid());
    int length = snprintf(name, sizeof name, "pier-%d%cx", (int)getpid(), '\0');
    int server = pier_create_server(text, NULL);
    assert_true(server >= 0);
    assert_int_equal(reach(server, pier_abstract(name, (size_t)length)), 0);
    assert_int_equal(pier_create_server(text, NULL), -EADDRINUSE);
    pier_close(server);
}

TEST(an_unnamed_server_gets_a_name_from_the_kernel)
{
    int server = pier_create_server("unix:", NULL);
    assert_true(server >= 0);
    pier_addr own;
    assert_int_equal(pier_getsockname(server, &own), 0);
    assert_int_equal(reach(server, own), 0);
    pier_close(server);
}

TEST(a_path_left_behind_is_taken_over)
{
    int gone = pier_create_server(unix_text("x.sock"), NULL);
    assert_true(gone >= 0);
    pier_close(gone);
    struct stat before, after;
    assert_int_equal(lstat(test_path("x.sock"), &before), 0);
    int server = pier_create_server(unix_text("x.sock"), NULL);
    assert_true(server >= 0);
    assert_int_equal(lstat(test_path("x.sock"), &after), 0);
    assert_true(S_ISSOCK(after.st_mode));
    assert_int_equal(reach(server, pier_unix(test_path("x.sock"))), 0);
    pier_close(server);
}

TEST(a_path_in_use_stays)
{
    int first = pier_create_server(unix_text("x.sock"), &(pier_server_opts){.backlog = 1});
    assert_true(first >= 0);
    for (int i = 0; i < 5; i++) /* with the queue full, too */
        assert_int_equal(pier_create_server(unix_text("x.sock"), NULL), -EADDRINUSE);
    assert_non_null(strstr(pier_error(), "x.sock: Address already in use"));
    for (int taken; pier_wait_readable(first, pier_after(0)) == 0;) {
        taken = pier_accept(first, NULL);
        assert_true(taken >= 0);
        pier_close(taken);
    }
    assert_int_equal(reach(first, pier_unix(test_path("x.sock"))), 0);
    pier_close(first);
}

TEST(what_is_not_a_socket_is_never_removed)
{
    struct stat st;
    int fd = open(test_path("file"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    close(fd);
    assert_int_equal(mkdir(test_path("folder"), 0700), 0);
    assert_int_equal(symlink(test_path("nothing"), test_path("link")), 0);
    assert_int_equal(mkfifo(test_path("fifo"), 0600), 0);
    static const char *const names[] = {"file", "folder", "link", "fifo"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(pier_create_server(unix_text(names[i]), NULL), -EADDRINUSE);
        assert_int_equal(lstat(test_path(names[i]), &st), 0);
    }
}

TEST(a_link_to_a_socket_is_not_followed)
{
    int gone = pier_create_server(unix_text("x.sock"), NULL);
    pier_close(gone);
    assert_int_equal(symlink(test_path("x.sock"), test_path("link")), 0);
    assert_int_equal(pier_create_server(unix_text("link"), NULL), -EADDRINUSE);
    struct stat st;
    assert_int_equal(lstat(test_path("x.sock"), &st), 0);
    assert_int_equal(lstat(test_path("link"), &st), 0);
}

TEST(a_datagram_sockets_path_is_in_use)
{
    int other = pier_socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(pier_bind(other, pier_unix(test_path("d.sock"))), 0);
    assert_int_equal(pier_create_server(unix_text("d.sock"), NULL), -EADDRINUSE);
    struct stat st;
    assert_int_equal(lstat(test_path("d.sock"), &st), 0);
    pier_close(other);
}

static int probes;

/* Between the two probes another server takes the path's place. */
static int connect_and_replace(int fd, const struct sockaddr *addr, socklen_t len)
{
    int result = pier__seam_system.connect(fd, addr, len);
    if (++probes != 2) return result;
    const char *path = ((const struct sockaddr_un *)(const void *)addr)->sun_path;
    struct sockaddr_un other = {.sun_family = AF_UNIX};
    memccpy(other.sun_path, path, '\0', sizeof other.sun_path);
    int keep = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(link(path, test_path("kept")), 0); /* so that the inode is not used again */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(bind(keep, (struct sockaddr *)&other, sizeof other), 0);
    close(keep);
    return result;
}

TEST(a_path_that_changes_hands_meanwhile_is_not_removed)
{
    int gone = pier_create_server(unix_text("x.sock"), NULL);
    pier_close(gone);
    struct pier__seam seam = pier__seam_system;
    seam.connect = connect_and_replace;
    pier__seam = &seam;
    assert_int_equal(pier_create_server(unix_text("x.sock"), NULL), -EADDRINUSE);
    pier__seam = &pier__seam_system;
    assert_int_equal(probes, 2);
    struct stat st;
    assert_int_equal(lstat(test_path("x.sock"), &st), 0);
}

static int late_listener;

static int connect_then_listen(int fd, const struct sockaddr *addr, socklen_t len)
{
    int result = pier__seam_system.connect(fd, addr, len);
    if (++probes == 1) assert_int_equal(listen(late_listener, 5), 0);
    return result;
}

TEST(a_server_that_is_just_starting_keeps_its_path)
{
    late_listener = pier_socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(pier_bind(late_listener, pier_unix(test_path("x.sock"))), 0);
    struct pier__seam seam = pier__seam_system;
    seam.connect = connect_then_listen;
    pier__seam = &seam;
    assert_int_equal(pier_create_server(unix_text("x.sock"), NULL), -EADDRINUSE);
    pier__seam = &pier__seam_system;
    struct stat st;
    assert_int_equal(lstat(test_path("x.sock"), &st), 0);
    pier_close(late_listener);
}

static void *start_server(void *text) { return (void *)(intptr_t)pier_create_server(text, NULL); }

TEST(of_many_servers_after_one_stale_path_one_gets_it)
{
    int gone = pier_create_server(unix_text("x.sock"), NULL);
    pier_close(gone);
    enum { MANY = 8 };
    pthread_t threads[MANY];
    char text[600];
    (void)snprintf(text, sizeof text, "%s", unix_text("x.sock"));
    for (int i = 0; i < MANY; i++)
        threads[i] = test_thread(start_server, text);
    int winner = -1;
    for (int i = 0; i < MANY; i++) {
        int s = (int)(intptr_t)test_join(threads[i]);
        if (s >= 0) {
            assert_int_equal(winner, -1);
            winner = s;
        } else {
            assert_int_equal(s, -EADDRINUSE);
        }
    }
    assert_true(winner >= 0);
    assert_int_equal(reach(winner, pier_unix(test_path("x.sock"))), 0);
    pier_close(winner);
}

TEST(the_mode_of_a_path_does_not_hang_on_umask)
{
    struct stat st;
    umask(077);
    int server = pier_create_server(unix_text("x.sock"), &(pier_server_opts){.mode = 0666});
    assert_true(server >= 0);
    assert_int_equal(lstat(test_path("x.sock"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0666);
    pier_close(server);
    umask(027);
    server = pier_create_server(unix_text("y.sock"), NULL);
    assert_int_equal(lstat(test_path("y.sock"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0750);
    pier_close(server);
}

static int fail_listen(int fd, int backlog)
{
    (void)fd, (void)backlog;
    return -EADDRINUSE;
}

static int fail_chmod(const char *path, mode_t mode)
{
    (void)path, (void)mode;
    return -EPERM;
}

TEST(a_server_that_fails_after_bind_takes_its_path_away)
{
    struct stat st;
    struct pier__seam seam = pier__seam_system;
    seam.listen = fail_listen;
    pier__seam = &seam;
    assert_int_equal(pier_create_server(unix_text("x.sock"), NULL), -EADDRINUSE);
    assert_true(lstat(test_path("x.sock"), &st) < 0);
    seam.listen = pier__seam_system.listen;
    seam.chmod = fail_chmod;
    assert_int_equal(
        pier_create_server(unix_text("x.sock"), &(pier_server_opts){.mode = 0600}), -EPERM);
    assert_true(lstat(test_path("x.sock"), &st) < 0);
    pier__seam = &pier__seam_system;
}

TEST(a_path_too_long_or_in_no_folder_is_refused)
{
    char text[200] = "unix:/";
    memset(text + 6, 'x', 120);
    assert_int_equal(pier_create_server(text, NULL), PIER_EPATHLEN);
    assert_int_equal(pier_create_server(unix_text("no/where"), NULL), -ENOENT);
}

TEST(a_server_takes_the_default_time_out)
{
    pier_setdefaulttimeout(5);
    int server = pier_create_server("127.0.0.1:0", NULL);
    pier_setdefaulttimeout(INFINITY);
    assert_true(pier_gettimeout(server) == 5);
    pier_close(server);
}
