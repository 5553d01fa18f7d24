/* SPDX-License-Identifier: MIT */
#ifndef PIER_HISTOGRAM_H
#define PIER_HISTOGRAM_H

/*
 * How often each length of time was seen, to three significant digits, in memory that does not
 * grow. Below HISTOGRAM_EXACT every number has a slot of its own. Above, each power of two is cut
 * into HISTOGRAM_EXACT / 2 slots of one width, which so is never more than 1/1024 of what lies in
 * it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HISTOGRAM_EXACT = 2048,
    HISTOGRAM_WIDTHS = 63 - 11, /* of a number below 2^63, the bits below the first eleven */
    HISTOGRAM_SLOTS = HISTOGRAM_EXACT + HISTOGRAM_WIDTHS * HISTOGRAM_EXACT / 2,
    HISTOGRAM_ALL = 100000, /* shares are counted in so many parts: 99900 is 99.9 % */
};

struct histogram {
    uint64_t count, least, most;
    double sum;
    uint64_t slots[HISTOGRAM_SLOTS];
};

void histogram_add(struct histogram *it, int64_t value); /* a negative one counts as 0 */
/*
 * What so large a share of all values does not exceed: the smallest one of which that is true, or
 * up to 1/1024 more, never less, and never more than the largest. 0 if there are none.
 */
uint64_t histogram_at(const struct histogram *it, unsigned share);
/*
 * The first slot from `from` on that is not empty: the largest value that belongs there, and how
 * many do. Returns where to go on, or 0 at the end.
 */
size_t histogram_step(
    const struct histogram *it, size_t from, uint64_t *out_value, uint64_t *out_count);

#endif
