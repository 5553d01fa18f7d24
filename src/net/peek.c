/* SPDX-License-Identifier: MIT */
#include "net/peek.h"

#include "base/seam.h"
#include "sock/io.h"

#include <errno.h>

/* Move up to n bytes, which are there, from the kernel to the buffer. */
static int64_t move_to_buffer(const struct pier__use *use, size_t n)
{
    size_t room;
    void *into = pier__buffer_reserve(use->entry, &room);
    if (!into) return -ENOMEM;
    int64_t came = pier__recv_some(use, into, n < room ? n : room, MSG_DONTWAIT, 0, PIER_NEVER);
    pier__buffer_commit(use->entry, came > 0 ? (size_t)came : 0);
    return came;
}

/*
 * Bytes that hold no delimiter belong to the record, so they are taken from the kernel before
 * more are waited for. Else a sender whose socket is full would wait for us, and we for it.
 */
int64_t pier__peek_until(const struct pier__use *use, struct pier__search *search, char *buf,
    int64_t timeout, pier_time limit)
{
    for (;;) {
        ssize_t found = pier__buffer_take(use->entry, search, buf);
        if (found != 0) return found;
        size_t have = (size_t)pier__buffer_drain(use->entry, buf, search->limit, MSG_PEEK);
        int64_t n =
            pier__recv_some(use, buf + have, search->limit - have, MSG_PEEK, timeout, limit);
        if (n == 0) return pier__buffer_drain(use->entry, buf, have, 0);
        if (n < 0) return n;
        size_t from = have < search->length ? 0 : have - (search->length - 1);
        size_t record = pier__find(buf, have + (size_t)n, from, search);
        if (record == 0 && have + (size_t)n == search->limit) return -EMSGSIZE;
        n = move_to_buffer(use, record ? record - have : (size_t)n);
        if (n < 0 && (n != -EAGAIN || timeout == 0))
            return n; /* EAGAIN: another thread took them */
    }
}

/*
 * Look at up to `room` bytes; the kernel says whether it would have had to hand over descriptors,
 * too.
 */
static int64_t look(const struct pier__use *use, void *into, size_t room, int64_t timeout,
    pier_time limit, bool *out_carries)
{
    if (pier__special(use->entry) & PIER__HAS_FAILED_BIND)
        return atomic_load(&use->entry->failed_bind);
    struct iovec iov = {.iov_base = into, .iov_len = room};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    struct pier__op op = {.code = PIER_OP_RECVMSG,
        .fd = use->fd,
        .flags = MSG_PEEK,
        .life = &use->entry->life,
        .timeout = timeout,
        .deadline = limit,
        .with.msg_in = &msg};
    int64_t n = pier__await(&op);
    *out_carries = n > 0 && msg.msg_flags & MSG_CTRUNC;
    return pier__remembered(use->entry, n);
}

int64_t pier__peek_fill(
    const struct pier__use *use, int64_t timeout, pier_time limit, bool *out_carries)
{
    size_t room;
    void *into = pier__buffer_reserve(use->entry, &room);
    *out_carries = false;
    if (!into) return -ENOMEM;
    int64_t n = look(use, into, room, timeout, limit, out_carries);
    pier__buffer_commit(use->entry, 0);
    if (n <= 0) return n;
    return *out_carries ? 0 : move_to_buffer(use, (size_t)n);
}
