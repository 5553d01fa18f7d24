/* SPDX-License-Identifier: MIT */
#ifndef PIER_TESTS_FAULT_H
#define PIER_TESTS_FAULT_H

#include "base/seam.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Two plug-ins of the seam: one that fails the Nth call, and one that makes noise, what a
 * correct caller must not notice. A test installs them by hand, the runner for a whole
 * test by PIER_TEST_FAULT and PIER_TEST_NOISE (see fault_install_by_environment()).
 *
 * They hold for the threads that have pier__seam set to fault_seam, which threads made by the
 * library or by test_thread() inherit.
 */
extern const struct pier__seam fault_seam;

/*
 * From now on the nth fallible call (from 1) fails, and with `onwards` every one after it too. n 0:
 * none; calls are only counted. Memory and descriptors gained and given back through the seam are
 * counted anew.
 */
void fault_begin(long n, bool onwards);

/* How many fallible calls there were since fault_begin(). */
long fault_calls(void);

/* Which slot was the first to fail: "accept4"; NULL if none was. */
const char *fault_victim(void);

/* Blocks of memory gained through the seam and not given back since fault_begin(). */
long fault_blocks(void);

/* Noise, by chance but the same for the same seed. */
enum noise {
    NOISE_SIGNALS = 1,  /* EINTR before calls that wait, and after connect and close */
    NOISE_SPURIOUS = 2, /* EAGAIN from a call although poll said ready */
    NOISE_SHORT = 4,    /* streams move a byte at a time, calls for many messages one */
};

void fault_make_noise(unsigned kinds, unsigned seed);

/*
 * PIER_TEST_FAULT=N or N+ (onwards): as fault_begin(), and at the end the number of calls and the
 * victim are printed. PIER_TEST_NOISE=KINDS:SEED, KINDS some of the letters e, s, 1. Neither set:
 * does nothing.
 */
void fault_install_by_environment(void);

/* What the runner prints for tools/torture.py when PIER_TEST_FAULT is set. */
void fault_report(void);

#endif
