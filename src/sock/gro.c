/* SPDX-License-Identifier: MIT */
#include "sock/gro.h"

#include "base/addr.h"
#include "base/seam.h"
#include "base/trace.h"
#include "sock/io.h"
#include "sock/message.h"

#include <errno.h>
#include <netinet/udp.h>
#include <stdalign.h>
#include <string.h>

#ifndef UDP_GRO
#    define UDP_GRO 104 /* Linux 5.0; since glibc 2.37 */
#endif

#define LONGEST 65536 /* no super-datagram is longer */
#define CONTROL 512   /* what the kernel may tell of a datagram, with all its options together */

/*
 * Made once it stays with its entry for good, so that nobody finds it gone; its bytes come and go.
 */
struct pier__gro {
    _Atomic size_t pending; /* how many bytes are left, for those who have no turn */
    _Atomic bool kept;      /* and whether there is anything for the next call */
    char *_Atomic bytes;    /* LONGEST of them */
    size_t head, tail;      /* what is left, in bytes */
    size_t left;            /* and in datagrams: one of 0 bytes counts */
    size_t segment;         /* how long each is, but perhaps the last */
    int error;              /* came after datagrams that were given out: for the next call */
    bool cut;               /* there was more control data than room */
    bool from_known;        /* from is made of name */
    struct pier__sockaddr name;
    pier_addr from;
    size_t control_length;
    alignas(struct cmsghdr) char control[CONTROL];
};

/* A call under way that has the turn. */
struct receipt {
    const struct pier__use *use;
    struct pier__gro *gro;
    int flags;
    int64_t timeout; /* for each wait, as in struct pier__op */
    pier_time limit;
    bool ended; /* none will come any more */
};

static struct pier__gro *gro_of(struct pier__entry *entry)
{
    return atomic_load_explicit(&entry->gro, memory_order_acquire);
}

/* Another thread may be doing the same. */
int pier__gro_prepare(struct pier__entry *entry)
{
    struct pier__gro *gro = gro_of(entry), *no_gro = NULL;
    if (!gro) {
        gro = pier__allocate_zeroed(1, sizeof *gro);
        if (!gro) return -ENOMEM;
        if (!atomic_compare_exchange_strong(&entry->gro, &no_gro, gro)) {
            pier__seam->release(gro);
            gro = no_gro;
        }
    }
    if (atomic_load(&gro->bytes)) return 0;
    char *bytes = pier__seam->allocate(NULL, LONGEST), *no_bytes = NULL;
    if (!bytes) return -ENOMEM;
    if (!atomic_compare_exchange_strong(&gro->bytes, &no_bytes, bytes)) pier__seam->release(bytes);
    return 0;
}

/* Whoever is inside already may be receiving as if there were no super-datagrams. */
static int mark_alone(struct pier__entry *entry)
{
    int64_t was = atomic_load(&entry->life.state);
    const int64_t mark = (int64_t)PIER__COALESCES << PIER__ABOVE;
    do {
        if ((was & PIER__INSIDE) != PIER__VISITOR) return -EBUSY;
    } while (!atomic_compare_exchange_weak(&entry->life.state, &was, was | mark));
    return 0;
}

static int enable(const struct pier__use *use)
{
    struct pier__entry *entry = use->entry;
    int on = 1;
    if (!entry) return -EBADF;
    if (!pier__is_udp(entry)) return -EOPNOTSUPP;
    if (pier__special(entry) & PIER__COALESCES) return 0;
    int err = pier__gro_prepare(entry);
    if (err == 0) err = mark_alone(entry);
    if (err < 0) return err;
    err = pier__seam->setsockopt(use->fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on);
    if (err < 0) pier__mark_special(entry, PIER__COALESCES, false);
    return err;
}

int pier_enable_gro(int s)
{
    pier_time began = pier__trace_begin();
    struct pier__use use;
    int err = pier__enter(&use, s, PIER__VISITOR);
    if (err == 0) {
        err = enable(&use);
        pier__leave(&use);
    }
    if (PIER_UNLIKELY(began)) pier__trace_end(began, s, err, "enable_gro(%d)", s);
    return (int)pier__sock_failed("enable GRO on", s, NULL, NULL, err);
}

size_t pier__gro_pending(struct pier__entry *entry)
{
    struct pier__gro *gro = gro_of(entry);
    return gro ? atomic_load_explicit(&gro->pending, memory_order_relaxed) : 0;
}

bool pier__gro_kept(struct pier__entry *entry)
{
    struct pier__gro *gro = gro_of(entry);
    return gro && atomic_load_explicit(&gro->kept, memory_order_relaxed);
}

static void forget(struct pier__gro *gro)
{
    gro->head = gro->tail = gro->left = 0;
    gro->error = 0;
    atomic_store_explicit(&gro->pending, 0, memory_order_relaxed);
    atomic_store_explicit(&gro->kept, false, memory_order_relaxed);
}

void pier__gro_free(struct pier__entry *entry)
{
    struct pier__gro *gro = gro_of(entry);
    if (!gro) return;
    pier__seam->release(gro->bytes);
    gro->bytes = NULL;
    forget(gro);
}

void pier__gro_after_fork(struct pier__entry *entry)
{
    struct pier__gro *gro = gro_of(entry);
    if (gro && atomic_load(&entry->reading.state)) forget(gro);
}

static void end(const struct receipt *receipt)
{
    struct pier__gro *gro = receipt->gro;
    size_t pending = gro->tail - gro->head;
    if (pending != atomic_load_explicit(&gro->pending, memory_order_relaxed))
        atomic_store_explicit(&gro->pending, pending, memory_order_relaxed);
    bool kept = gro->left > 0 || gro->error < 0;
    if (kept != atomic_load_explicit(&gro->kept, memory_order_relaxed))
        atomic_store_explicit(&gro->kept, kept, memory_order_relaxed);
    pier__turn_give(&receipt->use->entry->reading);
}

static int64_t begin(struct receipt *receipt, const struct pier__use *use, int flags)
{
    struct pier__entry *entry = use->entry;
    *receipt = (struct receipt){.use = use, .gro = gro_of(entry), .flags = flags};
    receipt->limit = pier__conversation_limit(entry, &receipt->timeout);
    if (flags & MSG_DONTWAIT) receipt->timeout = 0;
    if (pier__special(entry) & PIER__HAS_FAILED_BIND) return atomic_load(&entry->failed_bind);
    int64_t err = pier__begin_buffered(receipt->timeout, receipt->limit);
    if (err < 0) return err;
    err = pier__turn_take(&entry->reading, &entry->life, receipt->timeout, receipt->limit);
    if (err < 0) return err;
    struct pier__gro *gro = receipt->gro;
    if (gro->left > 0 || gro->error == 0) return 0;
    err = gro->error;
    gro->error = 0;
    end(receipt);
    return err;
}

static const pier_addr *sender(struct pier__gro *gro)
{
    if (!gro->from_known)
        gro->from =
            pier__addr_from_sockaddr((const struct sockaddr *)&gro->name.storage, gro->name.length);
    gro->from_known = true;
    return &gro->from;
}

/* As many of its bytes as there is room for are in place. */
static void came(const struct receipt *receipt, pier_datagram *datagram, size_t real)
{
    datagram->truncated = real > datagram->size;
    datagram->length = datagram->truncated && !(receipt->flags & MSG_TRUNC) ? datagram->size : real;
    if (datagram->addr) *datagram->addr = *sender(receipt->gro);
}

/* How long the next of those left is. */
static size_t next_length(const struct pier__gro *gro)
{
    size_t bytes = gro->tail - gro->head;
    return bytes < gro->segment ? bytes : gro->segment;
}

static void drop_next(struct pier__gro *gro)
{
    gro->head += next_length(gro);
    gro->left--;
}

/* Give out what is left, as far as there is room: how many. */
static size_t give(const struct receipt *receipt, pier_datagram *datagrams, size_t count)
{
    struct pier__gro *gro = receipt->gro;
    size_t given = 0;
    for (; given < count && gro->left > 0; given++) {
        pier_datagram *datagram = &datagrams[given];
        size_t real = next_length(gro);
        size_t fits = real < datagram->size ? real : datagram->size;
        if (fits > 0) memcpy(datagram->data, gro->bytes + gro->head, fits);
        came(receipt, datagram, real);
        drop_next(gro);
    }
    return given;
}

/* How long the datagrams are that came together; 0: it was one alone. */
static size_t segment_of(const struct msghdr *msg)
{
    pier_cmsg cmsg = {0};
    int length = 0;
    while (pier_cmsg_next(msg, &cmsg)) {
        if (cmsg.level == IPPROTO_UDP && cmsg.type == UDP_GRO && cmsg.length == sizeof length)
            memcpy(&length, cmsg.data, sizeof length);
    }
    return length > 0 ? (size_t)length : 0;
}

/*
 * Receive a super-datagram, or a plain one; nothing is left of the one before. It is not received
 * into the caller's buffers, one behind the other: that the kernel does not copy faster
 * (bench/udp.c). 0 or a code.
 */
static int64_t pull(struct receipt *receipt)
{
    struct pier__gro *gro = receipt->gro;
    struct pier__entry *entry = receipt->use->entry;
    struct iovec all = {.iov_base = gro->bytes, .iov_len = LONGEST};
    struct msghdr msg = {.msg_name = &gro->name.storage,
        .msg_namelen = sizeof gro->name.storage,
        .msg_iov = &all,
        .msg_iovlen = 1,
        .msg_control = gro->control,
        .msg_controllen = sizeof gro->control};
    struct pier__op op = {.code = PIER_OP_RECVMSG,
        .fd = receipt->use->fd,
        .flags = receipt->flags & ~MSG_TRUNC,
        .life = &entry->life,
        .timeout = receipt->timeout,
        .deadline = receipt->limit,
        .with.msg_in = &msg};
    int64_t n = pier__remembered(entry, pier__await(&op));
    if (n < 0) return n;
    gro->name.length = (socklen_t)pier__at_most(msg.msg_namelen, sizeof gro->name.storage);
    gro->from_known = false;
    gro->control_length = msg.msg_controllen;
    gro->cut = msg.msg_flags & MSG_CTRUNC;
    gro->head = 0;
    gro->tail = (size_t)n;
    size_t together = segment_of(&msg);
    gro->segment = together ? together : gro->tail;
    gro->left = together ? (gro->tail + together - 1) / together : 1;
    /* A datagram has a sender, a socket that is shut down has nothing. */
    receipt->ended = n == 0 && msg.msg_namelen == 0;
    return 0;
}

/* What was only looked at is still the kernel's. */
static void unpeek(struct pier__gro *gro) { gro->head = gro->tail = gro->left = 0; }

/* Give out the first datagram, and leave it. */
static int64_t peek_one(struct receipt *receipt, pier_datagram *datagram)
{
    struct pier__gro *gro = receipt->gro;
    bool ours = gro->left > 0;
    int64_t n = ours ? 0 : pull(receipt);
    if (n < 0) return n;
    size_t head = gro->head, left = gro->left;
    n = receipt->ended ? 0 : (int64_t)give(receipt, datagram, 1);
    gro->head = head;
    gro->left = left;
    if (!ours) unpeek(gro);
    return n;
}

/*
 * Was it about the call itself, and not about the socket? Then the next one will find out by
 * itself.
 */
static bool is_own_affair(int64_t code)
{
    return code == -EAGAIN || code == -ETIME || code == -ECANCELED || code == -EINTR;
}

static int64_t fill_all(struct receipt *receipt, pier_datagram *datagrams, size_t count)
{
    struct pier__gro *gro = receipt->gro;
    size_t got = give(receipt, datagrams, count);
    while (got < count) {
        if (got > 0) receipt->timeout = 0;
        int64_t n = pull(receipt);
        if (n < 0 && got > 0 && !is_own_affair(n)) gro->error = (int)n;
        if (n < 0) return got > 0 ? (int64_t)got : n;
        if (receipt->ended) {
            unpeek(gro);
            break;
        }
        got += give(receipt, datagrams + got, count - got);
    }
    return (int64_t)got;
}

int64_t pier__gro_recv_many(
    const struct pier__use *use, pier_datagram *datagrams, size_t count, int flags)
{
    struct receipt receipt;
    int64_t n = begin(&receipt, use, flags);
    if (n < 0) return n;
    n = flags & MSG_PEEK ? peek_one(&receipt, datagrams) : fill_all(&receipt, datagrams, count);
    end(&receipt);
    return n;
}

/* What came beside the datagram, except that it did not come alone. */
static void give_control(struct pier__gro *gro, struct msghdr *out)
{
    size_t room = out->msg_controllen;
    bool cut = false;
    struct msghdr had = {.msg_control = gro->control, .msg_controllen = gro->control_length};
    out->msg_controllen = 0;
    pier_cmsg cmsg = {0};
    while (pier_cmsg_next(&had, &cmsg)) {
        if (cmsg.level == IPPROTO_UDP && cmsg.type == UDP_GRO) continue;
        cut = pier__cmsg_put(out, room, cmsg.level, cmsg.type, cmsg.data, cmsg.length) < 0;
        if (cut) break;
    }
    if (cut || gro->cut) out->msg_flags |= MSG_CTRUNC;
}

/* The next of those left as a message; the real length of it. */
static size_t give_message(struct pier__gro *gro, struct msghdr *out)
{
    size_t real = next_length(gro), moved = 0;
    for (size_t i = 0; i < out->msg_iovlen && moved < real; i++) {
        size_t part = pier__at_most(out->msg_iov[i].iov_len, real - moved);
        if (part > 0) memcpy(out->msg_iov[i].iov_base, gro->bytes + gro->head + moved, part);
        moved += part;
    }
    out->msg_flags = moved < real ? MSG_TRUNC : 0;
    socklen_t room = out->msg_name ? out->msg_namelen : 0;
    out->msg_namelen = (socklen_t)pier__at_most(gro->name.length, room);
    if (out->msg_namelen > 0) memcpy(out->msg_name, &gro->name.storage, out->msg_namelen);
    give_control(gro, out);
    return real;
}

int64_t pier__gro_recvmsg(const struct pier__use *use, struct msghdr *msg, int flags)
{
    struct receipt receipt;
    int64_t n = begin(&receipt, use, flags);
    if (n < 0) return n;
    struct pier__gro *gro = receipt.gro;
    bool ours = gro->left > 0;
    if (!ours) n = pull(&receipt);
    if (n >= 0) {
        size_t room = 0;
        for (size_t i = 0; i < msg->msg_iovlen; i++) {
            room += msg->msg_iov[i].iov_len;
        }
        size_t real = give_message(gro, msg);
        n = (int64_t)(flags & MSG_TRUNC ? real : pier__at_most(real, room));
        if (!(flags & MSG_PEEK))
            drop_next(gro);
        else if (!ours)
            unpeek(gro);
    }
    end(&receipt);
    return n;
}
