/* SPDX-License-Identifier: MIT */
/* Who is in the way of a bind: found in /proc, by name. */
#include "base/failure.h"
#include "base/holder.h"
#include "base/seam.h"
#include "harness.h"

#include <pier/error.h>
#include <pier/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int open_bound(pier_addr addr, int type)
{
    int fd = socket(pier_addr_family(addr), type | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, &addr.sa.any, addr.length), 0);
    if (type == SOCK_STREAM) assert_int_equal(listen(fd, 5), 0);
    return fd;
}

static pier_addr name_of(int fd)
{
    pier_addr addr = {0};
    addr.length = sizeof addr.sa;
    assert_int_equal(getsockname(fd, &addr.sa.any, &addr.length), 0);
    return addr;
}

/* Another process that has the address until it is killed, and what it is called. */
struct other {
    pid_t pid;
    int wire;
    pier_addr addr; /* with its port */
    char name[64];
};

static struct other start(const char *comm, pier_addr addr, int type)
{
    int wires[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, wires), 0);
    struct other other = {.pid = fork(), .wire = wires[0]};
    assert_true(other.pid >= 0);
    if (other.pid == 0) {
        close(wires[0]);
        prctl(PR_SET_NAME, comm);
        addr = name_of(open_bound(addr, type));
        (void)!write(wires[1], &addr, sizeof addr);
        (void)!read(wires[1], &addr, 1); /* until the test has gone, however it went */
        _exit(0);
    }
    close(wires[1]);
    assert_int_equal(read(other.wire, &other.addr, sizeof other.addr), sizeof other.addr);
    (void)snprintf(other.name, sizeof other.name, "%s[%d]", comm, (int)other.pid);
    return other;
}

static void stop(struct other *other)
{
    close(other->wire);
    assert_int_equal(waitpid(other->pid, NULL, 0), other->pid);
}

static const char *holder(pier_addr addr, int type)
{
    static char buf[128];
    (void)snprintf(buf, sizeof buf, "untouched");
    pier__holder(&addr.sa.any, addr.length, type, buf, sizeof buf);
    return buf;
}

static pier_addr with_port(pier_addr addr, const struct other *other)
{
    addr.sa.inet.sin_port = other->addr.sa.inet.sin_port; /* the same place in both families */
    return addr;
}

TEST(a_refused_bind_tells_who_holds_the_port)
{
    struct other other = start("nginx", pier_inet("127.0.0.1", 0), SOCK_STREAM);
    struct pier__failure *f = pier__failure_begin("bind", -EADDRINUSE);
    f->socket = 5;
    f->type = SOCK_STREAM;
    f->local.length = other.addr.length;
    memcpy(&f->local.storage, &other.addr.sa, other.addr.length);
    char expected[1024];
    (void)snprintf(expected, sizeof expected, "bind %s: Address already in use, held by %s",
        pier_addr_text(other.addr).text, other.name);
    assert_string_equal(pier_error(), expected);

    /* Known only as text, as a program wrote it. */
    f->local.length = 0;
    (void)snprintf(f->target, sizeof f->target, "localhost:%d", pier_addr_port(other.addr));
    (void)snprintf(expected, sizeof expected, "bind %s: Address already in use, held by %s",
        f->target, other.name);
    assert_string_equal(pier_error(), expected);
    (void)snprintf(f->target, sizeof f->target, ":%d", pier_addr_port(other.addr));
    assert_non_null(strstr(pier_error(), other.name));
    stop(&other);

    (void)snprintf(expected, sizeof expected, "bind %s: Address already in use", f->target);
    assert_string_equal(pier_error(), expected);
}

TEST(pier_bind_names_the_holder_of_its_own_protocol)
{
    struct other tcp = start("tcpd", pier_inet("127.0.0.1", 0), SOCK_STREAM);
    struct other udp = start("udpd", pier_inet("127.0.0.1", 0), SOCK_DGRAM);
    int s = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(pier_bind(s, with_port(pier_inet("", 0), &tcp)), -EADDRINUSE);
    char expected[1024];
    (void)snprintf(expected, sizeof expected, "bind 0.0.0.0:%d: Address already in use, held by %s",
        pier_addr_port(tcp.addr), tcp.name);
    assert_string_equal(pier_error(), expected);
    assert_int_equal(pier_listen(s, 5), -EADDRINUSE); /* which is the bind's error */
    assert_string_equal(pier_error(), expected);
    assert_int_equal(pier_close(s), 0);

    s = pier_socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(pier_bind(s, udp.addr), -EADDRINUSE);
    assert_non_null(strstr(pier_error(), udp.name));
    assert_int_equal(pier_close(s), 0);
    stop(&udp);
    stop(&tcp);
}

TEST(a_wildcard_and_a_specific_address_are_in_each_others_way)
{
    struct other other = start("specific", pier_inet("127.0.0.1", 0), SOCK_STREAM);
    assert_string_equal(holder(other.addr, SOCK_STREAM), other.name);
    assert_string_equal(holder(with_port(pier_inet("", 0), &other), SOCK_STREAM), other.name);
    assert_string_equal(holder(with_port(pier_inet6("", 0), &other), SOCK_STREAM), other.name);
    assert_string_equal(
        holder(with_port(pier_inet6("::ffff:127.0.0.1", 0), &other), SOCK_STREAM), other.name);
    assert_string_equal(holder(with_port(pier_inet("127.0.0.2", 0), &other), SOCK_STREAM), "");
    assert_string_equal(holder(with_port(pier_inet6("::1", 0), &other), SOCK_STREAM), "");
    stop(&other);

    other = start("any", pier_inet("", 0), SOCK_STREAM);
    assert_string_equal(
        holder(with_port(pier_inet("127.0.0.1", 0), &other), SOCK_STREAM), other.name);
    stop(&other);
}

TEST(the_ipv6_wildcard_holds_ipv4_too)
{
    if (!test_ipv6()) SKIP("no IPv6 here");
    struct other other = start("dual", pier_inet6("", 0), SOCK_STREAM);
    assert_string_equal(holder(with_port(pier_inet("", 0), &other), SOCK_STREAM), other.name);
    assert_string_equal(
        holder(with_port(pier_inet("127.0.0.1", 0), &other), SOCK_STREAM), other.name);
    assert_string_equal(holder(with_port(pier_inet6("::1", 0), &other), SOCK_STREAM), other.name);
    stop(&other);

    other = start("six", pier_inet6("::1", 0), SOCK_STREAM);
    assert_string_equal(holder(other.addr, SOCK_STREAM), other.name);
    assert_string_equal(holder(with_port(pier_inet6("", 0), &other), SOCK_STREAM), other.name);
    assert_string_not_equal(holder(with_port(pier_inet("", 0), &other), SOCK_STREAM), other.name);
    stop(&other);
}

TEST(udp_and_tcp_ports_are_not_confused)
{
    struct other other = start("udp", pier_inet("127.0.0.1", 0), SOCK_DGRAM);
    assert_string_equal(holder(other.addr, SOCK_DGRAM), other.name);
    assert_string_equal(holder(other.addr, 0), other.name);
    /* Strangers on this machine may have a connection in TIME_WAIT with the same number. */
    assert_string_not_equal(holder(other.addr, SOCK_STREAM), other.name);
    stop(&other);

    other = start("tcp", pier_inet("127.0.0.1", 0), SOCK_STREAM);
    assert_string_not_equal(holder(other.addr, SOCK_DGRAM), other.name);
    stop(&other);
}

TEST(a_unix_path_and_an_abstract_name_have_holders)
{
    struct other other = start("path", pier_unix(test_path("a b")), SOCK_STREAM);
    assert_string_equal(holder(other.addr, SOCK_STREAM), other.name);
    assert_string_equal(holder(pier_unix(test_path("a")), SOCK_STREAM), "");
    stop(&other);
    assert_string_equal(holder(pier_unix(test_path("a b")), SOCK_STREAM), "");

    char name[32];
    int n = snprintf(name, sizeof name, "pier%c%d", 0, (int)getpid());
    pier_addr abstract = pier_abstract(name, (size_t)n);
    other = start("abstract", abstract, SOCK_DGRAM);
    assert_string_equal(holder(abstract, SOCK_DGRAM), other.name);
    assert_string_equal(holder(pier_abstract(name, 4), SOCK_DGRAM), "");
    stop(&other);
    assert_string_equal(holder(pier_unix(""), SOCK_DGRAM), "");
}

TEST(a_closed_connection_that_lingers_is_told)
{
    test_in_netns_with_time_wait();
    int listener = open_bound(pier_inet("127.0.0.1", 0), SOCK_STREAM);
    pier_addr addr = name_of(listener);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client, &addr.sa.any, addr.length), 0);
    int server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    close(listener);
    char mine[64], byte;
    prctl(PR_SET_NAME, "mine");
    (void)snprintf(mine, sizeof mine, "mine[%d]", (int)getpid());
    assert_string_equal(holder(addr, SOCK_STREAM), mine); /* the open connection */
    shutdown(server, SHUT_WR);
    assert_int_equal(recv(client, &byte, 1, 0), 0);
    close(client);
    assert_int_equal(recv(server, &byte, 1, 0), 0);
    close(server); /* closed first: this end waits for late segments */
    assert_string_equal(holder(addr, SOCK_STREAM), "a closed connection in TIME_WAIT");
}

TEST(the_name_of_a_process_cannot_smuggle_control_bytes)
{
    struct other other = start("a\033[2J", pier_inet("127.0.0.1", 0), SOCK_STREAM);
    char expected[64];
    (void)snprintf(expected, sizeof expected, "a\\x1b[2J[%d]", (int)other.pid);
    assert_string_equal(holder(other.addr, SOCK_STREAM), expected);
    stop(&other);
}

TEST(addresses_without_a_holder_have_none)
{
    assert_string_equal(holder(pier_inet("127.0.0.1", 0), SOCK_STREAM), "");
    assert_string_equal(holder(pier_vsock(2, 80), SOCK_STREAM), "");
    assert_string_equal(holder((pier_addr){0}, SOCK_STREAM), "");
}

static int refuse_open(const char *path, int flags, mode_t mode)
{
    (void)path, (void)flags, (void)mode;
    return -EMFILE;
}

static ssize_t refuse_readlink(const char *path, char *buf, size_t size)
{
    (void)path, (void)buf, (void)size;
    return -EACCES;
}

TEST(where_proc_cannot_be_read_the_sentence_is_short)
{
    struct other other = start("hidden", pier_inet("127.0.0.1", 0), SOCK_STREAM);
    struct pier__seam seam = pier__seam_system;
    pier__seam = &seam;
    seam.readlink = refuse_readlink;
    assert_string_equal(holder(other.addr, SOCK_STREAM), "");
    seam.open = refuse_open;
    assert_string_equal(holder(other.addr, SOCK_STREAM), "");
    pier__seam = &pier__seam_system;
    stop(&other);
}

/* A table whose lines are longer than any buffer, and one of interest among them. */
static int wire;

static int open_wire(const char *path, int flags, mode_t mode)
{
    if (strstr(path, "/net/tcp") && !strstr(path, "/net/tcp6"))
        return fcntl(wire, F_DUPFD_CLOEXEC, 0);
    return pier__seam_system.open(path, flags, mode);
}

TEST(lines_of_any_length_are_survived)
{
    int listener = open_bound(pier_inet("127.0.0.1", 0), SOCK_STREAM);
    pier_addr addr = name_of(listener);
    static char real[1 << 20];
    FILE *table = fopen("/proc/thread-self/net/tcp", "re");
    size_t size = fread(real, 1, sizeof real, table);
    assert_true(size > 0);
    (void)fclose(table);

    FILE *file = fopen(test_path("tcp"), "w+e");
    for (int i = 0; i < 9000; i++)
        (void)fputc('x', file);
    (void)fprintf(file, "\n\n  0:\n 0: zz:zz\n 1: 0100007F\n 2: 0100007F:\n%.*s", (int)size, real);
    for (int i = 0; i < 5000; i++)
        (void)fputc('y', file);
    rewind(file);
    wire = fileno(file);
    struct pier__seam seam = pier__seam_system;
    seam.open = open_wire;
    pier__seam = &seam;
    char mine[64];
    (void)snprintf(mine, sizeof mine, "[%d]", (int)getpid());
    assert_non_null(strstr(holder(addr, SOCK_STREAM), mine));
    pier__seam = &pier__seam_system;
    (void)fclose(file);
    close(listener);
}
