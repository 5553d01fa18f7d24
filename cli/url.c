/* SPDX-License-Identifier: MIT */
/* URLs of http, RFC 3986, as far as fetching a page needs them. */
#include "cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char not_http[] = "only http is spoken here";

/* How long the scheme is ("http" in "http://x"), or 0 if there is none. */
static size_t scheme_length(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    if (strspn(text, letters) == 0) return 0;
    size_t length = strcspn(text, ":/?#");
    return text[length] == ':' && strncmp(text + length, "://", 3) == 0 ? length : 0;
}

static const char *check_scheme(const char *text, size_t length)
{
    if (length == 4 && strncasecmp(text, "http", 4) == 0) return NULL;
    if (length == 5 && strncasecmp(text, "https", 5) == 0)
        return "https is not spoken yet, only http";
    return not_http;
}

static const char *parse_port(struct url *out, const char *text, size_t length)
{
    out->port = 80; /* "http://host:/" is legal, too */
    if (length == 0) return NULL;
    if (strspn(text, "0123456789") < length || length > 20) return "the port is no number";
    long port = strtol(text, NULL, 10);
    if (port < 1 || port > 65535) return "the port is not between 1 and 65535";
    out->port = (int)port;
    return NULL;
}

/* "[::1]", "[fe80::1%25eth0]": the percent sign of a scope is written %25 in a URL, RFC 6874. */
static const char *parse_ipv6(struct url *out, const char *text, size_t length)
{
    size_t inside = length - 1, address = strspn(text, "0123456789abcdefABCDEF:.");
    if (inside >= sizeof out->host || address < 2) return "that is no IPv6 address";
    memcpy(out->host, text, inside);
    out->host[inside] = '\0';
    if (address == inside) return NULL;
    if (strncmp(out->host + address, "%25", 3) != 0) return "that is no IPv6 address";
    memmove(out->host + address + 1, out->host + address + 3, inside - address - 2);
    return strpbrk(out->host + address + 1, "%[]@ \t\r\n") ? "that is no IPv6 address" : NULL;
}

static const char *parse_host(struct url *out, const char *text, size_t length)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
    if (length == 0) return "it names no host";
    if (length >= sizeof out->host) return "the host is too long";
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] >= 0x80)
            return "a host beyond ASCII is written in its xn-- form";
    if (strspn(text, allowed) < length) return "the host has a character that no host has";
    memcpy(out->host, text, length);
    out->host[length] = '\0';
    return NULL;
}

static const char *parse_authority(struct url *out, const char *text, size_t length)
{
    if (memchr(text, '@', length) != NULL) return "a user in a URL is not taken here";
    const char *wrong, *end = text + length, *colon;
    if (*text == '[') {
        const char *bracket = memchr(text, ']', length);
        if (bracket == NULL) return "a bracket is missing";
        if ((wrong = parse_ipv6(out, text + 1, (size_t)(bracket - text))) != NULL) return wrong;
        colon = bracket + 1;
        if (colon < end && *colon != ':') return "only a port may follow the bracket";
    } else {
        colon = memchr(text, ':', length);
        if (colon == NULL) colon = end;
        if ((wrong = parse_host(out, text, (size_t)(colon - text))) != NULL) return wrong;
    }
    return colon < end ? parse_port(out, colon + 1, (size_t)(end - colon - 1))
                       : parse_port(out, "", 0);
}

/* Appends up to a fragment. Blanks and bytes beyond ASCII become %XX; controls are refused. */
static const char *append_target(struct url *out, const char *text)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t used = strlen(out->target);
    for (; *text != '\0' && *text != '#'; text++) {
        unsigned char c = (unsigned char)*text;
        if (used + 4 > sizeof out->target) return "it is too long";
        if (c < ' ' || c == 0x7f) return "it has a control character";
        if (c > ' ' && c < 0x7f) {
            out->target[used++] = *text;
            continue;
        }
        out->target[used++] = '%';
        out->target[used++] = digits[c >> 4];
        out->target[used++] = digits[c & 15];
    }
    out->target[used] = '\0';
    return NULL;
}

/* Takes "." and ".." out of the path, RFC 3986 section 5.2.4. It begins with a slash. */
static void remove_dots(char *target)
{
    char *query = target + strcspn(target, "?");
    char *in = target, *to = target;
    while (in < query) {
        size_t length = 1 + strcspn(in + 1, "/?");
        bool up = length == 3 && memcmp(in, "/..", 3) == 0;
        if (up)
            while (to > target && *--to != '/')
                continue;
        if (up || (length == 2 && in[1] == '.')) {
            if (in + length == query) *to++ = '/';
        } else {
            memmove(to, in, length);
            to += length;
        }
        in += length;
    }
    memmove(to, query, strlen(query) + 1);
}

/* What follows "http://" or "//". */
static const char *parse_rest(struct url *out, const char *text)
{
    size_t length = strcspn(text, "/?#");
    const char *wrong = parse_authority(out, text, length);
    if (wrong != NULL) return wrong;
    snprintf(out->target, sizeof out->target, "%s", text[length] == '/' ? "" : "/");
    if ((wrong = append_target(out, text + length)) != NULL) return wrong;
    remove_dots(out->target);
    return NULL;
}

const char *url_parse(struct url *out, const char *text)
{
    size_t scheme = scheme_length(text);
    if (scheme == 0) return parse_rest(out, text);
    const char *wrong = check_scheme(text, scheme);
    return wrong != NULL ? wrong : parse_rest(out, text + scheme + 3);
}

const char *url_follow(struct url *out, const struct url *base, const char *reference)
{
    if (scheme_length(reference) > 0) return url_parse(out, reference);
    if (strncmp(reference, "//", 2) == 0) return parse_rest(out, reference + 2);
    if (reference[strcspn(reference, ":/?#")] == ':') return not_http; /* "mailto:", "data:" */

    *out = *base;
    size_t path = strcspn(base->target, "?");
    if (*reference == '/')
        path = 0;
    else if (*reference != '?' && *reference != '#' && *reference != '\0')
        path = (size_t)((char *)memrchr(base->target, '/', path) - base->target) + 1;
    else if (*reference != '?')
        return NULL; /* the page itself */
    out->target[path] = '\0';
    const char *wrong = append_target(out, reference);
    if (wrong != NULL) return wrong;
    remove_dots(out->target);
    return NULL;
}

const char *url_authority(const struct url *it)
{
    static char text[sizeof it->host + 16];
    bool ipv6 = strchr(it->host, ':') != NULL;
    /* A scope means something on this host alone, so the server is not told. */
    int length = (int)strcspn(it->host, "%");
    int used = snprintf(text, sizeof text, ipv6 ? "[%.*s]" : "%.*s", length, it->host);
    if (it->port != 80) snprintf(text + used, sizeof text - (size_t)used, ":%d", it->port);
    return text;
}
