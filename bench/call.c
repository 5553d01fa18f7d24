/* SPDX-License-Identifier: MIT */
/*
 * What does one call cost? Sends and receives 64 bytes COUNT times between two sockets of one
 * thread, by libc or by pier, and prints the nanoseconds that took, per time. bench/call.py runs
 * it under callgrind and strace as well, and beside CPython.
 *
 *     call libc|pier unix|tcp COUNT [TIMEOUT]
 *
 * With a time-out, libc does what C programs do: poll, then the call.
 */
#include <math.h>
#include <pier.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static int fail(void)
{
    fprintf(stderr, "%s\n", pier_error());
    return 1;
}

static int make_pair(const char *kind, int pair[2])
{
    if (strcmp(kind, "unix") == 0) return pier_socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    pier_addr at;
    int server = pier_create_server("127.0.0.1:0", NULL);
    pier_getsockname(server, &at);
    pair[0] = pier_create_connection(pier_addr_text(at).text, NULL);
    pair[1] = pier_accept(server, NULL);
    pier_close(server);
    if (pair[0] < 0) return pair[0];
    return pair[1] < 0 ? pair[1] : 0;
}

static void wait_for(int s, short events, double timeout)
{
    struct pollfd fd = {.fd = s, .events = events};
    if (isfinite(timeout)) poll(&fd, 1, (int)(timeout * 1e3));
}

static bool by_libc(const int pair[2], char *buf, size_t len, double timeout)
{
    wait_for(pair[0], POLLOUT, timeout);
    if (send(pair[0], buf, len, MSG_NOSIGNAL) < 0) return false;
    wait_for(pair[1], POLLIN, timeout);
    return recv(pair[1], buf, len, 0) >= 0;
}

static bool by_pier(const int pair[2], char *buf, size_t len)
{
    return pier_send(pair[0], buf, len, 0) >= 0 && pier_recv(pair[1], buf, len, 0) >= 0;
}

int main(int argc, char **argv)
{
    int pair[2];
    if (argc < 4 || make_pair(argv[2], pair) < 0) return fail();
    long count = atol(argv[3]);
    double timeout = argc > 4 ? atof(argv[4]) : (double)INFINITY;
    pier_settimeout(pair[0], timeout);
    pier_settimeout(pair[1], timeout);
    bool libc = strcmp(argv[1], "libc") == 0;
    char buf[64] = {0};
    pier_time began = pier_now();
    for (long i = 0; i < count; i++) {
        bool done = libc ? by_libc(pair, buf, sizeof buf, timeout) : by_pier(pair, buf, sizeof buf);
        if (!done) return fail();
    }
    printf("%.1f\n", (double)(pier_now() - began) / (double)count);
    return 0;
}
