/* SPDX-License-Identifier: MIT */
#ifndef PIER_WAIT_OVERFLOW_H
#define PIER_WAIT_OVERFLOW_H

#include "base/bits.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * A task that overflows its stack stops the program, and says who it was:
 *
 *     pier: task 7 "greet" overflowed its stack of 65536 bytes
 *
 * While SIGSEGV is at its default and somebody watches, a handler of ours is there, which runs on an alternate
 * stack. Whatever the fault was, it restores the default and returns, so that the fault
 * happens again and ends the process as it would have without us, with the core dump at the right place.
 */

/*
 * Watch in the calling thread; watchers are counted. If SIGSEGV is not at its default when the
 * first of the process comes, whoever handles it keeps it, and nothing is done at all. A thread
 * without an alternate stack gets one. 0 or -errno, and then nothing is changed.
 */
int pier__overflow_watch(void);

/*
 * Undo one pier__overflow_watch() of this thread. The last of the process restores SIGSEGV and the
 * last of the thread takes its alternate stack down, each unless somebody has put another one there
 * meanwhile.
 */
void pier__overflow_unwatch(void);

/*
 * Who may be asked what a fault at this address means; NULL: nobody. If it lies in the guard of the
 * task that runs in this thread, writes a sentence without "pier: " and newline into buf, cut to
 * size and ended by a NUL, and returns true. Called in the handler: async-signal-safe. To be set
 * before anybody watches.
 */
extern bool (*pier__overflow_describe)(const void *address, char *buf, size_t size) PIER_HIDDEN;

#endif
