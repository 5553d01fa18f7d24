/* SPDX-License-Identifier: MIT */
#ifndef PIER_BASE_INET_H
#define PIER_BASE_INET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * IP addresses as text, both ways. Nobody is asked anything. `out` is untouched on failure.
 */

/* Four decimal numbers without leading zeros, nothing else. 0 or PIER_EIPTEXT. */
int pier__inet_strict(const char *text, struct in_addr *out);

/*
 * Every form of inet_aton(3): 127.1, 0x7f000001, 0177.0.0.1. Unlike glibc's, nothing may
 * follow, not even after a space. 0 or PIER_EIPTEXT.
 */
int pier__inet_loose(const char *text, struct in_addr *out);

/*
 * Does a host end in a number ("1.2.3.4.5", "256.1.1.1", "a.0x7f", "1.")? Then it is an IPv4
 * address or a mistake, but never a name: no top-level domain is a number. WHATWG URL,
 * "ends in a number checker".
 */
bool pier__inet_ends_in_number(const char *host);

/*
 * IPv6 text, with an optional scope after '%'. A scope of digits is stored (0 without one); any
 * other is the name of an interface, and *out_named is set. 0; PIER_EIPTEXT; PIER_EIFNAMELEN.
 */
int pier__inet6_parse(const char *text, struct in6_addr *out, uint32_t *out_scope, bool *out_named);

/*
 * Could this be the name of an interface within an address? 0; PIER_EIFNAMELEN; PIER_EIPTEXT for
 * bytes that the kernel's dev_valid_name() refuses, or that the text form gives a meaning.
 */
int pier__interface_check(const char *name);

/* The strict form, RFC 5952 for IPv6; a scope other than 0 follows as a number. */
void pier__inet_print(struct in_addr address, char out[static 16]);
void pier__inet6_print(const struct in6_addr *address, uint32_t scope, char out[static 64]);

#endif
