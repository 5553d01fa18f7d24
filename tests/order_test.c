/* SPDX-License-Identifier: MIT */
/*
 * Every order of what can happen to a call that waits in a task: it completes, is cancelled, comes
 * to its deadline, its socket closes, the task that looked after it ends, the ring overflows. The
 * orders are generated, and between two events lies nothing, or a turn of the loop that is told
 * nothing, or turns enough for all to come about. Time is the test's own. E.71, E.72, F.84, F.85,
 * F.90.
 */
#include "base/seam.h"
#include "harness.h"
#include "scene.h"
#include "small_ring.h"
#include "wait/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum event { COMPLETE, CANCEL, DEADLINE, CLOSE, LEAVE, OVERFLOW, EVENTS };
enum gap { NOTHING, HELD, TURNS, GAPS };
enum limit { TIME_OUT, POINT, SCOPE, LIMITS };

#define ORDERS 720
#define FEW    3     /* turns: a task that is ready has run */
#define ENOUGH 20    /* turns: what can come about has, */
#define MOST   12000 /* at the latest: as many milliseconds, but for the first of them */
#define LONG   3600.0

struct kind;

/* One order, played. */
struct play {
    const struct kind *kind;
    const char *backend;
    enum event events[EVENTS];
    enum gap gaps[EVENTS]; /* behind each */
    enum limit limit;
    int next; /* event */

    uint64_t birth;
    int s;         /* the socket that is waited for */
    int peer;      /* the other end, or -1 */
    size_t filled; /* bytes that a peer can receive beforehand */
    int made;      /* by a connect or accept: the other end */
    pier_addr at;  /* a listener's */
    char buf[8];   /* received */
    pier_task victim;
    bool returned, ended, called_off, overran;
    int64_t result;
    int told;              /* by the next call */
    unsigned came;         /* events, as bits */
    bool canceled, closed; /* in time for the call to be told */
};

struct kind {
    const char *name, *socket;
    void (*set_up)(struct play *p);
    int64_t (*call)(struct play *p);
    void (*complete)(struct play *p);
    void (*look)(struct play *p); /* is all there that was sent, and nothing twice? */
};

/* The world: its time, and turns in which the kernel is not asked. */

static struct pier__seam world;
static const struct pier__seam *below;
static pier_time ahead; /* of the system's time */
static bool held;
static int interruptions;

static pier_time now_ahead(void) { return below->now() + ahead; }

static pier_time real(pier_time point)
{
    if (point == 0 || point == PIER_NEVER) return point;
    return point > ahead ? point - ahead : 1;
}

static int enter(struct io_uring *ring, pier_time deadline)
{
    return held ? 0 : below->ring_enter(ring, real(deadline));
}

static int wait_or_not(int epfd, struct epoll_event *events, int count, int ms)
{
    if (held) return 0;
    if (interruptions == 0) return below->epoll_wait(epfd, events, count, ms);
    interruptions--;
    return -EINTR;
}

static int poll_until(struct pollfd *fds, nfds_t count, pier_time deadline)
{
    return below->poll(fds, count, real(deadline));
}

/* Plugs that let everything pass: a ring only polls for what they must see. */
static ssize_t pass_recv(int fd, void *buf, size_t len, int flags)
{
    return below->recv(fd, buf, len, flags);
}

static ssize_t pass_send(int fd, const void *buf, size_t len, int flags)
{
    return below->send(fd, buf, len, flags);
}

static int pass_accept(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    return below->accept4(fd, addr, len, flags);
}

static void install(bool plugged)
{
    small_ring_install();
    below = pier__seam;
    world = *below;
    world.now = now_ahead;
    world.ring_enter = enter;
    world.epoll_wait = wait_or_not;
    world.poll = poll_until;
    if (plugged) {
        world.recv = pass_recv;
        world.send = pass_send;
        world.accept4 = pass_accept;
    }
    pier__seam = &world;
}

static void uninstall(void)
{
    pier__seam = below;
    small_ring_remove();
}

/* What is going on, when something is wrong. */
static void tell(const struct play *p, const char *wrong)
{
    static const char *const words[] = {
        "complete", "cancel", "deadline", "close", "leave", "overflow"};
    static const char *const gaps[] = {",", ", held,", ";"};
    print_error(
        "%s: %s %s on %s, limit %d:", wrong, p->kind->socket, p->kind->name, p->backend, p->limit);
    for (int i = 0; i < EVENTS; i++)
        print_error(" %s%s", words[p->events[i]], gaps[p->gaps[i]]);
    print_error(" result %lld, then %d\n", (long long)p->result, p->told);
}

#define EXPECT(p, condition)                       \
    do {                                           \
        if (!(condition)) {                        \
            tell(p, #condition);                   \
            fail_msg("%s", "see the order above"); \
        }                                          \
    } while (0)

static void turns(int count)
{
    for (int i = 0; i < count; i++)
        assert_int_equal(pier_yield(), 0);
}

/* Is the socket still there? Its number may be another's. */
static bool lives(const struct play *p) { return pier_birth(p->s) == p->birth; }

static void close_hard(int fd)
{
    const struct linger at_once = {1, 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    assert_int_equal(close(fd), 0);
}

/*
 * Turns enough for all to come about. A receive of UDP that polls as ready for ever, for it is shut
 * down, is not found by a cancel; but the kernel polls only so often, and then lets a thread of its
 * own receive the end.
 */
static void settle(const struct play *p)
{
    bool decided = p->came & (1 << COMPLETE | 1 << CANCEL | 1 << DEADLINE | 1 << CLOSE);
    turns(ENOUGH);
    for (int i = 0; i < MOST && decided && !p->returned; i++) {
        turns(1);
        if (i > 250) test_sleep(0.001); /* a thread of the kernel's may have to do it */
    }
    EXPECT(p, p->returned == decided);
}

/* recv */

static void set_up_pair(struct play *p)
{
    int pair[2];
    scene_pair(p->kind->socket, pair);
    p->s = pair[0];
    p->peer = pair[1];
}

static int64_t call_recv(struct play *p) { return pier_recv(p->s, p->buf, sizeof p->buf, 0); }

static void complete_recv(struct play *p)
{
    (void)send(p->peer, "abc", 3, MSG_NOSIGNAL); /* it may be closed */
}

static void look_recv(struct play *p)
{
    char rest[8];
    bool came = p->came & 1 << COMPLETE, took = p->result > 0;
    EXPECT(p, memcmp(p->buf, took ? "abc#####" : "########", 8) == 0);
    if (took) EXPECT(p, p->result == 3 && came);
    if (!lives(p)) return;
    ssize_t left = recv(p->s, rest, sizeof rest, MSG_DONTWAIT);
    EXPECT(p, left == (came && !took ? 3 : -1));
    if (left == 3) EXPECT(p, memcmp(rest, "abc", 3) == 0);
}

/* send */

static void set_up_full_pair(struct play *p)
{
    const int little = 8192;
    set_up_pair(p);
    assert_int_equal(setsockopt(p->s, SOL_SOCKET, SO_SNDBUF, &little, sizeof little), 0);
    p->filled = scene_fill(p->s);
}

static int64_t call_send(struct play *p) { return pier_send(p->s, "x", 1, 0); }

static void complete_send(struct play *p) { p->filled -= scene_empty(p->peer); }

static void look_send(struct play *p)
{
    size_t sent = p->result > 0;
    if (sent) EXPECT(p, p->result == 1 && p->came & 1 << COMPLETE);
    EXPECT(p, scene_empty(p->peer) == p->filled + sent);
}

/* accept */

static void set_up_listener(struct play *p) { p->s = scene_listener(&p->at); }

static int64_t call_accept(struct play *p)
{
    int s = pier_accept(p->s, NULL);
    return s > 0 ? s : s == 0 ? -EBADF : s;
}

static void complete_accept(struct play *p)
{
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(s >= 0);
    (void)connect(s, &p->at.sa.any, p->at.length); /* refused, if it is closed */
    if (p->made >= 0) close_hard(p->made);
    p->made = s;
}

static void look_accept(struct play *p)
{
    struct sockaddr_in a, b;
    socklen_t length = sizeof a;
    bool came = p->came & 1 << COMPLETE;
    int s = (int)p->result;
    struct pollfd fd = {.fd = p->s, .events = POLLIN};
    if (s < 0 && came && lives(p)) {
        s = accept4(p->s, NULL, NULL, SOCK_CLOEXEC);
        EXPECT(p, s >= 0);
    }
    if (lives(p)) EXPECT(p, poll(&fd, 1, 0) == 0); /* no other one */
    if (s < 0) return;
    EXPECT(p, came);
    assert_int_equal(getsockname(p->made, (void *)&a, &length), 0);
    length = sizeof b;
    EXPECT(p, getpeername(s, (void *)&b, &length) == 0 && a.sin_port == b.sin_port);
    close_hard(p->made);
    p->made = -1;
    if (p->result > 0)
        assert_int_equal(pier_close(s), 0);
    else
        close_hard(s);
}

/*
 * connect: to a listener that lets nothing in, so that it is under way as long as we please, until
 * a socket with the same address connects to it in turn (TCP's simultaneous open). It may come too
 * late, when the port is somebody else's: so nobody else's ports are at this address.
 */
#define APART "127.0.0.3"

static int deaf = -1;
static pier_addr deaf_at;

static int at_deaf_port(void)
{
    const int on = 1;
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(s >= 0);
    assert_int_equal(setsockopt(s, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on), 0);
    if (deaf_at.length == 0) deaf_at = pier_inet(APART, 0);
    assert_int_equal(bind(s, &deaf_at.sa.any, deaf_at.length), 0);
    return s;
}

static void make_deaf(void)
{
    struct sock_filter nothing[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
    const struct sock_fprog program = {1, nothing};
    deaf_at = (pier_addr){0};
    deaf = at_deaf_port();
    assert_int_equal(setsockopt(deaf, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), 0);
    assert_int_equal(listen(deaf, 10), 0);
    assert_int_equal(getsockname(deaf, &deaf_at.sa.any, &deaf_at.length), 0);
}

static void set_up_socket(struct play *p)
{
    p->s = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(pier_bind(p->s, pier_inet(APART, 0)), 0);
}

static int64_t call_connect(struct play *p)
{
    int err = pier_connect(p->s, deaf_at);
    return err == 0 ? 1 : err;
}

static void complete_connect(struct play *p)
{
    struct sockaddr_in to;
    socklen_t length = sizeof to;
    if (!lives(p) || p->made >= 0) return;
    assert_int_equal(getsockname(p->s, (void *)&to, &length), 0);
    p->made = at_deaf_port();
    bool closing = p->came & 1 << CLOSE;
    EXPECT(p, connect(p->made, (void *)&to, length) == 0 || closing);
}

static void look_connect(struct play *p)
{
    char byte = 0;
    if (p->result > 0) EXPECT(p, p->came & 1 << COMPLETE);
    if (!lives(p) || p->made < 0) return;
    /* Told or not: what has come about is whole. */
    EXPECT(p, send(p->made, "x", 1, MSG_NOSIGNAL) == 1);
    EXPECT(p, recv(p->s, &byte, 1, 0) == 1 && byte == 'x');
    EXPECT(p, pier_connect(p->s, deaf_at) == -EISCONN);
}

/* The play. */

/* The call, under its limit, and what the next one is told. */
static int suffer(void *arg)
{
    struct play *p = arg;
    pier_scope scope;
    if (p->limit == TIME_OUT) assert_int_equal(pier_settimeout(p->s, LONG), 0);
    if (p->limit == POINT) assert_int_equal(pier_setdeadline(p->s, pier_after(LONG)), 0);
    if (p->limit == SCOPE) assert_int_equal(pier_scope_enter(&scope, pier_after(LONG)), 0);
    p->result = p->kind->call(p);
    p->returned = true;
    if (p->limit == SCOPE) p->overran = pier_scope_leave(&scope) == -ETIME;
    p->told = pier_yield();
    p->ended = true;
    return 0;
}

static void cancel(struct play *p)
{
    bool gone = p->ended;
    p->canceled |= !p->returned;
    EXPECT(p, pier_cancel(p->victim) == (gone ? -ESRCH : 0));
}

static void overflow(const struct play *p)
{
    interruptions = 3;
    if (strcmp(p->backend, "epoll") == 0) return;
    small_ring_flood();
    small_ring_stuff();
    small_ring_refuse(3, -EBUSY);
}

static void happen(struct play *p, enum event event)
{
    switch (event) {
    case COMPLETE: p->kind->complete(p); break;
    case CANCEL: cancel(p); break;
    case DEADLINE: ahead += 2 * (pier_time)LONG * PIER_SECOND; break;
    case CLOSE:
        p->closed = !p->returned;
        assert_int_equal(pier_close(p->s), 0);
        break;
    case OVERFLOW: overflow(p); break;
    default: break;
    }
    p->came |= 1U << event;
}

/* May the call have ended like this, after what came together first? */
static bool is_right(const struct play *p)
{
    unsigned first = 0;
    const unsigned decide = 1 << COMPLETE | 1 << CANCEL | 1 << DEADLINE | 1 << CLOSE;
    for (int i = 0; i < EVENTS; i++) {
        first |= 1U << p->events[i];
        if (p->gaps[i] == TURNS && first & decide) break;
    }
    unsigned canceled = 1U << CANCEL | 1U << CLOSE | (p->limit == SCOPE ? 1U << DEADLINE : 0);
    if (p->result > 0) return first & 1 << COMPLETE;
    if (p->result == -ECANCELED) return first & canceled;
    return p->result == -ETIME && first & 1 << DEADLINE && p->limit != SCOPE;
}

/*
 * Somebody else, on the stack that the first has left, does the same once more with what is left.
 */
static void do_again(struct play *p)
{
    struct play next = {
        .kind = p->kind, .backend = p->backend, .made = -1, .limit = LIMITS, .buf = "########"};
    p->kind->set_up(&next);
    next.birth = pier_birth(next.s);
    next.victim = pier_spawn(suffer, &next, &(pier_spawn_opts){.stack_size = 262144});
    turns(ENOUGH);
    EXPECT(p, !next.returned);
    next.came = 1 << COMPLETE;
    p->kind->complete(&next);
    assert_int_equal(pier_join(next.victim, NULL), 0);
    EXPECT(p, next.result > 0 && next.told == 0);
    p->kind->look(&next);
    assert_int_equal(pier_close(next.s), 0);
    if (next.peer > 0) assert_int_equal(pier_close(next.peer), 0);
    if (next.made >= 0) close_hard(next.made);
}

static void judge(struct play *p)
{
    EXPECT(p, p->ended);
    EXPECT(p, is_right(p));
    /* A cancel is told once: by the call itself, or by the next one. */
    if (p->told < 0) EXPECT(p, p->told == -ECANCELED && p->canceled);
    if (p->canceled && p->told == 0) EXPECT(p, p->result == -ECANCELED && !p->overran);
    if (p->told < 0 && p->result == -ECANCELED) EXPECT(p, p->closed || p->overran);
    EXPECT(p, !lives(p));
    const struct pier__watch *watch = pier__loop_watch(pier__loop_here, p->s);
    EXPECT(p, watch && !watch->first);
    assert_int_equal(pier_join(p->victim, NULL), 0);
}

static int direct(void *arg)
{
    struct play *p = arg;
    while (p->next < EVENTS) {
        int i = p->next++;
        happen(p, p->events[i]);
        if (i == EVENTS - 1) break;
        if (p->gaps[i] == HELD) {
            held = true;
            turns(FEW);
            held = false;
        } else if (p->gaps[i] == TURNS) {
            settle(p);
        }
        if (p->events[i] != LEAVE) continue;
        pier_spawn(direct, p, &(pier_spawn_opts){.detached = true, .stack_size = 262144});
        return 0;
    }
    settle(p);
    turns(FEW);
    judge(p);
    return 0;
}

static int begin(void *arg)
{
    struct play *p = arg;
    p->victim = pier_spawn(suffer, p, &(pier_spawn_opts){.stack_size = 262144});
    turns(FEW);
    EXPECT(p, !p->returned);
    return direct(p);
}

static void play(struct play *p)
{
    const struct pier__loop *loop = pier__loop_here;
    p->made = p->peer = -1;
    memset(p->buf, '#', sizeof p->buf);
    p->kind->set_up(p);
    p->birth = pier_birth(p->s);
    assert_int_equal(pier_run(begin, p, &(pier_run_opts){.stack_size = 262144}), 0);
    p->kind->look(p);
    if (p->peer >= 0) assert_int_equal(pier_close(p->peer), 0);
    if (p->made >= 0) close_hard(p->made);
    EXPECT(p, loop->task_count == 1 && loop->outside == 0 && loop->timers.count == 0);
}

/* The order with this number. */
static void arrange(enum event out[EVENTS], int number)
{
    bool used[EVENTS] = {false};
    for (int i = 0, left = ORDERS; i < EVENTS; i++) {
        left /= EVENTS - i;
        int nth = number / left % (EVENTS - i), event = 0;
        for (; used[event] || nth-- > 0; event++) {
        }
        used[event] = true;
        out[i] = (enum event)event;
    }
}

struct job {
    const struct kind *kind;
    const char *backend;
};

#define MIXTURES 4 /* of gaps, beside those that are all alike */

static int play_all(void *arg)
{
    const struct job *job = arg;
    for (int order = 0; order < ORDERS; order += SLOW) {
        for (int mixture = 0; mixture < GAPS + MIXTURES; mixture++) {
            struct play p = {.kind = job->kind,
                .backend = job->backend,
                .limit = (enum limit)((order + mixture) % LIMITS)};
            unsigned seed = (unsigned)(order * MIXTURES + mixture) * 2654435761U;
            arrange(p.events, order + (mixture * 7 % SLOW));
            for (int i = 0; i < EVENTS; i++)
                p.gaps[i] = (enum gap)(mixture < GAPS ? mixture : (int)(seed >> 8 >> 3 * i) % GAPS);
            play(&p);
            if (order % 8 == 0) do_again(&p);
        }
    }
    return 0;
}

static void on_each(const struct kind *kind)
{
    static const char *const backends[] = {"epoll", "uring", "uring"};
    for (int i = 0; i < 3; i++) {
        struct job job = {kind, backends[i]};
        install(/* plugged= */ i == 2);
        pier_run_opts opts = {.backend = backends[i], .stack_size = (size_t)1 << 20};
        assert_int_equal(pier_run(play_all, &job, &opts), 0);
        uninstall();
    }
}

TEST(every_order_around_a_recv_has_one_right_outcome)
{
    for (const char *const *kind = scene_kinds(); *kind; kind++)
        on_each(&(struct kind){"recv", *kind, set_up_pair, call_recv, complete_recv, look_recv});
}

TEST(every_order_around_a_send_has_one_right_outcome)
{
    static const char *const kinds[] = {"unix stream", "unix seqpacket"};
    for (int i = 0; i < 2; i++)
        on_each(&(struct kind){
            "send", kinds[i], set_up_full_pair, call_send, complete_send, look_send});
}

TEST(every_order_around_an_accept_has_one_right_outcome)
{
    on_each(&(struct kind){
        "accept", "tcp", set_up_listener, call_accept, complete_accept, look_accept});
}

TEST(every_order_around_a_connect_has_one_right_outcome)
{
    make_deaf();
    on_each(&(struct kind){
        "connect", "tcp", set_up_socket, call_connect, complete_connect, look_connect});
    close(deaf);
}
