/* SPDX-License-Identifier: MIT */
/*
 * Many clients of one stdin and stdout: what each of them sends is written, and what comes on stdin
 * goes to all that are there. Who does not read holds up the others, since nothing piles up in
 * memory; a time for silence ends that.
 */
#include "cli.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PART = 65536 };

struct member {
    int s;
    bool being_sent_to;
    struct member *next;
};

static struct {
    struct server *listener;
    const struct talk *how;
    struct tally tally;
    pthread_mutex_t lock;
    pthread_cond_t somebody_came;
    struct member *first;
    bool stdin_ended;
} crowd = {.lock = PTHREAD_MUTEX_INITIALIZER, .somebody_came = PTHREAD_COND_INITIALIZER};

static void enter(struct member *it)
{
    pthread_mutex_lock(&crowd.lock);
    it->next = crowd.first;
    crowd.first = it;
    if (crowd.stdin_ended) pier_shutdown(it->s, SHUT_WR);
    pthread_cond_signal(&crowd.somebody_came);
    pthread_mutex_unlock(&crowd.lock);
}

/* Not while the other thread sends to it: its number would be somebody else's by then. */
static void leave(struct member *it)
{
    pier_shutdown(it->s, SHUT_RDWR);
    for (bool busy = true; busy;) {
        pthread_mutex_lock(&crowd.lock);
        busy = it->being_sent_to;
        for (struct member **link = &crowd.first; !busy && *link != NULL; link = &(*link)->next) {
            if (*link != it) continue;
            *link = it->next;
            break;
        }
        pthread_mutex_unlock(&crowd.lock);
        if (busy) pier_sleep(0.001);
    }
}

/* 0 at its end, or a code; a stdout that takes no more ends it all. */
static int hear(int s, char *part)
{
    bool by_line = crowd.how->lines && !crowd.how->hex;
    for (int failed = 0;;) {
        ssize_t n = by_line && failed == 0 ? pier_recv_line(s, part, PART) : -EMSGSIZE;
        if (n < 0 && n != -EMSGSIZE) { /* what came of a line is still there */
            failed = (int)n;
            continue;
        }
        if (n == -EMSGSIZE) n = pier_recv(s, part, PART, failed < 0 ? MSG_DONTWAIT : 0);
        if (n <= 0) return failed < 0 ? failed : (int)n;
        tally_came(&crowd.tally, (size_t)n);
        int err = view_came(crowd.how, part, (size_t)n);
        if (err != 0) give_up(fail("standard output: %s", strerror(err)));
    }
}

static void serve(int client, void *unused)
{
    (void)unused;
    struct member it = {.s = client};
    pier_addr peer;
    pier_getpeername(client, &peer);
    pier_text name = pier_addr_text(pier_addr_unmap(peer));
    if (crowd.how->verbose) say("connection from %s", name.text);
    pier_settimeout(client, crowd.how->idle);
    char *part = malloc(PART);
    enter(&it);
    int err = part != NULL ? hear(client, part) : -ENOMEM;
    leave(&it);
    free(part);
    if (err < 0 && err != -ECANCELED)
        say("%s: %s", name.text, pier_strerror(err));
    else if (crowd.how->verbose)
        say("%s has ended", name.text);
}

/* Marks one that did not get this piece yet, and that stays where it is until it has. */
static struct member *next_to_send(struct member *after)
{
    pthread_mutex_lock(&crowd.lock);
    struct member *it = after != NULL ? after->next : crowd.first;
    if (after != NULL) after->being_sent_to = false;
    if (it != NULL) it->being_sent_to = true;
    pthread_mutex_unlock(&crowd.lock);
    return it;
}

static void send_to_all(const char *part, size_t n)
{
    int err = view_went(crowd.how, part, n);
    if (err != 0) give_up(fail("standard output: %s", strerror(err)));
    for (struct member *it = NULL; (it = next_to_send(it)) != NULL;) {
        ssize_t sent = pier_sendall(it->s, part, n, 0);
        if (sent > 0)
            tally_went(&crowd.tally, (size_t)sent);
        else
            pier_shutdown(
                it->s, SHUT_RDWR); /* half a piece is worth nothing; its handler says why */
    }
}

static void end_for_all(void)
{
    pthread_mutex_lock(&crowd.lock);
    crowd.stdin_ended = true;
    for (struct member *it = crowd.first; it != NULL; it = it->next)
        pier_shutdown(it->s, SHUT_WR);
    pthread_mutex_unlock(&crowd.lock);
}

/* What is read while nobody is there would be lost. */
static void wait_for_somebody(void)
{
    pthread_mutex_lock(&crowd.lock);
    while (crowd.first == NULL)
        pthread_cond_wait(&crowd.somebody_came, &crowd.lock);
    pthread_mutex_unlock(&crowd.lock);
}

static void *speak(void *unused)
{
    static struct input input;
    static char part[2 * PART];
    while (!input.ended) {
        size_t length = 0;
        poll(&(struct pollfd){.fd = STDIN_FILENO, .events = POLLIN}, 1, -1);
        wait_for_somebody();
        int err = input_read(&input);
        if (err != 0) give_up(fail("standard input: %s", strerror(err)));
        while (input_next(&input, crowd.how, part, &length))
            send_to_all(part, length);
    }
    end_for_all();
    return unused;
}

static int stop(int times) { return pier_stop(crowd.listener->s, times > 1 ? 0 : 1); }

int serve_crowd(struct server *listener, const struct talk *how, uint64_t max_clients)
{
    crowd.listener = listener;
    crowd.how = how;
    tally_begin(&crowd.tally);
    if (on_signals(stop) != DONE) return FAILED;
    pthread_t thread;
    int err = pthread_create(&thread, NULL, speak, NULL);
    if (err != 0) return fail("no thread can be made: %s", strerror(err));
    pthread_detach(thread);
    pier_serve_counts counts = {0};
    err = pier_serve(listener->s, serve, NULL,
        &(pier_serve_opts){.max_clients = max_clients, .counts = &counts});
    if (err < 0) return fail("%s", pier_error());
    if (how->statistics) {
        tally_say(&crowd.tally, how);
        say("%ju clients, %ju at once at most", (uintmax_t)counts.accepted, (uintmax_t)counts.peak);
    }
    err = view_end();
    return err == 0 ? DONE : fail("standard output: %s", strerror(err));
}
