/* SPDX-License-Identifier: MIT */
/*
 * The client of bench/load.py: drives the server that listens on 127.0.0.1:PORT and whose
 * process is PID, and prints as JSON what that cost the server and how long its clients waited.
 *
 *     load MODE PORT PID CONNECTIONS SIZE SECONDS
 *
 * echo   each connection sends SIZE bytes and waits for them to come back, again and again
 * churn  the same once per connection, then close it and open another
 * bulk   each connection sends as fast as it can, SIZE bytes per call; the server drops them
 * idle   opens the connections, each of which echoes once and then is silent: the memory of the
 *        server with one of them and with all
 *
 * A quarter of SECONDS passes before anything counts. What the server cost is read from its
 * process's CPU clock, in nanoseconds; so what the kernel did for it in its name counts too.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* A client that closed first keeps its port for a minute: more addresses, more ports. */
enum { SOURCES = 64 };

/* While an idle load is set up, so many wait for their echo at once; more fill the backlog. */
enum { OPENING = 64 };

enum { EVENTS = 256, BUFFER = 256 * 1024 };

/* Latencies, in nanoseconds, in steps of less than 1.6 %: 64 to each power of two. */
enum { STEP_BITS = 6, STEPS = 1 << STEP_BITS, BUCKETS = (64 - STEP_BITS + 1) * STEPS };

struct client {
    int fd;
    size_t got;
    uint64_t sent_at;
};

static struct {
    enum { ECHO, CHURN, BULK, IDLE } mode;
    in_port_t port;
    size_t connections, size;
    double seconds;
    clockid_t server_clock;
    int epoll;
    struct client *clients;
    size_t opened;
    uint64_t requests, bytes, slowest;
    uint64_t latencies[BUCKETS];
    char message[BUFFER], buffer[BUFFER];
} load;

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t read_clock(clockid_t clock)
{
    struct timespec now;
    if (clock_gettime(clock, &now) < 0) die("the clock, is the server still there?");
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static size_t bucket_of(uint64_t value)
{
    if (value < STEPS) return (size_t)value;
    int shift = 63 - __builtin_clzll(value) - STEP_BITS;
    return ((size_t)shift << STEP_BITS) + (size_t)(value >> shift);
}

/* The highest value that falls into this bucket. */
static uint64_t bucket_end(size_t bucket)
{
    if (bucket < STEPS) return bucket;
    int shift = (int)(bucket >> STEP_BITS) - 1;
    return (((uint64_t)(bucket & (STEPS - 1)) + STEPS + 1) << shift) - 1;
}

/* So that `share` of all requests took no longer. */
static double percentile(double share)
{
    uint64_t rank = (uint64_t)((double)load.requests * share), seen = 0;
    for (size_t i = 0; i < BUCKETS; i++) {
        seen += load.latencies[i];
        if (seen > rank) {
            uint64_t end = bucket_end(i);
            return (double)(end < load.slowest ? end : load.slowest) / 1e3;
        }
    }
    return (double)load.slowest / 1e3;
}

static void set_option(int fd, int level, int option, const void *value, size_t length)
{
    if (setsockopt(fd, level, option, value, (socklen_t)length) < 0) die("setsockopt");
}

static void send_message(struct client *client)
{
    client->got = 0;
    client->sent_at = read_clock(CLOCK_MONOTONIC);
    ssize_t sent = send(client->fd, load.message, load.size, MSG_NOSIGNAL);
    if (sent != (ssize_t)load.size) die("send");
}

static void open_client(struct client *client)
{
    static uint32_t turn;
    int fd = client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) die("socket");
    int on = 1;
    set_option(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", strlen("cubic"));
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    struct sockaddr_in here = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + turn++ % SOURCES)};
    struct sockaddr_in there = {
        .sin_family = AF_INET, .sin_port = load.port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(fd, (struct sockaddr *)&here, sizeof here) < 0) die("bind");
    if (connect(fd, (struct sockaddr *)&there, sizeof there) < 0) die("connect");
    struct epoll_event event = {
        .events = load.mode == BULK ? EPOLLOUT : EPOLLIN, .data.ptr = client};
    if (epoll_ctl(load.epoll, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
    load.opened++;
    if (load.mode != BULK) send_message(client);
}

static void pour(struct client *client)
{
    ssize_t sent = send(client->fd, load.message, load.size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN) die("send");
    if (sent > 0) load.bytes += (uint64_t)sent;
}

static void next_request(struct client *client)
{
    if (load.mode == ECHO) {
        send_message(client);
    } else if (load.mode == CHURN) {
        close(client->fd);
        open_client(client);
    } else if (load.opened < load.connections) {
        open_client(&load.clients[load.opened]);
    }
}

static void receive(struct client *client)
{
    ssize_t got = recv(client->fd, load.buffer, sizeof load.buffer, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return;
    if (got < 0) die("recv");
    client->got += (size_t)got;
    if (got == 0 || client->got > load.size) {
        fprintf(stderr, "load: the server %s\n", got == 0 ? "hung up" : "sent too much");
        exit(1);
    }
    if (client->got < load.size) return;
    if (memcmp(load.buffer, load.message, (size_t)got) != 0) {
        fprintf(stderr, "load: this is no echo\n");
        exit(1);
    }
    uint64_t took = read_clock(CLOCK_MONOTONIC) - client->sent_at;
    load.requests++;
    load.latencies[bucket_of(took)]++;
    if (took > load.slowest) load.slowest = took;
    next_request(client);
}

static void turn(void)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(load.epoll, events, EVENTS, 10);
    if (count < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < count; i++) {
        if (load.mode == BULK) {
            pour(events[i].data.ptr);
        } else {
            receive(events[i].data.ptr);
        }
    }
}

static void run_for(double seconds)
{
    uint64_t end = read_clock(CLOCK_MONOTONIC) + (uint64_t)(seconds * 1e9);
    while (read_clock(CLOCK_MONOTONIC) < end)
        turn();
}

static void measure_work(void)
{
    for (size_t i = 0; i < load.connections; i++)
        open_client(&load.clients[i]);
    run_for(load.seconds / 4);
    load.requests = load.bytes = load.slowest = 0;
    memset(load.latencies, 0, sizeof load.latencies);
    uint64_t began = read_clock(CLOCK_MONOTONIC), server = read_clock(load.server_clock);
    uint64_t client = read_clock(CLOCK_PROCESS_CPUTIME_ID);
    run_for(load.seconds);
    printf("{\"seconds\": %.6f, \"server_ns\": %llu, \"client_ns\": %llu",
        (double)(read_clock(CLOCK_MONOTONIC) - began) / 1e9,
        (unsigned long long)(read_clock(load.server_clock) - server),
        (unsigned long long)(read_clock(CLOCK_PROCESS_CPUTIME_ID) - client));
    if (load.mode == BULK) {
        printf(", \"bytes\": %llu}\n", (unsigned long long)load.bytes);
        return;
    }
    printf(", \"requests\": %llu, \"p50\": %.1f, \"p90\": %.1f, \"p99\": %.1f, \"p99.9\": %.1f, "
           "\"max\": %.1f}\n",
        (unsigned long long)load.requests, percentile(0.5), percentile(0.9), percentile(0.99),
        percentile(0.999), (double)load.slowest / 1e3);
}

/* Of the server, in KiB: what only it maps, and its share of what others map too. */
static void read_memory(const char *path, long *private, long *share)
{
    *private = *share = 0;
    FILE *file = fopen(path, "re");
    if (!file) die(path);
    char line[256];
    while (fgets(line, sizeof line, file)) {
        const char *value = strchr(line, ':');
        if (!value) continue;
        if (strncmp(line, "Private_", 8) == 0) *private += strtol(value + 1, NULL, 10);
        if (strncmp(line, "Pss:", 4) == 0) *share = strtol(value + 1, NULL, 10);
    }
    fclose(file);
}

static void measure_memory(const char *pid)
{
    char path[64];
    long private[2], share[2];
    snprintf(path, sizeof path, "/proc/%s/smaps_rollup", pid);
    size_t connections = load.connections;
    load.connections = 1;
    open_client(&load.clients[0]);
    while (load.requests < 1)
        turn();
    run_for(load.seconds / 4);
    read_memory(path, &private[0], &share[0]);
    load.connections = connections;
    while (load.opened < connections && load.opened <= OPENING)
        open_client(&load.clients[load.opened]);
    while (load.requests < connections)
        turn();
    run_for(load.seconds);
    read_memory(path, &private[1], &share[1]);
    printf("{\"connections\": %zu, \"private\": %.1f, \"pss\": %.1f, \"private_before\": %ld}\n",
        connections, (double)(private[1] - private[0]) * 1024 / (double)(connections - 1),
        (double)(share[1] - share[0]) * 1024 / (double)(connections - 1), private[0]);
}

static bool read_arguments(int argc, char **argv)
{
    static const char *const modes[] = {"echo", "churn", "bulk", "idle"};
    if (argc != 7) return false;
    while (strcmp(argv[1], modes[load.mode]) != 0)
        if (load.mode++ == IDLE) return false;
    load.port = htons((uint16_t)strtoul(argv[2], NULL, 10));
    errno = clock_getcpuclockid((pid_t)strtol(argv[3], NULL, 10), &load.server_clock);
    if (errno != 0) die("the server");
    load.connections = strtoul(argv[4], NULL, 10);
    load.size = strtoul(argv[5], NULL, 10);
    load.seconds = strtod(argv[6], NULL);
    return load.connections > 0 && load.size > 0 && load.size <= BUFFER &&
           (load.mode != IDLE || load.connections > 1);
}

int main(int argc, char **argv)
{
    if (!read_arguments(argc, argv)) {
        fprintf(stderr, "usage: load echo|churn|bulk|idle PORT PID CONNECTIONS SIZE SECONDS\n");
        return 2;
    }
    load.clients = calloc(load.connections, sizeof *load.clients);
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!load.clients || load.epoll < 0) die("to begin");
    memset(load.message, 'x', sizeof load.message);
    if (load.mode == IDLE) {
        measure_memory(argv[3]);
    } else {
        measure_work();
    }
    return 0;
}
