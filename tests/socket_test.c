/* SPDX-License-Identifier: MIT */
#include "base/failure.h"
#include "harness.h"
#include "scene.h"
#include "seams.h"
#include "sock/table.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_alg.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Making. */

TEST(socket_is_a_blocking_descriptor_that_exec_closes)
{
    int s = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_true(s >= 0);
    assert_true(scene_cloexec(s));
    assert_false(scene_nonblock(s));
    assert_true(pier_gettimeout(s) == (double)INFINITY);
    assert_true(pier_getdeadline(s) == PIER_NEVER);
    assert_int_equal(pier_getblocking(s), 1);
    assert_int_equal(pier_close(s), 0);
    assert_false(scene_open(s));
}

TEST(socket_with_nonblock_has_a_time_out_of_0)
{
    int s = pier_socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_true(scene_nonblock(s));
    assert_true(scene_cloexec(s));
    assert_true(pier_gettimeout(s) == 0);
    assert_int_equal(pier_getblocking(s), 0);
    char byte;
    assert_int_equal(pier_recv(s, &byte, 1, 0), -EAGAIN);
    assert_int_equal(pier_close(s), 0);
}

TEST(socket_with_nonblock_has_a_time_out_of_0_under_a_default_too)
{
    assert_int_equal(pier_setdefaulttimeout(5), 0);
    int s = pier_socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(pier_gettimeout(s) == 0);
    assert_int_equal(pier_close(s), 0);
}

TEST(socket_of_a_family_that_is_not_there_names_it)
{
    assert_int_equal(pier_socket(AF_UNSPEC, SOCK_STREAM, 0), -EAFNOSUPPORT);
    assert_non_null(strstr(pier_error(), "Address family not supported"));
    assert_int_equal(pier_socket(-5, SOCK_STREAM, 0), -EAFNOSUPPORT);
    assert_int_equal(pier_socket(AF_INET, 99, 0), -EINVAL);
    assert_int_equal(pier_socket(AF_INET, SOCK_STREAM, IPPROTO_UDP), -EPROTONOSUPPORT);
}

TEST(socketpair_makes_two_that_exec_closes_or_nothing)
{
    int pair[2] = {-77, -78};
    assert_int_equal(pier_socketpair(AF_INET, SOCK_STREAM, 0, pair), -EOPNOTSUPP);
    assert_int_equal(pair[0], -77);
    assert_int_equal(pair[1], -78);
    assert_int_equal(pier_socketpair(AF_UNIX, SOCK_STREAM, 0, NULL), -EINVAL);
    assert_int_equal(pier_socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_true(scene_cloexec(pair[0]) && scene_cloexec(pair[1]));
    assert_int_equal(pier_send(pair[0], "x", 1, 0), 1);
    char byte;
    assert_int_equal(pier_recv(pair[1], &byte, 1, 0), 1);
    pier_addr name;
    assert_int_equal(pier_getsockname(pair[0], &name), 0);
    assert_int_equal(name.length, sizeof(sa_family_t)); /* unnamed */
    assert_int_equal(pier_close(pair[0]), 0);
    assert_int_equal(pier_close(pair[1]), 0);
}

/* A.9 */
TEST(no_descriptor_left_is_an_error_that_leaks_nothing)
{
    struct rlimit limit = {0, 0};
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    int before = test_fd_count(), s = pier_socket(AF_INET, SOCK_STREAM, 0), pair[2];
    assert_true(s >= 0);
    struct rlimit none = {(rlim_t)s + 1, limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(pier_socket(AF_INET, SOCK_STREAM, 0), -EMFILE);
    assert_int_equal(pier_socketpair(AF_UNIX, SOCK_STREAM, 0, pair), -EMFILE);
    assert_int_equal(pier_dup(s), -EMFILE);
    assert_int_equal(pier_fromfd(s), -EMFILE);
    none.rlim_cur++; /* room for one of two */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(pier_socketpair(AF_UNIX, SOCK_STREAM, 0, pair), -EMFILE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(pier_close(s), 0);
    assert_int_equal(test_fd_count(), before);
}

/* D.63 */
TEST(three_descriptors_are_too_few_and_say_so)
{
    struct rlimit limit, three;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    three = (struct rlimit){3, limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &three), 0);
    int s = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(s, -EMFILE);
    assert_string_equal(pier_error(), "make a socket: Too many open files");
}

/* No memory for the table's entry: 2^12 numbers share one allocation. */
TEST(no_memory_for_what_pier_knows_of_a_socket_leaks_no_descriptor)
{
    int beyond = PIER__CHUNK + 3;
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_max < (rlim_t)beyond + 8) SKIP("too few descriptors here");
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    int near = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int far = fcntl(near, F_DUPFD_CLOEXEC, beyond);
    close(near);
    int before = test_fd_count();
    seams_install();
    seams_fail_from(allocate, 1, 0);
    assert_int_equal(pier_adopt(far), -ENOMEM);
    assert_int_equal(test_fd_count(), before); /* a descriptor that is not taken stays open */
    seams_obey(allocate);
    assert_int_equal(pier_adopt(far), far);
    assert_int_equal(pier_close(far), 0);
}

/* D.61 */
TEST(numbers_above_fd_setsize_work_with_time_outs)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_max < 5000) SKIP("too few descriptors here");
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    for (int i = 0; i < 2; i++) {
        int high = fcntl(pair[i], F_DUPFD_CLOEXEC, i ? 4500 : 1100);
        close(pair[i]);
        pair[i] = pier_adopt(high);
        assert_int_equal(pair[i], high);
        assert_int_equal(pier_settimeout(high, 0.02), 0);
    }
    char byte;
    pier_time start = pier_now();
    assert_int_equal(pier_recv(pair[0], &byte, 1, 0), -ETIME);
    assert_int_equal(pier_recv(pair[1], &byte, 1, 0), -ETIME);
    assert_true(pier_now() - start >= 2 * PIER_SECOND / 50);
    assert_int_equal(pier_send(pair[1], "x", 1, 0), 1);
    assert_int_equal(pier_recv(pair[0], &byte, 1, 0), 1);
    assert_int_equal(pier_close(pair[0]), 0);
    assert_int_equal(pier_recv(pair[1], &byte, 1, 0), 0);
    assert_int_equal(pier_close(pair[1]), 0);
}

/* D.62 */
TEST(descriptors_0_to_2_are_sockets_like_others)
{
    pid_t child = fork();
    if (child == 0) {
        close(0), close(1), close(2), close(3);
        for (int i = 0; i < 3; i++)
            if (open("/dev/null", O_RDWR | O_CLOEXEC) != i) _exit(20);
        harness_settle(); /* the thread's own descriptor, which is needed below, is 3 then */
        close(0), close(1), close(2);
        pier_addr at, peer;
        int listener = pier_socket(AF_INET, SOCK_STREAM, 0);
        if (listener != 0) _exit(1);
        pier_bind(0, pier_inet("127.0.0.1", 0));
        pier_listen(0, 1);
        pier_getsockname(0, &at);
        if (pier_socket(AF_INET, SOCK_STREAM, 0) != 1) _exit(2);
        if (pier_connect(1, at) != 0) _exit(3);
        if (pier_accept(0, &peer) != 2) _exit(4);
        if (pier_sendall(1, "abc", 3, 0) != 3) _exit(5);
        char buf[3];
        if (pier_recv(2, buf, 3, 0) != 3) _exit(6);
        if (pier_close(0) != 0 || pier_birth(0) != 0) _exit(7);
        if (pier_connect(0, at) != -EBADF) _exit(8);
        if (pier_socket(AF_INET, SOCK_STREAM, 0) != 0) _exit(9);
        pier_close(0), pier_close(1), pier_close(2);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* Descriptor 0 as the result of accept, while the listener is being closed. */
TEST(accept_may_return_descriptor_0)
{
    pid_t child = fork();
    if (child == 0) {
        pier_addr at;
        int listener = scene_listener(&at), client = pier_socket(AF_INET, SOCK_STREAM, 0);
        if (pier_connect(client, at) != 0) _exit(1);
        harness_settle();
        close(0);
        int s = pier_accept(listener, NULL);
        if (s != 0) _exit(2);
        if (!scene_open(0) || pier_birth(0) == 0 || pier_close(0) != 0) _exit(3);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* Adopting. */

/* A.17 */
TEST(adopt_refuses_what_is_no_socket_and_takes_nothing)
{
    int pipes[2];
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    assert_int_equal(pier_adopt(pipes[0]), -ENOTSOCK);
    assert_non_null(strstr(pier_error(), "adopt socket"));
    assert_int_equal(pier_close(pipes[0]), -EBADF);
    assert_true(scene_open(pipes[0]));
    assert_int_equal(pier_fromfd(pipes[0]), -ENOTSOCK);
    assert_int_equal(pier_dup(pipes[0]), -ENOTSOCK);
    char byte;
    assert_int_equal(pier_recv(pipes[0], &byte, 1, 0), -ENOTSOCK);
    assert_int_equal(pier_send(pipes[1], "x", 1, 0), -ENOTSOCK);
    assert_int_equal(pier_accept(pipes[1], NULL), -ENOTSOCK);
    assert_int_equal(pier_listen(pipes[1], 1), -ENOTSOCK);
    assert_int_equal(pier_connect(pipes[1], pier_inet("127.0.0.1", 9)), -ENOTSOCK);
    assert_int_equal(pier_bind(pipes[1], pier_inet("127.0.0.1", 0)), -ENOTSOCK);
    close(pipes[0]);
    close(pipes[1]);
    assert_int_equal(pier_adopt(pipes[0]), -EBADF);
    assert_int_equal(pier_fromfd(pipes[0]), -EBADF);
    assert_int_equal(pier_dup(pipes[0]), -EBADF);
    assert_int_equal(pier_adopt(-1), -1);
    assert_int_equal(pier_adopt(1 << 30), -EBADF);
}

TEST(adopt_leaves_mode_and_inheritance_alone)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0); /* NOLINT(android-cloexec-socket) */
    assert_int_equal(pier_adopt(fd), fd);
    assert_false(scene_cloexec(fd));
    assert_false(scene_nonblock(fd));
    assert_true(pier_gettimeout(fd) == (double)INFINITY);
    assert_int_equal(pier_get_inheritable(fd), 1);
    assert_int_equal(pier_close(fd), 0);
}

TEST(adopted_nonblocking_descriptor_goes_on_saying_eagain_until_told_otherwise)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(pier_adopt(fd), fd);
    assert_true(scene_nonblock(fd));
    char byte;
    assert_int_equal(pier_recv(fd, &byte, 1, 0), -EAGAIN);
    assert_int_equal(pier_setdeadline(fd, pier_after(0.02)), 0);
    pier_time start = pier_now();
    assert_int_equal(pier_recv(fd, &byte, 1, 0), -ETIME);
    assert_true(pier_now() >= start);
    assert_int_equal(pier_setdeadline(fd, PIER_NEVER), 0);
    assert_int_equal(pier_recv(fd, &byte, 1, 0), -EAGAIN);
    assert_int_equal(pier_settimeout(fd, INFINITY), 0);
    assert_false(scene_nonblock(fd));
    assert_int_equal(pier_close(fd), 0);
}

TEST(adopt_takes_the_default_time_out)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(pier_setdefaulttimeout(0.01), 0);
    assert_int_equal(pier_adopt(fd), fd);
    assert_true(scene_nonblock(fd));
    assert_true(pier_gettimeout(fd) == 0.01);
    assert_int_equal(pier_close(fd), 0);
}

TEST(adopting_a_known_number_starts_afresh)
{
    int s = pier_socket(AF_INET, SOCK_STREAM, 0);
    uint64_t first = pier_birth(s);
    assert_int_equal(pier_settimeout(s, 3), 0);
    assert_int_equal(pier_setdeadline(s, pier_after(3)), 0);
    int other = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(dup2(other, s), s); /* NOLINT(android-cloexec-dup) */
    close(other);
    assert_int_equal(pier_adopt(s), s);
    assert_true(pier_birth(s) > first);
    assert_true(pier_gettimeout(s) == (double)INFINITY);
    assert_true(pier_getdeadline(s) == PIER_NEVER);
    pier_addr name;
    assert_int_equal(pier_getsockname(s, &name), 0);
    assert_int_equal(name.sa.any.sa_family, AF_UNIX);
    assert_int_equal(pier_close(s), 0);
}

TEST(adopted_listener_accepts)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof any), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(pier_adopt(fd), fd);
    pier_addr at;
    assert_int_equal(pier_getsockname(fd, &at), 0);
    int client = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(pier_connect(client, at), 0);
    int peer = pier_accept(fd, NULL);
    assert_true(peer >= 0);
    assert_int_equal(pier_close(peer), 0);
    assert_int_equal(pier_close(client), 0);
    assert_int_equal(pier_close(fd), 0);
}

TEST(fromfd_adopts_a_copy_and_leaves_the_original_to_its_owner)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    int s = pier_fromfd(pair[0]);
    assert_true(s >= 0 && s != pair[0]);
    assert_true(scene_cloexec(s));
    assert_false(scene_cloexec(pair[0]));
    assert_true(pier_birth(s) != 0);
    assert_true(pier_birth(pair[0]) == 0);
    assert_int_equal(pier_close(pair[0]), -EBADF);
    assert_int_equal(pier_send(s, "x", 1, 0), 1);
    assert_int_equal(pier_close(s), 0);
    assert_true(scene_open(pair[0]));
    close(pair[0]);
    close(pair[1]);
    assert_int_equal(pier_fromfd(-1), -1);
}

/* A.18 */
static int short_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    (void)fd, (void)level, (void)name, (void)value;
    *len = 0; /* says yes, and writes nothing */
    return 0;
}

static int long_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    int said = seams_below()->getsockopt(fd, level, name, value, len);
    *len = 4096;
    return said;
}

TEST(getsockopt_that_writes_too_little_is_not_believed)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    seams_install();
    seams_replace(getsockopt, short_getsockopt);
    assert_true(pier_adopt(fd) < 0);
    assert_true(pier_birth(fd) == 0);
    assert_true(pier_fromfd(fd) < 0);
    seams_replace(getsockopt, long_getsockopt);
    assert_true(pier_adopt(fd) < 0);
    seams_remove();
    assert_int_equal(pier_adopt(fd), fd);
    assert_int_equal(pier_close(fd), 0);
}

/* Duplicates. */

TEST(dup_is_a_second_handle_with_the_same_limits)
{
    int pair[2];
    scene_pair("tcp", pair);
    assert_int_equal(pier_settimeout(pair[0], 1.5), 0);
    pier_time deadline = pier_after(100);
    assert_int_equal(pier_setdeadline(pair[0], deadline), 0);
    int copy = pier_dup(pair[0]);
    assert_true(copy >= 0);
    assert_true(scene_cloexec(copy));
    assert_true(pier_gettimeout(copy) == 1.5);
    assert_true(pier_getdeadline(copy) == deadline);
    assert_true(pier_birth(copy) > pier_birth(pair[1]));
    assert_true(pier_birth(copy) != pier_birth(pair[0]));
    assert_int_equal(pier_send(copy, "x", 1, 0), 1);
    char byte;
    assert_int_equal(pier_recv(pair[1], &byte, 1, 0), 1);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pier_close(pair[i]), 0);
    assert_int_equal(pier_close(copy), 0);
}

/* D.57 */
TEST(dup_keeps_the_connection_open_until_both_are_closed)
{
    int pair[2];
    scene_pair("tcp", pair);
    int copy = pier_dup(pair[0]);
    assert_int_equal(pier_close(pair[0]), 0);
    assert_int_equal(pier_send(copy, "x", 1, 0), 1);
    char byte;
    assert_int_equal(pier_recv(pair[1], &byte, 1, 0), 1);
    assert_int_equal(pier_recv(pair[1], &byte, 1, MSG_DONTWAIT), -EAGAIN);
    assert_int_equal(pier_shutdown(copy, SHUT_WR), 0); /* the end, for all handles */
    assert_int_equal(pier_recv(pair[1], &byte, 1, 0), 0);
    assert_int_equal(pier_close(copy), 0);
    assert_int_equal(pier_close(pair[1]), 0);
}

TEST(dup_of_a_bare_descriptor_is_adopted)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int s = pier_dup(fd);
    assert_true(pier_birth(s) != 0);
    assert_int_equal(pier_close(s), 0);
    close(fd);
}

/* What the table believes of O_NONBLOCK must not survive somebody else's change of it. */
TEST(time_out_of_0_never_blocks_though_a_duplicate_was_made_blocking)
{
    pier_addr at;
    int listener = scene_listener(&at);
    assert_int_equal(pier_settimeout(listener, 0), 0);
    for (int i = 0; i < 2; i++) {
        int copy = i ? pier_dup(listener) : pier_fromfd(listener);
        assert_int_equal(pier_setblocking(copy, true), 0);
        assert_false(scene_nonblock(listener)); /* they share it */
        assert_int_equal(pier_accept(listener, NULL), -EAGAIN);
        assert_int_equal(pier_close(copy), 0);
        assert_int_equal(pier_settimeout(listener, 0), 0);
    }
    assert_int_equal(pier_close(listener), 0);
}

TEST(time_out_of_0_never_blocks_though_a_fork_made_it_blocking)
{
    pier_addr at;
    int listener = scene_listener(&at);
    assert_int_equal(pier_settimeout(listener, 0), 0);
    pid_t child = fork();
    if (child == 0) _exit(pier_setblocking(listener, true) == 0 ? 0 : 1);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_false(scene_nonblock(listener));
    assert_int_equal(pier_accept(listener, NULL), -EAGAIN);
    assert_int_equal(pier_close(listener), 0);
}

/* Detaching. */

TEST(detach_gives_the_descriptor_back_open)
{
    int s = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(pier_detach(s), s);
    assert_true(scene_open(s));
    assert_true(pier_birth(s) == 0);
    assert_int_equal(pier_detach(s), -EBADF);
    assert_int_equal(pier_close(s), -EBADF);
    assert_true(scene_open(s));
    close(s);
    assert_int_equal(pier_detach(s), -EBADF);
    assert_int_equal(pier_detach(-1), -1);
    assert_int_equal(pier_detach(1 << 29), -EBADF);
}

static int64_t recv_a_byte(void *arg)
{
    char byte;
    return pier_recv(*(int *)arg, &byte, 1, 0);
}

TEST(detach_is_refused_while_a_call_is_under_way)
{
    int pair[2];
    scene_pair("unix stream", pair);
    struct scene_call call;
    scene_start(&call, recv_a_byte, &pair[0]);
    scene_await_blocked(&call);
    assert_int_equal(pier_detach(pair[0]), -EBUSY);
    assert_int_equal(pier_send(pair[1], "x", 1, 0), 1);
    assert_int_equal(scene_finish(&call), 1);
    assert_int_equal(pier_detach(pair[0]), pair[0]);
    close(pair[0]);
    assert_int_equal(pier_close(pair[1]), 0);
}

struct detach_race {
    _Atomic int socket, round;
    _Atomic bool over;
};

static void *close_what_comes(void *arg)
{
    struct detach_race *race = arg;
    for (int seen = 0; !atomic_load(&race->over);) {
        int round = atomic_load(&race->round);
        if (round == seen) {
            sched_yield();
            continue;
        }
        seen = round;
        int s = atomic_load(&race->socket);
        int err = pier_close(s);
        atomic_store(&race->socket, err == 0 ? -2 : -3);
    }
    return NULL;
}

/* Whoever gets the descriptor: it is exactly one of the two. */
TEST(detach_and_close_cannot_both_succeed)
{
    struct detach_race race = {0};
    pthread_t closer = test_thread(close_what_comes, &race);
    pier_time start = pier_now();
    for (int round = 1; scene_race_goes_on(round - 1, 5000, start); round++) {
        int s = pier_socket(AF_UNIX, SOCK_STREAM, 0);
        atomic_store(&race.socket, s);
        atomic_store(&race.round, round);
        for (volatile int spin = round % 300; spin > 0; spin--) {
        }
        int got = pier_detach(s);
        int theirs;
        while ((theirs = atomic_load(&race.socket)) >= 0)
            sched_yield();
        assert_true((got == s) != (theirs == -2));
        assert_int_equal(scene_open(s), got == s);
        if (got == s) close(s);
    }
    atomic_store(&race.over, true);
    test_join(closer);
}

/* Closing. */

/* D.56 */
TEST(second_close_says_ebadf_and_closes_no_stranger)
{
    int s = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(pier_close(s), 0);
    int stranger = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(stranger, s); /* the lowest free number */
    assert_int_equal(pier_close(s), -EBADF);
    assert_true(scene_open(stranger));
    char expected[64];
    (void)snprintf(expected, sizeof expected, "close socket %d: Bad file descriptor", s);
    assert_string_equal(pier_error(), expected);
    close(stranger);
}

TEST(close_of_what_pier_never_made_is_ebadf)
{
    assert_int_equal(pier_close(0), -EBADF);
    assert_int_equal(pier_close(2), -EBADF);
    assert_true(scene_open(2));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(pier_close(fd), -EBADF);
    assert_true(scene_open(fd));
    close(fd);
    assert_int_equal(pier_close(1 << 24), -EBADF);
    assert_int_equal(pier_close(INT32_MAX), -EBADF);
}

/* A.3 */
TEST(close_interrupted_by_a_signal_has_closed_and_is_not_repeated)
{
    int s = pier_socket(AF_INET, SOCK_STREAM, 0);
    seams_install();
    seams_lie(close, 1, -EINTR);
    assert_int_equal(pier_close(s), 0);
    assert_int_equal(seams_calls(close), 1);
    assert_int_equal(pier_close(s), -EBADF);
    assert_int_equal(seams_calls(close), 1);
}

TEST(close_tells_of_an_error_and_has_closed_all_the_same)
{
    int s = pier_socket(AF_INET, SOCK_STREAM, 0);
    seams_install();
    seams_lie(close, 1, -EIO);
    assert_int_equal(pier_close(s), -EIO);
    assert_int_equal(pier_close(s), -EBADF);
    assert_true(pier_birth(s) == 0);
    s = pier_socket(AF_INET, SOCK_STREAM, 0);
    seams_lie(close, 1, -ECONNRESET);
    assert_int_equal(pier_close(s), 0);
    assert_int_equal(seams_calls(close), 2);
}

TEST(close_without_anyone_waiting_makes_one_system_call)
{
    int pair[2];
    scene_pair("tcp", pair);
    seams_install();
    assert_int_equal(pier_close(pair[0]), 0);
    assert_int_equal(seams_system_calls(), 1);
    assert_int_equal(seams_calls(close), 1);
    assert_int_equal(pier_close(pair[1]), 0);
}

/*
 * Who may close what in the face of descriptors that others hold: a fork has the same connection.
 */
TEST(close_does_not_end_a_connection_that_a_fork_shares)
{
    int pair[2], go[2];
    scene_pair("tcp", pair);
    assert_int_equal(pipe2(go, O_CLOEXEC), 0);
    pid_t child = fork();
    if (child == 0) {
        char byte;
        close(go[1]);
        if (read(go[0], &byte, 1) != 0) _exit(1);
        _exit(pier_sendall(pair[0], "from the child", 14, 0) == 14 ? 0 : 2);
    }
    close(go[0]);
    assert_int_equal(pier_close(pair[0]), 0);
    close(go[1]);
    char buf[32];
    assert_int_equal(pier_recv(pair[1], buf, sizeof buf, 0), 14);
    assert_int_equal(pier_recv(pair[1], buf, sizeof buf, 0), 0);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(pier_close(pair[1]), 0);
}

/* Birth numbers. */

TEST(birth_tells_a_number_that_was_given_out_again)
{
    int s = pier_socket(AF_INET, SOCK_STREAM, 0);
    uint64_t birth = pier_birth(s);
    assert_true(birth > 0);
    assert_true(pier_birth(s) == birth);
    assert_int_equal(pier_close(s), 0);
    assert_true(pier_birth(s) == 0);
    assert_int_equal(pier_socket(AF_INET, SOCK_STREAM, 0), s);
    assert_true(pier_birth(s) > birth);
    assert_int_equal(pier_close(s), 0);
    assert_true(pier_birth(-1) == 0);
    assert_true(pier_birth(-ECONNREFUSED) == 0);
    assert_true(pier_birth(0) == 0);
    assert_true(pier_birth(INT32_MAX) == 0);
}

TEST(birth_of_every_socket_is_another)
{
    uint64_t last = 0;
    for (int i = 0; i < 100; i++) {
        int pair[2];
        scene_pair("unix stream", pair);
        assert_true(pier_birth(pair[0]) > last);
        assert_true(pier_birth(pair[1]) > pier_birth(pair[0]));
        last = pier_birth(pair[1]);
        assert_int_equal(pier_close(pair[0]), 0);
        assert_int_equal(pier_close(pair[1]), 0);
    }
}

/* An error in place of a socket. */

static void assert_passes_on(int s)
{
    char buf[4];
    pier_addr addr;
    struct msghdr msg = {0};
    assert_int_equal(pier_dup(s), s);
    assert_int_equal(pier_fromfd(s), s);
    assert_int_equal(pier_adopt(s), s);
    assert_int_equal(pier_detach(s), s);
    assert_int_equal(pier_close(s), s);
    assert_int_equal(pier_shutdown(s, SHUT_RDWR), s);
    assert_int_equal(pier_bind(s, pier_inet("", 0)), s);
    assert_int_equal(pier_listen(s, 5), s);
    assert_int_equal(pier_accept(s, &addr), s);
    assert_int_equal(addr.error, s);
    assert_int_equal(pier_accept(s, NULL), s);
    assert_int_equal(pier_connect(s, pier_inet("127.0.0.1", 9)), s);
    assert_int_equal(pier_connect_ex(s, pier_inet("127.0.0.1", 9)), s);
    assert_int_equal(pier_getsockname(s, &addr), s);
    assert_int_equal(addr.error, s);
    assert_int_equal(pier_getpeername(s, &addr), s);
    assert_int_equal(addr.error, s);
    assert_int_equal(pier_recv(s, buf, sizeof buf, 0), s);
    assert_int_equal(pier_recv(s, NULL, SIZE_MAX, 0), s);
    assert_int_equal(pier_recvfrom(s, buf, sizeof buf, 0, &addr), s);
    assert_int_equal(addr.error, s);
    assert_int_equal(pier_send(s, buf, sizeof buf, 0), s);
    assert_int_equal(pier_sendall(s, buf, sizeof buf, 0), s);
    assert_int_equal(pier_sendto(s, buf, sizeof buf, 0, pier_inet("127.0.0.1", 9)), s);
    assert_int_equal(pier_sendmsg(s, &msg, 0), s);
    assert_int_equal(pier_recvmsg(s, &msg, 0), s);
    assert_int_equal(pier_wait_readable(s, PIER_NEVER), s);
    assert_int_equal(pier_wait_writable(s, pier_after(1)), s);
    assert_int_equal(pier_pending(s), s);
    assert_int_equal(pier_settimeout(s, 1), s);
    assert_int_equal(pier_settimeout(s, -1), s);
    assert_true(pier_gettimeout(s) == (double)s);
    assert_int_equal(pier_setblocking(s, true), s);
    assert_int_equal(pier_getblocking(s), s);
    assert_int_equal(pier_setdeadline(s, pier_after(1)), s);
    assert_int_equal(pier_setdeadline(s, pier_after(-1)), s);
    assert_int_equal(pier_getdeadline(s), s);
    assert_int_equal(pier_set_inheritable(s, true), s);
    assert_int_equal(pier_get_inheritable(s), s);
}

TEST(negative_handle_travels_through_every_verb_without_a_system_call)
{
    assert_int_equal(pier_socket(AF_UNSPEC, SOCK_STREAM, 0), -EAFNOSUPPORT);
    char first[256];
    (void)snprintf(first, sizeof first, "%s", pier_error());
    seams_install();
    assert_passes_on(-EAFNOSUPPORT);
    assert_int_equal(seams_system_calls(), 0);
    assert_string_equal(pier_error(), first); /* the first failure is the one that counts */
    assert_int_equal(pier_error_code(), -EAFNOSUPPORT);
}

TEST(minus_1_did_not_come_from_pier)
{
    seams_install();
    assert_passes_on(-1);
    assert_int_equal(seams_system_calls(), 0);
    assert_string_equal(pier_error(), "handle -1 did not come from pier");
    assert_int_equal(pier_error_code(), PIER_ENOTHANDLE);
}

/* Bare descriptors. */

TEST(bare_descriptor_works_in_every_verb_and_has_no_time_out)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    char buf[8];
    assert_int_equal(pier_sendall(pair[0], "abcdef", 6, 0), 6);
    assert_int_equal(pier_recv(pair[1], buf, 2, 0), 2);
    pier_addr from;
    assert_int_equal(pier_recvfrom(pair[1], buf, 2, 0, &from), 2);
    struct iovec v = {buf, 2};
    struct msghdr msg = {.msg_iov = &v, .msg_iovlen = 1};
    assert_int_equal(pier_recvmsg(pair[1], &msg, 0), 2);
    assert_memory_equal(buf, "ef", 2);
    assert_int_equal(pier_send(pair[0], "x", 1, 0), 1);
    assert_int_equal(pier_wait_readable(pair[1], PIER_NEVER), 0);
    assert_int_equal(pier_wait_writable(pair[1], PIER_NEVER), 0);
    assert_int_equal(pier_recv(pair[1], buf, sizeof buf, 0), 1);
    assert_int_equal(pier_recv(pair[1], buf, sizeof buf, MSG_DONTWAIT), -EAGAIN);
    assert_int_equal(pier_wait_readable(pair[1], pier_after(0.01)), -ETIME);
    assert_int_equal(pier_pending(pair[1]), 0);
    assert_int_equal(pier_settimeout(pair[1], 1), -EBADF); /* there is no place to keep it */
    assert_true(pier_gettimeout(pair[1]) == -EBADF);
    assert_int_equal(pier_setdeadline(pair[1], pier_after(1)), -EBADF);
    assert_int_equal(pier_getblocking(pair[1]), -EBADF);
    assert_false(scene_nonblock(pair[1]));
    assert_int_equal(pier_get_inheritable(pair[1]), 0);
    assert_int_equal(pier_set_inheritable(pair[1], true), 0);
    assert_false(scene_cloexec(pair[1]));
    assert_int_equal(pier_shutdown(pair[0], SHUT_WR), 0);
    assert_int_equal(pier_recv(pair[1], buf, sizeof buf, 0), 0);
    close(pair[0]);
    close(pair[1]);
}

TEST(bare_listener_accepts_what_pier_then_owns)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(pier_bind(fd, pier_inet("127.0.0.1", 0)), 0);
    assert_int_equal(pier_listen(fd, 1), 0);
    pier_addr at, peer, own;
    assert_int_equal(pier_getsockname(fd, &at), 0);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(pier_connect(client, at), 0);
    int s = pier_accept(fd, &peer);
    assert_true(pier_birth(s) != 0);
    assert_true(scene_cloexec(s));
    assert_int_equal(pier_getsockname(client, &own), 0);
    assert_true(pier_addr_equal(own, peer));
    assert_int_equal(pier_close(s), 0);
    close(client);
    close(fd);
}

TEST(closed_number_is_ebadf_in_every_verb)
{
    int s = pier_socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(pier_close(s), 0);
    char buf[4];
    pier_addr addr;
    struct iovec v = {buf, sizeof buf};
    struct msghdr msg = {.msg_iov = &v, .msg_iovlen = 1};
    assert_int_equal(pier_recv(s, buf, sizeof buf, 0), -EBADF);
    assert_int_equal(pier_recvfrom(s, buf, sizeof buf, 0, &addr), -EBADF);
    assert_int_equal(addr.error, -EBADF);
    assert_int_equal(pier_recvmsg(s, &msg, 0), -EBADF);
    assert_int_equal(pier_send(s, buf, sizeof buf, 0), -EBADF);
    assert_int_equal(pier_sendall(s, buf, sizeof buf, 0), -EBADF);
    assert_int_equal(pier_sendto(s, buf, sizeof buf, 0, pier_inet("127.0.0.1", 9)), -EBADF);
    assert_int_equal(pier_sendmsg(s, &msg, 0), -EBADF);
    assert_int_equal(pier_accept(s, &addr), -EBADF);
    assert_int_equal(addr.error, -EBADF);
    assert_int_equal(pier_connect(s, pier_inet("127.0.0.1", 9)), -EBADF);
    assert_int_equal(pier_connect_ex(s, pier_inet("127.0.0.1", 9)), EBADF);
    assert_int_equal(pier_bind(s, pier_inet("", 0)), -EBADF);
    assert_int_equal(pier_listen(s, 1), -EBADF);
    assert_int_equal(pier_shutdown(s, SHUT_RD), -EBADF);
    assert_int_equal(pier_getsockname(s, &addr), -EBADF);
    assert_int_equal(pier_getpeername(s, &addr), -EBADF);
    assert_int_equal(pier_settimeout(s, 1), -EBADF);
    assert_int_equal(pier_setdeadline(s, 1), -EBADF);
    assert_int_equal(pier_getdeadline(s), -EBADF);
    assert_int_equal(pier_wait_readable(s, PIER_NEVER), -EBADF);
    assert_int_equal(pier_wait_writable(s, PIER_NEVER), -EBADF);
    assert_int_equal(pier_dup(s), -EBADF);
    assert_int_equal(pier_set_inheritable(s, true), -EBADF);
    assert_int_equal(pier_get_inheritable(s), -EBADF);
    assert_int_equal(pier_close(s), -EBADF);
}

/* Names of both ends. */

TEST(names_of_both_ends)
{
    int pair[2];
    scene_pair("tcp", pair);
    pier_addr own, peer, there;
    assert_int_equal(pier_getsockname(pair[0], &own), 0);
    assert_int_equal(pier_getpeername(pair[1], &peer), 0);
    assert_true(pier_addr_equal(own, peer));
    assert_int_equal(pier_getpeername(pair[0], &there), 0);
    assert_false(pier_addr_equal(own, there));
    assert_int_equal(pier_getsockname(pair[0], NULL), -EINVAL);
    assert_int_equal(pier_getpeername(pair[0], NULL), -EINVAL);
    assert_int_equal(pier_close(pair[0]), 0);
    assert_int_equal(pier_close(pair[1]), 0);

    int s = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(pier_getsockname(s, &own), 0);
    assert_string_equal(pier_addr_text(own).text, "0.0.0.0:0");
    assert_int_equal(pier_getpeername(s, &peer), -ENOTCONN);
    assert_int_equal(peer.error, -ENOTCONN);
    assert_int_equal(pier_close(s), 0);
}

TEST(shutdown_of_nonsense_is_refused)
{
    int pair[2];
    scene_pair("tcp", pair);
    assert_int_equal(pier_shutdown(pair[0], 17), -EINVAL);
    assert_int_equal(pier_close(pair[0]), 0);
    assert_int_equal(pier_close(pair[1]), 0);
    int s = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(pier_shutdown(s, SHUT_RDWR), -ENOTCONN);
    assert_int_equal(pier_close(s), 0);
}

/* Inheritance. */

/* D.59 */
TEST(nothing_that_pier_makes_survives_exec_unless_told_to)
{
    int made[12], count = 0, pair[2];
    pier_addr at;
    made[count++] = pier_socket(AF_INET, SOCK_STREAM, 0);
    made[count++] = pier_dup(made[0]);
    made[count++] = pier_fromfd(made[0]);
    scene_pair("unix dgram", pair);
    made[count++] = pair[0];
    made[count++] = pair[1];
    made[count++] = scene_listener(&at);
    made[count++] = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(pier_connect(made[count - 1], at), 0);
    made[count++] = pier_accept(made[5], NULL);
    for (int i = 0; i < count; i++) {
        assert_true(scene_cloexec(made[i]));
        assert_int_equal(pier_get_inheritable(made[i]), 0);
    }
    assert_int_equal(pier_set_inheritable(made[7], true), 0);
    assert_int_equal(pier_get_inheritable(made[7]), 1);

    char list[256] = "";
    for (int i = 0; i < count; i++)
        (void)snprintf(
            list + strlen(list), sizeof list - strlen(list), "/proc/self/fd/%d ", made[i]);
    pid_t child = fork();
    if (child == 0) {
        char script[512];
        (void)snprintf(script, sizeof script,
            "n=0; for f in %s; do test -e $f && n=$((n + 1)); done; exit $n", list);
        execl("/bin/sh", "sh", "-c", script, (char *)NULL);
        _exit(99);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 1);
    assert_int_equal(pier_set_inheritable(made[7], false), 0);
    assert_true(scene_cloexec(made[7]));
    for (int i = 0; i < count; i++)
        assert_int_equal(pier_close(made[i]), 0);
}

/* B.29 */
TEST(no_socket_lingers_or_resets_by_default)
{
    int pair[2];
    scene_pair("tcp", pair);
    for (int i = 0; i < 2; i++) {
        struct linger linger;
        socklen_t len = sizeof linger;
        assert_int_equal(getsockopt(pair[i], SOL_SOCKET, SO_LINGER, &linger, &len), 0);
        assert_int_equal(linger.l_onoff, 0);
        assert_int_equal(pier_close(pair[i]), 0);
    }
}

/* B.37 */
TEST(nothing_is_sent_with_the_syn_unless_asked)
{
    int s = pier_socket(AF_INET, SOCK_STREAM, 0), on = 1;
    socklen_t len = sizeof on;
    assert_int_equal(getsockopt(s, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, &len), 0);
    assert_int_equal(on, 0);
    assert_int_equal(pier_send(s, "x", 1, 0), -EPIPE);
    assert_int_equal(pier_close(s), 0);
}

/* A.19: an old kernel, a filter of system calls. */
TEST(system_call_that_is_not_there_is_an_error_that_leaks_nothing)
{
    pier_addr at;
    int listener = scene_listener(&at), client = pier_socket(AF_INET, SOCK_STREAM, 0), pair[2];
    assert_int_equal(pier_connect(client, at), 0);
    seams_install();
    seams_fail(accept4, 1, -ENOSYS);
    assert_int_equal(pier_accept(listener, NULL), -ENOSYS);
    int s = pier_accept(listener, NULL); /* the connection is still there */
    assert_true(s >= 0);
    seams_fail(socket, 1, -EINVAL);
    assert_int_equal(pier_socket(AF_INET, SOCK_STREAM, 0), -EINVAL);
    seams_fail(socketpair, 1, -ENOSYS);
    assert_int_equal(pier_socketpair(AF_UNIX, SOCK_STREAM, 0, pair), -ENOSYS);
    seams_fail(fcntl, 1, -EINVAL);
    assert_int_equal(pier_dup(s), -EINVAL);
    seams_fail(ioctl, 1, -ENOTTY);
    assert_int_equal(pier_settimeout(s, 1), -ENOTTY);
    assert_true(pier_gettimeout(s) == (double)INFINITY); /* all or nothing */
    assert_int_equal(pier_close(s), 0);
    assert_int_equal(pier_close(client), 0);
    assert_int_equal(pier_close(listener), 0);
}

TEST(algorithm_sockets_are_accepted_from_without_listening)
{
    int s = pier_socket(AF_ALG, SOCK_SEQPACKET, 0);
    if (s < 0) SKIP("no AF_ALG here");
    struct sockaddr_alg sa = {.salg_family = AF_ALG, .salg_type = "hash", .salg_name = "sha256"};
    if (bind(s, (struct sockaddr *)&sa, sizeof sa) < 0) {
        assert_int_equal(pier_close(s), 0);
        SKIP("no sha256 in the kernel here");
    }
    assert_int_equal(pier_settimeout(s, 5), 0); /* which there is nothing to wait for */
    int op = pier_accept(s, NULL);
    assert_true(op >= 0);
    unsigned char digest[32];
    assert_int_equal(pier_send(op, "abc", 3, 0), 3);
    assert_int_equal(pier_recv(op, digest, sizeof digest, 0), 32);
    assert_int_equal(digest[0], 0xba);
    assert_int_equal(pier_close(op), 0);
    assert_int_equal(pier_close(s), 0);
}
