/* SPDX-License-Identifier: MIT */
/* What a bench says to people. */
#include "bench.h"

#include <inttypes.h>
#include <stdio.h>

const char *span(uint64_t nanoseconds, char text[SPAN])
{
    static const char *const units[] = {"ns", "us", "ms", "s"};
    double value = (double)nanoseconds;
    size_t unit = 0;
    for (; unit < 3 && value >= 999.5; unit++)
        value /= 1000;
    int digits = unit == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
    snprintf(text, SPAN, "%.*f %s", digits, value, units[unit]);
    return text;
}

static void report_errors(const struct bench_result *it)
{
    uint64_t sum = bench_error_count(it);
    printf("errors     %ju\n", (uintmax_t)sum);
    for (int i = 0; i < BENCH_ERRORS; i++)
        if (it->errors[i] > 0)
            printf("  %-8s %ju, the first: %s\n", bench_errors[i], (uintmax_t)it->errors[i],
                screen_quote(it->sentences[i]));
    if (it->given_up > 0)
        printf("  %ju connections failed too often in a row, and were given up\n",
            (uintmax_t)it->given_up);
}

static void report_latency(const struct bench_summary *summary)
{
    char text[SPAN];
    printf("latency   ");
    for (int i = 0; i < BENCH_LEVELS; i++)
        printf(" %-10s", bench_levels[i]);
    printf("\n          ");
    for (int i = 0; i < BENCH_LEVELS; i++)
        printf(" %-10s", span(summary->levels[i], text));
    putchar('\n');
}

void bench_report(const struct bench_settings *how, const struct bench_result *it,
    const struct bench_summary *summary)
{
    char bytes[AMOUNT];
    printf("%s of %ju bytes to %s, %ju connections, %s\n", bench_kinds[how->kind],
        (uintmax_t)how->size, screen_quote(it->peer), (uintmax_t)how->connections, it->backend);
    if (how->rate > 0) printf("rate       %ju/s wanted\n", (uintmax_t)how->rate);
    printf("%s   %ju in %.3f s, %.0f/s\n", how->kind == BENCH_BULK ? "pieces  " : "requests",
        (uintmax_t)it->in_time, it->seconds, summary->requests_per_second);
    printf("bytes      %s/s%s\n", amount(summary->bytes_per_second, bytes),
        how->kind == BENCH_BULK ? "" : " each way");
    if (it->unsent > 0)
        printf("unsent     %ju were due and never begun: the rate was not reached\n",
            (uintmax_t)it->unsent);
    if (how->kind == BENCH_UDP)
        printf("lost       %ju, and %ju came too late\n", (uintmax_t)it->lost, (uintmax_t)it->late);
    report_errors(it);
    if (summary->count > 0) report_latency(summary);
    if (it->interrupted) printf("interrupted\n");
}
