/* SPDX-License-Identifier: MIT */
#ifndef PIER_H
#define PIER_H

/**
 * @file
 * @mainpage
 * pier is Python's `socket` module for C: the same names, the same meaning, the same short programs, without
 * the traps that socket code in C has.
 *
 * **Conventions.** Python's word wherever Python has one, with `pier_` before it; where POSIX has the call too, its arguments
 * come in POSIX's order. A socket is an `int`, the descriptor itself. Every call returns its result or a negative code;
 * `pier_error()` has the sentence, `errno` means nothing. An error in place of a socket travels on, so a short program may check once. Outputs come last, are named `out_…`
 * and are untouched on failure; a `pier_addr` is always written, and carries the code. Options are a struct whose zero means "default", NULL means all defaults, and its reserved tail must be zero.
 *
 * **Ownership.** Who makes a socket closes it, with pier_close(). Addresses and texts are values: nothing to free. What a call allocates for the
 * caller has one function to free it, and that takes NULL.
 *
 * **Threads.** Any thread may use any socket. The last error belongs to the thread. pier installs no signal handler, changes no signal's disposition, and never exits.
 *
 * **See it run.** `PIER_TRACE=1 ./program` prints every pier call on stderr, `PIER_TRACE=FILE` into a file.
 *
 * | header             | what                                                      |
 * |--------------------|-----------------------------------------------------------|
 * | <pier/error.h>     | codes and sentences                                       |
 * | <pier/time.h>      | points in time, deadlines                                 |
 * | <pier/addr.h>      | addresses of every family, and their text                 |
 * | <pier/socket.h>    | sockets: connect, accept, send, receive, time-outs        |
 * | <pier/message.h>   | descriptors and other control data beside the bytes       |
 * | <pier/option.h>    | socket options                                            |
 * | <pier/resolve.h>   | names of hosts, services, interfaces                      |
 * | <pier/net.h>       | dial, serve, read lines, stdio                            |
 * | <pier/version.h>   | which pier this is                                        |
 */

#include <pier/addr.h>
#include <pier/error.h>
#include <pier/message.h>
#include <pier/net.h>
#include <pier/option.h>
#include <pier/resolve.h>
#include <pier/socket.h>
#include <pier/time.h>
#include <pier/version.h>

#endif
