/* SPDX-License-Identifier: MIT */
#ifndef PIER_TESTS_DATAGRAMS_H
#define PIER_TESTS_DATAGRAMS_H

#include <netinet/udp.h>
#include <pier.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the tests of many datagrams begin with. */

#ifndef UDP_SEGMENT /* in glibc since 2.37 */
#    define UDP_SEGMENT 103
#    define UDP_GRO     104
#endif

#define MOST  400  /* datagrams in a test */
#define ROOM  2048 /* bytes for each of those received */
#define GUARD 1    /* and behind them, which nobody writes to */

/* What is sent, and what comes. */
extern char bytes_out[MOST][ROOM], bytes_in[MOST][ROOM + GUARD];
extern pier_addr from[MOST];
extern pier_datagram out[MOST], in[MOST];

/* n datagrams of `length` bytes each, that differ, to `addr`. */
void fill_out(size_t n, size_t length, pier_addr *addr);

/* Room for n. */
void clear_in(size_t n);

/* in[i] is what out[j] was; of n each i is what i was. */
void assert_came(size_t i, size_t j);
void assert_all_came(size_t n);

/*
 * Wait until datagrams of so many bytes lie in the kernel: they may take a while over loopback, too,
 * when the processor has others to deliver.
 */
void await_datagrams(int s, size_t bytes);

/* Receive until n have come, however many calls that takes. */
void receive_all(int s, size_t n);

/* Up to ten of at most 100 bytes, which nobody looks at; for scene_start(). */
int64_t recv_ten(void *socket);

/*
 * A UDP receiver, with GRO (else the test is skipped) or without, and a sender that is not
 * connected.
 */
void receiver_and_sender(bool gro, int pair[2], pier_addr *out_at);

/* Kinds for scene_pair(), and how many of those there are here. */
extern const char *const kinds[4];
size_t kind_count(void);

#endif
