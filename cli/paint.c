/* SPDX-License-Identifier: MIT */
/* Colours, where somebody sees them and wants them: https://no-color.org. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool wanted(int fd)
{
    const char *no = getenv("NO_COLOR"), *terminal = getenv("TERM");
    if (no != NULL && *no != '\0') return false;
    return isatty(fd) && terminal != NULL && *terminal != '\0' && strcmp(terminal, "dumb") != 0;
}

struct paint paint_for(int fd)
{
    if (!wanted(fd)) return (struct paint){.strong = "", .alarm = "", .off = ""};
    return (struct paint){.strong = "\033[1m", .alarm = "\033[1;31m", .off = "\033[0m"};
}
