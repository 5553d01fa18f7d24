/* SPDX-License-Identifier: MIT */
/*
 * stdin, cut into what is sent at once: as it comes; or, of lines, all that are whole, with CR LF;
 * or, for datagrams, one line without its end.
 */
#include "cli.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { DATAGRAM = 65507 }; /* the most that UDP carries */

/* Up to the first line's end, or all if the room is full or stdin has ended. */
static size_t cut_line(struct input *it, char *out, size_t *taken)
{
    const char *end = memchr(it->held, '\n', it->count);
    if (end == NULL && it->count < DATAGRAM && !it->ended) return 0;
    size_t n = end != NULL ? (size_t)(end - it->held) : it->count < DATAGRAM ? it->count : DATAGRAM;
    *taken = n + (end != NULL);
    if (n > DATAGRAM) *taken = n = DATAGRAM;
    memcpy(out, it->held, n);
    if (n > 0 && end != NULL && *taken == n + 1 && out[n - 1] == '\r') n--;
    return n;
}

static size_t with_cr(struct input *it, char *out)
{
    size_t used = 0;
    for (size_t i = 0; i < it->count; i++) {
        if (it->held[i] == '\n' && it->last != '\r') out[used++] = '\r';
        out[used++] = it->last = it->held[i];
    }
    it->count = 0;
    return used;
}

bool input_next(struct input *it, const struct talk *how, char *out, size_t *out_length)
{
    size_t taken = 0;
    if (it->count == 0) return false;
    if (how->lines && how->datagrams) {
        *out_length = cut_line(it, out, &taken);
        if (taken == 0) return false;
    } else if (how->lines) {
        *out_length = with_cr(it, out);
        return true;
    } else {
        taken = *out_length = how->datagrams && it->count > DATAGRAM ? DATAGRAM : it->count;
        memcpy(out, it->held, taken);
    }
    it->count -= taken;
    memmove(it->held, it->held + taken, it->count);
    return true;
}

int input_read(struct input *it)
{
    ssize_t n = read(STDIN_FILENO, it->held + it->count, sizeof it->held - it->count);
    if (n < 0) return errno == EINTR || errno == EAGAIN ? 0 : errno;
    it->count += (size_t)n;
    it->ended = n == 0;
    return 0;
}
