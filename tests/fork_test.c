/* SPDX-License-Identifier: MIT */
#include "base/seam.h"
#include "harness.h"
#include "scene.h"
#include "seams.h"
#include "wait/thread.h"

#include <errno.h>
#include <pier.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Run it in a forked child, which asserts; 0 when all held. */
static int in_child(void (*run)(void *arg), void *arg)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        run(arg);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

/* What a thread is woken by. */

static void wake_is_another(void *arg)
{
    int parents = *(int *)arg;
    assert_false(scene_open(parents)); /* the parent's has gone */
    struct pier__waker *own;
    assert_int_equal(pier__thread_waker(&own), 0);
    pier__wake(own);
    pier__wake(own);
}

TEST(forked_child_has_a_wake_descriptor_of_its_own)
{
    struct pier__waker *waker, *later;
    assert_int_equal(pier__thread_waker(&waker), 0);
    int wakefd = waker->fd;
    assert_int_equal(in_child(wake_is_another, &wakefd), 0);
    assert_int_equal(pier__thread_waker(&later), 0);
    assert_int_equal(later->fd, wakefd);
    struct pollfd ready = {.fd = wakefd, .events = POLLIN};
    assert_int_equal(poll(&ready, 1, 0), 0); /* nobody woke the parent */
}

/* As many system calls as CPython makes: poll, and the call. */
TEST(waiting_beside_the_wake_descriptor_costs_no_system_call_more)
{
    pier_addr at;
    int listener = scene_listener(&at), client = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(pier_settimeout(listener, 10), 0);
    assert_int_equal(pier_connect(client, at), 0);
    seams_install();
    int s = pier_accept(listener, NULL);
    assert_int_equal(seams_system_calls(), 2);
    seams_remove();
    assert_true(s >= 0);
    assert_int_equal(pier_close(s), 0);
    assert_int_equal(pier_close(client), 0);
    assert_int_equal(pier_close(listener), 0);
}

/* A thread stays inside a call until it is let go. */
static atomic_bool inside, let_go;

static ssize_t recv_until_let_go(int fd, void *buf, size_t len, int flags)
{
    atomic_store(&inside, true);
    while (!atomic_load(&let_go))
        test_sleep(0.001);
    return seams_below()->recv(fd, buf, len, flags);
}

static void *receive(void *arg)
{
    char byte;
    assert_int_equal(pier_recv(*(int *)arg, &byte, 1, 0), 1);
    return NULL;
}

static void is_closed(void *arg)
{
    int s = *(int *)arg;
    assert_false(scene_open(s));
    assert_int_equal(pier_close(s), -EBADF);
    assert_int_equal(pier_birth(s), 0);
}

/* The thread that was to close it as the last one out is not in the child. */
TEST(socket_that_is_closing_is_closed_in_a_forked_child)
{
    int pair[2];
    scene_pair("tcp", pair);
    assert_int_equal(pier_send(pair[1], "x", 1, 0), 1);
    seams_install();
    seams_replace(recv, recv_until_let_go);
    pthread_t thread = test_thread(receive, &pair[0]);
    while (!atomic_load(&inside))
        test_sleep(0.001);
    assert_int_equal(pier_close(pair[0]), 0);
    assert_true(scene_open(pair[0]));
    assert_int_equal(in_child(is_closed, &pair[0]), 0);
    assert_true(scene_open(pair[0]));
    atomic_store(&let_go, true);
    test_join(thread);
    seams_remove();
    assert_false(scene_open(pair[0]));
    assert_int_equal(pier_close(pair[1]), 0);
}

/* The memory of a read buffer is exchanged, and in the middle of that somebody forks. */
static struct pier__seam slow_release;

static void release_slowly(void *pointer)
{
    pier__seam_system.release(pointer);
    if (pointer) atomic_store(&inside, true);
    while (pointer && !atomic_load(&let_go))
        test_sleep(0.001);
}

static void *read_a_long_line(void *arg)
{
    static char line[20000];
    pier__seam = &slow_release;
    assert_int_equal(pier_recv_line(*(int *)arg, line, sizeof line), 10000);
    pier__seam = &pier__seam_system;
    return NULL;
}

static void can_be_read_and_closed(void *arg)
{
    int s = *(int *)arg;
    char bytes[10];
    assert_int_equal(pier_pending(s), 0);
    assert_int_equal(pier_recv(s, bytes, sizeof bytes, MSG_DONTWAIT | MSG_PEEK), sizeof bytes);
    assert_int_equal(pier_close(s), 0);
}

TEST(forked_child_does_not_trust_a_buffer_that_another_thread_was_changing)
{
    static char line[10000];
    int pair[2];
    scene_pair("tcp", pair);
    slow_release = pier__seam_system;
    slow_release.release = release_slowly;
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\n';
    assert_int_equal(pier_sendall(pair[1], line, sizeof line, 0), sizeof line);
    pthread_t thread = test_thread(read_a_long_line, &pair[0]);
    while (!atomic_load(&inside))
        test_sleep(0.001);
    assert_int_equal(in_child(can_be_read_and_closed, &pair[0]), 0);
    atomic_store(&let_go, true);
    test_join(thread);
    assert_int_equal(pier_close(pair[0]), 0);
    assert_int_equal(pier_close(pair[1]), 0);
}

static int does_nothing(void *unused)
{
    (void)unused;
    return 0;
}

static void *holds_the_lock(void *held)
{
    pier__life_lock();
    atomic_store((atomic_bool *)held, true);
    test_sleep(0.1);
    pier__life_unlock();
    return NULL;
}

static void runs_a_loop(void *unused)
{
    (void)unused;
    alarm(TEST_LIMIT / 2);
    assert_int_equal(pier_run(does_nothing, NULL, NULL), 0);
    syscall(SYS_exit_group, 0); /* TSan would miss the thread, which is the parent's */
}

TEST(fork_of_a_process_with_loops_and_no_socket_leaves_the_child_a_free_lock)
{
    atomic_bool held = false;
    assert_int_equal(pier_run(does_nothing, NULL, NULL), 0);
    pthread_t thread = test_thread(holds_the_lock, &held);
    while (!held)
        test_sleep(0.001);
    assert_int_equal(in_child(runs_a_loop, NULL), 0);
    test_join(thread);
}
