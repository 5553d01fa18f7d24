/* SPDX-License-Identifier: MIT */
/* Reading by shape: exact lengths, up to a delimiter, everything. */
#include "net/frame.h"

#include "base/trace.h"
#include "net/peek.h"
#include "sock/buffer.h"
#include "sock/io.h"
#include "sock/socket.h"

#include <pier/error.h>
#include <pier/net.h>

#include <errno.h>

/*
 * From here on an exact read goes past the read buffer: the copy would cost more than the calls
 * that are saved.
 */
#define LARGE 2048

/* One of the calls below, under way. */
struct frame {
    const char *verb;
    int64_t (*read)(struct frame *frame);
    char *buf;
    size_t size;
    const void *delimiter;
    size_t delimiter_length;
    struct pier__use use;
    int64_t timeout;
    pier_time limit;
    size_t moved; /* what is in buf, and stays there on a failure */
};

int64_t pier__fill(const struct pier__use *use, int64_t timeout, pier_time limit)
{
    size_t room;
    void *into = pier__buffer_reserve(use->entry, &room);
    if (!into) return -ENOMEM;
    int64_t n = pier__recv_some(use, into, room, 0, timeout, limit);
    pier__buffer_commit(use->entry, n > 0 ? (size_t)n : 0);
    return n;
}

/*
 * The next part of at most `rest` bytes into buf: how many, 0 at the end of the stream, or a code.
 */
static int64_t read_part(struct frame *frame, size_t rest)
{
    struct pier__entry *entry = frame->use.entry;
    char *into = frame->buf + frame->moved;
    for (;;) {
        ssize_t n = entry ? pier__buffer_drain(entry, into, rest, 0) : 0;
        if (n > 0) return n;
        if (rest >= LARGE || !pier__reads_ahead(entry))
            return pier__recv_some(&frame->use, into, rest, 0, frame->timeout, frame->limit);
        int64_t came = pier__fill(&frame->use, frame->timeout, frame->limit);
        if (came <= 0) return came;
    }
}

static int64_t read_exactly(struct frame *frame)
{
    while (frame->moved < frame->size) {
        int64_t n = read_part(frame, frame->size - frame->moved);
        if (n == 0) return frame->moved ? PIER_EINCOMPLETE : 0;
        if (n < 0) return n;
        frame->moved += (size_t)n;
    }
    return (int64_t)frame->size;
}

/* 0 at the end of the stream, -EMSGSIZE if there is more, or a code. */
static int64_t expect_end(struct frame *frame)
{
    char next;
    if (frame->use.entry && pier__buffer_pending(frame->use.entry)) return -EMSGSIZE;
    int64_t n =
        pier__recv_some(&frame->use, &next, sizeof next, MSG_PEEK, frame->timeout, frame->limit);
    return n > 0 ? -EMSGSIZE : n;
}

static int64_t read_all(struct frame *frame)
{
    while (frame->moved < frame->size) {
        int64_t n = read_part(frame, frame->size - frame->moved);
        if (n < 0) return n;
        if (n == 0) return (int64_t)frame->moved;
        frame->moved += (size_t)n;
    }
    int64_t err = expect_end(frame);
    return err < 0 ? err : (int64_t)frame->size;
}

static int64_t read_until(struct frame *frame)
{
    struct pier__entry *entry = frame->use.entry;
    struct pier__search search = {.delimiter = frame->delimiter,
        .length = frame->delimiter_length,
        .limit = frame->size < PIER_LINE_MAX ? frame->size : PIER_LINE_MAX};
    if (!entry) return -EBADF; /* no place for what comes after the delimiter */
    if (!pier__reads_ahead(entry))
        return pier__peek_until(&frame->use, &search, frame->buf, frame->timeout, frame->limit);
    for (;;) {
        ssize_t found = pier__buffer_take(entry, &search, frame->buf);
        if (found != 0) return found;
        int64_t came = pier__fill(&frame->use, frame->timeout, frame->limit);
        if (came == 0) return pier__buffer_drain(entry, frame->buf, search.limit, 0);
        if (came < 0) return came;
    }
}

static int64_t read_in_turn(struct frame *frame)
{
    struct pier__entry *entry = frame->use.entry;
    int err = pier__check_stream(&frame->use); /* each message is a record already */
    if (err < 0) return err;
    frame->limit = pier__conversation_limit(entry, &frame->timeout);
    err = pier__begin_buffered(frame->timeout, frame->limit);
    if (err < 0) return err;
    if (!entry) return frame->read(frame);
    err = pier__turn_take(&entry->reading, &entry->life, frame->timeout, frame->limit);
    if (err < 0) return err;
    int64_t n = frame->read(frame);
    pier__turn_give(&entry->reading);
    return n;
}

static void record(const struct frame *frame, int64_t code)
{
    int s = frame->use.fd;
    if (frame->read == read_until) /* it has no count to tell */
        pier__sock_failed(frame->verb, s, &frame->use, NULL, code);
    else
        pier__sock_failed_after(frame->moved, frame->verb, s, &frame->use, NULL, code);
}

static ssize_t perform(int s, struct frame *frame)
{
    int64_t n = pier__enter(&frame->use, s, PIER__WAITER);
    if (n < 0) return n == s ? n : pier__sock_failed(frame->verb, s, NULL, NULL, n);
    n = pier__check_buffer(frame->buf, frame->size);
    if (n == 0) n = pier__check_buffer(frame->delimiter, frame->delimiter_length);
    if (n == 0 && frame->read == read_until && frame->delimiter_length == 0) n = -EINVAL;
    if (n == 0) n = read_in_turn(frame);
    if (n < 0) record(frame, n);
    pier__leave(&frame->use);
    return n;
}

ssize_t pier_recv_exactly(int s, void *buf, size_t len)
{
    pier_time began = pier__trace_begin();
    struct frame frame = {
        .verb = "receive exactly on", .read = read_exactly, .buf = buf, .size = len};
    ssize_t n = perform(s, &frame);
    if (PIER_UNLIKELY(began))
        pier__trace_end(
            began, s, n, "recv_exactly(%d, %s, %zu)", s, pier__trace_bytes(buf, n), len);
    return n;
}

ssize_t pier_recv_until(
    int s, void *buf, size_t size, const void *delimiter, size_t delimiter_length)
{
    pier_time began = pier__trace_begin();
    struct frame frame = {.verb = "receive a record on",
        .read = read_until,
        .buf = buf,
        .size = size,
        .delimiter = delimiter,
        .delimiter_length = delimiter_length};
    ssize_t n = perform(s, &frame);
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, s, n, "recv_until(%d, %s, %zu)", s, pier__trace_bytes(buf, n), size);
    return n;
}

ssize_t pier_recv_line(int s, char *buf, size_t size)
{
    pier_time began = pier__trace_begin();
    struct frame frame = {.verb = "receive a line on",
        .read = read_until,
        .buf = buf,
        .size = size ? size - 1 : SIZE_MAX, /* which is refused: there is no room for the NUL */
        .delimiter = "\n",
        .delimiter_length = 1};
    ssize_t n = perform(s, &frame);
    if (buf && size > 0) buf[n > 0 ? n : 0] = '\0';
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, s, n, "recv_line(%d, %s, %zu)", s, pier__trace_bytes(buf, n), size);
    return n;
}

ssize_t pier_recvall(int s, void *buf, size_t size)
{
    pier_time began = pier__trace_begin();
    struct frame frame = {.verb = "receive all on", .read = read_all, .buf = buf, .size = size};
    ssize_t n = perform(s, &frame);
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, s, n, "recvall(%d, %s, %zu)", s, pier__trace_bytes(buf, n), size);
    return n;
}
