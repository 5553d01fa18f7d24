/* SPDX-License-Identifier: MIT */
#include "wait/overflow.h"

#include "base/seam.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Enough for the largest register file there is to save, and for other people's handlers. */
#define ALTERNATE_SIZE  ((size_t)128 << 10)
#define ALTERNATE_GUARD ((size_t)64 << 10)

bool (*pier__overflow_describe)(const void *address, char *buf, size_t size);

/* The watchers of all threads, and whether SIGSEGV was free for us; under the lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int watchers;
static bool ours;

static _Thread_local struct {
    int watchers;
    char *alternate; /* the mapping of its alternate stack, with a guard below, if it is ours */
} mine;

/* Async-signal-safe, all of it. */
static void tell(const char *text, size_t len)
{
    while (pier__seam->write(STDERR_FILENO, text, len) == -EINTR) {
    }
}

static void on_fault(int signal, siginfo_t *info, void *context)
{
    (void)context;
    char text[256] = "pier: ";
    const size_t at = strlen(text);
    const bool sent = info->si_code <= 0; /* by a process, not by a fault */
    if (!sent && pier__overflow_describe &&
        pier__overflow_describe(info->si_addr, text + at, sizeof text - at - 1)) {
        size_t len = strlen(text);
        text[len] = '\n';
        tell(text, len + 1);
    }
    const struct sigaction standard = {.sa_handler = SIG_DFL};
    (void)pier__seam->sigaction(signal, &standard, NULL);
    if (sent) (void)pier__seam->raise(signal); /* it would not come again by itself */
}

/* Take SIGSEGV if nobody has it. */
static int install(void)
{
    struct sigaction now;
    int err = pier__seam->sigaction(SIGSEGV, NULL, &now);
    if (err < 0 || (now.sa_flags & SA_SIGINFO) || now.sa_handler != SIG_DFL) return err;
    struct sigaction handler = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    err = pier__seam->sigaction(SIGSEGV, &handler, NULL);
    ours = err == 0;
    return err;
}

static void restore(void)
{
    struct sigaction now;
    const struct sigaction standard = {.sa_handler = SIG_DFL};
    if (ours && pier__seam->sigaction(SIGSEGV, NULL, &now) == 0 && (now.sa_flags & SA_SIGINFO) &&
        now.sa_sigaction == on_fault)
        (void)pier__seam->sigaction(SIGSEGV, &standard, NULL);
    ours = false;
}

static int put_up_stack(void)
{
    stack_t now;
    int err = pier__seam->sigaltstack(NULL, &now);
    if (err < 0 || !(now.ss_flags & SS_DISABLE)) return err;
    void *mapping;
    err = pier__seam->mmap(ALTERNATE_GUARD + ALTERNATE_SIZE, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0, &mapping);
    if (err < 0) return err;
    stack_t stack = {.ss_sp = (char *)mapping + ALTERNATE_GUARD, .ss_size = ALTERNATE_SIZE};
    err = pier__seam->mprotect(mapping, ALTERNATE_GUARD, PROT_NONE);
    if (err == 0) err = pier__seam->sigaltstack(&stack, NULL);
    if (err < 0) {
        (void)pier__seam->munmap(mapping, ALTERNATE_GUARD + ALTERNATE_SIZE);
        return err;
    }
    mine.alternate = mapping;
    return 0;
}

static void take_down_stack(void)
{
    if (!mine.alternate) return;
    stack_t now;
    const stack_t none = {.ss_flags = SS_DISABLE};
    if (pier__seam->sigaltstack(NULL, &now) == 0 && now.ss_sp == mine.alternate + ALTERNATE_GUARD)
        (void)pier__seam->sigaltstack(&none, NULL);
    (void)pier__seam->munmap(mine.alternate, ALTERNATE_GUARD + ALTERNATE_SIZE);
    mine.alternate = NULL;
}

/* A forked child has this thread alone. */
static void before_fork(void) { pthread_mutex_lock(&lock); }

static void after_fork(void) { pthread_mutex_unlock(&lock); }

static void after_fork_in_child(void)
{
    watchers = mine.watchers;
    if (watchers == 0) restore();
    pthread_mutex_unlock(&lock);
}

static int unusable; /* why pthread_atfork() failed, or 0 */

static void watch_forks(void)
{
    unusable = -pthread_atfork(before_fork, after_fork, after_fork_in_child);
}

int pier__overflow_watch(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    if (unusable) return unusable;
    pthread_mutex_lock(&lock);
    int err = watchers == 0 ? install() : 0;
    if (err == 0 && ours && mine.watchers == 0) err = put_up_stack();
    if (err == 0) {
        watchers++;
        mine.watchers++;
    } else if (watchers == 0) {
        restore();
    }
    pthread_mutex_unlock(&lock);
    return err;
}

void pier__overflow_unwatch(void)
{
    pthread_mutex_lock(&lock);
    mine.watchers--;
    if (--watchers == 0) restore();
    pthread_mutex_unlock(&lock);
    if (mine.watchers == 0) take_down_stack();
}
