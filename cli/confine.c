/* SPDX-License-Identifier: MIT */
/*
 * What a verb that serves gives up once its sockets and files are open, so that a client who finds
 * a hole in it has found little: landlock(7) takes the rest of the file system from it, other TCP
 * ports, and whom it may signal; no_new_privs what a set-user-ID program would give back. Threads
 * inherit it from the one that makes them, so it comes before all others. A kernel that cannot do
 * it is no failure.
 */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * Of linux/landlock.h, which older systems do not have, or not all of it; the numbers of the calls
 * are the same on every architecture. Only rights that are known here are taken away: what a later
 * kernel adds we might need.
 */
enum {
    CREATE_RULESET = 444,
    ADD_RULE = 445,
    RESTRICT_SELF = 446,
    ASK_VERSION = 1,
    RULE_PATH = 1,
    RULE_PORT = 2,
    READ_FILE = 1 << 2,
    READ_DIR = 1 << 3,
    REMOVE_FILE = 1 << 5,
    MAKE_REG = 1 << 8,
    FILES_OF_1 = (1 << 13) - 1,
    FILES_OF_2 = (1 << 14) - 1, /* and linking or renaming into another folder */
    FILES_OF_3 = (1 << 15) - 1, /* and truncating */
    FILES_OF_5 = (1 << 16) - 1, /* and ioctl() on devices */
    BIND_TCP = 1 << 0,
    CONNECT_TCP = 1 << 1,
    SCOPE_ABSTRACT = 1 << 0, /* of AF_UNIX: none that were made outside */
    SCOPE_SIGNALS = 1 << 1,
};

/* The leak checker of a sanitized build looks for the threads at the end. */
#ifdef __SANITIZE_ADDRESS__
#    define CHECKERS "/proc"
#else
#    define CHECKERS ""
#endif

enum { DNS = 53 }; /* an answer that is too long for UDP is asked for by TCP */

struct ruleset {
    uint64_t files, tcp, scoped;
};

struct path_rule {
    uint64_t rights;
    int32_t folder;
} __attribute__((packed));

struct port_rule {
    uint64_t rights, port;
};

/* Where a resolver and its modules look, also when a file there is replaced by a new one. */
static const char *const resolver_folders[] = {"/etc", "/usr", "/lib", "/lib32", "/lib64",
    "/run/systemd/resolve", "/run/NetworkManager", "/run/resolvconf", "/run/connman",
    "/var/lib/sss", "/nix/store", "/gnu/store", NULL};

/* What TARGET needs. */
struct target {
    bool given, name, abstract;
    int port; /* of TCP; 0: none, below: not known yet */
};

static void allow_folder(int rules, const char *path, uint64_t rights)
{
    struct path_rule rule = {.rights = rights};
    rule.folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (rule.folder < 0) return; /* then there is nothing to be allowed */
    syscall(ADD_RULE, rules, RULE_PATH, &rule, 0);
    close(rule.folder);
}

/* The folder in which this path lies; "/" only if `root`. */
static void allow_folder_of(int rules, const char *path, bool root, uint64_t rights)
{
    const char *slash = strrchr(path, '/');
    size_t length = slash == NULL || slash == path ? 1 : (size_t)(slash - path);
    char *folder = strndup(slash == NULL ? "." : path, length);
    if (folder != NULL && (root || strcmp(folder, "/") != 0)) allow_folder(rules, folder, rights);
    free(folder);
}

static void allow_resolver(int rules)
{
    for (size_t i = 0; resolver_folders[i] != NULL; i++)
        allow_folder(rules, resolver_folders[i], READ_FILE | READ_DIR);
    /* Often a link to where somebody else keeps it. */
    char *table = realpath("/etc/resolv.conf", NULL);
    if (table != NULL) allow_folder_of(rules, table, /* root= */ false, READ_FILE | READ_DIR);
    free(table);
}

static void allow_port(int rules, int port)
{
    struct port_rule rule = {.rights = CONNECT_TCP, .port = (uint64_t)port};
    syscall(ADD_RULE, rules, RULE_PORT, &rule, 0);
}

static struct target understand(const char *address)
{
    struct target it = {.given = address != NULL};
    if (!it.given) return it;
    pier_addr addr = pier_addr_parse(address, NULL);
    int family = pier_addr_family(addr);
    if (family == AF_UNIX) it.abstract = addr.sa.local.sun_path[0] == '\0';
    /* Both are looked up for each client. */
    it.name = (addr.pending & (PIER_ADDR_HOST | PIER_ADDR_SERVICE)) != 0;
    bool tcp = it.name || addr.pending & PIER_ADDR_ANY || family == AF_INET || family == AF_INET6;
    if (tcp)
        it.port = addr.pending & PIER_ADDR_SERVICE ? pier_getservbyname(addr.service, "tcp")
                                                   : pier_addr_port(addr);
    return it;
}

static bool is_unix(int s)
{
    pier_addr here;
    return pier_getsockname(s, &here) < 0 || here.sa.any.sa_family == AF_UNIX;
}

static struct ruleset choose(const struct freedom *it, const struct target *target, int version)
{
    struct ruleset all = {.files = version >= 5   ? FILES_OF_5
                                   : version >= 3 ? FILES_OF_3
                                   : version >= 2 ? FILES_OF_2
                                                  : FILES_OF_1};
    if (version >= 4) all.tcp = target->port < 0 ? BIND_TCP : BIND_TCP | CONNECT_TCP;
    /* Whose datagrams are answered may have an abstract name of its own. */
    bool abstract = target->abstract || (it->datagrams && is_unix(it->listener->s));
    if (version >= 6) all.scoped = abstract ? SCOPE_SIGNALS : SCOPE_SIGNALS | SCOPE_ABSTRACT;
    return all;
}

/* 0 or an errno. */
static int restrict_to(const struct freedom *it, const struct target *target, int version)
{
    struct ruleset all = choose(it, target, version);
    int rules = (int)syscall(CREATE_RULESET, &all, sizeof all, 0);
    if (rules < 0) return errno;
    if (it->listener->path[0] != '\0')
        allow_folder_of(rules, it->listener->path, /* root= */ true, REMOVE_FILE);
    if (it->file != NULL)
        allow_folder_of(rules, it->file, /* root= */ true, REMOVE_FILE | MAKE_REG);
    if (target->name) allow_resolver(rules);
    if (*CHECKERS != '\0') allow_folder(rules, CHECKERS, READ_FILE | READ_DIR);
    if (target->port > 0) allow_port(rules, target->port);
    if (target->name && target->port > 0) allow_port(rules, DNS);
    int err = syscall(RESTRICT_SELF, rules, 0) == 0 ? 0 : errno;
    close(rules);
    return err;
}

static void say_confined(const struct freedom *it, const struct target *target, int version)
{
    char ports[64] = "no TCP connection";
    const char *files = target->name       ? "only read what names need"
                        : it->file != NULL ? "only rename in FILE's folder"
                                           : "no file";
    if (version < 4 || target->port < 0)
        snprintf(ports, sizeof ports, "any TCP port");
    else if (target->port > 0)
        snprintf(ports, sizeof ports, "TCP to port %d", target->port);
    say("confined by Landlock %d: %s, %s", version, files, ports);
}

void confine(const struct freedom *it)
{
    struct target target = understand(it->target);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    int version = (int)syscall(CREATE_RULESET, NULL, 0, ASK_VERSION);
    int err = version > 0 ? restrict_to(it, &target, version) : errno;
    if (!it->verbose) return;
    if (err == 0)
        say_confined(it, &target, version);
    else
        say("not confined: this kernel has no Landlock for us: %s", strerror(err));
}
