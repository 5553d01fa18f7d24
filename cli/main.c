/* SPDX-License-Identifier: MIT */
/* The command pier: the verbs, and what must hold before and after any of them runs. */
#include "cli.h"

#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const struct verb *const verbs[] = {
    &greet_verb,
    &echo_verb,
    &get_verb,
    &listen_verb,
    &connect_verb,
    &proxy_verb,
    &send_verb,
    &receive_verb,
    &bench_verb,
    &port_verb,
    &address_verb,
    &resolve_verb,
    &explain_verb,
    &sockets_verb,
    NULL,
};

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

static int take_name(void *out)
{
    *(const char **)out = pier_backend_name();
    return 0;
}

/* Asked in a task, since that is where the answer is made. */
static int version(void)
{
    const char *backend = NULL;
    int err = pier_run(take_name, &backend, NULL);
    if (err < 0)
        printf("pier %s, no tasks here: %s\n", pier_version(), pier_strerror(err));
    else
        printf("pier %s, tasks wait with %s\n", pier_version(), backend);
    return finish_output();
}

const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; verbs[i] != NULL; i++)
        if (strcmp(verbs[i]->name, name) == 0) return verbs[i];
    return NULL;
}

static int run(const char *name, int argc, char **argv)
{
    const struct verb *it = find_verb(name);
    if (it == NULL) return misuse("there is no verb %s", screen_quote(name));
    say_as(name);
    char *operands[OPERANDS + 1] = {NULL};
    int status = read_arguments(it, argc, argv, operands);
    if (status == HELPED) return help_verb(it);
    if (status == DONE) status = it->run(operands);
    int written = status == MISUSE ? DONE : finish_output();
    return status != DONE ? status : written;
}

int main(int argc, char **argv)
{
    if (open_standard_streams() != DONE) return FAILED;
    setlocale(LC_CTYPE, "");
    if (argc < 2) return help_all(STDERR_FILENO);
    const char *word = argv[1];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) return help_all(STDOUT_FILENO);
    if (strcmp(word, "--version") == 0) return version();
    if (strcmp(word, "--man") == 0 && argc <= 3) return man(argv[2]);
    if (strcmp(word, "--complete") == 0) return complete(argc - 2, argv + 2);
    if (strcmp(word, "help") == 0) {
        if (argc == 2) return help_all(STDOUT_FILENO);
        char option[] = "--help", *ask[] = {argv[2], option, NULL};
        return run(argv[2], 2, ask);
    }
    return run(word, argc - 1, argv + 1);
}
