/* SPDX-License-Identifier: MIT */
/* udp_client [PORT [HOST [TEXT]]]: sends a datagram and prints the answer. */
#include <errno.h>
#include <limits.h>
#include <pier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char answer[65536]; /* no datagram is longer */

/* -1, which is no port, for text that is no number. */
static int number(const char *text)
{
    char *end;
    long value = strtol(text, &end, 10);
    return end != text && *end == '\0' && value >= 0 && value <= INT_MAX ? (int)value : -1;
}

int main(int argc, char **argv)
{
    int port = argc > 1 ? number(argv[1]) : 12345;
    const char *host = argc > 2 ? argv[2] : "127.0.0.1";
    const char *text = argc > 3 ? argv[3] : "Hello, are you there?";

    /* Connected, so that datagrams of strangers stay outside and a closed port is told of. */
    int s = pier_socket(AF_INET, SOCK_DGRAM, 0);
    pier_connect(s, pier_inet(host, port));
    pier_settimeout(s, 1);
    ssize_t n = -ETIME;
    for (int tries = 0; n == -ETIME && tries < 3; tries++) { /* datagrams get lost */
        n = pier_send(s, text, strlen(text), 0);
        if (n >= 0) n = pier_recv(s, answer, sizeof answer, 0);
    }
    if (n < 0) return fprintf(stderr, "%s\n", pier_error()), 1;
    printf("%.*s\n", (int)n, answer);
    pier_close(s);
    return 0;
}
