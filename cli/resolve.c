/* SPDX-License-Identifier: MIT */
/* pier resolve: every address of a name, in the order in which pier connect would try them. */
#include "cli.h"

#include <math.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

static double seconds = INFINITY;
static bool only4, only6;

static const struct choice choices[] = {
    {'4', "ipv4", TAKES_NOTHING, NULL, "addresses of IPv4 only", &only4},
    {'6', "ipv6", TAKES_NOTHING, NULL, "addresses of IPv6 only", &only6},
    {'w', "wait", TAKES_SECONDS, "SECONDS", "give up when the answer takes so long", &seconds},
    {0},
};

static void print(pier_addr it, bool with_port)
{
    int family = it.sa.any.sa_family;
    pier_text text = with_port ? pier_addr_text(it) : pier_addr_host(it);
    printf("%-9s %s\n", pier_family_name(family), text.text);
}

/* The next of this family from `at` on that did not come before; `count` if there is none. */
static size_t next(const pier_addrinfo *list, size_t count, size_t at, int family)
{
    for (; at < count; at++) {
        bool new = list[at].family == family;
        for (size_t i = 0; new &&i < at; i++)
            new = !pier_addr_equal(list[i].addr, list[at].addr);
        if (new) break;
    }
    return at;
}

/* Families in turn, RFC 8305 section 4; the resolver says who begins. */
static void print_in_turn(const pier_addrinfo *list, size_t count, bool with_port)
{
    const int families[] = {list->family, list->family == AF_INET ? AF_INET6 : AF_INET};
    size_t at[2] = {0, next(list, count, 0, families[1])};
    for (int turn = 0; at[0] < count || at[1] < count; turn = !turn) {
        if (at[turn] >= count) continue;
        print(list[at[turn]].addr, with_port);
        at[turn] = next(list, count, at[turn] + 1, families[turn]);
    }
}

static int ask(pier_addr it, bool with_port)
{
    char port[16];
    snprintf(port, sizeof port, "%d", pier_addr_port(it));
    pier_addrinfo *list;
    int family = only4 == only6 ? pier_addr_family(it) : only4 ? AF_INET : AF_INET6;
    pier_text host = pier_addr_host(it);
    ssize_t count = pier_getaddrinfo(it.pending & PIER_ADDR_ANY ? NULL : host.text,
        it.pending & PIER_ADDR_SERVICE ? it.service : port,
        &(pier_addrinfo_opts){
            .family = family, .type = SOCK_STREAM, .deadline = pier_after(seconds)},
        &list);
    if (count < 0) return fail("%s", pier_error());
    print_in_turn(list, (size_t)count, with_port);
    pier_freeaddrinfo(list);
    return DONE;
}

static int run(char **operands)
{
    char whole[LOOSE];
    pier_addr it = parse_loosely(operands[0], whole, sizeof whole);
    if (it.error < 0) return misuse("%s: %s", screen_quote(operands[0]), pier_strerror(it.error));
    int family = pier_addr_family(it);
    if (family != AF_UNSPEC && family != AF_INET && family != AF_INET6)
        return print(it, true), DONE;
    return ask(it, strcmp(whole, operands[0]) == 0);
}

const struct verb resolve_verb = {
    .name = "resolve",
    .summary = "tell every address of a name",
    .example = "pier resolve example.com:http",
    .text =
        "Print all addresses of a host, one a line after its family, in the order in which pier "
        "connect tries them: as the system sorts them, families in turn.",
    .operands = {{"HOST[:PORT]", TAKES_TEXT, "a name or an address; the port may be a service"}},
    .choices = choices,
    .run = run,
};
