/* SPDX-License-Identifier: MIT */
#ifndef PIER_OPTION_H
#define PIER_OPTION_H

/**
 * @file
 * Socket options.
 *
 * @defgroup pier_option Socket options
 * @ingroup pier
 * Socket options, by the system's own numbers as bytes or as an `int`, and by name as text
 * from a table that knows the level, number and type of every named one.
 * @{
 */

#include <pier/version.h>

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

PIER_BEGIN_DECLS

/**
 * Read an option's bytes. `*length` is the room, 1 to 1024 (else PIER_EOPTLEN), and becomes
 * what the kernel wrote, which may be less. Returns 0 or a code; `value` and `*length` are
 * unchanged then.
 *
 * Threads: any. Source: getsockopt(2). Python: sock.getsockopt(level, name, buflen).
 */
PIER_API int pier_getsockopt(int s, int level, int name, void *value, socklen_t *length);

/**
 * Set an option from bytes; `value` may be NULL with any `length`, as AF_ALG wants it.
 * Returns 0 or a code.
 *
 * Threads: any. Source: setsockopt(2). Python: sock.setsockopt(level, name, bytes), (level,
 * name, None, optlen).
 */
PIER_API int pier_setsockopt(int s, int level, int name, const void *value, socklen_t length);

/**
 * Read an option that is an int (on AF_VSOCK, a 64-bit number). Returns 0 or a code;
 * `out_value` is untouched then.
 *
 * Threads: any. Source: getsockopt(2). Python: sock.getsockopt(level, name).
 */
PIER_API int pier_getsockopt_int(int s, int level, int name, int64_t *out_value);

/**
 * Set an option that is an int (on AF_VSOCK, a 64-bit number). Returns 0 or a code; out of
 * an int's range: PIER_ERANGE.
 *
 * Threads: any. Source: setsockopt(2). Python: sock.setsockopt(level, name, int).
 */
PIER_API int pier_setsockopt_int(int s, int level, int name, int64_t value);

/** What an option's bytes mean. */
enum pier_option_type {
    PIER_OPTION_BOOL,      /**< An int that is 0 or 1. */
    PIER_OPTION_INT,       /**< An int. */
    PIER_OPTION_UINT,      /**< An unsigned int: a mark, a set of flags. */
    PIER_OPTION_UINT64,    /**< A 64-bit number. */
    PIER_OPTION_LINGER,    /**< struct linger: "off" or seconds. */
    PIER_OPTION_TIMEVAL,   /**< struct timeval: seconds. */
    PIER_OPTION_TEXT,      /**< Text. */
    PIER_OPTION_INTERFACE, /**< An interface's number. */
    PIER_OPTION_IPV4,      /**< struct in_addr. */
    PIER_OPTION_BYTES,     /**< A structure of its own: set and read by its bytes. */
};

/** A row of the table. */
typedef struct pier_option {
    const char *name;           /**< "SO_REUSEADDR". */
    int level;                  /**< SOL_SOCKET. */
    int number;                 /**< SO_REUSEADDR. */
    enum pier_option_type type; /**< How to read it. */
} pier_option;

/**
 * The option of this name, or NULL.
 *
 * Ownership: a constant, nothing to free. Threads: any. Python: getattr(socket, name).
 */
PIER_API const pier_option *pier_option_find(const char *name);

/**
 * The whole table; `*out_count` gets its length.
 *
 * Ownership: a constant, nothing to free. Threads: any. Python: dir(socket).
 */
PIER_API const pier_option *pier_option_list(size_t *out_count);

/**
 * Read an option by name, as text: "1", "87380", "off", "cubic", "0.5", "01020304" (bytes
 * in hexadecimal). Returns the length of the text, PIER_ENOOPT for an unknown name, -ENOSPC
 * if `buf` is too small; it is unchanged then.
 *
 * Threads: any. Python has no such form.
 */
PIER_API ssize_t pier_getsockopt_text(int s, const char *name, char *buf, size_t size);

/**
 * Set an option by name from the same text; a switch may be "on" or "off", a number
 * hexadecimal ("0x10"), an interface a name. Returns 0, PIER_ENOOPT, -EINVAL for text that
 * does not fit its type, PIER_ERANGE, or for an interface PIER_ENOINTERFACE or
 * PIER_EIFNAMELEN.
 *
 * Threads: any. Python has no such form.
 */
PIER_API int pier_setsockopt_text(int s, const char *name, const char *text);

PIER_END_DECLS

/** @} */
#endif
