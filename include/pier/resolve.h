/* SPDX-License-Identifier: MIT */
#ifndef PIER_RESOLVE_H
#define PIER_RESOLVE_H

/**
 * @file
 * Names of hosts, services, interfaces.
 *
 * @defgroup pier_resolve Names
 * @ingroup pier
 * Names of hosts, services, protocols and interfaces to numbers and back.
 *
 * The resolver of the C library can only block. A look-up under a deadline (or in a thread
 * with an interruption hook) therefore runs in a small pool of pier's own threads, so that
 * the caller can leave at the deadline while the resolver hangs; the late answer is
 * dropped, and nothing leaks. At most 8 look-ups run at once and 1024 wait; beyond that the
 * answer is PIER_EAI_AGAIN. Without a deadline the calling thread looks up itself. Literal
 * addresses never ask anybody, and so are answered after the deadline too. The pool's
 * threads block the program's signals, end after five seconds without work, and are made
 * anew after a fork.
 *
 * Host names may be UTF-8: they are turned into their A-labels by IDNA 2008 (libidn2,
 * strict UTF-8; bad text is PIER_EAI_IDN_ENCODE). A label above 63 bytes or a name above
 * 253 is PIER_EHOSTTEXT. Ports above 65535 and the like are PIER_EPORT.
 *
 * PIER_NEVER as a deadline waits as long as the resolver does. All calls are re-entrant.
 * @{
 */

#include <pier/addr.h>
#include <pier/time.h>
#include <pier/version.h>

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

PIER_BEGIN_DECLS

/** @name Hosts
 * @{ */

/** What to look for; zeroed: every family and type, for ever. */
typedef struct pier_addrinfo_opts {
    int family;           /**< AF_INET, AF_INET6 or 0 for both. */
    int type;             /**< SOCK_STREAM, … or 0 for all. */
    int protocol;         /**< IPPROTO_TCP, … or 0 for all. */
    int flags;            /**< AI_PASSIVE, AI_CANONNAME, AI_NUMERICHOST, … */
    pier_time deadline;   /**< When to give up with -ETIME; 0: never. */
    uint64_t reserved[4]; /**< Zero. */
} pier_addrinfo_opts;

/** One answer. */
typedef struct pier_addrinfo {
    int family;   /**< For pier_socket(). */
    int type;     /**< For pier_socket(). */
    int protocol; /**< For pier_socket(). */
    /** With AI_CANONNAME, on the first entry: the official name; else "". */
    const char *canonname;
    pier_addr addr; /**< Complete. */
} pier_addrinfo;

/**
 * All addresses of a host and a service (a name or a number). Either may be NULL, not both;
 * host "" is PIER_EAI_NONAME. `opts` may be NULL. Returns how many, at least 1, and
 * `*out_list`; on failure `*out_list` is NULL and the result PIER_EAI_*, PIER_EPORT,
 * PIER_EHOSTTEXT, -ETIME, or an errno.
 *
 * Ownership: one block, which the caller frees with pier_freeaddrinfo(). Cancel (in a
 * look-up, here and below): the answer is dropped. Threads: any. Source: getaddrinfo(3),
 * RFC 3493. Python: socket.getaddrinfo.
 */
PIER_API ssize_t pier_getaddrinfo(const char *host, const char *service,
    const pier_addrinfo_opts *opts, pier_addrinfo **out_list);

/**
 * Free what pier_getaddrinfo() gave. NULL is fine.
 *
 * Threads: any. Python has a garbage collector.
 */
PIER_API void pier_freeaddrinfo(pier_addrinfo *list);

/**
 * Look up what is pending in an address: the host (its first address of the address's
 * family; of either for AF_UNSPEC), the service, the interface. A complete address comes
 * back as it is, ":80" as [::]:80. The result carries the error when it fails.
 *
 * Cancel: the answer is dropped. Threads: any. Python: what sock.connect does first.
 */
PIER_API pier_addr pier_resolve(pier_addr addr, pier_time deadline);

/** What pier_getnameinfo() found. */
typedef struct pier_nameinfo {
    char host[1025];  /**< The name, or the address as text. */
    char service[32]; /**< The service, or the port as text. */
} pier_nameinfo;

/**
 * The names of an INET or INET6 address and its port. `flags`: NI_NUMERICHOST,
 * NI_NUMERICSERV, NI_NAMEREQD, NI_DGRAM, …. Returns 0; PIER_EAI_*, -ETIME,
 * PIER_EUNRESOLVED, PIER_ENOADDR, PIER_EFAMILY, and `out` is untouched then.
 *
 * Cancel: the answer is dropped. Threads: any. Source: getnameinfo(3). Python:
 * socket.getnameinfo.
 */
PIER_API int pier_getnameinfo(pier_addr addr, int flags, pier_time deadline, pier_nameinfo *out);

/**
 * A host's first IPv4 address, port 0; "" is 0.0.0.0 and "<broadcast>" 255.255.255.255. The
 * result carries the error.
 *
 * Cancel: the answer is dropped. Threads: any. Python: socket.gethostbyname.
 */
PIER_API pier_addr pier_gethostbyname(const char *host, pier_time deadline);

/** What the older resolver calls tell of a host. */
typedef struct pier_hostent {
    const char *name;           /**< The official name. */
    const char *const *aliases; /**< Other names, NULL at the end. */
    const pier_addr *addrs;     /**< Its addresses, port 0. */
    size_t addr_count;          /**< How many. */
} pier_hostent;

/**
 * Name, aliases and IPv4 addresses of a host. Returns 0 and `*out`; on failure `*out` is
 * NULL and the result PIER_H_*, PIER_EAI_* or -ETIME.
 *
 * Ownership: one block, which the caller frees with pier_freehostent(). Cancel: the answer
 * is dropped. Threads: any. Source: gethostbyname_r(3). Python: socket.gethostbyname_ex.
 */
PIER_API int pier_gethostbyname_ex(const char *host, pier_time deadline, pier_hostent **out);

/**
 * Name, aliases and addresses of the host that has this address (IPv4 or IPv6 text, or a
 * name). "" is PIER_EMULTIPLE. All else as pier_gethostbyname_ex().
 *
 * Ownership: one block, which the caller frees with pier_freehostent(). Cancel: the answer
 * is dropped. Threads: any. Source: gethostbyaddr_r(3). Python: socket.gethostbyaddr.
 */
PIER_API int pier_gethostbyaddr(const char *address, pier_time deadline, pier_hostent **out);

/**
 * Free what they gave. NULL is fine.
 *
 * Threads: any. Python has a garbage collector.
 */
PIER_API void pier_freehostent(pier_hostent *host);

/**
 * The fully qualified name of a host: the first of its names that has a dot, else its
 * official name; `name` itself, without spaces around it, if nobody knows it. NULL, "",
 * "0.0.0.0" and "::" are this host. Writes at most `size` bytes with the NUL. Returns the
 * length, -ENOSPC if it does not fit, -ETIME, PIER_EHOSTTEXT, PIER_EAI_IDN_ENCODE; `buf` is
 * untouched then.
 *
 * Cancel: the answer is dropped. Threads: any. Python: socket.getfqdn.
 */
PIER_API ssize_t pier_getfqdn(const char *name, pier_time deadline, char *buf, size_t size);

/**
 * This host's name, always NUL-terminated. Returns its length; -ENOSPC if it does not fit,
 * and `buf` is untouched then. It need not be a full one: pier_getfqdn().
 *
 * Threads: any. Source: gethostname(2). Python: socket.gethostname.
 */
PIER_API ssize_t pier_gethostname(char *buf, size_t size);

/**
 * Set this host's name: `length` bytes, without a NUL. Returns 0, or -EPERM without the
 * privilege.
 *
 * Threads: any, it is one for the whole system. Source: sethostname(2). Python:
 * socket.sethostname.
 */
PIER_API int pier_sethostname(const char *name, size_t length);

/** @} */
/** @name Services and protocols
 * @{ */

/**
 * The port of a service: pier_getservbyname("http", NULL) is 80. `protocol` is "tcp", "udp"
 * or NULL. PIER_ENOSERVICE. Asks what nsswitch.conf(5) says, files as a rule, as do the two
 * below.
 *
 * Threads: any. Source: getservbyname_r(3). Python: socket.getservbyname.
 */
PIER_API int pier_getservbyname(const char *name, const char *protocol);

/**
 * The service of a port. Returns the length of the name; PIER_EPORT, PIER_ENOSERVICE,
 * -ENOSPC.
 *
 * Threads: any. Source: getservbyport_r(3). Python: socket.getservbyport.
 */
PIER_API ssize_t pier_getservbyport(int port, const char *protocol, char *buf, size_t size);

/**
 * The number of a protocol: pier_getprotobyname("tcp") is 6. PIER_ENOPROTOCOL.
 *
 * Threads: any. Source: getprotobyname_r(3). Python: socket.getprotobyname.
 */
PIER_API int pier_getprotobyname(const char *name);

/** @} */
/** @name Numbers and text
 * @{ */

/**
 * IPv4 text in any form of inet_aton(3) to four bytes in network order. 0, or PIER_EIPTEXT;
 * `out` is untouched then.
 *
 * Threads: any. Source: inet_aton(3). Python: socket.inet_aton.
 */
PIER_API int pier_inet_aton(const char *text, struct in_addr *out);

/**
 * Four bytes in network order to "127.0.0.1".
 *
 * Threads: any. Source: inet_ntoa(3). Python: socket.inet_ntoa.
 */
PIER_API pier_text pier_inet_ntoa(struct in_addr address);

/**
 * IPv4 or IPv6 text, in its one strict form, to 4 or 16 bytes. 0, PIER_EIPTEXT,
 * -EAFNOSUPPORT; `out` is untouched then.
 *
 * Threads: any. Source: inet_pton(3). Python: socket.inet_pton.
 */
PIER_API int pier_inet_pton(int family, const char *text, void *out);

/**
 * 4 or 16 bytes to text. Returns its length; PIER_EPACKED (not that many), -EAFNOSUPPORT,
 * -ENOSPC.
 *
 * Threads: any. Source: inet_ntop(3), RFC 5952. Python: socket.inet_ntop.
 */
PIER_API ssize_t pier_inet_ntop(
    int family, const void *packed, size_t length, char *buf, size_t size);

/**
 * 16 bits from host to network order, or PIER_ERANGE for a number that is negative or has
 * more.
 *
 * Threads: any. Source: byteorder(3). Python: socket.htons.
 */
PIER_API int pier_htons(int64_t number);

/**
 * 16 bits from network to host order, or PIER_ERANGE for a number that is negative or has
 * more.
 *
 * Threads: any. Source: byteorder(3). Python: socket.ntohs.
 */
PIER_API int pier_ntohs(int64_t number);

/**
 * 32 bits from host to network order, or PIER_ERANGE for a number that is negative or has
 * more.
 *
 * Threads: any. Source: byteorder(3). Python: socket.htonl.
 */
PIER_API int64_t pier_htonl(int64_t number);

/**
 * 32 bits from network to host order, or PIER_ERANGE for a number that is negative or has
 * more.
 *
 * Threads: any. Source: byteorder(3). Python: socket.ntohl.
 */
PIER_API int64_t pier_ntohl(int64_t number);

/** @} */
/** @name Interfaces
 * @{ */

/** A network interface. */
typedef struct pier_interface {
    unsigned index;   /**< Its number, from 1. */
    const char *name; /**< Its name: "eth0". */
} pier_interface;

/**
 * All interfaces. Returns how many and `*out_list`; NULL on failure.
 *
 * Ownership: one block, which the caller frees with pier_freenameindex(). Threads: any.
 * Source: if_nameindex(3). Python: socket.if_nameindex.
 */
PIER_API ssize_t pier_if_nameindex(pier_interface **out_list);

/**
 * Free what it gave. NULL is fine.
 *
 * Threads: any. Python has a garbage collector.
 */
PIER_API void pier_freenameindex(pier_interface *list);

/**
 * The number of an interface, or PIER_ENOINTERFACE.
 *
 * Threads: any. Source: if_nametoindex(3). Python: socket.if_nametoindex.
 */
PIER_API int pier_if_nametoindex(const char *name);

/**
 * The name of an interface. Returns its length, -ENXIO, -ENOSPC.
 *
 * Threads: any. Source: if_indextoname(3). Python: socket.if_indextoname.
 */
PIER_API ssize_t pier_if_indextoname(unsigned index, char *buf, size_t size);

/** @} */
PIER_END_DECLS

/** @} */
#endif
