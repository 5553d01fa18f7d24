/* SPDX-License-Identifier: MIT */
/*
 * A file that takes its name only when it is complete: until then its bytes lie in a temporary
 * beside it. What is no regular file (a device, a pipe) is written as it stands.
 */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Known to who cleans up, so there is one at a time. */
static char temporary[PATH_MAX + 16];

static void remove_temporary(void) { unlink(temporary); }

/* A temporary beside the file, with the permissions that the file has or would get. */
static int open_temporary(struct file *it, mode_t mode)
{
    const char *slash = strrchr(it->name, '/');
    int folder = slash == NULL ? 0 : (int)(slash + 1 - it->name);
    snprintf(temporary, sizeof temporary, "%.*s.pier-XXXXXX", folder, it->name);
    clean_up_with(remove_temporary);
    it->fd = mkostemp(temporary, O_CLOEXEC);
    if (it->fd < 0) return fail("%s: %s", screen_quote(it->name), strerror(errno));
    fchmod(it->fd, mode);
    it->temporary = temporary;
    return DONE;
}

int file_open(struct file *it, const char *name)
{
    struct stat there;
    *it = (struct file){.fd = -1};
    if (strlen(name) >= sizeof it->name)
        return fail("%s: %s", screen_quote(name), strerror(ENAMETOOLONG));
    snprintf(it->name, sizeof it->name, "%s", name);
    if (stat(name, &there) < 0) {
        if (errno != ENOENT || *name == '\0')
            return fail("%s: %s", screen_quote(name), strerror(errno));
        mode_t mask = umask(0);
        umask(mask);
        return open_temporary(it, 0666 & ~mask);
    }
    if (S_ISREG(there.st_mode) && access(name, W_OK) == 0) {
        /* Through a symbolic link to the file that it names. */
        if (realpath(name, it->name) == NULL)
            return fail("%s: %s", screen_quote(name), strerror(errno));
        return open_temporary(it, there.st_mode & 0777);
    }
    it->fd = open(name, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    return it->fd < 0 ? fail("%s: %s", screen_quote(name), strerror(errno)) : DONE;
}

int file_keep(struct file *it)
{
    int err = 0;
    /* The name must not survive a power failure that the bytes do not. EINVAL: it has no disk. */
    if (it->temporary != NULL && fsync(it->fd) < 0 && errno != EINVAL) err = errno;
    if (close(it->fd) < 0 && err == 0 && errno != EINTR) err = errno;
    it->fd = -1;
    if (err == 0 && it->temporary != NULL && rename(it->temporary, it->name) < 0) err = errno;
    if (err == 0) {
        it->temporary = NULL;
        return DONE;
    }
    fail("%s: %s", screen_quote(it->name), strerror(err));
    file_drop(it);
    return FAILED;
}

void file_drop(struct file *it)
{
    if (it->fd >= 0) close(it->fd);
    if (it->temporary != NULL) unlink(it->temporary);
    *it = (struct file){.fd = -1};
}
