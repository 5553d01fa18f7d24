/* SPDX-License-Identifier: MIT */
#include "harness.h"
#include "scene.h"
#include "seams.h"
#include "wait/thread.h"

#include <errno.h>
#include <pier.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
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
    int own = pier__thread_wakefd();
    assert_true(own >= 0);
    pier__thread_wake(own);
    pier__thread_wake(own);
}

TEST(forked_child_has_a_wake_descriptor_of_its_own)
{
    int wakefd = pier__thread_wakefd();
    assert_int_equal(in_child(wake_is_another, &wakefd), 0);
    assert_int_equal(pier__thread_wakefd(), wakefd);
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
