/* SPDX-License-Identifier: MIT */
#include "fault.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>

#define SYSTEM pier__seam_system

static atomic_long calls, blocks;
static long fail_at;
static bool fail_onwards;
static const char *_Atomic victim;

static unsigned noise;
static atomic_uint noise_state;
static _Thread_local int told_fd = -1; /* the descriptor that poll called ready last */
static _Thread_local bool told;        /* a ring has just said that something is ready */

void fault_begin(long n, bool onwards)
{
    fail_at = n;
    fail_onwards = onwards;
    atomic_store(&calls, 0);
    atomic_store(&blocks, 0);
    atomic_store(&victim, NULL);
}

long fault_calls(void) { return atomic_load(&calls); }

const char *fault_victim(void) { return atomic_load(&victim); }

long fault_blocks(void) { return atomic_load(&blocks); }

/* Is it this call's turn to fail? */
static bool fails(const char *slot)
{
    long n = atomic_fetch_add(&calls, 1) + 1;
    if (fail_at == 0 || n < fail_at || (n > fail_at && !fail_onwards)) return false;
    const char *none = NULL;
    (void)atomic_compare_exchange_strong(&victim, &none, slot);
    return true;
}

void fault_make_noise(unsigned kinds, unsigned seed)
{
    noise = kinds;
    atomic_store(&noise_state, seed * 2654435761U + 1);
}

/* True once in `odds` times, by chance (a linear congruential generator will do). */
static bool chance(unsigned odds)
{
    unsigned old = atomic_load(&noise_state);
    while (!atomic_compare_exchange_weak(&noise_state, &old, old * 1664525U + 1013904223U)) {
    }
    return (old >> 16) % odds == 0;
}

static bool interrupts(void) { return noise & NOISE_SIGNALS && chance(4); }

/* Was it a lie that fd is ready? Only where the caller does not wait in the call itself. */
static bool spurious(int fd, int flags)
{
    bool was_told = told || told_fd == fd;
    told = false;
    told_fd = -1;
    return was_told && noise & NOISE_SPURIOUS && flags & MSG_DONTWAIT && chance(3);
}

static bool is_stream(int fd)
{
    int type = 0;
    socklen_t len = sizeof type;
    return SYSTEM.getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM;
}

/* How much of len may move in one call. */
static size_t share(int fd, size_t len, int flags)
{
    bool cut = noise & NOISE_SHORT && len > 1 && !(flags & MSG_WAITALL) && is_stream(fd);
    return cut ? 1 : len;
}

/* 0 to go on, or what the call says instead of being made. */
static int disturbed(const char *slot, int error, int fd, int flags)
{
    if (fails(slot)) return -error;
    if (interrupts()) return -EINTR;
    return spurious(fd, flags) ? -EAGAIN : 0;
}

static ssize_t fault_recv(int fd, void *buf, size_t len, int flags)
{
    int err = disturbed("recv", ECONNRESET, fd, flags);
    return err ? err : SYSTEM.recv(fd, buf, share(fd, len, flags), flags);
}

static ssize_t fault_recvfrom(
    int fd, void *buf, size_t len, int flags, struct sockaddr *addr, socklen_t *addrlen)
{
    int err = disturbed("recvfrom", ECONNRESET, fd, flags);
    return err ? err : SYSTEM.recvfrom(fd, buf, share(fd, len, flags), flags, addr, addrlen);
}

static ssize_t fault_send(int fd, const void *buf, size_t len, int flags)
{
    int err = disturbed("send", EPIPE, fd, flags);
    return err ? err : SYSTEM.send(fd, buf, share(fd, len, 0), flags);
}

static ssize_t fault_sendto(
    int fd, const void *buf, size_t len, int flags, const struct sockaddr *addr, socklen_t addrlen)
{
    int err = disturbed("sendto", ENOBUFS, fd, flags);
    return err ? err : SYSTEM.sendto(fd, buf, share(fd, len, 0), flags, addr, addrlen);
}

/* The first byte of a message without control data, or the whole. */
static struct msghdr first_byte(const struct msghdr *msg, struct iovec *room, int fd, int flags)
{
    struct msghdr part = *msg;
    if (msg->msg_controllen || msg->msg_iovlen == 0 || msg->msg_iov[0].iov_len == 0) return part;
    *room = (struct iovec){msg->msg_iov[0].iov_base, 1};
    if (share(fd, 2, flags) == 2) return part;
    part.msg_iov = room;
    part.msg_iovlen = 1;
    return part;
}

static ssize_t fault_recvmsg(int fd, struct msghdr *msg, int flags)
{
    int err = disturbed("recvmsg", ECONNRESET, fd, flags);
    if (err) return err;
    struct iovec room;
    struct msghdr part = first_byte(msg, &room, fd, flags);
    ssize_t n = SYSTEM.recvmsg(fd, &part, flags);
    msg->msg_namelen = part.msg_namelen;
    msg->msg_controllen = part.msg_controllen;
    msg->msg_flags = part.msg_flags;
    return n;
}

static ssize_t fault_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    int err = disturbed("sendmsg", EPIPE, fd, flags);
    if (err) return err;
    struct iovec room;
    struct msghdr part = first_byte(msg, &room, fd, 0);
    return SYSTEM.sendmsg(fd, &part, flags);
}

static unsigned some_messages(unsigned count)
{
    return noise & NOISE_SHORT && count > 1 ? 1 : count;
}

static int fault_recvmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags)
{
    int err = disturbed("recvmmsg", ECONNRESET, fd, flags);
    return err ? err : SYSTEM.recvmmsg(fd, msgs, some_messages(count), flags);
}

static int fault_sendmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags)
{
    int err = disturbed("sendmmsg", EPIPE, fd, flags);
    return err ? err : SYSTEM.sendmmsg(fd, msgs, some_messages(count), flags);
}

static ssize_t fault_sendfile(int out, int in, off_t *offset, size_t count)
{
    int err = disturbed("sendfile", EIO, out, 0);
    return err ? err : SYSTEM.sendfile(out, in, offset, share(out, count, 0));
}

static int fault_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    int err = disturbed("accept4", EMFILE, fd, 0);
    return err ? err : SYSTEM.accept4(fd, addr, len, flags);
}

/* A signal may end a blocking connect just when it had succeeded. */
static int fault_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    if (fails("connect")) return -ECONNREFUSED;
    int err = SYSTEM.connect(fd, addr, len);
    bool waits = !(SYSTEM.fcntl(fd, F_GETFL, 0) & O_NONBLOCK);
    return err == 0 && waits && interrupts() ? -EINTR : err;
}

/* Whatever close says, the descriptor is gone. */
static int fault_close(int fd)
{
    bool fail = fails("close");
    int err = SYSTEM.close(fd);
    if (fail) return -EIO;
    return err == 0 && interrupts() ? -EINTR : err;
}

/* Even where it says ENOTCONN, Linux has marked the socket and woken who waits on it. */
static int fault_shutdown(int fd, int how)
{
    int err = SYSTEM.shutdown(fd, how);
    return fails("shutdown") ? -ENOTCONN : err;
}

static int fault_poll(struct pollfd *fds, nfds_t count, pier_time deadline)
{
    if (fails("poll")) return -ENOMEM;
    if (interrupts()) return -EINTR;
    int n = SYSTEM.poll(fds, count, deadline);
    told_fd = n > 0 && count > 0 && fds[0].revents ? fds[0].fd : -1;
    return n;
}

/* The eight bytes of an eventfd cannot fail, nor be interrupted. */
static ssize_t fault_read(int fd, void *buf, size_t len)
{
    if (len != sizeof(uint64_t) && fails("read")) return -EIO;
    return len != sizeof(uint64_t) && interrupts() ? -EINTR : SYSTEM.read(fd, buf, len);
}

static ssize_t fault_write(int fd, const void *buf, size_t len)
{
    if (len != sizeof(uint64_t) && fails("write")) return -EIO;
    return len != sizeof(uint64_t) && interrupts() ? -EINTR : SYSTEM.write(fd, buf, len);
}

static int fault_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
    struct addrinfo **out, int *system)
{
    if (!fails("getaddrinfo")) return SYSTEM.getaddrinfo(host, service, hints, out, system);
    *system = -EMFILE;
    return EAI_SYSTEM;
}

static int fault_getnameinfo(const struct sockaddr *addr, socklen_t len, char *host,
    socklen_t hostlen, char *service, socklen_t servicelen, int flags, int *system)
{
    if (!fails("getnameinfo"))
        return SYSTEM.getnameinfo(addr, len, host, hostlen, service, servicelen, flags, system);
    *system = 0;
    return EAI_AGAIN;
}

static int fault_gethostbyname(const char *name, int family, struct hostent *result, char *buf,
    size_t size, struct hostent **found, int *herr)
{
    if (!fails("gethostbyname"))
        return SYSTEM.gethostbyname(name, family, result, buf, size, found, herr);
    *found = NULL;
    *herr = TRY_AGAIN;
    return -EAGAIN;
}

static int fault_gethostbyaddr(const void *addr, socklen_t len, int family, struct hostent *result,
    char *buf, size_t size, struct hostent **found, int *herr)
{
    if (!fails("gethostbyaddr"))
        return SYSTEM.gethostbyaddr(addr, len, family, result, buf, size, found, herr);
    *found = NULL;
    *herr = NO_RECOVERY;
    return -ENOMEM;
}

static int fault_getservbyname(const char *name, const char *protocol, struct servent *result,
    char *buf, size_t size, struct servent **found)
{
    *found = NULL;
    return fails("getservbyname") ? -ENOMEM
                                  : SYSTEM.getservbyname(name, protocol, result, buf, size, found);
}

static int fault_getservbyport(int port, const char *protocol, struct servent *result, char *buf,
    size_t size, struct servent **found)
{
    *found = NULL;
    return fails("getservbyport") ? -ENOMEM
                                  : SYSTEM.getservbyport(port, protocol, result, buf, size, found);
}

static int fault_getprotobyname(
    const char *name, struct protoent *result, char *buf, size_t size, struct protoent **found)
{
    *found = NULL;
    return fails("getprotobyname") ? -ENOMEM
                                   : SYSTEM.getprotobyname(name, result, buf, size, found);
}

static void *fault_allocate(void *old, size_t size)
{
    if (fails("allocate")) return NULL;
    void *p = SYSTEM.allocate(old, size);
    if (p && !old) atomic_fetch_add(&blocks, 1);
    return p;
}

static void fault_release(void *pointer)
{
    if (pointer) atomic_fetch_sub(&blocks, 1);
    SYSTEM.release(pointer);
}

static int fault_mmap(size_t size, int protection, int flags, int fd, off_t offset, void **out)
{
    if (fails("mmap")) return -ENOMEM;
    int err = SYSTEM.mmap(size, protection, flags, fd, offset, out);
    if (err == 0) atomic_fetch_add(&blocks, 1);
    return err;
}

/* Failing means that the addresses are not free again; who asked has no use for them either way. */
static int fault_munmap(void *start, size_t size)
{
    atomic_fetch_sub(&blocks, 1);
    int err = SYSTEM.munmap(start, size);
    return fails("munmap") ? -ENOMEM : err;
}

/* What cannot fail, or whose failure changes nothing. */

static pier_time fault_now(void) { return SYSTEM.now(); }

static int fault_thread_name(const char *name) { return SYSTEM.thread_name(name); }

static int fault_cpu_count(void) { return SYSTEM.cpu_count(); }

static bool fault_is_alone(void) { return SYSTEM.is_alone(); }

static void fault_forget_resolver(void) { SYSTEM.forget_resolver(); }

static int fault_raise(int signal) { return SYSTEM.raise(signal); }

static pid_t fault_getpid(void) { return SYSTEM.getpid(); }

static void fault_exit(int status) { SYSTEM.exit(status); }

static int fault_timerfd_set(int fd, pier_time point) { return SYSTEM.timerfd_set(fd, point); }

static void fault_ring_close(struct io_uring *ring) { SYSTEM.ring_close(ring); }

/*
 * Of a descriptor that was to be polled: nothing else is handed over where the calls are plugged.
 */
static int fault_ring_result(int result)
{
    if (fails("ring_result")) return -ENOMEM;
    told = result > 0;
    return result;
}

/*
 * A loop waits again after a signal, and when the kernel has no room, for ever: that is no failure.
 */
static int fault_ring_enter(struct io_uring *ring, pier_time deadline)
{
    if (!fail_onwards && fails("ring_enter")) return -EBUSY;
    if (noise & NOISE_SPURIOUS && chance(200)) return -EBUSY; /* it costs a rest */
    return interrupts() ? -EINTR : SYSTEM.ring_enter(ring, deadline);
}

static int fault_epoll_wait(int epfd, struct epoll_event *events, int most, int milliseconds)
{
    if (interrupts()) return -EINTR;
    int n = SYSTEM.epoll_wait(epfd, events, most, milliseconds);
    if (n > 0) told_fd = (int)(events[0].data.u64 & 0xffffff); /* as backend_epoll.c numbers them */
    return n;
}

static const char *fault_getenv(const char *name) { return SYSTEM.getenv(name); }

/* All the others fail with the one errno, or are made. */
#define FAILS(type, slot, error, parameters, arguments) \
    static type fault_##slot parameters { return fails(#slot) ? -(error) : SYSTEM.slot arguments; }

/* clang-format off */
FAILS(int, socket, EMFILE, (int family, int type, int protocol), (family, type, protocol))
FAILS(int, socketpair, EMFILE, (int family, int type, int protocol, int pair[2]), (family, type, protocol, pair))
FAILS(int, bind, EADDRINUSE, (int fd, const struct sockaddr *addr, socklen_t len), (fd, addr, len))
FAILS(int, listen, EADDRINUSE, (int fd, int backlog), (fd, backlog))
FAILS(int, getsockname, ENOBUFS, (int fd, struct sockaddr *addr, socklen_t *len), (fd, addr, len))
FAILS(int, getpeername, ENOTCONN, (int fd, struct sockaddr *addr, socklen_t *len), (fd, addr, len))
FAILS(int, getsockopt, ENOBUFS, (int fd, int level, int name, void *value, socklen_t *len), (fd, level, name, value, len))
FAILS(int, setsockopt, ENOPROTOOPT, (int fd, int level, int name, const void *value, socklen_t len), (fd, level, name, value, len))
FAILS(int, fcntl, EMFILE, (int fd, int command, long arg), (fd, command, arg))
FAILS(int, ioctl, ENODEV, (int fd, unsigned long request, void *arg), (fd, request, arg))
FAILS(int, eventfd, EMFILE, (unsigned initial, int flags), (initial, flags))
FAILS(int, epoll_create, EMFILE, (int flags), (flags))
FAILS(int, epoll_ctl, ENOSPC, (int epfd, int operation, int fd, struct epoll_event *event), (epfd, operation, fd, event))
FAILS(int, timerfd, EMFILE, (void), ())
FAILS(int, ring_open, ENOMEM, (struct io_uring *ring, unsigned entries, struct io_uring_params *params), (ring, entries, params))
FAILS(int, open, EMFILE, (const char *path, int flags, mode_t mode), (path, flags, mode))
FAILS(ssize_t, pread, EIO, (int fd, void *buf, size_t len, off_t offset), (fd, buf, len, offset))
FAILS(off_t, lseek, ESPIPE, (int fd, off_t offset, int whence), (fd, offset, whence))
FAILS(int, flock, ENOLCK, (int fd, int operation), (fd, operation))
FAILS(int, fstat, EIO, (int fd, struct stat *out), (fd, out))
FAILS(int, lstat, ENOENT, (const char *path, struct stat *out), (path, out))
FAILS(int, chmod, EPERM, (const char *path, mode_t mode), (path, mode))
FAILS(int, unlink, EPERM, (const char *path), (path))
FAILS(ssize_t, readlink, EACCES, (const char *path, char *buf, size_t size), (path, buf, size))
FAILS(ssize_t, getdents, EIO, (int fd, void *buf, size_t size), (fd, buf, size))
FAILS(int, gethostname, EIO, (char *buf, size_t size), (buf, size))
FAILS(int, sethostname, EPERM, (const char *name, size_t len), (name, len))
FAILS(int, if_nameindex, ENOBUFS, (struct if_nameindex **out), (out))
FAILS(int, if_nametoindex, ENODEV, (const char *name), (name))
FAILS(int, if_indextoname, ENXIO, (unsigned index, char name[static 16]), (index, name))
FAILS(ssize_t, random, EIO, (void *buf, size_t len), (buf, len))
FAILS(int, thread, EAGAIN, (pthread_t *out, const pthread_attr_t *attr, void *(*start)(void *), void *arg), (out, attr, start, arg))
FAILS(int, signal_mask, EINVAL, (int how, const sigset_t *set, sigset_t *old), (how, set, old))
FAILS(int, madvise, EINVAL, (void *start, size_t size, int advice), (start, size, advice))
FAILS(int, mprotect, ENOMEM, (void *start, size_t size, int protection), (start, size, protection))
FAILS(int, sigaction, EINVAL, (int signal, const struct sigaction *action, struct sigaction *old), (signal, action, old))
FAILS(int, sigaltstack, ENOMEM, (const stack_t *stack, stack_t *old), (stack, old))
FAILS(int, sigpending, EINVAL, (sigset_t *out), (out))
FAILS(int, sigtimedwait, EINVAL, (const sigset_t *set, siginfo_t *info, const struct timespec *timeout), (set, info, timeout))
/* clang-format on */

const struct pier__seam fault_seam = {
    .socket = fault_socket,
    .socketpair = fault_socketpair,
    .bind = fault_bind,
    .listen = fault_listen,
    .accept4 = fault_accept4,
    .connect = fault_connect,
    .shutdown = fault_shutdown,
    .getsockname = fault_getsockname,
    .getpeername = fault_getpeername,
    .getsockopt = fault_getsockopt,
    .setsockopt = fault_setsockopt,
    .recv = fault_recv,
    .recvfrom = fault_recvfrom,
    .recvmsg = fault_recvmsg,
    .send = fault_send,
    .sendto = fault_sendto,
    .sendmsg = fault_sendmsg,
    .recvmmsg = fault_recvmmsg,
    .sendmmsg = fault_sendmmsg,
    .sendfile = fault_sendfile,
    .close = fault_close,
    .poll = fault_poll,
    .fcntl = fault_fcntl,
    .ioctl = fault_ioctl,
    .eventfd = fault_eventfd,
    .epoll_create = fault_epoll_create,
    .epoll_ctl = fault_epoll_ctl,
    .epoll_wait = fault_epoll_wait,
    .timerfd = fault_timerfd,
    .timerfd_set = fault_timerfd_set,
    .ring_open = fault_ring_open,
    .ring_close = fault_ring_close,
    .ring_enter = fault_ring_enter,
    .ring_result = fault_ring_result,
    .open = fault_open,
    .read = fault_read,
    .pread = fault_pread,
    .write = fault_write,
    .lseek = fault_lseek,
    .flock = fault_flock,
    .fstat = fault_fstat,
    .lstat = fault_lstat,
    .chmod = fault_chmod,
    .unlink = fault_unlink,
    .readlink = fault_readlink,
    .getdents = fault_getdents,
    .gethostname = fault_gethostname,
    .sethostname = fault_sethostname,
    .getaddrinfo = fault_getaddrinfo,
    .getnameinfo = fault_getnameinfo,
    .gethostbyname = fault_gethostbyname,
    .gethostbyaddr = fault_gethostbyaddr,
    .getservbyname = fault_getservbyname,
    .getservbyport = fault_getservbyport,
    .getprotobyname = fault_getprotobyname,
    .if_nameindex = fault_if_nameindex,
    .if_nametoindex = fault_if_nametoindex,
    .if_indextoname = fault_if_indextoname,
    .allocate = fault_allocate,
    .release = fault_release,
    .mmap = fault_mmap,
    .munmap = fault_munmap,
    .madvise = fault_madvise,
    .mprotect = fault_mprotect,
    .random = fault_random,
    .thread = fault_thread,
    .signal_mask = fault_signal_mask,
    .sigpending = fault_sigpending,
    .sigtimedwait = fault_sigtimedwait,
    .freeaddrinfo = freeaddrinfo,
    .if_freenameindex = if_freenameindex,
    .now = fault_now,
    .thread_name = fault_thread_name,
    .cpu_count = fault_cpu_count,
    .is_alone = fault_is_alone,
    .forget_resolver = fault_forget_resolver,
    .sigaction = fault_sigaction,
    .sigaltstack = fault_sigaltstack,
    .raise = fault_raise,
    .getpid = fault_getpid,
    .exit = fault_exit,
    .getenv = fault_getenv,
};

void fault_install_by_environment(void)
{
    const char *fault = getenv("PIER_TEST_FAULT"), *kinds = getenv("PIER_TEST_NOISE");
    if (!fault && !kinds) return;
    if (fault) fault_begin(strtol(fault, NULL, 10), strchr(fault, '+') != NULL);
    unsigned wanted = 0, seed = 1;
    for (const char *c = kinds; c && *c && *c != ':'; c++) {
        if (*c == 'e') wanted |= NOISE_SIGNALS;
        if (*c == 's') wanted |= NOISE_SPURIOUS;
        if (*c == '1') wanted |= NOISE_SHORT;
    }
    if (kinds && strchr(kinds, ':')) seed = (unsigned)strtoul(strchr(kinds, ':') + 1, NULL, 10);
    if (wanted) fault_make_noise(wanted, seed);
    pier__seam = &fault_seam;
}

void fault_report(void)
{
    if (!getenv("PIER_TEST_FAULT")) return;
    const char *first = fault_victim();
    fprintf(stderr, "fault: %ld calls, %s failed\n", fault_calls(), first ? first : "none");
}
