/* SPDX-License-Identifier: MIT */
#include "bad_link.h"

#include "harness.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PACKET  2048
#define LATE_MS 3

static struct {
    int tun, end;
    pthread_t thread;
    struct bad_link_faults faults;
    atomic_bool out;
    unsigned char held[PACKET]; /* a late one, which others overtake */
    size_t held_length;
} bad;

static unsigned random_below(unsigned limit)
{
    uint64_t x = bad.faults.seed; /* xorshift, Marsaglia 2003 */
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    bad.faults.seed = x;
    return (unsigned)(x % limit);
}

static bool happens(unsigned in_10000) { return random_below(10000) < in_10000; }

static void deliver(const unsigned char *packet, size_t length)
{
    /* The kernel may refuse a damaged one. */
    ssize_t written = write(bad.tun, packet, length);
    (void)written;
}

static void deliver_held(void)
{
    if (bad.held_length > 0) deliver(bad.held, bad.held_length);
    bad.held_length = 0;
}

/*
 * Both ends are this host: with its addresses swapped, each packet is the other end's, and its
 * checksums still hold.
 */
static void swap_addresses(unsigned char *packet)
{
    struct iphdr *ip = (struct iphdr *)(void *)packet;
    uint32_t from = ip->saddr;
    ip->saddr = ip->daddr;
    ip->daddr = from;
}

static void pass(unsigned char *packet, size_t length)
{
    if (length < sizeof(struct iphdr) || packet[0] >> 4 != 4) return; /* IPv6 looks for routers */
    swap_addresses(packet);
    if (atomic_load(&bad.out) || happens(bad.faults.lose)) return;
    if (happens(bad.faults.damage)) packet[random_below((unsigned)length)] ^= 0x10;
    if (bad.held_length == 0 && happens(bad.faults.late)) {
        memcpy(bad.held, packet, length);
        bad.held_length = length;
        return;
    }
    deliver(packet, length);
    if (happens(bad.faults.twice)) deliver(packet, length);
    deliver_held();
}

static void *run(void *unused)
{
    static _Alignas(struct iphdr) unsigned char packet[PACKET];
    (void)unused;
    for (;;) {
        struct pollfd fds[] = {
            {.fd = bad.tun, .events = POLLIN}, {.fd = bad.end, .events = POLLIN}};
        int ready = poll(fds, 2, bad.held_length > 0 ? LATE_MS : -1);
        if (fds[1].revents) return NULL;
        if (ready == 0) deliver_held();
        if (ready <= 0 || !fds[0].revents) continue;
        ssize_t n = read(bad.tun, packet, sizeof packet);
        if (n > 0) pass(packet, (size_t)n);
    }
}

static void put_address(int s, unsigned long what, const char *text, struct ifreq *request)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    assert_int_equal(inet_pton(AF_INET, text, &address.sin_addr), 1);
    memcpy(&request->ifr_addr, &address, sizeof address);
    assert_int_equal(ioctl(s, what, request), 0);
}

void bad_link_start(struct bad_link_faults faults)
{
    struct ifreq request = {.ifr_name = "bad0", .ifr_flags = IFF_TUN | IFF_NO_PI};
    bad.tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (bad.tun < 0 || ioctl(bad.tun, TUNSETIFF, &request) < 0) SKIP("no TUN here");
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(s >= 0);
    put_address(s, SIOCSIFADDR, BAD_LINK_HERE, &request);
    put_address(s, SIOCSIFNETMASK, "255.255.255.0", &request);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    assert_int_equal(ioctl(s, SIOCSIFFLAGS, &request), 0);
    assert_int_equal(close(s), 0);

    bad.faults = faults;
    bad.end = eventfd(0, EFD_CLOEXEC);
    assert_true(bad.end >= 0);
    bad.thread = test_thread(run, NULL);
}

void bad_link_out(bool out) { atomic_store(&bad.out, out); }

void bad_link_stop(void)
{
    uint64_t one = 1;
    assert_int_equal(write(bad.end, &one, sizeof one), sizeof one);
    test_join(bad.thread);
    assert_int_equal(close(bad.end), 0);
    assert_int_equal(close(bad.tun), 0);
}
