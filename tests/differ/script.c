/* SPDX-License-Identifier: MIT */
/*
 * Makes the calls of a script and says what came of each, for tools/differ.py to compare: in a
 * thread, or in tasks, as PIER_TEST_MODE says.
 *
 * A line of standard input is "verb socket number word": what to call, on which of SOCKETS, and two
 * things that mean something else for each verb. Each line is called in a thread or task of its
 * own, and the next one begins when it has ended, or waits. At the end all sockets are closed,
 * and so everything that still waits ends.
 */
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <pier.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define SOCKETS 8
#define LINES   64
#define LONG    4096 /* how many of more bytes go at once is the kernel's affair */

static double pace = 1; /* how patient we are with a machine that has other work */

struct step {
    int line;
    char verb[16], word[16];
    int socket;
    long number;
    char way; /* of those with the same one on the same socket the kernel decides who comes first */
    ino_t what; /* which socket it is, duplicates included */
    pthread_t thread;
    pier_task task;
    atomic_bool begun, ended;
    int ended_at; /* during which line that was seen */
    size_t length;
    char said[400];
};

static struct step steps[LINES];
static _Atomic int sockets[SOCKETS];
static int lines;

static __attribute__((format(printf, 2, 3))) void say(struct step *step, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t room = sizeof step->said - step->length;
    int n = vsnprintf(step->said + step->length, room, format, args);
    va_end(args);
    if (n > 0) step->length += (size_t)n < room ? (size_t)n : room - 1;
}

static void say_result(struct step *step, int64_t n)
{
    if (n < 0)
        say(step, "%s", pier_errname(n));
    else
        say(step, "%lld", (long long)n);
}

static bool is_part(int64_t n, size_t asked) { return n > LONG && (size_t)n != asked; }

/* A result that counts bytes. */
static void say_count(struct step *step, int64_t n, size_t asked)
{
    if (is_part(n, asked))
        say(step, "some");
    else
        say_result(step, n);
}

/* Runs of the same letter: "a5 b20". */
static void say_bytes(struct step *step, const char *bytes, int64_t n, size_t asked)
{
    say_count(step, n, asked);
    if (is_part(n, asked)) return;
    if (n > (int64_t)asked) n = (int64_t)asked; /* MSG_TRUNC */
    for (int64_t i = 0, run; i < n; i += run) {
        run = 1;
        while (i + run < n && bytes[i + run] == bytes[i])
            run++;
        if (bytes[i] == '\n')
            say(step, " \\n");
        else
            say(step, " %c%lld", bytes[i], (long long)run);
    }
}

static int kind(const char *word, int *out_family)
{
    bool inet = strcmp(word, "tcp") == 0 || strcmp(word, "udp") == 0;
    *out_family = inet ? AF_INET : AF_UNIX;
    if (strcmp(word, "tcp") == 0 || strcmp(word, "stream") == 0) return SOCK_STREAM;
    return strcmp(word, "seqpacket") == 0 ? SOCK_SEQPACKET : SOCK_DGRAM;
}

static int flag(const char *word)
{
    static const struct {
        const char *name;
        int flag;
    } flags[] = {{"peek", MSG_PEEK}, {"waitall", MSG_WAITALL}, {"dontwait", MSG_DONTWAIT},
        {"trunc", MSG_TRUNC}, {"oob", MSG_OOB}};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        if (strcmp(flags[i].name, word) == 0) return flags[i].flag;
    }
    return 0;
}

static double seconds(const char *word) { return strcmp(word, "inf") == 0 ? INFINITY : atof(word); }

static _Atomic int *socket_of(const struct step *step) { return &sockets[step->socket]; }

static pier_addr nowhere(int family)
{
    return family == AF_INET ? pier_inet("127.0.0.1", 0) : pier_unix("");
}

/* The verbs. */

static void open_one(struct step *step)
{
    int family, type = kind(step->word, &family);
    *socket_of(step) = pier_socket(family, type, 0);
    say(step, "ok");
}

static void bind_one(struct step *step)
{
    pier_addr own;
    int family = pier_getsockname(*socket_of(step), &own) < 0 ? AF_INET : pier_addr_family(own);
    say_result(step, pier_bind(*socket_of(step), nowhere(family)));
}

static void listen_on(struct step *step)
{
    say_result(step, pier_listen(*socket_of(step), (int)step->number));
}

static void connect_to(struct step *step)
{
    pier_addr peer;
    int err = pier_getsockname(sockets[step->number], &peer);
    say_result(step, err < 0 ? err : pier_connect(*socket_of(step), peer));
}

static void accept_from(struct step *step)
{
    pier_addr peer;
    int s = pier_accept(*socket_of(step), &peer);
    if (s < 0)
        say_result(step, s);
    else
        say(step, "ok %d", pier_addr_family(peer));
    if (s >= 0 && sockets[step->number] >= 0) pier_close(sockets[step->number]);
    if (s >= 0) sockets[step->number] = s;
}

static int join_pair(int family, int type, int pair[2])
{
    if (family == AF_UNIX) return pier_socketpair(family, type, 0, pair);
    pier_addr name;
    int first = pier_socket(family, type, 0), second = pier_socket(family, type, 0);
    pair[0] = first, pair[1] = second;
    int err = pier_bind(first, nowhere(family));
    if (err == 0 && type == SOCK_STREAM) err = pier_listen(first, 1);
    if (err == 0) err = pier_getsockname(first, &name);
    if (err == 0) err = pier_connect(second, name);
    if (err == 0 && type == SOCK_DGRAM) err = pier_getsockname(second, &name);
    if (err == 0 && type == SOCK_DGRAM) err = pier_connect(first, name);
    if (err == 0 && type == SOCK_STREAM) {
        pair[0] = pier_accept(first, NULL);
        pier_close(first);
    }
    return err < 0 ? err : pair[0] < 0 ? pair[0] : 0;
}

static void pair_up(struct step *step)
{
    int family, type = kind(step->word, &family), pair[2] = {-1, -1};
    say_result(step, join_pair(family, type, pair));
    *socket_of(step) = pair[0];
    sockets[step->number] = pair[1];
}

static void duplicate(struct step *step)
{
    int s = pier_dup(*socket_of(step));
    say(step, "%s", s < 0 ? pier_errname(s) : "ok");
    if (s >= 0 && sockets[step->number] >= 0) pier_close(sockets[step->number]);
    if (s >= 0) sockets[step->number] = s;
}

static void close_one(struct step *step)
{
    int s = *socket_of(step);
    *socket_of(step) = -EBADF;
    say_result(step, pier_close(s));
}

static void shut_down(struct step *step)
{
    int how = strcmp(step->word, "rd") == 0   ? SHUT_RD
              : strcmp(step->word, "wr") == 0 ? SHUT_WR
                                              : SHUT_RDWR;
    say_result(step, pier_shutdown(*socket_of(step), how));
}

static void set_timeout(struct step *step)
{
    say_result(step, pier_settimeout(*socket_of(step), seconds(step->word)));
}

static void set_deadline(struct step *step)
{
    say_result(step, pier_setdeadline(*socket_of(step), pier_after(seconds(step->word))));
}

static void linger(struct step *step)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    say_result(step, pier_setsockopt(*socket_of(step), SOL_SOCKET, SO_LINGER, &now, sizeof now));
}

static void small_buffer(struct step *step)
{
    say_result(step, pier_setsockopt_int(*socket_of(step), SOL_SOCKET, SO_SNDBUF, step->number));
}

static void kept_error(struct step *step)
{
    int64_t error = 0;
    int err = pier_getsockopt_int(*socket_of(step), SOL_SOCKET, SO_ERROR, &error);
    say_result(step, err < 0 ? err : -error);
}

static void pending(struct step *step) { say_result(step, pier_pending(*socket_of(step))); }

static void forget(struct step *step) { say_result(step, pier_forget_failure(*socket_of(step))); }

static void wait_readable(struct step *step)
{
    say_result(step, pier_wait_readable(*socket_of(step), pier_after(seconds(step->word))));
}

static void wait_writable(struct step *step)
{
    say_result(step, pier_wait_writable(*socket_of(step), pier_after(seconds(step->word))));
}

/* Bytes to send, or to receive into: the letter is the line's own. */
static char *bytes_for(const struct step *step)
{
    size_t room = (size_t)step->number + 8;
    char *bytes = malloc(room);
    if (!bytes) abort();
    memset(bytes, 'a' + step->line % 26, room);
    return bytes;
}

static void send_bytes(struct step *step)
{
    char *bytes = bytes_for(step);
    size_t n = (size_t)step->number;
    say_count(step, pier_send(*socket_of(step), bytes, n, flag(step->word)), n);
    free(bytes);
}

static void send_line(struct step *step)
{
    char *bytes = bytes_for(step);
    size_t n = (size_t)step->number;
    bytes[n] = '\n';
    say_count(step, pier_send(*socket_of(step), bytes, n + 1, flag(step->word)), n + 1);
    free(bytes);
}

static void send_all(struct step *step)
{
    char *bytes = bytes_for(step);
    size_t n = (size_t)step->number;
    ssize_t sent = pier_sendall(*socket_of(step), bytes, n, flag(step->word));
    say_count(step, sent, n);
    if (sent < 0) say(step, " after"), say_count(step, (int64_t)pier_error_moved(), n);
    free(bytes);
}

static void send_message(struct step *step)
{
    char *bytes = bytes_for(step);
    size_t n = (size_t)step->number;
    struct iovec parts[2] = {
        {.iov_base = bytes, .iov_len = n / 2}, {.iov_base = bytes + n / 2, .iov_len = n - n / 2}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    say_count(step, pier_sendmsg(*socket_of(step), &message, flag(step->word)), n);
    free(bytes);
}

static void send_file(struct step *step)
{
    char *bytes = bytes_for(step);
    size_t n = (size_t)step->number;
    int file = memfd_create("script", MFD_CLOEXEC);
    if (file < 0 || write(file, bytes, n) != (ssize_t)n) abort();
    off_t offset = 0;
    say_count(step, pier_sendfile(*socket_of(step), file, &offset, n), n);
    say(step, " up to ");
    say_count(step, offset, n);
    close(file);
    free(bytes);
}

/* To where another socket is bound. */
static void send_to(struct step *step)
{
    pier_addr peer;
    int err = pier_getsockname(sockets[step->number], &peer);
    say_result(step, err < 0 ? err : pier_sendto(*socket_of(step), "to", 2, 0, peer));
}

static void send_many(struct step *step)
{
    char *bytes = bytes_for(step);
    pier_datagram batch[3] = {{.data = bytes, .length = 2},
        {.data = bytes, .length = (size_t)step->number}, {.data = bytes, .length = 3}};
    ssize_t n = pier_send_many(*socket_of(step), batch, 3, flag(step->word));
    say_result(step, n);
    if (n < 0) say(step, " after %zu", pier_error_moved());
    free(bytes);
}

static void receive(struct step *step)
{
    char *bytes = bytes_for(step);
    size_t n = (size_t)step->number;
    say_bytes(step, bytes, pier_recv(*socket_of(step), bytes, n, flag(step->word)), n);
    free(bytes);
}

static void receive_from(struct step *step)
{
    char *bytes = bytes_for(step);
    size_t n = (size_t)step->number;
    pier_addr from;
    say_bytes(step, bytes, pier_recvfrom(*socket_of(step), bytes, n, flag(step->word), &from), n);
    say(step, " from %d", pier_addr_family(from));
    free(bytes);
}

static void receive_message(struct step *step)
{
    char *bytes = bytes_for(step);
    size_t n = (size_t)step->number;
    struct iovec parts[2] = {
        {.iov_base = bytes, .iov_len = n / 2}, {.iov_base = bytes + n / 2, .iov_len = n - n / 2}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    ssize_t got = pier_recvmsg(*socket_of(step), &message, flag(step->word));
    say_bytes(step, bytes, got, n);
    if (got >= 0) say(step, " flags %x", (unsigned)message.msg_flags & ~(unsigned)MSG_CMSG_CLOEXEC);
    free(bytes);
}

static void receive_exactly(struct step *step)
{
    char *bytes = bytes_for(step);
    size_t n = (size_t)step->number;
    ssize_t got = pier_recv_exactly(*socket_of(step), bytes, n);
    say_bytes(step, bytes, got, n);
    if (got < 0) say(step, " after "), say_count(step, (int64_t)pier_error_moved(), n);
    free(bytes);
}

static void receive_line(struct step *step)
{
    char *bytes = bytes_for(step);
    size_t n = (size_t)step->number;
    say_bytes(step, bytes, pier_recv_line(*socket_of(step), bytes, n), n);
    free(bytes);
}

static void receive_all(struct step *step)
{
    char *bytes = bytes_for(step);
    size_t n = (size_t)step->number;
    say_bytes(step, bytes, pier_recvall(*socket_of(step), bytes, n), n);
    free(bytes);
}

static void receive_many(struct step *step)
{
    char bytes[3][64];
    pier_datagram batch[3];
    for (int i = 0; i < 3; i++) {
        batch[i] = (pier_datagram){.data = bytes[i], .size = sizeof bytes[i]};
    }
    ssize_t n = pier_recv_many(*socket_of(step), batch, 3, flag(step->word));
    say_result(step, n);
    for (ssize_t i = 0; i < n; i++) {
        say(step, ", %s", batch[i].truncated ? "cut " : "");
        say_bytes(step, batch[i].data, (int64_t)batch[i].length, batch[i].length);
    }
}

/* Sends a copy of the socket itself. */
static void send_socket(struct step *step)
{
    int s = *socket_of(step);
    say_result(step, pier_send_fds(s, "fd", 2, flag(step->word), &s, 1));
}

static void receive_socket(struct step *step)
{
    char bytes[16];
    int fds[2] = {-1, -1};
    size_t count = 2;
    say_bytes(step, bytes,
        pier_recv_fds(*socket_of(step), bytes, sizeof bytes, flag(step->word), fds, &count), 16);
    say(step, " with %zu", count);
    for (size_t i = 0; i < count; i++) {
        pier_adopt(fds[i]);
        pier_close(fds[i]);
    }
}

/* The call of a line before. */
static void cancel(struct step *step) { say_result(step, pier_cancel(steps[step->number].task)); }

static const struct verb {
    const char *name;
    void (*call)(struct step *step);
    char way;
} verbs[] = {
    {"open", open_one, 0},
    {"bind", bind_one, 0},
    {"listen", listen_on, 0},
    {"connect", connect_to, 's'},
    {"accept", accept_from, 'r'},
    {"pair", pair_up, 0},
    {"dup", duplicate, 0},
    {"close", close_one, 0},
    {"shutdown", shut_down, 0},
    {"timeout", set_timeout, 0},
    {"deadline", set_deadline, 0},
    {"linger", linger, 0},
    {"sndbuf", small_buffer, 0},
    {"error", kept_error, 0},
    {"pending", pending, 0},
    {"forget", forget, 0},
    {"readable", wait_readable, 'r'},
    {"writable", wait_writable, 's'},
    {"send", send_bytes, 's'},
    {"sendline", send_line, 's'},
    {"sendall", send_all, 's'},
    {"sendmsg", send_message, 's'},
    {"sendto", send_to, 's'},
    {"send_many", send_many, 's'},
    {"send_file", send_file, 's'},
    {"recv", receive, 'r'},
    {"recvfrom", receive_from, 'r'},
    {"recvmsg", receive_message, 'r'},
    {"exactly", receive_exactly, 'r'},
    {"line", receive_line, 'r'},
    {"recvall", receive_all, 'r'},
    {"recv_many", receive_many, 'r'},
    {"send_fd", send_socket, 's'},
    {"recv_fd", receive_socket, 'r'},
    {"cancel", cancel, 0},
};

/* Going through the script. */

static const struct verb *verb_of(const struct step *step)
{
    size_t i = 0;
    while (strcmp(verbs[i].name, step->verb) != 0) {
        if (++i == sizeof verbs / sizeof *verbs) abort();
    }
    return &verbs[i];
}

static int call_step(void *arg)
{
    struct step *step = arg;
    verb_of(step)->call(step);
    step->ended = true;
    return 0;
}

static void *call_in_thread(void *arg)
{
    call_step(arg);
    return NULL;
}

static bool in_task(void) { return pier_current().number != 0; }

static void begin(struct step *step)
{
    pier_spawn_opts how = {.stack_size = (size_t)256 << 10, .detached = true};
    if (in_task())
        step->task = pier_spawn(call_step, step, &how);
    else if (pthread_create(&step->thread, NULL, call_in_thread, step) != 0)
        abort();
    if (step->task.number < 0) abort();
    step->begun = true;
}

static void note_ends(int line)
{
    for (int i = 0; i < lines; i++) {
        if (steps[i].begun && steps[i].ended && steps[i].ended_at == 0) steps[i].ended_at = line;
    }
}

static int waiting(void)
{
    int count = 0;
    for (int i = 0; i < lines; i++) {
        count += steps[i].begun && !steps[i].ended;
    }
    return count;
}

/* Does this thread of ours run, or want to? */
static bool is_running(const char *thread)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/self/task/%.20s/stat", thread);
    FILE *file = fopen(path, "re");
    size_t n = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file) (void)fclose(file);
    text[n] = '\0';
    const char *state = strrchr(text, ')'); /* behind the name */
    return state && (state[2] == 'R' || state[2] == 'D');
}

/* Whoever does not sleep has something to say yet: on a busy machine for a long while. */
static bool all_others_sleep(void)
{
    char own[24];
    snprintf(own, sizeof own, "%d", gettid());
    DIR *threads = opendir("/proc/self/task");
    if (!threads) abort();
    bool running = false;
    for (struct dirent *entry; !running && (entry = readdir(threads));)
        running =
            entry->d_name[0] != '.' && strcmp(entry->d_name, own) != 0 && is_running(entry->d_name);
    closedir(threads);
    return !running;
}

static void let_others_come_to_rest(void)
{
    pier_time until = pier_after(10);
    while (!all_others_sleep() && pier_now() < until)
        pier_sleep(0.001);
}

/* It has ended, or waits, which a long enough look tells. */
static void watch(const struct step *step, double patience)
{
    pier_time until = pier_after(patience * pace);
    do {
        pier_sleep(0.0005);
    } while (!step->ended && (pier_now() < until || !all_others_sleep()));
}

static bool has_rival(struct step *step)
{
    struct stat socket = {0};
    (void)fstat(sockets[step->socket], &socket);
    step->what = socket.st_ino;
    step->way = verb_of(step)->way;
    for (int i = 0; i < lines; i++) {
        const struct step *other = &steps[i];
        bool waits = other->begun && !other->ended;
        if (waits && step->way && other->way == step->way && other->what == step->what) return true;
    }
    return false;
}

/* What a line has set free ends as well. */
static void settle(int line)
{
    if (waiting() > 0) {
        pier_sleep(0.004 * pace);
        let_others_come_to_rest();
    }
    note_ends(line);
}

static int go_through(void *unused)
{
    (void)unused;
    for (int i = 0; i < lines; i++) {
        if (has_rival(&steps[i])) {
            say(&steps[i], "left out");
            continue;
        }
        begin(&steps[i]);
        watch(&steps[i], 0.06);
        settle(i + 1);
    }
    for (int i = 0; i < SOCKETS; i++) {
        pier_close(sockets[i]);
        settle(lines + 1 + i);
    }
    pier_time until = pier_after(10);
    while (waiting() > 0 && pier_now() < until)
        pier_sleep(0.001);
    note_ends(lines + SOCKETS);
    return 0;
}

static void read_script(void)
{
    char text[128];
    while (lines < LINES && fgets(text, sizeof text, stdin)) {
        struct step *step = &steps[lines];
        if (sscanf(text, "%15s %d %ld %15s", step->verb, &step->socket, &step->number,
                step->word) != 4)
            continue;
        step->line = ++lines;
    }
}

static void tell(const struct step *step)
{
    printf("%s %d %ld %s: ", step->verb, step->socket, step->number, step->word);
    if (step->begun && step->ended_at == 0)
        printf("never ends\n");
    else if (step->ended_at > step->line)
        printf("waits for %d: %s\n", step->ended_at, step->said);
    else
        printf("%s\n", step->said);
}

/* In tasks of a loop that another one drives. */
static int drive(const pier_run_opts *how)
{
    int left = pier_loop_open(how);
    if (left < 0) return left;
    pier_spawn(go_through, NULL, NULL);
    struct pollfd watched = {.fd = pier_loop_fd(), .events = POLLIN};
    while ((left = pier_loop_turn()) > 0)
        (void)poll(&watched, 1, -1);
    int err = pier_loop_close(PIER_NEVER);
    return left < 0 ? left : err;
}

/* "thread", "task-uring", "driven-epoll"; "" is the first. */
static int go_through_in(const char *world)
{
    const char *backend = strchr(world, '-');
    if (!backend) return go_through(NULL);
    pier_run_opts how = {.backend = backend + 1};
    return world[0] == 'd' ? drive(&how) : pier_run(go_through, NULL, &how);
}

int main(void)
{
    const char *mode = getenv("PIER_TEST_MODE"), *slow = getenv("DIFFER_PACE");
    if (slow) pace = atof(slow);
    for (int i = 0; i < SOCKETS; i++) {
        sockets[i] = -EBADF;
    }
    read_script();
    int err = go_through_in(mode ? mode : "");
    for (int i = 0; i < lines; i++) {
        tell(&steps[i]);
    }
    if (err < 0) printf("%s\n", pier_errname(err));
    (void)fflush(stdout);
    _Exit(err < 0);
}
