/* SPDX-License-Identifier: MIT */
/* What a test stands on: threads, folders, namespaces. The runner is in main.c. */
#include "harness.h"

#include "base/failure.h"
#include "base/seam.h"
#include "main.h"
#include "wait/thread.h"
#include "wait/work.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pier.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

void harness_settle(void)
{
    struct pier__waker *unused;
    (void)pier__thread_waker(&unused);
    (void)pier__failure();
}

static const char *world(void)
{
    const char *mode = getenv("PIER_TEST_MODE");
    return mode ? mode : "thread";
}

bool harness_in_task(void) { return strncmp(world(), "task-", 5) == 0; }

struct visit {
    int (*fn)(void *arg);
    void *arg;
    const char *backend;
};

/* Nobody shall believe that a test ran in a world where it did not. */
static int enter_world(void *arg)
{
    const struct visit *visit = arg;
    assert_string_equal(pier_backend_name(), visit->backend);
    return visit->fn(visit->arg);
}

int harness_in_world(int (*fn)(void *arg), void *arg)
{
    bool in_task = harness_in_task();
    struct visit visit = {.fn = fn, .arg = arg, .backend = in_task ? world() + 5 : world()};
    const pier_run_opts how = {
        .backend = visit.backend, .stack_size = (size_t)8 << 20, .name = "test"};
    return in_task ? pier_run(enter_world, &visit, &how) : enter_world(&visit);
}

struct start {
    void *(*fn)(void *);
    void *arg;
    const struct pier__seam *seam;
    void *result;
};

static int call_start(void *arg)
{
    struct start *start = arg;
    pier__seam = start->seam;
    start->result = start->fn(start->arg);
    return 0;
}

static void *begin_thread(void *arg)
{
    struct start start = *(struct start *)arg;
    free(arg);
    assert_int_equal(harness_in_world(call_start, &start), 0);
    return start.result;
}

pthread_t test_thread(void *(*fn)(void *), void *arg)
{
    struct start *start = malloc(sizeof *start);
    assert_non_null(start);
    *start = (struct start){.fn = fn, .arg = arg, .seam = pier__seam};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, begin_thread, start), 0);
    return thread;
}

void *test_join(pthread_t thread)
{
    void *result;
    assert_int_equal(pthread_join(thread, &result), 0);
    return result;
}

void test_sleep(double seconds)
{
    time_t whole = (time_t)seconds;
    struct timespec left = {whole, (long)((seconds - (double)whole) * 1e9)};
    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        ;
}

/* The folder, and the process that made it: a forked child must not remove it. */
static char tmpdir[64];
static pid_t tmpdir_owner;
static pthread_mutex_t tmpdir_lock = PTHREAD_MUTEX_INITIALIZER;

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

void harness_cleanup(void)
{
    if (tmpdir[0] && getpid() == tmpdir_owner)
        (void)nftw(tmpdir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    tmpdir[0] = '\0';
}

const char *test_tmpdir(void)
{
    pthread_mutex_lock(&tmpdir_lock);
    if (!tmpdir[0]) {
        (void)snprintf(tmpdir, sizeof tmpdir, "/tmp/pier-test-XXXXXX");
        assert_non_null(mkdtemp(tmpdir));
        tmpdir_owner = getpid();
    }
    pthread_mutex_unlock(&tmpdir_lock);
    return tmpdir;
}

const char *test_path(const char *name)
{
    static _Thread_local char paths[8][512];
    static _Thread_local unsigned next;
    char *path = paths[next++ % 8];
    int n = snprintf(path, sizeof paths[0], "%s/%s", test_tmpdir(), name);
    assert_true(n > 0 && (size_t)n < sizeof paths[0]);
    return path;
}

bool test_ipv6(void)
{
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return false;
    struct sockaddr_in6 addr = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    bool works = bind(fd, (struct sockaddr *)&addr, sizeof addr) == 0;
    close(fd);
    return works;
}

static bool write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return false;
    size_t len = strlen(text);
    bool written = write(fd, text, len) == (ssize_t)len;
    close(fd);
    return written;
}

/* Become root of a user namespace, which may make the other kinds. */
static bool become_root(void)
{
    char uids[64], gids[64];
    (void)snprintf(uids, sizeof uids, "0 %u 1", (unsigned)geteuid());
    (void)snprintf(gids, sizeof gids, "0 %u 1", (unsigned)getegid());
    return unshare(CLONE_NEWUSER) == 0 && write_text("/proc/self/setgroups", "deny") &&
           write_text("/proc/self/uid_map", uids) && write_text("/proc/self/gid_map", gids);
}

void test_in_netns(void)
{
    if (geteuid() != 0 && !become_root()) SKIP("user namespaces are not permitted here");
    if (unshare(CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWUTS) < 0)
        SKIP("network namespaces are not permitted here");
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        SKIP("mounts cannot be made private here");

    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    struct ifreq lo = {.ifr_name = "lo"};
    assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &lo), 0);
    lo.ifr_flags = (short)(lo.ifr_flags | IFF_UP);
    assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &lo), 0);
    close(fd);
}

void test_in_netns_with_time_wait(void)
{
    test_in_netns();
    if (!write_text("/proc/sys/net/ipv4/tcp_rfc1337", "1")) SKIP("sysctls cannot be set here");
}

static int entries(const char *path)
{
    DIR *dir = opendir(path);
    assert_non_null(dir);
    int count = -2; /* "." and ".." */
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

bool test_pool_rests(void)
{
    struct pier__work_counts pool = pier__work_counts();
    return pool.queued == 0 && pool.idle == pool.threads;
}

bool test_alone(void)
{
    struct pier__work_counts pool = pier__work_counts();
    return pool.queued == 0 && entries("/proc/self/task") <= 1 + (int)pool.idle;
}

int test_fd_count(void) { return entries("/proc/self/fd") - 1; /* the folder itself */ }
