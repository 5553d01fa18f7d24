/* SPDX-License-Identifier: MIT */
/* The command pier: a table of verbs, and what must hold before any of them runs. */
#include "cli.h"

#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} verbs[] = {
    {"greet", greet_main, "thank each client for connecting"},
    {"get", get_main, "fetch a page over http"},
    {"listen", listen_main, "wait for one client, and talk to it over stdin and stdout"},
    {"connect", connect_main, "talk to a server over stdin and stdout"},
};

enum { VERBS = sizeof verbs / sizeof *verbs };

static int help(FILE *to)
{
    fputs("    pier listen :12345             # in one window\n"
          "    pier connect localhost:12345   # in another: what you type here appears there\n\n"
          "usage: pier VERB ...\n\n",
        to);
    for (size_t i = 0; i < VERBS; i++)
        fprintf(to, "  %-9s %s\n", verbs[i].name, verbs[i].summary);
    fputs("\npier VERB --help tells of a verb, pier --version which pier this is. An address is\n"
          "HOST:PORT, :PORT, [IPV6]:PORT or unix:PATH. The exit status is 0 when all went well,\n"
          "1 when the network, the peer or a file failed, 2 when the command line is wrong.\n",
        to);
    return to == stdout ? print_help("") : MISUSE;
}

/*
 * A standard stream that was closed before us would let the first socket become number 0, 1 or
 * 2, and what is meant for the screen would go out to a peer. The stand-in for stdin is at its
 * end; the one for stdout cannot be written: output with nowhere to go is an error as ever.
 */
static int open_standard_streams(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) >= 0) continue;
        if (open("/dev/null", (fd == 2 ? O_WRONLY : O_RDONLY) | O_CLOEXEC) != fd) return FAILED;
    }
    return DONE;
}

static int run(const char *name, int argc, char **argv)
{
    for (size_t i = 0; i < VERBS; i++) {
        if (strcmp(verbs[i].name, name) != 0) continue;
        say_as(name);
        opterr = 0; /* the verbs complain themselves, in one line */
        return verbs[i].run(argc, argv);
    }
    return misuse("there is no verb %s", screen_quote(name));
}

int main(int argc, char **argv)
{
    if (open_standard_streams() != DONE) return FAILED;
    setlocale(LC_CTYPE, "");
    if (argc < 2) return help(stderr);
    const char *word = argv[1];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) return help(stdout);
    if (strcmp(word, "--version") == 0) {
        printf("pier %s\n", pier_version());
        return print_help("");
    }
    if (strcmp(word, "help") == 0) {
        if (argc == 2) return help(stdout);
        char option[] = "--help", *ask[] = {argv[2], option, NULL};
        return run(argv[2], 2, ask);
    }
    return run(word, argc - 1, argv + 1);
}
