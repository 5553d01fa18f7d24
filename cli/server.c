/* SPDX-License-Identifier: MIT */
/*
 * A socket at an address of ours, for clients or for datagrams, and the path that AF_UNIX leaves on
 * the disk.
 */
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * What a datagram socket can be bound to: ":port" is IPv6 for both families, where there is that.
 */
static pier_addr resolve(const char *address, bool *dual)
{
    pier_addr it = pier_addr_parse(address, NULL);
    *dual = it.error == 0 && it.pending & PIER_ADDR_ANY && pier_has_dualstack_ipv6();
    if (it.error == 0 && it.pending & PIER_ADDR_ANY && !*dual) {
        it = pier_resolve(it, PIER_NEVER);
        return it.error < 0 ? it : pier_inet("", pier_addr_port(it));
    }
    return it.error < 0 ? it : pier_resolve(it, PIER_NEVER);
}

/* A path on which nobody listens was left behind by a server that is gone. */
static bool is_stale(pier_addr it)
{
    struct stat file;
    const char *path = it.sa.local.sun_path;
    if (it.sa.any.sa_family != AF_UNIX || *path == '\0') return false;
    if (lstat(path, &file) < 0 || !S_ISSOCK(file.st_mode)) return false;
    int s = pier_socket(AF_UNIX, SOCK_DGRAM, 0);
    int err = pier_connect(s, it);
    pier_close(s);
    return err == -ECONNREFUSED;
}

int datagram_socket(const char *address)
{
    bool dual;
    pier_addr it = resolve(address, &dual);
    if (it.error < 0) return it.error;
    int s = pier_socket(it.sa.any.sa_family, SOCK_DGRAM, 0);
    if (s < 0) return s;
    if (it.sa.any.sa_family == AF_INET6) pier_setsockopt_int(s, IPPROTO_IPV6, IPV6_V6ONLY, !dual);
    int err = pier_bind(s, it);
    if (err == -EADDRINUSE && is_stale(it)) {
        unlink(it.sa.local.sun_path);
        err = pier_bind(s, it);
    }
    if (err == 0) return s;
    pier_close(s);
    return err;
}

bool is_chosen(const char *address)
{
    pier_addr asked = pier_addr_parse(address, NULL);
    int family = pier_addr_family(asked), port = pier_addr_port(asked);
    if (family == AF_UNIX) return address[5] == '\0';
    return family == AF_VSOCK ? port == PIER_ERANGE : port == 0; /* VMADDR_PORT_ANY */
}

static struct server *ours; /* whose path lies on the disk */

static void forget_ours(void)
{
    if (ours != NULL) server_forget(ours);
}

int server_open(struct server *it, const char *address, bool datagrams)
{
    *it = (struct server){.s = -1};
    it->s = datagrams ? datagram_socket(address) : pier_create_server(address, NULL);
    if (it->s < 0) return it->s;
    pier_addr here;
    struct stat file;
    if (pier_getsockname(it->s, &here) < 0 || here.sa.any.sa_family != AF_UNIX) return 0;
    /* An unnamed or abstract one begins with NUL: no path. */
    snprintf(it->path, sizeof it->path, "%.*s", (int)sizeof here.sa.local.sun_path,
        here.sa.local.sun_path);
    if (stat(it->path, &file) < 0) it->path[0] = '\0';
    it->device = file.st_dev;
    it->inode = file.st_ino;
    ours = it;
    clean_up_with(forget_ours);
    return 0;
}

void server_forget(struct server *it)
{
    struct stat file;
    /* Only the socket that we made: another may stand there by now. */
    if (it->path[0] != '\0' && stat(it->path, &file) == 0 && file.st_dev == it->device &&
        file.st_ino == it->inode)
        unlink(it->path);
    it->path[0] = '\0';
    ours = NULL;
}

void server_close(struct server *it)
{
    server_forget(it);
    pier_close(it->s);
}
