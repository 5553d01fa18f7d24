/* SPDX-License-Identifier: MIT */
/*
 * Events, locks, semaphores and queues: what <pier/sync.h> promises, in tasks on each backend and
 * across threads.
 */
#include "base/bits.h"
#include "harness.h"
#include "scene.h"
#include "seams.h"

#include <errno.h>
#include <fcntl.h>
#include <pier.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Let everybody who can run come to where they wait. */
static void let_them(void)
{
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pier_yield(), 0);
    }
}

static pier_task spawn(int (*fn)(void *), void *arg)
{
    pier_task task = pier_spawn(fn, arg, NULL);
    assert_true(task.number > 0);
    return task;
}

static int result_of(pier_task task)
{
    int result = 1;
    assert_int_equal(pier_join(task, &result), 0);
    return result;
}

/* Who came when. */
static int order[64], arrived;

static void arrives(int who) { order[arrived++] = who; }

static void assert_in_order(int count)
{
    assert_int_equal(arrived, count);
    for (int i = 0; i < count; i++) {
        assert_int_equal(order[i], i);
    }
    arrived = 0;
}

/* What a task shall do, and as whom. */
struct part {
    int number;
    pier_event *event;
    pier_lock *lock;
    pier_semaphore *semaphore;
    pier_queue *queue;
    pier_time deadline;
};

/* Events. */

static int waits_for_the_event(void *arg)
{
    const struct part *part = arg;
    int err = pier_event_wait(part->event, PIER_NEVER);
    if (err == 0) arrives(part->number);
    return err;
}

static int events(void *unused)
{
    (void)unused;
    pier_event event = {0};
    struct part parts[5];
    pier_task tasks[5];
    for (int i = 0; i < 5; i++) {
        parts[i] = (struct part){.number = i, .event = &event};
        tasks[i] = spawn(waits_for_the_event, &parts[i]);
    }
    let_them();
    assert_int_equal(arrived, 0);
    assert_int_equal(pier_event_is_set(&event), 0);
    assert_int_equal(pier_event_set(&event), 0);
    assert_int_equal(pier_event_is_set(&event), 1);
    assert_int_equal(pier_event_wait(&event, PIER_NEVER), 0); /* it stays so */
    assert_int_equal(pier_event_clear(&event), 0);            /* and they go on all the same */
    for (int i = 0; i < 5; i++) {
        assert_int_equal(result_of(tasks[i]), 0);
    }
    assert_in_order(5);
    assert_int_equal(pier_event_wait(&event, pier_now()), -ETIME);
    return 0;
}

TEST(event_wakes_all_who_wait_even_if_it_is_cleared_at_once) { scene_on_each_backend(events); }

/* Locks. */

static int takes_the_lock(void *arg)
{
    const struct part *part = arg;
    assert_int_equal(pier_lock_acquire(part->lock, PIER_NEVER), 0);
    arrives(part->number);
    assert_int_equal(pier_yield(), 0); /* nobody comes in between */
    assert_int_equal(order[arrived - 1], part->number);
    return pier_lock_release(part->lock);
}

static int locks(void *unused)
{
    (void)unused;
    pier_lock lock = {0};
    struct part parts[10];
    pier_task tasks[10];
    assert_int_equal(pier_lock_locked(&lock), 0);
    assert_int_equal(pier_lock_acquire(&lock, PIER_NEVER), 0);
    for (int i = 0; i < 10; i++) {
        parts[i] = (struct part){.number = i, .lock = &lock};
        tasks[i] = spawn(takes_the_lock, &parts[i]);
    }
    let_them();
    assert_int_equal(pier_lock_locked(&lock), 1);
    assert_int_equal(pier_lock_release(&lock), 0);
    assert_int_equal(pier_lock_locked(&lock), 1);                   /* it was handed over, */
    assert_int_equal(pier_lock_acquire(&lock, pier_now()), -ETIME); /* and nobody overtakes */
    assert_int_equal(pier_lock_acquire(&lock, PIER_NEVER), 0);      /* and this one is the last */
    assert_in_order(10);
    assert_int_equal(pier_lock_release(&lock), 0);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(result_of(tasks[i]), 0);
    }
    assert_int_equal(pier_lock_locked(&lock), 0);
    return 0;
}

TEST(lock_goes_to_who_came_first) { scene_on_each_backend(locks); }

static int releases_it(void *lock) { return pier_lock_release(lock); }

static int misuses_a_lock(void *unused)
{
    (void)unused;
    pier_lock lock = {0};
    assert_int_equal(pier_lock_release(&lock), PIER_ENOTHELD);
    assert_string_equal(pier_error(), "release a lock: lock is not held by the caller");
    assert_int_equal(pier_lock_acquire(&lock, PIER_NEVER), 0);
    assert_int_equal(pier_lock_acquire(&lock, PIER_NEVER), -EDEADLK);
    assert_int_equal(result_of(spawn(releases_it, &lock)), PIER_ENOTHELD);
    assert_int_equal(pier_lock_release(&lock), 0);
    return 0;
}

TEST(lock_is_released_by_who_holds_it_and_acquired_once) { scene_on_each_backend(misuses_a_lock); }

/* Semaphores. */

static int inside, most_inside;

static int takes_a_permit(void *arg)
{
    const struct part *part = arg;
    assert_int_equal(pier_semaphore_acquire(part->semaphore, PIER_NEVER), 0);
    arrives(part->number);
    if (++inside > most_inside) most_inside = inside;
    assert_int_equal(pier_sleep(0.001), 0);
    inside--;
    return pier_semaphore_release(part->semaphore);
}

static int permits(void *unused)
{
    (void)unused;
    pier_semaphore semaphore = {.value = 3, .bound = 3};
    struct part parts[20];
    pier_task tasks[20];
    inside = most_inside = 0;
    for (int i = 0; i < 20; i++) {
        parts[i] = (struct part){.number = i, .semaphore = &semaphore};
        tasks[i] = spawn(takes_a_permit, &parts[i]);
    }
    let_them();
    assert_int_equal(pier_semaphore_locked(&semaphore), 1);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(result_of(tasks[i]), 0);
    }
    assert_in_order(20);
    assert_int_equal(most_inside, 3);
    assert_int_equal(pier_semaphore_locked(&semaphore), 0);
    assert_int_equal(pier_semaphore_release(&semaphore), -EOVERFLOW);
    assert_int_equal(semaphore.value, 3);
    return 0;
}

TEST(semaphore_lets_no_more_in_than_it_has_permits) { scene_on_each_backend(permits); }

TEST(semaphore_without_a_bound_counts_up_to_the_end)
{
    pier_semaphore semaphore = {0};
    assert_int_equal(pier_semaphore_locked(&semaphore), 1);
    assert_int_equal(pier_semaphore_release(&semaphore), 0);
    assert_int_equal(pier_semaphore_release(&semaphore), 0);
    assert_int_equal(pier_semaphore_acquire(&semaphore, PIER_NEVER), 0);
    assert_int_equal(semaphore.value, 1);
    pier_semaphore full = {.value = SIZE_MAX};
    assert_int_equal(pier_semaphore_release(&full), -EOVERFLOW);
    pier_semaphore nonsense = {.value = 2, .bound = 1};
    assert_int_equal(pier_semaphore_acquire(&nonsense, PIER_NEVER), -EINVAL);
    assert_int_equal(pier_semaphore_release(&nonsense), -EINVAL);
    assert_int_equal(pier_semaphore_locked(&nonsense), -EINVAL);
}

/* Queues. */

static pier_queue make_queue(size_t item_size, size_t capacity, bool outside)
{
    pier_queue queue;
    pier_queue_opts opts = {.item_size = item_size, .capacity = capacity, .outside = outside};
    assert_int_equal(pier_queue_init(&queue, &opts), 0);
    return queue;
}

static int puts_numbers(void *arg)
{
    const struct part *part = arg;
    for (int i = 0; i < part->number; i++) {
        assert_int_equal(pier_queue_put(part->queue, &i, PIER_NEVER), 0);
        assert_true(pier_queue_qsize(part->queue) <= pier_queue_maxsize(part->queue));
    }
    return pier_queue_shutdown(part->queue, /* immediate= */ false);
}

static int passes_items(void *unused)
{
    (void)unused;
    for (size_t capacity = 1; capacity < 200; capacity += 33) {
        pier_queue queue = make_queue(sizeof(int), capacity, /* outside= */ false);
        struct part part = {.number = 500, .queue = &queue};
        pier_task task = spawn(puts_numbers, &part);
        int number, err;
        for (int i = 0; (err = pier_queue_get(&queue, &number, PIER_NEVER)) == 0; i++) {
            assert_int_equal(number, i);
            if (i % 50 == 0) let_them();
        }
        assert_int_equal(err, PIER_ESHUTDOWN);
        assert_int_equal(number, 499); /* untouched on failure */
        assert_int_equal(result_of(task), 0);
        assert_int_equal(pier_queue_done(&queue), 0);
    }
    return 0;
}

TEST(queue_gives_every_item_once_and_in_order) { scene_on_each_backend(passes_items); }

static int gets_one(void *arg)
{
    const struct part *part = arg;
    int number = -1;
    int err = pier_queue_get(part->queue, &number, PIER_NEVER);
    return err < 0 ? err : number;
}

static int puts_one(void *arg)
{
    const struct part *part = arg;
    return pier_queue_put(part->queue, &part->number, PIER_NEVER);
}

static int is_fair(void *unused)
{
    (void)unused;
    pier_queue queue = make_queue(sizeof(int), 1, /* outside= */ false);
    struct part parts[8];
    pier_task tasks[8];
    for (int i = 0; i < 8; i++) {
        parts[i] = (struct part){.number = i, .queue = &queue};
        tasks[i] = spawn(gets_one, &parts[i]);
    }
    let_them();
    for (int i = 0; i < 8; i++) {
        assert_int_equal(pier_queue_put_nowait(&queue, &i), 0); /* it has hands waiting, not room */
    }
    assert_int_equal(pier_queue_qsize(&queue), 0);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(result_of(tasks[i]), i);
        tasks[i] = spawn(puts_one, &parts[i]);
    }
    let_them();
    assert_int_equal(pier_queue_put_nowait(&queue, &parts[0].number), -EAGAIN);
    for (int i = 0; i < 8; i++) {
        int number = -1;
        assert_int_equal(pier_queue_get_nowait(&queue, &number), 0);
        assert_int_equal(number, i);
    }
    int number = -1;
    assert_int_equal(pier_queue_get_nowait(&queue, &number), -EAGAIN);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(result_of(tasks[i]), 0);
    }
    assert_int_equal(pier_queue_done(&queue), 0);
    return 0;
}

TEST(getters_and_putters_are_served_as_they_came) { scene_on_each_backend(is_fair); }

static int shuts_down(void *unused)
{
    (void)unused;
    int number = 7;
    pier_queue queue = make_queue(sizeof(int), 2, /* outside= */ false);
    struct part part = {.number = 9, .queue = &queue};
    assert_int_equal(pier_queue_put(&queue, &number, PIER_NEVER), 0);
    assert_int_equal(pier_queue_put(&queue, &number, PIER_NEVER), 0);
    pier_task putter = spawn(puts_one, &part);
    let_them();
    assert_int_equal(pier_queue_shutdown(&queue, /* immediate= */ false), 0);
    assert_int_equal(result_of(putter), PIER_ESHUTDOWN);
    assert_int_equal(pier_queue_put(&queue, &number, PIER_NEVER), PIER_ESHUTDOWN);
    assert_int_equal(pier_queue_put_nowait(&queue, &number), PIER_ESHUTDOWN);
    assert_int_equal(pier_queue_get(&queue, &number, PIER_NEVER), 0);
    assert_int_equal(pier_queue_get_nowait(&queue, &number), 0);
    assert_int_equal(number, 7);
    assert_int_equal(pier_queue_get(&queue, &number, PIER_NEVER), PIER_ESHUTDOWN);
    assert_int_equal(pier_queue_get_nowait(&queue, &number), PIER_ESHUTDOWN);
    assert_string_equal(pier_errexception(PIER_ESHUTDOWN), "QueueShutDown");
    assert_int_equal(pier_queue_shutdown(&queue, /* immediate= */ false), 0);
    assert_int_equal(pier_queue_done(&queue), 0);

    queue = make_queue(sizeof(int), 2, /* outside= */ false);
    pier_task getters[] = {spawn(gets_one, &part), spawn(gets_one, &part)};
    let_them();
    assert_int_equal(pier_queue_done(&queue), -EBUSY);
    assert_int_equal(pier_queue_shutdown(&queue, /* immediate= */ false), 0);
    assert_int_equal(result_of(getters[0]), PIER_ESHUTDOWN);
    assert_int_equal(result_of(getters[1]), PIER_ESHUTDOWN);
    assert_int_equal(pier_queue_done(&queue), 0);

    queue = make_queue(sizeof(int), 2, /* outside= */ false);
    assert_int_equal(pier_queue_put(&queue, &number, PIER_NEVER), 0);
    assert_int_equal(pier_queue_shutdown(&queue, /* immediate= */ true), 0);
    assert_int_equal(pier_queue_qsize(&queue), 0);
    assert_int_equal(pier_queue_get(&queue, &number, PIER_NEVER), PIER_ESHUTDOWN);
    assert_int_equal(pier_queue_done(&queue), 0);
    return 0;
}

TEST(queue_that_is_shut_down_gives_what_is_left_and_takes_nothing)
{
    scene_on_each_backend(shuts_down);
}

TEST(queue_of_the_defaults_holds_1024_pointers)
{
    pier_queue queue;
    assert_int_equal(pier_queue_init(&queue, NULL), 0);
    assert_int_equal(pier_queue_maxsize(&queue), 1024);
    for (uintptr_t i = 0; i < 1024; i++) {
        void *item = (void *)(i + 1);
        assert_int_equal(pier_queue_put_nowait(&queue, &item), 0);
    }
    void *item = NULL;
    assert_int_equal(pier_queue_put_nowait(&queue, &item), -EAGAIN);
    assert_int_equal(pier_queue_qsize(&queue), 1024);
    for (uintptr_t i = 0; i < 1024; i++) {
        assert_int_equal(pier_queue_get_nowait(&queue, &item), 0);
        assert_true(item == (void *)(i + 1));
    }
    assert_int_equal(pier_queue_done(&queue), 0);
    assert_int_equal(pier_queue_done(&queue), 0); /* again */
    assert_int_equal(pier_queue_done(NULL), 0);
}

/* Ends of a wait. */

/* A call that waits for the part's object, of whichever kind it has. */
static int waits_for_it(void *arg)
{
    struct part *part = arg;
    pier_time deadline = part->deadline ? part->deadline : PIER_NEVER;
    if (part->event) return pier_event_wait(part->event, deadline);
    if (part->lock) return pier_lock_acquire(part->lock, deadline);
    if (part->semaphore) return pier_semaphore_acquire(part->semaphore, deadline);
    if (pier_queue_qsize(part->queue) > 0)
        return pier_queue_put(part->queue, &part->number, deadline);
    return pier_queue_get(part->queue, &part->number, deadline);
}

/* Of every kind one for which one has to wait. All are outside or none is. */
struct objects {
    pier_event event;
    pier_lock lock;
    pier_semaphore semaphore;
    pier_queue empty, full;
    struct part parts[5];
};

static int holds_the_lock(void *arg)
{
    struct objects *o = arg;
    assert_int_equal(pier_lock_acquire(&o->lock, PIER_NEVER), 0);
    return 0;
}

static void make_objects(struct objects *o, bool outside)
{
    int number = 5;
    *o = (struct objects){.event.outside = outside,
        .lock.outside = outside,
        .semaphore.outside = outside,
        .empty = make_queue(sizeof(int), 1, outside),
        .full = make_queue(sizeof(int), 1, outside)};
    assert_int_equal(pier_queue_put_nowait(&o->full, &number), 0);
    o->parts[0].event = &o->event;
    o->parts[1].lock = &o->lock;
    o->parts[2].semaphore = &o->semaphore;
    o->parts[3].queue = &o->empty;
    o->parts[4].queue = &o->full;
    if (pier_current().number)
        assert_int_equal(result_of(spawn(holds_the_lock, o)), 0);
    else
        o->lock.holder = UINT32_MAX;
}

/* Nothing has come of the waits: all is as it was. */
static void done_with_objects(struct objects *o)
{
    int number;
    assert_int_equal(pier_event_is_set(&o->event), 0);
    assert_int_equal(pier_lock_locked(&o->lock), 1);
    assert_int_equal(o->semaphore.value, 0);
    assert_int_equal(pier_queue_qsize(&o->empty), 0);
    assert_int_equal(pier_queue_get_nowait(&o->full, &number), 0);
    assert_int_equal(number, 5);
    assert_int_equal(pier_queue_qsize(&o->full), 0); /* nobody's put is still under way */
    assert_int_equal(pier_queue_done(&o->empty), 0);
    assert_int_equal(pier_queue_done(&o->full), 0);
}

static int is_ended(void *unused)
{
    (void)unused;
    for (int outside = 0; outside < 2; outside++) {
        struct objects o;
        make_objects(&o, outside);
        for (size_t i = 0; i < PIER_COUNT(o.parts); i++) {
            pier_task task = spawn(waits_for_it, &o.parts[i]);
            let_them();
            assert_int_equal(pier_cancel(task), 0);
            assert_int_equal(result_of(task), -ECANCELED);
            task = spawn(waits_for_it, &o.parts[i]); /* cancelled before it has begun */
            assert_int_equal(pier_cancel(task), 0);
            assert_int_equal(result_of(task), -ECANCELED);

            pier_scope scope;
            pier_time began = pier_now();
            assert_int_equal(pier_scope_enter(&scope, pier_after(0.005)), 0);
            assert_int_equal(waits_for_it(&o.parts[i]), -ECANCELED);
            assert_int_equal(pier_scope_leave(&scope), -ETIME);
            assert_true(pier_now() - began >= PIER_SECOND / 200);
        }
        done_with_objects(&o);
    }
    return 0;
}

TEST(cancel_and_scope_end_every_wait_and_take_nothing) { scene_on_each_backend(is_ended); }

static int is_limited(void *unused)
{
    (void)unused;
    struct objects o;
    make_objects(&o, /* outside= */ true);
    for (size_t i = 0; i < PIER_COUNT(o.parts); i++) {
        pier_time began = pier_now();
        o.parts[i].deadline = pier_after(0.01);
        assert_int_equal(waits_for_it(&o.parts[i]), -ETIME);
        assert_true(pier_now() >= began + PIER_SECOND / 100);
        assert_int_equal(waits_for_it(&o.parts[i]), -ETIME); /* it only looks */
        o.parts[i].deadline = -EINVAL;
        assert_int_equal(waits_for_it(&o.parts[i]), -EINVAL);
    }
    done_with_objects(&o);
    return 0;
}

TEST(deadline_ends_every_wait_and_never_early)
{
    scene_on_each_backend(is_limited);
    assert_int_equal(is_limited(NULL), 0);
}

TEST(deadline_that_has_passed_still_takes_what_is_there)
{
    pier_time past = 1;
    pier_event event = {.outside = true};
    pier_lock lock = {.outside = true};
    pier_semaphore semaphore = {.outside = true, .value = 1};
    pier_queue queue = make_queue(sizeof(int), 1, /* outside= */ true);
    int number = 3;
    assert_int_equal(pier_event_set(&event), 0);
    assert_int_equal(pier_event_wait(&event, past), 0);
    assert_int_equal(pier_lock_acquire(&lock, past), 0);
    assert_int_equal(pier_semaphore_acquire(&semaphore, past), 0);
    assert_int_equal(pier_queue_put(&queue, &number, past), 0);
    assert_int_equal(pier_queue_get(&queue, &number, past), 0);
    assert_int_equal(pier_queue_done(&queue), 0);
}

/*
 * The hand-over and the cancel at the same turn: what was handed over is taken, and the cancel is
 * the next wait's.
 */
static int takes_and_then_waits(void *arg)
{
    int taken = waits_for_it(arg), then = pier_sleep(1000);
    return taken == 0 ? then : taken;
}

static void give(struct objects *o, size_t i)
{
    int number = 6;
    if (i == 2) assert_int_equal(pier_semaphore_release(&o->semaphore), 0);
    if (i == 3) assert_int_equal(pier_queue_put_nowait(&o->empty, &number), 0);
    if (i == 4) assert_int_equal(pier_queue_get_nowait(&o->full, &number), 0);
}

static int has_both_at_once(void *unused)
{
    (void)unused;
    for (int outside = 0; outside < 2; outside++) {
        struct objects o;
        make_objects(&o, outside);
        for (size_t i = 2; i < PIER_COUNT(o.parts); i++) {
            for (int cancel_first = 0; cancel_first < 2; cancel_first++) {
                o.parts[i].number = 5;
                pier_task task = spawn(takes_and_then_waits, &o.parts[i]);
                let_them();
                if (cancel_first) assert_int_equal(pier_cancel(task), 0);
                give(&o, i);
                if (!cancel_first) assert_int_equal(pier_cancel(task), 0);
                assert_int_equal(result_of(task), -ECANCELED);
                if (i == 3) assert_int_equal(o.parts[i].number, 6); /* it has got the item */
            }
        }
        done_with_objects(&o); /* the putter's item lies where the other did */
    }
    return 0;
}

TEST(hand_over_and_cancel_at_the_same_turn_lose_nothing)
{
    scene_on_each_backend(has_both_at_once);
}

/* The one that is cancelled in the middle of a line leaves the others in theirs. */
static int leaves_the_line(void *unused)
{
    (void)unused;
    for (int leaver = 0; leaver < 4; leaver++) {
        pier_queue queue = make_queue(sizeof(int), 1, /* outside= */ leaver % 2);
        struct part part = {.queue = &queue};
        pier_task tasks[4];
        for (int i = 0; i < 4; i++) {
            tasks[i] = spawn(gets_one, &part);
        }
        let_them();
        assert_int_equal(pier_cancel(tasks[leaver]), 0);
        assert_int_equal(result_of(tasks[leaver]), -ECANCELED);
        for (int i = 0; i < 4; i++) {
            if (i != leaver) assert_int_equal(pier_queue_put_nowait(&queue, &i), 0);
        }
        assert_int_equal(pier_queue_qsize(&queue), 0);
        for (int i = 0; i < 4; i++) {
            if (i != leaver) assert_int_equal(result_of(tasks[i]), i);
        }
        assert_int_equal(pier_queue_done(&queue), 0);
    }
    return 0;
}

TEST(who_leaves_a_line_leaves_the_others_in_their_order) { scene_on_each_backend(leaves_the_line); }

static int gets_for_ever(void *arg)
{
    pier_queue *queue = arg;
    int number = 1, err;
    while ((err = pier_queue_put(queue, &number, PIER_NEVER)) == 0) {
        assert_int_equal(pier_queue_get(queue, &number, PIER_NEVER), 0);
    }
    return err;
}

static int starves(void *unused)
{
    (void)unused;
    pier_queue queue = make_queue(sizeof(int), 2, /* outside= */ false);
    pier_task greedy = spawn(gets_for_ever, &queue);
    let_them(); /* comes back every time */
    assert_int_equal(pier_queue_shutdown(&queue, /* immediate= */ false), 0);
    assert_int_equal(result_of(greedy), PIER_ESHUTDOWN);
    assert_int_equal(pier_queue_done(&queue), 0);
    return 0;
}

TEST(task_that_never_finds_a_queue_empty_starves_nobody) { scene_on_each_backend(starves); }

/* Whole loops. */

static int dumps(void *unused)
{
    (void)unused;
    static const char *const words[] = {
        "an event", "a lock", "a semaphore", "something in a queue", "room in a queue"};
    int out[2];
    char text[4096];
    struct objects o;
    pier_task tasks[PIER_COUNT(o.parts)];
    make_objects(&o, /* outside= */ false);
    for (size_t i = 0; i < PIER_COUNT(o.parts); i++) {
        tasks[i] = spawn(waits_for_it, &o.parts[i]);
    }
    let_them();
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(pier_dump_tasks(out[1]), 0);
    ssize_t n = read(out[0], text, sizeof text - 1);
    assert_true(n > 0);
    text[n] = '\0';
    for (size_t i = 0; i < PIER_COUNT(o.parts); i++) {
        char line[128];
        (void)snprintf(
            line, sizeof line, "task %d: waiting for %s, for ", tasks[i].number, words[i]);
        assert_non_null(strstr(text, line));
        assert_int_equal(pier_cancel(tasks[i]), 0);
        assert_int_equal(result_of(tasks[i]), -ECANCELED);
    }
    close(out[0]);
    close(out[1]);
    done_with_objects(&o);
    return 0;
}

TEST(report_of_the_tasks_tells_what_they_wait_for) { scene_on_each_backend(dumps); }

/* Run fn as the main task of a loop, with what goes to stderr in text. */
static int run_quietly(int (*fn)(void *), void *arg, const char *backend, char text[4096])
{
    int out[2];
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    int saved = dup(STDERR_FILENO); /* NOLINT(android-cloexec-dup): for a moment */
    dup2(out[1], STDERR_FILENO);
    int result = pier_run(fn, arg, &(pier_run_opts){.backend = backend});
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(out[1]);
    ssize_t n = read(out[0], text, 4095);
    assert_true(n >= 0);
    text[n] = '\0';
    close(out[0]);
    return result;
}

static int waits_for_nobody(void *arg)
{
    struct objects *o = arg;
    make_objects(o, /* outside= */ false);
    for (size_t i = 1; i < PIER_COUNT(o->parts); i++) {
        spawn(waits_for_it, &o->parts[i]);
    }
    assert_int_equal(waits_for_it(&o->parts[0]), -ECANCELED);
    return 0;
}

TEST(tasks_that_all_wait_for_each_other_are_reported)
{
    if (harness_in_task()) SKIP("the loop around it waits, too");
    static const char *const backends[] = {"epoll", "uring"};
    for (size_t i = 0; i < PIER_COUNT(backends); i++) {
        char text[4096];
        struct objects o;
        assert_int_equal(run_quietly(waits_for_nobody, &o, backends[i], text), -EDEADLK);
        assert_non_null(strstr(text, "waiting for an event"));
        assert_non_null(strstr(text, "waiting for a lock"));
        assert_non_null(strstr(text, "waiting for room in a queue"));
        done_with_objects(&o);
    }
}

static int waits_stubbornly(void *arg)
{
    (void)waits_for_it(arg);
    (void)waits_for_it(arg);
    return 0;
}

static int waits_for_nobody_stubbornly(void *arg)
{
    struct objects *o = arg;
    make_objects(o, /* outside= */ false);
    for (size_t i = 0; i < PIER_COUNT(o->parts); i++) {
        spawn(waits_stubbornly, &o->parts[i]);
    }
    return 0;
}

TEST(tasks_that_are_given_up_stand_in_no_line_any_more)
{
    if (harness_in_task()) SKIP("the loop around it waits, too");
    static const char *const backends[] = {"epoll", "uring"};
    for (size_t i = 0; i < PIER_COUNT(backends); i++) {
        char text[4096];
        struct objects o;
        assert_int_equal(run_quietly(waits_for_nobody_stubbornly, &o, backends[i], text), -EDEADLK);
        assert_int_equal(pier_semaphore_release(&o.semaphore), 0);
        assert_int_equal(pier_semaphore_acquire(&o.semaphore, PIER_NEVER), 0);
        done_with_objects(&o);
    }
}

/* Other threads. */

static void *sets_it_later(void *event)
{
    test_sleep(0.02);
    assert_int_equal(pier_event_set(event), 0);
    return NULL;
}

static int waits_for_a_thread(void *unused)
{
    (void)unused;
    pier_event event = {.outside = true};
    pthread_t thread = test_thread(sets_it_later, &event);
    assert_int_equal(
        pier_event_wait(&event, PIER_NEVER), 0); /* no deadlock: the world may set it */
    test_join(thread);
    return 0;
}

TEST(task_that_waits_for_something_outside_is_woken_by_a_thread)
{
    scene_on_each_backend(waits_for_a_thread);
    assert_int_equal(waits_for_a_thread(NULL), 0);
}

/* Each verb once with an object of another thread. */
static void *uses_what_is_not_its_own(void *arg)
{
    struct objects *o = arg;
    int number = 0;
    assert_int_equal(pier_event_set(&o->event), PIER_EFOREIGN);
    assert_string_equal(pier_error(), "set an event: bound to a different thread");
    assert_int_equal(pier_event_clear(&o->event), PIER_EFOREIGN);
    assert_int_equal(pier_event_is_set(&o->event), PIER_EFOREIGN);
    assert_int_equal(pier_event_wait(&o->event, PIER_NEVER), PIER_EFOREIGN);
    assert_int_equal(pier_lock_acquire(&o->lock, PIER_NEVER), PIER_EFOREIGN);
    assert_int_equal(pier_lock_release(&o->lock), PIER_EFOREIGN);
    assert_int_equal(pier_lock_locked(&o->lock), PIER_EFOREIGN);
    assert_int_equal(pier_semaphore_acquire(&o->semaphore, PIER_NEVER), PIER_EFOREIGN);
    assert_int_equal(pier_semaphore_release(&o->semaphore), PIER_EFOREIGN);
    assert_int_equal(pier_semaphore_locked(&o->semaphore), PIER_EFOREIGN);
    assert_int_equal(pier_queue_put(&o->empty, &number, PIER_NEVER), PIER_EFOREIGN);
    assert_int_equal(pier_queue_get(&o->empty, &number, PIER_NEVER), PIER_EFOREIGN);
    assert_int_equal(pier_queue_put_nowait(&o->empty, &number), PIER_EFOREIGN);
    assert_int_equal(pier_queue_get_nowait(&o->empty, &number), PIER_EFOREIGN);
    assert_int_equal(pier_queue_shutdown(&o->empty, /* immediate= */ true), PIER_EFOREIGN);
    assert_int_equal(pier_queue_qsize(&o->empty), PIER_EFOREIGN);
    return NULL;
}

static int has_them(void *unused)
{
    (void)unused;
    struct objects o;
    make_objects(&o, /* outside= */ false);
    assert_int_equal(pier_event_is_set(&o.event), 0);
    assert_int_equal(pier_semaphore_locked(&o.semaphore), 1);
    assert_int_equal(pier_queue_qsize(&o.empty), 0);
    test_join(test_thread(uses_what_is_not_its_own, &o));
    done_with_objects(&o);
    return 0;
}

TEST(objects_of_another_thread_are_refused) { scene_on_each_backend(has_them); }

TEST(thread_cannot_wait_for_what_nobody_else_may_touch)
{
    if (harness_in_task()) SKIP("is inside a loop");
    struct objects o;
    make_objects(&o, /* outside= */ false);
    for (size_t i = 0; i < PIER_COUNT(o.parts); i++) {
        assert_int_equal(waits_for_it(&o.parts[i]), PIER_ENOTASK);
        o.parts[i].deadline = pier_after(1000);
        assert_int_equal(waits_for_it(&o.parts[i]), PIER_ENOTASK);
        o.parts[i].deadline = 1; /* only looking is no waiting */
        assert_int_equal(waits_for_it(&o.parts[i]), -ETIME);
    }
    assert_int_equal(pier_event_set(&o.event), 0);
    assert_int_equal(waits_for_it(&o.parts[0]), 0); /* without waiting it is as good as any */
    assert_int_equal(pier_event_clear(&o.event), 0);
    done_with_objects(&o);
}

TEST(what_cannot_be_is_refused)
{
    int number = 0;
    pier_queue queue = {0};
    assert_int_equal(pier_event_set(NULL), -EINVAL);
    assert_int_equal(pier_event_clear(NULL), -EINVAL);
    assert_int_equal(pier_event_is_set(NULL), -EINVAL);
    assert_int_equal(pier_event_wait(NULL, PIER_NEVER), -EINVAL);
    assert_int_equal(pier_lock_acquire(NULL, PIER_NEVER), -EINVAL);
    assert_int_equal(pier_lock_release(NULL), -EINVAL);
    assert_int_equal(pier_lock_locked(NULL), -EINVAL);
    assert_int_equal(pier_semaphore_acquire(NULL, PIER_NEVER), -EINVAL);
    assert_int_equal(pier_semaphore_release(NULL), -EINVAL);
    assert_int_equal(pier_semaphore_locked(NULL), -EINVAL);
    pier_queue *const none[] = {NULL, &queue};
    for (size_t i = 0; i < PIER_COUNT(none); i++) {
        assert_int_equal(pier_queue_put(none[i], &number, PIER_NEVER), -EINVAL);
        assert_int_equal(pier_queue_get(none[i], &number, PIER_NEVER), -EINVAL);
        assert_int_equal(pier_queue_put_nowait(none[i], &number), -EINVAL);
        assert_int_equal(pier_queue_get_nowait(none[i], &number), -EINVAL);
        assert_int_equal(pier_queue_shutdown(none[i], /* immediate= */ false), -EINVAL);
        assert_int_equal(pier_queue_qsize(none[i]), -EINVAL);
        assert_int_equal(pier_queue_maxsize(none[i]), -EINVAL);
    }
    assert_int_equal(pier_error_code(), -EINVAL);
    assert_int_equal(pier_queue_init(NULL, NULL), -EINVAL);
    assert_int_equal(pier_queue_init(&queue, &(pier_queue_opts){.reserved = {1}}), -EINVAL);
    pier_queue_opts large = {.item_size = SIZE_MAX / 4, .capacity = 8};
    assert_int_equal(pier_queue_init(&queue, &large), -EINVAL);
    queue = make_queue(0, 0, /* outside= */ false);
    assert_int_equal(pier_queue_put(&queue, NULL, PIER_NEVER), -EINVAL);
    assert_int_equal(pier_queue_get(&queue, NULL, PIER_NEVER), -EINVAL);
    assert_int_equal(pier_queue_put_nowait(&queue, NULL), -EINVAL);
    assert_int_equal(pier_queue_get_nowait(&queue, NULL), -EINVAL);
    assert_int_equal(pier_queue_done(&queue), 0);
}

TEST(queue_without_memory_is_an_error_and_stays_as_it_was)
{
    pier_queue queue = {.capacity = 77};
    seams_install();
    seams_fail(allocate, 1, -ENOMEM);
    assert_int_equal(pier_queue_init(&queue, NULL), -ENOMEM);
    seams_remove();
    assert_int_equal(queue.capacity, 77);
    assert_string_equal(pier_error(), "make a queue: Cannot allocate memory");
}

static void *waits_without_a_descriptor(void *unused)
{
    (void)unused;
    pier_event event = {.outside = true};
    seams_fail_from(eventfd, 1, -EMFILE);
    assert_int_equal(pier_event_wait(&event, PIER_NEVER), -EMFILE);
    seams_obey(eventfd);
    assert_int_equal(pier_event_set(&event), 0); /* nobody stands in its line */
    return NULL;
}

TEST(thread_without_a_descriptor_to_be_woken_by_cannot_wait)
{
    if (harness_in_task()) SKIP("a task needs none");
    seams_install();
    test_join(test_thread(waits_without_a_descriptor, NULL));
    seams_remove();
}

static int says_stop(void *unused)
{
    (void)unused;
    return 1;
}

static int64_t waits_with_a_hook(void *arg)
{
    pier_hook before = pier_sethook(says_stop, NULL);
    int err = pier_event_wait(arg, PIER_NEVER);
    (void)pier_sethook(before.call, before.arg);
    return err;
}

TEST(hook_ends_the_wait_of_a_thread)
{
    if (harness_in_task()) SKIP("the loop asks the hook, and ends its main task");
    pier_event event = {.outside = true};
    struct scene_call call;
    scene_catch_signals();
    scene_start(&call, waits_with_a_hook, &event);
    scene_await_blocked(&call);
    scene_signal(&call);
    assert_int_equal(scene_finish(&call), -EINTR);
    assert_int_equal(pier_event_set(&event), 0);
}

/* Under load: nothing is lost, and nothing comes twice. */

#define FEEDERS 4
#define ITEMS   2000 /* of each feeder */
#define EATERS  4    /* tasks in each of two loops */

static struct {
    pier_queue queue;
    pier_lock lock;
    _Atomic int seen[FEEDERS * ITEMS];
    _Atomic int hungry; /* eaters that gave up for a while */
    int counted;        /* under the lock */
} load;

static void *feeds(void *arg)
{
    int first = (int)(intptr_t)arg * ITEMS;
    for (int i = first; i < first + ITEMS; i++) {
        assert_int_equal(pier_queue_put(&load.queue, &i, PIER_NEVER), 0);
    }
    return NULL;
}

static int eats(void *unused)
{
    (void)unused;
    int number, err;
    /* A deadline as short as that often comes together with an item. */
    while ((err = pier_queue_get(&load.queue, &number, pier_after(0.0002))) != PIER_ESHUTDOWN) {
        if (err == -ETIME) {
            atomic_fetch_add(&load.hungry, 1);
            continue;
        }
        assert_int_equal(err, 0);
        atomic_fetch_add(&load.seen[number], 1);
        assert_int_equal(pier_lock_acquire(&load.lock, PIER_NEVER), 0);
        int counted = load.counted;
        if (number % 64 == 0) assert_int_equal(pier_yield(), 0);
        load.counted = counted + 1;
        assert_int_equal(pier_lock_release(&load.lock), 0);
    }
    return 0;
}

static int eats_by_tasks(void *unused)
{
    (void)unused;
    for (int i = 1; i < EATERS; i++) {
        pier_spawn(eats, NULL, &(pier_spawn_opts){.detached = true});
    }
    return eats(NULL);
}

static void *runs_eaters(void *backend)
{
    assert_int_equal(pier_run(eats_by_tasks, NULL, &(pier_run_opts){.backend = backend}), 0);
    return NULL;
}

TEST(many_threads_feed_the_tasks_of_two_loops_and_nothing_is_lost)
{
    load.queue = make_queue(sizeof(int), 16, /* outside= */ true);
    load.lock = (pier_lock){.outside = true};
    pthread_t feeders[FEEDERS], eaters[2];
    eaters[0] = test_thread(runs_eaters, (void *)(uintptr_t) "epoll");
    eaters[1] = test_thread(runs_eaters, (void *)(uintptr_t) "uring");
    for (int i = 0; i < FEEDERS; i++) {
        feeders[i] = test_thread(feeds, (void *)(intptr_t)i);
    }
    for (int i = 0; i < FEEDERS; i++) {
        test_join(feeders[i]);
    }
    assert_int_equal(pier_queue_shutdown(&load.queue, /* immediate= */ false), 0);
    test_join(eaters[0]);
    test_join(eaters[1]);
    for (int i = 0; i < FEEDERS * ITEMS; i++) {
        assert_int_equal(atomic_load(&load.seen[i]), 1);
    }
    assert_int_equal(load.counted, FEEDERS * ITEMS);
    assert_int_equal(pier_queue_done(&load.queue), 0);
}

/* A permit goes around among tasks that are cancelled all the time, and threads. */
static pier_semaphore circling;
static _Atomic bool circles_end;

static int circles(void *unused)
{
    (void)unused;
    while (!atomic_load(&circles_end)) {
        int err = pier_semaphore_acquire(&circling, PIER_NEVER);
        if (err == 0) err = pier_semaphore_release(&circling);
        assert_true(err == 0 || err == -ECANCELED);
    }
    return 0;
}

static int is_always_cancelled(void *unused)
{
    (void)unused;
    pier_task tasks[4];
    for (int i = 0; i < 4; i++) {
        tasks[i] = spawn(circles, NULL);
    }
    pier_time start = pier_now();
    for (int round = 0; scene_race_goes_on(round, 5000, start); round++) {
        assert_int_equal(pier_cancel(tasks[round % 4]), 0);
        assert_int_equal(pier_yield(), 0);
    }
    atomic_store(&circles_end, true);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(result_of(tasks[i]), 0);
    }
    return 0;
}

static void *circles_in_a_thread(void *unused)
{
    (void)circles(unused);
    return NULL;
}

static int races(void *unused)
{
    circling = (pier_semaphore){.outside = true, .value = 1, .bound = 1};
    atomic_store(&circles_end, false);
    pthread_t thread = test_thread(circles_in_a_thread, NULL);
    assert_int_equal(is_always_cancelled(unused), 0);
    test_join(thread);
    assert_int_equal(circling.value, 1);
    assert_int_equal(pier_semaphore_release(&circling), -EOVERFLOW);
    return 0;
}

TEST(no_permit_is_lost_when_cancels_race_with_releases) { scene_on_each_backend(races); }
