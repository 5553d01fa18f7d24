/* SPDX-License-Identifier: MIT */
/*
 * libuv echo|large|sink: reads into one buffer and tries to write at once; only what is left over
 * is copied and queued.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { LISTENER = 0, BACKLOG = 4096, BUFFER = 64 * 1024 };

static bool sink;
static char buffer[BUFFER];

struct late_write {
    uv_write_t request;
    char data[];
};

static void on_closed(uv_handle_t *client) { free(client); }

static void drop(uv_stream_t *client)
{
    if (!uv_is_closing((uv_handle_t *)client)) uv_close((uv_handle_t *)client, on_closed);
}

static void on_allocate(uv_handle_t *client, size_t suggested, uv_buf_t *buf)
{
    (void)client, (void)suggested;
    *buf = uv_buf_init(buffer, sizeof buffer);
}

static void on_written(uv_write_t *request, int status)
{
    if (status < 0) drop(request->handle);
    free(request);
}

static void on_read(uv_stream_t *client, ssize_t got, const uv_buf_t *buf)
{
    if (got < 0) drop(client);
    if (got <= 0 || sink) return;
    uv_buf_t reply = uv_buf_init(buf->base, (unsigned)got);
    int sent = uv_try_write(client, &reply, 1);
    if (sent == got) return;
    size_t done = sent > 0 ? (size_t)sent : 0, rest = (size_t)got - done;
    struct late_write *late = malloc(sizeof *late + rest);
    if (!late) abort();
    memcpy(late->data, buf->base + done, rest);
    reply = uv_buf_init(late->data, (unsigned)rest);
    if (uv_write(&late->request, client, &reply, 1, on_written) < 0) {
        free(late);
        drop(client);
    }
}

static void on_connection(uv_stream_t *server, int status)
{
    uv_tcp_t *client = malloc(sizeof *client);
    if (status < 0 || !client) abort();
    uv_tcp_init(server->loop, client);
    uv_stream_t *stream = (uv_stream_t *)client;
    if (uv_accept(server, stream) < 0 || uv_read_start(stream, on_allocate, on_read) < 0)
        drop(stream);
}

int main(int argc, char **argv)
{
    sink = argc > 1 && strcmp(argv[1], "sink") == 0;
    uv_tcp_t server;
    uv_tcp_init(uv_default_loop(), &server);
    uv_tcp_open(&server, LISTENER);
    if (uv_listen((uv_stream_t *)&server, BACKLOG, on_connection) < 0) return 1;
    return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
