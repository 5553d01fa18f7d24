/* SPDX-License-Identifier: MIT */
#include "base/holder.h"

#include "base/bits.h"
#include "base/seam.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

/* Bounds of the search, so that asking for a sentence stays a matter of a blink. */
#define TABLE_BYTES (8 << 20)
#define LINKS       65536

/* read(2), whatever signals come meanwhile. */
static ssize_t read_on(int fd, void *buf, size_t size)
{
    ssize_t n;
    do {
        n = pier__seam->read(fd, buf, size);
    } while (n == -EINTR);
    return n;
}

/* How much a row of the kernel's tables tells; more is better. */
enum worth {
    NOTHING,
    LINGERS, /* no process: a closed connection */
    HOLDS,
    LISTENS = HOLDS + 2, /* between them: HOLDS, in the same family */
};

struct found {
    int worth;
    unsigned long inode;
};

/* A table of /proc, line by line. */
struct table {
    int fd;
    size_t at, used;
    long left; /* bytes that may still be read */
    bool skip; /* the rest of a line that was too long */
    char buf[4096];
};

static char *next_line(struct table *t)
{
    for (;;) {
        char *line = t->buf + t->at, *end = memchr(line, '\n', t->used - t->at);
        if (end) {
            *end = '\0';
            t->at = (size_t)(end - t->buf) + 1;
            if (!t->skip) return line;
            t->skip = false;
            continue;
        }
        t->used -= t->at;
        memmove(t->buf, line, t->used);
        t->at = 0;
        if (t->used == sizeof t->buf) {
            t->used = 0;
            t->skip = true;
        }
        if (t->left <= 0) return NULL;
        ssize_t n = read_on(t->fd, t->buf + t->used, sizeof t->buf - t->used);
        if (n <= 0) return NULL;
        t->used += (size_t)n;
        t->left -= n;
    }
}

/* The next word of a line, NUL-terminated; "" at its end. */
static char *next_word(char **line)
{
    *line += strspn(*line, " ");
    char *word = *line;
    *line += strcspn(word, " ");
    if (**line) *(*line)++ = '\0';
    return word;
}

/* One end of an INET or INET6 socket; IPv4 is kept in its mapped form. */
struct end {
    bool inet6;
    uint16_t port;
    uint32_t ip[4];
};

static struct end end_from_sockaddr(const struct sockaddr *sa)
{
    struct end end = {.ip = {0, 0, htonl(0xffff), 0}};
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)sa;
        end.port = ntohs(in->sin_port);
        end.ip[3] = in->sin_addr.s_addr;
    } else {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sa;
        end.port = ntohs(in6->sin6_port);
        end.inet6 = !IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr);
        memcpy(end.ip, &in6->sin6_addr, sizeof end.ip);
    }
    return end;
}

/* "0100007F:0050", or 32 digits; each eight are a word of memory, printed as a number. */
static bool end_from_hex(const char *text, struct end *end)
{
    size_t digits = strcspn(text, ":");
    if ((digits != 8 && digits != 32) || text[digits] != ':') return false;
    *end = (struct end){.ip = {0, 0, htonl(0xffff), 0}};
    for (size_t i = 0; i < digits / 8; i++) {
        char word[9] = {0};
        memcpy(word, text + i * 8, 8);
        end->ip[digits == 8 ? 3 : i] = (uint32_t)strtoul(word, NULL, 16);
    }
    end->port = (uint16_t)strtoul(text + digits + 1, NULL, 16);
    end->inet6 = end->ip[0] || end->ip[1] || end->ip[2] != htonl(0xffff);
    return true;
}

static bool is_any(const struct end *end)
{
    return !end->ip[0] && !end->ip[1] && !end->ip[3] && (!end->inet6 || !end->ip[2]);
}

/* The wildcard of IPv6 stands for IPv4 as well, unless it was told not to. */
static bool overlap(const struct end *a, const struct end *b)
{
    if (a->port != b->port) return false;
    if (a->inet6 != b->inet6) return is_any(a->inet6 ? a : b);
    return is_any(a) || is_any(b) || memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

/* A row of tcp, tcp6, udp, udp6: "n: local remote state queues timer tries uid timeout inode" */
static struct found inet_row(char *line, const void *asked)
{
    enum { LOCAL = 1, STATE = 3, INODE = 9, WORDS };
    const struct end *mine = asked;
    char *words[WORDS];
    for (size_t i = 0; i < WORDS; i++)
        words[i] = next_word(&line);
    struct end theirs;
    if (!end_from_hex(words[LOCAL], &theirs) || !overlap(mine, &theirs)) return (struct found){0};
    struct found found = {.inode = strtoul(words[INODE], NULL, 10)};
    if (found.inode)
        found.worth =
            (strcmp(words[STATE], "0A") == 0 ? LISTENS : HOLDS) + (mine->inet6 == theirs.inet6);
    else if (strcmp(words[STATE], "06") == 0)
        found.worth = LINGERS;
    return found;
}

/* A row of unix: "num: references protocol flags type state inode path"; '@' stands for NUL. */
static struct found unix_row(char *line, const void *asked)
{
    enum { FLAGS = 3, INODE = 6, WORDS };
    const char *mine = asked;
    char *words[WORDS];
    for (size_t i = 0; i < WORDS; i++)
        words[i] = next_word(&line);
    if (strcmp(line, mine) != 0) return (struct found){0};
    bool listens = strtoul(words[FLAGS], NULL, 16) & 0x10000; /* __SO_ACCEPTCON */
    return (struct found){listens ? LISTENS : HOLDS, strtoul(words[INODE], NULL, 10)};
}

/* Keep in *best what the table knows better. */
static void search_table(const char *name, struct found (*row)(char *line, const void *asked),
    const void *asked, struct found *best)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/thread-self/net/%s", name);
    struct table table;
    table.fd = pier__seam->open(path, O_RDONLY | O_CLOEXEC, 0);
    if (table.fd < 0) return;
    table.at = table.used = 0;
    table.left = TABLE_BYTES;
    table.skip = true; /* the heading */
    for (char *line; (line = next_line(&table));) {
        struct found found = row(line, asked);
        if (found.worth > best->worth) *best = found;
    }
    pier__seam->close(table.fd);
}

/* The numbers among the names of a folder, one by one; negative at its end. */
struct folder {
    int fd;
    long at, used;
    alignas(struct dirent64) char buf[2048];
};

static long next_number(struct folder *f)
{
    for (;;) {
        if (f->at >= f->used) {
            f->at = 0;
            f->used = pier__seam->getdents(f->fd, f->buf, sizeof f->buf);
            if (f->used <= 0) return -1;
        }
        const struct dirent64 *entry = (const void *)(f->buf + f->at);
        f->at += entry->d_reclen;
        if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9')
            return strtol(entry->d_name, NULL, 10);
    }
}

static bool open_folder(struct folder *f, const char *path)
{
    f->fd = pier__seam->open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    f->at = f->used = 0;
    return f->fd >= 0;
}

/* Does the process have a descriptor that links to `wanted`? */
static bool has_open(long pid, const char *wanted, int *links)
{
    char path[64], link[64];
    snprintf(path, sizeof path, "/proc/%ld/fd", pid);
    struct folder fds;
    if (!open_folder(&fds, path)) return false;
    bool found = false;
    for (long fd; !found && *links > 0 && (fd = next_number(&fds)) >= 0; --*links) {
        snprintf(path, sizeof path, "/proc/%ld/fd/%ld", pid, fd);
        ssize_t n = pier__seam->readlink(path, link, sizeof link - 1);
        if (n < 0) continue;
        link[n] = '\0';
        found = strcmp(link, wanted) == 0;
    }
    pier__seam->close(fds.fd);
    return found;
}

/* The first process that has the socket; of a server and its workers that is the server. */
static long find_process(unsigned long inode)
{
    char wanted[64];
    snprintf(wanted, sizeof wanted, "socket:[%lu]", inode);
    struct folder processes;
    if (!open_folder(&processes, "/proc")) return -1;
    int links = LINKS;
    long pid;
    do
        pid = next_number(&processes);
    while (pid >= 0 && links > 0 && !has_open(pid, wanted, &links));
    pier__seam->close(processes.fd);
    return links > 0 ? pid : -1;
}

static void write_process(struct pier__text *t, long pid)
{
    char path[64], name[64] = "process";
    snprintf(path, sizeof path, "/proc/%ld/comm", pid);
    int fd = pier__seam->open(path, O_RDONLY | O_CLOEXEC, 0);
    if (fd >= 0) {
        ssize_t n = read_on(fd, name, sizeof name - 1);
        if (n > 0) name[n - (name[n - 1] == '\n')] = '\0';
        pier__seam->close(fd);
    }
    pier__text_escape(t, name);
    pier__text_format(t, "[%ld]", pid);
}

static struct found search_inet(const struct sockaddr *address, int type)
{
    struct end asked = end_from_sockaddr(address);
    struct found best = {0};
    if (asked.port == 0) return best;
    if (type != SOCK_DGRAM) {
        search_table("tcp", inet_row, &asked, &best);
        search_table("tcp6", inet_row, &asked, &best);
    }
    if (type != SOCK_STREAM && best.worth < HOLDS) {
        search_table("udp", inet_row, &asked, &best);
        search_table("udp6", inet_row, &asked, &best);
    }
    return best;
}

static struct found search_unix(const struct sockaddr *address, socklen_t length)
{
    struct found best = {0};
    const struct sockaddr_un *un = (const struct sockaddr_un *)(const void *)address;
    char name[sizeof un->sun_path + 1] = {0};
    if (length <= offsetof(struct sockaddr_un, sun_path)) return best;
    size_t n = length - offsetof(struct sockaddr_un, sun_path);
    if (n > sizeof un->sun_path) n = sizeof un->sun_path;
    if (un->sun_path[0]) n = strnlen(un->sun_path, n);
    for (size_t i = 0; i < n; i++)
        name[i] = un->sun_path[i] ? un->sun_path[i] : '@';
    search_table("unix", unix_row, name, &best);
    return best;
}

void pier__holder(
    const struct sockaddr *address, socklen_t length, int type, char *buf, size_t size)
{
    buf[0] = '\0';
    struct found best = {0};
    if (address->sa_family == AF_UNIX)
        best = search_unix(address, length);
    else if ((address->sa_family == AF_INET && length >= sizeof(struct sockaddr_in)) ||
             (address->sa_family == AF_INET6 && length >= sizeof(struct sockaddr_in6)))
        best = search_inet(address, type);
    struct pier__text t = pier__text_begin(buf, size, 0);
    if (best.worth == LINGERS) pier__text_format(&t, "a closed connection in TIME_WAIT");
    if (best.worth < HOLDS) return;
    long pid = find_process(best.inode);
    if (pid >= 0) write_process(&t, pid);
}
