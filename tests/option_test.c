/* SPDX-License-Identifier: MIT */
#include "base/seam.h"
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/vm_sockets.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

static void assert_text(int s, const char *name, const char *expected)
{
    char text[256];
    assert_int_equal(pier_getsockopt_text(s, name, text, sizeof text), strlen(expected));
    assert_string_equal(text, expected);
}

static void assert_sets(int s, const char *name, const char *text)
{
    int err = pier_setsockopt_text(s, name, text);
    if (err < 0) print_error("%s\n", pier_error());
    assert_int_equal(err, 0);
}

/* A table that stands in for the system's. */
static struct pier__seam fake;
static struct {
    int calls, level, name;
    bool null;
    socklen_t length;
    unsigned char value[64];
    socklen_t said; /* what getsockopt says it wrote */
    bool lies;
} seen;

static int fake_setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    (void)fd;
    seen.calls++;
    seen.level = level;
    seen.name = name;
    seen.null = value == NULL;
    seen.length = length;
    if (value) memcpy(seen.value, value, length < sizeof seen.value ? length : sizeof seen.value);
    return 0;
}

static int fake_getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
    (void)fd;
    seen.calls++;
    seen.level = level;
    seen.name = name;
    seen.length = *length;
    memcpy(value, seen.value, *length < sizeof seen.value ? *length : sizeof seen.value);
    if (seen.lies) *length = seen.said;
    return 0;
}

static void stand_in(void)
{
    memset(&seen, 0, sizeof seen);
    fake = pier__seam_system;
    fake.setsockopt = fake_setsockopt;
    fake.getsockopt = fake_getsockopt;
    pier__seam = &fake;
}

TEST(the_table_is_sorted_and_every_option_is_found_by_its_name)
{
    size_t count = 0;
    const pier_option *options = pier_option_list(&count);
    assert_true(count > 400);
    assert_ptr_equal(pier_option_list(NULL), options);
    for (size_t i = 0; i < count; i++) {
        assert_ptr_equal(pier_option_find(options[i].name), &options[i]);
        if (i) assert_true(strcmp(options[i - 1].name, options[i].name) < 0);
    }
}

TEST(a_row_of_the_table_says_what_the_headers_say)
{
    const pier_option *option = pier_option_find("SO_REUSEADDR");
    assert_int_equal(option->level, SOL_SOCKET);
    assert_int_equal(option->number, SO_REUSEADDR);
    assert_int_equal(option->type, PIER_OPTION_BOOL);
    assert_int_equal(pier_option_find("TCP_INFO")->type, PIER_OPTION_BYTES);
    assert_int_equal(pier_option_find("SO_PASSRIGHTS")->number, 83);
    assert_int_equal(pier_option_find("SO_VM_SOCKETS_BUFFER_SIZE")->level, AF_VSOCK);
}

TEST(a_name_that_no_option_has_finds_nothing)
{
    assert_null(pier_option_find("SO_REUSEADDRESS"));
    assert_null(pier_option_find("so_reuseaddr"));
    assert_null(pier_option_find(""));
    assert_null(pier_option_find(NULL));
}

TEST(getsockopt_tells_how_much_the_kernel_wrote)
{
    int s = pier_socket(AF_INET, SOCK_STREAM, 0);
    unsigned char room[100];
    socklen_t length = sizeof room;
    assert_int_equal(pier_getsockopt(s, SOL_SOCKET, SO_TYPE, room, &length), 0);
    assert_int_equal(length, sizeof(int));
    length = sizeof(int); /* shorter than what there is: the kernel gives the beginning */
    assert_int_equal(pier_getsockopt(s, SOL_SOCKET, SO_LINGER, room, &length), 0);
    assert_int_equal(length, sizeof(int));
    assert_int_equal(pier_close(s), 0);
}

TEST(getsockopt_refuses_a_length_beyond_1_to_1024)
{
    int s = pier_socket(AF_INET, SOCK_STREAM, 0);
    char room[2000] = "as it was";
    static const socklen_t wrong[] = {0, 1025, 2000, UINT_MAX};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        socklen_t length = wrong[i];
        assert_int_equal(pier_getsockopt(s, SOL_SOCKET, SO_TYPE, room, &length), PIER_EOPTLEN);
        assert_int_equal(length, wrong[i]);
        assert_string_equal(room, "as it was");
    }
    socklen_t length = 1024;
    assert_int_equal(pier_getsockopt(s, SOL_SOCKET, SO_TYPE, room, &length), 0);
    assert_int_equal(pier_close(s), 0);
}

TEST(a_failed_getsockopt_leaves_value_and_length_alone)
{
    int s = pier_socket(AF_UNIX, SOCK_STREAM, 0);
    int value = 77;
    socklen_t length = sizeof value;
    int64_t number = 78;
    assert_int_equal(pier_getsockopt(s, IPPROTO_TCP, TCP_NODELAY, &value, &length), -EOPNOTSUPP);
    assert_int_equal(pier_getsockopt(s, SOL_SOCKET, 31999, &value, &length), -ENOPROTOOPT);
    assert_int_equal(pier_getsockopt_int(s, SOL_SOCKET, 31999, &number), -ENOPROTOOPT);
    assert_int_equal(value, 77);
    assert_int_equal(length, sizeof value);
    assert_int_equal(number, 78);
    assert_int_equal(pier_close(s), 0);
}

TEST(missing_places_for_an_option_are_an_error)
{
    int s = pier_socket(AF_INET, SOCK_STREAM, 0);
    int value;
    socklen_t length = sizeof value;
    char text[8];
    assert_int_equal(pier_getsockopt(s, SOL_SOCKET, SO_TYPE, NULL, &length), -EFAULT);
    assert_int_equal(pier_getsockopt(s, SOL_SOCKET, SO_TYPE, &value, NULL), -EFAULT);
    assert_int_equal(pier_getsockopt_int(s, SOL_SOCKET, SO_TYPE, NULL), -EFAULT);
    assert_int_equal(pier_getsockopt_text(s, "SO_TYPE", NULL, 0), -EFAULT);
    assert_int_equal(pier_getsockopt_text(s, NULL, text, sizeof text), PIER_ENOOPT);
    assert_int_equal(pier_setsockopt_text(s, NULL, "1"), PIER_ENOOPT);
    assert_int_equal(pier_setsockopt_text(s, "SO_REUSEADDR", NULL), -EFAULT);
    assert_int_equal(pier_close(s), 0);
}

TEST(what_is_no_socket_is_told_by_name)
{
    int64_t value = 5;
    char text[8];
    int s = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(pier_close(s), 0);
    assert_int_equal(pier_getsockopt_int(s, SOL_SOCKET, SO_TYPE, &value), -EBADF);
    assert_int_equal(pier_setsockopt_int(s, SOL_SOCKET, SO_REUSEADDR, 1), -EBADF);
    assert_int_equal(pier_getsockopt_text(s, "SO_TYPE", text, sizeof text), -EBADF);
    assert_int_equal(pier_setsockopt_text(s, "SO_REUSEADDR", "1"), -EBADF);
    char expected[128];
    snprintf(
        expected, sizeof expected, "setsockopt SO_REUSEADDR on socket %d: Bad file descriptor", s);
    assert_string_equal(pier_error(), expected);

    int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(pier_getsockopt_int(file, SOL_SOCKET, SO_TYPE, &value), -ENOTSOCK);
    assert_int_equal(pier_setsockopt_int(file, 12345, 6789, 1), -ENOTSOCK);
    snprintf(expected, sizeof expected, "setsockopt 12345/6789 on socket %d: %s", file,
        pier_strerror(-ENOTSOCK));
    assert_string_equal(pier_error(), expected);
    close(file);

    assert_int_equal(
        pier_getsockopt_int(-ECONNREFUSED, SOL_SOCKET, SO_TYPE, &value), -ECONNREFUSED);
    assert_int_equal(pier_setsockopt_int(-EMFILE, SOL_SOCKET, SO_TYPE, INT64_MAX), -EMFILE);
    assert_int_equal(pier_getsockopt_text(-EMFILE, "nonsense", NULL, 0), -EMFILE);
    assert_int_equal(pier_setsockopt_text(-EMFILE, "nonsense", NULL), -EMFILE);
    assert_int_equal(pier_setsockopt(-EMFILE, 0, 0, NULL, 0), -EMFILE);
    assert_int_equal(pier_getsockopt(-EMFILE, 0, 0, NULL, NULL), -EMFILE);
    assert_int_equal(value, 5);
}

TEST(setsockopt_hands_null_and_any_length_to_the_kernel)
{
    int s = pier_socket(AF_INET, SOCK_STREAM, 0);
    stand_in();
    assert_int_equal(pier_setsockopt(s, 279, 5, NULL, 16), 0);
    assert_true(seen.null);
    assert_int_equal(seen.length, 16);
    assert_int_equal(seen.level, 279);
    assert_int_equal(seen.name, 5);
    pier__seam = &pier__seam_system;
    assert_int_equal(pier_close(s), 0);
}

TEST(int_options_go_both_ways)
{
    int s = pier_socket(AF_INET, SOCK_STREAM, 0);
    int64_t value = -1;
    assert_int_equal(pier_getsockopt_int(s, SOL_SOCKET, SO_REUSEADDR, &value), 0);
    assert_int_equal(value, 0);
    assert_int_equal(pier_setsockopt_int(s, SOL_SOCKET, SO_REUSEADDR, 1), 0);
    assert_int_equal(pier_getsockopt_int(s, SOL_SOCKET, SO_REUSEADDR, &value), 0);
    assert_int_equal(value, 1);
    assert_int_equal(pier_setsockopt_int(s, IPPROTO_IP, IP_TTL, -1), 0); /* the default again */
    assert_int_equal(pier_close(s), 0);
}

TEST(an_int_option_refuses_what_an_int_cannot_hold)
{
    int s = pier_socket(AF_INET, SOCK_STREAM, 0);
    static const int64_t wrong[] = {INT64_MIN, INT_MIN - 1LL, INT_MAX + 1LL, INT64_MAX};
    stand_in();
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(pier_setsockopt_int(s, SOL_SOCKET, SO_RCVBUF, wrong[i]), PIER_ERANGE);
    assert_int_equal(seen.calls, 0);
    pier__seam = &pier__seam_system;
    assert_int_equal(pier_close(s), 0);
}

TEST(the_options_of_vsock_are_64_bits_wide)
{
    int s = pier_socket(AF_UNIX, SOCK_STREAM, 0);
    int64_t value = 7;
    uint64_t wide = UINT64_C(1) << 40;
    stand_in();
    assert_int_equal(
        pier_setsockopt_int(s, AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, INT64_C(1) << 40), 0);
    assert_int_equal(seen.length, sizeof wide);
    assert_memory_equal(seen.value, &wide, sizeof wide);
    assert_int_equal(pier_getsockopt_int(s, AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, &value), 0);
    assert_int_equal(seen.length, sizeof wide);
    assert_true(value == INT64_C(1) << 40);
    memset(seen.value, 0xff, sizeof wide);
    assert_int_equal(
        pier_getsockopt_int(s, AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, &value), PIER_ERANGE);
    assert_true(value == INT64_C(1) << 40);
    assert_int_equal(pier_setsockopt_int(s, AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, -1), PIER_ERANGE);
    pier__seam = &pier__seam_system;
    assert_int_equal(pier_close(s), 0);
}

TEST(a_real_vsock_keeps_its_buffer_size)
{
    int s = pier_socket(AF_VSOCK, SOCK_STREAM, 0);
    if (s < 0) SKIP("no AF_VSOCK here");
    int64_t value = 0;
    assert_int_equal(pier_setsockopt_int(s, AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, 5000), 0);
    assert_int_equal(pier_getsockopt_int(s, AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, &value), 0);
    assert_int_equal(value, 5000);
    assert_text(s, "SO_VM_SOCKETS_BUFFER_SIZE", "5000");
    assert_sets(s, "SO_VM_SOCKETS_CONNECT_TIMEOUT", "1.5");
    assert_text(s, "SO_VM_SOCKETS_CONNECT_TIMEOUT", "1.5");
    assert_int_equal(pier_close(s), 0);
}

TEST(a_length_that_the_kernel_makes_up_is_not_believed)
{
    int s = pier_socket(AF_INET, SOCK_STREAM, 0);
    unsigned char room[8];
    int64_t value = 3;
    stand_in();
    seen.lies = true;
    seen.said = 4000; /* more than there was room for */
    socklen_t length = sizeof room;
    assert_int_equal(pier_getsockopt(s, SOL_SOCKET, SO_TYPE, room, &length), 0);
    assert_int_equal(length, sizeof room);
    seen.value[0] = 200;
    seen.said = 1; /* the options of IPv4 that fit into a byte */
    assert_int_equal(pier_getsockopt_int(s, IPPROTO_IP, IP_TTL, &value), 0);
    assert_int_equal(value, 200);
    for (seen.said = 0; seen.said < 4; seen.said++) {
        if (seen.said == 1) continue;
        assert_int_equal(pier_getsockopt_int(s, IPPROTO_IP, IP_TTL, &value), PIER_EOPTLEN);
    }
    assert_int_equal(value, 200);
    char text[32] = "as it was";
    seen.said = 3;
    assert_int_equal(pier_getsockopt_text(s, "SO_LINGER", text, sizeof text), PIER_EOPTLEN);
    assert_int_equal(pier_getsockopt_text(s, "SO_RCVTIMEO", text, sizeof text), PIER_EOPTLEN);
    assert_int_equal(pier_getsockopt_text(s, "IP_MULTICAST_IF", text, sizeof text), PIER_EOPTLEN);
    assert_int_equal(pier_getsockopt_text(s, "SO_TYPE", text, sizeof text), PIER_EOPTLEN);
    assert_string_equal(text, "as it was");
    pier__seam = &pier__seam_system;
    assert_int_equal(pier_close(s), 0);
}

TEST(every_type_of_option_goes_round_as_text)
{
    int tcp = pier_socket(AF_INET, SOCK_STREAM, 0), udp = pier_socket(AF_INET, SOCK_DGRAM, 0);
    static const struct {
        bool tcp;
        const char *name, *texts[4];
    } options[] = {
        {true, "SO_KEEPALIVE", {"1", "0"}},
        {true, "SO_PRIORITY", {"3", "0"}},
        {true, "SO_LINGER", {"5", "0", "off", "2147483"}},
        {true, "SO_RCVTIMEO", {"2.5", "0", "1000000"}},
        {true, "TCP_CONGESTION", {"reno"}},
        {true, "TCP_KEEPIDLE", {"17"}},
        {true, "TCP_NOTSENT_LOWAT", {"4294967295", "0"}},
        {true, "SO_MAX_PACING_RATE", {"12345678901", "18446744073709551615"}},
        {true, "IP_TOS", {"16"}},
        {false, "IP_MULTICAST_IF", {"127.0.0.1", "0.0.0.0"}},
        {false, "IP_UNICAST_IF", {"1", "0"}},
        {false, "IP_MULTICAST_TTL", {"7"}},
        {false, "SO_PEEK_OFF", {"-1", "0"}},
    };
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        int s = options[i].tcp ? tcp : udp;
        for (int j = 0; j < 4 && options[i].texts[j]; j++) {
            assert_sets(s, options[i].name, options[i].texts[j]);
            assert_text(s, options[i].name, options[i].texts[j]);
        }
    }
    assert_int_equal(pier_close(tcp), 0);
    assert_int_equal(pier_close(udp), 0);
}

/*
 * Whatever can be read of a fresh socket can be written back, unless the kernel has its own view of
 * who may.
 */
static void write_back_everything(int family, int type, int protocol)
{
    int s = pier_socket(family, type, protocol);
    if (s < 0) return;
    size_t count, readable = 0;
    const pier_option *options = pier_option_list(&count);
    for (size_t i = 0; i < count; i++) {
        char first[2100], again[2100];
        const char *name = options[i].name;
        if (strcmp(name, "SO_PEERPIDFD") == 0) continue; /* makes a descriptor */
        ssize_t n = pier_getsockopt_text(s, name, first, sizeof first);
        if (n < 0) {
            assert_true(n > -4096 || n == PIER_EOPTLEN);
            assert_int_not_equal(n, -ENOSPC);
            continue;
        }
        assert_int_equal(strlen(first), n);
        readable++;
        if (options[i].type == PIER_OPTION_BYTES) continue;
        int err = pier_setsockopt_text(s, name, first);
        assert_true(err == 0 || err > -4096);
        if (err < 0 || strstr(name, "BUF")) continue; /* the kernel doubles buffer sizes */
        assert_int_equal(pier_getsockopt_text(s, name, again, sizeof again), n);
        assert_string_equal(again, first);
    }
    assert_true(readable > 10);
    assert_int_equal(pier_close(s), 0);
}

TEST(what_can_be_read_as_text_can_be_written_back)
{
    write_back_everything(AF_INET, SOCK_STREAM, 0);
    write_back_everything(AF_INET, SOCK_DGRAM, 0);
    write_back_everything(AF_INET6, SOCK_STREAM, 0);
    write_back_everything(AF_INET6, SOCK_DGRAM, 0);
    write_back_everything(AF_UNIX, SOCK_STREAM, 0);
    write_back_everything(AF_UNIX, SOCK_DGRAM, 0);
    write_back_everything(AF_NETLINK, SOCK_RAW, 0);
    write_back_everything(AF_VSOCK, SOCK_STREAM, 0);
}

TEST(switches_are_on_and_off_too)
{
    int s = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_sets(s, "TCP_NODELAY", "on");
    assert_text(s, "TCP_NODELAY", "1");
    assert_sets(s, "TCP_NODELAY", "off");
    assert_text(s, "TCP_NODELAY", "0");
    assert_sets(s, "IP_TOS", "0x10");
    assert_text(s, "IP_TOS", "16");
    assert_int_equal(pier_close(s), 0);
}

TEST(structures_read_as_hexadecimal)
{
    int s = pier_socket(AF_INET, SOCK_STREAM, 0);
    char text[2100];
    ssize_t n = pier_getsockopt_text(s, "TCP_INFO", text, sizeof text);
    assert_true(n > 150 && n % 2 == 0);
    assert_int_equal(strspn(text, "0123456789abcdef"), n);
    assert_memory_equal(text, "07", 2); /* tcpi_state: TCP_CLOSE */
    assert_int_equal(pier_close(s), 0);
}

TEST(structures_are_set_by_their_bytes)
{
    int s = pier_socket(AF_INET, SOCK_DGRAM, 0);
    stand_in();
    assert_sets(s, "IP_ADD_MEMBERSHIP", "e00000FB7f000001");
    assert_int_equal(seen.length, 8);
    assert_memory_equal(seen.value, "\xe0\0\0\xfb\x7f\0\0\1", 8);
    assert_sets(s, "IP_OPTIONS", "");
    assert_int_equal(seen.length, 0);
    seen.calls = 0;
    assert_int_equal(pier_setsockopt_text(s, "IP_OPTIONS", "0"), -EINVAL);
    assert_int_equal(pier_setsockopt_text(s, "IP_OPTIONS", "0g"), -EINVAL);
    assert_int_equal(pier_setsockopt_text(s, "IP_OPTIONS", "0x01"), -EINVAL);
    assert_int_equal(seen.calls, 0);
    pier__seam = &pier__seam_system;
    assert_int_equal(pier_close(s), 0);
}

static void *no_memory(void *old, size_t size)
{
    (void)old, (void)size;
    return NULL;
}

TEST(setting_bytes_without_memory_fails_cleanly)
{
    int s = pier_socket(AF_INET, SOCK_DGRAM, 0);
    stand_in();
    fake.allocate = no_memory;
    assert_int_equal(pier_setsockopt_text(s, "IP_OPTIONS", "00"), -ENOMEM);
    assert_int_equal(seen.calls, 0);
    pier__seam = &pier__seam_system;
    assert_int_equal(pier_close(s), 0);
}

TEST(text_that_does_not_fit_its_option_is_refused)
{
    static const struct {
        const char *name, *text;
        int code;
    } wrong[] = {
        {"SO_KEEPALIVE", "", -EINVAL},
        {"SO_KEEPALIVE", "2", -EINVAL},
        {"SO_KEEPALIVE", "true!", -EINVAL},
        {"SO_PRIORITY", "", -EINVAL},
        {"SO_PRIORITY", "-", -EINVAL},
        {"SO_PRIORITY", " 1", -EINVAL},
        {"SO_PRIORITY", "1 ", -EINVAL},
        {"SO_PRIORITY", "+1", -EINVAL},
        {"SO_PRIORITY", "1.0", -EINVAL},
        {"SO_PRIORITY", "0x", -EINVAL},
        {"SO_PRIORITY", "0xg", -EINVAL},
        {"SO_PRIORITY", "12a", -EINVAL},
        {"SO_PRIORITY", "2147483648", PIER_ERANGE},
        {"SO_PRIORITY", "-2147483649", PIER_ERANGE},
        {"SO_PRIORITY", "99999999999999999999999999999999", PIER_ERANGE},
        {"SO_PRIORITY", "9999999999999999999999999999999x", -EINVAL},
        {"SO_MARK", "-1", PIER_ERANGE},
        {"SO_MARK", "4294967296", PIER_ERANGE},
        {"SO_MAX_PACING_RATE", "-1", -EINVAL},
        {"SO_MAX_PACING_RATE", "18446744073709551616", PIER_ERANGE},
        {"SO_LINGER", "on", -EINVAL},
        {"SO_LINGER", "-1", PIER_ERANGE},
        {"SO_LINGER", "2147483648", PIER_ERANGE},
        {"SO_LINGER", "1.5", -EINVAL},
        {"SO_RCVTIMEO", "", -EINVAL},
        {"SO_RCVTIMEO", ".", -EINVAL},
        {"SO_RCVTIMEO", "-", -EINVAL},
        {"SO_RCVTIMEO", "-1", PIER_ERANGE},
        {"SO_RCVTIMEO", "inf", -EINVAL},
        {"SO_RCVTIMEO", "1e3", -EINVAL},
        {"SO_RCVTIMEO", "9223372036854775808", PIER_ERANGE},
        {"SO_RCVTIMEO", "9223372036854775807.9999999", PIER_ERANGE},
        {"IP_MULTICAST_IF", "1", -EINVAL},
        {"IP_MULTICAST_IF", "1.2.3", -EINVAL},
        {"IP_MULTICAST_IF", "localhost", -EINVAL},
        {"IP_UNICAST_IF", "no-such-if", PIER_ENOINTERFACE},
        {"IP_UNICAST_IF", "", PIER_ENOINTERFACE},
        {"IP_UNICAST_IF", "-1", PIER_ERANGE},
        {"IP_UNICAST_IF", "2147483648", PIER_ERANGE},
        {"IP_UNICAST_IF", "sixteen-letters-", PIER_EIFNAMELEN},
        {"SO_BINDTODEVICE", "lo-and-behold-16", PIER_EIFNAMELEN},
        {"SO_NONSENSE", "1", PIER_ENOOPT},
    };
    int s = pier_socket(AF_INET, SOCK_DGRAM, 0);
    stand_in();
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        int err = pier_setsockopt_text(s, wrong[i].name, wrong[i].text);
        if (err != wrong[i].code)
            print_error("%s = \"%s\": %s\n", wrong[i].name, wrong[i].text, pier_error());
        assert_int_equal(err, wrong[i].code);
    }
    assert_int_equal(seen.calls, 0);
    pier__seam = &pier__seam_system;
    assert_int_equal(pier_close(s), 0);
}

TEST(a_time_is_never_rounded_down)
{
    static const struct {
        const char *text;
        long sec, usec;
    } times[] = {{"0.0000001", 0, 1}, {"1.9999999", 2, 0}, {".5", 0, 500000}, {"3.", 3, 0},
        {"0.123456", 0, 123456}, {"7.000000000", 7, 0}, {"-0", 0, 0},
        {"9223372036854775807", 9223372036854775807, 0}};
    int s = pier_socket(AF_INET, SOCK_DGRAM, 0);
    stand_in();
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        assert_sets(s, "SO_RCVTIMEO", times[i].text);
        struct timeval t;
        assert_int_equal(seen.length, sizeof t);
        memcpy(&t, seen.value, sizeof t);
        assert_int_equal(t.tv_sec, times[i].sec);
        assert_int_equal(t.tv_usec, times[i].usec);
    }
    pier__seam = &pier__seam_system;
    assert_int_equal(pier_close(s), 0);
}

TEST(an_interface_goes_by_name_or_number)
{
    int s = pier_socket(AF_INET, SOCK_DGRAM, 0);
    unsigned lo = if_nametoindex("lo");
    if (lo == 0) SKIP("no lo here");
    char number[16];
    snprintf(number, sizeof number, "%u", lo);
    assert_sets(s, "SO_BINDTOIFINDEX", "lo");
    assert_text(s, "SO_BINDTOIFINDEX", number);
    assert_text(s, "SO_BINDTODEVICE", "lo");
    assert_int_equal(pier_close(s), 0);
    s = pier_socket(AF_INET, SOCK_DGRAM, 0);
    assert_sets(s, "IP_UNICAST_IF", "lo");
    assert_text(s, "IP_UNICAST_IF", number);
    int64_t raw;
    assert_int_equal(pier_getsockopt_int(s, IPPROTO_IP, IP_UNICAST_IF, &raw), 0);
    assert_int_equal(raw, (int)htonl(lo)); /* the kernel's own form */
    assert_int_equal(pier_close(s), 0);
}

TEST(multicast_options_follow_the_family_of_the_socket)
{
    int v4 = pier_socket(AF_INET, SOCK_DGRAM, 0), v6 = pier_socket(AF_INET6, SOCK_DGRAM, 0);
    int bare = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    stand_in();
    assert_sets(v4, "MCAST_JOIN_GROUP", "00");
    assert_int_equal(seen.level, IPPROTO_IP);
    if (v6 >= 0) {
        assert_sets(v6, "MCAST_JOIN_GROUP", "00");
        assert_int_equal(seen.level, IPPROTO_IPV6);
        fake.getsockopt = pier__seam_system.getsockopt;
        assert_sets(bare, "MCAST_LEAVE_GROUP", "00");
        assert_int_equal(seen.level, IPPROTO_IPV6);
    }
    pier__seam = &pier__seam_system;
    pier_close(v4);
    pier_close(v6);
    close(bare);
}

TEST(a_text_that_does_not_fit_the_buffer_is_not_written)
{
    int s = pier_socket(AF_INET, SOCK_STREAM, 0);
    char buf[8] = "1234567";
    assert_sets(s, "TCP_CONGESTION", "reno");
    assert_int_equal(pier_getsockopt_text(s, "TCP_CONGESTION", buf, 0), -ENOSPC);
    assert_int_equal(pier_getsockopt_text(s, "TCP_CONGESTION", buf, 4), -ENOSPC);
    assert_int_equal(pier_getsockopt_text(s, "TCP_INFO", buf, sizeof buf), -ENOSPC);
    assert_int_equal(pier_getsockopt_text(s, "SO_LINGER", buf, 3), -ENOSPC);
    assert_int_equal(pier_getsockopt_text(s, "SO_TYPE", buf, 1), -ENOSPC);
    assert_string_equal(buf, "1234567");
    assert_int_equal(pier_getsockopt_text(s, "SO_TYPE", buf, 2), 1);
    assert_string_equal(buf, "1");
    assert_int_equal(pier_close(s), 0);
}

TEST(options_that_came_after_our_headers_have_the_kernels_numbers)
{
    int s = pier_socket(AF_UNIX, SOCK_DGRAM, 0);
    int64_t value;
    if (pier_getsockopt_int(s, SOL_SOCKET, 83, &value) == -ENOPROTOOPT)
        SKIP("a kernel before 6.16");
    assert_int_equal(value, 1);
    assert_sets(s, "SO_PASSRIGHTS", "0");
    assert_text(s, "SO_PASSRIGHTS", "0");
    int tcp = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_text(tcp, "TCP_IS_MPTCP", "0");
    assert_text(tcp, "TCP_RTO_MAX_MS", "120000");
    assert_sets(tcp, "TCP_RTO_MIN_US", "100000");
    assert_text(tcp, "TCP_RTO_MIN_US", "100000");
    assert_int_equal(pier_close(tcp), 0);
    assert_int_equal(pier_close(s), 0);
}

TEST(options_of_a_bare_descriptor_work_too)
{
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_sets(s, "SO_KEEPALIVE", "1");
    assert_text(s, "SO_KEEPALIVE", "1");
    close(s);
}

TEST(how_many_datagrams_were_lost_can_be_asked_for)
{
    int s = pier_socket(AF_INET, SOCK_DGRAM, 0);
    assert_sets(s, "SO_RXQ_OVFL", "1");
    assert_text(s, "SO_RXQ_OVFL", "1");
    assert_int_equal(pier_close(s), 0);
}
