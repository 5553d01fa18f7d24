/* SPDX-License-Identifier: MIT */
#ifndef PIER_SOCK_OPTION_H
#define PIER_SOCK_OPTION_H

#include <pier/option.h>

/* What the option verbs share. None of these records a failure or traces. */

/*
 * Read an option of a descriptor. *length is the room, and becomes how much of it was written,
 * never more. Returns 0 or a code; *length is unchanged then.
 */
int pier__getsockopt(int fd, int level, int name, void *value, socklen_t *length);

/*
 * The number in an option's bytes, of the length that the kernel gave: 0, PIER_ERANGE, or
 * PIER_EOPTLEN if it is none.
 */
int pier__option_int(const void *value, socklen_t length, int64_t *out);

/* The first option of the table with this level and number, or NULL. */
const pier_option *pier__option_at(int level, int number);

/*
 * Record that `verb` ("setsockopt") failed for the option of this name on s, and return the code.
 */
int pier__option_failed(const char *verb, int s, const char *option, int64_t code);

#endif
