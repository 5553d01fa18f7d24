/* SPDX-License-Identifier: MIT */
#ifndef PIER_TESTS_STUB_DNS_H
#define PIER_TESTS_STUB_DNS_H

#include <stddef.h>

/*
 * A name server of the test's own: a thread that answers on UDP port 53 of 127.0.0.1, in a
 * network namespace of the test's own, with its own /etc/resolv.conf, hosts and
 * nsswitch.conf, so that the real resolver can be made to wait, fail and read nonsense.
 *
 *     static const struct stub_name names[] = {
 *         {.name = "both.test", .inet = "127.0.0.1", .inet6 = "::1"},
 *         {.name = "mute.test", .how = STUB_MUTE},
 *     };
 *     stub_dns_start(names, PIER_COUNT(names));
 *     …
 *     stub_dns_stop();
 *
 * Names that are not listed do not exist (NXDOMAIN). The resolver gives up after two seconds,
 * and asks again after one: an answer may be late because the machine has other work.
 */
enum stub_how {
    STUB_ANSWERS,   /* with what is listed, or with no records of that type */
    STUB_NXDOMAIN,  /* no such name */
    STUB_SERVFAIL,  /* the server has a problem */
    STUB_REFUSED,   /* the server will not */
    STUB_MUTE,      /* nothing comes back */
    STUB_GARBAGE,   /* a right header, and then bytes that mean nothing */
    STUB_CUT,       /* the answer ends in the middle of a record */
    STUB_TRUNCATED, /* "ask again by TCP", and nobody is there */
    STUB_WRONG_ID,  /* an answer to another question */
};

struct stub_name {
    const char *name; /* without the dot at the end; for PTR "1.0.0.127.in-addr.arpa" */
    enum stub_how how;
    const char *inet, *inet6; /* addresses, separated by spaces; NULL: none */
    const char *cname, *ptr;  /* names, or NULL */
    double wait4, wait6;      /* seconds before the answer to A (and all others), and to AAAA */
};

#define STUB_HELD (-1.0) /* not so many seconds, but until stub_dns_let_go() */

/* Calls test_in_netns(), so before any thread is started. The names stay the caller's. */
void stub_dns_start(const struct stub_name *names, size_t count);

/* Replace /etc/hosts, which has localhost for 127.0.0.1 and ::1 at first. */
void stub_dns_hosts(const char *text);

/* Send the answers that are held, and those to come at once. */
void stub_dns_let_go(void);

/* How many questions have come so far. */
unsigned stub_dns_questions(void);

/*
 * Wait until no thread of pier's pool runs a look-up any more (it has a descriptor open), then end.
 */
void stub_dns_stop(void);

#endif
