/* SPDX-License-Identifier: MIT */
/* pier sockets: who waits and who is connected on this machine, and which processes they are. */
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool all, only4, only6, kind_chosen[DIAG_KINDS];
static const char *process;

static const struct choice choices[] = {
    {'a', "all", TAKES_NOTHING, NULL, "connections as well, in every state", &all},
    {'t', "tcp", TAKES_NOTHING, NULL, "TCP", &kind_chosen[DIAG_TCP]},
    {'u', "udp", TAKES_NOTHING, NULL, "UDP", &kind_chosen[DIAG_UDP]},
    {'x', "unix", TAKES_NOTHING, NULL, "Unix sockets", &kind_chosen[DIAG_UNIX]},
    {'4', "ipv4", TAKES_NOTHING, NULL, "of TCP and UDP, what speaks IPv4", &only4},
    {'6', "ipv6", TAKES_NOTHING, NULL, "of TCP and UDP, what speaks IPv6", &only6},
    {'p', "process", TAKES_TEXT, "NAME|PID", "only those that this process holds", &process},
    {0},
};

static const char *const modules[DIAG_KINDS] = {"tcp_diag", "udp_diag", "unix_diag"};
static const char *const kinds[DIAG_KINDS] = {"TCP", "UDP", "Unix"};

/* What was asked for. */
struct wanted {
    bool by_end, by_host;
    struct diag_end end;
    char path[sizeof((pier_text *)0)->text]; /* "unix:..."; "": none */
};

enum { CELL = 1024 };

struct cells {
    char local[CELL], peer[CELL];
};

static bool is_any(const struct diag_end *it)
{
    static const unsigned char any[sizeof it->host];
    size_t same = diag_is_inet4(it) ? 12 : 0;
    return memcmp(it->host + same, any + same, sizeof any - same) == 0;
}

static bool is_end(const struct wanted *it, const struct diag_end *end)
{
    if (end->port == 0 || (it->end.port != 0 && it->end.port != end->port)) return false;
    if (it->end.interface != 0 && it->end.interface != end->interface) return false;
    return !it->by_host || memcmp(it->end.host, end->host, sizeof end->host) == 0;
}

/* Whoever waits at every address of this host waits at that one, too. */
static bool includes(const struct wanted *it, const struct diag_row *row)
{
    if (it->end.port == 0 || it->end.port != row->local.port || !is_any(&row->local)) return false;
    return row->both || diag_is_inet4(&row->local) == diag_is_inet4(&it->end);
}

static bool is_there(const struct wanted *it, const struct diag_row *row)
{
    if (*it->path != '\0') {
        const char *name = row->name != NULL ? row->name : "";
        const char *peer = row->peer_row != NULL ? row->peer_row->name : NULL;
        return strcmp(name, it->path) == 0 || (peer != NULL && strcmp(peer, it->path) == 0);
    }
    if (!it->by_end) return true;
    if (row->kind == DIAG_UNIX) return false;
    return is_end(it, &row->local) || is_end(it, &row->peer) ||
           (diag_is_waiting(row) && includes(it, row));
}

static bool is_wanted(const struct wanted *it, const struct diag_row *row)
{
    bool speaks4 = row->both || diag_is_inet4(&row->local);
    if (!all && !diag_is_waiting(row)) return false;
    if (row->kind != DIAG_UNIX && only4 != only6 &&
        !(only4 ? speaks4 : !diag_is_inet4(&row->local)))
        return false;
    return is_there(it, row);
}

/* Kind by kind, those that wait first, in the order of their ports and names. */
static int in_order(const void *a, const void *b)
{
    const struct diag_row *x = a, *y = b;
    bool x_waits = diag_is_waiting(x), y_waits = diag_is_waiting(y);
    int order = (int)x->kind - (int)y->kind;
    if (order == 0) order = y_waits - x_waits;
    if (order == 0) order = x->local.port - y->local.port;
    if (order == 0) order = memcmp(x->local.host, y->local.host, sizeof x->local.host);
    if (order == 0) order = memcmp(x->peer.host, y->peer.host, sizeof x->peer.host);
    if (order == 0) order = x->peer.port - y->peer.port;
    if (order == 0) order = strcmp(x->name != NULL ? x->name : "", y->name != NULL ? y->name : "");
    return order;
}

static void format_end(char out[CELL], const struct diag_end *it, bool both)
{
    char host[64] = "", interface[64] = "", name[32] = "";
    bool inet4 = diag_is_inet4(it);
    if (inet4)
        pier_inet_ntop(AF_INET, it->host + 12, 4, host, sizeof host);
    else
        pier_inet_ntop(AF_INET6, it->host, sizeof it->host, host, sizeof host);
    if (it->interface != 0) {
        if (pier_if_indextoname(it->interface, name, sizeof name) < 0)
            snprintf(name, sizeof name, "%u", it->interface);
        snprintf(interface, sizeof interface, "%%%.60s", screen_quote(name));
    } else if (both) {
        *host = '\0';
    }
    bool brackets = !inet4 && *host != '\0';
    snprintf(out, CELL, "%s%s%s%s:%d", brackets ? "[" : "", host, interface, brackets ? "]" : "",
        it->port);
}

static void format_cells(struct cells *out, const struct diag_row *row)
{
    const struct diag_row *peer = row->peer_row;
    *out = (struct cells){"-", "-"};
    if (row->kind != DIAG_UNIX) {
        format_end(out->local, &row->local, row->both);
        if (row->peer.port != 0) format_end(out->peer, &row->peer, false);
        return;
    }
    if (row->name != NULL) snprintf(out->local, CELL, "%s", screen_quote(row->name));
    if (peer != NULL && peer->name != NULL)
        snprintf(out->peer, CELL, "%s", screen_quote(peer->name));
    else if (peer != NULL && peer->owners != NULL)
        snprintf(out->peer, CELL, "%s", peer->owners); /* at least it is known who that is */
}

/* Columns of a terminal: of a character in UTF-8, its first byte counts. */
static int width_of(const char *text)
{
    int width = 0;
    for (; *text != '\0'; text++)
        width += (*text & 0xc0) != 0x80;
    return width;
}

static void put_cell(const char *text, int width)
{
    printf("%s%*s ", text, width - width_of(text), "");
}

static void put_row(const struct diag_row *row, const struct cells *cells, const int widths[2])
{
    const char *kind = row->kind == DIAG_TCP      ? "tcp"
                       : row->kind == DIAG_UDP    ? "udp"
                       : row->type == SOCK_STREAM ? "unix"
                       : row->type == SOCK_DGRAM  ? "unix-dgram"
                                                  : "unix-packet";
    printf("%-11s %-12s %6u %6u ", kind, diag_state(row), row->received, row->unsent);
    put_cell(cells->local, widths[0]);
    put_cell(cells->peer, widths[1]);
    if (row->owners == NULL)
        puts("-");
    else if (row->owner_count > OWNERS_NAMED)
        printf("%s,... %u in all\n", row->owners, row->owner_count);
    else
        puts(row->owners);
}

/* How many there were. */
static size_t print(const struct diag *it, const struct wanted *wanted)
{
    int widths[2] = {(int)strlen("local"), (int)strlen("peer")};
    struct cells cells;
    size_t count = 0;
    for (size_t i = 0; i < it->count; i++) {
        if (!it->rows[i].wanted || !is_wanted(wanted, &it->rows[i])) continue;
        format_cells(&cells, &it->rows[i]);
        int local = width_of(cells.local), peer = width_of(cells.peer);
        if (local > widths[0]) widths[0] = local;
        if (peer > widths[1]) widths[1] = peer;
        count++;
    }
    if (count == 0 && (process != NULL || wanted->by_end || *wanted->path != '\0')) return 0;
    printf("%-11s %-12s %6s %6s %-*s %-*s %s\n", "kind", "state", "recv-q", "send-q", widths[0],
        "local", widths[1], "peer", "processes");
    for (size_t i = 0; i < it->count; i++) {
        if (!it->rows[i].wanted || !is_wanted(wanted, &it->rows[i])) continue;
        format_cells(&cells, &it->rows[i]);
        put_row(&it->rows[i], &cells, widths);
    }
    return count;
}

static void say_unseen(const struct diag *it, const struct wanted *wanted)
{
    size_t unseen = 0;
    for (size_t i = 0; i < it->count; i++)
        unseen +=
            it->rows[i].inode != 0 && it->rows[i].owners == NULL && is_wanted(wanted, &it->rows[i]);
    if (it->denied && unseen > 0)
        say("who holds %zu of them this user may not see; root may", unseen);
    if (it->unsteady) say("sockets came and went all the time: some may be missing");
}

static int set_end(struct wanted *out, pier_addr it, const char *text)
{
    if (it.pending & PIER_ADDR_HOST && strchr(it.host, ':') == NULL)
        return misuse(
            "%s: that is a name, and pier resolve tells its addresses", screen_quote(text));
    bool any = it.pending & PIER_ADDR_ANY;
    int port =
        it.pending & PIER_ADDR_SERVICE ? pier_getservbyname(it.service, NULL) : pier_addr_port(it);
    if (it.pending & PIER_ADDR_HOST) it = pier_resolve(it, PIER_NEVER); /* its interface */
    if (port < 0 || it.error < 0)
        return misuse("%s: %s", screen_quote(text), pier_strerror(port < 0 ? port : it.error));
    int family = any ? AF_INET6 : it.sa.any.sa_family;
    if (family != AF_INET && family != AF_INET6)
        return misuse("%s: these are the sockets of TCP, UDP and Unix", screen_quote(text));
    out->by_end = true;
    out->by_host = !any;
    out->end.port = port;
    if (any) return DONE;
    if (family == AF_INET) diag_set_inet4(&out->end, &it.sa.inet.sin_addr);
    if (family == AF_INET6) {
        memcpy(out->end.host, &it.sa.inet6.sin6_addr, sizeof out->end.host);
        out->end.interface = it.sa.inet6.sin6_scope_id;
    }
    return DONE;
}

/* "80", "http", ":80", "127.0.0.1", "[::1]:80", "unix:PATH" */
static int read_wanted(struct wanted *out, const char *text)
{
    char whole[LOOSE];
    *out = (struct wanted){0};
    if (text == NULL) return DONE;
    bool word = *text != '\0' && strpbrk(text, ":.") == NULL && strlen(text) < 64;
    snprintf(whole, sizeof whole, ":%.64s", text);
    pier_addr it = word ? pier_addr_parse(whole, NULL) : parse_loosely(text, whole, sizeof whole);
    if (it.error < 0) return misuse("%s: %s", screen_quote(text), pier_strerror(it.error));
    if (pier_addr_family(it) != AF_UNIX) return set_end(out, it, text);
    snprintf(out->path, sizeof out->path, "%s", pier_addr_text(it).text);
    return DONE;
}

static int read_kinds(struct diag *to, const struct wanted *wanted)
{
    int status = DONE;
    bool chosen = kind_chosen[DIAG_TCP] || kind_chosen[DIAG_UDP] || kind_chosen[DIAG_UNIX];
    for (int kind = DIAG_TCP; kind < DIAG_KINDS; kind++) {
        bool usual = (kind == DIAG_UNIX) == (*wanted->path != '\0');
        if (!(chosen ? kind_chosen[kind] : usual)) continue;
        int err = diag_read(to, (enum diag_kind)kind, all);
        if (err == -ENOENT)
            status = fail("this kernel has no %s, and does not tell of its %s sockets",
                modules[kind], kinds[kind]);
        else if (err < 0)
            return fail("the kernel does not tell of its sockets: %s", pier_strerror(err));
    }
    return status;
}

static int run(char **operands)
{
    struct wanted wanted;
    int status = read_wanted(&wanted, operands[0]);
    if (status != DONE) return status;
    struct diag it = {0};
    status = read_kinds(&it, &wanted);
    if (it.count > 0) qsort(it.rows, it.count, sizeof *it.rows, in_order);
    int err = find_owners(&it, process);
    if (err < 0) status = fail("/proc, where the processes are: %s", pier_strerror(err));
    size_t count = print(&it, &wanted);
    say_unseen(&it, &wanted);
    diag_free(&it);
    if (count > 0 || (operands[0] == NULL && process == NULL) || status != DONE) return status;
    return fail(all ? "there is no such socket" : "no such socket waits; -a looks at all of them");
}

const struct verb sockets_verb = {
    .name = "sockets",
    .summary = "tell which sockets this machine has, and whose they are",
    .example = "pier sockets :80",
    .text =
        "List the TCP and UDP sockets of this machine (of this network namespace) that wait for "
        "clients or for datagrams; with -a all, in whatever state. -t, -u and -x choose kinds, and "
        "WHERE those that have this port or address at either end. recv-q and send-q are bytes not "
        "yet read or acknowledged; of who listens, clients that wait, and the most that may. :PORT "
        "serves IPv4 and IPv6. The peer of a Unix socket is its name or else its process. Processes "
        "are shown as far as this user may see them. When none fits, that is a failure.",
    .operands = {{"[WHERE]", TAKES_TEXT,
        "80, http, 127.0.0.1, 127.0.0.1:80, [::1]:80, unix:PATH or unix:@NAME"}},
    .choices = choices,
    .run = run,
};
