/* SPDX-License-Identifier: MIT */
#include "base/seam.h"
#include "harness.h"
#include "scene.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
#include <pier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void tcp_pair(int pair[2])
{
    int server = pier_create_server("127.0.0.1:0", NULL);
    pier_addr own;
    assert_int_equal(pier_getsockname(server, &own), 0);
    pair[0] = pier_socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(pier_connect(pair[0], own), 0);
    pair[1] = pier_accept(server, NULL);
    assert_true(pair[1] >= 0);
    pier_close(server);
    const int on = 1; /* for when a byte at a time is sent */
    for (int i = 0; i < 2; i++)
        assert_int_equal(setsockopt(pair[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
}

static void unix_pair(int pair[2])
{
    assert_int_equal(pier_socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
}

static void (*const kinds[])(int pair[2]) = {tcp_pair, unix_pair};
#define FOR_BOTH_KINDS                                   \
    for (size_t kind = 0; kind < 2; kind++)              \
        for (int p[2], once = (kinds[kind](p), 1); once; \
             once = 0, pier_close(p[0]), pier_close(p[1]))

static void say(int s, const char *text)
{
    assert_int_equal(pier_sendall(s, text, strlen(text), 0), (ssize_t)strlen(text));
}

static FILE *open_file(int s, const char *mode)
{
    FILE *f = pier_makefile(s, mode);
    assert_non_null(f);
    return f;
}

static void expect_getline(FILE *f, const char *expected)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t n = getline(&line, &size, f);
    assert_int_equal(n, (ssize_t)strlen(expected));
    assert_string_equal(line, expected);
    free(line);
}

TEST(getline_reads_lines_until_the_end)
{
    FOR_BOTH_KINDS
    {
        FILE *f = open_file(p[1], "r");
        say(p[0], "first\nsecond\r\nlast");
        pier_shutdown(p[0], SHUT_WR);
        expect_getline(f, "first\n");
        expect_getline(f, "second\r\n");
        expect_getline(f, "last");
        char *line = NULL;
        size_t size = 0;
        assert_int_equal(getline(&line, &size, f), -1);
        assert_true(feof(f));
        assert_false(ferror(f));
        free(line);
        assert_int_equal(fclose(f), 0);
    }
}

static int calls;

static ssize_t count_recv(int fd, void *buf, size_t len, int flags)
{
    calls++;
    return pier__seam_system.recv(fd, buf, len, flags);
}

static ssize_t count_recvmsg(int fd, struct msghdr *msg, int flags)
{
    calls++;
    return pier__seam_system.recvmsg(fd, msg, flags);
}

TEST(getline_does_not_cost_a_system_call_per_byte)
{
    struct pier__seam seam = pier__seam_system;
    seam.recv = count_recv;
    seam.recvmsg = count_recvmsg;
    pier__seam = &seam;
    FOR_BOTH_KINDS
    {
        FILE *f = open_file(p[1], "r");
        for (int i = 0; i < 20; i++)
            say(p[0], "a line of some length\n");
        scene_await_bytes(p[1], 20 * 22);
        calls = 0;
        for (int i = 0; i < 20; i++)
            expect_getline(f, "a line of some length\n");
        assert_true(calls <= 4);
        assert_int_equal(fclose(f), 0);
    }
    pier__seam = &pier__seam_system;
}

TEST(reading_a_file_and_plain_calls_share_one_buffer)
{
    FOR_BOTH_KINDS
    {
        char buf[20];
        FILE *f = open_file(p[1], "rb");
        say(p[0], "line\nbinary\nmore\nrest");
        expect_getline(f, "line\n");
        assert_int_equal(pier_recv_exactly(p[1], buf, 7), 7);
        assert_memory_equal(buf, "binary\n", 7);
        assert_int_equal(pier_recv_line(p[1], buf, sizeof buf), 5);
        assert_string_equal(buf, "more\n");
        assert_int_equal(fgetc(f), 'r');
        for (size_t n = 0; n < 3; n++)
            assert_int_equal(pier_recv(p[1], buf + n, 1, 0), 1);
        assert_memory_equal(buf, "est", 3);
        assert_int_equal(fclose(f), 0);
    }
}

TEST(a_file_does_not_swallow_a_descriptor_behind_its_line)
{
    int p[2];
    unix_pair(p);
    FILE *f = open_file(p[1], "r");
    say(p[0], "take this\n");
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr aligned;
    } control = {{0}};
    char byte = 'X';
    int fd = STDERR_FILENO;
    struct iovec iov = {&byte, 1};
    struct msghdr msg = {.msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof control.bytes};
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(cmsg), &fd, sizeof fd);
    assert_int_equal(pier_sendmsg(p[0], &msg, 0), 1);

    expect_getline(f, "take this\n");
    assert_int_equal(pier_recvmsg(p[1], &msg, 0), 1);
    assert_int_equal(msg.msg_controllen, CMSG_SPACE(sizeof(int)));
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof fd);
    close(fd);
    assert_int_equal(fclose(f), 0);
    pier_close(p[0]);
    pier_close(p[1]);
}

TEST(a_written_file_is_buffered_until_flushed)
{
    FOR_BOTH_KINDS
    {
        char buf[50];
        FILE *f = open_file(p[0], "w");
        assert_int_equal(fprintf(f, "%s %d\n", "number", 7), 9);
        pier_setblocking(p[1], false);
        assert_int_equal(pier_recv(p[1], buf, sizeof buf, 0), -EAGAIN);
        pier_setblocking(p[1], true);
        assert_int_equal(fflush(f), 0);
        assert_int_equal(pier_recv_line(p[1], buf, sizeof buf), 9);
        assert_string_equal(buf, "number 7\n");
        assert_int_equal(fputs("bye", f) >= 0, 1);
        assert_int_equal(fclose(f), 0);
        assert_int_equal(pier_recv_exactly(p[1], buf, 3), 3);
        assert_int_equal(pier_send(p[0], "x", 1, 0), 1); /* the socket is not closed */
        assert_int_equal(pier_recv(p[1], buf, 1, 0), 1);
    }
}

TEST(r_plus_talks_and_listens_in_turn_without_flushing)
{
    static const char *const modes[] = {"r+", "rw", "r+b", "rb+", "rwb"};
    FOR_BOTH_KINDS
    {
        for (size_t m = 0; m < sizeof modes / sizeof modes[0]; m++) {
            FILE *f = open_file(p[1], modes[m]);
            char buf[50], expected[50];
            for (int i = 0; i < 200; i++) {
                (void)snprintf(expected, sizeof expected, "question %d\n", i);
                say(p[0], expected);
                expect_getline(f, expected);
                assert_true(fprintf(f, "answer %d\n", i) > 0);
                (void)snprintf(expected, sizeof expected, "answer %d\n", i);
                assert_true(pier_recv_line(p[0], buf, sizeof buf) > 0);
                assert_string_equal(buf, expected);
            }
            assert_int_equal(fclose(f), 0);
        }
    }
}

TEST(a_read_and_a_write_file_on_one_socket_do_not_mind_each_other)
{
    FOR_BOTH_KINDS
    {
        FILE *in = open_file(p[1], "r"), *out = open_file(p[1], "w");
        char buf[20];
        for (int i = 0; i < 50; i++) {
            say(p[0], "hello\nworld\n");
            expect_getline(in, "hello\n");
            assert_int_equal(fputs("yes\n", out) >= 0 && fflush(out) == 0, 1);
            expect_getline(in, "world\n");
            assert_int_equal(pier_recv_line(p[0], buf, sizeof buf), 4);
        }
        assert_int_equal(fclose(in) | fclose(out), 0);
    }
}

struct transfer {
    int s;
    char *bytes;
    size_t size;
};

static void *write_all(void *arg)
{
    const struct transfer *t = arg;
    FILE *f = open_file(t->s, "w");
    for (size_t at = 0, n = 1; at < t->size; at += n, n = n * 3 % 70000 + 1) {
        if (n > t->size - at) n = t->size - at;
        assert_int_equal(fwrite(t->bytes + at, 1, n, f), n);
    }
    assert_int_equal(fclose(f), 0);
    return NULL;
}

TEST(many_bytes_pass_unchanged_whatever_the_pieces)
{
    enum { SIZE = 400000 };
    char *bytes = malloc(SIZE), *got = malloc(SIZE);
    assert_true(bytes && got);
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (char)(i * 13 + i / 77);
    FOR_BOTH_KINDS
    {
        struct transfer t = {p[0], bytes, SIZE};
        pthread_t thread = test_thread(write_all, &t);
        FILE *f = open_file(p[1], "r");
        for (size_t at = 0, n = 1; at < SIZE; at += n, n = n * 5 % 30000 + 1) {
            if (n > SIZE - at) n = SIZE - at;
            assert_int_equal(fread(got + at, 1, n, f), n);
        }
        assert_memory_equal(got, bytes, SIZE);
        assert_int_equal(fclose(f), 0);
        test_join(thread);
    }
    free(bytes);
    free(got);
}

TEST(a_time_out_while_reading_is_an_error_and_loses_nothing)
{
    FOR_BOTH_KINDS
    {
        FILE *f = open_file(p[1], "r");
        pier_settimeout(p[1], 0.05);
        errno = 0;
        assert_int_equal(fgetc(f), EOF);
        assert_int_equal(errno, ETIMEDOUT);
        assert_int_equal(pier_error_code(), -ETIME);
        assert_true(ferror(f));
        assert_false(feof(f));
        clearerr(f);
        say(p[0], "now\n");
        expect_getline(f, "now\n");
        pier_setblocking(p[1], false);
        errno = 0;
        assert_int_equal(fgetc(f), EOF);
        assert_int_equal(errno, EAGAIN);
        assert_int_equal(fclose(f), 0);
    }
}

TEST(the_deadline_ends_reading_even_of_what_is_there)
{
    int p[2];
    tcp_pair(p);
    FILE *f = open_file(p[1], "r");
    say(p[0], "one\ntwo\n");
    expect_getline(f, "one\n");
    pier_setdeadline(p[1], pier_now());
    errno = 0;
    assert_int_equal(fgetc(f), EOF);
    assert_int_equal(errno, ETIMEDOUT);
    clearerr(f);
    pier_setdeadline(p[1], PIER_NEVER);
    expect_getline(f, "two\n");
    assert_int_equal(fclose(f), 0);
    pier_close(p[0]);
    pier_close(p[1]);
}

TEST(a_time_out_while_writing_tells_how_much_went)
{
    FOR_BOTH_KINDS
    {
        enum { SIZE = 20000000 };
        char *bytes = calloc(1, SIZE);
        assert_non_null(bytes);
        FILE *f = open_file(p[0], "w");
        size_t moved = 0;
        for (double limit = 0.1; moved == 0; limit *= 2) { /* until some goes, on any machine */
            clearerr(f);
            pier_settimeout(p[0], limit);
            pier_time until = pier_after(limit);
            errno = 0;
            assert_true(fwrite(bytes, 1, SIZE, f) < SIZE);
            assert_int_equal(errno, ETIMEDOUT);
            assert_true(pier_now() >= until);
            moved = pier_error_moved();
            assert_true(ferror(f));
        }
        assert_true(moved < SIZE);
        (void)fclose(f);
        pier_shutdown(p[0], SHUT_WR);
        ssize_t n = pier_recvall(p[1], bytes, SIZE);
        assert_true(n >= (ssize_t)moved);
        free(bytes);
    }
}

TEST(a_gone_peer_is_an_error_and_no_signal)
{
    FOR_BOTH_KINDS
    {
        FILE *f = open_file(p[0], "w");
        pier_close(p[1]);
        errno = 0;
        while (fputs("hello", f) >= 0 && fflush(f) == 0) /* a reset is under way */
            test_sleep(0.001);
        assert_true(errno == EPIPE || errno == ECONNRESET);
        (void)fclose(f);
    }
}

TEST(fclose_tells_that_the_last_bytes_did_not_go)
{
    int p[2];
    unix_pair(p);
    FILE *f = open_file(p[0], "w");
    assert_true(fputs("hello", f) >= 0);
    pier_close(p[1]);
    assert_int_equal(fclose(f), EOF);
    assert_int_equal(errno, EPIPE);
    pier_close(p[0]);
}

TEST(a_file_never_touches_a_socket_that_took_its_number)
{
    int p[2], q[2];
    unix_pair(p);
    FILE *in = open_file(p[1], "r"), *out = open_file(p[1], "w");
    pier_close(p[1]);
    pier_close(p[0]);
    unix_pair(q);
    assert_true(q[0] == p[1] || q[1] == p[1]);
    say(q[0] == p[1] ? q[1] : q[0], "secret\n");
    assert_int_equal(fgetc(in), EOF);
    assert_int_equal(errno, EBADF);
    assert_true(fputs("stray", out) >= 0);
    assert_int_equal(fflush(out), EOF);
    assert_int_equal(errno, EBADF);
    assert_int_equal(fclose(in), 0);
    (void)fclose(out);
    char buf[10];
    assert_int_equal(pier_recv_exactly(p[1], buf, 7), 7);
    pier_close(q[0]);
    pier_close(q[1]);
}

static void *read_byte(void *f)
{
    errno = 0;
    assert_int_equal(fgetc(f), EOF);
    assert_true(errno == ECANCELED || errno == EBADF);
    return NULL;
}

TEST(closing_the_socket_wakes_who_reads_the_file)
{
    FOR_BOTH_KINDS
    {
        FILE *f = open_file(p[1], "r");
        pthread_t thread = test_thread(read_byte, f);
        test_sleep(0.05);
        pier_close(p[1]);
        test_join(thread);
        assert_int_equal(fclose(f), 0);
    }
}

TEST(a_byte_put_back_does_not_spoil_fclose)
{
    int p[2];
    tcp_pair(p);
    FILE *f = open_file(p[1], "r");
    say(p[0], "ab");
    assert_int_equal(fgetc(f), 'a');
    assert_int_equal(ungetc('a', f), 'a');
    assert_int_equal(fgetc(f), 'a');
    assert_int_equal(ungetc('a', f), 'a');
    assert_int_equal(fclose(f), 0);
    char next;
    assert_int_equal(pier_recv(p[1], &next, 1, 0), 1);
    assert_int_equal(next, 'b');
    pier_close(p[0]);
    pier_close(p[1]);
}

TEST(wrong_modes_and_sockets_are_refused)
{
    static const char *const wrong[] = {"", "b", "br", "w+", "wr", "a", "rr", "r++", "rbb", "rt",
        "re", "r+w", "rw+", " r", "r ", NULL};
    int p[2];
    unix_pair(p);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_null(pier_makefile(p[0], wrong[i]));
        assert_int_equal(pier_error_code(), -EINVAL);
    }
    pier_close(p[0]);
    assert_null(pier_makefile(p[0], "r"));
    assert_int_equal(pier_error_code(), -EBADF);
    pier_close(p[1]);
    assert_int_equal(pier_socketpair(AF_UNIX, SOCK_DGRAM, 0, p), 0);
    assert_null(pier_makefile(p[0], "r"));
    assert_int_equal(pier_error_code(), -EINVAL);
    pier_close(p[0]);
    pier_close(p[1]);
    int refused = pier_create_server("127.0.0.1:99999", NULL);
    assert_null(pier_makefile(refused, "r"));
    assert_int_equal(pier_error_code(), refused);
}
