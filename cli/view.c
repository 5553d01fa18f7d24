/* SPDX-License-Identifier: MIT */
/*
 * What stdout shows of a conversation: the bytes that come, as they are or with the line ends of
 * this system; or all that passes, either way, in hexadecimal. One piece is never torn by another.
 */
#include "cli.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROW = 16, ROW_TEXT = 84, PIECE = 1024 };

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static bool held_cr;       /* a CR came last, and it is not known yet what follows */
static uint64_t passed[2]; /* bytes shown in hexadecimal, of each direction */

/* "< 00000010  68 65 6c 6c 6f 0a                                 hello." */
static size_t format_row(char *to, char mark, uint64_t offset, const unsigned char *from, size_t n)
{
    int used = snprintf(to, ROW_TEXT, "%c %08jx ", mark, (uintmax_t)offset);
    for (size_t i = 0; i < ROW; i++) {
        const char *gap = i == ROW / 2 ? "  " : " ";
        used += i < n ? snprintf(to + used, ROW_TEXT - (size_t)used, "%s%02x", gap, from[i])
                      : snprintf(to + used, ROW_TEXT - (size_t)used, "%s  ", gap);
    }
    used += snprintf(to + used, ROW_TEXT - (size_t)used, "  ");
    for (size_t i = 0; i < n; i++)
        to[used++] = from[i] >= ' ' && from[i] < 0x7f ? (char)from[i] : '.';
    to[used++] = '\n';
    return (size_t)used;
}

static int show_hex(char mark, const unsigned char *from, size_t n)
{
    char text[ROW_TEXT * (PIECE / ROW)];
    uint64_t *offset = &passed[mark == '>'];
    while (n > 0) {
        size_t used = 0;
        for (size_t i = 0; i < PIECE / ROW && n > 0; i++) {
            size_t part = n < ROW ? n : ROW;
            used += format_row(text + used, mark, *offset, from, part);
            *offset += part;
            from += part;
            n -= part;
        }
        int err = write_all(STDOUT_FILENO, text, used);
        if (err != 0) return err;
    }
    return 0;
}

/* CR LF becomes LF. */
static int show_lines(const char *from, size_t n)
{
    char text[2 * PIECE];
    while (n > 0) {
        size_t used = 0;
        for (size_t i = 0; i < PIECE && n > 0; i++, from++, n--) {
            if (held_cr && *from != '\n') text[used++] = '\r';
            held_cr = *from == '\r';
            if (!held_cr) text[used++] = *from;
        }
        int err = used > 0 ? put(text, used) : 0;
        if (err != 0) return err;
    }
    return 0;
}

int view_came(const struct talk *how, const void *bytes, size_t n)
{
    pthread_mutex_lock(&one_at_a_time);
    int err = how->hex     ? show_hex('<', bytes, n)
              : how->lines ? show_lines(bytes, n)
              : n > 0      ? put(bytes, n)
                           : 0;
    /* A datagram, or what one of many clients said, stands for itself. */
    if (err == 0 && !how->hex && (how->datagrams || how->many)) {
        if (how->datagrams && how->lines) err = put("\n", 1);
        if (err == 0) err = put(NULL, 0);
    }
    pthread_mutex_unlock(&one_at_a_time);
    return err;
}

int view_went(const struct talk *how, const void *bytes, size_t n)
{
    if (!how->hex) return 0;
    pthread_mutex_lock(&one_at_a_time);
    int err = show_hex('>', bytes, n);
    pthread_mutex_unlock(&one_at_a_time);
    return err;
}

int view_end(void)
{
    pthread_mutex_lock(&one_at_a_time);
    int err = held_cr ? put("\r", 1) : 0;
    held_cr = false;
    if (err == 0) err = put(NULL, 0);
    pthread_mutex_unlock(&one_at_a_time);
    return err;
}
