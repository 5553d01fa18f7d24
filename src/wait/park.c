/* SPDX-License-Identifier: MIT */
/*
 * The task half of the door: an operation is handed to the loop's backend, and the task parked
 * until it has ended.
 */
#include "wait/park.h"

#include "base/seam.h"
#include "wait/whole.h"

#include <errno.h>
#include <fcntl.h>

const char *pier__wait_doing(const struct pier__op *op)
{
    static const char *const words[] = {
        [PIER_OP_RECV] = "recv",
        [PIER_OP_RECVFROM] = "recvfrom",
        [PIER_OP_RECVMSG] = "recvmsg",
        [PIER_OP_RECVMMSG] = "recv_many",
        [PIER_OP_SEND] = "send",
        [PIER_OP_SENDTO] = "sendto",
        [PIER_OP_SENDMSG] = "sendmsg",
        [PIER_OP_SENDMMSG] = "send_many",
        [PIER_OP_SENDFILE] = "sendfile",
        [PIER_OP_ACCEPT] = "accept",
        [PIER_OP_CONNECT] = "connect",
        [PIER_OP_POLL] = "poll",
    };
    if (op->code == PIER_OP_POLL && op->with.poll.doing) return op->with.poll.doing;
    if (op->code == PIER_OP_POLL && op->with.poll.count == 0)
        return op->deadline == PIER_NEVER ? "a wake" : "a point in time";
    return words[op->code];
}

/* Is there a reason not to wait any longer? */
static int reason(struct pier__wait *w)
{
    if (pier__op_closing(w->op)) return -ECANCELED;
    int code = w->op->shielded ? 0 : pier__task_called_off(w->task);
    w->taken = code < 0;
    if (code < 0) return code;
    return w->limit != PIER_NEVER && pier__seam->now() >= w->limit ? -ETIME : 0;
}

int64_t pier__wait_deliver(const struct pier__wait *w)
{
    if (w->moved > 0) return 0;
    return w->taken ? pier__task_take_off(w->task, w->off) : w->off;
}

static void park(struct pier__wait *w, pier_time until)
{
    w->task->shielded = w->off < 0 || w->op->shielded;
    w->task->local = w->op->local;
    pier__task_park(w->task, pier__wait_doing(w->op), until);
    w->task->shielded = w->task->local = false;
}

/* Field by field: to zero it as a whole first costs more than all the rest of a wait. */
static void prepare(
    struct pier__pending *p, struct pier__op *op, int fd, struct pier__life *life, short events)
{
    p->op = op;
    p->life = life;
    p->next = NULL;
    p->link = NULL;
    p->result = 0;
    p->fd = fd;
    p->lies = 0;
    p->events = events;
    p->done = p->canceled = false;
    p->report = NULL;
    p->does = PIER__RING_ALL;
    p->owed = PIER__OWES_NOTHING;
    p->message = NULL;
}

/* Begin an operation on one descriptor: it is in the watch of that until it is done. */
static void start(struct pier__wait *w, struct pier__pending *p)
{
    struct pier__loop *loop = w->task->loop;
    p->task = w->task;
    struct pier__watch *watch = pier__loop_watch(loop, p->fd);
    if (!watch) { /* no memory, unless it is a number that no descriptor can have */
        int err = pier__seam->fcntl(p->fd, F_GETFD, 0);
        pier__pending_done(p, err < 0 ? err : -ENOMEM);
        return;
    }
    struct pier__pending **link = &watch->first;
    while (*link) {
        link = &(*link)->next;
    }
    *link = p;
    p->link = link;
    loop->backend->start(loop, p, watch);
}

/* Let those go on that have not ended, until they have. */
static void finish(struct pier__wait *w, struct pier__pending *parts, size_t count, size_t enough)
{
    struct pier__loop *loop = w->task->loop;
    for (;;) {
        size_t ended = 0;
        for (size_t i = 0; i < count; i++) {
            ended += parts[i].done;
        }
        if (ended >= enough) return;
        int why = w->off < 0 ? 0 : reason(w);
        if (why == 0) {
            park(w, w->off < 0 ? PIER_NEVER : w->limit);
            /*
             * Being woken ends the waiting, not the ending: what is cancelled is still the
             * kernel's.
             */
            if (w->op->code == PIER_OP_POLL && w->off == 0 && w->task->waker.woken) return;
            continue;
        }
        w->off = why;
        for (size_t i = 0; i < count; i++) {
            if (!parts[i].done) loop->backend->cancel(loop, &parts[i]);
        }
        enough = count;
    }
}

int pier__wait_nap(struct pier__wait *w, unsigned before)
{
    pier_time until = pier__point(pier__seam->now(), pier__op_nap(before));
    struct pier__waiter waiter = {.waker = &w->task->waker};
    if (w->op->life) pier__life_watch(w->op->life, &waiter);
    while ((w->off = reason(w)) == 0 && pier__seam->now() < until) {
        park(w, pier__earlier(until, w->limit));
    }
    if (w->op->life) pier__life_unwatch(&waiter);
    w->task->waker.woken = false;
    return w->off;
}

int64_t pier__wait_attempt(struct pier__wait *w)
{
    int64_t n;
    do {
        n = pier__op_try(w->op, /* wait= */ false);
    } while (n == -EINTR && !pier__op_goes_on(w->op));
    return n;
}

/* Run the operation to its end by the backend. -EAGAIN: try again after a nap. */
static int64_t run(struct pier__wait *w)
{
    struct pier__message message;
    struct pier__pending p;
    prepare(&p, w->op, w->op->fd, w->op->life, pier__op_events(w->op));
    p.message = &message;
    w->task->pendings = &p;
    w->task->pending_count = 1;
    start(w, &p);
    finish(w, &p, 1, 1);
    w->task->pendings = NULL;
    w->task->pending_count = 0;
    if (w->off == 0 || (p.result != -ECANCELED && p.result != -EAGAIN)) return p.result;
    /*
     * However short the time-out, what is there by then is still taken. Not so for sends: a socket
     * that makes a little room all the time would never be late.
     */
    bool looks = w->off == -ETIME && w->op->timeout != PIER_NEVER && !pier__op_sends(w->op);
    int64_t n = looks ? pier__wait_attempt(w) : -EAGAIN;
    return n == -EAGAIN || n == -EINPROGRESS ? pier__wait_deliver(w) : n;
}

int64_t pier__wait_call(struct pier__wait *w)
{
    struct pier__op *op = w->op;
    for (unsigned naps = 0;; naps++) {
        bool blind = pier__op_blind(op);
        int64_t n = blind ? pier__wait_attempt(w) : run(w);
        if (blind && pier__op_connects(op, n)) n = run(w);
        if (n == -EAGAIN) n = pier__op_look_for_end(op);
        if (n != -EAGAIN) return pier__op_settle(op, n);
        if (pier__wait_nap(w, naps) < 0) return pier__wait_deliver(w);
    }
}

/* How many of the descriptors are ready, told in their revents. */
static int64_t collect(const struct pier__op *op, const struct pier__pending *parts)
{
    int64_t ready = 0;
    for (size_t i = 0; i < op->with.poll.count; i++) {
        struct pollfd *fd = &op->with.poll.fds[i];
        fd->revents = 0;
        if (fd->fd < 0 || parts[i].result == -ECANCELED || parts[i].result == -EAGAIN) continue;
        fd->revents = parts[i].result < 0 ? POLLERR : (short)parts[i].result;
        if (parts[i].result == -EBADF) fd->revents = POLLNVAL;
        ready += fd->revents != 0;
    }
    return ready;
}

static int64_t poll_parts(struct pier__wait *w, struct pier__pending *parts)
{
    struct pier__op *op = w->op;
    size_t count = op->with.poll.count, idle = 0;
    w->task->pendings = parts;
    w->task->pending_count = count;
    for (size_t i = 0; i < count; i++) {
        const struct pollfd *fd = &op->with.poll.fds[i];
        struct pier__life *own = fd->fd == op->fd ? op->life : NULL;
        prepare(
            &parts[i], op, fd->fd, op->with.poll.lives ? op->with.poll.lives[i] : own, fd->events);
        parts[i].done = fd->fd < 0;
        parts[i].result = -ECANCELED;
        idle += parts[i].done;
        if (!parts[i].done) start(w, &parts[i]);
    }
    if (!w->task->waker.woken) finish(w, parts, count, idle + (count > idle || count == 0));
    int off = w->off;
    if (off == 0) w->off = -ECANCELED; /* the others need not wait any more */
    for (size_t i = 0; i < count; i++) {
        if (!parts[i].done) w->task->loop->backend->cancel(w->task->loop, &parts[i]);
    }
    finish(w, parts, count, count);
    w->off = off;
    w->task->pendings = NULL;
    w->task->pending_count = 0;
    return collect(op, parts);
}

#define FEW 4 /* parts that find room on the stack */

int64_t pier__wait_poll(struct pier__wait *w)
{
    struct pier__op *op = w->op;
    struct pier__pending few[FEW], *parts = few;
    size_t count = op->with.poll.count;
    if (count > FEW) parts = pier__seam->allocate(NULL, count * sizeof *parts);
    if (!parts) return -ENOMEM;
    struct pier__waiter waiter = {.waker = &w->task->waker};
    if (op->life) pier__life_watch(op->life, &waiter);
    int64_t ready = poll_parts(w, parts);
    if (op->life) pier__life_unwatch(&waiter);
    if (parts != few) pier__seam->release(parts);
    if (op->life && pier__life_closing(op->life)) return -ECANCELED;
    bool woken = w->task->waker.woken;
    w->task->waker.woken = false;
    return ready > 0 || woken || w->off == 0 ? ready : pier__wait_deliver(w);
}

/* Was a send cut short, for which nothing but the want of room may have been a reason? */
static bool may_go_on(const struct pier__wait *w, int64_t n)
{
    const struct pier__op *op = w->op;
    if (!op->whole || n <= 0 || w->off < 0 || !pier__op_unlimited(op)) return false;
    bool counted = op->code != PIER_OP_SENDMSG;
    return !(counted && (size_t)n == op->with.out.len) && !(op->flags & MSG_ZEROCOPY);
}

PIER_FLAT int64_t pier__task_await(struct pier__task *task, struct pier__op *op)
{
    struct pier__wait w = {.task = task, .op = op, .limit = op->deadline};
    if (!op->shielded) {
        int code = pier__task_called_off(task);
        if (PIER_UNLIKELY(code < 0)) return pier__task_take_off(task, code);
    }
    if (op->timeout != PIER_NEVER)
        w.limit = pier__earlier(w.limit, pier__point(pier__seam->now(), op->timeout));
    pier__task_spend(task);
    if (PIER_UNLIKELY(pier__op_receives(op) && op->flags & MSG_WAITALL)) return pier__wait_all(&w);
    if (op->code == PIER_OP_POLL) return pier__wait_poll(&w);
    int64_t n = pier__wait_call(&w);
    return PIER_UNLIKELY(may_go_on(&w, n)) ? pier__wait_send_rest(&w, n) : n;
}
