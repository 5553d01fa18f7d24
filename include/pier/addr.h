/* SPDX-License-Identifier: MIT */
#ifndef PIER_ADDR_H
#define PIER_ADDR_H

/**
 * @file
 * Addresses of every family, and their text.
 *
 * @defgroup pier_addr Addresses
 * @ingroup pier
 * Addresses of every family, and their text. An address is a value: copied freely, passed
 * by value in and by pointer out, with nothing to free. Its constructors read like Python's
 * tuples: `pier_inet("", 12345)`.
 *
 * A constructor never asks anybody: a host name, a service name or an interface name stays
 * in the address as text, and the verb that gets the address looks it up under its own
 * deadline (pier_resolve() does it by hand). A constructor that refuses its arguments
 * returns an address that carries the error, and the verb that gets that address returns
 * the error. A zeroed pier_addr means "no address".
 *
 * **Hosts** are, as in Python: a name, a dotted quad, IPv6 text (with a scope:
 * "fe80::1%eth0"), "" for any address, or "<broadcast>". For AF_INET the classic forms of
 * inet_aton(3) ("127.1", "0x7f.1") count too, unless strict parsing is asked for.
 *
 * A host whose last label is a number, decimal or 0x, is an IPv4 address or PIER_EIPTEXT
 * ("256.1.1.1"), never a name; one with a colon is IPv6 or PIER_EIPTEXT. PIER_EHOSTTEXT is
 * a name with an empty label or one above 63 bytes, of more than 253 bytes in all (a last
 * dot apart), or with white space, control characters or brackets, [] and (). Beyond ASCII
 * only the 255 bytes of the whole are counted here, the rest by the look-up.
 * PIER_EIFNAMELEN is the name of a scope of 16 bytes or more.
 *
 * **Ports** are an `int` from 0 to 65535; anything else is PIER_EPORT, never cut to fit.
 * Service names come by the text form only, and begin with a letter: "80abc", "+80" and
 * "-1" are PIER_EPORT too. Zeros may lead a port: "0080".
 *
 * **The text form**, read by pier_addr_parse() and written by pier_addr_text():
 *
 *     example.com:http    a name and a service, to be looked up
 *     127.0.0.1:80        IPv4
 *     [::1]:80            IPv6
 *     [fe80::1%eth0]:80   IPv6 with a scope
 *     :12345              any address, of either family
 *     <broadcast>:9       255.255.255.255
 *     unix:/run/x.sock    a path; bytes that would not print are \xHH
 *     unix:@name          an abstract name, with the same escapes
 *     unix:               unnamed: binding it lets the kernel choose a name
 *     vsock:2:1024        a context and a port; "any" is VMADDR_CID_ANY, VMADDR_PORT_ANY
 *
 * The port is never left out, brackets stand round IPv6 and nothing else, and IPv6 never
 * stands without ("::1:80" could be read in two ways). A backslash is written `\x5c`. Hosts
 * that are called "unix" or "vsock" have no text form; their constructor does.
 *
 * The functions here make no system call, wait for nothing and leave the last failure
 * alone: an address carries its error until a verb gets it.
 * @{
 */

#include <pier/version.h>

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

PIER_BEGIN_DECLS

/** What of an address is still only text; bits of pier_addr.pending. */
enum pier_addr_pending {
    PIER_ADDR_HOST = 1,      /**< `host` is a name (or IPv6 text with a named scope). */
    PIER_ADDR_SERVICE = 2,   /**< `service` is the name of a service. */
    PIER_ADDR_INTERFACE = 4, /**< `host` is the name of an interface. */
    PIER_ADDR_ANY = 8,       /**< Any address of either family: ":12345". */
};

/**
 * An address. The fields may be read; make one with a constructor.
 *
 * Complete when `error` is 0, `pending` is 0 and `length` is not: then (&a.sa.any,
 * a.length) is what the system's own calls take.
 */
typedef struct pier_addr {
    int error;        /**< 0, or the code of what was wrong with the constructor's arguments. */
    socklen_t length; /**< How many bytes of `sa` count; 0: no address, or not yet resolved. */
    uint32_t pending; /**< What is yet to be looked up: bits of enum pier_addr_pending. */
    union {
        struct sockaddr any;             /**< For the family, and for the system's calls. */
        struct sockaddr_in inet;         /**< AF_INET. */
        struct sockaddr_in6 inet6;       /**< AF_INET6. */
        struct sockaddr_un local;        /**< AF_UNIX. */
        struct sockaddr_storage storage; /**< Room for every family. */
    } sa;                                /**< The bytes that the kernel sees. */
    char host[256];                      /**< The pending host or interface name. */
    char service[32];                    /**< The pending service name. */
} pier_addr;

/** Text by value: `printf("%s\n", pier_addr_text(peer).text)`. */
typedef struct pier_text {
    char text[512]; /**< NUL-terminated. */
} pier_text;

/** A Bluetooth device address, least significant byte first, as the kernel has it. */
typedef struct pier_bdaddr {
    uint8_t b[6]; /**< "11:22:33:44:55:66" has 0x66 first. */
} pier_bdaddr;

/** @name Constructors
 * @{ */

/**
 * IPv4. `host` as above; an IPv6 literal is PIER_EAI_ADDRFAMILY, NULL is -EINVAL.
 *
 * Threads: any. Source: ip(7). Python: (host, port) on an AF_INET socket.
 */
PIER_API pier_addr pier_inet(const char *host, int port);

/**
 * IPv4 from an integer in host byte order: pier_inet_number(0x7f000001, 80) is
 * 127.0.0.1:80.
 *
 * Threads: any. Python: (str(ipaddress.IPv4Address(host)), port).
 */
PIER_API pier_addr pier_inet_number(uint32_t host, int port);

/**
 * IPv6. `host` as above; an IPv4 literal is PIER_EAI_ADDRFAMILY (it is not mapped), NULL is
 * -EINVAL.
 *
 * Threads: any. Source: ipv6(7). Python: (host, port) on an AF_INET6 socket.
 */
PIER_API pier_addr pier_inet6(const char *host, int port);

/**
 * IPv6 with a flow label (0 to 0xfffff, else PIER_EFLOWINFO) and a scope (the number of an
 * interface). A scope in the text counts where `scope_id` is 0.
 *
 * Threads: any. Source: RFC 4007, RFC 6437. Python: (host, port, flowinfo, scope_id).
 */
PIER_API pier_addr pier_inet6_scoped(
    const char *host, int port, uint32_t flowinfo, uint32_t scope_id);

/**
 * A Unix path of at most 107 bytes, else PIER_EPATHLEN; NULL is -EINVAL. "" is the unnamed
 * address: binding it lets the kernel choose an abstract name.
 *
 * Threads: any. Source: unix(7). Python: a str.
 */
PIER_API pier_addr pier_unix(const char *path);

/**
 * A name of Linux's abstract namespace: `length` bytes (at most 107, else PIER_EPATHLEN;
 * any value, NUL too) after the leading NUL, which is not part of `name`.
 *
 * Threads: any. Source: unix(7). Python: bytes, b"\0name".
 */
PIER_API pier_addr pier_abstract(const void *name, size_t length);

/**
 * A netlink port and its multicast groups.
 *
 * Threads: any. Source: netlink(7). Python: (pid, groups).
 */
PIER_API pier_addr pier_netlink(uint32_t pid, uint32_t groups);

/**
 * A link-level address. `protocol` is an ETH_P_* in host byte order, 0 to 65535 (else
 * PIER_ERANGE). `hwaddr` holds `hwlen` bytes, at most 8 (else PIER_EHWADDRLEN), NULL for
 * none. `interface` is looked up by the verb, on its own socket; "" is any.
 *
 * Threads: any. Source: packet(7). Python: (ifname, proto, pkttype, hatype, addr).
 */
PIER_API pier_addr pier_packet(const char *interface, int protocol, uint8_t pkttype,
    uint16_t hatype, const void *hwaddr, size_t hwlen);

/**
 * CAN, raw and broadcast manager. "" is every interface; a name of 16 bytes or more is
 * PIER_EIFNAMELEN, here and below.
 *
 * Threads: any. Source: the kernel's networking/can.rst. Python: (interface,).
 */
PIER_API pier_addr pier_can(const char *interface);

/**
 * CAN ISO-TP.
 *
 * Threads: any. Source: linux/can/isotp.h. Python: (interface, rx_id, tx_id).
 */
PIER_API pier_addr pier_can_isotp(const char *interface, uint32_t rx_id, uint32_t tx_id);

/**
 * CAN J1939.
 *
 * Threads: any. Source: the kernel's networking/j1939.rst. Python: (interface, name, pgn,
 * addr).
 */
PIER_API pier_addr pier_can_j1939(
    const char *interface, uint64_t name, uint32_t pgn, uint8_t address);

/**
 * A virtual machine's context and port.
 *
 * Threads: any. Source: vsock(7). Python: (CID, port).
 */
PIER_API pier_addr pier_vsock(uint32_t cid, uint32_t port);

/**
 * TIPC. `type` is TIPC_ADDR_NAMESEQ, TIPC_ADDR_NAME or TIPC_ADDR_ID, `scope` TIPC_*_SCOPE,
 * 0 where none matters, or negated to withdraw a name by bind (else -EINVAL).
 *
 * Threads: any. Source: linux/tipc.h. Python: (addr_type, v1, v2, v3, scope).
 */
PIER_API pier_addr pier_tipc(int type, uint32_t v1, uint32_t v2, uint32_t v3, int scope);

/**
 * The kernel's crypto API. Too long: PIER_EALGTYPE, PIER_EALGNAME.
 *
 * Threads: any. Source: the kernel's crypto/userspace-if.rst. Python: (type, name, feat,
 * mask).
 */
PIER_API pier_addr pier_alg(const char *type, const char *name, uint32_t feat, uint32_t mask);

/**
 * Qualcomm IPC router.
 *
 * Threads: any. Source: linux/qrtr.h. Python: (node, port).
 */
PIER_API pier_addr pier_qipcrtr(uint32_t node, uint32_t port);

/**
 * RDS, whose addresses are those of IPv4.
 *
 * Threads: any. Source: the kernel's networking/rds.rst. Python: (host, port).
 */
PIER_API pier_addr pier_rds(const char *host, int port);

/**
 * Bluetooth L2CAP; a malformed address is PIER_EBDADDR, here and below.
 *
 * Threads: any. Source: BlueZ, l2cap(7). Python: (bdaddr, psm, cid, bdaddr_type).
 */
PIER_API pier_addr pier_l2cap(const char *bdaddr, uint16_t psm, uint16_t cid, uint8_t bdaddr_type);

/**
 * Bluetooth RFCOMM.
 *
 * Threads: any. Source: BlueZ, rfcomm(7). Python: (bdaddr, channel).
 */
PIER_API pier_addr pier_rfcomm(const char *bdaddr, uint8_t channel);

/**
 * Bluetooth HCI.
 *
 * Threads: any. Source: BlueZ, hci(7). Python: (device_id, channel).
 */
PIER_API pier_addr pier_hci(uint16_t device, uint16_t channel);

/**
 * Bluetooth SCO.
 *
 * Threads: any. Source: BlueZ, sco(7). Python: bdaddr.
 */
PIER_API pier_addr pier_sco(const char *bdaddr);

/**
 * X.25: 1 to 15 digits of X.121, else PIER_EX25ADDR.
 *
 * Threads: any. Source: x25(7). Python has no form for it.
 */
PIER_API pier_addr pier_x25(const char *digits);

/**
 * Any other address from its own bytes, family first, as bind(2) takes them. A length below
 * sizeof(sa_family_t) or above sizeof(struct sockaddr_storage) is -EINVAL, and so is NULL.
 *
 * Threads: any. Python: (family, bytes).
 */
PIER_API pier_addr pier_addr_raw(const void *sockaddr, socklen_t length);

/**
 * An address that carries `error`, a negative code (else -EINVAL).
 *
 * Threads: any. Python has exceptions.
 */
PIER_API pier_addr pier_addr_failed(int error);

/** @} */
/** @name Text
 * @{ */

/** How pier_addr_parse() reads; zeroed, it takes every form. */
typedef struct pier_parse_opts {
    /** IPv4 as four decimal numbers only: 0177.0.0.1 and 127.1 are PIER_ENOTSTRICT. */
    bool strict;
    /** No names: a host or service that would need a look-up is PIER_EIPTEXT. */
    bool numeric;
    /** AF_INET, AF_INET6, AF_UNIX or AF_VSOCK to take no other; 0 (AF_UNSPEC) any. */
    int family;
    uint64_t reserved[4]; /**< Zero. */
} pier_parse_opts;

/**
 * Read an address in the text form. `opts` may be NULL. What it reads, pier_addr_text()
 * prints back.
 *
 * Errors, in the address: PIER_EADDRTEXT (malformed), PIER_EPORT, PIER_EHOSTTEXT,
 * PIER_EIFNAMELEN, PIER_EPATHLEN, PIER_ENOTSTRICT, PIER_EIPTEXT, PIER_EAI_ADDRFAMILY (not
 * of the family asked for), -EINVAL (NULL, an unknown family, reserved not zero).
 *
 * Threads: any. Source: RFC 3986, 3.2.2, and RFC 4007, 11, for what stands in brackets.
 * Python has no such form.
 */
PIER_API pier_addr pier_addr_parse(const char *text, const pier_parse_opts *opts);

/**
 * An address as text: in the text form where there is one, readable for the other families,
 * "(none)" for no address, and the error's sentence in round brackets for one that carries
 * an error.
 *
 * Threads: any. Python: str(address).
 */
PIER_API pier_text pier_addr_text(pier_addr addr);

/**
 * The host alone: "127.0.0.1", "fe80::1%2" (the scope as a number), a pending name, a Unix
 * path or (after '@') an abstract name with escapes, a vsock context, a Bluetooth device's
 * address. "" where the family has no host.
 *
 * Threads: any. Python: address[0].
 */
PIER_API pier_text pier_addr_host(pier_addr addr);

/**
 * Bluetooth's "11:22:33:44:55:66" to its six bytes; a single digit will do: "1:2:3:4:5:6".
 * Returns 0 or PIER_EBDADDR; `out` is untouched then.
 *
 * Threads: any. Source: CPython's setbdaddr.
 */
PIER_API int pier_bdaddr_parse(const char *text, pier_bdaddr *out);

/** @} */
/** @name Asking
 * @{ */

/**
 * The family, AF_*. AF_UNSPEC for no address and for a name of either family.
 *
 * Threads: any. Python: sock.family.
 */
PIER_API int pier_addr_family(pier_addr addr);

/**
 * The port of an INET, INET6, RDS, VSOCK or QIPCRTR address. Errors: the address's own,
 * PIER_ENOADDR, PIER_EUNRESOLVED (a service name), PIER_EFAMILY (has none), PIER_ERANGE
 * (above INT_MAX).
 *
 * Threads: any. Python: address[1].
 */
PIER_API int pier_addr_port(pier_addr addr);

/**
 * Are both the same address? Compares what is meaningful for the family: padding, IPv6's
 * flow label, vsock's flags and, for Unix paths, bytes after the NUL do not count. Pending
 * names are compared byte by byte. No address equals no address; one that carries an error
 * equals nothing.
 *
 * Threads: any. Python: a == b.
 */
PIER_API bool pier_addr_equal(pier_addr a, pier_addr b);

/**
 * An IPv4-mapped IPv6 address, as a dual-stack server sees its IPv4 clients, turned into
 * the IPv4 address it stands for; every other unchanged. Do this before comparing a peer
 * with a list.
 *
 * Threads: any. Source: RFC 4291, 2.5.5.2. Python: ipaddress.IPv6Address.ipv4_mapped.
 */
PIER_API pier_addr pier_addr_unmap(pier_addr addr);

/**
 * The name of a family: "AF_INET"; NULL for an unknown one.
 *
 * Ownership: a constant, nothing to free. Threads: any. Python: AddressFamily(n).name.
 */
PIER_API const char *pier_family_name(int family);

/** @} */
PIER_END_DECLS

/** @} */
#endif
