/* SPDX-License-Identifier: MIT */
#include "base/seam.h"
#include "harness.h"

#include <pier/error.h>
#include <pier/resolve.h>

#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <string.h>

TEST(every_interface_has_a_number_and_a_name_that_lead_to_each_other)
{
    pier_interface *list;
    ssize_t count = pier_if_nameindex(&list);
    assert_true(count >= 1);
    bool loopback = false;
    for (ssize_t i = 0; i < count; i++) {
        char name[IF_NAMESIZE];
        assert_int_equal(pier_if_nametoindex(list[i].name), list[i].index);
        assert_int_equal(
            pier_if_indextoname(list[i].index, name, sizeof name), strlen(list[i].name));
        assert_string_equal(name, list[i].name);
        if (strcmp(name, "lo") == 0) loopback = true;
    }
    assert_true(loopback);
    pier_freenameindex(list);
    pier_freenameindex(NULL);
}

TEST(unknown_interfaces_are_errors)
{
    char name[IF_NAMESIZE] = "untouched";
    assert_int_equal(pier_if_nametoindex("nosuchif0"), PIER_ENOINTERFACE);
    assert_string_equal(pier_error(), "resolve nosuchif0: no interface with this name");
    assert_int_equal(pier_if_nametoindex(""), PIER_ENOINTERFACE);
    assert_int_equal(pier_if_nametoindex("a name above the limit"), PIER_ENOINTERFACE);
    assert_int_equal(pier_if_nametoindex(NULL), -EINVAL);
    assert_int_equal(pier_if_indextoname(0, name, sizeof name), -ENXIO);
    assert_int_equal(pier_if_indextoname(1000000, name, sizeof name), -ENXIO);
    assert_int_equal(pier_if_indextoname(UINT_MAX, name, sizeof name), -ENXIO);
    unsigned lo = (unsigned)pier_if_nametoindex("lo");
    assert_int_equal(pier_if_indextoname(lo, name, 2), -ENOSPC);
    assert_int_equal(pier_if_indextoname(lo, name, 0), -ENOSPC);
    assert_int_equal(pier_if_indextoname(lo, NULL, 10), -EINVAL);
    assert_string_equal(name, "untouched");
    assert_int_equal(pier_if_indextoname(lo, name, 3), 2);
    assert_int_equal(pier_if_nameindex(NULL), -EINVAL);
}

static int allocations_left;

static void *allocate(void *old, size_t size)
{
    return allocations_left-- > 0 ? pier__seam_system.allocate(old, size) : NULL;
}

static int no_descriptor(const char *name)
{
    (void)name;
    return -EMFILE;
}

static int no_list(struct if_nameindex **out)
{
    (void)out;
    return -ENOBUFS;
}

TEST(what_the_system_says_of_interfaces_is_told)
{
    struct pier__seam mine = pier__seam_system;
    mine.allocate = allocate;
    mine.if_nametoindex = no_descriptor;
    pier__seam = &mine;
    pier_interface *list = (pier_interface *)&list;
    assert_int_equal(pier_if_nameindex(&list), -ENOMEM);
    assert_null(list);
    mine.if_nameindex = no_list;
    assert_int_equal(pier_if_nameindex(&list), -ENOBUFS);
    assert_int_equal(pier_if_nametoindex("lo"), -EMFILE);
    pier__seam = &pier__seam_system;
}
