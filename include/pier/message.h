/* SPDX-License-Identifier: MIT */
#ifndef PIER_MESSAGE_H
#define PIER_MESSAGE_H

/**
 * @file
 * Descriptors and other control data beside the bytes.
 *
 * @defgroup pier_message Control messages
 * @ingroup pier
 * What travels beside the bytes: descriptors, credentials, time stamps; cmsg(3).
 * pier_sendmsg() and pier_recvmsg() carry it, the calls here build it, read it and clean up
 * after it.
 * @{
 */

#include <pier/version.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

PIER_BEGIN_DECLS

/** The most descriptors one message can carry, SCM_MAX_FD in the kernel. */
#define PIER_FDS_MAX 253

/**
 * The length to put into cmsg_len for `length` bytes of data; PIER_ERANGE above 0x7fffffff
 * in all.
 *
 * Threads: any. Source: cmsg(3), CPython's get_CMSG_LEN. Python: socket.CMSG_LEN.
 */
PIER_API ssize_t pier_cmsg_len(size_t length);

/**
 * The room that a control message of `length` bytes takes, padding included; PIER_ERANGE
 * above 0x7fffffff in all.
 *
 * Threads: any. Source: cmsg(3), CPython's get_CMSG_SPACE. Python: socket.CMSG_SPACE.
 */
PIER_API ssize_t pier_cmsg_space(size_t length);

/** One control message, as pier_cmsg_next() finds it. Begin with a zeroed one. */
typedef struct pier_cmsg {
    int level;        /**< SOL_SOCKET, IPPROTO_IP, … */
    int type;         /**< SCM_RIGHTS, … */
    const void *data; /**< Its bytes, inside the message's control buffer; perhaps unaligned. */
    size_t length;    /**< How many of them are really there. */
    bool truncated;   /**< The header claims more than is there. */
    size_t next;      /**< Where the following one begins; pier's own. */
} pier_cmsg;

/**
 * Step to the next control message. Returns 1 and fills `cmsg`, or 0 after the last one.
 * Survives any bytes: a header that is cut off, or claims less than itself, ends the walk;
 * one that claims too much is `truncated`.
 *
 * Ownership: `data` is borrowed from the message's control buffer. Threads: any, one at a
 * time per message. Source: cmsg(3). Python: the list that sock.recvmsg returns.
 */
PIER_API int pier_cmsg_next(const struct msghdr *msg, pier_cmsg *cmsg);

/**
 * Append a control message to `msg`, whose control buffer has room for `capacity` bytes and
 * is filled up to msg_controllen (begin with 0). Padding is zeroed. Returns 0, or -ENOBUFS
 * if it does not fit; `msg` is unchanged then.
 *
 * Ownership: the data is copied. Threads: any, one at a time per message. Source: cmsg(3).
 * Python: an item of sock.sendmsg's ancdata.
 */
PIER_API int pier_cmsg_put(
    struct msghdr *msg, size_t capacity, int level, int type, const void *data, size_t length);

/**
 * Close every descriptor that came with `msg` (SCM_RIGHTS, SCM_PIDFD), also in a truncated
 * one. Each is closed once: what a second call finds in the buffer is -1. Returns how many.
 *
 * Ownership: those descriptors are gone. Threads: any, one at a time per message. Source:
 * unix(7). Python: os.close for each.
 */
PIER_API int pier_cmsg_close_fds(struct msghdr *msg);

/**
 * Send bytes and descriptors over a Unix socket. At least one byte must go with them on a
 * stream (-EINVAL); more than PIER_FDS_MAX is -EINVAL. Returns how many bytes went; with
 * the first of them went all descriptors. Adds -EBUSY while bytes of one of the descriptors
 * lie in pier's own buffer (pier_pending()): whoever gets it would never see them;
 * -EOPNOTSUPP for a socket of another family.
 *
 * Ownership: the descriptors stay the caller's; the receiver gets copies. Cancel, time-out:
 * nothing has moved. Threads: any. Source: unix(7). Python: socket.send_fds.
 */
PIER_API ssize_t pier_send_fds(
    int s, const void *buf, size_t len, int flags, const int *fds, size_t fd_count);

/**
 * Receive bytes and up to `*fd_count` descriptors, all close-on-exec. Returns how many
 * bytes came and sets `*fd_count` to how many descriptors. If more were sent than there was
 * room for, or than this process may open, all of them are closed, `*fd_count` is 0 and the
 * result is -EMSGSIZE: a half-delivered set would leak. The bytes are in `buf` then, and
 * pier_error_moved() tells how many. Another code leaves `*fd_count` alone.
 *
 * Ownership: the descriptors are the caller's to close, each with close(2) or, after
 * pier_adopt(), with pier_close(). Cancel, time-out: nothing has moved. Threads: any.
 * Source: unix(7). Python: socket.recv_fds.
 */
PIER_API ssize_t pier_recv_fds(int s, void *buf, size_t len, int flags, int *fds, size_t *fd_count);

/** Who is at the other end of a Unix socket. */
typedef struct pier_credentials {
    pid_t pid; /**< Process. */
    uid_t uid; /**< User. */
    gid_t gid; /**< Group. */
} pier_credentials;

/**
 * Who is at the other end, as of its connect or listen. Returns 0; -ENOTCONN if nobody is
 * there, -EOPNOTSUPP for a socket of another family, or another code; `out` is untouched
 * then.
 *
 * Threads: any. Source: unix(7), SO_PEERCRED. Python: sock.getsockopt(SOL_SOCKET,
 * SO_PEERCRED, 12).
 */
PIER_API int pier_getpeercred(int s, pier_credentials *out);

/**
 * The credentials in a control message of type SCM_CREDENTIALS: 0, or -EINVAL if it is
 * none; `out` is untouched then.
 *
 * Threads: any. Source: unix(7). Python: struct.unpack("3i", data).
 */
PIER_API int pier_cmsg_credentials(const pier_cmsg *cmsg, pier_credentials *out);

/** What a message to an AF_ALG operation socket carries besides its bytes. */
typedef struct pier_afalg_opts {
    const void *iv;       /**< The initialisation vector, or NULL. */
    size_t iv_length;     /**< Its length in bytes. */
    int assoclen;         /**< AEAD: how many bytes are associated data. */
    bool has_assoclen;    /**< `assoclen` is given. */
    uint64_t reserved[4]; /**< Zero. */
} pier_afalg_opts;

/**
 * Send to an AF_ALG operation socket: `op` is ALG_OP_ENCRYPT or ALG_OP_DECRYPT (negative:
 * -EINVAL), the bytes come from `iov`. `opts` may be NULL. Returns how many went.
 *
 * Cancel, time-out: nothing has moved. Threads: any. Source: the kernel's
 * crypto/userspace-if.rst. Python: sock.sendmsg_afalg.
 */
PIER_API ssize_t pier_sendmsg_afalg(int s, const struct iovec *iov, size_t iov_count, int op,
    const pier_afalg_opts *opts, int flags);

PIER_END_DECLS

/** @} */
#endif
