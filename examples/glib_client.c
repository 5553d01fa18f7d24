/* SPDX-License-Identifier: MIT */
/*
 * glib_client ADDRESS...: asks servers for their greeting, all at once, each in a task, in a
 * program whose main loop is GLib's. A timer of GLib's counts how often it went off meanwhile.
 */
#include <glib-unix.h>
#include <pier.h>
#include <stdio.h>

static int ask(void *arg)
{
    const char *address = arg;
    char buf[1024];
    int s = pier_create_connection(address, &(pier_connection_opts){.deadline = pier_after(5)});
    ssize_t n = pier_recvall(s, buf, sizeof buf);
    if (n < 0)
        fprintf(stderr, "%s\n", pier_error());
    else
        printf("%s says %.*s\n", address, (int)n, buf);
    return pier_close(s);
}

static gboolean turn(int fd, GIOCondition condition, gpointer main_loop)
{
    (void)fd, (void)condition;
    if (pier_loop_turn() <= 0) g_main_loop_quit(main_loop); /* nobody is left, or it has failed */
    return G_SOURCE_CONTINUE;
}

static gboolean tick(gpointer count)
{
    ++*(int *)count;
    return G_SOURCE_CONTINUE;
}

int main(int argc, char **argv)
{
    int ticks = 0;
    if (argc < 2) return fprintf(stderr, "usage: glib_client ADDRESS...\n"), 2;
    GMainLoop *main_loop = g_main_loop_new(NULL, FALSE);
    if (pier_loop_open(NULL) < 0) return fprintf(stderr, "%s\n", pier_error()), 1;
    for (int i = 1; i < argc; i++)
        pier_spawn(ask, argv[i], NULL);
    guint watch = g_unix_fd_add(pier_loop_fd(), G_IO_IN, turn, main_loop);
    g_timeout_add(10, tick, &ticks);
    g_main_loop_run(main_loop);
    g_source_remove(watch);
    g_main_loop_unref(main_loop);
    printf("GLib went on for %d ticks\n", ticks);
    return pier_loop_close(pier_after(1)) < 0;
}
