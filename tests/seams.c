/* SPDX-License-Identifier: MIT */
#include "seams.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define MOST_STEPS 32

struct rule {
    _Atomic long seen; /* calls since the rule was made */
    long nth;
    int64_t count, code;
    bool after;
    int64_t script[MOST_STEPS]; /* instead of code, if there are steps */
    size_t steps;
};

static struct rule rules[SEAMS_COUNT];
static _Atomic long counts[SEAMS_COUNT];
static const struct pier__seam *below = &pier__seam_system;

struct pier__seam seams_instead;

const struct pier__seam *seams_below(void) { return below; }

enum answer { ASK, REFUSE, LIE };

/* Count a call, and say what is to become of it. */
static enum answer decide(enum seams_slot slot, int64_t *out_code)
{
    atomic_fetch_add(&counts[slot], 1);
    struct rule *rule = &rules[slot];
    long n = atomic_fetch_add(&rule->seen, 1) + 1;
    if (n < rule->nth || n - rule->nth >= rule->count) return ASK;
    *out_code = rule->steps ? rule->script[n - 1] : rule->code;
    if (*out_code == SEAMS_ASK) return ASK;
    return rule->after ? LIE : REFUSE;
}

#define SLOT(type, name, parameters, arguments)                                                \
    static type slot_##name parameters                                                         \
    {                                                                                          \
        int64_t code = 0;                                                                      \
        enum answer answer = decide(SEAMS_##name, &code);                                      \
        if (answer == REFUSE) return (type)code;                                               \
        type said = seams_instead.name ? seams_instead.name arguments : below->name arguments; \
        return answer == LIE ? (type)code : said;                                              \
    }

SLOT(int, socket, (int family, int type, int protocol), (family, type, protocol))
SLOT(int, socketpair, (int family, int type, int protocol, int pair[2]),
    (family, type, protocol, pair))
SLOT(int, bind, (int fd, const struct sockaddr *addr, socklen_t len), (fd, addr, len))
SLOT(int, listen, (int fd, int backlog), (fd, backlog))
SLOT(int, accept4, (int fd, struct sockaddr *addr, socklen_t *len, int flags),
    (fd, addr, len, flags))
SLOT(int, connect, (int fd, const struct sockaddr *addr, socklen_t len), (fd, addr, len))
SLOT(int, shutdown, (int fd, int how), (fd, how))
SLOT(int, getsockname, (int fd, struct sockaddr *addr, socklen_t *len), (fd, addr, len))
SLOT(int, getpeername, (int fd, struct sockaddr *addr, socklen_t *len), (fd, addr, len))
SLOT(int, getsockopt, (int fd, int level, int name, void *value, socklen_t *len),
    (fd, level, name, value, len))
SLOT(int, setsockopt, (int fd, int level, int name, const void *value, socklen_t len),
    (fd, level, name, value, len))
SLOT(ssize_t, recv, (int fd, void *buf, size_t len, int flags), (fd, buf, len, flags))
SLOT(ssize_t, recvfrom,
    (int fd, void *buf, size_t len, int flags, struct sockaddr *addr, socklen_t *addrlen),
    (fd, buf, len, flags, addr, addrlen))
SLOT(ssize_t, recvmsg, (int fd, struct msghdr *msg, int flags), (fd, msg, flags))
SLOT(ssize_t, send, (int fd, const void *buf, size_t len, int flags), (fd, buf, len, flags))
SLOT(ssize_t, sendto,
    (int fd, const void *buf, size_t len, int flags, const struct sockaddr *addr,
        socklen_t addrlen),
    (fd, buf, len, flags, addr, addrlen))
SLOT(ssize_t, sendmsg, (int fd, const struct msghdr *msg, int flags), (fd, msg, flags))
SLOT(int, recvmmsg, (int fd, struct mmsghdr *msgs, unsigned count, int flags),
    (fd, msgs, count, flags))
SLOT(int, sendmmsg, (int fd, struct mmsghdr *msgs, unsigned count, int flags),
    (fd, msgs, count, flags))
SLOT(ssize_t, sendfile, (int out, int in, off_t *offset, size_t count), (out, in, offset, count))
SLOT(int, close, (int fd), (fd))
SLOT(int, poll, (struct pollfd * fds, nfds_t count, pier_time deadline), (fds, count, deadline))
SLOT(int, fcntl, (int fd, int command, long arg), (fd, command, arg))
SLOT(int, ioctl, (int fd, unsigned long request, void *arg), (fd, request, arg))
SLOT(int, eventfd, (unsigned initial, int flags), (initial, flags))
SLOT(int, open, (const char *path, int flags, mode_t mode), (path, flags, mode))
SLOT(ssize_t, read, (int fd, void *buf, size_t len), (fd, buf, len))
SLOT(ssize_t, pread, (int fd, void *buf, size_t len, off_t offset), (fd, buf, len, offset))
SLOT(ssize_t, write, (int fd, const void *buf, size_t len), (fd, buf, len))
SLOT(off_t, lseek, (int fd, off_t offset, int whence), (fd, offset, whence))
SLOT(int, fstat, (int fd, struct stat *out), (fd, out))
SLOT(int, lstat, (const char *path, struct stat *out), (path, out))
SLOT(int, chmod, (const char *path, mode_t mode), (path, mode))
SLOT(int, unlink, (const char *path), (path))
SLOT(ssize_t, readlink, (const char *path, char *buf, size_t size), (path, buf, size))
SLOT(ssize_t, getdents, (int fd, void *buf, size_t size), (fd, buf, size))
SLOT(int, mmap, (size_t size, int protection, int flags, int fd, off_t offset, void **out),
    (size, protection, flags, fd, offset, out))
SLOT(int, munmap, (void *start, size_t size), (start, size))
SLOT(int, madvise, (void *start, size_t size, int advice), (start, size, advice))
SLOT(int, mprotect, (void *start, size_t size, int protection), (start, size, protection))
SLOT(ssize_t, random, (void *buf, size_t len), (buf, len))
SLOT(int, signal_mask, (int how, const sigset_t *set, sigset_t *old), (how, set, old))
SLOT(int, sigtimedwait, (const sigset_t *set, siginfo_t *info, const struct timespec *timeout),
    (set, info, timeout))
SLOT(int, sigaction, (int signal, const struct sigaction *action, struct sigaction *old),
    (signal, action, old))
SLOT(int, sigaltstack, (const stack_t *stack, stack_t *old), (stack, old))
SLOT(int, raise, (int signal), (signal))
SLOT(pid_t, getpid, (void), ())
SLOT(int, gethostname, (char *buf, size_t size), (buf, size))
SLOT(int, thread, (pthread_t * out, const pthread_attr_t *attr, void *(*start)(void *), void *arg),
    (out, attr, start, arg))
SLOT(pier_time, now, (void), ())

/* These have no code: any rule makes the memory run out. */
static void *slot_allocate(void *old, size_t size)
{
    int64_t code;
    return decide(SEAMS_allocate, &code) == ASK ? below->allocate(old, size) : NULL;
}

static void slot_release(void *pointer)
{
    int64_t code;
    (void)decide(SEAMS_release, &code);
    below->release(pointer);
}

struct pier__seam seams_table;

void seams_install(void)
{
    if (pier__seam != &seams_table) below = pier__seam;
    memset(&seams_instead, 0, sizeof seams_instead);
    seams_table = *below; /* the slots that are not watched */
#define WATCH(name) seams_table.name = slot_##name;
    SEAMS_SYSTEM(WATCH)
    SEAMS_OTHER(WATCH)
#undef WATCH
    for (int i = 0; i < SEAMS_COUNT; i++) {
        seams_rule((enum seams_slot)i, 1, 0, 0, /* after= */ false);
        atomic_store(&counts[i], 0);
    }
    pier__seam = &seams_table;
}

void seams_remove(void) { pier__seam = below; }

void seams_recount(void)
{
    for (int i = 0; i < SEAMS_COUNT; i++) {
        atomic_store(&counts[i], 0);
        atomic_store(&rules[i].seen, 0);
    }
}

long seams_calls_of(enum seams_slot slot) { return atomic_load(&counts[slot]); }

long seams_system_calls(void)
{
    long all = 0;
    for (int i = 0; i < SEAMS_LAST_SYSTEM; i++) {
        all += seams_calls_of((enum seams_slot)i);
    }
    return all;
}

void seams_rule(enum seams_slot slot, long nth, int64_t count, int64_t code, bool after)
{
    struct rule *rule = &rules[slot];
    rule->nth = nth;
    rule->count = count;
    rule->code = code;
    rule->after = after;
    rule->steps = 0;
    atomic_store(&rule->seen, 0);
}

void seams_follow(enum seams_slot slot, const int64_t *codes, size_t count)
{
    struct rule *rule = &rules[slot];
    if (count > MOST_STEPS) abort();
    seams_rule(slot, 1, (int64_t)count, 0, /* after= */ false);
    memcpy(rule->script, codes, count * sizeof *codes);
    rule->steps = count;
}
