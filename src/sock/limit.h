/* SPDX-License-Identifier: MIT */
#ifndef PIER_SOCK_LIMIT_H
#define PIER_SOCK_LIMIT_H

#include "sock/table.h"

/* The time-out of sockets to come, in ns; PIER_NEVER for none. */
int64_t pier__default_timeout(void);

/*
 * Make the description O_NONBLOCK, or not, with as few system calls as what is known of its
 * mode allows. Returns 0 or a code.
 */
int pier__set_nonblock(struct pier__entry *entry, int fd, bool nonblock);

/* Is the description O_NONBLOCK? 0 or 1, or a code. */
int pier__is_nonblock(struct pier__entry *entry, int fd);

#endif
