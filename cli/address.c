/* SPDX-License-Identifier: MIT */
/* pier address: what an address is, without asking anybody. */
#include "cli.h"

#include <linux/vm_sockets.h>
#include <stdio.h>
#include <string.h>

/* A range of addresses that means something: its first bits, and how many of them. */
struct range {
    unsigned char prefix[16];
    int bits;
    const char *meaning;
};

/*
 * Narrower ranges before those in which they lie. IANA's registries of special addresses; RFC 6890.
 */
static const struct range inet_ranges[] = {
    {{0, 0, 0, 0}, 32, "any address of this host, to listen on"},
    {{0}, 8, "this network (RFC 1122)"},
    {{10}, 8, "private (RFC 1918)"},
    {{100, 64}, 10, "shared by a provider's customers (RFC 6598)"},
    {{127}, 8, "loopback: this host alone (RFC 1122)"},
    {{169, 254}, 16, "link-local: this network alone (RFC 3927)"},
    {{172, 16}, 12, "private (RFC 1918)"},
    {{192, 0, 2}, 24, "for documentation (RFC 5737)"},
    {{192, 168}, 16, "private (RFC 1918)"},
    {{198, 18}, 15, "for benchmarks (RFC 2544)"},
    {{198, 51, 100}, 24, "for documentation (RFC 5737)"},
    {{203, 0, 113}, 24, "for documentation (RFC 5737)"},
    {{224, 0, 0}, 24, "multicast, this network alone (RFC 5771)"},
    {{239}, 8, "multicast, this organisation's (RFC 2365)"},
    {{224}, 4, "multicast (RFC 5771)"},
    {{255, 255, 255, 255}, 32, "broadcast to this network (RFC 919)"},
    {{240}, 4, "reserved (RFC 1112)"},
    {{0}, 0, "global"},
};

static const struct range inet6_ranges[] = {
    {{0}, 128, "any address of this host, to listen on"},
    {{[15] = 1}, 128, "loopback: this host alone (RFC 4291)"},
    {{[10] = 0xff, 0xff}, 96, "an IPv4 address, mapped (RFC 4291)"},
    {{0, 0x64, 0xff, 0x9b}, 96, "an IPv4 address, translated (RFC 6052)"},
    {{0x01}, 64, "discarded (RFC 6666)"},
    {{0x20, 0x01, 0x0d, 0xb8}, 32, "for documentation (RFC 3849)"},
    {{0x20, 0x01, 0, 0}, 32, "Teredo (RFC 4380)"},
    {{0x20, 0x02}, 16, "6to4 (RFC 3056)"},
    {{0xfc}, 7, "private: unique local (RFC 4193)"},
    {{0xfe, 0x80}, 10, "link-local: this network alone (RFC 4291)"},
    {{0xfe, 0xc0}, 10, "site-local, out of use (RFC 3879)"},
    {{0xff, 0x01}, 16, "multicast, this host alone (RFC 4291)"},
    {{0xff, 0x02}, 16, "multicast, this network alone (RFC 4291)"},
    {{0xff}, 8, "multicast (RFC 4291)"},
    {{0x20}, 3, "global"},
    {{0}, 0, "reserved"},
};

static const char *meaning(const struct range *ranges, const unsigned char *bytes)
{
    for (;; ranges++) {
        int whole = ranges->bits / 8, rest = ranges->bits % 8;
        unsigned mask = 0xff00U >> rest & 0xff;
        if (memcmp(ranges->prefix, bytes, (size_t)whole) != 0) continue;
        if (rest == 0 || (bytes[whole] & mask) == (ranges->prefix[whole] & mask))
            return ranges->meaning;
    }
}

static void row(const char *name, const char *value) { printf("%-10s %s\n", name, value); }

static void print_port(pier_addr it)
{
    char text[128], service[64] = "";
    if (it.pending & PIER_ADDR_SERVICE) {
        int port = pier_getservbyname(it.service, NULL);
        if (port >= 0)
            snprintf(text, sizeof text, "%d (%s)", port, it.service);
        else
            snprintf(text, sizeof text, "%s, which this system does not know", it.service);
    } else {
        int port = pier_addr_port(it);
        bool known = pier_getservbyport(port, NULL, service, sizeof service) > 0;
        snprintf(text, sizeof text, known ? "%d (%s)" : "%d", port, service);
    }
    row("port", strcmp(text, "0") == 0 ? "0: the system chooses one" : text);
}

/* 127.1 and 0x7f.0.0.1 are 127.0.0.1 to inet_aton(3), and to nobody who is careful. */
static void print_strictness(const char *text)
{
    pier_addr strict = pier_addr_parse(text, &(pier_parse_opts){.strict = true});
    row("strict", strict.error == 0 ? "yes" : pier_strerror(strict.error));
}

static void print_inet6(pier_addr it)
{
    const struct sockaddr_in6 *inet6 = &it.sa.inet6;
    struct in6_addr bytes = inet6->sin6_addr;
    char text[64];
    const char *scope = it.pending & PIER_ADDR_HOST ? strchr(it.host, '%') : NULL;
    if (scope != NULL) { /* an interface that is still only a name */
        snprintf(text, sizeof text, "%.*s", (int)(scope - it.host), it.host);
        pier_inet_pton(AF_INET6, text, &bytes);
    }
    row("meaning", meaning(inet6_ranges, bytes.s6_addr));
    if (scope != NULL) row("scope", scope + 1);
    if (inet6->sin6_scope_id != 0) {
        snprintf(text, sizeof text, "interface %u", inet6->sin6_scope_id);
        row("scope", text);
    } else if (!(it.pending & PIER_ADDR_HOST) && IN6_IS_ADDR_LINKLOCAL(&inet6->sin6_addr)) {
        row("scope", "missing: write %INTERFACE behind it");
    }
    pier_addr plain = pier_addr_unmap(it);
    if (plain.sa.any.sa_family != AF_INET) return;
    row("mapped", pier_addr_host(plain).text);
    row("", meaning(inet_ranges, (const unsigned char *)&plain.sa.inet.sin_addr));
}

static void print_vsock(pier_addr it)
{
    const struct sockaddr_vm *vm = (const struct sockaddr_vm *)&it.sa;
    static const char *const contexts[] = {"the hypervisor", "this machine", "the host"};
    row("context", vm->svm_cid == VMADDR_CID_ANY    ? "any"
                   : vm->svm_cid <= VMADDR_CID_HOST ? contexts[vm->svm_cid]
                                                    : "a virtual machine");
}

static void print_unix(pier_addr it)
{
    size_t length = it.length - offsetof(struct sockaddr_un, sun_path);
    if (length == 0)
        row("meaning", "unnamed: the system chooses an abstract name");
    else if (it.sa.local.sun_path[0] == '\0')
        row("meaning", "abstract: a name without a file, of this network namespace");
    else
        row("meaning", it.sa.local.sun_path[0] == '/' ? "a path" : "a path from this folder on");
}

static int run(char **operands)
{
    char whole[LOOSE];
    pier_addr it = parse_loosely(operands[0], whole, sizeof whole);
    if (it.error < 0) return fail("%s: %s", screen_quote(operands[0]), pier_strerror(it.error));
    int family = pier_addr_family(it);
    bool given = strcmp(whole, operands[0]) == 0; /* with its port */
    row("text", given ? pier_addr_text(it).text : pier_addr_host(it).text);
    row("family", family == AF_UNSPEC ? "to be looked up" : pier_family_name(family));
    bool name = it.pending & PIER_ADDR_HOST && strchr(it.host, '%') == NULL;
    if (name) row("meaning", "a name: pier resolve asks for its addresses");
    if (it.pending & PIER_ADDR_ANY) row("meaning", "any address of this host, of either family");
    if (family == AF_INET && !name)
        row("meaning", meaning(inet_ranges, (const unsigned char *)&it.sa.inet.sin_addr));
    if (family == AF_INET6 && !name) print_inet6(it);
    if (family == AF_VSOCK) print_vsock(it);
    if (family == AF_UNIX) print_unix(it);
    if (family == AF_INET && !name) print_strictness(whole);
    if (family != AF_UNIX && given) print_port(it);
    return DONE;
}

const struct verb address_verb = {
    .name = "address",
    .summary = "explain an address",
    .example = "pier address '[fe80::1%eth0]:80'",
    .text =
        "Tell what pier makes of the text of an address, which it reads without asking anybody: "
        "its one canonical form, the family, what kind of address it is (private, loopback, "
        "link-local, multicast, ...), its scope, its port. \"strict\" is no where only inet_aton(3) "
        "would take it, as 127.1. Text that is no address is a failure.",
    .operands = {{"TEXT", TAKES_TEXT, CLIENT_ADDRESS "; the port may be left out here"}},
    .run = run,
};
