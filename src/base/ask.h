/* SPDX-License-Identifier: MIT */
#ifndef PIER_BASE_ASK_H
#define PIER_BASE_ASK_H

/*
 * What the kernel knows of a socket: an option of SOL_SOCKET that is an int (SO_TYPE, SO_ERROR). 0;
 * or a code, and *out is as it was.
 */
int pier__ask_int(int fd, int name, int *out);

#endif
