/* SPDX-License-Identifier: MIT */
#ifndef PIER_BASE_FAILURE_H
#define PIER_BASE_FAILURE_H

#include <pier/addr.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The last failure of each thread and of each task: the facts, copied when a call
 * fails, since after a reset the peer's name is gone. The sentence is built, and /proc
 * read, only when pier_error() asks.
 */

#define PIER__ATTEMPTS 8

/* An address as the kernel has it, without the room that a pier_addr keeps for names. */
struct pier__sockaddr {
    socklen_t length; /* 0: none */
    struct sockaddr_storage storage;
};

struct pier__failure {
    int code;         /* 0: nothing has failed yet */
    const char *verb; /* "connect to", "bind", "recv on": a constant */
    int socket;       /* the handle, or negative */
    int type;         /* SOCK_STREAM, SOCK_DGRAM; 0: not known */
    size_t moved;     /* bytes that had moved */
    bool stranger;    /* a negative handle that no failed call returned */
    struct pier__sockaddr local, peer;
    char target[300];       /* the address, host or name as the caller gave it; "" if none */
    unsigned attempt_count; /* all attempts, of which the first PIER__ATTEMPTS are kept */
    struct {
        struct pier__sockaddr to;
        int code; /* 0: it had not ended */
    } attempts[PIER__ATTEMPTS];
};

/*
 * Forget the last failure and begin the record of a new one: verb and code are set, socket
 * is -1, all else is empty and may be filled in. `verb` must be a constant; a preposition at its
 * end ("recv on") is dropped from the sentence when nothing is known that could follow it.
 */
struct pier__failure *pier__failure_begin(const char *verb, int64_t code);

/*
 * Record a failure that concerns no socket, and return its code:
 * `return pier__failed("resolve", host, err)`. -EAGAIN and codes that are not negative are
 * returned without a record. target may be NULL.
 */
int64_t pier__failed(const char *verb, const char *target, int64_t code);

/*
 * A verb was given the negative handle s. Returns s; if no failed call of this thread returned
 * that number (a bare -1, as a rule) it is recorded, as PIER_ENOTHANDLE: "handle -1 did not
 * come from pier".
 */
int pier__passed_on(int s);

/* This strand's record, to look at or to save and restore around work whose failure is no news. */
struct pier__failure *pier__failure(void);

/* A task has ended: free its record. */
struct pier__strand;
void pier__failure_forget(struct pier__strand *strand);

/*
 * Failures of other strands that this one returns as its own result, kept until they are told;
 * NULL: none. `which` says of whom each is.
 */
struct pier__record;

/* Keep a copy of a strand's last failure, if it has this code (and there is memory for it). */
void pier__failure_keep(
    struct pier__record **kept, const struct pier__strand *from, int64_t code, const void *which);

/*
 * It becomes the last failure of the strand that is running, and is kept no more. False: there is
 * none.
 */
bool pier__failure_tell(struct pier__record **kept, const void *which);

/* Nobody will ask for it; `which` NULL: for any of them. */
void pier__failure_drop(struct pier__record **kept, const void *which);

#endif
