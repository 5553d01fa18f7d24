/* SPDX-License-Identifier: MIT */
#include "stub_dns.h"

#include "base/bits.h"
#include "harness.h"
#include "wait/work.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PACKET  1024
#define PENDING 256

struct packet {
    size_t length;
    unsigned char bytes[PACKET];
};

/* An answer that is not due yet; length 0: a free place. */
struct pending {
    double due;
    bool held;
    struct sockaddr_in to;
    struct packet packet;
};

static struct {
    int fd;
    struct sockaddr_in at;
    pthread_t thread;
    const struct stub_name *names;
    size_t count;
    atomic_uint questions;
    atomic_bool let_go;
    struct pending pending[PENDING];
} server;

static double now(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void put_bytes(struct packet *p, const void *bytes, size_t n)
{
    assert_true(p->length + n <= sizeof p->bytes);
    memcpy(p->bytes + p->length, bytes, n);
    p->length += n;
}

static void put16(struct packet *p, unsigned n)
{
    const unsigned char bytes[] = {(unsigned char)(n >> 8), (unsigned char)n};
    put_bytes(p, bytes, sizeof bytes);
}

static void put_name(struct packet *p, const char *name)
{
    while (*name) {
        size_t n = strcspn(name, ".");
        unsigned char length = (unsigned char)n;
        put_bytes(p, &length, 1);
        put_bytes(p, name, n);
        name += n + (name[n] == '.');
    }
    put_bytes(p, "", 1);
}

/* A record about `owner` (NULL: the name of the question, which is at offset 12). */
static void put_record(
    struct packet *p, const char *owner, unsigned type, const struct packet *content)
{
    if (owner)
        put_name(p, owner);
    else
        put16(p, 0xc00c);
    put16(p, type);
    put16(p, ns_c_in);
    put16(p, 0);
    put16(p, 60);
    put16(p, (unsigned)content->length);
    put_bytes(p, content->bytes, content->length);
    unsigned records = (unsigned)(p->bytes[6] << 8 | p->bytes[7]) + 1;
    p->bytes[6] = (unsigned char)(records >> 8);
    p->bytes[7] = (unsigned char)records;
}

static void put_name_record(struct packet *p, unsigned type, const char *name)
{
    struct packet content = {0};
    put_name(&content, name);
    put_record(p, NULL, type, &content);
}

static void put_addresses(struct packet *p, const char *owner, int family, const char *list)
{
    char one[64];
    for (; list && *list; list += strspn(list, " ")) {
        size_t n = strcspn(list, " ");
        assert_true(n < sizeof one);
        memcpy(one, list, n);
        one[n] = '\0';
        list += n;
        struct packet content = {.length = family == AF_INET ? 4 : 16};
        assert_int_equal(inet_pton(family, one, content.bytes), 1);
        put_record(p, owner, family == AF_INET ? ns_t_a : ns_t_aaaa, &content);
    }
}

static const struct stub_name *find(const char *name)
{
    for (size_t i = 0; i < server.count; i++) {
        if (strcasecmp(server.names[i].name, name) == 0) return &server.names[i];
    }
    return NULL;
}

/* The records that answer a question of this type; those of a CNAME's target too. */
static void put_answer(struct packet *p, const struct stub_name *name, unsigned type)
{
    const char *owner = NULL;
    if (name->cname) {
        put_name_record(p, ns_t_cname, name->cname);
        owner = name->cname;
        name = find(owner);
        if (!name) return;
    }
    if (type == ns_t_a) put_addresses(p, owner, AF_INET, name->inet);
    if (type == ns_t_aaaa) put_addresses(p, owner, AF_INET6, name->inet6);
    if (type == ns_t_ptr && name->ptr) put_name_record(p, ns_t_ptr, name->ptr);
}

/* Reads the question's name; returns the offset behind question and type, or 0. */
static size_t read_question(
    const unsigned char *bytes, size_t length, char out[static 256], unsigned *out_type)
{
    size_t at = 12, used = 0;
    while (at < length && bytes[at] > 0) {
        size_t n = bytes[at++];
        if (n > 63 || at + n > length || used + n + 2 > 256) return 0;
        memcpy(out + used, bytes + at, n);
        used += n;
        out[used++] = '.';
        at += n;
    }
    if (at + 5 > length) return 0;
    out[used > 0 ? used - 1 : 0] = '\0';
    *out_type = (unsigned)(bytes[at + 1] << 8 | bytes[at + 2]);
    return at + 5;
}

static void spoil(struct packet *p, enum stub_how how, size_t question_end)
{
    static const unsigned rcodes[] = {[STUB_NXDOMAIN] = ns_r_nxdomain,
        [STUB_SERVFAIL] = ns_r_servfail,
        [STUB_REFUSED] = ns_r_refused,
        [STUB_WRONG_ID] = 0};
    p->bytes[3] = (unsigned char)(p->bytes[3] | rcodes[how > STUB_REFUSED ? 0 : how]);
    if (how == STUB_TRUNCATED) p->bytes[2] |= 0x02;
    if (how == STUB_WRONG_ID) p->bytes[0] ^= 0xff;
    if (how == STUB_CUT && p->length > question_end + 8) p->length -= 3;
    if (how == STUB_GARBAGE) {
        memset(p->bytes + question_end, 0xff, 40);
        p->length = question_end + 40;
        p->bytes[7] = 3;
    }
}

/* Take a question, and put its answer where it waits until it is due. */
static void answer(const unsigned char *bytes, size_t length, const struct sockaddr_in *from)
{
    char text[256];
    unsigned type;
    size_t question_end = read_question(bytes, length, text, &type);
    if (question_end == 0) return;
    atomic_fetch_add(&server.questions, 1);
    const struct stub_name *name = find(text);
    enum stub_how how = name ? name->how : STUB_NXDOMAIN;
    if (how == STUB_MUTE) return;

    struct pending *place = server.pending;
    while (place < server.pending + PENDING && place->packet.length > 0) {
        place++;
    }
    assert_true(place < server.pending + PENDING);
    *place = (struct pending){.due = now(), .to = *from};
    struct packet *p = &place->packet;
    put_bytes(p, bytes, 2);
    put16(p, 0x8180); /* a response; recursion is there */
    put16(p, 1);
    put16(p, 0);
    put16(p, 0);
    put16(p, 0);
    put_bytes(p, bytes + 12, question_end - 12);
    if (name) {
        double wait = type == ns_t_aaaa ? name->wait6 : name->wait4;
        place->held = wait < 0;
        if (!place->held) place->due += wait;
        if (how == STUB_ANSWERS || how >= STUB_GARBAGE) put_answer(p, name, type);
    }
    spoil(p, how, question_end);
}

/* Send what is due. Returns the milliseconds until there is more, -1 for never. */
static int send_due(void)
{
    double next = -1;
    for (struct pending *p = server.pending; p < server.pending + PENDING; p++) {
        if (p->packet.length == 0 || (p->held && !atomic_load(&server.let_go))) continue;
        double left = p->due - now();
        if (left <= 0) {
            (void)sendto(server.fd, p->packet.bytes, p->packet.length, MSG_NOSIGNAL,
                (struct sockaddr *)&p->to, sizeof p->to);
            p->packet.length = 0;
        } else if (next < 0 || left < next) {
            next = left;
        }
    }
    return next < 0 ? -1 : (int)(next * 1000) + 1;
}

/* An empty datagram means that the test is over. */
static void *serve(void *unused)
{
    (void)unused;
    for (;;) {
        struct pollfd fds = {.fd = server.fd, .events = POLLIN};
        (void)poll(&fds, 1, send_due());
        unsigned char bytes[PACKET];
        struct sockaddr_in from;
        socklen_t size = sizeof from;
        ssize_t n =
            recvfrom(server.fd, bytes, sizeof bytes, MSG_DONTWAIT, (struct sockaddr *)&from, &size);
        if (n == 0) return NULL;
        if (n > 0) answer(bytes, (size_t)n, &from);
    }
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* Ours in place of the system's, for this process alone. */
static void put_over(const char *path, const char *name, const char *text)
{
    const char *ours = test_path(name);
    write_file(ours, text);
    if (access(path, F_OK) < 0) SKIP("a file in /etc that would be covered does not exist");
    assert_int_equal(mount(ours, path, NULL, MS_BIND, NULL), 0);
}

void stub_dns_hosts(const char *text) { write_file(test_path("hosts"), text); }

static void tell_server(const char *bytes, size_t length)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(
        sendto(fd, bytes, length, 0, (struct sockaddr *)&server.at, sizeof server.at), length);
    close(fd);
}

void stub_dns_let_go(void)
{
    atomic_store(&server.let_go, true);
    tell_server("!", 1); /* too short for a question: it only looks what is due */
}

unsigned stub_dns_questions(void) { return atomic_load(&server.questions); }

void stub_dns_start(const struct stub_name *names, size_t count)
{
    test_in_netns();
    put_over("/etc/resolv.conf", "resolv.conf",
        "nameserver 127.0.0.1\noptions timeout:1 attempts:2 no-reload\n");
    put_over("/etc/hosts", "hosts", "127.0.0.1 localhost\n::1 localhost\n");
    put_over("/etc/nsswitch.conf", "nsswitch.conf",
        "hosts: files dns\nservices: files\nprotocols: files\n");

    server.names = names;
    server.count = count;
    server.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(server.fd >= 0);
    server.at = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(server.fd, (struct sockaddr *)&server.at, sizeof server.at), 0);
    server.thread = test_thread(serve, NULL);
}

void stub_dns_stop(void)
{
    for (;;) {
        struct pier__work_counts counts = pier__work_counts();
        if (counts.queued == 0 && counts.idle == counts.threads) break;
        test_sleep(0.01);
    }
    tell_server("", 0);
    test_join(server.thread);
    close(server.fd);
}
