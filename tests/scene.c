/* SPDX-License-Identifier: MIT */
#include "scene.h"

#include "base/bits.h"
#include "base/seam.h"
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

const char *const *scene_kinds(void)
{
    static const char *const all[] = {
        "tcp", "udp", "unix stream", "unix dgram", "unix seqpacket", "tcp6", "udp6", NULL};
    static const char *const without_ipv6[] = {
        "tcp", "udp", "unix stream", "unix dgram", "unix seqpacket", NULL};
    return test_ipv6() ? all : without_ipv6;
}

bool scene_is_stream(const char *kind)
{
    return strncmp(kind, "tcp", 3) == 0 || strcmp(kind, "unix stream") == 0;
}

static void tcp_pair(int family, pier_addr any, int out_pair[2])
{
    int listener = pier_socket(family, SOCK_STREAM, 0);
    pier_addr at, own, peer;
    assert_int_equal(pier_bind(listener, any), 0);
    assert_int_equal(pier_listen(listener, 1), 0);
    assert_int_equal(pier_getsockname(listener, &at), 0);
    out_pair[0] = pier_socket(family, SOCK_STREAM, 0);
    assert_int_equal(pier_connect(out_pair[0], at), 0);
    assert_int_equal(pier_getsockname(out_pair[0], &own), 0);
    while ((out_pair[1] = pier_accept(listener, &peer)) >= 0 && !pier_addr_equal(peer, own)) {
        assert_int_equal(pier_close(out_pair[1]), 0); /* somebody's who still tries this port */
    }
    assert_true(out_pair[1] >= 0);
    assert_int_equal(pier_close(listener), 0);
}

static void udp_pair(int family, pier_addr any, int out_pair[2])
{
    pier_addr at[2];
    for (int i = 0; i < 2; i++) {
        out_pair[i] = pier_socket(family, SOCK_DGRAM, 0);
        assert_int_equal(pier_bind(out_pair[i], any), 0);
        assert_int_equal(pier_getsockname(out_pair[i], &at[i]), 0);
    }
    assert_int_equal(pier_connect(out_pair[0], at[1]), 0);
    assert_int_equal(pier_connect(out_pair[1], at[0]), 0);
    char byte; /* of somebody who still sends to what had this port before */
    for (int i = 0; i < 2; i++) {
        while (recv(out_pair[i], &byte, 1, MSG_DONTWAIT) >= 0) {
        }
    }
}

void scene_pair(const char *kind, int out_pair[2])
{
    if (strcmp(kind, "tcp") == 0)
        tcp_pair(AF_INET, pier_inet("127.0.0.1", 0), out_pair);
    else if (strcmp(kind, "tcp6") == 0)
        tcp_pair(AF_INET6, pier_inet6("::1", 0), out_pair);
    else if (strcmp(kind, "udp") == 0)
        udp_pair(AF_INET, pier_inet("127.0.0.1", 0), out_pair);
    else if (strcmp(kind, "udp6") == 0)
        udp_pair(AF_INET6, pier_inet6("::1", 0), out_pair);
    else
        assert_int_equal(pier_socketpair(AF_UNIX,
                             strstr(kind, "stream")  ? SOCK_STREAM
                             : strstr(kind, "dgram") ? SOCK_DGRAM
                                                     : SOCK_SEQPACKET,
                             0, out_pair),
            0);
}

void scene_close(const int pair[2])
{
    assert_int_equal(pier_close(pair[0]), 0);
    assert_int_equal(pier_close(pair[1]), 0);
}

int scene_listener(pier_addr *out_addr)
{
    int s = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(pier_bind(s, pier_inet("127.0.0.1", 0)), 0);
    assert_int_equal(pier_listen(s, PIER_BACKLOG), 0);
    assert_int_equal(pier_getsockname(s, out_addr), 0);
    return s;
}

int scene_udp(pier_addr *out_addr)
{
    int s = pier_socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(pier_bind(s, pier_inet("127.0.0.1", 0)), 0);
    if (out_addr) assert_int_equal(pier_getsockname(s, out_addr), 0);
    return s;
}

/*
 * The ports that the kernel chooses itself begin far above; one of those might be a stranger's by
 * now.
 */
pier_addr scene_nobody(void)
{
    for (int port = 10000 + (int)getpid() % 10000;; port++) {
        pier_addr addr = pier_inet("127.0.0.1", port);
        int s = pier_socket(AF_INET, SOCK_STREAM, 0);
        int err = pier_bind(s, addr);
        assert_int_equal(pier_close(s), 0);
        if (err == 0) return addr;
        assert_int_equal(err, -EADDRINUSE);
    }
}

/*
 * What a TCP socket holds moves on to its peer for a while, and each acknowledgement makes room
 * again, or a larger buffer even. But the peer has room for a small part of it only: with a limit
 * below the rest there is none however late the acknowledgements come.
 */
static void keep_full(int s)
{
    int protocol = 0, least = 1;
    socklen_t len = sizeof protocol;
    assert_int_equal(getsockopt(s, SOL_SOCKET, SO_PROTOCOL, &protocol, &len), 0);
    if (protocol != IPPROTO_TCP) return;
    assert_int_equal(setsockopt(s, SOL_SOCKET, SO_SNDBUF, &least, sizeof least), 0);
}

size_t scene_fill(int s)
{
    static const char bytes[4096];
    size_t all = 0;
    for (ssize_t n; (n = send(s, bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0;)
        all += (size_t)n;
    assert_int_equal(errno, EAGAIN);
    for (ssize_t n; (n = send(s, bytes, 1, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0;)
        all += (size_t)n;
    keep_full(s);
    return all;
}

size_t scene_empty(int s)
{
    static _Thread_local char bytes[65536];
    size_t all = 0;
    for (ssize_t n; (n = recv(s, bytes, sizeof bytes, MSG_DONTWAIT)) > 0;)
        all += (size_t)n;
    return all;
}

void scene_await_bytes(int s, int count)
{
    int have = 0;
    while (ioctl(s, SIOCINQ, &have) == 0 && have < count)
        test_sleep(0.001);
    assert_int_equal(have, count);
}

void scene_reset(int peer)
{
    struct linger now = {.l_onoff = 1};
    assert_int_equal(setsockopt(peer, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    assert_int_equal(pier_close(peer), 0);
}

bool scene_nonblock(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    assert_true(flags >= 0);
    return flags & O_NONBLOCK;
}

bool scene_cloexec(int fd)
{
    int flags = fcntl(fd, F_GETFD);
    assert_true(flags >= 0);
    return flags & FD_CLOEXEC;
}

bool scene_open(int fd) { return fcntl(fd, F_GETFD) >= 0; }

static void *run_call(void *arg)
{
    struct scene_call *call = arg;
    atomic_store(&call->tid, (int)syscall(SYS_gettid));
    call->result = call->run(call->arg);
    call->code = pier_error_code();
    call->moved = pier_error_moved();
    (void)snprintf(call->error, sizeof call->error, "%s", pier_error());
    return NULL;
}

void scene_start(struct scene_call *call, int64_t (*run)(void *arg), void *arg)
{
    *call = (struct scene_call){.run = run, .arg = arg};
    call->thread = test_thread(run_call, call);
}

/*
 * Is the number that of a call which waits for a descriptor? Under qemu it is the host's: of x86-64,
 * as <asm/unistd_64.h> there has it, unless that is of the same kind.
 */
static bool waits(long number)
{
    static const long numbers[] = {
#ifdef TEST_CROSS
        7,   /* poll */
        40,  /* sendfile */
        42,  /* connect */
        44,  /* sendto */
        45,  /* recvfrom */
        46,  /* sendmsg */
        47,  /* recvmsg */
        232, /* epoll_wait */
        271, /* ppoll */
        281, /* epoll_pwait */
        288, /* accept4 */
        299, /* recvmmsg */
        307, /* sendmmsg */
#endif
        SYS_recvfrom,
        SYS_recvmsg,
        SYS_recvmmsg,
        SYS_sendto,
        SYS_sendmsg,
        SYS_sendmmsg,
        SYS_connect,
        SYS_accept4,
        SYS_ppoll,
        SYS_sendfile,
        SYS_io_uring_enter,
        SYS_epoll_pwait,
#ifdef SYS_poll
        SYS_poll,
        SYS_epoll_wait,
#endif
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i] == number) return true;
    return false;
}

void scene_await_blocked(struct scene_call *call)
{
    int tid;
    while ((tid = atomic_load(&call->tid)) == 0)
        test_sleep(0.001);
    char path[64], text[64];
    (void)snprintf(path, sizeof path, "/proc/self/task/%d/syscall", tid);
    for (int in_a_row = 0; in_a_row < 3;) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) return; /* it has ended already, or nobody may know: time has to do */
        ssize_t n = read(fd, text, sizeof text - 1);
        close(fd);
        if (n <= 0) break;
        text[n] = '\0';
        bool blocked = text[0] >= '0' && text[0] <= '9' && waits(strtol(text, NULL, 10));
        in_a_row = blocked ? in_a_row + 1 : 0;
        test_sleep(0.001);
    }
    test_sleep(0.001);
}

int64_t scene_finish(struct scene_call *call)
{
    test_join(call->thread);
    return call->result;
}

static _Atomic int caught;

static void on_signal(int number)
{
    (void)number;
    atomic_fetch_add(&caught, 1);
}

int scene_signals_caught(void) { return atomic_load(&caught); }

void scene_catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
}

void scene_signal(struct scene_call *call)
{
    assert_int_equal(syscall(SYS_tgkill, getpid(), atomic_load(&call->tid), SIGUSR1), 0);
}

bool scene_race_goes_on(int rounds, int wanted, pier_time start)
{
    return rounds < wanted &&
           (rounds < wanted / 100 || pier__seam_system.now() - start < 5 * PIER_SECOND);
}

void scene_signal_storm(bool on)
{
    if (on) scene_catch_signals();
    struct itimerval each = {.it_interval = {0, on ? 1000 : 0}, .it_value = {0, on ? 1000 : 0}};
    assert_int_equal(setitimer(ITIMER_REAL, &each, NULL), 0);
}

void scene_on_each_backend(int (*fn)(void *backend))
{
    static const char *const backends[] = {"epoll", "uring"};
    for (size_t i = 0; i < PIER_COUNT(backends); i++) {
        pier_run_opts opts = {.backend = backends[i], .stack_size = (size_t)1 << 20};
        assert_int_equal(pier_run(fn, (void *)(uintptr_t)backends[i], &opts), 0);
    }
}

int scene_echo(void *arg)
{
    int s = (int)(intptr_t)arg;
    char buf[256];
    ssize_t n;
    while ((n = pier_recv(s, buf, sizeof buf, 0)) > 0)
        assert_int_equal(pier_sendall(s, buf, (size_t)n, 0), n);
    assert_int_equal(pier_close(s), 0);
    return (int)n;
}
