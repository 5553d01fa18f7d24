/* SPDX-License-Identifier: MIT */
/* The test runner: finds tests, runs one here or several each in its own process. */
#include "main.h"

#include "fault.h"
#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <pier.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FAILED = 1, SKIPPED = 77 };

static struct harness_test *tests;

void harness_register(struct harness_test *test)
{
    test->next = tests;
    tests = test;
}

struct id {
    char text[256];
};

/* tests/await_test.c and recv_times_out make await/recv_times_out */
static struct id id_of(const struct harness_test *test)
{
    const char *base = strrchr(test->file, '/');
    base = base ? base + 1 : test->file;
    size_t n = strcspn(base, ".");
    if (n > 5 && strncmp(base + n - 5, "_test", 5) == 0) n -= 5;
    struct id id;
    (void)snprintf(id.text, sizeof id.text, "%.*s/%s", (int)n, base, test->name);
    return id;
}

/* Tests that must fail: seen by nobody who does not ask for one by name. */
static bool is_specimen(const char *id) { return strncmp(id, "specimens/", 10) == 0; }

static int by_id(const void *a, const void *b)
{
    struct id x = id_of(*(struct harness_test *const *)a);
    struct id y = id_of(*(struct harness_test *const *)b);
    return strcmp(x.text, y.text);
}

/* All tests, sorted by id: what the linker saw first is no order. */
static struct harness_test **sorted(size_t *out_count)
{
    size_t count = 0;
    for (struct harness_test *t = tests; t; t = t->next)
        count++;
    struct harness_test **all = calloc(count + 1, sizeof *all);
    if (!all) abort();
    count = 0;
    for (struct harness_test *t = tests; t; t = t->next)
        all[count++] = t;
    qsort(all, count, sizeof *all, by_id);
    *out_count = count;
    return all;
}

/* One test, in this process. */

/* What each descriptor number refers to, to tell a leak from what was there. */
struct fd_table {
    int count;
    struct open_fd {
        int fd;
        struct stat st;   /* which file it is, whatever the path to it is called by now */
        char target[120]; /* for people */
    } open[256];
};

static void list_fds(struct fd_table *out)
{
    out->count = 0;
    DIR *dir = opendir("/proc/self/fd");
    if (!dir) abort();
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] == '.') continue;
        int fd = (int)strtol(entry->d_name, NULL, 10);
        if (fd == dirfd(dir) || out->count == 256) continue;
        struct open_fd *it = &out->open[out->count++];
        ssize_t n = readlinkat(dirfd(dir), entry->d_name, it->target, sizeof it->target - 1);
        it->target[n > 0 ? n : 0] = '\0';
        it->fd = fd;
        (void)fstat(fd, &it->st);
    }
    closedir(dir);
}

static bool has_fd(const struct fd_table *table, const struct open_fd *wanted)
{
    for (int i = 0; i < table->count; i++) {
        const struct open_fd *it = &table->open[i];
        if (it->fd == wanted->fd && it->st.st_dev == wanted->st.st_dev &&
            it->st.st_ino == wanted->st.st_ino)
            return true;
    }
    return false;
}

/* Counts, and with `print` tells, what a has that b has not. */
static int difference(const struct fd_table *a, const struct fd_table *b, const char *print)
{
    int count = 0;
    for (int i = 0; i < a->count; i++) {
        if (has_fd(b, &a->open[i])) continue;
        if (print) fprintf(stderr, "%s: %d (%s)\n", print, a->open[i].fd, a->open[i].target);
        count++;
    }
    return count;
}

/*
 * Threads that the library keeps may need a moment to end, so a leak has time to heal as long as
 * one of them is there. (A sanitizer's own thread always is.)
 */
static bool fds_changed(const struct fd_table *before)
{
    static struct fd_table after;
    bool last = false;
    for (int i = 0; i < 1000 && !last; i++) {
        last = test_alone();
        harness_settle();
        list_fds(&after);
        if (!difference(&after, before, NULL) && !difference(before, &after, NULL)) return false;
        test_sleep(0.01);
    }
    (void)difference(&after, before, "descriptor left open");
    (void)difference(before, &after, "descriptor closed that the test did not open");
    return true;
}

static bool sigpipe_changed(const struct sigaction *before)
{
    struct sigaction now;
    sigaction(SIGPIPE, NULL, &now);
    if (now.sa_handler == before->sa_handler) return false;
    fprintf(stderr, "the disposition of SIGPIPE was changed\n");
    return true;
}

/* cmocka has printed which assert failed, glibc what it found: no core file, an exit status. */
static void on_abort(int signal)
{
    (void)signal;
    (void)!write(STDERR_FILENO, "\n", 1);
    harness_cleanup();
    _exit(FAILED);
}

void harness_skip(const char *reason)
{
    printf("skipped: %s\n", reason);
    (void)fflush(stdout);
    harness_cleanup();
    _exit(SKIPPED);
}

static int run_body(void *arg)
{
    const struct harness_test *test = arg;
    harness_settle();
    fault_install_by_environment();
    test->run();
    fault_report();
    pier__seam = &pier__seam_system;
    return 0;
}

static int run_here(const struct harness_test *test)
{
    setenv("CMOCKA_TEST_ABORT", "1", 1);
    signal(SIGABRT, on_abort);
    setvbuf(stdout, NULL, _IOLBF, 0);

    static struct fd_table before;
    struct sigaction sigpipe;
    sigaction(SIGPIPE, NULL, &sigpipe);
    harness_settle();
    list_fds(&before);
    int ran = harness_in_world(run_body, (void *)(uintptr_t)test);
    if (ran == -EPERM || ran == -ENOSYS) harness_skip("the kernel denies this world's backend");
    if (ran < 0) fprintf(stderr, "pier_run: %s\n", pier_strerror(ran));
    bool failed = fds_changed(&before);
    if (ran < 0 || sigpipe_changed(&sigpipe)) failed = true;
    harness_cleanup();
    return failed ? FAILED : 0; /* by exit, so that a leak checker can speak */
}

/* Several tests, each in its own process. */

struct tally {
    int passed, failed, skipped;
};

/* Wait for the child, and kill its whole group when its time is up or it has ended. */
static int reap(pid_t child, const sigset_t *chld, bool *out_late)
{
    struct timespec left = {TEST_LIMIT, 0};
    int status;
    *out_late = false;
    for (;;) {
        if (waitpid(child, &status, WNOHANG) == child) break;
        if (sigtimedwait(chld, NULL, &left) < 0 && errno == EAGAIN) {
            *out_late = true;
            kill(-child, SIGKILL);
            waitpid(child, &status, 0);
            break;
        }
    }
    kill(-child, SIGKILL); /* what the test left running */
    return status;
}

static void show(int output)
{
    char buf[4096];
    lseek(output, 0, SEEK_SET);
    for (ssize_t n; (n = read(output, buf, sizeof buf)) > 0;)
        (void)fwrite(buf, 1, (size_t)n, stdout);
}

static void run_apart(const struct harness_test *test, struct tally *tally)
{
    struct id id = id_of(test);
    int output = memfd_create("output", MFD_CLOEXEC);
    sigset_t chld;
    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    sigprocmask(SIG_BLOCK, &chld, NULL);
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        setpgid(0, 0);
        sigprocmask(SIG_UNBLOCK, &chld, NULL);
        dup2(output, STDOUT_FILENO);
        dup2(output, STDERR_FILENO);
        execl("/proc/self/exe", "pier_tests", id.text, (char *)NULL);
        _exit(FAILED);
    }
    if (child < 0 || output < 0) abort();
    setpgid(child, child); /* whoever comes first */
    bool late;
    int status = reap(child, &chld, &late);

    const char *outcome = "ok";
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        tally->passed++;
    } else if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED) {
        tally->skipped++;
        outcome = "skipped";
    } else {
        tally->failed++;
        outcome = late ? "FAILED: too late" : "FAILED";
    }
    printf("%-8s %s\n", outcome, id.text);
    if (WIFSIGNALED(status) && !late) printf("killed by signal %d\n", WTERMSIG(status));
    if (status) show(output);
    close(output);
}

static bool wanted(const char *id, int count, char *const *patterns)
{
    if (is_specimen(id)) return false;
    if (count == 0) return true;
    for (int i = 0; i < count; i++)
        if (strncmp(id, patterns[i], strlen(patterns[i])) == 0 || fnmatch(patterns[i], id, 0) == 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    size_t count;
    struct harness_test **all = sorted(&count);
    struct tally tally = {0};
    int status = 0;
    for (size_t i = 0; i < count; i++) {
        struct id id = id_of(all[i]);
        if (argc == 2 && strcmp(argv[1], "--list") == 0) {
            if (!is_specimen(id.text)) printf("%s\n", id.text);
        } else if (argc == 2 && strcmp(argv[1], id.text) == 0) {
            status = run_here(all[i]);
            free(all);
            return status;
        }
    }
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        free(all);
        return 0;
    }
    for (size_t i = 0; i < count; i++)
        if (wanted(id_of(all[i]).text, argc - 1, argv + 1)) run_apart(all[i], &tally);
    free(all);
    printf("%d passed, %d failed, %d skipped\n", tally.passed, tally.failed, tally.skipped);
    return tally.failed || !(tally.passed + tally.skipped) ? FAILED : 0;
}
