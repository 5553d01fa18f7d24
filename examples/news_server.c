/* SPDX-License-Identifier: MIT */
/*
 * news_server [PORT]: each line of standard input goes to everybody who is connected, to each at
 * their own pace. Everyone has a queue; who falls behind by more than it holds misses news, and
 * holds up nobody. At the end of the input what is still queued is sent.
 *
 * The readers are served in tasks on every core, so what they share with the thread that reads
 * the input is made with .outside.
 */
#include <pier.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { READERS = 100, BEHIND = 1000 };

struct news {
    char line[200];
};

static pier_lock door = {.outside = true};
static pier_queue *readers[READERS];
static int count;
static bool closed;

/* False: there is no more news. */
static bool come(pier_queue *queue)
{
    pier_lock_acquire(&door, PIER_NEVER);
    bool open = !closed;
    if (open) readers[count++] = queue;
    pier_lock_release(&door);
    return open;
}

static void leave(const pier_queue *queue)
{
    pier_lock_acquire(&door, PIER_NEVER);
    for (int i = 0; i < count; i++) {
        if (readers[i] == queue) readers[i] = readers[--count];
    }
    pier_lock_release(&door);
}

static void read_on(int client, pier_queue *queue)
{
    struct news news;
    pier_waitable any[] = {
        {PIER_WAIT_READABLE, .socket = client}, /* readers say nothing: it is the end */
        {PIER_WAIT_GET, .queue = queue},
    };
    while (pier_wait_any(any, 2, PIER_NEVER) > 0 && !any[0].ready) {
        if (pier_queue_get_nowait(queue, &news) < 0) return; /* shut down, and empty */
        if (pier_sendall(client, news.line, strlen(news.line), 0) < 0) return;
    }
}

static void serve_reader(int client, void *unused)
{
    (void)unused;
    pier_queue queue;
    pier_queue_opts opts = {.item_size = sizeof(struct news), .capacity = BEHIND, .outside = true};
    if (pier_queue_init(&queue, &opts) < 0) return;
    if (come(&queue)) read_on(client, &queue);
    leave(&queue);
    pier_queue_done(&queue);
}

static void *read_input(void *server)
{
    struct news news;
    while (fgets(news.line, sizeof news.line, stdin)) {
        pier_lock_acquire(&door, PIER_NEVER);
        for (int i = 0; i < count; i++)
            pier_queue_put_nowait(readers[i], &news); /* -EAGAIN: this one misses it */
        pier_lock_release(&door);
    }
    pier_lock_acquire(&door, PIER_NEVER);
    closed = true;
    for (int i = 0; i < count; i++)
        pier_queue_shutdown(readers[i], /* immediate= */ false);
    pier_lock_release(&door);
    pier_stop(*(int *)server, 10);
    return NULL;
}

int main(int argc, char **argv)
{
    char address[64];
    snprintf(address, sizeof address, ":%s", argc > 1 ? argv[1] : "12345");
    setvbuf(stdout, NULL, _IOLBF, 0); /* each line at once, into a pipe too */

    int server = pier_create_server(address, NULL);
    pier_addr here;
    if (pier_getsockname(server, &here) == 0)
        printf("news is read on %s\n", pier_addr_text(here).text);
    pthread_t input;
    if (server < 0 || pthread_create(&input, NULL, read_input, &server) != 0)
        return fprintf(stderr, "%s\n", pier_error()), 1;
    if (pier_serve(server, serve_reader, NULL, &(pier_serve_opts){.max_clients = READERS}) < 0)
        return fprintf(stderr, "%s\n", pier_error()), 1;
    pthread_join(input, NULL);
    pier_close(server);
    return 0;
}
