/* SPDX-License-Identifier: MIT */
#ifndef PIER_TESTS_BAD_LINK_H
#define PIER_TESTS_BAD_LINK_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A network that loses, doubles, reorders and damages packets, by a seed: a TUN device in the
 * namespace of the test. This host is BAD_LINK_HERE; what it sends to BAD_LINK_THERE comes back
 * over the link as if that were another host, with the same ports.
 */
#define BAD_LINK_HERE  "10.9.0.1"
#define BAD_LINK_THERE "10.9.0.2"

/* How often, in 10,000 packets. */
struct bad_link_faults {
    unsigned lose, twice, late, damage;
    uint64_t seed;
};

/* After test_in_netns(). Skips the test where there is no TUN. */
void bad_link_start(struct bad_link_faults faults);

/* While it is out, nothing passes. */
void bad_link_out(bool out);

void bad_link_stop(void);

#endif
