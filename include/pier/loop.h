/* SPDX-License-Identifier: MIT */
#ifndef PIER_LOOP_H
#define PIER_LOOP_H

/**
 * @file
 * Tasks in a loop that is not pier's.
 *
 * @defgroup pier_loop Loops of others
 * @ingroup pier
 * A thread that sits in the main loop of GLib, libuv, Qt or another can run tasks, too. To that
 * loop pier's is one more source of events: one descriptor to be watched for reading, and one
 * function to be called when it is readable. With GLib:
 *
 *     static gboolean turn(int fd, GIOCondition condition, gpointer arg)
 *     {
 *         return pier_loop_turn() >= 0;
 *     }
 *
 *     pier_loop_open(NULL);
 *     g_unix_fd_add(pier_loop_fd(), G_IO_IN, turn, NULL);
 *     pier_spawn(talk, "one.example:http", NULL);
 *     g_main_loop_run(loop);
 *     pier_loop_close(pier_after(5));
 *
 * The descriptor is readable as long as a turn is worth while: what a task waits for has come, a
 * timer is due, another thread has woken a task, or a task is ready to go on. There is nothing
 * else to watch, no time-out to compute, and nothing to read from it.
 *
 * **Between two turns** the thread is a plain one, outside of any task: calls of pier block it.
 * pier_spawn(), pier_cancel() and pier_dump_tasks() reach the tasks of its loop, and pier_join()
 * those that have ended. A pier_run() is refused (-EBUSY).
 *
 * **Signals.** On io_uring a result is delivered by interrupting the thread where it waits, as a
 * signal does that has a handler with SA_RESTART: poll(2) goes on by itself, and epoll_wait(2)
 * returns EINTR, which every loop knows. A turn never waits.
 *
 * **The end of the thread** with an open loop is that of its tasks: they are cancelled, and have
 * ended before the thread has. In the child of a fork(2) there is no loop, and the number of
 * its descriptor is free.
 *
 * @{
 */

#include <pier/task.h>
#include <pier/time.h>
#include <pier/version.h>

PIER_BEGIN_DECLS

/**
 * Make a loop for this thread, to be driven by another. Of the options `backend` and
 * `keep_sigsegv` matter, as in pier_run(); `opts` may be NULL.
 *
 * Returns 0. -EBUSY: the thread has a loop, its own or one that pier_run() runs. -EINVAL: the
 * options. -ENOMEM, -EMFILE and what else pier_run() says when a loop cannot be made.
 *
 * Ownership: pier_loop_close() closes it. Threads: the loop belongs to the caller's. Python:
 * asyncio.new_event_loop.
 */
PIER_API int pier_loop_open(const pier_run_opts *opts);

/**
 * The descriptor to be watched for reading, level-triggered: by poll(2), select(2), epoll(7) or
 * a loop that is made of one of these. It stays the same until the loop is closed. Returns it,
 * or PIER_ENOLOOP: no loop was opened in this thread.
 *
 * Ownership: borrowed; it is neither read nor closed. Threads: the one of the loop. Python:
 * selectors.EpollSelector.fileno.
 */
PIER_API int pier_loop_fd(void);

/**
 * Take what has come, run every task that is ready once, and hand over what they want next. It
 * never waits, and a turn too many does no harm. Returns how many tasks there are that have not
 * ended.
 *
 * -EDEADLK: every task waits for another one, and nobody for an object, which the thread's own
 * code might yet change: they are cancelled, and a report of all tasks is written to stderr,
 * unless the turn before failed, too. -EBUSY: called by a task, or by a hook during a turn; PIER_ENOLOOP: no
 * loop was opened in this thread. Else what the kernel says when the loop does not work any
 * more; the tasks are cancelled then. After each of them it can be called again.
 *
 * Threads: the one of the loop, which cannot be cancelled (pthread_cancel(3)) during a turn.
 * Python: asyncio.BaseEventLoop._run_once.
 */
PIER_API int pier_loop_turn(void);

/**
 * Cancel all tasks, run them until they have ended, and close the loop. That may wait, for they
 * may have to, but not longer than until the deadline; PIER_NEVER: until they have ended.
 *
 * Returns 0. -EDEADLK: all waited for each other; this was reported, and the loop is closed.
 * -ETIME: not all have ended by then; the loop stays open, to be driven on or closed again,
 * which cancels them again. -EBUSY: called by a task, or by a hook during a turn. PIER_ENOLOOP:
 * no loop was opened in this thread. -EINVAL: a negative deadline.
 *
 * Ownership: the descriptor is gone, so take it out of the other loop before. Threads: the one
 * of the loop. Python: asyncio.Runner.close.
 */
PIER_API int pier_loop_close(pier_time deadline);

PIER_END_DECLS

/** @} */

#endif
