/* SPDX-License-Identifier: MIT */
#ifndef PIER_H
#define PIER_H

/**
 * @mainpage Python's socket module for C
 * @copydetails pier
 */
/**
 * @file
 * All of pier.
 *
 * @defgroup pier Python's socket module for C
 * The same names, the same meaning, the same short programs, without the traps that socket
 * code in C has.
 *
 *     int server = pier_socket(AF_INET, SOCK_STREAM, 0);
 *     pier_bind(server, pier_inet("", 12345));
 *     pier_listen(server, 5);
 *     for (;;) {
 *         pier_addr peer;
 *         int client = pier_accept(server, &peer);
 *         if (client < 0) return fprintf(stderr, "%s\n", pier_error()), 1;
 *         printf("Got connection from %s\n", pier_addr_text(peer).text);
 *         pier_sendall(client, "Thank you for connecting", 24, 0);
 *         pier_close(client);
 *     }
 *
 * **Names.** Python's word wherever Python has one, with `pier_` before it; where POSIX has
 * the call too, its arguments come in POSIX's order. Outputs come last, are named `out` or
 * `out_…` and are untouched on failure; only a pier_addr is always written, and carries the
 * code then.
 *
 * **Sockets** are an `int`, the descriptor itself. Who makes one closes it, with
 * pier_close().
 *
 * **Results.** Every call returns its result or a negative code; pier_error() has the
 * sentence, and `errno` means nothing. An error in place of a socket travels on: a call
 * that is given a negative handle returns that very number and does nothing, so a short
 * program may check once, at the end.
 *
 * **Values.** Addresses, texts and points in time are values: copied freely, nothing to
 * free. What a call allocates for the caller has one function to free it, and that takes
 * NULL.
 *
 * **Options** are a struct whose zero means "default"; NULL means all defaults. Its
 * `reserved` tail must be zero, else -EINVAL, so that it can grow.
 *
 * **Waiting.** A call that waits does so until the socket's time-out or deadline, whichever
 * is earlier, and then returns -ETIME. Two things end it before, and each description says
 * after "Cancel:" what then holds: pier_close() of its socket by another thread or task, or
 * the cancel of its task (-ECANCELED), and an interruption hook that says so (-EINTR,
 * pier_sethook()). A call whose description has no "Cancel:" does not wait.
 *
 * **Threads.** Any thread may use any socket, and every description ends with what differs,
 * after "Threads:". The last error belongs to the thread or task, the interruption hook to
 * the thread; the table of sockets, the default time-out and the resolver's pool belong to
 * the process.
 *
 * **Tasks.** Inside pier_run() each call that waits parks its task, and others run. Nothing
 * else about it changes, but that a socket without a time-out waits even if its descriptor
 * is O_NONBLOCK, and that the loop asks the interruption hook.
 *
 * **What is left alone.** pier installs no signal handler, changes no signal's disposition,
 * never exits, and prints nothing unless PIER_TRACE asks for it. After fork(2) the child
 * may go on with every socket, as with any descriptor.
 *
 * **See it run.** `PIER_TRACE=1 ./program` prints each call of pier on stderr,
 * `PIER_TRACE=FILE` appends it to a file:
 *
 *     pier[812.1] connect(3, 127.0.0.1:12345) = 0  0.000094 s
 *     pier[812.1] recv(3, "Thank you for connecting", 1024, 0) = 24  127.0.0.1:12345  0.000107 s
 *
 * The parts, of which each header stands alone:
 *
 *     pier/error.h     codes and sentences
 *     pier/time.h      points in time, deadlines
 *     pier/addr.h      addresses of every family, and their text
 *     pier/socket.h    connect, accept, send, receive, time-outs
 *     pier/message.h   descriptors and other control data beside the bytes
 *     pier/option.h    socket options
 *     pier/resolve.h   names of hosts, services, interfaces
 *     pier/net.h       dial, serve, read lines, stdio
 *     pier/task.h      light tasks
 *     pier/loop.h      light tasks in a loop of GLib's, libuv's or another
 *     pier/sync.h      events, locks, queues; waiting for any of several
 *     pier/version.h   which pier this is
 */

#include <pier/addr.h>
#include <pier/error.h>
#include <pier/loop.h>
#include <pier/message.h>
#include <pier/net.h>
#include <pier/option.h>
#include <pier/resolve.h>
#include <pier/socket.h>
#include <pier/sync.h>
#include <pier/task.h>
#include <pier/time.h>
#include <pier/version.h>

#endif
