/* SPDX-License-Identifier: MIT */
/* Tasks in every state, for tests/gdb_test.py to look at. Says "ready" and the backend when they are. */
#include <pier.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static pier_task reader;

/* noinline: each is a frame of its own, however it is built. */
#define APART __attribute__((noinline))

static APART int wait_deeply(int s, int depth)
{
    char byte;
    int n = depth > 0 ? wait_deeply(s, depth - 1) : (int)pier_recv(s, &byte, 1, 0);
    return n + (depth & 0); /* no tail call */
}

static int receives(void *arg) { return wait_deeply((int)(intptr_t)arg, 3); }

static int sleeps(void *unused)
{
    (void)unused;
    return pier_sleep(3600);
}

static int joins(void *unused)
{
    (void)unused;
    return pier_join(reader, NULL);
}

static int never_begun(void *unused)
{
    (void)unused;
    return 0;
}

APART void stop_here(void);
APART void stop_here(void)
{
    for (;;) {
        pause();
    }
}

/* Runs, and so holds up all others. */
static int computes(void *arg)
{
    pier_spawn(never_begun, NULL, &(pier_spawn_opts){.name = "last"});
    printf("ready %s\n", (const char *)arg);
    (void)fflush(stdout);
    stop_here();
    return 0;
}

/* Waits, and so does the loop. */
static int tells(void *arg)
{
    printf("ready %s\n", (const char *)arg);
    (void)fflush(stdout);
    return pier_sleep(3600);
}

static int begin(void *busy)
{
    int pair[2];
    if (pier_socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0) return 1;
    reader = pier_spawn(receives, (void *)(intptr_t)pair[0], &(pier_spawn_opts){.name = "reader"});
    pier_spawn(sleeps, NULL, &(pier_spawn_opts){.name = "sleeper"});
    pier_spawn(joins, NULL, NULL);
    if (pier_sleep(0.01) < 0) return 1;
    static char backend[16];
    (void)snprintf(backend, sizeof backend, "%s", pier_backend_name());
    return busy ? computes(backend) : tells(backend);
}

int main(int argc, char **argv)
{
    const pier_run_opts opts = {.backend = argc > 1 ? argv[1] : NULL};
    static char busy;
    return pier_run(begin, argc > 2 ? &busy : NULL, &opts);
}
