/* SPDX-License-Identifier: MIT */
#ifndef PIER_BASE_BITS_H
#define PIER_BASE_BITS_H

/* Small things that C lacks. */

#include <stddef.h>

/* Branches whose usual way is known. */
#define PIER_LIKELY(x)   __builtin_expect(!!(x), 1)
#define PIER_UNLIKELY(x) __builtin_expect(!!(x), 0)

#define PIER_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define PIER_CONTAINER_OF(pointer, type, member) \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#endif
