/* SPDX-License-Identifier: MIT */
/* liburing where there is none, as qemu-user knows no io_uring either: every ring is denied. */
#include <errno.h>
#include <liburing.h>

int io_uring_queue_init_params(
    unsigned entries, struct io_uring *ring, struct io_uring_params *params)
{
    (void)entries, (void)ring, (void)params;
    return -ENOSYS;
}

void io_uring_queue_exit(struct io_uring *ring) { (void)ring; }

int io_uring_ring_dontfork(struct io_uring *ring)
{
    (void)ring;
    return -ENOSYS;
}

int io_uring_register_ring_fd(struct io_uring *ring)
{
    (void)ring;
    return -ENOSYS;
}

int io_uring_submit_and_get_events(struct io_uring *ring)
{
    (void)ring;
    return -ENOSYS;
}

int io_uring_submit_and_wait_timeout(struct io_uring *ring, struct io_uring_cqe **cqe,
    unsigned count, struct __kernel_timespec *timeout, sigset_t *mask)
{
    (void)ring, (void)cqe, (void)count, (void)timeout, (void)mask;
    return -ENOSYS;
}
