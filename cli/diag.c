/* SPDX-License-Identifier: MIT */
/*
 * The sockets of this network namespace, as the kernel tells of them: sock_diag(7) over netlink(7).
 */
#include "cli.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <stdlib.h>
#include <string.h>

enum {
    ANSWER = 1 << 16, /* the kernel puts at most half of this into one */
    TRIES = 5,        /* while the table changes under our hands */
    PATIENCE = 10, /* seconds; the kernel answers at once, or is not the one that we take it for */
};

enum { ESTABLISHED = 1, CLOSED = 7, LISTENING = 10 }; /* the kernel's TCP_..., of all kinds */

static const char *const states[] = {"?", "established", "syn-sent", "syn-received", "fin-wait-1",
    "fin-wait-2", "time-wait", "closed", "close-wait", "last-ack", "listening", "closing",
    "syn-received", "bound"};

static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};

/* One question to the kernel, and what has come of it so far. */
struct dump {
    struct diag *to;
    enum diag_kind kind;
    int family;
    bool all;
    uint32_t sequence;
    bool interrupted, done;
};

struct question {
    struct nlmsghdr header;
    union {
        struct inet_diag_req_v2 inet;
        struct unix_diag_req local;
    } of;
};

bool diag_is_waiting(const struct diag_row *it)
{
    if (it->kind == DIAG_UNIX && it->type == SOCK_DGRAM)
        return it->name != NULL && it->state == CLOSED;
    return it->state == (it->kind == DIAG_UDP ? CLOSED : LISTENING);
}

const char *diag_state(const struct diag_row *it)
{
    bool tcp = it->kind == DIAG_TCP, listening = it->state == LISTENING;
    if (!tcp && it->state == ESTABLISHED) return "connected";
    if (!tcp && !listening) return it->kind == DIAG_UDP || it->name != NULL ? "bound" : "open";
    return it->state < sizeof states / sizeof *states ? states[it->state] : states[0];
}

bool diag_is_inet4(const struct diag_end *it)
{
    return memcmp(it->host, mapped, sizeof mapped) == 0;
}

void diag_set_inet4(struct diag_end *it, const void *host)
{
    memcpy(it->host, mapped, sizeof mapped);
    memcpy(it->host + sizeof mapped, host, 4);
}

void diag_free(struct diag *it)
{
    for (size_t i = 0; i < it->count; i++) {
        free(it->rows[i].name);
        free(it->rows[i].owners);
    }
    free(it->rows);
    *it = (struct diag){0};
}

static void forget_from(struct diag *it, size_t count)
{
    while (it->count > count)
        free(it->rows[--it->count].name);
}

static int add_row(struct diag *to, const struct diag_row *row)
{
    if (to->count == to->room) {
        size_t room = to->room == 0 ? 64 : 2 * to->room;
        struct diag_row *rows = reallocarray(to->rows, room, sizeof *rows);
        if (rows == NULL) return -ENOMEM;
        to->rows = rows;
        to->room = room;
    }
    to->rows[to->count++] = *row;
    return 0;
}

/* NLMSG_DATA() that leaves const what is. */
static const void *data_of(const struct nlmsghdr *header)
{
    return (const char *)header + NLMSG_HDRLEN;
}

/*
 * The attribute of this type behind the first `fixed` bytes; NULL if there is none, or one too
 * short.
 */
static const void *attribute(
    const struct nlmsghdr *header, size_t fixed, int type, size_t least, size_t *out_length)
{
    const char *message = (const char *)header;
    struct nlattr it;
    size_t at = NLMSG_LENGTH(NLMSG_ALIGN(fixed));
    while (at + sizeof it <= header->nlmsg_len) {
        memcpy(&it, message + at, sizeof it);
        if (it.nla_len < sizeof it || it.nla_len > header->nlmsg_len - at) return NULL;
        if ((it.nla_type & NLA_TYPE_MASK) == type) {
            *out_length = it.nla_len - sizeof it;
            return *out_length >= least ? message + at + sizeof it : NULL;
        }
        at += NLMSG_ALIGN(it.nla_len); /* the same four bytes */
    }
    return NULL;
}

static void take_end(
    struct diag_end *to, int family, const __be32 host[4], __be16 port, unsigned interface)
{
    to->port = ntohs(port);
    to->interface = interface;
    if (family == AF_INET)
        diag_set_inet4(to, host);
    else
        memcpy(to->host, host, sizeof to->host);
}

static int take_inet(const struct dump *it, const struct nlmsghdr *header)
{
    struct inet_diag_msg m;
    static const unsigned char any[16];
    if (header->nlmsg_len < NLMSG_LENGTH(sizeof m)) return -EBADMSG;
    memcpy(&m, data_of(header), sizeof m);
    struct diag_row row = {.kind = it->kind,
        .state = m.idiag_state,
        .inode = m.idiag_inode,
        .received = m.idiag_rqueue,
        .unsent = m.idiag_wqueue};
    take_end(&row.local, m.idiag_family, m.id.idiag_src, m.id.idiag_sport, m.id.idiag_if);
    take_end(&row.peer, m.idiag_family, m.id.idiag_dst, m.id.idiag_dport, m.id.idiag_if);
    size_t length;
    const uint8_t *only6 = attribute(header, sizeof m, INET_DIAG_SKV6ONLY, sizeof *only6, &length);
    row.both = m.idiag_family == AF_INET6 && only6 != NULL && *only6 == 0 &&
               memcmp(row.local.host, any, sizeof any) == 0;
    return add_row(it->to, &row);
}

static int take_unix(const struct dump *it, const struct nlmsghdr *header)
{
    struct unix_diag_msg m;
    if (header->nlmsg_len < NLMSG_LENGTH(sizeof m)) return -EBADMSG;
    memcpy(&m, data_of(header), sizeof m);
    struct diag_row row = {
        .kind = DIAG_UNIX, .type = m.udiag_type, .state = m.udiag_state, .inode = m.udiag_ino};
    size_t length;
    const void *found = attribute(header, sizeof m, UNIX_DIAG_PEER, sizeof row.peer_inode, &length);
    if (found != NULL) memcpy(&row.peer_inode, found, sizeof row.peer_inode);
    struct unix_diag_rqlen queues = {0};
    found = attribute(header, sizeof m, UNIX_DIAG_RQLEN, sizeof queues, &length);
    if (found != NULL) memcpy(&queues, found, sizeof queues);
    row.received = queues.udiag_rqueue;
    row.unsent = queues.udiag_wqueue;
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    found = attribute(header, sizeof m, UNIX_DIAG_NAME, 1, &length);
    if (found != NULL) {
        if (length > sizeof name.sun_path) length = sizeof name.sun_path;
        memcpy(name.sun_path, found, length);
        length += offsetof(struct sockaddr_un, sun_path);
        row.name = strdup(pier_addr_text(pier_addr_raw(&name, (socklen_t)length)).text);
        if (row.name == NULL) return -ENOMEM;
    }
    int err = add_row(it->to, &row);
    if (err < 0) free(row.name);
    return err;
}

/*
 * What stands behind the header of NLMSG_ERROR, and of NLMSG_DONE since it tells of failed dumps.
 */
static int error_in(const struct nlmsghdr *header)
{
    int err = 0;
    if (header->nlmsg_len >= NLMSG_LENGTH(sizeof err)) memcpy(&err, data_of(header), sizeof err);
    return err < 0 ? err : 0;
}

static int take_message(struct dump *it, const struct nlmsghdr *header)
{
    if (header->nlmsg_seq != it->sequence) return 0; /* an answer to somebody else */
    if (header->nlmsg_flags & NLM_F_DUMP_INTR) it->interrupted = true;
    if (header->nlmsg_type == NLMSG_DONE || header->nlmsg_type == NLMSG_ERROR) {
        it->done = true;
        return error_in(header);
    }
    if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY) return 0;
    return it->kind == DIAG_UNIX ? take_unix(it, header) : take_inet(it, header);
}

/* All of one datagram. */
static int take_answer(struct dump *it, const char *answer, size_t n)
{
    int err = 0;
    for (size_t at = 0; err == 0 && !it->done && n - at >= sizeof(struct nlmsghdr);) {
        const struct nlmsghdr *header = (const void *)(answer + at);
        if (header->nlmsg_len < sizeof *header || header->nlmsg_len > n - at) return -EBADMSG;
        err = take_message(it, header);
        size_t whole = NLMSG_ALIGN(header->nlmsg_len);
        at += whole < n - at ? whole : n - at;
    }
    return err;
}

static struct question make_question(const struct dump *it)
{
    /* UDP that waits for datagrams is closed to the kernel, as are Unix sockets without a peer. */
    uint32_t wanted = it->all                ? UINT32_MAX
                      : it->kind == DIAG_TCP ? 1U << LISTENING
                      : it->kind == DIAG_UDP ? 1U << CLOSED
                                             : 1U << LISTENING | 1U << CLOSED;
    struct question ask = {.header = {.nlmsg_type = SOCK_DIAG_BY_FAMILY,
                               .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
                               .nlmsg_seq = it->sequence}};
    if (it->kind == DIAG_UNIX) {
        ask.of.local = (struct unix_diag_req){.sdiag_family = AF_UNIX,
            .udiag_states = wanted,
            .udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_PEER | UDIAG_SHOW_RQLEN};
        ask.header.nlmsg_len = NLMSG_LENGTH(sizeof ask.of.local);
    } else {
        ask.of.inet = (struct inet_diag_req_v2){.sdiag_family = (uint8_t)it->family,
            .sdiag_protocol = it->kind == DIAG_TCP ? IPPROTO_TCP : IPPROTO_UDP,
            .idiag_states = wanted};
        ask.header.nlmsg_len = NLMSG_LENGTH(sizeof ask.of.inet);
    }
    return ask;
}

static int read_once(int s, struct dump *it)
{
    static _Alignas(struct nlmsghdr) char answer[ANSWER];
    struct question ask = make_question(it);
    ssize_t n = pier_sendto(s, &ask, ask.header.nlmsg_len, 0, pier_netlink(0, 0));
    if (n < 0) return (int)n;
    for (int err = 0; err == 0 && !it->done;) {
        pier_addr from;
        n = pier_recvfrom(s, answer, sizeof answer, MSG_TRUNC, &from);
        if (n < 0) return (int)n;
        if (n > (ssize_t)sizeof answer) return -EMSGSIZE;
        const struct sockaddr_nl *sender = (const struct sockaddr_nl *)&from.sa;
        if (sender->nl_pid != 0) continue; /* a process, and not the kernel */
        err = take_answer(it, answer, (size_t)n);
        if (err < 0) return err;
    }
    return 0;
}

/* All sockets of one family, again if the kernel says that it could not keep track. */
static int read_family(int s, struct dump *it)
{
    size_t before = it->to->count;
    for (int i = 0; i < TRIES; i++) {
        forget_from(it->to, before);
        it->interrupted = it->done = false;
        it->sequence++;
        int err = read_once(s, it);
        if (err < 0 && err != -ENOBUFS) {
            forget_from(it->to, before);
            return err;
        }
        if (err == 0 && !it->interrupted) return 0;
    }
    it->to->unsteady = true;
    return 0;
}

int diag_read(struct diag *to, enum diag_kind kind, bool all)
{
    int s = pier_socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG);
    if (s < 0) return s;
    pier_settimeout(s, PATIENCE);
    struct dump it = {.to = to, .kind = kind, .all = all};
    it.family = kind == DIAG_UNIX ? AF_UNIX : AF_INET;
    int err = read_family(s, &it);
    if (err == 0 && kind != DIAG_UNIX) {
        it.family = AF_INET6;
        err = read_family(s, &it);
        if (err == -ENOENT) err = 0; /* a kernel without IPv6 */
    }
    pier_close(s);
    return err;
}
