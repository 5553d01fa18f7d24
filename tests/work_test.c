/* SPDX-License-Identifier: MIT */
#include "base/bits.h"
#include "base/seam.h"
#include "harness.h"
#include "wait/await.h"
#include "wait/thread.h"
#include "wait/work.h"

#include <pier/time.h>

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Work that ends when the gate is open, and what became of it. */
struct job {
    struct pier__work work;
    int number;
    bool ran;
};

static atomic_bool gate;
static atomic_uint running, most_running, ran, dropped;
static int order[64]; /* the numbers of the first to run */

static void run(struct pier__work *work)
{
    struct job *job = PIER_CONTAINER_OF(work, struct job, work);
    unsigned now = atomic_fetch_add(&running, 1) + 1, most = atomic_load(&most_running);
    while (now > most && !atomic_compare_exchange_weak(&most_running, &most, now))
        ;
    while (!atomic_load(&gate)) {
        test_sleep(0.001);
    }
    job->ran = true;
    atomic_fetch_sub(&running, 1);
    unsigned place = atomic_fetch_add(&ran, 1);
    if (place < PIER_COUNT(order)) order[place] = job->number;
}

static void drop(struct pier__work *work)
{
    atomic_fetch_add(&dropped, 1);
    free(PIER_CONTAINER_OF(work, struct job, work));
}

static struct job *new_job(int number)
{
    struct job *job = calloc(1, sizeof *job);
    assert_non_null(job);
    job->work.run = run;
    job->work.drop = drop;
    job->number = number;
    return job;
}

static struct job *start(int number)
{
    struct job *job = new_job(number);
    assert_int_equal(pier__work_start(&job->work), 0);
    return job;
}

static void wait_until_done(struct job *job)
{
    while (!pier__work_done(&job->work)) {
        struct pollfd room[1];
        struct pier__op op = {.code = PIER_OP_POLL,
            .timeout = PIER_NEVER,
            .deadline = PIER_NEVER,
            .with.poll = {.fds = room, .count = 0}};
        assert_true(pier__await(&op) >= 0);
    }
}

static void wait_for(const atomic_uint *number, unsigned value)
{
    while (atomic_load(number) != value) {
        test_sleep(0.001);
    }
}

/* A deadline, so that the pool is used, which is not meant to pass. */
static pier_time far(void) { return pier_after(1000); }

TEST(work_runs_and_wakes_the_thread_that_started_it)
{
    atomic_store(&gate, true);
    struct job *job = start(7);
    wait_until_done(job);
    assert_true(job->ran);
    assert_int_equal(atomic_load(&dropped), 0);
    pier__work_leave(&job->work);
    assert_int_equal(atomic_load(&dropped), 1);
}

TEST(work_without_a_reason_to_leave_early_runs_in_the_calling_thread)
{
    atomic_store(&gate, true);
    struct job *job = new_job(1);
    assert_int_equal(pier__work_await(&job->work, NULL, PIER_NEVER), 0);
    assert_true(job->ran);
    assert_int_equal(pier__work_counts().threads, 0);
    pier__work_leave(&job->work);
}

TEST(at_most_eight_pieces_of_work_run_at_once)
{
    struct job *jobs[50];
    for (int i = 0; i < 50; i++) {
        jobs[i] = start(i);
    }
    wait_for(&running, PIER__WORK_THREADS);
    assert_int_equal(pier__work_counts().threads, PIER__WORK_THREADS);
    assert_int_equal(pier__work_counts().queued, 50 - PIER__WORK_THREADS);
    atomic_store(&gate, true);
    for (int i = 0; i < 50; i++) {
        wait_until_done(jobs[i]);
        pier__work_leave(&jobs[i]->work);
    }
    assert_int_equal(atomic_load(&most_running), PIER__WORK_THREADS);
    assert_int_equal(atomic_load(&ran), 50);
    assert_int_equal(atomic_load(&dropped), 50);
}

TEST(a_full_queue_refuses_more_work)
{
    static struct job *jobs[PIER__WORK_THREADS + PIER__WORK_QUEUE];
    for (int i = 0; i < PIER__WORK_THREADS; i++) {
        jobs[i] = start(i);
    }
    wait_for(&running, PIER__WORK_THREADS);
    for (int i = PIER__WORK_THREADS; i < (int)PIER_COUNT(jobs); i++) {
        jobs[i] = start(i);
    }
    struct job *surplus = new_job(0);
    assert_int_equal(pier__work_start(&surplus->work), -EAGAIN);
    assert_int_equal(pier__work_await(&surplus->work, NULL, far()), -EAGAIN);
    assert_int_equal(atomic_load(&dropped), 1);

    /* Whoever leaves the queue makes room, at its end, its head and in its middle. */
    pier__work_leave(&jobs[PIER_COUNT(jobs) - 1]->work);
    pier__work_leave(&jobs[PIER__WORK_THREADS]->work);
    pier__work_leave(&jobs[100]->work);
    assert_int_equal(atomic_load(&dropped), 4);
    jobs[100] = start(100);
    atomic_store(&gate, true);
    wait_for(&ran, PIER_COUNT(jobs) - 2);
    for (size_t i = 0; i < PIER_COUNT(jobs); i++) {
        if (i == PIER__WORK_THREADS || i == PIER_COUNT(jobs) - 1) continue;
        wait_until_done(jobs[i]);
        pier__work_leave(&jobs[i]->work);
    }
    assert_int_equal(pier__work_counts().queued, 0);
}

TEST(work_that_leaves_the_queue_never_runs)
{
    struct job *first[PIER__WORK_THREADS];
    for (int i = 0; i < PIER__WORK_THREADS; i++) {
        first[i] = start(i);
    }
    wait_for(&running, PIER__WORK_THREADS);
    struct job *a = start(100), *b = start(101);
    pier__work_leave(&a->work);
    atomic_store(&gate, true);
    wait_until_done(b);
    assert_int_equal(atomic_load(&dropped), 1);
    for (int i = 0; i < PIER__WORK_THREADS; i++) {
        wait_until_done(first[i]);
        pier__work_leave(&first[i]->work);
    }
    pier__work_leave(&b->work);
    assert_int_equal(atomic_load(&ran), PIER__WORK_THREADS + 1);
}

TEST(the_caller_leaves_at_its_deadline_not_before_and_late_work_is_dropped)
{
    unsigned unbegun = 0; /* whose deadline came before a thread of the pool did */
    for (double limit = 0.1;; limit *= 2) {
        struct job *job = new_job(1);
        pier_time deadline = pier_after(limit);
        assert_int_equal(pier__work_await(&job->work, NULL, deadline), -ETIME);
        assert_true(pier_now() >= deadline);
        if (atomic_load(&dropped) == unbegun) break;
        unbegun++;
    }
    wait_for(&running, 1);
    assert_int_equal(atomic_load(&dropped), unbegun);
    atomic_store(&gate, true);
    wait_for(&dropped, unbegun + 1);
}

TEST(work_is_not_begun_after_the_deadline)
{
    struct job *job = new_job(1);
    assert_int_equal(pier__work_await(&job->work, NULL, pier_now() - 1), -ETIME);
    wait_for(&dropped, 1);
    assert_int_equal(pier__work_counts().threads, 0);
}

TEST(the_caller_leaves_when_its_descriptor_closes)
{
    static struct pier__life life;
    atomic_store(&life.state, PIER__OPEN | PIER__CLOSING);
    struct job *job = new_job(1);
    assert_int_equal(pier__work_await(&job->work, &life, far()), -ECANCELED);
    atomic_store(&gate, true);
    wait_for(&dropped, 1);
}

static int refuse(void *asked)
{
    atomic_fetch_add((atomic_uint *)asked, 1);
    return 1;
}

static int go_on(void *asked)
{
    if (atomic_fetch_add((atomic_uint *)asked, 1) == 2) atomic_store(&gate, true);
    return 0;
}

static void no_effect(int signal) { (void)signal; }

/* SIGALRM every 20 ms. */
static void tick(void)
{
    struct sigaction action = {.sa_handler = no_effect};
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    timer_t timer;
    assert_int_equal(timer_create(CLOCK_MONOTONIC, NULL, &timer), 0);
    struct itimerspec every = {{0, 20000000}, {0, 20000000}};
    assert_int_equal(timer_settime(timer, 0, &every, NULL), 0);
}

TEST(the_hook_ends_the_wait)
{
    atomic_uint asked = 0;
    pier_sethook(refuse, &asked);
    tick();
    struct job *job = new_job(1);
    assert_int_equal(pier__work_await(&job->work, NULL, PIER_NEVER), -EINTR);
    assert_int_equal(atomic_load(&asked), 1);
    atomic_store(&gate, true);
    wait_for(&dropped, 1);
}

TEST(a_hook_that_says_go_on_lets_the_wait_go_on)
{
    atomic_uint asked = 0;
    pier_sethook(go_on, &asked);
    tick();
    struct job *job = new_job(1);
    assert_int_equal(pier__work_await(&job->work, NULL, PIER_NEVER), 0);
    assert_true(atomic_load(&asked) >= 3);
    pier__work_leave(&job->work);
}

/* A process that looks at itself from within the pool. */
static sigset_t blocked;
static char name[16];
static const struct pier__seam *seam_seen;

static void look_around(struct pier__work *work)
{
    (void)work;
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &blocked), 0);
    assert_int_equal(pthread_getname_np(pthread_self(), name, sizeof name), 0);
    seam_seen = pier__seam;
}

TEST(the_pools_threads_have_a_name_and_take_no_signal_of_the_program)
{
    struct job *job = new_job(1);
    job->work.run = look_around;
    assert_int_equal(pier__work_await(&job->work, NULL, far()), 0);
    pier__work_leave(&job->work);
    assert_string_equal(name, "pier-resolve");
    static const int theirs[] = {SIGINT, SIGTERM, SIGCHLD, SIGALRM, SIGUSR1, SIGPIPE, SIGIO};
    for (size_t i = 0; i < PIER_COUNT(theirs); i++) {
        assert_int_equal(sigismember(&blocked, theirs[i]), 1);
    }
    assert_int_equal(sigismember(&blocked, SIGSEGV), 0);
    sigset_t own;
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &own), 0);
    assert_int_equal(sigismember(&own, SIGINT), 0);
}

TEST(work_runs_under_the_seam_of_whoever_started_it)
{
    struct pier__seam mine = pier__seam_system;
    pier__seam = &mine;
    struct job *job = new_job(1);
    job->work.run = look_around;
    assert_int_equal(pier__work_await(&job->work, NULL, far()), 0);
    pier__work_leave(&job->work);
    pier__seam = &pier__seam_system;
    assert_ptr_equal(seam_seen, &mine);
}

static int failing_thread_calls;

static int no_thread(pthread_t *out, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
    (void)out, (void)attr, (void)fn, (void)arg;
    failing_thread_calls++;
    return -EAGAIN;
}

TEST(work_is_refused_when_no_thread_can_be_made)
{
    struct pier__seam mine = pier__seam_system;
    mine.thread = no_thread;
    pier__seam = &mine;
    struct job *job = new_job(1);
    assert_int_equal(pier__work_start(&job->work), -EAGAIN);
    assert_int_equal(pier__work_counts().queued, 0);
    assert_int_equal(pier__work_await(&job->work, NULL, far()), -EAGAIN);
    assert_int_equal(atomic_load(&dropped), 1);
    pier__seam = &pier__seam_system;
    sigset_t own;
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &own), 0);
    assert_int_equal(sigismember(&own, SIGINT), 0);
}

TEST(one_thread_does_all_the_work_in_order_when_no_second_can_be_made)
{
    struct job *first = start(0);
    wait_for(&running, 1);
    struct pier__seam mine = pier__seam_system;
    mine.thread = no_thread;
    pier__seam = &mine;
    struct job *jobs[20];
    for (int i = 0; i < 20; i++) {
        jobs[i] = start(i + 1);
    }
    assert_int_equal(failing_thread_calls, 20);
    atomic_store(&gate, true);
    for (int i = 0; i < 20; i++) {
        wait_until_done(jobs[i]);
        pier__work_leave(&jobs[i]->work);
        assert_int_equal(order[i], i);
    }
    wait_until_done(first);
    pier__work_leave(&first->work);
    pier__seam = &pier__seam_system;
    assert_int_equal(atomic_load(&most_running), 1);
}

static int no_small_stack(
    pthread_t *out, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
    size_t size;
    assert_int_equal(pthread_attr_getstacksize(attr, &size), 0);
    if (size == PIER__WORK_STACK) return -EINVAL;
    return pier__seam_system.thread(out, attr, fn, arg);
}

TEST(a_stack_too_small_for_the_programs_thread_locals_is_made_larger)
{
    struct pier__seam mine = pier__seam_system;
    mine.thread = no_small_stack;
    pier__seam = &mine;
    atomic_store(&gate, true);
    struct job *job = new_job(1);
    assert_int_equal(pier__work_await(&job->work, NULL, far()), 0);
    pier__work_leave(&job->work);
    pier__seam = &pier__seam_system;
}

static int no_eventfd(unsigned initial, int flags)
{
    (void)initial, (void)flags;
    return -EMFILE;
}

static void *start_without_a_wake_descriptor(void *unused)
{
    (void)unused;
    struct pier__seam mine = pier__seam_system;
    mine.eventfd = no_eventfd;
    pier__seam = &mine;
    struct job *job = new_job(1);
    assert_int_equal(pier__work_await(&job->work, NULL, far()), -EMFILE);
    pier__seam = &pier__seam_system;
    return NULL;
}

TEST(work_is_refused_when_the_thread_can_have_no_wake_descriptor)
{
    test_join(test_thread(start_without_a_wake_descriptor, NULL));
    assert_int_equal(atomic_load(&dropped), 1);
}

TEST(idle_threads_end)
{
    atomic_store(&gate, true);
    struct job *jobs[4];
    pier_time before = pier_now(); /* none is idle yet */
    for (int i = 0; i < 4; i++) {
        jobs[i] = start(i);
    }
    for (int i = 0; i < 4; i++) {
        wait_until_done(jobs[i]);
        pier__work_leave(&jobs[i]->work);
    }
    while (pier__work_counts().threads > 0) {
        test_sleep(0.01);
    }
    assert_true(pier_now() - before >= PIER__WORK_IDLE);
    struct job *again = start(9);
    wait_until_done(again);
    pier__work_leave(&again->work);
}

/* What a child found out: it must not use the harness's asserts' way to end the test. */
static int status_of(pid_t child)
{
    int status;
    pid_t ended;
    do {
        ended = waitpid(child, &status, 0);
    } while (ended < 0 && errno == EINTR); /* the signals of tick() go on */
    assert_int_equal(ended, child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

#if defined(__SANITIZE_THREAD__)
#    define NO_FORK() SKIP("ThreadSanitizer refuses threads in a forked child")
#elif defined(__has_feature)
#    if __has_feature(thread_sanitizer)
#        define NO_FORK() SKIP("ThreadSanitizer refuses threads in a forked child")
#    endif
#endif
#ifndef NO_FORK
#    define NO_FORK() (void)0
#endif

TEST(a_forked_child_has_a_pool_of_its_own)
{
    NO_FORK();
    struct job *jobs[20];
    for (int i = 0; i < 20; i++) {
        jobs[i] = start(i);
    }
    wait_for(&running, PIER__WORK_THREADS);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        atomic_store(&gate, true);
        atomic_store(&ran, 0);
        if (pier__work_counts().threads != 0 || pier__work_counts().queued != 0) _exit(1);
        struct job *own = new_job(1);
        if (pier__work_await(&own->work, NULL, far()) != 0 || !own->ran) _exit(2);
        pier__work_leave(&own->work);
        /* What was started before the fork, running or queued, is started anew, or given up. */
        wait_until_done(jobs[0]);
        wait_until_done(jobs[19]);
        if (!jobs[19]->ran || atomic_load(&ran) != 3) _exit(3);
        for (int i = 0; i < 20; i++) {
            pier__work_leave(&jobs[i]->work);
        }
        if (atomic_load(&dropped) != 21) _exit(4);
        _exit(0);
    }
    assert_int_equal(status_of(child), 0);
    atomic_store(&gate, true);
    for (int i = 0; i < 20; i++) {
        wait_until_done(jobs[i]);
        pier__work_leave(&jobs[i]->work);
    }
    assert_int_equal(atomic_load(&ran), 20);
}

static pid_t forked = -1;

static int fork_once(void *unused)
{
    (void)unused;
    if (forked < 0) forked = fork();
    atomic_store(&gate, true);
    return 0;
}

TEST(a_hook_that_forks_leaves_both_processes_waiting_for_their_work)
{
    NO_FORK();
    pier_sethook(fork_once, NULL);
    tick();
    struct job *job = new_job(1);
    int err = pier__work_await(&job->work, NULL, PIER_NEVER);
    if (forked == 0) _exit(err == 0 && job->ran ? 0 : 1);
    assert_int_equal(err, 0);
    assert_true(job->ran);
    pier__work_leave(&job->work);
    pier_sethook(NULL, NULL);
    assert_int_equal(status_of(forked), 0);
}

static void *busy(void *seed)
{
    uint32_t chance = (uint32_t)(uintptr_t)seed;
    for (int i = 0; i < 300; i++) {
        chance = chance * 1664525 + 1013904223;
        struct job *job = new_job(i);
        double patience = chance >> 24 < 128 ? 1000 : (chance >> 24) / 1e6;
        int err = pier__work_await(&job->work, NULL, pier_after(patience));
        if (err == 0) pier__work_leave(&job->work);
        assert_true(err == 0 || err == -ETIME);
    }
    return NULL;
}

TEST(many_threads_come_and_leave_and_everything_is_dropped_once)
{
    atomic_store(&gate, true);
    pthread_t threads[16];
    for (uintptr_t i = 0; i < 16; i++) {
        threads[i] = test_thread(busy, (void *)(i + 1)); /* NOLINT(performance-no-int-to-ptr) */
    }
    for (size_t i = 0; i < 16; i++) {
        test_join(threads[i]);
    }
    wait_for(&dropped, 16 * 300);
    assert_true(atomic_load(&most_running) <= PIER__WORK_THREADS);
}
