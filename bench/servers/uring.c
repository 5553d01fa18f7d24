/* SPDX-License-Identifier: MIT */
/*
 * uring echo|large|sink: io_uring by hand, one operation at a time per connection and a buffer for
 * each. A receive that is not known to find something waits first.
 */
#include <liburing.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LISTENER = 0, ENTRIES = 4096, SMALL = 1024, LARGE = 64 * 1024 };

struct connection {
    int fd;
    bool more; /* the socket held more than the last receive took */
    unsigned got, sent;
    char buffer[];
};

static struct io_uring ring;
static bool sink;
static size_t size;
static struct connection listener = {.fd = LISTENER};

static struct io_uring_sqe *next_sqe(struct connection *c)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    if (!sqe) {
        io_uring_submit(&ring);
        sqe = io_uring_get_sqe(&ring);
    }
    io_uring_sqe_set_data(sqe, c); /* which the prep functions of liburing 2.3 leave alone */
    return sqe;
}

static void start_accept(void)
{
    io_uring_prep_accept(next_sqe(&listener), LISTENER, NULL, NULL, SOCK_CLOEXEC);
}

static void start_recv(struct connection *c)
{
    struct io_uring_sqe *sqe = next_sqe(c);
    c->got = c->sent = 0;
    io_uring_prep_recv(sqe, c->fd, c->buffer, size, 0);
    if (!c->more) sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
}

static void start_send(struct connection *c)
{
    io_uring_prep_send(
        next_sqe(c), c->fd, c->buffer + c->sent, c->got - c->sent, MSG_NOSIGNAL | MSG_WAITALL);
}

static void on_accepted(int fd)
{
    start_accept();
    if (fd < 0) return;
    struct connection *c = malloc(sizeof *c + size);
    if (!c) abort();
    *c = (struct connection){.fd = fd, .more = true};
    start_recv(c);
}

static void on_done(struct connection *c, const struct io_uring_cqe *cqe)
{
    if (cqe->res <= 0) {
        close(c->fd);
        free(c);
    } else if (c->got == 0 && sink) {
        c->more = cqe->flags & IORING_CQE_F_SOCK_NONEMPTY;
        start_recv(c);
    } else if (c->got == 0) {
        c->more = cqe->flags & IORING_CQE_F_SOCK_NONEMPTY;
        c->got = (unsigned)cqe->res;
        start_send(c);
    } else {
        c->sent += (unsigned)cqe->res;
        if (c->sent < c->got) {
            start_send(c);
        } else {
            start_recv(c);
        }
    }
}

int main(int argc, char **argv)
{
    sink = argc > 1 && strcmp(argv[1], "sink") == 0;
    size = argc < 2 || strcmp(argv[1], "echo") == 0 ? SMALL : LARGE;
    if (io_uring_queue_init(
            ENTRIES, &ring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN) < 0)
        return 1;
    start_accept();
    for (;;) {
        io_uring_submit_and_wait(&ring, 1);
        struct io_uring_cqe *cqe;
        unsigned head, count = 0;
        io_uring_for_each_cqe(&ring, head, cqe)
        {
            struct connection *c = io_uring_cqe_get_data(cqe);
            count++;
            if (c == &listener) {
                on_accepted(cqe->res);
            } else {
                on_done(c, cqe);
            }
        }
        io_uring_cq_advance(&ring, count);
    }
}
