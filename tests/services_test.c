/* SPDX-License-Identifier: MIT */
#include "base/bits.h"
#include "base/seam.h"
#include "harness.h"

#include <pier/error.h>
#include <pier/resolve.h>

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

TEST(services_and_ports_lead_to_each_other)
{
    static const struct {
        const char *name, *protocol;
        int port;
    } services[] = {{"http", "tcp", 80}, {"https", NULL, 443}, {"domain", "udp", 53},
        {"syslog", "udp", 514}, {"ftp", "tcp", 21}};
    for (size_t i = 0; i < PIER_COUNT(services); i++) {
        char name[32];
        assert_int_equal(
            pier_getservbyname(services[i].name, services[i].protocol), services[i].port);
        assert_int_equal(
            pier_getservbyport(services[i].port, services[i].protocol, name, sizeof name),
            strlen(services[i].name));
        assert_string_equal(name, services[i].name);
    }
    assert_int_equal(pier_getservbyname("www", NULL), 80); /* an alias */
}

TEST(protocols_have_numbers)
{
    assert_int_equal(pier_getprotobyname("ip"), IPPROTO_IP);
    assert_int_equal(pier_getprotobyname("tcp"), IPPROTO_TCP);
    assert_int_equal(pier_getprotobyname("UDP"), IPPROTO_UDP);
    assert_int_equal(pier_getprotobyname("ipv6-icmp"), IPPROTO_ICMPV6);
    assert_int_equal(pier_getprotobyname("nosuch"), PIER_ENOPROTOCOL);
    assert_int_equal(pier_getprotobyname(""), PIER_ENOPROTOCOL);
    assert_int_equal(pier_getprotobyname(NULL), -EINVAL);
}

TEST(unknown_services_are_errors)
{
    char name[32] = "untouched";
    assert_int_equal(pier_getservbyname("nosuch", NULL), PIER_ENOSERVICE);
    assert_string_equal(pier_error(), "resolve nosuch: service/proto not found");
    assert_int_equal(pier_getservbyname("http", "nosuch"), PIER_ENOSERVICE);
    assert_int_equal(pier_getservbyname("tftp", "tcp"), PIER_ENOSERVICE);
    assert_int_equal(pier_getservbyname("", NULL), PIER_ENOSERVICE);
    assert_int_equal(pier_getservbyname("80", NULL), PIER_ENOSERVICE);
    assert_int_equal(pier_getservbyname(NULL, "tcp"), -EINVAL);
    assert_int_equal(pier_getservbyport(1, "nosuch", name, sizeof name), PIER_ENOSERVICE);
    assert_int_equal(pier_getservbyport(65535, NULL, name, sizeof name), PIER_ENOSERVICE);
    static const int bad[] = {-1, 65536, 65536 + 80, INT_MAX, INT_MIN};
    for (size_t i = 0; i < PIER_COUNT(bad); i++) {
        assert_int_equal(pier_getservbyport(bad[i], NULL, name, sizeof name), PIER_EPORT);
    }
    assert_int_equal(pier_getservbyport(80, NULL, name, 4), -ENOSPC);
    assert_int_equal(pier_getservbyport(80, NULL, NULL, 4), -EINVAL);
    assert_string_equal(name, "untouched");
    assert_int_equal(pier_getservbyport(80, NULL, name, 5), 4);
}

/* A file that needs more room than can be had, or cannot be read. */
static size_t wanted_room;
static int answer;

static int service(const char *name, const char *protocol, struct servent *result, char *buf,
    size_t size, struct servent **found)
{
    *found = NULL;
    if (size < wanted_room) return -ERANGE;
    if (answer < 0) return answer;
    return pier__seam_system.getservbyname(name, protocol, result, buf, size, found);
}

static int allocations_left = INT_MAX;

static void *allocate(void *old, size_t size)
{
    return allocations_left-- > 0 ? pier__seam_system.allocate(old, size) : NULL;
}

TEST(an_entry_may_need_much_room_but_not_without_end)
{
    struct pier__seam mine = pier__seam_system;
    mine.getservbyname = service;
    mine.allocate = allocate;
    pier__seam = &mine;
    wanted_room = 100000;
    assert_int_equal(pier_getservbyname("http", "tcp"), 80);
    wanted_room = SIZE_MAX;
    assert_int_equal(pier_getservbyname("http", "tcp"), -ERANGE);
    wanted_room = 0;
    answer = -EMFILE;
    assert_int_equal(pier_getservbyname("http", "tcp"), -EMFILE);
    answer = -ENOENT;
    assert_int_equal(pier_getservbyname("http", "tcp"), PIER_ENOSERVICE);
    allocations_left = 0;
    assert_int_equal(pier_getservbyname("http", "tcp"), -ENOMEM);
    allocations_left = 1;
    wanted_room = 100000;
    assert_int_equal(pier_getservbyname("http", "tcp"), -ENOMEM);
    pier__seam = &pier__seam_system;
}
