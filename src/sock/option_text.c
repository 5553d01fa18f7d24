/* SPDX-License-Identifier: MIT */
#include "base/seam.h"
#include "base/trace.h"
#include "sock/option.h"
#include "sock/table.h"

#include <pier/error.h>
#include <pier/option.h>

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>

/* Options as text, as a person types them and a configuration file holds them. */

#define ROOM 1024

/* An option's bytes, aligned for whatever they are. */
union value {
    int number;
    unsigned bits;
    uint64_t wide;
    struct linger linger;
    struct timeval time;
    struct in_addr ipv4;
    char bytes[ROOM];
};

/*
 * The multicast options of RFC 3678 have the same numbers for both families: the socket's own
 * counts.
 */
static int level_for(const struct pier__use *use, const pier_option *option)
{
    bool both = option->level == IPPROTO_IP && option->number >= MCAST_JOIN_GROUP &&
                option->number <= MCAST_MSFILTER;
    if (!both) return option->level;
    int family = use->entry ? use->entry->family : AF_UNSPEC;
    socklen_t length = sizeof family;
    if (!use->entry) (void)pier__getsockopt(use->fd, SOL_SOCKET, SO_DOMAIN, &family, &length);
    return family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
}

/* These two hold the interface's number in network byte order. */
static bool is_swapped(const pier_option *option)
{
    return (option->level == IPPROTO_IP && option->number == IP_UNICAST_IF) ||
           (option->level == IPPROTO_IPV6 && option->number == IPV6_UNICAST_IF);
}

/* How many bytes to ask the kernel for. */
static socklen_t room_for(const pier_option *option)
{
    switch (option->type) {
    case PIER_OPTION_BOOL:
    case PIER_OPTION_INT:
    case PIER_OPTION_UINT:
    case PIER_OPTION_INTERFACE: return sizeof(int);
    case PIER_OPTION_UINT64: return sizeof(uint64_t);
    case PIER_OPTION_LINGER: return sizeof(struct linger);
    case PIER_OPTION_TIMEVAL: return sizeof(struct timeval);
    case PIER_OPTION_IPV4: return sizeof(struct in_addr);
    case PIER_OPTION_TEXT:
    case PIER_OPTION_BYTES: break;
    }
    return ROOM;
}

/* Text of a known length into the caller's buffer, whole or not at all. */
static ssize_t deliver(char *buf, size_t size, const char *text, size_t length)
{
    if (length >= size) return -ENOSPC;
    memcpy(buf, text, length);
    buf[length] = '\0';
    return (ssize_t)length;
}

static ssize_t print_bytes(char *buf, size_t size, const char *bytes, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    if (2 * n >= size) return -ENOSPC;
    for (size_t i = 0; i < n; i++) {
        buf[2 * i] = digits[(unsigned char)bytes[i] >> 4];
        buf[2 * i + 1] = digits[(unsigned char)bytes[i] & 0xf];
    }
    buf[2 * n] = '\0';
    return (ssize_t)(2 * n);
}

/* "30", "0.5": as many decimals as it takes. */
static int print_time(char *text, size_t size, const struct timeval *t)
{
    int n = snprintf(text, size, "%lld.%06ld", (long long)t->tv_sec, (long)t->tv_usec);
    while (text[n - 1] == '0')
        n--;
    if (text[n - 1] == '.') n--;
    return n;
}

static ssize_t print_number(
    const pier_option *option, const union value *v, socklen_t length, char *buf, size_t size)
{
    char text[32];
    int64_t n = 0;
    if (option->type == PIER_OPTION_UINT64 && length == sizeof v->wide)
        return deliver(buf, size, text,
            (size_t)snprintf(text, sizeof text, "%llu", (unsigned long long)v->wide));
    int err = pier__option_int(v, length, &n);
    if (err < 0) return err;
    if (option->type == PIER_OPTION_UINT && length == sizeof v->bits) n = v->bits;
    if (is_swapped(option)) n = ntohl(v->bits);
    return deliver(buf, size, text, (size_t)snprintf(text, sizeof text, "%lld", (long long)n));
}

/* The option's value, of which the kernel gave `length` bytes, as text. */
static ssize_t print(
    const pier_option *option, const union value *v, socklen_t length, char *buf, size_t size)
{
    char text[64];
    int n = 0;
    switch (option->type) {
    case PIER_OPTION_TEXT: return deliver(buf, size, v->bytes, strnlen(v->bytes, length));
    case PIER_OPTION_BYTES: return print_bytes(buf, size, v->bytes, length);
    case PIER_OPTION_LINGER:
        if (length != sizeof v->linger) return PIER_EOPTLEN;
        n = v->linger.l_onoff ? snprintf(text, sizeof text, "%d", v->linger.l_linger)
                              : snprintf(text, sizeof text, "off");
        return deliver(buf, size, text, (size_t)n);
    case PIER_OPTION_TIMEVAL:
        if (length != sizeof v->time) return PIER_EOPTLEN;
        return deliver(buf, size, text, (size_t)print_time(text, sizeof text, &v->time));
    case PIER_OPTION_IPV4:
        if (length != sizeof v->ipv4) return PIER_EOPTLEN;
        if (!inet_ntop(AF_INET, &v->ipv4, text, sizeof text)) return -ENOSPC;
        return deliver(buf, size, text, strlen(text));
    default: return print_number(option, v, length, buf, size);
    }
}

static ssize_t get_text(int s, const char *name, char *buf, size_t size)
{
    struct pier__use use;
    int err = pier__enter(&use, s, PIER__VISITOR);
    if (err < 0) return err;
    const pier_option *option = pier_option_find(name);
    union value value = {.bytes = {0}};
    ssize_t n = option ? buf ? 0 : -EFAULT : PIER_ENOOPT;
    if (n == 0) {
        socklen_t length = room_for(option);
        n = pier__getsockopt(s, level_for(&use, option), option->number, &value, &length);
        if (n == 0) n = print(option, &value, length, buf, size);
    }
    pier__leave(&use);
    return n;
}

ssize_t pier_getsockopt_text(int s, const char *name, char *buf, size_t size)
{
    pier_time began = pier__trace_begin();
    const char *called = name ? name : "NULL";
    ssize_t n = get_text(s, name, buf, size);
    pier__option_failed("getsockopt", s, called, n);
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, s, n, "getsockopt_text(%d, %s): %s", s, called, n < 0 ? "-" : buf);
    return n;
}

/* The value of a hexadecimal digit; 16 or more if it is none. */
static unsigned digit(char c)
{
    if (c >= '0' && c <= '9') return (unsigned)(c - '0');
    if (c >= 'a' && c <= 'f') return (unsigned)(c - 'a' + 10);
    if (c >= 'A' && c <= 'F') return (unsigned)(c - 'A' + 10);
    return 16;
}

/* A number, decimal or 0x..., and nothing else. */
static int parse_magnitude(const char *text, uint64_t *out)
{
    unsigned base = 10;
    uint64_t n = 0;
    bool too_large = false;
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        base = 16;
        text += 2;
    }
    if (*text == '\0') return -EINVAL;
    for (; *text; text++) {
        unsigned d = digit(*text);
        if (d >= base) return -EINVAL;
        too_large |= __builtin_mul_overflow(n, base, &n) || __builtin_add_overflow(n, d, &n);
    }
    *out = n;
    return too_large ? PIER_ERANGE : 0;
}

/* A number from `least` to `most`. */
static int parse_number(const char *text, int64_t least, int64_t most, int64_t *out)
{
    uint64_t magnitude;
    bool negative = *text == '-';
    int err = parse_magnitude(text + negative, &magnitude);
    if (err < 0) return err;
    if (magnitude > INT64_MAX) return PIER_ERANGE;
    *out = negative ? -(int64_t)magnitude : (int64_t)magnitude;
    return *out < least || *out > most ? PIER_ERANGE : 0;
}

static int parse_bool(const char *text, int *out)
{
    bool on = strcmp(text, "1") == 0 || strcmp(text, "on") == 0;
    if (!on && strcmp(text, "0") != 0 && strcmp(text, "off") != 0) return -EINVAL;
    *out = on;
    return 0;
}

static int parse_linger(const char *text, struct linger *out)
{
    int64_t seconds = 0;
    bool off = strcmp(text, "off") == 0;
    int err = off ? 0 : parse_number(text, 0, INT_MAX, &seconds);
    *out = (struct linger){.l_onoff = !off, .l_linger = (int)seconds};
    return err;
}

/*
 * Seconds with decimals. What is finer than a microsecond is rounded up, since no time-out is
 * early.
 */
static int parse_time(const char *text, struct timeval *out)
{
    int64_t seconds = 0, fraction = 0, unit = 1000000;
    bool any = false, finer = false, negative = *text == '-', too_large = false;
    for (text += negative; *text >= '0' && *text <= '9'; text++, any = true) {
        too_large |= __builtin_mul_overflow(seconds, 10, &seconds) ||
                     __builtin_add_overflow(seconds, *text - '0', &seconds);
    }
    if (*text == '.') text++;
    for (; *text >= '0' && *text <= '9'; text++, any = true) {
        unit /= 10;
        fraction += unit * (*text - '0');
        finer |= unit == 0 && *text != '0';
    }
    if (!any || *text) return -EINVAL;
    fraction += finer;
    if (fraction == 1000000) {
        too_large |= __builtin_add_overflow(seconds, 1, &seconds);
        fraction = 0;
    }
    if (negative && (seconds || fraction)) return PIER_ERANGE;
    *out = (struct timeval){.tv_sec = (time_t)seconds, .tv_usec = (suseconds_t)fraction};
    return too_large || out->tv_sec != seconds ? PIER_ERANGE : 0;
}

/* An interface by its number or its name. */
static int parse_interface(const pier_option *option, const char *text, int *out)
{
    int64_t n = 0;
    int err = parse_number(text, 0, INT_MAX, &n);
    if (err == -EINVAL) {
        if (strlen(text) >= IF_NAMESIZE) return PIER_EIFNAMELEN;
        n = pier__seam->if_nametoindex(text);
        err = n == -ENODEV || n == -ENXIO ? PIER_ENOINTERFACE : n < 0 ? (int)n : 0;
    }
    *out = is_swapped(option) ? (int)htonl((uint32_t)n) : (int)n;
    return err;
}

/* All types of a fixed length. */
static int parse(const pier_option *option, const char *text, union value *out)
{
    int64_t n = 0;
    int err;
    switch (option->type) {
    case PIER_OPTION_BOOL: return parse_bool(text, &out->number);
    case PIER_OPTION_UINT64: return parse_magnitude(text, &out->wide);
    case PIER_OPTION_LINGER: return parse_linger(text, &out->linger);
    case PIER_OPTION_TIMEVAL: return parse_time(text, &out->time);
    case PIER_OPTION_INTERFACE: return parse_interface(option, text, &out->number);
    case PIER_OPTION_IPV4: return inet_pton(AF_INET, text, &out->ipv4) == 1 ? 0 : -EINVAL;
    case PIER_OPTION_UINT:
        err = parse_number(text, 0, UINT_MAX, &n);
        out->bits = (unsigned)n;
        return err;
    default:
        err = parse_number(text, INT_MIN, INT_MAX, &n);
        out->number = (int)n;
        return err;
    }
}

static int set_bytes(int s, int level, const pier_option *option, const char *text)
{
    size_t n = strlen(text) / 2;
    if (strlen(text) % 2) return -EINVAL;
    for (const char *c = text; *c; c++)
        if (digit(*c) > 15) return -EINVAL;
    if (n > INT_MAX) return PIER_EOPTLEN;
    unsigned char *bytes = pier__seam->allocate(NULL, n ? n : 1);
    if (!bytes) return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        bytes[i] = (unsigned char)(digit(text[2 * i]) << 4 | digit(text[2 * i + 1]));
    }
    int err = pier__seam->setsockopt(s, level, option->number, bytes, (socklen_t)n);
    pier__seam->release(bytes);
    return err;
}

static int set_option(const struct pier__use *use, const pier_option *option, const char *text)
{
    int level = level_for(use, option);
    if (option->type == PIER_OPTION_BYTES) return set_bytes(use->fd, level, option, text);
    if (option->type == PIER_OPTION_TEXT) {
        /* The kernel would cut an interface's name, and take another one's. */
        bool device = option->level == SOL_SOCKET && option->number == SO_BINDTODEVICE;
        size_t n = strlen(text);
        if (n > INT_MAX) return PIER_EOPTLEN;
        if (device && n >= IF_NAMESIZE) return PIER_EIFNAMELEN;
        return pier__seam->setsockopt(use->fd, level, option->number, text, (socklen_t)n);
    }
    union value value;
    int err = parse(option, text, &value);
    if (err < 0) return err;
    return pier__seam->setsockopt(use->fd, level, option->number, &value, room_for(option));
}

static int set_text(int s, const char *name, const char *text)
{
    struct pier__use use;
    int err = pier__enter(&use, s, PIER__VISITOR);
    if (err < 0) return err;
    const pier_option *option = pier_option_find(name);
    if (!option)
        err = PIER_ENOOPT;
    else
        err = text ? set_option(&use, option, text) : -EFAULT;
    pier__leave(&use);
    return err;
}

int pier_setsockopt_text(int s, const char *name, const char *text)
{
    pier_time began = pier__trace_begin();
    const char *called = name ? name : "NULL";
    int err = pier__option_failed("setsockopt", s, called, set_text(s, name, text));
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, s, err, "setsockopt_text(%d, %s, %s)", s, called,
            text ? pier__trace_bytes(text, (int64_t)strlen(text)) : "NULL");
    return err;
}
