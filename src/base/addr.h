/* SPDX-License-Identifier: MIT */
#ifndef PIER_BASE_ADDR_H
#define PIER_BASE_ADDR_H

#include <pier/addr.h>

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/*
 * What the rooms above need of an address beyond <pier/addr.h>: taking one from the kernel,
 * asking whether it is ready for it, and filling in what was looked up.
 *
 * A pending address keeps in `sa` what is known already: the family (AF_UNSPEC where either
 * IP family will do), the port, the flow label, the scope, all fields of a link-level
 * address. sin_port and sin6_port lie at the same offset, so the port of an AF_UNSPEC
 * address is read as sa.inet.sin_port.
 */

/*
 * An address as the kernel wrote it: len is what it said, which may be more than the room it
 * had (at most that room, sizeof(struct sockaddr_storage), is read). 0 is no address; a family
 * that pier does not know is kept byte for byte. A Unix path that fills sun_path without a NUL
 * keeps its 108 bytes, and a length that connect(2) takes back.
 */
pier_addr pier__addr_from_sockaddr(const struct sockaddr *sa, socklen_t len);

/*
 * May the kernel have this address? 0, or the error that it carries, PIER_ENOADDR for none,
 * PIER_EUNRESOLVED for one that is pending.
 */
int pier__addr_check(const pier_addr *a);

/* Make *out an address that carries code. NULL is fine: who wants no address gets none. */
void pier__addr_fail(pier_addr *out, int code);

/*
 * Set the port of an INET, INET6 or AF_UNSPEC address, and with it what was the name of a
 * service. 0, PIER_EPORT, or PIER_EFAMILY.
 */
int pier__addr_set_port(pier_addr *a, int port);

/* Complete a pending link-level or CAN address. 0, or PIER_EFAMILY if it waits for no interface. */
int pier__addr_set_interface(pier_addr *a, unsigned index);

/*
 * Give a pending INET, INET6 or AF_UNSPEC address the host of a resolver's answer. Port and flow
 * label stay, and so does a scope that was given as a number. 0; PIER_EAI_ADDRFAMILY for an
 * answer of another family; PIER_EFAMILY for an address that waits for no host.
 */
int pier__addr_set_host(pier_addr *a, const struct sockaddr *answer);

/* pier_addr_text() of raw bytes, cut to size (at least 4), for error sentences and the trace. */
void pier__addr_print(const struct sockaddr *sa, socklen_t len, char *buf, size_t size);

/* For this room. */

/* An address whose sa begins with these size bytes, and which is complete. */
pier_addr pier__addr_from_bytes(const void *sa, size_t size);

/*
 * Put a host into *a, whose family (or AF_UNSPEC) and port are set: at once if it is a literal,
 * else as text to be looked up. 0, or what is wrong with it.
 */
int pier__addr_put_host(pier_addr *a, const char *host, bool strict);

/* Set the length of an address that waits for nothing any more. */
void pier__addr_settle(pier_addr *a);

/* The name within sun_path. Its length; *abstract says whether it follows a leading NUL. */
size_t pier__addr_unix_name(const pier_addr *a, const char **out_name, bool *out_abstract);

#endif
