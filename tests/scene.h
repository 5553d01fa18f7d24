/* SPDX-License-Identifier: MIT */
#ifndef PIER_TESTS_SCENE_H
#define PIER_TESTS_SCENE_H

#include <pier.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* How many times as long a build with sanitizers takes, about. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#    define SLOW 10
#elif defined(__has_feature)
#    if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#        define SLOW 10
#    endif
#endif
#ifndef SLOW
#    define SLOW 1
#endif

/* What most tests of sockets begin with: sockets of every kind, and calls that are under way. */

/* Two connected sockets of pier, by the name of a kind below. */
void scene_pair(const char *kind, int out_pair[2]);

/* Close both. */
void scene_close(const int pair[2]);

/* The kinds of scene_pair(), ended by NULL; with IPv6 only where it works. */
const char *const *scene_kinds(void);

bool scene_is_stream(const char *kind);

/* A listener at 127.0.0.1, and where it is. */
int scene_listener(pier_addr *out_addr);

/* A datagram socket bound to 127.0.0.1, and where. */
int scene_udp(pier_addr *out_addr);

/* A port of 127.0.0.1 on which nobody listens, nor will: the kernel gives it to nobody unasked. */
pier_addr scene_nobody(void);

/*
 * Send until no more goes, and see to it that no more will before the peer has received. Returns
 * how many bytes that was. A TCP socket has next to no buffer of its own afterwards.
 */
size_t scene_fill(int s);

/* Receive what is there. Returns how many bytes that was. */
size_t scene_empty(int s);

/* Wait until so many bytes lie in the kernel, to be received: TCP may take a while to bring them. */
void scene_await_bytes(int s, int count);

/* A connection of `s` is reset by its peer, which is closed. */
void scene_reset(int peer);

/* Is the descriptor O_NONBLOCK? Close-on-exec? Open at all? */
bool scene_nonblock(int fd);
bool scene_cloexec(int fd);
bool scene_open(int fd);

/*
 * A call in a thread of its own, and what it came to. `code`, `moved` and `error` are that thread's
 * pier_error_code(), pier_error_moved() and pier_error() after the call.
 */
struct scene_call {
    int64_t (*run)(void *arg);
    void *arg;
    int64_t result;
    int code;
    size_t moved;
    char error[512];
    pthread_t thread;
    _Atomic int tid;
};

void scene_start(struct scene_call *call, int64_t (*run)(void *arg), void *arg);

/* Wait until the thread sleeps in a system call that waits for a descriptor. */
void scene_await_blocked(struct scene_call *call);

/* Wait for its end and return its result. */
int64_t scene_finish(struct scene_call *call);

/* Send the thread a SIGUSR1, which a handler without SA_RESTART swallows. */
void scene_signal(struct scene_call *call);

/* The handler for SIGUSR1 and SIGALRM: counts. */
void scene_catch_signals(void);
int scene_signals_caught(void);

/*
 * Whether a race goes on, which has had `rounds` since `start`: until it has had `wanted`, on a
 * machine that has no time for it until five seconds have passed, but a hundredth of the rounds it
 * gets in any case.
 */
bool scene_race_goes_on(int rounds, int wanted, pier_time start);

/*
 * Run fn(backend) as the main task of a loop on each backend, by its name; it must return 0. Inside
 * a loop: twice there.
 */
void scene_on_each_backend(int (*fn)(void *backend));

/* SIGALRM every millisecond until it is called with false. */
void scene_signal_storm(bool on);

/* A task: says back what comes on the socket that `s` is, up to its end, and closes it. */
int scene_echo(void *s);

#endif
