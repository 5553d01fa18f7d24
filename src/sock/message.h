/* SPDX-License-Identifier: MIT */
#ifndef PIER_SOCK_MESSAGE_H
#define PIER_SOCK_MESSAGE_H

#include <pier/message.h>

/* Control messages for the rest of the library; these neither trace nor record a failure. */

/* pier_cmsg_put(). */
int pier__cmsg_put(
    struct msghdr *msg, size_t capacity, int level, int type, const void *data, size_t length);

/*
 * How many descriptors a control message brings, 0 if it is not about any: SCM_RIGHTS, of which
 * only whole ints count, or SCM_PIDFD, which brings one.
 */
size_t pier__cmsg_fd_count(const pier_cmsg *cmsg);

/* pier_cmsg_close_fds(). */
int pier__cmsg_close_fds(struct msghdr *msg);

#endif
