/* SPDX-License-Identifier: MIT */
/* What a web server answers, RFC 9112: a head, and a body by length, in chunks, or to the end. */
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { PART = 65536 };

static char head[65536]; /* all lines together */

/* A line into `to`, without its end. Returns its length, or -1, and has said why. */
static ssize_t read_line(int s, char *to, size_t size, const char *what)
{
    ssize_t n = size < 2 ? -EMSGSIZE : pier_recv_line(s, to, size);
    if (n == -EMSGSIZE) return fail("%s of the answer is too long", what), -1;
    if (n < 0) return fail("%s", pier_error()), -1;
    if (n == 0 || to[n - 1] != '\n') return fail("the connection ended within %s", what), -1;
    if (strlen(to) != (size_t)n) return fail("%s of the answer has a NUL in it", what), -1;
    n--;
    if (n > 0 && to[n - 1] == '\r') n--;
    to[n] = '\0';
    return n;
}

/* "HTTP/1.1 200 OK" */
static int parse_status(char *line, struct answer *out)
{
    static const char digits[] = "0123456789";
    if (strncmp(line, "HTTP/1.", 7) != 0 || strspn(line + 7, digits) != 1 || line[8] != ' ' ||
        strspn(line + 9, digits) != 3 || (line[12] != ' ' && line[12] != '\0'))
        return fail("that is no answer of a web server: %s", screen_quote(line));
    *out = (struct answer){
        .status = (int)strtol(line + 9, NULL, 10), .reason = line[12] == ' ' ? line + 13 : ""};
    return DONE;
}

static char *trim(char *text)
{
    text += strspn(text, " \t");
    size_t length = strlen(text);
    while (length > 0 && strchr(" \t", text[length - 1]) != NULL)
        text[--length] = '\0';
    return text;
}

/* Content-Length: one number; said several times over, it is the same. */
static int parse_length(char *value, struct answer *out)
{
    char *rest = value;
    for (char *item; (item = strsep(&rest, ",")) != NULL;) {
        item = trim(item);
        if (*item == '\0' || item[strspn(item, "0123456789")] != '\0' || strlen(item) > 18)
            return fail("the length of the answer is no number: %s", screen_quote(item));
        uint64_t length = strtoull(item, NULL, 10);
        if (out->has_length && out->length != length)
            return fail("the answer has two lengths, %s and %ju", item, (uintmax_t)out->length);
        out->has_length = true;
        out->length = length;
    }
    return DONE;
}

static int parse_field(char *line, struct answer *out)
{
    char *colon = strchr(line, ':');
    if (colon == NULL || colon == line)
        return fail("the answer has a line that makes no sense: %s", screen_quote(line));
    *colon = '\0';
    const char *name = trim(line);
    char *value = trim(colon + 1);
    if (strcasecmp(name, "Location") == 0 && out->location == NULL) out->location = value;
    if (strcasecmp(name, "Content-Length") == 0) return parse_length(value, out);
    if (strcasecmp(name, "Transfer-Encoding") != 0) return DONE;
    if (strcasecmp(value, "identity") == 0) return DONE;
    if (strcasecmp(value, "chunked") != 0 || out->chunked)
        return fail("the answer is encoded in a way not known here: %s", screen_quote(value));
    out->chunked = true;
    return DONE;
}

/* One head: status line and fields. A line that begins with a blank goes on with the one before. */
static int read_head(int s, struct answer *out)
{
    size_t used = 0;
    char *field = NULL;
    ssize_t n = read_line(s, head, sizeof head, "the head");
    if (n < 0) return FAILED;
    if (parse_status(head, out) != DONE) return FAILED;
    for (used = (size_t)n + 1;; used += (size_t)n + 1) {
        char *line = head + used;
        if ((n = read_line(s, line, sizeof head - used, "the head")) < 0) return FAILED;
        if (field != NULL && n > 0 && (*line == ' ' || *line == '\t')) {
            line[-1] = ' ';
            continue;
        }
        if (field != NULL && parse_field(field, out) != DONE) return FAILED;
        if (n == 0) return DONE;
        field = line;
    }
}

int http_head(int s, struct answer *out)
{
    /* Interim answers (100, 103) come before the one that counts. */
    for (int interim = 0; interim < 20; interim++) {
        if (read_head(s, out) != DONE) return FAILED;
        if (out->status >= 200) return DONE;
        if (out->status < 100 || out->status == 101)
            return fail("the server answers with a status that makes no sense: %d", out->status);
    }
    return fail("the server has too many interim answers");
}

struct body {
    int s;
    int (*put)(void *to, const void *bytes, size_t length);
    void *to;
};

static int copy_exactly(const struct body *it, uint64_t length)
{
    static char part[PART];
    for (uint64_t left = length; left > 0;) {
        ssize_t n = pier_recv(it->s, part, left < PART ? (size_t)left : PART, 0);
        if (n < 0) return fail("%s", pier_error());
        if (n == 0)
            return fail("the connection ended after %ju of %ju bytes", (uintmax_t)(length - left),
                (uintmax_t)length);
        if (it->put(it->to, part, (size_t)n) != DONE) return FAILED;
        left -= (uint64_t)n;
    }
    return DONE;
}

static int copy_all(const struct body *it)
{
    static char part[PART];
    for (;;) {
        ssize_t n = pier_recv(it->s, part, sizeof part, 0);
        if (n < 0) return fail("%s", pier_error());
        if (n == 0) return DONE;
        if (it->put(it->to, part, (size_t)n) != DONE) return FAILED;
    }
}

/* "1a;extension" and its kin. */
static int parse_chunk_size(const char *line, uint64_t *out)
{
    size_t digits = strspn(line, "0123456789abcdefABCDEF");
    const char *rest = line + digits + strspn(line + digits, " \t");
    if (digits == 0 || digits > 15 || (*rest != '\0' && *rest != ';'))
        return fail("a chunk of the answer has no proper size: %s", screen_quote(line));
    *out = strtoull(line, NULL, 16);
    return DONE;
}

static int copy_chunks(const struct body *it)
{
    char line[4096];
    for (;;) {
        uint64_t size = 0;
        if (read_line(it->s, line, sizeof line, "a chunk") < 0) return FAILED;
        if (parse_chunk_size(line, &size) != DONE) return FAILED;
        if (size == 0) break;
        if (copy_exactly(it, size) != DONE) return FAILED;
        ssize_t n = read_line(it->s, line, sizeof line, "a chunk");
        if (n < 0) return FAILED;
        if (n > 0) return fail("a chunk of the answer is longer than it says");
    }
    /* Trailing fields, which mean nothing to us. */
    for (int lines = 0; lines < 1000; lines++) {
        ssize_t n = read_line(it->s, line, sizeof line, "the end");
        if (n <= 0) return n == 0 ? DONE : FAILED;
    }
    return fail("the end of the answer has too many lines");
}

int http_body(int s, const struct answer *it,
    int (*put_body)(void *to, const void *bytes, size_t length), void *to)
{
    const struct body body = {.s = s, .put = put_body, .to = to};
    if (it->status == 204 || it->status == 304) return DONE;
    if (it->chunked) return copy_chunks(&body);
    return it->has_length ? copy_exactly(&body, it->length) : copy_all(&body);
}
