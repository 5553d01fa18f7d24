/* SPDX-License-Identifier: MIT */
/*
 * uring_multishot echo|large|sink: io_uring by hand with all that it offers servers. One accept and
 * one receive per connection go on for ever; the kernel takes the buffers from a ring, and what
 * came is sent from where it lies. A connection sends one buffer at a time, in their order.
 */
#include <errno.h>
#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LISTENER = 0, ENTRIES = 4096, BUFFERS = 512, SMALL = 1024, LARGE = 64 * 1024, NONE = -1 };

struct connection {
    int fd;
    bool receiving;
    int first, last; /* buffers to send */
};

/* A CQE's data is the connection, and in its lowest bit what has ended. */
enum { RECEIVED = 0, SENT = 1 };

static struct io_uring ring;
static struct io_uring_buf_ring *offered;
static struct {
    unsigned from, to;
    int next;
} held[BUFFERS];
static char *memory;
static size_t size;
static bool sink;

static struct io_uring_sqe *next_sqe(const struct connection *c, unsigned what)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    if (!sqe) {
        io_uring_submit(&ring);
        sqe = io_uring_get_sqe(&ring);
    }
    sqe->user_data = (uint64_t)(uintptr_t)c | what;
    return sqe;
}

static void offer(int buffer)
{
    io_uring_buf_ring_add(offered, memory + (size_t)buffer * size, (unsigned)size,
        (unsigned short)buffer, io_uring_buf_ring_mask(BUFFERS), 0);
    io_uring_buf_ring_advance(offered, 1);
}

static bool make_buffers(void)
{
    memory = malloc(BUFFERS * size);
    offered = mmap(NULL, BUFFERS * sizeof(struct io_uring_buf), PROT_READ | PROT_WRITE,
        MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    if (!memory || offered == MAP_FAILED) return false;
    struct io_uring_buf_reg reg = {
        .ring_addr = (uint64_t)(uintptr_t)offered, .ring_entries = BUFFERS, .bgid = 0};
    if (io_uring_register_buf_ring(&ring, &reg, 0) < 0) return false;
    io_uring_buf_ring_init(offered);
    for (int i = 0; i < BUFFERS; i++)
        offer(i);
    return true;
}

static void start_accept(void)
{
    io_uring_prep_multishot_accept(next_sqe(NULL, 0), LISTENER, NULL, NULL, SOCK_CLOEXEC);
}

static void start_recv(struct connection *c)
{
    struct io_uring_sqe *sqe = next_sqe(c, RECEIVED);
    io_uring_prep_recv_multishot(sqe, c->fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = 0;
    c->receiving = true;
}

static void start_send(struct connection *c)
{
    int b = c->first;
    io_uring_prep_send(next_sqe(c, SENT), c->fd, memory + (size_t)b * size + held[b].from,
        held[b].to - held[b].from, MSG_NOSIGNAL | MSG_WAITALL);
}

static void on_accepted(const struct io_uring_cqe *cqe)
{
    if (!(cqe->flags & IORING_CQE_F_MORE)) start_accept();
    if (cqe->res < 0) return;
    struct connection *c = malloc(sizeof *c);
    if (!c) abort();
    *c = (struct connection){.fd = cqe->res, .first = NONE};
    start_recv(c);
}

static void drop_if_idle(struct connection *c)
{
    if (c->receiving || c->first != NONE) return;
    close(c->fd);
    free(c);
}

static void queue(struct connection *c, int buffer, unsigned length)
{
    held[buffer].from = 0;
    held[buffer].to = length;
    held[buffer].next = NONE;
    if (c->first == NONE) {
        c->first = c->last = buffer;
        start_send(c);
    } else {
        held[c->last].next = buffer;
        c->last = buffer;
    }
}

static void on_received(struct connection *c, const struct io_uring_cqe *cqe)
{
    if (!(cqe->flags & IORING_CQE_F_MORE)) c->receiving = false;
    if (cqe->flags & IORING_CQE_F_BUFFER) {
        int buffer = (int)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
        if (sink || cqe->res <= 0) {
            offer(buffer);
        } else {
            queue(c, buffer, (unsigned)cqe->res);
        }
    }
    if (c->receiving) return;
    if (cqe->res > 0 || cqe->res == -ENOBUFS) {
        start_recv(c);
    } else {
        drop_if_idle(c);
    }
}

static void on_sent(struct connection *c, int sent)
{
    int buffer = c->first;
    if (sent > 0) held[buffer].from += (unsigned)sent;
    if (sent > 0 && held[buffer].from < held[buffer].to) {
        start_send(c);
        return;
    }
    c->first = held[buffer].next;
    offer(buffer);
    if (c->first != NONE) {
        start_send(c);
    } else {
        drop_if_idle(c);
    }
}

static void on_done(const struct io_uring_cqe *cqe)
{
    struct connection *c = (struct connection *)(uintptr_t)(cqe->user_data & ~(uint64_t)SENT);
    if (!c) {
        on_accepted(cqe);
    } else if (cqe->user_data & SENT) {
        on_sent(c, cqe->res);
    } else {
        on_received(c, cqe);
    }
}

int main(int argc, char **argv)
{
    sink = argc > 1 && strcmp(argv[1], "sink") == 0;
    size = argc < 2 || strcmp(argv[1], "echo") == 0 ? SMALL : LARGE;
    if (io_uring_queue_init(
            ENTRIES, &ring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN) < 0)
        return 1;
    if (!make_buffers()) return 1;
    start_accept();
    for (;;) {
        io_uring_submit_and_wait(&ring, 1);
        struct io_uring_cqe *cqe;
        unsigned head, count = 0;
        io_uring_for_each_cqe(&ring, head, cqe)
        {
            count++;
            on_done(cqe);
        }
        io_uring_cq_advance(&ring, count);
    }
}
