/* SPDX-License-Identifier: MIT */
/*
 * The accepting half of pier_serve(). The server waits in one place: for the listener, to be woken
 * (a handler has ended, somebody stops it), or for the end of a pause.
 *
 * On io_uring the kernel accepts one client after the other, and the loop starts them, without a
 * turn of the server's for each. Where there is little room left it is asked for one at a time.
 * Elsewhere the server polls and calls.
 */
#include "base/seam.h"
#include "base/time.h"
#include "net/serve.h"
#include "sock/limit.h"
#include "sock/socket.h"
#include "wait/task.h"

#include <errno.h>
#include <netinet/tcp.h>

/* The pause after accept has found no descriptor or no memory. */
#define FIRST_PAUSE (5 * PIER_SECOND / 1000)
#define LAST_PAUSE  PIER_SECOND

/*
 * Below so much room clients are accepted one at a time: whom the kernel has accepted can wait in
 * its queue no more.
 */
#define MUCH_ROOM 256

/*
 * So many connections may fail one after the other before a pause is made: perhaps it is no
 * connection's fault.
 */
#define FAILURES_IN_A_ROW 64

/*
 * Wait for the listener (or not), for a client to go if that is awaited, for a stop, or until the
 * point given or the end of the drain. 0, or why the listener can be waited for no longer.
 */
static int wait_for_news(struct pier__serving *serving, bool listener, pier_time until)
{
    struct pollfd fds[2] = {{.fd = serving->use.fd, .events = POLLIN}};
    pier_time own = atomic_load(&serving->use.entry->deadline);
    pier_time drained = atomic_load(&serving->drained_until);
    if (drained) until = pier__earlier(until, drained);
    struct pier__op op = {.code = PIER_OP_POLL,
        .fd = serving->use.fd,
        .life = &serving->use.entry->life,
        .timeout = PIER_NEVER,
        .deadline = pier__earlier(own, until),
        .with.poll = {.fds = fds, .count = listener ? 1 : 0}};
    int64_t n = pier__await(&op);
    if (n == -ETIME && own > pier__seam->now()) return 0; /* only the pause is over, or the drain */
    return n < 0 ? (int)n : 0;
}

static size_t room_left(const struct pier__serving *serving)
{
    size_t active = atomic_load_explicit(&serving->active, memory_order_relaxed);
    return active < serving->max_clients ? serving->max_clients - active : 0;
}

/* How many clients more there may be. If none, the server hears when that has changed. */
static size_t room(struct pier__serving *serving)
{
    size_t left = room_left(serving);
    if (left > 0) return left; /* others only make more of it */
    pthread_mutex_lock(&serving->lock);
    left = room_left(serving);
    serving->awaited = left == 0;
    pthread_mutex_unlock(&serving->lock);
    return left;
}

static bool is_shortage(int err)
{
    return err == -EMFILE || err == -ENFILE || err == -ENOBUFS || err == -ENOMEM;
}

/*
 * Nothing to be had of what accept needs: the client stays queued, and the server does not spin. A
 * client that goes may leave what is needed, so that ends the pause.
 */
static int pause_for(struct pier__serving *serving)
{
    pier__serve_count(&serving->counts->backoffs, 1);
    pier_time pause = serving->pause ? 2 * serving->pause : FIRST_PAUSE;
    serving->pause = pause < LAST_PAUSE ? pause : LAST_PAUSE;
    pthread_mutex_lock(&serving->lock);
    serving->awaited = true;
    pthread_mutex_unlock(&serving->lock);
    return wait_for_news(serving, /* listener= */ false, pier__seam->now() + serving->pause);
}

/* Have an accepted client served: 0 or -ENOMEM. */
static int serve_one(struct pier__serving *serving, int s)
{
    pier__serve_count(&serving->counts->accepted, 1);
    struct pier__client *client = pier__client_new(serving, s);
    int err = client ? pier__client_start(client) : -ENOMEM;
    if (err == 0) serving->pause = 0;
    return err;
}

/* By the kernel, while the server waits. */

/*
 * In the loop: a client, whose descriptor this is. Its failures end the accepting, for the server
 * to see to.
 */
static void take(struct pier__serving *serving, int fd)
{
    size_t left = room(serving);
    int s = pier__accepted(&serving->use, fd, serving->accept_flags), err = s;
    serving->failures = 0;
    if (s >= 0 && left > 0) {
        err = serve_one(serving, s);
    } else if (s >= 0) {
        struct pier__client *client = pier__client_new(serving, s);
        err = client ? 0 : -ENOMEM;
        if (client) {
            *serving->spare = client;
            serving->spare = &client->after;
        }
    }
    if (err < 0) serving->accept_error = err;
    if (err < 0 || left <= MUCH_ROOM) pier__accepting_cancel(&serving->accepting);
}

static void told(struct pier__accepting *accepting, int64_t result)
{
    struct pier__serving *serving = PIER_CONTAINER_OF(accepting, struct pier__serving, accepting);
    if (result >= 0)
        take(serving, (int)result);
    else if (result != -ECANCELED && serving->accept_error == 0)
        serving->accept_error = (int)result;
    if (!accepting->runs) pier__wake(serving->waker);
}

static int begin_polling(struct pier__serving *serving)
{
    serving->polls = true;
    return pier__set_nonblock(serving->use.entry, serving->use.fd, true);
}

/* What the accepting has ended with. 0, or how the listener failed. */
static int answer(struct pier__serving *serving, int err)
{
    serving->accept_error = 0;
    if (err == -EAGAIN) return begin_polling(serving); /* it is O_NONBLOCK */
    if (is_shortage(err)) return pause_for(serving);
    if (!pier__accept_is_transient(err)) return err;
    if (++serving->failures % FAILURES_IN_A_ROW != 0) return 0;
    return wait_for_news(serving, /* listener= */ false, pier__seam->now() + PIER_SECOND / 1000);
}

/*
 * See that the kernel accepts, if there is room, and wait until there is something else to do. 0 or
 * a code.
 */
static int let_accept(struct pier__serving *serving)
{
    if (pier__serve_surplus(serving))
        return wait_for_news(serving, /* listener= */ false, PIER_NEVER);
    if (serving->accepting.runs) return wait_for_news(serving, /* listener= */ false, PIER_NEVER);
    if (serving->accept_error < 0) return answer(serving, serving->accept_error);
    size_t left = room(serving);
    if (left > 0) {
        serving->accepting.told = told;
        serving->accept_flags = pier__accept_flags();
        if (!pier__accepting_begin(&serving->accepting, &serving->use.entry->life, serving->use.fd,
                serving->accept_flags, left > MUCH_ROOM))
            return begin_polling(serving);
    }
    return wait_for_news(serving, /* listener= */ false, PIER_NEVER);
}

static void end_accepting(struct pier__serving *serving)
{
    if (serving->accepting.runs) pier__accepting_cancel(&serving->accepting);
    while (serving->accepting.runs) {
        (void)pier__await_woken_shielded(PIER_NEVER);
    }
}

/* By calling accept. */

/*
 * Take one client if there is room and one is queued, or wait until it is worth another try. 1:
 * taken; 0: waited; or a code, of which -EAGAIN is for a server that is being stopped: nobody is
 * queued.
 */
static int take_one(struct pier__serving *serving, bool stopping)
{
    if (pier__serve_surplus(serving) || room(serving) == 0)
        return wait_for_news(serving, /* listener= */ false, PIER_NEVER);
    struct pier__sockaddr peer;
    int off = stopping ? 0 : pier__task_begin(); /* the others have a turn, however many come */
    if (off < 0) return off;
    int s = pier__accept_in(&serving->use, &peer, /* wait= */ false);
    int err = s < 0 ? s : serve_one(serving, s);
    if (err == 0) return 1;
    if (is_shortage(err)) return pause_for(serving);
    if (err != -EAGAIN || stopping) return err;
    return wait_for_news(serving, /* listener= */ true, PIER_NEVER);
}

/* How many clients are queued? More than can be where that is not told. */
static size_t queued(const struct pier__serving *serving)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof info;
    int family = serving->use.entry->family;
    if (family != AF_INET && family != AF_INET6) return SIZE_MAX;
    int err = pier__seam->getsockopt(serving->use.fd, IPPROTO_TCP, TCP_INFO, &info, &size);
    return err < 0 ? SIZE_MAX : info.tcpi_unacked; /* a listener's has this meaning */
}

/* Accept until somebody stops it. 0, or how the listener failed. */
static int accept_all(struct pier__serving *serving)
{
    while (atomic_load(&serving->drained_until) == 0) {
        int taken = serving->polls ? take_one(serving, /* stopping= */ false) : let_accept(serving);
        if (taken < 0) return taken;
    }
    return 0;
}

/*
 * Accept who was queued when it was stopped, but not for ever who comes then, until the drain is
 * over. From now on the listener is O_NONBLOCK: who shares it, in another process, may rely on that
 * by then.
 */
static int accept_queued(struct pier__serving *serving)
{
    size_t left = queued(serving);
    int err = begin_polling(serving);
    if (err < 0) return err;
    while (left > 0 && !pier__serve_is_drained(serving)) {
        int taken = take_one(serving, /* stopping= */ true);
        if (taken < 0) return taken;
        left -= (size_t)taken;
    }
    return 0;
}

bool pier__serve_surplus(struct pier__serving *serving)
{
    while (serving->surplus) {
        struct pier__client *client = serving->surplus;
        bool over = pier__serve_is_drained(serving);
        if (!over && room(serving) == 0) return true;
        serving->surplus = client->after;
        if (!serving->surplus) serving->spare = &serving->surplus;
        client->after = NULL;
        pier__serve_count(&serving->counts->accepted, 1);
        if (over)
            pier__client_discarded(client);
        else
            (void)pier__client_start(client);
    }
    return false;
}

int pier__serve_accept(struct pier__serving *serving)
{
    serving->spare = &serving->surplus;
    int err = accept_all(serving);
    end_accepting(serving);
    return err < 0 ? err : accept_queued(serving);
}
