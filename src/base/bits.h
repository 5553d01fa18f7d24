/* SPDX-License-Identifier: MIT */
#ifndef PIER_BASE_BITS_H
#define PIER_BASE_BITS_H

/* Small things that C lacks. */

#include <stdbool.h>
#include <stddef.h>

/* Branches whose usual way is known. */
#define PIER_LIKELY(x)   __builtin_expect(!!(x), 1)
#define PIER_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* For variables on the hot path: reached directly, not through the global offset table. */
#define PIER_HIDDEN __attribute__((visibility("hidden")))

/* For functions that shall be one with all that they call, where the compiler knows it. */
#define PIER_FLAT __attribute__((flatten))

#define PIER_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define PIER_CONTAINER_OF(pointer, type, member) \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

static inline size_t pier__at_most(size_t n, size_t most) { return n < most ? n : most; }

/* The value of a hexadecimal digit, or -1. */
static inline int pier__hex(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* Are all n bytes zero? For the reserved tails of options structs. */
static inline bool pier__is_zero(const void *p, size_t n)
{
    const unsigned char *bytes = p;
    unsigned char any = 0;
    for (size_t i = 0; i < n; i++) { /* to the end, and so several at a time */
        any = (unsigned char)(any | bytes[i]);
    }
    return any == 0;
}

#endif
