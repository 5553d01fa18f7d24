/* SPDX-License-Identifier: MIT */
/*
 * The histogram of pier bench, for tests/cli_bench_test.py: the arguments are shares, as 99900 for 99.9 %,
 * and stdin has a number a line. Prints the value at each share, the least, the largest and how many
 * there were; then each slot that is not empty, the largest number of it and how many it has.
 */
#include "histogram.h"

#include <stdio.h>
#include <stdlib.h>

static struct histogram it;

int main(int argc, char **argv)
{
    char line[64];
    uint64_t value, count;
    while (fgets(line, sizeof line, stdin) != NULL)
        histogram_add(&it, strtoll(line, NULL, 10));
    for (int i = 1; i < argc; i++)
        printf("%ju ", (uintmax_t)histogram_at(&it, (unsigned)strtoul(argv[i], NULL, 10)));
    printf("%ju %ju %ju\n", (uintmax_t)it.least, (uintmax_t)it.most, (uintmax_t)it.count);
    for (size_t slot = 0; (slot = histogram_step(&it, slot, &value, &count)) != 0;)
        printf("%ju %ju\n", (uintmax_t)value, (uintmax_t)count);
    return 0;
}
