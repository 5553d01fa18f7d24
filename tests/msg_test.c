/* SPDX-License-Identifier: MIT */
#include "harness.h"
#include "scene.h"
#include "seams.h"

#include <errno.h>
#include <limits.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <math.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char scratch[70000];

/* A message in one buffer. */
struct one {
    struct iovec v;
    struct msghdr msg;
    char control[512];
    struct sockaddr_storage name;
};

static struct msghdr *one(struct one *m, void *buf, size_t len)
{
    m->v = (struct iovec){buf, len};
    m->msg = (struct msghdr){.msg_iov = &m->v, .msg_iovlen = 1};
    return &m->msg;
}

static struct msghdr *with_control(struct one *m)
{
    m->msg.msg_control = m->control;
    m->msg.msg_controllen = sizeof m->control;
    return &m->msg;
}

static struct msghdr *with_name(struct one *m, socklen_t room)
{
    m->msg.msg_name = &m->name;
    m->msg.msg_namelen = room;
    return &m->msg;
}

TEST(message_of_several_buffers_goes_and_comes_on_every_kind)
{
    for (const char *const *kind = scene_kinds(); *kind; kind++) {
        for (int limited = 0; limited < 2; limited++) {
            int pair[2];
            scene_pair(*kind, pair);
            if (limited) assert_int_equal(pier_settimeout(pair[1], 10), 0);
            char a[] = "abc", b[] = "", c[] = "defgh", in1[2], in2[20];
            struct iovec out[3] = {{a, 3}, {b, 0}, {c, 5}};
            struct msghdr sent = {.msg_iov = out, .msg_iovlen = 3};
            assert_int_equal(pier_sendmsg(pair[0], &sent, 0), 8);
            struct iovec in[2] = {{in1, 2}, {in2, 20}};
            struct msghdr got = {.msg_iov = in, .msg_iovlen = 2};
            assert_int_equal(pier_recvmsg(pair[1], &got, 0), 8);
            assert_memory_equal(in1, "ab", 2);
            assert_memory_equal(in2, "cdefgh", 6);
            assert_int_equal(got.msg_flags & (MSG_TRUNC | MSG_CTRUNC), 0);
            assert_int_equal(got.msg_iovlen, 2);
            scene_close(pair);
        }
    }
}

/* G.104 */
TEST(five_thousand_buffers_go_in_parts_over_a_stream)
{
    enum { BUFFERS = 5000, EACH = 7 };
    static char bytes[BUFFERS * EACH], got[BUFFERS * EACH];
    static struct iovec v[BUFFERS];
    for (int i = 0; i < BUFFERS; i++) {
        v[i] = (struct iovec){bytes + (size_t)i * EACH, EACH};
        memset(bytes + (size_t)i * EACH, i, EACH);
    }
    struct msghdr msg = {.msg_iov = v, .msg_iovlen = BUFFERS};
    for (const char *const *kind = scene_kinds(); *kind; kind++) {
        for (int limited = 0; limited < 2; limited++) {
            int pair[2];
            scene_pair(*kind, pair);
            if (limited) assert_int_equal(pier_settimeout(pair[0], 10), 0);
            if (!scene_is_stream(*kind)) {
                assert_int_equal(pier_sendmsg(pair[0], &msg, 0), -EMSGSIZE);
                assert_int_equal(pier_recvmsg(pair[0], &msg, 0), -EMSGSIZE);
                scene_close(pair);
                continue;
            }
            for (size_t sent = 0; sent < sizeof bytes;) { /* the result may be short */
                assert_int_equal(sent % EACH, 0);
                struct msghdr rest = {
                    .msg_iov = v + sent / EACH, .msg_iovlen = BUFFERS - sent / EACH};
                ssize_t n = pier_sendmsg(pair[0], &rest, 0);
                assert_true(n > 0);
                sent += (size_t)n;
            }
            assert_int_equal(pier_recv(pair[1], got, sizeof got, MSG_WAITALL), sizeof got);
            assert_memory_equal(got, bytes, sizeof got);

            assert_int_equal(pier_sendall(pair[1], bytes, 20000, 0), 20000);
            assert_int_equal(pier_wait_readable(pair[0], PIER_NEVER), 0);
            size_t come = 0;
            memset(got, 0, sizeof got);
            static struct iovec into[BUFFERS];
            while (come < 20000) {
                for (int i = 0; i < BUFFERS; i++)
                    into[i] = (struct iovec){scratch + (size_t)i * EACH, EACH};
                struct msghdr in = {.msg_iov = into, .msg_iovlen = BUFFERS};
                ssize_t n = pier_recvmsg(pair[0], &in, 0);
                assert_true(n > 0 && n <= 1024 * EACH);
                assert_int_equal(in.msg_iovlen, BUFFERS);
                memcpy(got + come, scratch, (size_t)n);
                come += (size_t)n;
            }
            assert_memory_equal(got, bytes, 20000);
            scene_close(pair);
        }
    }
}

TEST(many_buffers_with_control_data_cannot_be_split)
{
    int pair[2];
    scene_pair("unix stream", pair);
    static struct iovec v[5000];
    for (int i = 0; i < 5000; i++)
        v[i] = (struct iovec){scratch, 1};
    struct msghdr msg = {.msg_iov = v, .msg_iovlen = 5000};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {
        .header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS},
    };
    memcpy(CMSG_DATA(&control.header), &pair[0], sizeof(int));
    msg.msg_control = &control;
    msg.msg_controllen = sizeof control;
    assert_int_equal(pier_sendmsg(pair[0], &msg, 0), -EMSGSIZE);
    assert_int_equal(pier_recv(pair[1], scratch, 1, MSG_DONTWAIT), -EAGAIN); /* nothing went */
    msg.msg_iovlen = 1024;
    assert_int_equal(pier_sendmsg(pair[0], &msg, 0), 1024);
    scene_close(pair);
}

/* Once something has gone the rest does not wait, no more than a single send would. */
TEST(many_buffers_under_a_time_out_do_not_wait_once_some_have_gone)
{
    int pair[2];
    scene_pair("tcp", pair);
    static struct iovec v[2048];
    for (int i = 0; i < 2048; i++)
        v[i] = (struct iovec){scratch, 10};
    struct msghdr msg = {.msg_iov = v, .msg_iovlen = 2048};
    assert_int_equal(pier_settimeout(pair[0], 1000), 0);
    seams_install();
    seams_script(sendmsg, 10240, -EAGAIN);
    assert_int_equal(pier_sendmsg(pair[0], &msg, 0), 10240);
    assert_int_equal(seams_calls(poll), 0);
    seams_script(sendmsg, 10240, -ECONNRESET);
    assert_int_equal(pier_sendmsg(pair[0], &msg, 0), 10240); /* what went is told first */
    seams_script(sendmsg, 10240, 100);
    assert_int_equal(pier_sendmsg(pair[0], &msg, 0), 10340);
    for (int i = 0; i < 1024; i++)
        v[i].iov_len = 0; /* nothing has gone with these */
    seams_script(sendmsg, 0, -EAGAIN, 500);
    assert_int_equal(pier_sendmsg(pair[0], &msg, 0), 500);
    seams_remove();
    scene_close(pair);
}

/* G.103 */
TEST(message_longer_than_ssize_max_is_refused)
{
    int pair[2];
    scene_pair("tcp", pair);
    struct iovec v[2] = {{scratch, SSIZE_MAX}, {scratch, 1}};
    struct msghdr msg = {.msg_iov = v, .msg_iovlen = 2};
    seams_install();
    assert_int_equal(pier_sendmsg(pair[0], &msg, 0), -EINVAL);
    assert_int_equal(pier_recvmsg(pair[0], &msg, 0), -EINVAL);
    v[0].iov_len = SIZE_MAX;
    assert_int_equal(pier_sendmsg(pair[0], &msg, 0), -EINVAL);
    assert_int_equal(pier_recvmsg(pair[0], &msg, 0), -EINVAL);
    assert_int_equal(seams_calls(sendmsg) + seams_calls(recvmsg), 0);
    seams_remove();
    scene_close(pair);
}

TEST(message_of_nothing_and_nonsense_is_refused)
{
    int pair[2];
    scene_pair("tcp", pair);
    struct msghdr msg = {.msg_iovlen = 3};
    assert_int_equal(pier_sendmsg(pair[0], NULL, 0), -EINVAL);
    assert_int_equal(pier_recvmsg(pair[0], NULL, 0), -EINVAL);
    assert_int_equal(pier_sendmsg(pair[0], &msg, 0), -EINVAL);
    assert_int_equal(pier_recvmsg(pair[0], &msg, 0), -EINVAL);
    msg = (struct msghdr){.msg_controllen = 100};
    assert_int_equal(pier_sendmsg(pair[0], &msg, 0), -EINVAL);
    assert_int_equal(pier_recvmsg(pair[0], &msg, 0), -EINVAL);
    struct iovec nowhere = {NULL, 10};
    msg = (struct msghdr){.msg_iov = &nowhere, .msg_iovlen = 1};
    assert_int_equal(pier_sendmsg(pair[0], &msg, 0), -EFAULT);
    assert_int_equal(pier_sendall(pair[1], "x", 1, 0), 1);
    assert_int_equal(pier_recvmsg(pair[0], &msg, 0), -EFAULT);
    assert_int_equal(pier_sendmsg(pair[0], &(struct msghdr){0}, 0), 0); /* no bytes at all */
    scene_close(pair);
}

TEST(name_of_the_sender_is_told_and_cut_to_its_room)
{
    pier_addr at[2];
    int s[2] = {scene_udp(&at[0]), scene_udp(&at[1])};
    struct one m;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pier_sendto(s[0], "abc", 3, 0, at[1]), 3);
        socklen_t room = i ? 4 : sizeof m.name;
        memset(&m.name, 0x55, sizeof m.name);
        one(&m, scratch, 10);
        assert_int_equal(pier_recvmsg(s[1], with_name(&m, room), 0), 3);
        if (i == 0) {
            assert_int_equal(m.msg.msg_namelen, sizeof(struct sockaddr_in));
            assert_memory_equal(&m.name, &at[0].sa, sizeof(struct sockaddr_in));
        } else {
            assert_int_equal(m.msg.msg_namelen, 4); /* never more than there was room for */
            assert_memory_equal(&m.name, &at[0].sa, 4);
            assert_int_equal(((unsigned char *)&m.name)[4], 0x55);
        }
    }
    scene_close(s);
    scene_pair("tcp", s);
    assert_int_equal(pier_send(s[0], "abc", 3, 0), 3);
    one(&m, scratch, 10);
    assert_int_equal(pier_recvmsg(s[1], with_name(&m, sizeof m.name), 0), 3);
    assert_int_equal(m.msg.msg_namelen, 0); /* a peer that needs no name */
    scene_close(s);
    scene_pair("unix dgram", s);
    assert_int_equal(pier_send(s[0], "abc", 3, 0), 3);
    one(&m, scratch, 10);
    assert_int_equal(pier_recvmsg(s[1], with_name(&m, sizeof m.name), 0), 3);
    assert_int_equal(m.msg.msg_namelen, 0); /* a peer without a name */
    scene_close(s);
}

TEST(message_goes_to_the_name_that_it_carries)
{
    pier_addr at;
    int server = scene_udp(&at), s = pier_socket(AF_INET, SOCK_DGRAM, 0);
    struct one m;
    one(&m, scratch, 3);
    memcpy(&m.name, &at.sa, at.length);
    assert_int_equal(pier_sendmsg(s, with_name(&m, at.length), 0), 3);
    assert_int_equal(pier_recv(server, scratch, 10, 0), 3);
    assert_int_equal(pier_sendmsg(s, one(&m, scratch, 3), 0), -EDESTADDRREQ);
    assert_int_equal(pier_close(server), 0);
    assert_int_equal(pier_close(s), 0);
}

TEST(control_data_that_did_not_come_has_length_0)
{
    int pair[2];
    scene_pair("unix stream", pair);
    struct one m;
    assert_int_equal(pier_send(pair[0], "abc", 3, 0), 3);
    one(&m, scratch, 10);
    assert_int_equal(pier_recvmsg(pair[1], with_control(&m), 0), 3);
    assert_int_equal(m.msg.msg_controllen, 0);
    scene_close(pair);
}

/* C.45 */
TEST(descriptors_arrive_close_on_exec_though_nobody_asked)
{
    for (int bare = 0; bare < 2; bare++) {
        int pair[2];
        if (bare)
            assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        else
            scene_pair("unix stream", pair);
        assert_int_equal(pier_send_fds(pair[0], "x", 1, 0, &pair[0], 1), 1);
        struct one m;
        one(&m, scratch, 10);
        assert_int_equal(pier_recvmsg(pair[1], with_control(&m), 0), 1);
        assert_int_equal(m.msg.msg_flags & MSG_CMSG_CLOEXEC, 0); /* which is nobody's business */
        int fd;
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m.msg)), sizeof fd);
        assert_true(scene_cloexec(fd));
        close(fd);
        for (int i = 0; i < 2; i++)
            assert_int_equal(bare ? close(pair[i]) : pier_close(pair[i]), 0);
    }
}

/* What framing has read ahead comes first, without a name and without control data. */
TEST(message_takes_what_was_read_ahead_first)
{
    int pair[2];
    scene_pair("tcp", pair);
    char line[16], a[2], b[10];
    assert_int_equal(pier_sendall(pair[1], "line\nrest", 9, 0), 9);
    assert_int_equal(pier_recv_line(pair[0], line, sizeof line), 5);
    struct iovec v[3] = {{a, 0}, {a, 2}, {b, 10}};
    struct one m;
    m.msg = (struct msghdr){.msg_iov = v, .msg_iovlen = 3, .msg_flags = 0x5555};
    with_name(&m, sizeof m.name);
    assert_int_equal(pier_recvmsg(pair[0], with_control(&m), MSG_PEEK), 2);
    with_name(&m, sizeof m.name);
    assert_int_equal(pier_recvmsg(pair[0], with_control(&m), 0), 4);
    assert_memory_equal(a, "re", 2);
    assert_memory_equal(b, "st", 2);
    assert_int_equal(m.msg.msg_namelen, 0);
    assert_int_equal(m.msg.msg_controllen, 0);
    assert_int_equal(m.msg.msg_flags, 0);
    assert_int_equal(pier_recvmsg(pair[0], &m.msg, MSG_DONTWAIT), -EAGAIN);
    scene_close(pair);
}

/* C.50 */
TEST(datagrams_that_were_dropped_are_counted_beside_the_next)
{
    pier_addr at;
    int server = scene_udp(&at), s = pier_socket(AF_INET, SOCK_DGRAM, 0), on = 1, small = 1;
    assert_int_equal(setsockopt(server, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on), 0);
    assert_int_equal(setsockopt(server, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    enum { SENT = 200 };
    for (int i = 0; i < SENT; i++)
        assert_int_equal(pier_sendto(s, scratch, 500, 0, at), 500);
    unsigned came = 0, dropped = 0;
    struct one m;
    one(&m, scratch, 600);
    while (pier_recvmsg(server, with_control(&m), MSG_DONTWAIT) == 500)
        came++;
    assert_int_equal(pier_sendto(s, "last", 4, 0, at), 4);
    assert_int_equal(pier_recvmsg(server, with_control(&m), 0), 4);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m.msg); c; c = CMSG_NXTHDR(&m.msg, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL)
            memcpy(&dropped, CMSG_DATA(c), sizeof dropped);
    assert_int_equal(came + dropped, SENT);
    assert_true(dropped > 0);
    assert_int_equal(pier_close(server), 0);
    assert_int_equal(pier_close(s), 0);
}

/* There are families that refuse flags which concern them not. */
TEST(message_comes_from_a_packet_socket)
{
    test_in_netns();
    for (int bare = 0; bare < 2; bare++) {
        int s = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_IP));
        if (s < 0) SKIP("packet sockets are not permitted here");
        if (!bare) assert_int_equal(pier_adopt(s), s);
        pier_addr at;
        int udp = scene_udp(&at);
        for (int i = 0; i < 2; i++)
            assert_int_equal(pier_sendto(udp, "abc", 3, 0, at), 3);
        struct one m;
        one(&m, scratch, sizeof scratch);
        with_name(&m, sizeof m.name);
        assert_int_equal(pier_recvmsg(s, with_control(&m), 0), 31); /* IP, UDP, abc */
        assert_memory_equal(scratch + 28, "abc", 3);
        assert_int_equal(((struct sockaddr *)&m.name)->sa_family, AF_PACKET);
        pier_addr from;
        assert_int_equal(pier_recvfrom(s, scratch, sizeof scratch, 0, &from), 31);
        assert_int_equal(from.sa.any.sa_family, AF_PACKET);
        assert_int_equal(bare ? close(s) : pier_close(s), 0);
        assert_int_equal(pier_close(udp), 0);
    }
}

/* A.11, A.19 */
TEST(odd_answers_to_messages_are_told)
{
    static const int codes[] = {-ENOBUFS, -ENOMEM, -ENOSYS, -EHOSTDOWN};
    int pair[2];
    scene_pair("unix stream", pair);
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        struct one m;
        seams_install();
        seams_fail(sendmsg, 1, codes[i]);
        assert_int_equal(pier_sendmsg(pair[0], one(&m, scratch, 3), 0), codes[i]);
        assert_int_equal(pier_error_code(), codes[i]);
        assert_int_equal(pier_sendmsg(pair[0], one(&m, scratch, 3), 0), 3);
        seams_fail(recvmsg, 1, codes[i]);
        assert_int_equal(pier_recvmsg(pair[1], one(&m, scratch, 3), 0), codes[i]);
        assert_int_equal(pier_recvmsg(pair[1], one(&m, scratch, 3), 0), 3);
        seams_remove();
    }
    scene_close(pair);
}

/*
 * A datagram without a byte may bring descriptors; if the socket is closed meanwhile, they are the
 * caller's still.
 */
static ssize_t recvmsg_and_close(int fd, struct msghdr *msg, int flags)
{
    ssize_t n = seams_below()->recvmsg(fd, msg, flags);
    if (n < 0) return n; /* noise */
    assert_int_equal(pier_close(fd), 0);
    return n;
}

TEST(descriptors_that_came_are_not_lost_to_a_close)
{
    int pair[2];
    scene_pair("unix dgram", pair);
    assert_int_equal(pier_send_fds(pair[1], "", 0, 0, &pair[1], 1), 0);
    struct one m;
    one(&m, scratch, 10);
    seams_install();
    seams_replace(recvmsg, recvmsg_and_close);
    assert_int_equal(pier_recvmsg(pair[0], with_control(&m), 0), 0);
    seams_remove();
    assert_true(m.msg.msg_controllen > 0);
    int fd;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m.msg)), sizeof fd);
    assert_true(scene_open(fd));
    close(fd);
    assert_int_equal(pier_close(pair[1]), 0);
}
