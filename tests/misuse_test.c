/* SPDX-License-Identifier: MIT */
/*
 * What is asked of tasks by mistake, and what they cannot get: an error each time, and everything
 * goes on.
 */
#include "base/bits.h"
#include "harness.h"
#include "scene.h"
#include "seams.h"
#include "wait/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <pier.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

static const char *const backends[] = {"epoll", "uring"};

static void on_each(int (*fn)(void *arg))
{
    if (harness_in_task()) SKIP("has a loop already");
    for (size_t i = 0; i < PIER_COUNT(backends); i++) {
        pier_run_opts opts = {.backend = backends[i], .stack_size = (size_t)1 << 20};
        assert_int_equal(pier_run(fn, NULL, &opts), 0);
    }
}

static int number_of(void *arg) { return (int)(intptr_t)arg; }

static int returns_3(void *unused)
{
    (void)unused;
    return pier_sleep(0.0001) == 0 ? 3 : -1;
}

/* That it all still works. */
static void go_on(void)
{
    int result = 0;
    assert_int_equal(pier_join(pier_spawn(returns_3, NULL, NULL), &result), 0);
    assert_int_equal(result, 3);
}

/* Stacks. */

static int has_absurd_stacks(void *unused)
{
    (void)unused;
    static const size_t refused[] = {((size_t)1 << 30) + 1, (size_t)1 << 31, (size_t)1 << 63,
        SIZE_MAX, SIZE_MAX - 4095, SSIZE_MAX};
    static const size_t granted[] = {1, 4095, 16385, 65537, (size_t)1 << 30};
    for (size_t i = 0; i < PIER_COUNT(refused); i++) {
        const pier_spawn_opts opts = {.stack_size = refused[i]};
        assert_int_equal(pier_spawn(number_of, NULL, &opts).number, -EINVAL);
        assert_int_equal(
            pier_run(number_of, NULL, &(pier_run_opts){.stack_size = refused[i]}), -EINVAL);
    }
    for (size_t i = 0; i < PIER_COUNT(granted); i++) {
        const pier_spawn_opts opts = {.stack_size = granted[i]};
        int result;
        assert_int_equal(pier_join(pier_spawn(number_of, (void *)5, &opts), &result), 0);
        assert_int_equal(result, 5);
    }
    go_on();
    return 0;
}

TEST(stack_that_cannot_be_is_refused_and_a_tiny_one_rounded_up) { on_each(has_absurd_stacks); }

static const char *name_of(pier_task task)
{
    return pier__loop_here->slots[task.number - 1].task->name;
}

static int has_absurd_options(void *unused)
{
    (void)unused;
    assert_int_equal(
        pier_spawn(number_of, NULL, &(pier_spawn_opts){.reserved = {[3] = 1}}).number, -EINVAL);
    char name[4096];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    pier_task task = pier_spawn(returns_3, NULL, &(pier_spawn_opts){.name = name});
    assert_int_equal(strlen(name_of(task)), 31);
    assert_int_equal(pier_join(task, NULL), 0);
    task = pier_spawn(returns_3, NULL, &(pier_spawn_opts){.name = ""});
    assert_string_equal(name_of(task), "");
    assert_int_equal(pier_join(task, NULL), 0);
    go_on();
    return 0;
}

TEST(name_that_is_too_long_is_cut_and_reserved_fields_are_looked_at)
{
    on_each(has_absurd_options);
}

/* Tasks that are not there. */

static void check_no_task(pier_task task)
{
    int result = 42;
    assert_int_equal(pier_join(task, &result), -ESRCH);
    assert_int_equal(result, 42); /* untouched */
    assert_int_equal(pier_cancel(task), -ESRCH);
}

static int asks_for_the_dead(void *unused)
{
    (void)unused;
    int result = 42;
    pier_task dead = pier_spawn(number_of, (void *)7, NULL);
    assert_int_equal(pier_yield(), 0);
    assert_int_equal(pier_cancel(dead), -ESRCH);   /* it has ended, */
    assert_int_equal(pier_join(dead, &result), 0); /* but its result is kept */
    assert_int_equal(result, 7);
    check_no_task(dead);
    pier_task next = pier_spawn(returns_3, NULL, NULL);
    assert_int_equal(next.number, dead.number); /* used again, */
    assert_true(next.birth != dead.birth);
    check_no_task(dead); /* and still it is not that one */
    check_no_task((pier_task){.number = next.number, .birth = next.birth + 1});
    check_no_task((pier_task){.number = next.number});
    check_no_task((pier_task){.number = INT32_MAX, .birth = next.birth});
    check_no_task((pier_task){.number = 1 << 20, .birth = UINT64_MAX});
    assert_int_equal(pier_join(next, &result), 0);
    assert_int_equal(result, 3);
    static const int codes[] = {-ENOMEM, -ECONNREFUSED, INT32_MIN + 1};
    for (size_t i = 0; i < PIER_COUNT(codes); i++) {
        assert_int_equal(pier_join((pier_task){.number = codes[i]}, NULL), codes[i]);
        assert_int_equal(pier_cancel((pier_task){.number = codes[i]}), codes[i]);
    }
    assert_int_equal(pier_cancel((pier_task){0}), -EINVAL);
    go_on();
    return 0;
}

TEST(task_that_has_ended_is_never_taken_for_the_next_of_its_number) { on_each(asks_for_the_dead); }

static int joins_with(void *arg) { return pier_join(*(pier_task *)arg, NULL); }

static int joins_at_once(void *unused)
{
    (void)unused;
    pier_task slow = pier_spawn(returns_3, NULL, NULL), joiners[3];
    int result;
    for (int i = 0; i < 3; i++)
        joiners[i] = pier_spawn(joins_with, &slow, NULL);
    for (int i = 0; i < 3; i++) { /* who waits for it meanwhile gets it */
        assert_int_equal(pier_join(joiners[i], &result), 0);
        assert_int_equal(result, 0);
    }
    check_no_task(slow);
    return 0;
}

TEST(several_may_wait_for_one_end_and_who_comes_later_gets_none) { on_each(joins_at_once); }

static pier_task foreign;

static int looks_for_a_foreign_task(void *unused)
{
    (void)unused;
    check_no_task(foreign);
    pier_task twin = pier_spawn(returns_3, NULL, NULL); /* the number may be the same */
    check_no_task(foreign);
    assert_int_equal(pier_join(twin, NULL), 0);
    return 0;
}

static void *another_loop(void *unused)
{
    (void)unused;
    return (void *)(intptr_t)pier_run(looks_for_a_foreign_task, NULL, NULL);
}

static int is_looked_for(void *unused)
{
    (void)unused;
    foreign = pier_spawn(returns_3, NULL, NULL);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, another_loop, NULL), 0);
    void *result;
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_null(result);
    int own = 0;
    assert_int_equal(pier_join(foreign, &own), 0);
    assert_int_equal(own, 3);
    return 0;
}

TEST(task_of_another_loop_is_none_here) { on_each(is_looked_for); }

/* Scopes and groups. */

static int fails(void *unused)
{
    (void)unused;
    return -EIO;
}

static int uses_what_is_nobodys(void *group)
{
    assert_int_equal(pier_group_spawn(group, fails, NULL, NULL).number, -EINVAL);
    assert_int_equal(pier_group_cancel(group), -EINVAL);
    return 0;
}

static int leaves_what_it_never_entered(void *unused)
{
    (void)unused;
    pier_scope scope = {0}, other = {0};
    pier_group group = {0}, inner = {0};
    assert_int_equal(pier_scope_leave(&scope), -EINVAL);
    assert_int_equal(pier_group_leave(&group), -EINVAL);
    assert_int_equal(pier_group_cancel(&group), -EINVAL);
    assert_int_equal(pier_group_spawn(&group, number_of, NULL, NULL).number, -EINVAL);
    assert_int_equal(pier_group_spawn(NULL, number_of, NULL, NULL).number, -EINVAL);
    assert_int_equal(pier_scope_enter(&scope, pier_after(100)), 0);
    assert_int_equal(pier_scope_leave(&other), -EINVAL);
    assert_int_equal(pier_scope_leave(&scope), 0);
    assert_int_equal(pier_group_enter(&group), 0);
    assert_int_equal(pier_group_enter(&group), -EINVAL);
    assert_int_equal(pier_group_enter(&inner), 0);
    assert_int_equal(pier_group_leave(&group), -EINVAL); /* the inner one first */
    assert_int_equal(pier_group_leave(&inner), 0);
    assert_int_equal(pier_group_leave(&group), 0);
    go_on();
    return 0;
}

TEST(scope_or_group_that_is_not_entered_is_not_left) { on_each(leaves_what_it_never_entered); }

/* A group that whoever entered it has not left, and its memory is still there. */
static int enters_and_ends(void *group)
{
    assert_int_equal(pier_group_enter(group), 0);
    return 0;
}

static void *uses_the_group_of_another(void *group)
{
    static const pier_run_opts opts = {.backend = "epoll"};
    assert_int_equal(pier_run(uses_what_is_nobodys, group, &opts), 0);
    return NULL;
}

static int leaves_groups_behind(void *unused)
{
    (void)unused;
    static pier_group forgotten;
    pier_group own;
    assert_int_equal(pier_join(pier_spawn(enters_and_ends, &forgotten, NULL), NULL), 0);
    assert_int_equal(uses_what_is_nobodys(&forgotten), 0);
    assert_int_equal(pier_group_enter(&own), 0);
    pthread_t thread = test_thread(uses_the_group_of_another, &own);
    test_join(thread);
    assert_int_equal(pier_group_leave(&own), 0);
    go_on();
    return 0;
}

TEST(group_that_no_task_of_the_loop_can_leave_takes_nobody) { on_each(leaves_groups_behind); }

static int enters_long_past(void *unused)
{
    (void)unused;
    pier_scope scope;
    assert_int_equal(pier_scope_enter(&scope, 1), 0); /* the machine had just started */
    assert_int_equal(pier_sleep(1000), -ECANCELED);
    assert_int_equal(pier_yield(), -ECANCELED);
    assert_int_equal(pier_scope_leave(&scope), -ETIME);
    assert_int_equal(pier_sleep(-0.5), -EINVAL);
    assert_int_equal(pier_sleep((double)-INFINITY), -EINVAL);
    assert_int_equal(pier_sleep((double)NAN), -EINVAL);
    go_on();
    return 0;
}

TEST(scope_that_has_ended_before_it_begins_ends_every_wait) { on_each(enters_long_past); }

/* Descriptors. */

static int receives_one(void *arg)
{
    char byte;
    return (int)pier_recv((int)(intptr_t)arg, &byte, 1, 0);
}

/* Every wait on this descriptor says so, in a task as outside. */
static void check_refused(int fd, int code)
{
    char byte = 'x';
    pier_datagram datagram = {.data = &byte, .size = 1};
    assert_int_equal(pier_recv(fd, &byte, 1, 0), code);
    assert_int_equal(pier_recv_many(fd, &datagram, 1, 0), code);
    assert_int_equal(pier_send(fd, &byte, 1, 0), code);
    assert_int_equal(pier_accept(fd, NULL), code);
    assert_int_equal(pier_connect(fd, scene_nobody()), code);
    int result = 0;
    assert_int_equal(pier_join(pier_spawn(receives_one, (void *)(intptr_t)fd, NULL), &result), 0);
    assert_int_equal(result, code);
}

static int waits_on_what_is_none(void *unused)
{
    (void)unused;
    int pair[2], pipe_[2];
    scene_pair("tcp", pair);
    assert_int_equal(pier_close(pair[0]), 0);
    assert_int_equal(pier_close(pair[1]), 0);
    check_refused(pair[0], -EBADF);
    check_refused(pair[1], -EBADF);
    check_refused(INT32_MAX, -EBADF);
    check_refused(1 << 24, -EBADF);
    check_refused(-EMFILE, -EMFILE); /* a code that is handed on */
    assert_int_equal(pipe2(pipe_, O_CLOEXEC), 0);
    check_refused(pipe_[0], -ENOTSOCK);
    close(pipe_[0]);
    close(pipe_[1]);
    int file = open("/dev/null", O_RDWR | O_CLOEXEC), event = eventfd(0, EFD_CLOEXEC);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    check_refused(file, -ENOTSOCK);
    check_refused(event, -ENOTSOCK);
    check_refused(epoll, -ENOTSOCK);
    close(file);
    close(event);
    close(epoll);
    go_on();
    return 0;
}

TEST(waiting_on_what_is_no_socket_is_an_error_and_no_hang) { on_each(waits_on_what_is_none); }

/*
 * A socket that pier did not make waits like one that it did; only that a stranger closes it wakes
 * nobody.
 */
static int waits_on_a_foreign_socket(void *unused)
{
    (void)unused;
    int pair[2], result = 0;
    char byte;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    for (int i = 0; i < 3; i++) {
        pier_task task = pier_spawn(receives_one, (void *)(intptr_t)pair[0], NULL);
        assert_int_equal(pier_sleep(0.002), 0);
        assert_int_equal(write(pair[1], "x", 1), 1);
        assert_int_equal(pier_join(task, &result), 0);
        assert_int_equal(result, 1);
    }
    pier_task task = pier_spawn(receives_one, (void *)(intptr_t)pair[0], NULL);
    assert_int_equal(pier_sleep(0.002), 0);
    assert_int_equal(pier_cancel(task), 0);
    assert_int_equal(pier_join(task, &result), 0);
    assert_int_equal(result, -ECANCELED);
    assert_int_equal(write(pair[1], "y", 1), 1);
    assert_int_equal(pier_recv(pair[0], &byte, 1, 0), 1);
    assert_int_equal(byte, 'y');
    close(pair[0]);
    close(pair[1]);
    return 0;
}

TEST(foreign_socket_is_waited_on_like_an_own_one) { on_each(waits_on_a_foreign_socket); }

/* What runs out. */

static int has_no_descriptors(void *unused)
{
    (void)unused;
    pier_addr at;
    int server = scene_listener(&at), pair[2] = {-1, -1}, spare[64], count = 0;
    struct rlimit was, few;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    few = was;
    few.rlim_cur = (rlim_t)server + 20;
    int client = pier_create_connection(pier_addr_text(at).text, NULL);
    assert_true(client >= 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    while (count < 64 && (spare[count] = pier_socket(AF_INET, SOCK_STREAM, 0)) >= 0)
        count++;
    assert_int_equal(spare[count], -EMFILE);
    assert_int_equal(pier_accept(server, NULL), -EMFILE);
    assert_int_equal(pier_socketpair(AF_UNIX, SOCK_STREAM, 0, pair), -EMFILE);
    assert_int_equal(pair[0], -1);
    assert_int_equal(pier_create_connection(pier_addr_text(at).text, NULL), -EMFILE);
    go_on(); /* tasks need none */
    pier_close(spare[--count]);
    spare[count] = pier_accept(server, NULL); /* the client was not lost */
    assert_true(spare[count] >= 0);
    count++;
    while (count > 0)
        assert_int_equal(pier_close(spare[--count]), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
    assert_int_equal(pier_close(client), 0);
    assert_int_equal(pier_close(server), 0);
    return 0;
}

TEST(without_descriptors_the_calls_of_a_task_say_so_and_tasks_go_on)
{
    on_each(has_no_descriptors);
}

static int has_no_memory(void *unused)
{
    (void)unused;
    size_t before = pier__loop_here->task_count;
    static pier_task made[4096];
    size_t count = 0;
    go_on(); /* from now on there is room for some */
    seams_fail_from(mmap, 1, -ENOMEM);
    seams_fail_from(allocate, 1, 0);
    while (count < PIER_COUNT(made)) { /* what is there already is used up */
        made[count] = pier_spawn(returns_3, NULL, NULL);
        if (made[count].number < 0) break;
        count++;
    }
    assert_true(count > 0 && count < PIER_COUNT(made));
    assert_int_equal(made[count].number, -ENOMEM);
    assert_int_equal(pier__loop_here->task_count, before + count);
    const pier_spawn_opts large = {.stack_size = (size_t)1 << 24};
    assert_int_equal(pier_spawn(returns_3, NULL, &large).number, -ENOMEM);
    assert_int_equal(pier_run(returns_3, NULL, &(pier_run_opts){.stack_size = 1 << 24}), -ENOMEM);
    for (size_t i = 0; i < count; i++) { /* those that could be made run */
        int result = 0;
        assert_int_equal(pier_join(made[i], &result), 0);
        assert_int_equal(result, 3);
    }
    go_on();
    seams_obey(mmap);
    seams_obey(allocate);
    assert_int_equal(pier_join(pier_spawn(returns_3, NULL, &large), NULL), 0);
    go_on();
    return 0;
}

TEST(without_memory_no_more_tasks_are_made_and_those_that_are_go_on)
{
    seams_install();
    on_each(has_no_memory);
    seams_remove();
}

static int main_was_begun;

static int begins(void *unused)
{
    (void)unused;
    main_was_begun++;
    return 0;
}

TEST(loop_that_cannot_be_made_says_so_and_leaves_nothing)
{
    if (harness_in_task()) SKIP("has a loop already");
    int before = test_fd_count();
    seams_install();
    for (size_t i = 0; i < PIER_COUNT(backends); i++) {
        const pier_run_opts opts = {.backend = backends[i]};
        seams_fail_from(allocate, 1, 0);
        assert_int_equal(pier_run(begins, NULL, &opts), -ENOMEM);
        seams_obey(allocate);
        seams_fail_from(mmap, 1, -ENOMEM);
        assert_int_equal(pier_run(begins, NULL, &opts), -ENOMEM);
        seams_obey(mmap);
        seams_fail_from(eventfd, 1, -EMFILE);
        assert_int_equal(pier_run(begins, NULL, &opts), -EMFILE);
        seams_obey(eventfd);
        assert_int_equal(main_was_begun, 0);
        assert_int_equal(test_fd_count(), before);
        assert_int_equal(pier_run(begins, NULL, &opts), 0);
        assert_int_equal(main_was_begun--, 1);
    }
    seams_remove();
}
