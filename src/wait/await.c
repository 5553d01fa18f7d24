/* SPDX-License-Identifier: MIT */
#include "wait/await.h"

#include "base/seam.h"
#include "base/time.h"
#include "wait/task.h"
#include "wait/thread.h"

#include <errno.h>

/* A doubt: how many receives still poll first; above it, how many guesses were wrong. */
#define PAUSE      31
#define WRONG      (PAUSE + 1)
#define MOST_WRONG 5

/* A wait in progress. */
struct wait {
    struct pier__op *op;
    pier_time limit; /* when to give up; 0: not yet computed */
    unsigned lies;   /* how often poll said ready and the call EAGAIN */
    bool told;       /* poll has just said ready */
    bool nap;        /* the next wait is a nap */
};

static int64_t interrupted(struct pier__op *op)
{
    int err = pier__thread_interrupted(op->life);
    if (err < 0) return err;
    return op->life && pier__life_closing(op->life) ? -ECANCELED : 0;
}

/* poll(2) on these descriptors and, behind them, on the thread's own, which closing writes to. */
static int64_t poll_watched(
    struct pier__life *life, struct pollfd *fds, nfds_t count, pier_time until)
{
    struct pier__waiter waiter;
    int err = pier__thread_waker(&waiter.waker);
    if (err < 0) return err;
    fds[count] = (struct pollfd){.fd = waiter.waker->fd, .events = POLLIN};
    if (life) pier__life_watch(life, &waiter);
    if (life && pier__life_closing(life)) until = 0;
    int64_t n = pier__seam->poll(fds, count + 1, until);
    if (life) pier__life_unwatch(&waiter);
    if (n <= 0 || !fds[count].revents) return n;
    pier__thread_woken();
    return n - 1;
}

static int64_t poll_once(struct wait *w)
{
    struct pier__op *op = w->op;
    if (op->unwoken) return pier__seam->poll(op->with.poll.fds, op->with.poll.count, w->limit);
    if (op->code == PIER_OP_POLL)
        return poll_watched(op->life, op->with.poll.fds, op->with.poll.count, w->limit);

    struct pollfd fds[2] = {{.fd = op->fd, .events = pier__op_events(op)}};
    pier_time until = w->limit;
    if (w->nap) {
        int64_t nap = pier__op_nap(pier__op_blind(op) ? w->lies - 2 : 0);
        until = pier__earlier(until, pier__seam->now() + nap);
        fds[0].fd = -1;
    }
    if (!op->life || pier__op_shutdown_wakes(op)) return pier__seam->poll(fds, 1, until);
    return poll_watched(op->life, fds, 1, until);
}

/* Wait until the op is worth another try: 0 or more. PIER_OP_POLL: how many are ready. */
static int64_t wait_ready(struct wait *w)
{
    struct pier__op *op = w->op;
    if (w->limit == 0) { /* however short the time-out: the first poll looks */
        w->limit = op->deadline;
        if (op->timeout != PIER_NEVER)
            w->limit = pier__earlier(w->limit, pier__point(pier__seam->now(), op->timeout));
    } else if (w->limit != PIER_NEVER && pier__seam->now() >= w->limit) {
        return -ETIME;
    }
    int64_t n = poll_once(w);
    if (op->life && pier__life_closing(op->life)) return -ECANCELED;
    if (n == -EINTR) return interrupted(op);
    return n;
}

static uint8_t get(_Atomic uint8_t *field)
{
    return atomic_load_explicit(field, memory_order_relaxed);
}

static void set(_Atomic uint8_t *field, int value)
{
    atomic_store_explicit(field, (uint8_t)value, memory_order_relaxed);
}

/* Which doubt grows if the guess is wrong that there is something to receive; NULL: poll first. */
static _Atomic uint8_t *guess_readable(const struct pier__op *op)
{
    if (!op->life || !pier__op_receives(op)) return NULL;
    struct pier__guess *guess = &op->life->guess;
    bool marked = pier__op_marked(op) && pier__life_marked(op->life, PIER__READABLE);
    _Atomic uint8_t *doubt = marked ? &guess->marked : &guess->unmarked;
    if (get(doubt) % WRONG == 0) return doubt;
    set(doubt, get(doubt) - 1);
    return NULL;
}

static void learn_guess(_Atomic uint8_t *doubt, bool right)
{
    int wrong = get(doubt) / WRONG;
    if (right)
        set(doubt, (wrong > 0 ? wrong - 1 : 0) * WRONG);
    else if (wrong < MOST_WRONG)
        set(doubt, (wrong + 1) * WRONG + (1 << wrong));
    else
        set(doubt, wrong * WRONG + PAUSE);
}

/* Keep the mark: what this result says about the next receive. */
static void learn(struct pier__op *op, int64_t n)
{
    pier__life_mark(op->life, n > 0 && (size_t)n == op->with.in.len);
}

/* Is the first move to try, or to poll? */
static bool tries_first(const struct pier__op *op)
{
    if (op->code == PIER_OP_ACCEPT) return false; /* it might block: there is no flag for it */
    if (pier__op_sends(op)) return !pier__op_full(op);
    return !pier__op_receives(op) || pier__op_unlimited(op) || pier__op_fails(op);
}

/* What a try's result means: wait and try again (true), or it is the op's end. */
static bool must_wait(struct wait *w, int64_t n)
{
    struct pier__op *op = w->op;
    if (pier__op_connects(op, n)) return true;
    if (n != -EAGAIN) return false;
    bool blind = pier__op_blind(op);
    if (op->code == PIER_OP_CONNECT && w->lies == 0) w->lies = 1; /* there is no asking at all */
    if (w->told || (blind && w->lies > 0)) w->lies++;
    w->nap = w->lies > 1 && (w->told || blind);
    return true;
}

/* Try without waiting. True when the op has ended, in *out; false when it must be waited for. */
static bool try_once(struct wait *w, _Atomic uint8_t *guessed, int64_t *out)
{
    struct pier__op *op = w->op;
    for (;;) {
        int64_t n = pier__op_try(op, /* wait= */ false);
        if (pier__op_marked(op)) learn(op, n);
        if (guessed) learn_guess(guessed, n != -EAGAIN);
        if (pier__op_sends(op)) pier__op_learn_room(op, n);
        if (n == -EAGAIN && w->told) n = pier__op_look_for_end(op);
        if (must_wait(w, n)) return false;
        *out = n == -EINTR ? interrupted(op) : pier__op_settle(op, n);
        if (n != -EINTR || *out < 0) return true;
    }
}

/* Try, wait, try again, until the limit. */
static int64_t await_limited(struct pier__op *op)
{
    struct wait w = {.op = op};
    _Atomic uint8_t *guessed = guess_readable(op);
    bool try_now = guessed || (tries_first(op) && !op->connecting);
    for (;;) {
        int64_t result;
        if (try_now && try_once(&w, guessed, &result)) return result;
        bool napped = w.nap;
        guessed = NULL;
        int64_t ready = wait_ready(&w);
        if (ready < 0) return ready;
        w.nap = false;
        w.told = ready > 0;
        /* else only woken: SO_ERROR, for one, must not be asked yet */
        try_now = w.told || (napped && pier__op_blind(op));
    }
}

/*
 * May this call wait at all? For the urgent byte and the queue of errors the kernel itself never
 * does (tcp(7), recv(2)).
 */
static bool is_immediate(const struct pier__op *op)
{
    int never = MSG_DONTWAIT | (pier__op_receives(op) ? MSG_OOB | MSG_ERRQUEUE : 0);
    return op->timeout == 0 || op->flags & never;
}

/*
 * Has pier made it O_NONBLOCK since the call began, of which this op may be but a part? That keeps
 * the limit it began with.
 */
static bool was_set_a_limit(const struct pier__op *op)
{
    return op->life && !is_immediate(op) &&
           atomic_load_explicit(&op->life->mode, memory_order_relaxed) == PIER__MODE_NONBLOCK;
}

int64_t pier__await_tried(struct pier__op *op, int64_t n)
{
    while (n == -EINTR) {
        n = interrupted(op);
        if (n < 0) return n;
        if (pier__op_goes_on(op)) {
            op->connecting = true;
            return await_limited(op);
        }
        n = pier__op_try(op, /* wait= */ true);
    }
    if (n == -EAGAIN && was_set_a_limit(op)) return await_limited(op);
    return pier__op_settle(op, n);
}

/* No waiting: one try. A connect that a signal interrupts goes on without us. */
static int64_t await_never(struct pier__op *op)
{
    if (op->flags & MSG_OOB && op->life) /* from now on receives may stop at its place */
        atomic_fetch_and(&op->life->traits, (uint8_t)~PIER__DRAINS);
    for (;;) {
        int64_t n = pier__op_try(op, /* wait= */ false);
        if (n != -EINTR) return pier__op_settle(op, n);
        if (pier__op_goes_on(op)) return -EINPROGRESS;
        n = interrupted(op);
        if (n < 0) return n;
    }
}

bool pier__await_may_block(const struct pier__op *op)
{
    return !pier__task_here() && pier__op_unlimited(op) &&
           (!op->life || pier__op_shutdown_wakes(op));
}

bool pier__await_is_patient(void) { return !pier__task_here() && !pier__thread_hook.call; }

int64_t pier__await(struct pier__op *op)
{
    if (PIER_UNLIKELY(op->deadline != PIER_NEVER) && pier__seam->now() >= op->deadline)
        return -ETIME;
    struct pier__task *task = pier__task_here();
    if (task) return is_immediate(op) ? await_never(op) : pier__task_await(task, op);
    if (is_immediate(op)) return await_never(op);
    if (op->code == PIER_OP_POLL) return wait_ready(&(struct wait){.op = op});
    if (pier__await_may_block(op)) return pier__await_tried(op, pier__op_try(op, /* wait= */ true));
    return await_limited(op);
}

static int64_t await_woken(struct pier__life *life, pier_time deadline, bool shielded)
{
    struct pollfd room[1];
    struct pier__op op = {.code = PIER_OP_POLL,
        .shielded = shielded,
        .life = life,
        .timeout = PIER_NEVER,
        .deadline = deadline,
        .with.poll = {.fds = room, .count = 0}};
    return pier__await(&op);
}

int64_t pier__await_woken(struct pier__life *life, pier_time deadline)
{
    return await_woken(life, deadline, /* shielded= */ false);
}

int64_t pier__await_woken_shielded(pier_time deadline)
{
    return await_woken(NULL, deadline, /* shielded= */ true);
}

int pier__await_point(pier_time point)
{
    struct pollfd room[1];
    int64_t woken = pier__task_begin(); /* however near it is */
    while (woken >= 0) {
        struct pier__op op = {.code = PIER_OP_POLL,
            .unwoken = true,
            .timeout = PIER_NEVER,
            .deadline = point,
            .with.poll = {.fds = room, .count = 0}};
        woken = pier__await(&op);
    }
    return woken == -ETIME ? 0 : (int)woken;
}
