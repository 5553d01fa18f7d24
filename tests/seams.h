/* SPDX-License-Identifier: MIT */
#ifndef PIER_TESTS_SEAMS_H
#define PIER_TESTS_SEAMS_H

#include "base/seam.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A stand-in for the world: a table of calls that counts each of them, and answers some
 * otherwise than the system would.
 *
 *     seams_install();
 *     seams_fail(recv, 3, -EINTR);         the third recv, once
 *     seams_fail_from(socket, 1, -EMFILE); every socket from the first on
 *     seams_lie(connect, 1, -EINTR);       the first connect is made, and says EINTR all the same
 *     seams_script(accept4, -EPROTO, SEAMS_ASK, -EMFILE);  the first three, one by one
 *     seams_replace(getsockopt, mine);     from now on this function, which counts as a call too
 *     assert_int_equal(seams_calls(poll), 1);
 *
 * It holds for the calling thread and for those that test_thread() and the library make from then on. Calls that are
 * not answered here go to the table that was there before. Counts and rules are shared by all threads; rules are made
 * while no other thread is calling.
 */

/* The slots that are system calls of their own, whatever they do; and the others. */
/* clang-format off */
#define SEAMS_SYSTEM(X) \
    X(socket) X(socketpair) X(bind) X(listen) X(accept4) X(connect) X(shutdown) X(getsockname) \
    X(getpeername) X(getsockopt) X(setsockopt) X(recv) X(recvfrom) X(recvmsg) X(send) X(sendto) \
    X(sendmsg) X(recvmmsg) X(sendmmsg) X(sendfile) X(close) X(poll) X(fcntl) X(ioctl) X(eventfd) \
    X(open) X(read) X(pread) X(write) X(lseek) X(fstat) X(lstat) X(chmod) X(unlink) X(readlink) \
    X(getdents) X(mmap) X(munmap) X(madvise) X(mprotect) X(random) X(signal_mask) X(sigtimedwait) \
    X(sigaction) X(sigaltstack) X(raise) X(getpid)
#define SEAMS_OTHER(X) X(gethostname) X(thread) X(allocate) X(release) X(now)
/* clang-format on */

enum seams_slot {
#define SLOT(name) SEAMS_##name,
    SEAMS_SYSTEM(SLOT) SEAMS_LAST_SYSTEM,
    SEAMS_OTHER(SLOT) SEAMS_COUNT
#undef SLOT
};

/* The table itself, for whoever installs it in a thread of another make. */
extern struct pier__seam seams_table;

/* Begin afresh: no rules, counts at 0. */
void seams_install(void);

/* Back to the table that was there before. */
void seams_remove(void);

/* Set all counts to 0, and let those of the rules begin here; the rules stay. */
void seams_recount(void);

/* How many calls of this slot there were; and of all system calls together. */
#define seams_calls(slot) seams_calls_of(SEAMS_##slot)
long seams_calls_of(enum seams_slot slot);
long seams_system_calls(void);

/* One rule per slot; nth counts from 1, from now. */
#define seams_fail(slot, nth, code)             seams_rule(SEAMS_##slot, nth, 1, code, false)
#define seams_fail_from(slot, nth, code)        seams_rule(SEAMS_##slot, nth, INT64_MAX, code, false)
#define seams_fail_some(slot, nth, count, code) seams_rule(SEAMS_##slot, nth, count, code, false)
#define seams_lie(slot, nth, code)              seams_rule(SEAMS_##slot, nth, 1, code, true)
#define seams_obey(slot)                        seams_rule(SEAMS_##slot, 1, 0, 0, false)
void seams_rule(enum seams_slot slot, long nth, int64_t count, int64_t code, bool after);

/*
 * The first calls from now on are answered by these codes, one each; SEAMS_ASK: the system is
 * asked.
 */
#define SEAMS_ASK INT64_MIN
#define seams_script(slot, ...)                                \
    seams_follow(SEAMS_##slot, (const int64_t[]){__VA_ARGS__}, \
        sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))
void seams_follow(enum seams_slot slot, const int64_t *codes, size_t count);

/* Answer this slot by a function; it may call seams_below()->slot for the real thing. */
#define seams_replace(slot, function) (seams_instead.slot = (function))
extern struct pier__seam seams_instead;

/* The table that was there before. */
const struct pier__seam *seams_below(void);

#endif
