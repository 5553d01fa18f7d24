/* SPDX-License-Identifier: MIT */
/*
 * PIER_TRACE is read when the library is loaded, so each test here runs this very program
 * again with it set, which runs the same test again: there it is the one who is traced.
 */
#include "base/failure.h"
#include "base/seam.h"
#include "base/trace.h"
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <pier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char said[1 << 20]; /* what the traced one wrote on stderr */
static pid_t traced;

static const char *elsewhere = ""; /* a file that the traced one may use */

/* Are we the traced one? */
static bool again(void) { return secure_getenv("TRACE_TEST") != NULL; }

/* Run the test `id` again with PIER_TRACE=value, or without it; its stderr goes into `said`. */
static void run_again(const char *id, const char *value)
{
    (void)fflush(NULL);
    int wires[2];
    assert_int_equal(pipe2(wires, O_CLOEXEC), 0);
    traced = fork();
    assert_true(traced >= 0);
    if (traced == 0) {
        char trace[1024], other[1024], mark[] = "TRACE_TEST=1";
        (void)snprintf(trace, sizeof trace, "PIER_TRACE=%s", value ? value : "");
        (void)snprintf(other, sizeof other, "TRACE_TEST_ELSEWHERE=%s", elsewhere);
        char *const environment[] = {mark, other, value ? trace : NULL, NULL};
        dup2(wires[1], STDERR_FILENO);
        execle("/proc/self/exe", "pier_tests", id, (char *)NULL, environment);
        _exit(127);
    }
    close(wires[1]);
    size_t used = 0;
    for (ssize_t n; (n = read(wires[0], said + used, sizeof said - 1 - used)) > 0;)
        used += (size_t)n;
    said[used] = '\0';
    close(wires[0]);
    int status;
    assert_int_equal(waitpid(traced, &status, 0), traced);
    if (status != 0) fail_msg("the traced one ended with %d:\n%s", status, said);
}

/*
 * Does text begin with "pier[PID.1] CALL  0.DDDDDD s\n"? Returns what follows; `call` holds
 * everything between prefix and time.
 */
static const char *skip_line(const char *text, pid_t pid, int thread, const char *call)
{
    char start[2048];
    int n = snprintf(start, sizeof start, "pier[%d.%d] %s  ", (int)pid, thread, call);
    assert_true(n > 0 && (size_t)n < sizeof start);
    if (strncmp(text, start, (size_t)n) != 0) fail_msg("expected: %s\nfound: %s", start, text);
    text += n;
    assert_int_equal(strspn(text, "0123456789"), strcspn(text, "."));
    text += strcspn(text, ".");
    assert_int_equal(strspn(text + 1, "0123456789"), 6);
    assert_memory_equal(text + 7, " s\n", 3);
    return text + 10;
}

static void call(int s, int64_t result, const char *bytes, int64_t n)
{
    pier_time began = pier__trace_begin();
    if (began)
        pier__trace_end(began, s, result, "recv(%d, %s, 1024)", s, pier__trace_bytes(bytes, n));
}

/* Leaves the traced process: what the harness has to say is no part of the trace. */
static void done(void) { _exit(0); }

TEST(a_call_is_one_line_on_stderr)
{
    if (again()) {
        call(-1, 24, "Thank you for connecting", 24);
        call(-1, 0, "", 0);
        done();
    }
    run_again("trace/a_call_is_one_line_on_stderr", "1");
    const char *at = said;
    at = skip_line(at, traced, 1, "recv(-1, \"Thank you for connecting\", 1024) = 24");
    at = skip_line(at, traced, 1, "recv(-1, \"\", 1024) = 0");
    assert_string_equal(at, "");
}

TEST(nothing_is_traced_unless_asked_for)
{
    if (again()) {
        assert_false(pier__trace_on);
        call(-1, 24, "Thank you for connecting", 24);
        done();
    }
    static const char *const values[] = {NULL, "", "0"};
    for (size_t i = 0; i < 3; i++) {
        run_again("trace/nothing_is_traced_unless_asked_for", values[i]);
        assert_string_equal(said, "");
    }
}

TEST(a_failure_is_told_by_name_and_sentence)
{
    if (again()) {
        call(-1, -ECONNREFUSED, NULL, -ECONNREFUSED);
        call(-1, PIER_EPORT, NULL, 0);
        call(-1, PIER_EAI_NONAME, NULL, 0);
        call(-1, -5000, NULL, 0);
        call(-1, INT64_MIN, NULL, INT64_MIN);
        done();
    }
    run_again("trace/a_failure_is_told_by_name_and_sentence", "1");
    const char *at = said;
    at = skip_line(at, traced, 1, "recv(-1, \"\", 1024) = -ECONNREFUSED (Connection refused)");
    at = skip_line(at, traced, 1, "recv(-1, \"\", 1024) = PIER_EPORT (port must be 0-65535)");
    at = skip_line(at, traced, 1, "recv(-1, \"\", 1024) = EAI_NONAME (Name or service not known)");
    at = skip_line(at, traced, 1, "recv(-1, \"\", 1024) = -5000");
    at = skip_line(at, traced, 1, "recv(-1, \"\", 1024) = -9223372036854775808");
    assert_string_equal(at, "");
}

TEST(the_first_bytes_are_shown_as_in_c_source)
{
    if (again()) {
        call(-1, 6, "\"\\\r\n\0\x7f", 6);
        call(-1, 32, "0123456789abcdef0123456789abcdef", 32);
        call(-1, 33, "0123456789abcdef0123456789abcdef!", 33);
        done();
    }
    run_again("trace/the_first_bytes_are_shown_as_in_c_source", "1");
    const char *at = said;
    at = skip_line(at, traced, 1, "recv(-1, \"\\\"\\\\\\r\\n\\x00\\x7f\", 1024) = 6");
    at = skip_line(at, traced, 1, "recv(-1, \"0123456789abcdef0123456789abcdef\", 1024) = 32");
    at = skip_line(at, traced, 1, "recv(-1, \"0123456789abcdef0123456789abcdef\"..., 1024) = 33");
    assert_string_equal(at, "");
}

/* MSG_TRUNC tells how long a datagram was: what lies behind the buffer is not of it. */
TEST(what_lies_behind_a_buffer_is_not_shown)
{
    if (again()) {
        int pair[2];
        char room[16] = "----behind";
        assert_int_equal(pier_socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
        for (int i = 0; i < 2; i++)
            assert_int_equal(pier_send(pair[0], "0123456789", 10, 0), 10);
        assert_int_equal(pier_recv(pair[1], room, 4, MSG_TRUNC), 10);
        assert_int_equal(pier_recvfrom(pair[1], room, 4, MSG_TRUNC, NULL), 10);
        done();
    }
    run_again("trace/what_lies_behind_a_buffer_is_not_shown", "1");
    assert_non_null(strstr(said, "\"0123\", 4, 0x20) = 10"));
    assert_non_null(strstr(said, "\"0123\", 4, 0x20, "));
    assert_null(strstr(said, "behind"));
}

TEST(the_peer_is_told_if_there_is_one)
{
    if (again()) {
        int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        assert_int_equal(dup2(s, 90), 90);
        call(90, -ENOTCONN, NULL, 0);
        pier_addr peer = pier_inet("127.0.0.1", 12345);
        assert_int_equal(connect(s, &peer.sa.any, peer.length), 0);
        call(90, 3, "abc", 3);
        int pair[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(dup2(pair[0], 91), 91);
        call(91, 3, "abc", 3);
        call(99, -EBADF, NULL, 0);
        done();
    }
    run_again("trace/the_peer_is_told_if_there_is_one", "1");
    const char *at = said;
    at = skip_line(
        at, traced, 1, "recv(90, \"\", 1024) = -ENOTCONN (Transport endpoint is not connected)");
    at = skip_line(at, traced, 1, "recv(90, \"abc\", 1024) = 3  127.0.0.1:12345");
    at = skip_line(at, traced, 1, "recv(91, \"abc\", 1024) = 3");
    at = skip_line(at, traced, 1, "recv(99, \"\", 1024) = -EBADF (Bad file descriptor)");
    assert_string_equal(at, "");
}

static pier_time clock_says;

static pier_time fixed_now(void) { return clock_says; }

TEST(the_time_that_a_call_took_is_told)
{
    if (again()) {
        struct pier__seam seam = pier__seam_system;
        seam.now = fixed_now;
        pier__seam = &seam;
        pier_time began = pier__trace_begin(); /* a clock at 0 is no reason not to trace */
        assert_true(began > 0);
        clock_says = 61 * PIER_SECOND + 107999;
        pier__trace_end(began, -1, 0, "close(3)");
        done();
    }
    run_again("trace/the_time_that_a_call_took_is_told", "1");
    char expected[128];
    (void)snprintf(
        expected, sizeof expected, "pier[%d.1] close(3) = 0  61.000107 s\n", (int)traced);
    assert_string_equal(said, expected);
}

TEST(a_call_made_inside_a_call_prints_nothing)
{
    if (again()) {
        pier_time began = pier__trace_begin();
        assert_true(began > 0);
        assert_int_equal(pier__trace_begin(), 0);
        assert_int_equal(pier__trace_begin(), 0);
        pier__trace_end(began, -1, 1, "outer()");
        call(-1, 0, "", 0);
        done();
    }
    run_again("trace/a_call_made_inside_a_call_prints_nothing", "1");
    const char *at = skip_line(said, traced, 1, "outer() = 1");
    at = skip_line(at, traced, 1, "recv(-1, \"\", 1024) = 0");
    assert_string_equal(at, "");
}

TEST(the_trace_leaves_the_last_failure_alone)
{
    if (again()) {
        pier__failed("resolve", "a", -EIO);
        call(99, -EBADF, NULL, 0);
        assert_string_equal(pier_error(), "resolve a: Input/output error");
        done();
    }
    run_again("trace/the_trace_leaves_the_last_failure_alone", "1");
}

TEST(a_long_call_is_cut_and_its_result_is_not)
{
    if (again()) {
        char name[3000];
        memset(name, 'a', sizeof name);
        name[sizeof name - 1] = '\0';
        pier_time began = pier__trace_begin();
        pier__trace_end(began, -1, PIER_EHOSTTEXT, "resolve(\"%s\")", name);
        done();
    }
    run_again("trace/a_long_call_is_cut_and_its_result_is_not", "1");
    assert_true(strlen(said) < 1024);
    const char *end = "aaa... = PIER_EHOSTTEXT (host name label empty or too long)  0.0";
    assert_non_null(strstr(said, end));
    assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
}

TEST(text_of_others_stays_on_its_line)
{
    if (again()) {
        pier_time began = pier__trace_begin();
        pier__trace_end(began, -1, 0, "resolve(\"%s\")", "a\n\033[2J");
        done();
    }
    run_again("trace/text_of_others_stays_on_its_line", "1");
    assert_string_equal(skip_line(said, traced, 1, "resolve(\"a\\x0a\\x1b[2J\") = 0"), "");
}

/* The file that the trace went to. */
static const char *written(const char *path)
{
    static char text[1 << 16];
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    (void)fclose(file);
    return text;
}

TEST(a_trace_into_a_file_is_appended)
{
    if (again()) {
        call(-1, 3, "abc", 3);
        done();
    }
    const char *path = test_path("trace");
    run_again("trace/a_trace_into_a_file_is_appended", path);
    assert_string_equal(said, "");
    pid_t first = traced;
    run_again("trace/a_trace_into_a_file_is_appended", path);
    const char *at = skip_line(written(path), first, 1, "recv(-1, \"abc\", 1024) = 3");
    at = skip_line(at, traced, 1, "recv(-1, \"abc\", 1024) = 3");
    assert_string_equal(at, "");
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600); /* it shows what passwords were sent */
}

TEST(a_file_that_cannot_be_opened_is_named)
{
    if (again()) {
        call(-1, 3, "abc", 3);
        done();
    }
    char path[512], expected[1024];
    (void)snprintf(path, sizeof path, "%s/none/x\n", test_tmpdir());
    run_again("trace/a_file_that_cannot_be_opened_is_named", path);
    (void)snprintf(expected, sizeof expected,
        "pier: PIER_TRACE=%s/none/x\\x0a: No such file or directory\n", test_tmpdir());
    assert_string_equal(said, expected);
}

/* The descriptor that the trace file has in this process. */
static int find_fd(const char *path)
{
    for (int fd = 3; fd < 256; fd++) {
        char link[64], target[512];
        (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(link, target, sizeof target - 1);
        if (n < 0) continue;
        target[n] = '\0';
        if (strcmp(target, path) == 0) return fd;
    }
    return -1;
}

TEST(a_socket_that_took_the_number_of_the_trace_never_gets_a_line)
{
    if (again()) {
        int pair[2];
        int fd = find_fd(secure_getenv("PIER_TRACE"));
        assert_true(fd > 2);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(dup2(pair[0], fd), fd);
        call(-1, 3, "abc", 3);
        assert_int_equal(dup2(pair[0], STDERR_FILENO), STDERR_FILENO);
        call(-1, 3, "abc", 3);
        char byte;
        assert_int_equal(recv(pair[1], &byte, 1, MSG_DONTWAIT), -1);
        close(fd);
        call(-1, 3, "abc", 3);
        done();
    }
    const char *path = test_path("trace");
    run_again("trace/a_socket_that_took_the_number_of_the_trace_never_gets_a_line", path);
    assert_string_equal(written(path), "");
}

TEST(a_socket_that_took_the_place_of_stderr_never_gets_a_line)
{
    if (again()) {
        int pair[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(dup2(pair[0], STDERR_FILENO), STDERR_FILENO);
        call(-1, 3, "abc", 3);
        char byte;
        bool clean = recv(pair[1], &byte, 1, MSG_DONTWAIT) < 0;
        _exit(clean ? 0 : 1);
    }
    run_again("trace/a_socket_that_took_the_place_of_stderr_never_gets_a_line", "1");
    assert_string_equal(said, "");
}

TEST(stderr_may_be_sent_elsewhere)
{
    if (again()) {
        const char *path = secure_getenv("TRACE_TEST_ELSEWHERE");
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
        call(-1, 3, "abc", 3);
        done();
    }
    elsewhere = test_path("elsewhere");
    run_again("trace/stderr_may_be_sent_elsewhere", "1");
    assert_string_equal(
        skip_line(written(elsewhere), traced, 1, "recv(-1, \"abc\", 1024) = 3"), "");
}

enum { THREADS = 4, CALLS = 200 };

static void *call_often(void *arg)
{
    (void)arg;
    for (int i = 0; i < CALLS; i++)
        call(-1, 32, "0123456789abcdef0123456789abcdef", 32);
    return NULL;
}

TEST(lines_of_several_threads_never_mix)
{
    if (again()) {
        pthread_t threads[THREADS];
        for (int i = 0; i < THREADS; i++)
            threads[i] = test_thread(call_often, NULL);
        for (int i = 0; i < THREADS; i++)
            test_join(threads[i]);
        done();
    }
    run_again("trace/lines_of_several_threads_never_mix", "1");
    int count[THREADS + 1] = {0};
    for (const char *at = said; *at;) {
        const char *dot = strchr(at, '.');
        assert_non_null(dot);
        long thread = strtol(dot + 1, NULL, 10);
        assert_in_range(thread, 1, THREADS);
        at = skip_line(
            at, traced, (int)thread, "recv(-1, \"0123456789abcdef0123456789abcdef\", 1024) = 32");
        count[thread]++;
    }
    for (int i = 1; i <= THREADS; i++)
        assert_int_equal(count[i], CALLS);
}

TEST(a_forked_child_tells_its_own_number)
{
    if (again()) {
        call(-1, 1, "a", 1);
        pid_t child = fork();
        if (child == 0) {
            call(-1, 2, "ab", 2);
            _exit(0);
        }
        assert_int_equal(waitpid(child, NULL, 0), child);
        (void)dprintf(STDERR_FILENO, "%d\n", (int)child);
        done();
    }
    run_again("trace/a_forked_child_tells_its_own_number", "1");
    const char *at = skip_line(said, traced, 1, "recv(-1, \"a\", 1024) = 1");
    const char *last = strchr(at, '\n') + 1;
    pid_t child = (pid_t)strtol(last, NULL, 10);
    assert_true(child > 0 && child != traced);
    assert_ptr_equal(skip_line(at, child, 1, "recv(-1, \"ab\", 1024) = 2"), last);
}
