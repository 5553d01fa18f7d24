/* SPDX-License-Identifier: MIT */
#ifndef PIER_WAIT_STACK_H
#define PIER_WAIT_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The stacks of tasks: mapped, guarded, cached. They belong to one loop, and so to one thread.
 *
 * Stacks of a size are cut from slabs, one mapping for many, and neighbouring slabs are one mapping
 * to the kernel: 100,000 stacks are a handful of mappings, where vm.max_map_count allows 65,530.
 * The guard below each stack does not split the mapping either, thanks to MADV_GUARD_INSTALL (Linux
 * 6.13). Older kernels get mprotect(2), which does; there some 32,000 stacks are the most, and the
 * next one is -ENOMEM.
 *
 * A stack costs the pages that were touched. Of the free ones, some keep their pages for the next
 * task (hot); the others return them to the kernel (cold), and a slab that is all cold is unmapped.
 */
#define PIER_STACK_SIZE 65536 /* the usual one */

/* What a size may be. Below lies what cannot hold a call of printf(3), or is less than a page. */
#if defined(__x86_64__) || defined(__i386__)
#    define PIER__STACK_LEAST_BITS 14
#else
#    define PIER__STACK_LEAST_BITS 16 /* pages of 64 KiB exist there */
#endif
#define PIER__STACK_MOST_BITS 30
#define PIER__STACK_LEAST     ((size_t)1 << PIER__STACK_LEAST_BITS)
#define PIER__STACK_MOST      ((size_t)1 << PIER__STACK_MOST_BITS)

/* Memory that cannot be touched, below each stack. It costs no memory, only addresses. */
#define PIER__STACK_GUARD 65536

/*
 * Of the free stacks of a size so many stay hot: this many bytes in whole stacks, or a fourth as
 * many as are taken if that is more. To heat one up again costs as much as a thousand uses of one
 * that is hot.
 */
#define PIER__STACK_HOT_BYTES ((size_t)16 << 20)

struct pier__stack {
    char *bottom; /* of what can be used; the guard lies below */
    size_t size;
    struct pier__stack_cell *cell;
};

/* All stacks of one size. */
struct pier__stack_kind {
    struct pier__stack_cell *hot; /* last in, first out */
    size_t hot_count, taken;
    struct pier__stack_slab *slabs; /* those that have a cold stack, or room for one more */
};

/* How guards are made. */
enum pier__stack_guard {
    PIER__GUARD_UNKNOWN,
    PIER__GUARD_LIGHT, /* MADV_GUARD_INSTALL */
    PIER__GUARD_HEAVY, /* mprotect(2), which makes a mapping of each */
};

/* Zeroed: empty. */
struct pier__stacks {
    struct pier__stack_kind kinds[PIER__STACK_MOST_BITS - PIER__STACK_LEAST_BITS + 1];
    enum pier__stack_guard guard;
};

/* Can there be a stack of at least that many bytes? */
static inline bool pier__stack_is_possible(size_t size) { return size <= PIER__STACK_MOST; }

/*
 * Take a stack of at least `size` bytes; 0 means PIER_STACK_SIZE. Sizes are rounded up to a power
 * of two of at least PIER__STACK_LEAST; out->size tells. bottom + size is a multiple of the page
 * size. What it holds is undefined. 0; -EINVAL: more than PIER__STACK_MOST; -ENOMEM.
 */
int pier__stack_take(struct pier__stacks *stacks, size_t size, struct pier__stack *out);

/* Give back what was taken from there. Nothing runs on it any more. */
void pier__stack_give(struct pier__stacks *stacks, struct pier__stack *stack);

/* Unmap all, leaving it empty. All were given back. */
void pier__stacks_free(struct pier__stacks *stacks);

/* Does the address lie in the guard of this stack? Async-signal-safe. */
static inline bool pier__stack_guards(const struct pier__stack *stack, const void *address)
{
    return (uintptr_t)stack->bottom - (uintptr_t)address - 1 < PIER__STACK_GUARD;
}

#endif
