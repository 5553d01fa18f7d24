/* SPDX-License-Identifier: MIT */
/* Services and protocols: what /etc/services and /etc/protocols say, by way of NSS. */
#include "base/bits.h"
#include "base/failure.h"
#include "base/seam.h"
#include "base/trace.h"
#include "sock/resolve.h"

#include <pier/error.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

/* An entry of these files, with its aliases, must fit. */
#define FIRST_ROOM 1024
#define LAST_ROOM  (1U << 18)

/* One of three questions, and room for the answer. */
struct search {
    int (*ask)(struct search *search);
    const char *name, *protocol;
    int port;
    char *room;
    size_t size;
    union {
        struct servent service;
        struct protoent protocol;
    } entry;
    bool found;
};

static int ask_service(struct search *s)
{
    struct servent *found = NULL;
    int err = pier__seam->getservbyname(
        s->name, s->protocol, &s->entry.service, s->room, s->size, &found);
    s->found = found;
    return err;
}

static int ask_port(struct search *s)
{
    struct servent *found = NULL;
    int err = pier__seam->getservbyport(
        htons((uint16_t)s->port), s->protocol, &s->entry.service, s->room, s->size, &found);
    s->found = found;
    return err;
}

static int ask_protocol(struct search *s)
{
    struct protoent *found = NULL;
    int err = pier__seam->getprotobyname(s->name, &s->entry.protocol, s->room, s->size, &found);
    s->found = found;
    return err;
}

/* Ask with more and more room. 0, and search->room is the caller's to release; or a code. */
static int look_up(struct search *search, int none)
{
    int err = -ERANGE;
    search->room = NULL;
    for (search->size = FIRST_ROOM; err == -ERANGE && search->size <= LAST_ROOM;
         search->size *= 2) {
        char *more = pier__seam->allocate(search->room, search->size);
        if (!more) {
            err = -ENOMEM;
            break;
        }
        search->room = more;
        err = search->ask(search);
    }
    if (err == 0 && search->found) return 0;
    pier__seam->release(search->room);
    /* An empty or missing file is -ENOENT to some NSS modules, and no answer to others. */
    return err == 0 || err == -ENOENT ? none : err;
}

int pier_getservbyname(const char *name, const char *protocol)
{
    pier_time began = pier__trace_begin();
    struct search search = {.ask = ask_service, .name = name, .protocol = protocol};
    int port = name ? look_up(&search, PIER_ENOSERVICE) : -EINVAL;
    if (port == 0) {
        port = ntohs((uint16_t)search.entry.service.s_port);
        pier__seam->release(search.room);
    }
    port = (int)pier__failed("resolve", name, port);
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, -1, port, "getservbyname(%s, %s)", name ? name : "NULL",
            protocol ? protocol : "NULL");
    return port;
}

static ssize_t service_of(int port, const char *protocol, char *buf, size_t size)
{
    struct search search = {.ask = ask_port, .protocol = protocol, .port = port};
    if (!buf) return -EINVAL;
    if (port < 0 || port > 65535) return PIER_EPORT;
    int err = look_up(&search, PIER_ENOSERVICE);
    if (err < 0) return err;
    ssize_t n = pier__give_text(search.entry.service.s_name, buf, size);
    pier__seam->release(search.room);
    return n;
}

ssize_t pier_getservbyport(int port, const char *protocol, char *buf, size_t size)
{
    pier_time began = pier__trace_begin();
    char target[16];
    snprintf(target, sizeof target, "port %d", port);
    ssize_t n = pier__failed("resolve", target, service_of(port, protocol, buf, size));
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, -1, n, "getservbyport(%d, %s)", port, protocol ? protocol : "NULL");
    return n;
}

int pier_getprotobyname(const char *name)
{
    pier_time began = pier__trace_begin();
    struct search search = {.ask = ask_protocol, .name = name};
    int number = name ? look_up(&search, PIER_ENOPROTOCOL) : -EINVAL;
    if (number == 0) {
        number = search.entry.protocol.p_proto;
        pier__seam->release(search.room);
    }
    number = (int)pier__failed("resolve", name, number);
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, -1, number, "getprotobyname(%s)", name ? name : "NULL");
    return number;
}
