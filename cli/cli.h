/* SPDX-License-Identifier: MIT */
#ifndef PIER_CLI_H
#define PIER_CLI_H

/* What the verbs of the command share. Each verb has a file of its own, and a row in main.c. */

#include <getopt.h>
#include <limits.h>
#include <pier.h>
#include <stdbool.h>
#include <stddef.h>

/* How the command ends. */
enum {
    DONE = 0,
    FAILED = 1, /* the network, the peer or a file said no */
    MISUSE = 2, /* the command line did not make sense */
};

int greet_main(int argc, char **argv);
int get_main(int argc, char **argv);
int listen_main(int argc, char **argv);
int connect_main(int argc, char **argv);

/* say.c: one line each on stderr, after "pier" and the verb. */
void say_as(const char *verb);
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));   /* FAILED */
int misuse(const char *format, ...) __attribute__((format(printf, 1, 2))); /* MISUSE */
int print_help(const char *text); /* on stdout: DONE, or FAILED if it cannot be written */

/* arguments.c */
int misused_option(int answer, char **argv); /* what getopt_long() answered: ':' or '?'; MISUSE */
int read_seconds(const char *text, double *out);                        /* DONE or MISUSE */
int only_argument(int argc, char **argv, const char *what, char **out); /* DONE or MISUSE */
int address_argument(int argc, char **argv, char **out);                /* DONE or MISUSE */

/* screen.c: a peer's bytes as they may be shown on a terminal. */
struct screen {
    unsigned char held[4]; /* the beginning of a character, or a CR */
    size_t count;
    bool utf8; /* the terminal's own encoding */
};

enum { SCREEN_GROWTH = 4 }; /* a byte becomes at most so many: \x1b */

void screen_begin(struct screen *it);
/* `out` has room for SCREEN_GROWTH * (length + sizeof it->held). Returns how many it got. */
size_t screen_put(struct screen *it, const void *bytes, size_t length, char *out);
size_t screen_end(struct screen *it, char *out); /* what is still held */
/* A short text from a peer, for a message; borrowed until the next call. */
const char *screen_quote(const char *text);

/* output.c */
int write_all(int fd, const void *bytes, size_t length); /* 0 or an errno */
/* To stdout, harmless if that is a terminal. 0 or an errno. length 0 ends it. */
int put(const void *bytes, size_t length);

/* server.c: a listening socket, and the path it leaves on the disk. */
struct server {
    int s;
    char path[128]; /* "" when there is none */
    uint64_t device, inode;
};

int server_open(struct server *it, const char *address); /* 0 or a code */
void server_close(struct server *it);

/* file.c: a file that takes its name only when it is complete. */
struct file {
    int fd;
    const char *temporary; /* NULL when it is written as it stands */
    char name[PATH_MAX];
};

int file_open(struct file *it, const char *name); /* DONE or FAILED */
int file_keep(struct file *it);                   /* DONE or FAILED */
void file_drop(struct file *it);

/* url.c: http://HOST:PORT/TARGET, taken apart. */
struct url {
    char host[256]; /* without brackets */
    int port;
    char target[8192]; /* path and query, as they are sent */
};

/* NULL, or what is wrong with it; `out` is undefined then. */
const char *url_parse(struct url *out, const char *text);
/* The same for a reference that stands in the page at `base`, RFC 3986 section 5. */
const char *url_follow(struct url *out, const struct url *base, const char *reference);
/* The authority as a Host field has it; borrowed until the next call. */
const char *url_authority(const struct url *it);

/* http.c: an answer's head, and its body. */
struct answer {
    int status;
    const char *reason;
    const char *location; /* NULL if there is none */
    bool chunked;
    bool has_length;
    uint64_t length;
};

/* DONE or FAILED; the texts are borrowed until the next call. */
int http_head(int s, struct answer *out);
/* The body, to put_body(), which says itself what is wrong. DONE or FAILED. */
int http_body(int s, const struct answer *it,
    int (*put_body)(void *to, const void *bytes, size_t length), void *to);

/*
 * relay.c: stdin to the socket and the socket to stdout, until both have ended, or nothing has
 * moved for `idle` seconds (INFINITY: no limit). Takes over `s`. DONE or FAILED.
 */
int relay(int s, double idle);

#endif
