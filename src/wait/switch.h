/* SPDX-License-Identifier: MIT */
#ifndef PIER_WAIT_SWITCH_H
#define PIER_WAIT_SWITCH_H

#include "base/bits.h"

#include <stdbool.h>
#include <stddef.h>

#ifdef __has_feature /* clang's way to tell */
#    if __has_feature(address_sanitizer)
#        define PIER__ASAN 1
#    endif
#    if __has_feature(thread_sanitizer)
#        define PIER__TSAN 1
#    endif
#endif
#ifdef __SANITIZE_ADDRESS__ /* gcc's */
#    define PIER__ASAN 1
#endif
#ifdef __SANITIZE_THREAD__
#    define PIER__TSAN 1
#endif
#ifdef PIER__ASAN
#    include <sanitizer/asan_interface.h>
#    include <sanitizer/common_interface_defs.h>
#endif
#ifdef PIER__TSAN
#    include <sanitizer/tsan_interface.h>
#endif

/*
 * The jump from one stack to another within a thread. A context is a stack that is not running:
 * what its code left in the registers lies on it, and sp says where.
 *
 * What the calling convention lets a function keep is kept: the callee-saved registers and how
 * floating point is rounded and trapped (mxcsr and the x87 control word; FPCR on aarch64). A new
 * context begins with its maker's. The signal mask is not kept: it goes on belonging to the thread.
 * A context stays in its thread.
 *
 * The jump itself is an assembly file for each processor, and ucontext for the others. The
 * sanitizers must be told of it, or they take one stack for another; nobody but this header and
 * switch.c tells them.
 */
struct pier__context {
    void *sp;
    void *bottom; /* of the stack: its lowest address */
    size_t size;
#ifdef PIER__ASAN
    void *fake; /* where its locals are that use-after-return is watched for */
#endif
#ifdef PIER__TSAN
    void *fiber;
#endif
};

/*
 * Make a context that runs entry(arg), which never returns, when first switched to. The stack is
 * [bottom, bottom + size), bottom + size a multiple of 16; only the topmost page of it is touched.
 */
void pier__context_make(
    struct pier__context *out, void *bottom, size_t size, void (*entry)(void *arg), void *arg);

/* Make a context of the calling thread's own stack, to be switched away from. */
void pier__context_own(struct pier__context *out);

/* After it ended, on another stack: nothing is left of it. Its stack is the caller's again. */
void pier__context_done(struct pier__context *ctx);

/*
 * The machine's part, in assembly. Save where this stack is in *save, and go on where the one at sp
 * was left.
 */
PIER_HIDDEN void pier__switch_jump(void **save, void *sp);

/* Its counterpart: the sp of a new stack that ends at top. Both touch nothing but the stack. */
PIER_HIDDEN void *pier__switch_make(void *top, void (*entry)(void *arg), void *arg);

#ifdef PIER__ASAN
/* The context that this thread is leaving, for the one that it arrives in. */
extern _Thread_local struct pier__context *pier__switch_left PIER_HIDDEN;
#endif

/* Tell the sanitizers what is about to happen; last: `from` will never be resumed. */
static inline void pier__switch_leave(
    struct pier__context *from, const struct pier__context *to, bool last)
{
#ifdef PIER__ASAN
    pier__switch_left = from;
    __sanitizer_start_switch_fiber(last ? NULL : &from->fake, to->bottom, to->size);
#endif
#ifdef PIER__TSAN
    __tsan_switch_to_fiber(to->fiber, 0);
#endif
    (void)from, (void)to, (void)last;
}

/* Tell them that it has happened. What is known of a thread's own stack is learnt here. */
static inline void pier__switch_arrive(void *fake)
{
#ifdef PIER__ASAN
    const void *bottom;
    size_t size;
    __sanitizer_finish_switch_fiber(fake, &bottom, &size);
    if (!pier__switch_left->bottom) {
        pier__switch_left->bottom = (void *)(size_t)bottom;
        pier__switch_left->size = size;
    }
#endif
    (void)fake;
}

/* Go on in `to`; returns when something switches back to `from`, the context that is running. */
static inline void pier__switch(struct pier__context *from, struct pier__context *to)
{
    pier__switch_leave(from, to, /* last= */ false);
    pier__switch_jump(&from->sp, to->sp);
#ifdef PIER__ASAN
    pier__switch_arrive(from->fake);
#endif
}

/* Go on in `to`, never to be resumed: `from`, which is running, is at its end. */
_Noreturn static inline void pier__switch_last(struct pier__context *from, struct pier__context *to)
{
    pier__switch_leave(from, to, /* last= */ true);
    pier__switch_jump(&from->sp, to->sp);
    __builtin_unreachable();
}

/*
 * Memory that is mapped and unmapped behind ThreadSanitizer's back, as liburing does with its
 * rings: tell it that whose it was before is done with it.
 */
static inline void pier__switch_unmaps(void *kind)
{
#ifdef PIER__TSAN
    __tsan_release(kind);
#endif
    (void)kind;
}

static inline void pier__switch_mapped(void *kind)
{
#ifdef PIER__TSAN
    __tsan_acquire(kind);
#endif
    (void)kind;
}

/*
 * A descriptor must be closed by close(2), where ThreadSanitizer sees it: else it takes the next one
 * of that number for the same, and finds races.
 */
static inline bool pier__switch_shows_closing(void)
{
#ifdef PIER__TSAN
    return true;
#else
    return false;
#endif
}

/*
 * The thread's own stack, `own`, is running again, though nobody switched to it: a longjmp(3) left
 * the context that was. What lies on it below the caller belongs to nobody. The caller has no
 * locals that have an address.
 */
static inline void pier__switch_lost(struct pier__context *own)
{
#ifdef PIER__ASAN
    char *here = __builtin_frame_address(0);
    __sanitizer_start_switch_fiber(NULL, own->bottom, own->size);
    __sanitizer_finish_switch_fiber(own->fake, NULL, NULL);
    if ((size_t)(here - (char *)own->bottom) < own->size)
        __asan_unpoison_memory_region(own->bottom, (size_t)(here - (char *)own->bottom));
#endif
#ifdef PIER__TSAN
    __tsan_switch_to_fiber(own->fiber, 0);
#endif
    (void)own;
}

/*
 * Memory that was a stack is about to be used for something else: what functions that never
 * returned left behind in ASan's books must not be held against it.
 */
static inline void pier__switch_forget(void *bottom, size_t size)
{
#ifdef PIER__ASAN
    __asan_unpoison_memory_region(bottom, size);
#endif
    (void)bottom, (void)size;
}

#endif
