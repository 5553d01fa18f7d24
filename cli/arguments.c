/* SPDX-License-Identifier: MIT */
/* Reads a command line as a verb's table says, and complains about the rest in one line. */
#include "cli.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHOICES = 24, /* the most that a verb has */
    LONG = 256,   /* what getopt_long() answers for the first long option */
};

static int misused_option(int answer, char **argv)
{
    /* getopt_long() knows the letter of a short option only; a long one is the word before. */
    const char *word = argv[optind - 1];
    if (answer == ':') return misuse("%s needs a value", screen_quote(word));
    if (optopt > ' ' && optopt < 127 && word[0] == '-' && word[1] != '-')
        return misuse("there is no option -%c", optopt);
    if (optopt != 0) return misuse("%s takes no value", screen_quote(word));
    return misuse("there is no option %s", screen_quote(word));
}

static int read_seconds(const char *text, double *out)
{
    char *end;
    double seconds = strtod(text, &end);
    if (end == text || *end != '\0' || !(seconds > 0))
        return misuse("%s is no number of seconds above 0", screen_quote(text));
    *out = seconds;
    return DONE;
}

/* "1000", and with `unit` "64K", "10M", "2G", "1T". */
static int read_number(const char *text, bool unit, uint64_t *out)
{
    static const char units[] = "KMGT", digits[] = "0123456789";
    size_t length = strspn(text, digits);
    unsigned shift = 0;
    const char *found = NULL;
    if (unit && length > 0 && text[length] != '\0' && text[length + 1] == '\0')
        found = strchr(units, text[length]);
    if (found != NULL) shift = 10 * (unsigned)(found - units + 1);
    uint64_t number = strtoull(text, NULL, 10);
    bool plain = length > 0 && length <= 18 && (text[length] == '\0' || found != NULL);
    if (!plain || number == 0 || number > ((uint64_t)INT64_MAX >> shift))
        return misuse(
            unit ? "%s is no number of bytes above 0, as 4096 or 64K" : "%s is no number above 0",
            screen_quote(text));
    *out = number << shift;
    return DONE;
}

pier_addr parse_loosely(const char *text, char *whole, size_t size)
{
    snprintf(whole, size, "%s", text);
    pier_addr it = pier_addr_parse(text, NULL);
    if (it.error != PIER_EADDRTEXT || *text == '\0' || strlen(text) + sizeof "[]:0" > size)
        return it;
    bool bare = strchr(text, ':') != NULL && text[0] != '[';
    snprintf(whole, size, bare ? "[%s]:0" : "%s:0", text);
    pier_addr with = pier_addr_parse(whole, NULL);
    if (with.error != 0) snprintf(whole, size, "%s", text);
    return with;
}

static int check_address(const char *text)
{
    pier_addr address = pier_addr_parse(text, NULL);
    if (address.error == 0) return DONE;
    return misuse("%s: %s; it is HOST:PORT, :PORT, [IPV6]:PORT, unix:PATH, unix:@NAME or "
                  "vsock:CID:PORT",
        screen_quote(text), pier_strerror(address.error));
}

static int take(const struct choice *it, const char *value)
{
    int status = DONE;
    switch (it->takes) {
    case TAKES_NOTHING: *(bool *)it->out = true; return DONE;
    case TAKES_SECONDS: return read_seconds(value, it->out);
    case TAKES_COUNT: return read_number(value, false, it->out);
    case TAKES_SIZE: return read_number(value, true, it->out);
    case TAKES_ADDRESS: status = check_address(value); break;
    case TAKES_TEXT:
    case TAKES_FILE:
    case TAKES_SERVICE:
    case TAKES_ERROR: break;
    }
    if (status == DONE) *(const char **)it->out = value;
    return status;
}

/* The tables of getopt_long(), from the verb's. */
static void make_tables(const struct verb *it, char *letters, struct option *words)
{
    size_t i = 0;
    *letters++ = ':';
    for (const struct choice *choice = it->choices; choice != NULL && choice->name; choice++, i++) {
        int has = choice->takes == TAKES_NOTHING ? no_argument : required_argument;
        words[i] = (struct option){.name = choice->name, .has_arg = has, .val = LONG + (int)i};
        if (choice->letter == '\0') continue;
        *letters++ = choice->letter;
        if (has == required_argument) *letters++ = ':';
    }
    *letters++ = 'h';
    *letters = '\0';
    words[i] = (struct option){.name = "help", .has_arg = no_argument, .val = 'h'};
    words[i + 1] = (struct option){0};
}

static const struct choice *find(const struct verb *it, int answer)
{
    if (answer >= LONG) return it->choices + (answer - LONG);
    const struct choice *choice = it->choices;
    while (choice->letter != answer)
        choice++;
    return choice;
}

static int read_operands(const struct verb *it, char **words, char *out[OPERANDS + 1])
{
    size_t i = 0;
    for (const struct operand *operand = it->operands; operand->name != NULL; operand++, i++) {
        out[i] = words[i];
        if (words[i] == NULL)
            return *operand->name == '[' ? DONE : misuse("the %s is missing", operand->name);
        int status = operand->takes == TAKES_ADDRESS ? check_address(words[i]) : DONE;
        if (status != DONE) return status;
    }
    out[i] = NULL;
    return words[i] == NULL ? DONE : misuse("%s is one too many", screen_quote(words[i]));
}

static bool is_number(const char *word)
{
    return word[0] == '-' && word[1] != '\0' && word[1 + strspn(word + 1, "0123456789")] == '\0';
}

int read_arguments(const struct verb *it, int argc, char **argv, char *out[OPERANDS + 1])
{
    char letters[2 * CHOICES + 3];
    struct option words[CHOICES + 2];
    if (it->numbers && argc > 1 && is_number(argv[1])) return read_operands(it, argv + 1, out);
    make_tables(it, letters, words);
    opterr = 0; /* we complain ourselves */
    for (int c; (c = getopt_long(argc, argv, letters, words, NULL)) != -1;) {
        if (c == 'h') return HELPED;
        if (c == '?' || c == ':') return misused_option(c, argv);
        int status = take(find(it, c), optarg);
        if (status != DONE) return status;
    }
    return read_operands(it, argv + optind, out);
}
