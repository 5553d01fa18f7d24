/* SPDX-License-Identifier: MIT */
/*
 * A crew of tasks: one for each client, on the loops of one or more threads.
 *
 * The server is a task of the calling thread's loop, which is the first worker; the others are
 * threads that run a loop each, with a keeper as its main task. A new client goes to the worker
 * that has the fewest.
 *
 * One listener for all and one that accepts: workers that accept for themselves leave most clients
 * to whoever wakes first, and with a listener for each (SO_REUSEPORT) who is queued at one that
 * closes is lost.
 */
#include "base/bits.h"
#include "base/seam.h"
#include "net/serve.h"
#include "wait/loop.h"
#include "wait/task.h"

#include <pier/task.h>

#include <errno.h>

#define MOST_WORKERS 1024

/* Under the lock of the serving, but for what only its own thread uses. */
struct pier__worker {
    struct pier__serving *serving;
    size_t clients;
    struct pier__client *first, **last; /* handed to it, and not yet taken */
    struct pier__waker *waker;          /* its keeper's; NULL: it does not run, or no longer */
    bool cancels, ends;                 /* what its keeper shall do */
    int failed;                         /* how its loop could not be made */
    struct pier__run *run;              /* its own: what its tasks belong to */
    pthread_t thread;
};

struct crew {
    struct pier__worker *workers; /* the first one is the server's thread */
    size_t count;
    pthread_cond_t settled; /* a worker runs, or has failed */
};

/* In the worker's loop. */

/* A task, of whose end, whatever brought it about, its loop tells. */
static void ended(void *client) { pier__client_ended(client); }

static int serve_client(void *arg)
{
    const struct pier__client *client = arg;
    client->serving->handler(client->s, client->serving->arg);
    return 0;
}

static int spawn(struct pier__client *client)
{
    struct pier__worker *worker = client->worker;
    const pier_spawn_opts how = {
        .name = "client", .stack_size = worker->serving->opts->stack_size, .detached = true};
    const struct pier__home home = {.loop = pier__loop_here, .run = worker->run, .ended = ended};
    int err = pier__spawn(&home, serve_client, client, &how, &client->task);
    if (err == 0 && client->told) pier__task_cancel(client->task, -ECANCELED);
    return err;
}

/* Does it wait for a socket that is closing? Then that tells it. */
static bool is_woken(const struct pier__task *task)
{
    for (size_t i = 0; i < task->pending_count; i++) {
        struct pier__life *life = task->pendings[i].life;
        if (life && pier__life_closing(life)) return true;
    }
    return false;
}

/*
 * Their sockets are closed under them; who waits for something else is cancelled. None of them runs
 * meanwhile, so each is told once. Under the lock.
 */
static void cancel_tasks(struct pier__worker *worker)
{
    worker->cancels = false;
    for (struct pier__client *c = worker->serving->clients; c; c = c->next) {
        if (c->worker != worker || !pier__client_cancel(c) || !c->task) continue;
        if (!is_woken(c->task)) pier__task_cancel(c->task, -ECANCELED);
    }
}

static struct pier__client *take_handed(struct pier__worker *worker)
{
    struct pier__client *first = worker->first;
    worker->first = NULL;
    worker->last = &worker->first;
    return first;
}

/* They cannot be served after all. */
static void turn_away(struct pier__client *client)
{
    while (client) {
        struct pier__client *next = client->after;
        pier__client_rejected(client);
        client = next;
    }
}

/* Is there nothing to do for its keeper but to wait? In *out, whom to serve. */
static bool look_around(struct pier__worker *worker, struct pier__client **out)
{
    pthread_mutex_lock(&worker->serving->lock);
    *out = take_handed(worker);
    if (worker->cancels) cancel_tasks(worker);
    bool ends = worker->ends;
    pthread_mutex_unlock(&worker->serving->lock);
    return !ends;
}

/*
 * Nobody is served any more. What the handlers have spawned has until the end of the drain, too, if
 * there is one.
 */
static void limit_others(const struct pier__worker *worker)
{
    worker->run->until = atomic_load(&worker->serving->drained_until);
}

/* The main task of a worker's loop. */
static int keep(void *arg)
{
    struct pier__worker *worker = arg;
    struct pier__serving *serving = worker->serving;
    struct crew *crew = serving->crew_state;
    struct pier__task *self = pier__task_here();
    struct pier__client *client;
    worker->run = self->run;
    pthread_mutex_lock(&serving->lock);
    worker->waker = &self->waker;
    pthread_cond_signal(&crew->settled);
    pthread_mutex_unlock(&serving->lock);
    while (look_around(worker, &client)) {
        while (client) {
            struct pier__client *next = client->after;
            if (spawn(client) < 0) pier__client_rejected(client);
            client = next;
        }
        if (pier__await_woken(NULL, PIER_NEVER) == -ECANCELED) break; /* its loop has failed */
    }
    pthread_mutex_lock(&serving->lock);
    worker->waker = NULL;
    pthread_mutex_unlock(&serving->lock);
    limit_others(worker);
    return 0;
}

static void *work(void *arg)
{
    struct pier__worker *worker = arg;
    struct pier__serving *serving = worker->serving;
    struct crew *crew = serving->crew_state;
    pier__seam = serving->seam;
    (void)pier__seam->thread_name("pier-worker");
    int err = pier__run_here(
        keep, worker, &(pier_run_opts){.backend = serving->opts->backend, .name = "worker"});
    pthread_mutex_lock(&serving->lock);
    worker->failed = err < 0 ? err : -ECANCELED;
    struct pier__client *left = take_handed(worker);
    pthread_cond_signal(&crew->settled);
    pthread_mutex_unlock(&serving->lock);
    turn_away(left);
    return NULL;
}

/* In the server's thread. */

/* The worker with the fewest clients. Under the lock. */
static struct pier__worker *choose(const struct crew *crew)
{
    struct pier__worker *best = &crew->workers[0];
    for (size_t i = 1; i < crew->count; i++) {
        struct pier__worker *worker = &crew->workers[i];
        if (worker->waker && worker->clients < best->clients) best = worker;
    }
    return best;
}

static bool hand_over(struct pier__client *client)
{
    const struct crew *crew = client->serving->crew_state;
    struct pier__worker *worker = choose(crew);
    worker->clients++;
    client->worker = worker;
    if (worker == crew->workers) return false;
    *worker->last = client;
    worker->last = &client->after;
    pier__wake(worker->waker);
    return true;
}

static void leave(struct pier__client *client)
{
    client->worker->clients--;
    client->task = NULL;
}

static void cancel(struct pier__serving *serving)
{
    const struct crew *crew = serving->crew_state;
    for (size_t i = 1; i < crew->count; i++) {
        crew->workers[i].cancels = true;
        if (crew->workers[i].waker) pier__wake(crew->workers[i].waker);
    }
    cancel_tasks(&crew->workers[0]);
}

/* Start a worker and see that it runs: 0 or a code. */
static int employ(struct pier__serving *serving, struct pier__worker *worker)
{
    struct crew *crew = serving->crew_state;
    int err = pier__seam->thread(&worker->thread, NULL, work, worker);
    if (err < 0) return err;
    pthread_mutex_lock(&serving->lock);
    while (!worker->waker && worker->failed == 0) {
        pthread_cond_wait(&crew->settled, &serving->lock);
    }
    err = worker->failed;
    pthread_mutex_unlock(&serving->lock);
    if (err < 0) pthread_join(worker->thread, NULL);
    return err;
}

/* Of the threads that run, count of them: their loops have no clients any more. */
static void dismiss(struct pier__serving *serving, size_t count)
{
    const struct crew *crew = serving->crew_state;
    for (size_t i = 1; i < count; i++) {
        struct pier__worker *worker = &crew->workers[i];
        pthread_mutex_lock(&serving->lock);
        worker->ends = true;
        if (worker->waker) pier__wake(worker->waker);
        pthread_mutex_unlock(&serving->lock);
        pthread_join(worker->thread, NULL);
    }
}

static int serve_here(void *arg)
{
    struct pier__serving *serving = arg;
    const struct crew *crew = serving->crew_state;
    crew->workers[0].run = pier__task_here()->run;
    return pier__serve_here(serving);
}

static int serve_as_main(void *arg)
{
    const struct pier__serving *serving = arg;
    const struct crew *crew = serving->crew_state;
    int err = serve_here(arg);
    limit_others(&crew->workers[0]);
    return err;
}

static int run_workers(struct pier__serving *serving)
{
    const struct crew *crew = serving->crew_state;
    size_t employed = 1;
    int err = 0;
    while (employed < crew->count && err == 0) {
        err = employ(serving, &crew->workers[employed]);
        employed += err == 0;
    }
    const pier_run_opts how = {.backend = serving->opts->backend, .name = "server"};
    if (err == 0) err = pier__run_here(serve_as_main, serving, &how);
    dismiss(serving, employed);
    return err;
}

static int run(struct pier__serving *serving)
{
    bool in_task = pier__task_here() != NULL;
    size_t count = serving->opts->workers;
    if (count > MOST_WORKERS || !pier__stack_is_possible(serving->opts->stack_size)) return -EINVAL;
    if (count == 0) count = (size_t)pier__seam->cpu_count();
    struct crew crew = {.count = in_task ? 1 : count, .settled = PTHREAD_COND_INITIALIZER};
    crew.workers = pier__allocate_zeroed(crew.count, sizeof *crew.workers);
    if (!crew.workers) return -ENOMEM;
    for (size_t i = 0; i < crew.count; i++) {
        crew.workers[i].serving = serving;
        crew.workers[i].last = &crew.workers[i].first;
    }
    serving->crew_state = &crew;
    int err = in_task ? serve_here(serving) : run_workers(serving);
    pier__seam->release(crew.workers);
    return err;
}

const struct pier__crew pier__crew_of_tasks = {
    .run = run, .hand_over = hand_over, .start = spawn, .leave = leave, .cancel = cancel};
