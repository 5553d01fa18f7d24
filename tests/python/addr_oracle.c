/* SPDX-License-Identifier: MIT */
/*
 * What pier makes of an address, told to tests/python/addr.py. Each line asks: the name of a
 * constructor and its arguments, numbers in decimal, text and bytes as 'x' and hexadecimal. Each answer
 * is a line: an error's name; or the address's bytes, its text and its host as 'x' and
 * hexadecimal, and its port.
 */
#include "base/addr.h"
#include "base/bits.h"

#include <pier/addr.h>
#include <pier/error.h>

#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct argument {
    unsigned long long number;
    char bytes[600]; /* NUL-terminated */
    size_t length;
};

static pier_addr pair(const char *verb, const struct argument *a)
{
    unsigned first = (unsigned)a[0].number, second = (unsigned)a[1].number;
    if (!strcmp(verb, "netlink")) return pier_netlink(first, second);
    if (!strcmp(verb, "vsock")) return pier_vsock(first, second);
    if (!strcmp(verb, "qipcrtr")) return pier_qipcrtr(first, second);
    if (!strcmp(verb, "hci")) return pier_hci((uint16_t)first, (uint16_t)second);
    if (!strcmp(verb, "rfcomm")) return pier_rfcomm(a[0].bytes, (uint8_t)second);
    if (!strcmp(verb, "rds")) return pier_rds(a[0].bytes, (int)second);
    if (!strcmp(verb, "inet")) return pier_inet(a[0].bytes, (int)second);
    return pier_addr_failed(PIER_EADDRTEXT);
}

static pier_addr make(const char *verb, const struct argument *a)
{
    const char *text = a[0].bytes;
    unsigned n[5];
    for (int i = 0; i < 5; i++)
        n[i] = (unsigned)a[i].number;
    if (!strcmp(verb, "parse")) return pier_addr_parse(text, NULL);
    if (!strcmp(verb, "raw")) return pier_addr_raw(text, (socklen_t)a[0].length);
    if (!strcmp(verb, "unix")) return pier_unix(text);
    if (!strcmp(verb, "abstract")) return pier_abstract(text, a[0].length);
    if (!strcmp(verb, "sco")) return pier_sco(text);
    if (!strcmp(verb, "can")) return pier_can(text);
    if (!strcmp(verb, "isotp")) return pier_can_isotp(text, n[1], n[2]);
    if (!strcmp(verb, "j1939")) return pier_can_j1939(text, a[1].number, n[2], (uint8_t)n[3]);
    if (!strcmp(verb, "inet6")) return pier_inet6_scoped(text, (int)n[1], n[2], n[3]);
    if (!strcmp(verb, "alg")) return pier_alg(text, a[1].bytes, n[2], n[3]);
    if (!strcmp(verb, "tipc")) return pier_tipc((int)n[0], n[1], n[2], n[3], (int)n[4]);
    if (!strcmp(verb, "l2cap")) {
        return pier_l2cap(text, (uint16_t)n[1], (uint16_t)n[2], (uint8_t)n[3]);
    }
    if (!strcmp(verb, "packet")) {
        return pier_packet(text, (int)n[1], (uint8_t)n[2], (uint16_t)n[3], a[4].bytes, a[4].length);
    }
    return pair(verb, a);
}

static void read_argument(const char *word, struct argument *out)
{
    memset(out, 0, sizeof *out);
    if (*word != 'x') {
        out->number = strtoull(word, NULL, 10);
        return;
    }
    for (word++; word[0] && word[1] && out->length < sizeof out->bytes - 1; word += 2)
        out->bytes[out->length++] = (char)(pier__hex(word[0]) << 4 | pier__hex(word[1]));
}

static void put_hex(const void *bytes, size_t length)
{
    putchar('x');
    for (size_t i = 0; i < length; i++)
        printf("%02x", ((const unsigned char *)bytes)[i]);
    putchar(' ');
}

static void answer(pier_addr a)
{
    if (a.pending & PIER_ADDR_INTERFACE) pier__addr_set_interface(&a, if_nametoindex(a.host));
    if (a.error || a.pending) {
        printf("%s\n", a.error ? pier_errname(a.error) : "pending");
        return;
    }
    pier_text text = pier_addr_text(a), host = pier_addr_host(a);
    put_hex(&a.sa, a.length);
    put_hex(text.text, strlen(text.text));
    put_hex(host.text, strlen(host.text));
    printf("%d\n", pier_addr_port(a));
}

int main(void)
{
    static char line[4096];
    static struct argument arguments[5];
    while (fgets(line, sizeof line, stdin)) {
        memset(arguments, 0, sizeof arguments);
        char *rest, *verb = strtok_r(line, " \n", &rest), *word;
        for (size_t i = 0; i < 5 && (word = strtok_r(NULL, " \n", &rest)); i++)
            read_argument(word, &arguments[i]);
        if (verb) answer(make(verb, arguments));
        fflush(stdout);
    }
    return 0;
}
