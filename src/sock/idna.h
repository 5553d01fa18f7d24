/* SPDX-License-Identifier: MIT */
#ifndef PIER_SOCK_IDNA_H
#define PIER_SOCK_IDNA_H

/*
 * The form of a host name that resolvers and certificates know: ASCII unchanged, all else turned
 * into A-labels by IDNA 2008 (UTS #46, non-transitional). A dot at the end stays.
 *
 * 0 and out; PIER_EHOSTTEXT (a name above 253 bytes, an empty label or one above 63, a control
 * character or a space), PIER_EAI_IDN_ENCODE (no valid UTF-8, no valid IDN, or one that turns into
 * something else than a name: full-width digits into 127.0.0.1), -ENOMEM.
 */
#define PIER__HOST_SIZE 256 /* 253, the dot at the end, NUL; rounded up */
int pier__idna(const char *host, char out[static PIER__HOST_SIZE]);

#endif
