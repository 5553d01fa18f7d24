/* SPDX-License-Identifier: MIT */
/*
 * The latencies by percentile, drawn by gnuplot: to the right a tenth of the requests is left at
 * each mark, so that the slowest few have as much room as all others.
 */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char program[PATH_MAX];

static bool find_program(void)
{
    const char *path = getenv("PATH");
    if (path == NULL) path = "/usr/bin:/bin";
    while (*path != '\0') {
        size_t length = strcspn(path, ":");
        struct stat file;
        int used = snprintf(program, sizeof program, "%.*s/gnuplot", (int)length, path);
        if (length > 0 && used > 0 && (size_t)used < sizeof program && stat(program, &file) == 0 &&
            S_ISREG(file.st_mode) && access(program, X_OK) == 0)
            return true;
        path += length + (path[length] == ':');
    }
    return false;
}

/* Before anything is measured: there is a gnuplot, and the file can be written. */
int bench_plot_check(const char *name)
{
    struct file file;
    if (!find_program())
        return fail("there is no gnuplot on the PATH, which draws for --plot: install gnuplot-nox");
    if (file_open(&file, name) != DONE) return FAILED;
    file_drop(&file);
    return DONE;
}

/* A text of gnuplot's in which nothing has a meaning. */
static void put_quoted(FILE *to, const char *text)
{
    fputc('\'', to);
    for (; *text != '\0'; text++)
        fprintf(to, *text == '\'' ? "''" : "%c", *text);
    fputc('\'', to);
}

static void put_data(FILE *to, const char *name, const struct bench_summary *it)
{
    uint64_t below = 0;
    fprintf(to, "$%s << EOD\n", name);
    for (size_t i = 0; i < it->step_count; i++) {
        below += it->steps[i].count;
        /* The last one is the largest of all, at the share that this is of so many. */
        double left = below < it->count ? (double)(it->count - below) : 1;
        fprintf(to, "%.9g %.9g\n", (double)it->count / left, (double)it->steps[i].value / 1e6);
    }
    fprintf(to, "EOD\n");
}

static void put_script(FILE *to, const char *title, const struct bench_summary *now,
    const struct bench_summary *earlier)
{
    char label[64];
    fprintf(to, "set terminal svg size 960,540 dynamic background rgb 'white'\n"
                "set title ");
    put_quoted(to, title);
    fprintf(to,
        " noenhanced\n"
        "set logscale x 10\nset xrange [1:]\nset yrange [0:]\nset grid\n"
        "set key left top\nset rmargin 6\nset xlabel 'share of the requests'\nset ylabel 'latency in ms'\n"
        "set xtics ('0 %%%%' 1, '90 %%%%' 10, '99 %%%%' 100, '99.9 %%%%' 1e3, '99.99 %%%%' 1e4, "
        "'99.999 %%%%' 1e5, '99.9999 %%%%' 1e6, '99.99999 %%%%' 1e7)\n");
    put_data(to, "now", now);
    if (earlier != NULL) put_data(to, "earlier", earlier);
    fprintf(to, "plot $now using 1:2 with lines linewidth 2 title ");
    put_quoted(to, now->date);
    fprintf(to, " noenhanced");
    if (earlier != NULL) {
        snprintf(label, sizeof label, "earlier, %s", earlier->date);
        fprintf(to, ", $earlier using 1:2 with lines linewidth 2 title ");
        put_quoted(to, label);
        fprintf(to, " noenhanced");
    }
    fputc('\n', to);
}

/* A file without a name that holds the script, from its beginning; or -1. */
static int write_script(
    const char *title, const struct bench_summary *now, const struct bench_summary *earlier)
{
    int fd = memfd_create("pier-bench", MFD_CLOEXEC), copy = -1;
    if (fd >= 0) copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    FILE *to = copy >= 0 ? fdopen(copy, "w") : NULL;
    if (to != NULL) {
        put_script(to, title, now, earlier);
        if (fclose(to) == 0 && lseek(fd, 0, SEEK_SET) == 0) return fd;
    } else if (copy >= 0) {
        close(copy);
    }
    if (fd >= 0) close(fd);
    return -1;
}

/* Its exit status, or a negative errno. */
static int run_gnuplot(int script, int image, int complaints)
{
    char word[] = "gnuplot", defaults[] = "-d", from_stdin[] = "-";
    char *const arguments[] = {word, defaults, from_stdin, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    pid_t child;
    int status = 0;
    sigemptyset(&none);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigmask(&attributes, &none); /* ours waits for Ctrl-C in a thread */
    posix_spawn_file_actions_adddup2(&actions, script, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, image, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, complaints, STDERR_FILENO);
    int err = posix_spawn(&child, program, &actions, &attributes, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (err != 0) return -err;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) return -errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}

/* The last line that gnuplot has said tells why. */
static int fail_as_gnuplot_said(int complaints)
{
    char text[1024];
    ssize_t n = pread(complaints, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    size_t length = strlen(text);
    while (length > 0 && text[length - 1] == '\n')
        text[--length] = '\0';
    const char *last = strrchr(text, '\n');
    return fail("gnuplot failed: %s", screen_quote(last != NULL ? last + 1 : text));
}

static int draw(const struct file *file, int script, int complaints)
{
    int status = run_gnuplot(script, file->fd, complaints);
    if (status < 0) return fail("gnuplot: %s", strerror(-status));
    struct stat image;
    bool empty = fstat(file->fd, &image) == 0 && S_ISREG(image.st_mode) && image.st_size == 0;
    return status == 0 && !empty ? DONE : fail_as_gnuplot_said(complaints);
}

int bench_plot(const char *name, const char *title, const struct bench_summary *now,
    const struct bench_summary *earlier)
{
    struct file file;
    if (now->step_count == 0) return fail("%s: there is nothing to draw", screen_quote(name));
    int script = write_script(title, now, earlier);
    int complaints = memfd_create("pier-bench", MFD_CLOEXEC), status = FAILED;
    if (script < 0 || complaints < 0)
        fail("no memory for the plot: %s", strerror(errno));
    else if (file_open(&file, name) == DONE) {
        status = draw(&file, script, complaints);
        if (status == DONE)
            status = file_keep(&file);
        else
            file_drop(&file);
    }
    if (script >= 0) close(script);
    if (complaints >= 0) close(complaints);
    return status;
}
