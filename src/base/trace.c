/* SPDX-License-Identifier: MIT */
#include "base/trace.h"

#include "base/addr.h"
#include "base/seam.h"
#include "base/strand.h"
#include "base/text.h"

#include <pier/error.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* How long a line may be, and how much of it is kept for result, peer and time. */
#define LINE   1024
#define RESULT 448

/* How many bytes of a buffer are shown. */
#define PREVIEW 32

bool pier__trace_on;

/* Where the lines go, and what was open there when the library was loaded. */
static int out;
static struct stat opened;

static _Atomic unsigned threads;

static _Thread_local struct {
    unsigned number;
    char preview[PREVIEW * 4 + 8]; /* each byte as \xHH, the quotes, the dots, the NUL */
} here;

/* A trace that cannot be written must not be taken for a program that does nothing. */
static void complain(const char *path, int err)
{
    char line[LINE];
    struct pier__text t = pier__text_begin(line, sizeof line, RESULT);
    pier__text_format(&t, "pier: PIER_TRACE=");
    pier__text_escape(&t, path);
    pier__text_more(&t, RESULT);
    pier__text_format(&t, ": %s\n", pier_strerror(err));
    (void)pier__seam->write(STDERR_FILENO, line, t.used);
}

__attribute__((constructor)) static void read_environment(void)
{
    const char *value = pier__seam->getenv("PIER_TRACE");
    if (!value || strcmp(value, "") == 0 || strcmp(value, "0") == 0) return;
    int fd = STDERR_FILENO;
    if (strcmp(value, "1") != 0) {
        fd = pier__seam->open(
            value, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, S_IRUSR | S_IWUSR);
        if (fd < 0) {
            complain(value, fd);
            return;
        }
    }
    out = fd;
    pier__trace_on = pier__seam->fstat(fd, &opened) == 0;
}

/*
 * Is the descriptor still what it was? A program that closes what it did not open (daemons do)
 * may have a socket under that number by now, and a line of trace would go to its peer.
 */
static bool still_ours(void)
{
    struct stat now;
    if (pier__seam->fstat(out, &now) < 0) return false;
    if (now.st_dev == opened.st_dev && now.st_ino == opened.st_ino) return true;
    return out == STDERR_FILENO && !S_ISSOCK(now.st_mode);
}

pier_time pier__trace_start(void)
{
    struct pier__strand *strand = pier__strand();
    if (strand->traced) return 0;
    strand->traced = true;
    pier_time now = pier__seam->now();
    return now > 0 ? now : 1;
}

static void write_result(struct pier__text *t, int64_t result)
{
    const char *name = result < 0 ? pier_errname((ssize_t)result) : NULL;
    if (name)
        pier__text_format(
            t, " = %s%s (%s)", result >= -4095 ? "-" : "", name, pier_strerror((ssize_t)result));
    else
        pier__text_format(t, " = %lld", (long long)result);
}

static void write_peer(struct pier__text *t, int s)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof peer;
    if (s < 0 || pier__seam->getpeername(s, (struct sockaddr *)&peer, &len) < 0) return;
    if (len <= sizeof peer.ss_family) return; /* the other end of a socketpair has no name */
    char text[256];
    pier__addr_print((const struct sockaddr *)&peer, len, text, sizeof text);
    pier__text_format(t, "  ");
    pier__text_escape(t, text);
}

/* Who called: process, thread, and the task if it is one. */
static void write_strand(struct pier__text *t, const struct pier__strand *strand)
{
    if (here.number == 0) here.number = atomic_fetch_add(&threads, 1) + 1;
    pier__text_format(t, "pier[%ld.%u", (long)pier__seam->getpid(), here.number);
    if (strand->name) {
        pier__text_format(t, "/");
        pier__text_escape(t, strand->name);
    } else if (strand->task) {
        pier__text_format(t, "/%d", strand->task);
    }
    pier__text_format(t, "] ");
}

void pier__trace_end(pier_time began, int s, int64_t result, const char *format, ...)
{
    struct pier__strand *strand = pier__strand();
    pier_time took = pier__seam->now() - began;

    char call[LINE], line[LINE];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(call, sizeof call, format, args);
    va_end(args);

    struct pier__text t = pier__text_begin(line, sizeof line, RESULT);
    write_strand(&t, strand);
    pier__text_escape(&t, n < 0 ? "?" : call);
    pier__text_more(&t, RESULT);
    write_result(&t, result);
    write_peer(&t, s);
    pier__text_format(&t, "  %lld.%06lld s\n", (long long)(took / PIER_SECOND),
        (long long)(took % PIER_SECOND / 1000));
    if (still_ours()) (void)pier__seam->write(out, line, t.used); /* one write: lines stay whole */
    strand->traced = false;
}

const char *pier__trace_came(const void *buf, size_t len, int64_t n)
{
    return pier__trace_bytes(buf, n > 0 && (uint64_t)n > len ? (int64_t)len : n);
}

const char *pier__trace_bytes(const void *buf, int64_t n)
{
    size_t shown = n < 0 || !buf ? 0 : n < PREVIEW ? (size_t)n : PREVIEW;
    struct pier__text t = pier__text_begin(here.preview, sizeof here.preview, 0);
    pier__text_format(&t, "\"");
    pier__text_bytes(&t, buf, shown);
    pier__text_format(&t, n > PREVIEW ? "\"..." : "\"");
    return here.preview;
}
