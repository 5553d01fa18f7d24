/* SPDX-License-Identifier: MIT */
/* How much came and went, and how long it took. */
#include "cli.h"

#include <stdio.h>

void tally_begin(struct tally *it) { *it = (struct tally){.began = pier_now()}; }

void tally_came(struct tally *it, size_t n)
{
    atomic_fetch_add(&it->came, n);
    atomic_fetch_add(&it->pieces_came, 1);
}

void tally_went(struct tally *it, size_t n)
{
    atomic_fetch_add(&it->went, n);
    atomic_fetch_add(&it->pieces_went, 1);
}

/* "1.5 MB" and its like, three digits. */
const char *amount(double bytes, char text[AMOUNT])
{
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB", "PB"};
    size_t unit = 0;
    while (bytes >= 1000 && unit < sizeof units / sizeof *units - 1) {
        bytes /= 1000;
        unit++;
    }
    int digits = unit == 0 || bytes >= 100 ? 0 : bytes >= 10 ? 1 : 2;
    snprintf(text, AMOUNT, "%.*f %s", digits, bytes, units[unit]);
    return text;
}

void tally_say(const struct tally *it, const struct talk *how)
{
    double seconds = (double)(pier_now() - it->began) / (double)PIER_SECOND;
    uint64_t came = atomic_load(&it->came), went = atomic_load(&it->went);
    char rate_in[AMOUNT], rate_out[AMOUNT], datagrams[2][64] = {"", ""};
    if (how->datagrams) {
        snprintf(datagrams[0], sizeof datagrams[0], " in %ju datagrams",
            (uintmax_t)atomic_load(&it->pieces_came));
        snprintf(datagrams[1], sizeof datagrams[1], " in %ju datagrams",
            (uintmax_t)atomic_load(&it->pieces_went));
    }
    double time = seconds > 0 ? seconds : 1e-9;
    say("%ju bytes came%s (%s/s), %ju went%s (%s/s), in %.3f seconds", (uintmax_t)came,
        datagrams[0], amount((double)came / time, rate_in), (uintmax_t)went, datagrams[1],
        amount((double)went / time, rate_out), seconds);
}
