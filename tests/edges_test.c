/* SPDX-License-Identifier: MIT */
/*
 * What lies in a socket though no edge of epoll will tell of it any more: whoever receives next
 * gets it all the same, in every world.
 */
#include "harness.h"
#include "scene.h"

#include <errno.h>
#include <math.h>
#include <pier.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char bytes[1 << 16];

/* What comes next is all of this text, and was there. */
static void expect(int s, const char *text)
{
    size_t length = strlen(text);
    assert_int_equal(pier_recv(s, bytes, sizeof bytes, 0), length);
    assert_memory_equal(bytes, text, length);
}

/* "abc", an urgent byte, and "efg". */
static void send_around_an_urgent_byte(const int pair[2])
{
    assert_int_equal(pier_send(pair[1], "abc", 3, 0), 3);
    scene_await_bytes(pair[0], 3);
    assert_int_equal(pier_send(pair[1], "D", 1, MSG_OOB), 1);
    assert_int_equal(pier_send(pair[1], "efg", 3, 0), 3);
    struct pollfd urgent = {.fd = pair[0], .events = POLLPRI};
    assert_int_equal(poll(&urgent, 1, -1), 1);
}

TEST(bytes_behind_an_urgent_byte_that_was_taken_are_received)
{
    int pair[2];
    scene_pair("tcp", pair);
    send_around_an_urgent_byte(pair);
    assert_int_equal(pier_recv(pair[0], bytes, 1, MSG_OOB), 1);
    expect(pair[0], "abc");
    expect(pair[0], "efg");
    send_around_an_urgent_byte(pair);
    assert_int_equal(pier_recv(pair[0], bytes, 1, MSG_OOB), 1);
    expect(pair[0], "abc");
    assert_int_equal(pier_wait_readable(pair[0], PIER_NEVER), 0);
    expect(pair[0], "efg");
    scene_close(pair);
}

static void *takes_the_urgent_byte(void *s)
{
    char byte;
    assert_int_equal(pier_recv(*(int *)s, &byte, 1, MSG_OOB), 1);
    return NULL;
}

static int receives_behind_it(void *unused)
{
    (void)unused;
    int pair[2];
    scene_pair("tcp", pair);
    send_around_an_urgent_byte(pair);
    test_join(test_thread(takes_the_urgent_byte, &pair[0]));
    expect(pair[0], "abc");
    expect(pair[0], "efg");
    scene_close(pair);
    return 0;
}

TEST(bytes_behind_an_urgent_byte_that_a_thread_took_are_received_by_a_task)
{
    scene_on_each_backend(receives_behind_it);
}

TEST(bytes_behind_an_urgent_byte_that_nobody_takes_are_received)
{
    int pair[2];
    scene_pair("tcp", pair);
    for (int i = 0; i < 2; i++) {
        send_around_an_urgent_byte(pair);
        expect(pair[0], "abc");
        expect(pair[0], "efg");
    }
    scene_close(pair);
}

/* The loop has heard of the end, or of the urgent byte; that there is no room is another matter. */
TEST(wait_for_room_that_is_late_forgets_no_end_of_reading)
{
    for (int urgent = 0; urgent < 2; urgent++) {
        int pair[2];
        scene_pair("tcp", pair);
        scene_fill(pair[0]);
        if (urgent)
            send_around_an_urgent_byte(pair);
        else
            assert_int_equal(pier_send(pair[1], "abc", 3, 0), 3);
        if (!urgent) assert_int_equal(pier_shutdown(pair[1], SHUT_WR), 0);
        scene_await_bytes(pair[0], 3);
        assert_int_equal(pier_recv(pair[0], bytes, 1, MSG_PEEK), 1);
        pier_waitable room = {.what = PIER_WAIT_WRITABLE, .socket = pair[0]};
        assert_int_equal(pier_wait_any(&room, 1, pier_after(0.05)), -ETIME);
        assert_int_equal(pier_wait_writable(pair[0], pier_after(0.05)), -ETIME);
        expect(pair[0], "abc");
        expect(pair[0], urgent ? "efg" : "");
        scene_close(pair);
    }
}

static int receives_one(void *arg)
{
    char room[8];
    return (int)pier_recv(*(int *)arg, room, sizeof room, 0);
}

/* The first stops before what came with a descriptor; the second waits already. */
static int two_receive(void *unused)
{
    (void)unused;
    int pair[2], result = 0;
    scene_pair("unix stream", pair);
    pier_task tasks[3];
    for (int i = 0; i < 3; i++)
        tasks[i] = pier_spawn(receives_one, &pair[0], NULL);
    assert_int_equal(pier_sleep(0.01), 0);
    int fd = STDERR_FILENO;
    assert_int_equal(pier_send_fds(pair[1], "a", 1, 0, &fd, 1), 1);
    assert_int_equal(pier_send_fds(pair[1], "b", 1, 0, &fd, 1), 1);
    assert_int_equal(pier_send(pair[1], "c", 1, 0), 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pier_join(tasks[i], &result), 0);
        assert_int_equal(result, 1);
    }
    scene_close(pair);
    return 0;
}

TEST(everybody_who_waits_gets_what_came_in_one_event) { scene_on_each_backend(two_receive); }

TEST(listener_that_was_detached_still_has_its_clients)
{
    pier_addr at;
    int s = scene_listener(&at), clients[2], accepted[2];
    assert_int_equal(pier_settimeout(s, 0.01), 0);
    assert_int_equal(pier_accept(s, NULL), -ETIME);
    assert_int_equal(pier_settimeout(s, INFINITY), 0);
    for (int i = 0; i < 2; i++) {
        clients[i] = pier_socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(pier_connect(clients[i], at), 0);
    }
    accepted[0] = pier_accept(s, NULL);
    assert_true(accepted[0] >= 0);
    int bare = pier_detach(s);
    assert_int_equal(bare, s);
    accepted[1] = pier_accept(bare, NULL);
    assert_true(accepted[1] >= 0);
    close(bare);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pier_close(clients[i]), 0);
        assert_int_equal(pier_close(accepted[i]), 0);
    }
}
