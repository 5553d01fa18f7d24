/* SPDX-License-Identifier: MIT */
/* A listening socket, and the path that one on AF_UNIX leaves on the disk. */
#include "cli.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int server_open(struct server *it, const char *address)
{
    *it = (struct server){.s = pier_create_server(address, NULL)};
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
    return 0;
}

void server_close(struct server *it)
{
    struct stat file;
    /* Only the socket that we made: another may stand there by now. */
    if (it->path[0] != '\0' && stat(it->path, &file) == 0 && file.st_dev == it->device &&
        file.st_ino == it->inode)
        unlink(it->path);
    pier_close(it->s);
}
