/* SPDX-License-Identifier: MIT */
/*
 * The jump for processors that have no assembly file here: by ucontext, which costs two system
 * calls. A stack that is left has its ucontext_t on it.
 */
#include "wait/switch.h"

#include <signal.h>
#include <string.h>
#include <ucontext.h>

/* A stack begins below what lies on top; how far it reaches means nothing to makecontext(3). */
#define BELOW 1024

/* What lies on top of a stack that has not begun. */
struct fresh {
    ucontext_t context;
    void (*entry)(void *arg);
    void *arg;
};

/* makecontext(3) hands on nothing wider than an int: a pointer goes in two. */
static void begin(unsigned one, unsigned other)
{
    const unsigned halves[2] = {one, other};
    const void *at;
    memcpy(&at, halves, sizeof at);
    const struct fresh *f = at;
    f->entry(f->arg);
}

void *pier__switch_make(void *top, void (*entry)(void *arg), void *arg)
{
    struct fresh *f = (struct fresh *)top - 1;
    f->entry = entry;
    f->arg = arg;
    (void)getcontext(&f->context); /* cannot fail, nor can makecontext */
    const void *at = f;
    unsigned halves[2] = {0};
    memcpy(halves, &at, sizeof at);
    f->context.uc_stack.ss_sp = (char *)f - BELOW;
    f->context.uc_stack.ss_size = BELOW;
    f->context.uc_link = NULL;
    makecontext(&f->context, (void (*)(void))begin, 2, halves[0], halves[1]);
    return &f->context;
}

void pier__switch_jump(void **save, void *sp)
{
    ucontext_t here, *there = sp;
    *save = &here;
    /* The signal mask belongs to the thread, so it goes along. */
    (void)pthread_sigmask(SIG_BLOCK, NULL, &there->uc_sigmask);
    (void)swapcontext(&here, there);
}
