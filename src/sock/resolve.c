/* SPDX-License-Identifier: MIT */
/* What an address waits for: its host, its service, its interface. */
#include "sock/resolve.h"

#include "base/addr.h"
#include "base/ask.h"
#include "base/bits.h"
#include "base/failure.h"
#include "base/inet.h"
#include "base/seam.h"
#include "base/trace.h"
#include "sock/table.h"

#include <pier/error.h>

#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>

#define SMC_FAMILY 43 /* AF_SMC, which older headers lack */

/* For whom, and until when. */
struct purpose {
    const struct pier__use *use;
    int family, type;
    struct pier__life *life;
    pier_time limit;
    bool passive;
};

static bool is_ip(int family) { return family == AF_INET || family == AF_INET6; }

static int put_interface(pier_addr *addr, const struct pier__use *use)
{
    int index;
    if (use) {
        struct ifreq request = {0};
        size_t length = strnlen(addr->host, IFNAMSIZ);
        if (length == IFNAMSIZ) return -ENODEV;
        memcpy(request.ifr_name, addr->host, length);
        index = pier__seam->ioctl(use->fd, SIOCGIFINDEX, &request);
        if (index >= 0) index = request.ifr_ifindex;
    } else {
        index = pier__seam->if_nametoindex(addr->host);
    }
    return index < 0 ? index : pier__addr_set_interface(addr, (unsigned)index);
}

/* ":80": any address to listen on, this host to talk to. */
static int put_any(pier_addr *addr, int family, bool passive)
{
    struct sockaddr_in inet = {.sin_family = AF_INET};
    struct sockaddr_in6 inet6 = {.sin6_family = AF_INET6};
    if (!passive) {
        inet.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        inet6.sin6_addr = (struct in6_addr)IN6ADDR_LOOPBACK_INIT;
    }
    if (family == AF_INET) return pier__addr_set_host(addr, (struct sockaddr *)&inet);
    return pier__addr_set_host(addr, (struct sockaddr *)&inet6);
}

/* IPv6 text whose scope is the name of an interface; false: it is something else. */
static bool has_named_scope(const char *host, struct sockaddr_in6 *out)
{
    bool named;
    *out = (struct sockaddr_in6){.sin6_family = AF_INET6};
    return strchr(host, '%') &&
           pier__inet6_parse(host, &out->sin6_addr, &out->sin6_scope_id, &named) == 0 && named;
}

static int put_named_scope(pier_addr *addr, struct sockaddr_in6 *scoped)
{
    int index = pier__seam->if_nametoindex(strchr(addr->host, '%') + 1);
    if (index < 0) return index == -ENODEV ? PIER_EAI_NONAME : index;
    scoped->sin6_scope_id = (uint32_t)index;
    return pier__addr_set_host(addr, (struct sockaddr *)scoped);
}

/* Host and service in one question, as far as they are pending. */
static int put_answer(pier_addr *addr, int family, const struct purpose *purpose)
{
    bool host = addr->pending & PIER_ADDR_HOST, service = addr->pending & PIER_ADDR_SERVICE;
    if (!host && !service) return 0;
    /* getaddrinfo(3) knows services for these types; else the first of any type counts. */
    int type = purpose->type == SOCK_STREAM || purpose->type == SOCK_DGRAM ? purpose->type
               : service                                                   ? 0
                                                                           : SOCK_STREAM;
    const struct pier__question question = {.host = host ? addr->host : NULL,
        .service = service ? addr->service : NULL,
        .family = family,
        .type = type};
    pier_addrinfo *list;
    ssize_t n = pier__getaddrinfo(&question, purpose->life, purpose->limit, &list);
    if (n < 0) return (int)n;
    const pier_addr *answer = &list->addr;
    int err = host ? pier__addr_set_host(addr, &answer->sa.any) : 0;
    if (err == 0 && service) err = pier__addr_set_port(addr, ntohs(answer->sa.inet.sin_port));
    pier__seam->release(list);
    return err;
}

/* Which family to ask for; AF_UNSPEC: either. */
static int family_to_ask(const pier_addr *addr, int socket_family)
{
    int family = addr->sa.any.sa_family;
    if (!is_ip(socket_family)) {
        if (is_ip(family) || socket_family == AF_UNSPEC) return family;
        /* These take the addresses of IPv4, and perhaps others. */
        return socket_family == AF_RDS || socket_family == SMC_FAMILY ? AF_INET : PIER_EFAMILY;
    }
    if (family == AF_UNSPEC || family == socket_family) return socket_family;
    return is_ip(family) ? PIER_EAI_ADDRFAMILY : PIER_EFAMILY;
}

static int put_name(pier_addr *addr, const struct purpose *purpose)
{
    int family = family_to_ask(addr, purpose->family);
    if (family < 0) return family;
    struct sockaddr_in6 scoped;
    int err = 0;
    if (addr->pending & PIER_ADDR_ANY)
        err = put_any(addr, family, purpose->passive);
    else if (addr->pending & PIER_ADDR_HOST && has_named_scope(addr->host, &scoped))
        err = put_named_scope(addr, &scoped);
    return err < 0 ? err : put_answer(addr, family, purpose);
}

/* What of the socket the caller did not know. */
static int ask_socket(struct purpose *purpose)
{
    if (!purpose->use) return 0;
    int fd = purpose->use->fd, err = 0;
    if (purpose->family == 0) err = pier__ask_int(fd, SO_DOMAIN, &purpose->family);
    if (err == 0 && purpose->type == 0) err = pier__ask_int(fd, SO_TYPE, &purpose->type);
    return err;
}

int pier__resolve_for(pier_addr *addr, const struct pier__use *use, int family, int type,
    pier_time limit, bool passive)
{
    if (addr->error) return addr->error;
    if (!addr->pending) {
        if (addr->length == 0) return PIER_ENOADDR;
        int own = addr->sa.any.sa_family;
        return is_ip(own) && is_ip(family) && own != family ? PIER_EAI_ADDRFAMILY : 0;
    }
    if (addr->pending & PIER_ADDR_INTERFACE) return put_interface(addr, use);

    struct purpose purpose = {.use = use,
        .family = family,
        .type = type,
        .life = use && use->entry ? &use->entry->life : NULL,
        .limit = limit,
        .passive = passive};
    int err = ask_socket(&purpose);
    if (err < 0) return err;
    pier_addr complete = *addr;
    err = put_name(&complete, &purpose);
    if (err == 0) *addr = complete;
    return err;
}

pier_addr pier_resolve(pier_addr addr, pier_time deadline)
{
    pier_time began = pier__trace_begin();
    pier_addr answer = addr;
    int64_t err = deadline < 0 ? deadline
                               : pier__resolve_for(&answer, /* use= */ NULL, /* family= */ 0,
                                     /* type= */ 0, deadline, /* passive= */ true);
    if (err < 0) {
        pier__failed("resolve", pier_addr_text(addr).text, err);
        pier__addr_fail(&answer, (int)err);
    }
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, -1, err, "resolve(%s)", pier_addr_text(addr).text);
    return answer;
}

int pier__first_address(const char *host, int family, pier_time deadline, pier_addr *out)
{
    struct sockaddr_in inet = {.sin_family = AF_INET};
    if (!*host && family == AF_UNSPEC) return PIER_EMULTIPLE;
    if (strcmp(host, "<broadcast>") == 0) inet.sin_addr.s_addr = htonl(INADDR_BROADCAST);
    if (!*host || inet.sin_addr.s_addr) {
        *out = pier__addr_from_sockaddr((struct sockaddr *)&inet, sizeof inet);
        return 0;
    }
    const struct pier__question question = {.host = host, .family = family, .type = SOCK_STREAM};
    pier_addrinfo *list;
    ssize_t n = pier__getaddrinfo(&question, /* life= */ NULL, deadline, &list);
    if (n < 0) return (int)n;
    *out = list->addr;
    pier__seam->release(list);
    return 0;
}

pier_addr pier_gethostbyname(const char *host, pier_time deadline)
{
    pier_time began = pier__trace_begin();
    pier_addr answer;
    int64_t err = !host          ? -EINVAL
                  : deadline < 0 ? deadline
                                 : pier__first_address(host, AF_INET, deadline, &answer);
    if (pier__failed("resolve", host, err) < 0) pier__addr_fail(&answer, (int)err);
    if (PIER_UNLIKELY(began))
        pier__trace_end(began, -1, err, "gethostbyname(%s)", host ? host : "NULL");
    return answer;
}
