/* SPDX-License-Identifier: MIT */
/* Two results side by side. */
#include "bench.h"

#include <stdio.h>

static void put_ratio(FILE *to, double earlier, double now)
{
    if (earlier > 0)
        fprintf(to, " %9.3f\n", now / earlier);
    else
        fprintf(to, " %9s\n", "-");
}

static void put_counts(FILE *to, const char *name, double earlier, double now)
{
    fprintf(to, "%-12s %12.0f %12.0f", name, earlier, now);
    put_ratio(to, earlier, now);
}

static void put_amounts(FILE *to, const char *name, double earlier, double now)
{
    char before[AMOUNT], after[AMOUNT];
    fprintf(to, "%-12s %12s %12s", name, amount(earlier, before), amount(now, after));
    put_ratio(to, earlier, now);
}

static void put_spans(FILE *to, const char *name, uint64_t earlier, uint64_t now)
{
    char before[SPAN], after[SPAN];
    fprintf(to, "%-12s %12s %12s", name, span(earlier, before), span(now, after));
    put_ratio(to, (double)earlier, (double)now);
}

/* What was asked for is told only where it is not the same. */
static void put_setting(FILE *to, const char *name, uint64_t earlier, uint64_t now)
{
    if (earlier != now)
        fprintf(to, "%-12s %12ju %12ju   not the same\n", name, (uintmax_t)earlier, (uintmax_t)now);
}

void bench_compare(FILE *to, const struct bench_summary *earlier, const struct bench_summary *now)
{
    fprintf(to, "\n%-12s %12s %12s %9s   (earlier: %s)\n", "", "earlier", "now", "ratio",
        earlier->date);
    put_setting(to, "connections", earlier->connections, now->connections);
    put_setting(to, "size", earlier->size, now->size);
    put_setting(to, "rate", earlier->rate, now->rate);
    put_counts(to, "requests/s", earlier->requests_per_second, now->requests_per_second);
    put_amounts(to, "bytes/s", earlier->bytes_per_second, now->bytes_per_second);
    put_counts(to, "errors", (double)earlier->errors, (double)now->errors);
    if (now->kind == BENCH_UDP) put_counts(to, "lost", (double)earlier->lost, (double)now->lost);
    if (earlier->count == 0 || now->count == 0) return;
    for (int i = 0; i < BENCH_LEVELS; i++)
        put_spans(to, bench_levels[i], earlier->levels[i], now->levels[i]);
}
