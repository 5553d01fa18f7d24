/* SPDX-License-Identifier: MIT */
#include "base/seam.h"
#include "harness.h"
#include "sock/buffer.h"

#include <pier/net.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct pier__entry entry;

static void put(const void *bytes, size_t n)
{
    for (size_t at = 0; at < n;) {
        size_t room;
        char *into = pier__buffer_reserve(&entry, &room);
        assert_non_null(into);
        assert_true(room > 0);
        if (room > n - at) room = n - at;
        memcpy(into, (const char *)bytes + at, room);
        pier__buffer_commit(&entry, room);
        at += room;
    }
}

/* The pattern byte of a place in the stream. */
static char byte_at(size_t at) { return (char)(at * 31 + at / 251); }

static void put_pattern(size_t from, size_t n)
{
    char *bytes = malloc(n);
    assert_non_null(bytes);
    for (size_t i = 0; i < n; i++)
        bytes[i] = byte_at(from + i);
    put(bytes, n);
    free(bytes);
}

static void forget(void)
{
    pier__buffer_free(&entry);
    free(entry.buffer);
    entry.buffer = NULL;
}

TEST(nothing_is_buffered_at_first)
{
    char byte;
    assert_int_equal(pier__buffer_pending(&entry), 0);
    assert_int_equal(pier__buffer_drain(&entry, &byte, 1, 0), 0);
    pier__buffer_free(&entry);
    pier__buffer_after_fork(&entry);
    assert_null(entry.buffer);
}

TEST(bytes_leave_in_the_order_in_which_they_came)
{
    char buf[10] = "";
    put("hello ", 6);
    put("world", 5);
    assert_true(pier__special(&entry) & PIER__HAS_BUFFER);
    assert_int_equal(pier__buffer_drain(&entry, buf, 8, 0), 8);
    assert_memory_equal(buf, "hello wo", 8);
    assert_int_equal(pier__buffer_pending(&entry), 3);
    assert_int_equal(pier__buffer_drain(&entry, buf, 10, 0), 3);
    assert_memory_equal(buf, "rld", 3);
    assert_false(pier__special(&entry) & PIER__HAS_BUFFER);
    forget();
}

TEST(peeking_leaves_the_bytes)
{
    char buf[4] = "";
    put("abc", 3);
    assert_int_equal(pier__buffer_drain(&entry, buf, 2, MSG_PEEK), 2);
    assert_int_equal(pier__buffer_drain(&entry, buf, 4, MSG_PEEK), 3);
    assert_memory_equal(buf, "abc", 3);
    assert_int_equal(pier__buffer_pending(&entry), 3);
    forget();
}

TEST(it_grows_to_the_longest_line_and_no_further)
{
    put_pattern(0, PIER_LINE_MAX);
    assert_int_equal(pier__buffer_pending(&entry), PIER_LINE_MAX);
    size_t room = 1;
    assert_null(pier__buffer_reserve(&entry, &room));
    assert_int_equal(room, 0);
    static char all[PIER_LINE_MAX];
    assert_int_equal(pier__buffer_drain(&entry, all, sizeof all, 0), PIER_LINE_MAX);
    for (size_t i = 0; i < sizeof all; i++)
        assert_int_equal(all[i], byte_at(i));
    forget();
}

TEST(it_shrinks_when_the_stream_slows_down)
{
    static char all[PIER_LINE_MAX];
    size_t room;
    put_pattern(0, PIER_LINE_MAX);
    assert_int_equal(pier__buffer_drain(&entry, all, sizeof all, 0), PIER_LINE_MAX);
    put("x", 1);
    assert_int_equal(pier__buffer_drain(&entry, all, sizeof all, 0), 1);
    assert_non_null(pier__buffer_reserve(&entry, &room));
    assert_int_equal(room, 4096);
    pier__buffer_commit(&entry, 0);
    forget();
}

TEST(any_mix_of_puts_and_takes_keeps_the_stream)
{
    static char buf[9000];
    size_t in = 0, out = 0;
    srand(7);
    while (out < 2000000) {
        size_t n = 1 + (size_t)rand() % (rand() % 4 ? 100 : 9000);
        if (in - out + n <= PIER_LINE_MAX) put_pattern(in, n), in += n;
        ssize_t got = pier__buffer_drain(&entry, buf, 1 + (size_t)rand() % 9000, 0);
        assert_true(got >= 0);
        for (size_t i = 0; i < (size_t)got; i++)
            assert_int_equal(buf[i], byte_at(out + i));
        out += (size_t)got;
        assert_int_equal(pier__buffer_pending(&entry), in - out);
    }
    forget();
}

TEST(a_delimiter_is_found_across_parts)
{
    char buf[100] = "";
    struct pier__search search = {.delimiter = "\r\n\r\n", .length = 4, .limit = sizeof buf};
    static const char *const parts[] = {"a", "\r", "\n", "\r\r\n", "\r"};
    assert_int_equal(pier__buffer_take(&entry, &search, buf), 0);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        put(parts[i], strlen(parts[i]));
        assert_int_equal(pier__buffer_take(&entry, &search, buf), 0);
    }
    put("\nrest", 5);
    assert_int_equal(pier__buffer_take(&entry, &search, buf), 8);
    assert_memory_equal(buf, "a\r\n\r\r\n\r\n", 8);
    assert_int_equal(pier__buffer_pending(&entry), 4);
    forget();
}

TEST(a_record_over_the_limit_is_refused_and_kept)
{
    char buf[8] = "";
    struct pier__search search = {.delimiter = "\n", .length = 1, .limit = 4};
    put("abc", 3);
    assert_int_equal(pier__buffer_take(&entry, &search, buf), 0);
    put("d\n", 2);
    assert_int_equal(pier__buffer_take(&entry, &search, buf), -EMSGSIZE);
    assert_int_equal(pier__buffer_pending(&entry), 5);
    search.limit = 5;
    search.seen = 0;
    assert_int_equal(pier__buffer_take(&entry, &search, buf), 5);
    search.limit = 0;
    assert_int_equal(pier__buffer_take(&entry, &search, buf), -EMSGSIZE);
    forget();
}

TEST(a_search_survives_that_others_take_bytes)
{
    char buf[8] = "";
    struct pier__search search = {.delimiter = "\n", .length = 1, .limit = 8};
    put("abcdef", 6);
    assert_int_equal(pier__buffer_take(&entry, &search, buf), 0);
    assert_int_equal(pier__buffer_drain(&entry, buf, 5, 0), 5);
    put("\n", 1);
    assert_int_equal(pier__buffer_take(&entry, &search, buf), 2);
    assert_memory_equal(buf, "f\n", 2);
    assert_int_equal(pier__buffer_drain(&entry, buf, 5, 0), 0);
    put("\n", 1);
    assert_int_equal(pier__buffer_take(&entry, &search, buf), 1);
    forget();
}

static size_t allowed; /* how many more allocations succeed */

static void *allocate_few(void *old, size_t size)
{
    return allowed && allowed-- ? pier__seam_system.allocate(old, size) : NULL;
}

TEST(without_memory_it_keeps_what_it_has)
{
    struct pier__seam seam = pier__seam_system;
    seam.allocate = allocate_few;
    pier__seam = &seam;
    size_t room = 0;
    assert_null(pier__buffer_reserve(&entry, &room));
    allowed = 1;
    assert_null(pier__buffer_reserve(&entry, &room));
    pier__buffer_commit(&entry, 0);
    allowed = 1;
    put_pattern(0, 4095);
    assert_non_null(pier__buffer_reserve(&entry, &room)); /* no larger one, but one byte of this */
    assert_int_equal(room, 1);
    pier__buffer_commit(&entry, 0);
    assert_int_equal(pier__buffer_pending(&entry), 4095);
    char buf[10];
    assert_int_equal(pier__buffer_drain(&entry, buf, 10, 0), 10);
    assert_non_null(pier__buffer_reserve(&entry, &room));
    assert_int_equal(room, 11);
    pier__buffer_commit(&entry, 0);
    assert_int_equal(pier__buffer_drain(&entry, buf, 1, 0), 1);
    assert_int_equal(buf[0], byte_at(10));
    pier__seam = &pier__seam_system;
    forget();
}

#define STREAM 3000000

static void *fill_slowly(void *unused)
{
    (void)unused;
    for (size_t at = 0; at < STREAM;) {
        size_t room;
        char *into = pier__buffer_reserve(&entry, &room);
        if (!into) continue;
        if (room > STREAM - at) room = STREAM - at;
        if (at % 3) room = (room + 1) / 2;
        for (size_t i = 0; i < room; i++)
            into[i] = byte_at(at + i);
        pier__buffer_commit(&entry, room);
        at += room;
    }
    return NULL;
}

TEST(another_thread_may_drain_while_one_fills)
{
    static char buf[5000];
    pthread_t filler = test_thread(fill_slowly, NULL);
    for (size_t out = 0; out < STREAM;) {
        ssize_t n = pier__buffer_drain(&entry, buf, sizeof buf, 0);
        for (size_t i = 0; i < (size_t)n; i++)
            if (buf[i] != byte_at(out + i)) fail();
        out += (size_t)n;
    }
    test_join(filler);
    forget();
}
