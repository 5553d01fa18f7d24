/* SPDX-License-Identifier: MIT */
#include "harness.h"
#include "wait/stack.h"
#include "wait/switch.h"

#include <execinfo.h>
#include <fenv.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#ifdef __x86_64__
#    include <xmmintrin.h>
#endif

/* One coroutine: a context, its stack, and who made it, to whom it yields. */
struct routine {
    struct pier__context self, maker;
    struct pier__stack stack;
    void (*run)(struct routine *);
    bool ended;
    long number; /* for the test */
};

static struct pier__stacks stacks;

static void begin(void *arg)
{
    struct routine *r = arg;
    r->run(r);
    r->ended = true;
    pier__switch_last(&r->self, &r->maker);
}

static void make_sized(struct routine *r, void (*run)(struct routine *), size_t size)
{
    *r = (struct routine){.run = run};
    assert_int_equal(pier__stack_take(&stacks, size, &r->stack), 0);
    pier__context_own(&r->maker);
    pier__context_make(&r->self, r->stack.bottom, r->stack.size, begin, r);
}

static void make(struct routine *r, void (*run)(struct routine *)) { make_sized(r, run, 0); }

static void resume(struct routine *r) { pier__switch(&r->maker, &r->self); }

static void yield_now(struct routine *r) { pier__switch(&r->self, &r->maker); }

static void finish(struct routine *r)
{
    while (!r->ended)
        resume(r);
    pier__context_done(&r->self);
    pier__stack_give(&stacks, &r->stack);
}

static bool runs_on(const struct pier__stack *stack)
{
    const char *here = __builtin_frame_address(0);
    return here > stack->bottom && here < stack->bottom + stack->size;
}

static void count_to_three(struct routine *r)
{
    assert_true(runs_on(&r->stack));
    for (int i = 1; i <= 3; i++) {
        r->number = i;
        yield_now(r);
    }
}

TEST(code_on_another_stack_goes_on_where_it_was_left)
{
    struct routine r;
    make(&r, count_to_three);
    assert_int_equal(r.number, 0);
    for (int i = 1; i <= 3; i++) {
        resume(&r);
        assert_int_equal(r.number, i);
        assert_false(r.ended);
        assert_false(runs_on(&r.stack));
    }
    resume(&r);
    assert_true(r.ended);
    finish(&r);
    pier__stacks_free(&stacks);
}

static void count(struct routine *r)
{
    for (;;) {
        if (++r->number == 500000) return;
        yield_now(r);
    }
}

TEST(million_switches_lead_where_they_should)
{
    struct routine r;
    make(&r, count);
    for (long i = 1; i <= 500000; i++) {
        resume(&r);
        if (r.number != i) fail_msg("%ld after %ld", r.number, i);
    }
    finish(&r);
    pier__stacks_free(&stacks);
}

/* Each has locals of its own, which no other one may touch. */
static void fill(struct routine *r)
{
    volatile long mine[64];
    for (int turn = 0; turn < 50; turn++) {
        for (int i = 0; i < 64; i++)
            mine[i] = r->number + i;
        yield_now(r);
        for (int i = 0; i < 64; i++)
            if (mine[i] != r->number + i) abort();
    }
}

TEST(hundred_stacks_keep_apart)
{
    static struct routine all[100];
    for (size_t i = 0; i < 100; i++) {
        make(&all[i], fill);
        all[i].number = (long)i * 1000;
    }
    for (int turn = 0; turn < 51; turn++) {
        for (size_t i = 0; i < 100; i++)
            resume(&all[i]);
    }
    for (size_t i = 0; i < 100; i++) {
        assert_true(all[i].ended);
        finish(&all[i]);
    }
    pier__stacks_free(&stacks);
}

/* From one to the next, without the maker in between. */
static struct routine ring[3];

static void pass_on(struct routine *r)
{
    long place = r - ring;
    for (int i = 0; i < 1000; i++) {
        r->number++;
        pier__switch(&r->self, &ring[(place + 1) % 3].self);
    }
    if (place < 2) {
        r->ended = true;
        pier__switch_last(&r->self, &ring[place + 1].self);
    }
    r->maker = ring[0].maker;
}

TEST(contexts_switch_to_each_other_and_end_in_one_another)
{
    for (size_t i = 0; i < 3; i++)
        make(&ring[i], pass_on);
    resume(&ring[0]);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(ring[i].number, 1000);
        assert_true(ring[i].ended);
        finish(&ring[i]);
    }
    pier__stacks_free(&stacks);
}

#ifdef TEST_REGISTERS
uint64_t registers_lost(void (*call)(void *arg), void *arg, const uint64_t values[]);

/* All its registers are others than those of whoever resumes it. */
static void yield_of(void *arg) { yield_now(arg); }

static void resume_of(void *arg) { resume(arg); }

static void values_from(uint64_t values[19], uint64_t seed)
{
    for (uint64_t i = 0; i < 19; i++)
        values[i] = (seed + i) * 0x9e3779b97f4a7c15U;
}

static void keep_registers(struct routine *r)
{
    uint64_t values[19];
    for (int i = 0; i < 3; i++) {
        values_from(values, 1000 + (uint64_t)i);
        if (registers_lost(yield_of, r, values)) r->number++;
    }
}

TEST(registers_that_a_call_keeps_are_kept)
{
    struct routine r;
    uint64_t values[19];
    make(&r, keep_registers);
    for (int i = 0; i < 4; i++) {
        values_from(values, 1 + (uint64_t)i);
        assert_int_equal(registers_lost(resume_of, &r, values), 0);
    }
    assert_int_equal(r.number, 0);
    finish(&r);
    pier__stacks_free(&stacks);
}
#endif

static bool up(void)
{
    bool up = fegetround() == FE_UPWARD;
#ifdef __x86_64__ /* has two units, and that was the elder */
    assert_int_equal(up, (_mm_getcsr() & _MM_ROUND_MASK) == _MM_ROUND_UP);
#endif
    return up;
}

static void round_up(struct routine *r)
{
    r->number = up();
    yield_now(r);
    fesetround(FE_UPWARD);
    yield_now(r);
    r->number = up();
    fesetround(FE_TONEAREST);
    yield_now(r);
    r->number = up();
}

TEST(rounding_belongs_to_the_context_and_begins_as_its_makers)
{
    struct routine r;
    fesetround(FE_UPWARD);
    make(&r, round_up);
    fesetround(FE_TONEAREST);
    resume(&r);
    assert_true(r.number); /* as when it was made */
    assert_false(up());
    resume(&r);
    assert_false(up());
    resume(&r);
    assert_true(r.number);
    assert_false(up());
    fesetround(FE_UPWARD);
    resume(&r);
    assert_false(r.number);
    assert_true(up());
    fesetround(FE_TONEAREST);
    finish(&r);
    pier__stacks_free(&stacks);
}

static bool blocked(int signal)
{
    sigset_t now;
    assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &now), 0);
    return sigismember(&now, signal);
}

static void change_mask(struct routine *r)
{
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    r->number = blocked(SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &one, NULL);
    yield_now(r);
    r->number = blocked(SIGUSR1);
}

TEST(signal_mask_belongs_to_the_thread)
{
    struct routine r;
    sigset_t other;
    make(&r, change_mask);
    sigemptyset(&other);
    sigaddset(&other, SIGUSR2);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &other, NULL), 0);
    resume(&r);
    assert_true(r.number);
    assert_true(blocked(SIGUSR1));
    sigaddset(&other, SIGUSR1);
    assert_int_equal(pthread_sigmask(SIG_UNBLOCK, &other, NULL), 0);
    resume(&r);
    assert_false(r.number);
    finish(&r);
    pier__stacks_free(&stacks);
}

static void *frames[64];

__attribute__((noinline)) static void trace_deeper(struct routine *r, int depth)
{
    if (depth > 0)
        trace_deeper(r, depth - 1);
    else
        r->number = backtrace(frames, 64);
    __asm__ volatile(""); /* no tail call */
}

static void trace(struct routine *r) { trace_deeper(r, 5); }

TEST(backtrace_ends_where_the_stack_begins)
{
    struct routine r;
    assert_in_range(backtrace(frames, 64), 1, 63); /* it loads a library the first time */
    make(&r, trace);
    resume(&r);
    assert_true(r.ended);
    /* The six of trace_deeper, some of them perhaps inlined, trace, begin, and who called that. */
    assert_in_range(r.number, 4, 12);
    finish(&r);
    pier__stacks_free(&stacks);
}

/* Deeper and deeper, until little is left above the guard; there it yields. */
__attribute__((noinline)) static long dig(struct routine *r)
{
    volatile char room[256];
    room[0] = 1;
    const char *here = __builtin_frame_address(0);
    if (here - r->stack.bottom > 4096) return dig(r) + room[0];
    yield_now(r);
    return room[0];
}

static void dig_deep(struct routine *r)
{
    for (int i = 0; i < 2; i++)
        r->number += dig(r);
}

TEST(stack_can_be_used_down_to_its_guard)
{
    static const size_t sizes[] = {PIER__STACK_LEAST, PIER_STACK_SIZE, 1 << 20};
    for (size_t i = 0; i < 3; i++) {
        struct routine r;
        make_sized(&r, dig_deep, sizes[i]);
        resume(&r);
        resume(&r);
        assert_false(r.ended);
        resume(&r);
        assert_true(r.ended);
        assert_in_range(r.number, sizes[i] / 1024, sizes[i] / 64);
        finish(&r);
    }
    pier__stacks_free(&stacks);
}

static int resident_pages(const struct pier__stack *stack)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char there[PIER_STACK_SIZE / 4096];
    assert_int_equal(mincore(stack->bottom, stack->size, there), 0);
    int count = 0;
    for (size_t i = 0; i < stack->size / page; i++)
        count += there[i] & 1;
    return count;
}

TEST(making_a_context_touches_only_the_top_of_the_stack)
{
    struct routine r;
    make(&r, count_to_three);
    assert_int_equal(resident_pages(&r.stack), 1);
    finish(&r);
    pier__stacks_free(&stacks);
}

static void end_at_once(struct routine *r) { r->number = 1; }

TEST(contexts_are_made_and_end_by_the_thousand)
{
    struct routine r;
    for (int i = 0; i < 3000; i++) {
        make(&r, end_at_once);
        resume(&r);
        assert_true(r.ended);
        finish(&r);
    }
    pier__stacks_free(&stacks);
}

static void *in_thread(void *arg)
{
    struct routine r;
    struct pier__stacks own = {0};
    r = (struct routine){.run = count_to_three};
    assert_int_equal(pier__stack_take(&own, 0, &r.stack), 0);
    pier__context_own(&r.maker);
    pier__context_make(&r.self, r.stack.bottom, r.stack.size, begin, &r);
    while (!r.ended)
        resume(&r);
    pier__context_done(&r.self);
    pier__stack_give(&own, &r.stack);
    pier__stacks_free(&own);
    return arg;
}

TEST(threads_switch_each_for_itself)
{
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        threads[i] = test_thread(in_thread, NULL);
    for (size_t i = 0; i < 4; i++)
        test_join(threads[i]);
}
