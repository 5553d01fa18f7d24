/* SPDX-License-Identifier: MIT */
/* threads echo|large|sink: a thread per client, and blocking calls. */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LISTENER = 0, SMALL = 1024, LARGE = 64 * 1024 };

static bool sink;

static void echo(int client, char *buffer, size_t size)
{
    ssize_t got;
    while ((got = recv(client, buffer, size, 0)) > 0)
        if (!sink && send(client, buffer, (size_t)got, MSG_NOSIGNAL) != got) break;
    close(client);
}

static void *serve_small(void *client)
{
    char buffer[SMALL];
    echo((int)(intptr_t)client, buffer, sizeof buffer);
    return NULL;
}

static void *serve_large(void *client)
{
    char *buffer = malloc(LARGE);
    if (buffer) echo((int)(intptr_t)client, buffer, LARGE);
    free(buffer);
    return NULL;
}

int main(int argc, char **argv)
{
    bool small = argc < 2 || strcmp(argv[1], "echo") == 0;
    sink = argc > 1 && strcmp(argv[1], "sink") == 0;
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    for (;;) {
        pthread_t thread;
        int client = accept4(LISTENER, NULL, NULL, SOCK_CLOEXEC);
        if (client < 0) continue;
        void *argument = (void *)(intptr_t)client;
        if (pthread_create(&thread, &detached, small ? serve_small : serve_large, argument) != 0)
            close(client);
    }
}
