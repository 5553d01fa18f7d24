/* SPDX-License-Identifier: MIT */
#include "sock/io.h"

#include "base/addr.h"
#include "base/seam.h"
#include "base/strand.h"
#include "base/time.h"
#include "base/trace.h"
#include "sock/buffer.h"
#include "sock/gro.h"
#include "sock/resolve.h"
#include "wait/task.h"
#include "wait/thread.h"

#include <pier/socket.h>

#include <errno.h>
#include <limits.h>
#include <string.h>

/* What the error sentences call it. */
#define RECV "receive on"
#define SEND "send on"

/*
 * A receive that reads ahead's buffer has no say in: it asks for other bytes than the next of the
 * stream.
 */
#define PAST_BUFFER (MSG_OOB | MSG_ERRQUEUE)

int64_t pier__recv_some(const struct pier__use *use, void *buf, size_t len, int flags,
    int64_t timeout, pier_time deadline)
{
    struct pier__entry *entry = use->entry;
    if (entry && pier__special(entry) & PIER__HAS_FAILED_BIND)
        return atomic_load(&entry->failed_bind);
    struct pier__op op = {.code = PIER_OP_RECV,
        .fd = use->fd,
        .flags = flags,
        .stream = entry && entry->type == SOCK_STREAM,
        .life = entry ? &entry->life : NULL,
        .timeout = timeout,
        .deadline = deadline,
        .with.in = {.buf = buf, .len = pier__at_most(len, PIER__MOST)}};
    return pier__remembered(entry, pier__await(&op));
}

int64_t pier__send_some(const struct pier__use *use, const void *buf, size_t len, int flags,
    int64_t timeout, pier_time deadline)
{
    struct pier__op op = {.code = PIER_OP_SEND,
        .fd = use->fd,
        .flags = flags,
        .life = use->entry ? &use->entry->life : NULL,
        .timeout = timeout,
        .deadline = deadline,
        .with.out = {.buf = buf, .len = pier__at_most(len, PIER__MOST)}};
    return pier__remembered(use->entry, pier__await(&op));
}

static int64_t special(const struct pier__use *use)
{
    return use->entry ? pier__special(use->entry) : 0;
}

int pier__begin_buffered(int64_t timeout, pier_time deadline)
{
    if (deadline != PIER_NEVER && pier__seam->now() >= deadline) return -ETIME;
    return timeout == 0 ? 0 : pier__task_begin();
}

int64_t pier__with_buffered(struct pier__entry *entry, uint64_t place, size_t have, int64_t n)
{
    if (n < 0 && pier__buffer_untake(entry, place, have)) return n;
    return (int64_t)have + (n > 0 ? n : 0);
}

bool pier__waits_for_all(int flags, int64_t timeout, pier_time deadline)
{
    bool limited = timeout != PIER_NEVER || deadline != PIER_NEVER;
    return flags & MSG_WAITALL && !(flags & (MSG_PEEK | MSG_DONTWAIT)) && !limited;
}

/*
 * Take what framing has read ahead. With MSG_WAITALL the kernel is asked for the rest; if that
 * fails, nothing has moved.
 */
static int64_t recv_buffered(const struct pier__use *use, void *buf, size_t len, int flags,
    int64_t timeout, pier_time deadline)
{
    int err = pier__begin_buffered(timeout, deadline);
    if (err < 0) return err;
    bool past = flags & PAST_BUFFER;
    if (len == 0 && !past && pier__buffer_pending(use->entry)) return 0;
    uint64_t place = pier__buffer_place(use->entry);
    size_t have = past ? 0 : (size_t)pier__buffer_drain(use->entry, buf, len, flags);
    bool rest = have < len && pier__waits_for_all(flags, timeout, deadline);
    if (have > 0 && !rest) return (int64_t)have;
    int64_t n = pier__recv_some(use, (char *)buf + have, len - have, flags, timeout, deadline);
    return have > 0 ? pier__with_buffered(use->entry, place, have, n) : n;
}

int64_t pier__recv(const struct pier__use *use, void *buf, size_t len, int flags)
{
    struct pier__op op = {.code = PIER_OP_RECV,
        .fd = use->fd,
        .flags = flags,
        .with.in = {.buf = buf, .len = pier__at_most(len, PIER__MOST)}};
    pier__limit(&op, use);
    if (PIER_UNLIKELY(special(use) & PIER__COALESCES && !(flags & PAST_BUFFER))) {
        struct iovec iov = {.iov_base = buf, .iov_len = len};
        return pier__gro_recvmsg(use, &(struct msghdr){.msg_iov = &iov, .msg_iovlen = 1}, flags);
    }
    if (PIER_UNLIKELY(special(use) & (PIER__HAS_BUFFER | PIER__HAS_FAILED_BIND)))
        return recv_buffered(use, buf, len, flags, op.timeout, op.deadline);
    return pier__remembered(use->entry, pier__await(&op));
}

static int64_t enter_recv(int s, void *buf, size_t len, int flags)
{
    struct pier__use use;
    int64_t n = pier__enter(&use, s, PIER__WAITER);
    if (PIER_UNLIKELY(n < 0)) {
        pier__sock_failed(RECV, s, NULL, NULL, n);
        return n;
    }
    n = pier__check_buffer(buf, len);
    if (PIER_LIKELY(n == 0 && len))
        n = pier__recv(&use, buf, len, flags); /* recv(0) asks nobody, as in Python */
    if (PIER_UNLIKELY(n < 0)) pier__sock_failed(RECV, s, &use, NULL, n);
    pier__leave(&use);
    return n;
}

/*
 * The shortest way, which a plain socket takes in a thread: one system call and few instructions
 * (bench/call.c counts them). Everything else is the slow way's: errors, signals, the end of the
 * stream.
 */

/*
 * The arguments, while the system call runs: in memory, where they cost less than in saved
 * registers.
 */
struct plain {
    union {
        void *buf;
        const void *out;
    };
    size_t len;
    int flags;
};

#define KEEP_IN_MEMORY(variable) __asm__ volatile("" : "+m"(variable))

/* May this call take it? Too large a length the kernel cuts down itself. */
static inline bool is_plain(int s, const void *buf, size_t len, int flags)
{
    if (PIER_UNLIKELY(pier__strand_of_task != NULL)) return false;
    return (unsigned)s < PIER__CHUNK && buf && (ssize_t)len > 0 &&
           !(flags & (MSG_DONTWAIT | MSG_OOB));
}

/*
 * Which slow way is taken must cost the shortest one nothing: it is a jump, after which nothing is
 * needed any more.
 */
#define APART __attribute__((noinline))
#define COLD  APART __attribute__((cold))

static struct pier__use used(struct pier__entry *entry)
{
    return (struct pier__use){
        .fd = (int)(entry - pier__first_chunk), .entry = entry, .as = PIER__WAITER};
}

/* The first try said n, which is no number of bytes. */
static COLD int64_t ended(
    enum pier__opcode code, struct pier__entry *entry, const struct plain *call, int64_t n)
{
    struct pier__use use = used(entry);
    struct pier__op op = {.code = code, .fd = use.fd, .flags = call->flags};
    pier__limit(&op, &use);
    op.with.in.buf = call->buf; /* a send's are the same two */
    op.with.in.len = call->len;
    n = pier__await_tried(&op, n);
    if (n < 0) pier__sock_failed(code == PIER_OP_RECV ? RECV : SEND, use.fd, &use, NULL, n);
    pier__leave(&use);
    return n;
}

/* n bytes have moved, and the socket was closed meanwhile. */
static COLD int64_t closed(struct pier__entry *entry, int64_t n)
{
    pier__entry_bury(entry, used(entry).fd);
    return n;
}

/* All that pier_recv() does beyond the shortest way: in a task, for one. */
static APART PIER_FLAT ssize_t recv_slowly(int s, void *buf, size_t len, int flags)
{
    pier_time began = pier__trace_begin();
    ssize_t n = enter_recv(s, buf, len, flags);
    if (PIER_UNLIKELY(began))
        pier__trace_end(
            began, s, n, "recv(%d, %s, %zu, %#x)", s, pier__trace_came(buf, len, n), len, flags);
    return n;
}

/* The socket turned out not to be plain. */
static COLD ssize_t recv_otherwise(int s, void *buf, size_t len, int flags)
{
    struct pier__use use = used(&pier__first_chunk[s]);
    pier__leave(&use);
    return recv_slowly(s, buf, len, flags);
}

ssize_t pier_recv(int s, void *buf, size_t len, int flags)
{
    if (PIER_UNLIKELY(!is_plain(s, buf, len, flags))) return recv_slowly(s, buf, len, flags);
    struct pier__entry *entry = &pier__first_chunk[s];
    if (PIER_UNLIKELY(!pier__enter_plain(entry))) return recv_otherwise(s, buf, len, flags);
    struct plain call = {.buf = buf, .len = len, .flags = flags};
    KEEP_IN_MEMORY(call);
    ssize_t n = pier__seam_recv(s, buf, len, flags);
    if (PIER_UNLIKELY(n <= 0)) return ended(PIER_OP_RECV, entry, &call, n);
    return PIER_UNLIKELY(pier__life_leave(&entry->life, PIER__WAITER)) ? closed(entry, n) : n;
}

static int64_t recv_from(
    const struct pier__use *use, void *buf, size_t len, int flags, pier_addr *out_from)
{
    struct pier__sockaddr from;
    from.length = sizeof from.storage;
    struct pier__op op = {.code = PIER_OP_RECVFROM,
        .fd = use->fd,
        .flags = flags,
        .with.in = {.buf = buf,
            .len = pier__at_most(len, PIER__MOST),
            .addr = (struct sockaddr *)&from.storage,
            .addrlen = &from.length}};
    pier__limit(&op, use);
    int64_t n;
    if (special(use) & PIER__COALESCES && !(flags & PAST_BUFFER)) {
        struct iovec iov = {.iov_base = buf, .iov_len = len};
        struct msghdr msg = {.msg_name = &from.storage,
            .msg_namelen = sizeof from.storage,
            .msg_iov = &iov,
            .msg_iovlen = 1};
        n = pier__gro_recvmsg(use, &msg, flags);
        from.length = msg.msg_namelen;
    } else if (special(use) & (PIER__HAS_BUFFER | PIER__HAS_FAILED_BIND)) {
        *out_from = (pier_addr){0};
        return recv_buffered(use, buf, len, flags, op.timeout, op.deadline);
    } else {
        n = pier__remembered(use->entry, pier__await(&op));
    }
    if (n >= 0) *out_from = pier__addr_from_sockaddr((struct sockaddr *)&from.storage, from.length);
    return n;
}

static int64_t enter_recvfrom(int s, void *buf, size_t len, int flags, pier_addr *out_from)
{
    struct pier__use use;
    int64_t n = pier__enter(&use, s, PIER__WAITER);
    if (n < 0) {
        pier__sock_failed(RECV, s, NULL, NULL, n);
        return n;
    }
    n = pier__check_buffer(buf, len);
    if (n == 0) n = recv_from(&use, buf, len, flags, out_from);
    if (n < 0) pier__sock_failed(RECV, s, &use, NULL, n);
    pier__leave(&use);
    return n;
}

ssize_t pier_recvfrom(int s, void *buf, size_t len, int flags, pier_addr *out_from)
{
    pier_time began = pier__trace_begin();
    pier_addr unwanted;
    if (!out_from) out_from = &unwanted;
    ssize_t n = enter_recvfrom(s, buf, len, flags, out_from);
    if (n < 0) pier__addr_fail(out_from, (int)n);
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, s, n, "recvfrom(%d, %s, %zu, %#x, %s)", s,
            pier__trace_came(buf, len, n), len, flags,
            n < 0 ? "-" : pier_addr_text(*out_from).text);
    return n;
}

/* What of a buffer to be sent can be shown; nothing of one that is refused. */
static const char *preview(const void *buf, size_t len)
{
    return pier__trace_bytes(buf, pier__check_buffer(buf, len) < 0 ? -1 : (int64_t)len);
}

static int64_t enter_send(int s, const void *buf, size_t len, int flags)
{
    struct pier__use use;
    int64_t n = pier__enter(&use, s, PIER__WAITER);
    if (PIER_UNLIKELY(n < 0)) {
        pier__sock_failed(SEND, s, NULL, NULL, n);
        return n;
    }
    n = pier__check_buffer(buf, len);
    if (PIER_LIKELY(n == 0)) {
        struct pier__op op = {.code = PIER_OP_SEND,
            .fd = s,
            .flags = flags,
            .whole = true,
            .with.out = {.buf = buf, .len = pier__at_most(len, PIER__MOST)}};
        pier__limit(&op, &use);
        n = pier__remembered(use.entry, pier__await(&op));
    }
    if (PIER_UNLIKELY(n < 0)) pier__sock_failed(SEND, s, &use, NULL, n);
    pier__leave(&use);
    return n;
}

static APART PIER_FLAT ssize_t send_slowly(int s, const void *buf, size_t len, int flags)
{
    pier_time began = pier__trace_begin();
    ssize_t n = enter_send(s, buf, len, flags);
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, s, n, "send(%d, %s, %zu, %#x)", s, preview(buf, len), len, flags);
    return n;
}

/* The socket turned out not to be plain. */
static COLD ssize_t send_otherwise(int s, const void *buf, size_t len, int flags)
{
    struct pier__use use = used(&pier__first_chunk[s]);
    pier__leave(&use);
    return send_slowly(s, buf, len, flags);
}

ssize_t pier_send(int s, const void *buf, size_t len, int flags)
{
    if (PIER_UNLIKELY(!is_plain(s, buf, len, flags))) return send_slowly(s, buf, len, flags);
    struct pier__entry *entry = &pier__first_chunk[s];
    if (PIER_UNLIKELY(!pier__enter_plain(entry))) return send_otherwise(s, buf, len, flags);
    struct plain call = {.out = buf, .len = len, .flags = flags};
    KEEP_IN_MEMORY(call);
    ssize_t n = pier__seam_send(s, buf, len, flags | MSG_NOSIGNAL);
    if (PIER_UNLIKELY(n <= 0)) return ended(PIER_OP_SEND, entry, &call, n);
    return PIER_UNLIKELY(pier__life_leave(&entry->life, PIER__WAITER)) ? closed(entry, n) : n;
}

int pier__send_all(const struct pier__use *use, const void *buf, size_t len, int flags,
    const struct pier__limits *limits, size_t *out_moved)
{
    size_t moved = 0;
    int64_t n = 0;
    do {
        n = pier__send_some(
            use, (const char *)buf + moved, len - moved, flags, limits->timeout, limits->deadline);
        if (n < 0) break;
        moved += (size_t)n;
        if (moved < len) n = pier__thread_interrupted(use->entry ? &use->entry->life : NULL);
    } while (n >= 0 && moved < len);
    *out_moved = moved;
    return n < 0 ? (int)n : 0;
}

int pier__send_in_turn(
    const struct pier__use *use, const void *buf, size_t len, int flags, size_t *out_moved)
{
    struct pier__entry *entry = use->entry;
    struct pier__limits limits;
    *out_moved = 0;
    limits.deadline = pier__conversation_limit(entry, &limits.timeout);
    if (flags & MSG_DONTWAIT) limits.timeout = 0;
    if (!entry) return pier__send_all(use, buf, len, flags, &limits, out_moved);
    int err = pier__turn_take(&entry->sending, &entry->life, limits.timeout, limits.deadline);
    if (err < 0) return err;
    err = pier__send_all(use, buf, len, flags, &limits, out_moved);
    pier__turn_give(&entry->sending);
    return err;
}

static int64_t enter_sendall(int s, const void *buf, size_t len, int flags)
{
    struct pier__use use;
    size_t moved = 0;
    int64_t n = pier__enter(&use, s, PIER__WAITER);
    if (n < 0) {
        pier__sock_failed("send all on", s, NULL, NULL, n);
        return n;
    }
    n = pier__check_buffer(buf, len);
    if (n == 0) n = pier__send_in_turn(&use, buf, len, flags, &moved);
    if (n < 0) pier__sock_failed_after(moved, "send all on", s, &use, NULL, n);
    pier__leave(&use);
    return n < 0 ? n : (int64_t)len;
}

PIER_FLAT ssize_t pier_sendall(int s, const void *buf, size_t len, int flags)
{
    pier_time began = pier__trace_begin();
    ssize_t n = enter_sendall(s, buf, len, flags);
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, s, n, "sendall(%d, %s, %zu, %#x)", s, preview(buf, len), len, flags);
    return n;
}

void pier__forget_failures(struct pier__entry *entry)
{
    if (entry) pier__mark_special(entry, PIER__HAS_FAILED_BIND | PIER__HAS_FAILED_CONNECT, false);
}

static int64_t send_to(
    const struct pier__use *use, const void *buf, size_t len, int flags, pier_addr *to)
{
    struct pier__entry *entry = use->entry;
    struct pier__op op = {.code = PIER_OP_SENDTO, .fd = use->fd, .flags = flags, .whole = true};
    pier__limit(&op, use);
    if (to->pending) {
        int64_t timeout;
        op.deadline = pier__conversation_limit(entry, &timeout);
        if (timeout != 0) op.timeout = PIER_NEVER;
        int err = pier__resolve_for(to, use, entry ? entry->family : to->sa.any.sa_family,
            entry ? entry->type : 0, op.deadline, /* passive= */ false);
        if (err < 0) return err;
    }
    int err = pier__addr_check(to);
    if (err < 0 && err != PIER_ENOADDR) return err;
    op.with.out.buf = buf;
    op.with.out.len = pier__at_most(len, PIER__MOST);
    op.with.out.addr = err == 0 ? &to->sa.any : NULL;
    op.with.out.addrlen = to->length;
    int64_t n = pier__remembered(entry, pier__await(&op));
    if (n >= 0 && err == 0) pier__forget_failures(entry);
    return n;
}

static int64_t enter_sendto(int s, const void *buf, size_t len, int flags, const pier_addr *to)
{
    struct pier__use use;
    int64_t n = pier__enter(&use, s, PIER__WAITER);
    if (n < 0) {
        pier__sock_failed("send to", s, NULL, to, n);
        return n;
    }
    pier_addr complete = *to;
    n = pier__check_buffer(buf, len);
    if (n == 0) n = send_to(&use, buf, len, flags, &complete);
    if (n < 0) pier__sock_failed("send to", s, &use, to, n);
    pier__leave(&use);
    return n;
}

ssize_t pier_sendto(int s, const void *buf, size_t len, int flags, pier_addr to)
{
    pier_time began = pier__trace_begin();
    ssize_t n = enter_sendto(s, buf, len, flags, &to);
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, s, n, "sendto(%d, %s, %zu, %#x, %s)", s, preview(buf, len), len,
            flags, pier_addr_text(to).text);
    return n;
}

static int64_t wait_for(int s, short events, pier_time deadline)
{
    struct pier__use use;
    if (s >= 0 && deadline < 0) return deadline;
    int64_t n = pier__enter(&use, s, PIER__WAITER);
    if (n < 0) return n;
    struct pollfd fds[2] = {{.fd = s, .events = events}};
    struct pier__op op = {.code = PIER_OP_POLL, .fd = s, .with.poll = {.fds = fds, .count = 1}};
    pier__limit(&op, &use);
    pier_time own = op.deadline;
    op.deadline = PIER_NEVER;
    op.timeout =
        PIER_NEVER; /* the time-out is for operations; this one has been given its own limit */
    deadline = pier__earlier(own, deadline);
    if (events == POLLIN && use.entry && pier__buffer_ready(use.entry)) n = 1;
    while (n == 0) {
        bool over = deadline != PIER_NEVER && pier__seam->now() >= deadline;
        if (over) op.timeout = 0;
        op.deadline = over ? PIER_NEVER : deadline;
        n = pier__await(&op);
        if (n == -ETIME)
            n = 0; /* look once more, without waiting */
        else if (over && n == 0)
            n = -ETIME;
    }
    pier__leave(&use);
    if (n > 0 && fds[0].revents & POLLNVAL) return -EBADF;
    return n < 0 ? n : 0;
}

int pier_wait_readable(int s, pier_time deadline)
{
    pier_time began = pier__trace_begin();
    int err = (int)wait_for(s, POLLIN, deadline);
    if (PIER_UNLIKELY(began)) pier__trace_end(began, s, err, "wait_readable(%d)", s);
    return (int)pier__sock_failed("wait to receive on", s, NULL, NULL, err);
}

int pier_wait_writable(int s, pier_time deadline)
{
    pier_time began = pier__trace_begin();
    int err = (int)wait_for(s, POLLOUT, deadline);
    if (PIER_UNLIKELY(began)) pier__trace_end(began, s, err, "wait_writable(%d)", s);
    return (int)pier__sock_failed("wait to send on", s, NULL, NULL, err);
}

ssize_t pier_pending(int s)
{
    struct pier__use use;
    int err = pier__enter(&use, s, PIER__VISITOR);
    if (err < 0) return err;
    size_t pending = use.entry ? pier__buffer_pending(use.entry) : 0;
    pier__leave(&use);
    return (ssize_t)pending;
}
