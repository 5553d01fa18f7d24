/* SPDX-License-Identifier: MIT */
#include "histogram.h"

enum { BITS = 11, HALF = HISTOGRAM_EXACT / 2 };

_Static_assert(1 << BITS == HISTOGRAM_EXACT, "the bits that a slot keeps");

/* By how much a number is shifted to be below HISTOGRAM_EXACT, and not below half of it. */
static unsigned shift_of(uint64_t value)
{
    return value < HISTOGRAM_EXACT ? 0 : 64 - BITS - (unsigned)__builtin_clzll(value);
}

static size_t slot_of(uint64_t value)
{
    unsigned shift = shift_of(value);
    return (size_t)shift * HALF + (size_t)(value >> shift);
}

static uint64_t top_of(size_t slot)
{
    if (slot < HISTOGRAM_EXACT) return slot;
    unsigned shift = (unsigned)(slot / HALF) - 1;
    return ((uint64_t)(slot % HALF + HALF + 1) << shift) - 1;
}

void histogram_add(struct histogram *it, int64_t value)
{
    uint64_t number = value < 0 ? 0 : (uint64_t)value;
    it->slots[slot_of(number)]++;
    if (it->count == 0 || number < it->least) it->least = number;
    if (number > it->most) it->most = number;
    it->sum += (double)number;
    it->count++;
}

uint64_t histogram_at(const struct histogram *it, unsigned share)
{
    /* Rounded up, and in two steps: the product would not fit for a count beyond 2^47. */
    uint64_t whole = it->count / HISTOGRAM_ALL, rest = it->count % HISTOGRAM_ALL;
    uint64_t rank = whole * share + (rest * share + HISTOGRAM_ALL - 1) / HISTOGRAM_ALL;
    uint64_t seen = 0, value = 0, count;
    if (rank == 0) return it->least;
    for (size_t slot = 0; seen < rank; seen += count) {
        slot = histogram_step(it, slot, &value, &count);
        if (slot == 0) return it->most;
    }
    return value < it->most ? value : it->most;
}

size_t histogram_step(
    const struct histogram *it, size_t from, uint64_t *out_value, uint64_t *out_count)
{
    while (from < HISTOGRAM_SLOTS && it->slots[from] == 0)
        from++;
    if (from == HISTOGRAM_SLOTS) return 0;
    *out_value = top_of(from);
    *out_count = it->slots[from];
    return from + 1;
}
