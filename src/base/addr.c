/* SPDX-License-Identifier: MIT */
/* The value pier_addr: IP, Unix and vsock addresses, and what holds for every family. */
#include "base/addr.h"

#include "base/inet.h"

#include <pier/error.h>

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <linux/qrtr.h>
#include <linux/vm_sockets.h>
#include <string.h>

_Static_assert(offsetof(struct sockaddr_in, sin_port) == offsetof(struct sockaddr_in6, sin6_port),
    "the port of an AF_UNSPEC address is kept where both families have it");
_Static_assert(sizeof(struct sockaddr_un) <= sizeof(struct sockaddr_storage), "a path fits");

#define PATH_AT   offsetof(struct sockaddr_un, sun_path)
#define PATH_SIZE sizeof(((struct sockaddr_un *)0)->sun_path)

/* RFC 2133's sockaddr_in6, which the kernel still takes, ends before the scope. */
#define INET6_MIN offsetof(struct sockaddr_in6, sin6_scope_id)

/* Not "= {0}", which need not clear a union beyond its first member. */
static void clear(pier_addr *a) { memset(a, 0, sizeof *a); }

void pier__addr_fail(pier_addr *out, int code)
{
    if (!out) return;
    clear(out);
    out->error = code;
}

pier_addr pier_addr_failed(int error)
{
    pier_addr a;
    pier__addr_fail(&a, error < 0 ? error : -EINVAL);
    return a;
}

pier_addr pier__addr_from_bytes(const void *sa, size_t size)
{
    pier_addr a;
    clear(&a);
    memcpy(&a.sa, sa, size);
    a.length = (socklen_t)size;
    return a;
}

/* IP addresses. */

static int put_inet(pier_addr *a, struct in_addr address)
{
    if (a->sa.any.sa_family == AF_INET6) return PIER_EAI_ADDRFAMILY;
    a->sa.inet.sin_family = AF_INET;
    a->sa.inet.sin_addr = address;
    return 0;
}

static int put_inet6(pier_addr *a, const char *text)
{
    struct in6_addr address;
    uint32_t scope;
    bool named;
    int err = pier__inet6_parse(text, &address, &scope, &named);
    if (err < 0) return err;
    if (a->sa.any.sa_family == AF_INET) return PIER_EAI_ADDRFAMILY;

    a->sa.inet6.sin6_family = AF_INET6;
    if (named) {
        a->pending |= PIER_ADDR_HOST;
        memcpy(a->host, text, strlen(text) + 1); /* INET6_ADDRSTRLEN and IF_NAMESIZE at most */
        return 0;
    }
    a->sa.inet6.sin6_addr = address;
    if (a->sa.inet6.sin6_scope_id == 0) a->sa.inet6.sin6_scope_id = scope;
    return 0;
}

/*
 * The rules of RFC 1035 for the lengths; which bytes a label may have is the resolver's affair,
 * but brackets would make a text that is no address, as "x25(1:2)", into one.
 * A name beyond ASCII is measured when IDNA has encoded it.
 */
static int put_name(pier_addr *a, const char *host)
{
    size_t length = strlen(host), label = 0;
    bool ascii = true;
    if (length >= sizeof a->host) return PIER_EHOSTTEXT;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)host[i];
        if (c <= ' ' || c == 0x7f || strchr("[]()", c)) return PIER_EHOSTTEXT;
        if (c >= 0x80) ascii = false;
        if (c == '.' && label == 0) return PIER_EHOSTTEXT;
        label = c == '.' ? 0 : label + 1;
    }
    if (ascii) {
        size_t dot = host[length - 1] == '.';
        if (length - dot > 253) return PIER_EHOSTTEXT;
        for (const char *at = host; *at; at += label + (at[label] == '.')) {
            label = strcspn(at, ".");
            if (label > 63) return PIER_EHOSTTEXT;
        }
    }
    memcpy(a->host, host, length + 1);
    a->pending |= PIER_ADDR_HOST;
    return 0;
}

int pier__addr_put_host(pier_addr *a, const char *host, bool strict)
{
    struct in_addr address = {INADDR_BROADCAST};
    if (!*host) {
        if (a->sa.any.sa_family == AF_UNSPEC) a->pending |= PIER_ADDR_ANY;
        return 0;
    }
    if (strcmp(host, "<broadcast>") == 0) return put_inet(a, address);
    if (strchr(host, ':')) return put_inet6(a, host);
    if (pier__inet_strict(host, &address) == 0) return put_inet(a, address);
    if (!pier__inet_ends_in_number(host)) return put_name(a, host);
    if (pier__inet_loose(host, &address) < 0) return PIER_EIPTEXT;
    return strict ? PIER_ENOTSTRICT : put_inet(a, address);
}

void pier__addr_settle(pier_addr *a)
{
    if (a->pending) return;
    if (a->sa.any.sa_family == AF_INET) a->length = sizeof(struct sockaddr_in);
    if (a->sa.any.sa_family == AF_INET6) a->length = sizeof(struct sockaddr_in6);
}

pier_addr pier_inet(const char *host, int port)
{
    if (!host) return pier_addr_failed(-EINVAL);
    if (port < 0 || port > 65535) return pier_addr_failed(PIER_EPORT);
    pier_addr a;
    clear(&a);
    a.sa.inet.sin_family = AF_INET;
    a.sa.inet.sin_port = htons((uint16_t)port);
    int err = pier__addr_put_host(&a, host, /* strict= */ false);
    if (err < 0) return pier_addr_failed(err);
    pier__addr_settle(&a);
    return a;
}

pier_addr pier_inet_number(uint32_t host, int port)
{
    pier_addr a = pier_inet("", port);
    if (!a.error) a.sa.inet.sin_addr.s_addr = htonl(host);
    return a;
}

pier_addr pier_inet6_scoped(const char *host, int port, uint32_t flowinfo, uint32_t scope_id)
{
    if (!host) return pier_addr_failed(-EINVAL);
    if (port < 0 || port > 65535) return pier_addr_failed(PIER_EPORT);
    if (flowinfo > 0xfffff) return pier_addr_failed(PIER_EFLOWINFO);
    pier_addr a;
    clear(&a);
    a.sa.inet6.sin6_family = AF_INET6;
    a.sa.inet6.sin6_port = htons((uint16_t)port);
    a.sa.inet6.sin6_flowinfo = htonl(flowinfo);
    a.sa.inet6.sin6_scope_id = scope_id;
    int err = pier__addr_put_host(&a, host, /* strict= */ false);
    if (err < 0) return pier_addr_failed(err);
    pier__addr_settle(&a);
    return a;
}

pier_addr pier_inet6(const char *host, int port)
{
    return pier_inet6_scoped(host, port, /* flowinfo= */ 0, /* scope_id= */ 0);
}

/* RDS sockets take, and give, plain AF_INET addresses: rds(7). */
pier_addr pier_rds(const char *host, int port) { return pier_inet(host, port); }

/* Unix addresses. */

/* length bytes of sun_path. */
static pier_addr local(const void *bytes, size_t length)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    if (length > 0) memcpy(sa.sun_path, bytes, length);
    return pier__addr_from_bytes(&sa, PATH_AT + length);
}

pier_addr pier_unix(const char *path)
{
    if (!path) return pier_addr_failed(-EINVAL);
    size_t length = strlen(path);
    if (length >= PATH_SIZE) return pier_addr_failed(PIER_EPATHLEN);
    return local(path, length ? length + 1 : 0);
}

pier_addr pier_abstract(const void *name, size_t length)
{
    if (!name && length > 0) return pier_addr_failed(-EINVAL);
    if (length >= PATH_SIZE) return pier_addr_failed(PIER_EPATHLEN);
    char bytes[PATH_SIZE] = {0};
    if (length > 0) memcpy(bytes + 1, name, length);
    return local(bytes, length + 1);
}

size_t pier__addr_unix_name(const pier_addr *a, const char **out_name, bool *out_abstract)
{
    const char *path = a->sa.local.sun_path;
    size_t room = a->length > PATH_AT ? a->length - PATH_AT : 0;
    if (room > PATH_SIZE) room = PATH_SIZE;
    *out_abstract = room > 0 && path[0] == '\0';
    *out_name = path + *out_abstract;
    return *out_abstract ? room - 1 : strnlen(path, room);
}

/* vsock. */

pier_addr pier_vsock(uint32_t cid, uint32_t port)
{
    struct sockaddr_vm sa = {.svm_family = AF_VSOCK, .svm_port = port, .svm_cid = cid};
    return pier__addr_from_bytes(&sa, sizeof sa);
}

/* Any family. */

pier_addr pier_addr_raw(const void *sockaddr, socklen_t length)
{
    if (!sockaddr || length < sizeof(sa_family_t) || length > sizeof(struct sockaddr_storage)) {
        return pier_addr_failed(-EINVAL);
    }
    return pier__addr_from_bytes(sockaddr, length);
}

pier_addr pier__addr_from_sockaddr(const struct sockaddr *sa, socklen_t len)
{
    pier_addr a;
    clear(&a);
    if (!sa || len < sizeof(sa_family_t)) return a;
    size_t size = len;
    if (size > sizeof a.sa.storage) size = sizeof a.sa.storage;
    a = pier__addr_from_bytes(sa, size);
    if (a.sa.any.sa_family != AF_UNIX) return a;

    /* unix(7): a path that fills sun_path comes back with a NUL beyond it, and a length beyond
     * the struct, that no call would take; shorter ones may be followed by anything. */
    const char *name;
    bool abstract;
    size_t length = pier__addr_unix_name(&a, &name, &abstract);
    if (abstract || length == 0) return local(a.sa.local.sun_path, abstract ? length + 1 : 0);
    return local(name, length < PATH_SIZE ? length + 1 : length);
}

int pier__addr_check(const pier_addr *a)
{
    if (a->error) return a->error;
    if (a->pending) return PIER_EUNRESOLVED;
    return a->length ? 0 : PIER_ENOADDR;
}

int pier__addr_set_port(pier_addr *a, int port)
{
    int family = a->sa.any.sa_family;
    bool either = family == AF_UNSPEC && a->pending;
    if (a->error || !(family == AF_INET || family == AF_INET6 || either)) return PIER_EFAMILY;
    if (port < 0 || port > 65535) return PIER_EPORT;
    a->sa.inet.sin_port = htons((uint16_t)port);
    a->pending &= ~(uint32_t)PIER_ADDR_SERVICE;
    memset(a->service, 0, sizeof a->service);
    pier__addr_settle(a);
    return 0;
}

int pier__addr_set_host(pier_addr *a, const struct sockaddr *answer)
{
    if (!(a->pending & (PIER_ADDR_HOST | PIER_ADDR_ANY))) return PIER_EFAMILY;
    int family = a->sa.any.sa_family;
    if (answer->sa_family != AF_INET && answer->sa_family != AF_INET6) return PIER_EAI_ADDRFAMILY;
    if (family != AF_UNSPEC && family != answer->sa_family) return PIER_EAI_ADDRFAMILY;

    a->sa.any.sa_family = answer->sa_family;
    if (answer->sa_family == AF_INET) {
        struct sockaddr_in from;
        memcpy(&from, answer, sizeof from);
        a->sa.inet.sin_addr = from.sin_addr;
    } else {
        struct sockaddr_in6 from;
        memcpy(&from, answer, sizeof from);
        a->sa.inet6.sin6_addr = from.sin6_addr;
        if (a->sa.inet6.sin6_scope_id == 0) a->sa.inet6.sin6_scope_id = from.sin6_scope_id;
    }
    a->pending &= ~(uint32_t)(PIER_ADDR_HOST | PIER_ADDR_ANY);
    memset(a->host, 0, sizeof a->host);
    pier__addr_settle(a);
    return 0;
}

/* Asking. */

int pier_addr_family(pier_addr addr)
{
    if (addr.error || (addr.length == 0 && addr.pending == 0)) return AF_UNSPEC;
    return addr.sa.any.sa_family;
}

/* Is the address of this family and, unless it is pending, at least this long? */
static bool holds(const pier_addr *a, int family, size_t size)
{
    return a->sa.any.sa_family == family && (a->pending || a->length >= size);
}

static int small(uint32_t number) { return number <= INT_MAX ? (int)number : PIER_ERANGE; }

int pier_addr_port(pier_addr addr)
{
    int err = pier__addr_check(&addr);
    if (err < 0 && err != PIER_EUNRESOLVED) return err;
    if (addr.pending & PIER_ADDR_SERVICE) return PIER_EUNRESOLVED;
    if (holds(&addr, AF_INET, sizeof(struct sockaddr_in)) || holds(&addr, AF_INET6, INET6_MIN) ||
        (addr.pending && addr.sa.any.sa_family == AF_UNSPEC)) {
        return ntohs(addr.sa.inet.sin_port);
    }
    if (holds(&addr, AF_VSOCK, sizeof(struct sockaddr_vm))) {
        struct sockaddr_vm vm;
        memcpy(&vm, &addr.sa, sizeof vm);
        return small(vm.svm_port);
    }
    if (holds(&addr, AF_QIPCRTR, sizeof(struct sockaddr_qrtr))) {
        struct sockaddr_qrtr qrtr;
        memcpy(&qrtr, &addr.sa, sizeof qrtr);
        return small(qrtr.sq_port);
    }
    return PIER_EFAMILY;
}

static bool equal_unix(const pier_addr *a, const pier_addr *b)
{
    const char *name_a, *name_b;
    bool abstract_a, abstract_b;
    size_t length_a = pier__addr_unix_name(a, &name_a, &abstract_a);
    size_t length_b = pier__addr_unix_name(b, &name_b, &abstract_b);
    return abstract_a == abstract_b && length_a == length_b &&
           memcmp(name_a, name_b, length_a) == 0;
}

static bool equal_inet6(const struct sockaddr_in6 *a, const struct sockaddr_in6 *b)
{
    return a->sin6_port == b->sin6_port && a->sin6_scope_id == b->sin6_scope_id &&
           memcmp(&a->sin6_addr, &b->sin6_addr, sizeof a->sin6_addr) == 0;
}

static bool equal_vsock(const pier_addr *a, const pier_addr *b)
{
    struct sockaddr_vm vm_a, vm_b;
    memcpy(&vm_a, &a->sa, sizeof vm_a);
    memcpy(&vm_b, &b->sa, sizeof vm_b);
    return vm_a.svm_cid == vm_b.svm_cid && vm_a.svm_port == vm_b.svm_port;
}

/*
 * Byte by byte; what the shorter one lacks counts as zero, as the kernel shortens some
 * addresses where only zeros would follow (packet(7), CAN).
 */
static bool equal_bytes(const pier_addr *a, const pier_addr *b)
{
    size_t size = a->length > b->length ? a->length : b->length;
    if (a->pending) size = sizeof a->sa;
    return memcmp(&a->sa, &b->sa, size) == 0;
}

bool pier_addr_equal(pier_addr a, pier_addr b)
{
    if (a.error || b.error || a.pending != b.pending) return false;
    if (!a.pending && (a.length == 0 || b.length == 0)) return a.length == b.length;
    int family = a.sa.any.sa_family;
    if (family != b.sa.any.sa_family) return false;
    if (strcmp(a.host, b.host) != 0 || strcmp(a.service, b.service) != 0) return false;

    if (family == AF_UNIX) return equal_unix(&a, &b);
    if (family == AF_INET && holds(&a, family, sizeof a.sa.inet) &&
        holds(&b, family, sizeof b.sa.inet)) {
        return a.sa.inet.sin_port == b.sa.inet.sin_port &&
               a.sa.inet.sin_addr.s_addr == b.sa.inet.sin_addr.s_addr;
    }
    if (family == AF_INET6 && holds(&a, family, INET6_MIN) && holds(&b, family, INET6_MIN)) {
        return equal_inet6(&a.sa.inet6, &b.sa.inet6);
    }
    if (family == AF_VSOCK && holds(&a, family, sizeof(struct sockaddr_vm)) &&
        holds(&b, family, sizeof(struct sockaddr_vm))) {
        return equal_vsock(&a, &b);
    }
    return equal_bytes(&a, &b);
}

pier_addr pier_addr_unmap(pier_addr addr)
{
    if (addr.error || addr.pending || !holds(&addr, AF_INET6, INET6_MIN)) return addr;
    if (!IN6_IS_ADDR_V4MAPPED(&addr.sa.inet6.sin6_addr)) return addr;
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = addr.sa.inet6.sin6_port};
    memcpy(&sa.sin_addr, &addr.sa.inet6.sin6_addr.s6_addr[12], sizeof sa.sin_addr);
    return pier__addr_from_bytes(&sa, sizeof sa);
}
