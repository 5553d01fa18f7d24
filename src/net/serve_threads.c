/* SPDX-License-Identifier: MIT */
/* A crew of threads: one for each client. */
#include "base/seam.h"
#include "net/serve.h"

#include <pthread.h>

#define STACK_SIZE ((size_t)256 << 10)

struct threads {
    pthread_attr_t attr;
    pthread_mutex_t lock; /* of what follows */
    bool has_ended;       /* each thread that ends joins the one that ended before it, */
    pthread_t ended;      /* so that the last to be joined is this one */
};

static struct threads *threads_of(const struct pier__client *client)
{
    return client->serving->crew_state;
}

/* The handler has returned, or ended its thread. */
static void end(void *arg)
{
    struct pier__client *client = arg;
    struct threads *threads = threads_of(client);
    if (pier__seam->getpid() != client->serving->pid) { /* it has forked */
        pier__client_dropped(client);
        return;
    }
    pthread_mutex_lock(&threads->lock);
    bool follows = threads->has_ended;
    pthread_t before = threads->ended;
    threads->has_ended = true;
    threads->ended = pthread_self();
    pthread_mutex_unlock(&threads->lock);
    pier__client_ended(client); /* and from now on the crew may be gone */
    if (follows) pthread_join(before, NULL);
}

/* A handler that calls pthread_exit(3) does not come back to us; what it leaves here does. */
static pthread_key_t client_key;
static pthread_once_t client_key_once = PTHREAD_ONCE_INIT;

static void make_client_key(void) { pthread_key_create(&client_key, end); }

static void *serve_client(void *arg)
{
    struct pier__client *client = arg;
    const struct pier__serving *serving = client->serving;
    pier__seam = serving->seam;
    (void)pier__seam->thread_name("pier-client");
    pthread_setspecific(client_key, client);
    serving->handler(client->s, serving->arg);
    pthread_setspecific(client_key, NULL);
    end(client);
    return NULL;
}

static int start(struct pier__client *client)
{
    pthread_t id;
    return pier__seam->thread(&id, &threads_of(client)->attr, serve_client, client);
}

static int run(struct pier__serving *serving)
{
    struct threads threads = {.lock = PTHREAD_MUTEX_INITIALIZER};
    size_t size = serving->opts->stack_size;
    int err = -pthread_attr_init(&threads.attr);
    if (err < 0) return err;
    err = -pthread_attr_setstacksize(&threads.attr, size ? size : STACK_SIZE);
    if (err == 0) {
        pthread_once(&client_key_once, make_client_key);
        serving->crew_state = &threads;
        err = pier__serve_here(serving);
        if (threads.has_ended) pthread_join(threads.ended, NULL);
    }
    pthread_attr_destroy(&threads.attr);
    return err;
}

static void cancel(struct pier__serving *serving)
{
    for (struct pier__client *client = serving->clients; client; client = client->next) {
        (void)pier__client_cancel(client);
    }
}

const struct pier__crew pier__crew_of_threads = {.run = run, .start = start, .cancel = cancel};
