/* SPDX-License-Identifier: MIT */
#ifndef PIER_TESTS_SMALL_RING_H
#define PIER_TESTS_SMALL_RING_H

/*
 * A world whose rings are small, and whose kernel takes nothing more when it is told to: what pier
 * does when a ring is full, or more results come than it holds. It stands on the table that was
 * there before, for the calling thread.
 */
void small_ring_install(void);
void small_ring_remove(void);

/* The next so many enters are refused with this code, and hand over nothing. */
void small_ring_refuse(int enters, int code);

/* How many are still to be refused. */
int small_ring_refusals(void);

/* Fill the submissions of this thread's loop: there is no entry left. */
void small_ring_stuff(void);

/*
 * Let more operations of nobody complete than there is room for results: the kernel keeps the rest.
 */
void small_ring_flood(void);

/*
 * End the watch of the loop's own eventfd, as the kernel may: the result that says so lies in the
 * ring.
 */
void small_ring_end_watch(void);

#endif
