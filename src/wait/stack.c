/* SPDX-License-Identifier: MIT */
#include "wait/stack.h"

#include "base/bits.h"
#include "base/missing.h"
#include "base/seam.h"
#include "wait/switch.h"

#include <errno.h>
#include <sys/mman.h>

/* Valgrind must be told what is a stack, or it takes a switch for a very large frame. */
#if defined(__has_include)
#    if __has_include(<valgrind/valgrind.h>)
#        include <valgrind/valgrind.h>
#    endif
#endif
#ifndef VALGRIND_STACK_REGISTER
#    define VALGRIND_STACK_REGISTER(start, end) ((void)(start), (void)(end), 0U)
#    define VALGRIND_STACK_DEREGISTER(id)       ((void)(id))
#endif

#define SLAB_MOST  64                /* stacks in a slab, */
#define SLAB_BYTES ((size_t)8 << 20) /* which stay below this if they are more than one */

/* The place of one stack in its slab. Only free ones are linked. */
struct pier__stack_cell {
    struct pier__stack_cell *next;
    struct pier__stack_slab *slab;
    char *bottom;
    unsigned watched; /* Valgrind's number for it */
};

/*
 * One mapping: guard, stack, guard, stack ... A stack is cut when first needed. Then it is taken or
 * hot, or it is cold and in the slab's list.
 */
struct pier__stack_slab {
    struct pier__stack_slab *next, **link; /* in the kind's list; link NULL: not there */
    char *base;
    size_t bytes;
    unsigned most, cut, cold_count;
    struct pier__stack_cell *cold;
    struct pier__stack_cell cells[];
};

static unsigned kind_of(size_t size)
{
    if (size == 0) size = PIER_STACK_SIZE;
    if (size <= PIER__STACK_LEAST) return 0;
    return (unsigned)(64 - PIER__STACK_LEAST_BITS - __builtin_clzll(size - 1));
}

static size_t size_of(const struct pier__stacks *stacks, const struct pier__stack_kind *kind)
{
    return PIER__STACK_LEAST << (kind - stacks->kinds);
}

static void link_slab(struct pier__stack_kind *kind, struct pier__stack_slab *slab)
{
    slab->link = &kind->slabs;
    slab->next = kind->slabs;
    if (slab->next) slab->next->link = &slab->next;
    kind->slabs = slab;
}

static void unlink_slab(struct pier__stack_slab *slab)
{
    *slab->link = slab->next;
    if (slab->next) slab->next->link = slab->link;
    slab->link = NULL;
}

/* A slab without stacks as yet, in the kind's list. */
static int add_slab(struct pier__stack_kind *kind, size_t size)
{
    size_t most = SLAB_BYTES / (size + PIER__STACK_GUARD);
    if (most > SLAB_MOST) most = SLAB_MOST;
    if (most < 1) most = 1;
    struct pier__stack_slab *slab =
        pier__allocate_zeroed(1, sizeof *slab + most * sizeof slab->cells[0]);
    if (!slab) return -ENOMEM;
    slab->most = (unsigned)most;
    slab->bytes = most * (size + PIER__STACK_GUARD);
    void *base;
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK;
    if (pier__seam->mmap(slab->bytes, PROT_READ | PROT_WRITE, flags, -1, 0, &base) < 0) {
        pier__seam->release(slab);
        return -ENOMEM;
    }
    /* A huge page would make the first touch of a stack cost 2 MiB; kernels without them say so. */
    (void)pier__seam->madvise(base, slab->bytes, MADV_NOHUGEPAGE);
    slab->base = base;
    link_slab(kind, slab);
    return 0;
}

/* Unmap an unlinked slab that nobody uses. */
static void drop_slab(struct pier__stack_slab *slab)
{
    for (unsigned i = 0; i < slab->cut; i++) {
        VALGRIND_STACK_DEREGISTER(slab->cells[i].watched);
    }
    /*
     * This can fail at vm.max_map_count, as it splits a mapping: then the addresses are lost, but
     * no memory.
     */
    if (pier__seam->munmap(slab->base, slab->bytes) < 0)
        (void)pier__seam->madvise(slab->base, slab->bytes, MADV_DONTNEED);
    pier__seam->release(slab);
}

/* Emulators say yes to every advice: ask whether the guard is there. */
static bool install_guard(enum pier__stack_guard known, char *start)
{
    if (pier__seam->madvise(start, PIER__STACK_GUARD, MADV_GUARD_INSTALL) < 0) return false;
    return known == PIER__GUARD_LIGHT ||
           pier__seam->madvise(start, PIER__STACK_GUARD, MADV_POPULATE_READ) == -EFAULT;
}

static int guard(struct pier__stacks *stacks, char *start)
{
    if (stacks->guard != PIER__GUARD_HEAVY) {
        bool light = install_guard(stacks->guard, start);
        if (stacks->guard == PIER__GUARD_UNKNOWN)
            stacks->guard = light ? PIER__GUARD_LIGHT : PIER__GUARD_HEAVY;
        if (light) return 0;
    }
    return pier__seam->mprotect(start, PIER__STACK_GUARD, PROT_NONE) < 0 ? -ENOMEM : 0;
}

/* One more stack of a slab that has room; it is a cold one then. */
static int cut_stack(struct pier__stacks *stacks, struct pier__stack_slab *slab, size_t size)
{
    char *start = slab->base + slab->cut * (size + PIER__STACK_GUARD);
    int err = guard(stacks, start);
    if (err < 0) return err;
    struct pier__stack_cell *cell = &slab->cells[slab->cut++];
    cell->slab = slab;
    cell->bottom = start + PIER__STACK_GUARD;
    cell->watched = VALGRIND_STACK_REGISTER(cell->bottom, cell->bottom + size - 1);
    cell->next = slab->cold;
    slab->cold = cell;
    slab->cold_count++;
    return 0;
}

/* A stack that is not hot: a cold one, or a new one. */
static int find_stack(
    struct pier__stacks *stacks, struct pier__stack_kind *kind, struct pier__stack_cell **out)
{
    const size_t size = size_of(stacks, kind);
    int err = kind->slabs ? 0 : add_slab(kind, size);
    if (err < 0) return err;
    struct pier__stack_slab *slab = kind->slabs;
    /*
     * Slabs are added to an empty list only, so the one that may have no cold stack, but room,
     * comes last.
     */
    if (!slab->cold) err = cut_stack(stacks, slab, size);
    if (err < 0) {
        if (slab->cut > 0) return err;
        unlink_slab(slab);
        drop_slab(slab);
        return err;
    }
    *out = slab->cold;
    slab->cold = slab->cold->next;
    slab->cold_count--;
    if (!slab->cold && slab->cut == slab->most) unlink_slab(slab);
    return 0;
}

int pier__stack_take(struct pier__stacks *stacks, size_t size, struct pier__stack *out)
{
    if (!pier__stack_is_possible(size)) return -EINVAL;
    struct pier__stack_kind *kind = &stacks->kinds[kind_of(size)];
    struct pier__stack_cell *cell = kind->hot;
    if (PIER_LIKELY(cell != NULL)) {
        kind->hot = cell->next;
        kind->hot_count--;
    } else {
        int err = find_stack(stacks, kind, &cell);
        if (err < 0) return err;
    }
    kind->taken++;
    *out = (struct pier__stack){cell->bottom, size_of(stacks, kind), cell};
    return 0;
}

/* The stack returns to its slab, and the slab, when that was the last one, to the kernel. */
static void cool(struct pier__stack_kind *kind, struct pier__stack_cell *cell, size_t size)
{
    struct pier__stack_slab *slab = cell->slab;
    cell->next = slab->cold;
    slab->cold = cell;
    slab->cold_count++;
    if (slab->cold_count == slab->cut) {
        if (slab->link) unlink_slab(slab);
        drop_slab(slab);
        return;
    }
    if (!slab->link) link_slab(kind, slab);
    (void)pier__seam->madvise(cell->bottom, size, MADV_DONTNEED);
}

static void cool_one(struct pier__stack_kind *kind, size_t size)
{
    struct pier__stack_cell *cell = kind->hot;
    kind->hot = cell->next;
    kind->hot_count--;
    cool(kind, cell, size);
}

void pier__stack_give(struct pier__stacks *stacks, struct pier__stack *stack)
{
    struct pier__stack_kind *kind = &stacks->kinds[kind_of(stack->size)];
    pier__switch_forget(stack->bottom, stack->size);
    kind->taken--;
    stack->cell->next = kind->hot;
    kind->hot = stack->cell;
    kind->hot_count++;
    if (PIER_LIKELY(kind->hot_count <= PIER__STACK_HOT_BYTES / stack->size)) return;
    /* Two for one: what may stay has shrunk, too. */
    for (int i = 0; i < 2; i++) {
        if (kind->hot_count > PIER__STACK_HOT_BYTES / stack->size &&
            kind->hot_count > kind->taken / 4)
            cool_one(kind, stack->size);
    }
}

void pier__stacks_free(struct pier__stacks *stacks)
{
    for (size_t i = 0; i < PIER_COUNT(stacks->kinds); i++) {
        struct pier__stack_kind *kind = &stacks->kinds[i];
        while (kind->hot)
            cool_one(kind, size_of(stacks, kind));
    }
}
