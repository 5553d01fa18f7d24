/* SPDX-License-Identifier: MIT */
#include "base/seam.h"
#include "base/time.h"
#include "base/trace.h"
#include "sock/buffer.h"
#include "sock/io.h"
#include "sock/limit.h"
#include "sock/socket.h"
#include "wait/thread.h"

#include <pier/socket.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>

/*
 * A file over a stream: by sendfile(2) as long as that works and can be stopped in time, else read
 * and sent.
 */

#define PART_MOST ((size_t)1 << 30)   /* of one sendfile(2), as in CPython */
#define READ_MOST ((size_t)64 * 1024) /* of one read(2) */
#define UNTIL_END SIZE_MAX

struct job {
    const struct pier__use *use;
    int file;
    off_t *offset; /* where in the file; NULL: at its own position */
    size_t left;   /* still to be sent, or UNTIL_END */
    size_t moved;
    int64_t timeout; /* of each part */
    pier_time deadline;
};

static struct pier__life *life_of(const struct job *job)
{
    return job->use->entry ? &job->use->entry->life : NULL;
}

static void count(struct job *job, size_t n)
{
    job->moved += n;
    if (job->left != UNTIL_END) job->left -= n;
}

/* Between two parts: shall there be another? 0 or a code. */
static int go_on(const struct job *job)
{
    struct pier__life *life = life_of(job);
    if (job->left == 0) return 0;
    int err = pier__thread_interrupted(life);
    if (err < 0) return err;
    return life && pier__life_closing(life) ? -ECANCELED : 0;
}

/*
 * Does this code of sendfile(2) only mean that it cannot do this? Reading gives the verdict then.
 */
static bool cannot(int64_t code)
{
    return code == -EINVAL || code == -ENOSYS || code == -EOPNOTSUPP || code == -EOVERFLOW ||
           code == -EPERM;
}

/*
 * By sendfile(2). Returns 1 when all is sent or the file has ended, 0 if the rest must be read, or
 * a code. That a file has nothing at all is not believed: many files of /proc say so and can be
 * read.
 */
static int send_directly(struct job *job)
{
    while (job->left > 0) {
        struct pier__op op = {.code = PIER_OP_SENDFILE,
            .fd = job->use->fd,
            .life = life_of(job),
            .timeout = job->timeout,
            .deadline = job->deadline,
            .with.file = {.fd = job->file,
                .offset = job->offset,
                .count = job->left < PART_MOST ? job->left : PART_MOST}};
        int64_t n = pier__remembered(job->use->entry, pier__await(&op));
        if (n == 0) return job->moved > 0;
        if (n < 0) return cannot(n) ? 0 : (int)n;
        count(job, (size_t)n);
        int err = go_on(job);
        if (err < 0) return err;
    }
    return 1;
}

/* Wait, under the limits of the socket, until a file that is a pipe or the like has something. */
static int await_file(const struct job *job)
{
    pier_time until = job->deadline;
    if (job->timeout != PIER_NEVER)
        until = pier__earlier(until, pier__point(pier__seam->now(), job->timeout));
    int64_t n;
    do {
        struct pollfd fds[2] = {{.fd = job->file, .events = POLLIN}};
        struct pier__op op = {.code = PIER_OP_POLL,
            .fd = job->use->fd,
            .life = life_of(job),
            .timeout = PIER_NEVER,
            .deadline = until,
            .with.poll = {.fds = fds, .count = 1}};
        n = pier__await(&op);
    } while (n == 0);
    return n < 0 ? (int)n : 0;
}

/*
 * What comes next in the file: at `*position`, or, where there is no such thing (-1), as it comes.
 */
static int64_t read_some(const struct job *job, off_t position, void *buf)
{
    size_t most = job->left < READ_MOST ? job->left : READ_MOST;
    for (;;) {
        int64_t n = position < 0 ? await_file(job) : 0;
        if (n < 0) return n;
        n = position < 0 ? pier__seam->read(job->file, buf, most)
                         : pier__seam->pread(job->file, buf, most, position);
        if (n >= 0 || (n != -EINTR && (n != -EAGAIN || position >= 0))) return n;
        int err = pier__thread_interrupted(life_of(job));
        if (err < 0) return err;
    }
}

/* Read and send until the end, moving `*position` on by what went. */
static int send_read(struct job *job, off_t *position, void *buf)
{
    while (job->left > 0) {
        int64_t n = read_some(job, *position, buf);
        if (n <= 0) return (int)n;
        size_t went;
        const struct pier__limits limits = {job->timeout, job->deadline};
        int err = pier__send_all(job->use, buf, (size_t)n, /* flags= */ 0, &limits, &went);
        count(job, went);
        if (*position >= 0) *position += (off_t)went;
        if (err == 0) err = go_on(job);
        if (err < 0) return err;
    }
    return 0;
}

static int send_by_reading(struct job *job)
{
    void *buf = pier__seam->allocate(NULL, READ_MOST);
    if (!buf) return -ENOMEM;
    off_t own = -1;
    if (!job->offset) own = pier__seam->lseek(job->file, 0, SEEK_CUR);
    size_t before = job->moved;
    int err = send_read(job, job->offset ? job->offset : &own, buf);
    if (own >= 0 && job->moved > before) {
        off_t at = pier__seam->lseek(job->file, own, SEEK_SET);
        if (at < 0 && err == 0) err = (int)at;
    }
    pier__seam->release(buf);
    return err;
}

/*
 * sendfile(2) knows no MSG_DONTWAIT: it can be left in time only if the description is O_NONBLOCK,
 * or if nothing but closing is to end it and shutdown(2) wakes it.
 */
static int may_send_directly(const struct job *job)
{
    const struct pier__op op = {.code = PIER_OP_SENDFILE,
        .life = life_of(job),
        .timeout = job->timeout,
        .deadline = job->deadline};
    if (pier__await_may_block(&op)) return 1;
    return pier__is_nonblock(job->use->entry, job->use->fd);
}

static int send_in_turn(struct job *job)
{
    struct pier__entry *entry = job->use->entry;
    int64_t timeout;
    pier_time limit = pier__conversation_limit(entry, &timeout);
    int err = entry ? pier__turn_take(&entry->sending, &entry->life, timeout, limit) : 0;
    if (err < 0) return err;
    err = may_send_directly(job);
    if (err > 0) err = send_directly(job);
    if (err == 0) err = send_by_reading(job);
    if (entry) pier__turn_give(&entry->sending);
    return err < 0 ? err : 0;
}

/* Bytes that pier read ahead from a socket that is to be the file would be left out. */
static bool has_buffered(int file)
{
    struct pier__entry *entry = pier__entry_at(file);
    return entry && pier__buffer_pending(entry) > 0;
}

static int send_file(struct job *job)
{
    struct pier__op limits = {0};
    pier__limit(&limits, job->use);
    job->timeout = limits.timeout;
    job->deadline = limits.deadline;
    int err = pier__check_stream(job->use);
    if (err < 0) return err;
    if (job->timeout == 0 || job->left > SSIZE_MAX || (job->offset && *job->offset < 0))
        return -EINVAL;
    if (job->file < 0) return -EBADF;
    if (has_buffered(job->file)) return -EBUSY;
    if (job->left == 0) job->left = UNTIL_END;
    return send_in_turn(job);
}

static int64_t enter_sendfile(int s, int file, off_t *offset, size_t size)
{
    struct pier__use use;
    int64_t n = pier__enter(&use, s, PIER__WAITER);
    if (n < 0) return n == s ? n : pier__sock_failed("send a file on", s, NULL, NULL, n);
    struct job job = {.use = &use, .file = file, .offset = offset, .left = size};
    n = send_file(&job);
    if (n < 0) pier__sock_failed_after(job.moved, "send a file on", s, &use, NULL, n);
    pier__leave(&use);
    return n < 0 ? n : (int64_t)job.moved;
}

ssize_t pier_sendfile(int s, int file, off_t *offset, size_t count)
{
    pier_time began = pier__trace_begin();
    char from[24] = "NULL";
    if (PIER_UNLIKELY(began) && offset) snprintf(from, sizeof from, "%lld", (long long)*offset);
    ssize_t n = enter_sendfile(s, file, offset, count);
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, s, n, "sendfile(%d, %d, %s, %zu)", s, file, from, count);
    return n;
}
