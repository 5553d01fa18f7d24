/* SPDX-License-Identifier: MIT */
/* IP addresses as text. */
#include "base/bits.h"
#include "base/inet.h"
#include "harness.h"

#include <pier/error.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const texts[] = {"0.0.0.0", "1.2.3.4", "255.255.255.255", "256.1.1.1", "1.2.3",
    "1.2", "1", "", ".", "..", "...", "1.", "1..2", ".1", "1.2.3.4.", "1.2.3.4.5", "01.2.3.4",
    "1.2.3.04", "00.0.0.0", "0x1.2.3.4", "0X1F.1", "0x", "0xg", "0x.1", "08", "07", "018.1",
    "1.2.3.256", "1.2.65535", "1.2.65536", "1.16777215", "1.16777216", "4294967295", "4294967296",
    "0xffffffff", "0x100000000", "037777777777", "040000000000", "99999999999999999999999", "-1",
    "+1", " 1", "1 ", "1.2.3.4 ", "1.2.3.4 x", "1.2.3.4\n", "1.2.3.4x", "a", "1.2.3.a", "1,2",
    "0x1.0x2.0x3.0x4", "00000000000000000000001", "1e3"};

TEST(strict_agrees_with_inet_pton)
{
    for (size_t i = 0; i < PIER_COUNT(texts); i++) {
        struct in_addr ours = {0}, theirs = {0};
        bool valid = inet_pton(AF_INET, texts[i], &theirs) == 1;
        assert_int_equal(pier__inet_strict(texts[i], &ours), valid ? 0 : PIER_EIPTEXT);
        assert_int_equal(ours.s_addr, theirs.s_addr);
    }
}

TEST(loose_agrees_with_inet_aton_but_for_what_follows)
{
    for (size_t i = 0; i < PIER_COUNT(texts); i++) {
        struct in_addr ours = {0}, theirs = {0};
        bool valid = inet_aton(texts[i], &theirs) == 1 && !strpbrk(texts[i], " \n");
        assert_int_equal(pier__inet_loose(texts[i], &ours), valid ? 0 : PIER_EIPTEXT);
        if (valid) assert_int_equal(ours.s_addr, theirs.s_addr);
    }
}

TEST(every_address_ends_in_a_number)
{
    for (size_t i = 0; i < PIER_COUNT(texts); i++) {
        struct in_addr ours;
        if (pier__inet_loose(texts[i], &ours) == 0)
            assert_true(pier__inet_ends_in_number(texts[i]));
    }
    static const char *const numbers[] = {"1.2.3.4.5", "a.1", "a.1.", "0x", "a.0xF", "09"};
    for (size_t i = 0; i < PIER_COUNT(numbers); i++)
        assert_true(pier__inet_ends_in_number(numbers[i]));
    static const char *const others[] = {
        "", ".", "..", "1..", "a", "1.a", "0xg", "1e3", "-1", "x1"};
    for (size_t i = 0; i < PIER_COUNT(others); i++)
        assert_false(pier__inet_ends_in_number(others[i]));
}

TEST(random_texts_mean_what_they_mean_to_the_system)
{
    unsigned short seed[3] = {1, 2, 3};
    static const char alphabet[] = "0123456789012345678901234567890123456789..........xXaf: ";
    for (int round = 0; round < 300000; round++) {
        char text[20];
        size_t length = (size_t)nrand48(seed) % sizeof text;
        for (size_t i = 0; i < length; i++)
            text[i] = alphabet[(size_t)nrand48(seed) % (sizeof alphabet - 1)];
        text[length] = '\0';

        struct in_addr ours = {0}, theirs = {0};
        bool valid = inet_pton(AF_INET, text, &theirs) == 1;
        assert_int_equal(pier__inet_strict(text, &ours), valid ? 0 : PIER_EIPTEXT);
        assert_int_equal(ours.s_addr, theirs.s_addr);

        valid = !strchr(text, ' ') && inet_aton(text, &theirs) == 1;
        assert_int_equal(pier__inet_loose(text, &ours), valid ? 0 : PIER_EIPTEXT);
        if (valid) assert_int_equal(ours.s_addr, theirs.s_addr);
    }
}

TEST(what_is_refused_leaves_the_output_alone)
{
    struct in_addr v4 = {7};
    struct in6_addr v6 = {{{7}}};
    uint32_t scope = 7;
    bool named = true;
    assert_int_equal(pier__inet_strict("1.2.3", &v4), PIER_EIPTEXT);
    assert_int_equal(pier__inet_loose("1.2.3.4.5", &v4), PIER_EIPTEXT);
    assert_int_equal(v4.s_addr, 7);
    assert_int_equal(pier__inet6_parse("::1%", &v6, &scope, &named), PIER_EIPTEXT);
    assert_int_equal(pier__inet6_parse("::x", &v6, &scope, &named), PIER_EIPTEXT);
    assert_int_equal(v6.s6_addr[0] + scope + named, 15);
}

TEST(scopes_are_numbers_or_names)
{
    static const struct {
        const char *text;
        int result;
        uint32_t scope;
        bool named;
    } rows[] = {{"::1", 0, 0, false}, {"::1%1", 0, 1, false},
        {"::1%4294967295", 0, UINT32_MAX, false}, {"::1%4294967296", PIER_EIPTEXT, 0, false},
        {"::1%18446744073709551617", PIER_EIPTEXT, 0, false}, {"::1%eth0", 0, 0, true},
        {"::1%2a", 0, 0, true}, {"::1%99999999999eth", 0, 0, true}, {"::1%-1", 0, 0, true},
        {"::1%", PIER_EIPTEXT, 0, false}, {"%1", PIER_EIPTEXT, 0, false},
        {"::1%a\x7f", PIER_EIPTEXT, 0, false}, {"::1%abcdefghijklmno", 0, 0, true},
        {"::1%abcdefghijklmnop", PIER_EIFNAMELEN, 0, false}};
    for (size_t i = 0; i < PIER_COUNT(rows); i++) {
        struct in6_addr address;
        uint32_t scope = 0;
        bool named = false;
        assert_int_equal(pier__inet6_parse(rows[i].text, &address, &scope, &named), rows[i].result);
        assert_int_equal(scope, rows[i].scope);
        assert_int_equal(named, rows[i].named);
    }
}

TEST(the_longest_address_and_scope_are_printed_whole)
{
    struct in6_addr address;
    memset(&address, 0xff, sizeof address);
    char text[64];
    pier__inet6_print(&address, UINT32_MAX, text);
    assert_string_equal(text, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295");
    char quad[16];
    pier__inet_print((struct in_addr){UINT32_MAX}, quad);
    assert_string_equal(quad, "255.255.255.255");
}
