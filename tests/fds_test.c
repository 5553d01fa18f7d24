/* SPDX-License-Identifier: MIT */
#include "base/seam.h"
#include "harness.h"
#include "scene.h"
#include "sock/buffer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <pier.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* What the headers of Debian 12 do not have. */
#define SO_PASSPIDFD_  76
#define SO_PASSRIGHTS_ 83

static int pair[2];
static int pipe_ends[2];

static void make_pair(int type) { assert_int_equal(pier_socketpair(AF_UNIX, type, 0, pair), 0); }

static void close_pair(void)
{
    assert_int_equal(pier_close(pair[0]), 0);
    assert_int_equal(pier_close(pair[1]), 0);
}

static void make_pipe(void) { assert_int_equal(pipe2(pipe_ends, O_CLOEXEC), 0); }

static void close_pipe(void)
{
    close(pipe_ends[0]);
    close(pipe_ends[1]);
}

/* Does nobody hold the writing end any more? */
static bool at_end(int reader)
{
    struct pollfd p = {.fd = reader, .events = POLLIN};
    return poll(&p, 1, -1) == 1 && p.revents == POLLHUP;
}

static void close_all(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_int_equal(close(fds[i]), 0);
}

static void nothing_was_sent(void)
{
    char byte;
    assert_int_equal(pier_recv(pair[1], &byte, 1, MSG_DONTWAIT), -EAGAIN);
}

TEST(descriptors_arrive_with_their_bytes_and_close_on_exec)
{
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
    for (size_t i = 0; i < 3; i++) {
        make_pair(types[i]);
        make_pipe();
        assert_int_equal(pier_send_fds(pair[0], "hello", 5, 0, pipe_ends, 2), 5);
        close_pipe();
        char text[16];
        int fds[4];
        size_t count = 4;
        assert_int_equal(pier_recv_fds(pair[1], text, sizeof text, 0, fds, &count), 5);
        assert_memory_equal(text, "hello", 5);
        assert_int_equal(count, 2);
        assert_true(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
        assert_true(fcntl(fds[1], F_GETFD) & FD_CLOEXEC);
        assert_int_equal(write(fds[1], "x", 1), 1); /* in the order in which they were sent */
        assert_int_equal(read(fds[0], text, sizeof text), 1);
        close_all(fds, 2);
        close_pair();
    }
}

TEST(as_many_as_253_descriptors_go_at_once)
{
    make_pair(SOCK_STREAM);
    make_pipe();
    int fds[PIER_FDS_MAX + 1];
    char byte;
    for (size_t i = 0; i <= PIER_FDS_MAX; i++)
        fds[i] = pipe_ends[1];
    assert_int_equal(pier_send_fds(pair[0], "x", 1, 0, fds, PIER_FDS_MAX + 1), -EINVAL);
    nothing_was_sent();
    assert_int_equal(pier_send_fds(pair[0], "x", 1, 0, fds, SIZE_MAX / 4), -EINVAL);
    nothing_was_sent();
    assert_int_equal(pier_send_fds(pair[0], "x", 1, 0, fds, PIER_FDS_MAX), 1);
    size_t count = PIER_FDS_MAX + 1;
    assert_int_equal(pier_recv_fds(pair[1], &byte, 1, 0, fds, &count), 1);
    assert_int_equal(count, PIER_FDS_MAX);
    close_all(fds, count);
    close_pipe();
    close_pair();
}

TEST(more_descriptors_than_there_is_room_for_are_all_closed)
{
    static const size_t rooms[][2] = {{0, 1}, {1, 2}, {3, 4}, {3, 8}, {2, 3}, {252, 253}};
    int fds[PIER_FDS_MAX];
    for (size_t i = 0; i < sizeof rooms / sizeof *rooms; i++) {
        make_pair(i % 2 ? SOCK_STREAM : SOCK_DGRAM);
        make_pipe();
        for (size_t j = 0; j < rooms[i][1]; j++)
            fds[j] = pipe_ends[1];
        assert_int_equal(pier_send_fds(pair[0], "bytes", 5, 0, fds, rooms[i][1]), 5);
        close(pipe_ends[1]);
        int before = test_fd_count();
        size_t count = rooms[i][0];
        char text[8] = "";
        fds[0] = 12345;
        assert_int_equal(
            pier_recv_fds(pair[1], text, sizeof text, 0, count ? fds : NULL, &count), -EMSGSIZE);
        assert_int_equal(count, 0);
        assert_int_equal(fds[0], 12345);
        assert_int_equal(pier_error_code(), -EMSGSIZE);
        assert_int_equal(pier_error_moved(), 5); /* the bytes themselves came */
        assert_memory_equal(text, "bytes", 5);
        assert_int_equal(test_fd_count(), before);
        assert_true(at_end(pipe_ends[0]));
        close(pipe_ends[0]);
        close_pair();
    }
}

TEST(bytes_without_descriptors_come_with_a_count_of_zero)
{
    make_pair(SOCK_STREAM);
    char text[16];
    int fds[2] = {-7, -7};
    size_t count = 2;
    assert_int_equal(pier_send_fds(pair[0], "p", 1, 0, NULL, 0), 1);
    assert_int_equal(pier_recv_fds(pair[1], text, sizeof text, 0, fds, &count), 1);
    assert_int_equal(count, 0);
    assert_int_equal(fds[0], -7);
    assert_int_equal(pier_send(pair[0], "p", 1, 0), 1);
    assert_int_equal(pier_recv_fds(pair[1], text, sizeof text, 0, NULL, &count), 1);
    count = 2;
    assert_int_equal(pier_shutdown(pair[0], SHUT_WR), 0);
    assert_int_equal(pier_recv_fds(pair[1], text, sizeof text, 0, fds, &count), 0);
    assert_int_equal(count, 0);
    close_pair();
}

TEST(a_descriptor_that_is_none_keeps_the_message_from_going)
{
    make_pair(SOCK_STREAM);
    make_pipe();
    int before = test_fd_count();
    int fds[2] = {pipe_ends[0], -1};
    assert_int_equal(pier_send_fds(pair[0], "x", 1, 0, fds, 2), -EBADF);
    nothing_was_sent();
    fds[1] = dup(pipe_ends[0]);
    close(fds[1]);
    assert_int_equal(pier_send_fds(pair[0], "x", 1, 0, fds, 2), -EBADF);
    nothing_was_sent();
    fds[1] = INT_MIN;
    assert_int_equal(pier_send_fds(pair[0], "x", 1, 0, fds, 2), -EBADF);
    nothing_was_sent();
    assert_int_equal(test_fd_count(), before);
    close_pipe();
    close_pair();
}

TEST(in_a_stream_descriptors_need_a_byte_to_go_with)
{
    make_pair(SOCK_STREAM);
    make_pipe();
    assert_int_equal(pier_send_fds(pair[0], "", 0, 0, pipe_ends, 1), -EINVAL);
    assert_int_equal(pier_send_fds(pair[0], NULL, 0, 0, pipe_ends, 1), -EINVAL);
    assert_int_equal(pier_send_fds(pair[0], NULL, 0, 0, NULL, 0), 0);
    nothing_was_sent();
    /* As a bare descriptor, too. */
    int bare = pier_detach(pair[0]);
    assert_int_equal(bare, pair[0]);
    assert_int_equal(pier_send_fds(bare, "", 0, 0, pipe_ends, 1), -EINVAL);
    assert_int_equal(pier_send_fds(bare, "x", 1, 0, pipe_ends, 1), 1);
    close(bare);
    pier_close(pair[1]);
    close_pipe();
}

TEST(a_datagram_of_no_bytes_carries_descriptors)
{
    make_pair(SOCK_SEQPACKET);
    make_pipe();
    int fd;
    size_t count = 1;
    char byte;
    assert_int_equal(pier_send_fds(pair[0], NULL, 0, 0, pipe_ends, 1), 0);
    assert_int_equal(pier_recv_fds(pair[1], &byte, 1, 0, &fd, &count), 0);
    assert_int_equal(count, 1);
    close(fd);
    close_pipe();
    close_pair();
}

TEST(missing_places_for_descriptors_are_an_error)
{
    make_pair(SOCK_STREAM);
    int fd = 0;
    size_t count = 1;
    char byte = 'x';
    assert_int_equal(pier_send_fds(pair[0], "x", 1, 0, NULL, 1), -EFAULT);
    assert_int_equal(pier_send_fds(pair[0], NULL, 1, 0, &fd, 1), -EFAULT);
    assert_int_equal(pier_send_fds(pair[0], &byte, (size_t)-1, 0, &fd, 1), -EINVAL);
    nothing_was_sent();
    assert_int_equal(pier_send(pair[0], "y", 1, 0), 1);
    assert_int_equal(pier_recv_fds(pair[1], &byte, 1, 0, &fd, NULL), -EFAULT);
    assert_int_equal(pier_recv_fds(pair[1], &byte, 1, 0, NULL, &count), -EFAULT);
    assert_int_equal(pier_recv_fds(pair[1], NULL, 1, 0, &fd, &count), -EFAULT);
    assert_int_equal(pier_recv_fds(pair[1], &byte, (size_t)-EBADF, 0, &fd, &count), -EINVAL);
    assert_int_equal(count, 1);
    assert_int_equal(byte, 'x');
    assert_int_equal(pier_recv_fds(pair[1], &byte, 1, 0, &fd, &count), 1);
    assert_int_equal(byte, 'y');
    close_pair();
}

TEST(what_carries_no_descriptors_says_so)
{
    int inet = pier_socket(AF_INET, SOCK_DGRAM, 0),
        bare = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int fd = 0;
    size_t count = 1;
    char byte;
    make_pipe();
    assert_int_equal(pier_send_fds(inet, "x", 1, 0, pipe_ends, 1), -EOPNOTSUPP);
    assert_int_equal(pier_send_fds(bare, "x", 1, 0, pipe_ends, 1), -EOPNOTSUPP);
    assert_int_equal(pier_send_fds(pipe_ends[1], "x", 1, 0, pipe_ends, 1), -ENOTSOCK);
    assert_int_equal(pier_recv_fds(pipe_ends[0], &byte, 1, 0, &fd, &count), -ENOTSOCK);
    assert_int_equal(pier_close(inet), 0);
    assert_int_equal(pier_send_fds(inet, "x", 1, 0, pipe_ends, 1), -EBADF);
    assert_int_equal(pier_recv_fds(inet, &byte, 1, 0, &fd, &count), -EBADF);
    assert_int_equal(pier_send_fds(-ENOENT, "x", 1, 0, NULL, 99), -ENOENT);
    assert_int_equal(pier_recv_fds(-ENOENT, NULL, 1, 0, NULL, NULL), -ENOENT);
    assert_int_equal(count, 1);
    close(bare);
    close_pipe();
}

TEST(a_socket_with_bytes_in_its_buffer_is_not_given_away)
{
    make_pair(SOCK_STREAM);
    int other[2];
    size_t room;
    assert_int_equal(pier_socketpair(AF_UNIX, SOCK_STREAM, 0, other), 0);
    struct pier__entry *entry = pier__entry_at(other[0]);
    assert_non_null(pier__buffer_reserve(entry, &room));
    pier__buffer_commit(entry, 1);
    assert_int_equal(pier_pending(other[0]), 1);
    assert_int_equal(pier_send_fds(pair[0], "x", 1, 0, &other[0], 1), -EBUSY);
    nothing_was_sent();
    char byte;
    assert_int_equal(pier_recv(other[0], &byte, 1, 0), 1);
    assert_int_equal(pier_send_fds(pair[0], "x", 1, 0, &other[0], 1), 1);
    assert_int_equal(pier_close(other[0]), 0);
    assert_int_equal(pier_close(other[1]), 0);
    close_pair();
}

TEST(receiving_descriptors_times_out_at_the_deadline_not_before)
{
    make_pair(SOCK_STREAM);
    int fd;
    size_t count = 1;
    char byte;
    assert_int_equal(pier_recv_fds(pair[1], &byte, 1, MSG_DONTWAIT, &fd, &count), -EAGAIN);
    assert_int_equal(pier_settimeout(pair[1], 0.05), 0);
    pier_time end = pier_after(0.05);
    assert_int_equal(pier_recv_fds(pair[1], &byte, 1, 0, &fd, &count), -ETIME);
    assert_true(pier_now() >= end);
    end = pier_after(0.03);
    assert_int_equal(pier_settimeout(pair[1], INFINITY), 0);
    assert_int_equal(pier_setdeadline(pair[1], end), 0);
    assert_int_equal(pier_recv_fds(pair[1], &byte, 1, 0, &fd, &count), -ETIME);
    assert_true(pier_now() >= end);
    assert_int_equal(count, 1);
    close_pair();
}

static int64_t receive_in_vain(void *unused)
{
    (void)unused;
    int fd;
    size_t count = 1;
    char byte;
    return pier_recv_fds(pair[1], &byte, 1, 0, &fd, &count);
}

TEST(closing_wakes_who_waits_for_descriptors)
{
    make_pair(SOCK_STREAM);
    struct scene_call call;
    scene_start(&call, receive_in_vain, NULL);
    scene_await_blocked(&call);
    assert_int_equal(pier_close(pair[1]), 0);
    assert_int_equal(scene_finish(&call), -ECANCELED);
    assert_int_equal(pier_close(pair[0]), 0);
}

TEST(a_short_send_carries_the_descriptors_with_its_first_bytes)
{
    make_pair(SOCK_STREAM);
    make_pipe();
    size_t size = 4 << 20, came = 0;
    char *bytes = calloc(1, size);
    assert_non_null(bytes);
    ssize_t sent = pier_send_fds(pair[0], bytes, size, MSG_DONTWAIT, pipe_ends, 2);
    assert_true(sent > 0 && (size_t)sent < size);
    int fds[2];
    size_t count = 2;
    ssize_t n = pier_recv_fds(pair[1], bytes, size, 0, fds, &count);
    assert_true(n > 0);
    assert_int_equal(count, 2);
    close_all(fds, 2);
    for (came = (size_t)n; came < (size_t)sent; came += (size_t)n) {
        count = 2;
        n = pier_recv_fds(pair[1], bytes, size, 0, fds, &count);
        assert_true(n > 0);
        assert_int_equal(count, 0);
    }
    assert_int_equal(came, sent);
    free(bytes);
    close_pipe();
    close_pair();
}

TEST(a_plain_receive_lets_the_kernel_discard_descriptors)
{
    make_pair(SOCK_STREAM);
    make_pipe();
    char byte;
    assert_int_equal(pier_send_fds(pair[0], "x", 1, 0, &pipe_ends[1], 1), 1);
    close(pipe_ends[1]);
    int before = test_fd_count();
    assert_int_equal(pier_recv(pair[1], &byte, 1, 0), 1);
    assert_int_equal(test_fd_count(), before);
    assert_true(at_end(pipe_ends[0]));
    close(pipe_ends[0]);
    close_pair();
}

TEST(descriptors_in_flight_are_closed_with_the_socket)
{
    make_pair(SOCK_STREAM);
    make_pipe();
    assert_int_equal(pier_send_fds(pair[0], "x", 1, 0, &pipe_ends[1], 1), 1);
    close(pipe_ends[1]);
    assert_false(poll(&(struct pollfd){.fd = pipe_ends[0], .events = POLLIN}, 1, 0));
    close_pair();
    assert_true(at_end(pipe_ends[0]));
    close(pipe_ends[0]);
}

TEST(descriptors_that_this_process_may_not_open_are_an_error_and_no_leak)
{
    make_pair(SOCK_STREAM);
    make_pipe();
    int fds[8];
    for (int i = 0; i < 8; i++)
        fds[i] = pipe_ends[1];
    assert_int_equal(pier_send_fds(pair[0], "x", 1, 0, fds, 8), 1);
    close(pipe_ends[1]);
    int before = test_fd_count(), lowest = dup(0);
    close(lowest);
    struct rlimit old, tight;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    tight = (struct rlimit){.rlim_cur = (rlim_t)lowest + 3, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    size_t count = 8;
    char byte;
    assert_int_equal(pier_recv_fds(pair[1], &byte, 1, 0, fds, &count), -EMSGSIZE);
    assert_int_equal(count, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(test_fd_count(), before);
    assert_true(at_end(pipe_ends[0]));
    close(pipe_ends[0]);
    close_pair();
}

TEST(other_control_data_does_not_crowd_descriptors_out)
{
    make_pair(SOCK_DGRAM);
    make_pipe();
    int fds[PIER_FDS_MAX];
    for (size_t i = 0; i < PIER_FDS_MAX; i++)
        fds[i] = pipe_ends[0];
    static const int options[] = {
        SO_PASSCRED, SO_PASSSEC, SO_TIMESTAMPNS, SO_RXQ_OVFL, SO_PASSPIDFD_};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        (void)pier_setsockopt_int(pair[1], SOL_SOCKET, options[i], 1);
    int before = test_fd_count();
    assert_int_equal(pier_send_fds(pair[0], "x", 1, 0, fds, PIER_FDS_MAX), 1);
    size_t count = PIER_FDS_MAX;
    char byte;
    assert_int_equal(pier_recv_fds(pair[1], &byte, 1, 0, fds, &count), 1);
    assert_int_equal(count, PIER_FDS_MAX);
    close_all(fds, count);
    assert_int_equal(test_fd_count(), before); /* nor is the descriptor of the process kept */
    close_pipe();
    close_pair();
}

TEST(peeking_gives_copies_of_the_descriptors)
{
    make_pair(SOCK_STREAM);
    make_pipe();
    assert_int_equal(pier_send_fds(pair[0], "x", 1, 0, pipe_ends, 1), 1);
    for (int i = 0; i < 2; i++) {
        int fd;
        size_t count = 1;
        char byte;
        assert_int_equal(pier_recv_fds(pair[1], &byte, 1, i == 0 ? MSG_PEEK : 0, &fd, &count), 1);
        assert_int_equal(count, 1);
        close(fd);
    }
    close_pipe();
    close_pair();
}

/* The socket is closed by somebody else while the kernel hands the message over. */
static struct pier__seam fake;

static ssize_t recvmsg_and_close(int fd, struct msghdr *msg, int flags)
{
    ssize_t n = pier__seam_system.recvmsg(fd, msg, flags);
    pier_close(pair[1]);
    return n;
}

TEST(descriptors_that_come_while_the_socket_closes_are_not_lost)
{
    make_pair(SOCK_SEQPACKET);
    make_pipe();
    assert_int_equal(pier_send_fds(pair[0], NULL, 0, 0, pipe_ends, 2), 0);
    fake = pier__seam_system;
    fake.recvmsg = recvmsg_and_close;
    pier__seam = &fake;
    int fds[2];
    size_t count = 2;
    char byte;
    assert_int_equal(pier_recv_fds(pair[1], &byte, 1, 0, fds, &count), 0);
    pier__seam = &pier__seam_system;
    assert_int_equal(count, 2);
    close_all(fds, 2);
    close_pipe();
    assert_int_equal(pier_close(pair[0]), 0);
}

TEST(who_wants_no_descriptors_can_refuse_them)
{
    make_pair(SOCK_STREAM);
    make_pipe();
    if (pier_setsockopt_int(pair[1], SOL_SOCKET, SO_PASSRIGHTS_, 0) < 0)
        SKIP("a kernel before 6.16");
    assert_int_equal(pier_send_fds(pair[0], "x", 1, 0, pipe_ends, 1), -EPERM);
    nothing_was_sent();
    close_pipe();
    close_pair();
}

TEST(a_failed_send_of_descriptors_says_to_whom)
{
    make_pair(SOCK_STREAM);
    make_pipe();
    assert_int_equal(pier_close(pair[1]), 0);
    assert_int_equal(pier_send_fds(pair[0], "x", 1, 0, pipe_ends, 1), -EPIPE);
    assert_non_null(strstr(pier_error(), "send descriptors on"));
    assert_non_null(strstr(pier_error(), "Broken pipe"));
    assert_int_equal(pier_close(pair[0]), 0);
    close_pipe();
}

TEST(whoever_did_not_ask_for_close_on_exec_is_not_told_of_it)
{
    char byte, control[CMSG_SPACE(sizeof(int))];
    struct iovec iov = {.iov_base = &byte, .iov_len = 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control};
    make_pair(SOCK_STREAM);
    make_pipe();
    for (int asked = 0; asked < 2; asked++) {
        assert_int_equal(pier_send_fds(pair[0], "x", 1, 0, pipe_ends, 1), 1);
        msg.msg_controllen = sizeof control;
        int flags = asked ? MSG_CMSG_CLOEXEC : 0;
        assert_int_equal(pier_recvmsg(pair[1], &msg, flags), 1);
        assert_int_equal(msg.msg_flags, flags);
        assert_int_equal(pier_cmsg_close_fds(&msg), 1);
    }
    close_pipe();
    close_pair();
}

TEST(sockets_that_bring_no_descriptors_receive_messages_all_the_same)
{
    char byte, control[64];
    struct iovec iov = {.iov_base = &byte, .iov_len = 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control};
    int s = pier_socket(AF_PACKET, SOCK_DGRAM, 0);
    if (s == -EPERM) SKIP("no privilege for AF_PACKET");
    msg.msg_controllen = sizeof control;
    assert_int_equal(pier_recvmsg(s, &msg, MSG_DONTWAIT), -EAGAIN);
    assert_int_equal(pier_close(s), 0);
}

/* The kernel ends a receive before them; and has told long ago that there is something. */
TEST(bytes_behind_descriptors_are_not_waited_for)
{
    make_pair(SOCK_STREAM);
    make_pipe();
    char text[16];
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pier_send_fds(pair[0], "with", 4, 0, pipe_ends, 1), 4);
        assert_int_equal(pier_send(pair[0], "after", 5, 0), 5);
        assert_int_equal(pier_recv(pair[1], text, sizeof text, 0), 4);
        assert_int_equal(pier_recv(pair[1], text, sizeof text, 0), 5);
        assert_memory_equal(text, "after", 5);
    }
    close_pipe();
    close_pair();
}
