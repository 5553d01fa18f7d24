/* SPDX-License-Identifier: MIT */
#ifndef PIER_BASE_ADDR_TEXT_H
#define PIER_BASE_ADDR_TEXT_H

#include "base/text.h"

#include <pier/addr.h>

#include <stddef.h>

/* The pieces of an address's text. For this room only. */

/* At most 108 bytes; those that would not print, and the backslash, as \xHH. */
void pier__put_escaped(struct pier__text *t, const char *bytes, size_t length);

/* Bytes as "11:22:33". */
void pier__put_hex(struct pier__text *t, const void *bytes, size_t length);

/* An address of a family without a text form, for people to read. */
void pier__put_family(struct pier__text *t, const pier_addr *a);

/* The host of such an address, if it has one. */
void pier__put_family_host(struct pier__text *t, const pier_addr *a);

#endif
