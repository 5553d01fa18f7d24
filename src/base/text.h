/* SPDX-License-Identifier: MIT */
#ifndef PIER_BASE_TEXT_H
#define PIER_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Text for people, written piece by piece into room of a fixed size. What does not fit is cut
 * off and ends in "..."; after a cut nothing is added until there is more room, so a
 * writer may keep some back for what must be read: pier__text_more().
 */
struct pier__text {
    char *buf;
    size_t size, used; /* used bytes and a NUL lie within size */
    bool cut;
};

/*
 * Begin in `size` bytes, of which the last `kept` wait for pier__text_more(). size - kept is
 * at least 4.
 */
struct pier__text pier__text_begin(char *buf, size_t size, size_t kept);

/* Open up `kept` more bytes. */
void pier__text_more(struct pier__text *t, size_t kept);

void pier__text_format(struct pier__text *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* How many bytes the printable UTF-8 character has that text begins with; 0 if with none. */
size_t pier__text_printable(const char *text);

/*
 * Text that somebody else chose: what is not printable (control bytes, broken UTF-8, the
 * characters that turn the direction of writing) is written as \xHH, so that it cannot play
 * with the reader's terminal.
 */
void pier__text_escape(struct pier__text *t, const char *s);

/* Bytes of a buffer as in C source, ASCII only: a\r\n\x00. */
void pier__text_bytes(struct pier__text *t, const void *bytes, size_t n);

#endif
