/* SPDX-License-Identifier: MIT */
/* A FILE over a socket. */
#include "base/seam.h"
#include "base/trace.h"
#include "net/frame.h"
#include "net/peek.h"
#include "sock/buffer.h"
#include "sock/io.h"

#include <pier/net.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* From here on a read goes past the read buffer, straight to the reader. */
#define LARGE 4096

/* What the FILE knows: the socket, and that it still is the one that it was made for. */
struct file {
    int s;
    uint64_t birth;
};

/* stdio knows errno alone; what has none there is an I/O error. */
static void set_errno(int64_t code)
{
    if (code == -ETIME)
        errno = ETIMEDOUT;
    else
        errno = code > -4096 ? (int)-code : EIO;
}

/* Step inside the socket, if it is still the same. */
static int enter(struct pier__use *use, const struct file *file)
{
    int err = pier__enter(use, file->s, PIER__WAITER);
    if (err < 0) return err;
    if (use->entry && atomic_load(&use->entry->life.birth) == file->birth) return 0;
    pier__leave(use);
    return -EBADF;
}

/*
 * Wait for bytes and take up to `size` of them. getline(3) asks for one at a time, so that as
 * many as are there are brought into the socket's own buffer.
 */
static int64_t receive_in_turn(
    const struct pier__use *use, char *buf, size_t size, int64_t timeout, pier_time limit)
{
    bool direct = size >= LARGE;
    for (;;) {
        ssize_t n = pier__buffer_drain(use->entry, buf, size, 0);
        if (n > 0) return n;
        if (direct) return pier__recv_some(use, buf, size, 0, timeout, limit);
        int64_t came = pier__reads_ahead(use->entry)
                           ? pier__fill(use, timeout, limit)
                           : pier__peek_fill(use, timeout, limit, &direct);
        if (came <= 0 && !direct) return came;
    }
}

static int64_t receive(const struct pier__use *use, char *buf, size_t size)
{
    int64_t timeout;
    struct pier__entry *entry = use->entry;
    pier_time limit = pier__conversation_limit(entry, &timeout);
    int err = pier__turn_take(&entry->reading, &entry->life, timeout, limit);
    if (err < 0) return err;
    int64_t n = receive_in_turn(use, buf, size, timeout, limit);
    pier__turn_give(&entry->reading);
    return n;
}

/* The deadline bounds the conversation, also what of it lies in the buffer. */
static bool is_over(struct pier__entry *entry)
{
    return pier__special(entry) & PIER__HAS_DEADLINE &&
           pier__seam->now() >= atomic_load(&entry->deadline);
}

static ssize_t read_file(void *cookie, char *buf, size_t size)
{
    const struct file *file = cookie;
    struct pier__use use;
    int64_t n = enter(&use, file);
    if (n == 0) {
        n = is_over(use.entry) ? -ETIME : pier__buffer_drain(use.entry, buf, size, 0);
        if (n == 0) n = receive(&use, buf, size);
        if (n < 0) pier__sock_failed("read on", file->s, &use, NULL, n);
        pier__leave(&use);
    } else {
        pier__sock_failed("read on", file->s, NULL, NULL, n);
    }
    if (n >= 0) return n;
    set_errno(n);
    return -1;
}

/* Fewer than `size` is a failure to stdio, which does not try again. */
static ssize_t write_file(void *cookie, const char *buf, size_t size)
{
    const struct file *file = cookie;
    struct pier__use use;
    size_t moved = 0;
    int64_t err = enter(&use, file);
    if (err == 0) {
        err = pier__send_in_turn(&use, buf, size, /* flags= */ 0, &moved);
        if (err < 0) pier__sock_failed_after(moved, "write on", file->s, &use, NULL, err);
        pier__leave(&use);
    } else {
        pier__sock_failed("write on", file->s, NULL, NULL, err);
    }
    if (err < 0) set_errno(err);
    return (ssize_t)moved;
}

/*
 * What stdio takes for "cannot be positioned", and does not mind; without this function it would.
 */
static int seek_file(void *cookie, off64_t *offset, int whence)
{
    (void)cookie, (void)offset, (void)whence;
    errno = ESPIPE;
    return -1;
}

static int close_file(void *cookie)
{
    pier__seam->release(cookie);
    return 0;
}

/* The mode for stdio, without "b"; NULL if it is none. */
static const char *read_mode(const char *mode)
{
    char bare[4] = "";
    size_t n = 0;
    bool binary = false;
    for (; mode && *mode; mode++) {
        bool b = *mode == 'b';
        if (n == 2 && !b) return NULL;
        if (b && (binary || n == 0)) return NULL;
        if (b)
            binary = true;
        else
            bare[n++] = *mode;
    }
    if (strcmp(bare, "r") == 0) return "r";
    if (strcmp(bare, "w") == 0) return "w";
    return strcmp(bare, "r+") == 0 || strcmp(bare, "rw") == 0 ? "r+" : NULL;
}

static int open_file(const struct pier__use *use, const char *mode, FILE **out)
{
    static const cookie_io_functions_t functions = {
        .read = read_file, .write = write_file, .seek = seek_file, .close = close_file};
    const char *stdio_mode = read_mode(mode);
    if (!use->entry) return -EBADF;
    if (!stdio_mode || use->entry->type != SOCK_STREAM) return -EINVAL;
    struct file *file = pier__allocate_zeroed(1, sizeof *file);
    if (!file) return -ENOMEM;
    *file = (struct file){.s = use->fd, .birth = atomic_load(&use->entry->life.birth)};
    FILE *stream = fopencookie(file, stdio_mode, functions);
    if (!stream) {
        pier__seam->release(file);
        return -ENOMEM;
    }
    if (*stdio_mode == 'r') (void)setvbuf(stream, NULL, _IONBF, 0);
    *out = stream;
    return 0;
}

FILE *pier_makefile(int s, const char *mode)
{
    pier_time began = pier__trace_begin();
    FILE *stream = NULL;
    struct pier__use use = {.entry = NULL};
    int err = pier__enter(&use, s, PIER__VISITOR);
    if (err == 0) {
        err = open_file(&use, mode, &stream);
        pier__leave(&use);
    }
    (void)pier__sock_failed("make a file of", s, NULL, NULL, err);
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, s, err, "makefile(%d, \"%s\")", s, mode ? mode : "(null)");
    return stream;
}
