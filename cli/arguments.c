/* SPDX-License-Identifier: MIT */
/* What the verbs accept on the command line, and how they complain about the rest. */
#include "cli.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

int misused_option(int answer, char **argv)
{
    /* getopt_long() knows the letter of a short option only; a long one is the word before. */
    const char *word = argv[optind - 1];
    if (answer == ':') return misuse("%s needs a value", screen_quote(word));
    if (optopt > ' ' && optopt < 127 && word[0] == '-' && word[1] != '-')
        return misuse("there is no option -%c", optopt);
    if (optopt != 0) return misuse("%s takes no value", screen_quote(word));
    return misuse("there is no option %s", screen_quote(word));
}

int read_seconds(const char *text, double *out)
{
    char *end;
    double seconds = strtod(text, &end);
    if (end == text || *end != '\0' || !(seconds > 0))
        return misuse("%s is no number of seconds above 0", screen_quote(text));
    *out = seconds;
    return DONE;
}

int only_argument(int argc, char **argv, const char *what, char **out)
{
    if (optind == argc) return misuse("%s is missing", what);
    if (optind + 1 < argc) return misuse("%s is one too many", screen_quote(argv[optind + 1]));
    *out = argv[optind];
    return DONE;
}

int address_argument(int argc, char **argv, char **out)
{
    int status = only_argument(argc, argv, "the ADDRESS", out);
    if (status != DONE) return status;
    pier_addr address = pier_addr_parse(*out, NULL);
    if (address.error == 0) return DONE;
    return misuse("%s: %s; it is HOST:PORT, :PORT, [IPV6]:PORT or unix:PATH", screen_quote(*out),
        pier_strerror(address.error));
}
