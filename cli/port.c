/* SPDX-License-Identifier: MIT */
/* pier port: services and their ports, both ways. */
#include "cli.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* What every newcomer asks for, should this system have no table of its own. */
static const struct service {
    const char *name, *protocol, *alias;
    int port;
} known[] = {
    {"ftp-data", "tcp", NULL, 20},
    {"ftp", "tcp", NULL, 21},
    {"ssh", "tcp", NULL, 22},
    {"telnet", "tcp", NULL, 23},
    {"smtp", "tcp", "mail", 25},
    {"domain", "tcp", NULL, 53},
    {"domain", "udp", NULL, 53},
    {"http", "tcp", "www", 80},
    {"pop3", "tcp", "pop-3", 110},
    {"nntp", "tcp", "readnews", 119},
    {"ntp", "udp", NULL, 123},
    {"imap2", "tcp", "imap", 143},
    {"https", "tcp", NULL, 443},
};

/* What is asked for: a name, or a number, or neither: all of them. */
struct wanted {
    const char *name;
    int port; /* -1: any */
    bool exact;
};

static bool is_called(const struct wanted *it, const char *name)
{
    size_t length = strlen(it->name);
    if (it->exact) return strcasecmp(name, it->name) == 0;
    /* "ftp" has a port for its data beside its own. */
    return strncasecmp(name, it->name, length) == 0 && name[length] == '-';
}

static bool fits(const struct wanted *it, const char *name, char *const *aliases, int port)
{
    if (it->port >= 0) return it->port == port;
    if (it->name == NULL || is_called(it, name)) return true;
    for (; it->exact && *aliases != NULL; aliases++)
        if (is_called(it, *aliases)) return true;
    return false;
}

static void print(const char *name, char *const *aliases, int port, const char *protocol)
{
    char where[32];
    snprintf(where, sizeof where, "%d/%s", port, protocol);
    printf(*aliases != NULL ? "%-16s %-10s" : "%-16s %s", name, where);
    for (; *aliases != NULL; aliases++)
        printf(" %s", *aliases);
    putchar('\n');
}

/* How many there are. */
static int print_the_systems(const struct wanted *it)
{
    int count = 0;
    setservent(1);
    for (struct servent *s; (s = getservent()) != NULL;) {
        int port = ntohs((uint16_t)s->s_port);
        if (!fits(it, s->s_name, s->s_aliases, port)) continue;
        print(s->s_name, s->s_aliases, port, s->s_proto);
        count++;
    }
    endservent();
    return count;
}

static int print_known(const struct wanted *it)
{
    int count = 0;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        char alias[16], *aliases[] = {NULL, NULL};
        if (known[i].alias != NULL) {
            snprintf(alias, sizeof alias, "%s", known[i].alias);
            aliases[0] = alias;
        }
        if (!fits(it, known[i].name, aliases, known[i].port)) continue;
        print(known[i].name, aliases, known[i].port, known[i].protocol);
        count++;
    }
    return count;
}

static int run(char **operands)
{
    const char *text = operands[0];
    struct wanted wanted = {.name = text, .port = -1, .exact = true};
    if (text != NULL && text[strspn(text, "0123456789")] == '\0') {
        long port = strlen(text) > 5 ? -1 : strtol(text, NULL, 10);
        if (*text == '\0' || port < 0 || port > 65535)
            return misuse("%s: %s", screen_quote(text), pier_strerror(PIER_EPORT));
        wanted.port = (int)port;
    }
    int count = print_the_systems(&wanted);
    if (count == 0) count = print_known(&wanted);
    if (text != NULL && wanted.port < 0) {
        wanted.exact = false;
        count += print_the_systems(&wanted);
    }
    if (count > 0) return DONE;
    return fail("%s: %s", screen_quote(text != NULL ? text : ""), pier_strerror(PIER_ENOSERVICE));
}

const struct verb port_verb = {
    .name = "port",
    .summary = "tell the port of a service, or the service of a port",
    .example = "pier port http",
    .text = "Look in this system's table of services (/etc/services as a rule): name, port and "
            "protocol, then its other names. A name also finds those that go on with a hyphen: ftp "
            "and ftp-data. Without an argument, print the whole table. What is not there is a "
            "failure.",
    .operands = {{"[NAME|NUMBER]", TAKES_SERVICE, "http, www, 80"}},
    .run = run,
};
