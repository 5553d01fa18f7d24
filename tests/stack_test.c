/* SPDX-License-Identifier: MIT */
#include "base/bits.h"
#include "base/missing.h"
#include "fault.h"
#include "harness.h"
#include "seams.h"
#include "wait/stack.h"
#include "wait/switch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct pier__stacks stacks;

static struct pier__stack take(size_t size)
{
    struct pier__stack stack;
    assert_int_equal(pier__stack_take(&stacks, size, &stack), 0);
    return stack;
}

static void give(struct pier__stack stack) { pier__stack_give(&stacks, &stack); }

/* Can this byte be read? The kernel tells without a signal, and no sanitizer hears of it. */
static bool readable(const char *at)
{
    static int pair[2] = {-1, -1};
    if (pair[0] < 0) assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    long n = syscall(SYS_write, pair[1], at, 1);
    char byte;
    if (n == 1) assert_int_equal(syscall(SYS_read, pair[0], &byte, 1), 1);
    close(pair[0]);
    close(pair[1]);
    pair[0] = -1;
    return n == 1;
}

static void check_guarded(const struct pier__stack *stack)
{
    assert_true(readable(stack->bottom));
    assert_true(readable(stack->bottom + stack->size - 1));
    assert_false(readable(stack->bottom - 1));
    assert_false(readable(stack->bottom - PIER__STACK_GUARD));
}

TEST(stack_has_the_size_asked_for_or_the_next_power_of_two)
{
    static const size_t sizes[][2] = {{0, PIER_STACK_SIZE}, {1, PIER__STACK_LEAST},
        {PIER__STACK_LEAST, PIER__STACK_LEAST}, {PIER__STACK_LEAST + 1, PIER__STACK_LEAST * 2},
        {65536, 65536}, {65537, 131072}, {1 << 20, 1 << 20}, {100 << 20, 128 << 20},
        {PIER__STACK_MOST, PIER__STACK_MOST}};
    struct pier__stack taken[PIER_COUNT(sizes)];
    for (size_t i = 0; i < PIER_COUNT(sizes); i++) {
        taken[i] = take(sizes[i][0]);
        assert_int_equal(taken[i].size, sizes[i][1]);
        assert_int_equal((uintptr_t)taken[i].bottom % 4096, 0);
        taken[i].bottom[0] = taken[i].bottom[taken[i].size - 1] = 1;
        check_guarded(&taken[i]);
    }
    for (size_t i = 0; i < PIER_COUNT(sizes); i++)
        give(taken[i]);
    pier__stacks_free(&stacks);
}

TEST(absurd_size_is_refused_and_the_output_untouched)
{
    struct pier__stack stack = {.size = 42};
    assert_int_equal(pier__stack_take(&stacks, PIER__STACK_MOST + 1, &stack), -EINVAL);
    assert_int_equal(pier__stack_take(&stacks, SIZE_MAX, &stack), -EINVAL);
    assert_int_equal(stack.size, 42);
    pier__stacks_free(&stacks);
}

TEST(address_below_the_stack_lies_in_its_guard)
{
    struct pier__stack stack = take(0);
    assert_true(pier__stack_guards(&stack, stack.bottom - 1));
    assert_true(pier__stack_guards(&stack, stack.bottom - PIER__STACK_GUARD));
    assert_false(pier__stack_guards(&stack, stack.bottom - PIER__STACK_GUARD - 1));
    assert_false(pier__stack_guards(&stack, stack.bottom));
    assert_false(pier__stack_guards(&stack, stack.bottom + stack.size));
    assert_false(pier__stack_guards(&stack, NULL));
    give(stack);
    pier__stacks_free(&stacks);
}

TEST(all_of_a_stack_can_be_used)
{
    struct pier__stack stack = take(0);
    memset(stack.bottom, 1, stack.size);
    for (size_t i = 0; i < stack.size; i++)
        assert_int_equal(stack.bottom[i], 1);
    give(stack);
    pier__stacks_free(&stacks);
}

#define MANY 600 /* more than stay hot, in several slabs */

TEST(stacks_lie_apart_with_a_guard_each_new_hot_and_cold)
{
    static struct pier__stack taken[MANY];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < MANY; i++) {
            taken[i] = take(0);
            memset(taken[i].bottom, i, 8);
            memset(taken[i].bottom + taken[i].size - 8, i, 8);
        }
        for (int i = 0; i < MANY; i++) {
            assert_int_equal(taken[i].bottom[7], (char)i);
            assert_int_equal(taken[i].bottom[taken[i].size - 8], (char)i);
            check_guarded(&taken[i]);
        }
        for (int i = 0; i < MANY; i++)
            give(taken[(i * 7) % MANY]); /* in some other order */
    }
    pier__stacks_free(&stacks);
}

TEST(stack_given_back_last_is_taken_first_and_costs_no_call)
{
    struct pier__stack a = take(0), b = take(0);
    seams_install();
    for (int i = 0; i < 1000; i++) {
        give(a);
        give(b);
        struct pier__stack again = take(0);
        assert_ptr_equal(again.bottom, b.bottom);
        b = again;
        a = take(0);
    }
    assert_int_equal(seams_system_calls(), 0);
    assert_int_equal(seams_calls(allocate), 0);
    give(a);
    give(b);
    pier__stacks_free(&stacks);
    assert_int_equal(seams_calls(munmap), 1);
    seams_remove();
}

static long resident_bytes(void)
{
    static char text[256];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    assert_true(n > 0);
    text[n] = '\0';
    char *end;
    (void)strtol(text, &end, 10);
    return strtol(end, NULL, 10) * sysconf(_SC_PAGESIZE);
}

#define BURST   2000
#define TOUCHED 16384
#ifdef PIER__ASAN
#    define BOOKS (PIER_STACK_SIZE / 8) /* what ASan keeps of each */
#else
#    define BOOKS 0
#endif

TEST(memory_returns_after_a_burst)
{
    pier__seam = &pier__seam_system; /* too many calls for tools/torture.py to fail each */
    static struct pier__stack taken[BURST];
    seams_install();
    for (int i = 0; i < BURST; i++) {
        taken[i] = take(0);
        memset(taken[i].bottom + taken[i].size - TOUCHED, 1, TOUCHED);
    }
    assert_int_equal(seams_calls(munmap), 0);
    long most = resident_bytes();
    for (int i = 0; i < BURST; i++)
        give(taken[i]);
    long hot = (long)(PIER__STACK_HOT_BYTES / PIER_STACK_SIZE);
    assert_true(most - resident_bytes() >= (BURST - hot) * (TOUCHED - BOOKS - 2048L));
    /* The hot ones lie close together here; the slabs without one have gone. */
    assert_true(seams_calls(munmap) >= seams_calls(mmap) / 2);
    pier__stacks_free(&stacks);
    assert_int_equal(seams_calls(munmap), seams_calls(mmap));
    seams_remove();
}

TEST(many_that_are_taken_let_more_stay_hot)
{
    pier__seam = &pier__seam_system;
    static struct pier__stack taken[BURST];
    for (int i = 0; i < BURST; i++)
        taken[i] = take(0);
    seams_install();
    int some =
        (int)(PIER__STACK_HOT_BYTES / PIER_STACK_SIZE) + 50; /* of more than four times as many */
    for (int i = 0; i < some; i++)
        give(taken[i]);
    for (int i = 0; i < some; i++)
        taken[i] = take(0);
    assert_int_equal(seams_system_calls(), 0);
    for (int i = 0; i < BURST; i++)
        give(taken[i]);
    /* None is taken now, so those have cooled. */
    assert_true(seams_calls(madvise) > 0);
    pier__stacks_free(&stacks);
    seams_remove();
}

/* How many mappings of the kernel's lie between the two. */
static int mappings(const char *from, const char *to)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    assert_non_null(maps);
    int count = 0;
    char line[512];
    while (fgets(line, sizeof line, maps)) {
        uintptr_t start = strtoul(line, NULL, 16);
        count += start >= (uintptr_t)from && start < (uintptr_t)to;
    }
    assert_int_equal(fclose(maps), 0);
    return count;
}

static bool kernel_has_guards(void)
{
    char *page = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true((void *)page != MAP_FAILED);
    bool has = madvise(page, 65536, MADV_GUARD_INSTALL) == 0 && !readable(page);
    munmap(page, 65536);
    return has;
}

#define CROWD 100000

TEST(hundred_thousand_stacks_are_few_mappings)
{
    if (!kernel_has_guards()) SKIP("this kernel has no MADV_GUARD_INSTALL (Linux 6.13)");
    pier__seam = &pier__seam_system;
    struct pier__stack *taken = calloc(CROWD, sizeof *taken);
    assert_non_null(taken);
    const char *lowest = (char *)UINTPTR_MAX, *highest = NULL;
    for (int i = 0; i < CROWD; i++) {
        taken[i] = take(0);
        if (taken[i].bottom < lowest) lowest = taken[i].bottom;
        if (taken[i].bottom > highest) highest = taken[i].bottom;
    }
    assert_in_range(mappings(lowest - PIER__STACK_GUARD, highest), 1, 200);
    check_guarded(&taken[0]);
    check_guarded(&taken[CROWD - 1]);
    for (int i = 0; i < CROWD; i++)
        give(taken[i]);
    pier__stacks_free(&stacks);
    free(taken);
}

/* Kernels before 6.13. */
TEST(guards_are_made_by_mprotect_where_madvise_knows_none)
{
    seams_install();
    seams_script(madvise, SEAMS_ASK, -EINVAL); /* the first is about huge pages */
    struct pier__stack a = take(0), b = take(0);
    check_guarded(&a);
    check_guarded(&b);
    assert_int_equal(seams_calls(madvise), 2); /* asked once */
    assert_int_equal(seams_calls(mprotect), 2);
    give(a);
    give(b);
    pier__stacks_free(&stacks);
    assert_int_equal(seams_calls(munmap), 1);
    seams_remove();
}

static int say_yes(void *start, size_t size, int advice)
{
    return advice == MADV_GUARD_INSTALL ? 0 : seams_below()->madvise(start, size, advice);
}

TEST(guards_are_made_by_mprotect_where_madvise_lies)
{
    seams_install();
    seams_replace(madvise, say_yes);
    struct pier__stack a = take(0), b = take(0);
    check_guarded(&a);
    check_guarded(&b);
    assert_int_equal(seams_calls(mprotect), 2);
    give(a);
    give(b);
    pier__stacks_free(&stacks);
    seams_remove();
}

/* There each guard is a mapping, and at some 32,000 stacks there are too many of them. */
TEST(stack_that_gets_no_guard_is_refused_and_the_others_stay)
{
    struct pier__stack stack = {.size = 42}, taken[10];
    seams_install();
    seams_fail_from(madvise, 2, -EINVAL);
    seams_fail_from(mprotect, 11, -ENOMEM);
    for (int i = 0; i < 10; i++)
        taken[i] = take(0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pier__stack_take(&stacks, 0, &stack), -ENOMEM);
    assert_int_equal(stack.size, 42);
    for (int i = 0; i < 10; i++)
        check_guarded(&taken[i]);
    give(taken[3]);
    taken[3] = take(0);
    seams_obey(mprotect);
    stack = take(0);
    give(stack);
    for (int i = 0; i < 10; i++)
        give(taken[i]);
    pier__stacks_free(&stacks);
    assert_int_equal(seams_calls(munmap), seams_calls(mmap));
    seams_remove();
}

/* While the newest slab cannot grow, what is cold in the older ones is still to be had. */
TEST(cold_stack_is_found_when_no_new_one_can_be_cut)
{
    static struct pier__stack taken[MANY];
    struct pier__stack stack;
    seams_install();
    for (int i = 0; i < MANY; i++)
        taken[i] = take(0);
    for (int i = 0; i < MANY - 20; i++)
        give(taken[i]);
    seams_fail_from(madvise, 1, -EINVAL);
    seams_fail_from(mprotect, 1, -ENOMEM);
    seams_fail_from(mmap, 1, -ENOMEM);
    int found = 0;
    for (; pier__stack_take(&stacks, 0, &stack) == 0; found++)
        taken[found] = stack;
    assert_true(found > (int)(PIER__STACK_HOT_BYTES / PIER_STACK_SIZE)); /* cold ones, too */
    for (int i = 0; i < found; i++)
        give(taken[i]);
    for (int i = MANY - 20; i < MANY; i++)
        give(taken[i]);
    pier__stacks_free(&stacks);
    seams_remove();
}

TEST(without_memory_nothing_is_taken_and_nothing_lost)
{
    for (long n = 1;; n++) {
        struct pier__stack stack = {.size = 42};
        fault_begin(n, /* onwards= */ true);
        pier__seam = &fault_seam;
        int err = pier__stack_take(&stacks, 0, &stack);
        if (err == 0) pier__stack_give(&stacks, &stack);
        pier__stacks_free(&stacks);
        pier__seam = &pier__seam_system;
        assert_int_equal(fault_blocks(), 0);
        if (!fault_victim()) break;
        if (err == 0) continue;
        assert_int_equal(err, -ENOMEM);
        assert_int_equal(stack.size, 42);
    }
}
