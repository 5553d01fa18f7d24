/* SPDX-License-Identifier: MIT */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <pier.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * No send raises SIGPIPE. Each runs in a child in which SIGPIPE kills, as in a program that never
 * heard of it, against a peer that is gone.
 */

/* What the verb returned, in a child that must live to tell. */
static void survives(ssize_t (*verb)(int s))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int pair[2];
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        signal(SIGPIPE, SIG_DFL);
        if (pier_socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0) _exit(2);
        if (pier_close(pair[1]) < 0) _exit(3);
        ssize_t n = verb(pair[0]);
        _exit(n == -EPIPE ? 0 : 4);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status)) fail_msg("killed by signal %d", WTERMSIG(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static ssize_t by_send(int s) { return pier_send(s, "x", 1, 0); }

TEST(send_survives_a_broken_pipe) { survives(by_send); }

static ssize_t by_sendall(int s) { return pier_sendall(s, "x", 1, 0); }

TEST(sendall_survives_a_broken_pipe) { survives(by_sendall); }

static ssize_t by_sendto(int s) { return pier_sendto(s, "x", 1, 0, (pier_addr){0}); }

TEST(sendto_survives_a_broken_pipe) { survives(by_sendto); }

static ssize_t by_sendmsg(int s)
{
    char byte = 'x';
    struct iovec part = {&byte, 1};
    return pier_sendmsg(s, &(struct msghdr){.msg_iov = &part, .msg_iovlen = 1}, 0);
}

TEST(sendmsg_survives_a_broken_pipe) { survives(by_sendmsg); }

static ssize_t by_send_fds(int s) { return pier_send_fds(s, "x", 1, 0, &s, 1); }

TEST(send_fds_survives_a_broken_pipe) { survives(by_send_fds); }

static ssize_t by_afalg(int s)
{
    char byte = 'x';
    const struct iovec part = {&byte, 1};
    return pier_sendmsg_afalg(s, &part, 1, 0, NULL, 0);
}

/* A Unix socket takes no orders for ciphers: -EINVAL, but no signal either. */
static ssize_t by_afalg_on_unix(int s)
{
    ssize_t n = by_afalg(s);
    return n == -EINVAL ? -EPIPE : n;
}

TEST(sendmsg_afalg_survives_a_broken_pipe) { survives(by_afalg_on_unix); }

/* Streams have no datagrams, so the pipe is one of packets. */
static ssize_t by_send_many(int s)
{
    int pair[2];
    (void)s;
    if (pier_socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0) return -EIO;
    if (pier_close(pair[1]) < 0) return -EIO;
    char byte = 'x';
    const pier_datagram two[2] = {{.data = &byte, .length = 1}, {.data = &byte, .length = 1}};
    return pier_send_many(pair[0], two, 2, 0);
}

TEST(send_many_survives_a_broken_pipe) { survives(by_send_many); }

/* The stream is buffered: the bytes go, or do not go, when it is flushed. */
static ssize_t by_file(int s)
{
    FILE *file = pier_makefile(s, "w");
    if (!file) return -ENOMEM;
    fputs("hello", file);
    int err = fflush(file) == EOF ? -errno : 0;
    fclose(file);
    return err;
}

TEST(a_flushed_file_survives_a_broken_pipe) { survives(by_file); }

static ssize_t send_this_file(int s)
{
    return pier_sendfile(s, open("/proc/self/exe", O_RDONLY | O_CLOEXEC), NULL, 0);
}

TEST(sendfile_survives_a_broken_pipe) { survives(send_this_file); }

static ssize_t send_this_file_in_time(int s)
{
    pier_settimeout(s, 10);
    return send_this_file(s);
}

TEST(sendfile_with_a_timeout_survives_a_broken_pipe) { survives(send_this_file_in_time); }

static ssize_t read_and_send_this_file(int s)
{
    pier_setdeadline(s, pier_after(10));
    return send_this_file(s);
}

TEST(sendfile_that_reads_survives_a_broken_pipe) { survives(read_and_send_this_file); }

/*
 * A peer that leaves while a large file is under way, so that the signal comes with a short count.
 */
static ssize_t send_to_one_who_leaves(int unused)
{
    int pair[2];
    (void)unused;
    if (pier_socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0) return -1;
    pid_t reader = fork();
    if (reader == 0) {
        char buf[4096];
        close(pair[0]);
        for (int i = 0; i < 40; i++)
            if (read(pair[1], buf, sizeof buf) <= 0) _exit(1);
        _exit(0);
    }
    pier_close(pair[1]);
    ssize_t n;
    do {
        n = send_this_file(pair[0]);
    } while (n > 0);
    waitpid(reader, NULL, 0);
    return n == -ECONNRESET ? -EPIPE : n;
}

TEST(sendfile_survives_a_peer_that_leaves_in_the_middle)
{
    for (int i = 0; i < 20; i++)
        survives(send_to_one_who_leaves);
}
