/* SPDX-License-Identifier: MIT */
#ifndef PIER_WAIT_ACCEPTING_H
#define PIER_WAIT_ACCEPTING_H

#include "wait/backend.h"
#include "wait/op.h"

#include <stdbool.h>

/*
 * Accepting one connection after the other while the task that began it waits for something else,
 * which io_uring can. The description must not be O_NONBLOCK, and no seam plugged that must see the
 * call.
 */
struct pier__accepting {
    struct pier__op op;
    struct pier__pending pending;
    bool runs, ends;

    /*
     * Called by the loop, outside of any task: a descriptor, or a code, with which it has ended. It
     * may have ended with a descriptor, too.
     */
    void (*told)(struct pier__accepting *accepting, int64_t result);
};

/*
 * Begin, in a task; until it has ended, it stays where it is. many: until cancelled, else one
 * connection. With flags as accept4(2). False, and nothing is told: that is not to be had here. The
 * kernel tells -EAGAIN if the description is O_NONBLOCK.
 */
bool pier__accepting_begin(
    struct pier__accepting *accepting, struct pier__life *life, int fd, int flags, bool many);

/* Make it end soon. Inside told(), too. */
void pier__accepting_cancel(struct pier__accepting *accepting);

#endif
