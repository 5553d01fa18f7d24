/* SPDX-License-Identifier: MIT */
#include "base/bits.h"
#include "harness.h"

#include <pier/error.h>
#include <pier/resolve.h>

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

TEST(numbers_change_their_order_and_must_fit)
{
    for (int64_t n = 0; n <= 0xffff; n += 257) {
        assert_int_equal(pier_htons(n), htons((uint16_t)n));
        assert_int_equal(pier_ntohs(pier_htons(n)), n);
    }
    assert_int_equal(pier_htons(0xffff), 0xffff);
    assert_int_equal(pier_ntohs(0xff00), htons(0xff00));
    assert_true(pier_htonl(0x01020304) == (int64_t)htonl(0x01020304));
    assert_true(pier_htonl(0xffffffff) == INT64_C(0xffffffff));
    assert_true(pier_ntohl(pier_htonl(0x80000001)) == INT64_C(0x80000001));

    static const int64_t bad[] = {-1, INT64_MIN, INT64_MAX, INT64_C(1) << 32, -65536};
    for (size_t i = 0; i < PIER_COUNT(bad); i++) {
        assert_int_equal(pier_htons(bad[i]), PIER_ERANGE);
        assert_int_equal(pier_ntohs(bad[i]), PIER_ERANGE);
        assert_int_equal(pier_htonl(bad[i]), PIER_ERANGE);
        assert_int_equal(pier_ntohl(bad[i]), PIER_ERANGE);
    }
    assert_int_equal(pier_htons(0x10000), PIER_ERANGE);
    assert_int_equal(pier_ntohs(0x10000), PIER_ERANGE);
}

TEST(inet_aton_takes_every_classic_form_and_nothing_after_it)
{
    static const struct {
        const char *text;
        uint32_t address;
    } good[] = {{"127.0.0.1", 0x7f000001}, {"127.1", 0x7f000001}, {"0x7f.1", 0x7f000001},
        {"0177.0.0.01", 0x7f000001}, {"2130706433", 0x7f000001}, {"1.2.772", 0x01020304},
        {"255.255.255.255", 0xffffffff}, {"0", 0}};
    struct in_addr out;
    for (size_t i = 0; i < PIER_COUNT(good); i++) {
        assert_int_equal(pier_inet_aton(good[i].text, &out), 0);
        assert_int_equal(ntohl(out.s_addr), good[i].address);
    }
    static const char *const bad[] = {"", "1.2.3.4 x", "1.2.3.4 ", "256.1.1.1", "1.2.3.4.5", "08",
        "1..2", ".1", "1.", "a", "::1", "4294967296", "-1"};
    out.s_addr = 42;
    for (size_t i = 0; i < PIER_COUNT(bad); i++) {
        assert_int_equal(pier_inet_aton(bad[i], &out), PIER_EIPTEXT);
    }
    assert_int_equal(out.s_addr, 42);
    assert_int_equal(pier_inet_aton(NULL, &out), -EINVAL);
    assert_int_equal(pier_inet_aton("1", NULL), -EINVAL);
}

TEST(inet_ntoa_prints_four_numbers)
{
    assert_string_equal(pier_inet_ntoa((struct in_addr){htonl(0x7f000001)}).text, "127.0.0.1");
    assert_string_equal(pier_inet_ntoa((struct in_addr){0xffffffff}).text, "255.255.255.255");
    assert_string_equal(pier_inet_ntoa((struct in_addr){0}).text, "0.0.0.0");
}

TEST(inet_pton_and_ntop_lead_to_each_other)
{
    static const struct {
        int family;
        const char *text;
    } good[] = {{AF_INET, "0.0.0.0"}, {AF_INET, "255.255.255.255"}, {AF_INET, "10.20.30.40"},
        {AF_INET6, "::"}, {AF_INET6, "::1"}, {AF_INET6, "1:2:3:4:5:6:7:8"},
        {AF_INET6, "2001:db8::ff00:42:8329"}, {AF_INET6, "::ffff:127.0.0.1"}, {AF_INET6, "1::"}};
    for (size_t i = 0; i < PIER_COUNT(good); i++) {
        unsigned char ours[16] = {0}, theirs[16] = {0};
        char text[64];
        assert_int_equal(pier_inet_pton(good[i].family, good[i].text, ours), 0);
        assert_int_equal(inet_pton(good[i].family, good[i].text, theirs), 1);
        assert_memory_equal(ours, theirs, sizeof ours);
        size_t length = good[i].family == AF_INET ? 4 : 16;
        assert_int_equal(
            pier_inet_ntop(good[i].family, ours, length, text, sizeof text), strlen(good[i].text));
        assert_string_equal(text, good[i].text);
    }
}

TEST(inet_pton_takes_the_strict_form_alone)
{
    static const char *const bad4[] = {
        "127.1", "0x7f.0.0.1", "01.2.3.4", "1.2.3.4 ", " 1.2.3.4", "", "::1", "256.1.1.1"};
    static const char *const bad6[] = {"1.2.3.4", "", ":", ":::", "1::2::3",
        "12345::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "::1%1", "fe80::1%lo", "::1 ", "[::1]"};
    unsigned char out[16];
    memset(out, 7, sizeof out);
    for (size_t i = 0; i < PIER_COUNT(bad4); i++) {
        assert_int_equal(pier_inet_pton(AF_INET, bad4[i], out), PIER_EIPTEXT);
    }
    for (size_t i = 0; i < PIER_COUNT(bad6); i++) {
        assert_int_equal(pier_inet_pton(AF_INET6, bad6[i], out), PIER_EIPTEXT);
    }
    assert_int_equal(pier_inet_pton(AF_UNIX, "127.0.0.1", out), -EAFNOSUPPORT);
    assert_int_equal(pier_inet_pton(AF_INET, NULL, out), -EINVAL);
    assert_int_equal(pier_inet_pton(AF_INET, "1.2.3.4", NULL), -EINVAL);
    for (size_t i = 0; i < sizeof out; i++) {
        assert_int_equal(out[i], 7);
    }
}

TEST(inet_ntop_takes_the_right_length_alone)
{
    unsigned char bytes[16] = {127, 0, 0, 1};
    char text[64] = "untouched";
    assert_int_equal(pier_inet_ntop(AF_INET, bytes, 16, text, sizeof text), PIER_EPACKED);
    assert_int_equal(pier_inet_ntop(AF_INET, bytes, 3, text, sizeof text), PIER_EPACKED);
    assert_int_equal(pier_inet_ntop(AF_INET6, bytes, 4, text, sizeof text), PIER_EPACKED);
    assert_int_equal(pier_inet_ntop(AF_UNIX, bytes, 4, text, sizeof text), -EAFNOSUPPORT);
    assert_int_equal(pier_inet_ntop(AF_INET, bytes, 4, text, 9), -ENOSPC);
    assert_int_equal(pier_inet_ntop(AF_INET, NULL, 4, text, sizeof text), -EINVAL);
    assert_int_equal(pier_inet_ntop(AF_INET, bytes, 4, NULL, 64), -EINVAL);
    assert_string_equal(text, "untouched");
    assert_int_equal(pier_inet_ntop(AF_INET, bytes, 4, text, 10), 9);
    assert_string_equal(text, "127.0.0.1");
}
