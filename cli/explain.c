/* SPDX-License-Identifier: MIT */
/* pier explain: an error, what it means and what to do. */
#include "cli.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { ERRNOS = 4095 }; /* the kernel's range */

static void row(const char *name, const char *text)
{
    if (strcmp(text, "-") == 0) return;
    printf("  %-8s ", name);
    put_prose(stdout, 11, text);
}

static void explain(int code)
{
    const struct cause *it = causes;
    while (it->code != code && it->code != 0)
        it++;
    bool system = -code <= ERRNOS; /* the C library's own number is a positive one */
    printf("%s (%d): %s\n", pier_errname(code), system ? -code : code, pier_strerror(code));
    if (it->code == 0) {
        row("means", "what the sentence says; no call of a network returns it as a rule.");
    } else {
        row("means", it->meaning);
        row("because", it->causes);
        row("try", it->advice);
    }
    row("python", pier_errexception(code));
}

/* 111, -111, -10002; and -2, which is ENOENT to most and EAI_NONAME to getaddrinfo(3). */
static int explain_number(const char *text)
{
    char *end;
    long number = strtol(text, &end, 10);
    if (*end != '\0' || number == 0 || number < -99999 || number > 99999) return 0;
    int code = number > 0 && number <= ERRNOS ? (int)-number : (int)number;
    int count = 0;
    if (pier_errname(code) != NULL) explain(code), count++;
    if (number < 0 && pier_errname(-10000 + number) != NULL) explain(-10000 + (int)number), count++;
    return count;
}

/* "econnrefused", "EAI_NONAME", "PIER_EAI_NONAME". */
static int explain_name(const char *text)
{
    char name[64];
    size_t length = strlen(text);
    if (length >= sizeof name) return 0;
    for (size_t i = 0; i <= length; i++)
        name[i] = (char)toupper((unsigned char)text[i]);
    bool prefix = strncmp(name, "PIER_", 5) == 0;
    int code = pier_errcode(name);
    if (code == 0 && prefix)
        code = pier_errcode(strncmp(name, "PIER_H_", 7) == 0 ? name + 7 : name + 5);
    if (code != 0) explain(code);
    return code != 0;
}

/* "connection refused": every code that has this sentence. */
static int explain_sentence(const char *text)
{
    static const struct {
        int from, to;
    } blocks[] = {{-1, -ERRNOS}, {-10001, -10999}, {-11001, -11999}, {-12001, -12999}};
    int count = 0;
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        for (int code = blocks[i].from; code >= blocks[i].to; code--)
            if (pier_errname(code) != NULL && strcasecmp(pier_strerror(code), text) == 0)
                explain(code), count++;
    return count;
}

static int run(char **operands)
{
    const char *text = operands[0];
    int count = explain_number(text);
    if (count == 0) count = explain_name(text);
    if (count == 0) count = explain_sentence(text);
    return count > 0 ? DONE : fail("%s: no error has this number or name", screen_quote(text));
}

const struct verb explain_verb = {
    .name = "explain",
    .summary = "explain an error",
    .example = "pier explain ECONNREFUSED",
    .text =
        "Tell what an error means, what it comes from as a rule, what to try, and which exception "
        "Python has for it. Numbers are those of the system (111, -111), of getaddrinfo(3) (-2) and "
        "pier's own (-12001); names are ECONNREFUSED, EAI_NONAME, PIER_EPORT; and the sentence "
        "does as well: 'Connection refused'.",
    .operands = {{"CODE|NAME", TAKES_ERROR, "a number, a name or a sentence"}},
    .numbers = true,
    .run = run,
};
