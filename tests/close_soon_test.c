/* SPDX-License-Identifier: MIT */
/*
 * A socket that is closed soon, as pier_serve() closes its clients: by the ring, before that waits,
 * and at once by whoever has none. Until then the number is nobody's.
 */
#include "base/seam.h"
#include "harness.h"
#include "scene.h"
#include "seams.h"
#include "small_ring.h"
#include "sock/socket.h"
#include "wait/switch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Is it the ring that closes? */
static bool by_ring(void)
{
    return strcmp(pier_backend_name(), "uring") == 0 && !pier__switch_shows_closing() &&
           pier__seam->close == pier__seam_system.close;
}

static void close_soon(int s) { pier__close_born(s, pier_birth(s), /* soon= */ true); }

/* The ring has closed what it was to close. */
static void turn(void) { assert_int_equal(pier_yield(), 0); }

static int is_nobodys_until_closed(void *unused)
{
    (void)unused;
    int pair[2];
    char byte;
    scene_pair("tcp", pair);
    close_soon(pair[0]);
    assert_int_equal(scene_open(pair[0]), by_ring());
    assert_int_equal(pier_birth(pair[0]), 0);
    int code = by_ring() ? -ECANCELED : -EBADF;
    assert_int_equal(pier_send(pair[0], "x", 1, 0), code);
    assert_int_equal(pier_recv(pair[0], &byte, 1, 0), code);
    assert_int_equal(pier_close(pair[0]), -EBADF);
    if (by_ring()) {
        int other = pier_socket(AF_INET, SOCK_STREAM, 0);
        assert_int_not_equal(other, pair[0]);
        assert_int_equal(pier_close(other), 0);
    }
    assert_int_equal(pier_recv(pair[1], &byte, 1, 0), 0); /* which waits for it */
    assert_false(scene_open(pair[0]));
    assert_int_equal(pier_send(pair[0], "x", 1, 0), -EBADF);
    return pier_close(pair[1]);
}

TEST(a_number_is_nobodys_until_its_socket_is_closed)
{
    scene_on_each_backend(is_nobodys_until_closed);
}

static int reopens(void *unused)
{
    (void)unused;
    for (int i = 0; i < 1000; i++) {
        int s = pier_socket(AF_INET, SOCK_STREAM, 0);
        assert_true(s >= 0);
        close_soon(s);
        if (i % 10 == 9) turn();
    }
    return 0;
}

TEST(numbers_are_given_out_again_and_again) { scene_on_each_backend(reopens); }

static int receives_in_vain(void *s)
{
    char byte;
    return (int)pier_recv((int)(intptr_t)s, &byte, 1, 0);
}

static int lets_who_is_inside_leave(void *unused)
{
    (void)unused;
    int pair[2];
    char byte;
    scene_pair("tcp", pair);
    pier_task inside = pier_spawn(receives_in_vain, (void *)(intptr_t)pair[0], NULL);
    turn();
    turn();
    close_soon(pair[0]);
    assert_true(scene_open(pair[0]));
    int result = 0;
    assert_int_equal(pier_join(inside, &result), 0);
    assert_int_equal(result, -ECANCELED);
    assert_false(scene_open(pair[0])); /* at once, by that one */
    assert_int_equal(pier_recv(pair[1], &byte, 1, 0), 0);
    return pier_close(pair[1]);
}

TEST(who_is_inside_leaves_and_closes_it) { scene_on_each_backend(lets_who_is_inside_leave); }

static int spares_another(void *unused)
{
    (void)unused;
    int pair[2];
    scene_pair("tcp", pair);
    pier__close_born(pair[0], pier_birth(pair[0]) + 1, /* soon= */ true);
    turn();
    assert_int_equal(pier_send(pair[0], "x", 1, 0), 1);
    assert_int_equal(pier_close(pair[0]), 0);
    return pier_close(pair[1]);
}

TEST(another_socket_of_that_number_is_spared) { scene_on_each_backend(spares_another); }

/* More than a ring takes at once, and more than it keeps in mind. */
#define MANY 400

static int closes_many(void *unused)
{
    (void)unused;
    int *s = malloc(MANY * sizeof *s);
    assert_non_null(s);
    for (int i = 0; i < MANY; i++) {
        s[i] = pier_socket(AF_INET, SOCK_STREAM, 0);
        assert_true(s[i] >= 0);
    }
    for (int i = 0; i < MANY; i++) {
        close_soon(s[i]);
    }
    turn();
    for (int i = 0; i < MANY; i++) {
        assert_false(scene_open(s[i]));
        assert_int_equal(pier_send(s[i], "x", 1, 0), -EBADF);
    }
    free(s);
    return 0;
}

TEST(many_are_closed_by_one_turn) { scene_on_each_backend(closes_many); }

TEST(many_are_closed_by_a_small_ring)
{
    small_ring_install();
    scene_on_each_backend(closes_many);
    small_ring_remove();
}

/* Those that the kernel would not take are closed when it does. */
static int is_refused(void *unused)
{
    (void)unused;
    int s = pier_socket(AF_INET, SOCK_STREAM, 0), other = pier_socket(AF_INET, SOCK_STREAM, 0);
    close_soon(s);
    small_ring_refuse(1, -EBUSY);
    turn();
    assert_int_equal(scene_open(s), by_ring());
    assert_int_equal(pier_send(s, "x", 1, 0), by_ring() ? -ECANCELED : -EBADF);
    turn();
    assert_false(scene_open(s));
    assert_int_equal(pier_send(s, "x", 1, 0), -EBADF);
    small_ring_stuff();
    small_ring_refuse(1, -EBUSY);
    close_soon(other); /* there is no entry for it */
    assert_false(scene_open(other));
    return 0;
}

TEST(the_kernel_may_be_busy)
{
    small_ring_install();
    assert_int_equal(pier_run(is_refused, NULL, &(pier_run_opts){.backend = "uring"}), 0);
    small_ring_remove();
}

static int left_open[2];

static int ends_at_once(void *unused)
{
    (void)unused;
    for (int i = 0; i < 2; i++) {
        left_open[i] = pier_socket(AF_INET, SOCK_STREAM, 0);
        close_soon(left_open[i]);
    }
    return 0;
}

TEST(the_end_of_a_loop_closes_what_is_left)
{
    for (int refused = 0; refused < 2; refused++) {
        small_ring_install();
        small_ring_refuse(refused * 5, -EBUSY);
        scene_on_each_backend(ends_at_once);
        small_ring_remove();
        for (int i = 0; i < 2; i++) {
            assert_false(scene_open(left_open[i]));
            assert_int_equal(pier_send(left_open[i], "x", 1, 0), -EBADF);
        }
    }
}

static int forks(void *unused)
{
    (void)unused;
    int pair[2], status = -1;
    char byte;
    scene_pair("tcp", pair);
    close_soon(pair[0]);
    pid_t child = fork();
    if (child == 0) _exit(scene_open(pair[0]) || pier_send(pair[0], "x", 1, 0) != -EBADF);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(scene_open(pair[0]), by_ring());
    assert_int_equal(pier_recv(pair[1], &byte, 1, 0), 0);
    return pier_close(pair[1]);
}

TEST(a_forked_child_has_it_closed) { scene_on_each_backend(forks); }

static int is_seen_by_a_plug(void *unused)
{
    (void)unused;
    int s = pier_socket(AF_INET, SOCK_STREAM, 0);
    seams_install();
    close_soon(s);
    assert_int_equal(seams_calls(close), 1);
    assert_false(scene_open(s));
    seams_remove();
    return 0;
}

TEST(who_plugs_close_sees_it) { scene_on_each_backend(is_seen_by_a_plug); }

TEST(a_thread_without_a_loop_closes_at_once)
{
    int s = pier_socket(AF_INET, SOCK_STREAM, 0);
    close_soon(s);
    assert_false(scene_open(s));
    close_soon(s); /* and knows when there is nothing to close */
    close_soon(-1);
}
