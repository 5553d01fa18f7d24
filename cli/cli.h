/* SPDX-License-Identifier: MIT */
#ifndef PIER_CLI_H
#define PIER_CLI_H

/*
 * What the verbs of the command share. Each verb has a file of its own, and in it one struct verb,
 * from which it is parsed, told by --help, completed by the shells and described in its man page.
 */

#include <limits.h>
#include <pier.h>
#include <sha2.h> /* libmd */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* How the command ends. */
enum {
    DONE = 0,
    FAILED = 1, /* the network, the peer or a file said no */
    MISUSE = 2, /* the command line did not make sense */
};

/* What an option takes, and what its `out` points to then. */
enum takes {
    TAKES_NOTHING, /* bool */
    TAKES_TEXT,    /* const char * */
    TAKES_FILE,    /* const char *, the name of a file */
    TAKES_SERVICE, /* const char *, a name of /etc/services, as a rule */
    TAKES_ERROR,   /* const char *, the name of an error, as a rule */
    TAKES_ADDRESS, /* const char *, an address that can be parsed */
    TAKES_SECONDS, /* double, above 0 */
    TAKES_COUNT,   /* uint64_t, above 0 */
    TAKES_SIZE,    /* uint64_t, bytes: "64K" is 65536 */
};

/* An option. */
struct choice {
    char letter; /* 0: it has none */
    const char *name;
    enum takes takes;
    const char *value; /* what --help calls it: "SECONDS"; NULL with TAKES_NOTHING */
    const char *what;
    void *out; /* untouched if it is not given */
};

/* What stands on the command line by itself. */
struct operand {
    const char *name; /* "ADDRESS"; "[FILE]" may be left out */
    enum takes takes;
    const char *what; /* "echo, churn or bulk": the words that it may be */
};

enum { OPERANDS = 2 };

struct verb {
    const char *name;
    const char *summary; /* a line */
    const char *example; /* lines, with which its help begins */
    const char *text;    /* what it does, in paragraphs */
    struct operand operands[OPERANDS + 1];
    const struct choice *choices; /* the last has no name; NULL: none */
    bool numbers;                 /* -111 is a number here */
    int (*run)(char **operands);  /* DONE, FAILED or MISUSE */
};

/* How --help tells of them. */
#define UDP_OR_DATAGRAMS "datagrams: UDP, or those of AF_UNIX"
#define LINES_HELP \
    "text by lines: CR LF on the wire, LF on stdin and stdout; with -u each line is a datagram"
#define THIS_HELP       "this text"
#define HEX_HELP        "show all that comes (<) and goes (>) in hexadecimal"
#define STATISTICS_HELP "tell on stderr, at the end, how much came and went"
#define CONFINED_HELP                                                                                   \
    "\nOnce it listens, Landlock keeps it from files and connections that it does not need, where the " \
    "kernel has that."
#define ANY_ADDRESS    "unix:PATH, unix:@NAME or vsock:CID:PORT"
#define CLIENT_ADDRESS "HOST:PORT, :PORT (this host), [IPV6]:PORT, " ANY_ADDRESS
#define SERVER_ADDRESS \
    "HOST:PORT, :PORT, [IPV6]:PORT, " ANY_ADDRESS "; port 0 lets the system choose"

/* main.c */
extern const struct verb *const verbs[]; /* NULL at the end */

extern const struct verb address_verb, bench_verb, connect_verb, echo_verb, explain_verb, get_verb,
    greet_verb, listen_verb, port_verb, proxy_verb, receive_verb, resolve_verb, send_verb,
    sockets_verb;

const struct verb *find_verb(const char *name); /* NULL if there is none */

/* say.c: one line each on stderr, after "pier" and the verb. */
void say_as(const char *verb);
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));   /* FAILED */
int misuse(const char *format, ...) __attribute__((format(printf, 1, 2))); /* MISUSE */
/* printf() of lines that somebody waits for, in one piece; finish_output() says if one was lost. */
void announce(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Writes out what was printed on stdout: DONE, or FAILED if that cannot be. */
int finish_output(void);

/* paint.c: what switches a terminal to a colour and back; "" where no colours are wanted. */
struct paint {
    const char *strong, *alarm, *off;
};

struct paint paint_for(int fd);

/* help.c */
int help_all(int fd);                 /* on stdout: DONE or FAILED; on stderr: MISUSE */
int help_verb(const struct verb *it); /* DONE or FAILED */
extern const char help_example[], help_addresses[], help_status[];
/* Prose, broken into lines that all begin at `margin`; the first has got there already. */
void put_prose(FILE *to, int margin, const char *text);

/* man.c: the page of a verb, or with NULL of the command, on stdout. DONE, FAILED or MISUSE. */
int man(const char *verb);

/* complete.c: what may come as the last of these words. DONE, FAILED or MISUSE. */
int complete(int count, char **words);

/*
 * arguments.c: DONE with the operands, NULL after the last; MISUSE; or HELPED when it asks for
 * help.
 */
enum { HELPED = -1 };
int read_arguments(const struct verb *it, int argc, char **argv, char *out[OPERANDS + 1]);

/*
 * An address whose port may be left out: "::1", "[::1]", "example.com". `whole` gets the text with
 * the port that it was read with.
 */
enum { LOOSE = 512 };
pier_addr parse_loosely(const char *text, char *whole, size_t size);

/* causes.c: what is behind an error. */
struct cause {
    int code;
    const char *meaning; /* what it says */
    const char *causes;  /* why, as a rule */
    const char *advice;  /* what to try */
};

extern const struct cause causes[]; /* the last has the code 0 */

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

/* server.c: a socket at an address of ours, and the path that it leaves on the disk. */
struct server {
    int s;
    char path[128]; /* "" when there is none */
    uint64_t device, inode;
};

int server_open(struct server *it, const char *address, bool datagrams); /* 0 or a code */
void server_forget(struct server *it); /* its path alone: the socket goes on */
void server_close(struct server *it);
bool is_chosen(const char *address);      /* by the system, which then is to be asked */
int datagram_socket(const char *address); /* bound to it, or a code */

/* aim.c: whom datagrams go to, and a socket that sends to it, or a code. */
pier_addr aim(const char *address, int family, pier_time deadline);
int aim_socket(pier_addr to);

/* What a verb that serves still needs, once all is open. */
struct freedom {
    const struct server *listener; /* its path goes at the end */
    const char *file;              /* gets its name at the end; NULL: none */
    const char *target;            /* an address to connect to, again and again; NULL: none */
    bool datagrams;                /* they are answered, wherever they come from */
    bool verbose;                  /* a line on stderr says what holds */
};

/* confine.c: gives up the rest, as far as the kernel can. Before there are threads. */
void confine(const struct freedom *it);

/*
 * stop.c: from now on SIGINT and SIGTERM call `stop` with how often they came, in a thread of its
 * own, again while it answers -ESRCH (nobody is there to be stopped yet). Those that whoever
 * started us wants ignored, as nohup does, stay ignored. The third one ends the process. DONE or
 * FAILED.
 */
int on_signals(int (*stop)(int times));
int signal_that_came(void); /* the last one, or 0 */
void die_of(int number);    /* clean up, and end as this signal ends a program by itself */
/* What has still to be done when a signal or give_up() ends a verb; async-signal-safe. */
void clean_up_with(void (*function)(void));
_Noreturn void give_up(int status); /* from any thread */

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

/* How to talk over stdin and stdout. */
struct talk {
    bool verbose;    /* tell who is there */
    bool datagrams;  /* what is read from stdin at once is one, and so is what comes */
    bool many;       /* several clients speak */
    bool lines;      /* CR LF on the wire, LF here; with datagrams, one for each line */
    bool hex;        /* show in hexadecimal what goes and comes */
    bool statistics; /* tell at the end how much it was */
    double idle;     /* nothing has moved for so many seconds: the end; INFINITY: no limit */
    double linger;   /* datagrams: the same after the end of stdin, if there is no limit */
};

/* tally.c */
struct tally {
    pier_time began;
    atomic_uint_fast64_t came, went, pieces_came, pieces_went;
};

void tally_begin(struct tally *it);
void tally_came(struct tally *it, size_t n);
void tally_went(struct tally *it, size_t n);
void tally_say(const struct tally *it, const struct talk *how);
enum { AMOUNT = 32 };
const char *amount(double bytes, char text[AMOUNT]); /* "1.50 MB"; `text` */

/* input.c: stdin in pieces. Zeroed at first. */
struct input {
    size_t count;
    bool ended;
    char last; /* the byte before what is held */
    char held[65536];
};

int input_read(struct input *it); /* 0, perhaps with nothing, or an errno */
/* The next piece, for which `out` has twice the room of `held`; false: read first. */
bool input_next(struct input *it, const struct talk *how, char *out, size_t *out_length);

/* view.c: stdout, from any thread. 0 or an errno. */
int view_came(const struct talk *how, const void *bytes, size_t n);
int view_went(const struct talk *how, const void *bytes, size_t n);
int view_end(void);

/* progress.c: nothing unless stderr is a terminal. */
struct progress {
    pier_time began, next;
    uint64_t first, total;
    bool terminal, drawn;
};

void progress_begin(struct progress *it, uint64_t done, uint64_t total);
void progress_at(struct progress *it, uint64_t done);
void progress_end(struct progress *it, uint64_t done);

/* transfer.c: a line of the other end of a transfer, without its end. DONE or FAILED. */
enum { TRANSFER_LINE = 512, TRANSFER_DIGITS = 19, TRANSFER_SUM = SHA256_DIGEST_STRING_LENGTH };
int transfer_line(int s, char out[TRANSFER_LINE]);
void transfer_sum(SHA2_CTX sum, char out[TRANSFER_SUM]); /* of what was added so far */

/* diag.c: the sockets of this network namespace. */
enum diag_kind { DIAG_TCP, DIAG_UDP, DIAG_UNIX, DIAG_KINDS };

struct diag_end {
    unsigned char host[16]; /* IPv4 is mapped into IPv6 */
    int port;               /* 0: none */
    unsigned interface;     /* 0: any */
};

struct diag_row {
    enum diag_kind kind;
    int type; /* SOCK_STREAM, ... of DIAG_UNIX */
    unsigned state;
    bool both;                 /* it takes IPv4 as well */
    uint32_t received, unsent; /* bytes; who listens: clients that wait, and the most that may */
    uint32_t inode, peer_inode;
    struct diag_end local, peer;
    char *name;                /* of DIAG_UNIX, as an address; NULL: it has none */
    struct diag_row *peer_row; /* the same by find_owners(); valid until rows move */
    char *owners;              /* "nginx[812],nginx[813]"; NULL: nobody that we see */
    long last_owner;
    unsigned owner_count; /* `owners` has the first of them */
    bool wanted;          /* held by the process that was asked for */
};

/* Zeroed at first. */
struct diag {
    struct diag_row *rows;
    size_t count, room;
    bool unsteady; /* sockets came and went all the time: some may be missing */
    bool denied;   /* some processes do not let us see */
};

int diag_read(struct diag *to, enum diag_kind kind, bool all); /* appends; 0 or a code */
void diag_free(struct diag *it);
bool diag_is_waiting(const struct diag_row *it); /* for clients, or for anybody's datagrams */
const char *diag_state(const struct diag_row *it);
bool diag_is_inet4(const struct diag_end *it);
void diag_set_inet4(struct diag_end *it, const void *host);

enum { OWNERS_NAMED = 6 }; /* of a server's hundred workers there is only the number */

/*
 * owners.c: fills in who holds them; `wanted` is a process by name or number, or NULL. 0 or a code.
 */
int find_owners(struct diag *of, const char *wanted);

/*
 * relay.c: stdin to the socket and the socket to stdout, until both have ended, or nothing has
 * moved for the idle time. Takes over `s`. DONE or FAILED.
 */
int relay(int s, const struct talk *how);

/* crowd.c: the same with all clients that come, until a signal ends it. DONE or FAILED. */
int serve_crowd(struct server *listener, const struct talk *how, uint64_t max_clients);

#endif
