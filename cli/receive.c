/* SPDX-License-Identifier: MIT */
/*
 * pier receive: a file from pier send (which tells what they say), that takes its name when it is
 * whole.
 */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PART = 1 << 18 };

static double idle = INFINITY;
static uint64_t most = INT64_MAX;
static bool quiet, verbose;

static const struct choice choices[] = {
    {'q', "quiet", TAKES_NOTHING, NULL, "no progress", &quiet},
    {'v', "verbose", TAKES_NOTHING, NULL, "tell on stderr who listens and who came", &verbose},
    {'w', "wait", TAKES_SECONDS, "SECONDS",
        "give up when nobody comes for so long, or nothing moves", &idle},
    {'m', "max-size", TAKES_SIZE, "BYTES", "refuse a file that is longer, as 100M", &most},
    {0},
};

/* A file that comes: a partial one beside the name that it will have. */
struct incoming {
    int fd, s;
    char name[PATH_MAX], part[PATH_MAX + 16];
    mode_t mode;
    uint64_t has, size;
    SHA2_CTX sum;
};

/* The name, through a symbolic link, and the permissions that the file has or would get. */
static int name_file(struct incoming *it, const char *name)
{
    struct stat there;
    if (strlen(name) >= sizeof it->name)
        return fail("%s: %s", screen_quote(name), strerror(ENAMETOOLONG));
    snprintf(it->name, sizeof it->name, "%s", name);
    mode_t mask = umask(0);
    umask(mask);
    it->mode = 0666 & ~mask;
    int found = stat(name, &there);
    if (found < 0 && (errno != ENOENT || *name == '\0'))
        return fail("%s: %s", screen_quote(name), strerror(errno));
    if (found == 0 && !S_ISREG(there.st_mode))
        return fail("%s: it is no regular file", screen_quote(name));
    if (found == 0) it->mode = there.st_mode & 0777;
    if (found == 0 && realpath(name, it->name) == NULL)
        return fail("%s: %s", screen_quote(name), strerror(errno));
    const char *slash = strrchr(it->name, '/');
    int folder = slash == NULL ? 0 : (int)(slash + 1 - it->name);
    snprintf(it->part, sizeof it->part, "%.*s.%s.pier-part", folder, it->name, it->name + folder);
    return DONE;
}

/*
 * What an earlier try has left, or an empty one. Ours alone: nobody else may choose what it holds.
 */
static int open_part(struct incoming *it)
{
    struct stat file;
    it->fd = open(it->part, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    if (it->fd < 0 || fstat(it->fd, &file) < 0)
        return fail("%s: %s", screen_quote(it->part), strerror(errno));
    if (!S_ISREG(file.st_mode) || file.st_uid != geteuid() || file.st_nlink != 1)
        return fail("%s: somebody else made it", screen_quote(it->part));
    if (flock(it->fd, LOCK_EX | LOCK_NB) < 0)
        return fail("%s: another pier is receiving into it", screen_quote(it->part));
    return DONE;
}

static int wrong_part(const struct incoming *it)
{
    return fail("%s: %s", screen_quote(it->part), strerror(errno));
}

static int add_part(struct incoming *it)
{
    static unsigned char part[PART];
    SHA256Init(&it->sum);
    for (ssize_t n; (n = pread(it->fd, part, sizeof part, (off_t)it->has)) != 0;
         it->has += (uint64_t)n) {
        if (n < 0) return wrong_part(it);
        SHA256Update(&it->sum, part, (size_t)n);
    }
    return DONE;
}

static int answer(int s, const char *text)
{
    return pier_sendall(s, text, strlen(text), 0) < 0 ? fail("%s", pier_error()) : DONE;
}

/* Tells the sender why not, and hears a little of what it is still sending, so that it hears us. */
__attribute__((format(printf, 2, 3))) static int refuse(int s, const char *format, ...)
{
    char text[TRANSFER_LINE - 16], line[TRANSFER_LINE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    snprintf(line, sizeof line, "bad %s\n", text);
    pier_sendall(s, line, strlen(line), 0);
    pier_shutdown(s, SHUT_WR);
    pier_setdeadline(s, pier_after(2));
    while (pier_recv(s, line, sizeof line, 0) > 0)
        continue;
    return fail("%s", text);
}

static int agree(struct incoming *it)
{
    char line[TRANSFER_LINE], sum[TRANSFER_SUM];
    char digits[TRANSFER_DIGITS], more;
    if (transfer_line(it->s, line) != DONE) return FAILED;
    if (sscanf(line, "pier-send 1 %18[0-9]%c", digits, &more) != 1)
        return fail("that is no pier send: %s", screen_quote(line));
    it->size = strtoull(digits, NULL, 10);
    if (it->size > most)
        return refuse(
            it->s, "%ju bytes are more than may come, %ju", (uintmax_t)it->size, (uintmax_t)most);
    if (add_part(it) != DONE) return FAILED;
    transfer_sum(it->sum, sum);
    snprintf(line, sizeof line, "have %ju %s\n", (uintmax_t)it->has, sum);
    if (answer(it->s, line) != DONE || transfer_line(it->s, line) != DONE) return FAILED;
    int fields = sscanf(line, "from %18[0-9]%c", digits, &more);
    uint64_t from = fields == 1 ? strtoull(digits, NULL, 10) : 0;
    if (fields != 1 || (from != 0 && from != it->has))
        return fail("the sender says: %s", screen_quote(line));
    if (from == it->has) return DONE;
    it->has = 0; /* of another file */
    SHA256Init(&it->sum);
    return ftruncate(it->fd, 0) == 0 ? DONE : wrong_part(it);
}

/*
 * To know before, and not after an hour, that the disk is too small. Some file systems cannot tell.
 */
static int reserve(struct incoming *it)
{
    uint64_t left = it->size - it->has;
    if (left == 0 || fallocate(it->fd, FALLOC_FL_KEEP_SIZE, (off_t)it->has, (off_t)left) == 0)
        return DONE;
    if (errno != ENOSPC && errno != EDQUOT && errno != EFBIG) return DONE;
    return refuse(it->s, "no room for %ju bytes: %s", (uintmax_t)left, strerror(errno));
}

static int receive_rest(struct incoming *it)
{
    static unsigned char part[PART];
    struct progress progress;
    progress_begin(&progress, it->has, it->size);
    if (quiet) progress.terminal = false;
    if (lseek(it->fd, (off_t)it->has, SEEK_SET) < 0) return wrong_part(it);
    while (it->has < it->size) {
        uint64_t left = it->size - it->has;
        ssize_t n = pier_recv(it->s, part, left < sizeof part ? (size_t)left : sizeof part, 0);
        if (n <= 0) {
            if (progress.drawn) progress_end(&progress, it->has);
            return fail("%s; %ju of %ju bytes came, the next try goes on from there",
                n == 0 ? "the connection ended" : pier_error(), (uintmax_t)it->has,
                (uintmax_t)it->size);
        }
        int err = write_all(it->fd, part, (size_t)n);
        if (err != 0) return refuse(it->s, "%s: %s", screen_quote(it->part), strerror(err));
        SHA256Update(&it->sum, part, (size_t)n);
        it->has += (uint64_t)n;
        progress_at(&progress, it->has);
    }
    progress_end(&progress, it->size);
    return DONE;
}

/* Whole, on the disk, and only then under its name. */
static int keep(struct incoming *it)
{
    if (fchmod(it->fd, it->mode) < 0 || fsync(it->fd) < 0 || rename(it->part, it->name) < 0)
        return refuse(it->s, "%s: %s", screen_quote(it->name), strerror(errno));
    return answer(it->s, "ok\n");
}

static int receive(struct incoming *it)
{
    char line[TRANSFER_LINE], theirs[TRANSFER_SUM], ours[TRANSFER_SUM];
    if (agree(it) != DONE || reserve(it) != DONE || receive_rest(it) != DONE) return FAILED;
    if (transfer_line(it->s, line) != DONE) return FAILED;
    if (sscanf(line, "sum %64[0-9a-f]", theirs) != 1)
        return fail("the sender says: %s", screen_quote(line));
    transfer_sum(it->sum, ours);
    if (strcmp(ours, theirs) == 0) return keep(it);
    if (ftruncate(it->fd, 0) < 0)
        return wrong_part(it); /* nothing that a next try could go on from */
    return refuse(
        it->s, "the checksum is wrong: the file changed while it was sent, or on its way");
}

static struct incoming it;

/* What has nothing in it is nothing to go on from. */
static void remove_empty_part(void)
{
    struct stat file, there;
    if (fstat(it.fd, &file) == 0 && file.st_size == 0 && stat(it.part, &there) == 0 &&
        there.st_dev == file.st_dev && there.st_ino == file.st_ino)
        unlink(it.part);
}

static int receive_from_one(const char *address)
{
    struct server listener;
    if (server_open(&listener, address, false) < 0) return fail("%s", pier_error());
    pier_addr here, peer;
    pier_getsockname(listener.s, &here);
    if (verbose || is_chosen(address)) say("listening on %s", pier_addr_text(here).text);
    confine(&(struct freedom){.listener = &listener, .file = it.name, .verbose = verbose});
    pier_settimeout(listener.s, idle);
    it.s = pier_accept(listener.s, &peer);
    server_close(&listener);
    confine(&(struct freedom){.listener = &listener, .file = it.name}); /* its path is gone */
    if (it.s < 0) return fail("%s", pier_error());
    if (verbose) say("connection from %s", pier_addr_text(pier_addr_unmap(peer)).text);
    pier_settimeout(it.s, idle);
    int status = receive(&it);
    pier_close(it.s);
    return status;
}

static int run(char **operands)
{
    if (name_file(&it, operands[1]) != DONE || open_part(&it) != DONE) return FAILED;
    clean_up_with(remove_empty_part);
    int status = receive_from_one(operands[0]);
    if (status != DONE) remove_empty_part();
    close(it.fd);
    return status;
}

const struct verb receive_verb = {
    .name = "receive",
    .summary = "take a file from pier send",
    .example = "pier receive :12345 photo.jpg",
    .text =
        "Wait for one pier send, and write what it sends to FILE, which takes its name only when "
        "all of it has come, its checksum is right, and it is on the disk; an old file stays until "
        "then. If it is cut off, what has come stays in .FILE.pier-part beside it, and the next "
        "try goes on from there. On a terminal a bar shows how far it is." CONFINED_HELP,
    .operands = {{"ADDRESS", TAKES_ADDRESS, SERVER_ADDRESS ", and is told on stderr"},
        {"FILE", TAKES_FILE, "the name that it gets"}},
    .choices = choices,
    .run = run,
};
