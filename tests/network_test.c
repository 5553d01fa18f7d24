/* SPDX-License-Identifier: MIT */
/* What the network and its administrator do to connections. */
#include "bad_link.h"
#include "harness.h"
#include "scene.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pier.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* One of the ioctls of netdevice(7); 0 or -errno. */
static int set_interface(unsigned long what, struct ifreq *request)
{
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(s >= 0);
    int err = ioctl(s, what, request) < 0 ? -errno : 0;
    assert_int_equal(close(s), 0);
    return err;
}

static void set_mtu(int bytes)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_mtu = bytes};
    assert_int_equal(set_interface(SIOCSIFMTU, &request), 0);
}

TEST(a_connected_datagram_socket_hears_its_peer_alone)
{
    pier_addr here, there, elsewhere;
    int s = scene_udp(&here), peer = scene_udp(&there), stranger = scene_udp(&elsewhere);
    char text[16];
    assert_int_equal(pier_connect(s, there), 0);
    assert_int_equal(pier_sendto(stranger, "I am he", 7, 0, here), 7);
    assert_int_equal(pier_sendto(peer, "no, I", 5, 0, here), 5);
    assert_int_equal(pier_recv(s, text, sizeof text, 0), 5);
    assert_memory_equal(text, "no, I", 5);
    assert_int_equal(pier_recv(s, text, sizeof text, MSG_DONTWAIT), -EAGAIN);
    pier_close(s);
    pier_close(peer);
    pier_close(stranger);
}

TEST(multipath_tcp_falls_back_to_a_peer_that_has_none)
{
    pier_addr address;
    int s = pier_socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
    if (s < 0) SKIP("no multipath TCP here");
    int listener = scene_listener(&address);
    char text[8];
    assert_int_equal(pier_connect(s, address), 0);
    int peer = pier_accept(listener, NULL);
    assert_int_equal(pier_sendall(s, "hello", 5, 0), 5);
    assert_int_equal(pier_recv_exactly(peer, text, 5), 5);
    assert_int_equal(pier_sendall(peer, "yes\n", 4, 0), 4);
    assert_int_equal(pier_recv_line(s, text, sizeof text), 4);
    assert_string_equal(text, "yes\n");
    assert_int_equal(pier_close(s), 0);
    assert_int_equal(pier_recv(peer, text, sizeof text, 0), 0);
    pier_close(peer);
    pier_close(listener);
}

#define MUCH ((size_t)4 << 20)

static unsigned char byte_at(size_t i) { return (unsigned char)(i ^ i >> 8 ^ i >> 16); }

/* Much from `from` to `to`, to be sent. */
struct part {
    int s;
    size_t from, to;
};

static void *send_part(void *arg)
{
    const struct part *part = arg;
    static unsigned char bytes[MUCH];
    for (size_t i = part->from; i < part->to; i++)
        bytes[i] = byte_at(i);
    size_t length = part->to - part->from;
    assert_int_equal(pier_sendall(part->s, bytes + part->from, length, 0), length);
    return NULL;
}

static unsigned char received[MUCH];

static void receive_much(int s, size_t from, size_t to)
{
    assert_int_equal(pier_recv_exactly(s, received + from, to - from), to - from);
    for (size_t i = from; i < to; i++)
        assert_int_equal(received[i], byte_at(i));
}

TEST(a_stream_survives_that_packets_become_smaller)
{
    test_in_netns();
    int pair[2];
    scene_pair("tcp", pair);
    pthread_t sender = test_thread(send_part, &(struct part){pair[0], 0, MUCH});
    receive_much(pair[1], 0, MUCH / 4);
    set_mtu(600);
    receive_much(pair[1], MUCH / 4, MUCH);
    test_join(sender);
    pier_close(pair[0]);
    pier_close(pair[1]);
}

/* A connection over the bad link. */
static void pair_over_bad_link(int pair[2])
{
    int listener = pier_create_server(BAD_LINK_HERE ":0", NULL);
    pier_addr here;
    assert_int_equal(pier_getsockname(listener, &here), 0);
    pair[0] = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(pier_connect(pair[0], pier_inet(BAD_LINK_THERE, pier_addr_port(here))), 0);
    pair[1] = pier_accept(listener, NULL);
    assert_true(pair[1] >= 0);
    pier_close(listener);
}

/* Did the kernel have to send something again? */
static bool sent_again(int s)
{
    struct tcp_info info = {0};
    socklen_t length = sizeof info;
    assert_int_equal(getsockopt(s, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
    return info.tcpi_total_retrans > 0;
}

TEST(a_stream_over_a_bad_link_arrives_byte_for_byte)
{
    test_in_netns();
    bad_link_start(
        (struct bad_link_faults){.lose = 300, .twice = 300, .late = 500, .damage = 100, .seed = 7});
    int pair[2];
    pair_over_bad_link(pair);
    pthread_t sender = test_thread(send_part, &(struct part){pair[0], 0, MUCH});
    receive_much(pair[1], 0, MUCH);
    test_join(sender);
    assert_true(sent_again(pair[0]));
    pier_close(pair[0]);
    pier_close(pair[1]);
    bad_link_stop();
}

TEST(a_stream_survives_that_the_network_is_gone_for_a_while)
{
    test_in_netns();
    bad_link_start((struct bad_link_faults){.seed = 7});
    int pair[2];
    pair_over_bad_link(pair);
    assert_int_equal(pier_setdeadline(pair[1], pier_after(1000)), 0);
    struct part before = {pair[0], 0, MUCH / 4}, meanwhile = {pair[0], MUCH / 4, MUCH};
    pthread_t sender = test_thread(send_part, &before);
    receive_much(pair[1], before.from, before.to);
    test_join(sender);
    bad_link_out(true);
    sender = test_thread(send_part, &meanwhile);
    while (!sent_again(pair[0])) /* in vain */
        test_sleep(0.01);
    bad_link_out(false);
    receive_much(pair[1], meanwhile.from, meanwhile.to);
    test_join(sender);
    pier_close(pair[0]);
    pier_close(pair[1]);
    bad_link_stop();
}

TEST(a_peer_that_vanishes_without_a_word_is_left_at_the_deadline_not_before)
{
    test_in_netns();
    bad_link_start((struct bad_link_faults){.seed = 7});
    int pair[2];
    char byte;
    pair_over_bad_link(pair);
    bad_link_out(true);
    assert_int_equal(pier_sendall(pair[0], "anybody?", 8, 0), 8);
    pier_time deadline = pier_after(0.1);
    assert_int_equal(pier_setdeadline(pair[0], deadline), 0);
    assert_int_equal(pier_recv(pair[0], &byte, 1, 0), -ETIME);
    assert_true(pier_now() >= deadline);
    pier_close(pair[0]);
    pier_close(pair[1]);
    bad_link_stop();
}

TEST(a_datagram_that_may_not_be_cut_is_refused_when_packets_become_smaller)
{
    test_in_netns();
    pier_addr here;
    static char bytes[1000];
    int s = scene_udp(&here);
    assert_int_equal(pier_setsockopt_int(s, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO), 0);
    assert_int_equal(pier_sendto(s, bytes, sizeof bytes, 0, here), sizeof bytes);
    set_mtu(600);
    assert_int_equal(pier_sendto(s, bytes, sizeof bytes, 0, here), -EMSGSIZE);
    assert_int_equal(pier_sendto(s, bytes, 500, 0, here), 500);
    pier_close(s);
}

/* lo gets another address, or loses it. */
static void set_address(const char *host, bool there)
{
    struct ifreq request = {.ifr_name = "lo:1"};
    pier_addr address = pier_inet(host, 0);
    memcpy(&request.ifr_addr, &address.sa.inet, sizeof address.sa.inet);
    if (there) {
        assert_int_equal(set_interface(SIOCSIFADDR, &request), 0);
        return;
    }
    request.ifr_flags = 0;
    assert_int_equal(set_interface(SIOCSIFFLAGS, &request), 0);
}

TEST(when_an_address_goes_its_connections_end_at_the_deadline_and_the_server_goes_on)
{
    test_in_netns();
    set_address("10.9.9.9", true);
    int server = pier_create_server("0.0.0.0:0", NULL);
    pier_addr here;
    char text[8];
    assert_int_equal(pier_getsockname(server, &here), 0);
    int s = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(pier_connect(s, pier_inet("10.9.9.9", pier_addr_port(here))), 0);
    int peer = pier_accept(server, NULL);
    set_address("10.9.9.9", false);

    pier_time deadline = pier_after(0.1);
    assert_int_equal(pier_setdeadline(s, deadline), 0);
    ssize_t n = pier_sendall(s, "hello", 5, 0);
    if (n >= 0) n = pier_recv(s, text, sizeof text, 0);
    assert_true(n < 0);
    if (n == -ETIME) assert_true(pier_now() >= deadline);
    assert_int_equal(pier_recv(peer, text, sizeof text, MSG_DONTWAIT), -EAGAIN);

    int other = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(pier_connect(other, pier_inet("127.0.0.1", pier_addr_port(here))), 0);
    assert_int_equal(pier_close(pier_accept(server, NULL)), 0);
    pier_close(other);
    pier_close(peer);
    pier_close(s);
    pier_close(server);
}

/* What ss -K asks for: that the kernel end this connection of ours. 0 or -errno. */
static int destroy(pier_addr local, pier_addr peer)
{
    struct {
        struct nlmsghdr header;
        struct inet_diag_req_v2 request;
    } question = {
        .header = {.nlmsg_len = sizeof question,
            .nlmsg_type = SOCK_DESTROY,
            .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
        .request = {.sdiag_family = AF_INET,
            .sdiag_protocol = IPPROTO_TCP,
            .idiag_states = ~0U,
            .id = {.idiag_sport = local.sa.inet.sin_port,
                .idiag_dport = peer.sa.inet.sin_port,
                .idiag_src = {local.sa.inet.sin_addr.s_addr},
                .idiag_dst = {peer.sa.inet.sin_addr.s_addr},
                .idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}}},
    };
    struct {
        struct nlmsghdr header;
        struct nlmsgerr error;
    } answer;
    int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (s < 0) return -errno;
    int err = -EIO;
    if (send(s, &question, sizeof question, 0) == sizeof question &&
        recv(s, &answer, sizeof answer, 0) >= (ssize_t)sizeof answer.header &&
        answer.header.nlmsg_type == NLMSG_ERROR)
        err = answer.error.error;
    assert_int_equal(close(s), 0);
    return err;
}

static int64_t receive(void *arg)
{
    char byte;
    return pier_recv(*(int *)arg, &byte, 1, 0);
}

TEST(a_connection_that_is_destroyed_from_outside_wakes_who_waits)
{
    test_in_netns();
    int pair[2];
    char byte;
    pier_addr local, peer;
    scene_pair("tcp", pair);
    assert_int_equal(pier_getsockname(pair[0], &local), 0);
    assert_int_equal(pier_getpeername(pair[0], &peer), 0);
    struct scene_call call;
    scene_start(&call, receive, &pair[0]);
    scene_await_blocked(&call);
    int err = destroy(local, peer);
    if (err < 0) pier_close(pair[0]);
    scene_finish(&call);
    if (err == 0) {
        assert_int_equal(call.result, -ECONNABORTED);
        assert_int_equal(pier_recv(pair[1], &byte, 1, 0), -ECONNRESET);
        pier_close(pair[0]);
    }
    pier_close(pair[1]);
    if (err < 0) SKIP("this kernel destroys no sockets");
}
