/* SPDX-License-Identifier: MIT */
/* The older calls of the resolver, which tell a host's aliases too. */
#include "base/addr.h"
#include "base/bits.h"
#include "base/failure.h"
#include "base/seam.h"
#include "base/trace.h"
#include "sock/idna.h"
#include "sock/resolve.h"
#include "wait/work.h"

#include <pier/error.h>

#include <errno.h>
#include <netdb.h>
#include <string.h>

/*
 * glibc packs all names and addresses of a host into one buffer, and says ERANGE if it is too
 * small.
 */
#define FIRST_ROOM 2048
#define LAST_ROOM  (1U << 20)

struct search {
    struct pier__work work;
    char name[PIER__HOST_SIZE]; /* asked by name, if it is not "" */
    pier_addr addr;             /* else by address */
    int result;
    pier_hostent *found; /* nobody's yet, or NULL */
};

static int ask(const struct search *search, char *room, size_t size, struct hostent *host,
    struct hostent **found, int *herr)
{
    if (search->name[0])
        return pier__seam->gethostbyname(search->name, AF_INET, host, room, size, found, herr);
    const pier_addr *a = &search->addr;
    if (a->sa.any.sa_family == AF_INET)
        return pier__seam->gethostbyaddr(&a->sa.inet.sin_addr, sizeof a->sa.inet.sin_addr, AF_INET,
            host, room, size, found, herr);
    return pier__seam->gethostbyaddr(&a->sa.inet6.sin6_addr, sizeof a->sa.inet6.sin6_addr, AF_INET6,
        host, room, size, found, herr);
}

/* Copies text to *room, and moves it on. */
static const char *put_text(char **room, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = memcpy(*room, text, size);
    *room += size;
    return copy;
}

static pier_addr address_of(const struct hostent *host, const void *bytes)
{
    struct sockaddr_in inet = {.sin_family = AF_INET};
    struct sockaddr_in6 inet6 = {.sin6_family = AF_INET6};
    if (host->h_addrtype == AF_INET) {
        memcpy(&inet.sin_addr, bytes, sizeof inet.sin_addr);
        return pier__addr_from_sockaddr((struct sockaddr *)&inet, sizeof inet);
    }
    memcpy(&inet6.sin6_addr, bytes, sizeof inet6.sin6_addr);
    return pier__addr_from_sockaddr((struct sockaddr *)&inet6, sizeof inet6);
}

static size_t list_length(char *const *list)
{
    size_t n = 0;
    while (list && list[n]) {
        n++;
    }
    return n;
}

/* One block: the struct, the addresses, the list of aliases, all text. */
static pier_hostent *copy_host(const struct hostent *host)
{
    size_t aliases = list_length(host->h_aliases), addrs = list_length(host->h_addr_list);
    size_t text = strlen(host->h_name) + 1;
    for (size_t i = 0; i < aliases; i++) {
        text += strlen(host->h_aliases[i]) + 1;
    }
    struct block {
        pier_hostent head;
        pier_addr addrs[];
    };
    struct block *block = pier__allocate_zeroed(
        1, sizeof *block + addrs * sizeof(pier_addr) + (aliases + 1) * sizeof(char *) + text);
    if (!block) return NULL;
    const char **alias = (const char **)(void *)(block->addrs + addrs);
    char *room = (char *)(alias + aliases + 1);
    block->head = (pier_hostent){.name = put_text(&room, host->h_name),
        .aliases = alias,
        .addrs = block->addrs,
        .addr_count = addrs};
    for (size_t i = 0; i < aliases; i++) {
        alias[i] = put_text(&room, host->h_aliases[i]);
    }
    for (size_t i = 0; i < addrs; i++) {
        block->addrs[i] = address_of(host, host->h_addr_list[i]);
    }
    return &block->head;
}

/* What it means that nothing was found: -errno from the call, and h_errno. */
static int code_of(int err, int herr)
{
    if (herr > 0) return -11000 - herr;
    if (err == -EAGAIN) return PIER_H_TRY_AGAIN;
    return err < 0 ? err : PIER_H_NO_RECOVERY;
}

static void run(struct pier__work *work)
{
    struct search *search = PIER_CONTAINER_OF(work, struct search, work);
    struct hostent host, *found = NULL;
    char *room = NULL;
    int err = -ERANGE, herr = 0;
    for (size_t size = FIRST_ROOM; err == -ERANGE && size <= LAST_ROOM; size *= 2) {
        char *more = pier__seam->allocate(room, size);
        if (!more) {
            err = -ENOMEM;
            herr = 0;
            break;
        }
        room = more;
        err = ask(search, room, size, &host, &found, &herr);
    }
    if (err == 0 && found) {
        search->found = copy_host(found);
        search->result = search->found ? 0 : -ENOMEM;
    } else {
        search->result = code_of(err, herr);
    }
    pier__seam->release(room);
}

static void drop(struct pier__work *work)
{
    struct search *search = PIER_CONTAINER_OF(work, struct search, work);
    pier__seam->release(search->found);
    pier__seam->release(search);
}

/* Ask by name (not NULL), or by address. */
static int look_up(const char *name, const pier_addr *addr, pier_time deadline, pier_hostent **out)
{
    struct search *search = pier__allocate_zeroed(1, sizeof *search);
    if (!search) return -ENOMEM;
    search->work.run = run;
    search->work.drop = drop;
    search->result = PIER_H_TRY_AGAIN; /* if it never runs */
    search->addr = *addr;
    if (name) memcpy(search->name, name, strlen(name) + 1);
    if (name && pier__host_is_literal(name)) {
        pier__work_here(&search->work);
    } else {
        int err = pier__ask(&search->work, /* life= */ NULL, deadline);
        if (err < 0) return err;
    }
    int err = search->result;
    *out = search->found;
    search->found = NULL;
    drop(&search->work);
    return err;
}

/* As in CPython, a name that has no address is the resolver's failure, an EAI_*, in both calls. */
static int64_t by_name(const char *host, pier_time deadline, pier_hostent **out)
{
    char name[PIER__HOST_SIZE];
    pier_addr first;
    if (!out) return -EINVAL;
    *out = NULL;
    if (!host) return -EINVAL;
    if (deadline < 0) return deadline;
    int err = pier__first_address(host, AF_INET, deadline, &first);
    if (err < 0) return err;
    if (!*host) return PIER_H_NO_RECOVERY; /* the any address is no host */
    err = pier__idna(host, name);
    return err < 0 ? err : look_up(name, &first, deadline, out);
}

int64_t pier__gethostbyaddr(const char *address, pier_time deadline, pier_hostent **out)
{
    pier_addr addr;
    if (!out) return -EINVAL;
    *out = NULL;
    if (!address) return -EINVAL;
    if (deadline < 0) return deadline;
    int err = pier__first_address(address, AF_UNSPEC, deadline, &addr);
    return err < 0 ? err : look_up(/* name= */ NULL, &addr, deadline, out);
}

int pier_gethostbyname_ex(const char *host, pier_time deadline, pier_hostent **out)
{
    pier_time began = pier__trace_begin();
    int64_t err = pier__failed("resolve", host, by_name(host, deadline, out));
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, -1, err, "gethostbyname_ex(%s)", host ? host : "NULL");
    return (int)err;
}

int pier_gethostbyaddr(const char *address, pier_time deadline, pier_hostent **out)
{
    pier_time began = pier__trace_begin();
    int64_t err = pier__failed("resolve", address, pier__gethostbyaddr(address, deadline, out));
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, -1, err, "gethostbyaddr(%s)", address ? address : "NULL");
    return (int)err;
}

void pier_freehostent(pier_hostent *host) { pier__seam->release(host); }
