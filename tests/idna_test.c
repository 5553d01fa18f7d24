/* SPDX-License-Identifier: MIT */
#include "base/bits.h"
#include "harness.h"
#include "sock/idna.h"

#include <pier/error.h>

#include <string.h>

static void assert_encoded(const char *host, const char *to)
{
    char out[PIER__HOST_SIZE];
    assert_int_equal(pier__idna(host, out), 0);
    assert_string_equal(out, to);
}

static void assert_refused(const char *host, int code)
{
    char out[PIER__HOST_SIZE];
    assert_int_equal(pier__idna(host, out), code);
}

/* count times the text, and an end. */
static const char *repeat(const char *text, int count, const char *end)
{
    static char out[4096];
    out[0] = '\0';
    while (count-- > 0) {
        strcat(out, text);
    }
    return strcat(out, end);
}

TEST(ascii_names_pass_unchanged)
{
    static const char *const same[] = {"example.com", "Example.COM.", "under_score.test",
        "-x-.test", "xn--bcher-kva.test", "a", "*", "1.2.3.4", "a/b"};
    for (size_t i = 0; i < PIER_COUNT(same); i++) {
        assert_encoded(same[i], same[i]);
    }
}

TEST(other_names_become_a_labels)
{
    assert_encoded("b\u00fccher.example", "xn--bcher-kva.example");
    assert_encoded("B\u00dcCHER.example", "xn--bcher-kva.example");
    assert_encoded("bu\u0308cher.example", "xn--bcher-kva.example"); /* composed first */
    assert_encoded("fa\u00df.de", "xn--fa-hia.de");                  /* IDNA 2008, not 2003 */
    assert_encoded("\u65e5\u672c\u3002jp", "xn--wgv71a.jp");         /* an ideographic full stop */
    assert_encoded("\u00fc_x.de", "xn--_x-wka.de");
}

TEST(the_dot_at_the_end_stays)
{
    assert_encoded("example.com.", "example.com.");
    assert_encoded("\u00fc.", "xn--tda.");
    assert_encoded("\u00fc.de.", "xn--tda.de.");
    assert_encoded("\u00fc.de\u3002", "xn--tda.de.");
    assert_encoded("\u00fc\uff0e", "xn--tda.");
    assert_encoded("\u00fc\uff61", "xn--tda.");
}

TEST(text_that_is_not_strict_utf8_is_refused)
{
    static const char *const bad[] = {
        "b\xfcro.de",              /* Latin-1 */
        "\xc0\xaf.de",             /* overlong */
        "\xe0\x80\xaf.de",         /* overlong */
        "\xf0\x80\x80\xaf.de",     /* overlong */
        "\xed\xa0\x80.de",         /* a surrogate */
        "\xf4\x90\x80\x80.de",     /* above U+10FFFF */
        "\xf8\x88\x80\x80\x80.de", /* five bytes */
        "\x80.de",
        "a\xbf",
        "\xc3", /* a tail without a head, a head without a tail */
        "\xe2\x82",
        "\xf0\x9f\x98",
        "\xff",
        "\xfe.de",
    };
    for (size_t i = 0; i < PIER_COUNT(bad); i++) {
        assert_refused(bad[i], PIER_EAI_IDN_ENCODE);
    }
}

TEST(names_that_idna_forbids_are_refused)
{
    static const char *const bad[] = {
        "\u2603.net",      /* a snowman */
        "\u00fc\u200d.de", /* a joiner that joins nothing */
        "-\u00fc.de",
        "\u00fc-.de",
        "ab--\u00fc.de",
        "xn--a.\u00fc",
        "\u0308x.de",
        "\u00fc x.de",
        "\u00fc\x01.de",
    };
    for (size_t i = 0; i < PIER_COUNT(bad); i++) {
        assert_refused(bad[i], PIER_EAI_IDN_ENCODE);
    }
}

TEST(names_that_turn_into_addresses_are_refused)
{
    static const char *const bad[] = {
        "\uff11\uff12\uff17.0.0.1", /* full-width digits */
        "\u2460\u3002\u2461",       /* circled ones */
        "\uff1a\uff1a\uff11",       /* full-width colons */
        "0x7f.\uff11",
        "\u00b2",
        "a\uff0fb.de",
        "a\uff20b.de",
        "fe80\uff1a\uff1a1%\uff45",
    };
    for (size_t i = 0; i < PIER_COUNT(bad); i++) {
        assert_refused(bad[i], PIER_EAI_IDN_ENCODE);
    }
}

TEST(labels_have_at_most_63_bytes_and_names_253)
{
    assert_encoded(repeat("a", 63, ".de"), repeat("a", 63, ".de"));
    assert_refused(repeat("a", 64, ".de"), PIER_EHOSTTEXT);
    char name[300];
    strcpy(name, repeat("abcdefghi.", 25, "abc"));
    assert_int_equal(strlen(name), 253);
    assert_encoded(name, name);
    strcat(name, ".");
    assert_encoded(name, name);
    strcpy(name, repeat("abcdefghi.", 25, "abcd"));
    assert_refused(name, PIER_EHOSTTEXT);

    assert_refused(repeat("\u00fc", 64, ".de"), PIER_EHOSTTEXT);
    assert_refused(repeat("\u00fc.", 60, "de"), PIER_EHOSTTEXT);
    assert_refused(repeat("\u00fcbcdefghi.", 25, "de"), PIER_EHOSTTEXT);
    assert_refused(repeat("\u00fc", 1500, ""), PIER_EHOSTTEXT);
}

TEST(empty_labels_and_control_bytes_are_refused)
{
    static const char *const bad[] = {"", ".", "..", "a..b", ".a", "a..", "\u00fc..de", ".\u00fc",
        "\u00ad", "a\nb", "a\tb", "a b", "a\x7f", "\x01"};
    for (size_t i = 0; i < PIER_COUNT(bad); i++) {
        assert_refused(bad[i], PIER_EHOSTTEXT);
    }
}
