/* SPDX-License-Identifier: MIT */
#ifndef PIER_WAIT_RETIRE_H
#define PIER_WAIT_RETIRE_H

#include <stdint.h>

struct io_uring_sqe;
struct pier__loop;

/*
 * Retire mode, a build for tests (PIER_RETIRE): what the kernel is handed is never the caller's
 * memory, but pages of its own, copied to and fro, that nobody can touch any more once the
 * operation has ended. No other tool sees what a kernel does to memory that was given back.
 *
 * The program is aborted, with a word on stderr, when a result comes for what has ended, when an
 * operation ends before its result has come, when the kernel finds a page gone (-EFAULT), and when
 * a ring closes over what is still lent.
 */
#ifdef PIER_RETIRE

/*
 * An entry that has been prepared for a pending: lend the kernel pages in place of what it points
 * at.
 */
void pier__retire_lend(struct pier__loop *loop, struct io_uring_sqe *sqe);

/*
 * The last result of what has this data has come: give the owner what was written, and take the
 * pages away.
 */
void pier__retire_end(struct pier__loop *loop, uint64_t data, int result);

/* What has this data ends, as far as its task is concerned. */
void pier__retire_done(struct pier__loop *loop, uint64_t data);

/* The ring of this loop is closed. */
void pier__retire_close(struct pier__loop *loop);

#else

static inline void pier__retire_lend(struct pier__loop *loop, struct io_uring_sqe *sqe)
{
    (void)loop;
    (void)sqe;
}

static inline void pier__retire_end(struct pier__loop *loop, uint64_t data, int result)
{
    (void)loop;
    (void)data;
    (void)result;
}

static inline void pier__retire_done(struct pier__loop *loop, uint64_t data)
{
    (void)loop;
    (void)data;
}

static inline void pier__retire_close(struct pier__loop *loop) { (void)loop; }

#endif

#endif
