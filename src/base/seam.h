/* SPDX-License-Identifier: MIT */
#ifndef PIER_BASE_SEAM_H
#define PIER_BASE_SEAM_H

#include "base/bits.h"

#include <pier/time.h>

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>

struct epoll_event;
struct io_uring;
struct io_uring_params;
struct if_nameindex;

/*
 * The seam: every system call, allocation, clock reading, random byte and call of
 * the resolver that the library makes goes through this one table, so that a test
 * (or, later, a simulated network) can stand in for the world. Each thread has its
 * own pointer to a table; threads that the library makes inherit it.
 *
 * Results: what the call returns, or -errno; errno itself is never read above this
 * file. The resolver's calls return 0, an EAI_* (negative) with -errno in *system
 * for EAI_SYSTEM, or as their comment says. tools/seam_lint.py refuses a direct
 * call anywhere else in src/.
 */
struct pier__seam {
    /* sockets */
    int (*socket)(int family, int type, int protocol);
    int (*socketpair)(int family, int type, int protocol, int pair[2]);
    int (*bind)(int fd, const struct sockaddr *addr, socklen_t len);
    int (*listen)(int fd, int backlog);
    int (*accept4)(int fd, struct sockaddr *addr, socklen_t *len, int flags);
    int (*connect)(int fd, const struct sockaddr *addr, socklen_t len);
    int (*shutdown)(int fd, int how);
    int (*getsockname)(int fd, struct sockaddr *addr, socklen_t *len);
    int (*getpeername)(int fd, struct sockaddr *addr, socklen_t *len);
    int (*getsockopt)(int fd, int level, int name, void *value, socklen_t *len);
    int (*setsockopt)(int fd, int level, int name, const void *value, socklen_t len);
    ssize_t (*recv)(int fd, void *buf, size_t len, int flags);
    ssize_t (*recvfrom)(
        int fd, void *buf, size_t len, int flags, struct sockaddr *addr, socklen_t *addrlen);
    ssize_t (*recvmsg)(int fd, struct msghdr *msg, int flags);
    ssize_t (*send)(int fd, const void *buf, size_t len, int flags);
    ssize_t (*sendto)(int fd, const void *buf, size_t len, int flags, const struct sockaddr *addr,
        socklen_t addrlen);
    ssize_t (*sendmsg)(int fd, const struct msghdr *msg, int flags);
    int (*recvmmsg)(int fd, struct mmsghdr *msgs, unsigned count, int flags); /* how many */
    int (*sendmmsg)(int fd, struct mmsghdr *msgs, unsigned count, int flags);
    ssize_t (*sendfile)(int out, int in, off_t *offset, size_t count);

    /* descriptors and files */
    int (*close)(int fd);
    int (*poll)(struct pollfd *fds, nfds_t count, pier_time deadline); /* rounded up to its ns */
    int (*fcntl)(int fd, int command, long arg);
    int (*ioctl)(int fd, unsigned long request, void *arg);
    int (*eventfd)(unsigned initial, int flags);
    int (*epoll_create)(int flags);
    int (*epoll_ctl)(int epfd, int op, int fd, struct epoll_event *event);
    int (*epoll_wait)(int epfd, struct epoll_event *events, int count, int ms);
    int (*timerfd)(void); /* of CLOCK_MONOTONIC, closed by exec(3), not blocking */
    int (*timerfd_set)(int fd, pier_time point); /* above 0; PIER_NEVER: it is not set */

    /* io_uring, through liburing */
    int (*ring_open)(struct io_uring *ring, unsigned entries, struct io_uring_params *params);
    void (*ring_close)(struct io_uring *ring);
    /* hand over what is prepared and wait for a result until the deadline; 0: only look */
    int (*ring_enter)(struct io_uring *ring, pier_time deadline);
    int (*ring_result)(int result); /* what an operation came to, as the kernel says */

    int (*open)(const char *path, int flags, mode_t mode);
    ssize_t (*read)(int fd, void *buf, size_t len);
    ssize_t (*pread)(int fd, void *buf, size_t len, off_t offset);
    ssize_t (*write)(int fd, const void *buf, size_t len);
    off_t (*lseek)(int fd, off_t offset, int whence);
    int (*fstat)(int fd, struct stat *out);
    int (*lstat)(const char *path, struct stat *out);
    int (*chmod)(const char *path, mode_t mode);
    int (*unlink)(const char *path);
    int (*flock)(int fd, int operation);
    ssize_t (*readlink)(const char *path, char *buf, size_t size);
    ssize_t (*getdents)(int fd, void *buf, size_t size); /* struct dirent64 records */

    /* names; buffers as in the _r functions of <netdb.h> */
    int (*gethostname)(char *buf, size_t size);
    int (*sethostname)(const char *name, size_t len);
    int (*getaddrinfo)(const char *host, const char *service, const struct addrinfo *hints,
        struct addrinfo **out, int *system);
    void (*freeaddrinfo)(struct addrinfo *list);
    int (*getnameinfo)(const struct sockaddr *addr, socklen_t len, char *host, socklen_t hostlen,
        char *service, socklen_t servicelen, int flags, int *system);
    void (*forget_resolver)(
        void); /* begin afresh in this thread, as if nothing had been looked up */
    /* 0 with *found NULL or not; -ERANGE: buffer too small; *herr as h_errno */
    int (*gethostbyname)(const char *name, int family, struct hostent *result, char *buf,
        size_t size, struct hostent **found, int *herr);
    int (*gethostbyaddr)(const void *addr, socklen_t len, int family, struct hostent *result,
        char *buf, size_t size, struct hostent **found, int *herr);
    int (*getservbyname)(const char *name, const char *protocol, struct servent *result, char *buf,
        size_t size, struct servent **found);
    int (*getservbyport)(int port, const char *protocol, struct servent *result, char *buf,
        size_t size, struct servent **found);
    int (*getprotobyname)(
        const char *name, struct protoent *result, char *buf, size_t size, struct protoent **found);
    int (*if_nameindex)(struct if_nameindex **out);
    void (*if_freenameindex)(struct if_nameindex *list);
    int (*if_nametoindex)(const char *name);                     /* the index, or -errno */
    int (*if_indextoname)(unsigned index, char name[static 16]); /* 0 or -errno */

    /* memory, time, chance, threads, the process */
    void *(*allocate)(void *old, size_t size); /* realloc(3); NULL when there is none */
    void (*release)(void *pointer);
    int (*mmap)(size_t size, int protection, int flags, int fd, off_t offset, void **out);
    int (*munmap)(void *start, size_t size);
    int (*madvise)(void *start, size_t size, int advice);
    int (*mprotect)(void *start, size_t size, int protection);
    pier_time (*now)(void); /* CLOCK_MONOTONIC */
    ssize_t (*random)(void *buf, size_t len);
    int (*thread)(pthread_t *out, const pthread_attr_t *attr, void *(*start)(void *), void *arg);
    int (*thread_name)(const char *name); /* of the calling thread; at most 15 bytes */
    int (*cpu_count)(void);               /* on which the process may run: 1 or more */
    bool (*is_alone)(void);               /* surely: the process has no other thread */
    int (*signal_mask)(int how, const sigset_t *set, sigset_t *old);
    int (*sigpending)(sigset_t *out);
    int (*sigtimedwait)(const sigset_t *set, siginfo_t *info, const struct timespec *timeout);
    int (*sigaction)(int signal, const struct sigaction *action, struct sigaction *old);
    int (*sigaltstack)(const stack_t *stack, stack_t *old);
    int (*raise)(int signal);
    pid_t (*getpid)(void);
    void (*exit)(int status);
    const char *(*getenv)(const char *name); /* secure_getenv(3) */
};

/* The real system. */
extern const struct pier__seam pier__seam_system;

/* This thread's table. Initial-exec: one load on the hot path. */
extern _Thread_local const struct pier__seam *pier__seam
    __attribute__((tls_model("initial-exec"), visibility("hidden")));

/*
 * recv(2) and send(2), not through the table where that is the system's. The kernel's own calls
 * drive out what a processor remembers of ours, so it foretells wrong where each function returns
 * to that was entered before a system call, at the price of some sixty instructions. So there is no
 * function of ours around these two.
 */
static inline ssize_t pier__seam_recv(int fd, void *buf, size_t len, int flags)
{
    if (PIER_UNLIKELY(pier__seam != &pier__seam_system))
        return pier__seam->recv(fd, buf, len, flags);
    ssize_t n = recv(fd, buf, len, flags);
    return n < 0 ? -errno : n;
}

static inline ssize_t pier__seam_send(int fd, const void *buf, size_t len, int flags)
{
    if (PIER_UNLIKELY(pier__seam != &pier__seam_system))
        return pier__seam->send(fd, buf, len, flags);
    ssize_t n = send(fd, buf, len, flags);
    return n < 0 ? -errno : n;
}

/* Zeroed memory for count things of size bytes, or NULL. pier__seam->release() frees it. */
void *pier__allocate_zeroed(size_t count, size_t size);

#endif
