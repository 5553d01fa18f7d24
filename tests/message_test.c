/* SPDX-License-Identifier: MIT */
#include "base/seam.h"
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pier.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEADER CMSG_LEN(0)

/* A message around `length` bytes of control data. */
static struct msghdr around(void *control, size_t length)
{
    return (struct msghdr){.msg_control = control, .msg_controllen = length};
}

static void write_header(void *at, size_t length, int level, int type)
{
    struct cmsghdr header = {.cmsg_len = length, .cmsg_level = level, .cmsg_type = type};
    memcpy(at, &header, sizeof header);
}

/* Closes nothing, and remembers what it was asked to close. */
static struct pier__seam fake;
static volatile unsigned char sink;
static int closed[64];
static size_t closed_count;

static int fake_close(int fd)
{
    if (closed_count < sizeof closed / sizeof *closed) closed[closed_count] = fd;
    closed_count++;
    return 0;
}

static void stand_in(void)
{
    closed_count = 0;
    fake = pier__seam_system;
    fake.close = fake_close;
    pier__seam = &fake;
}

TEST(lengths_and_spaces_are_those_of_the_macros)
{
    for (size_t n = 0; n < 300; n++) {
        assert_int_equal(pier_cmsg_len(n), CMSG_LEN(n));
        assert_int_equal(pier_cmsg_space(n), CMSG_SPACE(n));
    }
}

TEST(a_length_that_no_message_has_is_out_of_range)
{
    const size_t most = 0x7fffffff;
    assert_int_equal(pier_cmsg_len(most - CMSG_LEN(0)), most);
    assert_int_equal(pier_cmsg_len(most - CMSG_LEN(0) + 1), PIER_ERANGE);
    assert_int_equal(pier_cmsg_len(SIZE_MAX), PIER_ERANGE);
    /* CPython draws the line here, see testCMSG_SPACE. */
    assert_true(pier_cmsg_space(most - CMSG_SPACE(1)) > 0);
    assert_int_equal(pier_cmsg_space(most - CMSG_SPACE(1) + 1), PIER_ERANGE);
    assert_int_equal(pier_cmsg_space(SIZE_MAX), PIER_ERANGE);
    assert_int_equal(pier_cmsg_space((size_t)-7), PIER_ERANGE);
    assert_int_equal(pier_error_code(), PIER_ERANGE);
}

TEST(what_is_put_is_what_the_macros_would_have_written)
{
    union {
        struct cmsghdr align;
        unsigned char bytes[256];
    } ours, theirs;
    memset(&ours, 0xaa, sizeof ours);
    memset(&theirs, 0, sizeof theirs);
    struct msghdr msg = around(&ours, 0), expected = around(&theirs, sizeof theirs);
    static const size_t lengths[] = {4, 0, 5, 8, 13};
    size_t total = 0;

    struct cmsghdr *c = CMSG_FIRSTHDR(&expected);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        assert_int_equal(
            pier_cmsg_put(&msg, sizeof ours, 1, (int)i, "Hello, world!", lengths[i]), 0);
        c->cmsg_len = CMSG_LEN(lengths[i]);
        c->cmsg_level = 1;
        c->cmsg_type = (int)i;
        memcpy(CMSG_DATA(c), "Hello, world!", lengths[i]);
        total += CMSG_SPACE(lengths[i]);
        c = CMSG_NXTHDR(&expected, c);
        assert_int_equal(msg.msg_controllen, total);
    }
    assert_memory_equal(&ours, &theirs, total); /* padding included: it is zero in theirs */
    assert_int_equal(ours.bytes[total], 0xaa);
}

TEST(what_does_not_fit_is_not_put)
{
    char control[64], before[64];
    memset(control, 0x55, sizeof control);
    memcpy(before, control, sizeof control);
    for (size_t room = 0; room < CMSG_SPACE(5); room++) {
        struct msghdr msg = around(control, 0);
        assert_int_equal(pier_cmsg_put(&msg, room, 1, 1, "12345", 5), -ENOBUFS);
        assert_int_equal(msg.msg_controllen, 0);
    }
    struct msghdr full = around(control, 60);
    assert_int_equal(pier_cmsg_put(&full, 50, 1, 1, NULL, 0), -ENOBUFS);
    assert_int_equal(pier_cmsg_put(&full, sizeof control, 1, 1, NULL, 0), -ENOBUFS);
    assert_int_equal(pier_cmsg_put(&full, SIZE_MAX, 1, 1, control, SIZE_MAX), -ENOBUFS);
    full.msg_controllen = SIZE_MAX; /* rounding up would begin at 0 again */
    assert_int_equal(pier_cmsg_put(&full, SIZE_MAX, 1, 1, NULL, 0), -ENOBUFS);
    struct msghdr none = around(NULL, 0);
    assert_int_equal(pier_cmsg_put(&none, 100, 1, 1, NULL, 0), -ENOBUFS);
    assert_int_equal(pier_error_code(), -ENOBUFS);
    assert_int_equal(pier_cmsg_put(&none, 100, 1, 1, NULL, 5), -EFAULT);
    assert_int_equal(pier_cmsg_put(NULL, 100, 1, 1, "x", 1), -EINVAL);
    assert_memory_equal(control, before, sizeof control);
}

TEST(put_and_next_work_in_unaligned_buffers)
{
    for (size_t shift = 0; shift < 16; shift++) {
        char *bytes = malloc(128 + shift);
        assert_non_null(bytes);
        struct msghdr msg = around(bytes + shift, 0);
        assert_int_equal(pier_cmsg_put(&msg, 128, 7, 8, "first", 5), 0);
        assert_int_equal(pier_cmsg_put(&msg, 128, 9, 10, "the second", 10), 0);
        pier_cmsg cmsg = {0};
        assert_int_equal(pier_cmsg_next(&msg, &cmsg), 1);
        assert_int_equal(cmsg.level, 7);
        assert_int_equal(cmsg.type, 8);
        assert_int_equal(cmsg.length, 5);
        assert_memory_equal(cmsg.data, "first", 5);
        assert_false(cmsg.truncated);
        assert_int_equal(pier_cmsg_next(&msg, &cmsg), 1);
        assert_int_equal(cmsg.level, 9);
        assert_memory_equal(cmsg.data, "the second", 10);
        assert_int_equal(pier_cmsg_next(&msg, &cmsg), 0);
        assert_int_equal(pier_cmsg_next(&msg, &cmsg), 0);
        free(bytes);
    }
}

TEST(a_message_without_control_data_has_no_control_messages)
{
    char control[64] = {0};
    pier_cmsg cmsg = {0};
    struct msghdr none = {0}, empty = around(control, 0), zeroes = around(control, sizeof control);
    struct msghdr lost = around(NULL, 64);
    assert_int_equal(pier_cmsg_next(&none, &cmsg), 0);
    assert_int_equal(pier_cmsg_next(&empty, &cmsg), 0);
    assert_int_equal(pier_cmsg_next(&zeroes, &cmsg), 0);
    assert_int_equal(pier_cmsg_next(&lost, &cmsg), 0);
    assert_int_equal(pier_cmsg_next(NULL, &cmsg), 0);
    assert_int_equal(pier_cmsg_next(&empty, NULL), 0);
    cmsg.next = SIZE_MAX;
    assert_int_equal(pier_cmsg_next(&zeroes, &cmsg), 0);
    assert_int_equal(pier_cmsg_close_fds(&none), 0);
    assert_int_equal(pier_cmsg_close_fds(NULL), 0);
}

TEST(a_header_that_is_cut_off_ends_the_walk)
{
    char control[64] = {0};
    write_header(control, CMSG_LEN(4), 1, 1);
    for (size_t n = 0; n < HEADER; n++) {
        struct msghdr msg = around(control, n);
        assert_int_equal(pier_cmsg_next(&msg, &(pier_cmsg){0}), 0);
    }
    for (size_t n = CMSG_SPACE(4); n < CMSG_SPACE(4) + HEADER; n++) {
        struct msghdr msg = around(control, n);
        pier_cmsg cmsg = {0};
        assert_int_equal(pier_cmsg_next(&msg, &cmsg), 1);
        assert_int_equal(pier_cmsg_next(&msg, &cmsg), 0);
    }
}

TEST(a_header_that_claims_less_than_itself_ends_the_walk)
{
    char control[64] = {0};
    struct msghdr msg = around(control, sizeof control);
    for (size_t n = 0; n < HEADER; n++) {
        write_header(control, n, 1, 1);
        assert_int_equal(pier_cmsg_next(&msg, &(pier_cmsg){0}), 0);
    }
}

TEST(a_header_that_claims_too_much_is_truncated_to_what_is_there)
{
    char control[64] = {0};
    static const size_t claims[] = {65, 66, 100, 0x7fffffff, SIZE_MAX - 16, SIZE_MAX};
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
        struct msghdr msg = around(control, sizeof control);
        write_header(control, claims[i], 3, 4);
        pier_cmsg cmsg = {0};
        assert_int_equal(pier_cmsg_next(&msg, &cmsg), 1);
        assert_true(cmsg.truncated);
        assert_int_equal(cmsg.length, sizeof control - HEADER);
        assert_ptr_equal(cmsg.data, control + HEADER);
        assert_int_equal(pier_cmsg_next(&msg, &cmsg), 0);
    }
    struct msghdr msg = around(control, sizeof control);
    write_header(control, sizeof control, 3, 4);
    pier_cmsg cmsg = {0};
    assert_int_equal(pier_cmsg_next(&msg, &cmsg), 1);
    assert_false(cmsg.truncated);
}

/* A generator that gives the same bytes on every machine, so that a failure can be met again. */
static uint64_t random_state = 20260101;

static uint32_t random_number(uint32_t below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)(random_state >> 33) % below;
}

/* Bytes in which headers are likely to be nearly right. */
static void make_mess(unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)random_number(256);
    for (size_t at = 0; at + HEADER <= size; at += 8) {
        if (at && random_number(3)) continue;
        size_t length = random_number(8) ? random_number(64) : SIZE_MAX - random_number(64);
        write_header(
            bytes + at, length, random_number(4) ? SOL_SOCKET : 0, 1 + (int)random_number(4));
    }
}

TEST(the_walk_survives_any_bytes)
{
    stand_in();
    size_t found = 0;
    for (int round = 0; round < 50000; round++) {
        size_t size = random_number(160);
        size_t shift = random_number(8);
        unsigned char *bytes = malloc(size + shift + (size == 0)), *begin = bytes + shift;
        assert_non_null(bytes);
        make_mess(begin, size);
        struct msghdr msg = around(begin, size);
        size_t steps = 0;
        for (pier_cmsg cmsg = {0}; pier_cmsg_next(&msg, &cmsg); steps++) {
            const unsigned char *data = cmsg.data;
            assert_true(data >= begin + HEADER && data <= begin + size);
            assert_true(cmsg.length <= (size_t)(begin + size - data));
            assert_true(cmsg.next > (size_t)(data - begin) - HEADER);
            for (size_t i = 0; i < cmsg.length; i++)
                sink = data[i]; /* every byte may be read */
        }
        assert_true(steps <= size / HEADER);
        found += steps;
        closed_count = 0;
        int count = pier_cmsg_close_fds(&msg);
        assert_int_equal(closed_count, count);
        assert_int_equal(pier_cmsg_close_fds(&msg), 0);
        free(bytes);
    }
    assert_true(found > 50000);
    pier__seam = &pier__seam_system;
}

TEST(every_descriptor_of_a_message_is_closed_once)
{
    char control[256];
    struct msghdr msg = around(control, 0);
    const int first[] = {100, 101, 102}, second[] = {103}, no_fds[] = {200};
    assert_int_equal(
        pier_cmsg_put(&msg, sizeof control, SOL_SOCKET, SCM_RIGHTS, first, sizeof first), 0);
    assert_int_equal(pier_cmsg_put(&msg, sizeof control, IPPROTO_IP, SCM_RIGHTS, no_fds, 4), 0);
    assert_int_equal(pier_cmsg_put(&msg, sizeof control, SOL_SOCKET, 4, second, 4), 0); /* pidfd */
    assert_int_equal(
        pier_cmsg_put(&msg, sizeof control, SOL_SOCKET, SCM_CREDENTIALS, no_fds, 4), 0);
    stand_in();
    assert_int_equal(pier_cmsg_close_fds(&msg), 4);
    assert_int_equal(closed_count, 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(closed[i], 100 + i);
    assert_int_equal(pier_cmsg_close_fds(&msg), 0);
    assert_int_equal(closed_count, 4);
    pier__seam = &pier__seam_system;
}

TEST(of_a_truncated_array_the_whole_ints_are_closed)
{
    const int fds[] = {100, 101, 102};
    for (size_t cut = 0; cut <= sizeof fds; cut++) {
        char control[64];
        struct msghdr msg = around(control, 0);
        assert_int_equal(
            pier_cmsg_put(&msg, sizeof control, SOL_SOCKET, SCM_RIGHTS, fds, sizeof fds), 0);
        msg.msg_controllen = HEADER + cut;
        stand_in();
        assert_int_equal(pier_cmsg_close_fds(&msg), cut / sizeof(int));
        assert_int_equal(closed_count, cut / sizeof(int));
        pier__seam = &pier__seam_system;
    }
}

TEST(credentials_are_read_from_their_control_message_only)
{
    const struct ucred ucred = {.pid = 12, .uid = 34, .gid = 56};
    pier_credentials who = {.pid = 1, .uid = 2, .gid = 3};
    pier_cmsg cmsg = {
        .level = SOL_SOCKET, .type = SCM_CREDENTIALS, .data = &ucred, .length = sizeof ucred};
    assert_int_equal(pier_cmsg_credentials(&cmsg, NULL), -EINVAL);
    assert_int_equal(pier_cmsg_credentials(NULL, &who), -EINVAL);
    cmsg.length--;
    assert_int_equal(pier_cmsg_credentials(&cmsg, &who), -EINVAL);
    cmsg.length++;
    cmsg.type = SCM_RIGHTS;
    assert_int_equal(pier_cmsg_credentials(&cmsg, &who), -EINVAL);
    cmsg.type = SCM_CREDENTIALS;
    cmsg.level = IPPROTO_IP;
    assert_int_equal(pier_cmsg_credentials(&cmsg, &who), -EINVAL);
    assert_int_equal(pier_cmsg_credentials(&(pier_cmsg){0}, &who), -EINVAL);
    assert_int_equal(who.pid, 1);
    cmsg.level = SOL_SOCKET;
    assert_int_equal(pier_cmsg_credentials(&cmsg, &who), 0);
    assert_int_equal(who.pid, 12);
    assert_int_equal(who.uid, 34);
    assert_int_equal(who.gid, 56);
}

TEST(credentials_travel_with_a_message)
{
    int pair[2];
    assert_int_equal(pier_socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
    assert_int_equal(pier_setsockopt_int(pair[1], SOL_SOCKET, SO_PASSCRED, 1), 0);
    assert_int_equal(pier_send(pair[0], "x", 1, 0), 1);
    char byte, control[256];
    struct iovec part = {.iov_base = &byte, .iov_len = 1};
    struct msghdr msg = {.msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = sizeof control};
    assert_int_equal(pier_recvmsg(pair[1], &msg, 0), 1);
    pier_cmsg cmsg = {0};
    pier_credentials who;
    assert_int_equal(pier_cmsg_next(&msg, &cmsg), 1);
    assert_int_equal(pier_cmsg_credentials(&cmsg, &who), 0);
    assert_int_equal(who.pid, getpid());
    assert_int_equal(who.uid, getuid());
    assert_int_equal(who.gid, getgid());
    assert_int_equal(pier_cmsg_next(&msg, &cmsg), 0);
    pier_close(pair[0]);
    pier_close(pair[1]);
}

TEST(the_peer_of_a_unix_socket_says_who_it_is)
{
    int pair[2];
    pier_credentials who;
    assert_int_equal(pier_socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(pier_getpeercred(pair[0], &who), 0);
    assert_int_equal(who.pid, getpid());
    assert_int_equal(who.uid, geteuid());
    assert_int_equal(who.gid, getegid());
    assert_int_equal(pier_getpeercred(pair[0], NULL), -EFAULT);
    pier_close(pair[0]);
    pier_close(pair[1]);
}

TEST(a_socket_without_a_unix_peer_has_no_credentials)
{
    pier_credentials who = {.pid = 77};
    int lonely = pier_socket(AF_UNIX, SOCK_STREAM, 0), inet = pier_socket(AF_INET, SOCK_STREAM, 0);
    int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(pier_getpeercred(lonely, &who), -ENOTCONN);
    assert_int_equal(pier_getpeercred(inet, &who), -EOPNOTSUPP);
    assert_int_equal(pier_getpeercred(file, &who), -ENOTSOCK);
    assert_int_equal(pier_close(lonely), 0);
    assert_int_equal(pier_getpeercred(lonely, &who), -EBADF);
    assert_int_equal(pier_getpeercred(-ENOENT, &who), -ENOENT);
    assert_int_equal(who.pid, 77);
    close(file);
    pier_close(inet);
}

/* Receive one datagram, with its control data. */
static ssize_t receive(int s, struct msghdr *msg, void *control, size_t room)
{
    static char bytes[65536];
    static struct iovec part;
    part = (struct iovec){bytes, sizeof bytes};
    *msg = (struct msghdr){
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = room};
    return pier_recvmsg(s, msg, MSG_DONTWAIT);
}

static int64_t find_int(const struct msghdr *msg, int level, int type)
{
    for (pier_cmsg cmsg = {0}; pier_cmsg_next(msg, &cmsg);) {
        int n;
        if (cmsg.level != level || cmsg.type != type || cmsg.length < sizeof n) continue;
        memcpy(&n, cmsg.data, sizeof n);
        return n;
    }
    return -1;
}

/* Two UDP sockets on loopback, the second of which has the first one's address as its peer. */
static void make_udp_pair(int pair[2])
{
    pier_addr where;
    for (int i = 0; i < 2; i++) {
        pair[i] = pier_socket(AF_INET, SOCK_DGRAM, 0);
        assert_int_equal(pier_bind(pair[i], pier_inet("127.0.0.1", 0)), 0);
    }
    assert_int_equal(pier_getsockname(pair[0], &where), 0);
    assert_int_equal(pier_connect(pair[1], where), 0);
}

TEST(a_datagram_that_was_cut_says_so)
{
    int pair[2];
    char few[3];
    assert_int_equal(pier_socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
    struct iovec part = {few, sizeof few};
    struct msghdr msg = {.msg_iov = &part, .msg_iovlen = 1};
    assert_int_equal(pier_send(pair[0], "truncated", 9, 0), 9);
    assert_int_equal(pier_send(pair[0], "truncated", 9, 0), 9);
    assert_int_equal(pier_send(pair[0], "not", 3, 0), 3);
    assert_int_equal(pier_recvmsg(pair[1], &msg, 0), 3);
    assert_true(msg.msg_flags & MSG_TRUNC);
    assert_int_equal(pier_recvmsg(pair[1], &msg, MSG_TRUNC), 9); /* how long it really was */
    assert_int_equal(pier_recvmsg(pair[1], &msg, 0), 3);
    assert_false(msg.msg_flags & MSG_TRUNC);
    pier_close(pair[0]);
    pier_close(pair[1]);
}

TEST(lost_datagrams_are_counted_in_a_control_message)
{
    int pair[2];
    char control[256], bytes[1000] = "";
    struct msghdr msg;
    make_udp_pair(pair);
    assert_int_equal(pier_setsockopt_int(pair[0], SOL_SOCKET, SO_RXQ_OVFL, 1), 0);
    assert_int_equal(pier_setsockopt_int(pair[0], SOL_SOCKET, SO_RCVBUF, 4000), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(pier_send(pair[1], bytes, sizeof bytes, 0), sizeof bytes);
    int came = 0;
    while (receive(pair[0], &msg, control, sizeof control) > 0)
        came++;
    assert_true(came > 0 && came < 100);
    /* The count comes with the next one that is not lost. */
    assert_int_equal(pier_send(pair[1], bytes, sizeof bytes, 0), sizeof bytes);
    assert_int_equal(receive(pair[0], &msg, control, sizeof control), sizeof bytes);
    assert_int_equal(find_int(&msg, SOL_SOCKET, SO_RXQ_OVFL), 100 - came);
    pier_close(pair[0]);
    pier_close(pair[1]);
}

TEST(datagrams_that_the_kernel_merged_tell_their_size)
{
    int pair[2];
    char control[256];
    static const char bytes[10000];
    struct msghdr msg;
    make_udp_pair(pair);
    if (pier_setsockopt_text(pair[0], "UDP_GRO", "1") < 0) SKIP("no UDP_GRO here");
    if (pier_setsockopt_text(pair[1], "UDP_SEGMENT", "1000") < 0) SKIP("no UDP_SEGMENT here");
    assert_int_equal(pier_send(pair[1], bytes, sizeof bytes, 0), sizeof bytes);
    ssize_t n, total = 0;
    while (total < (ssize_t)sizeof bytes) {
        n = receive(pair[0], &msg, control, sizeof control);
        assert_true(n > 0);
        if (n > 1000) assert_int_equal(find_int(&msg, IPPROTO_UDP, 104), 1000); /* UDP_GRO */
        total += n;
    }
    pier_close(pair[0]);
    pier_close(pair[1]);
}

TEST(a_message_received_without_room_for_its_descriptors_leaks_none)
{
    int pair[2], fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    char control[256];
    struct msghdr msg;
    assert_int_equal(pier_socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
    const int fds[] = {fd, fd, fd, fd};
    int before = test_fd_count();
    /* No room at all, room for a part, room for all that nobody looks at. */
    static const size_t rooms[] = {0, CMSG_LEN(sizeof(int)), CMSG_SPACE(3 * sizeof(int)), 256};
    static const int left[] = {0, 1, 4, 4}; /* the padding behind three has room for a fourth */
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pier_send_fds(pair[0], "x", 1, 0, fds, 4), 1);
        assert_int_equal(receive(pair[1], &msg, rooms[i] ? control : NULL, rooms[i]), 1);
        assert_int_equal(!!(msg.msg_flags & MSG_CTRUNC), left[i] < 4);
        assert_int_equal(pier_cmsg_close_fds(&msg), left[i]);
        assert_int_equal(test_fd_count(), before);
    }
    close(fd);
    pier_close(pair[0]);
    pier_close(pair[1]);
}
