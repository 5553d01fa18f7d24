/* SPDX-License-Identifier: MIT */
#include "base/inet.h"

#include "base/bits.h"

#include <pier/error.h>

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* The value of a digit of a number of this base, at most 16; -1 for any other character. */
static int digit(char c, int base)
{
    int value = pier__hex(c);
    return value < base ? value : -1;
}

int pier__inet_strict(const char *text, struct in_addr *out)
{
    uint32_t address = 0;
    for (int part = 0; part < 4; part++) {
        if (part > 0 && *text++ != '.') return PIER_EIPTEXT;
        if (!is_digit(*text)) return PIER_EIPTEXT;
        if (*text == '0' && is_digit(text[1])) return PIER_EIPTEXT;
        unsigned value = 0;
        while (is_digit(*text) && value <= 255)
            value = value * 10 + (unsigned)(*text++ - '0');
        if (value > 255) return PIER_EIPTEXT;
        address = address << 8 | value;
    }
    if (*text) return PIER_EIPTEXT;
    out->s_addr = htonl(address);
    return 0;
}

/* One number of a classic address: decimal, 0octal or 0xhex. Where it ends, or NULL. */
static const char *read_part(const char *text, uint64_t *out)
{
    if (!is_digit(*text)) return NULL;
    int base = 10;
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        base = 16;
        text += 2;
        if (digit(*text, base) < 0) return NULL;
    } else if (text[0] == '0') {
        base = 8;
    }
    uint64_t value = 0;
    for (; digit(*text, base) >= 0; text++) {
        value = value * (uint64_t)base + (uint64_t)digit(*text, base);
        if (value > UINT32_MAX) return NULL;
    }
    *out = value;
    return text;
}

int pier__inet_loose(const char *text, struct in_addr *out)
{
    /* All parts but the last are one byte; the last fills what is left. */
    uint64_t head = 0;
    for (int part = 0; part < 4; part++) {
        uint64_t value;
        text = read_part(text, &value);
        if (!text) return PIER_EIPTEXT;
        if (!*text) {
            int bits_left = 32 - 8 * part;
            if (value >> bits_left) return PIER_EIPTEXT;
            out->s_addr = htonl((uint32_t)(head << bits_left | value));
            return 0;
        }
        if (*text++ != '.' || value > 255) return PIER_EIPTEXT;
        head = head << 8 | value;
    }
    return PIER_EIPTEXT;
}

bool pier__inet_ends_in_number(const char *host)
{
    size_t end = strlen(host);
    if (end > 0 && host[end - 1] == '.') end--;
    size_t start = end;
    while (start > 0 && host[start - 1] != '.')
        start--;
    if (start == end) return false;

    const char *label = host + start;
    size_t length = end - start;
    int base = 10;
    if (length >= 2 && label[0] == '0' && (label[1] == 'x' || label[1] == 'X')) {
        base = 16;
        label += 2;
        length -= 2;
    }
    for (size_t i = 0; i < length; i++) {
        if (digit(label[i], base) < 0) return false;
    }
    return true;
}

/* A scope without its '%': digits are a number, all else is the name of an interface. */
static int read_scope(const char *text, uint32_t *out_scope, bool *out_named)
{
    if (!*text) return PIER_EIPTEXT;
    *out_named = text[strspn(text, "0123456789")] != '\0';
    if (*out_named) {
        *out_scope = 0;
        return pier__interface_check(text);
    }
    uint64_t number = 0;
    for (; *text; text++) {
        number = number * 10 + (uint64_t)(*text - '0');
        if (number > UINT32_MAX) return PIER_EIPTEXT;
    }
    *out_scope = (uint32_t)number;
    return 0;
}

int pier__interface_check(const char *name)
{
    for (const char *at = name; *at; at++) {
        unsigned char c = (unsigned char)*at;
        if (c <= ' ' || c == 0x7f || strchr("/:%[]", c)) return PIER_EIPTEXT;
    }
    return strlen(name) < IF_NAMESIZE ? 0 : PIER_EIFNAMELEN;
}

int pier__inet6_parse(const char *text, struct in6_addr *out, uint32_t *out_scope, bool *out_named)
{
    char address[INET6_ADDRSTRLEN];
    size_t length = strcspn(text, "%");
    if (length >= sizeof address) return PIER_EIPTEXT;
    memcpy(address, text, length);
    address[length] = '\0';

    struct in6_addr bytes;
    if (inet_pton(AF_INET6, address, &bytes) != 1) return PIER_EIPTEXT;
    uint32_t scope = 0;
    bool named = false;
    if (text[length]) {
        int err = read_scope(text + length + 1, &scope, &named);
        if (err < 0) return err;
    }
    *out = bytes;
    *out_scope = scope;
    *out_named = named;
    return 0;
}

void pier__inet_print(struct in_addr address, char out[static 16])
{
    /* Cannot fail: the family is known and the room is enough. */
    (void)inet_ntop(AF_INET, &address, out, 16);
}

void pier__inet6_print(const struct in6_addr *address, uint32_t scope, char out[static 64])
{
    (void)inet_ntop(AF_INET6, address, out, 64);
    size_t length = strlen(out);
    if (scope != 0) (void)snprintf(out + length, 64 - length, "%%%u", scope);
}
