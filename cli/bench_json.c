/* SPDX-License-Identifier: MIT */
/* What a bench says to programs: one object of JSON, whose fields docs/command.md describes. */
#include "bench.h"

#include <math.h>
#include <stdio.h>

/* What has no text in the terminal's encoding is shown as \x1b; so it is text for JSON, too. */
static void put_text(const char *name, const char *text)
{
    printf(", \"%s\": \"", name);
    for (const char *c = screen_quote(text); *c != '\0'; c++) {
        if (*c == '"' || *c == '\\') putchar('\\');
        putchar(*c);
    }
    putchar('"');
}

/* There is no infinity in JSON. */
static void put_seconds(const char *name, double seconds)
{
    if (isinf(seconds))
        printf(", \"%s\": null", name);
    else
        printf(", \"%s\": %.9g", name, seconds);
}

static void put_settings(const struct bench_settings *how)
{
    printf(", \"settings\": {\"kind\": \"%s\"", bench_kinds[how->kind]);
    put_text("address", how->address);
    printf(", \"connections\": %ju, \"size\": %ju, \"rate\": %ju", (uintmax_t)how->connections,
        (uintmax_t)how->size, (uintmax_t)how->rate);
    put_seconds("duration", how->seconds);
    put_seconds("warm_up", how->warm_up);
    put_seconds("wait", how->wait);
    putchar('}');
}

static void put_errors(const struct bench_result *it)
{
    printf(", \"errors\": {\"total\": %ju", (uintmax_t)bench_error_count(it));
    for (int i = 0; i < BENCH_ERRORS; i++)
        printf(", \"%s\": %ju", bench_errors[i], (uintmax_t)it->errors[i]);
    putchar('}');
}

static void put_latency(const struct histogram *it, const struct bench_summary *summary)
{
    double mean = it->count > 0 ? it->sum / (double)it->count : 0;
    printf(", \"latency\": {\"count\": %ju, \"min\": %ju, \"mean\": %.1f", (uintmax_t)it->count,
        (uintmax_t)it->least, mean);
    for (int i = 0; i < BENCH_LEVELS; i++)
        printf(", \"%s\": %ju", bench_levels[i], (uintmax_t)summary->levels[i]);
    printf(", \"distribution\": [");
    for (size_t i = 0; i < summary->step_count; i++)
        printf("%s[%ju, %ju]", i > 0 ? ", " : "", (uintmax_t)summary->steps[i].value,
            (uintmax_t)summary->steps[i].count);
    printf("]}");
}

void bench_json(const struct bench_settings *how, const struct bench_result *it,
    const struct bench_summary *summary)
{
    printf("{\"format\": \"%s\", \"version\": \"%s\", \"backend\": \"%s\", \"date\": \"%s\"",
        BENCH_FORMAT, pier_version(), it->backend, summary->date);
    put_text("peer", it->peer);
    put_settings(how);
    printf(", \"interrupted\": %s, \"seconds\": %.9f", it->interrupted ? "true" : "false",
        it->seconds);
    printf(", \"requests\": %ju, \"answered\": %ju, \"requests_per_second\": %.3f"
           ", \"bytes_per_second\": %.3f",
        (uintmax_t)it->in_time, (uintmax_t)it->answered, summary->requests_per_second,
        summary->bytes_per_second);
    printf(", \"unsent\": %ju, \"lost\": %ju, \"late\": %ju, \"given_up\": %ju",
        (uintmax_t)it->unsent, (uintmax_t)it->lost, (uintmax_t)it->late, (uintmax_t)it->given_up);
    put_errors(it);
    put_latency(&it->latency, summary);
    printf("}\n");
}
