/* SPDX-License-Identifier: MIT */
/*
 * news_server [PORT]: each line of standard input goes to everybody who is connected, to each at
 * their own pace. Who falls behind by more than their queue holds misses news, and holds up
 * nobody. Readers are tasks on every core, so what they share with the thread that reads the
 * input is made with .outside.
 */
#include <pier.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { READERS = 100, BEHIND = 1000, LINE = 200 };

static pier_lock door = {.outside = true};
static pier_queue *readers[READERS];
static int count, server;
static bool closed; /* there is no more news */

static void change_readers(pier_queue *joins, const pier_queue *leaves)
{
    pier_lock_acquire(&door, PIER_NEVER);
    if (joins && closed) pier_queue_shutdown(joins, /* immediate= */ false);
    if (joins) readers[count++] = joins;
    for (int i = 0; i < count; i++)
        if (readers[i] == leaves) readers[i] = readers[--count];
    pier_lock_release(&door);
}

static void serve_reader(int client, void *unused)
{
    (void)unused;
    char line[LINE];
    pier_queue news;
    pier_queue_opts opts = {.item_size = LINE, .capacity = BEHIND, .outside = true};
    if (pier_queue_init(&news, &opts) < 0) return;
    change_readers(&news, NULL);
    pier_waitable any[] = {
        {PIER_WAIT_READABLE, .socket = client}, /* readers say nothing: it is the end */
        {PIER_WAIT_GET, .queue = &news},
    };
    while (pier_wait_any(any, 2, PIER_NEVER) > 0 && !any[0].ready) {
        if (pier_queue_get_nowait(&news, line) < 0) break; /* shut down, and empty */
        if (pier_sendall(client, line, strlen(line), 0) < 0) break;
    }
    change_readers(NULL, &news);
    pier_queue_done(&news);
}

static void *read_input(void *unused)
{
    char line[LINE];
    for (bool more = true; more;) {
        more = fgets(line, LINE, stdin);
        pier_lock_acquire(&door, PIER_NEVER);
        closed = !more;
        for (int i = 0; i < count; i++)
            if (more)
                pier_queue_put_nowait(readers[i], line); /* -EAGAIN: this one misses it */
            else
                pier_queue_shutdown(readers[i], /* immediate= */ false);
        pier_lock_release(&door);
    }
    pier_stop(server, 10); /* what is still queued is sent */
    return unused;
}

int main(int argc, char **argv)
{
    char address[64];
    snprintf(address, sizeof address, ":%s", argc > 1 ? argv[1] : "12345");
    setvbuf(stdout, NULL, _IOLBF, 0); /* each line at once, into a pipe too */

    server = pier_create_server(address, NULL);
    pier_addr here;
    if (pier_getsockname(server, &here) == 0)
        printf("news is read on %s\n", pier_addr_text(here).text);
    pthread_t input;
    if (server < 0 || pthread_create(&input, NULL, read_input, NULL) != 0 ||
        pier_serve(server, serve_reader, NULL, &(pier_serve_opts){.max_clients = READERS}) < 0)
        return fprintf(stderr, "%s\n", pier_error()), 1;
    pthread_join(input, NULL);
    return pier_close(server) < 0;
}
