/* SPDX-License-Identifier: MIT */
/*
 * How many datagrams a second get from one thread to another, one way over loopback? By one call for each, by
 * sendmmsg and recvmmsg, by UDP_SEGMENT and UDP_GRO, and by pier in each of the ways it has. All take
 * turns, in one run; the best of each counts. What is sent and finds no room is lost, and does not count.
 *
 *     udp [ROUNDS [SECONDS]]
 *
 * The columns: millions of datagrams received a second, that as a ratio to the first row and to the raw
 * UDP_SEGMENT and UDP_GRO, and the processor time of both threads for each datagram received.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <pier.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#    define UDP_SEGMENT 103
#    define UDP_GRO     104
#endif

#define BATCH 64    /* datagrams to one call of the kernel */
#define MANY  256   /* and to one of pier, which is the same to it */
#define SUPER 65467 /* bytes in a super-datagram */
#define SIZE  1400  /* the longest datagram */
#define ROOM  65536

/* One way: who sends and receives, each for ever, a batch at a call; how many datagrams that was. */
struct way {
    const char *name;
    long (*send)(int s);
    long (*receive)(int s);
    bool gro, by_pier;
    double best, best_cpu;
};

static size_t size; /* of each datagram */
static struct sockaddr_in to;
static pier_addr pier_to;
static char out[MANY * SIZE];

static long plain_send(int s)
{
    return sendto(s, out, size, 0, (struct sockaddr *)&to, sizeof to) < 0 ? 0 : 1;
}

static long plain_receive(int s)
{
    char buf[SIZE];
    struct sockaddr_in from;
    socklen_t len = sizeof from;
    return recvfrom(s, buf, sizeof buf, 0, (struct sockaddr *)&from, &len) < 0 ? 0 : 1;
}

static long mmsg_send(int s)
{
    static struct mmsghdr msgs[BATCH];
    static struct iovec iov[BATCH];
    for (int i = 0; i < BATCH; i++) {
        iov[i] = (struct iovec){out + (size_t)i * size, size};
        msgs[i].msg_hdr = (struct msghdr){
            .msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &iov[i], .msg_iovlen = 1};
    }
    return sendmmsg(s, msgs, BATCH, 0);
}

static long mmsg_receive(int s)
{
    static char in[BATCH][SIZE];
    static struct mmsghdr msgs[BATCH];
    static struct iovec iov[BATCH];
    static struct sockaddr_in from[BATCH];
    for (int i = 0; i < BATCH; i++) {
        iov[i] = (struct iovec){in[i], SIZE};
        msgs[i].msg_hdr = (struct msghdr){.msg_name = &from[i],
            .msg_namelen = sizeof from[i],
            .msg_iov = &iov[i],
            .msg_iovlen = 1};
    }
    return recvmmsg(s, msgs, BATCH, MSG_WAITFORONE, NULL);
}

/* As many as one super-datagram may hold. */
static size_t together(void) { return SUPER / size < BATCH ? SUPER / size : BATCH; }

static long raw_send(int s)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(uint16_t))] = {0};
    struct iovec iov = {out, together() * size};
    struct msghdr msg = {.msg_name = &to,
        .msg_namelen = sizeof to,
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = sizeof control};
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
    *cmsg = (struct cmsghdr){
        .cmsg_level = IPPROTO_UDP, .cmsg_type = UDP_SEGMENT, .cmsg_len = CMSG_LEN(2)};
    memcpy(CMSG_DATA(cmsg), &(uint16_t){(uint16_t)size}, sizeof(uint16_t));
    return sendmsg(s, &msg, 0) < 0 ? 0 : (long)together();
}

static long raw_receive(int s)
{
    static char in[ROOM];
    _Alignas(struct cmsghdr) char control[64];
    struct sockaddr_in from;
    struct iovec iov = {in, sizeof in};
    struct msghdr msg = {.msg_name = &from,
        .msg_namelen = sizeof from,
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = sizeof control};
    ssize_t n = recvmsg(s, &msg, 0);
    if (n < 0) return 0;
    int each = (int)n;
    for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg); cmsg; cmsg = CMSG_NXTHDR(&msg, cmsg)) {
        if (cmsg->cmsg_level == IPPROTO_UDP && cmsg->cmsg_type == UDP_GRO)
            memcpy(&each, CMSG_DATA(cmsg), sizeof each);
    }
    return each > 0 ? (n + each - 1) / each : 1;
}

static long pier_plain_send(int s) { return pier_sendto(s, out, size, 0, pier_to) < 0 ? 0 : 1; }

static long pier_plain_receive(int s)
{
    char buf[SIZE];
    pier_addr from;
    return pier_recvfrom(s, buf, sizeof buf, 0, &from) < 0 ? 0 : 1;
}

static pier_datagram pier_out[MANY], pier_in[MANY];
static pier_addr pier_from[MANY];

/* What a program does once. */
static void prepare(void)
{
    static char in[MANY][SIZE];
    for (size_t i = 0; i < MANY; i++) {
        pier_out[i] = (pier_datagram){.data = out + i * size, .length = size, .addr = &pier_to};
        pier_in[i] = (pier_datagram){.data = in[i], .size = SIZE};
    }
}

static long pier_send_batch(int s) { return pier_send_many(s, pier_out, MANY, 0); }

static long pier_receive_batch(int s) { return pier_recv_many(s, pier_in, MANY, 0); }

static long pier_receive_senders(int s)
{
    for (size_t i = 0; i < MANY; i++)
        pier_in[i].addr = &pier_from[i];
    return pier_recv_many(s, pier_in, MANY, 0);
}

static struct way ways[] = {
    {.name = "sendto, recvfrom", .send = plain_send, .receive = plain_receive},
    {.name = "sendmmsg, recvmmsg", .send = mmsg_send, .receive = mmsg_receive},
    {.name = "raw GSO, recvmmsg", .send = raw_send, .receive = mmsg_receive},
    {.name = "raw GSO, raw GRO", .send = raw_send, .receive = raw_receive, .gro = true},
    {.name = "pier: sendto, recvfrom",
        .send = pier_plain_send,
        .receive = pier_plain_receive,
        .by_pier = true},
    {.name = "pier: many", .send = pier_send_batch, .receive = pier_receive_batch, .by_pier = true},
    {.name = "pier: many, GRO",
        .send = pier_send_batch,
        .receive = pier_receive_batch,
        .by_pier = true,
        .gro = true},
    {.name = "pier: many, GRO, senders",
        .send = pier_send_batch,
        .receive = pier_receive_senders,
        .by_pier = true,
        .gro = true},
};

#define WAYS (sizeof ways / sizeof *ways)
#define RAW  3 /* the row that pier is measured by */

struct side {
    long (*step)(int s);
    int s;
    size_t core;
    atomic_bool stop;
    long moved;
    double seconds, cpu;
};

static double read_clock(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void *run(void *arg)
{
    struct side *side = arg;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(side->core, &set);
    (void)pthread_setaffinity_np(pthread_self(), sizeof set, &set);
    double began = read_clock(CLOCK_MONOTONIC), cpu = read_clock(CLOCK_THREAD_CPUTIME_ID);
    while (!atomic_load_explicit(&side->stop, memory_order_relaxed)) {
        long n = side->step(side->s);
        if (n > 0) side->moved += n;
    }
    side->seconds = read_clock(CLOCK_MONOTONIC) - began;
    side->cpu = read_clock(CLOCK_THREAD_CPUTIME_ID) - cpu;
    return NULL;
}

static int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, pier_error());
    exit(1);
}

static void measure(struct way *way, double seconds)
{
    int bytes = 8 << 20, on = 1;
    int in = pier_socket(AF_INET, SOCK_DGRAM, 0), s = pier_socket(AF_INET, SOCK_DGRAM, 0);
    if (setsockopt(in, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) < 0)
        setsockopt(in, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    if (pier_bind(in, pier_inet("127.0.0.1", 0)) < 0) fail("bind");
    pier_getsockname(in, &pier_to);
    to = pier_to.sa.inet;
    if (way->gro && way->by_pier && pier_enable_gro(in) < 0) fail("GRO");
    if (way->gro && !way->by_pier) setsockopt(in, IPPROTO_UDP, UDP_GRO, &on, sizeof on);

    struct side receiver = {.step = way->receive, .s = in, .core = 0};
    struct side sender = {.step = way->send, .s = s, .core = sysconf(_SC_NPROCESSORS_ONLN) > 1};
    pthread_t threads[2];
    pthread_create(&threads[0], NULL, run, &receiver);
    pthread_create(&threads[1], NULL, run, &sender);
    struct timespec pause = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&pause, NULL);
    atomic_store(&receiver.stop, true); /* while datagrams still come */
    pthread_join(threads[0], NULL);
    atomic_store(&sender.stop, true);
    pthread_join(threads[1], NULL);
    pier_close(in);
    pier_close(s);

    double rate = (double)receiver.moved / receiver.seconds;
    double cpu = (receiver.cpu + sender.cpu) / (double)receiver.moved;
    if (rate > way->best) way->best = rate;
    if (way->best_cpu == 0 || cpu < way->best_cpu) way->best_cpu = cpu;
}

int main(int argc, char **argv)
{
    static const size_t sizes[] = {64, SIZE};
    long rounds = argc > 1 ? atol(argv[1]) : 5;
    double seconds = argc > 2 ? atof(argv[2]) : 0.3;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size = sizes[i];
        prepare();
        for (size_t w = 0; w < WAYS; w++)
            ways[w].best = ways[w].best_cpu = 0;
        for (long round = 0; round < rounds; round++) {
            for (size_t w = 0; w < WAYS; w++)
                measure(&ways[w], seconds);
        }
        printf("%zu bytes                    M/s  x plain   x raw   ns CPU  x raw\n", size);
        for (size_t w = 0; w < WAYS; w++)
            printf("%-25s %7.3f %8.1f %7.2f %8.1f %6.2f\n", ways[w].name, ways[w].best / 1e6,
                ways[w].best / ways[0].best, ways[w].best / ways[RAW].best, ways[w].best_cpu * 1e9,
                ways[w].best_cpu / ways[RAW].best_cpu);
    }
    return 0;
}
