/* SPDX-License-Identifier: MIT */
/* unix_client [PATH]: the greeting client on a Unix socket. */
#include <pier.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    int s = pier_socket(AF_UNIX, SOCK_STREAM, 0);
    pier_connect(s, pier_unix(argc > 1 ? argv[1] : "greeting.sock"));
    char text[1024];
    ssize_t n = pier_recv(s, text, sizeof text, 0);
    if (n < 0) return fprintf(stderr, "%s\n", pier_error()), 1;
    printf("%.*s\n", (int)n, text);
    pier_close(s);
    return 0;
}
