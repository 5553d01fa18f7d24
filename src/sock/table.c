/* SPDX-License-Identifier: MIT */
#include "sock/table.h"

#include "base/addr.h"
#include "base/ask.h"
#include "base/seam.h"
#include "base/time.h"
#include "base/trace.h"
#include "sock/buffer.h"
#include "sock/limit.h"
#include "wait/loop.h"
#include "wait/thread.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

/*
 * A shorter time-out would be over before the first step; Python, too, counts in milliseconds here.
 */
#define LEAST_CONVERSATION (PIER_SECOND / 1000)

struct pier__entry pier__first_chunk[PIER__CHUNK];

struct pier__entry *_Atomic pier__chunks[PIER__CHUNKS] = {pier__first_chunk};

static _Atomic uint64_t births;
static _Atomic int highest; /* the highest number that ever had an entry */
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

/* The two processes will share every description. */
static void before_fork(void)
{
    for (int s = 0, end = atomic_load(&highest); s <= end; s++) {
        struct pier__entry *entry = pier__entry_at(s);
        if (entry && atomic_load(&entry->life.state) & PIER__OPEN) pier__entry_share(entry);
    }
}

/*
 * The child has one thread: whoever else was inside is gone, and so is every wait and turn. If that
 * was to close the descriptor as the last one out, it is closed now.
 */
static void after_fork(void)
{
    const int end = atomic_load(&highest);
    for (int s = 0; s <= end; s++) {
        struct pier__entry *entry = pier__entry_at(s);
        if (!entry || !atomic_load(&entry->life.state)) continue;
        pier__life_after_fork(&entry->life);
        pier__buffer_after_fork(entry);
        entry->sending = entry->reading = (struct pier__turn){0};
        entry->serving = NULL;
        entry->stoppers = 0;
    }
    pier__thread_reenter();
    for (int s = 0; s <= end; s++) {
        struct pier__entry *entry = pier__entry_at(s);
        if (entry && pier__life_closing(&entry->life)) (void)pier__entry_bury(entry, s);
    }
}

static void watch_forks(void)
{
    pier__life_watch_forks();
    pthread_atfork(before_fork, NULL, after_fork);
}

static struct pier__entry *make_chunk(int fd)
{
    struct pier__entry *chunk = pier__allocate_zeroed(PIER__CHUNK, sizeof *chunk);
    struct pier__entry *there = NULL;
    if (!chunk) return NULL;
    if (!atomic_compare_exchange_strong(&pier__chunks[fd / PIER__CHUNK], &there, chunk)) {
        pier__seam->release(chunk); /* another thread was faster */
        chunk = there;
    }
    return &chunk[fd % PIER__CHUNK];
}

/*
 * What shutdown(2) does not wake would sleep on, most of all a Unix datagram's send, which waits
 * for the receiver's queue and not for its own. And what stops before there is nothing left:
 * AF_UNIX where descriptors came with the bytes, SCTP at the end of each message.
 */
static uint8_t traits(int family, int type, int protocol)
{
    uint8_t connect = type == SOCK_DGRAM ? PIER__WAKES_CONNECT : 0; /* does not block at all */
    switch (family) {
    case AF_INET:
    case AF_INET6: return PIER__WAKES | (protocol == IPPROTO_SCTP ? 0 : PIER__DRAINS);
    case AF_UNIX:
        return (uint8_t)(PIER__WAKES_RECV | connect | (type == SOCK_DGRAM ? 0 : PIER__WAKES_SEND));
    case AF_VSOCK: return type == SOCK_STREAM ? PIER__WAKES_RECV | PIER__WAKES_SEND : connect;
    default: return connect;
    }
}

/* What a live entry still holds of a descriptor that was replaced behind pier's back. */
static void start_afresh(struct pier__entry *entry)
{
    if (!(atomic_load(&entry->life.state) & PIER__INSIDE)) pier__buffer_free(entry);
    char scrap[64];
    while (pier__buffer_drain(entry, scrap, sizeof scrap, 0) > 0) {
    }
}

/* Before the state says that it is open, which is seen last. */
#define SET(field, value) atomic_store_explicit(&(field), value, memory_order_relaxed)

struct pier__entry *pier__entry_open(int fd, int family, int type, int protocol)
{
    if (fd < 0 || fd >= PIER__CHUNK * PIER__CHUNKS) return NULL;
    struct pier__entry *entry = pier__entry_at(fd);
    if (!entry) entry = make_chunk(fd);
    if (!entry) return NULL;
    pthread_once(&fork_once, watch_forks);
    if (atomic_load(&entry->life.state) & PIER__OPEN) start_afresh(entry);

    entry->family = (uint16_t)family;
    entry->type = (uint16_t)type;
    entry->protocol = protocol;
    entry->life.traits = traits(family, type, protocol);
    entry->peer_length = 0;
    SET(entry->life.mark, PIER__UNTRIED);
    SET(entry->life.full, false);
    SET(entry->life.guess.unmarked, 1); /* the first receive polls */
    SET(entry->life.guess.marked, 0);
    SET(entry->life.mode, PIER__MODE_UNKNOWN);
    SET(entry->life.shared, false);
    SET(entry->life.listening, false);
    SET(entry->bound, false);
    SET(entry->failed_bind, 0);
    SET(entry->failed_connect, 0);
    SET(entry->gso, PIER__GSO_UNKNOWN);
    SET(entry->deadline, PIER_NEVER);
    SET(entry->timeout, pier__default_timeout());
    SET(entry->life.birth, atomic_fetch_add(&births, 1) + 1);

    int seen = atomic_load(&highest);
    while (seen < fd && !atomic_compare_exchange_weak(&highest, &seen, fd)) {
    }
    int64_t above = atomic_load(&entry->timeout) == PIER_NEVER ? 0 : PIER__HAS_TIMEOUT;
    if (~entry->life.traits & (PIER__WAKES_RECV | PIER__WAKES_SEND)) above |= PIER__POLLS;
    if (pier__trace_on) above |= PIER__TRACED;
    above = PIER__OPEN | above << PIER__ABOVE;
    int64_t was = atomic_load(&entry->life.state);
    while (!atomic_compare_exchange_weak(&entry->life.state, &was, above | (was & PIER__INSIDE))) {
    }
    return entry;
}

static int bury(struct pier__entry *entry, int fd, bool soon)
{
    int64_t was = atomic_load(&entry->life.state);
    int64_t grave = PIER__GRAVE(atomic_load(&entry->life.birth));
    do {
        bool closing = was & PIER__CLOSING && was & PIER__OPEN;
        if (!closing || was & PIER__INSIDE) return 0;
    } while (!atomic_compare_exchange_weak(&entry->life.state, &was, grave));
    pier__buffer_free(entry);
    if (atomic_load(&entry->life.shared)) pier__loops_forget(fd);
    if (soon && pier__loop_closes(fd, &entry->life, grave)) return 0;
    int err = pier__seam->close(fd);
    pier__life_clear_grave(&entry->life, grave);
    return err;
}

int pier__entry_bury(struct pier__entry *entry, int fd)
{
    return bury(entry, fd, /* soon= */ false);
}

void pier__entry_bury_soon(struct pier__entry *entry, int fd)
{
    (void)bury(entry, fd, /* soon= */ true);
}

int pier__enter_slowly(struct pier__use *use, struct pier__entry *entry, int said)
{
    use->entry = NULL;
    if (said == 0)
        use->bare = entry;
    else if (pier__life_leave(&entry->life, use->as))
        pier__entry_bury(entry, use->fd);
    return said;
}

void pier__leave_bare(struct pier__use *use)
{
    int64_t mask = use->as == PIER__WAITER ? PIER__WAITERS : PIER__INSIDE & ~PIER__WAITERS;
    int64_t was = atomic_load(&use->bare->life.state);
    do {
        if (!(was & mask)) return; /* a hook has forked, and this is the child: nobody is counted */
    } while (!atomic_compare_exchange_weak(&use->bare->life.state, &was, was - use->as));
    if (was - use->as < 0) pier__entry_bury(use->bare, use->fd);
}

void pier__entry_set_peer(struct pier__entry *entry, const struct sockaddr *addr, socklen_t length)
{
    if (length > sizeof entry->peer) length = 0;
    entry->peer_length = (uint8_t)length;
    memcpy(&entry->peer, addr, length);
}

pier_time pier__conversation_limit(const struct pier__entry *entry, int64_t *out_timeout)
{
    *out_timeout = PIER_NEVER;
    if (!entry || !(pier__special(entry) & (PIER__HAS_TIMEOUT | PIER__HAS_DEADLINE)))
        return PIER_NEVER;
    int64_t timeout = atomic_load(&entry->timeout);
    pier_time deadline = atomic_load(&entry->deadline);
    if (timeout == 0) *out_timeout = 0;
    if (timeout == 0 || timeout == PIER_NEVER) return deadline;
    if (timeout < LEAST_CONVERSATION) timeout = LEAST_CONVERSATION;
    return pier__earlier(deadline, pier__point(pier__seam->now(), timeout));
}

/*
 * What the kernel says to one who is not connected; UDP and AF_UNIX streams have words of their
 * own.
 */
static bool tells_of_no_connection(const struct pier__entry *entry, int64_t code)
{
    return code == -ENOTCONN || code == -EPIPE || code == -EDESTADDRREQ ||
           (code == -EINVAL && entry->family == AF_UNIX);
}

int64_t pier__remembered(struct pier__entry *entry, int64_t code)
{
    if (PIER_LIKELY(!entry) || !(pier__special(entry) & PIER__HAS_FAILED_CONNECT)) return code;
    return tells_of_no_connection(entry, code) ? atomic_load(&entry->failed_connect) : code;
}

static void ask(
    int (*which)(int, struct sockaddr *, socklen_t *), int fd, struct pier__sockaddr *out)
{
    out->length = sizeof out->storage;
    if (which(fd, (struct sockaddr *)&out->storage, &out->length) < 0) out->length = 0;
    if (out->length > sizeof out->storage) out->length = sizeof out->storage;
}

/*
 * getpeername(2) knows no peer of a connection that was reset; SO_PEERNAME does, for who says the
 * length of its address.
 */
static void ask_peer(int fd, const struct pier__sockaddr *local, struct pier__sockaddr *out)
{
    ask(pier__seam->getpeername, fd, out);
    sa_family_t family = local->length > 0 ? local->storage.ss_family : AF_UNSPEC;
    if (out->length > 0 || (family != AF_INET && family != AF_INET6)) return;
    socklen_t size = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    int err = pier__seam->getsockopt(fd, SOL_SOCKET, SO_PEERNAME, &out->storage, &size);
    if (err == 0) out->length = size;
}

int64_t pier__sock_failed(
    const char *verb, int s, const struct pier__use *use, const pier_addr *target, int64_t code)
{
    if (code >= 0 || code == s || code == -EAGAIN || code == -EINPROGRESS) return code;
    const struct pier__entry *entry = use ? use->entry : NULL;
    int64_t special = entry && !target ? pier__special(entry) : 0;
    bool of_bind = special & PIER__HAS_FAILED_BIND && code == entry->failed_bind;
    bool of_connect = special & PIER__HAS_FAILED_CONNECT && code == entry->failed_connect;
    bool told_before = of_bind || of_connect;
    const struct pier__failure *last = pier__failure();
    if (told_before && last->code == code && last->socket == s) return code;

    struct pier__failure *failure = pier__failure_begin(verb, code);
    failure->socket = s;
    failure->type = entry ? entry->type : 0;
    if (told_before) {
        failure->verb = of_bind ? "bind" : "connect to";
        if (!of_bind && entry->peer_length)
            pier__addr_print(
                &entry->peer.any, entry->peer_length, failure->target, sizeof failure->target);
    } else if (target && target->error == 0) {
        pier_text text = pier_addr_text(*target);
        memccpy(failure->target, text.text, '\0', sizeof failure->target - 1);
    }
    if (code == -EBADF || code == -ENOTSOCK || s < 0) return code;
    if (code == -EADDRINUSE) /* TCP ports and UDP ports have different holders */
        (void)pier__ask_int(s, SO_TYPE, &failure->type);
    ask(pier__seam->getsockname, s, &failure->local);
    if (entry && entry->peer_length) {
        failure->peer.length = entry->peer_length;
        memcpy(&failure->peer.storage, &entry->peer, entry->peer_length);
    } else {
        ask_peer(s, &failure->local, &failure->peer);
    }
    return code;
}

int64_t pier__sock_failed_after(size_t moved, const char *verb, int s, const struct pier__use *use,
    const pier_addr *target, int64_t code)
{
    if (code == -EAGAIN) pier__failure_begin(verb, code)->socket = s;
    pier__sock_failed(verb, s, use, target, code);
    pier__failure()->moved = moved;
    return code;
}
