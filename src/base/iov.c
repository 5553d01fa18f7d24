/* SPDX-License-Identifier: MIT */
#include "base/iov.h"

#include <errno.h>
#include <limits.h>

int64_t pier__iov_length(const struct iovec *iov, size_t count)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        if (iov[i].iov_len > SSIZE_MAX - total) return -EINVAL;
        total += iov[i].iov_len;
    }
    return (int64_t)total;
}

size_t pier__iov_skip(struct iovec *iov, size_t count, size_t bytes)
{
    size_t i = 0;
    while (i < count && iov[i].iov_len <= bytes)
        bytes -= iov[i++].iov_len;
    if (i < count && bytes > 0) {
        iov[i].iov_base = (char *)iov[i].iov_base + bytes;
        iov[i].iov_len -= bytes;
    }
    return i;
}

size_t pier__iov_cap(struct iovec *iov, size_t count, size_t bytes)
{
    for (size_t i = 0; i < count; i++) {
        if (iov[i].iov_len >= bytes) {
            iov[i].iov_len = bytes;
            return bytes > 0 ? i + 1 : i;
        }
        bytes -= iov[i].iov_len;
    }
    return count;
}
