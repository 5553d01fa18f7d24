/* SPDX-License-Identifier: MIT */
/* Whatever the address, its text means the same; whatever the text, nothing breaks. */
#include "base/addr.h"
#include "base/bits.h"
#include "harness.h"

#include <pier/addr.h>
#include <pier/error.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned short seed[3] = {0x7069, 0x6572, 2};

static uint32_t chance(uint32_t below) { return (uint32_t)nrand48(seed) % below; }

static void fill(void *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((unsigned char *)out)[i] = (unsigned char)(nrand48(seed) >> 7);
}

/* Both ways: as text and back, and as the kernel would hand it over. */
static void assert_stays(pier_addr a)
{
    assert_int_equal(a.error, 0);
    pier_text text = pier_addr_text(a);
    pier_addr b = pier_addr_parse(text.text, NULL);
    if (b.error != 0 || !pier_addr_equal(a, b)) fail_msg("%s is read back as another", text.text);
    if (a.sa.any.sa_family != AF_INET6) /* whose flow label is not in the text */
        assert_memory_equal(&a.sa, &b.sa, sizeof a.sa);
    assert_int_equal(a.length, b.length);
    assert_true(pier_addr_equal(a, pier__addr_from_sockaddr(&a.sa.any, a.length)));
    assert_true(pier_addr_equal(a, pier_addr_raw(&a.sa, a.length)));
}

TEST(every_ipv4_address_survives_its_text)
{
    for (int i = 0; i < 100000; i++) {
        uint32_t host;
        fill(&host, sizeof host);
        assert_stays(pier_inet_number(host, (int)chance(65536)));
    }
}

TEST(every_ipv6_address_survives_its_text)
{
    for (int i = 0; i < 100000; i++) {
        struct sockaddr_in6 sa = {
            .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)chance(65536))};
        fill(&sa.sin6_addr, sizeof sa.sin6_addr);
        for (int zeros = (int)chance(16); zeros > 0; zeros--) /* so that "::" comes everywhere */
            sa.sin6_addr.s6_addr[chance(16)] = 0;
        if (chance(8) == 0) memcpy(&sa.sin6_addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
        if (chance(2) == 0) fill(&sa.sin6_scope_id, sizeof sa.sin6_scope_id);
        if (chance(4) == 0) sa.sin6_flowinfo = htonl(chance(0x100000));
        assert_stays(pier_addr_raw(&sa, sizeof sa));
    }
}

/* Bytes of which many mean something in the text form, or are a part of UTF-8. */
static void fill_name(char *out, size_t n)
{
    static const char special[] = "\\@:x0[]%. \0\n\x7f\xc3\xa4\xe2\x80\xae\xf0\x9f\x9a\xa2";
    fill(out, n);
    for (size_t i = 0; i < n; i++) {
        if (chance(2) == 0) out[i] = special[chance(sizeof special - 1)];
    }
}

TEST(every_path_survives_its_text)
{
    for (int i = 0; i < 100000; i++) {
        char path[109] = "";
        size_t length = chance(109);
        fill_name(path, length);
        path[length] = '\0';
        if (strlen(path) > 107) {
            assert_int_equal(pier_unix(path).error, PIER_EPATHLEN);
        } else {
            assert_stays(pier_unix(path));
        }
    }
}

TEST(every_abstract_name_survives_its_text)
{
    for (int i = 0; i < 100000; i++) {
        char name[108];
        size_t length = chance(109);
        fill_name(name, length);
        if (length > 107) {
            assert_int_equal(pier_abstract(name, length).error, PIER_EPATHLEN);
        } else {
            assert_stays(pier_abstract(name, length));
        }
    }
}

TEST(every_vsock_address_survives_its_text)
{
    for (int i = 0; i < 100000; i++) {
        uint32_t cid = chance(4) == 0 ? UINT32_MAX - chance(3) : chance(UINT32_MAX);
        uint32_t port = chance(4) == 0 ? UINT32_MAX - chance(3) : chance(UINT32_MAX);
        assert_stays(pier_vsock(cid, port));
    }
}

/* An address, or one of the errors that the manual names. */
static bool assert_sane(const char *text, const pier_parse_opts *opts)
{
    static const int errors[] = {PIER_EADDRTEXT, PIER_EPORT, PIER_EHOSTTEXT, PIER_EIFNAMELEN,
        PIER_EPATHLEN, PIER_ENOTSTRICT, PIER_EIPTEXT, PIER_EAI_ADDRFAMILY};
    pier_addr a = pier_addr_parse(text, opts);
    pier_text again = pier_addr_text(a);
    if (a.error) {
        for (size_t i = 0; i < PIER_COUNT(errors); i++)
            if (errors[i] == a.error) return false;
        fail_msg("\"%s\" gives the strange error %d", text, a.error);
    }
    pier_addr b = pier_addr_parse(again.text, opts);
    if (!pier_addr_equal(a, b)) fail_msg("\"%s\" and \"%s\" differ", text, again.text);
    assert_string_equal(pier_addr_text(b).text, again.text);
    assert_true(a.pending ? a.length == 0 : a.length >= sizeof(sa_family_t));
    return true;
}

static pier_parse_opts random_opts(void)
{
    static const int families[] = {0, 0, 0, AF_INET, AF_INET6, AF_UNIX, AF_VSOCK};
    return (pier_parse_opts){.strict = chance(2) == 0,
        .numeric = chance(2) == 0,
        .family = families[chance(PIER_COUNT(families))]};
}

TEST(random_bytes_are_an_address_or_a_named_error)
{
    for (int i = 0; i < 100000; i++) {
        char text[64];
        size_t length = chance(sizeof text);
        fill(text, length);
        text[length] = '\0';
        pier_parse_opts opts = random_opts();
        (void)assert_sane(text, &opts);
    }
}

TEST(pieces_of_addresses_in_any_order_are_an_address_or_a_named_error)
{
    static const char *const pieces[] = {"[", "]", ":", "::", "::1", ".", "%", "eth0", "1", "127",
        "0x7f", "017", "256", "65535", "65536", "99999999999", "http", "example.com",
        "unix:", "vsock:", "any", "@", "\\x", "\\x40", "00", "ff", "/", " ", "-1", "<broadcast>",
        "fe80", "\xc3\xa4", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    int good = 0;
    for (int i = 0; i < 300000; i++) {
        char text[400] = "";
        for (uint32_t count = chance(9); count > 0; count--)
            strcat(text, pieces[chance(PIER_COUNT(pieces))]);
        pier_parse_opts opts = random_opts();
        good += assert_sane(text, &opts);
    }
    assert_true(good > 3000); /* else this test would look at errors only */
}

TEST(an_address_with_one_byte_changed_is_an_address_or_a_named_error)
{
    static const char *const forms[] = {"example.com:http", "127.0.0.1:80", "[::1]:80",
        "[fe80::1%eth0]:80", "[fe80::1%2]:80", ":12345", "unix:/run/x.sock", "unix:@name\\x00",
        "unix:", "vsock:2:1024", "<broadcast>:9"};
    for (size_t i = 0; i < PIER_COUNT(forms); i++) {
        size_t length = strlen(forms[i]);
        for (size_t at = 0; at < length; at++) {
            for (int byte = 0; byte < 256; byte++) {
                char text[64];
                memcpy(text, forms[i], length + 1);
                text[at] = (char)byte;
                (void)assert_sane(text, NULL);
            }
        }
    }
}

TEST(random_bytes_from_the_kernel_are_shown_and_equal_themselves)
{
    for (int i = 0; i < 100000; i++) {
        struct sockaddr_storage sa;
        fill(&sa, sizeof sa);
        sa.ss_family = (sa_family_t)chance(50);
        pier_addr a = pier__addr_from_sockaddr((struct sockaddr *)&sa, chance(200));
        assert_true(strlen(pier_addr_text(a).text) > 0);
        (void)pier_addr_host(a);
        (void)pier_addr_port(a);
        assert_true(pier_addr_equal(a, a));
        assert_true(pier_addr_equal(a, pier__addr_from_sockaddr(&a.sa.any, a.length)));
    }
}
