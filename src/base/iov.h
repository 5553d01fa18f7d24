/* SPDX-License-Identifier: MIT */
#ifndef PIER_BASE_IOV_H
#define PIER_BASE_IOV_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* Walking and trimming lists of buffers when only a part of their bytes has moved. */

#define PIER__MOST   0x7ffff000 /* bytes that the kernel moves in one call, whatever it is asked */
#define PIER__IOVECS 1024       /* buffers that it takes in one call (UIO_MAXIOV) */

/* How many bytes there are in all; -EINVAL if that is more than SSIZE_MAX. */
int64_t pier__iov_length(const struct iovec *iov, size_t count);

/*
 * The first `bytes` have moved: trim what comes next, in place. Returns how many buffers are done
 * with, empty ones that follow included, so that the caller goes on at iov + n.
 */
size_t pier__iov_skip(struct iovec *iov, size_t count, size_t bytes);

/*
 * Shorten the list, in place, to at most `bytes`. Returns how many buffers are left; the last of
 * them may have been trimmed.
 */
size_t pier__iov_cap(struct iovec *iov, size_t count, size_t bytes);

#endif
