/* SPDX-License-Identifier: MIT */
/*
 * Retire mode (src/wait/retire.h), in the only build that has it: nothing that the kernel does too
 * late goes unseen.
 */
#include "harness.h"
#include "scene.h"
#include "wait/loop.h"
#include "wait/retire.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <pier.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void *at(uint64_t address) { return (void *)(uintptr_t)address; }

/* Would the kernel find something there? */
static bool reaches(const char *memory)
{
    int pipes[2];
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    bool there = write(pipes[1], memory, 1) == 1;
    if (!there) assert_int_equal(errno, EFAULT);
    close(pipes[0]);
    close(pipes[1]);
    return there;
}

TEST(pages_are_lent_in_place_of_a_buffer_and_gone_when_the_operation_has_ended)
{
    char buf[8] = "-------";
    struct io_uring_sqe sqe;
    io_uring_prep_recv(&sqe, 0, buf, 7, 0);
    io_uring_sqe_set_data64(&sqe, 16);
    pier__retire_lend(NULL, &sqe);
    char *lent = at(sqe.addr);
    assert_ptr_not_equal(lent, buf);
    memcpy(lent, "hello", 5);
    assert_string_equal(buf, "-------");
    pier__retire_end(NULL, 16, 5);
    pier__retire_done(NULL, 16);
    assert_string_equal(buf, "hello--");
    assert_false(reaches(lent));
    pier__retire_close(NULL);
}

TEST(message_is_lent_with_all_that_it_points_at)
{
    char first[] = "ab", second[] = "cd", name[16] = "name", control[32] = "control";
    struct iovec iov[] = {{first, 2}, {second, 2}};
    struct msghdr msg = {.msg_name = name,
        .msg_namelen = sizeof name,
        .msg_iov = iov,
        .msg_iovlen = 2,
        .msg_control = control,
        .msg_controllen = sizeof control};
    struct io_uring_sqe sqe;
    io_uring_prep_recvmsg(&sqe, 0, &msg, 0);
    io_uring_sqe_set_data64(&sqe, 32);
    pier__retire_lend(NULL, &sqe);
    struct msghdr *lent = at(sqe.addr);
    assert_ptr_not_equal(lent, &msg);
    assert_ptr_not_equal(lent->msg_iov, iov);
    memcpy(lent->msg_iov[0].iov_base, "xy", 2);
    memcpy(lent->msg_iov[1].iov_base, "zz", 2);
    strcpy(lent->msg_name, "who");
    lent->msg_namelen = 4;
    lent->msg_controllen = 0;
    lent->msg_flags = MSG_TRUNC;
    pier__retire_end(NULL, 32, 3); /* bytes: the last is not given back */
    assert_string_equal(first, "xy");
    assert_string_equal(second, "zd");
    assert_string_equal(name, "who");
    assert_int_equal(msg.msg_namelen, 4);
    assert_int_equal(msg.msg_controllen, 0);
    assert_int_equal(msg.msg_flags, MSG_TRUNC);
    assert_ptr_equal(msg.msg_iov, iov);
    assert_false(reaches((char *)lent));
    pier__retire_close(NULL);
}

/* Does this end the process by SIGABRT? */
static bool aborts(void (*fn)(void))
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(STDERR_FILENO);
        (void)signal(SIGABRT, SIG_DFL);
        fn();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void lend(char *buf)
{
    struct io_uring_sqe sqe;
    io_uring_prep_send(&sqe, 0, buf, 1, 0);
    io_uring_sqe_set_data64(&sqe, 16);
    pier__retire_lend(NULL, &sqe);
}

static char byte[1];

static void ends_twice(void)
{
    lend(byte);
    pier__retire_end(NULL, 16, 1);
    pier__retire_end(NULL, 16, 1);
}

static void is_lent_twice(void)
{
    lend(byte);
    lend(byte);
}

static void ends_too_early(void)
{
    lend(byte);
    pier__retire_done(NULL, 16);
}

static void faults(void)
{
    lend(byte);
    pier__retire_end(NULL, 16, -EFAULT);
}

static void closes_too_early(void)
{
    lend(byte);
    pier__retire_close(NULL);
}

TEST(program_is_aborted_when_the_kernel_and_the_loop_disagree)
{
    assert_true(aborts(ends_twice));
    assert_true(aborts(is_lent_twice));
    assert_true(aborts(ends_too_early));
    assert_true(aborts(faults));
    assert_true(aborts(closes_too_early));
}
