/* SPDX-License-Identifier: MIT */
/* How far a transfer has come: one line on stderr, drawn over and over, if that is a terminal. */
#include "cli.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { NARROWEST = 40, WIDEST = 200, TEXT = 64 };

void progress_begin(struct progress *it, uint64_t done, uint64_t total)
{
    *it = (struct progress){
        .began = pier_now(), .first = done, .total = total, .terminal = isatty(STDERR_FILENO)};
}

static int columns(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0) return 80;
    return size.ws_col < NARROWEST ? NARROWEST : size.ws_col > WIDEST ? WIDEST : size.ws_col;
}

/* "0:07", "1:02:33" */
static void format_time(char *out, size_t size, double seconds)
{
    unsigned s = seconds < 360000 ? (unsigned)(seconds + 0.5) : 359999;
    if (s < 3600)
        snprintf(out, size, "%u:%02u", s / 60, s % 60);
    else
        snprintf(out, size, "%u:%02u:%02u", s / 3600, s / 60 % 60, s % 60);
}

/* " 45% [=====>     ] 4.50 MB of 10.0 MB, 1.20 MB/s, 0:05 left" */
static void draw(struct progress *it, uint64_t done)
{
    char line[WIDEST + 2 * TEXT], numbers[4 * TEXT], bytes[AMOUNT], all[AMOUNT], rate[AMOUNT];
    char left[24];
    double seconds = (double)(pier_now() - it->began) / (double)PIER_SECOND;
    double speed = seconds > 0 ? (double)(done - it->first) / seconds : 0;
    format_time(left, sizeof left, speed > 0 ? (double)(it->total - done) / speed : 0);
    int used =
        snprintf(numbers, sizeof numbers, " %s of %s, %s/s, %s %s", amount((double)done, bytes),
            amount((double)it->total, all), amount(speed, rate), left, "left");
    double share = it->total > 0 ? (double)done / (double)it->total : 1;
    int room = columns() - used - (int)strlen("100% []") - 1;
    int length =
        snprintf(line, sizeof line, "\r%3.0f%% ", share * 100 - 0.5 > 0 ? share * 100 - 0.5 : 0);
    if (done == it->total) length = snprintf(line, sizeof line, "\r100%% ");
    if (room >= 8) {
        int filled = (int)(share * room);
        line[length++] = '[';
        for (int i = 0; i < room; i++)
            line[length++] = (char)(i < filled ? '=' : i == filled ? '>' : ' ');
        line[length++] = ']';
    }
    length += snprintf(line + length, sizeof line - (size_t)length, "%s\033[K", numbers);
    it->drawn = true;
    write_all(STDERR_FILENO, line, (size_t)length);
}

void progress_at(struct progress *it, uint64_t done)
{
    if (!it->terminal || pier_now() < it->next) return;
    it->next = pier_now() + PIER_SECOND / 10;
    draw(it, done);
}

void progress_end(struct progress *it, uint64_t done)
{
    if (!it->terminal) return;
    draw(it, done);
    write_all(STDERR_FILENO, "\n", 1);
}
