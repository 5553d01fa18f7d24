/* SPDX-License-Identifier: MIT */
/*
 * chat_server [PORT]: what one says, all others read. Nobody waits for a slow reader: a line is
 * sent without waiting, the kernel's send buffer is the queue, and a member whose queue is full
 * is shown the door.
 */
#include <pier.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { ROOM = 100 };
static pthread_mutex_t door = PTHREAD_MUTEX_INITIALIZER;
static int members[ROOM], count;

static void come(int client)
{
    pthread_mutex_lock(&door);
    members[count++] = client;
    pthread_mutex_unlock(&door);
}

static void leave(int client)
{
    pthread_mutex_lock(&door);
    int i = 0;
    while (members[i] != client)
        i++;
    members[i] = members[--count];
    pthread_mutex_unlock(&door);
}

static void tell_others(int speaker, const char *line, size_t length)
{
    pthread_mutex_lock(&door);
    for (int i = 0; i < count; i++) {
        if (members[i] == speaker) continue;
        ssize_t sent = pier_send(members[i], line, length, MSG_DONTWAIT);
        if (sent != (ssize_t)length) pier_shutdown(members[i], SHUT_RDWR); /* wakes its chat() */
    }
    pthread_mutex_unlock(&door);
}

static void chat(int client, void *unused)
{
    (void)unused;
    pier_addr peer;
    pier_getpeername(client, &peer);
    pier_text name = pier_addr_text(pier_addr_unmap(peer));
    come(client);
    printf("%s came\n", name.text);
    char words[1024], line[sizeof name + sizeof words];
    while (pier_recv_line(client, words, sizeof words) > 0) {
        words[strcspn(words, "\r\n")] = '\0';
        int length = snprintf(line, sizeof line, "%s: %s\n", name.text, words);
        tell_others(client, line, (size_t)length);
    }
    leave(client);
    printf("%s left\n", name.text);
}

int main(int argc, char **argv)
{
    char address[64];
    snprintf(address, sizeof address, ":%s", argc > 1 ? argv[1] : "12345");
    setvbuf(stdout, NULL, _IOLBF, 0); /* each line at once, into a pipe too */

    int server = pier_create_server(address, NULL);
    pier_addr here;
    if (pier_getsockname(server, &here) == 0)
        printf("chat is open on %s\n", pier_addr_text(here).text);
    if (pier_serve(server, chat, NULL, &(pier_serve_opts){.max_clients = ROOM}) < 0)
        return fprintf(stderr, "%s\n", pier_error()), 1;
    return 0;
}
