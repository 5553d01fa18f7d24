/* SPDX-License-Identifier: MIT */
/* Bytes to a descriptor, all of them, and to stdout as far as a terminal may see them. */
#include "cli.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

int write_all(int fd, const void *bytes, size_t length)
{
    const char *from = bytes;
    while (length > 0) {
        ssize_t n = write(fd, from, length);
        if (n >= 0) {
            from += n;
            length -= (size_t)n;
        } else if (errno == EAGAIN) {
            /* Somebody else who has this stream made it non-blocking. */
            poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

int put(const void *bytes, size_t length)
{
    enum { PART = 1024 };
    static int terminal = -1;
    static struct screen shown;
    static char harmless[SCREEN_GROWTH * (PART + sizeof shown.held)];
    if (terminal < 0) {
        terminal = isatty(STDOUT_FILENO);
        screen_begin(&shown);
    }
    if (!terminal) return write_all(STDOUT_FILENO, bytes, length);

    if (length == 0) return write_all(STDOUT_FILENO, harmless, screen_end(&shown, harmless));
    int err = 0;
    for (const char *from = bytes; err == 0 && length > 0;) {
        size_t part = length < PART ? length : PART;
        err = write_all(STDOUT_FILENO, harmless, screen_put(&shown, from, part, harmless));
        from += part;
        length -= part;
    }
    return err;
}
