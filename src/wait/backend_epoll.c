/* SPDX-License-Identifier: MIT */
/*
 * Finishing operations by epoll(7): try, wait for the edge, try again.
 *
 * A socket of pier's is registered once, for every edge, with its number and birth as data; what
 * was told is kept in its watch until a call says otherwise: EAGAIN, or fewer bytes than there was
 * room for. A bare descriptor, which may be closed behind our back, is registered for one event at
 * a time.
 */
#include "base/seam.h"
#include "wait/loop.h"

#include <errno.h>
#include <sys/epoll.h>

#define EVENTS 256 /* taken at once */

#define READABLE 1
#define WRITABLE 2

/* After so many events that were none, readiness is not believed any more. */
#define LIES 3

#define FD_BITS 24
#define WAKE    UINT64_MAX /* the loop's eventfd */

struct epoll {
    int fd;
    struct epoll_event events[EVENTS];
};

static int control(struct pier__loop *loop, int op, int fd, uint32_t events, uint64_t data)
{
    const struct epoll *epoll = loop->state;
    struct epoll_event event = {.events = events, .data.u64 = data};
    return pier__seam->epoll_ctl(epoll->fd, op, fd, &event);
}

static int epoll_open(struct pier__loop *loop)
{
    struct epoll *epoll = pier__seam->allocate(NULL, sizeof *epoll);
    if (!epoll) return -ENOMEM;
    epoll->fd = pier__seam->epoll_create(EPOLL_CLOEXEC);
    loop->state = epoll;
    loop->fd = epoll->fd;
    int err =
        epoll->fd < 0 ? epoll->fd : control(loop, EPOLL_CTL_ADD, loop->eventfd, EPOLLIN, WAKE);
    if (err >= 0) return 0;
    if (epoll->fd >= 0) pier__seam->close(epoll->fd);
    pier__seam->release(epoll);
    return err;
}

static void epoll_close(struct pier__loop *loop)
{
    struct epoll *epoll = loop->state;
    pier__seam->close(epoll->fd);
    pier__seam->release(epoll);
}

static void epoll_abandon(struct pier__loop *loop)
{
    const struct epoll *epoll = loop->state;
    pier__seam->close(epoll->fd);
}

void pier__backend_epoll_forget(struct pier__loop *loop, int fd)
{
    (void)control(loop, EPOLL_CTL_DEL, fd, 0, 0);
}

static uint64_t birth_of(const struct pier__pending *p)
{
    return p->life ? atomic_load_explicit(&p->life->birth, memory_order_relaxed) : 0;
}

/* Register a socket for every edge; what it is now is told at once. */
static int set_edges(struct pier__loop *loop, int op, int fd, uint64_t birth)
{
    const uint32_t events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | (uint32_t)EPOLLET;
    return control(loop, op, fd, events, birth << FD_BITS | (uint64_t)fd);
}

/* Register a bare descriptor for the next event that one of its operations waits for. */
static int arm_bare(struct pier__loop *loop, struct pier__watch *watch, int fd)
{
    uint32_t events = EPOLLONESHOT;
    for (const struct pier__pending *p = watch->first; p; p = p->next) {
        events |= (uint16_t)p->events; /* the bits are the same, epoll(7) */
    }
    int err = control(loop, EPOLL_CTL_ADD, fd, events, (uint64_t)fd);
    if (err == -EEXIST && watch->birth) /* a socket of pier's, or it was */
        return set_edges(loop, EPOLL_CTL_MOD, fd, watch->birth);
    if (err == -EEXIST) err = control(loop, EPOLL_CTL_MOD, fd, events, (uint64_t)fd);
    if (err < 0) return err;
    watch->bare = true;
    watch->birth = 0;
    return 0;
}

/*
 * Register what p waits for. After a try that found nothing, a socket that is registered is so
 * again: then epoll looks at it anew, and an edge that was lost to whatever made the call fail is
 * told after all. Likewise where a receive stopped before the last byte that was there.
 */
static int arm(
    struct pier__loop *loop, struct pier__watch *watch, const struct pier__pending *p, bool tried)
{
    uint64_t birth = birth_of(p);
    if (birth == 0) return arm_bare(loop, watch, p->fd);
    if (watch->birth == birth && !tried && !watch->doubt) return 0;
    watch->doubt = false;
    if (watch->birth == birth) return set_edges(loop, EPOLL_CTL_MOD, p->fd, birth);
    int err = set_edges(loop, EPOLL_CTL_ADD, p->fd, birth);
    if (err == -EEXIST) err = set_edges(loop, EPOLL_CTL_MOD, p->fd, birth);
    if (err < 0) return err;
    watch->birth = birth;
    watch->bare = watch->ended = watch->urgent = false;
    watch->ready = 0;
    return 0;
}

static void end(
    struct pier__loop *loop, struct pier__pending *p, struct pier__watch *watch, int64_t n)
{
    int fd = p->fd;
    pier__pending_done(p, n);
    if (!watch->bare) return;
    if (watch->first) {
        (void)arm_bare(loop, watch, fd);
        return;
    }
    (void)control(loop, EPOLL_CTL_DEL, fd, 0, 0);
    watch->bare = false;
}

static uint8_t direction(const struct pier__pending *p)
{
    return p->events & POLLOUT ? WRITABLE : READABLE;
}

/* What a result says about the next call. */
static void learn(const struct pier__pending *p, struct pier__watch *watch, int64_t n)
{
    const struct pier__op *op = p->op;
    bool short_read = pier__op_marked(op) && n > 0 && (size_t)n < op->with.in.len &&
                      pier__seam->recv == pier__seam_system.recv; /* a plug may cut it short */
    if (n == -EAGAIN) {
        watch->ready &= (uint8_t)~direction(p);
        if (direction(p) == READABLE) watch->ended = false;
    } else if (short_read && !(op->flags & MSG_PEEK) && !watch->ended) {
        watch->ready &= (uint8_t)~READABLE;
        watch->doubt = watch->urgent || !(atomic_load(&p->life->traits) & PIER__DRAINS);
    }
}

/* What poll(2) says of its descriptor now. A receive shall know it, too. */
static int64_t look(const struct pier__pending *p, struct pier__watch *watch)
{
    struct pollfd fd = {.fd = p->fd, .events = p->events};
    int64_t n = pier__seam->poll(&fd, 1, 0);
    if (n > 0 && fd.revents & (POLLIN | POLLHUP | POLLERR)) watch->ready |= READABLE;
    return n > 0 ? fd.revents : n == 0 ? -EAGAIN : n;
}

/* One try: true when it has ended, with *out. */
static bool attempt(struct pier__pending *p, struct pier__watch *watch, int64_t *out)
{
    bool poll = p->op->code == PIER_OP_POLL;
    enum pier__turnout turnout;
    do {
        *out = poll ? look(p, watch) : pier__op_try(p->op, /* wait= */ false);
        learn(p, watch, *out);
        turnout = pier__pending_judge(p, *out);
    } while (turnout == PIER__ANEW);
    return turnout == PIER__ENDED;
}

/* Is it worth a try before there was an event? */
static bool tries_first(const struct pier__pending *p, const struct pier__watch *watch)
{
    const struct pier__op *op = p->op;
    bool known = watch->birth && watch->birth == birth_of(p);
    if (op->code == PIER_OP_CONNECT) return !op->connecting;
    if (pier__op_sends(op)) return true; /* there may be room though poll(2) sees too little */
    if (pier__op_fails(op)) return true;
    if (known) return watch->ready & READABLE || watch->ended;
    if (pier__op_marked(op)) return pier__life_marked(op->life, PIER__READABLE);
    return op->code != PIER_OP_ACCEPT || op->life;
}

static PIER_FLAT void epoll_start(
    struct pier__loop *loop, struct pier__pending *p, struct pier__watch *watch)
{
    int64_t n;
    bool poll = p->op->code == PIER_OP_POLL;
    if (p->op->code == PIER_OP_CONNECT) watch->ready = watch->ended = 0;
    bool tried = !poll && tries_first(p, watch);
    if (tried && attempt(p, watch, &n)) {
        pier__pending_done(p, n);
        return;
    }
    int err = arm(loop, watch, p, tried && !p->op->connecting);
    if (err == -EPERM) { /* a file, say, that is always ready; or so it says */
        pier__pending_done(p, attempt(p, watch, &n) ? n : -EAGAIN);
    } else if (err < 0) {
        pier__pending_done(p, err);
    } else if (poll && attempt(p, watch, &n)) {
        end(loop, p, watch, n);
    }
}

static void epoll_cancel(struct pier__loop *loop, struct pier__pending *p)
{
    struct pier__watch *watch = pier__loop_watch(loop, p->fd);
    end(loop, p, watch, -ECANCELED);
}

/* An event: whoever waits for what it tells has another try, in the order of their coming. */
static void tell(struct pier__loop *loop, int fd, uint64_t birth, uint32_t events)
{
    struct pier__watch *watch = pier__loop_watch(loop, fd);
    if (!watch || watch->birth != birth) return; /* a ghost: the number is another's now */
    uint8_t told = 0;
    if (events & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) told |= READABLE;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) told |= WRITABLE;
    watch->ready |= told;
    /*
     * An end, or an urgent byte in the middle: fewer bytes than there was room for do not mean that
     * there are no more.
     */
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLPRI)) watch->ended = true;
    if (events & EPOLLPRI) watch->urgent = true;
    for (struct pier__pending *p = watch->first, *next; p; p = next) {
        int64_t n;
        next = p->next;
        if (!(told & direction(p))) continue;
        bool worth = watch->ready & direction(p);
        if (!worth && !watch->doubt) continue; /* those before it have taken all */
        if (worth && attempt(p, watch, &n)) {
            end(loop, p, watch, n);
        } else if (worth && ++p->lies > LIES && p->op->code != PIER_OP_CONNECT) {
            /* No edge will tell of it again: after its nap it shall try. */
            watch->ready |= direction(p);
            end(loop, p, watch, -EAGAIN);
        } else if (!watch->bare && watch->birth) {
            (void)arm(loop, watch, p, /* tried= */ true);
        }
    }
    if (watch->bare && watch->first) (void)arm_bare(loop, watch, fd);
}

/* epoll counts milliseconds; never early. */
static int milliseconds(pier_time deadline)
{
    if (deadline == PIER_NEVER) return -1;
    pier_time left = deadline == 0 ? 0 : deadline - pier__seam->now();
    if (left <= 0) return 0;
    left = (left + 999999) / 1000000;
    return left < 1000000000 ? (int)left : 1000000000;
}

static PIER_FLAT int epoll_wait_events(struct pier__loop *loop, pier_time deadline)
{
    struct epoll *epoll = loop->state;
    int n = pier__seam->epoll_wait(epoll->fd, epoll->events, EVENTS, milliseconds(deadline));
    for (int i = 0; i < n; i++) {
        uint64_t data = epoll->events[i].data.u64;
        if (data == WAKE)
            pier__loop_signalled(loop);
        else
            tell(
                loop, (int)(data & ((1 << FD_BITS) - 1)), data >> FD_BITS, epoll->events[i].events);
    }
    return n < 0 ? n : 0;
}

const struct pier__backend pier__backend_epoll = {
    .name = "epoll",
    .open = epoll_open,
    .close = epoll_close,
    .abandon = epoll_abandon,
    .start = epoll_start,
    .cancel = epoll_cancel,
    .wait = epoll_wait_events,
};
