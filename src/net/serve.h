/* SPDX-License-Identifier: MIT */
#ifndef PIER_NET_SERVE_H
#define PIER_NET_SERVE_H

#include "sock/table.h"
#include "wait/accepting.h"

#include <pier/net.h>

#include <pthread.h>
#include <stdbool.h>

/*
 * Serving has two halves. One strand, the server, accepts and pauses (serve_accept.c), counts, stops and drains (serve.c),
 * and is the only one that does. The crew runs the handlers: threads (serve_threads.c), or tasks on one or more loops
 * (serve_tasks.c).
 *
 *     pier_serve() -> crew->run() -> pier__serve_here() -> pier__serve_accept() -> crew->start() for each client
 *                                                                                   handler ... pier__client_ended()
 */

/*
 * A client, from accept until its handler has returned. When the drain is over, the server cancels
 * it: closes its socket but stays inside, so that every call returns -ECANCELED and the number is
 * not given out again while the handler still uses it.
 */
struct pier__client {
    struct pier__client *next, **link;
    struct pier__serving *serving;
    int s;
    uint64_t birth;
    bool ended, told, canceled;  /* under the lock; told: the drain is over */
    struct pier__use held;       /* once canceled: for the handler's strand to leave */
    struct pier__worker *worker; /* of a crew of tasks: where it runs, */
    struct pier__task *task;     /* and as what; the worker's own */
    struct pier__client *after;  /* the next that the worker was handed, or in the surplus */
};

struct pier__crew {
    /* Call pier__serve_here() where the server shall run, with all that the crew needs at hand. */
    int (*run)(struct pier__serving *serving);

    /* Hand a client to another thread, if it is that one's. Under the lock. NULL: there is none. */
    bool (*hand_over)(struct pier__client *client);

    /* Or run its handler here. 0; or a code: it cannot be served. */
    int (*start)(struct pier__client *client);

    /* It has ended, or could not be started. Under the lock. NULL: no need to know. */
    void (*leave)(struct pier__client *client);

    /*
     * The drain is over: see that pier__client_cancel() is called for each client, in the thread
     * where its handler runs if that can be told in another way, too. Under the lock.
     */
    void (*cancel)(struct pier__serving *serving);
};

extern const struct pier__crew pier__crew_of_threads, pier__crew_of_tasks;

struct pier__serving {
    struct pier__use use; /* of the listener */
    void (*handler)(int client, void *arg);
    void *arg;
    const pier_serve_opts *opts;
    const struct pier__crew *crew;
    void *crew_state;
    size_t max_clients;
    const struct pier__seam *seam; /* the server's, for its handlers */
    pid_t pid;                     /* a handler may fork, and return in the child */
    pier_serve_counts *counts;
    struct pier__waker *waker;       /* the server's */
    _Atomic pier_time drained_until; /* 0: nobody has stopped it */
    pier_time pause;                 /* the last one after a shortage; 0: there is none */

    struct pier__accepting accepting;
    int accept_flags;  /* that it was begun with */
    int accept_error;  /* with which it ended; 0: none that counts */
    unsigned failures; /* connections that failed, in a row */
    bool polls;        /* there is no accepting so: the server polls and calls */
    /* Accepted before that could be stopped, when there was no room any more. */
    struct pier__client *surplus, **spare;

    pthread_mutex_t lock; /* of what follows */
    struct pier__client *clients;
    _Atomic size_t active;
    bool awaited; /* the server wants to know that a client has gone */
    bool untold;  /* a client has come, and the crew not been asked to cancel it */
};

/* The counts are the caller's plain numbers, read while they change. */
static inline uint64_t pier__serve_count(uint64_t *number, int64_t by)
{
    return __atomic_add_fetch(number, (uint64_t)by, __ATOMIC_RELAXED);
}

/* Accept and serve until stopped, and drain. 0 or a code. */
int pier__serve_here(struct pier__serving *serving);

/* Accept until stopped, and then who is queued. 0, or how the listener failed. */
int pier__serve_accept(struct pier__serving *serving);

/*
 * Start who is left over if there is room, or at the end of the drain turn them away. Is anybody
 * still left?
 */
bool pier__serve_surplus(struct pier__serving *serving);

/* Has the time that pier_stop() left run out? */
bool pier__serve_is_drained(const struct pier__serving *serving);

/* For a socket that was accepted; NULL: there is no memory, and it is closed and counted. */
struct pier__client *pier__client_new(struct pier__serving *serving, int s);

/* Have it served. 0, or -ENOMEM: it had to be turned away. */
int pier__client_start(struct pier__client *client);

/*
 * The drain is over: close its socket under its handler, if it still is that socket. False: it has
 * ended, or was told before. Under the lock.
 */
bool pier__client_cancel(struct pier__client *client);

/*
 * The handler has returned, or ended its strand, or could not be run: the client is closed, struck
 * off and gone.
 */
void pier__client_ended(struct pier__client *client);

/* Likewise for one that nobody will serve, enlisted or not yet. */
void pier__client_rejected(struct pier__client *client);
void pier__client_discarded(struct pier__client *client);

/* Likewise in a forked child: all the rest is the parent's business. */
void pier__client_dropped(struct pier__client *client);

#endif
