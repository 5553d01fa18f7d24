/* SPDX-License-Identifier: MIT */
/* Addresses as values: IP, Unix, vsock, raw bytes; comparing and asking. */
#include "base/addr.h"
#include "base/bits.h"
#include "harness.h"

#include <pier/addr.h>
#include <pier/error.h>

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <linux/qrtr.h>
#include <linux/vm_sockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Is the address complete, made of these bytes ("02000050…"), and zero all round them? */
static void assert_bytes(pier_addr a, const char *hex)
{
    char seen[2 * sizeof a.sa + 1] = "";
    assert_int_equal(a.error, 0);
    assert_int_equal(a.pending, 0);
    for (size_t i = 0; i < a.length; i++)
        sprintf(seen + 2 * i, "%02x", ((unsigned char *)&a.sa)[i]);
    assert_string_equal(seen, hex);
    assert_true(pier__is_zero((char *)&a.sa + a.length, sizeof a.sa - a.length));
    assert_true(pier__is_zero(a.host, sizeof a.host));
    assert_true(pier__is_zero(a.service, sizeof a.service));
    assert_int_equal(pier__addr_check(&a), 0);
}

/* Does the address carry this error, and nothing else? */
static void assert_error(pier_addr a, int code)
{
    assert_int_equal(a.error, code);
    a.error = 0;
    assert_true(pier__is_zero(&a, sizeof a));
}

static char *repeat(const char *piece, size_t count)
{
    static char text[2048];
    text[0] = '\0';
    for (size_t i = 0; i < count; i++)
        strcat(text, piece);
    return text;
}

/* IPv4. */

TEST(inet_makes_the_bytes_of_a_dotted_quad)
{
    assert_bytes(pier_inet("127.0.0.1", 80), "020000507f0000010000000000000000");
    assert_bytes(pier_inet("255.255.255.255", 65535), "0200ffffffffffff0000000000000000");
}

TEST(inet_takes_the_classic_forms)
{
    assert_bytes(pier_inet("127.1", 1), "020000017f0000010000000000000000");
    assert_bytes(pier_inet("0x7f.1", 1), "020000017f0000010000000000000000");
    assert_bytes(pier_inet("0177.0.0.01", 1), "020000017f0000010000000000000000");
    assert_bytes(pier_inet("2130706433", 1), "020000017f0000010000000000000000");
    assert_bytes(pier_inet("0", 1), "02000001000000000000000000000000");
}

TEST(an_empty_host_is_any_address_and_broadcast_is_all_ones)
{
    assert_bytes(pier_inet("", 12345), "02003039000000000000000000000000");
    assert_bytes(pier_inet("<broadcast>", 9), "02000009ffffffff0000000000000000");
    assert_bytes(pier_inet6("", 0), "0a000000000000000000000000000000000000000000000000000000");
    assert_error(pier_inet6("<broadcast>", 9), PIER_EAI_ADDRFAMILY);
}

TEST(inet_number_is_in_host_order)
{
    assert_bytes(pier_inet_number(0x7f000001, 80), "020000507f0000010000000000000000");
    assert_error(pier_inet_number(1, 65536), PIER_EPORT);
}

TEST(a_port_is_refused_and_never_cut)
{
    assert_error(pier_inet("127.0.0.1", -1), PIER_EPORT);
    assert_error(pier_inet("127.0.0.1", 65536), PIER_EPORT);
    assert_error(pier_inet("127.0.0.1", INT_MAX), PIER_EPORT);
    assert_error(pier_inet6("::1", INT_MIN), PIER_EPORT);
    assert_error(pier_rds("127.0.0.1", 65536), PIER_EPORT);
}

TEST(no_host_is_an_error_and_no_crash)
{
    assert_error(pier_inet(NULL, 80), -EINVAL);
    assert_error(pier_inet6(NULL, 80), -EINVAL);
    assert_error(pier_inet6_scoped(NULL, 80, 0, 0), -EINVAL);
    assert_error(pier_rds(NULL, 80), -EINVAL);
    assert_error(pier_unix(NULL), -EINVAL);
    assert_error(pier_abstract(NULL, 1), -EINVAL);
}

TEST(a_literal_of_the_other_family_is_told_apart_from_a_name)
{
    assert_error(pier_inet("::1", 80), PIER_EAI_ADDRFAMILY);
    assert_error(pier_inet("fe80::1%eth0", 80), PIER_EAI_ADDRFAMILY);
    assert_error(pier_inet("::ffff:1.2.3.4", 80), PIER_EAI_ADDRFAMILY);
    assert_error(pier_inet6("127.0.0.1", 80), PIER_EAI_ADDRFAMILY);
    assert_error(pier_inet6("127.1", 80), PIER_EAI_ADDRFAMILY);
}

TEST(rds_has_the_addresses_of_inet)
{
    assert_bytes(pier_rds("10.0.0.1", 18634), "020048ca0a0000010000000000000000");
    assert_int_equal(pier_addr_family(pier_rds("10.0.0.1", 1)), AF_INET);
}

/* Names. */

TEST(a_name_stays_text_until_it_is_looked_up)
{
    pier_addr a = pier_inet("example.com", 80);
    assert_int_equal(a.error, 0);
    assert_int_equal(a.pending, PIER_ADDR_HOST);
    assert_int_equal(a.length, 0);
    assert_string_equal(a.host, "example.com");
    assert_int_equal(pier_addr_family(a), AF_INET);
    assert_int_equal(pier_addr_port(a), 80);
    assert_int_equal(pier__addr_check(&a), PIER_EUNRESOLVED);
    a = pier_inet6("example.com", 81);
    assert_int_equal(a.pending, PIER_ADDR_HOST);
    assert_int_equal(pier_addr_family(a), AF_INET6);
    assert_int_equal(pier_addr_port(a), 81);
}

TEST(names_of_every_shape_a_resolver_may_know_pass)
{
    static const char *const good[] = {"a", "localhost", "example.com.", "_sip._tcp.example.com",
        "xn--bcher-kva.example", "\xc3\xbc.example", "1und1.de", "1.2.3.4.in-addr.arpa",
        "my_host-1", "0x1g", "a.0x1g", "1.2.3.4a", "-", "<any>"};
    for (size_t i = 0; i < PIER_COUNT(good); i++) {
        pier_addr a = pier_inet(good[i], 1);
        assert_int_equal(a.error, 0);
        assert_int_equal(a.pending, PIER_ADDR_HOST);
        assert_string_equal(a.host, good[i]);
    }
}

TEST(a_host_that_ends_in_a_number_is_no_name)
{
    static const char *const bad[] = {"256.1.1.1", "1.2.3.4.5", "1.2.3.", "1.2.3.4.", "1..2",
        "1.2.3.256", "08", "1.2.3.08", "0x", "0x100000000", "4294967296", "foo.1", "a.0x7f",
        "1.65536.1", "1.2.65536", "1.16777216", "99999999999999999999", ".1"};
    for (size_t i = 0; i < PIER_COUNT(bad); i++) {
        assert_error(pier_inet(bad[i], 1), PIER_EIPTEXT);
        assert_error(pier_inet6(bad[i], 1), PIER_EIPTEXT);
    }
}

TEST(a_host_with_a_colon_is_ipv6_or_wrong)
{
    static const char *const bad[] = {":", ":::", "1::2::3", "1:2:3:4:5:6:7",
        "12345::", "1:2:3:4:5:6:7:8:9", "[::1]", "::1]", "::g", "::1 ", " ::1", "::1.2.3",
        "::1.2.3.4.5", "::256.1.1.1", "localhost:80", "127.0.0.1:80", "::1%", "::1%%", "::1%a b",
        "::1%a/b", "::1%eth0]", "::1%4294967296", "fe80::1%a%b"};
    for (size_t i = 0; i < PIER_COUNT(bad); i++) {
        assert_error(pier_inet6(bad[i], 1), PIER_EIPTEXT);
        assert_error(pier_inet(bad[i], 1), PIER_EIPTEXT);
    }
    assert_error(pier_inet6("fe80::1%abcdefghijklmnop", 1), PIER_EIFNAMELEN);
}

TEST(hosts_that_no_resolver_could_know_are_refused)
{
    static const char *const bad[] = {".", "..", ".a", "a..b", "a..", " ", "a b", "a\tb", "a\n",
        "\x7f", "a\x01", "[a]", "a]", "(a)", "a(", "http://"};
    for (size_t i = 0; i < PIER_COUNT(bad) - 1; i++)
        assert_error(pier_inet(bad[i], 1), PIER_EHOSTTEXT);
    assert_error(pier_inet("http://x", 1), PIER_EIPTEXT); /* the colon */
}

TEST(a_label_has_at_most_63_bytes_and_a_name_253)
{
    char label[128];
    snprintf(label, sizeof label, "%s", repeat("a", 63));
    assert_int_equal(pier_inet(label, 1).error, 0);
    strcat(label, "a");
    assert_error(pier_inet(label, 1), PIER_EHOSTTEXT);
    strcat(label, ".com");
    assert_error(pier_inet(label, 1), PIER_EHOSTTEXT);

    char name[300];
    snprintf(name, sizeof name, "%sb", repeat("a.", 126));
    assert_int_equal(strlen(name), 253);
    assert_int_equal(pier_inet(name, 1).error, 0);
    strcat(name, ".");
    assert_int_equal(pier_inet(name, 1).error, 0);
    assert_string_equal(pier_inet(name, 1).host, name);
    snprintf(name, sizeof name, "%sbb", repeat("a.", 126));
    assert_error(pier_inet(name, 1), PIER_EHOSTTEXT);
    assert_error(pier_inet(repeat("a.", 1000), 1), PIER_EHOSTTEXT);
}

TEST(names_beyond_ascii_are_measured_by_the_look_up)
{
    char name[300];
    snprintf(name, sizeof name, "%s", repeat("\xc3\xa4", 40)); /* 80 bytes, but 45 encoded */
    assert_int_equal(pier_inet(name, 1).error, 0);
    snprintf(name, sizeof name, "%sa", repeat("\xc3\xa4", 127));
    assert_int_equal(pier_inet(name, 1).error, 0);
    assert_error(pier_inet(repeat("\xc3\xa4", 128), 1), PIER_EHOSTTEXT);
}

/* IPv6. */

TEST(inet6_makes_the_bytes_of_a_literal)
{
    assert_bytes(pier_inet6("::1", 80), "0a000050000000000000000000000000000000000000000100000000");
    assert_bytes(pier_inet6("2001:DB8::1.2.3.4", 1),
        "0a0000010000000020010db80000000000000000010203040"
        "0000000");
}

TEST(flow_labels_and_scopes_go_where_they_belong)
{
    assert_bytes(pier_inet6_scoped("fe80::1", 80, 0xfffff, 2), "0a000050000fffff"
                                                               "fe800000000000000000000000000001"
                                                               "02000000");
    assert_error(pier_inet6_scoped("::1", 80, 0x100000, 0), PIER_EFLOWINFO);
}

TEST(a_numeric_scope_in_the_text_needs_no_look_up)
{
    assert_bytes(pier_inet6("fe80::1%2", 80), "0a00005000000000"
                                              "fe800000000000000000000000000001"
                                              "02000000");
    assert_int_equal(pier_inet6("fe80::1%4294967295", 1).sa.inet6.sin6_scope_id, UINT32_MAX);
    assert_int_equal(pier_inet6("fe80::1%0", 1).sa.inet6.sin6_scope_id, 0);
    assert_int_equal(pier_inet6("::1%007", 1).sa.inet6.sin6_scope_id, 7);
}

TEST(a_scope_in_the_text_wins_only_over_no_scope)
{
    assert_int_equal(pier_inet6_scoped("fe80::1%2", 1, 0, 0).sa.inet6.sin6_scope_id, 2);
    assert_int_equal(pier_inet6_scoped("fe80::1%2", 1, 0, 5).sa.inet6.sin6_scope_id, 5);
}

TEST(a_named_scope_waits_with_the_whole_text)
{
    pier_addr a = pier_inet6("fe80::1%eth0", 80);
    assert_int_equal(a.error, 0);
    assert_int_equal(a.pending, PIER_ADDR_HOST);
    assert_string_equal(a.host, "fe80::1%eth0");
    assert_int_equal(a.length, 0);
    a = pier_inet6("1111:2222:3333:4444:5555:6666:255.255.255.255%abcdefghijklmno", 80);
    assert_int_equal(a.pending, PIER_ADDR_HOST);
    assert_string_equal(a.host, "1111:2222:3333:4444:5555:6666:255.255.255.255%abcdefghijklmno");
}

/* What the resolver's room does with a pending address. */

static struct sockaddr *answer4(const char *host)
{
    static struct sockaddr_in sa;
    sa = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(7)};
    assert_int_equal(inet_pton(AF_INET, host, &sa.sin_addr), 1);
    return (struct sockaddr *)&sa;
}

static struct sockaddr *answer6(const char *host, uint32_t scope)
{
    static struct sockaddr_in6 sa;
    sa = (struct sockaddr_in6){.sin6_family = AF_INET6,
        .sin6_port = htons(7),
        .sin6_flowinfo = htonl(9),
        .sin6_scope_id = scope};
    assert_int_equal(inet_pton(AF_INET6, host, &sa.sin6_addr), 1);
    return (struct sockaddr *)&sa;
}

TEST(an_answer_completes_a_name_and_keeps_its_port)
{
    pier_addr a = pier_inet("example.com", 80);
    assert_int_equal(pier__addr_set_host(&a, answer4("1.2.3.4")), 0);
    assert_bytes(a, "02000050010203040000000000000000");
    a = pier_addr_parse("example.com:80", NULL);
    assert_int_equal(pier__addr_set_host(&a, answer6("fe80::1", 3)), 0);
    assert_bytes(a, "0a00005000000000"
                    "fe800000000000000000000000000001"
                    "03000000");
    a = pier_addr_parse(":80", NULL);
    assert_int_equal(pier__addr_set_host(&a, answer6("::", 0)), 0);
    assert_string_equal(pier_addr_text(a).text, "[::]:80");
}

TEST(an_answer_leaves_flow_label_and_numeric_scope_alone)
{
    pier_addr a = pier_inet6_scoped("example.com", 80, 5, 6);
    assert_int_equal(a.pending, PIER_ADDR_HOST);
    assert_int_equal(pier__addr_set_host(&a, answer6("fe80::1", 3)), 0);
    assert_bytes(a, "0a00005000000005"
                    "fe800000000000000000000000000001"
                    "06000000");
}

TEST(an_answer_of_the_wrong_family_is_refused_and_changes_nothing)
{
    pier_addr a = pier_inet("example.com", 80), before = a;
    assert_int_equal(pier__addr_set_host(&a, answer6("::1", 0)), PIER_EAI_ADDRFAMILY);
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    assert_int_equal(pier__addr_set_host(&a, (struct sockaddr *)&sun), PIER_EAI_ADDRFAMILY);
    assert_true(pier_addr_equal(a, before));
    a = pier_inet("1.2.3.4", 80);
    assert_int_equal(pier__addr_set_host(&a, answer4("1.2.3.5")), PIER_EFAMILY);
}

TEST(host_and_service_are_filled_in_either_order)
{
    pier_addr a = pier_addr_parse("example.com:http", NULL);
    assert_int_equal(pier_addr_port(a), PIER_EUNRESOLVED);
    assert_int_equal(pier__addr_set_host(&a, answer4("1.2.3.4")), 0);
    assert_int_equal(a.pending, PIER_ADDR_SERVICE);
    assert_int_equal(a.length, 0);
    assert_string_equal(pier_addr_text(a).text, "1.2.3.4:http");
    assert_int_equal(pier__addr_set_port(&a, 80), 0);
    assert_bytes(a, "02000050010203040000000000000000");

    a = pier_addr_parse("example.com:http", NULL);
    assert_int_equal(pier__addr_set_port(&a, 80), 0);
    assert_int_equal(a.pending, PIER_ADDR_HOST);
    assert_string_equal(pier_addr_text(a).text, "example.com:80");
    assert_int_equal(pier__addr_set_host(&a, answer4("1.2.3.4")), 0);
    assert_bytes(a, "02000050010203040000000000000000");
}

TEST(a_port_is_set_where_there_is_one)
{
    pier_addr a = pier_inet6("::1", 0);
    assert_int_equal(pier__addr_set_port(&a, 8080), 0);
    assert_int_equal(pier_addr_port(a), 8080);
    assert_int_equal(pier__addr_set_port(&a, 65536), PIER_EPORT);
    assert_int_equal(pier__addr_set_port(&a, -1), PIER_EPORT);
    assert_int_equal(pier_addr_port(a), 8080);
    a = pier_unix("/x");
    assert_int_equal(pier__addr_set_port(&a, 1), PIER_EFAMILY);
    memset(&a, 0, sizeof a);
    assert_int_equal(pier__addr_set_port(&a, 1), PIER_EFAMILY);
    a = pier_addr_failed(-EPERM);
    assert_int_equal(pier__addr_set_port(&a, 1), PIER_EFAMILY);
}

/* Unix. */

TEST(a_path_ends_with_its_nul)
{
    assert_bytes(pier_unix("/x"), "01002f7800");
    assert_bytes(pier_unix("@x"), "0100407800");
}

TEST(an_empty_path_is_the_unnamed_address) { assert_bytes(pier_unix(""), "0100"); }

TEST(a_path_has_at_most_107_bytes)
{
    pier_addr a = pier_unix(repeat("x", 107));
    assert_int_equal(a.error, 0);
    assert_int_equal(a.length, 110);
    assert_error(pier_unix(repeat("x", 108)), PIER_EPATHLEN);
    assert_error(pier_unix(repeat("x", 2000)), PIER_EPATHLEN);
}

TEST(an_abstract_name_is_counted_and_may_hold_any_byte)
{
    assert_bytes(pier_abstract("a\0b", 3), "0100006100"
                                           "62");
    assert_bytes(pier_abstract("", 0), "010000");
    assert_bytes(pier_abstract(NULL, 0), "010000");
    pier_addr a = pier_abstract(repeat("x", 107), 107);
    assert_int_equal(a.error, 0);
    assert_int_equal(a.length, sizeof(struct sockaddr_un));
    assert_error(pier_abstract(repeat("x", 108), 108), PIER_EPATHLEN);
    assert_error(pier_abstract("x", SIZE_MAX), PIER_EPATHLEN);
}

/* From the kernel. */

static pier_addr from_unix(const void *path, size_t length)
{
    union {
        struct sockaddr any;
        struct sockaddr_un local;
        struct sockaddr_storage storage;
    } sa = {.local = {.sun_family = AF_UNIX}};
    memset((char *)&sa + 2, 'J', sizeof sa - 2);
    memcpy((char *)&sa + 2, path, length < sizeof sa - 2 ? length : sizeof sa - 2);
    return pier__addr_from_sockaddr(&sa.any, (socklen_t)(length + 2));
}

TEST(nothing_from_the_kernel_is_no_address)
{
    struct sockaddr sa = {.sa_family = AF_INET};
    pier_addr a = pier__addr_from_sockaddr(&sa, 0);
    assert_true(pier__is_zero(&a, sizeof a));
    a = pier__addr_from_sockaddr(NULL, 16);
    assert_true(pier__is_zero(&a, sizeof a));
    assert_int_equal(pier__addr_check(&a), PIER_ENOADDR);
}

TEST(unix_names_from_the_kernel_keep_their_exact_length)
{
    assert_bytes(from_unix("", 0), "0100");
    assert_bytes(from_unix("/x", 3), "01002f7800");
    assert_bytes(from_unix("/x", 2), "01002f7800");       /* no NUL within the length */
    assert_bytes(from_unix("/x\0junk", 8), "01002f7800"); /* more than the path */
    assert_bytes(from_unix("\0a\0b\0", 5), "0100006100"
                                           "6200");
    assert_bytes(from_unix("\0", 1), "010000");
}

TEST(a_path_of_108_bytes_without_nul_is_kept_whole)
{
    /* getsockname(2) says 111: it counts a NUL beyond the struct. */
    for (size_t length = 108; length <= 109; length++) {
        char path[110] = "";
        memset(path, 'p', 108);
        pier_addr a = from_unix(path, length);
        assert_int_equal(a.length, sizeof(struct sockaddr_un));
        assert_memory_equal(a.sa.local.sun_path, path, 108);
        assert_int_equal(strlen(pier_addr_host(a).text), 108);
        assert_true(pier_addr_equal(a, a));
    }
}

TEST(a_length_beyond_the_buffer_is_clamped)
{
    union {
        struct sockaddr any;
        struct sockaddr_storage storage;
    } sa;
    memset(&sa, 'x', sizeof sa);
    sa.any.sa_family = AF_NETLINK;
    pier_addr a = pier__addr_from_sockaddr(&sa.any, 4096);
    assert_int_equal(a.length, sizeof(struct sockaddr_storage));
    assert_memory_equal(&a.sa, &sa, sizeof sa);
    sa.any.sa_family = AF_UNIX;
    a = pier__addr_from_sockaddr(&sa.any, 4096);
    assert_int_equal(a.length, sizeof(struct sockaddr_un));
    memset((char *)&sa + 2, 0, 1);
    a = pier__addr_from_sockaddr(&sa.any, 4096);
    assert_int_equal(a.length, sizeof(struct sockaddr_un));
}

TEST(a_family_that_nobody_knows_is_kept_byte_for_byte)
{
    static const unsigned char bytes[] = {0x63, 0, 1, 2, 3};
    assert_bytes(pier_addr_raw(bytes, sizeof bytes), "6300010203");
    struct sockaddr sa;
    memcpy(&sa, bytes, sizeof bytes);
    pier_addr a = pier__addr_from_sockaddr(&sa, sizeof bytes);
    assert_bytes(a, "6300010203");
    assert_int_equal(pier_addr_family(a), 99);
    assert_string_equal(pier_addr_text(a).text, "family 99(01:02:03)");
}

TEST(raw_bytes_need_a_family_and_must_fit)
{
    static const char bytes[sizeof(struct sockaddr_storage) + 1] = {1};
    assert_error(pier_addr_raw(NULL, 16), -EINVAL);
    assert_error(pier_addr_raw(bytes, 0), -EINVAL);
    assert_error(pier_addr_raw(bytes, 1), -EINVAL);
    assert_error(pier_addr_raw(bytes, sizeof bytes), -EINVAL);
    assert_int_equal(pier_addr_raw(bytes, sizeof bytes - 1).length, sizeof bytes - 1);
    assert_int_equal(pier_addr_raw(bytes, 2).length, 2);
}

/* The name of fd as pier sees it. */
static pier_addr name_of(int fd)
{
    struct sockaddr_storage sa;
    socklen_t length = sizeof sa;
    memset(&sa, 'J', sizeof sa);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &length), 0);
    return pier__addr_from_sockaddr((struct sockaddr *)&sa, length);
}

TEST(the_kernel_takes_back_a_path_of_108_bytes)
{
    assert_int_equal(chdir(test_tmpdir()), 0);
    int server = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int client = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    memset(sa.sun_path, 'p', sizeof sa.sun_path);
    assert_int_equal(bind(server, (struct sockaddr *)&sa, sizeof sa), 0);
    pier_addr a = name_of(server);
    assert_int_equal(strlen(pier_addr_host(a).text), 108);
    assert_int_equal(connect(client, &a.sa.any, a.length), 0);
    close(server);
    close(client);
}

TEST(the_kernel_chooses_a_name_for_the_unnamed_address)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(pier_addr_equal(name_of(fd), pier_unix("")));
    pier_addr a = pier_unix("");
    assert_int_equal(bind(fd, &a.sa.any, a.length), 0);
    a = name_of(fd);
    assert_int_equal(a.length, 2 + 1 + 5); /* five hexadecimal digits, unix(7) */
    assert_int_equal(pier_addr_text(a).text[5], '@');
    close(fd);
}

TEST(the_kernel_and_pier_agree_on_abstract_and_ip_names)
{
    char name[] = "pier\0....\xff";
    pid_t mine = getpid(); /* the name is for this process alone, and full of NULs */
    memcpy(name + 5, &mine, sizeof mine);
    pier_addr names[] = {pier_abstract(name, sizeof name), pier_inet("127.0.0.1", 0),
        pier_inet6("::1", 0), pier_netlink(0, 0)};
    for (size_t i = 0; i < PIER_COUNT(names); i++) {
        int fd = socket(names[i].sa.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || bind(fd, &names[i].sa.any, names[i].length) < 0) {
            assert_int_equal(names[i].sa.any.sa_family, AF_INET6); /* the one that may lack */
            if (fd >= 0) close(fd);
            continue;
        }
        pier_addr a = name_of(fd);
        assert_int_equal(a.length, names[i].length);
        if (i == 0) assert_true(pier_addr_equal(a, names[i]));
        if (i == 1 || i == 2) {
            assert_true(pier_addr_port(a) > 0);
            assert_int_equal(pier__addr_set_port(&a, 0), 0);
            assert_true(pier_addr_equal(a, names[i]));
        }
        close(fd);
    }
}

/* Failed, pending, none. */

TEST(a_failed_address_carries_a_negative_code)
{
    assert_error(pier_addr_failed(-EPERM), -EPERM);
    assert_error(pier_addr_failed(PIER_EPORT), PIER_EPORT);
    assert_error(pier_addr_failed(0), -EINVAL);
    assert_error(pier_addr_failed(5), -EINVAL);
    pier_addr a = pier_addr_failed(-EPERM);
    assert_int_equal(pier__addr_check(&a), -EPERM);
    assert_int_equal(pier_addr_port(a), -EPERM);
    assert_int_equal(pier_addr_family(a), AF_UNSPEC);
    pier__addr_fail(NULL, -EPERM);
}

TEST(a_zeroed_address_is_none)
{
    pier_addr a;
    memset(&a, 0, sizeof a);
    assert_int_equal(pier__addr_check(&a), PIER_ENOADDR);
    assert_int_equal(pier_addr_port(a), PIER_ENOADDR);
    assert_int_equal(pier_addr_family(a), AF_UNSPEC);
    assert_string_equal(pier_addr_text(a).text, "(none)");
    assert_string_equal(pier_addr_host(a).text, "");
}

/* Asking. */

TEST(ports_are_told_where_there_are_any)
{
    assert_int_equal(pier_addr_port(pier_inet("1.2.3.4", 65535)), 65535);
    assert_int_equal(pier_addr_port(pier_inet6("::1", 1)), 1);
    assert_int_equal(pier_addr_port(pier_vsock(2, 1024)), 1024);
    assert_int_equal(pier_addr_port(pier_vsock(2, INT_MAX)), INT_MAX);
    assert_int_equal(pier_addr_port(pier_vsock(2, VMADDR_PORT_ANY)), PIER_ERANGE);
    assert_int_equal(pier_addr_port(pier_qipcrtr(1, 7)), 7);
    assert_int_equal(pier_addr_port(pier_qipcrtr(1, QRTR_PORT_CTRL)), PIER_ERANGE);
    assert_int_equal(pier_addr_port(pier_unix("/x")), PIER_EFAMILY);
    assert_int_equal(pier_addr_port(pier_netlink(1, 2)), PIER_EFAMILY);
    assert_int_equal(pier_addr_port(pier_addr_parse(":12345", NULL)), 12345);
}

TEST(an_address_too_short_for_its_family_has_no_fields)
{
    pier_addr a = pier_addr_raw(&(sa_family_t){AF_INET}, 2);
    assert_int_equal(pier_addr_family(a), AF_INET);
    assert_int_equal(pier_addr_port(a), PIER_EFAMILY);
    assert_string_equal(pier_addr_host(a).text, "");
    assert_string_equal(pier_addr_text(a).text, "AF_INET()");
    assert_string_equal(
        pier_addr_text(pier_addr_raw(&(sa_family_t){AF_VSOCK}, 2)).text, "AF_VSOCK()");
}

TEST(equal_looks_at_what_an_address_means)
{
    assert_true(pier_addr_equal(pier_inet("127.0.0.1", 1), pier_inet("127.1", 1)));
    assert_false(pier_addr_equal(pier_inet("127.0.0.1", 1), pier_inet("127.0.0.1", 2)));
    assert_false(pier_addr_equal(pier_inet("127.0.0.1", 1), pier_inet("127.0.0.2", 1)));
    pier_addr a = pier_inet("127.0.0.1", 1);
    memset(a.sa.inet.sin_zero, 'x', sizeof a.sa.inet.sin_zero);
    assert_true(pier_addr_equal(a, pier_inet("127.0.0.1", 1)));

    assert_false(pier_addr_equal(pier_inet6("::ffff:127.0.0.1", 1), pier_inet("127.0.0.1", 1)));
    assert_true(
        pier_addr_equal(pier_inet6_scoped("::1", 1, 5, 0), pier_inet6_scoped("::1", 1, 6, 0)));
    assert_false(pier_addr_equal(pier_inet6("fe80::1%1", 1), pier_inet6("fe80::1%2", 1)));
}

TEST(equal_unix_names_are_the_same_bytes_of_the_same_kind)
{
    assert_true(pier_addr_equal(pier_unix("/x"), from_unix("/x\0junk", 8)));
    assert_true(pier_addr_equal(pier_unix("/x"), pier_addr_raw("\1\0/x\0yz", 7)));
    assert_true(pier_addr_equal(pier_unix("/x"), pier_addr_raw("\1\0/x", 4)));
    assert_false(pier_addr_equal(pier_unix("/x"), pier_unix("/xy")));
    assert_false(pier_addr_equal(pier_unix("x"), pier_abstract("x", 1)));
    assert_false(pier_addr_equal(pier_abstract("x", 1), pier_abstract("x\0", 2)));
    assert_false(pier_addr_equal(pier_abstract("", 0), pier_unix("")));
    assert_true(pier_addr_equal(pier_unix(""), pier_unix("")));
}

TEST(equal_tells_pending_from_complete_and_name_from_name)
{
    assert_true(pier_addr_equal(pier_inet("a", 1), pier_inet("a", 1)));
    assert_false(pier_addr_equal(pier_inet("a", 1), pier_inet("b", 1)));
    assert_false(pier_addr_equal(pier_inet("a", 1), pier_inet("a", 2)));
    assert_false(pier_addr_equal(pier_inet("a", 1), pier_inet6("a", 1)));
    assert_false(pier_addr_equal(pier_inet("a", 1), pier_addr_parse("a:1", NULL)));
    assert_false(pier_addr_equal(pier_inet("", 1), pier_addr_parse(":1", NULL)));
    assert_true(pier_addr_equal(pier_addr_parse(":1", NULL), pier_addr_parse(":1", NULL)));
    assert_false(pier_addr_equal(pier_addr_parse("a:http", NULL), pier_addr_parse("a:ftp", NULL)));
}

TEST(equal_compares_what_else_a_pending_address_holds)
{
    assert_true(
        pier_addr_equal(pier_packet("lo", 1, 2, 3, "x", 1), pier_packet("lo", 1, 2, 3, "x", 1)));
    assert_false(
        pier_addr_equal(pier_packet("lo", 1, 2, 3, "x", 1), pier_packet("lo", 1, 2, 3, "y", 1)));
    assert_false(pier_addr_equal(pier_can("can0"), pier_can("can1")));
}

TEST(equal_knows_none_and_failed)
{
    pier_addr none;
    memset(&none, 0, sizeof none);
    assert_true(pier_addr_equal(none, none));
    assert_false(pier_addr_equal(none, pier_unix("")));
    assert_false(pier_addr_equal(pier_addr_failed(-EPERM), pier_addr_failed(-EPERM)));
    assert_false(pier_addr_equal(pier_addr_failed(-EPERM), none));
}

TEST(equal_ignores_what_the_kernel_adds_to_a_vsock_address)
{
    pier_addr a = pier_vsock(2, 1024);
    struct sockaddr_vm vm;
    memcpy(&vm, &a.sa, sizeof vm);
    vm.svm_flags = VMADDR_FLAG_TO_HOST;
    assert_true(pier_addr_equal(a, pier_addr_raw(&vm, sizeof vm)));
    vm.svm_cid = 3;
    assert_false(pier_addr_equal(a, pier_addr_raw(&vm, sizeof vm)));
}

TEST(equal_counts_missing_bytes_of_other_families_as_zero)
{
    assert_true(pier_addr_equal(pier_addr_raw("\x11\0ab", 4), pier_addr_raw("\x11\0ab\0\0", 6)));
    assert_false(pier_addr_equal(pier_addr_raw("\x11\0ab", 4), pier_addr_raw("\x11\0ab\0\1", 6)));
    assert_true(pier_addr_equal(pier_netlink(1, 2), pier_netlink(1, 2)));
    assert_false(pier_addr_equal(pier_netlink(1, 2), pier_netlink(1, 3)));
}

TEST(unmap_turns_a_mapped_address_into_ipv4)
{
    assert_bytes(
        pier_addr_unmap(pier_inet6("::ffff:127.0.0.1", 80)), "020000507f0000010000000000000000");
    assert_string_equal(pier_addr_text(pier_addr_unmap(pier_inet6("::1", 80))).text, "[::1]:80");
    assert_string_equal(
        pier_addr_text(pier_addr_unmap(pier_inet6("::127.0.0.1", 80))).text, "[::127.0.0.1]:80");
    assert_string_equal(pier_addr_text(pier_addr_unmap(pier_unix("/x"))).text, "unix:/x");
    assert_error(pier_addr_unmap(pier_addr_failed(-EPERM)), -EPERM);
    assert_string_equal(pier_addr_unmap(pier_inet6("example.com", 1)).host, "example.com");
}
