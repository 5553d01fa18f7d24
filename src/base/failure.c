/* SPDX-License-Identifier: MIT */
#include "base/failure.h"

#include "base/addr.h"
#include "base/bits.h"
#include "base/holder.h"
#include "base/seam.h"
#include "base/strand.h"
#include "base/text.h"

#include <pier/error.h>

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* How many bytes the whole sentence may take, and how many of them its reason. */
#define SENTENCE 2048
#define REASON   384

/*
 * Large, and never on a hot path, so memory is taken for it when a call of the strand first fails:
 * of thread-local memory, a program that loads the library by dlopen(3) has only a few hundred
 * bytes left.
 */
struct pier__record {
    struct pier__failure last;
    char sentence[SENTENCE];
    struct pier__record *next; /* of those that are kept, */
    const void *which;         /* and of whom it is */
};

/* For strands that could not get memory for their own: their words may mix, no more. */
static struct pier__record spare;

static pthread_key_t at_exit;
static pthread_once_t at_exit_once = PTHREAD_ONCE_INIT;
static bool has_key;

static void thread_ends(void *record)
{
    pier__strand()->failed = NULL;
    pier__seam->release(record);
}

static void make_key(void) { has_key = pthread_key_create(&at_exit, thread_ends) == 0; }

/* A thread's goes when the thread ends; a task's, when its loop says so. */
static bool keep(struct pier__record *record)
{
    if (pier__strand_of_task) return true;
    pthread_once(&at_exit_once, make_key);
    return has_key && pthread_setspecific(at_exit, record) == 0;
}

static struct pier__record *take_record(struct pier__strand *strand)
{
    struct pier__record *record = pier__allocate_zeroed(1, sizeof *record);
    if (!record) return &spare;
    if (!keep(record)) {
        pier__seam->release(record);
        return &spare;
    }
    strand->failed = record;
    return record;
}

static struct pier__record *here(void)
{
    struct pier__strand *strand = pier__strand();
    return PIER_LIKELY(strand->failed != NULL) ? strand->failed : take_record(strand);
}

void pier__failure_forget(struct pier__strand *strand)
{
    pier__seam->release(strand->failed);
    strand->failed = NULL;
}

struct pier__failure *pier__failure(void) { return &here()->last; }

/* From now on a handle with this code is known to come from pier. */
static void note_returned(int64_t code)
{
    if (code < 0 && code > -256)
        pier__strand()->returned[-code / 64] |= UINT64_C(1) << (-code % 64);
}

struct pier__failure *pier__failure_begin(const char *verb, int64_t code)
{
    struct pier__failure *f = pier__failure();
    f->code = (int)code;
    f->verb = verb;
    f->socket = -1;
    f->type = 0;
    f->moved = 0;
    f->stranger = false;
    f->local.length = f->peer.length = 0;
    f->target[0] = '\0';
    f->attempt_count = 0;
    note_returned(code);
    return f;
}

void pier__failure_keep(
    struct pier__record **kept, const struct pier__strand *from, int64_t code, const void *which)
{
    if (code >= 0 || !from->failed || from->failed->last.code != code) return;
    struct pier__record *record = pier__seam->allocate(NULL, sizeof *record);
    if (!record) return;
    record->last = from->failed->last;
    record->which = which;
    record->next = *kept;
    *kept = record;
}

bool pier__failure_tell(struct pier__record **kept, const void *which)
{
    struct pier__record **link = kept;
    while (*link && (*link)->which != which) {
        link = &(*link)->next;
    }
    struct pier__record *record = *link;
    if (!record) return false;
    *pier__failure() = record->last;
    note_returned(record->last.code);
    *link = record->next;
    pier__seam->release(record);
    return true;
}

void pier__failure_drop(struct pier__record **kept, const void *which)
{
    for (struct pier__record **link = kept; *link;) {
        struct pier__record *record = *link;
        if (which && record->which != which) {
            link = &record->next;
            continue;
        }
        *link = record->next;
        pier__seam->release(record);
    }
}

int64_t pier__failed(const char *verb, const char *target, int64_t code)
{
    if (code >= 0 || code == -EAGAIN) return code;
    struct pier__failure *f = pier__failure_begin(verb, code);
    if (target) snprintf(f->target, sizeof f->target, "%s", target);
    return code;
}

/* Nobody invents a number of the other blocks, and -EAGAIN is returned without a record. */
static bool from_pier(int s)
{
    if (s == -EAGAIN) return true;
    if (s < 0 && s > -256) return pier__strand()->returned[-s / 64] >> (-s % 64) & 1;
    return pier_errname(s) != NULL;
}

int pier__passed_on(int s)
{
    if (PIER_LIKELY(s == pier__failure()->code || from_pier(s))) return s;
    struct pier__failure *f = pier__failure_begin("use", PIER_ENOTHANDLE);
    f->socket = s;
    f->stranger = true;
    return s;
}

/* Is it an address that says something? The local end of a socket that is not bound does not. */
static bool named(const struct pier__sockaddr *a)
{
    const struct sockaddr *sa = (const struct sockaddr *)&a->storage;
    if (a->length <= sizeof sa->sa_family) return false;
    switch (sa->sa_family) {
    case AF_UNSPEC: return false;
    case AF_INET: return ((const struct sockaddr_in *)&a->storage)->sin_port != 0;
    case AF_INET6: return ((const struct sockaddr_in6 *)&a->storage)->sin6_port != 0;
    default: return true;
    }
}

static void write_addr(struct pier__text *t, const struct pier__sockaddr *a)
{
    char text[512];
    pier__addr_print((const struct sockaddr *)&a->storage, a->length, text, sizeof text);
    pier__text_escape(t, text);
}

/* The length of a verb without the preposition at its end: "receive on" is 7, "bind" is 4. */
static int bare_length(const char *verb)
{
    static const char *const prepositions[] = {"on", "to", "from", "for", "of", "at", "with"};
    const char *last = strrchr(verb, ' ');
    for (size_t i = 0; last && i < PIER_COUNT(prepositions); i++)
        if (strcmp(last + 1, prepositions[i]) == 0) return (int)(last - verb);
    return (int)strlen(verb);
}

/* How a verb is joined with the other end. */
static const char *other_end(const char *verb)
{
    static const struct {
        const char *verb, *join;
    } joins[] = {
        {"recv", " from "},
        {"receive", " from "},
        {"read", " from "},
        {"wait to receive", " from "},
        {"send", " to "},
        {"write", " to "},
        {"wait to send", " to "},
        {"connect", " to "},
    };
    for (size_t i = 0; i < PIER_COUNT(joins); i++)
        if (strncmp(verb, joins[i].verb, strlen(joins[i].verb)) == 0) return joins[i].join;
    return ", connected to ";
}

/* A verb whose object is the other end: "connect to", "send to". */
static void write_deed_toward(struct pier__text *t, const struct pier__failure *f, int bare)
{
    if (named(&f->peer)) {
        pier__text_format(t, "%s ", f->verb);
        write_addr(t, &f->peer);
    } else {
        pier__text_format(t, "%.*s", bare, f->verb);
        if (f->socket >= 0) pier__text_format(t, " on socket %d", f->socket);
    }
}

/* What was tried, as far as it is known: "receive on 127.0.0.1:41022 from 127.0.0.1:80". */
static void write_deed(struct pier__text *t, const struct pier__failure *f)
{
    const char *verb = f->verb ? f->verb : "call";
    int bare = bare_length(verb);
    const char *join = other_end(verb);
    if (f->target[0]) {
        pier__text_format(t, "%s ", verb);
        pier__text_escape(t, f->target);
        return;
    }
    if (strcmp(verb + bare, " to") == 0 || strcmp(verb + bare, " from") == 0) {
        write_deed_toward(t, f, bare);
        return;
    }
    if (named(&f->local)) {
        pier__text_format(t, "%s ", verb);
        write_addr(t, &f->local);
    } else if (f->socket < 0 || (named(&f->peer) && join[0] == ' ')) {
        pier__text_format(t, "%.*s", bare, verb);
    } else {
        pier__text_format(t, "%s socket %d", verb, f->socket);
    }
    if (!named(&f->peer)) return;
    pier__text_format(t, "%s", join);
    write_addr(t, &f->peer);
}

/* Do all attempts say what the failure says anyway? One that had not ended has the code 0. */
static bool of_one_voice(const struct pier__failure *f, unsigned kept)
{
    for (unsigned i = 0; i < kept; i++)
        if (f->attempts[i].code != 0 && f->attempts[i].code != f->code) return false;
    return true;
}

static void write_attempts(struct pier__text *t, const struct pier__failure *f)
{
    unsigned kept = f->attempt_count < PIER__ATTEMPTS ? f->attempt_count : PIER__ATTEMPTS;
    bool plain = of_one_voice(f, kept);
    if (kept == 0) return;
    if (f->attempt_count == 1 && plain) {
        char text[512];
        const struct pier__sockaddr *to = &f->attempts[0].to;
        pier__addr_print((const struct sockaddr *)&to->storage, to->length, text, sizeof text);
        if (strcmp(text, f->target) == 0) return;
    }
    for (unsigned i = 0; i < kept; i++) {
        pier__text_format(t, "%s", i == 0 ? " (tried " : plain ? ", " : "; ");
        write_addr(t, &f->attempts[i].to);
        if (plain) continue;
        int code = f->attempts[i].code;
        pier__text_format(t, ": %s", code == 0 ? "no answer" : pier_strerror(code));
    }
    if (f->attempt_count > kept)
        pier__text_format(t, "%s and %u more", plain ? "," : ";", f->attempt_count - kept);
    pier__text_format(t, ")");
}

/*
 * Who is in the way of a bind or a listen. What was asked for is known as the local address, or
 * only as text; a host that is still a name is as good as any, for its port is taken.
 */
static void write_holder(struct pier__text *t, const struct pier__failure *f)
{
    char name[128] = "";
    if (named(&f->local)) {
        const struct sockaddr *local = (const struct sockaddr *)&f->local.storage;
        pier__holder(local, f->local.length, f->type, name, sizeof name);
    } else if (f->target[0]) {
        pier_addr asked = pier_addr_parse(f->target, NULL);
        if (asked.error) return;
        if (asked.length == 0) asked = pier_inet6("", ntohs(asked.sa.inet.sin_port));
        pier__holder(&asked.sa.any, asked.length, f->type, name, sizeof name);
    }
    if (name[0]) pier__text_format(t, ", held by %s", name);
}

static void write_reason(struct pier__text *t, const struct pier__failure *f)
{
    pier__text_format(t, ": %s", pier_strerror(f->code));
    if (!pier_errname(f->code)) pier__text_format(t, " %d", f->code);
    if (f->moved > 0)
        pier__text_format(t, ", after %zu byte%s", f->moved, f->moved == 1 ? "" : "s");
    if (f->code == -EADDRINUSE) write_holder(t, f);
}

/* -1 is what other libraries call a failure; the name of any other code is worth telling. */
static void write_stranger(struct pier__text *t, int s)
{
    if (s == -1 || !pier_errname(s))
        pier__text_format(t, "handle %d did not come from pier", s);
    else
        pier__text_format(
            t, "handle %d (%s) did not come from a call of this thread", s, pier_strerror(s));
}

const char *pier_error(void)
{
    const struct pier__failure *f = pier__failure();
    if (f->code == 0) return "no error";
    char *sentence = here()->sentence;
    struct pier__text t = pier__text_begin(sentence, SENTENCE, REASON);
    if (f->stranger) {
        write_stranger(&t, f->socket);
        return sentence;
    }
    write_deed(&t, f);
    write_attempts(&t, f);
    pier__text_more(&t, REASON);
    write_reason(&t, f);
    return sentence;
}

int pier_error_code(void) { return pier__failure()->code; }

size_t pier_error_moved(void) { return pier__failure()->moved; }
