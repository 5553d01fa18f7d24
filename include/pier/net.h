/* SPDX-License-Identifier: MIT */
#ifndef PIER_NET_H
#define PIER_NET_H

/**
 * @file
 * Dial, serve, read lines, stdio.
 *
 * @defgroup pier_net Dialling, serving, reading
 * @ingroup pier
 * What a program does with sockets, one verb each: connect to a name, serve an address,
 * read lines, exact lengths or everything, and stdio over a socket.
 * @{
 */

#include <pier/addr.h>
#include <pier/time.h>
#include <pier/version.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

PIER_BEGIN_DECLS

/** @name Dialling
 * @{ */

/** How to dial; zeroed: no limit but the default time-out, any family. */
typedef struct pier_connection_opts {
    /** Bounds look-up and all attempts together, and stays on the socket; 0: none. */
    pier_time deadline;
    /**
     * The socket's time-out from then on, and the limit of dialling too; 0: the default
     * time-out (which does not limit dialling if it is 0).
     */
    double timeout;
    pier_addr source; /**< Bind to this address first; zeroed: do not. */
    int family;       /**< AF_INET or AF_INET6 for that family only; 0: both. */
    /**
     * Seconds before the next address is tried beside the last, at least 0.01; 0: 0.25 (RFC
     * 8305).
     */
    double attempt_delay;
    uint64_t reserved[4]; /**< Zero. */
} pier_connection_opts;

/**
 * Connect a stream to an address in the text form ("example.com:http", "[::1]:80",
 * "unix:/run/x.sock"; no host, as in ":80", is this host). All addresses of a name are
 * tried, families in turn, each a little after the last, and the first that answers wins
 * ("happy eyeballs"); the others are closed. At most 16 attempts run at once: when another
 * one is due, the oldest is given up.
 *
 * Returns the socket. Errors: those of pier_addr_parse() and pier_getaddrinfo(), -ETIME, or
 * that of the attempt that failed last; pier_error() lists the attempts. A stream that the
 * kernel connected to itself counts as -ECONNREFUSED, unless `source` has a port. -EINVAL:
 * `opts`; PIER_EAI_ADDRFAMILY, PIER_EFAMILY: the address or the source is of another
 * family. `opts` may be NULL.
 *
 * Ownership: the caller closes the socket. Cancel: all attempts are closed. Threads: any.
 * Source: RFC 8305. Python: socket.create_connection.
 */
PIER_API int pier_create_connection(const char *address, const pier_connection_opts *opts);

/** @} */
/** @name Serving
 * @{ */

/** How to listen; zeroed: both families for ":port", SO_REUSEADDR, the system's longest queue. */
typedef struct pier_server_opts {
    /** AF_INET: IPv4 only. AF_INET6: IPv6 only. 0: what the text says, both for ":port". */
    int family;
    int backlog; /**< How many clients may queue; 0: as many as net.core.somaxconn allows. */
    /** SO_REUSEPORT: other sockets, of this user, may listen on the same port. */
    bool reuse_port;
    bool no_reuse_address; /**< Do not set SO_REUSEADDR. */
    int mode; /**< Permissions of a Unix path, as 0660, whatever umask is; 0: what umask leaves. */
    uint64_t reserved[4]; /**< Zero. */
} pier_server_opts;

/**
 * A listening stream socket on an address in the text form. ":port" listens on both
 * families where the host has IPv6, else on IPv4; "[::]:port" on IPv6 alone; a name on the
 * first of its addresses that this host has. Port 0 lets the kernel choose: ask
 * pier_getsockname().
 *
 * A Unix path left behind by a server that is gone (nobody answers on it, asked twice) is
 * removed first; one that is in use is -EADDRINUSE, and what is not a socket is never
 * removed. pier_close() leaves a Unix path where it is.
 *
 * Returns the socket. Errors: those of pier_addr_parse(), pier_getaddrinfo() and bind(2);
 * -EINVAL for a negative backlog, and for a mode beyond 0777 or for a name that has none
 * (abstract); -EOPNOTSUPP for `reuse_port` on a Unix address. `opts` may be NULL.
 *
 * Ownership: the caller closes the socket. Cancel (in a look-up): nothing is left. Threads:
 * any. Source: listen(2), unix(7). Python: socket.create_server.
 */
PIER_API int pier_create_server(const char *address, const pier_server_opts *opts);

/**
 * Can a socket of this host serve IPv4 and IPv6 at once?
 *
 * Threads: any. Source: ipv6(7), IPV6_V6ONLY. Python: socket.has_dualstack_ipv6.
 */
PIER_API bool pier_has_dualstack_ipv6(void);

/** What a server has done so far. The fields may be read while it runs. */
typedef struct pier_serve_counts {
    uint64_t accepted; /**< Clients taken. */
    uint64_t active;   /**< Clients being served now. */
    uint64_t peak;     /**< The most that were at once. */
    /** Clients that were taken and had to be closed unserved (no thread, no memory). */
    uint64_t rejected;
    uint64_t backoffs; /**< How often accept waited because descriptors or memory had run out. */
    uint64_t canceled; /**< Clients that were still being served when the drain ended. */
} pier_serve_counts;

/** How to serve; zeroed: a task for each client, on every core. */
typedef struct pier_serve_opts {
    /** At most so many at once; then accept waits. 0: 65536, and 1024 where each has a thread. */
    size_t max_clients;
    /** Bytes of stack for each handler; 0: 64 KiB, and 256 KiB where each has a thread. */
    size_t stack_size;
    pier_serve_counts *counts; /**< Set to 0 at first and kept up to date while serving; or NULL. */
    /**
     * "uring" or "epoll": tasks, which wait so. "thread": a thread for each client, for handlers that call
     * what blocks. NULL: what the environment variable PIER_BACKEND names if it is one of
     * these, else tasks on the best that there is.
     */
    const char *backend;
    /**
     * Threads that run the tasks, the caller's among them; 0: as many as there are CPUs for the process, at
     * most 1024. With 1 the handlers share one thread, and need no locks between them.
     */
    size_t workers;
    uint64_t reserved[4]; /**< Zero. */
} pier_serve_opts;

/**
 * Serve a listening socket: call `handler` for each client, every one in a task of its own,
 * until pier_stop(). The tasks are spread over the workers, a new one to the worker that has
 * the fewest; each worker is a thread with a loop. So handlers of different workers run at
 * the same time, and those of one worker in turn, whenever one waits in a call of pier's. A
 * handler that blocks in another library holds up its worker: pier_to_thread(), or
 * `.backend = "thread"`. Called inside a task, it serves in that task's loop alone.
 *
 * Tasks that a handler spawns are tasks of its worker: they may outlive it, but what it has on
 * its stack, and the client, are gone then. pier_serve() returns when they have ended, too.
 *
 * The client is closed when its handler returns (by io_uring: before the loop waits again),
 * unless the handler has closed or detached it itself. When descriptors run out, it waits and
 * tries again (5 ms, doubling up to 1 s, or until a client goes) and counts that. The listener's
 * time-out does not matter; it is O_NONBLOCK from then on.
 *
 * Returns 0 after pier_stop() and the drain, or a code if the listener fails or its
 * deadline passes (-ETIME), when the clients that are being served have finished. -EINTR:
 * the interruption hook said so, and the clients were canceled. -EINVAL: a socket that does
 * not listen, no handler, a stack size, backend or number of workers that cannot be. What
 * pier_run() says when a loop cannot be made (-EMFILE, -ENOMEM; -EPERM and -ENOSYS for a
 * backend that was asked for and is denied). `opts` may be NULL.
 *
 * Ownership: the listener stays the caller's; a client is pier_serve()'s to close. Cancel:
 * closing the listener ends it with -ECANCELED, when the clients that are being served have
 * finished. Of a task that serves, a cancel cancels its clients, too. A handler that calls
 * pthread_exit(3) has ended its client; its thread, which may be the caller's, ends when the
 * server does. Threads: any; one pier_serve() per listener, a second one is -EBUSY. Python:
 * asyncio.start_server, Server.serve_forever; with "thread"
 * socketserver.ThreadingTCPServer.serve_forever.
 */
PIER_API int pier_serve(
    int server, void (*handler)(int client, void *arg), void *arg, const pier_serve_opts *opts);

/**
 * End the pier_serve() of this listener: no more clients are accepted but those already
 * queued, and those being served have `drain_seconds` to finish (INFINITY: for ever; 0:
 * none); then their calls on the client return -ECANCELED, and a handler in a task that waits
 * for something else is cancelled, once. Tasks that handlers have spawned have the same time,
 * and are cancelled then (unless it serves inside a task, whose loop keeps them). Returns
 * at once: 0, -EINVAL (negative, NaN), -ESRCH if nobody serves this socket (yet). A second call
 * may shorten the drain. Clients that come after the call stay queued. A code is not told by
 * pier_error(): that is no work for a signal handler.
 *
 * Threads: any, and signal handlers (async-signal-safe). Python: BaseServer.shutdown.
 */
PIER_API int pier_stop(int server, double drain_seconds);

/** @} */
/** @name Reading by shape
 *
 * These read ahead into a buffer that belongs to the socket; pier_recv() and its kin drain
 * it first, so they may be mixed freely. On AF_UNIX they take nothing beyond the record, so
 * that descriptors which come with later bytes stay with those; descriptors that come with
 * the record's own bytes are dropped, as by any plain receive.
 *
 * Time-out and deadline bound each call as a whole. One reader at a time per socket: a
 * second one waits its turn. Streams only: on a socket that keeps messages apart they
 * return -EINVAL. A descriptor that pier does not know has no buffer: pier_recv_until() and
 * pier_recv_line() return -EBADF for it.
 * @{ */

#define PIER_LINE_MAX 65536 /**< Bytes: the longest line or record, whatever the buffer's size. */

/**
 * Exactly `len` bytes. Returns `len`, or a code, and then pier_error_moved() tells how many
 * came: they are in `buf`. End of stream before that is PIER_EINCOMPLETE if some had come,
 * 0 if none.
 *
 * Cancel, time-out: what came is in `buf` and counted. Threads: any, in turn. Python:
 * StreamReader.readexactly.
 */
PIER_API ssize_t pier_recv_exactly(int s, void *buf, size_t len);

/**
 * Up to and including the first `delimiter`. Returns the length with the delimiter; at the
 * end of stream what is left, which may be 0. -EMSGSIZE if `size` bytes (or PIER_LINE_MAX)
 * hold no delimiter: nothing is taken then, so the caller may read on in another way.
 * -EINVAL for an empty delimiter.
 *
 * Cancel, time-out, any code: nothing is lost, what came stays in the socket's buffer.
 * Threads: any, in turn. Python: StreamReader.readuntil.
 */
PIER_API ssize_t pier_recv_until(
    int s, void *buf, size_t size, const void *delimiter, size_t delimiter_length);

/**
 * A line, NUL-terminated, with its "\n" (or "\r\n") as it came. Returns its length; 0 at
 * the end of stream; a last line without "\n" counts. `size` is the limit, the NUL
 * included, and -EMSGSIZE its error; nothing is taken then. A NUL in the line counts in the
 * length. On a code `buf` is "".
 *
 * Cancel, time-out, any code: nothing is lost, what came stays in the socket's buffer.
 * Threads: any, in turn. Python: file.readline(limit).
 */
PIER_API ssize_t pier_recv_line(int s, char *buf, size_t size);

/**
 * Everything until the end of stream. Returns how many bytes; -EMSGSIZE if `size` bytes
 * came and it had not ended: they are in `buf` and pier_error_moved() is `size`. On another
 * code, too, what came is in `buf` and counted.
 *
 * Cancel, time-out: what came is in `buf` and counted. Threads: any, in turn. Python:
 * b"".join(iter(lambda: sock.recv(n), b"")).
 */
PIER_API ssize_t pier_recvall(int s, void *buf, size_t size);

/** @} */
/** @name stdio
 * @{ */

/**
 * A FILE over a stream, for getline(3), fprintf(3) and their like. `mode` is "r", "w" or
 * "r+" ("rw" means the same), with an optional "b" after the first letter. Reading shares
 * the socket's own read buffer, so it may be mixed with pier_recv() and its kin; on AF_UNIX
 * it reads ahead only what carries no descriptor. stdio asks for it a byte at a time, so for
 * much text pier_recv_line() is far faster. "w" is buffered, so fflush(3) before
 * waiting for an answer; "r+" is unbuffered both ways, since stdio has one buffer for two
 * directions. fclose(3) flushes and never closes the socket. Errors of the socket appear as
 * errno, -ETIME as ETIMEDOUT, those that are no errno as EIO; pier_error() has the
 * sentence, and pier_error_moved() how much of a failed write went: stdio drops the rest. A
 * FILE that outlives its socket fails with EBADF. It has no fileno(3) and no position.
 *
 * Returns the FILE, or NULL, and pier_error_code() tells why: -EINVAL (the mode, or no
 * stream), -EBADF (a descriptor that pier does not know), -ENOMEM.
 *
 * Ownership: the caller closes the FILE, and before the socket. Cancel: stdio's call fails
 * with errno ECANCELED. Threads: any, one FILE is for one thread at a time. Source:
 * fopencookie(3). Python: sock.makefile.
 */
PIER_API FILE *pier_makefile(int s, const char *mode);

/** @} */
PIER_END_DECLS

/** @} */
#endif
