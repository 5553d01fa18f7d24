/* SPDX-License-Identifier: MIT */
/* All addresses of a host and a service: getaddrinfo, with or without waiting for it. */
#include "base/addr.h"
#include "base/bits.h"
#include "base/failure.h"
#include "base/inet.h"
#include "base/seam.h"
#include "base/trace.h"
#include "sock/idna.h"
#include "sock/resolve.h"
#include "wait/work.h"

#include <pier/error.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SERVICE_SIZE 256

struct pier__lookup {
    struct pier__work work;
    bool asks; /* somebody else may have to be asked */
    struct addrinfo hints;
    const char *host, *service; /* NULL, or in the room below */
    ssize_t result;             /* how many, or a code */
    pier_addrinfo *list;        /* nobody's yet, or NULL */
    char host_room[PIER__HOST_SIZE];
    char service_room[SERVICE_SIZE];
};

int pier__eai_code(int eai, int system)
{
    if (eai != EAI_SYSTEM) return -10000 + eai;
    return system < 0 ? system : PIER_EAI_FAIL;
}

int pier__ask(struct pier__work *work, struct pier__life *life, pier_time deadline)
{
    int err = pier__work_await(work, life, deadline);
    return err == -EAGAIN ? PIER_EAI_AGAIN : err;
}

bool pier__host_is_literal(const char *host)
{
    struct in_addr inet;
    struct in6_addr inet6;
    uint32_t scope;
    bool named;
    return pier__inet_loose(host, &inet) == 0 ||
           pier__inet6_parse(host, &inet6, &scope, &named) == 0;
}

/*
 * In the resolver's form. What has a colon and is no address is no name either, and not worth
 * asking about.
 */
static int put_host(struct pier__lookup *lookup, const char *host)
{
    if (!*host) return PIER_EAI_NONAME;
    lookup->host = lookup->host_room;
    if (!pier__host_is_literal(host)) {
        if (strchr(host, ':')) return PIER_EAI_NONAME;
        lookup->asks = !(lookup->hints.ai_flags & AI_NUMERICHOST);
        return pier__idna(host, lookup->host_room);
    }
    size_t length = strlen(host); /* 127.0.0.1 may begin with any number of zeros */
    if (length >= sizeof lookup->host_room) return PIER_EHOSTTEXT;
    memcpy(lookup->host_room, host, length + 1);
    return 0;
}

/* glibc reads a port with strtoul(3) and keeps the last 16 bits; so numbers are checked here. */
static int put_service(struct pier__lookup *lookup, const char *service)
{
    static const char digits[] = "0123456789";
    size_t length = strlen(service), signs = strspn(service, "+-");
    lookup->service = lookup->service_room;
    if (length > 0 && service[strspn(service, digits)] == '\0') {
        service += strspn(service, "0");
        if (strlen(service) > 5) return PIER_EPORT;
        unsigned port = 0;
        for (; *service; service++) {
            port = port * 10 + (unsigned)(*service - '0');
        }
        if (port > 65535) return PIER_EPORT;
        snprintf(lookup->service_room, SERVICE_SIZE, "%u", port);
        return 0;
    }
    if (signs > 0 && length > signs && service[signs + strspn(service + signs, digits)] == '\0')
        return PIER_EPORT;
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)service[i] <= ' ') return PIER_EAI_SERVICE;
    }
    if (length >= SERVICE_SIZE) return PIER_EAI_SERVICE;
    memcpy(lookup->service_room, service, length + 1);
    if (length > 0 && !(lookup->hints.ai_flags & AI_NUMERICSERV)) lookup->asks = true;
    return 0;
}

/* One block: the entries, and behind them the official name. */
static ssize_t copy_list(const struct addrinfo *first, pier_addrinfo **out)
{
    size_t count = 0, name_size = first->ai_canonname ? strlen(first->ai_canonname) + 1 : 0;
    for (const struct addrinfo *ai = first; ai; ai = ai->ai_next) {
        count++;
    }
    pier_addrinfo *list = pier__allocate_zeroed(1, count * sizeof *list + name_size);
    if (!list) return -ENOMEM;
    pier_addrinfo *entry = list;
    for (const struct addrinfo *ai = first; ai; ai = ai->ai_next, entry++) {
        entry->family = ai->ai_family;
        entry->type = ai->ai_socktype;
        entry->protocol = ai->ai_protocol;
        entry->canonname = "";
        entry->addr = pier__addr_from_sockaddr(ai->ai_addr, ai->ai_addrlen);
    }
    if (name_size > 0) list->canonname = memcpy(list + count, first->ai_canonname, name_size);
    *out = list;
    return (ssize_t)count;
}

static void run(struct pier__work *work)
{
    struct pier__lookup *lookup = PIER_CONTAINER_OF(work, struct pier__lookup, work);
    struct addrinfo *found = NULL;
    int system;
    int eai =
        pier__seam->getaddrinfo(lookup->host, lookup->service, &lookup->hints, &found, &system);
    if (eai != 0) {
        lookup->result = pier__eai_code(eai, system);
        return;
    }
    lookup->result = found ? copy_list(found, &lookup->list) : PIER_EAI_NONAME;
    if (found) pier__seam->freeaddrinfo(found);
}

static void drop(struct pier__work *work)
{
    struct pier__lookup *lookup = PIER_CONTAINER_OF(work, struct pier__lookup, work);
    pier__seam->release(lookup->list);
    pier__seam->release(lookup);
}

/* Check the question and write it down. A literal's answer is there at once. */
static int prepare(const struct pier__question *q, struct pier__lookup **out)
{
    if (!q->host && !q->service) return PIER_EAI_NONAME;
    struct pier__lookup *lookup = pier__allocate_zeroed(1, sizeof *lookup);
    if (!lookup) return -ENOMEM;
    lookup->work.run = run;
    lookup->work.drop = drop;
    lookup->hints = (struct addrinfo){.ai_family = q->family,
        .ai_socktype = q->type,
        .ai_protocol = q->protocol,
        .ai_flags = q->flags};
    lookup->result = PIER_EAI_AGAIN; /* if it never runs */
    int err = q->service ? put_service(lookup, q->service) : 0;
    if (err == 0 && q->host) err = put_host(lookup, q->host);
    if (err < 0) {
        drop(&lookup->work);
        return err;
    }
    if (!lookup->asks) pier__work_here(&lookup->work);
    *out = lookup;
    return 0;
}

int pier__lookup_start(const struct pier__question *question, struct pier__lookup **out)
{
    struct pier__lookup *lookup;
    int err = prepare(question, &lookup);
    if (err < 0) return err;
    if (lookup->asks) err = pier__work_start(&lookup->work);
    if (err < 0) {
        drop(&lookup->work);
        return err == -EAGAIN ? PIER_EAI_AGAIN : err;
    }
    *out = lookup;
    return 0;
}

bool pier__lookup_done(struct pier__lookup *lookup) { return pier__work_done(&lookup->work); }

ssize_t pier__lookup_take(struct pier__lookup *lookup, pier_addrinfo **out_list)
{
    ssize_t result = lookup->result;
    *out_list = lookup->list;
    lookup->list = NULL;
    drop(&lookup->work);
    return result;
}

void pier__lookup_leave(struct pier__lookup *lookup)
{
    if (lookup) pier__work_leave(&lookup->work);
}

ssize_t pier__getaddrinfo(const struct pier__question *question, struct pier__life *life,
    pier_time deadline, pier_addrinfo **out_list)
{
    struct pier__lookup *lookup;
    *out_list = NULL;
    int err = prepare(question, &lookup);
    if (err < 0) return err;
    if (lookup->asks) err = pier__ask(&lookup->work, life, deadline);
    return err < 0 ? err : pier__lookup_take(lookup, out_list);
}

/* Record what failed: the service if it was the service, else the host. */
static ssize_t failed(const char *host, const char *service, ssize_t code)
{
    bool about_service = code == PIER_EPORT || code == PIER_EAI_SERVICE || !host;
    return pier__failed("resolve", about_service ? service : host, code);
}

static ssize_t look_up(
    const char *host, const char *service, const pier_addrinfo_opts *opts, pier_addrinfo **out_list)
{
    static const pier_addrinfo_opts defaults;
    if (!opts) opts = &defaults;
    if (!out_list) return -EINVAL;
    *out_list = NULL;
    if (!pier__is_zero(opts->reserved, sizeof opts->reserved)) return -EINVAL;
    if (opts->deadline < 0) return opts->deadline;
    const struct pier__question question = {.host = host,
        .service = service,
        .family = opts->family,
        .type = opts->type,
        .protocol = opts->protocol,
        .flags = opts->flags};
    pier_time deadline = opts->deadline ? opts->deadline : PIER_NEVER;
    return pier__getaddrinfo(&question, /* life= */ NULL, deadline, out_list);
}

ssize_t pier_getaddrinfo(
    const char *host, const char *service, const pier_addrinfo_opts *opts, pier_addrinfo **out_list)
{
    pier_time began = pier__trace_begin();
    ssize_t n = failed(host, service, look_up(host, service, opts, out_list));
    if (PIER_UNLIKELY(began))
        pier__trace_end(
            began, -1, n, "getaddrinfo(%s, %s)", host ? host : "NULL", service ? service : "NULL");
    return n;
}

void pier_freeaddrinfo(pier_addrinfo *list) { pier__seam->release(list); }
