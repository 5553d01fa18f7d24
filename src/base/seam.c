/* SPDX-License-Identifier: MIT */
#include "base/seam.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <net/if.h>
#include <resolv.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#if __has_include(<sys/single_threaded.h>) /* since glibc 2.32 */
#    include <sys/single_threaded.h>
#endif

/* What a system call said, as a result: it returned n, and told why in errno if n is negative. */
#define SAID(n) ((n) < 0 ? -errno : (n))

static int sys_socket(int family, int type, int protocol)
{
    int n = socket(family, type, protocol);
    return SAID(n);
}

static int sys_socketpair(int family, int type, int protocol, int pair[2])
{
    int n = socketpair(family, type, protocol, pair);
    return SAID(n);
}

static int sys_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
    int n = bind(fd, addr, len);
    return SAID(n);
}

static int sys_listen(int fd, int backlog)
{
    int n = listen(fd, backlog);
    return SAID(n);
}

static int sys_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    int n = accept4(fd, addr, len, flags);
    return SAID(n);
}

static int sys_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    int n = connect(fd, addr, len);
    return SAID(n);
}

static int sys_shutdown(int fd, int how)
{
    int n = shutdown(fd, how);
    return SAID(n);
}

static int sys_getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
    int n = getsockname(fd, addr, len);
    return SAID(n);
}

static int sys_getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
    int n = getpeername(fd, addr, len);
    return SAID(n);
}

static int sys_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    int n = getsockopt(fd, level, name, value, len);
    return SAID(n);
}

static int sys_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    int n = setsockopt(fd, level, name, value, len);
    return SAID(n);
}

static ssize_t sys_recv(int fd, void *buf, size_t len, int flags)
{
    ssize_t n = recv(fd, buf, len, flags);
    return SAID(n);
}

static ssize_t sys_recvfrom(
    int fd, void *buf, size_t len, int flags, struct sockaddr *addr, socklen_t *addrlen)
{
    ssize_t n = recvfrom(fd, buf, len, flags, addr, addrlen);
    return SAID(n);
}

static ssize_t sys_recvmsg(int fd, struct msghdr *msg, int flags)
{
    ssize_t n = recvmsg(fd, msg, flags);
    return SAID(n);
}

static ssize_t sys_send(int fd, const void *buf, size_t len, int flags)
{
    ssize_t n = send(fd, buf, len, flags);
    return SAID(n);
}

static ssize_t sys_sendto(
    int fd, const void *buf, size_t len, int flags, const struct sockaddr *addr, socklen_t addrlen)
{
    ssize_t n = sendto(fd, buf, len, flags, addr, addrlen);
    return SAID(n);
}

static ssize_t sys_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    ssize_t n = sendmsg(fd, msg, flags);
    return SAID(n);
}

static int sys_recvmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags)
{
    int n = recvmmsg(fd, msgs, count, flags, NULL);
    return SAID(n);
}

static int sys_sendmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags)
{
    int n = sendmmsg(fd, msgs, count, flags);
    return SAID(n);
}

static ssize_t sys_sendfile(int out, int in, off_t *offset, size_t count)
{
    ssize_t n = sendfile(out, in, offset, count);
    return SAID(n);
}

static int sys_close(int fd)
{
    int n = close(fd);
    return SAID(n);
}

static pier_time sys_now(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail with a valid clock id */
    return (pier_time)ts.tv_sec * PIER_SECOND + ts.tv_nsec;
}

static int sys_poll(struct pollfd *fds, nfds_t count, pier_time deadline)
{
    struct timespec left = {0};
    if (deadline != PIER_NEVER) {
        pier_time ns = deadline - sys_now();
        if (ns > 0) left = (struct timespec){ns / PIER_SECOND, ns % PIER_SECOND};
    }
    int n = ppoll(fds, count, deadline == PIER_NEVER ? NULL : &left, NULL);
    return SAID(n);
}

static int sys_fcntl(int fd, int command, long arg)
{
    int n = fcntl(fd, command, arg);
    return SAID(n);
}

static int sys_ioctl(int fd, unsigned long request, void *arg)
{
    int n = ioctl(fd, request, arg);
    return SAID(n);
}

static int sys_eventfd(unsigned initial, int flags)
{
    int n = eventfd(initial, flags);
    return SAID(n);
}

static int sys_epoll_create(int flags)
{
    int n = epoll_create1(flags);
    return SAID(n);
}

static int sys_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
    int n = epoll_ctl(epfd, op, fd, event);
    return SAID(n);
}

static int sys_epoll_wait(int epfd, struct epoll_event *events, int count, int ms)
{
    int n = epoll_wait(epfd, events, count, ms);
    return SAID(n);
}

static int sys_timerfd(void)
{
    int n = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    return SAID(n);
}

static int sys_timerfd_set(int fd, pier_time point)
{
    struct itimerspec at = {0};
    if (point != PIER_NEVER)
        at.it_value = (struct timespec){point / PIER_SECOND, point % PIER_SECOND};
    int n = timerfd_settime(fd, TFD_TIMER_ABSTIME, &at, NULL);
    return SAID(n);
}

/*
 * The child of a fork must not find the ring: what it submitted would be the parent's. Registered
 * for this thread, its descriptor need not be looked up by each enter; if that is not to be had, it
 * is.
 */
static int sys_ring_open(struct io_uring *ring, unsigned entries, struct io_uring_params *params)
{
    int err = io_uring_queue_init_params(entries, ring, params);
    if (err < 0) return err;
    (void)io_uring_ring_dontfork(ring);
    (void)io_uring_register_ring_fd(ring);
    return 0;
}

/* The usual ways are left by a jump, not by a return; see pier__seam_recv(). */
static int sys_ring_enter(struct io_uring *ring, pier_time deadline)
{
    static _Thread_local struct io_uring_cqe *cqe; /* what nobody looks at */
    if (deadline == 0) return io_uring_submit_and_get_events(ring);
    if (deadline == PIER_NEVER) return io_uring_submit_and_wait_timeout(ring, &cqe, 1, NULL, NULL);
    pier_time ns = deadline - sys_now();
    if (ns <= 0) return io_uring_submit_and_get_events(ring);
    struct __kernel_timespec left = {ns / PIER_SECOND, ns % PIER_SECOND};
    return io_uring_submit_and_wait_timeout(ring, &cqe, 1, &left, NULL);
}

static int sys_ring_result(int result) { return result; }

static int sys_open(const char *path, int flags, mode_t mode)
{
    int n = open(path, flags | O_CLOEXEC, mode);
    return SAID(n);
}

static ssize_t sys_read(int fd, void *buf, size_t len)
{
    ssize_t n = read(fd, buf, len);
    return SAID(n);
}

static ssize_t sys_pread(int fd, void *buf, size_t len, off_t offset)
{
    ssize_t n = pread(fd, buf, len, offset);
    return SAID(n);
}

static ssize_t sys_write(int fd, const void *buf, size_t len)
{
    ssize_t n = write(fd, buf, len);
    return SAID(n);
}

static off_t sys_lseek(int fd, off_t offset, int whence)
{
    off_t n = lseek(fd, offset, whence);
    return SAID(n);
}

static int sys_fstat(int fd, struct stat *out)
{
    int n = fstat(fd, out);
    return SAID(n);
}

static int sys_lstat(const char *path, struct stat *out)
{
    int n = lstat(path, out);
    return SAID(n);
}

static int sys_chmod(const char *path, mode_t mode)
{
    int n = chmod(path, mode);
    return SAID(n);
}

static int sys_unlink(const char *path)
{
    int n = unlink(path);
    return SAID(n);
}

static int sys_flock(int fd, int operation)
{
    int n = flock(fd, operation);
    return SAID(n);
}

static ssize_t sys_readlink(const char *path, char *buf, size_t size)
{
    ssize_t n = readlink(path, buf, size);
    return SAID(n);
}

static ssize_t sys_getdents(int fd, void *buf, size_t size)
{
    long n = syscall(SYS_getdents64, fd, buf, size);
    return SAID(n);
}

static int sys_gethostname(char *buf, size_t size)
{
    int n = gethostname(buf, size);
    return SAID(n);
}

static int sys_sethostname(const char *name, size_t len)
{
    int n = sethostname(name, len);
    return SAID(n);
}

static int sys_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
    struct addrinfo **out, int *system)
{
    int n = getaddrinfo(host, service, hints, out);
    *system = n == EAI_SYSTEM ? -errno : 0;
    return n;
}

/* NOLINTBEGIN(readability-function-size): as many parameters as the calls themselves have */
static int sys_getnameinfo(const struct sockaddr *addr, socklen_t len, char *host,
    socklen_t hostlen, char *service, socklen_t servicelen, int flags, int *system)
{
    int n = getnameinfo(addr, len, host, hostlen, service, servicelen, flags);
    *system = n == EAI_SYSTEM ? -errno : 0;
    return n;
}

static void sys_forget_resolver(void) { memset(&_res, 0, sizeof _res); }

static int sys_gethostbyname(const char *name, int family, struct hostent *result, char *buf,
    size_t size, struct hostent **found, int *herr)
{
    return -gethostbyname2_r(name, family, result, buf, size, found, herr);
}

static int sys_gethostbyaddr(const void *addr, socklen_t len, int family, struct hostent *result,
    char *buf, size_t size, struct hostent **found, int *herr)
{
    return -gethostbyaddr_r(addr, len, family, result, buf, size, found, herr);
}

/* NOLINTEND(readability-function-size) */

static int sys_getservbyname(const char *name, const char *protocol, struct servent *result,
    char *buf, size_t size, struct servent **found)
{
    return -getservbyname_r(name, protocol, result, buf, size, found);
}

static int sys_getservbyport(int port, const char *protocol, struct servent *result, char *buf,
    size_t size, struct servent **found)
{
    return -getservbyport_r(port, protocol, result, buf, size, found);
}

static int sys_getprotobyname(
    const char *name, struct protoent *result, char *buf, size_t size, struct protoent **found)
{
    return -getprotobyname_r(name, result, buf, size, found);
}

static int sys_if_nameindex(struct if_nameindex **out)
{
    *out = if_nameindex();
    return *out ? 0 : -errno;
}

static int sys_if_nametoindex(const char *name)
{
    unsigned n = if_nametoindex(name);
    return n ? (int)n : -errno;
}

static int sys_if_indextoname(unsigned index, char name[static 16])
{
    return if_indextoname(index, name) ? 0 : -errno;
}

static int sys_mmap(size_t size, int protection, int flags, int fd, off_t offset, void **out)
{
    void *start = mmap(NULL, size, protection, flags, fd, offset);
    if (start == MAP_FAILED) return -errno;
    *out = start;
    return 0;
}

static int sys_munmap(void *start, size_t size)
{
    int n = munmap(start, size);
    return SAID(n);
}

static int sys_madvise(void *start, size_t size, int advice)
{
    int n = madvise(start, size, advice);
    return SAID(n);
}

static int sys_mprotect(void *start, size_t size, int protection)
{
    int n = mprotect(start, size, protection);
    return SAID(n);
}

static ssize_t sys_random(void *buf, size_t len)
{
    ssize_t n = getrandom(buf, len, 0);
    return SAID(n);
}

static int sys_thread(pthread_t *out, const pthread_attr_t *attr, void *(*start)(void *), void *arg)
{
    return -pthread_create(out, attr, start, arg);
}

static int sys_thread_name(const char *name) { return -pthread_setname_np(pthread_self(), name); }

static int sys_cpu_count(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
    long online = sysconf(_SC_NPROCESSORS_ONLN); /* more than fit into the set */
    return online > 0 ? (int)online : 1;
}

static bool sys_is_alone(void)
{
#if __has_include(<sys/single_threaded.h>)
    return __libc_single_threaded;
#else
    return false;
#endif
}

static int sys_signal_mask(int how, const sigset_t *set, sigset_t *old)
{
    return -pthread_sigmask(how, set, old);
}

static int sys_sigpending(sigset_t *out)
{
    int n = sigpending(out);
    return SAID(n);
}

static int sys_sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout)
{
    int n = sigtimedwait(set, info, timeout);
    return SAID(n);
}

static int sys_sigaction(int signal, const struct sigaction *action, struct sigaction *old)
{
    int n = sigaction(signal, action, old);
    return SAID(n);
}

static int sys_sigaltstack(const stack_t *stack, stack_t *old)
{
    int n = sigaltstack(stack, old);
    return SAID(n);
}

static int sys_raise(int signal) { return -raise(signal); }

static const char *sys_getenv(const char *name) { return secure_getenv(name); }

const struct pier__seam pier__seam_system = {
    .socket = sys_socket,
    .socketpair = sys_socketpair,
    .bind = sys_bind,
    .listen = sys_listen,
    .accept4 = sys_accept4,
    .connect = sys_connect,
    .shutdown = sys_shutdown,
    .getsockname = sys_getsockname,
    .getpeername = sys_getpeername,
    .getsockopt = sys_getsockopt,
    .setsockopt = sys_setsockopt,
    .recv = sys_recv,
    .recvfrom = sys_recvfrom,
    .recvmsg = sys_recvmsg,
    .send = sys_send,
    .sendto = sys_sendto,
    .sendmsg = sys_sendmsg,
    .recvmmsg = sys_recvmmsg,
    .sendmmsg = sys_sendmmsg,
    .sendfile = sys_sendfile,
    .close = sys_close,
    .poll = sys_poll,
    .fcntl = sys_fcntl,
    .ioctl = sys_ioctl,
    .eventfd = sys_eventfd,
    .epoll_create = sys_epoll_create,
    .epoll_ctl = sys_epoll_ctl,
    .epoll_wait = sys_epoll_wait,
    .timerfd = sys_timerfd,
    .timerfd_set = sys_timerfd_set,
    .ring_open = sys_ring_open,
    .ring_close = io_uring_queue_exit,
    .ring_enter = sys_ring_enter,
    .ring_result = sys_ring_result,
    .open = sys_open,
    .read = sys_read,
    .pread = sys_pread,
    .write = sys_write,
    .lseek = sys_lseek,
    .fstat = sys_fstat,
    .lstat = sys_lstat,
    .chmod = sys_chmod,
    .unlink = sys_unlink,
    .flock = sys_flock,
    .readlink = sys_readlink,
    .getdents = sys_getdents,
    .gethostname = sys_gethostname,
    .sethostname = sys_sethostname,
    .getaddrinfo = sys_getaddrinfo,
    .freeaddrinfo = freeaddrinfo,
    .getnameinfo = sys_getnameinfo,
    .forget_resolver = sys_forget_resolver,
    .gethostbyname = sys_gethostbyname,
    .gethostbyaddr = sys_gethostbyaddr,
    .getservbyname = sys_getservbyname,
    .getservbyport = sys_getservbyport,
    .getprotobyname = sys_getprotobyname,
    .if_nameindex = sys_if_nameindex,
    .if_freenameindex = if_freenameindex,
    .if_nametoindex = sys_if_nametoindex,
    .if_indextoname = sys_if_indextoname,
    .allocate = realloc,
    .release = free,
    .mmap = sys_mmap,
    .munmap = sys_munmap,
    .madvise = sys_madvise,
    .mprotect = sys_mprotect,
    .now = sys_now,
    .random = sys_random,
    .thread = sys_thread,
    .thread_name = sys_thread_name,
    .cpu_count = sys_cpu_count,
    .is_alone = sys_is_alone,
    .signal_mask = sys_signal_mask,
    .sigpending = sys_sigpending,
    .sigtimedwait = sys_sigtimedwait,
    .sigaction = sys_sigaction,
    .sigaltstack = sys_sigaltstack,
    .raise = sys_raise,
    .getpid = getpid,
    .exit = exit,
    .getenv = sys_getenv,
};

_Thread_local const struct pier__seam *pier__seam = &pier__seam_system;

void *pier__allocate_zeroed(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) return NULL;
    void *p = pier__seam->allocate(NULL, bytes ? bytes : 1);
    if (p) memset(p, 0, bytes);
    return p;
}
