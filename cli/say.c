/* SPDX-License-Identifier: MIT */
/* What the command has to say about itself. */
#include "cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static char name[32] = "pier";

void say_as(const char *verb) { snprintf(name, sizeof name, "pier %s", verb); }

/* In one piece, so that the lines of several processes do not mix. */
__attribute__((format(printf, 1, 0))) static void say_line(
    const char *format, va_list arguments, bool how)
{
    char text[4096];
    vsnprintf(text, sizeof text, format, arguments);
    if (how)
        fprintf(stderr, "%s: %s (%s --help shows how)\n", name, text, name);
    else
        fprintf(stderr, "%s: %s\n", name, text);
}

void say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say_line(format, arguments, false);
    va_end(arguments);
}

int fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say_line(format, arguments, false);
    va_end(arguments);
    return FAILED;
}

int misuse(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say_line(format, arguments, true);
    va_end(arguments);
    return MISUSE;
}

int print_help(const char *text)
{
    fputs(text, stdout);
    return fflush(stdout) == 0 ? DONE : fail("standard output: %s", strerror(errno));
}
