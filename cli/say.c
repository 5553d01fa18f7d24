/* SPDX-License-Identifier: MIT */
/* What the command has to say about itself. */
#include "cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum kind { SAY, SAY_WRONG, SAY_HOW };

static char name[32] = "pier";

void say_as(const char *verb) { snprintf(name, sizeof name, "pier %s", verb); }

/* In one piece, so that the lines of several processes do not mix. */
__attribute__((format(printf, 1, 0))) static void say_line(
    const char *format, va_list arguments, enum kind kind)
{
    char text[4096];
    vsnprintf(text, sizeof text, format, arguments);
    struct paint paint = paint_for(STDERR_FILENO);
    const char *colour = kind == SAY ? "" : paint.alarm;
    fprintf(stderr, kind == SAY_HOW ? "%s%s:%s %s (%s --help shows how)\n" : "%s%s:%s %s\n", colour,
        name, kind == SAY ? "" : paint.off, text, name);
}

void say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say_line(format, arguments, SAY);
    va_end(arguments);
}

int fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say_line(format, arguments, SAY_WRONG);
    va_end(arguments);
    return FAILED;
}

int misuse(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say_line(format, arguments, SAY_HOW);
    va_end(arguments);
    return MISUSE;
}

static atomic_int untold; /* why the first line of announce() that was lost could not be written */

void announce(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    flockfile(stdout);
    int none = 0;
    if (vprintf(format, arguments) < 0 || fflush(stdout) != 0)
        atomic_compare_exchange_strong(&untold, &none, errno);
    funlockfile(stdout);
    va_end(arguments);
}

int finish_output(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) return DONE;
    int err = untold != 0 ? untold : errno;
    return fail("standard output: %s", strerror(err != 0 ? err : EIO));
}
