/* SPDX-License-Identifier: MIT */
/*
 * Bytes both ways at once: a thread carries stdin to the socket, the main thread the socket to
 * stdout, so neither direction waits for the other. How it ends:
 *
 *     stdin ends         the peer is told (shutdown), and we go on reading
 *     the peer ends      we go on sending until stdin ends, since it may still read; but
 *                        not if stdin is a terminal: nobody types into a dead connection
 *     the peer is gone   what it sent is still delivered; an error if it was cut off, or if
 *                        some of stdin could not be sent
 *     nothing moves      for the idle time, if there is one: an error
 *
 * Datagrams have no end: after that of stdin, and a silence, all is said.
 * Only reading stdin may block for ever, and the process ends without waiting for that.
 */
#include "cli.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PART = 65536 };

/* How often who waits for datagrams looks whether stdin has ended meanwhile. */
static const double glance = 0.1;

static struct {
    int s;
    const struct talk *how;
    _Atomic pier_time quiet_until; /* a byte has to move before this point */
    atomic_bool downloading;       /* the main thread is still at it, and watches the clock */
    atomic_bool uploaded;          /* stdin has ended, and all of it has gone */
    struct tally tally;
    char wrong[1024]; /* why the upload failed; to be read when it has ended */
} flow;

static double patience(void)
{
    bool last = flow.how->datagrams && atomic_load(&flow.uploaded);
    return last && isinf(flow.how->idle) ? flow.how->linger : flow.how->idle;
}

/* Both threads say so, and the patience may change under the one that was the slower. */
static void moved(void)
{
    double limit;
    do {
        limit = patience();
        atomic_store(&flow.quiet_until, pier_after(limit));
    } while (limit != patience());
}

static bool too_quiet(void) { return pier_remaining(atomic_load(&flow.quiet_until)) <= 0; }

static int say_quiet(char *text, size_t size)
{
    return snprintf(text, size, "nothing came or went for %g seconds", flow.how->idle);
}

static int show(const void *bytes, size_t n)
{
    int err = view_came(flow.how, bytes, n);
    return err == 0 ? DONE : fail("standard output: %s", strerror(err));
}

/* Until something comes, or there was silence for too long, or stdin may have ended. */
static int wait_for_peer(void)
{
    pier_time until = atomic_load(&flow.quiet_until), soon = pier_after(glance);
    if (flow.how->datagrams && soon < until) until = soon;
    return pier_wait_readable(flow.s, until);
}

/* Nobody said anything for too long: the end of datagrams, else a failure. */
static int quiet(void)
{
    char text[100];
    if (flow.how->datagrams && atomic_load(&flow.uploaded)) return DONE;
    say_quiet(text, sizeof text);
    return fail("%s", text);
}

/* The main thread's half: DONE, or FAILED. */
static int download(void)
{
    static char part[PART];
    for (;;) {
        ssize_t n = pier_recv(flow.s, part, sizeof part, MSG_DONTWAIT);
        if (n == -EAGAIN) {
            n = wait_for_peer();
        } else if (n == 0 && !flow.how->datagrams) {
            break;
        } else if (n >= 0) {
            moved();
            tally_came(&flow.tally, (size_t)n);
            if (show(part, (size_t)n) != DONE) return FAILED;
            moved(); /* a slow reader of ours is not the peer's silence */
        }
        if (n == -ETIME && too_quiet()) return quiet();
        if (n < 0 && n != -ETIME) return fail("%s", pier_error());
    }
    int err = view_end();
    return err == 0 ? DONE : fail("standard output: %s", strerror(err));
}

/* When the upload looks up from its waiting; now and then, while the main thread has the clock. */
static pier_time look_again(void)
{
    if (atomic_load(&flow.downloading)) return pier_after(flow.how->idle);
    return atomic_load(&flow.quiet_until);
}

static bool gave_up(void)
{
    if (atomic_load(&flow.downloading) || !too_quiet()) return false;
    say_quiet(flow.wrong, sizeof flow.wrong);
    return true;
}

/* Waits for stdin: false when nobody is there any more to whom it could be sent. */
static bool wait_for_input(void)
{
    struct pollfd ends[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = flow.s}};
    while (!gave_up()) {
        double ms = ceil(pier_remaining(look_again()) * 1000);
        poll(ends, 2, ms < INT_MAX ? (int)ms : -1);
        if (ends[0].revents != 0) return true;
        if (ends[1].revents != 0) return false;
    }
    return false;
}

/* Of a stream, as much as goes at once; a datagram goes whole, an empty one, too. */
static bool send_part(const char *from, size_t left)
{
    int err = view_went(flow.how, from, left);
    if (err != 0) give_up(fail("standard output: %s", strerror(err)));
    do {
        ssize_t n = pier_send(flow.s, from, left, MSG_DONTWAIT);
        if (n == -EAGAIN) {
            n = pier_wait_writable(flow.s, look_again());
        } else if (n >= 0) {
            moved();
            tally_went(&flow.tally, (size_t)n);
            from += n;
            left -= (size_t)n;
            if (left == 0) return true;
        }
        if (n == -ETIME && gave_up()) return false;
        if (n < 0 && n != -ETIME) {
            snprintf(flow.wrong, sizeof flow.wrong, "%s", pier_error());
            return false;
        }
    } while (true);
}

/* All that can be sent of what was read. */
static bool send_input(struct input *input)
{
    static char part[2 * PART];
    size_t length = 0;
    while (input_next(input, flow.how, part, &length))
        if (!send_part(part, length)) return false;
    return true;
}

/* The other half. What cannot be sent does not end the reading: the answer may be there. */
static void *upload(void *unused)
{
    static struct input input;
    while (wait_for_input()) {
        int err = input_read(&input);
        /* Not told to the peer as an end: it would take half for the whole. */
        if (err != 0) give_up(fail("standard input: %s", strerror(err)));
        if (!send_input(&input)) {
            /* Nothing else would tell who waits for an answer that nobody will send. */
            if (flow.how->datagrams) give_up(fail("%s", flow.wrong));
            break;
        }
        if (!input.ended) continue;
        if (!flow.how->datagrams) pier_shutdown(flow.s, SHUT_WR);
        atomic_store(&flow.uploaded, true);
        moved();
        break;
    }
    return unused;
}

/* Why a peer has gone before stdin had ended, if it did not leave in peace. */
static void ask_who_left(void)
{
    int64_t code = 0;
    if (atomic_load(&flow.uploaded) || flow.wrong[0] != '\0') return;
    if (pier_getsockopt_int(flow.s, SOL_SOCKET, SO_ERROR, &code) < 0 || code == 0) return;
    snprintf(flow.wrong, sizeof flow.wrong, "not all of the standard input went: %s",
        pier_strerror(-(int)code));
}

static int finish(int status)
{
    if (flow.how->statistics) tally_say(&flow.tally, flow.how);
    return status;
}

int relay(int s, const struct talk *how)
{
    flow.s = s;
    flow.how = how;
    atomic_store(&flow.downloading, true);
    tally_begin(&flow.tally);
    moved();
    pthread_t thread;
    int err = pthread_create(&thread, NULL, upload, NULL);
    if (err != 0) return fail("no thread can be made: %s", strerror(err));
    int status = download();
    atomic_store(&flow.downloading, false);
    if (status != DONE || isatty(STDIN_FILENO)) return pthread_detach(thread), finish(status);
    pthread_join(thread, NULL);
    ask_who_left();
    if (flow.wrong[0] != '\0') status = fail("%s", flow.wrong);
    pier_close(s);
    return finish(status);
}
