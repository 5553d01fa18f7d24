/* SPDX-License-Identifier: MIT */
/* The only file that knows libidn2. */
#include "sock/idna.h"

#include "base/bits.h"
#include "base/inet.h"

#include <pier/error.h>

#include <errno.h>
#include <idn2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LABEL_MOST 63
#define NAME_MOST  253
#define TEXT_MOST  2048 /* bytes of UTF-8 that could still be a name of 253 */

static bool is_ascii(const char *host)
{
    for (; *host; host++) {
        if ((unsigned char)*host >= 0x80) return false;
    }
    return true;
}

/*
 * How many bytes the character at s has if it is UTF-8 in its one shortest form, no surrogate and
 * within Unicode; else 0.
 */
static size_t utf8_length(const unsigned char *s)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = s[0] < 0x80             ? 1
               : (s[0] & 0xe0) == 0xc0 ? 2
               : (s[0] & 0xf0) == 0xe0 ? 3
               : (s[0] & 0xf8) == 0xf0 ? 4
                                       : 0;
    if (n <= 1) return n;
    uint32_t c = s[0] & (0x7fU >> n);
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) return 0; /* the NUL too */
        c = c << 6 | (s[i] & 0x3fU);
    }
    if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) return 0;
    return n;
}

static bool is_utf8(const char *text)
{
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        size_t n = utf8_length(s);
        if (n == 0) return false;
        s += n;
    }
    return true;
}

/*
 * Lengths as in RFC 1035, section 2.3.4. Which characters a label may have is the resolver's
 * affair.
 */
static int check(const char *name)
{
    size_t length = strlen(name), label = 0;
    if (length > 0 && name[length - 1] == '.') length--;
    if (length == 0 || length > NAME_MOST) return PIER_EHOSTTEXT;
    for (size_t i = 0; i <= length; i++) {
        if (i == length || name[i] == '.') {
            if (label == 0 || label > LABEL_MOST) return PIER_EHOSTTEXT;
            label = 0;
            continue;
        }
        if ((unsigned char)name[i] <= ' ' || name[i] == 0x7f) return PIER_EHOSTTEXT;
        label++;
    }
    return 0;
}

/*
 * What looked like an international name may map to anything that ASCII has, and the resolver
 * would take "::1" or "127.0.0.1" for the address that whoever checked the name did not see.
 */
static bool is_plain_name(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-_.";
    return name[strspn(name, letters)] == '\0' && !pier__inet_ends_in_number(name);
}

static int code_of(int idn2)
{
    if (idn2 == IDN2_MALLOC) return -ENOMEM;
    bool too_long = idn2 == IDN2_TOO_BIG_LABEL || idn2 == IDN2_TOO_BIG_DOMAIN ||
                    idn2 == IDN2_PUNYCODE_BIG_OUTPUT;
    return too_long ? PIER_EHOSTTEXT : PIER_EAI_IDN_ENCODE;
}

/* U+002E or one of the three full stops that count as one, UTS #46 section 4. */
static bool ends_in_stop(const char *host)
{
    static const char *const stops[] = {".", "\xe3\x80\x82", "\xef\xbc\x8e", "\xef\xbd\xa1"};
    size_t length = strlen(host);
    for (size_t i = 0; i < PIER_COUNT(stops); i++) {
        size_t n = strlen(stops[i]);
        if (length >= n && memcmp(host + length - n, stops[i], n) == 0) return true;
    }
    return false;
}

/* Beyond ASCII. libidn2 allocates by itself; this is the one place where that happens. */
static int encode(const char *host, char *out)
{
    if (strnlen(host, TEXT_MOST + 1) > TEXT_MOST) return PIER_EHOSTTEXT;
    if (!is_utf8(host)) return PIER_EAI_IDN_ENCODE;
    char *name;
    int err = idn2_to_ascii_8z(host, &name, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
    if (err != IDN2_OK) return code_of(err);
    int code = check(name);
    if (code == 0 && !is_plain_name(name)) code = PIER_EAI_IDN_ENCODE;
    if (code == 0) {
        size_t length = strlen(name);
        memcpy(out, name, length + 1);
        /* libidn2 keeps the stop at the end of most names, but not of "\u00fc.". */
        if (ends_in_stop(host) && name[length - 1] != '.') memcpy(out + length, ".", 2);
    }
    idn2_free(name);
    return code;
}

int pier__idna(const char *host, char out[static PIER__HOST_SIZE])
{
    if (!is_ascii(host)) return encode(host, out);
    int err = check(host);
    if (err < 0) return err;
    memcpy(out, host, strlen(host) + 1);
    return 0;
}
