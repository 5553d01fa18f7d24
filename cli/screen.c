/* SPDX-License-Identifier: MIT */
/*
 * What a peer sends must not steer our user's terminal: control characters other than line feed
 * and tab, and bytes that are no text in the terminal's encoding, are shown as \x1b. A CR passes
 * in front of a LF only; alone it would let a line be overwritten.
 */
#include "cli.h"

#include <langinfo.h>
#include <stdio.h>
#include <string.h>

enum verdict { PLAIN, ESCAPE, MORE };

void screen_begin(struct screen *it)
{
    *it = (struct screen){.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0};
}

/* Which second byte a character may have, RFC 3629; not U+0080 to U+009F, which are controls. */
static bool may_follow(unsigned char first, unsigned char second)
{
    switch (first) {
    case 0xc2:
    case 0xe0: return second >= 0xa0 && second <= 0xbf;
    case 0xed: return second >= 0x80 && second <= 0x9f;
    case 0xf0: return second >= 0x90 && second <= 0xbf;
    case 0xf4: return second >= 0x80 && second <= 0x8f;
    default: return second >= 0x80 && second <= 0xbf;
    }
}

static enum verdict judge_utf8(const unsigned char *byte, size_t count)
{
    if (byte[0] < 0xc2 || byte[0] > 0xf4) return ESCAPE;
    size_t length = byte[0] < 0xe0 ? 2 : byte[0] < 0xf0 ? 3 : 4;
    if (count > 1 && !may_follow(byte[0], byte[1])) return ESCAPE;
    for (size_t i = 2; i < count; i++)
        if (byte[i] < 0x80 || byte[i] > 0xbf) return ESCAPE;
    return count < length ? MORE : PLAIN;
}

static enum verdict judge(const struct screen *it)
{
    unsigned char first = it->held[0];
    if (first == '\r') return it->count == 1 ? MORE : it->held[1] == '\n' ? PLAIN : ESCAPE;
    if (first == '\n' || first == '\t') return PLAIN;
    if (first < 0x80) return first < ' ' || first == 0x7f ? ESCAPE : PLAIN;
    return it->utf8 ? judge_utf8(it->held, it->count) : ESCAPE;
}

/* Shows the first byte held as \xHH and lets go of it. */
static size_t escape(struct screen *it, char *out)
{
    static const char digits[] = "0123456789abcdef";
    out[0] = '\\';
    out[1] = 'x';
    out[2] = digits[it->held[0] >> 4];
    out[3] = digits[it->held[0] & 15];
    it->count--;
    memmove(it->held, it->held + 1, it->count);
    return 4;
}

/* Puts out of what is held whatever is decided. */
static size_t settle(struct screen *it, char *out)
{
    size_t used = 0;
    while (it->count > 0) {
        enum verdict verdict = judge(it);
        if (verdict == MORE) break;
        if (verdict == ESCAPE) {
            used += escape(it, out + used);
            continue;
        }
        memcpy(out + used, it->held, it->count);
        used += it->count;
        it->count = 0;
    }
    return used;
}

size_t screen_put(struct screen *it, const void *bytes, size_t length, char *out)
{
    const unsigned char *byte = bytes;
    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        it->held[it->count++] = byte[i];
        used += settle(it, out + used);
    }
    return used;
}

size_t screen_end(struct screen *it, char *out)
{
    size_t used = 0;
    while (it->count > 0) {
        used += escape(it, out + used);
        used += settle(it, out + used);
    }
    return used;
}

const char *screen_quote(const char *text)
{
    enum { MOST = 200 };
    static char quoted[SCREEN_GROWTH * (MOST + sizeof((struct screen *)0)->held) + 4];
    struct screen it;
    screen_begin(&it);
    size_t length = strnlen(text, MOST), used = screen_put(&it, text, length, quoted);
    used += screen_end(&it, quoted + used);
    for (char *c = quoted; c < quoted + used; c++)
        if (*c == '\n' || *c == '\t') *c = ' '; /* a message is one line */
    memcpy(quoted + used, length == MOST ? "..." : "", length == MOST ? 4 : 1);
    return quoted;
}
