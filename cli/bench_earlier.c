/* SPDX-License-Identifier: MIT */
/*
 * What an earlier `pier bench --json` has told, read back. Every field has to be there, and nothing
 * else, so that no other program's file, and none that is broken, is taken for one.
 */
#include "bench.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#ifdef PIER_JANSSON
#    include <jansson.h>
#    include <stdlib.h>

enum { LONGEST = 64 << 20 };

static int foreign(const char *name, const char *why)
{
    char text[256];
    snprintf(text, sizeof text, "%s", screen_quote(why));
    return fail("%s: it is no result of this pier bench --json: %s", screen_quote(name), text);
}

static bool take_count(const json_t *from, uint64_t *out)
{
    if (!json_is_integer(from) || json_integer_value(from) < 0) return false;
    *out = (uint64_t)json_integer_value(from);
    return true;
}

/* NULL, or what is wrong. */
static const char *take_errors(json_t *from, struct bench_summary *out)
{
    uint64_t count, sum = 0;
    if (json_object_size(from) != BENCH_ERRORS + 1) return "the errors are not those of pier";
    for (int i = 0; i < BENCH_ERRORS; i++) {
        if (!take_count(json_object_get(from, bench_errors[i]), &count)) return bench_errors[i];
        sum += count;
    }
    if (!take_count(json_object_get(from, "total"), &out->errors) || out->errors != sum)
        return "the errors do not add up";
    return NULL;
}

static const char *take_steps(const json_t *from, struct bench_summary *out)
{
    uint64_t sum = 0;
    size_t count = json_array_size(from);
    out->steps = calloc(count + 1, sizeof *out->steps);
    if (out->steps == NULL) return strerror(ENOMEM);
    for (size_t i = 0; i < count; i++) {
        const json_t *pair = json_array_get(from, i);
        struct bench_step *step = &out->steps[i];
        if (json_array_size(pair) != 2 || !take_count(json_array_get(pair, 0), &step->value) ||
            !take_count(json_array_get(pair, 1), &step->count) || step->count == 0 ||
            (i > 0 && step->value <= step[-1].value))
            return "the distribution is broken";
        sum += step->count;
        if (sum < step->count) return "the distribution is broken";
    }
    out->step_count = count;
    return sum == out->count ? NULL : "the distribution does not add up";
}

static const char *take_latency(json_t *from, struct bench_summary *out)
{
    json_t *steps;
    json_int_t least, count;
    double mean;
    json_error_t error;
    static char why[JSON_ERROR_TEXT_LENGTH];
    if (json_object_size(from) != 4 + BENCH_LEVELS) return "the latency is not that of pier";
    if (json_unpack_ex(from, &error, 0, "{s:I, s:I, s:F, s:o}", "count", &count, "min", &least,
            "mean", &mean, "distribution", &steps) < 0) {
        snprintf(why, sizeof why, "%s", error.text);
        return why;
    }
    if (count < 0 || least < 0 || !json_is_array(steps)) return "the latency is broken";
    out->count = (uint64_t)count;
    for (int i = 0; i < BENCH_LEVELS; i++)
        if (!take_count(json_object_get(from, bench_levels[i]), &out->levels[i]) ||
            (i > 0 && out->levels[i] < out->levels[i - 1]))
            return "the latencies are broken";
    return take_steps(steps, out);
}

static const char *take_settings(json_t *from, struct bench_summary *out)
{
    const char *kind, *address;
    json_int_t connections, size, rate;
    json_t *duration;
    double warm_up;
    json_t *wait;
    json_error_t error;
    static char why[JSON_ERROR_TEXT_LENGTH];
    if (json_unpack_ex(from, &error, 0, "{s:s, s:s, s:I, s:I, s:I, s:o, s:F, s:o !}", "kind", &kind,
            "address", &address, "connections", &connections, "size", &size, "rate", &rate,
            "duration", &duration, "warm_up", &warm_up, "wait", &wait) < 0) {
        snprintf(why, sizeof why, "%s", error.text);
        return why;
    }
    if (connections <= 0 || size <= 0 || rate < 0) return "the settings are broken";
    out->connections = (uint64_t)connections;
    out->size = (uint64_t)size;
    out->rate = (uint64_t)rate;
    for (int i = 0; i < BENCH_KINDS; i++) {
        out->kind = (enum bench_kind)i;
        if (strcmp(kind, bench_kinds[i]) == 0) return NULL;
    }
    return "there is no such kind of bench";
}

static const char *take(json_t *from, struct bench_summary *out)
{
    json_int_t requests, answered, unsent, lost, late, given_up;
    const char *format, *version, *backend, *date, *peer;
    int interrupted;
    json_t *settings, *errors, *latency;
    json_error_t error;
    static char why[JSON_ERROR_TEXT_LENGTH];
    if (json_unpack_ex(from, &error, 0,
            "{s:s, s:s, s:s, s:s, s:s, s:o, s:b, s:F, s:I, s:I, s:F, s:F, s:I, s:I, s:I, s:I, s:o, "
            "s:o !}",
            "format", &format, "version", &version, "backend", &backend, "date", &date, "peer",
            &peer, "settings", &settings, "interrupted", &interrupted, "seconds", &out->seconds,
            "requests", &requests, "answered", &answered, "requests_per_second",
            &out->requests_per_second, "bytes_per_second", &out->bytes_per_second, "unsent",
            &unsent, "lost", &lost, "late", &late, "given_up", &given_up, "errors", &errors,
            "latency", &latency) < 0) {
        snprintf(why, sizeof why, "%s", error.text);
        return why;
    }
    if (strcmp(format, BENCH_FORMAT) != 0) return "it is of another version";
    if (out->seconds < 0 || out->requests_per_second < 0 || out->bytes_per_second < 0 || lost < 0)
        return "a number is below 0";
    snprintf(out->date, sizeof out->date, "%s", screen_quote(date));
    out->lost = (uint64_t)lost;
    const char *wrong = take_settings(settings, out);
    if (wrong == NULL) wrong = take_errors(errors, out);
    return wrong != NULL ? wrong : take_latency(latency, out);
}

int bench_read(const char *name, struct bench_summary *out)
{
    *out = (struct bench_summary){0};
    json_error_t error;
    struct stat file;
    FILE *from = fopen(name, "re");
    if (from == NULL) return fail("%s: %s", screen_quote(name), strerror(errno));
    if (fstat(fileno(from), &file) == 0 && (S_ISDIR(file.st_mode) || file.st_size > LONGEST)) {
        fclose(from);
        return foreign(name, "it is a folder, or too long");
    }
    json_t *root = json_loadf(from, JSON_REJECT_DUPLICATES, &error);
    fclose(from);
    if (root == NULL) {
        char where[JSON_ERROR_TEXT_LENGTH + 32];
        snprintf(where, sizeof where, "line %d: %s", error.line, error.text);
        return foreign(name, where);
    }
    const char *wrong = take(root, out);
    int status = wrong == NULL ? DONE : foreign(name, wrong);
    json_decref(root);
    return status;
}

#else

int bench_read(const char *name, struct bench_summary *out)
{
    (void)out;
    return fail("%s: this pier was built without jansson (libjansson-dev), which reads JSON",
        screen_quote(name));
}

#endif
