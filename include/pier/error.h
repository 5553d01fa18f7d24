/* SPDX-License-Identifier: MIT */
#ifndef PIER_ERROR_H
#define PIER_ERROR_H

/**
 * @file
 * Codes and sentences.
 *
 * @defgroup pier_error Errors
 * @ingroup pier
 * Codes and sentences. Every call returns its result, or a negative code. `errno` is never
 * the channel: pier neither promises to set it nor to leave it alone.
 *
 * One space of numbers holds them all:
 *
 *     -1 … -4095        -errno: what the kernel said (-ECONNREFUSED)
 *     -10001 … -10999   the resolver's EAI_* (PIER_EAI_NONAME)
 *     -11001 … -11999   h_errno, from the older resolver calls
 *     -12001 … -12999   arguments refused before any system call was made
 *     -13001 … -13999   TLS
 *
 * Two of them are easily confused and mean different things: `-ETIME` when *your* time-out
 * or deadline passed, `-ETIMEDOUT` when the *network* gave up.
 *
 * An error in place of a socket travels on: a verb that is given a negative handle returns
 * that very number and does nothing, so a short program may check once, at the end. A
 * length above SSIZE_MAX, which is what a failed pier_recv() turns into when its result is
 * passed on as a length, is refused with -EINVAL.
 *
 * None of the calls here waits, fails or sets the last failure.
 * @{
 */

#include <pier/version.h>

#include <stddef.h>
#include <sys/types.h>

PIER_BEGIN_DECLS

/** The codes that are not an errno. Those that are read `-ECONNREFUSED`, from <errno.h>. */
enum pier_code {
    /* The resolver, getaddrinfo(3); RFC 3493. The value is -10000 + EAI_*. */
    PIER_EAI_BADFLAGS = -10001,    /**< Bad value for the flags. */
    PIER_EAI_NONAME = -10002,      /**< Name or service not known. */
    PIER_EAI_AGAIN = -10003,       /**< No answer now; the same question may be answered later. */
    PIER_EAI_FAIL = -10004,        /**< The name server said no, and will again. */
    PIER_EAI_NODATA = -10005,      /**< The name exists but has no address. */
    PIER_EAI_FAMILY = -10006,      /**< The family cannot be looked up. */
    PIER_EAI_SOCKTYPE = -10007,    /**< The socket type cannot be looked up. */
    PIER_EAI_SERVICE = -10008,     /**< The service is not known for this socket type. */
    PIER_EAI_ADDRFAMILY = -10009,  /**< The name has no address of this family. */
    PIER_EAI_MEMORY = -10010,      /**< The resolver ran out of memory. */
    PIER_EAI_SYSTEM = -10011,      /**< Never returned: the errno behind it is. */
    PIER_EAI_OVERFLOW = -10012,    /**< A buffer for a name was too small. */
    PIER_EAI_INPROGRESS = -10100,  /**< glibc: the look-up is still under way. */
    PIER_EAI_CANCELED = -10101,    /**< glibc: the look-up was cancelled. */
    PIER_EAI_NOTCANCELED = -10102, /**< glibc: the look-up was not cancelled. */
    PIER_EAI_ALLDONE = -10103,     /**< glibc: all look-ups are done. */
    PIER_EAI_INTR = -10104,        /**< glibc: interrupted by a signal. */
    PIER_EAI_IDN_ENCODE = -10105,  /**< The name is not valid UTF-8, or no valid IDN. */

    /* The older resolver calls, gethostbyname_r(3). The value is -11000 - h_errno. */
    PIER_H_HOST_NOT_FOUND = -11001, /**< The host is not known. */
    PIER_H_TRY_AGAIN = -11002,      /**< No answer now. */
    PIER_H_NO_RECOVERY = -11003,    /**< The name server failed for good. */
    PIER_H_NO_DATA = -11004,        /**< The name exists but has no address. */

    /* Arguments refused before the kernel was asked. */
    PIER_EPORT = -12001,        /**< A port outside 0-65535. */
    PIER_EFLOWINFO = -12002,    /**< An IPv6 flow label outside 0-1048575. */
    PIER_ERANGE = -12003,       /**< A number that does not fit its field. */
    PIER_EPATHLEN = -12004,     /**< An AF_UNIX path or abstract name that is too long. */
    PIER_EIFNAMELEN = -12005,   /**< An interface name of 16 bytes or more. */
    PIER_EALGTYPE = -12006,     /**< An AF_ALG type of 14 bytes or more. */
    PIER_EALGNAME = -12007,     /**< An AF_ALG name of 64 bytes or more. */
    PIER_EBDADDR = -12008,      /**< A malformed Bluetooth address. */
    PIER_EX25ADDR = -12009,     /**< An X.121 address with anything but 1-15 digits. */
    PIER_EHWADDRLEN = -12010,   /**< A hardware address of more than 8 bytes. */
    PIER_EADDRTEXT = -12011,    /**< Malformed address text. */
    PIER_ENUL = -12012,         /**< A NUL byte where none may be. */
    PIER_EHOSTTEXT = -12013,    /**< A host that is too long, or has an empty or over-long label. */
    PIER_ENOTSTRICT = -12014,   /**< An IPv4 address in a form that strict parsing refuses. */
    PIER_EIPTEXT = -12015,      /**< Text that is no IP address. */
    PIER_EPACKED = -12016,      /**< A packed IP address of the wrong length. */
    PIER_EFAMILY = -12017,      /**< An address of the wrong family for this call. */
    PIER_ENOADDR = -12018,      /**< No address was given (a zeroed pier_addr). */
    PIER_EUNRESOLVED = -12019,  /**< The address holds a name that is not resolved yet. */
    PIER_EOPTLEN = -12020,      /**< An option's length is out of range. */
    PIER_ENOOPT = -12021,       /**< No socket option has this name. */
    PIER_ENOSERVICE = -12022,   /**< No service of this name or port. */
    PIER_ENOPROTOCOL = -12023,  /**< No protocol of this name. */
    PIER_ENOINTERFACE = -12024, /**< No interface of this name. */
    PIER_EMULTIPLE = -12025,    /**< The address resolved to more than one. */
    PIER_ENOTHANDLE = -12026,   /**< A negative handle that no failed call returned. */
    PIER_EINCOMPLETE = -12027,  /**< The stream ended in the middle of what was asked for. */
    PIER_ENOTASK = -12028,      /**< Only a task can do this, and none is running. */
    PIER_ENOLOOP = -12029,      /**< No loop was opened in this thread. */
    PIER_EFOREIGN = -12030,     /**< It belongs to another thread, or to the tasks there. */
    PIER_ENOTHELD = -12031,     /**< A lock that is not held, or not by the caller. */
    PIER_ESHUTDOWN = -12032,    /**< The queue has been shut down. */
};

/**
 * The sentence for a code: "Connection refused". For 0 "Success"; for a number that is no
 * code "Unknown error".
 *
 * Ownership: a constant, nothing to free. Threads: any. Python: os.strerror,
 * socket.gai_strerror.
 */
PIER_API const char *pier_strerror(ssize_t code);

/**
 * The name of a code: "ECONNREFUSED", "EAI_NONAME", "PIER_EPORT"; "OK" for 0, NULL for a
 * number that is no code.
 *
 * Ownership: a constant, nothing to free. Threads: any. Python: errno.errorcode.
 */
PIER_API const char *pier_errname(ssize_t code);

/**
 * The exception that Python raises for a code: "ConnectionRefusedError", "TimeoutError",
 * "gaierror", "OverflowError"; "OSError" when it has none of its own, NULL for 0 and for a
 * number that is no code.
 *
 * Ownership: a constant, nothing to free. Threads: any. Python: PEP 3151.
 */
PIER_API const char *pier_errexception(ssize_t code);

/**
 * The code that has this name: pier_errcode("ECONNREFUSED") is -ECONNREFUSED. The names are
 * those of pier_errname(), and EWOULDBLOCK, ENOTSUP and EDEADLOCK. Returns 0 for "OK", NULL
 * and an unknown name.
 *
 * Threads: any. Python: getattr(errno, name).
 */
PIER_API int pier_errcode(const char *name);

/**
 * The whole sentence of the last failure in this thread: what was tried, on which socket or
 * address, and what came of it.
 *
 *     connect to localhost:12345 (tried [::1]:12345, 127.0.0.1:12345): Connection refused
 *     bind 0.0.0.0:80: Address already in use, held by nginx[812]
 *
 * The facts are copied when a call fails; the sentence is built here, when asked for, and
 * so is the search in /proc for who holds an address. -EAGAIN and an error that was only
 * passed on do not count as failures; a negative handle that no failed call returned does
 * ("handle -1 did not come from pier", PIER_ENOTHANDLE). Bytes that came from outside and
 * would not print are escaped. Returns "no error" when nothing has failed in this thread
 * yet.
 *
 * In a task all this is the task's own, and so is what the two calls below return. What
 * pier_run(), pier_to_thread() and pier_group_leave() return for another task or thread
 * they tell as it did.
 *
 * Ownership: borrowed until this thread's, or task's, next pier_error(). Threads: each has
 * its own, and each task. Python: str(exception).
 */
PIER_API const char *pier_error(void);

/**
 * The code of that failure, or 0 when nothing has failed in this thread yet.
 *
 * Threads: each has its own. Python: exception.errno.
 */
PIER_API int pier_error_code(void);

/**
 * How many bytes had moved when the last failing pier_sendall(), pier_sendfile(),
 * pier_recv_exactly() or their like gave up. 0 for every other failure.
 *
 * Threads: each has its own. Python keeps this number to itself.
 */
PIER_API size_t pier_error_moved(void);

PIER_END_DECLS

/** @} */
#endif
