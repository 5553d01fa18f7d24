/* SPDX-License-Identifier: MIT */
/* Waiting for any of several, in threads and in tasks on each backend. */
#include "base/bits.h"
#include "harness.h"
#include "scene.h"
#include "seams.h"
#include "sock/table.h"

#include <errno.h>
#include <fcntl.h>
#include <pier.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Run fn in a thread, or where the test is, and in a task on each backend. */
static void everywhere(int (*fn)(void *unused))
{
    assert_int_equal(fn(NULL), 0);
    scene_on_each_backend(fn);
}

static pier_queue make_queue(bool outside)
{
    pier_queue queue;
    pier_queue_opts opts = {.item_size = sizeof(int), .capacity = 1, .outside = outside};
    assert_int_equal(pier_queue_init(&queue, &opts), 0);
    return queue;
}

/* One of every kind, outside, that anybody can make ready. */
struct things {
    int pair[2];
    pier_event event;
    pier_semaphore semaphore;
    pier_queue empty, full;
    pier_waitable all[5];
};

static void make_things(struct things *t)
{
    int number = 1;
    *t = (struct things){.event.outside = true,
        .semaphore.outside = true,
        .empty = make_queue(/* outside= */ true),
        .full = make_queue(/* outside= */ true)};
    scene_pair("tcp", t->pair);
    assert_int_equal(pier_queue_put_nowait(&t->full, &number), 0);
    t->all[0] = (pier_waitable){PIER_WAIT_READABLE, .socket = t->pair[0]};
    t->all[1] = (pier_waitable){PIER_WAIT_EVENT, .event = &t->event};
    t->all[2] = (pier_waitable){PIER_WAIT_SEMAPHORE, .semaphore = &t->semaphore};
    t->all[3] = (pier_waitable){PIER_WAIT_GET, .queue = &t->empty};
    t->all[4] = (pier_waitable){PIER_WAIT_PUT, .queue = &t->full};
}

static void done_with_things(struct things *t)
{
    scene_close(t->pair);
    assert_int_equal(pier_queue_done(&t->empty), 0); /* nobody watches it any more */
    assert_int_equal(pier_queue_done(&t->full), 0);
}

static void make_ready(struct things *t, int i)
{
    int number = i;
    if (i == 0) assert_int_equal(pier_send(t->pair[1], "x", 1, 0), 1);
    if (i == 1) assert_int_equal(pier_event_set(&t->event), 0);
    if (i == 2) assert_int_equal(pier_semaphore_release(&t->semaphore), 0);
    if (i == 3) assert_int_equal(pier_queue_put_nowait(&t->empty, &number), 0);
    if (i == 4) assert_int_equal(pier_queue_get_nowait(&t->full, &number), 0);
}

/* Take it, which must not wait. */
static void take(struct things *t, int i)
{
    char byte;
    int number = i;
    pier_time now = pier_now();
    if (i == 0) assert_int_equal(pier_recv(t->pair[0], &byte, 1, 0), 1);
    if (i == 1) assert_int_equal(pier_event_clear(&t->event), 0);
    if (i == 2) assert_int_equal(pier_semaphore_acquire(&t->semaphore, now), 0);
    if (i == 3) assert_int_equal(pier_queue_get_nowait(&t->empty, &number), 0);
    if (i == 4) assert_int_equal(pier_queue_put_nowait(&t->full, &number), 0);
}

static int looks(void *unused)
{
    (void)unused;
    struct things t;
    make_things(&t);
    for (int mask = 0; mask < 32; mask++) {
        int wanted = 0;
        for (int i = 0; i < 5; i++) {
            if (!(mask >> i & 1)) continue;
            make_ready(&t, i);
            wanted++;
        }
        if (mask & 1) assert_int_equal(pier_wait_readable(t.pair[0], PIER_NEVER), 0);
        for (int twice = 0; twice < 2; twice++) { /* it takes nothing */
            int n = pier_wait_any(t.all, 5, twice && wanted ? PIER_NEVER : pier_now());
            assert_int_equal(n, wanted ? wanted : -ETIME);
            for (int i = 0; i < 5 && wanted; i++) {
                assert_int_equal(t.all[i].ready, mask >> i & 1);
            }
        }
        for (int i = 0; i < 5; i++) {
            if (mask >> i & 1) take(&t, i);
        }
    }
    done_with_things(&t);
    return 0;
}

TEST(all_that_is_ready_is_told_and_nothing_taken) { everywhere(looks); }

struct later {
    struct things *things;
    int which;
};

static void *makes_it_ready_later(void *arg)
{
    const struct later *later = arg;
    test_sleep(0.005);
    make_ready(later->things, later->which);
    return NULL;
}

static int is_woken_by_a_thread(void *unused)
{
    (void)unused;
    struct things t;
    make_things(&t);
    for (int i = 0; i < 5; i++) {
        struct later later = {&t, i};
        pthread_t thread = test_thread(makes_it_ready_later, &later);
        assert_int_equal(pier_wait_any(t.all, 5, PIER_NEVER), 1);
        for (int k = 0; k < 5; k++) {
            assert_int_equal(t.all[k].ready, k == i);
        }
        test_join(thread);
        take(&t, i);
        /* Without a socket, too. */
        if (i == 0) continue;
        thread = test_thread(makes_it_ready_later, &later);
        assert_int_equal(pier_wait_any(t.all + 1, 4, PIER_NEVER), 1);
        assert_true(t.all[i].ready);
        test_join(thread);
        take(&t, i);
    }
    done_with_things(&t);
    return 0;
}

TEST(whatever_becomes_ready_in_another_thread_ends_the_wait) { everywhere(is_woken_by_a_thread); }

static int waits_for_things(void *arg)
{
    struct things *t = arg;
    pier_waitable two[] = {t->all[1], t->all[0]};
    return pier_wait_any(two, 2, PIER_NEVER);
}

static int is_reported(void *unused)
{
    (void)unused;
    struct things t;
    int out[2], result;
    char text[1024], line[128];
    make_things(&t);
    pier_task task = pier_spawn(waits_for_things, &t, NULL);
    assert_int_equal(pier_sleep(0.001), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(pier_dump_tasks(out[1]), 0);
    ssize_t n = read(out[0], text, sizeof text - 1);
    assert_true(n > 0);
    text[n] = '\0';
    (void)snprintf(line, sizeof line, "waiting for any of several on %d, for ", t.pair[0]);
    assert_non_null(strstr(text, line));
    close(out[0]);
    close(out[1]);
    make_ready(&t, 1);
    assert_int_equal(pier_join(task, &result), 0);
    assert_int_equal(result, 1);
    done_with_things(&t);
    return 0;
}

TEST(report_of_the_tasks_tells_what_sockets_are_waited_for) { scene_on_each_backend(is_reported); }

static int makes_it_ready(void *arg)
{
    const struct later *later = arg;
    make_ready(later->things, later->which);
    return 0;
}

static int is_woken_by_a_task(void *unused)
{
    (void)unused;
    for (int outside = 0; outside < 2; outside++) {
        struct things t;
        make_things(&t);
        t.event.outside = t.semaphore.outside = t.empty.outside = t.full.outside = outside;
        for (int i = 0; i < 5; i++) {
            struct later later = {&t, i};
            pier_task task = pier_spawn(makes_it_ready, &later, NULL);
            assert_int_equal(pier_wait_any(t.all, 5, PIER_NEVER), 1);
            assert_true(t.all[i].ready);
            take(&t, i);
            assert_int_equal(pier_join(task, NULL), 0);
        }
        done_with_things(&t);
    }
    return 0;
}

TEST(whatever_another_task_makes_ready_ends_the_wait) { scene_on_each_backend(is_woken_by_a_task); }

static int sleeps(void *arg) { return pier_sleep(*(double *)arg); }

static int watches_tasks(void *unused)
{
    (void)unused;
    double soon = 0.003, late = 1000;
    pier_spawn_opts detached = {.detached = true};
    pier_waitable all[] = {{PIER_WAIT_TASK, .task = pier_spawn(sleeps, &soon, NULL)},
        {PIER_WAIT_TASK, .task = pier_spawn(sleeps, &late, NULL)},
        {PIER_WAIT_TASK, .task = pier_spawn(sleeps, &soon, &detached)}};
    int n = pier_wait_any(all, 3, PIER_NEVER);
    assert_true(n >= 1 && !all[1].ready);
    assert_int_equal(pier_wait_any(all, 1, PIER_NEVER), 1);
    assert_true(all[0].ready);
    int result = 1;
    assert_int_equal(pier_join(all[0].task, &result), 0); /* the result is still there */
    assert_int_equal(result, 0);
    assert_int_equal(pier_wait_any(all, 2, PIER_NEVER), -ESRCH);
    assert_int_equal(pier_cancel(all[1].task), 0);
    assert_int_equal(pier_wait_any(all + 1, 1, PIER_NEVER), 1);
    assert_int_equal(pier_join(all[1].task, &result), 0);
    assert_int_equal(result, -ECANCELED);
    pier_waitable self = {PIER_WAIT_TASK, .task = pier_current()};
    assert_int_equal(pier_wait_any(&self, 1, PIER_NEVER), -EDEADLK);
    self.task = (pier_task){0};
    assert_int_equal(pier_wait_any(&self, 1, PIER_NEVER), -EINVAL);
    self.task.number = -ENOMEM;
    assert_int_equal(pier_wait_any(&self, 1, PIER_NEVER), -ENOMEM);
    return 0;
}

TEST(task_that_has_ended_is_ready_and_can_still_be_joined) { scene_on_each_backend(watches_tasks); }

/* Sockets. */

static int finds_buffered_bytes(void *unused)
{
    (void)unused;
    int pair[2];
    char line[16];
    scene_pair("tcp", pair);
    assert_int_equal(pier_sendall(pair[1], "one\ntwo\n", 8, 0), 8);
    assert_int_equal(pier_recv(pair[0], line, 8, MSG_PEEK | MSG_WAITALL), 8);
    assert_int_equal(pier_recv_line(pair[0], line, sizeof line), 4);
    assert_int_equal(pier_pending(pair[0]), 4);
    pier_waitable any = {PIER_WAIT_READABLE, .socket = pair[0]};
    assert_int_equal(pier_wait_any(&any, 1, PIER_NEVER), 1);
    assert_int_equal(pier_recv_line(pair[0], line, sizeof line), 4);
    assert_int_equal(pier_wait_any(&any, 1, pier_now()), -ETIME);
    any.what = PIER_WAIT_WRITABLE;
    assert_int_equal(pier_wait_any(&any, 1, PIER_NEVER), 1);
    scene_close(pair);
    return 0;
}

TEST(bytes_that_are_buffered_count_as_readable) { everywhere(finds_buffered_bytes); }

static int waits_for_every_kind(void *unused)
{
    (void)unused;
    for (const char *const *kind = scene_kinds(); *kind; kind++) {
        int pair[2];
        scene_pair(*kind, pair);
        pier_waitable all[] = {{PIER_WAIT_READABLE, .socket = pair[0]},
            {PIER_WAIT_NOTHING, .socket = -1}, {PIER_WAIT_READABLE, .socket = pair[1]},
            {PIER_WAIT_WRITABLE, .socket = pair[1]}};
        assert_int_equal(pier_wait_any(all, 3, pier_after(0.002)), -ETIME);
        assert_int_equal(pier_wait_any(all, 4, PIER_NEVER), 1);
        assert_true(all[3].ready && !all[0].ready && !all[1].ready && !all[2].ready);
        assert_int_equal(pier_send(pair[1], "x", 1, 0), 1);
        assert_int_equal(pier_wait_any(all, 3, PIER_NEVER), 1);
        assert_true(all[0].ready && !all[2].ready);
        scene_close(pair);
    }
    int bare[2]; /* that pier does not own */
    assert_int_equal(pipe2(bare, O_CLOEXEC), 0);
    pier_waitable any = {PIER_WAIT_READABLE, .socket = bare[0]};
    assert_int_equal(pier_wait_any(&any, 1, pier_after(0.002)), -ETIME);
    close(bare[1]);
    assert_int_equal(pier_wait_any(&any, 1, PIER_NEVER), 1); /* the end counts */
    close(bare[0]);
    return 0;
}

TEST(sockets_of_every_kind_and_bare_descriptors_are_waited_for)
{
    everywhere(waits_for_every_kind);
}

#define MANY 100

static int waits_for_many(void *unused)
{
    (void)unused;
    int pairs[MANY][2];
    static pier_waitable all[2 * MANY];
    static pier_event events[MANY];
    for (int i = 0; i < MANY; i++) {
        scene_pair("unix stream", pairs[i]);
        events[i] = (pier_event){.outside = true};
        all[2 * i] = (pier_waitable){PIER_WAIT_READABLE, .socket = pairs[i][0]};
        all[2 * i + 1] = (pier_waitable){PIER_WAIT_EVENT, .event = &events[i]};
    }
    for (int i = 0; i < MANY; i += 7) {
        assert_int_equal(pier_send(pairs[i][1], "x", 1, 0), 1);
        assert_int_equal(pier_event_set(&events[MANY - 1 - i]), 0);
        assert_int_equal(pier_wait_any(all, 2 * MANY, PIER_NEVER), 2 * (i / 7 + 1));
        assert_true(all[2 * i].ready && all[2 * (MANY - 1 - i) + 1].ready);
    }
    for (int i = 0; i < MANY; i++) {
        scene_close(pairs[i]);
    }
    return 0;
}

TEST(hundreds_are_waited_for_at_once) { everywhere(waits_for_many); }

/* Ends. */

static int is_limited(void *unused)
{
    (void)unused;
    struct things t;
    make_things(&t);
    t.all[0].ready = true;
    pier_time until = pier_after(0.01);
    assert_int_equal(pier_wait_any(t.all, 5, until), -ETIME);
    assert_true(pier_now() >= until);
    assert_true(t.all[0].ready); /* nothing is told on failure */
    until = pier_after(0.01);
    assert_int_equal(pier_wait_any(t.all + 1, 4, until), -ETIME);
    assert_true(pier_now() >= until);
    until = pier_after(0.01); /* the socket's own */
    assert_int_equal(pier_setdeadline(t.pair[0], until), 0);
    assert_int_equal(pier_wait_any(t.all, 5, PIER_NEVER), -ETIME);
    assert_true(pier_now() >= until);
    make_ready(&t, 3);
    assert_int_equal(pier_wait_any(t.all, 5, 1), 1); /* what has passed only looks */
    assert_int_equal(pier_wait_any(t.all, 5, -EINVAL), -EINVAL);
    done_with_things(&t);
    return 0;
}

TEST(deadline_ends_the_wait_and_never_early) { everywhere(is_limited); }

static int waits_for_all(void *arg)
{
    struct things *t = arg;
    return pier_wait_any(t->all, 5, PIER_NEVER);
}

static int is_cancelled(void *unused)
{
    (void)unused;
    struct things t;
    int result;
    make_things(&t);
    for (int begun = 0; begun < 2; begun++) {
        pier_task task = pier_spawn(waits_for_all, &t, NULL);
        for (int i = 0; i < 3 && begun; i++) {
            assert_int_equal(pier_yield(), 0);
        }
        assert_int_equal(pier_cancel(task), 0);
        assert_int_equal(pier_join(task, &result), 0);
        assert_int_equal(result, -ECANCELED);
    }
    pier_scope scope;
    assert_int_equal(pier_scope_enter(&scope, pier_after(0.005)), 0);
    assert_int_equal(waits_for_all(&t), -ECANCELED);
    assert_int_equal(pier_scope_leave(&scope), -ETIME);
    done_with_things(&t);
    return 0;
}

TEST(cancel_and_scope_end_the_wait) { scene_on_each_backend(is_cancelled); }

/* Does anybody wait who would have to be told that it closes? */
static bool is_waited_for(int s)
{
    pier__life_lock();
    bool waited = pier__entry_at(s)->life.waiters != NULL;
    pier__life_unlock();
    return waited;
}

static void *closes_it(void *arg)
{
    int s = *(int *)arg;
    while (!is_waited_for(s)) {
        test_sleep(0.001);
    }
    test_sleep(0.002);
    assert_int_equal(pier_close(s), 0);
    return NULL;
}

static int is_closed(void *unused)
{
    (void)unused;
    for (const char *const *kind = scene_kinds(); *kind; kind++) {
        int pair[2], other[2];
        scene_pair(*kind, pair);
        scene_pair(*kind, other);
        int s = pair[0];
        pier_waitable all[] = {
            {PIER_WAIT_READABLE, .socket = other[0]}, {PIER_WAIT_READABLE, .socket = pair[0]}};
        pthread_t thread = test_thread(closes_it, &s);
        assert_int_equal(pier_wait_any(all, 2, PIER_NEVER), -ECANCELED);
        test_join(thread);
        assert_false(scene_open(s));
        assert_int_equal(pier_close(pair[1]), 0);
        scene_close(other);
    }
    return 0;
}

TEST(closing_one_of_the_sockets_ends_the_wait) { everywhere(is_closed); }

static int closes_it_too(void *arg) { return pier_close(*(int *)arg); }

static int is_closed_by_a_task(void *unused)
{
    (void)unused;
    int pair[2];
    scene_pair("tcp", pair);
    int s = pair[0];
    pier_event event = {0};
    pier_waitable all[] = {
        {PIER_WAIT_EVENT, .event = &event}, {PIER_WAIT_READABLE, .socket = pair[0]}};
    pier_task task = pier_spawn(closes_it_too, &s, NULL);
    assert_int_equal(pier_wait_any(all, 2, PIER_NEVER), -ECANCELED);
    assert_int_equal(pier_join(task, NULL), 0);
    assert_false(scene_open(s));
    assert_int_equal(pier_close(pair[1]), 0);
    return 0;
}

TEST(task_that_closes_one_of_the_sockets_ends_the_wait)
{
    scene_on_each_backend(is_closed_by_a_task);
}

static int is_refused(void *unused)
{
    (void)unused;
    int closed = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(pier_close(closed), 0);
    pier_event event = {.outside = true};
    pier_queue unmade = {0};
    pier_waitable all[] = {
        {PIER_WAIT_EVENT, .event = &event}, {PIER_WAIT_READABLE, .socket = closed}};
    assert_int_equal(pier_wait_any(all, 2, PIER_NEVER), -EBADF);
    assert_int_equal(pier_wait_any(all, 2, pier_now()), -EBADF);
    assert_int_equal(pier_error_code(), -EBADF);
    all[1].socket = -ECONNREFUSED; /* a code travels on */
    assert_int_equal(pier_wait_any(all, 2, PIER_NEVER), -ECONNREFUSED);
    all[1] = (pier_waitable){PIER_WAIT_GET, .queue = &unmade};
    assert_int_equal(pier_wait_any(all, 2, PIER_NEVER), -EINVAL);
    all[1] = (pier_waitable){PIER_WAIT_GET, .queue = NULL};
    assert_int_equal(pier_wait_any(all, 2, PIER_NEVER), -EINVAL);
    all[1] = (pier_waitable){(enum pier_wait)77, .queue = NULL};
    assert_int_equal(pier_wait_any(all, 2, PIER_NEVER), -EINVAL);
    all[0] = all[1] = (pier_waitable){PIER_WAIT_NOTHING, .queue = NULL};
    assert_int_equal(pier_wait_any(all, 2, PIER_NEVER), -EINVAL);
    assert_int_equal(pier_wait_any(all, 0, PIER_NEVER), -EINVAL);
    assert_int_equal(pier_wait_any(NULL, 1, PIER_NEVER), -EINVAL);
    assert_string_equal(pier_error(), "wait for any of several: Invalid argument");
    return 0;
}

TEST(what_cannot_be_waited_for_is_refused) { everywhere(is_refused); }

static void *waits_for_what_is_not_its_own(void *arg)
{
    pier_waitable any = {PIER_WAIT_EVENT, .event = arg};
    assert_int_equal(pier_wait_any(&any, 1, PIER_NEVER), PIER_EFOREIGN);
    return NULL;
}

TEST(objects_of_another_thread_are_refused)
{
    pier_event event = {0};
    assert_int_equal(pier_event_is_set(&event), 0);
    test_join(test_thread(waits_for_what_is_not_its_own, &event));
}

TEST(thread_cannot_wait_for_what_nobody_else_may_touch)
{
    if (harness_in_task()) SKIP("is inside a loop");
    pier_event event = {0};
    pier_waitable all[] = {
        {PIER_WAIT_EVENT, .event = &event}, {PIER_WAIT_TASK, .task = {.number = 1, .birth = 1}}};
    assert_int_equal(pier_wait_any(all, 1, PIER_NEVER), PIER_ENOTASK);
    assert_int_equal(pier_wait_any(all, 2, PIER_NEVER), PIER_ENOTASK);
    assert_int_equal(pier_event_set(&event), 0);
    assert_int_equal(pier_wait_any(all, 1, PIER_NEVER), 1);
}

static int has_no_memory(void *unused)
{
    (void)unused;
    struct things t;
    make_things(&t);
    for (int nth = 1; nth <= 2; nth++) { /* the second is the task's */
        if (nth == 2 && !pier_current().number) break;
        seams_install();
        seams_fail(allocate, nth, -ENOMEM);
        assert_int_equal(pier_wait_any(t.all, 5, PIER_NEVER), -ENOMEM);
        seams_remove();
    }
    done_with_things(&t);
    return 0;
}

TEST(no_memory_for_many_is_an_error) { everywhere(has_no_memory); }

/* Among each other. */

static int takes_one(void *arg)
{
    pier_queue *queue = arg;
    pier_waitable any = {PIER_WAIT_GET, .queue = queue};
    int number, err, looked = 0;
    do {
        assert_int_equal(pier_wait_any(&any, 1, PIER_NEVER), 1);
        looked++;
        err = pier_queue_get_nowait(queue, &number);
    } while (err == -EAGAIN);
    return err < 0 ? err : looked;
}

static int shares_a_queue(void *unused)
{
    (void)unused;
    for (int outside = 0; outside < 2; outside++) {
        pier_queue queue = make_queue(outside);
        pier_task tasks[3];
        int total = 0, result;
        for (int i = 0; i < 3; i++) {
            tasks[i] = pier_spawn(takes_one, &queue, NULL);
        }
        for (int i = 0; i < 3; i++) { /* when they watch, and the one before is taken */
            for (int turns = 0; turns < 3 || pier_queue_qsize(&queue) > 0; turns++)
                assert_int_equal(pier_yield(), 0);
            assert_int_equal(pier_queue_put_nowait(&queue, &i), 0);
        }
        for (int i = 0; i < 3; i++) {
            assert_int_equal(pier_join(tasks[i], &result), 0);
            assert_true(result >= 1);
            total += result;
        }
        assert_int_equal(total, 3); /* who comes too late is told nothing */
        tasks[0] = pier_spawn(takes_one, &queue, NULL);
        assert_int_equal(pier_sleep(0.001), 0);
        assert_int_equal(pier_queue_done(&queue), -EBUSY);
        assert_int_equal(pier_queue_shutdown(&queue, /* immediate= */ false), 0);
        assert_int_equal(pier_join(tasks[0], &result), 0);
        assert_int_equal(result, PIER_ESHUTDOWN); /* the end is something to be got, too */
        assert_int_equal(pier_queue_done(&queue), 0);
    }
    return 0;
}

TEST(several_may_watch_one_queue_and_nothing_is_lost) { scene_on_each_backend(shares_a_queue); }

/*
 * Under load: threads feed two queues, tasks of two loops watch both; no wake is missed, nothing is
 * lost.
 */
#define FEEDERS 2 /* of each queue */
#define ITEMS   1000

static struct {
    pier_queue queues[2];
    _Atomic int eaten;
} load;

static void *feeds(void *queue)
{
    for (int i = 0; i < ITEMS; i++) {
        assert_int_equal(pier_queue_put(queue, &i, PIER_NEVER), 0);
    }
    return NULL;
}

/* Take what there is of a queue; false when it is over. */
static bool takes_from(pier_queue *queue)
{
    int number, err = pier_queue_get_nowait(queue, &number);
    if (err == 0) atomic_fetch_add(&load.eaten, 1);
    return err != PIER_ESHUTDOWN;
}

static int eats(void *unused)
{
    (void)unused;
    pier_waitable all[] = {
        {PIER_WAIT_GET, .queue = &load.queues[0]}, {PIER_WAIT_GET, .queue = &load.queues[1]}};
    for (int over = 0; over < 2;) {
        assert_true(pier_wait_any(all, 2, PIER_NEVER) > 0);
        for (int i = 0; i < 2; i++) {
            if (!all[i].ready || takes_from(all[i].queue)) continue;
            all[i] = (pier_waitable){PIER_WAIT_NOTHING, .queue = NULL};
            over++;
        }
    }
    return 0;
}

static int eats_by_tasks(void *unused)
{
    for (int i = 0; i < 3; i++) {
        pier_spawn(eats, NULL, &(pier_spawn_opts){.detached = true});
    }
    return eats(unused);
}

static void *runs_eaters(void *backend)
{
    if (!backend) return (void *)(intptr_t)eats(NULL);
    assert_int_equal(pier_run(eats_by_tasks, NULL, &(pier_run_opts){.backend = backend}), 0);
    return NULL;
}

TEST(watchers_in_threads_and_loops_miss_nothing)
{
    static const char *const backends[] = {"epoll", "uring", NULL};
    pthread_t eaters[3], feeders[2 * FEEDERS];
    load.queues[0] = make_queue(/* outside= */ true);
    load.queues[1] = make_queue(/* outside= */ true);
    for (int i = 0; i < 3; i++) {
        eaters[i] = test_thread(runs_eaters, (void *)(uintptr_t)backends[i]);
    }
    for (int i = 0; i < 2 * FEEDERS; i++) {
        feeders[i] = test_thread(feeds, &load.queues[i % 2]);
    }
    for (int i = 0; i < 2 * FEEDERS; i++) {
        test_join(feeders[i]);
    }
    assert_int_equal(pier_queue_shutdown(&load.queues[0], /* immediate= */ false), 0);
    assert_int_equal(pier_queue_shutdown(&load.queues[1], /* immediate= */ false), 0);
    for (int i = 0; i < 3; i++) {
        test_join(eaters[i]);
    }
    assert_int_equal(atomic_load(&load.eaten), 2 * FEEDERS * ITEMS);
    assert_int_equal(pier_queue_done(&load.queues[0]), 0);
    assert_int_equal(pier_queue_done(&load.queues[1]), 0);
}

static int waits_for_nobody(void *unused)
{
    (void)unused;
    pier_event event = {0};
    pier_semaphore semaphore = {0};
    pier_waitable all[] = {
        {PIER_WAIT_EVENT, .event = &event}, {PIER_WAIT_SEMAPHORE, .semaphore = &semaphore}};
    assert_int_equal(pier_wait_any(all, 2, PIER_NEVER), -ECANCELED);
    (void)pier_wait_any(all, 2, PIER_NEVER); /* once more: given up */
    return 0;
}

TEST(wait_that_nobody_can_end_is_reported)
{
    if (harness_in_task()) SKIP("the loop around it waits, too");
    static const char *const backends[] = {"epoll", "uring"};
    for (size_t i = 0; i < PIER_COUNT(backends); i++) {
        int out[2];
        char text[1024];
        assert_int_equal(pipe2(out, O_CLOEXEC), 0);
        int saved = dup(STDERR_FILENO); /* NOLINT(android-cloexec-dup): for a moment */
        dup2(out[1], STDERR_FILENO);
        pier_run_opts opts = {.backend = backends[i]};
        int result = pier_run(waits_for_nobody, NULL, &opts);
        dup2(saved, STDERR_FILENO);
        close(saved);
        close(out[1]);
        assert_int_equal(result, -EDEADLK);
        ssize_t n = read(out[0], text, sizeof text - 1);
        assert_true(n > 0);
        text[n] = '\0';
        close(out[0]);
        assert_non_null(strstr(text, "waiting for any of several, for "));
    }
}

#define LEGION 3000 /* more than results that a ring has room for, with a cancel of each */

static int sets_soon(void *event)
{
    assert_int_equal(pier_sleep(0.005), 0);
    return pier_event_set(event);
}

/* The kernel must have let go of all of it when the call returns, whatever ended it. */
static int is_woken_among_a_legion(void *unused)
{
    (void)unused;
    if (pier_current().number == 0) return 0; /* nobody to set the event */
    int pair[2];
    scene_pair("unix stream", pair);
    pier_event event = {.outside = true};
    pier_waitable *all = calloc(LEGION, sizeof *all);
    assert_non_null(all);
    all[0] = (pier_waitable){PIER_WAIT_EVENT, .event = &event};
    for (int i = 1; i < LEGION; i++)
        all[i] = (pier_waitable){PIER_WAIT_READABLE, .socket = pair[0]};
    pier_task setter = pier_spawn(sets_soon, &event, NULL);
    assert_int_equal(pier_wait_any(all, LEGION, PIER_NEVER), 1);
    assert_true(all[0].ready && !all[1].ready);
    void *same[8]; /* what it has freed is somebody else's soon */
    for (size_t i = 0; i < PIER_COUNT(same); i++) {
        same[i] = calloc(LEGION, 96);
        assert_non_null(same[i]);
    }
    assert_int_equal(pier_sleep(0.005), 0);
    for (size_t i = 0; i < PIER_COUNT(same); i++)
        free(same[i]);
    assert_int_equal(pier_join(setter, NULL), 0);
    free(all);
    scene_close(pair);
    return 0;
}

TEST(wake_among_thousands_leaves_nothing_in_the_kernels_hands)
{
    everywhere(is_woken_among_a_legion);
}
