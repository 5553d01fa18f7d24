/* SPDX-License-Identifier: MIT */
/*
 * Many datagrams in one call: recvmmsg(2) and sendmmsg(2), and several of UDP as one where the
 * kernel can.
 */
#include "base/addr.h"
#include "base/seam.h"
#include "base/trace.h"
#include "sock/gro.h"
#include "sock/io.h"
#include "sock/resolve.h"
#include "sock/socket.h"
#include "wait/thread.h"

#include <pier/socket.h>

#include <errno.h>
#include <limits.h>
#include <netinet/udp.h>
#include <stdalign.h>
#include <string.h>

#ifndef UDP_SEGMENT
#    define UDP_SEGMENT 103 /* Linux 4.18; since glibc 2.37 */
#endif

/* What the error sentences call it. */
#define RECV "receive on"
#define SEND "send on"

/* May these be used at all? Streams have no datagrams. */
static int check_kind(const struct pier__use *use)
{
    int type = pier__type_of(use);
    if (type < 0) return type;
    return type == SOCK_STREAM ? -EOPNOTSUPP : 0;
}

static int check_array(const pier_datagram *datagrams, size_t count)
{
    if (count > SSIZE_MAX) return -EINVAL;
    return !datagrams && count ? -EFAULT : 0;
}

/* Receiving. */

#define BATCH 64 /* messages to one recvmmsg(2) */

/*
 * Each name is written right to where it is wanted; an unwanted one tells all the same that there
 * was a sender.
 */
static void lay_out(struct mmsghdr *msgs, struct iovec *pieces, const pier_datagram *datagrams,
    size_t count, struct sockaddr_storage *unwanted)
{
    for (size_t i = 0; i < count; i++) {
        const pier_datagram *datagram = &datagrams[i];
        pier_addr *addr = datagram->addr;
        pieces[i] = (struct iovec){
            .iov_base = datagram->data, .iov_len = pier__at_most(datagram->size, PIER__MOST)};
        msgs[i].msg_hdr = (struct msghdr){.msg_name = addr ? &addr->sa.storage : unwanted,
            .msg_namelen = sizeof *unwanted,
            .msg_iov = &pieces[i],
            .msg_iovlen = 1};
    }
}

/* What poll(2) says of it now. */
static short look(const struct pier__use *use, short events)
{
    struct pollfd fd = {.fd = use->fd, .events = events};
    int n;
    do {
        n = pier__seam->poll(&fd, 1, /* deadline= */ 0);
    } while (n == -EINTR);
    return n > 0 ? fd.revents : 0;
}

/* Can nothing come any more? */
static bool is_shut(const struct pier__use *use)
{
    if (use->entry && pier__life_closing(&use->entry->life)) return true;
    return look(use, POLLRDHUP) & POLLRDHUP;
}

/*
 * From a socket that is shut down come messages without bytes and sender, as many as one likes. How
 * many are none of these?
 */
static size_t without_ends(const struct pier__use *use, const struct mmsghdr *msgs, size_t n)
{
    size_t real = n;
    while (real > 0 && msgs[real - 1].msg_len == 0 && msgs[real - 1].msg_hdr.msg_namelen == 0) {
        real--;
    }
    return real == n || !is_shut(use) ? n : real;
}

static void fill_in(pier_datagram *datagram, const struct mmsghdr *msg)
{
    pier_addr *addr = datagram->addr;
    datagram->length = msg->msg_len;
    datagram->truncated = msg->msg_hdr.msg_flags & MSG_TRUNC;
    if (addr) *addr = pier__addr_from_sockaddr(&addr->sa.any, msg->msg_hdr.msg_namelen);
}

/* One recvmmsg(2): how many came, 0 if none will come any more, or a code. */
static int64_t recv_batch(
    const struct pier__use *use, pier_datagram *datagrams, size_t count, int flags)
{
    struct mmsghdr msgs[BATCH];
    struct iovec pieces[BATCH];
    struct sockaddr_storage unwanted;
    count = pier__at_most(count, BATCH);
    lay_out(msgs, pieces, datagrams, count, &unwanted);
    struct pier__op op = {.code = PIER_OP_RECVMMSG,
        .fd = use->fd,
        .flags = flags,
        .with.many = {.msgs = msgs, .count = (unsigned)count}};
    pier__limit(&op, use);
    int64_t n = pier__remembered(use->entry, pier__await(&op));
    if (n < 0) return n;
    size_t came = without_ends(use, msgs, (size_t)n);
    for (size_t i = 0; i < came; i++) {
        fill_in(&datagrams[i], &msgs[i]);
    }
    bool closed = came == 0 && use->entry && pier__life_closing(&use->entry->life);
    return closed ? -ECANCELED : (int64_t)came;
}

/* Is there more, and no error that would be taken, and lost beside what has come? */
static bool has_more(const struct pier__use *use) { return look(use, POLLIN) == POLLIN; }

static int64_t recv_many(
    const struct pier__use *use, pier_datagram *datagrams, size_t count, int flags)
{
    struct pier__entry *entry = use->entry;
    if (flags & (MSG_OOB | MSG_ERRQUEUE)) return -EOPNOTSUPP;
    if (entry && pier__special(entry) & PIER__HAS_FAILED_BIND)
        return atomic_load(&entry->failed_bind);
    if (entry && pier__special(entry) & PIER__COALESCES)
        return pier__gro_recv_many(use, datagrams, count, flags);
    if (flags & MSG_PEEK) count = 1; /* the kernel would show the first one again and again */
    size_t got = 0;
    for (;;) {
        int64_t n = recv_batch(use, datagrams + got, count - got, flags);
        if (n < 0) return got > 0 ? (int64_t)got : n;
        got += (size_t)n;
        if (n < BATCH || got == count || !has_more(use)) return (int64_t)got;
        flags |= MSG_DONTWAIT;
    }
}

static int check_room(const pier_datagram *datagrams, size_t count)
{
    int err = check_array(datagrams, count);
    for (size_t i = 0; i < count && err == 0; i++) {
        err = pier__check_buffer(datagrams[i].data, datagrams[i].size);
    }
    return err;
}

static int64_t enter_recv_many(int s, pier_datagram *datagrams, size_t count, int flags)
{
    struct pier__use use;
    int64_t n = pier__enter(&use, s, PIER__WAITER);
    if (n < 0) {
        pier__sock_failed(RECV, s, NULL, NULL, n);
        return n;
    }
    n = check_room(datagrams, count);
    if (n == 0 && count > 0) n = check_kind(&use);
    if (n == 0 && count > 0) n = recv_many(&use, datagrams, count, flags);
    if (n < 0) pier__sock_failed(RECV, s, &use, NULL, n);
    pier__leave(&use);
    return n;
}

ssize_t pier_recv_many(int s, pier_datagram *datagrams, size_t count, int flags)
{
    pier_time began = pier__trace_begin();
    ssize_t n = enter_recv_many(s, datagrams, count, flags);
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, s, n, "recv_many(%d, %zu datagrams, %#x)", s, count, flags);
    return n;
}

/*
 * Sending. Datagrams in a row with the same destination and length make one message with
 * UDP_SEGMENT, which the kernel, or the device, cuts into them again.
 */

#define MESSAGES 32  /* to one sendmmsg(2) */
#define PIECES   192 /* of them all */
#define SEGMENTS 64  /* in one message, UDP_MAX_SEGMENTS in the kernel until 6.9 */
#define SUPER_MOST \
    (65535 - 60 - 8) /* bytes in one message: what the longest headers of IPv4 and UDP leave */
#define EVERY_LINK \
    (1280 - 40 - 8) /* bytes that a datagram may have on every link with IPv6 (RFC 8200, 5) */

/* What is handed to the kernel at once. */
struct outgoing {
    struct mmsghdr msgs[MESSAGES];
    struct iovec pieces[PIECES];
    uint8_t datagrams[MESSAGES]; /* how many each message is */
    alignas(struct cmsghdr) char segments[MESSAGES][CMSG_SPACE(sizeof(uint16_t))];
    size_t count, used; /* messages, pieces */
};

/* A call under way. */
struct sending {
    const struct pier__use *use;
    const pier_datagram *datagrams;
    size_t count, sent;
    int flags;
    int64_t timeout; /* for each wait, as in struct pier__op */
    pier_time limit;
    size_t combined_most;  /* datagrams up to this length are combined; 0: none */
    bool refused;          /* a combined message was, which might be because none works here */
    const pier_addr *name; /* the address whose name was looked up last, and what that gave */
    pier_addr resolved;
};

static pier_addr *destination(struct sending *sending, const pier_datagram *datagram)
{
    if (!datagram->addr) return NULL;
    pier_addr *addr = datagram->addr == sending->name ? &sending->resolved : datagram->addr;
    return addr->length > 0 ? addr : NULL;
}

/* Must it be looked at first? Names are looked up, errors returned. */
static bool is_unready(const struct sending *sending, const pier_datagram *datagram)
{
    const pier_addr *addr = datagram->addr;
    return addr && addr != sending->name && (addr->error || addr->pending);
}

static bool same_destination(
    struct sending *sending, const pier_datagram *a, const pier_datagram *b)
{
    if (a->addr == b->addr) return true;
    if (is_unready(sending, b)) return false;
    const pier_addr *to_a = destination(sending, a), *to_b = destination(sending, b);
    if (!to_a || !to_b) return to_a == to_b;
    return to_a->length == to_b->length && memcmp(&to_a->sa, &to_b->sa, to_a->length) == 0;
}

/* How many datagrams from this one on make one message, in so many pieces. */
static size_t run_length(struct sending *sending, size_t from, size_t pieces)
{
    const pier_datagram *first = &sending->datagrams[from];
    size_t most = pier__at_most(pier__at_most(sending->count - from, SEGMENTS), pieces);
    size_t bytes = first->length, n = 1;
    if (first->length == 0 || first->length > sending->combined_most) return 1;
    for (bool shorter = false; n < most && !shorter; n++) {
        const pier_datagram *next = &first[n];
        if (next->length == 0 || next->length > first->length) break;
        if (bytes + next->length > SUPER_MOST || !same_destination(sending, first, next)) break;
        bytes += next->length;
        shorter = next->length < first->length;
    }
    return n;
}

/* The bytes of n datagrams; what lies one behind the other is one piece. */
static void add_pieces(struct outgoing *out, const pier_datagram *first, size_t n)
{
    struct iovec *piece = &out->pieces[out->used];
    *piece = (struct iovec){
        .iov_base = first->data, .iov_len = pier__at_most(first->length, PIER__MOST)};
    for (size_t i = 1; i < n; i++) {
        if (first[i].data == (char *)piece->iov_base + piece->iov_len)
            piece->iov_len += first[i].length;
        else
            *++piece = (struct iovec){.iov_base = first[i].data, .iov_len = first[i].length};
    }
    out->used = (size_t)(piece - out->pieces) + 1;
}

static void add_message(struct outgoing *out, struct sending *sending, size_t from, size_t run)
{
    const pier_datagram *first = &sending->datagrams[from];
    pier_addr *to = destination(sending, first);
    struct msghdr *msg = &out->msgs[out->count].msg_hdr;
    *msg = (struct msghdr){.msg_iov = &out->pieces[out->used]};
    size_t used = out->used;
    add_pieces(out, first, run);
    msg->msg_iovlen = out->used - used;
    if (to) {
        msg->msg_name = &to->sa;
        msg->msg_namelen = to->length;
    }
    if (run > 1) {
        uint16_t length = (uint16_t)first->length;
        struct cmsghdr *header = (void *)out->segments[out->count];
        *header = (struct cmsghdr){.cmsg_level = IPPROTO_UDP,
            .cmsg_type = UDP_SEGMENT,
            .cmsg_len = CMSG_LEN(sizeof length)};
        memcpy(CMSG_DATA(header), &length, sizeof length);
        msg->msg_control = header;
        msg->msg_controllen = sizeof out->segments[0];
    }
    out->datagrams[out->count++] = (uint8_t)run;
}

/* The next one is ready. */
static void build(struct outgoing *out, struct sending *sending)
{
    size_t next = sending->sent;
    out->count = out->used = 0;
    do {
        size_t run = run_length(sending, next, PIECES - out->used);
        add_message(out, sending, next, run);
        next += run;
    } while (next < sending->count && out->count < MESSAGES && out->used < PIECES &&
             !is_unready(sending, &sending->datagrams[next]));
}

/* Make the address of the next datagram ready. 0, or what is wrong with it. */
static int prepare(struct sending *sending)
{
    const pier_datagram *next = &sending->datagrams[sending->sent];
    if (!is_unready(sending, next)) return 0;
    struct pier__entry *entry = sending->use->entry;
    sending->name = NULL;
    sending->resolved = *next->addr;
    int err = pier__resolve_for(&sending->resolved, sending->use,
        entry ? entry->family : next->addr->sa.any.sa_family, entry ? entry->type : 0,
        sending->limit, /* passive= */ false);
    if (err == 0) sending->name = next->addr;
    return err;
}

/*
 * Can datagrams be combined on this socket? The kernel is asked once; before 4.18 it would run them
 * together unasked.
 */
static bool can_combine(struct pier__entry *entry, int fd, int flags)
{
    if (!entry || !pier__is_udp(entry) || flags & MSG_MORE) return false;
    uint8_t known = atomic_load_explicit(&entry->gso, memory_order_relaxed);
    if (known != PIER__GSO_UNKNOWN) return known == PIER__GSO_WORKS;
    int own = 0;
    socklen_t size = sizeof own;
    int err = pier__seam->getsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &own, &size);
    bool works = err >= 0 && own == 0; /* else the user has it cut at a length of his own */
    known = works ? PIER__GSO_WORKS : PIER__GSO_NEVER;
    atomic_store_explicit(&entry->gso, known, memory_order_relaxed);
    return works;
}

/*
 * Was the first message refused because it was a combined one? Then shorter ones are tried from
 * here on, or none. Too long a datagram for the device is no reason never to try again.
 */
static bool is_refusal(struct sending *sending, const struct outgoing *out, int64_t code)
{
    size_t length = sending->datagrams[sending->sent].length;
    if (out->datagrams[0] == 1) return false;
    switch (code) {
    case -EINVAL:
    case -EMSGSIZE:
        sending->combined_most = length - 1;
        sending->refused = length <= EVERY_LINK;
        return true;
    case -EIO:
    case -ENOPROTOOPT:
    case -EOPNOTSUPP:
        sending->combined_most = 0;
        sending->refused = true;
        return true;
    default: return false;
    }
}

/* n messages have gone. */
static void count_sent(struct sending *sending, const struct outgoing *out, size_t n)
{
    struct pier__entry *entry = sending->use->entry;
    if (destination(sending, &sending->datagrams[sending->sent])) pier__forget_failures(entry);
    if (sending->refused) /* and what was refused has gone now, one by one */
        atomic_store_explicit(&entry->gso, PIER__GSO_NEVER, memory_order_relaxed);
    sending->refused = false;
    for (size_t i = 0; i < n; i++) {
        sending->sent += out->datagrams[i];
    }
}

/* One sendmmsg(2), which moves sending->sent. 0 or a code. */
static int64_t send_batch(struct sending *sending)
{
    struct outgoing out;
    const struct pier__use *use = sending->use;
    int64_t n = prepare(sending);
    if (n < 0) return n;
    build(&out, sending);
    struct pier__op op = {.code = PIER_OP_SENDMMSG,
        .fd = use->fd,
        .flags = sending->flags,
        .life = use->entry ? &use->entry->life : NULL,
        .timeout = sending->timeout,
        .deadline = sending->limit,
        .with.many = {.msgs = out.msgs, .count = (unsigned)out.count}};
    n = pier__remembered(use->entry, pier__await(&op));
    if (n < 0) return is_refusal(sending, &out, n) ? 0 : n;
    count_sent(sending, &out, (size_t)n);
    bool stopped = (size_t)n < out.count; /* perhaps by a signal */
    return stopped ? pier__thread_interrupted(op.life) : 0;
}

static int64_t send_many(struct sending *sending)
{
    const struct pier__use *use = sending->use;
    int64_t n = check_kind(use);
    if (n < 0) return n;
    sending->limit = pier__conversation_limit(use->entry, &sending->timeout);
    if (sending->flags & MSG_DONTWAIT) sending->timeout = 0;
    bool combine = sending->count > 1 && can_combine(use->entry, use->fd, sending->flags);
    sending->combined_most = combine ? SUPER_MOST : 0;
    while (n >= 0 && sending->sent < sending->count) {
        n = send_batch(sending);
    }
    return n;
}

static int check_datagrams(const pier_datagram *datagrams, size_t count)
{
    int err = check_array(datagrams, count);
    for (size_t i = 0; i < count && err == 0; i++) {
        err = pier__check_buffer(datagrams[i].data, datagrams[i].length);
    }
    return err;
}

/* Tell how many have gone, and whom the next one was for. */
static void record(const struct sending *sending, int64_t code)
{
    const pier_addr *to = sending->count > 0 ? sending->datagrams[sending->sent].addr : NULL;
    if (code == -EAGAIN || (to && to->length == 0 && !to->pending)) to = NULL;
    pier__sock_failed_after(
        sending->sent, to ? "send to" : SEND, sending->use->fd, sending->use, to, code);
}

static int64_t enter_send_many(int s, const pier_datagram *datagrams, size_t count, int flags)
{
    struct pier__use use;
    int64_t n = pier__enter(&use, s, PIER__WAITER);
    if (n < 0) {
        pier__sock_failed(SEND, s, NULL, NULL, n);
        return n;
    }
    struct sending sending = {.use = &use, .datagrams = datagrams, .flags = flags};
    n = check_datagrams(datagrams, count);
    if (n == 0) sending.count = count;
    if (n == 0 && count > 0) n = send_many(&sending);
    if (n < 0) record(&sending, n);
    pier__leave(&use);
    return n < 0 ? n : (int64_t)count;
}

ssize_t pier_send_many(int s, const pier_datagram *datagrams, size_t count, int flags)
{
    pier_time began = pier__trace_begin();
    ssize_t n = enter_send_many(s, datagrams, count, flags);
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, s, n, "send_many(%d, %zu datagrams, %#x)", s, count, flags);
    return n;
}
