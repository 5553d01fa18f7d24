/* SPDX-License-Identifier: MIT */
#ifndef PIER_SOCKET_H
#define PIER_SOCKET_H

/**
 * @file
 * Sockets: connect, accept, send, receive, time-outs.
 *
 * @defgroup pier_socket Sockets
 * @ingroup pier
 * Connect, accept, send, receive, time-outs. A socket is an `int`: the file descriptor
 * itself. What pier knows beyond it (time-out, deadline, who waits) lives in a table beside
 * it, indexed by the number, for the sockets that pier made or adopted. A number without an
 * entry acts as a bare descriptor: it has no time-out and no deadline, the calls that set
 * or tell them return -EBADF, and pier_close() does not close it.
 *
 * **Waiting.** A call that must wait does so until the earliest of the socket's time-out
 * (per operation, pier_settimeout()) and its deadline (for the whole conversation,
 * pier_setdeadline()), then returns -ETIME. With a time-out of 0, or MSG_DONTWAIT, it
 * returns -EAGAIN at once. EINTR never ends a wait unless an interruption hook says so.
 * Neither ends early, and no signal makes the waiting start anew.
 *
 * **Closing.** pier_close() from another thread or task ends whatever waits on the socket: it
 * returns -ECANCELED. Bytes that arrived before are not lost: a call that has moved some
 * returns them.
 *
 * **Threads.** Any thread may use any socket, several at a time. Only pier_sendall() and
 * pier_sendfile() are more than one step, and they take turns: first come, first served,
 * never interleaved.
 *
 * **Every descriptor is close-on-exec from birth, and no send ever raises SIGPIPE.**
 *
 * Errors that every call may return: the handle itself if it is negative, -EBADF (closed),
 * -ENOTSOCK, and what the manual page of the system call of the same name lists. A length
 * above SSIZE_MAX is -EINVAL, NULL for a buffer that has a length -EFAULT.
 * @{
 */

#include <pier/addr.h>
#include <pier/error.h>
#include <pier/time.h>
#include <pier/version.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

PIER_BEGIN_DECLS

/** @name Making and unmaking
 * @{ */

/**
 * Make a socket. With SOCK_NONBLOCK in `type` its time-out is 0, else it is
 * pier_getdefaulttimeout(). Returns the socket, which is close-on-exec.
 *
 * Ownership: the caller closes it with pier_close(). Threads: any. Source: socket(2).
 * Python: socket.socket(family, type, proto).
 */
PIER_API int pier_socket(int family, int type, int protocol);

/**
 * Make two sockets that are connected to each other; AF_UNIX as a rule. Returns 0; on
 * failure `out_pair` is untouched.
 *
 * Ownership: the caller closes both. Threads: any. Source: socketpair(2). Python:
 * socket.socketpair.
 */
PIER_API int pier_socketpair(int family, int type, int protocol, int out_pair[2]);

/**
 * Take over a descriptor that was made elsewhere: from now on it is pier's to close. Its
 * time-out is the default one; its mode (O_NONBLOCK) and its close-on-exec flag stay as
 * they are unless a default time-out is set. So a descriptor that comes in O_NONBLOCK goes
 * on answering -EAGAIN until pier_settimeout() or a deadline tells otherwise.
 *
 * A number that pier knows already starts afresh (the descriptor behind it was replaced by
 * close(2) or dup2(2)). Returns `fd`. Errors: -EBADF, -ENOTSOCK, -ENOMEM; nothing is taken
 * then.
 *
 * Ownership: pier's on success, so pier_close() closes it; still the caller's on failure.
 * Threads: any, but no other call may be under way on the number. Python:
 * socket.socket(fileno=fd).
 */
PIER_API int pier_adopt(int fd);

/**
 * Duplicate a descriptor and adopt the copy, which is close-on-exec. Returns the copy.
 *
 * Ownership: `fd` stays the caller's, who also closes the copy with pier_close(). Threads:
 * any. Source: fcntl(2), F_DUPFD_CLOEXEC. Python: socket.fromfd.
 */
PIER_API int pier_fromfd(int fd);

/**
 * A second handle to the same socket, close-on-exec, with the same time-out and deadline.
 * The connection lasts until both are closed. -EBUSY while bytes are buffered
 * (pier_pending()).
 *
 * Ownership: the caller closes both. Threads: any. Source: fcntl(2), F_DUPFD_CLOEXEC.
 * Python: sock.dup().
 */
PIER_API int pier_dup(int s);

/**
 * Give the descriptor back: pier forgets it and does not close it. Returns the descriptor.
 * -EBADF if pier does not know it, -EBUSY while bytes are buffered or another call is under
 * way.
 *
 * Ownership: the caller's, to close(2). Threads: any. Python: sock.detach().
 */
PIER_API int pier_detach(int s);

/**
 * Close. Calls that wait on the socket, in any thread or task, return -ECANCELED, and the
 * descriptor is closed when the last of them has left: not before that is its address free
 * for another one. Never waits and never retries (close(2) after EINTR has closed).
 *
 * Returns 0; -EBADF for a number that pier does not know, above all for one closed already:
 * a descriptor that pier did not make or adopt is never closed. A negative `s` is returned
 * as it is. -EIO and the like from the kernel mean: closed all the same. A reset by the
 * peer is not told here.
 *
 * Ownership: the number is no longer the caller's, whatever the result. Threads: any.
 * Source: close(2), bpo-30319. Python: sock.close().
 */
PIER_API int pier_close(int s);

/**
 * End one direction or both: SHUT_RD, SHUT_WR, SHUT_RDWR. SHUT_WR tells the peer that no
 * more will come, and the answer can still be received. With duplicates or after a fork it
 * ends the connection for all of them, which closing does not.
 *
 * Threads: any. Source: shutdown(2). Python: sock.shutdown.
 */
PIER_API int pier_shutdown(int s, int how);

/**
 * The birth number of a socket: every socket gets another one, for the life of the process,
 * so a descriptor number that was closed and given out again can be told apart. 0 if pier
 * does not know the number.
 *
 * Threads: any. Python has objects.
 */
PIER_API uint64_t pier_birth(int s);

/** @} */
/** @name Connecting
 * @{ */

/**
 * Give the socket a local address. A host name is looked up first (the first address of the
 * socket's family counts). Adds the resolver's errors. When it fails, listen, accept and
 * the receiving calls return the same error until a bind, a connect or a pier_sendto()
 * succeeds, so that a program that checks late is not misled.
 *
 * Cancel (in the look-up): the socket is not bound. Threads: any. Source: bind(2). Python:
 * sock.bind.
 */
PIER_API int pier_bind(int s, pier_addr addr);

#define PIER_BACKLOG 128 /**< Python's backlog when none is given. */

/**
 * Listen for connections. A negative backlog counts as 0.
 *
 * Threads: any. Source: listen(2). Python: sock.listen(backlog).
 */
PIER_API int pier_listen(int s, int backlog);

/**
 * Wait for a connection and take it. Returns the new socket, which is close-on-exec; its
 * time-out is the default one (none, if that is not set), never the listener's. `out_peer`
 * gets the peer's address, and may be NULL.
 *
 * The transient errors that accept(2) lists (ECONNABORTED, EPROTO, ENETDOWN, …) are not
 * errors of the listener: it goes on waiting. -EMFILE and -ENFILE are returned; the
 * connection stays queued. Under a time-out or deadline, or beside another accept, the
 * listener's description becomes O_NONBLOCK.
 *
 * Ownership: the caller closes the new socket. Cancel: no connection is lost. Threads: any,
 * each connection goes to one. Source: accept4(2). Python: sock.accept.
 */
PIER_API int pier_accept(int s, pier_addr *out_peer);

/**
 * Connect, including the look-up of a host name (its first address of the socket's family;
 * pier_create_connection() tries them all). EINTR does not end it: it goes on, and its
 * outcome is awaited. With a time-out of 0: -EINPROGRESS, and pier_wait_writable() tells
 * when. On a connected stream -EISCONN. After -ETIME the connection may still come about;
 * close the socket.
 *
 * A stream that the kernel connected to itself (a port of this host that nobody listens on
 * can do that) counts as -ECONNREFUSED. When connect fails, the error stands in for
 * ENOTCONN, EPIPE and their like in later calls.
 *
 * Cancel: as after -ETIME. Threads: any. Source: connect(2), CPython's internal_connect.
 * Python: sock.connect.
 */
PIER_API int pier_connect(int s, pier_addr addr);

/**
 * pier_connect() with Python's connect_ex result: 0, or the errno as a positive number
 * (EINPROGRESS, EISCONN; EAGAIN when the time-out passed). What is not connect(2)'s own
 * failure, a name that is not found or a bad address, comes back as a negative code, and so
 * does a negative handle.
 *
 * Cancel: as pier_connect(). Threads: any. Python: sock.connect_ex.
 */
PIER_API int pier_connect_ex(int s, pier_addr addr);

/**
 * Forget that bind or connect failed, so that later calls get the kernel's own answers
 * again: for a program that has dealt with the failure and goes on with the socket. Returns
 * 0; a number that pier does not know has nothing to forget.
 *
 * Threads: any. Python's sockets never remember.
 */
PIER_API int pier_forget_failure(int s);

/**
 * The socket's own address. Returns 0 or a code. `out` is always written.
 *
 * Threads: any. Source: getsockname(2). Python: sock.getsockname.
 */
PIER_API int pier_getsockname(int s, pier_addr *out);

/**
 * The other end's address: 0, or a code, -ENOTCONN above all. `out` is always written.
 *
 * Threads: any. Source: getpeername(2). Python: sock.getpeername.
 */
PIER_API int pier_getpeername(int s, pier_addr *out);

/** @} */
/** @name Receiving and sending
 * @{ */

/**
 * Receive up to `len` bytes, waiting for the first of them. Returns how many, or 0 at the
 * end of the stream, or a code; `buf` holds nothing then. With `len` 0 it returns 0 without
 * a system call, as Python does. A datagram that is longer than `len` loses its rest;
 * MSG_TRUNC in `flags` makes the result the real length. A datagram of 0 bytes returns 0
 * too and is no end (of a SOCK_SEQPACKET socket the two cannot be told apart). Datagrams
 * end, with 0, where the socket was shut down for reading and is empty; but with a time-out
 * of 0 that is -EAGAIN. One call moves at most 0x7ffff000 bytes.
 *
 * MSG_WAITALL in `flags` waits until a stream has brought all of `len`, or ends, or fails,
 * which is told by the next call then; but when the rest of what framing has read ahead
 * fails, that is told, and those bytes stay. Under a limit it means nothing, as in Python;
 * pier_recv_exactly() has no such exceptions.
 *
 * Cancel, time-out: no byte has moved; with MSG_WAITALL what has moved is returned, and the
 * cancel told by the next wait. Threads: any; of several that receive at once each gets
 * bytes of its own. Source: recv(2). Python: sock.recv_into.
 */
PIER_API ssize_t pier_recv(int s, void *buf, size_t len, int flags);

/**
 * pier_recv() that also tells from whom. With `len` 0 it does ask the kernel, and takes a
 * datagram off the queue. On a connected stream `out_from` is no address. `out_from` may be
 * NULL, and is always written.
 *
 * Cancel, time-out: no byte has moved, or as in pier_recv(). Threads: any. Source:
 * recvfrom(2). Python: sock.recvfrom_into.
 */
PIER_API ssize_t pier_recvfrom(int s, void *buf, size_t len, int flags, pier_addr *out_from);

/**
 * Send up to `len` bytes, waiting until some can go. Returns how many went; a datagram goes
 * whole or not at all (-EMSGSIZE). On a stream it may be fewer: what there is room for under
 * a time-out or deadline, and without one, where it waits for room for all, if an error or a
 * cancel has ended that. That bytes went does not mean that they arrived. When the peer is
 * gone: -EPIPE or -ECONNRESET, never SIGPIPE.
 *
 * Cancel, time-out: no byte has moved; if some have, how many, and the next call tells.
 * Threads: any. Source: send(2). Python: sock.send.
 */
PIER_API ssize_t pier_send(int s, const void *buf, size_t len, int flags);

/**
 * Send all of it, under one deadline. Returns `len`, or a code, and then pier_error_moved()
 * tells how many bytes had gone.
 *
 * Cancel, time-out: as any failure; some may have gone. Threads: any; waits its turn when
 * another sendall is under way on this socket. Python: sock.sendall.
 */
PIER_API ssize_t pier_sendall(int s, const void *buf, size_t len, int flags);

/**
 * Send a datagram to an address; a host name is looked up first, under the same limits. No
 * address (a zeroed one) sends to the connected peer. Adds the resolver's errors. A stream
 * is connected by MSG_FASTOPEN in `flags`, with pier_connect()'s errors, and under the same
 * limits (Python says EINPROGRESS under a time-out, and nothing has gone). How much of the
 * bytes goes on a stream: as pier_send() says.
 *
 * Cancel, time-out: no byte has moved, or as in pier_send(). Threads: any. Source:
 * sendto(2). Python: sock.sendto.
 */
PIER_API ssize_t pier_sendto(int s, const void *buf, size_t len, int flags, pier_addr to);

/**
 * Send from several buffers, with control data and an address as `msg` says. How much of the
 * bytes goes on a stream: as pier_send() says, and the control data goes with the first of
 * them. More than 1024 buffers are sent in parts on a stream that carries no control data
 * (the result may be short), else -EMSGSIZE.
 *
 * Cancel, time-out: no byte has moved, or as in pier_send(). Threads: any. Source:
 * sendmsg(2). Python: sock.sendmsg.
 */
PIER_API ssize_t pier_sendmsg(int s, const struct msghdr *msg, int flags);

/**
 * Receive into several buffers, with control data and address. msg_namelen and
 * msg_controllen say what was written, never more than there was room for; a peer without a
 * name has msg_namelen 0. More than 1024 buffers: the first 1024 on a stream, else
 * -EMSGSIZE. MSG_WAITALL as in pier_recv(); bytes that came with descriptors are the last
 * ones.
 *
 * Ownership: descriptors that arrive are close-on-exec and the caller's
 * (pier_cmsg_close_fds() closes them). Cancel, time-out: no byte has moved, or as in
 * pier_recv(). Threads: any. Source: recvmsg(2). Python: sock.recvmsg_into.
 */
PIER_API ssize_t pier_recvmsg(int s, struct msghdr *msg, int flags);

/** @} */
/** @name Many datagrams at once
 *
 * One call for many datagrams, which is several times faster than one for each, and where
 * the kernel can take several of UDP as one (below), many times. A server that answers
 * every datagram needs no more than this:
 *
 *     static char bytes[64][2048];
 *     static pier_addr from[64];
 *     static pier_datagram batch[64];
 *     for (int i = 0; i < 64; i++)
 *         batch[i] = (pier_datagram){.data = bytes[i], .size = sizeof bytes[i], .addr = &from[i]};
 *     for (;;) {
 *         ssize_t n = pier_recv_many(s, batch, 64, 0);
 *         if (n < 0) return fprintf(stderr, "%s\n", pier_error()), 1;
 *         pier_send_many(s, batch, (size_t)n, 0);
 *     }
 * @{ */

/** A datagram among several. What was received can be sent as it is. */
typedef struct pier_datagram {
    void *data;      /**< Its bytes. Only pier_recv_many() writes there. */
    size_t size;     /**< For how many bytes `data` has room; pier_send_many() does not look. */
    size_t length;   /**< How many bytes it has: those that came, or those to send. */
    pier_addr *addr; /**< From whom it came or to whom it goes. NULL: nobody asks; the peer. */
    bool truncated;  /**< It came with more than `size` bytes, and the rest of them is lost. */
} pier_datagram;

/**
 * Receive up to `count` datagrams: waits for the first of them as pier_recvfrom() does, then
 * takes what else has arrived, without waiting. Returns how many; each of these has its
 * `length`, `truncated` and, unless `addr` is NULL, `*addr`. The others are as they were.
 *
 * A datagram of 0 bytes counts like every other. 0 means that none will come any more: after
 * pier_shutdown() with SHUT_RD, or from a SOCK_SEQPACKET peer that has closed (one of 0
 * bytes without a sender's name, right before that, cannot be told from it). With `count`
 * 0 it returns 0 without a system call. With MSG_TRUNC in `flags`, `length` is the real one,
 * even above `size`; MSG_PEEK looks at the first datagram alone. An error that comes after
 * some datagrams is the next call's. -EOPNOTSUPP for a stream, and for MSG_OOB and
 * MSG_ERRQUEUE.
 *
 * Ownership: descriptors that came along are closed. Cancel, time-out: nothing was taken.
 * Threads: any; of several that receive at once each gets datagrams of its own. Source:
 * recvmmsg(2). Python has no such thing.
 */
PIER_API ssize_t pier_recv_many(int s, pier_datagram *datagrams, size_t count, int flags);

/**
 * Send `count` datagrams, in their order, each whole: to `*addr`, or to the connected peer
 * where that is NULL or no address. Host names are looked up as in pier_sendto(), once for
 * datagrams in a row whose `addr` is the same pointer. Returns `count`, or a code, and then
 * pier_error_moved() tells how many datagrams had gone: the next one is the one that failed.
 * The time-out is for all together. -EINVAL or -EFAULT for a datagram that cannot be, and
 * nothing has gone; -EOPNOTSUPP for a stream.
 *
 * Datagrams in a row with the same destination and length (the last may be shorter) go
 * through the kernel as one where it can do that (UDP_SEGMENT, Linux 4.18) and come out on
 * the wire as if each had been sent alone. That is fastest with one `addr` for all of
 * them and bytes that lie one behind the other.
 *
 * Cancel, time-out: as any failure; some may have gone. Threads: any; the datagrams of
 * several calls at once may alternate. Source: sendmmsg(2), udp(7). Python has no such
 * thing.
 */
PIER_API ssize_t pier_send_many(int s, const pier_datagram *datagrams, size_t count, int flags);

/**
 * Let the kernel put datagrams of one sender together on their way to this UDP socket
 * (UDP_GRO, Linux 5.0). Every receiving call of pier takes them apart again, so nothing looks
 * different; pier_recv_many() gets many times faster. What a call had no room for waits in
 * pier's own buffer (pier_pending()) for the next call, whichever it is.
 *
 * It cannot be taken back, and it changes what everybody else sees who has the socket:
 * recv(2), another process, and duplicates made before get several datagrams run together.
 * Later duplicates (pier_dup(), pier_fromfd()) know; after fork(2) both processes do, but
 * each has a copy of what waited. A descriptor that reaches pier in any other way is told by
 * calling this again. Calls that receive take turns, so an interruption hook that receives
 * from the socket whose call it interrupts gets -EDEADLK.
 *
 * Returns 0, at every further call too. -EBUSY while another call is under way on the
 * socket, -EOPNOTSUPP for what is not UDP, -ENOPROTOOPT for a kernel that cannot (nothing
 * changes then), -ENOMEM for 64 KiB, -EBADF for a number that pier does not know.
 *
 * Threads: any. Source: udp(7). Python: sock.setsockopt(IPPROTO_UDP, UDP_GRO, 1), without
 * the taking apart.
 */
PIER_API int pier_enable_gro(int s);

/** @} */
/** @name More of sending, and waiting
 * @{ */

/**
 * Send `count` bytes of a file, or all until its end if `count` is 0, over a stream.
 * `offset` is where to begin and is moved on; NULL means the file's own position, which is
 * moved on, by what was sent, on failure too. Uses sendfile(2), or reads and sends where
 * that does not work (/proc, pipes).
 *
 * Returns how many bytes went, or a code with pier_error_moved(). -EINVAL for a socket that
 * is no stream or has a time-out of 0; -EBUSY if `file` is a socket with bytes in pier's own
 * buffer. Each part may wait for the time-out; the deadline bounds the whole; both hold for
 * the wait for a pipe's writer too. What was read from a pipe and could not be sent is lost.
 *
 * Ownership: the file stays the caller's. Cancel, time-out: as any failure; some may have
 * gone. Threads: any, one at a time per file position; waits its turn as pier_sendall()
 * does. Source: sendfile(2). Python: sock.sendfile.
 */
PIER_API ssize_t pier_sendfile(int s, int file, off_t *offset, size_t count);

/**
 * Wait until there is something to receive or to accept, the end of the stream and an error
 * included: 0, or -ETIME at `deadline` or at the socket's own. The time-out does not count
 * here. A deadline that has passed only looks. Bytes that are buffered (pier_pending())
 * count.
 *
 * Cancel: nothing is taken. Threads: any. Source: poll(2). Python: select.select([sock],
 * [], []).
 */
PIER_API int pier_wait_readable(int s, pier_time deadline);

/**
 * The same until something can be sent, or a connect has ended (SO_ERROR, or pier_connect()
 * once more, tells how).
 *
 * Cancel: nothing has changed. Threads: any. Source: poll(2). Python: select.select([],
 * [sock], []).
 */
PIER_API int pier_wait_writable(int s, pier_time deadline);

/**
 * How many bytes lie in pier's own read buffer of this socket (from framing,
 * pier_makefile() or pier_enable_gro()), invisible to poll(2) and to anyone who reads the
 * descriptor behind pier's back. pier's own calls drain it first.
 *
 * Threads: any. Python: ssl's sock.pending().
 */
PIER_API ssize_t pier_pending(int s);

/** @} */
/** @name Time-outs
 * @{ */

/**
 * The longest that one operation may wait, in seconds: INFINITY for ever, 0 not at all.
 * Sets the descriptor's O_NONBLOCK as Python does (clear for INFINITY, else set), which
 * every duplicate of it shares. Returns 0, or -EINVAL for a negative number or NaN.
 *
 * Threads: any; calls that wait already keep the limit they began with. Python:
 * sock.settimeout; None is INFINITY.
 */
PIER_API int pier_settimeout(int s, double seconds);

/**
 * The time-out in seconds, INFINITY if there is none, or a negative code.
 *
 * Threads: any. Python: sock.gettimeout.
 */
PIER_API double pier_gettimeout(int s);

/**
 * pier_settimeout() with INFINITY (true) or 0 (false).
 *
 * Threads: any. Python: sock.setblocking.
 */
PIER_API int pier_setblocking(int s, bool blocking);

/**
 * 0 if the time-out is 0, else 1 (also with a time-out above 0).
 *
 * Threads: any. Python: sock.getblocking.
 */
PIER_API int pier_getblocking(int s);

/**
 * The time-out of sockets made from now on, in the whole process. Returns 0, or -EINVAL for
 * a negative number or NaN.
 *
 * Threads: any, it is one for all of them. Python: socket.setdefaulttimeout.
 */
PIER_API int pier_setdefaulttimeout(double seconds);

/**
 * The default time-out in seconds; INFINITY unless set.
 *
 * Threads: any. Python: socket.getdefaulttimeout.
 */
PIER_API double pier_getdefaulttimeout(void);

/**
 * The point from which on every operation that may wait returns -ETIME, even if it need
 * not: `pier_setdeadline(s, pier_after(2))` bounds a whole conversation, also with a peer
 * that never pauses. PIER_NEVER takes it away. The descriptor's mode stays as it is.
 * Returns 0; a negative point is returned as the error that it is.
 *
 * Threads: any; calls that wait already keep the limit they began with. Python has no such
 * thing.
 */
PIER_API int pier_setdeadline(int s, pier_time deadline);

/**
 * The deadline, PIER_NEVER if there is none, or a negative code.
 *
 * Threads: any. Python has no such thing.
 */
PIER_API pier_time pier_getdeadline(int s);

/** @} */
/** @name The descriptor
 * @{ */

/**
 * Shall it survive exec(3)? Returns 0 or a code.
 *
 * Threads: any. Source: fcntl(2), FD_CLOEXEC. Python: sock.set_inheritable, PEP 446.
 */
PIER_API int pier_set_inheritable(int s, bool inheritable);

/**
 * 1 if it survives exec(3), else 0, or a code.
 *
 * Threads: any. Source: fcntl(2), FD_CLOEXEC. Python: sock.get_inheritable.
 */
PIER_API int pier_get_inheritable(int s);

/** @} */
/** @name Interruption
 * @{ */

/** What pier_sethook() installs and returns. */
typedef struct pier_hook {
    /** Asked after EINTR; non-zero makes the call return -EINTR. NULL: none. */
    int (*call)(void *arg);
    void *arg; /**< Its argument. */
} pier_hook;

/**
 * Install this thread's interruption hook: it is called whenever a signal has interrupted a
 * call, and after each part of a pier_sendall(), with no lock held. It may call pier, and
 * close the very socket; only what would have to wait for its own turn, a pier_sendall() in
 * the middle of one on the same socket (so it is with lines and FILEs), is refused with
 * -EDEADLK. If it returns non-zero the call gives up with -EINTR; else it goes on, until the
 * same deadline. Signal handlers that shall wake it are installed without SA_RESTART. Without
 * a hook, EINTR is never seen.
 *
 * Returns the hook that was there before, to be put back.
 *
 * Ownership: `arg` stays the caller's. Threads: each has its own. Source: PEP 475. Python:
 * PyErr_CheckSignals.
 */
PIER_API pier_hook pier_sethook(int (*call)(void *arg), void *arg);

/** @} */
PIER_END_DECLS

/** @} */
#endif
