/* SPDX-License-Identifier: MIT */
/* What was measured, in the numbers that are told, and their names. */
#include "bench.h"

#include <stdlib.h>
#include <time.h>

const char *const bench_kinds[BENCH_KINDS] = {"echo", "churn", "bulk", "udp"};
const char *const bench_errors[BENCH_ERRORS] = {
    "connect", "timeout", "reset", "ended", "wrong", "other"};
const char *const bench_levels[BENCH_LEVELS] = {"p50", "p90", "p99", "p99.9", "max"};
const unsigned bench_shares[BENCH_LEVELS] = {50000, 90000, 99000, 99900, HISTOGRAM_ALL};

bool bench_has_latency(enum bench_kind kind) { return kind != BENCH_BULK; }

uint64_t bench_error_count(const struct bench_result *it)
{
    uint64_t sum = 0;
    for (int i = 0; i < BENCH_ERRORS; i++)
        sum += it->errors[i];
    return sum;
}

static int copy_steps(const struct histogram *it, struct bench_summary *out)
{
    uint64_t value, count;
    size_t steps = 0;
    for (size_t slot = 0; (slot = histogram_step(it, slot, &value, &count)) != 0;)
        steps++;
    if (steps == 0) return DONE;
    out->steps = calloc(steps, sizeof *out->steps);
    if (out->steps == NULL) return fail("no memory for the latencies");
    for (size_t slot = 0; (slot = histogram_step(it, slot, &value, &count)) != 0;)
        out->steps[out->step_count++] = (struct bench_step){value, count};
    /* The slot of the largest one ends above it. */
    out->steps[steps - 1].value = it->most;
    return DONE;
}

int bench_summarise(
    const struct bench_settings *how, const struct bench_result *it, struct bench_summary *out)
{
    *out = (struct bench_summary){
        .kind = how->kind,
        .connections = how->connections,
        .size = how->size,
        .rate = how->rate,
        .seconds = it->seconds,
        .errors = bench_error_count(it),
        .lost = it->lost,
        .count = it->latency.count,
    };
    struct tm when;
    time_t date = it->date;
    gmtime_r(&date, &when);
    strftime(out->date, sizeof out->date, "%Y-%m-%dT%H:%M:%SZ", &when);
    if (it->seconds > 0) out->requests_per_second = (double)it->in_time / it->seconds;
    out->bytes_per_second = out->requests_per_second * (double)how->size;
    for (int i = 0; i < BENCH_LEVELS; i++)
        out->levels[i] = histogram_at(&it->latency, bench_shares[i]);
    return copy_steps(&it->latency, out);
}
