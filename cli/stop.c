/* SPDX-License-Identifier: MIT */
/*
 * Ctrl-C and SIGTERM, for the verbs that serve: a thread waits for them, so that none comes too
 * early or in the middle of something, and whoever is stopped need not know of signals. And what
 * may not stay behind when a signal ends a verb at once.
 */
#include "cli.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { CLEANERS = 2 }; /* the most that a verb has */

static void (*cleaners[CLEANERS])(void);

static void clean_up(void)
{
    for (size_t i = 0; i < CLEANERS && cleaners[i] != NULL; i++)
        cleaners[i]();
}

void die_of(int number)
{
    sigset_t it;
    sigemptyset(&it);
    sigaddset(&it, number);
    clean_up();
    signal(number, SIG_DFL);
    raise(number);
    pthread_sigmask(SIG_UNBLOCK, &it, NULL);
}

void clean_up_with(void (*function)(void))
{
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGXFSZ};
    size_t used = 0;
    while (cleaners[used] != NULL && cleaners[used] != function)
        used++;
    cleaners[used] = function;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        struct sigaction was;
        sigaction(ends[i], NULL, &was);
        if (was.sa_handler != SIG_DFL) continue; /* ignored by whoever started us */
        sigaction(ends[i], &(struct sigaction){.sa_handler = die_of}, NULL);
    }
}

void give_up(int status)
{
    clean_up();
    _exit(status);
}

static sigset_t numbers;
static int (*stop_it)(int times);
static atomic_int last;

static void *wait_for_signals(void *unused)
{
    for (int times = 1, number; sigwait(&numbers, &number) == 0; times++) {
        atomic_store(&last, number);
        if (times > 2) die_of(number);
        while (stop_it(times) == -ESRCH)
            pier_sleep(0.01);
    }
    return unused;
}

int on_signals(int (*stop)(int times))
{
    static const int both[] = {SIGINT, SIGTERM};
    stop_it = stop;
    sigemptyset(&numbers);
    for (size_t i = 0; i < sizeof both / sizeof *both; i++) {
        struct sigaction was;
        sigaction(both[i], NULL, &was);
        if (was.sa_handler != SIG_IGN) sigaddset(&numbers, both[i]);
    }
    /* The threads that are made from now on inherit it. */
    pthread_sigmask(SIG_BLOCK, &numbers, NULL);
    pthread_t thread;
    int err = pthread_create(&thread, NULL, wait_for_signals, NULL);
    if (err != 0) return fail("no thread can be made: %s", strerror(err));
    pthread_detach(thread);
    return DONE;
}

int signal_that_came(void) { return atomic_load(&last); }
