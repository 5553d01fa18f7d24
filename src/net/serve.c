/* SPDX-License-Identifier: MIT */
/* Serving: a listener, a crew that runs the handlers, and an end that loses nobody. */
#include "net/serve.h"

#include "base/bits.h"
#include "base/seam.h"
#include "base/time.h"
#include "base/trace.h"
#include "sock/limit.h"
#include "sock/socket.h"
#include "wait/loop.h"

#include <errno.h>
#include <string.h>

/* So many clients at once by default: in threads, and in tasks. */
#define MAX_THREADS 1024
#define MAX_TASKS   65536

static void reset(pier_serve_counts *counts)
{
    uint64_t *const all[] = {&counts->accepted, &counts->active, &counts->peak, &counts->rejected,
        &counts->backoffs, &counts->canceled};
    for (size_t i = 0; i < PIER_COUNT(all); i++) {
        __atomic_store_n(all[i], 0, __ATOMIC_RELAXED);
    }
}

/* Under the lock. */
static void set_active(struct pier__serving *serving, size_t active)
{
    atomic_store_explicit(&serving->active, active, memory_order_relaxed);
    __atomic_store_n(&serving->counts->active, active, __ATOMIC_RELAXED);
    if (active > serving->counts->peak)
        __atomic_store_n(&serving->counts->peak, active, __ATOMIC_RELAXED);
}

/* Under the lock. */
static void enlist(struct pier__client *client)
{
    struct pier__serving *serving = client->serving;
    client->link = &serving->clients;
    client->next = serving->clients;
    if (client->next) client->next->link = &client->next;
    serving->clients = client;
    serving->untold = true;
    set_active(serving, serving->active + 1);
}

/* Under the lock. */
static void strike_off(struct pier__client *client)
{
    struct pier__serving *serving = client->serving;
    *client->link = client->next;
    if (client->next) client->next->link = client->link;
    set_active(serving, serving->active - 1);
    if (serving->awaited) pier__wake(serving->waker);
    serving->awaited = false;
}

/*
 * Close the client, unless the handler has done so itself, whoever has its number now. Once the
 * server is stopped, at once: who knows when its loop waits again?
 */
static void close_client(const struct pier__client *client)
{
    bool goes_on = atomic_load(&client->serving->drained_until) == 0;
    pier__close_born(client->s, client->birth, /* soon= */ goes_on);
}

void pier__client_ended(struct pier__client *client)
{
    struct pier__serving *serving = client->serving;
    pthread_mutex_lock(&serving->lock);
    client->ended = true;
    bool canceled = client->canceled;
    if (serving->crew->leave) serving->crew->leave(client);
    pthread_mutex_unlock(&serving->lock);
    if (canceled)
        pier__leave(&client->held);
    else
        close_client(client);
    pthread_mutex_lock(&serving->lock);
    strike_off(client);
    pthread_mutex_unlock(&serving->lock);
    pier__seam->release(client);
}

void pier__client_rejected(struct pier__client *client)
{
    pier__serve_count(&client->serving->counts->rejected, 1);
    pier__client_ended(client);
}

void pier__client_dropped(struct pier__client *client)
{
    close_client(client);
    pier__seam->release(client);
}

void pier__client_discarded(struct pier__client *client)
{
    pier__serve_count(&client->serving->counts->rejected, 1);
    pier__client_dropped(client);
}

struct pier__client *pier__client_new(struct pier__serving *serving, int s)
{
    struct pier__client *client = pier__allocate_zeroed(1, sizeof *client);
    if (client) {
        *client = (struct pier__client){.serving = serving, .s = s, .birth = pier__birth(s)};
        return client;
    }
    pier__close(s);
    pier__serve_count(&serving->counts->rejected, 1);
    return NULL;
}

int pier__client_start(struct pier__client *client)
{
    struct pier__serving *serving = client->serving;
    const struct pier__crew *crew = serving->crew;
    pthread_mutex_lock(&serving->lock);
    enlist(client);
    bool handed_over = crew->hand_over && crew->hand_over(client); /* then it is no longer ours */
    pthread_mutex_unlock(&serving->lock);
    if (handed_over || crew->start(client) == 0) return 0;
    pier__client_rejected(client);
    return -ENOMEM;
}

bool pier__serve_is_drained(const struct pier__serving *serving)
{
    pier_time until = atomic_load(&serving->drained_until);
    return until != 0 && until != PIER_NEVER && pier__seam->now() >= until;
}

/* The drain ends then, unless it ends earlier already. */
static void shorten(struct pier__serving *serving, pier_time until)
{
    pier_time was = 0;
    while (!atomic_compare_exchange_weak(&serving->drained_until, &was, until)) {
        if (was != 0 && was <= until) break;
    }
}

/* Close the socket under its handler, if it still is that socket. */
static void close_under(struct pier__client *client)
{
    if (pier__enter(&client->held, client->s, PIER__VISITOR) < 0) return;
    const struct pier__entry *entry = client->held.entry;
    client->canceled =
        entry && atomic_load(&entry->life.birth) == client->birth && pier__close(client->s) == 0;
    if (client->canceled)
        pier__serve_count(&client->serving->counts->canceled, 1);
    else
        pier__leave(&client->held); /* the handler has closed its own */
}

bool pier__client_cancel(struct pier__client *client)
{
    if (client->ended || client->told) return false;
    client->told = true;
    close_under(client);
    return true;
}

/* Are clients still being served? At the end of the drain they are canceled. */
static bool has_clients(struct pier__serving *serving)
{
    bool drained = pier__serve_is_drained(serving);
    pthread_mutex_lock(&serving->lock);
    if (drained && serving->untold) {
        serving->untold = false;
        serving->crew->cancel(serving);
    }
    bool any = serving->awaited = serving->active > 0;
    pthread_mutex_unlock(&serving->lock);
    return any;
}

/*
 * Wait for the handlers, until the drain is over; then cancel the rest and wait for those. 0,
 * -EINTR or -ECANCELED.
 */
static int drain(struct pier__serving *serving, bool shielded)
{
    int result = 0;
    while (pier__serve_surplus(serving) || has_clients(serving)) {
        pier_time until = atomic_load(&serving->drained_until);
        if (!until || pier__serve_is_drained(serving)) until = PIER_NEVER;
        int64_t n = shielded || result < 0 ? pier__await_woken_shielded(until)
                                           : pier__await_woken(NULL, until);
        if (n != -EINTR && n != -ECANCELED) continue;
        shorten(serving, pier__seam->now());
        result = (int)n;
    }
    return result;
}

/*
 * Nobody may be looking at it any more when it goes. A stopper takes a few instructions, if it is
 * not preempted.
 */
static void unpublish(struct pier__entry *entry)
{
    atomic_store(&entry->serving, NULL);
    while (atomic_load(&entry->stoppers) > 0) {
        (void)pier__await_woken_shielded(pier__seam->now() + PIER_SECOND / 1000);
    }
}

/* The listener is entered and ours alone to serve. */
static int serve_published(struct pier__serving *serving)
{
    int err = pier__serve_accept(serving);
    bool stopped = atomic_load(&serving->drained_until) != 0,
         closed = pier__life_closing(&serving->use.entry->life);
    /*
     * Its end has been asked for; that nobody is queued, or the listener gone by now, is no
     * failure.
     */
    if (stopped && (err == -EAGAIN || err == -ETIME || (err == -ECANCELED && closed))) err = 0;
    bool ends = err == -EINTR || (err == -ECANCELED && !closed);
    if (ends) shorten(serving, pier__seam->now());
    int ended = drain(serving, ends);
    return err < 0 ? err : ended;
}

int pier__serve_here(struct pier__serving *serving)
{
    struct pier__serving *nobody = NULL;
    struct pier__entry *entry = serving->use.entry;
    int err = pier__waker(&serving->waker);
    if (err < 0) return err;
    if (!atomic_compare_exchange_strong(&entry->serving, &nobody, serving)) return -EBUSY;
    err = serve_published(serving);
    unpublish(entry);
    return err;
}

/* Who shall run the handlers? By name, or else by PIER_BACKEND. */
static int choose_crew(struct pier__serving *serving)
{
    const char *name = serving->opts->backend;
    bool known = !name || strcmp(name, "thread") == 0 || strcmp(name, "epoll") == 0 ||
                 strcmp(name, "uring") == 0;
    if (!known) return -EINVAL;
    if (!name) name = pier__seam->getenv("PIER_BACKEND");
    bool threads = name && strcmp(name, "thread") == 0;
    serving->crew = threads ? &pier__crew_of_threads : &pier__crew_of_tasks;
    serving->max_clients = serving->opts->max_clients;
    if (!serving->max_clients) serving->max_clients = threads ? MAX_THREADS : MAX_TASKS;
    return 0;
}

static int serve_in(struct pier__serving *serving)
{
    struct pier__entry *entry = serving->use.entry;
    if (!entry) return -EBADF;
    if (pier__special(entry) & PIER__HAS_FAILED_BIND) return atomic_load(&entry->failed_bind);
    if (!pier__is_listening(entry, serving->use.fd)) return -EINVAL;
    int err = choose_crew(serving);
    return err < 0 ? err : serving->crew->run(serving);
}

static bool can_begin(const pier_serve_opts *opts, void (*handler)(int, void *))
{
    return handler && pier__is_zero(opts->reserved, sizeof opts->reserved);
}

static int serve(int server, void (*handler)(int, void *), void *arg, const pier_serve_opts *opts)
{
    static const pier_serve_opts defaults = {0};
    if (!opts) opts = &defaults;
    if (server >= 0 && !can_begin(opts, handler)) return -EINVAL;
    pier_serve_counts unwatched = {0};
    struct pier__serving serving = {.handler = handler,
        .arg = arg,
        .opts = opts,
        .seam = pier__seam,
        .pid = pier__seam->getpid(),
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .counts = opts->counts ? opts->counts : &unwatched};
    reset(serving.counts);
    int err = pier__enter(&serving.use, server, PIER__WAITER);
    if (err < 0) return err;
    err = serve_in(&serving);
    if (err < 0) pier__sock_failed("serve on", server, &serving.use, NULL, err);
    pier__leave(&serving.use);
    return err;
}

int pier_serve(
    int server, void (*handler)(int client, void *arg), void *arg, const pier_serve_opts *opts)
{
    pier_time began = pier__trace_begin();
    int err = serve(server, handler, arg, opts);
    pier__thread_end(); /* a handler may have told it to */
    if (PIER_UNLIKELY(began)) pier__trace_end(began, -1, err, "serve(%d)", server);
    return err;
}

/*
 * Async-signal-safe: atomics, the clock and one write; so it records no failure and traces nothing.
 */
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
        shorten(serving, pier__point(pier__seam->now(), drain));
        pier__wake_from_signal(serving->waker);
    }
    atomic_fetch_sub(&entry->stoppers, 1);
    return serving ? 0 : -ESRCH;
}
