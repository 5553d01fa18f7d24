/* SPDX-License-Identifier: MIT */
/* pier get: a page over http. */
#include "cli.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static const char *output = "-";
static double seconds = INFINITY;
static uint64_t most = INT64_MAX, redirections = 10;
static bool verbose;

static const struct choice choices[] = {
    {'o', "output", TAKES_FILE, "FILE", "write to FILE instead; - is stdout", &output},
    {'w', "wait", TAKES_SECONDS, "SECONDS", "give up when all of it takes so long", &seconds},
    {'m', "max-size", TAKES_SIZE, "BYTES", "refuse a page that is longer, as 10M", &most},
    {'r', "redirects", TAKES_COUNT, "N", "follow so many redirections; 10", &redirections},
    {'v', "verbose", TAKES_NOTHING, NULL, "tell on stderr what each server answers", &verbose},
    {0},
};

/* Where a page goes. */
struct sink {
    struct file *file; /* NULL: stdout */
    uint64_t got;
    struct progress progress;
};

/* For the body: DONE, or FAILED after saying why. */
static int take_part(void *to, const void *bytes, size_t length)
{
    struct sink *it = to;
    it->got += length;
    if (it->got > most) return fail("the page is longer than %ju bytes", (uintmax_t)most);
    int err = it->file != NULL ? write_all(it->file->fd, bytes, length) : put(bytes, length);
    progress_at(&it->progress, it->got);
    if (err == 0) return DONE;
    if (it->file == NULL) return fail("standard output: %s", strerror(err));
    return fail("%s: %s", screen_quote(it->file->name), strerror(err));
}

/* Dials and asks. Returns the socket, or a negative code; what is wrong has been said then. */
static int ask(const struct url *it, pier_time deadline)
{
    static char request[sizeof it->target + sizeof it->host + 256];
    char address[sizeof it->host + 16];
    /* A host of one of these names would be read as a family; its full name is not. */
    bool family = strcasecmp(it->host, "unix") == 0 || strcasecmp(it->host, "vsock") == 0;
    bool ipv6 = strchr(it->host, ':') != NULL;
    snprintf(address, sizeof address, ipv6 ? "[%s]%s:%d" : "%s%s:%d", it->host, family ? "." : "",
        it->port);
    int s = pier_create_connection(address, &(pier_connection_opts){.deadline = deadline});
    if (s < 0) return fail("%s", pier_error()), s;
    int length = snprintf(request, sizeof request,
        "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: pier/%s\r\nAccept: */*\r\n"
        "Accept-Encoding: identity\r\nConnection: close\r\n\r\n",
        it->target, url_authority(it), pier_version());
    ssize_t n = pier_sendall(s, request, (size_t)length, 0);
    /* A server that does not want to hear the question may have answered all the same. */
    if (n >= 0 || n == -EPIPE || n == -ECONNRESET) return s;
    fail("%s", pier_error());
    pier_close(s);
    return (int)n;
}

static bool redirects(const struct answer *it)
{
    bool moved = it->status == 301 || it->status == 302 || it->status == 303 || it->status == 307 ||
                 it->status == 308;
    return moved && it->location != NULL;
}

/* The next URL to ask, or NULL with the reason said. */
static const struct url *redirect(const struct url *from, const struct answer *it)
{
    static struct url next;
    const char *wrong = url_follow(&next, from, it->location);
    if (wrong == NULL) return &next;
    fail("redirected to %s: %s", screen_quote(it->location), wrong);
    return NULL;
}

/* Follows redirections to the page. Returns its socket with the head read, or less than 0. */
static int find_page(struct url *it, pier_time deadline, struct answer *out)
{
    for (uint64_t hops = 0; hops <= redirections; hops++) {
        int s = ask(it, deadline);
        if (s < 0) return s;
        int status = http_head(s, out);
        if (status == DONE && verbose)
            say("http://%s%s: %d %s", url_authority(it), it->target, out->status,
                screen_quote(out->reason));
        if (status == DONE && !redirects(out)) return s;
        const struct url *next = status == DONE ? redirect(it, out) : NULL;
        pier_close(s);
        if (next == NULL) return -1;
        *it = *next;
    }
    fail("more than %ju redirections", (uintmax_t)redirections);
    return -1;
}

static int take_body(int s, const struct answer *head, struct file *to)
{
    struct sink sink = {.file = to};
    if (head->has_length && !head->chunked && head->length > most)
        return fail(
            "the page has %ju bytes, more than %ju", (uintmax_t)head->length, (uintmax_t)most);
    /* A bar is for what is not on the screen itself, and knows its end. */
    if (to != NULL && head->has_length) progress_begin(&sink.progress, 0, head->length);
    int status = http_body(s, head, take_part, &sink);
    if (sink.progress.drawn || (status == DONE && head->has_length))
        progress_end(&sink.progress, sink.got);
    if (to != NULL || status != DONE) return status;
    int err = put(NULL, 0);
    return err == 0 ? DONE : fail("standard output: %s", strerror(err));
}

static int get(struct url *it, struct file *to, pier_time deadline)
{
    struct answer head;
    int s = find_page(it, deadline, &head);
    if (s < 0) return FAILED;
    int status;
    if (head.status >= 300)
        status = fail("http://%s%s: %d %s", url_authority(it), it->target, head.status,
            screen_quote(head.reason));
    else
        status = take_body(s, &head, to);
    pier_close(s);
    return status;
}

static int run(char **operands)
{
    static struct url page;
    static struct file to;
    const char *wrong = url_parse(&page, operands[0]);
    if (wrong != NULL) return misuse("%s: %s", screen_quote(operands[0]), wrong);

    pier_time deadline = pier_after(seconds);
    if (strcmp(output, "-") == 0) return get(&page, NULL, deadline);
    if (file_open(&to, output) != DONE) return FAILED;
    if (get(&page, &to, deadline) == DONE) return file_keep(&to);
    file_drop(&to);
    return FAILED;
}

const struct verb get_verb = {
    .name = "get",
    .summary = "fetch a page over http",
    .example = "pier get http://example.com/ > page.html",
    .text =
        "Fetch a page over http, and write it to stdout, or to FILE, which takes its name only "
        "when the page is complete. Redirections are followed. An answer of 400 and "
        "above, or one that is cut off, is a failure. On a terminal, control characters are shown "
        "as \\x1b.",
    .operands = {{"URL", TAKES_TEXT, "http://HOST[:PORT]/PATH; http:// may be left out"}},
    .choices = choices,
    .run = run,
};
