/* SPDX-License-Identifier: MIT */
#include "datagrams.h"

#include "harness.h"
#include "scene.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

char bytes_out[MOST][ROOM], bytes_in[MOST][ROOM + GUARD];
pier_addr from[MOST];
pier_datagram out[MOST], in[MOST];

const char *const kinds[4] = {"udp", "unix dgram", "unix seqpacket", "udp6"};

size_t kind_count(void) { return test_ipv6() ? 4 : 3; }

void fill_out(size_t n, size_t length, pier_addr *addr)
{
    for (size_t i = 0; i < n; i++) {
        memset(bytes_out[i], (int)('a' + i % 23), length);
        out[i] = (pier_datagram){.data = bytes_out[i], .length = length, .addr = addr};
    }
}

void clear_in(size_t n)
{
    memset(bytes_in, '?', sizeof bytes_in);
    for (size_t i = 0; i < n; i++)
        in[i] = (pier_datagram){.data = bytes_in[i], .size = ROOM, .length = 7, .addr = &from[i]};
}

void assert_came(size_t i, size_t j)
{
    assert_int_equal(in[i].length, out[j].length);
    assert_false(in[i].truncated);
    assert_memory_equal(in[i].data, out[j].data, out[j].length);
    if (in[i].data == bytes_in[i]) assert_int_equal(bytes_in[i][out[j].length], '?');
}

void assert_all_came(size_t n)
{
    for (size_t i = 0; i < n; i++)
        assert_came(i, i);
}

void await_datagrams(int s, size_t bytes)
{
    int last = (int)bytes - 1, off = -1;
    char byte;
    assert_int_equal(setsockopt(s, SOL_SOCKET, SO_PEEK_OFF, &last, sizeof last), 0);
    while (recv(s, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0) {
        assert_int_equal(errno, EAGAIN);
        test_sleep(0.001);
    }
    assert_int_equal(setsockopt(s, SOL_SOCKET, SO_PEEK_OFF, &off, sizeof off), 0);
}

void receive_all(int s, size_t n)
{
    clear_in(n);
    for (size_t got = 0; got < n;) {
        ssize_t came = pier_recv_many(s, in + got, n - got, 0);
        assert_true(came > 0 && (size_t)came <= n - got);
        got += (size_t)came;
    }
}

void receiver_and_sender(bool gro, int pair[2], pier_addr *out_at)
{
    int bytes = 4 << 20;
    pair[0] = scene_udp(out_at);
    pair[1] = scene_udp(NULL);
    (void)setsockopt(pair[0], SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
    if (gro && pier_enable_gro(pair[0]) < 0) SKIP("no UDP_GRO here");
}

int64_t recv_ten(void *socket)
{
    static _Thread_local char bytes[10][100];
    pier_datagram ten[10];
    for (int i = 0; i < 10; i++)
        ten[i] = (pier_datagram){.data = bytes[i], .size = 100};
    return pier_recv_many(*(int *)socket, ten, 10, 0);
}
