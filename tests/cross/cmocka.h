/* SPDX-License-Identifier: MIT */
/*
 * A stand-in for <cmocka.h> where there is none for the processor, as tools/aarch64.sh finds it:
 * the asserts that the tests it builds use. Those that fail say so and abort, which the runner
 * turns into a failed test.
 */
#ifndef PIER_TESTS_CROSS_CMOCKA_H
#define PIER_TESTS_CROSS_CMOCKA_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define fail_msg(...)      (fprintf(stderr, __VA_ARGS__), (void)fputc('\n', stderr), abort())
#define assert_true(x)     ((x) ? (void)0 : fail_msg("%s:%d: %s", __FILE__, __LINE__, #x))
#define assert_false(x)    assert_true(!(x))
#define assert_non_null(x) assert_true((x) != NULL)
#define assert_null(x)     assert_true((x) == NULL)
#define assert_int_equal(a, b) \
    cross_equal((uintmax_t)(a), (uintmax_t)(b), __FILE__, __LINE__, #a " == " #b)
#define assert_ptr_equal(a, b) \
    assert_true((const void *)(uintptr_t)(a) == (const void *)(uintptr_t)(b))
#define assert_memory_equal(a, b, n) assert_true(memcmp((a), (b), (n)) == 0)
#define print_error(...)             ((void)fprintf(stderr, __VA_ARGS__))
#define assert_string_equal(a, b)    assert_true(strcmp((a), (b)) == 0)
#define assert_in_range(x, least, most) \
    assert_true((uintmax_t)(x) >= (uintmax_t)(least) && (uintmax_t)(x) <= (uintmax_t)(most))

static inline void cross_equal(
    uintmax_t a, uintmax_t b, const char *file, int line, const char *what)
{
    if (a != b) fail_msg("%s:%d: %s: %lld, %lld", file, line, what, (long long)a, (long long)b);
}

#endif
