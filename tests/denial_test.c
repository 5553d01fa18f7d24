/* SPDX-License-Identifier: MIT */
/*
 * Where io_uring is denied, in each way that a system has, the same program does the same on epoll.
 */
#include "base/bits.h"
#include "base/seam.h"
#include "harness.h"
#include "scene.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <liburing.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pier.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * The program: a little of all that tasks do. What it says depends on nothing but what pier
 * promises.
 */

/* What came of it, sent through a pipe by the process that was denied. */
struct sight {
    int named;        /* what a run that asks for "uring" came to */
    int result;       /* of the run that asks for nothing */
    char backend[16]; /* and what that ran on */
    char said[512];
    char skipped[64]; /* why it could not be denied; empty: it was */
};

static struct sight sight;
static void (*begun)(void); /* called by the program when its loop stands, or NULL */

static void say(const char *what, int64_t n)
{
    size_t used = strlen(sight.said);
    (void)snprintf(sight.said + used, sizeof sight.said - used, "%s: %lld\n", what, (long long)n);
}

static int echo(void *arg)
{
    int s = (int)(intptr_t)arg;
    char line[64];
    ssize_t n, total = 0;
    while ((n = pier_recv_line(s, line, sizeof line)) > 0)
        total += pier_sendall(s, line, (size_t)n, 0);
    say("echoed", total);
    return pier_close(s);
}

static int ask(void *arg)
{
    char line[64];
    int s = pier_create_connection(arg, NULL);
    ssize_t total = 0;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(pier_sendall(s, "a line\n", 7, 0), 7);
        total += pier_recv_line(s, line, sizeof line);
    }
    say("heard", total);
    return pier_close(s);
}

static int wait_to_receive(void *arg)
{
    char byte;
    say("woken", pier_recv((int)(intptr_t)arg, &byte, 1, 0));
    return 0;
}

static int count_backwards(void *arg)
{
    int length = (int)(intptr_t)arg;
    pier_time began = pier_now();
    int slept = pier_sleep(length * 0.001);
    return slept == 0 && pier_now() - began >= length * (PIER_SECOND / 1000) ? 0 : -1;
}

static void wait_in_vain(void)
{
    int pair[2];
    char byte;
    scene_pair("tcp", pair);
    assert_int_equal(pier_settimeout(pair[0], 0.01), 0);
    pier_time began = pier_now();
    say("late", pier_recv(pair[0], &byte, 1, 0));
    assert_true(pier_now() - began >= PIER_SECOND / 100);
    assert_int_equal(pier_settimeout(pair[0], 1000), 0);
    pier_task closed = pier_spawn(wait_to_receive, (void *)(intptr_t)pair[0], NULL);
    assert_int_equal(pier_yield(), 0);
    assert_int_equal(pier_close(pair[0]), 0);
    assert_int_equal(pier_join(closed, NULL), 0);
    pier_task canceled = pier_spawn(wait_to_receive, (void *)(intptr_t)pair[1], NULL);
    assert_int_equal(pier_cancel(canceled), 0);
    assert_int_equal(pier_join(canceled, NULL), 0);
    assert_int_equal(pier_close(pair[1]), 0);
}

static int program(void *unused)
{
    (void)unused;
    if (begun) begun();
    (void)snprintf(sight.backend, sizeof sight.backend, "%s", pier_backend_name());
    pier_addr at;
    int server = scene_listener(&at);
    char address[64];
    (void)snprintf(address, sizeof address, "localhost:%d", pier_addr_port(at));
    const pier_spawn_opts large = {.stack_size = (size_t)1 << 20};
    pier_task asks = pier_spawn(ask, address, &large);
    int client = pier_accept(server, NULL);
    assert_true(client >= 0);
    pier_task echoes = pier_spawn(echo, (void *)(intptr_t)client, &large);
    assert_int_equal(pier_join(asks, NULL), 0);
    assert_int_equal(pier_join(echoes, NULL), 0);
    assert_int_equal(pier_close(server), 0);
    wait_in_vain();
    pier_group group;
    assert_int_equal(pier_group_enter(&group), 0);
    for (int i = 10; i > 0; i--)
        pier_group_spawn(&group, count_backwards, (void *)(intptr_t)i, NULL);
    say("slept", pier_group_leave(&group));
    return 7;
}

#define SAID "heard: 140\nechoed: 140\nlate: -62\nwoken: -125\nwoken: -125\nslept: 0\n"

static int nothing(void *unused)
{
    (void)unused;
    return 0;
}

static void look(void)
{
    const pier_run_opts named = {.backend = "uring"};
    const pier_run_opts large = {.stack_size = (size_t)1 << 20};
    sight.named = pier_run(nothing, NULL, &named);
    sight.result = pier_run(program, NULL, &large);
}

/*
 * Run the program in a process of its own, after `deny(arg)` there. What that returns is the reason
 * why it cannot be denied, or NULL.
 */
static struct sight in_child(const char *(*deny)(int arg), int arg)
{
    if (harness_in_task()) SKIP("has a loop already");
    int pipe_[2];
    assert_int_equal(pipe2(pipe_, O_CLOEXEC), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)unsetenv("PIER_BACKEND");
        const char *reason = deny ? deny(arg) : NULL;
        if (reason)
            (void)snprintf(sight.skipped, sizeof sight.skipped, "%s", reason);
        else
            look();
        _exit(write(pipe_[1], &sight, sizeof sight) == sizeof sight ? 0 : 1);
    }
    close(pipe_[1]);
    struct sight seen;
    ssize_t n = read(pipe_[0], &seen, sizeof seen);
    close(pipe_[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(n, sizeof seen);
    return seen;
}

static void check(const struct sight *seen, const char *backend, int named)
{
    if (seen->skipped[0]) {
        static char reason[sizeof seen->skipped];
        memcpy(reason, seen->skipped, sizeof reason);
        SKIP(reason);
    }
    assert_string_equal(seen->said, SAID);
    assert_string_equal(seen->backend, backend);
    assert_int_equal(seen->result, 7);
    assert_int_equal(seen->named, named);
}

TEST(where_nothing_is_denied_it_is_io_uring)
{
    struct sight seen = in_child(NULL, 0);
    check(&seen, "uring", 0);
}

/* By a filter, as containers have it. */

static const char *filter_call(long number, uint32_t verdict)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, verdict),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog all = {.len = PIER_COUNT(filter), .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &all) < 0)
        return "filters of system calls are not permitted here";
    return NULL;
}

static const char *deny_call(long number, int code)
{
    return filter_call(number, SECCOMP_RET_ERRNO | (uint32_t)code);
}

static const char *deny_setup(int code) { return deny_call(SYS_io_uring_setup, code); }

static const char *deny_enter(int code) { return deny_call(SYS_io_uring_enter, code); }

static const char *deny_register(int code) { return deny_call(SYS_io_uring_register, code); }

TEST(seccomp_that_denies_setting_up)
{
    struct sight seen = in_child(deny_setup, EPERM);
    check(&seen, "epoll", -EPERM);
    seen = in_child(deny_setup, ENOSYS);
    check(&seen, "epoll", -ENOSYS);
}

TEST(seccomp_that_denies_entering_though_setting_up_is_allowed)
{
    struct sight seen = in_child(deny_enter, EPERM);
    check(&seen, "epoll", -EPERM);
    seen = in_child(deny_enter, ENOSYS);
    check(&seen, "epoll", -ENOSYS);
}

/* pier registers nothing with a ring, so that alone takes nothing away. */
TEST(seccomp_that_denies_registering_alone_does_not_matter)
{
    struct sight seen = in_child(deny_register, EPERM);
    check(&seen, "uring", 0);
    seen = in_child(deny_register, ENOSYS);
    check(&seen, "uring", 0);
}

/* By who it is. */

#define NOBODY 65534

static const char *become_nobody(void)
{
    if (geteuid() != 0) return NULL; /* is nobody already */
    if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
        setresuid(NOBODY, NOBODY, NOBODY) < 0)
        return "cannot become another user here";
    return NULL;
}

static const char *deny_memory(int unused)
{
    (void)unused;
    const struct rlimit none = {0};
    assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &none), 0);
    return become_nobody();
}

TEST(no_memory_may_be_locked)
{
    struct sight seen = in_child(deny_memory, 0);
    check(&seen, "epoll", -ENOMEM);
}

/*
 * By the administrator, and so for the whole machine: set for no longer than it takes to make a
 * loop, and put back by a process that the test does not take along when it is killed. CTest runs
 * these tests while no others are running.
 */
#define SYSCTL "/proc/sys/kernel/io_uring_disabled"

static int hold = -1; /* while a process has this open, the value stands */

static _Noreturn void guard(const char *value, int held, int ready)
{
    char was[16], byte = 0;
    (void)setsid();
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    int fd = open(SYSCTL, O_RDWR | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX) < 0) _exit(1); /* one test at a time */
    ssize_t n = pread(fd, was, sizeof was, 0);
    if (n <= 0 || pwrite(fd, value, 1, 0) != 1 || write(ready, &byte, 1) != 1) _exit(1);
    struct pollfd over = {.fd = held, .events = POLLIN};
    (void)poll(&over, 1, 10000);
    _exit(pwrite(fd, was, (size_t)n, 0) == n ? 0 : 1);
}

/* Start the one who sets the value, and puts it back. False: it cannot be set. */
static bool set_sysctl(const char *value, pid_t *out_guard)
{
    int held[2], ready[2];
    char byte;
    assert_int_equal(pipe2(held, O_CLOEXEC), 0);
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    *out_guard = fork();
    assert_true(*out_guard >= 0);
    if (*out_guard == 0) {
        close(held[1]);
        close(ready[0]);
        guard(value, held[0], ready[1]);
    }
    close(held[0]);
    close(ready[1]);
    bool is_set = read(ready[0], &byte, 1) == 1;
    close(ready[0]);
    hold = held[1];
    return is_set;
}

static void let_go(void)
{
    assert_int_equal(close(hold), 0);
    hold = -1;
}

static const char *as_nobody(int unused)
{
    (void)unused;
    begun = let_go;
    return become_nobody();
}

static const char *as_anybody(int unused)
{
    (void)unused;
    begun = let_go;
    return NULL;
}

static void check_sysctl(const char *value, const char *(*who)(int))
{
    if (getenv("PIER_TEST_FAULT") || getenv("PIER_TEST_NOISE")) SKIP("others run beside it");
    pid_t guardian;
    int status;
    struct sight seen = {.skipped = "kernel.io_uring_disabled cannot be set here"};
    bool is_set = set_sysctl(value, &guardian);
    if (is_set) seen = in_child(who, 0);
    let_go();
    assert_int_equal(waitpid(guardian, &status, 0), guardian);
    if (is_set) assert_int_equal(status, 0);
    check(&seen, "epoll", -EPERM);
}

TEST(sysctl_that_denies_it_to_all_but_root)
{
    if (geteuid() != 0) SKIP("is not root");
    check_sysctl("1", as_nobody);
}

TEST(sysctl_that_denies_it_to_all)
{
    if (geteuid() != 0) SKIP("is not root");
    check_sysctl("2", as_anybody);
}

static bool sysctl_is(char wanted)
{
    char value = 0;
    int fd = open(SYSCTL, O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, &value, 1);
    close(fd);
    return n == 1 && value == wanted;
}

/* What a test does that is killed in the middle. */
TEST(sysctl_is_put_back_though_the_test_is_killed)
{
    if (geteuid() != 0) SKIP("is not root");
    if (getenv("PIER_TEST_FAULT") || getenv("PIER_TEST_NOISE")) SKIP("others run beside it");
    if (!sysctl_is('0')) SKIP("kernel.io_uring_disabled is not 0 here");
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        pid_t guardian;
        if (!set_sysctl("1", &guardian)) _exit(77);
        (void)raise(SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status)) SKIP("kernel.io_uring_disabled cannot be set here");
    while (!sysctl_is('0'))
        test_sleep(0.001);
}

/* By age: a kernel that knows less, played by the seam. */

static int ring_without_flags(
    struct io_uring *ring, unsigned entries, struct io_uring_params *params)
{
    const unsigned young = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    if (params->flags & young) return -EINVAL; /* before Linux 6.1 */
    return pier__seam_system.ring_open(ring, entries, params);
}

static unsigned missing;

static int ring_without_features(
    struct io_uring *ring, unsigned entries, struct io_uring_params *params)
{
    int err = pier__seam_system.ring_open(ring, entries, params);
    params->features &= ~missing;
    return err;
}

static int enter_without_result(struct io_uring *ring, pier_time deadline)
{
    (void)ring, (void)deadline;
    return 0;
}

static struct pier__seam seam;

static const char *be_old(int feature)
{
    seam = pier__seam_system;
    missing = (unsigned)feature;
    seam.ring_open = feature ? ring_without_features : ring_without_flags;
    pier__seam = &seam;
    return NULL;
}

static const char *swallow(int unused)
{
    (void)unused;
    seam = pier__seam_system;
    seam.ring_enter = enter_without_result;
    pier__seam = &seam;
    return NULL;
}

TEST(kernel_that_does_not_know_the_flags)
{
    struct sight seen = in_child(be_old, 0);
    check(&seen, "epoll", -EINVAL);
}

TEST(kernel_that_may_drop_results_or_has_no_deadlines)
{
    struct sight seen = in_child(be_old, IORING_FEAT_NODROP);
    check(&seen, "epoll", -ENOSYS);
    seen = in_child(be_old, IORING_FEAT_EXT_ARG);
    check(&seen, "epoll", -ENOSYS);
}

TEST(kernel_that_takes_an_operation_and_gives_no_result)
{
    struct sight seen = in_child(swallow, 0);
    check(&seen, "epoll", -ENOSYS);
}

/* By the user's choice. */

static const char *const choices[] = {"epoll", "uring", "thread", "nonsense", ""};

static const char *choose(int choice)
{
    assert_int_equal(setenv("PIER_BACKEND", choices[choice], 1), 0);
    return NULL;
}

static const char *choose_and_deny(int choice)
{
    (void)choose(choice);
    return deny_setup(EPERM);
}

TEST(environment_chooses_the_backend)
{
    for (size_t i = 0; i < PIER_COUNT(choices); i++) {
        struct sight seen = in_child(choose, (int)i);
        check(&seen, i == 0 ? "epoll" : "uring", 0); /* what names no backend is no choice */
    }
}

TEST(environment_that_chooses_what_is_denied_is_told_why)
{
    struct sight seen = in_child(choose_and_deny, 1);
    if (seen.skipped[0]) SKIP("filters of system calls are not permitted here");
    assert_int_equal(seen.result, -EPERM);
    assert_string_equal(seen.said, ""); /* the program was not begun */
    seen = in_child(choose_and_deny, 0);
    check(&seen, "epoll", -EPERM);
    seen = in_child(choose_and_deny, 3);
    check(&seen, "epoll", -EPERM);
}

static const char *end_by_filter(void)
{
    return filter_call(SYS_io_uring_setup, SECCOMP_RET_KILL_PROCESS);
}

/* Who would be killed for trying must have a way not to try. */
TEST(chosen_epoll_never_touches_io_uring)
{
    if (harness_in_task()) SKIP("has a loop already");
    for (int i = 0; i < 2; i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            const pier_run_opts opts = {
                .backend = i == 0 ? "epoll" : NULL, .stack_size = (size_t)1 << 20};
            if (i == 1) assert_int_equal(setenv("PIER_BACKEND", "epoll", 1), 0);
            if (end_by_filter()) _exit(77);
            _exit(pier_run(program, NULL, &opts) == 7 && strcmp(sight.said, SAID) == 0 ? 0 : 1);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
            SKIP("filters of system calls are not permitted here");
        assert_int_equal(status, 0);
    }
}
