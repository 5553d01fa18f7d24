/* SPDX-License-Identifier: MIT */
#include "net/candidates.h"

#include "base/bits.h"
#include "base/seam.h"
#include "wait/await.h"

#include <pier/error.h>

#include <stdio.h>

#define RESOLUTION_DELAY (PIER_SECOND / 20) /* RFC 8305, section 3 */

enum { IPV6, IPV4 };

/* What is asked about `to`: a name, or an address whose service has a name, or this host. */
struct asked {
    struct pier__question question;
    char port[8];
    pier_text host;
};

static void ask_about(struct asked *asked, const pier_addr *to)
{
    (void)snprintf(asked->port, sizeof asked->port, "%u", ntohs(to->sa.inet.sin_port));
    asked->question = (struct pier__question){
        .service = to->pending & PIER_ADDR_SERVICE ? to->service : asked->port,
        .family = to->sa.any.sa_family,
        .type = SOCK_STREAM};
    if (to->pending & PIER_ADDR_HOST) {
        asked->question.host = to->host;
    } else if (!(to->pending & PIER_ADDR_ANY)) {
        asked->host = pier_addr_host(*to);
        asked->question.host = asked->host.text;
        asked->question.flags = AI_NUMERICHOST;
    }
}

/* Nothing but a list: who comes first in it begins. */
static void set_list(struct pier__candidates *c, const pier_addrinfo *list, size_t count)
{
    for (size_t i = 0; i < PIER_COUNT(c->queue); i++) {
        c->queue[i].list = list;
        c->queue[i].count = count;
    }
    c->turn = list->family == AF_INET ? IPV4 : IPV6;
}

/* One question in this thread, for both families or for one. */
static int ask_here(
    struct pier__candidates *c, const struct pier__question *question, pier_time limit)
{
    ssize_t count = pier__getaddrinfo(question, NULL, limit, &c->owned[0]);
    if (count < 0) return (int)count;
    set_list(c, c->owned[0], (size_t)count);
    return 0;
}

/* One question for each family, which answer when they do. */
static int ask_both(struct pier__candidates *c, const struct pier__question *question)
{
    for (size_t i = 0; i < PIER_COUNT(c->queue); i++) {
        struct pier__question one = *question;
        one.family = c->queue[i].family;
        c->queue[i].code = pier__lookup_start(&one, &c->queue[i].lookup);
    }
    bool failed = c->queue[IPV6].code < 0 && c->queue[IPV4].code < 0;
    return failed ? pier__candidates_code(c) : 0;
}

int pier__candidates_begin(
    struct pier__candidates *c, const pier_addr *to, int family, pier_time limit)
{
    *c = (struct pier__candidates){.queue = {{.family = AF_INET6}, {.family = AF_INET}}};
    if (!to->pending) {
        c->literal = (pier_addrinfo){.family = to->sa.any.sa_family, .addr = *to};
        set_list(c, &c->literal, 1);
        return 0;
    }
    struct asked asked;
    ask_about(&asked, to);
    if (asked.question.family == AF_UNSPEC) asked.question.family = family;
    bool hurry = limit != PIER_NEVER || !pier__await_is_patient();
    bool split = hurry && to->pending & PIER_ADDR_HOST && asked.question.family == AF_UNSPEC;
    return split ? ask_both(c, &asked.question) : ask_here(c, &asked.question, limit);
}

/* Take the answers that have come. */
static void collect(struct pier__candidates *c)
{
    for (size_t i = 0; i < PIER_COUNT(c->queue); i++) {
        struct pier__queue *q = &c->queue[i];
        if (!q->lookup || !pier__lookup_done(q->lookup)) continue;
        ssize_t count = pier__lookup_take(q->lookup, &c->owned[i]);
        q->lookup = NULL;
        q->list = c->owned[i];
        q->count = count > 0 ? (size_t)count : 0;
        q->code = count < 0 ? (int)count : 0;
    }
}

/*
 * Of another family, or there already: glibc finds "::1 localhost" in the hosts file for IPv4, too.
 */
static bool is_idle(const struct pier__queue *q, size_t at)
{
    if (q->list[at].family != q->family) return true;
    for (size_t i = 0; i < at; i++)
        if (pier_addr_equal(q->list[i].addr, q->list[at].addr)) return true;
    return false;
}

static bool has_more(struct pier__queue *q)
{
    while (q->at < q->count && is_idle(q, q->at))
        q->at++;
    return q->at < q->count;
}

pier_time pier__candidates_when(struct pier__candidates *c)
{
    collect(c);
    if (has_more(&c->queue[IPV6])) return 0;
    if (!has_more(&c->queue[IPV4])) return PIER_NEVER;
    if (!c->queue[IPV6].lookup) return 0;
    pier_time now = pier__seam->now();
    if (c->held_until == 0) c->held_until = now + RESOLUTION_DELAY;
    return now < c->held_until ? c->held_until : 0;
}

const pier_addr *pier__candidates_next(struct pier__candidates *c)
{
    if (pier__candidates_when(c) != 0) return NULL;
    size_t i = has_more(&c->queue[c->turn]) ? c->turn : !c->turn;
    c->turn = !i;
    struct pier__queue *q = &c->queue[i];
    return &q->list[q->at++].addr;
}

bool pier__candidates_over(struct pier__candidates *c)
{
    return pier__candidates_when(c) == PIER_NEVER && !c->queue[IPV6].lookup &&
           !c->queue[IPV4].lookup;
}

/* Does it only say that this family has no address? */
static bool is_no_address(int code)
{
    return code == PIER_EAI_NODATA || code == PIER_EAI_NONAME || code == PIER_EAI_ADDRFAMILY;
}

int pier__candidates_code(const struct pier__candidates *c)
{
    int six = c->queue[IPV6].code, four = c->queue[IPV4].code;
    if (six < 0 && !is_no_address(six) && (four == 0 || is_no_address(four))) return six;
    return four < 0 ? four : six < 0 ? six : PIER_EAI_NODATA;
}

void pier__candidates_end(struct pier__candidates *c)
{
    for (size_t i = 0; i < PIER_COUNT(c->queue); i++) {
        pier__lookup_leave(c->queue[i].lookup);
        pier_freeaddrinfo(c->owned[i]);
    }
}
