/* SPDX-License-Identifier: MIT */
/* Numbers between host and network order, IP addresses between bytes and text. */
#include "base/failure.h"
#include "base/inet.h"
#include "base/trace.h"
#include "sock/resolve.h"

#include <pier/error.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

int pier_inet_aton(const char *text, struct in_addr *out)
{
    pier_time began = pier__trace_begin();
    int err = text && out ? pier__inet_loose(text, out) : -EINVAL;
    err = (int)pier__failed("read", text, err);
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, -1, err, "inet_aton(%s)", text ? text : "NULL");
    return err;
}

pier_text pier_inet_ntoa(struct in_addr address)
{
    pier_time began = pier__trace_begin();
    pier_text out = {0};
    char text[16];
    pier__inet_print(address, text);
    memcpy(out.text, text, sizeof text);
    if (PIER_UNLIKELY(began)) pier__trace_end(began, -1, 0, "inet_ntoa(%s)", text);
    return out;
}

static int read_address(int family, const char *text, void *out)
{
    struct in6_addr inet6;
    uint32_t scope;
    bool named;
    if (family != AF_INET && family != AF_INET6) return -EAFNOSUPPORT;
    if (!text || !out) return -EINVAL;
    if (family == AF_INET) {
        struct in_addr inet;
        int err = pier__inet_strict(text, &inet);
        if (err == 0) memcpy(out, &inet, sizeof inet);
        return err;
    }
    /* A scope has no place in 16 bytes. */
    if (strchr(text, '%') || pier__inet6_parse(text, &inet6, &scope, &named) < 0)
        return PIER_EIPTEXT;
    memcpy(out, &inet6, sizeof inet6);
    return 0;
}

int pier_inet_pton(int family, const char *text, void *out)
{
    pier_time began = pier__trace_begin();
    int err = (int)pier__failed("read", text, read_address(family, text, out));
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, -1, err, "inet_pton(%d, %s)", family, text ? text : "NULL");
    return err;
}

static ssize_t print_address(int family, const void *packed, size_t length, char *buf, size_t size)
{
    char text[64];
    if (family != AF_INET && family != AF_INET6) return -EAFNOSUPPORT;
    if (!packed || !buf) return -EINVAL;
    if (length != (family == AF_INET ? sizeof(struct in_addr) : sizeof(struct in6_addr)))
        return PIER_EPACKED;
    if (family == AF_INET) {
        struct in_addr inet;
        memcpy(&inet, packed, sizeof inet);
        pier__inet_print(inet, text);
    } else {
        struct in6_addr inet6;
        memcpy(&inet6, packed, sizeof inet6);
        pier__inet6_print(&inet6, /* scope= */ 0, text);
    }
    return pier__give_text(text, buf, size);
}

ssize_t pier_inet_ntop(int family, const void *packed, size_t length, char *buf, size_t size)
{
    pier_time began = pier__trace_begin();
    ssize_t n = pier__failed("print", NULL, print_address(family, packed, length, buf, size));
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, -1, n, "inet_ntop(%d, %zu bytes)", family, length);
    return n;
}

/*
 * What lies in a field of so many bits, its bytes in the network's order or taken out of it; or
 * PIER_ERANGE.
 */
static int64_t turn(const char *name, int64_t number, int bits)
{
    pier_time began = pier__trace_begin();
    int64_t turned = PIER_ERANGE;
    if (number >= 0 && number < INT64_C(1) << bits)
        turned = bits == 16 ? htons((uint16_t)number) : (int64_t)htonl((uint32_t)number);
    if (turned < 0) {
        char target[24];
        snprintf(target, sizeof target, "%lld", (long long)number);
        pier__failed(name, target, turned);
    }
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, -1, turned, "%s(%lld)", name, (long long)number);
    return turned;
}

int pier_htons(int64_t number) { return (int)turn("htons", number, 16); }

int pier_ntohs(int64_t number) { return (int)turn("ntohs", number, 16); }

int64_t pier_htonl(int64_t number) { return turn("htonl", number, 32); }

int64_t pier_ntohl(int64_t number) { return turn("ntohl", number, 32); }
