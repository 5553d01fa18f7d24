/* SPDX-License-Identifier: MIT */
#ifndef PIER_WAIT_AWAIT_H
#define PIER_WAIT_AWAIT_H

#include "wait/op.h"

/*
 * The only door to waiting. Runs op to its end, or to its limit, and returns its
 * result or -errno:
 *
 *   -ETIME      the time-out or the deadline came first (-ETIMEDOUT is the network's own verdict);
 *   -ECANCELED  the descriptor was closed meanwhile, and nothing had moved;
 *   -EAGAIN     the op's time-out is 0 (or MSG_DONTWAIT was given) and it would have to wait;
 *   -EINTR      the interruption hook said so.
 *
 * In a task it parks the task (wait/park.c); elsewhere it blocks the calling thread. Nothing above this
 * file knows which of the two happened. A task's cancel and its scopes end it with -ECANCELED, too.
 *
 * In a thread and without any limit the call itself blocks, which is one system call, and closing
 * wakes it by shutdown(2). What shutdown does not wake waits in poll(2) beside the thread's wake
 * descriptor. With a limit, sends try first, unless the last one found too little room, and
 * receives guess from what the last ones found (wait/life.h).
 *
 * PIER_OP_POLL returns how many of its descriptors are ready, or 0 when the strand was woken
 * by pier__wake().
 */
int64_t pier__await(struct pier__op *op);

/*
 * Wait to be woken, by pier__wake() or the closing of life (or NULL), until the deadline: 0, or as
 * pier__await().
 */
int64_t pier__await_woken(struct pier__life *life, pier_time deadline);

/* The same where neither a task's cancel nor its scopes may end it. */
int64_t pier__await_woken_shielded(pier_time deadline);

/* Wait for the point to come: 0, or what else ends a wait. */
int pier__await_point(pier_time point);

/*
 * May the call itself block, so that its description need not be O_NONBLOCK? For those that have no
 * MSG_DONTWAIT: accept, connect, sendfile.
 */
bool pier__await_may_block(const struct pier__op *op);

/* May a call that can only block be made here, or has it to be left to the pool (wait/work.h)? */
bool pier__await_is_patient(void);

/*
 * The same for an op without a limit whose first try, one that may block, the caller has made
 * itself because every instruction counts there; n is what that said.
 */
int64_t pier__await_tried(struct pier__op *op, int64_t n);

#endif
