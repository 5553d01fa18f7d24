/* SPDX-License-Identifier: MIT */
/*
 * Serving: a listener, a thread for each client, and an end that loses nobody.
 *
 * The serving thread alone accepts, and waits in one place: for the listener, for its wake
 * descriptor (a handler has ended, somebody stops the server), or for the end of a pause. The
 * list of clients is guarded by the lock of wait/life, which knows what to do about forks.
 */
#include "base/bits.h"
#include "base/seam.h"
#include "base/time.h"
#include "base/trace.h"
#include "sock/limit.h"
#include "sock/socket.h"
#include "wait/thread.h"

#include <pier/net.h>

#include <errno.h>
#include <pthread.h>

#define MAX_CLIENTS 1024
#define STACK_SIZE  ((size_t)256 << 10)

/* The pause after accept has found no descriptor or no memory. */
#define FIRST_PAUSE (5 * PIER_SECOND / 1000)
#define LAST_PAUSE  PIER_SECOND

/*
 * A client's handler is running until it has ended. When the drain is over, the serving thread cancels it: closes
 * its socket but stays inside, so that every call returns -ECANCELED and the number is not given out
 * again while the handler still uses it. Whoever comes last, handler or canceller, frees the client.
 */
struct client {
    struct client *next, **link;
    struct pier__serving *serving;
    int s;
    uint64_t birth;
    bool canceled, canceling, ended; /* under pier__life_lock() */
    struct pier__use held;           /* what the canceller is inside of */
};

struct pier__serving {
    struct pier__use use; /* of the listener */
    void (*handler)(int client, void *arg);
    void *arg;
    size_t max_clients;
    pthread_attr_t attr;
    const struct pier__seam *seam; /* the serving thread's, for its handlers */
    pier_serve_counts *counts;
    int wakefd;                      /* the serving thread's */
    _Atomic pier_time drained_until; /* 0: nobody has stopped it */
    struct client *clients;          /* under pier__life_lock() */
    pier_time pause;                 /* the next one after a shortage */
};

/* The counts are the caller's plain numbers, read while they change. */
static uint64_t count(uint64_t *number, int64_t by)
{
    return __atomic_add_fetch(number, (uint64_t)by, __ATOMIC_RELAXED);
}

static void reset(pier_serve_counts *counts)
{
    uint64_t *const all[] = {&counts->accepted, &counts->active, &counts->peak, &counts->rejected,
        &counts->backoffs, &counts->canceled};
    for (size_t i = 0; i < PIER_COUNT(all); i++) {
        __atomic_store_n(all[i], 0, __ATOMIC_RELAXED);
    }
}

static size_t active(const struct pier__serving *serving)
{
    return __atomic_load_n(&serving->counts->active, __ATOMIC_RELAXED);
}

static void enlist(struct client *client)
{
    struct pier__serving *serving = client->serving;
    pier__life_lock();
    client->link = &serving->clients;
    client->next = serving->clients;
    if (client->next) client->next->link = &client->next;
    serving->clients = client;
    uint64_t now = count(&serving->counts->active, 1);
    if (now > serving->counts->peak)
        __atomic_store_n(&serving->counts->peak, now, __ATOMIC_RELAXED);
    pier__life_unlock();
}

/* After this the serving thread may return, and all that it owns be gone. */
static void strike_off(struct client *client)
{
    struct pier__serving *serving = client->serving;
    pier__life_lock();
    *client->link = client->next;
    if (client->next) client->next->link = client->link;
    count(&serving->counts->active, -1);
    pier__thread_wake(serving->wakefd);
    pier__life_unlock();
    pier__seam->release(client);
}

static void *run_handler(void *arg)
{
    struct client *client = arg;
    const struct pier__serving *serving = client->serving;
    pier__seam = serving->seam;
    serving->handler(client->s, serving->arg);
    if (pier__birth(client->s) == client->birth) pier__close(client->s);
    pier__life_lock();
    client->ended = true;
    bool last = !client->canceling;
    pier__life_unlock();
    if (!last) return NULL;
    if (client->canceled) pier__leave(&client->held);
    strike_off(client);
    return NULL;
}

/* Serve this client in a thread of its own. 0, or why it had to be turned away. */
static int start(struct pier__serving *serving, int s)
{
    struct client *client = pier__allocate_zeroed(1, sizeof *client);
    if (client) {
        *client = (struct client){.serving = serving, .s = s, .birth = pier__birth(s)};
        enlist(client);
        pthread_t id;
        int err = pier__seam->thread(&id, &serving->attr, run_handler, client);
        if (err == 0) return 0;
        strike_off(client);
    }
    pier__close(s);
    count(&serving->counts->rejected, 1);
    return -ENOMEM;
}

/*
 * Wait for the listener (or not, at the limit of clients), for news from handlers, for a stop, or until the
 * deadline. 0, or why the listener can be waited for no longer.
 */
static int wait_for_news(struct pier__serving *serving, bool listener, pier_time deadline)
{
    struct pollfd fds[2] = {{.fd = serving->use.fd, .events = POLLIN}};
    pier_time own = atomic_load(&serving->use.entry->deadline);
    struct pier__op op = {.code = PIER_OP_POLL,
        .life = &serving->use.entry->life,
        .timeout = PIER_NEVER,
        .deadline = pier__earlier(own, deadline),
        .with.poll = {.fds = fds, .count = listener ? 1 : 0}};
    int64_t n = pier__await(&op);
    if (n == -ETIME && own > pier__seam->now()) return 0; /* only the pause is over */
    return n < 0 ? (int)n : 0;
}

static bool is_shortage(int err)
{
    return err == -EMFILE || err == -ENFILE || err == -ENOBUFS || err == -ENOMEM;
}

/* Nothing to be had of what accept needs: the client stays queued, and the server does not spin. */
static int pause_for(struct pier__serving *serving)
{
    count(&serving->counts->backoffs, 1);
    pier_time pause = serving->pause ? serving->pause : FIRST_PAUSE;
    serving->pause = pause * 2 < LAST_PAUSE ? pause * 2 : LAST_PAUSE;
    return wait_for_news(serving, /* listener= */ false, pier__seam->now() + pause);
}

/* Take one client, if there is room and one is queued. 1: taken; 0: none now; or a code. */
static int take_one(struct pier__serving *serving)
{
    if (active(serving) >= serving->max_clients) return 0;
    struct pier__sockaddr peer;
    int s = pier__accept_in(&serving->use, &peer, /* wait= */ false);
    int err = s;
    if (s >= 0) {
        count(&serving->counts->accepted, 1);
        err = start(serving, s);
    }
    if (err == 0) {
        serving->pause = 0;
        return 1;
    }
    if (is_shortage(err)) return pause_for(serving);
    return err == -EAGAIN ? 0 : err;
}

/* Has the time that pier_stop() left run out? */
static bool is_drained(struct pier__serving *serving)
{
    pier_time until = atomic_load(&serving->drained_until);
    return until != 0 && until != PIER_NEVER && pier__seam->now() >= until;
}

/* Accept until somebody stops it, then what is still queued. 0, or how the listener failed. */
static int accept_all(struct pier__serving *serving)
{
    for (;;) {
        pier_time until = atomic_load(&serving->drained_until);
        int taken = take_one(serving);
        if (taken < 0) return taken;
        if (taken > 0) continue;
        bool full = active(serving) >= serving->max_clients;
        if (until != 0 && (!full || is_drained(serving))) return 0;
        int err = wait_for_news(serving, !full, until ? until : PIER_NEVER);
        if (err < 0) return err;
    }
}

/* A client that is not canceled yet, marked so that it stays until cancel() is done with it; NULL: none. */
static struct client *next_to_cancel(struct pier__serving *serving)
{
    pier__life_lock();
    struct client *client = serving->clients;
    while (client && (client->canceled || client->ended)) {
        client = client->next;
    }
    if (client) client->canceled = client->canceling = true;
    pier__life_unlock();
    return client;
}

static void cancel(struct client *client)
{
    if (pier__enter(&client->held, client->s, PIER__VISITOR) < 0) client->held.entry = NULL;
    if (client->held.entry && pier__birth(client->s) == client->birth) {
        pier__close(client->s);
        count(&client->serving->counts->canceled, 1);
    }
    pier__life_lock();
    client->canceling = false;
    bool last = client->ended;
    pier__life_unlock();
    if (!last) return;
    pier__leave(&client->held);
    strike_off(client);
}

/* Asked under the lock: a handler that has just gone may still be waking this thread, under it. */
static bool anybody(struct pier__serving *serving)
{
    pier__life_lock();
    bool there = serving->clients;
    pier__life_unlock();
    return there;
}

/* Wait for the handlers, until the drain is over; then cancel the rest and wait for those. */
static void drain(struct pier__serving *serving)
{
    bool canceled = false;
    while (anybody(serving)) {
        if (!canceled && is_drained(serving)) {
            for (struct client *client; (client = next_to_cancel(serving));) {
                cancel(client);
            }
            canceled = true;
        }
        pier_time until = atomic_load(&serving->drained_until);
        struct pollfd room[1];
        struct pier__op op = {.code = PIER_OP_POLL,
            .timeout = PIER_NEVER,
            .deadline = until && !canceled ? until : PIER_NEVER,
            .with.poll = {.fds = room, .count = 0}};
        (void)pier__await(&op);
    }
}

static bool can_begin(const struct pier_serve_opts *opts, void (*handler)(int, void *))
{
    return handler && pier__is_zero(opts->reserved, sizeof opts->reserved);
}

static int set_stack(struct pier__serving *serving, size_t size)
{
    int err = -pthread_attr_init(&serving->attr);
    if (err < 0) return err;
    pthread_attr_setdetachstate(&serving->attr, PTHREAD_CREATE_DETACHED);
    err = -pthread_attr_setstacksize(&serving->attr, size ? size : STACK_SIZE);
    if (err < 0) pthread_attr_destroy(&serving->attr);
    return err;
}

/* Nobody may be looking at it any more when it goes. A stopper takes a few instructions. */
static void unpublish(struct pier__entry *entry)
{
    atomic_store(&entry->serving, NULL);
    while (atomic_load(&entry->stoppers) > 0) {
    }
}

/* The listener is entered and ours alone to serve. */
static int serve_published(struct pier__serving *serving)
{
    struct pier__entry *entry = serving->use.entry;
    int was = pier__is_nonblock(entry, serving->use.fd);
    int err = was < 0 ? was : pier__set_nonblock(entry, serving->use.fd, true);
    if (err < 0) return err;
    err = accept_all(serving);
    if (!was) (void)pier__set_nonblock(entry, serving->use.fd, false);
    drain(serving);
    return err;
}

static int serve_in(struct pier__serving *serving, const pier_serve_opts *opts)
{
    struct pier__entry *entry = serving->use.entry;
    if (!entry) return -EBADF;
    if (pier__special(entry) & PIER__HAS_FAILED_BIND) return atomic_load(&entry->failed_bind);
    if (!pier__is_listening(entry, serving->use.fd)) return -EINVAL;
    serving->wakefd = pier__thread_wakefd();
    int err = serving->wakefd < 0 ? serving->wakefd : set_stack(serving, opts->stack_size);
    if (err < 0) return err;
    struct pier__serving *nobody = NULL;
    if (atomic_compare_exchange_strong(&entry->serving, &nobody, serving)) {
        err = serve_published(serving);
        unpublish(entry);
    } else {
        err = -EBUSY;
    }
    pthread_attr_destroy(&serving->attr);
    return err;
}

static int serve(int server, void (*handler)(int, void *), void *arg, const pier_serve_opts *opts)
{
    static const pier_serve_opts defaults = {0};
    if (!opts) opts = &defaults;
    if (server >= 0 && !can_begin(opts, handler)) return -EINVAL;
    pier_serve_counts unwatched = {0};
    struct pier__serving serving = {.handler = handler,
        .arg = arg,
        .max_clients = opts->max_clients ? opts->max_clients : MAX_CLIENTS,
        .seam = pier__seam,
        .counts = opts->counts ? opts->counts : &unwatched};
    reset(serving.counts);
    int err = pier__enter(&serving.use, server, PIER__WAITER);
    if (err < 0) return err;
    err = serve_in(&serving, opts);
    if (err < 0) pier__sock_failed("serve on", server, &serving.use, NULL, err);
    pier__leave(&serving.use);
    return err;
}

int pier_serve(
    int server, void (*handler)(int client, void *arg), void *arg, const pier_serve_opts *opts)
{
    pier_time began = pier__trace_begin();
    int err = serve(server, handler, arg, opts);
    if (PIER_UNLIKELY(began)) pier__trace_end(began, -1, err, "serve(%d)", server);
    return err;
}

/* Async-signal-safe: atomics, the clock and one write; so it records no failure and traces nothing. */
int pier_stop(int server, double drain_seconds)
{
    if (server < 0) return server;
    int64_t drain = pier__duration(drain_seconds);
    if (drain < 0) return (int)drain;
    struct pier__entry *entry = pier__entry_at(server);
    if (!entry) return -ESRCH;
    atomic_fetch_add(&entry->stoppers, 1);
    struct pier__serving *serving = atomic_load(&entry->serving);
    if (serving) {
        pier_time until = pier__point(pier__seam->now(), drain), was = 0;
        while (!atomic_compare_exchange_weak(&serving->drained_until, &was, until)) {
            if (was != 0 && was <= until) break; /* a second call may only shorten the drain */
        }
        pier__thread_wake(serving->wakefd);
    }
    atomic_fetch_sub(&entry->stoppers, 1);
    return serving ? 0 : -ESRCH;
}
