/* SPDX-License-Identifier: MIT */
#ifndef PIER_TESTS_HARNESS_H
#define PIER_TESTS_HARNESS_H

/*
 * What every test includes. A test is a sentence:
 *
 *     TEST(recv_returns_zero_at_end_of_stream)
 *     {
 *         assert_int_equal(pier_recv(s, buf, sizeof buf, 0), 0);
 *     }
 *
 * Its id is the name of its file without "_test.c", a slash, and the sentence. Tests
 * register themselves; `pier_tests --list` prints the ids, `pier_tests ID` runs one in
 * the process itself (for the debugger), and `pier_tests [PREFIX or GLOB ...]` runs several,
 * each in a process of its own that is killed after TEST_LIMIT seconds.
 *
 * The asserts are cmocka's. One that fails, in whichever thread, prints itself and ends
 * the process with status 1: nothing jumps across stacks. A test fails too when it leaves
 * a descriptor open or closes one it found, or changes what SIGPIPE does.
 */

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* cmocka.h leans on those above. */
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

/* Defines and registers a test. */
#define TEST(sentence)                                                                \
    static void test_##sentence(void);                                                \
    __attribute__((constructor)) static void register_##sentence(void)                \
    {                                                                                 \
        static struct harness_test test = {.file = __FILE__, .run = test_##sentence}; \
        test.name = #sentence;                                                        \
        harness_register(&test);                                                      \
    }                                                                                 \
    static void test_##sentence(void)

/* Ends the test as skipped: SKIP("no IPv6 here"). */
#define SKIP(reason) harness_skip(reason)

struct harness_test {
    const char *file, *name;
    void (*run)(void);
    struct harness_test *next;
};

void harness_register(struct harness_test *test);
_Noreturn void harness_skip(const char *reason);

/*
 * The world that the test runs in, by the environment variable PIER_TEST_MODE: "thread", or
 * "task-epoll", "task-uring", where the test and each test_thread() is the main task of a loop of
 * its own.
 */
bool harness_in_task(void);

/*
 * Call fn(arg) in that world, which pier_backend_name() must confirm. Returns what it returned, or
 * how pier_run() failed.
 */
int harness_in_world(int (*fn)(void *arg), void *arg);

/*
 * Called before descriptors are counted, at the start of a test and at its end: makes
 * what the library opens once per thread and keeps, so that it is not taken for a leak.
 */
void harness_settle(void);

/*
 * A thread that uses the same seam as its maker. test_join() waits for it and returns
 * what fn returned. Every thread must be joined.
 */
pthread_t test_thread(void *(*fn)(void *), void *arg);
void *test_join(pthread_t thread);

/* Sleep, to let another thread get somewhere. Never the only thing that makes a test right. */
void test_sleep(double seconds);

/*
 * A new empty folder, its path short enough for AF_UNIX; the same one at each call within
 * a test. It is removed with what lies in it when the test ends, however it ends short of
 * a crash. Borrowed.
 */
const char *test_tmpdir(void);

/* "<test_tmpdir()>/name", borrowed until the eighth next call. */
const char *test_path(const char *name);

/* Does ::1 work here? (It does in test_in_netns().) */
bool test_ipv6(void);

/*
 * Moves the test, which has no threads yet, into network, mount and host name
 * namespaces of its own, with lo up and no mount shared; in a user namespace too when it
 * is not root. Skips the test where that is not permitted.
 */
void test_in_netns(void);

/*
 * test_in_netns(), where a connection in TIME_WAIT stays there. Elsewhere the kernel may have no
 * room for more of them, and a FIN that is sent again, as it is when the machine is slow to
 * acknowledge it, ends one: it is acknowledged again, and the reset with which a closed socket
 * answers that kills it (RFC 1337).
 */
void test_in_netns_with_time_wait(void);

/*
 * Does no other thread run that might still give back what it took? Those of the resolver's pool
 * that wait for work do not count.
 */
bool test_alone(void);

/* Does no thread of the resolver's pool run a look-up, one that nobody waits for any more? */
bool test_pool_rests(void);

/* How many descriptors this process has open. */
int test_fd_count(void);

#endif
