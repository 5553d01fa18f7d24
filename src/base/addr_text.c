/* SPDX-License-Identifier: MIT */
/* The text form of addresses: read and written. */
#include "base/addr_text.h"

#include "base/addr.h"
#include "base/bits.h"
#include "base/inet.h"

#include <pier/error.h>

#include <arpa/inet.h>
#include <errno.h>
#include <linux/vm_sockets.h>
#include <string.h>

#define UNIX_PREFIX  "unix:"
#define VSOCK_PREFIX "vsock:"

/* The longest text is an abstract name of which every byte is escaped. */
_Static_assert(
    sizeof(UNIX_PREFIX "@") + 4 * sizeof(((struct sockaddr_un *)0)->sun_path) <= sizeof(pier_text),
    "every Unix address fits");
_Static_assert(
    sizeof(((pier_addr *)0)->host) + sizeof(((pier_addr *)0)->service) + 4 <= sizeof(pier_text),
    "every name and service fits");

/* Reading. */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/* A number of digits alone, at most max. The number, or -1 for no number, -2 for too much. */
static int64_t read_number(const char *text, uint32_t max)
{
    int64_t number = 0;
    if (!*text) return -1;
    for (const char *at = text; *at; at++) {
        if (!is_digit(*at)) return -1;
        if (number <= max) number = number * 10 + (*at - '0');
    }
    return number <= max ? number : -2;
}

/*
 * Text with escapes to at most `room` bytes: how many, or -1 for a malformed escape. Bytes beyond
 * the room are counted, not stored.
 */
static ssize_t unescape(const char *text, char *out, size_t room)
{
    ssize_t length = 0;
    while (*text) {
        char byte = *text++;
        if (byte == '\\') {
            if (*text++ != 'x') return -1;
            int high = pier__hex(text[0]);
            int low = high < 0 ? -1 : pier__hex(text[1]);
            if (low < 0) return -1;
            byte = (char)(high << 4 | low);
            text += 2;
        }
        if ((size_t)length < room) out[length] = byte;
        length++;
    }
    return length;
}

/* What follows "unix:". */
static pier_addr parse_unix(const char *text)
{
    char name[sizeof(((struct sockaddr_un *)0)->sun_path)];
    bool abstract = *text == '@';
    ssize_t length = unescape(text + abstract, name, sizeof name);
    if (length < 0) return pier_addr_failed(PIER_EADDRTEXT);
    if ((size_t)length >= sizeof name) return pier_addr_failed(PIER_EPATHLEN);
    if (abstract) return pier_abstract(name, (size_t)length);
    if (memchr(name, '\0', (size_t)length)) return pier_addr_failed(PIER_EADDRTEXT);
    name[length] = '\0';
    return pier_unix(name);
}

/* A part of "vsock:2:1024": a number or "any", VMADDR_CID_ANY and VMADDR_PORT_ANY alike. */
static int read_vsock_part(const char *text, size_t length, uint32_t *out)
{
    char part[16];
    if (length >= sizeof part) return PIER_EADDRTEXT;
    memcpy(part, text, length);
    part[length] = '\0';
    *out = VMADDR_CID_ANY;
    if (strcmp(part, "any") == 0) return 0;
    int64_t number = read_number(part, UINT32_MAX);
    if (number < 0) return PIER_EADDRTEXT;
    *out = (uint32_t)number;
    return 0;
}

/* What follows "vsock:". */
static pier_addr parse_vsock(const char *text)
{
    uint32_t cid, port;
    size_t length = strcspn(text, ":");
    if (!text[length]) return pier_addr_failed(PIER_EADDRTEXT);
    const char *rest = text + length + 1;
    int err = read_vsock_part(text, length, &cid);
    if (err == 0) err = read_vsock_part(rest, strlen(rest), &port);
    return err < 0 ? pier_addr_failed(err) : pier_vsock(cid, port);
}

/*
 * Find the host and what follows its colon. An IPv6 address must stand in brackets, and nothing
 * else may: "::1:80" could be read in two ways.
 */
static int split(const char *text, char host[static 256], const char **out_service)
{
    size_t length;
    const char *colon;
    if (*text == '[') {
        text++;
        length = strcspn(text, "]");
        if (!memchr(text, ':', length) || !text[length]) return PIER_EADDRTEXT;
        colon = text + length + 1;
    } else {
        length = strcspn(text, ":");
        colon = text + length;
    }
    if (*colon != ':' || !colon[1] || strchr(colon + 1, ':')) return PIER_EADDRTEXT;
    if (length >= 256) return PIER_EHOSTTEXT;
    memcpy(host, text, length);
    host[length] = '\0';
    *out_service = colon + 1;
    return 0;
}

/*
 * The port: digits, of which leading zeros do not count, or the name of a service. Names begin
 * with a letter, so that "80abc", "+80" and "-1" are wrong ports and not services nobody knows.
 */
static int put_service(pier_addr *a, const char *text)
{
    int64_t port = read_number(text, UINT16_MAX);
    if (port >= 0) return pier__addr_set_port(a, (int)port);
    if (port == -2 || !is_letter(*text)) return PIER_EPORT;
    size_t length = strlen(text);
    if (length >= sizeof a->service) return PIER_EADDRTEXT;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c <= ' ' || c >= 0x7f) return PIER_EADDRTEXT;
    }
    memcpy(a->service, text, length + 1);
    a->pending |= PIER_ADDR_SERVICE;
    return 0;
}

static pier_addr parse_ip(const char *text, const pier_parse_opts *opts)
{
    char host[256];
    const char *service;
    pier_addr a;
    memset(&a, 0, sizeof a);
    if (opts->family == AF_INET || opts->family == AF_INET6) {
        a.sa.any.sa_family = (sa_family_t)opts->family;
    }
    int err = split(text, host, &service);
    if (err == 0) err = pier__addr_put_host(&a, host, opts->strict);
    if (err == 0) err = put_service(&a, service);
    if (err < 0) return pier_addr_failed(err);
    if (opts->numeric && (a.pending & (PIER_ADDR_HOST | PIER_ADDR_SERVICE))) {
        return pier_addr_failed(PIER_EIPTEXT);
    }
    pier__addr_settle(&a);
    return a;
}

pier_addr pier_addr_parse(const char *text, const pier_parse_opts *opts)
{
    static const pier_parse_opts defaults;
    if (!opts) opts = &defaults;
    int family = opts->family;
    if (!text || !pier__is_zero(opts->reserved, sizeof opts->reserved) ||
        (family != AF_UNSPEC && family != AF_INET && family != AF_INET6 && family != AF_UNIX &&
            family != AF_VSOCK)) {
        return pier_addr_failed(-EINVAL);
    }
    pier_addr a;
    if (strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0) {
        a = parse_unix(text + strlen(UNIX_PREFIX));
    } else if (strncmp(text, VSOCK_PREFIX, strlen(VSOCK_PREFIX)) == 0) {
        a = parse_vsock(text + strlen(VSOCK_PREFIX));
    } else {
        a = parse_ip(text, opts);
    }
    if (!a.error && family != AF_UNSPEC && a.sa.any.sa_family != family) {
        return pier_addr_failed(PIER_EAI_ADDRFAMILY);
    }
    return a;
}

/* Writing. */

void pier__put_escaped(struct pier__text *t, const char *bytes, size_t length)
{
    /* With a NUL, at which a character that the bytes cut off ends. */
    char copy[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];
    if (length >= sizeof copy) length = sizeof copy - 1;
    memcpy(copy, bytes, length);
    copy[length] = '\0';
    for (size_t i = 0; i < length;) {
        size_t n = copy[i] == '\\' ? 0 : pier__text_printable(copy + i);
        if (n > 0) {
            pier__text_format(t, "%.*s", (int)n, copy + i);
        } else {
            pier__text_format(t, "\\x%02x", (unsigned char)copy[i]);
        }
        i += n > 0 ? n : 1;
    }
}

void pier__put_hex(struct pier__text *t, const void *bytes, size_t length)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < length; i++) {
        pier__text_format(t, i ? ":%02x" : "%02x", at[i]);
    }
}

static void put_unix(struct pier__text *t, const pier_addr *a)
{
    const char *name;
    bool abstract;
    size_t length = pier__addr_unix_name(a, &name, &abstract);
    if (abstract) pier__text_format(t, "@");
    if (!abstract && length > 0 && *name == '@') {
        pier__text_format(t, "\\x40");
        name++;
        length--;
    }
    pier__put_escaped(t, name, length);
}

static void put_vsock_part(struct pier__text *t, uint32_t number)
{
    if (number == VMADDR_CID_ANY) {
        pier__text_format(t, "any");
    } else {
        pier__text_format(t, "%u", number);
    }
}

static struct sockaddr_vm vsock_of(const pier_addr *a)
{
    struct sockaddr_vm vm;
    memcpy(&vm, &a->sa, sizeof vm);
    return vm;
}

/* Does an address of this kind have a host and a port as IP addresses have them? */
static bool is_ip(const pier_addr *a)
{
    if (a->pending) return !(a->pending & PIER_ADDR_INTERFACE);
    if (a->sa.any.sa_family == AF_INET) return a->length >= sizeof a->sa.inet;
    return a->sa.any.sa_family == AF_INET6 &&
           a->length >= offsetof(struct sockaddr_in6, sin6_scope_id);
}

static void put_ip_host(struct pier__text *t, const pier_addr *a)
{
    char text[64] = "";
    if (a->pending & PIER_ADDR_HOST) {
        pier__text_format(t, "%s", a->host);
        return;
    }
    if (a->sa.any.sa_family == AF_INET) pier__inet_print(a->sa.inet.sin_addr, text);
    if (a->sa.any.sa_family == AF_INET6) {
        pier__inet6_print(&a->sa.inet6.sin6_addr, a->sa.inet6.sin6_scope_id, text);
    }
    pier__text_format(t, "%s", text);
}

static void put_ip(struct pier__text *t, const pier_addr *a)
{
    bool literal6 =
        a->sa.any.sa_family == AF_INET6 && (!(a->pending & PIER_ADDR_HOST) || strchr(a->host, ':'));
    if (literal6) pier__text_format(t, "[");
    put_ip_host(t, a);
    pier__text_format(t, literal6 ? "]:" : ":");
    if (a->pending & PIER_ADDR_SERVICE) {
        pier__text_format(t, "%s", a->service);
    } else {
        pier__text_format(t, "%u", ntohs(a->sa.inet.sin_port));
    }
}

pier_text pier_addr_text(pier_addr addr)
{
    pier_text out;
    memset(&out, 0, sizeof out);
    struct pier__text t = pier__text_begin(out.text, sizeof out.text, /* kept= */ 0);
    if (addr.error) {
        pier__text_format(&t, "(%s)", pier_strerror(addr.error));
    } else if (addr.length == 0 && addr.pending == 0) {
        pier__text_format(&t, "(none)");
    } else if (is_ip(&addr)) {
        put_ip(&t, &addr);
    } else if (addr.sa.any.sa_family == AF_UNIX) {
        pier__text_format(&t, UNIX_PREFIX);
        put_unix(&t, &addr);
    } else if (addr.sa.any.sa_family == AF_VSOCK && addr.length >= sizeof(struct sockaddr_vm)) {
        struct sockaddr_vm vm = vsock_of(&addr);
        pier__text_format(&t, VSOCK_PREFIX);
        put_vsock_part(&t, vm.svm_cid);
        pier__text_format(&t, ":");
        put_vsock_part(&t, vm.svm_port);
    } else {
        pier__put_family(&t, &addr);
    }
    return out;
}

pier_text pier_addr_host(pier_addr addr)
{
    pier_text out;
    memset(&out, 0, sizeof out);
    struct pier__text t = pier__text_begin(out.text, sizeof out.text, /* kept= */ 0);
    if (addr.error || (addr.length == 0 && addr.pending == 0)) return out;
    if (is_ip(&addr)) {
        put_ip_host(&t, &addr);
    } else if (addr.pending) {
        pier__text_format(&t, "%s", addr.host);
    } else if (addr.sa.any.sa_family == AF_UNIX) {
        put_unix(&t, &addr);
    } else if (addr.sa.any.sa_family == AF_VSOCK && addr.length >= sizeof(struct sockaddr_vm)) {
        put_vsock_part(&t, vsock_of(&addr).svm_cid);
    } else {
        pier__put_family_host(&t, &addr);
    }
    return out;
}

void pier__addr_print(const struct sockaddr *sa, socklen_t len, char *buf, size_t size)
{
    struct pier__text t = pier__text_begin(buf, size, /* kept= */ 0);
    pier__text_format(&t, "%s", pier_addr_text(pier__addr_from_sockaddr(sa, len)).text);
}
