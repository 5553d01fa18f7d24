/* SPDX-License-Identifier: MIT */
/* udp_server [PORT]: sends every datagram back to where it came from. */
#include <limits.h>
#include <pier.h>
#include <stdio.h>
#include <stdlib.h>

static char data[65536]; /* no datagram is longer */

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
    setvbuf(stdout, NULL, _IOLBF, 0); /* each line at once, into a pipe too */

    int s = pier_socket(AF_INET, SOCK_DGRAM, 0);
    if (pier_bind(s, pier_inet("", port)) < 0) return fprintf(stderr, "%s\n", pier_error()), 1;
    pier_addr here, from;
    pier_getsockname(s, &here);
    printf("socket is waiting on %s\n", pier_addr_text(here).text);

    ssize_t n;
    while ((n = pier_recvfrom(s, data, sizeof data, 0, &from)) >= 0) {
        printf("Got %zd bytes from %s\n", n, pier_addr_text(from).text);
        /* An answer that cannot be sent is its asker's loss: the others are still served. */
        if (pier_sendto(s, data, (size_t)n, 0, from) < 0) fprintf(stderr, "%s\n", pier_error());
    }
    return fprintf(stderr, "%s\n", pier_error()), 1;
}
