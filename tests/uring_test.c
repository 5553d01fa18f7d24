/* SPDX-License-Identifier: MIT */
/* What may happen to a ring while tasks wait with it. */
#include "base/bits.h"
#include "base/seam.h"
#include "harness.h"
#include "scene.h"
#include "wait/loop.h"

#include <errno.h>
#include <liburing.h>
#include <pier.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void on_uring(int (*fn)(void *arg))
{
    if (harness_in_task()) SKIP("has a loop already");
    const pier_run_opts opts = {.backend = "uring", .stack_size = (size_t)1 << 20};
    assert_int_equal(pier_run(fn, NULL, &opts), 0);
}

static int pair[2];
static char received[8];

static int receives(void *unused)
{
    (void)unused;
    return (int)pier_recv(pair[0], received, sizeof received, 0);
}

/* Entering fails for a while: interrupted, or the kernel has no room. */

static struct pier__seam seam;
static int failure;
static unsigned entered, failed;

static int enter_sometimes(struct io_uring *ring, pier_time deadline)
{
    if (++entered > 8 && entered % 4 != 0) { /* the loop stands by then */
        failed++;
        return failure;
    }
    return pier__seam_system.ring_enter(ring, deadline);
}

static int sends_numbers(void *arg)
{
    int s = (int)(intptr_t)arg;
    for (uint32_t i = 0; i < 300; i++) {
        assert_int_equal(pier_sendall(s, &i, sizeof i, 0), sizeof i);
        if (i % 3 == 0) assert_int_equal(pier_yield(), 0);
    }
    assert_int_equal(pier_shutdown(s, SHUT_WR), 0);
    return 0;
}

static int counts_numbers(void *arg)
{
    int s = (int)(intptr_t)arg;
    uint32_t number;
    for (uint32_t i = 0; i < 300; i++) {
        assert_int_equal(pier_recv_exactly(s, &number, sizeof number), sizeof number);
        assert_int_equal(number, i);
    }
    assert_int_equal(pier_recv(s, &number, sizeof number, 0), 0);
    return 0;
}

static int talks(void *unused)
{
    (void)unused;
    int ends[8][2];
    pier_group group;
    assert_int_equal(pier_group_enter(&group), 0);
    for (size_t i = 0; i < PIER_COUNT(ends); i++) {
        scene_pair("tcp", ends[i]);
        for (int j = 0; j < 2; j++) {
            void *s = (void *)(intptr_t)ends[i][j];
            assert_true(pier_group_spawn(&group, sends_numbers, s, NULL).number > 0);
            assert_true(pier_group_spawn(&group, counts_numbers, s, NULL).number > 0);
        }
    }
    assert_int_equal(pier_group_leave(&group), 0);
    for (size_t i = 0; i < PIER_COUNT(ends); i++) {
        assert_int_equal(pier_close(ends[i][0]), 0);
        assert_int_equal(pier_close(ends[i][1]), 0);
    }
    return 0;
}

TEST(entering_that_fails_for_a_while_loses_and_doubles_nothing)
{
    static const int codes[] = {-EINTR, -EAGAIN, -EBUSY, -ENOMEM};
    seam = *pier__seam;
    seam.ring_enter = enter_sometimes;
    pier__seam = &seam;
    for (size_t i = 0; i < PIER_COUNT(codes); i++) {
        failure = codes[i];
        entered = failed = 0;
        on_uring(talks);
        assert_true(failed > 0);
    }
}

/* Who enters for a send. */

static int count_enters(struct io_uring *ring, pier_time deadline)
{
    entered++;
    return pier__seam_system.ring_enter(ring, deadline);
}

static int sends_once(void *arg)
{
    return pier_sendall((int)(intptr_t)arg, "once", 4, 0) == 4 ? 0 : -1;
}

static int sends_alone_and_with_others(void *unused)
{
    (void)unused;
    int ends[8][2];
    for (size_t i = 0; i < PIER_COUNT(ends); i++)
        scene_pair("tcp", ends[i]);
    entered = 0;
    for (size_t i = 0; i < PIER_COUNT(ends); i++)
        assert_int_equal(sends_once((void *)(intptr_t)ends[i][0]), 0);
    assert_int_equal(entered, 0);

    pier_group group;
    assert_int_equal(pier_group_enter(&group), 0);
    for (size_t i = 0; i < PIER_COUNT(ends); i++) {
        void *s = (void *)(intptr_t)ends[i][0];
        assert_true(pier_group_spawn(&group, sends_once, s, NULL).number > 0);
    }
    assert_int_equal(pier_group_leave(&group), 0);
    assert_in_range(entered, 1, PIER_COUNT(ends) - 1);
    for (size_t i = 0; i < PIER_COUNT(ends); i++) {
        assert_int_equal(pier_recv_exactly(ends[i][1], received, 8), 8);
        scene_close(ends[i]);
    }
    return 0;
}

TEST(sends_of_many_tasks_enter_together_and_one_alone_not_at_all)
{
    seam = *pier__seam;
    seam.ring_enter = count_enters;
    pier__seam = &seam;
    on_uring(sends_alone_and_with_others);
}

/* The poll that tells a loop of other threads was to go on for ever, and ends. */

static int answers_late(void *unused)
{
    (void)unused;
    test_sleep(0.005);
    return 17;
}

static int loses_its_watch(void *unused)
{
    (void)unused;
    for (int i = 0; i < 3; i++) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(pier__loop_here->state);
        assert_non_null(sqe);
        io_uring_prep_cancel64(sqe, /* user_data= */ 1, 0); /* the eventfd's, in backend_uring.c */
        io_uring_sqe_set_data64(sqe, 0);
        assert_int_equal(pier_sleep(0.002), 0);
        assert_int_equal(
            pier_to_thread(answers_late, NULL), 17); /* nothing but the eventfd tells */
    }
    return 0;
}

TEST(poll_of_many_events_that_ends_is_begun_again) { on_uring(loses_its_watch); }

/* The end of a run. */

static int cancels_and_leaves(void *unused)
{
    (void)unused;
    scene_pair("unix stream", pair);
    pier_task task = pier_spawn(receives, NULL, &(pier_spawn_opts){.detached = true});
    assert_int_equal(pier_sleep(0.002), 0);
    assert_int_equal(pier_cancel(task), 0);
    return 0; /* before it has noticed */
}

TEST(when_a_run_has_ended_no_operation_is_under_way)
{
    for (int i = 0; i < 20; i++) {
        memset(received, 0, sizeof received);
        on_uring(cancels_and_leaves);
        char byte = 0;
        assert_int_equal(pier_send(pair[1], "x", 1, 0), 1);
        assert_int_equal(pier_recv(pair[0], &byte, 1, 0), 1); /* it is nobody else's */
        assert_int_equal(byte, 'x');
        assert_int_equal(received[0], 0);
        assert_int_equal(pier_close(pair[0]), 0);
        assert_int_equal(pier_close(pair[1]), 0);
    }
}

/* Forks. */

static int forks_beside_a_receive(void *unused)
{
    (void)unused;
    scene_pair("unix stream", pair);
    pier_task task = pier_spawn(receives, NULL, NULL);
    assert_int_equal(pier_sleep(0.002), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) { /* what is under way is the parent's; here is a ring of its own */
        int ends[2];
        char byte;
        scene_pair("unix stream", ends);
        assert_int_equal(pier_send(ends[1], "c", 1, 0), 1);
        assert_int_equal(pier_recv(ends[0], &byte, 1, 0), 1);
        _exit(pier_run(talks, NULL, &(pier_run_opts){.backend = "uring", .stack_size = 1 << 20}));
    }
    int status, result;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(pier_send(pair[1], "once", 4, 0), 4);
    assert_int_equal(pier_join(task, &result), 0);
    assert_int_equal(result, 4);
    assert_memory_equal(received, "once", 4);
    assert_int_equal(pier_recv(pair[0], received, 1, MSG_DONTWAIT), -EAGAIN);
    assert_int_equal(pier_close(pair[0]), 0);
    assert_int_equal(pier_close(pair[1]), 0);
    return 0;
}

TEST(fork_leaves_what_is_under_way_to_the_parent) { on_uring(forks_beside_a_receive); }

/* Privileges that are dropped when the ring is there already. */

#define NOBODY 65534

/* Who sent this, as the kernel says. */
static uid_t sender_of(int from, int to)
{
    struct ucred who;
    char control[256], byte;
    struct iovec iov = {.iov_base = &byte, .iov_len = 1};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    assert_int_equal(pier_send(from, "x", 1, 0), 1);
    assert_int_equal(pier_recvmsg(to, &msg, 0), 1);
    struct cmsghdr *header = CMSG_FIRSTHDR(&msg);
    assert_non_null(header);
    assert_int_equal(header->cmsg_type, SCM_CREDENTIALS);
    memcpy(&who, CMSG_DATA(header), sizeof who);
    return who.uid;
}

static int drops_privileges(void *path)
{
    int ends[2];
    scene_pair("unix stream", ends);
    assert_int_equal(pier_setsockopt_int(ends[0], SOL_SOCKET, SO_PASSCRED, 1), 0);
    assert_int_equal(sender_of(ends[1], ends[0]), 0);
    assert_int_equal(setresuid(NOBODY, NOBODY, 0), 0);
    int s = pier_socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(pier_connect(s, pier_unix(path)), -EACCES);
    int low = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(pier_bind(low, pier_inet("127.0.0.1", 1)), -EACCES);
    assert_int_equal(sender_of(ends[1], ends[0]), NOBODY);
    assert_int_equal(setresuid(0, 0, 0), 0);
    assert_int_equal(pier_connect(s, pier_unix(path)), 0);
    const int all[] = {s, low, ends[0], ends[1]};
    for (size_t i = 0; i < PIER_COUNT(all); i++)
        assert_int_equal(pier_close(all[i]), 0);
    return 0;
}

TEST(privileges_that_are_dropped_later_are_dropped_for_the_ring_too)
{
    if (harness_in_task()) SKIP("has a loop already");
    if (geteuid() != 0) SKIP("is not root");
    const char *path = test_path("private");
    int server = pier_socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(pier_bind(server, pier_unix(path)), 0);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(pier_listen(server, 1), 0);
    const pier_run_opts opts = {.backend = "uring", .stack_size = (size_t)1 << 20};
    assert_int_equal(pier_run(drops_privileges, (void *)(uintptr_t)path, &opts), 0);
    assert_int_equal(pier_close(server), 0);
}
