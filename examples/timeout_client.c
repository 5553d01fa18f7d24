/* SPDX-License-Identifier: MIT */
/*
 * timeout_client [PORT [SECONDS [HOST]]]: prints what a server says. A silence may last SECONDS
 * (that is Python's time-out), the whole conversation three times as long (the deadline),
 * however busy the server is.
 */
#include <errno.h>
#include <pier.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    char address[512], text[1024];
    const char *port = argc > 1 ? argv[1] : "12345";
    double seconds = argc > 2 ? strtod(argv[2], NULL) : 2;
    snprintf(address, sizeof address, "%s:%s", argc > 3 ? argv[3] : "127.0.0.1", port);
    setvbuf(stdout, NULL, _IONBF, 0);

    pier_time began = pier_now();
    int s = pier_create_connection(
        address, &(pier_connection_opts){.deadline = pier_after(3 * seconds)});
    pier_settimeout(s, seconds);
    ssize_t n;
    while ((n = pier_recv(s, text, sizeof text, 0)) > 0)
        fwrite(text, 1, (size_t)n, stdout);
    if (n < 0) {
        double passed = (double)(pier_now() - began) / (double)PIER_SECOND;
        fprintf(stderr, "gave up after %.1f s: %s\n", passed, pier_error());
    }
    pier_close(s);
    return n < 0;
}
