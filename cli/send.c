/* SPDX-License-Identifier: MIT */
/*
 * pier send: a file to pier receive. What they say, in lines of text but for the file itself:
 *
 *     sender     pier-send 1 SIZE
 *     receiver   have BYTES SHA256       what it has from an earlier try; 0 if nothing
 *     sender     from BYTES              the same if its own beginning is no other, else 0
 *                (the rest of the file)
 *                sum SHA256              of all of it
 *     receiver   ok                      it has taken its name; or "bad" and why
 */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PART = 1 << 18 };

static double idle = INFINITY;
static bool quiet;

static const struct choice choices[] = {
    {'q', "quiet", TAKES_NOTHING, NULL, "no progress", &quiet},
    {'w', "wait", TAKES_SECONDS, "SECONDS",
        "give up when connecting takes so long, or nothing moves", &idle},
    {0},
};

/* A file that is sent, and the checksum of what has gone. */
struct outgoing {
    int fd, s;
    const char *name;
    uint64_t size;
    SHA2_CTX sum;
};

static int open_file(struct outgoing *it, const char *name)
{
    struct stat file;
    *it = (struct outgoing){.name = name, .fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY)};
    if (it->fd < 0 || fstat(it->fd, &file) < 0)
        return fail("%s: %s", screen_quote(name), strerror(errno));
    if (!S_ISREG(file.st_mode)) return fail("%s: it is no regular file", screen_quote(name));
    it->size = (uint64_t)file.st_size;
    return DONE;
}

/* Adds so many bytes from `offset` on to the sum. */
static int add(struct outgoing *it, uint64_t offset, uint64_t count)
{
    static unsigned char part[PART];
    while (count > 0) {
        size_t most = count < sizeof part ? (size_t)count : sizeof part;
        ssize_t n = pread(it->fd, part, most, (off_t)offset);
        if (n < 0) return fail("%s: %s", screen_quote(it->name), strerror(errno));
        if (n == 0) return fail("%s: it has become shorter", screen_quote(it->name));
        SHA256Update(&it->sum, part, (size_t)n);
        offset += (uint64_t)n;
        count -= (uint64_t)n;
    }
    return DONE;
}

/* Where to go on: after what the receiver has, if that is the beginning of our file. */
static int agree(struct outgoing *it, uint64_t *out_from)
{
    char line[TRANSFER_LINE], theirs[TRANSFER_SUM], ours[TRANSFER_SUM];
    char digits[TRANSFER_DIGITS];
    int length = snprintf(line, sizeof line, "pier-send 1 %ju\n", (uintmax_t)it->size);
    if (pier_sendall(it->s, line, (size_t)length, 0) < 0) return fail("%s", pier_error());
    if (transfer_line(it->s, line) != DONE) return FAILED;
    if (sscanf(line, "have %18[0-9] %64[0-9a-f]", digits, theirs) != 2)
        return fail("the receiver says: %s", screen_quote(line));
    uint64_t has = strtoull(digits, NULL, 10);
    SHA256Init(&it->sum);
    if (has > it->size) has = 0;
    if (add(it, 0, has) != DONE) return FAILED;
    transfer_sum(it->sum, ours);
    if (strcmp(ours, theirs) != 0) has = 0;
    if (has == 0) SHA256Init(&it->sum);
    length = snprintf(line, sizeof line, "from %ju\n", (uintmax_t)has);
    if (pier_sendall(it->s, line, (size_t)length, 0) < 0) return fail("%s", pier_error());
    *out_from = has;
    return DONE;
}

/*
 * Before the end it speaks only to refuse. Its last words are there even if the connection is not.
 */
static int refused(struct outgoing *it, const char *otherwise)
{
    char line[TRANSFER_LINE];
    ssize_t n = pier_recv_line(it->s, line, sizeof line);
    if (n <= 0) return fail("%s", otherwise);
    line[strcspn(line, "\n")] = '\0';
    return fail("the receiver says: %s", screen_quote(line));
}

static int send_rest(struct outgoing *it, uint64_t from)
{
    struct progress progress;
    progress_begin(&progress, from, it->size);
    if (quiet) progress.terminal = false;
    for (off_t at = (off_t)from; (uint64_t)at < it->size;) {
        uint64_t left = it->size - (uint64_t)at, before = (uint64_t)at;
        ssize_t n = 0;
        bool speaks = pier_wait_readable(it->s, pier_now()) == 0;
        if (!speaks) n = pier_sendfile(it->s, it->fd, &at, left < PART ? (size_t)left : PART);
        if (speaks || n < 0) {
            char text[1024];
            snprintf(text, sizeof text, "%s; %ju of %ju bytes went",
                speaks ? "the connection ended" : pier_error(), (uintmax_t)at, (uintmax_t)it->size);
            if (progress.drawn) progress_end(&progress, before);
            bool gone = speaks || n == -EPIPE || n == -ECONNRESET;
            return gone ? refused(it, text) : fail("%s", text); /* it still waits for us */
        }
        if (n == 0) return fail("%s: it has become shorter", screen_quote(it->name));
        /*
         * Read once more from the page cache: if it has changed meanwhile, the receiver will see.
         */
        if (add(it, before, (uint64_t)n) != DONE) return FAILED;
        progress_at(&progress, (uint64_t)at);
    }
    progress_end(&progress, it->size);
    return DONE;
}

static int finish(struct outgoing *it)
{
    char line[TRANSFER_LINE], sum[TRANSFER_SUM];
    transfer_sum(it->sum, sum);
    int length = snprintf(line, sizeof line, "sum %s\n", sum);
    if (pier_sendall(it->s, line, (size_t)length, 0) < 0) {
        snprintf(line, sizeof line, "%s", pier_error());
        return refused(it, line);
    }
    if (transfer_line(it->s, line) != DONE) return FAILED;
    return strcmp(line, "ok") == 0 ? DONE : fail("the receiver says: %s", screen_quote(line));
}

static int run(char **operands)
{
    struct outgoing it;
    uint64_t from = 0;
    if (open_file(&it, operands[0]) != DONE) return FAILED;
    it.s =
        pier_create_connection(operands[1], &(pier_connection_opts){.deadline = pier_after(idle)});
    if (it.s < 0) return fail("%s", pier_error());
    pier_setdeadline(it.s, PIER_NEVER); /* it was for connecting */
    pier_settimeout(it.s, idle);
    int status = agree(&it, &from);
    if (status == DONE && from > 0 && !quiet)
        say("going on after %ju of %ju bytes", (uintmax_t)from, (uintmax_t)it.size);
    if (status == DONE) status = send_rest(&it, from);
    if (status == DONE) status = finish(&it);
    pier_close(it.s);
    close(it.fd);
    return status;
}

const struct verb send_verb = {
    .name = "send",
    .summary = "send a file to pier receive",
    .example = "pier send photo.jpg there:12345",
    .text =
        "Send a file to a pier receive that waits at ADDRESS. Its length and checksum (SHA-256) go "
        "with it; pier ends well when the receiver has it whole. If an earlier try was cut off, "
        "what had come then is not sent again. On a terminal a bar shows how far it is.",
    .operands = {{"FILE", TAKES_FILE, "a regular file"},
        {"ADDRESS", TAKES_ADDRESS, CLIENT_ADDRESS}},
    .choices = choices,
    .run = run,
};
