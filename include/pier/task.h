/* SPDX-License-Identifier: MIT */
#ifndef PIER_TASK_H
#define PIER_TASK_H

/**
 * @file
 * Light tasks.
 *
 * @defgroup pier_task Tasks
 * @ingroup pier
 * Thousands of straight-line conversations in one thread. A task is a function with a stack
 * of its own; where a call of pier's would wait, the task is parked, and others run until
 * what it waits for has come. Nothing else about the call changes.
 *
 *     static int talk(void *arg)
 *     {
 *         int s = pier_create_connection(arg, NULL);
 *         ...
 *     }
 *
 *     static int start(void *unused)
 *     {
 *         pier_spawn(talk, "one.example:http", NULL);
 *         pier_spawn(talk, "two.example:http", NULL);
 *         return 0;
 *     }
 *
 *     int main(void) { return pier_run(start, NULL, NULL) < 0; }
 *
 * **A loop** runs the tasks of one thread, on io_uring where the kernel grants it, else on
 * epoll; pier_backend_name() tells. Tasks never move to another thread, and one runs until
 * it waits, yields or ends, so what only tasks of one loop share needs no lock. A call that
 * blocks in another library holds up every task of its loop: pier_to_thread() is for those.
 *
 * **Cancel.** pier_cancel() makes the next call of the task that may wait (or the one it
 * waits in) return -ECANCELED, once: what the task does then to clean up may wait again. A
 * call that has moved bytes by then returns them, and the next one is cancelled instead. One
 * that is cancelled before it has begun runs, too, up to its first such call.
 *
 * **The end of the thread.** A task that calls pthread_exit(3) has ended, with the result 0. The
 * others of its loop go on, and when they have ended, too, so does the thread, as it was told.
 * (A C library that offers no way to do this stops the program, and names the task.) A hook that
 * does so cancels all tasks first. What pthread_cancel(3) asks waits until pier_run() is about
 * to return. A C++ exception that leaves a task's function is std::terminate(), as in a thread.
 * What the language or the C library keep by thread, they keep by thread here, too: neither a
 * C++ catch block nor a pthread_cleanup_push(3) may be open around a call that waits.
 *
 * **Outside a loop** the verbs here that need a task return PIER_ENOTASK. A program that has a
 * main loop of its own lets that drive pier's: see pier_loop_open().
 *
 * @{
 */

#include <pier/time.h>
#include <pier/version.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

PIER_BEGIN_DECLS

/** @name Running
 * @{ */

/** How to run a loop; zeroed: the best backend that there is. */
typedef struct pier_run_opts {
    /**
     * "uring" or "epoll"; NULL: what the environment variable PIER_BACKEND names if it is one
     * of these, else "uring", else, where the kernel denies that, "epoll".
     */
    const char *backend;
    size_t stack_size; /**< Bytes of stack of the main task, as in pier_spawn_opts; 0: 64 KiB. */
    const char *name;  /**< The main task's name; NULL: "main". */
    /** Leave SIGSEGV alone: a stack overflow is then an ordinary crash that names no task. */
    bool keep_sigsegv;
    uint64_t reserved[4]; /**< Zero. */
} pier_run_opts;

/**
 * Run `main(arg)` as a task, until it and every task that came of it have ended. Inside a
 * loop that is a child task, for which the caller waits; `opts->backend` does not matter
 * then.
 *
 * Returns what `main` returned. -EDEADLK: every task waits for another one (a report of
 * all tasks is written to stderr, and they are cancelled). -EINVAL: `main` is NULL, or the
 * options. -ENOMEM, -EMFILE and what else the kernel says when a loop cannot be made; a
 * backend asked for by name that is denied says why (-EPERM, -ENOSYS). `opts` may be NULL.
 * For a negative result pier_error() has the sentence: of the failure that `main` returned, as
 * `main` would have been told it, or of what pier could not do. A number that is no failure of
 * `main`'s leaves it as it was.
 *
 * While SIGSEGV is at its default, it is handled as long as a loop runs, so that a stack
 * overflow names its task before the program dies of it; see `keep_sigsegv`.
 *
 * Cancel: passed on to the child task. Threads: any; each has a loop of its own. The
 * interruption hook of the thread is asked on the loop's own stack, and cancels the main
 * task (whose call returns -EINTR). Python: asyncio.run.
 */
PIER_API int pier_run(int (*main)(void *arg), void *arg, const pier_run_opts *opts);

/**
 * What the caller waits with: "uring" or "epoll" in a task, "thread" outside.
 *
 * Ownership: a constant. Threads: any. Python: asyncio.get_running_loop, whose class tells.
 */
PIER_API const char *pier_backend_name(void);

/** @} */
/** @name Tasks
 * @{ */

/** A task: a number that is used again, and a birth that is not. Copied freely. */
typedef struct pier_task {
    int number;     /**< 1 or more; 0: no task; negative: the code of a failed pier_spawn(). */
    uint64_t birth; /**< No other task of the process has or had it. */
} pier_task;

/** How to spawn; zeroed: no name, 64 KiB of stack. */
typedef struct pier_spawn_opts {
    const char *name; /**< For traces and reports; the first 31 bytes are copied. */
    /** Bytes, up to 1 GiB; 0: 64 KiB. Rounded up to a power of 2, and to 16 KiB at least. */
    size_t stack_size;
    bool detached;        /**< Nobody will join it: nothing is kept of it when it has ended. */
    uint64_t reserved[4]; /**< Zero. */
} pier_spawn_opts;

/**
 * Start `fn(arg)` as a task of this loop. It runs when the caller next waits.
 *
 * Returns the task. One that could not be made carries the code as its number: -ENOMEM,
 * -EINVAL (`fn` is NULL, a stack above 1 GiB, a reserved field), PIER_ENOTASK. Handed to a
 * verb, it travels on as a socket's code does. `opts` may be NULL.
 *
 * Ownership: what `arg` points at must outlive the task. A result is kept until it is
 * joined or the loop ends, unless the task is detached. Threads: inside a loop, or in the
 * thread of pier_loop_open(). Python: asyncio.create_task.
 */
PIER_API pier_task pier_spawn(int (*fn)(void *arg), void *arg, const pier_spawn_opts *opts);

/**
 * Wait for a task to end. Returns 0 and in `*out_result` (unless NULL) what its function
 * returned. -ESRCH: no such task, it was joined before, or it is detached and has ended;
 * -EDEADLK: itself; -EINVAL: a zeroed task.
 *
 * Cancel: -ECANCELED, and the task goes on; it can be joined again. Threads: tasks of the
 * same loop; and the thread of pier_loop_open() outside of them, which does not wait: -EAGAIN
 * while the task has not ended. Python: await task.
 */
PIER_API int pier_join(pier_task task, int *out_result);

/**
 * Ask a task to end: its next call that may wait returns -ECANCELED, or the one that it
 * waits in does now. Returns 0, or -ESRCH: no such task, or it has ended. Cancelling twice
 * before it has noticed is cancelling once.
 *
 * Threads: inside the same loop. Python: task.cancel.
 */
PIER_API int pier_cancel(pier_task task);

/**
 * Wait for so long, never less. Outside a task it blocks the thread. Returns 0; -EINVAL:
 * negative or NaN. With 0 it is pier_yield().
 *
 * Cancel: -ECANCELED, at once. Threads: any. Python: asyncio.sleep.
 */
PIER_API int pier_sleep(double seconds);

/**
 * Let the others have a turn. Returns 0, or -ECANCELED for a task that was cancelled;
 * outside a task 0.
 *
 * Cancel: -ECANCELED. Threads: any. Python: asyncio.sleep(0).
 */
PIER_API int pier_yield(void);

/**
 * The running task; zeroed outside a task.
 *
 * Threads: any. Python: asyncio.current_task.
 */
PIER_API pier_task pier_current(void);

/**
 * Call `fn(arg)` in a thread of a small pool, for what can only block, while other tasks
 * run. Outside a task it is called directly. Returns what it returned; -EAGAIN: too many
 * are waiting for a thread of the pool, -EINVAL: `fn` is NULL; -EMFILE, -ENOMEM. An `fn` that
 * ends that thread, pthread_exit(3), has returned 0. The failure that `fn` returned, if one of
 * pier's calls there failed with that code, is then the caller's for pier_error().
 *
 * Cancel: it cannot be left, for `fn` uses what belongs to the caller; the cancel, or a
 * scope that has expired meanwhile, is noticed by the next call. Threads: any. Python:
 * asyncio.to_thread.
 */
PIER_API int pier_to_thread(int (*fn)(void *arg), void *arg);

/**
 * Write a report of this thread's tasks to a descriptor, a few lines each: number, name,
 * state, what it waits for and since when. Returns 0, PIER_ENOTASK: no loop runs here, or
 * what write(2) said.
 *
 * Threads: any. Python: asyncio.all_tasks, Task.print_stack.
 */
PIER_API int pier_dump_tasks(int fd);

/** @} */
/** @name Deadlines for a stretch of a task
 * @{ */

/** A stretch of a task that must be over in time. The fields are the library's. */
typedef struct pier_scope {
    pier_time deadline;       /**< When it ends. */
    struct pier_scope *outer; /**< The one around it. */
    bool expired;             /**< It has ended a call. */
} pier_scope;

/**
 * From here on every call of this task that may wait returns -ECANCELED once `deadline` has
 * passed, until pier_scope_leave(). Scopes nest; the earliest deadline counts. Returns 0,
 * -EINVAL: a negative deadline, or one that is entered already; PIER_ENOTASK.
 *
 * Ownership: `scope` is the caller's, and stays where it is until left: a function that
 * enters one leaves it before each of its returns. Threads: a task.
 * Python: asyncio.timeout_at.
 */
PIER_API int pier_scope_enter(pier_scope *scope, pier_time deadline);

/**
 * Leave the innermost scope. Returns -ETIME if it has ended a call, else 0; -EINVAL: it is
 * not the innermost of this task (and is left alone).
 *
 * Threads: a task. Python: leaving asyncio.timeout.
 */
PIER_API int pier_scope_leave(pier_scope *scope);

/** @} */
/** @name Groups of tasks
 * @{ */

/** Tasks that end together. The fields are the library's. */
typedef struct pier_group {
    size_t running;           /**< How many of its tasks have not ended. */
    int error;                /**< The first negative result of one of them. */
    uint64_t birth;           /**< The task's that entered it; 0: it is not entered. */
    struct pier_group *outer; /**< The one around it. */
    void *hidden[4];
} pier_group;

/**
 * Begin a group: what is spawned into it has ended when pier_group_leave() returns. Returns
 * 0, -EINVAL: it is entered already; PIER_ENOTASK.
 *
 * Ownership: `group` is the caller's, and stays where it is until left: a function that
 * enters one leaves it before each of its returns. The tasks of a task that ends without go
 * on by themselves. Threads: a task.
 * Python: async with asyncio.TaskGroup.
 */
PIER_API int pier_group_enter(pier_group *group);

/**
 * pier_spawn() into a group. When a task of it returns a negative number other than
 * -ECANCELED, the others are cancelled, and so is the one that entered the group; a normal
 * end ends nobody. Nobody needs to join them. Errors also: -EINVAL, for a group that no task
 * of this loop has entered, or that one which has ended did not leave; -ECANCELED, for one
 * that is ending after an error.
 *
 * Threads: tasks of the same loop. Python: TaskGroup.create_task.
 */
PIER_API pier_task pier_group_spawn(
    pier_group *group, int (*fn)(void *arg), void *arg, const pier_spawn_opts *opts);

/**
 * Cancel every task that is in a group now; one that is spawned into it later is not
 * cancelled. Returns 0; -EINVAL as for pier_group_spawn(); PIER_ENOTASK.
 *
 * Threads: inside the same loop. Python: trio.CancelScope.cancel.
 */
PIER_API int pier_group_cancel(pier_group *group);

/**
 * Wait until all tasks of the group have ended, and leave it. Returns 0, or the first error
 * of one of them, with the sentence for pier_error() that this task had; -EINVAL: not this
 * task's innermost group.
 *
 * Cancel: the tasks are cancelled, waited for all the same, and then -ECANCELED is
 * returned; if one of them has failed it is that error, and the next call that may wait
 * returns -ECANCELED. Threads: the task that entered it. Python: leaving asyncio.TaskGroup.
 */
PIER_API int pier_group_leave(pier_group *group);

/** @} */

PIER_END_DECLS

/** @} */

#endif
