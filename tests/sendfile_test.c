/* SPDX-License-Identifier: MIT */
#include "base/seam.h"
#include "harness.h"
#include "scene.h"
#include "sock/buffer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <netinet/in.h>
#include <pier.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* More than the buffers of a stream hold, and few enough to go byte by byte under noise. */
#define LARGE 400000

static int pair[2];

static void make_pair(void)
{
    assert_int_equal(pier_socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    /* Small buffers, so that LARGE does not fit; the kernel rounds up as it likes. */
    for (int i = 0; i < 2; i++)
        (void)pier_setsockopt_int(pair[i], SOL_SOCKET, SO_SNDBUF, 20000);
}

static void close_pair(void)
{
    assert_int_equal(pier_close(pair[0]), 0);
    assert_int_equal(pier_close(pair[1]), 0);
}

static char pattern(size_t at) { return (char)('a' + (at * 7 + at / 1000) % 26); }

/* A file of `size` patterned bytes, open for reading at its beginning. */
static int make_file(size_t size)
{
    int fd = open(test_path("file"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    char *bytes = malloc(size + 1);
    assert_non_null(bytes);
    for (size_t i = 0; i < size; i++)
        bytes[i] = pattern(i);
    assert_int_equal(write(fd, bytes, size), size);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    free(bytes);
    return fd;
}

static off_t position(int file) { return lseek(file, 0, SEEK_CUR); }

/* A peer that reads until the end and checks that the bytes from `from` on come. */
struct reader {
    int s;
    size_t from, came;
    bool wrong;
    pthread_t thread;
};

static void *read_on(void *arg)
{
    struct reader *r = arg;
    char buf[5000];
    ssize_t n;
    while ((n = pier_recv(r->s, buf, sizeof buf, 0)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            r->wrong |= buf[i] != pattern(r->from + r->came + (size_t)i);
        r->came += (size_t)n;
    }
    assert_int_equal(n, 0); /* else the sender would wait for ever */
    return NULL;
}

static void start_reader(struct reader *r, int s, size_t from)
{
    *r = (struct reader){.s = s, .from = from};
    r->thread = test_thread(read_on, r);
}

/* How many bytes came, all of them right, once the sender has ended. */
static size_t end_reader(struct reader *r, int sender)
{
    assert_int_equal(pier_shutdown(sender, SHUT_WR), 0);
    test_join(r->thread);
    assert_false(r->wrong);
    return r->came;
}

/* A seam that counts, and does what a test asks for. */
static struct pier__seam fake;
static atomic_int sendfiles, reads;
static int fake_result; /* of sendfile, if not 0 */
static bool fake_end;   /* sendfile says 0 */

static ssize_t fake_sendfile(int out, int in, off_t *offset, size_t count)
{
    atomic_fetch_add(&sendfiles, 1);
    if (fake_result) return fake_result;
    return fake_end ? 0 : pier__seam_system.sendfile(out, in, offset, count);
}

static ssize_t fake_pread(int fd, void *buf, size_t len, off_t offset)
{
    atomic_fetch_add(&reads, 1);
    return pier__seam_system.pread(fd, buf, len, offset);
}

static void stand_in(void)
{
    fake = pier__seam_system;
    fake.sendfile = fake_sendfile;
    fake.pread = fake_pread;
    fake_result = 0;
    fake_end = false;
    sendfiles = reads = 0;
    pier__seam = &fake;
}

static void go_home(void) { pier__seam = &pier__seam_system; }

/* In a task only a socket with a limit is O_NONBLOCK, as sendfile(2) needs it. */
static void make_direct(void)
{
    if (harness_in_task()) assert_int_equal(pier_settimeout(pair[0], 60), 0);
}

/* The three ways in which a socket may be limited; each sends in its own way. */
static void limit(int s, int way)
{
    if (way == 1) assert_int_equal(pier_settimeout(s, 15), 0);
    if (way == 2) assert_int_equal(pier_setdeadline(s, pier_after(15)), 0);
}

TEST(a_file_goes_whole_and_its_position_moves)
{
    for (int way = 0; way < 3; way++) {
        struct reader r;
        make_pair();
        limit(pair[0], way);
        int file = make_file(LARGE);
        start_reader(&r, pair[1], 0);
        assert_int_equal(pier_sendfile(pair[0], file, NULL, 0), LARGE);
        assert_int_equal(position(file), LARGE);
        assert_int_equal(pier_sendfile(pair[0], file, NULL, 0), 0);
        assert_int_equal(end_reader(&r, pair[0]), LARGE);
        close(file);
        close_pair();
    }
}

TEST(an_offset_moves_on_in_place_of_the_position)
{
    for (int way = 0; way < 3; way++) {
        struct reader r;
        make_pair();
        limit(pair[0], way);
        int file = make_file(LARGE);
        off_t offset = 1000;
        start_reader(&r, pair[1], 1000);
        assert_int_equal(lseek(file, 7, SEEK_SET), 7);
        assert_int_equal(pier_sendfile(pair[0], file, &offset, 0), LARGE - 1000);
        assert_int_equal(offset, LARGE);
        assert_int_equal(position(file), 7);
        assert_int_equal(end_reader(&r, pair[0]), LARGE - 1000);
        close(file);
        close_pair();
    }
}

TEST(a_count_is_a_limit_and_no_promise)
{
    for (int way = 0; way < 3; way++) {
        struct reader r;
        make_pair();
        limit(pair[0], way);
        int file = make_file(5000);
        off_t offset = 4000;
        start_reader(&r, pair[1], 0);
        assert_int_equal(pier_sendfile(pair[0], file, NULL, 3000), 3000);
        assert_int_equal(position(file), 3000);
        assert_int_equal(pier_sendfile(pair[0], file, NULL, 1000), 1000);
        assert_int_equal(pier_sendfile(pair[0], file, &offset, 3000), 1000);
        assert_int_equal(offset, 5000);
        offset = 9999;
        assert_int_equal(pier_sendfile(pair[0], file, &offset, 10), 0);
        assert_int_equal(offset, 9999);
        assert_int_equal(end_reader(&r, pair[0]), 5000);
        close(file);
        close_pair();
    }
}

TEST(an_offset_beyond_4_gib_is_no_matter)
{
    make_pair();
    int file = make_file(0);
    off_t offset = (off_t)5 << 30;
    char text[8];
    if (pwrite(file, "far away", 8, offset) != 8) SKIP("no sparse files here");
    assert_int_equal(pier_sendfile(pair[0], file, &offset, 0), 8);
    assert_true(offset == ((off_t)5 << 30) + 8);
    assert_int_equal(pier_recv(pair[1], text, 8, MSG_WAITALL), 8);
    assert_memory_equal(text, "far away", 8);
    close(file);
    close_pair();
}

TEST(a_file_goes_over_tcp_as_well)
{
    int listener = pier_socket(AF_INET, SOCK_STREAM, 0), s = pier_socket(AF_INET, SOCK_STREAM, 0);
    pier_addr where;
    assert_int_equal(pier_bind(listener, pier_inet("127.0.0.1", 0)), 0);
    assert_int_equal(pier_listen(listener, 1), 0);
    assert_int_equal(pier_getsockname(listener, &where), 0);
    assert_int_equal(pier_connect(s, where), 0);
    int peer = pier_accept(listener, NULL), file = make_file(LARGE);
    assert_true(peer >= 0);
    struct reader r;
    start_reader(&r, peer, 0);
    assert_int_equal(pier_sendfile(s, file, NULL, LARGE / 2), LARGE / 2);
    assert_int_equal(pier_settimeout(s, 15), 0);
    assert_int_equal(pier_sendfile(s, file, NULL, 0), LARGE / 2);
    assert_int_equal(end_reader(&r, s), LARGE);
    close(file);
    pier_close(peer);
    pier_close(s);
    pier_close(listener);
}

TEST(with_a_deadline_alone_the_file_is_read_since_sendfile_could_not_be_left)
{
    make_pair();
    int file = make_file(100);
    stand_in();
    assert_int_equal(pier_setdeadline(pair[0], pier_after(15)), 0);
    assert_int_equal(pier_sendfile(pair[0], file, NULL, 0), 100);
    assert_int_equal(sendfiles, 0);
    assert_int_equal(pier_settimeout(pair[0], 15), 0); /* now it is O_NONBLOCK */
    assert_int_equal(pier_sendfile(pair[0], file, &(off_t){0}, 0), 100);
    assert_true(sendfiles > 0);
    go_home();
    close(file);
    close_pair();
}

TEST(what_sendfile_cannot_do_is_read_and_sent)
{
    static const int codes[] = {-EINVAL, -ENOSYS, -EOVERFLOW, -EOPNOTSUPP, -EPERM, 0};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        struct reader r;
        make_pair();
        int file = make_file(2000);
        stand_in();
        make_direct();
        fake_result = codes[i];
        fake_end = codes[i] == 0; /* an end at once is not believed */
        start_reader(&r, pair[1], 0);
        assert_int_equal(pier_sendfile(pair[0], file, NULL, 1500), 1500);
        assert_int_equal(position(file), 1500);
        off_t offset = 1500;
        assert_int_equal(pier_sendfile(pair[0], file, &offset, 0), 500);
        assert_int_equal(offset, 2000);
        assert_int_equal(end_reader(&r, pair[0]), 2000);
        assert_int_equal(sendfiles, 2);
        assert_true(reads > 0);
        go_home();
        close(file);
        close_pair();
    }
}

TEST(files_that_claim_to_be_empty_are_sent)
{
    for (int way = 0; way < 3; way++) {
        make_pair();
        limit(pair[0], way);
        int file = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);
        char expected[64], came[64];
        ssize_t n = read(file, expected, sizeof expected);
        struct stat st;
        assert_true(n > 3);
        assert_int_equal(fstat(file, &st), 0);
        assert_int_equal(st.st_size, 0);
        assert_int_equal(lseek(file, 0, SEEK_SET), 0);
        assert_int_equal(pier_sendfile(pair[0], file, NULL, 0), n);
        assert_int_equal(pier_recv(pair[1], came, (size_t)n, MSG_WAITALL), n);
        assert_memory_equal(came, expected, (size_t)n);
        close(file);
        close_pair();
    }
}

TEST(a_pipe_is_sent_until_its_writer_ends)
{
    for (int way = 0; way < 3; way++) {
        int ends[2];
        char text[16];
        make_pair();
        limit(pair[0], way);
        assert_int_equal(pipe2(ends, O_CLOEXEC | (way == 1 ? O_NONBLOCK : 0)), 0);
        assert_int_equal(write(ends[1], "through a pipe", 14), 14);
        assert_int_equal(pier_sendfile(pair[0], ends[0], NULL, 9), 9);
        close(ends[1]);
        assert_int_equal(pier_sendfile(pair[0], ends[0], NULL, 0), 5);
        assert_int_equal(pier_recv(pair[1], text, 14, MSG_WAITALL), 14);
        assert_memory_equal(text, "through a pipe", 14);
        assert_int_equal(pier_sendfile(pair[0], ends[0], &(off_t){0}, 0), -ESPIPE);
        close(ends[0]);
        close_pair();
    }
}

TEST(a_pipe_that_says_nothing_is_waited_for_until_the_limit)
{
    for (int way = 1; way < 3; way++) {
        int ends[2];
        make_pair();
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        assert_int_equal(write(ends[1], "abc", 3), 3);
        size_t moved = 0;
        for (double limit = 0.05; moved == 0; limit *= 2) { /* until some goes, on any machine */
            pier_time end = pier_after(limit);
            if (way == 1) assert_int_equal(pier_settimeout(pair[0], limit), 0);
            if (way == 2) assert_int_equal(pier_setdeadline(pair[0], end), 0);
            assert_int_equal(pier_sendfile(pair[0], ends[0], NULL, 0), -ETIME);
            assert_true(pier_now() >= end);
            moved = pier_error_moved();
        }
        assert_int_equal(moved, 3);
        close(ends[0]);
        close(ends[1]);
        close_pair();
    }
}

TEST(a_peer_that_does_not_read_ends_it_at_the_limit_and_what_went_is_told)
{
    for (int way = 1; way < 3; way++) {
        make_pair();
        int file = make_file(LARGE);
        size_t moved = 0;
        for (double limit = 0.05; moved == 0; limit *= 2) { /* until some goes, on any machine */
            pier_time end = pier_after(limit);
            if (way == 1) assert_int_equal(pier_settimeout(pair[0], limit), 0);
            if (way == 2) assert_int_equal(pier_setdeadline(pair[0], end), 0);
            assert_int_equal(pier_sendfile(pair[0], file, NULL, 0), -ETIME);
            assert_true(pier_now() >= end);
            moved = pier_error_moved();
        }
        assert_true(moved < LARGE);
        assert_int_equal(position(file), moved);
        assert_non_null(strstr(pier_error(), "send a file"));

        /* And on from there, by offset. */
        struct reader r;
        off_t offset = (off_t)moved, before;
        assert_int_equal(pier_setdeadline(pair[0], pier_after(0.05)), 0);
        assert_int_equal(pier_sendfile(pair[0], file, &offset, 0), -ETIME);
        assert_int_equal(offset, moved + pier_error_moved());
        before = offset;
        assert_int_equal(pier_setdeadline(pair[0], PIER_NEVER), 0);
        assert_int_equal(pier_settimeout(pair[0], INFINITY), 0);
        start_reader(&r, pair[1], 0);
        assert_int_equal(pier_sendfile(pair[0], file, &offset, 0), LARGE - before);
        assert_int_equal(end_reader(&r, pair[0]), LARGE);
        close(file);
        close_pair();
    }
}

TEST(what_is_no_file_to_read_says_so)
{
    make_pair();
    int directory = open(test_tmpdir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int writable = open(test_path("w"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    int path = open(test_path("w"), O_PATH | O_CLOEXEC);
    for (int way = 0; way < 3; way++) {
        limit(pair[0], way);
        assert_int_equal(pier_sendfile(pair[0], directory, NULL, 0), -EISDIR);
        assert_int_equal(pier_sendfile(pair[0], directory, &(off_t){0}, 10), -EISDIR);
        assert_int_equal(pier_sendfile(pair[0], writable, NULL, 0), -EBADF);
        assert_int_equal(pier_sendfile(pair[0], path, NULL, 0), -EBADF);
        assert_int_equal(pier_sendfile(pair[0], -1, NULL, 0), -EBADF);
        assert_int_equal(pier_sendfile(pair[0], INT_MAX, NULL, 0), -EBADF);
        assert_int_equal(pier_error_moved(), 0);
    }
    close(directory);
    close(writable);
    close(path);
    close_pair();
}

TEST(bad_counts_and_offsets_are_refused)
{
    make_pair();
    int file = make_file(10);
    off_t offset = -1;
    assert_int_equal(pier_sendfile(pair[0], file, &offset, 0), -EINVAL);
    offset = 0;
    assert_int_equal(pier_sendfile(pair[0], file, &offset, (size_t)SSIZE_MAX + 1), -EINVAL);
    assert_int_equal(pier_sendfile(pair[0], file, &offset, (size_t)-ECONNRESET), -EINVAL);
    assert_int_equal(offset, 0);
    assert_int_equal(position(file), 0);
    char byte;
    assert_int_equal(pier_recv(pair[1], &byte, 1, MSG_DONTWAIT), -EAGAIN);
    assert_int_equal(pier_sendfile(pair[0], file, &offset, SSIZE_MAX), 10);
    close(file);
    close_pair();
}

TEST(only_streams_that_may_wait_take_files)
{
    int file = make_file(10), dgram[2], seqpacket[2], ends[2];
    assert_int_equal(pier_socketpair(AF_UNIX, SOCK_DGRAM, 0, dgram), 0);
    assert_int_equal(pier_socketpair(AF_UNIX, SOCK_SEQPACKET, 0, seqpacket), 0);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    make_pair();
    assert_int_equal(pier_sendfile(dgram[0], file, NULL, 0), -EINVAL);
    assert_int_equal(pier_sendfile(seqpacket[0], file, NULL, 0), -EINVAL);
    assert_int_equal(pier_sendfile(ends[1], file, NULL, 0), -ENOTSOCK);
    assert_int_equal(pier_setblocking(pair[0], false), 0);
    assert_int_equal(pier_sendfile(pair[0], file, NULL, 0), -EINVAL);
    assert_int_equal(position(file), 0);
    assert_int_equal(pier_sendfile(-ENOENT, -1, NULL, SIZE_MAX), -ENOENT);
    close_pair();
    assert_int_equal(pier_sendfile(pair[0], file, NULL, 0), -EBADF);
    for (int i = 0; i < 2; i++) {
        close(ends[i]);
        pier_close(dgram[i]);
        pier_close(seqpacket[i]);
    }
    close(file);
}

TEST(a_bare_descriptor_takes_files_too)
{
    struct reader r;
    make_pair();
    int bare = pier_detach(pair[0]), file = make_file(LARGE);
    start_reader(&r, pair[1], 0);
    assert_int_equal(pier_sendfile(bare, file, NULL, 0), LARGE);
    assert_int_equal(end_reader(&r, bare), LARGE);
    close(bare);
    pier_close(pair[1]);
    close(file);
}

TEST(a_descriptor_adopted_in_non_blocking_mode_answers_again_and_tells_how_much_went)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(pier_adopt(ends[0]), ends[0]);
    assert_int_equal(pier_setsockopt_int(ends[0], SOL_SOCKET, SO_SNDBUF, 20000), 0);
    int file = make_file(LARGE);
    assert_int_equal(pier_sendfile(ends[0], file, NULL, 0), -EAGAIN);
    assert_true(pier_error_moved() > 0);
    assert_int_equal(position(file), pier_error_moved());
    close(file);
    close(ends[1]);
    assert_int_equal(pier_close(ends[0]), 0);
}

static int changing;

static ssize_t sendfile_then_shrink(int out, int in, off_t *offset, size_t count)
{
    ssize_t n = pier__seam_system.sendfile(out, in, offset, count < 1000 ? count : 1000);
    assert_int_equal(ftruncate(changing, 500), 0);
    return n;
}

static int growths;

static ssize_t sendfile_then_grow(int out, int in, off_t *offset, size_t count)
{
    char more[100];
    off_t end = lseek(changing, 0, SEEK_END);
    for (size_t i = 0; i < sizeof more; i++)
        more[i] = pattern((size_t)end + i);
    ssize_t n = pier__seam_system.sendfile(out, in, offset, count < 1000 ? count : 1000);
    if (growths++ < 5) assert_int_equal(pwrite(changing, more, sizeof more, end), sizeof more);
    return n;
}

/*
 * What of it is in flight changes too: sendfile(2) sends the pages themselves. So only the length
 * is sure.
 */
TEST(a_file_that_shrinks_meanwhile_ends_early)
{
    char came[2000];
    make_pair();
    changing = make_file(3000);
    fake = pier__seam_system;
    fake.sendfile = sendfile_then_shrink;
    pier__seam = &fake;
    make_direct();
    off_t offset = 0;
    assert_int_equal(pier_sendfile(pair[0], changing, &offset, 3000), 1000);
    assert_int_equal(offset, 1000);
    assert_int_equal(pier_shutdown(pair[0], SHUT_WR), 0);
    assert_int_equal(pier_recv(pair[1], came, sizeof came, MSG_WAITALL), 1000);
    go_home();
    close(changing);
    close_pair();
}

TEST(a_file_that_grows_meanwhile_is_sent_to_its_new_end)
{
    struct reader r;
    make_pair();
    changing = make_file(3000);
    growths = 0;
    fake = pier__seam_system;
    fake.sendfile = sendfile_then_grow;
    pier__seam = &fake;
    make_direct();
    start_reader(&r, pair[1], 0);
    assert_int_equal(pier_sendfile(pair[0], changing, &(off_t){0}, 0), 3500);
    assert_int_equal(end_reader(&r, pair[0]), 3500);
    go_home();
    close(changing);
    close_pair();
}

static ssize_t pread_fails_later(int fd, void *buf, size_t len, off_t offset)
{
    return offset >= 1000 ? -EIO
                          : pier__seam_system.pread(fd, buf, len < 1000 ? len : 1000, offset);
}

TEST(a_file_that_fails_in_the_middle_tells_how_much_went)
{
    make_pair();
    int file = make_file(3000);
    stand_in();
    fake_result = -EINVAL;
    fake.pread = pread_fails_later;
    assert_int_equal(pier_sendfile(pair[0], file, NULL, 0), -EIO);
    assert_int_equal(pier_error_moved(), 1000);
    assert_int_equal(position(file), 1000);
    go_home();
    close(file);
    close_pair();
}

static void *no_memory(void *old, size_t size)
{
    (void)old, (void)size;
    return NULL;
}

TEST(without_memory_to_read_into_nothing_is_sent)
{
    make_pair();
    int file = make_file(3000);
    stand_in();
    fake_result = -EINVAL;
    fake.allocate = no_memory;
    assert_int_equal(pier_sendfile(pair[0], file, NULL, 0), -ENOMEM);
    go_home();
    assert_int_equal(position(file), 0);
    char byte;
    assert_int_equal(pier_recv(pair[1], &byte, 1, MSG_DONTWAIT), -EAGAIN);
    close(file);
    close_pair();
}

static void *send_capitals(void *unused)
{
    (void)unused;
    char *bytes = malloc(LARGE / 2);
    assert_non_null(bytes);
    memset(bytes, 'Z', LARGE / 2);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pier_sendall(pair[0], bytes, LARGE / 2, 0), LARGE / 2);
    free(bytes);
    return NULL;
}

TEST(a_file_and_a_sendall_do_not_interleave)
{
    make_pair();
    assert_int_equal(pier_settimeout(pair[0], 15), 0);
    int file = make_file(LARGE / 2);
    pthread_t thread = test_thread(send_capitals, NULL);
    /* The peer: whole blocks of one or the other. */
    pid_t child = fork();
    if (child == 0) {
        char *block = malloc(LARGE / 2);
        for (int i = 0; i < 6; i++) {
            for (size_t at = 0; at < LARGE / 2;) {
                ssize_t n = read(pair[1], block + at, LARGE / 2 - at);
                if (n <= 0) _exit(1);
                at += (size_t)n;
            }
            bool capital = block[0] == 'Z';
            for (size_t at = 0; at < LARGE / 2; at++)
                if (block[at] != (capital ? 'Z' : pattern(at))) _exit(2);
        }
        _exit(0);
    }
    for (int i = 0; i < 3; i++) {
        off_t offset = 0;
        assert_int_equal(pier_sendfile(pair[0], file, &offset, 0), LARGE / 2);
    }
    test_join(thread);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    close(file);
    close_pair();
}

static int64_t send_in_vain(void *file) { return pier_sendfile(pair[0], *(int *)file, NULL, 0); }

TEST(closing_ends_the_sending_of_a_file)
{
    for (int way = 0; way < 3; way++) {
        make_pair();
        limit(pair[0], way);
        int file = make_file(LARGE);
        struct scene_call call;
        scene_start(&call, send_in_vain, &file);
        scene_await_blocked(&call);
        assert_int_equal(pier_close(pair[0]), 0);
        assert_int_equal(scene_finish(&call), -ECANCELED);
        assert_int_equal(position(file), call.moved);
        assert_int_equal(pier_close(pair[1]), 0);
        close(file);
    }
}

TEST(closing_ends_the_wait_for_a_pipe)
{
    int ends[2];
    make_pair();
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    struct scene_call call;
    scene_start(&call, send_in_vain, &ends[0]);
    scene_await_blocked(&call);
    assert_int_equal(pier_close(pair[0]), 0);
    assert_int_equal(scene_finish(&call), -ECANCELED);
    assert_int_equal(pier_close(pair[1]), 0);
    close(ends[0]);
    close(ends[1]);
}

static void on_alarm(int signal) { (void)signal; }

static int give_up(void *asked)
{
    ++*(int *)asked;
    return 1;
}

TEST(the_hook_ends_the_sending_of_a_file)
{
    const struct sigaction action = {.sa_handler = on_alarm};
    const struct itimerval soon = {.it_interval = {0, 20000}, .it_value = {0, 20000}}, off = {0};
    for (int way = 0; way < 3; way++) {
        int asked = 0;
        make_pair();
        limit(pair[0], way);
        int file = make_file(LARGE);
        pier_hook before = pier_sethook(give_up, &asked);
        assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
        assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
        assert_int_equal(pier_sendfile(pair[0], file, NULL, 0), -EINTR);
        assert_int_equal(setitimer(ITIMER_REAL, &off, NULL), 0);
        pier_sethook(before.call, before.arg);
        assert_true(asked > 0);
        assert_int_equal(position(file), pier_error_moved());
        close(file);
        close_pair();
    }
}

static bool is_pending(void)
{
    sigset_t set;
    assert_int_equal(sigpending(&set), 0);
    return sigismember(&set, SIGPIPE) == 1;
}

static bool is_blocked(void)
{
    sigset_t set;
    assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &set), 0);
    return sigismember(&set, SIGPIPE) == 1;
}

TEST(a_broken_pipe_leaves_the_signals_of_the_thread_as_they_were)
{
    make_pair();
    int file = make_file(10);
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    assert_int_equal(pier_close(pair[1]), 0);

    assert_int_equal(pthread_sigmask(SIG_UNBLOCK, &pipe, NULL), 0);
    assert_int_equal(pier_sendfile(pair[0], file, NULL, 0), -EPIPE);
    assert_false(is_blocked());
    assert_false(is_pending());

    assert_int_equal(pthread_sigmask(SIG_BLOCK, &pipe, NULL), 0);
    assert_int_equal(pier_sendfile(pair[0], file, NULL, 0), -EPIPE);
    assert_true(is_blocked());
    assert_false(is_pending()); /* ours is taken back */

    pthread_kill(pthread_self(), SIGPIPE);
    assert_true(is_pending());
    assert_int_equal(pier_sendfile(pair[0], file, NULL, 0), -EPIPE);
    assert_true(is_pending()); /* theirs is not */
    assert_int_equal(sigtimedwait(&pipe, NULL, &(struct timespec){0}), SIGPIPE);
    assert_int_equal(position(file), 0);
    assert_int_equal(pier_close(pair[0]), 0);
    close(file);
}

TEST(a_peer_that_leaves_in_the_middle_is_a_broken_pipe_with_a_count)
{
    for (int way = 0; way < 3; way++) {
        make_pair();
        limit(pair[0], way);
        int file = make_file(LARGE);
        pid_t child = fork();
        if (child == 0) {
            char buf[5000];
            close(pair[0]);
            ssize_t n = read(pair[1], buf, sizeof buf);
            _exit(n > 0 ? 0 : 1);
        }
        assert_int_equal(pier_close(pair[1]), 0);
        ssize_t n = pier_sendfile(pair[0], file, NULL, 0);
        assert_true(n == -EPIPE || n == -ECONNRESET);
        assert_true(pier_error_moved() > 0);
        assert_int_equal(position(file), pier_error_moved());
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        assert_int_equal(pier_close(pair[0]), 0);
        close(file);
    }
}

TEST(a_socket_with_bytes_in_its_buffer_is_no_file)
{
    int other[2];
    size_t room;
    char byte;
    make_pair();
    assert_int_equal(pier_socketpair(AF_UNIX, SOCK_STREAM, 0, other), 0);
    assert_non_null(pier__buffer_reserve(pier__entry_at(other[0]), &room));
    pier__buffer_commit(pier__entry_at(other[0]), 1);
    assert_int_equal(pier_sendfile(pair[0], other[0], NULL, 1), -EBUSY);
    assert_int_equal(pier_recv(other[0], &byte, 1, 0), 1);
    assert_int_equal(pier_send(other[1], "x", 1, 0), 1);
    assert_int_equal(pier_sendfile(pair[0], other[0], NULL, 1), 1);
    pier_close(other[0]);
    pier_close(other[1]);
    close_pair();
}
