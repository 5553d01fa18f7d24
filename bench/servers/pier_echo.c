/* SPDX-License-Identifier: MIT */
/* pier_echo echo|large|sink: pier_serve() and straight lines. PIER_BACKEND chooses how it waits. */
#include <pier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LISTENER = 0, SMALL = 1024, LARGE = 64 * 1024, CLIENTS = 1000000 };

static void echo(int client, void *unused)
{
    (void)unused;
    char buf[SMALL];
    ssize_t n;
    while ((n = pier_recv(client, buf, sizeof buf, 0)) > 0)
        if (pier_sendall(client, buf, (size_t)n, 0) < 0) return;
}

static void echo_large(int client, void *unused)
{
    (void)unused;
    char *buf = malloc(LARGE);
    ssize_t n;
    while (buf && (n = pier_recv(client, buf, LARGE, 0)) > 0)
        if (pier_sendall(client, buf, (size_t)n, 0) < 0) break;
    free(buf);
}

static void sink(int client, void *unused)
{
    (void)unused;
    char *buf = malloc(LARGE);
    while (buf && pier_recv(client, buf, LARGE, 0) > 0)
        continue;
    free(buf);
}

int main(int argc, char **argv)
{
    void (*handler)(int, void *) = echo;
    if (argc > 1 && strcmp(argv[1], "large") == 0) handler = echo_large;
    if (argc > 1 && strcmp(argv[1], "sink") == 0) handler = sink;
    pier_serve_opts opts = {
        .max_clients = CLIENTS, .workers = 1, /* the peers have one thread */
    };
    if (pier_serve(pier_adopt(LISTENER), handler, NULL, &opts) < 0)
        return fprintf(stderr, "%s\n", pier_error()), 1;
    return 0;
}
