/* SPDX-License-Identifier: MIT */
/* Text in room of a fixed size, and what other people's text may not do. */
#include "base/text.h"
#include "harness.h"

#include <string.h>

static char buf[64];

static const char *escaped(const char *s)
{
    struct pier__text t = pier__text_begin(buf, sizeof buf, 0);
    pier__text_escape(&t, s);
    assert_int_equal(t.used, strlen(buf));
    return buf;
}

/* A character that would play its tricks on the reader of this file. */
static const char *character(unsigned code)
{
    static char utf8[4];
    utf8[0] = (char)(0xe0 | code >> 12);
    utf8[1] = (char)(0x80 | (code >> 6 & 0x3f));
    utf8[2] = (char)(0x80 | (code & 0x3f));
    return utf8;
}

TEST(text_that_fits_is_kept_whole)
{
    struct pier__text t = pier__text_begin(buf, 8, 0);
    assert_string_equal(buf, "");
    pier__text_format(&t, "%d", 1234567);
    assert_string_equal(buf, "1234567");
    assert_false(t.cut);
}

TEST(text_that_does_not_fit_ends_in_dots)
{
    struct pier__text t = pier__text_begin(buf, 8, 0);
    pier__text_format(&t, "%d", 12345678);
    assert_string_equal(buf, "1234...");
    assert_true(t.cut);
    pier__text_format(&t, "x");
    pier__text_escape(&t, "x");
    pier__text_bytes(&t, "x", 1);
    assert_string_equal(buf, "1234...");
}

TEST(text_with_room_for_dots_only_is_dots)
{
    struct pier__text t = pier__text_begin(buf, 4, 0);
    pier__text_escape(&t, "abcd");
    assert_string_equal(buf, "...");
}

TEST(the_room_kept_back_is_there_after_a_cut)
{
    struct pier__text t = pier__text_begin(buf, 16, 8);
    pier__text_escape(&t, "a long story");
    assert_string_equal(buf, "a lo...");
    pier__text_more(&t, 8);
    pier__text_format(&t, ": moral");
    assert_string_equal(buf, "a lo...: moral");
}

TEST(a_cut_never_splits_a_character)
{
    struct pier__text t = pier__text_begin(buf, 8, 0);
    pier__text_escape(&t, "abc\u00fc\u00fc\u00fc");
    assert_string_equal(buf, "abc...");
    t = pier__text_begin(buf, 8, 0);
    pier__text_format(&t, "abc\u00fc%s", "\u00fc\u00fc");
    assert_string_equal(buf, "abc...");
}

TEST(control_bytes_are_escaped)
{
    assert_string_equal(escaped("a\033[2Jb\r\n\177"), "a\\x1b[2Jb\\x0d\\x0a\\x7f");
}

TEST(letters_of_any_script_are_left_alone)
{
    assert_string_equal(escaped("m\u00fcnchen"), "m\u00fcnchen");
    assert_string_equal(escaped("\u4f8b\u5b50"), "\u4f8b\u5b50");
    assert_string_equal(escaped("\U0001f40d"), "\U0001f40d");
}

TEST(characters_that_command_the_terminal_or_turn_the_text_are_escaped)
{
    assert_string_equal(escaped("\xc2\x9b[2J"), "\\xc2\\x9b[2J"); /* CSI in one character */
    assert_string_equal(escaped(character(0x202e)), "\\xe2\\x80\\xae");
    assert_string_equal(escaped(character(0x2066)), "\\xe2\\x81\\xa6");
    assert_string_equal(escaped("\xef\xbb\xbf"), "\\xef\\xbb\\xbf");
}

TEST(broken_utf8_is_escaped)
{
    assert_string_equal(escaped("\xc3"), "\\xc3");
    assert_string_equal(escaped("\x80z"), "\\x80z");
    assert_string_equal(escaped("\xe4\xbe"), "\\xe4\\xbe");
    assert_string_equal(escaped("\xc0\xaf"), "\\xc0\\xaf");                   /* overlong */
    assert_string_equal(escaped("\xe0\x80\xaf"), "\\xe0\\x80\\xaf");          /* overlong */
    assert_string_equal(escaped("\xf0\x82\x82\xac"), "\\xf0\\x82\\x82\\xac"); /* overlong */
    assert_string_equal(escaped("\xed\xa0\x80"), "\\xed\\xa0\\x80");          /* surrogate */
    assert_string_equal(escaped("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80"); /* above 10ffff */
    assert_string_equal(escaped("\xf5\x80\x80\x80"), "\\xf5\\x80\\x80\\x80");
    assert_string_equal(escaped("\xff"), "\\xff");
}

TEST(bytes_are_shown_as_in_c_source)
{
    struct pier__text t = pier__text_begin(buf, sizeof buf, 0);
    pier__text_bytes(&t, "a\r\n\t\"\\\0\x1b\xc3\xbc", 10);
    assert_string_equal(buf, "a\\r\\n\\t\\\"\\\\\\x00\\x1b\\xc3\\xbc");
}
