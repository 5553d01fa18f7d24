/* SPDX-License-Identifier: MIT */
#include "sock/option.h"

#include "base/failure.h"
#include "base/seam.h"
#include "base/trace.h"
#include "sock/table.h"

#include <pier/error.h>
#include <pier/option.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define ROOM_MOST 1024 /* Python's limit */

int pier__getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
    socklen_t said = *length;
    int err = pier__seam->getsockopt(fd, level, name, value, &said);
    if (err < 0) return err;
    /* A few options tell what they have rather than what they wrote (NETLINK_LIST_MEMBERSHIPS). */
    if (said < *length) *length = said;
    return 0;
}

int pier__option_int(const void *value, socklen_t length, int64_t *out)
{
    uint64_t wide;
    switch (length) {
    case 1: *out = *(const uint8_t *)value; return 0; /* the IPv4 options that fit into a byte */
    case sizeof(int): {
        int n;
        memcpy(&n, value, sizeof n);
        *out = n;
        return 0;
    }
    case sizeof wide:
        memcpy(&wide, value, sizeof wide);
        if (wide > INT64_MAX) return PIER_ERANGE;
        *out = (int64_t)wide;
        return 0;
    default: return PIER_EOPTLEN;
    }
}

/* How an option is called in a sentence: by its name, or else by its numbers. */
static const char *call_it(int level, int number, char room[static 32])
{
    const pier_option *option = pier__option_at(level, number);
    if (option) return option->name;
    snprintf(room, 32, "%d/%d", level, number);
    return room;
}

int pier__option_failed(const char *verb, int s, const char *option, int64_t code)
{
    if (code >= 0 || code == s) return (int)code;
    struct pier__failure *failure = pier__failure_begin(verb, code);
    failure->socket = s;
    snprintf(failure->target, sizeof failure->target, "%s on socket %d", option, s);
    return (int)code;
}

static int failed(const char *verb, int s, int level, int name, int code)
{
    char room[32];
    if (code >= 0) return code;
    return pier__option_failed(verb, s, call_it(level, name, room), code);
}

/* The kernel's answer, for a caller that is not inside the socket yet. */
static int get(int s, int level, int name, void *value, socklen_t *length)
{
    struct pier__use use;
    int err = pier__enter(&use, s, PIER__VISITOR);
    if (err < 0) return err;
    err = pier__getsockopt(s, level, name, value, length);
    pier__leave(&use);
    return err;
}

static int set(int s, int level, int name, const void *value, socklen_t length)
{
    struct pier__use use;
    int err = pier__enter(&use, s, PIER__VISITOR);
    if (err < 0) return err;
    err = pier__seam->setsockopt(s, level, name, value, length);
    pier__leave(&use);
    return err;
}

static int get_bytes(int s, int level, int name, void *value, socklen_t *length)
{
    if (s < 0) return pier__passed_on(s);
    if (!value || !length) return -EFAULT;
    if (*length < 1 || *length > ROOM_MOST) return PIER_EOPTLEN;
    return get(s, level, name, value, length);
}

int pier_getsockopt(int s, int level, int name, void *value, socklen_t *length)
{
    pier_time began = pier__trace_begin();
    char room[32];
    int err = failed("getsockopt", s, level, name, get_bytes(s, level, name, value, length));
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, s, err, "getsockopt(%d, %s): %s", s, call_it(level, name, room),
            err < 0 ? "-" : pier__trace_bytes(value, (int64_t)*length));
    return err;
}

int pier_setsockopt(int s, int level, int name, const void *value, socklen_t length)
{
    pier_time began = pier__trace_begin();
    char room[32];
    int err = failed("setsockopt", s, level, name, set(s, level, name, value, length));
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, s, err, "setsockopt(%d, %s, %s, %u)", s, call_it(level, name, room),
            value && length <= ROOM_MOST ? pier__trace_bytes(value, (int64_t)length) : "-",
            (unsigned)length);
    return err;
}

static int get_int(int s, int level, int name, int64_t *out_value)
{
    unsigned char value[sizeof(uint64_t)] = {0};
    socklen_t length = level == AF_VSOCK ? sizeof(uint64_t) : sizeof(int);
    if (s < 0) return pier__passed_on(s);
    if (!out_value) return -EFAULT;
    int err = get(s, level, name, value, &length);
    return err < 0 ? err : pier__option_int(value, length, out_value);
}

int pier_getsockopt_int(int s, int level, int name, int64_t *out_value)
{
    pier_time began = pier__trace_begin();
    char room[32];
    int err = failed("getsockopt", s, level, name, get_int(s, level, name, out_value));
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, s, err, "getsockopt_int(%d, %s): %lld", s,
            call_it(level, name, room), err < 0 ? 0LL : (long long)*out_value);
    return err;
}

static int set_int(int s, int level, int name, int64_t value)
{
    if (s < 0) return pier__passed_on(s);
    if (level == AF_VSOCK) {
        if (value < 0) return PIER_ERANGE;
        const uint64_t wide = (uint64_t)value;
        return set(s, level, name, &wide, sizeof wide);
    }
    if (value < INT_MIN || value > INT_MAX) return PIER_ERANGE;
    const int n = (int)value;
    return set(s, level, name, &n, sizeof n);
}

int pier_setsockopt_int(int s, int level, int name, int64_t value)
{
    pier_time began = pier__trace_begin();
    char room[32];
    int err = failed("setsockopt", s, level, name, set_int(s, level, name, value));
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, s, err, "setsockopt_int(%d, %s, %lld)", s,
            call_it(level, name, room), (long long)value);
    return err;
}
