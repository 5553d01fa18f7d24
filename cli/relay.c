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

static struct {
    int s;
    double idle;                   /* seconds; INFINITY: no limit */
    _Atomic pier_time quiet_until; /* a byte has to move before this point */
    atomic_bool downloading;       /* the main thread is still at it, and watches the clock */
    char wrong[1024];              /* why the upload failed; to be read when it has ended */
} flow;

static void moved(void) { atomic_store(&flow.quiet_until, pier_after(flow.idle)); }

static bool too_quiet(void) { return pier_remaining(atomic_load(&flow.quiet_until)) <= 0; }

static int say_quiet(char *text, size_t size)
{
    return snprintf(text, size, "nothing came or went for %g seconds", flow.idle);
}

/* The main thread's half: 0, or FAILED. */
static int download(void)
{
    static char part[PART];
    for (;;) {
        ssize_t n = pier_recv(flow.s, part, sizeof part, MSG_DONTWAIT);
        if (n == -EAGAIN)
            n = pier_wait_readable(flow.s, atomic_load(&flow.quiet_until));
        else if (n == 0)
            break;
        else if (n > 0) {
            moved();
            int err = put(part, (size_t)n);
            if (err != 0) return fail("standard output: %s", strerror(err));
            moved(); /* a slow reader of ours is not the peer's silence */
        }
        if (n == -ETIME && too_quiet()) {
            char text[100];
            say_quiet(text, sizeof text);
            return fail("%s", text);
        }
        if (n < 0 && n != -ETIME) return fail("%s", pier_error());
    }
    int err = put(NULL, 0);
    return err == 0 ? DONE : fail("standard output: %s", strerror(err));
}

/* When the upload looks up from its waiting; now and then, while the main thread has the clock. */
static pier_time look_again(void)
{
    if (atomic_load(&flow.downloading)) return pier_after(flow.idle);
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

static bool send_part(const char *from, size_t left)
{
    while (left > 0) {
        ssize_t n = pier_send(flow.s, from, left, MSG_DONTWAIT);
        if (n == -EAGAIN)
            n = pier_wait_writable(flow.s, look_again());
        else if (n > 0) {
            moved();
            from += n;
            left -= (size_t)n;
        }
        if (n == -ETIME && gave_up()) return false;
        if (n < 0 && n != -ETIME) {
            snprintf(flow.wrong, sizeof flow.wrong, "%s", pier_error());
            return false;
        }
    }
    return true;
}

/* The other half. What cannot be sent does not end the reading: the answer may be there. */
static void *upload(void *unused)
{
    static char part[PART];
    while (wait_for_input()) {
        ssize_t n = read(STDIN_FILENO, part, sizeof part);
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        /* Not told to the peer as an end: it would take half for the whole. */
        if (n < 0) _exit(fail("standard input: %s", strerror(errno)));
        if (n == 0) {
            pier_shutdown(flow.s, SHUT_WR);
            break;
        }
        if (!send_part(part, (size_t)n)) break;
    }
    return unused;
}

int relay(int s, double idle)
{
    flow.s = s;
    flow.idle = idle;
    atomic_store(&flow.downloading, true);
    moved();
    pthread_t thread;
    int err = pthread_create(&thread, NULL, upload, NULL);
    if (err != 0) return fail("no thread can be made: %s", strerror(err));
    int status = download();
    atomic_store(&flow.downloading, false);
    if (status != DONE || isatty(STDIN_FILENO)) return pthread_detach(thread), status;
    pthread_join(thread, NULL);
    if (flow.wrong[0] != '\0') status = fail("%s", flow.wrong);
    pier_close(s);
    return status;
}
