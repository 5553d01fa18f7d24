/* SPDX-License-Identifier: MIT */
#include "base/text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct pier__text pier__text_begin(char *buf, size_t size, size_t kept)
{
    buf[0] = '\0';
    return (struct pier__text){.buf = buf, .size = size - kept};
}

void pier__text_more(struct pier__text *t, size_t kept)
{
    t->size += kept;
    t->cut = false;
}

/* Put "..." at the end of what is there, never into the middle of a UTF-8 character. */
static void cut(struct pier__text *t)
{
    size_t end = t->used < t->size - 4 ? t->used : t->size - 4;
    while (end > 0 && ((unsigned char)t->buf[end] & 0xc0) == 0x80)
        end--;
    memcpy(t->buf + end, "...", 4);
    t->used = end + 3;
    t->cut = true;
}

static void add(struct pier__text *t, const char *s, size_t n)
{
    if (t->cut) return;
    if (n > t->size - 1 - t->used) {
        cut(t);
        return;
    }
    memcpy(t->buf + t->used, s, n);
    t->used += n;
    t->buf[t->used] = '\0';
}

void pier__text_format(struct pier__text *t, const char *format, ...)
{
    if (t->cut) return;
    size_t room = t->size - t->used;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(t->buf + t->used, room, format, args);
    va_end(args);
    if (n < 0) {
        t->buf[t->used] = '\0';
    } else if ((size_t)n >= room) {
        t->used = t->size - 1;
        cut(t);
    } else {
        t->used += (size_t)n;
    }
}

size_t pier__text_printable(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    if (s[0] < 0x80) return s[0] >= 0x20 && s[0] != 0x7f;
    size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4) return 0;
    uint32_t c = s[0] & (0xffU >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) return 0; /* the NUL at the end stops here, too */
        c = c << 6 | (s[i] & 0x3f);
    }
    static const struct {
        uint32_t first, last;
    } not_printable[] = {
        {0, 0x9f},          /* C1 controls; below 0x80 it is an overlong form */
        {0x200b, 0x200f},   /* invisible, and marks of direction */
        {0x2028, 0x202e},   /* line ends, changes of direction */
        {0x2060, 0x206f},   /* the same again */
        {0xd800, 0xdfff},   /* surrogates */
        {0xfeff, 0xfeff},   /* byte order mark */
        {0xfff9, 0xfffb},   /* annotation marks */
        {0xe0000, 0xe0fff}, /* tags */
        {0x110000, UINT32_MAX},
    };
    if ((n == 3 && c < 0x800) || (n == 4 && c < 0x10000)) return 0;
    for (size_t i = 0; i < sizeof not_printable / sizeof not_printable[0]; i++)
        if (c >= not_printable[i].first && c <= not_printable[i].last) return 0;
    return n;
}

void pier__text_escape(struct pier__text *t, const char *s)
{
    while (*s && !t->cut) {
        size_t n = pier__text_printable(s);
        if (n > 0)
            add(t, s, n);
        else
            pier__text_format(t, "\\x%02x", (unsigned char)*s);
        s += n > 0 ? n : 1;
    }
}

void pier__text_bytes(struct pier__text *t, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    for (size_t i = 0; i < n && !t->cut; i++) {
        static const char plain[] = "\"\\\n\r\t", escaped[] = "\"\\nrt";
        const char *at = p[i] ? strchr(plain, p[i]) : NULL;
        if (at)
            add(t, (char[]){'\\', escaped[at - plain]}, 2);
        else if (p[i] >= 0x20 && p[i] < 0x7f)
            add(t, (const char *)&p[i], 1);
        else
            pier__text_format(t, "\\x%02x", p[i]);
    }
}
