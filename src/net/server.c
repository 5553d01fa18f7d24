/* SPDX-License-Identifier: MIT */
/* A listening socket from one line of text. */
#include "base/addr.h"
#include "base/seam.h"
#include "base/trace.h"
#include "sock/resolve.h"
#include "sock/socket.h"

#include <pier/net.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

/* The kernel cuts it to net.core.somaxconn. */
#define LONGEST_QUEUE INT_MAX

/* A socket that is to listen. */
struct server {
    const pier_server_opts *opts;
    pier_addr addr;
    bool dual; /* the any address of IPv6, for IPv4 too */
};

/* Which families an IPv6 socket takes must not hang on net.ipv6.bindv6only. */
static int set_v6only(int s, bool only)
{
    int value = only;
    return pier__seam->setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &value, sizeof value);
}

bool pier_has_dualstack_ipv6(void)
{
    int fd = pier__seam->socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return false;
    int err = set_v6only(fd, false);
    pier__seam->close(fd);
    return err == 0;
}

static int set_options(int s, const struct server *server)
{
    const int on = 1;
    int family = server->addr.sa.any.sa_family;
    if (family == AF_INET6) {
        int err = set_v6only(s, !server->dual);
        if (err < 0) return err;
    }
    if ((family == AF_INET || family == AF_INET6) && !server->opts->no_reuse_address)
        (void)pier__seam->setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (!server->opts->reuse_port) return 0;
    if (family == AF_UNIX) return -EOPNOTSUPP; /* older kernels take it and do nothing */
    return pier__seam->setsockopt(s, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
}

/* The path of a Unix address, or NULL. */
static const char *path_of(const pier_addr *addr)
{
    if (addr->sa.any.sa_family != AF_UNIX) return NULL;
    if (addr->length <= offsetof(struct sockaddr_un, sun_path)) return NULL;
    return addr->sa.local.sun_path[0] ? addr->sa.local.sun_path : NULL;
}

/* 0 if nobody listens there; -EADDRINUSE if somebody does or that cannot be told. */
static int ask_whether_free(const pier_addr *addr)
{
    int fd = pier__seam->socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return fd;
    int err = pier__seam->connect(fd, &addr->sa.any, addr->length);
    pier__seam->close(fd);
    return err == -ECONNREFUSED ? 0 : -EADDRINUSE;
}

/* A server that starts at this moment may have bound the path and not listen yet. */
#define BETWEEN_BIND_AND_LISTEN (PIER_SECOND / 50)

static int pause_briefly(void)
{
    return pier__await_point(pier__seam->now() + BETWEEN_BIND_AND_LISTEN);
}

#define LOCK_TRIES \
    50 /* about a second: others hold it for some pauses, or it is not ours to wait for */

/*
 * Lock the folder of a path against other servers that would remove what lies there: between their
 * last look and their unlink one of them may have begun to listen. 0, and a descriptor, or -1 if
 * that is not to be had; or why the waiting for it ends.
 */
static int lock_folder(const char *path, int *out_fd)
{
    char folder[sizeof(((struct sockaddr_un *)0)->sun_path)] = ".";
    const char *slash = strrchr(path, '/');
    if (slash) {
        size_t length = slash == path ? 1 : (size_t)(slash - path);
        memcpy(folder, path, length);
        folder[length] = '\0';
    }
    int fd = pier__seam->open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    int err = 0;
    *out_fd = -1;
    if (fd < 0) return 0;
    for (int i = 0; i < LOCK_TRIES && err == 0; i++) {
        if (pier__seam->flock(fd, LOCK_EX | LOCK_NB) == 0) {
            *out_fd = fd;
            return 0;
        }
        err = pause_briefly();
    }
    pier__seam->close(fd);
    return err;
}

static void unlock_folder(int fd)
{
    if (fd < 0) return;
    (void)pier__seam->flock(fd, LOCK_UN); /* a forked child may have the descriptor, too */
    pier__seam->close(fd);
}

/* Is it the same socket? A number that is free again is soon given to another file. */
static bool same_socket(const struct stat *a, const struct stat *b)
{
    return S_ISSOCK(b->st_mode) && a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/*
 * Remove the path if it is a socket on which nobody listens, asked twice, and still the one that
 * was asked about. 0: bind is worth another try.
 */
static int remove_stale(const pier_addr *addr)
{
    const char *path = path_of(addr);
    struct stat first, second;
    int err = pier__seam->lstat(path, &first);
    if (err == -ENOENT) return 0;
    if (err < 0 || !S_ISSOCK(first.st_mode)) return -EADDRINUSE;
    err = ask_whether_free(addr);
    if (err == 0) err = pause_briefly();
    if (err == 0) err = ask_whether_free(addr);
    if (err < 0) return err;
    err = pier__seam->lstat(path, &second);
    if (err == -ENOENT) return 0;
    if (err < 0 || !same_socket(&first, &second)) return -EADDRINUSE;
    err = pier__seam->unlink(path);
    return err == -ENOENT ? 0 : err;
}

/* What follows bind. Nobody gets in before listen, so nobody does with too wide a mode. */
static int open_doors(int s, const struct server *server)
{
    const char *path = path_of(&server->addr);
    int backlog = server->opts->backlog ? server->opts->backlog : LONGEST_QUEUE;
    int err = 0;
    if (path && server->opts->mode) err = pier__seam->chmod(path, (mode_t)server->opts->mode);
    if (err == 0) err = pier__listen(s, backlog);
    if (err < 0 && path) (void)pier__seam->unlink(path);
    return err;
}

static int bind_and_listen(int s, const struct server *server)
{
    int lock = -1, err = pier__bind(s, &server->addr);
    if (err == -EADDRINUSE && path_of(&server->addr)) {
        err = lock_folder(path_of(&server->addr), &lock);
        if (err == 0) err = remove_stale(&server->addr);
        if (err == 0) err = pier__bind(s, &server->addr);
    }
    if (err == 0) err = open_doors(s, server);
    unlock_folder(lock);
    return err;
}

static int listen_on(const struct server *server)
{
    int s = pier__socket(server->addr.sa.any.sa_family, SOCK_STREAM, 0);
    if (s < 0) return s;
    int err = set_options(s, server);
    if (err == 0) err = bind_and_listen(s, server);
    if (err == 0) return s;
    (void)pier__close(s);
    return err;
}

/* Is it an address, or a whole family, that this host does not have? */
static bool is_missing(int err)
{
    return err == -EAFNOSUPPORT || err == -EADDRNOTAVAIL || err == -ENOPROTOOPT;
}

static int complete(pier_addr *addr, int family)
{
    return pier__resolve_for(addr, NULL, family, SOCK_STREAM, PIER_NEVER, /* passive= */ true);
}

/* ":port" of both families: one IPv6 socket for both, or IPv4 alone where that cannot be. */
static int listen_on_any(struct server *server, const pier_addr *text)
{
    static const int families[] = {AF_INET6, AF_INET};
    int result = -EAFNOSUPPORT;
    for (size_t i = 0; i < PIER_COUNT(families) && is_missing(result); i++) {
        server->addr = *text;
        server->dual = families[i] == AF_INET6;
        result = complete(&server->addr, families[i]);
        if (result == 0) result = listen_on(server);
    }
    return result;
}

/* A name: the first of its addresses that this host has. */
static int listen_on_name(struct server *server, const pier_addr *text)
{
    char port[8];
    (void)snprintf(port, sizeof port, "%u", ntohs(text->sa.inet.sin_port));
    struct pier__question question = {.host = text->host,
        .service = text->pending & PIER_ADDR_SERVICE ? text->service : port,
        .family = text->sa.any.sa_family,
        .type = SOCK_STREAM,
        .flags = AI_PASSIVE};
    pier_addrinfo *list;
    ssize_t count = pier__getaddrinfo(&question, NULL, PIER_NEVER, &list);
    int result = count < 0 ? (int)count : -EADDRNOTAVAIL;
    for (ssize_t i = 0; i < count && is_missing(result); i++) {
        server->addr = list[i].addr;
        result = listen_on(server);
    }
    pier_freeaddrinfo(list);
    return result;
}

static int listen_on_text(struct server *server, const pier_addr *text)
{
    if (text->pending & PIER_ADDR_ANY) return listen_on_any(server, text);
    if (text->pending & PIER_ADDR_HOST) return listen_on_name(server, text);
    pier_addr addr = *text;
    int err = complete(&addr, text->sa.any.sa_family);
    if (err < 0) return err;
    server->addr = addr;
    return listen_on(server);
}

/*
 * What is wrong with the options, alone or for this address: an abstract name has no permissions.
 */
static int check_options(const pier_server_opts *opts, const pier_addr *text)
{
    if (!pier__is_zero(opts->reserved, sizeof opts->reserved)) return -EINVAL;
    if (opts->backlog < 0 || opts->mode < 0 || opts->mode > 0777) return -EINVAL;
    if (text->error) return text->error;
    bool abstract = text->sa.any.sa_family == AF_UNIX && !path_of(text);
    return opts->mode && abstract ? -EINVAL : 0;
}

static int create(const char *address, const pier_server_opts *opts, struct server *server)
{
    static const pier_server_opts defaults;
    server->opts = opts ? opts : &defaults;
    pier_addr text = pier_addr_parse(address, &(pier_parse_opts){.family = server->opts->family});
    int err = check_options(server->opts, &text);
    return err < 0 ? err : listen_on_text(server, &text);
}

/* The address that was refused, or the text if it did not get that far. */
static void record(const char *text, const struct server *server, int code)
{
    struct pier__failure *failure = pier__failure_begin("bind", code);
    failure->type = SOCK_STREAM;
    failure->local.length = server->addr.length;
    memcpy(&failure->local.storage, &server->addr.sa.storage, sizeof failure->local.storage);
    if (server->addr.length == 0 && text)
        (void)snprintf(failure->target, sizeof failure->target, "%s", text);
}

int pier_create_server(const char *address, const pier_server_opts *opts)
{
    pier_time began = pier__trace_begin();
    struct server server = {.opts = NULL};
    int s = create(address, opts, &server);
    if (s < 0) record(address, &server, s);
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, -1, s, "create_server(%s)", address ? address : "NULL");
    return s;
}
