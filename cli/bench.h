/* SPDX-License-Identifier: MIT */
#ifndef PIER_BENCH_H
#define PIER_BENCH_H

/*
 * What the files of pier bench share: what was asked for, what was measured, and what is made of
 * it.
 */
#include "cli.h"
#include "histogram.h"

enum bench_kind { BENCH_ECHO, BENCH_CHURN, BENCH_BULK, BENCH_UDP, BENCH_KINDS };

/* What a request may fail of. */
enum bench_error {
    BENCH_CONNECT, /* no connection could be made */
    BENCH_TIMEOUT, /* nothing, or not all, came in time */
    BENCH_RESET,   /* the connection was cut off */
    BENCH_ENDED,   /* the peer ended it in the middle */
    BENCH_WRONG,   /* what came back is not what was sent */
    BENCH_OTHER,
    BENCH_ERRORS,
};

/* The latencies that are told. */
enum { BENCH_LEVELS = 5, BENCH_MOST = BENCH_LEVELS - 1 };

extern const char *const bench_kinds[BENCH_KINDS];
extern const char *const bench_errors[BENCH_ERRORS];
extern const char *const bench_levels[BENCH_LEVELS];
extern const unsigned bench_shares[BENCH_LEVELS]; /* for histogram_at() */

struct bench_settings {
    enum bench_kind kind;
    const char *address;
    uint64_t connections, size;
    uint64_t rate; /* requests per second, of all connections together; 0: as fast as it goes */
    double seconds, warm_up, wait;
};

struct bench_result {
    char peer[LOOSE];
    const char *backend;
    int64_t date;        /* Unix time of the beginning */
    double seconds;      /* how long was measured */
    uint64_t answered;   /* all that began in this time, and got its answer then or later */
    uint64_t in_time;    /* those that had it within the time */
    uint64_t late, lost; /* datagrams: came after their time, or did not come in time */
    uint64_t unsent;     /* at a rate: due in this time, and never begun */
    uint64_t errors[BENCH_ERRORS];
    char sentences[BENCH_ERRORS][256]; /* what the first one of each kind said */
    uint64_t given_up;                 /* connections that failed too often in a row */
    bool interrupted;
    struct histogram latency; /* nanoseconds */
};

/* A value, and how many of the values it stands for. */
struct bench_step {
    uint64_t value, count;
};

/* The same in the numbers that can be laid beside another's; `steps` is to be freed. */
struct bench_summary {
    enum bench_kind kind;
    char date[32];
    uint64_t connections, size, rate;
    double seconds, requests_per_second, bytes_per_second;
    uint64_t errors, lost, count; /* count: of latencies */
    uint64_t levels[BENCH_LEVELS];
    struct bench_step *steps;
    size_t step_count;
};

/* bench_message.c: what request `number` sends: its number, and bytes that nobody would guess. */
int message_begin(uint64_t length); /* DONE or FAILED */
ssize_t message_send(int s, uint64_t number, uint64_t offset, int flags);
bool message_fits(uint64_t number, uint64_t offset, const char *bytes, size_t length);
/* An earlier request's, or so short that it may be one. */
bool message_is_late(uint64_t number, const char *bytes, size_t length);

/* bench_client.c: one connection, and what it does. */
struct bench_client {
    int s; /* negative: none */
    char *buffer;
    size_t room;
    bool reading;      /* bulk: somebody throws away what comes */
    pier_event silent; /* that has ended */
    unsigned failures; /* in a row */
};

struct bench_target {
    const struct bench_settings *how;
    struct bench_result *result;
    const char *text; /* of a stream's peer */
    pier_addr to;     /* of datagrams */
    uint64_t numbers; /* of requests */
    pier_group group; /* of all tasks */
};

/* Finds out whom to talk to, and connects `out_first` to it. DONE or FAILED. */
int client_probe(struct bench_target *target, struct bench_client *out_first);
/* 0, -ECANCELED, or what is above 0: it failed, and that is counted. */
int client_connect(struct bench_target *target, struct bench_client *it);
int client_request(struct bench_target *target, struct bench_client *it, bool *out_answered);
void client_close(struct bench_client *it);
/* What was still on its way may arrive. */
void client_finish(struct bench_client *it);

/* bench_pace.c: when requests are due. */
struct pace {
    pier_time start, end;  /* begin requests from here, to there */
    double rate;           /* 0: a request is due when the one before has ended */
    uint64_t given, taken; /* permits, and how many of them were taken */
    pier_semaphore due;
};

int pace_run(void *pace);             /* a task that tells when they are due */
pier_time pace_next(struct pace *it); /* waits: when the next one was due, or a code at the end */

/* How many were due before the end, and never begun. */
uint64_t pace_unsent(const struct pace *it);

/* bench_run.c: DONE, or FAILED if it could not begin. */
int bench_run(const struct bench_settings *how, struct bench_result *out);

/* bench_summary.c */
int bench_summarise(
    const struct bench_settings *how, const struct bench_result *it, struct bench_summary *out);
bool bench_has_latency(enum bench_kind kind);
uint64_t bench_error_count(const struct bench_result *it);

/* bench_report.c, bench_json.c: on stdout. */
#define BENCH_FORMAT "pier bench 1"
enum { SPAN = 32 };
const char *span(uint64_t nanoseconds, char text[SPAN]); /* "80.1 us"; `text` */
void bench_report(const struct bench_settings *how, const struct bench_result *it,
    const struct bench_summary *summary);
void bench_json(const struct bench_settings *how, const struct bench_result *it,
    const struct bench_summary *summary);

/* bench_earlier.c: what --json has told. DONE or FAILED. */
int bench_read(const char *name, struct bench_summary *out);

/* bench_compare.c */
void bench_compare(FILE *to, const struct bench_summary *earlier, const struct bench_summary *now);

/* bench_plot.c: DONE or FAILED. */
int bench_plot_check(const char *name); /* before the run */
int bench_plot(const char *name, const char *title, const struct bench_summary *now,
    const struct bench_summary *earlier);

#endif
