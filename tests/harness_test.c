/* SPDX-License-Identifier: MIT */
/* The ground that every other test stands on. */
#include "base/seam.h"
#include "harness.h"

#include <fcntl.h>
#include <net/if.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
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

/* The exit status of a test that runs on its own, unheard; -1 if a signal killed it. */
static int status_of(const char *id)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        (void)dup2(null, STDOUT_FILENO);
        (void)dup2(null, STDERR_FILENO);
        execl("/proc/self/exe", "pier_tests", id, (char *)NULL);
        _exit(127);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(a_descriptor_left_open_fails_the_test)
{
    assert_int_equal(status_of("specimens/leaves_a_descriptor_open"), 1);
}

TEST(a_foreign_descriptor_closed_fails_the_test)
{
    assert_int_equal(status_of("specimens/closes_a_descriptor_it_found"), 1);
}

TEST(a_changed_sigpipe_fails_the_test)
{
    assert_int_equal(status_of("specimens/changes_sigpipe"), 1);
}

TEST(a_failed_assert_ends_the_process_in_every_thread)
{
    assert_int_equal(status_of("specimens/fails_an_assert"), 1);
    assert_int_equal(status_of("specimens/fails_an_assert_in_a_thread"), 1);
    assert_int_equal(status_of("specimens/aborts"), 1);
}

TEST(a_skipped_test_exits_with_77) { assert_int_equal(status_of("specimens/is_skipped"), 77); }
