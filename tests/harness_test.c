/* SPDX-License-Identifier: MIT */
/* The ground that every other test stands on. */
#include "base/seam.h"
#include "harness.h"

#include <net/if.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void *own_seam(void *arg)
{
    (void)arg;
    return (void *)(uintptr_t)pier__seam;
}

TEST(threads_inherit_the_seam)
{
    struct pier__seam mine = pier__seam_system;
    pier__seam = &mine;
    void *seen = test_join(test_thread(own_seam, NULL));
    pier__seam = &pier__seam_system;
    assert_ptr_equal(seen, &mine);
}

TEST(a_temporary_folder_is_there_and_stays_the_same)
{
    struct stat st;
    assert_int_equal(stat(test_tmpdir(), &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    assert_string_equal(test_tmpdir(), test_tmpdir());
    assert_int_equal(strncmp(test_path("x"), test_tmpdir(), strlen(test_tmpdir())), 0);
}

TEST(a_namespace_of_its_own_has_only_lo)
{
    test_in_netns();
    struct if_nameindex *list = if_nameindex();
    assert_non_null(list);
    for (struct if_nameindex *i = list; i->if_index; i++)
        assert_true(strcmp(i->if_name, "lo") == 0 || list[1].if_index != 0);
    assert_string_equal(list[0].if_name, "lo");
    if_freenameindex(list);
    assert_true(test_ipv6());
}

TEST(descriptors_are_counted)
{
    int before = test_fd_count();
    int fd = dup(0);
    if (fd < 0) SKIP("no standard input");
    assert_int_equal(test_fd_count(), before + 1);
    close(fd);
    assert_int_equal(test_fd_count(), before);
}
