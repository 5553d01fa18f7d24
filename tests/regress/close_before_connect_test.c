/* SPDX-License-Identifier: MIT */
/* A close that comes after connect has begun, and just before it reaches the kernel. */
#include "harness.h"
#include "scene.h"
#include "seams.h"

#include <errno.h>
#include <math.h>
#include <pier.h>
#include <sys/socket.h>

static int doomed;

static int close_and_connect(int fd, const struct sockaddr *addr, socklen_t length)
{
    if (fd == doomed) assert_int_equal(pier_close(doomed), 0);
    return seams_below()->connect(fd, addr, length);
}

/* A listener whose queue is full, so that the kernel drops what knocks. */
static int full_listener(pier_addr *out_addr, int *out_filler)
{
    int listener = scene_listener(out_addr);
    assert_int_equal(listen(listener, 0), 0);
    *out_filler = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(pier_connect(*out_filler, *out_addr), 0);
    return listener;
}

/* The kernel itself would go on trying for two minutes. */
static void assert_canceled(double timeout)
{
    pier_addr at;
    int filler, listener = full_listener(&at, &filler);
    doomed = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(pier_settimeout(doomed, timeout), 0);
    seams_install();
    seams_replace(connect, close_and_connect);
    assert_int_equal(pier_connect(doomed, at), -ECANCELED);
    seams_remove();
    assert_false(scene_open(doomed));
    assert_int_equal(pier_close(filler), 0);
    assert_int_equal(pier_close(listener), 0);
}

TEST(connect_that_is_just_beginning_is_canceled_by_close)
{
    assert_canceled(/* timeout= */ (double)INFINITY);
}

TEST(connect_with_a_limit_that_is_just_beginning_is_canceled_by_close)
{
    assert_canceled(/* timeout= */ 1000);
}
