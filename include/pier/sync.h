/* SPDX-License-Identifier: MIT */
#ifndef PIER_SYNC_H
#define PIER_SYNC_H

/**
 * @file
 * What tasks, and threads, wait for each other with.
 *
 * @defgroup pier_sync Waiting for each other
 * @ingroup pier
 * Events, locks, semaphores and queues, after those of Python's asyncio, and one call that
 * waits for any of them and of sockets.
 *
 *     static pier_queue jobs;
 *
 *     static int work(void *unused)
 *     {
 *         struct job job;
 *         while (pier_queue_get(&jobs, &job, PIER_NEVER) == 0)
 *             do_it(&job);
 *         return 0;
 *     }
 *
 *     pier_queue_init(&jobs, &(pier_queue_opts){.item_size = sizeof(struct job)});
 *     pier_spawn(work, NULL, NULL);
 *     pier_queue_put(&jobs, &job, PIER_NEVER);
 *     pier_queue_shutdown(&jobs, false);
 *
 * **Where they lie.** Each is a struct in the caller's memory that stays where it is while
 * anybody uses it. A zeroed event, lock or semaphore is ready for use; a queue is made by
 * pier_queue_init(). Fields that are not described are the library's.
 *
 * **Whose they are.** An object belongs to the thread that uses it first: to that thread's
 * own code and to the tasks of its loop. Any other thread gets PIER_EFOREIGN. Such an
 * object costs no lock, and only tasks can wait for it: outside a task a wait that would
 * begin returns PIER_ENOTASK, since nobody could end it. When all tasks of a loop wait for
 * each other, pier_run() reports that (-EDEADLK).
 *
 * **Outside.** An object made with `.outside = true` is everybody's: any thread and any
 * task of any loop may use it, as the handlers of a pier_serve() that runs in several
 * threads must. A task that waits is parked, a thread blocks. Setting, releasing, shutting
 * down and the calls named `nowait` never wait. Who waits for one may be woken by the
 * world, so that is never reported as a deadlock.
 *
 * **Waiting** ends at `deadline`, with -ETIME; PIER_NEVER is none, and one that has passed
 * only looks. Whoever came first is served first. What was handed over is taken: a
 * cancel, a scope or a deadline that comes at the same moment ends the task's next wait
 * instead, and nothing is lost. A negative `deadline`, a code, is returned.
 *
 * **Signals.** None of these calls may be made in a signal handler: they take locks.
 * pier_stop(), or write(2) to a socket that a task reads, is for that.
 *
 * **Fork.** In a forked child an object may be used if, when it was forked, nobody waited
 * for it and no other thread was using it.
 *
 * @{
 */

#include <pier/task.h>
#include <pier/time.h>
#include <pier/version.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

PIER_BEGIN_DECLS

/** @name Events
 * @{ */

/** Something that happens. Zeroed: it has not. */
typedef struct pier_event {
    bool outside;     /**< Whether it is everybody's. */
    void *hidden[12]; /**< Zero. */
    bool happened;    /**< Ask pier_event_is_set(). */
} pier_event;

/**
 * It has happened: everybody who waits goes on, and nobody waits any more until it is
 * cleared. Returns 0; PIER_EFOREIGN; -EINVAL: `event` is NULL.
 *
 * Threads: any, if it is outside. Python: event.set.
 */
PIER_API int pier_event_set(pier_event *event);

/**
 * It has not happened, from now on. Who was woken by pier_event_set() goes on all the
 * same. Returns as that.
 *
 * Threads: any, if it is outside. Python: event.clear.
 */
PIER_API int pier_event_clear(pier_event *event);

/**
 * Has it happened? 1 or 0; PIER_EFOREIGN; -EINVAL: `event` is NULL.
 *
 * Threads: any, if it is outside. Python: event.is_set.
 */
PIER_API int pier_event_is_set(pier_event *event);

/**
 * Wait until it has happened. Returns 0; -ETIME; PIER_EFOREIGN; PIER_ENOTASK; -EINVAL:
 * `event` is NULL.
 *
 * Cancel: -ECANCELED. Threads: any, if it is outside. Python: await event.wait().
 */
PIER_API int pier_event_wait(pier_event *event, pier_time deadline);

/** @} */
/** @name Locks
 * @{ */

/**
 * What one task or thread at a time may hold. Zeroed: nobody does. Who ends without having
 * released it holds it for ever.
 */
typedef struct pier_lock {
    bool outside;     /**< Whether it is everybody's. */
    void *hidden[12]; /**< Zero. */
    uint32_t holder;  /**< Ask pier_lock_locked(). */
} pier_lock;

/**
 * Wait for the lock, and hold it. Returns 0; -ETIME; -EDEADLK: the caller holds it already;
 * PIER_EFOREIGN; PIER_ENOTASK; -EINVAL: `lock` is NULL.
 *
 * Tasks of one loop need a lock only around what waits in the middle: nobody else runs
 * between two calls that may wait.
 *
 * Cancel: -ECANCELED, and it is not held. Threads: any, if it is outside. Python: await
 * lock.acquire().
 */
PIER_API int pier_lock_acquire(pier_lock *lock, pier_time deadline);

/**
 * Let go of it; who has waited longest holds it then. Returns 0; PIER_ENOTHELD: nobody
 * holds it, or not the caller; PIER_EFOREIGN; -EINVAL: `lock` is NULL.
 *
 * Threads: the task or thread that holds it. Python: lock.release, which lets anybody.
 */
PIER_API int pier_lock_release(pier_lock *lock);

/**
 * Does anybody hold it? 1 or 0; PIER_EFOREIGN; -EINVAL: `lock` is NULL.
 *
 * Threads: any, if it is outside. Python: lock.locked.
 */
PIER_API int pier_lock_locked(pier_lock *lock);

/** @} */
/** @name Semaphores
 * @{ */

/**
 * A number of permits. `value` and `bound` are the caller's to fill in before the first
 * use: `pier_semaphore slots = {.value = 10, .bound = 10};`
 */
typedef struct pier_semaphore {
    bool outside;     /**< Whether it is everybody's. */
    void *hidden[12]; /**< Zero. */
    size_t value;     /**< How many permits there are; the library's from the first use on. */
    size_t bound;     /**< More than so many there must never be; 0: no bound. */
} pier_semaphore;

/**
 * Wait for a permit, and take it. Returns 0; -ETIME; PIER_EFOREIGN; PIER_ENOTASK; -EINVAL:
 * `semaphore` is NULL, or has more permits than its bound.
 *
 * Cancel: -ECANCELED, and no permit is taken. Threads: any, if it is outside. Python: await
 * semaphore.acquire().
 */
PIER_API int pier_semaphore_acquire(pier_semaphore *semaphore, pier_time deadline);

/**
 * Give a permit back, or add one; it goes to who has waited longest. Returns 0; -EOVERFLOW:
 * that would be one above the bound, and there is none more; PIER_EFOREIGN; -EINVAL as
 * above.
 *
 * Threads: any, if it is outside. Python: BoundedSemaphore.release.
 */
PIER_API int pier_semaphore_release(pier_semaphore *semaphore);

/**
 * Would pier_semaphore_acquire() have to wait? 1 or 0; PIER_EFOREIGN; -EINVAL as above.
 *
 * Threads: any, if it is outside. Python: semaphore.locked.
 */
PIER_API int pier_semaphore_locked(pier_semaphore *semaphore);

/** @} */
/** @name Queues
 * @{ */

/** How many items a queue holds that was not told. */
#define PIER_QUEUE_CAPACITY 1024

/** How to make a queue; zeroed: of 1024 pointers. */
typedef struct pier_queue_opts {
    size_t item_size;     /**< Bytes of an item; 0: those of a pointer. */
    size_t capacity;      /**< How many items it holds at the most; 0: PIER_QUEUE_CAPACITY. */
    bool outside;         /**< Whether it is everybody's. */
    uint64_t reserved[4]; /**< Zero. */
} pier_queue_opts;

/** Items of one size, copied in and out, first in, first out. */
typedef struct pier_queue {
    bool outside;     /**< As in the options. */
    void *hidden[12]; /**< Zero. */
    bool shut;        /**< It was shut down. */
    char *items;      /**< Its memory. */
    size_t item_size; /**< As in the options. */
    size_t capacity;  /**< Ask pier_queue_maxsize(). */
    size_t head;      /**< Where the first item lies. */
    size_t count;     /**< Ask pier_queue_qsize(). */
} pier_queue;

/**
 * Make an empty queue in `queue`. Returns 0; -EINVAL: `queue` is NULL, it would be more
 * than PTRDIFF_MAX bytes, a reserved field; -ENOMEM. `opts` may be NULL.
 *
 * It has memory for all its items from the beginning, so that putting never fails for want
 * of it.
 *
 * Ownership: the caller calls pier_queue_done(). Threads: any. Python: asyncio.Queue, whose
 * maxsize 0 means no limit.
 */
PIER_API int pier_queue_init(pier_queue *queue, const pier_queue_opts *opts);

/**
 * Free the memory of a queue, with what lies in it. Returns 0, also for NULL, for a zeroed
 * queue, and for one that is done; -EBUSY: somebody waits for it (shut it down first, and
 * let them go).
 *
 * Threads: any, when nobody uses it any more. Python's is collected.
 */
PIER_API int pier_queue_done(pier_queue *queue);

/**
 * Copy an item into the queue, waiting for room. Returns 0; -ETIME; PIER_ESHUTDOWN: it was
 * shut down, perhaps meanwhile; PIER_EFOREIGN; PIER_ENOTASK; -EINVAL: a NULL, or a queue
 * that was not made.
 *
 * Cancel: -ECANCELED, and it is not in the queue. Threads: any, if it is outside. Python:
 * await queue.put(item).
 */
PIER_API int pier_queue_put(pier_queue *queue, const void *item, pier_time deadline);

/**
 * Copy the first item out of the queue, waiting for one. Returns 0; -ETIME; PIER_ESHUTDOWN:
 * it is empty, and was shut down; PIER_EFOREIGN; PIER_ENOTASK; -EINVAL: a NULL, or a queue
 * that was not made. `out` has room for an item.
 *
 * Cancel: -ECANCELED, and no item is taken. Threads: any, if it is outside. Python: await
 * queue.get().
 */
PIER_API int pier_queue_get(pier_queue *queue, void *out, pier_time deadline);

/**
 * pier_queue_put() without waiting: -EAGAIN, which is no failure, if the queue is full.
 *
 * Threads: any, if it is outside. Python: queue.put_nowait.
 */
PIER_API int pier_queue_put_nowait(pier_queue *queue, const void *item);

/**
 * pier_queue_get() without waiting: -EAGAIN, which is no failure, if the queue is empty.
 *
 * Threads: any, if it is outside. Python: queue.get_nowait.
 */
PIER_API int pier_queue_get_nowait(pier_queue *queue, void *out);

/**
 * Nothing comes into it any more: putting fails with PIER_ESHUTDOWN, for who waits to put
 * too. What lies in it can be got, and then getting fails as well; with `immediate` what
 * lies in it is dropped. Returns 0, also for the second time; PIER_EFOREIGN; -EINVAL: a
 * queue that was not made.
 *
 * Threads: any, if it is outside. Python: queue.shutdown, since 3.13.
 */
PIER_API int pier_queue_shutdown(pier_queue *queue, bool immediate);

/**
 * How many items lie in it; PIER_EFOREIGN; -EINVAL: a queue that was not made.
 *
 * Threads: any, if it is outside. Python: queue.qsize.
 */
PIER_API ssize_t pier_queue_qsize(pier_queue *queue);

/**
 * How many items it holds at the most; -EINVAL: a queue that was not made.
 *
 * Threads: any. Python: queue.maxsize.
 */
PIER_API ssize_t pier_queue_maxsize(const pier_queue *queue);

/** @} */
/** @name Any of several
 * @{ */

/** What to wait for. */
enum pier_wait {
    PIER_WAIT_NOTHING,   /**< This one is passed over. */
    PIER_WAIT_READABLE,  /**< A socket, until pier_wait_readable() would return. */
    PIER_WAIT_WRITABLE,  /**< A socket, until pier_wait_writable() would return. */
    PIER_WAIT_EVENT,     /**< An event, until it is set. */
    PIER_WAIT_SEMAPHORE, /**< A semaphore, until there is a permit. */
    PIER_WAIT_GET,       /**< A queue, until there is an item, or it is shut down. */
    PIER_WAIT_PUT,       /**< A queue, until there is room, or it is shut down. */
    PIER_WAIT_TASK,      /**< A task of this loop, until it has ended. */
};

/** One of the things to wait for: `{PIER_WAIT_READABLE, .socket = s}`. */
typedef struct pier_waitable {
    enum pier_wait what; /**< Which of those below is meant, and how. */
    /** The thing itself. */
    union {
        int socket;                /**< READABLE, WRITABLE: a socket, or any descriptor. */
        pier_event *event;         /**< EVENT. */
        pier_semaphore *semaphore; /**< SEMAPHORE. */
        pier_queue *queue;         /**< GET, PUT. */
        pier_task task;            /**< TASK. */
    };
    bool ready; /**< After a wait that did not fail: whether this one is. */
} pier_waitable;

/**
 * Wait until at least one of `count` things is ready. Returns how many are, and tells in
 * each whether it is; -ETIME at `deadline`, or at the earliest deadline of one of the
 * sockets; one that has passed only looks. Time-outs of sockets do not count here.
 *
 * It takes nothing: that something was ready does not mean that it still is when the caller
 * comes to take it, if others use it too. So take with pier_queue_get_nowait(), or with a
 * deadline that has passed.
 *
 * Errors also: -EINVAL: nothing to wait for, or a NULL; -EBADF: a bad descriptor; what
 * pier_join() says of a task that is not there, and a negative handle itself; PIER_EFOREIGN;
 * PIER_ENOTASK: a thread that would wait for ever, because what it waits for is neither a
 * socket nor outside; -ENOMEM. Nothing is told in the array then.
 *
 * Cancel: -ECANCELED, also when one of the sockets is closed; nothing is taken. Threads:
 * any, for sockets and what is outside. Python: asyncio.wait with FIRST_COMPLETED,
 * selectors.
 */
PIER_API int pier_wait_any(pier_waitable *waitables, size_t count, pier_time deadline);

/** @} */

PIER_END_DECLS

/** @} */

#endif
