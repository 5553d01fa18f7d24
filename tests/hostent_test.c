/* SPDX-License-Identifier: MIT */
#include "base/bits.h"
#include "base/seam.h"
#include "harness.h"
#include "stub_dns.h"

#include <pier/error.h>
#include <pier/resolve.h>

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

static const struct stub_name names[] = {
    {.name = "four.test", .inet = "127.0.0.4 127.0.0.5"},
    {.name = "six.test", .inet6 = "::6"},
    {.name = "alias.test", .cname = "four.test"},
    {.name = "servfail.test", .how = STUB_SERVFAIL},
    {.name = "9.0.0.127.in-addr.arpa", .ptr = "nine.test"},
    {.name = "8.0.0.127.in-addr.arpa", .how = STUB_SERVFAIL},
    {.name = "9.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa",
        .ptr = "nine6.test"},
};

static void start_stub(void) { stub_dns_start(names, PIER_COUNT(names)); }

static pier_time far(void) { return pier_after(1000); }

static void assert_addr(pier_addr addr, const char *text)
{
    assert_string_equal(pier_addr_text(addr).text, text);
}

static void by_name_fails(const char *host, int code)
{
    pier_hostent *found = (pier_hostent *)&found;
    assert_int_equal(pier_gethostbyname_ex(host, far(), &found), code);
    assert_null(found);
    assert_int_equal(pier_gethostbyname_ex(host, PIER_NEVER, &found), code);
}

static void by_address_fails(const char *address, int code)
{
    pier_hostent *found = (pier_hostent *)&found;
    assert_int_equal(pier_gethostbyaddr(address, far(), &found), code);
    assert_null(found);
    assert_int_equal(pier_gethostbyaddr(address, PIER_NEVER, &found), code);
}

TEST(gethostbyname_ex_tells_name_aliases_and_addresses)
{
    start_stub();
    pier_hostent *host;
    assert_int_equal(pier_gethostbyname_ex("alias.test", far(), &host), 0);
    assert_string_equal(host->name, "four.test");
    assert_string_equal(host->aliases[0], "alias.test");
    assert_null(host->aliases[1]);
    assert_int_equal(host->addr_count, 2);
    assert_addr(host->addrs[0], "127.0.0.4:0");
    assert_addr(host->addrs[1], "127.0.0.5:0");
    pier_freehostent(host);

    assert_int_equal(pier_gethostbyname_ex("127.1", PIER_NEVER, &host), 0);
    assert_string_equal(host->name, "127.1");
    assert_null(host->aliases[0]);
    assert_int_equal(host->addr_count, 1);
    assert_addr(host->addrs[0], "127.0.0.1:0");
    pier_freehostent(host);
    stub_dns_stop();
}

TEST(gethostbyname_ex_fails_as_in_python)
{
    start_stub();
    by_name_fails("nosuch.test", PIER_EAI_NONAME);
    by_name_fails("six.test", PIER_EAI_NODATA);
    by_name_fails("servfail.test", PIER_EAI_AGAIN);
    by_name_fails("::1", PIER_EAI_ADDRFAMILY);
    by_name_fails("<broadcast>", PIER_H_HOST_NOT_FOUND);
    by_name_fails("", PIER_H_NO_RECOVERY);
    by_name_fails("b\xfcro.test", PIER_EAI_IDN_ENCODE);
    by_name_fails(NULL, -EINVAL);
    pier_hostent *host;
    assert_int_equal(pier_gethostbyname_ex("four.test", pier_after(-1), &host), -EINVAL);
    assert_int_equal(pier_gethostbyname_ex("four.test", far(), NULL), -EINVAL);
    stub_dns_stop();
}

TEST(gethostbyaddr_takes_addresses_of_both_families_and_names)
{
    start_stub();
    stub_dns_hosts("127.0.0.4 host.test host again.test host\n");
    pier_hostent *host;
    assert_int_equal(pier_gethostbyaddr("127.0.0.9", far(), &host), 0);
    assert_string_equal(host->name, "nine.test");
    assert_int_equal(host->addr_count, 1);
    assert_addr(host->addrs[0], "127.0.0.9:0");
    pier_freehostent(host);

    assert_int_equal(pier_gethostbyaddr("fd00::9", far(), &host), 0);
    assert_string_equal(host->name, "nine6.test");
    assert_addr(host->addrs[0], "[fd00::9]:0");
    pier_freehostent(host);

    /* By way of its address; aliases as the file has them, as in Python. */
    assert_int_equal(pier_gethostbyaddr("host", PIER_NEVER, &host), 0);
    assert_string_equal(host->name, "host.test");
    assert_string_equal(host->aliases[0], "host");
    assert_string_equal(host->aliases[1], "again.test");
    assert_string_equal(host->aliases[2], "host");
    assert_null(host->aliases[3]);
    pier_freehostent(host);
    stub_dns_stop();
}

TEST(gethostbyaddr_fails_with_the_codes_of_h_errno)
{
    start_stub();
    by_address_fails("127.0.0.77", PIER_H_HOST_NOT_FOUND);
    by_address_fails("127.0.0.8", PIER_H_TRY_AGAIN);
    by_address_fails("nosuch.test", PIER_EAI_NONAME);
    by_address_fails("", PIER_EMULTIPLE);
    by_address_fails(NULL, -EINVAL);
    assert_int_equal(pier_gethostbyaddr("127.0.0.9", far(), NULL), -EINVAL);
    stub_dns_stop();
}

/* A host that needs more room than can be had, and one that needs much. */
static size_t wanted_room;

static int large_host(const char *host, int family, struct hostent *result, char *buf, size_t size,
    struct hostent **found, int *herr)
{
    *found = NULL;
    *herr = -1; /* NETDB_INTERNAL */
    if (size < wanted_room) return -ERANGE;
    return pier__seam_system.gethostbyname(host, family, result, buf, size, found, herr);
}

TEST(a_host_may_need_much_room_but_not_without_end)
{
    struct pier__seam mine = pier__seam_system;
    mine.gethostbyname = large_host;
    pier__seam = &mine;
    pier_hostent *host;
    wanted_room = 500000;
    assert_int_equal(pier_gethostbyname_ex("127.0.0.1", PIER_NEVER, &host), 0);
    pier_freehostent(host);
    wanted_room = SIZE_MAX;
    assert_int_equal(pier_gethostbyname_ex("127.0.0.1", PIER_NEVER, &host), -ERANGE);
    assert_null(host);
    pier__seam = &pier__seam_system;
}

static void assert_fqdn(const char *name, const char *full)
{
    char buf[300] = "untouched";
    assert_int_equal(pier_getfqdn(name, PIER_NEVER, buf, sizeof buf), strlen(full));
    assert_string_equal(buf, full);
    assert_int_equal(pier_getfqdn(name, far(), buf, sizeof buf), strlen(full));
    assert_string_equal(buf, full);
}

TEST(getfqdn_is_the_first_name_with_a_dot)
{
    start_stub();
    stub_dns_hosts("127.0.0.1 localhost\n127.0.0.4 host first.test second.test\n"
                   "127.0.0.3 plain other\n127.0.0.2 thishost.test thishost\n");
    assert_int_equal(pier_sethostname("thishost", 8), 0);
    assert_fqdn("host", "first.test");
    assert_fqdn("  host\t", "first.test");
    assert_fqdn("127.0.0.4", "first.test");
    assert_fqdn("other", "plain"); /* the official one, if none has a dot */
    assert_fqdn("127.0.0.9", "nine.test");
    assert_fqdn("nosuch.test", "nosuch.test");
    assert_fqdn("127.0.0.8", "127.0.0.8");
    static const char *const own[] = {NULL, "", " ", "0.0.0.0", "::"};
    for (size_t i = 0; i < PIER_COUNT(own); i++) {
        assert_fqdn(own[i], "thishost.test");
    }
    char buf[11] = "untouched";
    assert_int_equal(pier_getfqdn("host", PIER_NEVER, buf, 10), -ENOSPC);
    assert_string_equal(buf, "untouched");
    assert_int_equal(pier_getfqdn("host", PIER_NEVER, buf, sizeof buf), 10);
    assert_int_equal(pier_getfqdn("host", PIER_NEVER, NULL, 0), -EINVAL);
    assert_int_equal(pier_getfqdn("host", pier_after(-1), buf, sizeof buf), -EINVAL);
    assert_int_equal(pier_getfqdn("\xff", PIER_NEVER, buf, sizeof buf), PIER_EAI_IDN_ENCODE);
    stub_dns_stop();
}

TEST(the_hosts_name_is_set_and_told)
{
    test_in_netns();
    char name[HOST_NAME_MAX + 1], buf[HOST_NAME_MAX + 1] = "untouched";
    memset(name, 'n', HOST_NAME_MAX);
    name[HOST_NAME_MAX] = '\0';
    assert_int_equal(pier_sethostname(name, HOST_NAME_MAX), 0);
    assert_int_equal(pier_gethostname(buf, HOST_NAME_MAX), -ENOSPC);
    assert_string_equal(buf, "untouched");
    assert_int_equal(pier_gethostname(buf, sizeof buf), HOST_NAME_MAX);
    assert_string_equal(buf, name);
    assert_int_equal(pier_sethostname(name, HOST_NAME_MAX + 1), -EINVAL);
    assert_int_equal(pier_sethostname("short name, cut", 5), 0);
    assert_int_equal(pier_gethostname(buf, sizeof buf), 5);
    assert_string_equal(buf, "short");
    assert_int_equal(pier_sethostname(NULL, 0), -EINVAL);
    assert_int_equal(pier_sethostname("x", SIZE_MAX), -EINVAL);
    assert_int_equal(pier_gethostname(NULL, 10), -EINVAL);
    assert_int_equal(pier_gethostname(buf, 0), -ENOSPC);
}

TEST(setting_the_hosts_name_takes_the_privilege)
{
    test_in_netns(); /* whatever happens, the machine keeps its name */
    if (setuid(65534) < 0) SKIP("cannot become nobody");
    assert_int_equal(pier_sethostname("x", 1), -EPERM);
    assert_string_equal(pier_error(), "sethostname: Operation not permitted");
}

static int unterminated(char *buf, size_t size)
{
    memset(buf, 'n', size);
    return 0;
}

TEST(a_name_that_the_system_does_not_terminate_is_terminated)
{
    struct pier__seam mine = pier__seam_system;
    mine.gethostname = unterminated;
    pier__seam = &mine;
    char buf[2048];
    ssize_t n = pier_gethostname(buf, sizeof buf);
    assert_true(n > 0);
    assert_int_equal(strlen(buf), n);
    pier__seam = &pier__seam_system;
}
