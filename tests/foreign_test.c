/* SPDX-License-Identifier: MIT */
/*
 * Tasks in the main loops of GLib and libuv, on each backend, beside timers and callbacks of
 * theirs.
 */
#include "base/bits.h"
#include "harness.h"
#include "scene.h"

#include <errno.h>
#include <pier.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#ifdef TEST_GLIB
#    include <glib-unix.h>
#endif
#ifdef TEST_LIBUV
#    include <uv.h>
#endif

#if defined TEST_GLIB || defined TEST_LIBUV

#    define CLIENTS 10
#    define ROUNDS  20

static const char *const backends[] = {"epoll", "uring"};

/* What goes on in the loop, and what came of it. */
static struct {
    pier_addr where;
    int greeted, ticks, turns;
    int pair[2];
    atomic_bool receives; /* is_closed() is about to */
} scene;

static int serve(void *arg)
{
    int listener = (int)(intptr_t)arg;
    for (int i = 0; i < CLIENTS; i++) {
        int s = pier_accept(listener, NULL);
        assert_true(s >= 0);
        assert_true(pier_spawn(scene_echo, (void *)(intptr_t)s, NULL).number > 0);
    }
    assert_int_equal(pier_close(listener), 0);
    return 0;
}

static int talk(void *unused)
{
    (void)unused;
    int s = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(pier_connect(s, scene.where), 0);
    for (int i = 0; i < ROUNDS; i++) {
        char out[64], in[64];
        int length = snprintf(out, sizeof out, "%d says %d", s, i);
        assert_int_equal(pier_sendall(s, out, (size_t)length, 0), length);
        assert_int_equal(pier_recv_exactly(s, in, (size_t)length), length);
        assert_memory_equal(in, out, (size_t)length);
        if (i % 5 != 0) continue;
        pier_time began = pier_now();
        assert_int_equal(pier_sleep(0.005), 0);
        assert_true(pier_now() - began >= 5 * PIER_SECOND / 1000);
    }
    assert_int_equal(pier_close(s), 0);
    scene.greeted++;
    return 0;
}

static int slow(void *arg)
{
    test_sleep(0.02);
    return (int)(intptr_t)arg;
}

static int leaves_it_to_a_thread(void *unused)
{
    (void)unused;
    assert_int_equal(pier_to_thread(slow, (void *)7), 7);
    return 0;
}

/* Is woken by a thread that closes its socket. */
static int is_closed(void *unused)
{
    (void)unused;
    char byte;
    scene.receives = true;
    assert_int_equal(pier_recv(scene.pair[0], &byte, 1, 0), -ECANCELED);
    return 0;
}

static void *close_later(void *unused)
{
    (void)unused;
    while (!scene.receives)
        test_sleep(0.001);
    test_sleep(0.03);
    assert_int_equal(pier_close(scene.pair[0]), 0);
    return NULL;
}

/* Of the timer of the other loop: it reaches into ours. */
static void tick(void)
{
    scene.ticks++;
    if (scene.ticks > 3) return;
    assert_string_equal(pier_backend_name(), "thread");
    assert_true(pier_spawn(leaves_it_to_a_thread, NULL, NULL).number > 0);
}

static bool turn_ends_it(void)
{
    scene.turns++;
    int tasks = pier_loop_turn();
    assert_true(tasks >= 0);
    return tasks == 0 && scene.ticks >= 3;
}

/* Let all this go on while `run` runs the other loop until turn_ends_it(). */
static void play(void (*run)(void))
{
    for (size_t i = 0; i < PIER_COUNT(backends); i++) {
        scene.greeted = scene.ticks = scene.turns = 0;
        scene.receives = false;
        scene_pair("tcp", scene.pair);
        int listener = scene_listener(&scene.where);
        assert_int_equal(pier_loop_open(&(pier_run_opts){.backend = backends[i]}), 0);
        assert_true(pier_spawn(serve, (void *)(intptr_t)listener, NULL).number > 0);
        for (int c = 0; c < CLIENTS; c++)
            assert_true(pier_spawn(talk, NULL, NULL).number > 0);
        assert_true(pier_spawn(is_closed, NULL, NULL).number > 0);
        pthread_t thread = test_thread(close_later, NULL);
        run();
        assert_int_equal(pier_loop_close(0), 0); /* nobody is left to wait for */
        test_join(thread);
        assert_int_equal(pier_close(scene.pair[1]), 0);
        assert_int_equal(scene.greeted, CLIENTS);
        assert_true(scene.ticks >= 3);
        /* Each turn was worth while: no more of them than there were things to take. */
        assert_true(scene.turns < CLIENTS * ROUNDS * 6 + 100);
    }
}

#endif

#ifdef TEST_GLIB

static gboolean glib_turn(int fd, GIOCondition condition, gpointer loop)
{
    (void)fd, (void)condition;
    if (turn_ends_it()) g_main_loop_quit(loop);
    return G_SOURCE_CONTINUE;
}

static gboolean glib_tick(gpointer unused)
{
    (void)unused;
    tick();
    return G_SOURCE_CONTINUE;
}

static void attach(GSource *source, GMainContext *context)
{
    (void)g_source_attach(source, context);
    g_source_unref(source);
}

static void run_glib(void)
{
    GMainContext *context = g_main_context_new();
    GMainLoop *loop = g_main_loop_new(context, FALSE);
    GSource *watch = g_unix_fd_source_new(pier_loop_fd(), G_IO_IN);
    g_source_set_callback(watch, G_SOURCE_FUNC(glib_turn), loop, NULL);
    attach(watch, context);
    GSource *timer = g_timeout_source_new(10);
    g_source_set_callback(timer, glib_tick, NULL, NULL);
    attach(timer, context);
    g_main_loop_run(loop);
    g_main_loop_unref(loop);
    g_main_context_unref(context);
}

TEST(conversations_go_on_in_glibs_main_loop) { play(run_glib); }

#else

TEST(conversations_go_on_in_glibs_main_loop)
{
    SKIP("built without GLib (tools/setup.sh test installs libglib2.0-dev)");
}

#endif

#ifdef TEST_LIBUV

static void uv_turn(uv_poll_t *handle, int status, int events)
{
    assert_int_equal(status, 0);
    assert_int_equal(events, UV_READABLE);
    if (turn_ends_it()) uv_stop(handle->loop);
}

static void uv_tick(uv_timer_t *unused)
{
    (void)unused;
    tick();
}

static void run_libuv(void)
{
    uv_loop_t loop;
    uv_poll_t watch;
    uv_timer_t timer;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(uv_poll_init(&loop, &watch, pier_loop_fd()), 0);
    assert_int_equal(uv_poll_start(&watch, UV_READABLE, uv_turn), 0);
    assert_int_equal(uv_timer_init(&loop, &timer), 0);
    assert_int_equal(uv_timer_start(&timer, uv_tick, 10, 10), 0);
    assert_true(uv_run(&loop, UV_RUN_DEFAULT) != 0);
    uv_close((uv_handle_t *)&watch, NULL);
    uv_close((uv_handle_t *)&timer, NULL);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
}

TEST(conversations_go_on_in_libuvs_loop)
{
    play(run_libuv);
    uv_library_shutdown(); /* it keeps a pipe for signals */
}

#else

TEST(conversations_go_on_in_libuvs_loop)
{
    SKIP("built without libuv (tools/setup.sh test installs libuv1-dev)");
}

#endif
