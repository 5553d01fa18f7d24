/* SPDX-License-Identifier: MIT */
#include "wait/switch.h"

#ifdef PIER__ASAN

_Thread_local struct pier__context *pier__switch_left;

/* What a new stack begins with, at its top: ASan wants to hear of the arrival first. */
struct beginning {
    void (*entry)(void *arg);
    void *arg;
};

static void begin(void *top)
{
    const struct beginning *b = top;
    pier__switch_arrive(NULL);
    b->entry(b->arg);
}

static void *make(void *top, void (*entry)(void *arg), void *arg)
{
    struct beginning *b = (struct beginning *)top - 1;
    *b = (struct beginning){entry, arg};
    return pier__switch_make(b, begin, b);
}

#else

static void *make(void *top, void (*entry)(void *arg), void *arg)
{
    return pier__switch_make(top, entry, arg);
}

#endif

void pier__context_make(
    struct pier__context *out, void *bottom, size_t size, void (*entry)(void *arg), void *arg)
{
    *out = (struct pier__context){.bottom = bottom, .size = size};
    out->sp = make((char *)bottom + size, entry, arg);
#ifdef PIER__TSAN
    out->fiber = __tsan_create_fiber(0);
#endif
}

void pier__context_own(struct pier__context *out)
{
    *out = (struct pier__context){0};
#ifdef PIER__TSAN
    out->fiber = __tsan_get_current_fiber();
#endif
}

void pier__context_done(struct pier__context *ctx)
{
#ifdef PIER__TSAN
    __tsan_destroy_fiber(ctx->fiber);
#endif
    *ctx = (struct pier__context){0};
}
