/* SPDX-License-Identifier: MIT */
#include "fault.h"
#include "harness.h"
#include "seams.h"
#include "wait/overflow.h"
#include "wait/stack.h"
#include "wait/switch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* A task, and how its stack overflows. */
static struct pier__stacks stacks;
static struct pier__stack stack;
static struct pier__context self, maker;

static bool describe(const void *address, char *buf, size_t size)
{
    if (!pier__stack_guards(&stack, address)) return false;
    (void)snprintf(buf, size, "task 7 \"greet\" overflowed its stack of %zu bytes", stack.size);
    return true;
}

#define SENTENCE "pier: task 7 \"greet\" overflowed its stack of 65536 bytes\n"

__attribute__((noinline)) static int recurse(volatile int depth)
{
    volatile char room[200];
    room[0] = (char)depth;
    int deeper = depth > 0 ? recurse(depth + 1) : 0;
    return deeper + room[0];
}

static void recurse_for_ever(void *arg) { *(int *)arg = recurse(1); }

/* What a function with a frame as large as the guard would do that does not touch each page. */
static void step_far(void *arg)
{
    (void)arg;
    ((volatile char *)stack.bottom)[-60000] = 1;
}

static void touch_nothing(void *arg)
{
    (void)arg;
    char *volatile nowhere = NULL;
    *(volatile char *)(nowhere + 64) = 1;
}

static void run_as_task(void (*entry)(void *arg))
{
    static int unused;
    assert_int_equal(pier__stack_take(&stacks, 0, &stack), 0);
    pier__context_own(&maker);
    pier__context_make(&self, stack.bottom, stack.size, entry, &unused);
    pier__switch(&maker, &self);
}

static void no_handler(void)
{
    struct sigaction standard = {.sa_handler = SIG_DFL}; /* sanitizers have one */
    assert_int_equal(sigaction(SIGSEGV, &standard, NULL), 0);
}

static void no_alternate(void)
{
    stack_t none = {.ss_flags = SS_DISABLE};
    assert_int_equal(sigaltstack(&none, NULL), 0);
}

/* Run it in a forked child that watches. What it says on stderr, and its status. */
static int in_child(void (*run)(void), char *said, size_t size)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        no_handler();
        pier__overflow_describe = describe;
        if (pier__overflow_watch() < 0) _exit(1);
        run();
        pier__overflow_unwatch();
        _exit(0);
    }
    close(ends[1]);
    size_t len = 0;
    for (ssize_t n; len < size - 1 && (n = read(ends[0], said + len, size - 1 - len)) > 0;)
        len += (size_t)n;
    said[len] = '\0';
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void check_dies(void (*run)(void), const char *sentence)
{
    static char said[4096];
    int status = in_child(run, said, sizeof said);
    char *emulator = strstr(said, "qemu: "); /* tells of the signal, too */
    if (emulator) *emulator = '\0';
    assert_string_equal(said, sentence);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSEGV);
}

static void overflow(void) { run_as_task(recurse_for_ever); }

static void overflow_far(void) { run_as_task(step_far); }

static void overflow_without_alternate(void)
{
    pier__overflow_unwatch();
    no_alternate(); /* also where a sanitizer had set one */
    if (pier__overflow_watch() == 0) run_as_task(recurse_for_ever);
}

TEST(task_that_overflows_its_stack_is_named_and_the_process_dies)
{
    check_dies(overflow, SENTENCE);
    check_dies(overflow_far, SENTENCE);
    check_dies(overflow_without_alternate, SENTENCE);
}

static void *watch_and_overflow(void *arg)
{
    if (pier__overflow_watch() == 0) run_as_task(recurse_for_ever);
    return arg;
}

static void overflow_in_a_thread(void) { test_join(test_thread(watch_and_overflow, NULL)); }

TEST(overflow_is_told_in_any_thread_that_watches) { check_dies(overflow_in_a_thread, SENTENCE); }

static void fault_in_task(void) { run_as_task(touch_nothing); }

static void fault_outside(void) { touch_nothing(NULL); }

TEST(any_other_fault_kills_in_silence)
{
    check_dies(fault_in_task, "");
    check_dies(fault_outside, "");
}

static void send_to_process(void) { kill(getpid(), SIGSEGV); }

static void send_to_thread(void) { raise(SIGSEGV); }

TEST(signal_that_somebody_sends_kills_as_well)
{
    check_dies(send_to_process, "");
    check_dies(send_to_thread, "");
}

static void nothing(void) {}

TEST(who_does_not_fault_hears_nothing)
{
    static char said[4096];
    assert_int_equal(in_child(nothing, said, sizeof said), 0);
    assert_string_equal(said, "");
}

/* What belongs to whom. */

static struct sigaction handler_now(void)
{
    struct sigaction now;
    assert_int_equal(sigaction(SIGSEGV, NULL, &now), 0);
    return now;
}

static bool is_default(void)
{
    struct sigaction now = handler_now();
    return !(now.sa_flags & SA_SIGINFO) && now.sa_handler == SIG_DFL;
}

static stack_t alternate_now(void)
{
    stack_t now;
    assert_int_equal(sigaltstack(NULL, &now), 0);
    return now;
}

static void begin_afresh(void)
{
    no_handler();
    no_alternate();
}

TEST(watching_takes_a_free_sigsegv_and_gives_it_back)
{
    begin_afresh();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pier__overflow_watch(), 0);
        assert_false(is_default());
        assert_int_equal(
            handler_now().sa_flags & (SA_ONSTACK | SA_SIGINFO), SA_ONSTACK | SA_SIGINFO);
        stack_t first = alternate_now();
        assert_false(first.ss_flags & SS_DISABLE);
        assert_int_equal(pier__overflow_watch(), 0); /* a second time */
        assert_ptr_equal(alternate_now().ss_sp, first.ss_sp);
        pier__overflow_unwatch();
        assert_false(is_default());
        assert_false(alternate_now().ss_flags & SS_DISABLE);
        pier__overflow_unwatch();
        assert_true(is_default());
        assert_true(alternate_now().ss_flags & SS_DISABLE);
    }
}

static void of_the_program(int signal) { (void)signal; }

TEST(handler_of_the_program_stays)
{
    begin_afresh();
    struct sigaction own = {.sa_handler = of_the_program};
    assert_int_equal(sigaction(SIGSEGV, &own, NULL), 0);
    assert_int_equal(pier__overflow_watch(), 0);
    assert_ptr_equal(handler_now().sa_handler, of_the_program);
    assert_true(alternate_now().ss_flags & SS_DISABLE);
    pier__overflow_unwatch();
    assert_ptr_equal(handler_now().sa_handler, of_the_program);
}

TEST(handler_that_ignores_stays)
{
    begin_afresh();
    signal(SIGSEGV, SIG_IGN);
    assert_int_equal(pier__overflow_watch(), 0);
    assert_ptr_equal(handler_now().sa_handler, SIG_IGN);
    pier__overflow_unwatch();
    assert_ptr_equal(handler_now().sa_handler, SIG_IGN);
}

TEST(what_the_program_sets_meanwhile_stays)
{
    static char room[65536];
    begin_afresh();
    assert_int_equal(pier__overflow_watch(), 0);
    struct sigaction own = {.sa_handler = of_the_program};
    assert_int_equal(sigaction(SIGSEGV, &own, NULL), 0);
    stack_t other = {.ss_sp = room, .ss_size = sizeof room};
    assert_int_equal(sigaltstack(&other, NULL), 0);
    pier__overflow_unwatch();
    assert_ptr_equal(handler_now().sa_handler, of_the_program);
    assert_ptr_equal(alternate_now().ss_sp, room);
    begin_afresh();
}

TEST(alternate_stack_that_is_there_is_used_and_stays)
{
    static char room[65536];
    begin_afresh();
    stack_t own = {.ss_sp = room, .ss_size = sizeof room};
    assert_int_equal(sigaltstack(&own, NULL), 0);
    assert_int_equal(pier__overflow_watch(), 0);
    assert_ptr_equal(alternate_now().ss_sp, room);
    assert_false(is_default());
    pier__overflow_unwatch();
    assert_ptr_equal(alternate_now().ss_sp, room);
    assert_true(is_default());
    no_alternate();
}

static atomic_bool up, go;

static void *watch_until_go(void *arg)
{
    no_alternate();
    assert_int_equal(pier__overflow_watch(), 0);
    assert_false(alternate_now().ss_flags & SS_DISABLE);
    atomic_store(&up, true);
    while (!atomic_load(&go))
        test_sleep(0.001);
    pier__overflow_unwatch();
    assert_true(alternate_now().ss_flags & SS_DISABLE);
    return arg;
}

TEST(last_thread_to_watch_restores_the_signal)
{
    begin_afresh();
    pthread_t thread = test_thread(watch_until_go, NULL);
    while (!atomic_load(&up))
        test_sleep(0.001);
    assert_true(alternate_now().ss_flags & SS_DISABLE); /* this thread does not watch */
    assert_int_equal(pier__overflow_watch(), 0);
    pier__overflow_unwatch();
    assert_false(is_default());
    atomic_store(&go, true);
    test_join(thread);
    assert_true(is_default());
}

/* The child of a thread that does not watch has nobody who does. */
TEST(forked_child_has_the_watchers_of_its_own_thread)
{
    begin_afresh();
    pthread_t thread = test_thread(watch_until_go, NULL);
    while (!atomic_load(&up))
        test_sleep(0.001);
    pid_t child = fork();
    if (child == 0) _exit(!is_default());
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(pier__overflow_watch(), 0);
    child = fork();
    if (child == 0) {
        bool watched = !is_default();
        pier__overflow_unwatch();
        _exit(!(watched && is_default()));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    pier__overflow_unwatch();
    atomic_store(&go, true);
    test_join(thread);
    assert_true(is_default());
}

TEST(watching_that_fails_changes_nothing)
{
    begin_afresh();
    for (long n = 1;; n++) {
        fault_begin(n, /* onwards= */ false);
        pier__seam = &fault_seam;
        int err = pier__overflow_watch();
        bool failed = fault_victim() != NULL;
        pier__seam = &pier__seam_system;
        assert_int_equal(err < 0, failed);
        if (err == 0) break;
        assert_int_equal(fault_blocks(), 0);
        assert_true(is_default());
        assert_true(alternate_now().ss_flags & SS_DISABLE);
    }
    pier__overflow_unwatch();
    assert_true(is_default());
}
