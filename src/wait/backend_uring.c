/* SPDX-License-Identifier: MIT */
/*
 * Finishing operations by io_uring(7).
 *
 * Most are handed over whole; the ring waits for what is O_NONBLOCK, too, but not for room: a send
 * is tried by it and no more, and one that it could not take together with others is tried first.
 * Of what finds no room, of what is no operation of its own, and where the seam has a plug that must
 * see the call, the kernel only tells when to try. What was handed over belongs to the kernel until
 * its result has come, cancelled or not.
 */
#include "base/seam.h"
#include "base/time.h"
#include "wait/loop.h"
#include "wait/retire.h"
#include "wait/thread.h"

#include <errno.h>
#include <liburing.h>

#define ENTRIES 512
#define RESULTS 4096 /* beyond that the kernel keeps them itself (IORING_FEAT_NODROP) */

/* What a result belongs to, beside those that are pendings. */
#define NOBODY UINT64_C(0)
#define WAKE   UINT64_C(1)

/* A readiness that was none may be a rival's doing; after so many it is not believed any more. */
#define LIES 3

/* How long to wait, in ns, for a kernel that has no room for more. */
#define REST (PIER_SECOND / 1000)

#define GRAVES 128 /* so many descriptors are closed by one call */

/* A descriptor that the kernel is to close, by the entry of this place in the queue. */
struct grave {
    struct pier__life *life;
    int64_t mark;
    int fd;
    unsigned place;
};

struct uring {
    struct io_uring ring; /* first: the state of the loop is a ring, too */
    bool owes; /* the kernel could not be told something: the wake watch, or what a pending owes */
    bool owes_watch;
    unsigned grave_count;
    struct grave graves[GRAVES]; /* in the order of their places */
};

/* The kernel closes a socket while it takes the entry that says so. */
static void clear_graves(struct uring *uring)
{
    unsigned taken = uring->ring.sq.sqe_tail - io_uring_sq_ready(&uring->ring), left = 0;
    for (unsigned i = 0; i < uring->grave_count; i++) {
        const struct grave *grave = &uring->graves[i];
        if ((int)(taken - grave->place) > 0)
            pier__life_clear_grave(grave->life, grave->mark);
        else
            uring->graves[left++] = *grave;
    }
    uring->grave_count = left;
}

static int enter(struct uring *uring, pier_time deadline)
{
    int err = pier__seam->ring_enter(&uring->ring, deadline);
    if (uring->grave_count > 0) clear_graves(uring);
    return err;
}

/*
 * The next entry; NULL: there is none, not even after what is there was to be handed over. Then it
 * is owed.
 */
static struct io_uring_sqe *entry(struct pier__loop *loop, uint64_t data)
{
    struct uring *uring = loop->state;
    struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);
    if (!sqe) {
        (void)enter(uring, 0);
        sqe = io_uring_get_sqe(&uring->ring);
    }
    if (sqe)
        sqe->user_data = data;
    else
        uring->owes = true;
    return sqe;
}

static uint64_t data_of(const struct pier__pending *p) { return (uint64_t)(uintptr_t)p; }

/* The prepare functions of liburing clear user_data. */
#define PREPARE(sqe, data, call)            \
    do {                                    \
        (call);                             \
        io_uring_sqe_set_data64(sqe, data); \
    } while (0)

/* Have the kernel tell when the loop is signalled. */
static int watch_wake(struct pier__loop *loop)
{
    struct uring *uring = loop->state;
    struct io_uring_sqe *sqe = entry(loop, WAKE);
    uring->owes_watch = !sqe;
    if (!sqe) return -EBUSY;
    PREPARE(sqe, WAKE, io_uring_prep_poll_multishot(sqe, loop->eventfd, POLLIN));
    return 0;
}

/* The next result, if one is there already. The kernel is not asked. */
static bool next_result(struct io_uring *ring, struct io_uring_cqe *out)
{
    struct io_uring_cqe *cqe;
    unsigned head;
    io_uring_for_each_cqe(ring, head, cqe)
    {
        *out = *cqe;
        io_uring_cq_advance(ring, 1);
        return true;
    }
    return false;
}

/* A round trip: setting up may be allowed and entering not, or nothing come back. */
static int probe(struct io_uring *ring)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
    struct io_uring_cqe cqe;
    if (!sqe) return -ENOSYS;
    PREPARE(sqe, NOBODY, io_uring_prep_nop(sqe));
    int err;
    pier_time until = pier__seam->now() + PIER_SECOND;
    while ((err = pier__seam->ring_enter(ring, until)) < 0) {
        bool short_of_room = err == -EBUSY || err == -EAGAIN; /* of memory, for the moment */
        if (err != -EINTR && !(short_of_room && pier__seam->now() < until)) return err;
        if (short_of_room) (void)pier__seam->poll(NULL, 0, pier__seam->now() + REST);
    }
    return next_result(ring, &cqe) ? pier__seam->ring_result(cqe.res) : -ENOSYS;
}

static char rings; /* stands for their memory */

static void close_ring(struct io_uring *ring)
{
    pier__switch_unmaps(&rings);
    pier__seam->ring_close(ring);
}

static int uring_open(struct pier__loop *loop)
{
    struct uring *uring = pier__allocate_zeroed(1, sizeof *uring);
    if (!uring) return -ENOMEM;
    struct io_uring *ring = &uring->ring;
    /*
     * What is deferred until somebody enters the ring makes it readable for nobody who waits in
     * poll(2).
     */
    unsigned taskrun = loop->driven ? IORING_SETUP_COOP_TASKRUN : IORING_SETUP_DEFER_TASKRUN;
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER | taskrun |
                                              IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP |
                                              IORING_SETUP_SUBMIT_ALL,
        .cq_entries = RESULTS};
    int err = pier__seam->ring_open(ring, ENTRIES, &params);
    if (err < 0) {
        pier__seam->release(uring);
        return err;
    }
    pier__switch_mapped(&rings);
    loop->state = uring;
    loop->fd = ring->ring_fd;
    err = params.features & IORING_FEAT_NODROP && params.features & IORING_FEAT_EXT_ARG
              ? probe(ring)
              : -ENOSYS;
    if (err == 0) err = watch_wake(loop);
    if (err == 0) return 0;
    close_ring(ring);
    pier__seam->release(uring);
    return err;
}

/* What the kernel has not been told to close. */
static void close_graves(struct uring *uring)
{
    for (unsigned i = 0; i < uring->grave_count; i++) {
        (void)pier__seam->close(uring->graves[i].fd);
        pier__life_clear_grave(uring->graves[i].life, uring->graves[i].mark);
    }
    uring->grave_count = 0;
}

static void uring_close(struct pier__loop *loop)
{
    struct uring *uring = loop->state;
    if (uring->grave_count > 0) (void)enter(uring, 0);
    close_graves(uring);
    close_ring(&uring->ring);
    pier__retire_close(loop);
    pier__seam->release(uring);
}

/*
 * Its memory is not in the child at all. Of what another thread's ring was to close nobody knows
 * whether it was closed, or is somebody else's by now: it stays open, as all clients there do.
 */
static void uring_abandon(struct pier__loop *loop)
{
    struct uring *uring = loop->state;
    pier__seam->close(uring->ring.ring_fd);
    if (loop == pier__loop_here) close_graves(uring);
}

/* Is the call behind it the system's, or a plug's that must see it? */
static bool is_plain(enum pier__opcode code)
{
    const struct pier__seam *seam = pier__seam, *plain = &pier__seam_system;
    switch (code) {
    case PIER_OP_RECV: return seam->recv == plain->recv;
    case PIER_OP_RECVFROM: return seam->recvfrom == plain->recvfrom;
    case PIER_OP_RECVMSG: return seam->recvmsg == plain->recvmsg;
    case PIER_OP_SEND: return seam->send == plain->send;
    case PIER_OP_SENDTO: return seam->sendto == plain->sendto;
    case PIER_OP_SENDMSG: return seam->sendmsg == plain->sendmsg;
    case PIER_OP_ACCEPT: return seam->accept4 == plain->accept4;
    default: return false;
    }
}

/* May it be handed over whole? The ring waits for what is O_NONBLOCK, too. */
static bool can_hand_over(const struct pier__pending *p) { return is_plain(p->op->code); }

static void poll_by(struct pier__loop *loop, struct pier__pending *p, enum pier__ring_does how)
{
    struct io_uring_sqe *sqe = entry(loop, data_of(p));
    p->does = (uint8_t)how;
    p->owed = sqe ? PIER__OWES_NOTHING : PIER__OWES_START;
    if (!sqe) return;
    bool once = how == PIER__RING_POLLS;
    PREPARE(sqe, data_of(p),
        (once ? io_uring_prep_poll_add : io_uring_prep_poll_multishot)(
            sqe, p->fd, (unsigned short)p->events));
    pier__retire_lend(loop, sqe);
}

/* Have the kernel tell when it is ready. */
static void poll_for(struct pier__loop *loop, struct pier__pending *p)
{
    poll_by(loop, p, PIER__RING_POLLS);
}

/*
 * The ring tells unasked that the peer has ended its side (POLLRDHUP), again and again, which says
 * nothing of who waits for room. So it is asked to go on after telling that.
 */
static void poll_on(struct pier__loop *loop, struct pier__pending *p)
{
    poll_by(loop, p, PIER__RING_WATCHES);
}

/* What poll(2) would have told of it. */
static int asked_for(const struct pier__pending *p, int told)
{
    return told & ((unsigned short)p->events | POLLERR | POLLHUP | POLLNVAL);
}

/* A message of one buffer, for what has an address. */
static struct msghdr *message(struct pier__pending *p, const void *name, socklen_t length)
{
    struct pier__op *op = p->op;
    const union {
        const void *in;
        void *out;
    } either = {.in = name}; /* sendmsg(2) only reads it */
    struct pier__message *m = p->message;
    m->iov = (struct iovec){.iov_base = op->with.in.buf, .iov_len = op->with.in.len};
    m->header = (struct msghdr){
        .msg_name = either.out, .msg_namelen = length, .msg_iov = &m->iov, .msg_iovlen = 1};
    return &m->header;
}

/*
 * Is a receive's first try most likely a waste? What is no socket is seen only by a try. And who
 * has just connected has often said something already; but of what is O_NONBLOCK the kernel would
 * say EAGAIN.
 */
static bool polls_first(const struct pier__op *op)
{
    struct pier__life *life = op->life;
    if (!life) return false;
    bool fresh = pier__op_marked(op) && pier__life_marked(life, PIER__UNTRIED);
    return !fresh || atomic_load_explicit(&life->mode, memory_order_relaxed) != PIER__MODE_BLOCKING;
}

/*
 * Of a send: the ring shall not wait for room. After a while of being told of a peer's end, see
 * poll_on(), it would have a thread of the kernel wait, one for each such send.
 */
#define TRY MSG_DONTWAIT

static void prepare(struct io_uring_sqe *sqe, struct pier__pending *p)
{
    struct pier__op *op = p->op;
    unsigned flags = (unsigned)op->flags;
    switch (op->code) {
    case PIER_OP_RECV:
        io_uring_prep_recv(sqe, op->fd, op->with.in.buf, op->with.in.len, op->flags);
        break;
    case PIER_OP_RECVFROM:
        io_uring_prep_recvmsg(
            sqe, op->fd, message(p, op->with.in.addr, *op->with.in.addrlen), flags);
        break;
    case PIER_OP_RECVMSG: io_uring_prep_recvmsg(sqe, op->fd, op->with.msg_in, flags); break;
    case PIER_OP_SEND:
        io_uring_prep_send(
            sqe, op->fd, op->with.out.buf, op->with.out.len, op->flags | TRY | MSG_NOSIGNAL);
        break;
    case PIER_OP_SENDTO:
        io_uring_prep_sendmsg(sqe, op->fd, message(p, op->with.out.addr, op->with.out.addrlen),
            flags | TRY | MSG_NOSIGNAL);
        break;
    case PIER_OP_SENDMSG:
        io_uring_prep_sendmsg(sqe, op->fd, op->with.msg_out, flags | TRY | MSG_NOSIGNAL);
        break;
    default:
        (op->many ? io_uring_prep_multishot_accept : io_uring_prep_accept)(
            sqe, op->fd, op->with.in.addr, op->with.in.addrlen, op->flags | SOCK_CLOEXEC);
        break;
    }
    if (pier__op_receives(op) && polls_first(op)) sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
}

static void hand_over(struct pier__loop *loop, struct pier__pending *p)
{
    struct io_uring_sqe *sqe = entry(loop, data_of(p));
    p->owed = sqe ? PIER__OWES_NOTHING : PIER__OWES_START;
    if (!sqe) return;
    PREPARE(sqe, data_of(p), prepare(sqe, p));
    pier__retire_lend(loop, sqe);
}

/* Keep the marks. */
static void learn(const struct pier__pending *p, int64_t n, bool more)
{
    if (pier__op_sends(p->op)) pier__op_learn_room(p->op, n);
    if (!pier__op_marked(p->op)) return;
    bool filled = n > 0 && (size_t)n == p->op->with.in.len;
    pier__life_mark(p->life, more || filled || (n > 0 && p->op->flags & MSG_PEEK));
}

/* One try: true when it has ended, and is done. */
static bool attempt(struct pier__pending *p)
{
    enum pier__turnout turnout;
    int64_t n;
    do {
        n = pier__op_try(p->op, /* wait= */ false);
        learn(p, n, /* more= */ false);
        turnout = pier__pending_judge(p, n);
    } while (turnout == PIER__ANEW);
    if (turnout == PIER__ENDED) pier__pending_done(p, n);
    return turnout == PIER__ENDED;
}

/*
 * A send whose task is the only one with something to do, and with no other under way before it: by
 * a ring that has nothing else to take it would cost a call as well, and two switches of stacks.
 */
static bool is_lone_send(
    const struct pier__loop *loop, const struct pier__pending *p, const struct pier__watch *watch)
{
    const struct uring *uring = loop->state;
    if (loop->ready_count > 0 || io_uring_sq_ready(&uring->ring) > 0) return false;
    const struct pier__pending *other = watch->first;
    while (other != p && !pier__op_sends(other->op)) {
        other = other->next;
    }
    return other == p;
}

/* Is a call now better than waiting? */
static bool tries_first(const struct pier__loop *loop, const struct pier__pending *p,
    const struct pier__watch *watch, bool whole)
{
    const struct pier__op *op = p->op;
    if (op->code == PIER_OP_CONNECT) return !op->connecting;
    if (pier__op_fails(op)) return true;
    if (pier__op_marked(op)) return pier__life_marked(p->life, PIER__READABLE);
    if (pier__op_sends(op)) return !pier__op_full(op) && (!whole || is_lone_send(loop, p, watch));
    return !whole && pier__op_receives(op) && !p->life; /* it may be no socket */
}

static void uring_start(struct pier__loop *loop, struct pier__pending *p, struct pier__watch *watch)
{
    bool whole = can_hand_over(p);
    if (tries_first(loop, p, watch, whole) && attempt(p)) return;
    if (whole)
        hand_over(loop, p);
    else
        poll_for(loop, p);
}

static bool uring_reports(struct pier__loop *loop, struct pier__pending *p)
{
    if (!can_hand_over(p)) return false;
    hand_over(loop, p);
    return true;
}

static bool uring_closes(struct pier__loop *loop, int fd, struct pier__life *life, int64_t grave)
{
    struct uring *uring = loop->state;
    if (pier__switch_shows_closing()) return false;
    if (uring->grave_count == GRAVES || pier__seam->close != pier__seam_system.close) return false;
    struct io_uring_sqe *sqe = entry(loop, NOBODY);
    if (!sqe) return false;
    PREPARE(sqe, NOBODY, io_uring_prep_close(sqe, fd));
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    uring->graves[uring->grave_count++] =
        (struct grave){.life = life, .mark = grave, .fd = fd, .place = uring->ring.sq.sqe_tail - 1};
    return true;
}

static void call_back(struct pier__loop *loop, struct pier__pending *p)
{
    struct io_uring_sqe *sqe = entry(loop, NOBODY);
    p->owed = sqe ? PIER__OWES_NOTHING : PIER__OWES_CANCEL;
    if (sqe) PREPARE(sqe, NOBODY, io_uring_prep_cancel64(sqe, data_of(p), 0));
}

static void uring_cancel(struct pier__loop *loop, struct pier__pending *p)
{
    p->canceled = true;
    if (p->owed == PIER__OWES_START) /* the kernel knows nothing of it */
        pier__pending_done(p, -ECANCELED);
    else
        call_back(loop, p);
}

static void pay_pending(struct pier__loop *loop, struct pier__pending *p)
{
    if (p->done || p->owed == PIER__OWES_NOTHING) return;
    if (p->owed == PIER__OWES_CANCEL)
        call_back(loop, p);
    else if (p->does == PIER__RING_ALL)
        hand_over(loop, p);
    else
        poll_by(loop, p, p->does);
}

/*
 * Tell the kernel what it could not be told before, as far as there is room now: the watch first,
 * the rest depends on it.
 */
static void pay(struct pier__loop *loop)
{
    struct uring *uring = loop->state;
    if (!uring->owes) return;
    uring->owes = false;
    if (uring->owes_watch) (void)watch_wake(loop);
    for (struct pier__pending *p = loop->reporting; p && !uring->owes; p = p->next) {
        pay_pending(loop, p);
    }
    for (struct pier__task *task = loop->tasks; task; task = task->next) {
        for (size_t i = 0; i < task->pending_count; i++) {
            if (uring->owes) return;
            pay_pending(loop, &task->pendings[i]);
        }
    }
}

/* It is not ended by what came: again, unless it was cancelled meanwhile. */
static void again(struct pier__loop *loop, struct pier__pending *p)
{
    if (p->canceled)
        pier__pending_done(p, -ECANCELED);
    else if (++p->lies > LIES)
        pier__pending_done(p, -EAGAIN);
    else
        poll_for(loop, p);
}

/* The kernel says that it is ready, or why it will not be, and no more. */
static void polled(struct pier__loop *loop, struct pier__pending *p, int result)
{
    int told = result < 0 ? result : asked_for(p, result);
    if (told < 0 || (told > 0 && p->op->code == PIER_OP_POLL))
        pier__pending_done(p, told);
    else if (p->canceled) /* nothing has moved */
        pier__pending_done(p, -ECANCELED);
    else if (told == 0)
        poll_on(loop, p);
    else if (!attempt(p))
        again(loop, p);
}

/* One that goes on telling is ended by what it was to tell. */
static void watched(struct pier__loop *loop, struct pier__pending *p, int result, bool more)
{
    bool ends = p->does == PIER__RING_ENDS;
    if (!more)
        polled(loop, p, ends ? (int)p->result : result);
    else if (!ends && asked_for(p, result)) {
        p->result = result;
        p->does = PIER__RING_ENDS;
        call_back(loop, p);
    }
}

static void ended(struct pier__loop *loop, struct pier__pending *p, int result, uint32_t flags)
{
    struct pier__op *op = p->op;
    if (result == -EAGAIN && !p->canceled) {
        learn(p, result, /* more= */ false);
        poll_for(loop, p);
        return;
    }
    if (result == -EAGAIN) result = -ECANCELED;
    if (!p->canceled && (result == -EINTR || pier__op_connects(op, result))) {
        hand_over(loop, p);
        return;
    }
    if (result == -EINTR) result = -ECANCELED;
    if (result >= 0 && op->code == PIER_OP_RECVFROM)
        *op->with.in.addrlen = p->message->header.msg_namelen;
    learn(p, result, flags & IORING_CQE_F_SOCK_NONEMPTY);
    pier__pending_done(p, result);
}

static void take(struct pier__loop *loop, const struct io_uring_cqe *cqe)
{
    if (cqe->user_data == NOBODY) return;
    if (cqe->user_data == WAKE) {
        pier__loop_signalled(loop);
        if (!(cqe->flags & IORING_CQE_F_MORE)) (void)watch_wake(loop);
        return;
    }
    struct pier__pending *p = io_uring_cqe_get_data(cqe);
    if (!(cqe->flags & IORING_CQE_F_MORE)) pier__retire_end(loop, cqe->user_data, cqe->res);
    int result = pier__seam->ring_result(cqe->res);
    bool more = cqe->flags & IORING_CQE_F_MORE;
    if (p->report)
        p->report(p, result, more);
    else if (p->does == PIER__RING_ALL)
        ended(loop, p, result, cqe->flags);
    else if (p->does == PIER__RING_POLLS)
        polled(loop, p, result);
    else
        watched(loop, p, result, more);
}

/*
 * Take what results there are, one by one: what follows from one may enter the kernel, which adds
 * to them.
 */
static unsigned take_all(struct pier__loop *loop)
{
    struct io_uring_cqe cqe;
    unsigned count = 0;
    while (next_result(loop->state, &cqe)) {
        take(loop, &cqe);
        count++;
    }
    return count;
}

/*
 * The kernel takes nothing, and has nothing to tell: a little later it may. Being signalled counts
 * all the same.
 */
static void rest(struct pier__loop *loop, pier_time deadline)
{
    struct pollfd wake = {.fd = loop->eventfd, .events = POLLIN};
    if (deadline == 0) return;
    pier_time until = pier__earlier(deadline, pier__seam->now() + REST);
    if (pier__seam->poll(&wake, 1, until) > 0) pier__loop_signalled(loop);
}

static PIER_FLAT int uring_wait(struct pier__loop *loop, pier_time deadline)
{
    struct uring *uring = loop->state;
    struct io_uring *ring = &uring->ring;
    pay(loop);
    if (uring->owes) deadline = pier__earlier(deadline, pier__seam->now() + REST);
    int err = 0;
    unsigned count = 0;
    /*
     * Of a call that also submits, the kernel tells what it submitted, and not the signal that
     * ended the wait, which a hook has to hear of. And a grave must be cleared as soon as others
     * can have the number, if there are any.
     */
    bool apart = pier__thread_hook.call || (uring->grave_count > 0 && !pier__seam->is_alone());
    if (apart && deadline != 0) {
        err = enter(uring, 0);
        count = take_all(loop);
    }
    if (err >= 0 && count == 0) {
        err = enter(uring, deadline);
        count = take_all(loop);
    }
    loop->backlog = io_uring_sq_ready(ring) > 0 || uring->owes;
    if (err >= 0 || (count > 0 && err != -EINTR)) return 0;
    switch (err) {
    case -ETIME: return 0;
    case -EAGAIN:
    case -EBUSY:
    case -ENOMEM: rest(loop, deadline); return 0; /* what was not handed over is still there */
    default: return err;
    }
}

const struct pier__backend pier__backend_uring = {
    .name = "uring",
    .open = uring_open,
    .close = uring_close,
    .abandon = uring_abandon,
    .start = uring_start,
    .reports = uring_reports,
    .closes = uring_closes,
    .cancel = uring_cancel,
    .wait = uring_wait,
};
