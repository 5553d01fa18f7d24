/* SPDX-License-Identifier: MIT */
/*
 * The outcome of a connect that was waited for was read from SO_ERROR, which leaves the socket half way: the next
 * connect said ECONNABORTED after a refused one, and 0, whatever its address, after one that succeeded.
 */
#include "harness.h"
#include "scene.h"

#include <errno.h>
#include <pier.h>

TEST(a_refused_connect_under_a_time_out_may_be_tried_again)
{
    pier_addr nobody = scene_nobody(), at;
    int s = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(pier_settimeout(s, 5), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pier_connect(s, nobody), -ECONNREFUSED);
    int listener = scene_listener(&at);
    assert_int_equal(pier_connect(s, at), 0);
    assert_int_equal(pier_connect(s, at), -EISCONN);
    assert_int_equal(pier_close(s), 0);
    assert_int_equal(pier_close(listener), 0);
}

TEST(a_dialled_socket_says_that_it_is_connected)
{
    pier_addr at, peer;
    int listener = scene_listener(&at);
    int s = pier_create_connection(pier_addr_text(at).text, NULL);
    assert_true(s >= 0);
    assert_int_equal(pier_connect(s, scene_nobody()), -EISCONN);
    assert_int_equal(pier_getpeername(s, &peer), 0);
    assert_true(pier_addr_equal(peer, at));
    assert_int_equal(pier_close(s), 0);
    assert_int_equal(pier_close(listener), 0);
}

struct dial {
    int s;
    pier_addr to;
};

static int64_t connect_it(void *arg)
{
    const struct dial *dial = arg;
    return pier_connect(dial->s, dial->to);
}

/* Neither a success nor another attempt: whoever shut it down wants no connection. */
TEST(a_connect_that_is_shut_down_has_failed)
{
    struct dial dial = {.s = pier_socket(AF_INET, SOCK_STREAM, 0)};
    int listener = scene_listener(&dial.to), filler = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(pier_listen(listener, 0), 0);
    assert_int_equal(pier_connect(filler, dial.to), 0); /* the queue is full: no answer any more */
    assert_int_equal(pier_settimeout(dial.s, 1000), 0);
    struct scene_call call;
    scene_start(&call, connect_it, &dial);
    scene_await_blocked(&call);
    assert_int_equal(pier_shutdown(dial.s, SHUT_RDWR), 0);
    assert_int_equal(scene_finish(&call), -ECONNABORTED);
    pier_addr peer;
    assert_int_equal(pier_getpeername(dial.s, &peer), -ECONNABORTED);
    assert_int_equal(pier_close(dial.s), 0);
    assert_int_equal(pier_close(filler), 0);
    assert_int_equal(pier_close(listener), 0);
}
