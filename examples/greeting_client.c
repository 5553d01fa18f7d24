/* SPDX-License-Identifier: MIT */
/* greeting_client [PORT [HOST]]: connects, and prints what the server has to say. */
#include <limits.h>
#include <pier.h>
#include <stdio.h>
#include <stdlib.h>

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

    int s = pier_socket(AF_INET, SOCK_STREAM, 0);
    pier_connect(s, pier_inet(host, port));
    char text[1024];
    ssize_t n = pier_recv(s, text, sizeof text, 0);
    if (n < 0) return fprintf(stderr, "%s\n", pier_error()), 1;
    printf("%.*s\n", (int)n, text);
    pier_close(s);
    return 0;
}
