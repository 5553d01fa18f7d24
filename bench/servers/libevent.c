/* SPDX-License-Identifier: MIT */
/* libevent echo|large|sink: a bufferevent per client. */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <stdlib.h>
#include <string.h>

enum { LISTENER = 0, BACKLOG = 4096 };

static void echo(struct bufferevent *client, void *unused)
{
    (void)unused;
    bufferevent_write_buffer(client, bufferevent_get_input(client));
}

static void discard(struct bufferevent *client, void *unused)
{
    (void)unused;
    struct evbuffer *input = bufferevent_get_input(client);
    evbuffer_drain(input, evbuffer_get_length(input));
}

static void on_end(struct bufferevent *client, short what, void *unused)
{
    (void)unused;
    if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) bufferevent_free(client);
}

static void on_connection(
    struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *peer, int len, void *read)
{
    (void)peer, (void)len;
    struct event_base *base = evconnlistener_get_base(listener);
    struct bufferevent *client = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
    if (!client) abort();
    bufferevent_setcb(client, *(bufferevent_data_cb *)read, NULL, on_end, NULL);
    bufferevent_enable(client, EV_READ | EV_WRITE);
}

int main(int argc, char **argv)
{
    bufferevent_data_cb read = argc > 1 && strcmp(argv[1], "sink") == 0 ? discard : echo;
    struct event_base *base = event_base_new();
    evutil_make_socket_nonblocking(LISTENER);
    if (!base || !evconnlistener_new(base, on_connection, &read, 0, BACKLOG, LISTENER)) return 1;
    return event_base_dispatch(base);
}
