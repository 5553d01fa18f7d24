/* SPDX-License-Identifier: MIT */
/*
 * Every call that can fail, failed: each scenario is run with its first call failing, then its
 * second, and so on until none is left; and all that again with every later call failing too.
 * Whatever fails, a scenario ends, with a negative code or in success, and gives back all that it
 * took.
 */
#include "fault.h"
#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pier.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * Seconds, long enough for what must happen on one machine, short when a failure makes it
 * impossible. A machine on which that was not enough is given twice as long from then on.
 */
static double soon = 0.2;

static bool was_too_soon(int result)
{
    if (result >= 0 || soon > 10) return false;
    soon *= 2;
    return true;
}

static int open_fds(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

/*
 * The threads of the resolver's pool may still be giving back what they took, and a look-up that
 * was left takes its time. (A sanitizer's own thread is always there.)
 */
static bool settled(int fds)
{
    bool last = false;
    for (int i = 0; i < 3000 && !last; i++) {
        last = test_alone();
        if (fault_blocks() <= 0 && open_fds() == fds) return true;
        test_sleep(0.01);
    }
    return false;
}

static void run_failing(int (*scenario)(void), bool onwards, long most)
{
    while (!test_pool_rests())
        test_sleep(0.01); /* for a look-up that was left may have a file open */
    int fds = open_fds();
    for (long n = 1; n <= most; n++) {
        fault_begin(n, onwards);
        pier__seam = &fault_seam;
        int result = scenario();
        pier__seam = &pier__seam_system;
        const char *victim = fault_victim();
        if (!settled(fds))
            fail_msg("call %ld (%s) failed%s: %ld blocks kept, %d descriptors more", n, victim,
                onwards ? " and all later ones" : "", fault_blocks(), open_fds() - fds);
        if (result > 0) fail_msg("call %ld (%s) failed: result %d", n, victim, result);
        if (!victim && was_too_soon(result)) {
            n--;
            continue;
        }
        if (!victim) {
            assert_int_equal(result, 0);
            return;
        }
    }
}

static void exhaust_first(int (*scenario)(void), long most)
{
    int result;
    do {
        result = scenario(); /* what is made once and kept is made now */
    } while (was_too_soon(result));
    assert_int_equal(result, 0);
    run_failing(scenario, /* onwards= */ false, most);
    run_failing(scenario, /* onwards= */ true, most);
}

static void exhaust(int (*scenario)(void)) { exhaust_first(scenario, LONG_MAX); }

static int first_bad(ssize_t n) { return n < 0 ? (int)n : 0; }

/* A listener, a client and the connection between them: 0 or a code; closes what it opened. */
static int with_connection(pier_addr at, int type, int (*use)(int client, int served))
{
    int listener = pier_socket(at.sa.any.sa_family, type, 0);
    int client = pier_socket(at.sa.any.sa_family, type, 0), served = -1;
    int err = listener < 0 ? listener : client < 0 ? client : 0;
    if (err == 0) err = pier_setdeadline(listener, pier_after(soon));
    if (err == 0) err = pier_bind(listener, at);
    if (err == 0) err = pier_listen(listener, 5);
    if (err == 0) err = pier_getsockname(listener, &at);
    if (err == 0) err = pier_settimeout(client, soon);
    if (err == 0) err = pier_connect(client, at);
    pier_addr peer;
    if (err == 0) served = pier_accept(listener, &peer);
    if (err == 0) err = first_bad(served);
    if (err == 0) err = pier_settimeout(served, soon);
    if (err == 0) err = use(client, served);
    if (err < 0) assert_non_null(pier_error());
    if (served >= 0) pier_close(served);
    if (client >= 0) pier_close(client);
    if (listener >= 0) pier_close(listener);
    return err;
}

static int talk(int client, int served)
{
    char buf[64];
    int err = first_bad(pier_sendall(served, "Thank you for connecting", 24, 0));
    if (err == 0) err = first_bad(pier_recv(client, buf, sizeof buf, 0));
    if (err == 0) err = first_bad(pier_send(client, "x", 1, 0));
    pier_addr from;
    if (err == 0) err = first_bad(pier_recvfrom(served, buf, sizeof buf, 0, &from));
    struct iovec iov = {buf, 10};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (err == 0) err = first_bad(pier_sendmsg(client, &msg, 0));
    if (err == 0) err = first_bad(pier_recvmsg(served, &msg, 0));
    if (err == 0) err = pier_wait_writable(client, pier_after(soon));
    if (err == 0) err = pier_shutdown(client, SHUT_WR);
    if (err == 0) err = pier_wait_readable(served, pier_after(soon));
    return err;
}

static int tcp(void) { return with_connection(pier_inet("127.0.0.1", 0), SOCK_STREAM, talk); }

TEST(a_tcp_conversation_survives_every_failure) { exhaust(tcp); }

static int unix_stream(void) { return with_connection(pier_unix(""), SOCK_STREAM, talk); }

TEST(a_unix_conversation_survives_every_failure) { exhaust(unix_stream); }

static int by_name(void)
{
    int s = pier_socket(AF_INET, SOCK_DGRAM, 0);
    int err = pier_setdeadline(s, pier_after(25 * soon));
    pier_addr at;
    if (err == 0) err = pier_bind(s, pier_inet("localhost", 0));
    if (err == 0) err = pier_getsockname(s, &at);
    if (err == 0)
        err = first_bad(pier_sendto(s, "x", 1, 0, pier_inet("localhost", pier_addr_port(at))));
    char buf[8];
    if (err == 0) err = first_bad(pier_recvfrom(s, buf, sizeof buf, 0, &at));
    if (s >= 0) pier_close(s);
    return err;
}

TEST(datagrams_to_a_name_survive_every_failure) { exhaust(by_name); }

static int many_datagrams(void)
{
    int to = pier_socket(AF_INET, SOCK_DGRAM, 0), s = pier_socket(AF_INET, SOCK_DGRAM, 0);
    int err = to < 0 ? to : first_bad(s);
    static char out[70][600], in[70][600];
    static pier_addr at, from[70];
    pier_datagram datagrams[70];
    if (err == 0) err = pier_setdeadline(to, pier_after(25 * soon));
    if (err == 0) err = pier_settimeout(to, soon);
    if (err == 0) err = pier_bind(to, pier_inet("127.0.0.1", 0));
    if (err == 0) err = pier_getsockname(to, &at);
    if (err == 0) err = pier_enable_gro(to);
    for (int i = 0; i < 70; i++)
        datagrams[i] = (pier_datagram){.data = out[i], .length = 600, .addr = &at};
    if (err == 0) err = first_bad(pier_send_many(s, datagrams, 70, 0));
    for (int i = 0; i < 70; i++)
        datagrams[i] = (pier_datagram){.data = in[i], .size = 600, .addr = &from[i]};
    if (err == 0) err = first_bad(pier_recv_many(to, datagrams, 20, 0));
    int copy = -1;
    if (err == 0) err = first_bad(pier_recv_many(to, datagrams, 70, 0));
    if (err == 0 && pier_pending(to) == 0) err = first_bad(copy = pier_dup(to));
    if (copy >= 0) pier_close(copy);
    if (s >= 0) pier_close(s);
    if (to >= 0) pier_close(to);
    return err;
}

TEST(many_datagrams_survive_every_failure) { exhaust(many_datagrams); }

static int many_local_datagrams(void)
{
    int pair[2];
    int err = pier_socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
    if (err < 0) return err;
    static char bytes[5][10];
    pier_datagram five[5];
    for (int i = 0; i < 5; i++)
        five[i] = (pier_datagram){.data = bytes[i], .size = 10, .length = (size_t)i};
    err = pier_settimeout(pair[1], soon);
    if (err == 0) err = first_bad(pier_send_many(pair[0], five, 5, 0));
    if (err == 0) err = first_bad(pier_recv_many(pair[1], five, 5, 0));
    pier_close(pair[0]);
    pier_close(pair[1]);
    return err;
}

TEST(many_local_datagrams_survive_every_failure) { exhaust(many_local_datagrams); }

static int handles(void)
{
    int pair[2];
    int err = pier_socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    if (err < 0) return err;
    int copy = pier_dup(pair[0]), other = pier_fromfd(pair[1]);
    err = copy < 0 ? copy : first_bad(other);
    if (err == 0) err = pier_set_inheritable(copy, true);
    if (err == 0) err = first_bad(pier_get_inheritable(copy));
    if (copy >= 0) {
        int fd = pier_detach(copy);
        if (fd >= 0) {
            int adopted = pier_adopt(fd);
            if (err == 0) err = first_bad(adopted);
            if (adopted < 0) close(fd);
        }
        pier_close(copy);
    }
    if (other >= 0) pier_close(other);
    pier_close(pair[0]);
    pier_close(pair[1]);
    return err;
}

TEST(handles_survive_every_failure) { exhaust(handles); }

static int names(void)
{
    pier_addrinfo *list = NULL;
    int err = first_bad(pier_getaddrinfo("localhost", "80",
        &(pier_addrinfo_opts){.type = SOCK_STREAM, .deadline = pier_after(25 * soon)}, &list));
    pier_freeaddrinfo(list);
    pier_nameinfo info;
    if (err == 0)
        err = pier_getnameinfo(pier_inet("127.0.0.1", 80), 0, pier_after(25 * soon), &info);
    pier_hostent *host = NULL;
    if (err == 0) err = pier_gethostbyname_ex("localhost", pier_after(25 * soon), &host);
    pier_freehostent(host);
    if (err == 0) err = pier_gethostbyaddr("127.0.0.1", PIER_NEVER, &host);
    if (err == 0) pier_freehostent(host);
    char buf[300];
    if (err == 0)
        err = first_bad(pier_getfqdn("localhost", pier_after(25 * soon), buf, sizeof buf));
    if (err == 0) err = first_bad(pier_gethostname(buf, sizeof buf));
    if (err == 0) err = first_bad(pier_getservbyname("http", "tcp"));
    if (err == 0) err = first_bad(pier_getservbyport(80, "tcp", buf, sizeof buf));
    if (err == 0) err = first_bad(pier_getprotobyname("tcp"));
    pier_interface *interfaces = NULL;
    if (err == 0) err = first_bad(pier_if_nameindex(&interfaces));
    pier_freenameindex(interfaces);
    if (err == 0) err = first_bad(pier_if_nametoindex("lo"));
    if (err == 0) err = first_bad(pier_if_indextoname(1, buf, sizeof buf));
    return err;
}

TEST(look_ups_survive_every_failure) { exhaust(names); }

static int options(void)
{
    int s = pier_socket(AF_INET, SOCK_STREAM, 0);
    int64_t value;
    char text[32];
    int err = pier_setsockopt_int(s, SOL_SOCKET, SO_REUSEADDR, 1);
    if (err == 0) err = pier_getsockopt_int(s, SOL_SOCKET, SO_TYPE, &value);
    if (err == 0) err = pier_setsockopt_text(s, "TCP_NODELAY", "1");
    if (err == 0) err = first_bad(pier_getsockopt_text(s, "SO_LINGER", text, sizeof text));
    if (s >= 0) pier_close(s);
    return err;
}

TEST(options_survive_every_failure) { exhaust(options); }

/* The sentence of a failure reads /proc; it must be there whatever that says. */
static int explain(void)
{
    int first = pier_socket(AF_INET, SOCK_STREAM, 0), second = pier_socket(AF_INET, SOCK_STREAM, 0);
    pier_addr at;
    int err = pier_bind(first, pier_inet("127.0.0.1", 0));
    if (err == 0) err = pier_listen(first, 1);
    if (err == 0) err = pier_getsockname(first, &at);
    if (err == 0 && second >= 0) assert_true(pier_bind(second, at) < 0);
    if (err < 0 || second < 0) {
        err = err < 0 ? err : second;
    }
    assert_true(strlen(pier_error()) > 0);
    if (first >= 0) pier_close(first);
    if (second >= 0) pier_close(second);
    return err;
}

/* It asks about every process of the machine: the first few stand for all. */
TEST(the_sentence_survives_every_failure) { exhaust_first(explain, 150); }

static int framing(int client, int served)
{
    char buf[64];
    int err = first_bad(pier_sendall(client, "first line\nsecond\nrest of it", 28, 0));
    if (err == 0) err = first_bad(pier_recv_line(served, buf, sizeof buf));
    if (err == 0) err = first_bad(pier_recv_until(served, buf, sizeof buf, "\n", 1));
    if (err == 0) err = first_bad(pier_pending(served));
    if (err == 0) err = first_bad(pier_recv_exactly(served, buf, 4));
    if (err == 0) err = pier_shutdown(client, SHUT_WR);
    if (err == 0) err = first_bad(pier_recvall(served, buf, sizeof buf));
    return err;
}

static int framed_tcp(void)
{
    return with_connection(pier_inet("127.0.0.1", 0), SOCK_STREAM, framing);
}

TEST(framing_survives_every_failure) { exhaust(framed_tcp); }

static int framed_unix(void) { return with_connection(pier_unix(""), SOCK_STREAM, framing); }

TEST(framing_on_unix_survives_every_failure) { exhaust(framed_unix); }

/* stdio allocates by itself; what it cannot be given, it says by errno. */
static int by_stdio(int client, int served)
{
    FILE *in = pier_makefile(served, "r"), *out = pier_makefile(client, "w");
    int err = in && out ? 0 : pier_error_code();
    char line[32];
    if (err == 0 && (fprintf(out, "hello\n") < 0 || fflush(out) != 0)) err = -EIO;
    if (err == 0 && !fgets(line, sizeof line, in)) err = -EIO;
    if (out) fclose(out);
    if (in) fclose(in);
    return err;
}

static int stdio(void) { return with_connection(pier_inet("127.0.0.1", 0), SOCK_STREAM, by_stdio); }

TEST(stdio_survives_every_failure) { exhaust(stdio); }

static int unix_server(void)
{
    char path[120];
    (void)snprintf(path, sizeof path, "unix:%s/s", test_tmpdir());
    int server = pier_create_server(path, &(pier_server_opts){.mode = 0600});
    int err = first_bad(server), again = -EINVAL;
    if (server >= 0) pier_close(server); /* and the path stays behind */
    if (err == 0) again = pier_create_server(path, NULL);
    if (err == 0) err = first_bad(again);
    if (again >= 0) pier_close(again);
    unlink(path + 5);
    return err;
}

TEST(a_server_on_a_path_survives_every_failure) { exhaust(unix_server); }

static void greet_and_stop(int client, void *listener)
{
    (void)pier_sendall(client, "Thank you for connecting", 24, 0);
    (void)pier_stop(*(int *)listener, soon);
}

static int serving(void)
{
    int listener = pier_create_server("127.0.0.1:0", NULL);
    int client = pier_socket(AF_INET, SOCK_STREAM, 0);
    pier_addr at;
    int err = pier_getsockname(listener, &at);
    if (err == 0) err = pier_setdeadline(listener, pier_after(soon));
    if (err == 0) err = pier_connect(client, at);
    if (err == 0) err = pier_serve(listener, greet_and_stop, &listener, NULL);
    if (client >= 0) pier_close(client);
    if (listener >= 0) pier_close(listener);
    return err;
}

TEST(serving_survives_every_failure) { exhaust(serving); }

static int dialled_by_name(void)
{
    pier_addr at;
    int listener = pier_create_server("127.0.0.1:0", NULL);
    int err = pier_getsockname(listener, &at);
    char name[64];
    (void)snprintf(name, sizeof name, "localhost:%d", err < 0 ? 1 : pier_addr_port(at));
    int client = err < 0 ? err
                         : pier_create_connection(
                               name, &(pier_connection_opts){.deadline = pier_after(25 * soon)});
    if (client >= 0) pier_close(client);
    if (listener >= 0) pier_close(listener);
    return err < 0 ? err : first_bad(client);
}

TEST(dialling_a_name_survives_every_failure) { exhaust(dialled_by_name); }

static int sends_a_file(int client, int served)
{
    FILE *file = tmpfile();
    if (!file) return -ENFILE;
    fputs("what lies in the file", file);
    fflush(file);
    off_t offset = 0;
    int err = first_bad(pier_sendfile(served, fileno(file), &offset, 0));
    char buf[64];
    if (err == 0) err = first_bad(pier_recv(client, buf, sizeof buf, 0));
    fclose(file);
    return err;
}

static int file_over_tcp(void)
{
    return with_connection(pier_inet("127.0.0.1", 0), SOCK_STREAM, sends_a_file);
}

TEST(sending_a_file_survives_every_failure) { exhaust(file_over_tcp); }

static int passes_descriptors(void)
{
    int pair[2], fds[2] = {0, 1};
    int err = pier_socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    if (err < 0) return err;
    char byte;
    size_t came = 2;
    err = first_bad(pier_settimeout(pair[1], soon));
    if (err == 0) err = first_bad(pier_send_fds(pair[0], "x", 1, 0, fds, 2));
    if (err == 0) err = first_bad(pier_recv_fds(pair[1], &byte, 1, 0, fds, &came));
    for (size_t i = 0; err == 0 && i < came; i++)
        close(fds[i]);
    pier_close(pair[0]);
    pier_close(pair[1]);
    return err;
}

TEST(passing_descriptors_survives_every_failure) { exhaust(passes_descriptors); }

static int naps_and_talks(void *unused)
{
    (void)unused;
    int err = pier_sleep(0.001);
    return err < 0 ? err : tcp();
}

/* What a main loop does that has nothing else to do. */
static int driven(void)
{
    int live, result = 0, err = pier_loop_open(&(pier_run_opts){.keep_sigsegv = true});
    if (err < 0) return err;
    pier_task task = pier_spawn(naps_and_talks, NULL, NULL);
    while ((live = pier_loop_turn()) > 0)
        (void)poll(&(struct pollfd){.fd = pier_loop_fd(), .events = POLLIN}, 1, 100);
    err = live < 0 ? live : pier_join(task, &result);
    int closed = pier_loop_close(PIER_NEVER);
    return err < 0 ? err : result < 0 ? result : closed;
}

static int driven_by(const char *backend)
{
    assert_int_equal(setenv("PIER_BACKEND", backend, 1), 0);
    return driven();
}

static int driven_on_epoll(void) { return driven_by("epoll"); }

static int driven_on_uring(void) { return driven_by("uring"); }

TEST(a_driven_loop_on_epoll_survives_every_failure) { exhaust(driven_on_epoll); }

TEST(a_driven_loop_on_io_uring_survives_every_failure) { exhaust(driven_on_uring); }
/*
 * Light tasks: a loop of its own in a thread; in a task, a run of tasks inside the loop that is
 * there.
 */

static int answer(void *arg)
{
    int s = *(int *)arg;
    char buf[8];
    int err = pier_settimeout(s, soon);
    if (err == 0) err = first_bad(pier_recv(s, buf, sizeof buf, 0));
    if (err == 0) err = first_bad(pier_sendall(s, "yes", 3, 0));
    return err;
}

static int sleep_long(void *unused)
{
    (void)unused;
    return pier_sleep(1000);
}

static int nothing(void *unused)
{
    (void)unused;
    return 0;
}

/* Whatever has failed, what was entered is left, and who was started is waited for. */
static int in_a_group(int s)
{
    pier_group group = {0};
    int err = pier_group_enter(&group);
    if (err < 0) return err;
    err = first_bad(pier_group_spawn(&group, answer, &s, NULL).number);
    if (err == 0) err = first_bad(pier_group_spawn(&group, nothing, NULL, NULL).number);
    int left = pier_group_leave(&group);
    return err < 0 ? err : left;
}

static int ask_task(int s, int other)
{
    char buf[8];
    pier_task task = pier_spawn(answer, &other, &(pier_spawn_opts){.name = "answer"});
    int result = 0, err = first_bad(task.number);
    if (err == 0) err = first_bad(pier_sendall(s, "well?", 5, 0));
    if (err == 0) err = first_bad(pier_recv(s, buf, sizeof buf, 0));
    int joined = pier_join(task, &result);
    return err < 0 ? err : joined < 0 ? joined : result;
}

static int talk_in_tasks(void *unused)
{
    (void)unused;
    int pair[2];
    int err = pier_socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    if (err < 0) return err;
    err = pier_settimeout(pair[0], soon);
    if (err == 0) err = ask_task(pair[0], pair[1]);
    if (err == 0) err = first_bad(pier_send(pair[0], "well?", 5, 0));
    if (err == 0) err = in_a_group(pair[1]);
    if (err == 0) err = pier_to_thread(nothing, NULL);
    pier_task sleeper = pier_spawn(sleep_long, NULL, NULL);
    if (err == 0) err = first_bad(sleeper.number);
    if (sleeper.number > 0) {
        (void)pier_cancel(sleeper);
        int result = 0, joined = pier_join(sleeper, &result);
        if (err == 0) err = joined;
        assert_int_equal(result, -ECANCELED);
    }
    pier_scope scope;
    if (err == 0) err = pier_scope_enter(&scope, pier_after(soon));
    if (err == 0) {
        err = pier_sleep(0.001);
        int expired = pier_scope_leave(&scope);
        if (err == 0) err = expired;
    }
    pier_close(pair[0]);
    pier_close(pair[1]);
    return err;
}

static int tasks_on_epoll(void)
{
    return pier_run(talk_in_tasks, NULL, &(pier_run_opts){.backend = "epoll"});
}

TEST(tasks_on_epoll_survive_every_failure) { exhaust(tasks_on_epoll); }

static int tasks_on_uring(void)
{
    return pier_run(talk_in_tasks, NULL, &(pier_run_opts){.backend = "uring"});
}

TEST(tasks_on_uring_survive_every_failure)
{
    int err = tasks_on_uring();
    if (err == -EPERM || err == -ENOSYS) SKIP("the kernel denies io_uring");
    exhaust(tasks_on_uring);
}

static int puts_one(void *queue)
{
    int number = 7;
    return pier_queue_put(queue, &number, pier_after(soon));
}

/* Six things, so that there is no room on the stack for them. */
static int waits_for_any(pier_queue *queue, int s)
{
    pier_event event = {0};
    int number;
    pier_waitable all[] = {{PIER_WAIT_GET, .queue = queue}, {PIER_WAIT_READABLE, .socket = s},
        {PIER_WAIT_TASK, .task = pier_spawn(puts_one, queue, NULL)},
        {PIER_WAIT_EVENT, .event = &event}, {PIER_WAIT_EVENT, .event = &event},
        {PIER_WAIT_EVENT, .event = &event}};
    int err = first_bad(pier_wait_any(all, 6, pier_after(soon)));
    if (err == 0) err = pier_queue_get(queue, &number, pier_after(soon));
    if (all[2].task.number > 0) (void)pier_join(all[2].task, NULL);
    return err;
}

static int in_a_loop(void *unused)
{
    (void)unused;
    pier_queue queue;
    int pair[2];
    int err = pier_queue_init(&queue, &(pier_queue_opts){.item_size = sizeof(int)});
    if (err < 0) return err;
    err = pier_socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    if (err == 0) {
        err = waits_for_any(&queue, pair[0]);
        pier_close(pair[0]);
        pier_close(pair[1]);
    }
    assert_int_equal(pier_queue_done(&queue), 0); /* nobody stands in its lines */
    return err;
}

static int on_epoll(void)
{
    return pier_run(in_a_loop, NULL, &(pier_run_opts){.backend = "epoll"});
}

static int on_uring(void)
{
    return pier_run(in_a_loop, NULL, &(pier_run_opts){.backend = "uring"});
}

TEST(waiting_for_each_other_survives_every_failure)
{
    exhaust(on_epoll);
    exhaust(on_uring);
}

TEST(every_slot_of_the_seam_has_its_plug)
{
    union {
        struct pier__seam seam;
        void (*slots[sizeof(struct pier__seam) / sizeof(void (*)(void))])(void);
    } all = {.seam = fault_seam};
    for (size_t i = 0; i < sizeof all.slots / sizeof *all.slots; i++)
        if (!all.slots[i]) fail_msg("slot %zu of struct pier__seam is missing in tests/fault.c", i);
}
