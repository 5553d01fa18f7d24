/* SPDX-License-Identifier: MIT */
#include "small_ring.h"

#include "base/seam.h"
#include "harness.h"
#include "wait/loop.h"

#include <liburing.h>

#define ENTRIES 8
#define RESULTS 16

static _Thread_local struct pier__seam table;
static _Thread_local const struct pier__seam *below;
static _Thread_local int refusals, refusal;

static int open_small(struct io_uring *ring, unsigned entries, struct io_uring_params *params)
{
    assert_true(entries > ENTRIES && params->cq_entries > RESULTS);
    params->cq_entries = RESULTS;
    return below->ring_open(ring, ENTRIES, params);
}

static int enter_or_refuse(struct io_uring *ring, pier_time deadline)
{
    if (refusals == 0) return below->ring_enter(ring, deadline);
    refusals--;
    return refusal;
}

void small_ring_install(void)
{
    below = pier__seam;
    table = *below;
    table.ring_open = open_small;
    table.ring_enter = enter_or_refuse;
    refusals = 0;
    pier__seam = &table;
}

void small_ring_remove(void) { pier__seam = below; }

void small_ring_refuse(int enters, int code)
{
    refusals = enters;
    refusal = code;
}

int small_ring_refusals(void) { return refusals; }

static struct io_uring *ring_here(void) { return pier__loop_here->state; }

static int stuff(void)
{
    struct io_uring_sqe *sqe;
    int count = 0;
    for (; (sqe = io_uring_get_sqe(ring_here())) != NULL; count++) {
        io_uring_prep_nop(sqe);
        io_uring_sqe_set_data64(sqe, 0);
    }
    return count;
}

void small_ring_stuff(void) { (void)stuff(); }

void small_ring_flood(void)
{
    for (int count = 0; count <= 2 * RESULTS;) {
        count += stuff();
        assert_true(io_uring_submit(ring_here()) >= 0);
    }
    assert_true(io_uring_cq_has_overflow(ring_here()));
}

void small_ring_end_watch(void)
{
    assert_true(io_uring_submit(ring_here()) >= 0);
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring_here());
    assert_non_null(sqe);
    io_uring_prep_cancel64(sqe, 1, 0);
    io_uring_sqe_set_data64(sqe, 0);
    assert_true(io_uring_submit_and_get_events(ring_here()) >= 0);
}
