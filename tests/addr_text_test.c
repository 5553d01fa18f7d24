/* SPDX-License-Identifier: MIT */
/* The text form of addresses, read and written. */
#include "base/addr.h"
#include "base/bits.h"
#include "harness.h"

#include <pier/addr.h>
#include <pier/error.h>

#include <errno.h>
#include <linux/vm_sockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pier_addr parse(const char *text) { return pier_addr_parse(text, NULL); }

static int code(const char *text) { return parse(text).error; }

static int code_for(const char *text, int family)
{
    return pier_addr_parse(text, &(pier_parse_opts){.family = family}).error;
}

static void assert_text(pier_addr a, const char *text)
{
    assert_int_equal(a.error, 0);
    assert_string_equal(pier_addr_text(a).text, text);
}

static void assert_host(pier_addr a, const char *host)
{
    assert_string_equal(pier_addr_host(a).text, host);
}

/* Text that comes back as it is, and says the same again. */
static void assert_round(const char *text)
{
    pier_addr a = parse(text);
    assert_text(a, text);
    assert_true(pier_addr_equal(a, parse(pier_addr_text(a).text)));
}

TEST(the_forms_of_the_manual_are_read_and_printed_back)
{
    static const char *const forms[] = {"example.com:http", "127.0.0.1:80", "[::1]:80",
        "[fe80::1%eth0]:80", "[fe80::1%2]:80", ":12345", "unix:/run/x.sock", "unix:@name",
        "unix:", "vsock:2:1024"};
    for (size_t i = 0; i < PIER_COUNT(forms); i++)
        assert_round(forms[i]);
    assert_text(parse("<broadcast>:9"), "255.255.255.255:9");
}

TEST(what_is_printed_is_the_one_way_to_write_it)
{
    assert_text(parse("127.1:0080"), "127.0.0.1:80");
    assert_text(parse("[0:0:0:0:0:0:0:1]:00"), "[::1]:0");
    assert_text(parse("[2001:DB8:0:0:1:0:0:1]:1"), "[2001:db8::1:0:0:1]:1");
    assert_text(parse("[::ffff:7f00:1]:1"), "[::ffff:127.0.0.1]:1");
    assert_text(parse("[::1%0]:1"), "[::1]:1");
    assert_text(parse("vsock:4294967295:0007"), "vsock:any:7");
    assert_text(parse("unix:\\x2frun\\x2Fx"), "unix:/run/x");
}

/* Ports and services. */

TEST(a_port_is_digits_up_to_65535)
{
    assert_int_equal(pier_addr_port(parse("h:0")), 0);
    assert_int_equal(pier_addr_port(parse("h:65535")), 65535);
    assert_int_equal(pier_addr_port(parse("h:08")), 8);
    assert_int_equal(pier_addr_port(parse("h:000000000000000000000000000000000000080")), 80);
    assert_int_equal(code("h:65536"), PIER_EPORT);
    assert_int_equal(code("h:99999"), PIER_EPORT);
    assert_int_equal(code("h:99999999999"), PIER_EPORT);
    assert_int_equal(code("h:18446744073709551696"), PIER_EPORT); /* 2^64 + 80 */
    assert_int_equal(code("h:4294967376"), PIER_EPORT);           /* 2^32 + 80 */
}

TEST(what_is_nearly_a_port_is_no_service)
{
    static const char *const bad[] = {"-1", "+80", " 80", "80 ", "80abc", "0x50", "8_0", "80.0",
        "\xd9\xa8", "\t80", "80\n", "*", "-", "_http"};
    for (size_t i = 0; i < PIER_COUNT(bad); i++) {
        char text[64];
        snprintf(text, sizeof text, "h:%s", bad[i]);
        assert_int_equal(code(text), PIER_EPORT);
        snprintf(text, sizeof text, ":%s", bad[i]);
        assert_int_equal(code(text), PIER_EPORT);
        snprintf(text, sizeof text, "[::1]:%s", bad[i]);
        assert_int_equal(code(text), PIER_EPORT);
    }
}

TEST(a_service_waits_as_text)
{
    pier_addr a = parse("127.0.0.1:http");
    assert_int_equal(a.pending, PIER_ADDR_SERVICE);
    assert_string_equal(a.service, "http");
    assert_int_equal(a.length, 0);
    assert_int_equal(pier_addr_port(a), PIER_EUNRESOLVED);
    assert_host(a, "127.0.0.1");
    assert_round("127.0.0.1:http");
    assert_round("[::1]:whois++");
    assert_round("[::1%3]:ftp-data");
    assert_round(":http");
    assert_int_equal(parse(":http").pending, PIER_ADDR_ANY | PIER_ADDR_SERVICE);
    assert_int_equal(parse("h:http").pending, PIER_ADDR_HOST | PIER_ADDR_SERVICE);
}

TEST(a_service_is_graphic_ascii_that_fits)
{
    assert_int_equal(code("h:ht tp"), PIER_EADDRTEXT);
    assert_int_equal(code("h:http\n"), PIER_EADDRTEXT);
    assert_int_equal(code("h:htt\xc3\xa4"), PIER_EADDRTEXT);
    assert_round("h:abcdefghijklmnopqrstuvwxyzabcde");
    assert_int_equal(code("h:abcdefghijklmnopqrstuvwxyzabcdef"), PIER_EADDRTEXT);
}

TEST(the_port_is_never_left_out)
{
    static const char *const bad[] = {"", ":", "h", "80", "h:", "127.0.0.1", "127.0.0.1:", "[::1]",
        "[::1]:", "example.com", "/run/x.sock", "unix", "vsock", "@name"};
    for (size_t i = 0; i < PIER_COUNT(bad); i++)
        assert_int_equal(code(bad[i]), PIER_EADDRTEXT);
}

/* Brackets. */

TEST(brackets_stand_round_ipv6_and_nothing_else)
{
    static const char *const bad[] = {"[1.2.3.4]:80", "[example.com]:80", "[]:80", "[::1:80",
        "[::1]80", "[::1] :80", "[::1]x:80", "[[::1]]:80", "[::1]]:80", "[::1]:80:", "[", "[]",
        "[:", "]:80:", "::1:80", "::1", "::", "fe80::1%eth0:80", "a:b:c", "http://h:80", "h:80:"};
    for (size_t i = 0; i < PIER_COUNT(bad); i++)
        assert_int_equal(code(bad[i]), PIER_EADDRTEXT);
    assert_int_equal(code("]:80"), PIER_EHOSTTEXT);
    assert_int_equal(code("::1]:80"), PIER_EADDRTEXT);
    assert_int_equal(code("[1::2::3]:80"), PIER_EIPTEXT);
    assert_int_equal(code("[::1%]:80"), PIER_EIPTEXT);
    assert_int_equal(code("[fe80::1%abcdefghijklmnop]:80"), PIER_EIFNAMELEN);
}

TEST(a_scope_by_number_is_complete_and_by_name_is_not)
{
    pier_addr a = parse("[fe80::1%2]:80");
    assert_int_equal(a.pending, 0);
    assert_int_equal(a.sa.inet6.sin6_scope_id, 2);
    assert_host(a, "fe80::1%2");
    a = parse("[fe80::1%eth0]:80");
    assert_int_equal(a.pending, PIER_ADDR_HOST);
    assert_string_equal(a.host, "fe80::1%eth0");
    assert_int_equal(pier_addr_family(a), AF_INET6);
    assert_int_equal(pier_addr_port(a), 80);
}

/* Hosts. */

TEST(a_name_may_be_of_either_family)
{
    pier_addr a = parse("example.com:80");
    assert_int_equal(pier_addr_family(a), AF_UNSPEC);
    assert_int_equal(a.pending, PIER_ADDR_HOST);
    assert_int_equal(pier_addr_port(a), 80);
    assert_host(a, "example.com");
    assert_int_equal(pier__addr_check(&a), PIER_EUNRESOLVED);
}

TEST(no_host_is_any_address_of_either_family)
{
    pier_addr a = parse(":12345");
    assert_int_equal(pier_addr_family(a), AF_UNSPEC);
    assert_int_equal(a.pending, PIER_ADDR_ANY);
    assert_int_equal(pier_addr_port(a), 12345);
    assert_host(a, "");
}

TEST(a_bad_host_is_named)
{
    assert_int_equal(code("a..b:80"), PIER_EHOSTTEXT);
    assert_int_equal(code("a b:80"), PIER_EHOSTTEXT);
    assert_int_equal(code(" :80"), PIER_EHOSTTEXT);
    assert_int_equal(code("a\n:80"), PIER_EHOSTTEXT);
    assert_int_equal(code("256.1.1.1:80"), PIER_EIPTEXT);
    assert_int_equal(code("1.2.3.4.5:80"), PIER_EIPTEXT);
    assert_int_equal(code("a..b:99999"), PIER_EHOSTTEXT); /* the first fault */
}

TEST(a_host_of_hundreds_of_bytes_is_refused)
{
    char text[1200];
    memset(text, 'a', sizeof text);
    for (size_t length = 64; length < 1100; length++) {
        memcpy(text + length, ":80", 4);
        assert_int_equal(code(text), PIER_EHOSTTEXT);
        text[length] = text[length + 1] = text[length + 2] = text[length + 3] = 'a';
    }
    text[0] = '[';
    text[1] = ':';
    memcpy(text + 1000, "]:80", 5);
    assert_int_equal(code(text), PIER_EHOSTTEXT);
}

TEST(the_longest_name_and_service_fit_the_text)
{
    char text[300] = "";
    for (int i = 0; i < 126; i++)
        strcat(text, "a.");
    strcat(text, "b.:abcdefghijklmnopqrstuvwxyzabcde");
    assert_round(text);
}

/* Options. */

TEST(strict_takes_four_decimal_numbers_only)
{
    static const char *const classic[] = {"127.1:1", "0177.0.0.1:1", "0x7f.0.0.1:1", "127.0.0.01:1",
        "127.0.0.1.:1", "2130706433:1", "0:1"};
    const pier_parse_opts strict = {.strict = true};
    for (size_t i = 0; i < PIER_COUNT(classic); i++) {
        int expected = strstr(classic[i], ".:") ? PIER_EIPTEXT : PIER_ENOTSTRICT;
        assert_int_equal(pier_addr_parse(classic[i], &strict).error, expected);
    }
    assert_int_equal(pier_addr_parse("256.1.1.1:1", &strict).error, PIER_EIPTEXT);
    assert_text(pier_addr_parse("127.0.0.1:1", &strict), "127.0.0.1:1");
    assert_text(pier_addr_parse("example.com:1", &strict), "example.com:1");
    assert_text(pier_addr_parse("[::1]:1", &strict), "[::1]:1");
}

TEST(numeric_takes_nothing_that_needs_a_look_up)
{
    static const char *const names[] = {
        "example.com:1", "127.0.0.1:http", "[fe80::1%eth0]:80", ":http"};
    const pier_parse_opts numeric = {.numeric = true};
    for (size_t i = 0; i < PIER_COUNT(names); i++)
        assert_int_equal(pier_addr_parse(names[i], &numeric).error, PIER_EIPTEXT);
    assert_text(pier_addr_parse("127.1:1", &numeric), "127.0.0.1:1");
    assert_text(pier_addr_parse("[fe80::1%2]:80", &numeric), "[fe80::1%2]:80");
    assert_text(pier_addr_parse("unix:/x", &numeric), "unix:/x");
    assert_int_equal(pier_addr_parse(":80", &numeric).pending, PIER_ADDR_ANY);
}

TEST(a_family_takes_no_other)
{
    assert_int_equal(code_for("[::1]:80", AF_INET), PIER_EAI_ADDRFAMILY);
    assert_int_equal(code_for("[fe80::1%eth0]:80", AF_INET), PIER_EAI_ADDRFAMILY);
    assert_int_equal(code_for("127.0.0.1:80", AF_INET6), PIER_EAI_ADDRFAMILY);
    assert_int_equal(code_for("<broadcast>:80", AF_INET6), PIER_EAI_ADDRFAMILY);
    assert_int_equal(code_for("unix:/x", AF_INET), PIER_EAI_ADDRFAMILY);
    assert_int_equal(code_for("vsock:1:2", AF_INET6), PIER_EAI_ADDRFAMILY);
    assert_int_equal(code_for("127.0.0.1:80", AF_UNIX), PIER_EAI_ADDRFAMILY);
    assert_int_equal(code_for("example.com:80", AF_UNIX), PIER_EAI_ADDRFAMILY);
    assert_int_equal(code_for(":80", AF_UNIX), PIER_EAI_ADDRFAMILY);
    assert_int_equal(code_for("/run/x.sock", AF_UNIX), PIER_EADDRTEXT);
    assert_int_equal(code_for("unix:/x", AF_UNIX), 0);
    assert_int_equal(code_for("vsock:1:2", AF_VSOCK), 0);
    assert_int_equal(code_for("127.0.0.1:80", AF_INET), 0);
    assert_int_equal(code_for("[::1]:80", AF_INET6), 0);
}

TEST(a_family_settles_any_address_at_once)
{
    pier_addr a = pier_addr_parse(":80", &(pier_parse_opts){.family = AF_INET});
    assert_text(a, "0.0.0.0:80");
    assert_int_equal(a.pending, 0);
    a = pier_addr_parse(":80", &(pier_parse_opts){.family = AF_INET6});
    assert_text(a, "[::]:80");
    assert_int_equal(a.pending, 0);
    a = pier_addr_parse(":http", &(pier_parse_opts){.family = AF_INET6});
    assert_text(a, "[::]:http");
    assert_int_equal(a.pending, PIER_ADDR_SERVICE);
}

TEST(a_family_stays_with_a_name)
{
    pier_addr a = pier_addr_parse("example.com:80", &(pier_parse_opts){.family = AF_INET6});
    assert_int_equal(a.pending, PIER_ADDR_HOST);
    assert_int_equal(pier_addr_family(a), AF_INET6);
    assert_text(a, "example.com:80");
}

TEST(options_that_mean_nothing_are_refused)
{
    assert_int_equal(pier_addr_parse(NULL, NULL).error, -EINVAL);
    assert_int_equal(pier_addr_parse(NULL, &(pier_parse_opts){0}).error, -EINVAL);
    assert_int_equal(code_for(":80", AF_NETLINK), -EINVAL);
    assert_int_equal(code_for(":80", -1), -EINVAL);
    assert_int_equal(code_for(":80", 65536 + AF_INET), -EINVAL);
    assert_int_equal(
        pier_addr_parse(":80", &(pier_parse_opts){.reserved = {0, 0, 0, 1}}).error, -EINVAL);
}

/* Unix. */

TEST(a_path_may_hold_everything_but_nul)
{
    assert_round("unix:/run/with space:and [colons]");
    assert_round("unix:relative");
    assert_round("unix:\xc3\xa4.sock");
    assert_text(pier_unix("/a\nb\x1b[31m\xff\\"), "unix:/a\\x0ab\\x1b[31m\\xff\\x5c");
    assert_text(pier_unix("@x"), "unix:\\x40x");
    assert_text(pier_unix("x@y"), "unix:x@y");
    assert_true(pier_addr_equal(parse("unix:\\x40x"), pier_unix("@x")));
    assert_int_equal(code("unix:/a\\x00b"), PIER_EADDRTEXT);
    assert_int_equal(code("unix:\\x00"), PIER_EADDRTEXT);
}

TEST(an_abstract_name_may_hold_every_byte)
{
    assert_text(pier_abstract("a\0b", 3), "unix:@a\\x00b");
    assert_text(pier_abstract("@", 1), "unix:@@");
    assert_text(pier_abstract("", 0), "unix:@");
    assert_true(pier_addr_equal(parse("unix:@a\\x00b"), pier_abstract("a\0b", 3)));
    assert_true(pier_addr_equal(parse("unix:@"), pier_abstract("", 0)));
    assert_true(pier_addr_equal(parse("unix:"), pier_unix("")));
}

TEST(a_character_cut_off_at_the_end_is_escaped)
{
    assert_text(pier_abstract("\xc3\xa4", 1), "unix:@\\xc3");
    assert_text(pier_abstract("\xc3\0", 2), "unix:@\\xc3\\x00");
    char path[109] = "";
    memset(path, 'x', 107);
    path[106] = '\xc3';
    char text[200];
    snprintf(text, sizeof text, "unix:%.106s\\xc3", path);
    assert_text(pier_unix(path), text);
}

TEST(a_malformed_escape_is_an_error)
{
    static const char *const bad[] = {
        "\\", "\\x", "\\x4", "\\xg0", "\\x0g", "\\n", "\\\\", "\\X40", "a\\", "@\\"};
    for (size_t i = 0; i < PIER_COUNT(bad); i++) {
        char text[32];
        snprintf(text, sizeof text, "unix:%s", bad[i]);
        assert_int_equal(code(text), PIER_EADDRTEXT);
    }
}

TEST(a_unix_name_of_107_bytes_is_the_longest)
{
    char text[1024] = "unix:";
    memset(text + 5, 'x', 107);
    assert_round(text);
    text[5 + 107] = 'x';
    assert_int_equal(code(text), PIER_EPATHLEN);
    memset(text, 0, sizeof text);
    strcpy(text, "unix:@");
    memset(text + 6, 'x', 107);
    assert_round(text);
    text[6 + 107] = 'x';
    assert_int_equal(code(text), PIER_EPATHLEN);
    memset(text + 6, 'x', 900);
    assert_int_equal(code(text), PIER_EPATHLEN);
    text[906] = '\\';
    assert_int_equal(code(text), PIER_EADDRTEXT);
}

TEST(the_longest_escapes_fit_the_text)
{
    char name[107];
    memset(name, 0xff, sizeof name);
    pier_addr a = pier_abstract(name, sizeof name);
    assert_int_equal(strlen(pier_addr_text(a).text), strlen("unix:@") + 4 * sizeof name);
    assert_true(pier_addr_equal(a, parse(pier_addr_text(a).text)));
}

/* vsock. */

TEST(vsock_is_two_numbers_or_any)
{
    assert_true(pier_addr_equal(parse("vsock:2:1024"), pier_vsock(2, 1024)));
    assert_true(
        pier_addr_equal(parse("vsock:any:any"), pier_vsock(VMADDR_CID_ANY, VMADDR_PORT_ANY)));
    assert_round("vsock:any:1024");
    assert_round("vsock:0:0");
    assert_round("vsock:4294967294:4294967294");
    assert_host(parse("vsock:any:1"), "any");
    assert_host(parse("vsock:3:1"), "3");
    static const char *const bad[] = {"vsock:", "vsock:2", "vsock:2:", "vsock::2", "vsock:-1:2",
        "vsock:2:-1", "vsock:4294967296:1", "vsock:1:4294967296", "vsock:1:2:3", "vsock:x:1",
        "vsock:1:x", "vsock: 1:2", "vsock:1: 2", "vsock:0x2:1", "vsock:ANY:1",
        "vsock:99999999999999999999:1"};
    for (size_t i = 0; i < PIER_COUNT(bad); i++)
        assert_int_equal(code(bad[i]), PIER_EADDRTEXT);
}

/* Printing. */

TEST(an_error_is_printed_as_its_sentence)
{
    char text[512];
    snprintf(text, sizeof text, "(%s)", pier_strerror(PIER_EPORT));
    assert_string_equal(pier_addr_text(pier_inet("h", -1)).text, text);
    assert_host(pier_inet("h", -1), "");
    snprintf(text, sizeof text, "(%s)", pier_strerror(-ECONNREFUSED));
    assert_string_equal(pier_addr_text(pier_addr_failed(-ECONNREFUSED)).text, text);
}

TEST(text_that_stands_for_nothing_is_not_read_as_an_address)
{
    pier_addr none;
    memset(&none, 0, sizeof none);
    assert_true(code(pier_addr_text(none).text) < 0);
    assert_true(code(pier_addr_text(pier_inet("h", -1)).text) < 0);
    assert_true(code(pier_addr_text(pier_netlink(1, 2)).text) < 0);
    assert_true(code(pier_addr_text(pier_sco("1:2:3:4:5:6")).text) < 0);
    assert_true(code(pier_addr_text(pier_addr_raw("\x2c\0\xaa\xbb", 4)).text) < 0);
    assert_true(code(pier_addr_text(pier_addr_raw("\x09\0a:b", 6)).text) < 0);
    assert_int_equal(code("x25(a:b)"), PIER_EHOSTTEXT);
}

TEST(the_host_alone_is_printed_without_brackets)
{
    assert_host(pier_inet("127.0.0.1", 80), "127.0.0.1");
    assert_host(pier_inet6("::1", 80), "::1");
    assert_host(pier_inet6("fe80::1%2", 80), "fe80::1%2");
    assert_host(pier_inet6("fe80::1%eth0", 80), "fe80::1%eth0");
    assert_host(pier_inet("example.com", 80), "example.com");
    assert_host(pier_unix("/run/x"), "/run/x");
    assert_host(pier_abstract("a\0", 2), "@a\\x00");
    assert_host(pier_unix(""), "");
    assert_host(pier_netlink(1, 2), "");
    assert_host(pier_packet("lo", 0, 0, 0, NULL, 0), "lo");
}

TEST(raw_bytes_are_printed_into_any_room)
{
    pier_addr a = pier_inet("127.0.0.1", 80);
    char buf[64];
    pier__addr_print(&a.sa.any, a.length, buf, sizeof buf);
    assert_string_equal(buf, "127.0.0.1:80");
    pier__addr_print(&a.sa.any, 0, buf, sizeof buf);
    assert_string_equal(buf, "(none)");
    for (size_t size = 4; size < sizeof buf; size++) {
        memset(buf, 'X', sizeof buf);
        pier__addr_print(&a.sa.any, a.length, buf, size);
        assert_true(strlen(buf) < size);
        for (size_t i = size; i < sizeof buf; i++)
            assert_int_equal(buf[i], 'X');
    }
    pier__addr_print(&a.sa.any, a.length, buf, 10);
    assert_string_equal(buf, "127.0....");
}
