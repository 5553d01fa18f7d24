/* SPDX-License-Identifier: MIT */
#ifndef PIER_BASE_ADDR_TEXT_H
#define PIER_BASE_ADDR_TEXT_H

#include <pier/addr.h>

#include <stddef.h>

/* Text that is written piece by piece into a room it cannot leave. For this room only. */
struct pier__writer {
    char *at;    /* where the NUL stands */
    size_t room; /* how many bytes there are from there, the NUL's included: at least 1 */
};

/* A piece, as by printf; cut off where the room ends. */
void pier__put(struct pier__writer *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Bytes; those that would not print, and the backslash, as \xHH. */
void pier__put_escaped(struct pier__writer *w, const char *bytes, size_t length);

/* Bytes as "11:22:33". */
void pier__put_hex(struct pier__writer *w, const void *bytes, size_t length);

/* An address of a family without a text form, for people to read. */
void pier__put_family(struct pier__writer *w, const pier_addr *a);

/* The host of such an address, if it has one. */
void pier__put_family_host(struct pier__writer *w, const pier_addr *a);

#endif
