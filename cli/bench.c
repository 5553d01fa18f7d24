/* SPDX-License-Identifier: MIT */
/* pier bench: how fast a server is, and how long its answers take. */
#include "bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_CONNECTIONS = 1000000,
    MOST_RATE = 1000000000, /* a clock of nanoseconds tells no more apart */
    LONGEST = 1 << 30,
    LONGEST_DATAGRAM = 65507, /* of UDP over IPv4 */
};

static struct bench_settings settings = {.connections = 10, .seconds = 10};
static const char *plot, *earlier_name;
static bool json;

static const struct choice choices[] = {
    {'c', "connections", TAKES_COUNT, "N", "so many at once; 10", &settings.connections},
    {'s', "size", TAKES_SIZE, "BYTES", "of each request, as 64K; 64, for bulk 64K", &settings.size},
    {'d', "duration", TAKES_SECONDS, "SECONDS", "how long to measure; 10; inf: until Ctrl-C",
        &settings.seconds},
    {'r', "rate", TAKES_COUNT, "N",
        "requests per second, of all connections together, whether the server keeps up or not: "
        "latency counts from when a request was due",
        &settings.rate},
    {'w', "wait", TAKES_SECONDS, "SECONDS",
        "how long connecting, or a request, may take; 10, for udp 1", &settings.wait},
    {'W', "warm-up", TAKES_SECONDS, "SECONDS",
        "do the same for so long before; nothing counts but errors", &settings.warm_up},
    {0, "json", TAKES_NOTHING, NULL, "one JSON object on stdout, in place of the text", &json},
    {0, "plot", TAKES_FILE, "FILE.svg", "draw the latencies by percentile, with gnuplot", &plot},
    {0, "compare", TAKES_FILE, "FILE.json", "print an earlier result of --json beside this one",
        &earlier_name},
    {0},
};

static int take_kind(const char *name)
{
    for (int i = 0; i < BENCH_KINDS; i++) {
        settings.kind = (enum bench_kind)i;
        if (strcmp(name, bench_kinds[i]) == 0) return DONE;
    }
    return misuse("there is no bench %s; it is echo, churn, bulk or udp", screen_quote(name));
}

static int check(void)
{
    bool udp = settings.kind == BENCH_UDP, bulk = settings.kind == BENCH_BULK;
    if (settings.size == 0) settings.size = bulk ? 65536 : 64;
    if (settings.wait == 0) settings.wait = udp ? 1 : 10;
    uint64_t most = udp ? LONGEST_DATAGRAM : LONGEST;
    if (settings.size > most)
        return misuse("a request of %ju bytes is too long: %ju is the most",
            (uintmax_t)settings.size, (uintmax_t)most);
    if (settings.connections > MOST_CONNECTIONS)
        return misuse("%ju connections are too many: %d is the most",
            (uintmax_t)settings.connections, MOST_CONNECTIONS);
    if (settings.rate > MOST_RATE)
        return misuse("%ju requests a second are too many: %d is the most",
            (uintmax_t)settings.rate, MOST_RATE);
    if (isinf(settings.warm_up)) return misuse("a warm-up has an end");
    if (bulk && plot != NULL) return misuse("bulk has no latencies that --plot could draw");
    return DONE;
}

/* All that can be known to fail does so before anything is measured. */
static int prepare(struct bench_summary *out_earlier)
{
    if (earlier_name != NULL && bench_read(earlier_name, out_earlier) != DONE) return FAILED;
    if (earlier_name != NULL && out_earlier->kind != settings.kind)
        return fail("%s: it is of bench %s, and this is %s", screen_quote(earlier_name),
            bench_kinds[out_earlier->kind], bench_kinds[settings.kind]);
    return plot != NULL ? bench_plot_check(plot) : DONE;
}

static int tell_result(const struct bench_result *result, const struct bench_summary *earlier)
{
    struct bench_summary now;
    char title[LOOSE];
    if (bench_summarise(&settings, result, &now) != DONE) return FAILED;
    if (json)
        bench_json(&settings, result, &now);
    else
        bench_report(&settings, result, &now);
    if (earlier_name != NULL) bench_compare(json ? stderr : stdout, earlier, &now);
    int status = finish_output();
    snprintf(title, sizeof title, "pier bench %s %s", bench_kinds[settings.kind],
        screen_quote(settings.address));
    if (plot != NULL &&
        bench_plot(plot, title, &now, earlier_name != NULL ? earlier : NULL) != DONE)
        status = FAILED;
    free(now.steps);
    if (bench_error_count(result) > 0) return FAILED;
    return result->answered > 0 || result->interrupted ? status : fail("no request had its answer");
}

static int run(char **operands)
{
    static struct bench_result result;
    struct bench_summary earlier = {0};
    settings.address = operands[1];
    int status = take_kind(operands[0]);
    if (status == DONE) status = check();
    if (status == DONE) status = prepare(&earlier);
    if (status == DONE) status = bench_run(&settings, &result);
    if (status == DONE) {
        status = tell_result(&result, &earlier);
        if (result.interrupted) die_of(signal_that_came());
    }
    free(earlier.steps);
    return status;
}

const struct verb bench_verb = {
    .name = "bench",
    .summary = "measure how fast a server is",
    .example = "pier bench echo -c 100 -d 5 localhost:7777",
    .text =
        "Load a server from many connections at once, and tell how much it did and how long its "
        "answers took. Each answer is compared with what was sent.\n"
        "echo: each connection sends, and waits until all of it has come back (pier echo, or any "
        "server that echoes). churn: connect, one echo, close, and again. bulk: one way, as fast as "
        "it goes (pier listen -k > /dev/null, or any server that reads). udp: datagrams that are "
        "echoed (pier echo -u), also those of AF_UNIX; what does not come back is lost.\n"
        "A failure is counted, and the connection is made anew; one that fails 5 times in a row "
        "is given up. Ctrl-C ends the bench, and what was measured so far is told.",
    .operands = {{"KIND", TAKES_TEXT, "echo, churn, bulk or udp"},
        {"ADDRESS", TAKES_ADDRESS, CLIENT_ADDRESS}},
    .choices = choices,
    .run = run,
};
