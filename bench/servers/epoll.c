/* SPDX-License-Identifier: MIT */
/*
 * epoll echo|large|sink: level-triggered epoll by hand. One buffer serves everyone; a connection
 * gets memory of its own only while its peer does not read.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LISTENER = 0, EVENTS = 256, BUFFER = 64 * 1024 };

struct connection {
    int fd;
    char *unsent;
    size_t length;
};

static int epoll;
static bool sink;
static char buffer[BUFFER];

static void watch(struct connection *c, uint32_t events, int how)
{
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(epoll, how, c->fd, &event) < 0) abort();
}

static void drop(struct connection *c)
{
    close(c->fd);
    free(c->unsent);
    free(c);
}

static void accept_one(void)
{
    int fd = accept4(LISTENER, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    struct connection *c = calloc(1, sizeof *c);
    if (!c) abort();
    c->fd = fd;
    watch(c, EPOLLIN, EPOLL_CTL_ADD);
}

static void keep_for_later(struct connection *c, const char *rest, size_t length)
{
    c->unsent = malloc(length);
    if (!c->unsent) abort();
    memcpy(c->unsent, rest, length);
    c->length = length;
    watch(c, EPOLLOUT, EPOLL_CTL_MOD);
}

static void on_readable(struct connection *c)
{
    ssize_t got = recv(c->fd, buffer, sizeof buffer, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        drop(c);
        return;
    }
    if (sink) return;
    ssize_t sent = send(c->fd, buffer, (size_t)got, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) {
        drop(c);
        return;
    }
    if (sent < 0) sent = 0;
    if (sent < got) keep_for_later(c, buffer + sent, (size_t)(got - sent));
}

static void on_writable(struct connection *c)
{
    ssize_t sent = send(c->fd, c->unsent, c->length, MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) return;
    if (sent < 0) {
        drop(c);
        return;
    }
    c->length -= (size_t)sent;
    memmove(c->unsent, c->unsent + sent, c->length);
    if (c->length > 0) return;
    free(c->unsent);
    c->unsent = NULL;
    watch(c, EPOLLIN, EPOLL_CTL_MOD);
}

int main(int argc, char **argv)
{
    sink = argc > 1 && strcmp(argv[1], "sink") == 0;
    epoll = epoll_create1(EPOLL_CLOEXEC);
    struct connection listener = {.fd = LISTENER};
    watch(&listener, EPOLLIN, EPOLL_CTL_ADD);
    for (;;) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            if (c == &listener) {
                accept_one();
            } else if (c->unsent) {
                on_writable(c);
            } else {
                on_readable(c);
            }
        }
    }
}
