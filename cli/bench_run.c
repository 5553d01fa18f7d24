/* SPDX-License-Identifier: MIT */
/*
 * A bench from its beginning to its end: all connections are made first, each in a task of one
 * loop, and then the clock starts. At the end no more requests begin, and those under way have
 * their time to finish. A signal ends it at once.
 */
#include "bench.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
    AT_ONCE = 64, /* connecting, before the clock starts: a server's queue may be short */
    TRIES = 5,    /* failures in a row, and a connection is given up */
    SPARE = 32,   /* descriptors for everything else */
    TICKS = 5,    /* looks at the clock in a second */
};

static struct {
    struct bench_target target;
    struct bench_client *clients;
    struct pace pace;
    pier_time measured; /* from here on */
    pier_semaphore connecting;
    pier_event ready, go, finished;
    uint64_t next, connected, working;
    pier_time drawn;
    uint64_t shown; /* requests that the line on the terminal has told of */
    bool drew;
} run;

/* Of everybody: the thread that hears signals sets it. */
static pier_event interrupted = {.outside = true};

static int stop(int times)
{
    (void)times;
    return pier_event_set(&interrupted);
}

static void record(struct bench_result *result, pier_time due)
{
    pier_time now = pier_now();
    if (due < run.measured) return;
    result->answered++;
    if (now <= run.pace.end) result->in_time++;
    if (bench_has_latency(run.target.how->kind)) histogram_add(&result->latency, now - due);
}

/* 0, -ECANCELED, or above 0 after a failure. */
static int attempt(struct bench_client *it, pier_time due)
{
    bool answered = false;
    if (it->s < 0) {
        int err = client_connect(&run.target, it);
        if (err != 0) return err;
        /* Whoever comes back does so between two requests, if no rate says when they are due. */
        bool part = run.target.how->kind == BENCH_CHURN || run.pace.rate > 0;
        if (!part) due = pier_now();
    }
    int err = client_request(&run.target, it, &answered);
    if (answered) record(run.target.result, due);
    if (answered) it->failures = 0;
    if (err != 0 || run.target.how->kind == BENCH_CHURN) client_close(it);
    return err;
}

/* Soon, then less and less often; never when it is too late for another request. */
static int rest(const struct bench_client *it)
{
    pier_scope scope = {0};
    int err = pier_scope_enter(&scope, run.pace.end);
    if (err == 0) err = pier_sleep(0.1 * (1 << it->failures) / 2);
    if (pier_scope_leave(&scope) == -ETIME) return 0;
    return err;
}

static int make_requests(struct bench_client *it)
{
    for (pier_time due; (due = pace_next(&run.pace)) >= 0;) {
        int err = attempt(it, due);
        if (err < 0) return err;
        if (err == 0) continue;
        if (++it->failures == TRIES) {
            run.target.result->given_up++;
            return 0;
        }
        if (rest(it) < 0) return 0;
    }
    return 0;
}

static int connect_first(struct bench_client *it)
{
    int err = pier_semaphore_acquire(&run.connecting, PIER_NEVER);
    if (err < 0) return err;
    if (it->s < 0) err = client_connect(&run.target, it);
    pier_semaphore_release(&run.connecting);
    if (err > 0) it->failures++;
    return err;
}

static int work(void *unused)
{
    (void)unused;
    struct bench_client *it = &run.clients[run.next++];
    int err = connect_first(it);
    if (++run.connected == run.target.how->connections) pier_event_set(&run.ready);
    if (err >= 0) err = pier_event_wait(&run.go, PIER_NEVER);
    if (err >= 0) make_requests(it);
    client_finish(it);
    if (--run.working == 0) pier_event_set(&run.finished);
    return 0;
}

static void draw(void)
{
    char line[160], amounts[AMOUNT];
    const struct bench_result *result = run.target.result;
    pier_time now = pier_now();
    double passed = (double)(now - run.drawn) / (double)PIER_SECOND;
    double rate = passed > 0 ? (double)(result->answered - run.shown) / passed : 0;
    int length =
        snprintf(line, sizeof line, "\r%.1f s: ", (double)(now - run.pace.start) / PIER_SECOND);
    size_t room = sizeof line - (size_t)length;
    if (bench_has_latency(run.target.how->kind))
        length += snprintf(line + length, room, "%.0f requests/s", rate);
    else
        length += snprintf(
            line + length, room, "%s/s", amount(rate * (double)run.target.how->size, amounts));
    length += snprintf(line + length, sizeof line - (size_t)length, ", %ju errors\033[K",
        (uintmax_t)bench_error_count(result));
    write_all(STDERR_FILENO, line, (size_t)length);
    run.drawn = now;
    run.shown = result->answered;
    run.drew = true;
}

/* Until the last task has ended (0), or a signal has come (-EINTR). */
static int watch(pier_event *what)
{
    bool terminal = isatty(STDERR_FILENO);
    for (;;) {
        pier_waitable ends[] = {{PIER_WAIT_EVENT, .event = &interrupted},
            {PIER_WAIT_EVENT, .event = what}, {PIER_WAIT_EVENT, .event = &run.finished}};
        pier_time look = terminal ? pier_after(1.0 / TICKS) : PIER_NEVER;
        ssize_t n = pier_wait_any(ends, 3, look);
        if (n >= 0) return ends[0].ready ? -EINTR : 0;
        if (n != -ETIME) return (int)n;
        if (run.pace.start > 0) draw();
    }
}

static int begin_tasks(void)
{
    int err = pier_group_enter(&run.target.group);
    if (err < 0) return err;
    for (uint64_t i = 0; i < run.target.how->connections; i++) {
        pier_task task = pier_group_spawn(
            &run.target.group, work, NULL, &(pier_spawn_opts){.name = "connection"});
        if (task.number < 0) return task.number;
        run.working++;
    }
    return 0;
}

static pier_time later(pier_time from, double seconds)
{
    enum { LIFETIME = 1 << 30 };
    return seconds < LIFETIME ? from + (pier_time)(seconds * (double)PIER_SECOND) : PIER_NEVER;
}

static int begin_clock(void)
{
    const struct bench_settings *how = run.target.how;
    run.pace.start = run.drawn = pier_now();
    run.measured = later(run.pace.start, how->warm_up);
    run.pace.end = later(run.pace.start, how->warm_up + how->seconds);
    if (run.pace.rate > 0) {
        pier_task task = pier_group_spawn(
            &run.target.group, pace_run, &run.pace, &(pier_spawn_opts){.name = "pace"});
        if (task.number < 0) return task.number;
    }
    return pier_event_set(&run.go);
}

/* What the clock says at the end, be it early or not. */
static void end_clock(int err)
{
    struct bench_result *result = run.target.result;
    pier_time now = pier_now();
    result->interrupted = err == -EINTR;
    if (now < run.pace.end) run.pace.end = now;
    if (run.pace.start > 0 && run.pace.end > run.measured)
        result->seconds = (double)(run.pace.end - run.measured) / (double)PIER_SECOND;
    result->unsent = pace_unsent(&run.pace);
    if (run.drew) write_all(STDERR_FILENO, "\r\033[K", 4);
}

static int run_all(void *unused)
{
    (void)unused;
    run.target.result->backend = pier_backend_name();
    run.target.result->date = time(NULL);
    if (client_probe(&run.target, &run.clients[0]) != DONE) return 1;
    if (run.target.how->kind == BENCH_CHURN) client_close(&run.clients[0]);
    if (on_signals(stop) != DONE) return 1;
    int err = begin_tasks();
    if (err == 0) err = watch(&run.ready);
    if (err == 0) err = begin_clock();
    if (err == 0) err = watch(&run.finished);
    end_clock(err);
    pier_group_cancel(&run.target.group);
    pier_group_leave(&run.target.group);
    return err == -EINTR ? 0 : err;
}

/* A descriptor for each connection, as far as this user may have them. */
static int make_room(uint64_t connections)
{
    struct rlimit limit;
    uint64_t needed = connections + SPARE;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= needed) return DONE;
    if (limit.rlim_max < needed)
        return fail("%ju connections are too many: they need %ju descriptors, and this user may "
                    "have %ju (ulimit -Hn)",
            (uintmax_t)connections, (uintmax_t)needed, (uintmax_t)limit.rlim_max);
    limit.rlim_cur = needed;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0) return DONE;
    return fail("%ju descriptors cannot be had (ulimit -n)", (uintmax_t)needed);
}

int bench_run(const struct bench_settings *how, struct bench_result *out)
{
    run.target = (struct bench_target){.how = how, .result = out};
    run.pace.rate = (double)how->rate;
    run.connecting = (pier_semaphore){.value = AT_ONCE};
    if (make_room(how->connections) != DONE || message_begin(how->size) != DONE) return FAILED;
    run.clients = calloc((size_t)how->connections, sizeof *run.clients);
    if (run.clients == NULL) return fail("no memory for so many connections");
    for (uint64_t i = 0; i < how->connections; i++)
        run.clients[i].s = -EBADF;
    int err = pier_run(run_all, NULL, NULL);
    if (err < 0) return fail("%s", pier_strerror(err));
    return err == 0 ? DONE : FAILED;
}
