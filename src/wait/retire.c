/* SPDX-License-Identifier: MIT */
#include "wait/retire.h"

#ifdef PIER_RETIRE

#    include "base/bits.h"
#    include "base/seam.h"

#    include <errno.h>
#    include <liburing.h>
#    include <string.h>
#    include <sys/mman.h>
#    include <unistd.h>

/*
 * All of this goes to the system's own table: no plug shall count or fail what only this build
 * does. A loop is one thread's, so nothing here is shared.
 */

enum {
    BUCKETS = 1024,
    KEPT = 256, /* areas that stay out of reach before their addresses may be used again */
    PAGE = 4096,
    MOST = 1 << 20, /* bytes sent at once: a stream sends the rest later */
};

/* One thing that an entry points at. */
struct part {
    char *own, *lent;
    size_t size;
    bool in, out; /* copied when it is lent; when a result has come */
    bool data;    /* as far as the result says, in the order of the parts */
};

struct loan {
    struct loan *next; /* in its bucket */
    struct pier__loop *loop;
    uint64_t data;
    struct msghdr *msg; /* the owner's, that is written back */
    char *area;         /* NULL: a poll, say */
    size_t size;
    bool nowhere; /* the owner's own memory is not there */
    size_t count;
    struct part parts[];
};

struct area {
    char *start;
    size_t size;
};

/* What a thread has lent. */
struct book {
    struct loan *loans[BUCKETS];
    struct area kept[KEPT];
    unsigned oldest;
};

static _Thread_local struct book *book; /* NULL: nothing */

static _Noreturn void stop(const char *what)
{
    (void)pier__seam_system.write(STDERR_FILENO, what, strlen(what));
    (void)pier__seam_system.raise(SIGABRT);
    __builtin_trap();
}

static struct loan **find(const struct pier__loop *loop, uint64_t data)
{
    struct loan **link = &book->loans[data / 16 % BUCKETS];
    while (*link && ((*link)->data != data || (*link)->loop != loop)) {
        link = &(*link)->next;
    }
    return link;
}

static void open_book(void)
{
    if (book) return;
    book = pier__seam_system.allocate(NULL, sizeof *book);
    if (!book) stop("pier: no memory to lend\n");
    memset(book, 0, sizeof *book);
}

static void add(struct loan *loan, const void *own, size_t size, bool in, bool out, bool data)
{
    const union {
        const void *in;
        void *out;
    } either = {.in = own};
    loan->parts[loan->count++] =
        (struct part){.own = either.out, .size = size, .in = in, .out = out, .data = data};
}

static void *at(uint64_t address) { return (void *)(uintptr_t)address; }

static bool has_message(const struct io_uring_sqe *sqe)
{
    return sqe->opcode == IORING_OP_RECVMSG || sqe->opcode == IORING_OP_SENDMSG;
}

/*
 * The parts of a message: itself, its vector, the address, the control data, and then the buffers.
 */
enum { MESSAGE, VECTOR, NAME, CONTROL, BUFFERS };

static void add_message(struct loan *loan, const struct msghdr *msg, bool receives)
{
    add(loan, msg, sizeof *msg, true, false, false);
    add(loan, msg->msg_iov, msg->msg_iovlen * sizeof *msg->msg_iov, true, false, false);
    add(loan, msg->msg_name, msg->msg_namelen, true, receives, false);
    add(loan, msg->msg_control, msg->msg_controllen, true, receives, false);
    for (size_t i = 0; i < msg->msg_iovlen; i++) {
        const struct iovec *iov = &msg->msg_iov[i];
        add(loan, iov->iov_base, iov->iov_len, !receives, receives, true);
    }
}

static void add_parts(struct loan *loan, struct io_uring_sqe *sqe)
{
    switch (sqe->opcode) {
    case IORING_OP_RECV: add(loan, at(sqe->addr), sqe->len, false, true, true); break;
    case IORING_OP_SEND:
        sqe->len = (unsigned)pier__at_most(sqe->len, MOST);
        add(loan, at(sqe->addr), sqe->len, true, false, true);
        break;
    case IORING_OP_RECVMSG:
        loan->msg = at(sqe->addr);
        add_message(loan, loan->msg, true);
        break;
    case IORING_OP_SENDMSG: add_message(loan, at(sqe->addr), false); break;
    case IORING_OP_ACCEPT: {
        const socklen_t *length = at(sqe->addr2);
        add(loan, at(sqe->addr), length ? *length : 0, true, true, false);
        add(loan, length, length ? sizeof *length : 0, true, true, false);
        break;
    }
    default: break;
    }
}

/* Make the pages, and copy. */
static void furnish(struct loan *loan)
{
    void *start;
    size_t size = 0;
    for (size_t i = 0; i < loan->count; i++) {
        size += (loan->parts[i].size + 15) / 16 * 16;
    }
    loan->size = (size + PAGE) / PAGE * PAGE;
    int err = pier__seam_system.mmap(
        loan->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, &start);
    if (err < 0) stop("pier: no memory to lend\n");
    loan->area = start;
    char *next = start;
    for (size_t i = 0; i < loan->count; i++) {
        struct part *part = &loan->parts[i];
        loan->nowhere |= !part->own && part->size > 0;
        if (!part->own) continue;
        part->lent = next;
        next += (part->size + 15) / 16 * 16;
        if (part->in) memcpy(part->lent, part->own, part->size);
    }
}

/* Let the entry, and the message that it points at, point at the pages. */
static void redirect(const struct loan *loan, struct io_uring_sqe *sqe)
{
    const struct part *parts = loan->parts;
    sqe->addr = (uintptr_t)parts[0].lent;
    if (sqe->opcode == IORING_OP_ACCEPT) sqe->addr2 = (uintptr_t)parts[1].lent;
    if (!has_message(sqe)) return;
    struct msghdr *msg = (void *)parts[MESSAGE].lent;
    msg->msg_iov = (void *)parts[VECTOR].lent;
    msg->msg_name = parts[NAME].lent;
    msg->msg_control = parts[CONTROL].lent;
    for (size_t i = BUFFERS; i < loan->count; i++) {
        msg->msg_iov[i - BUFFERS].iov_base = parts[i].lent;
    }
}

void pier__retire_lend(struct pier__loop *loop, struct io_uring_sqe *sqe)
{
    open_book();
    struct loan **link = find(loop, sqe->user_data);
    if (*link) stop("pier: an operation was handed to the kernel twice\n");
    const struct msghdr *msg = has_message(sqe) ? at(sqe->addr) : NULL;
    size_t most = BUFFERS + (msg ? msg->msg_iovlen : 0);
    struct loan *loan = pier__seam_system.allocate(NULL, sizeof *loan + most * sizeof *loan->parts);
    if (!loan) stop("pier: no memory to lend\n");
    *loan = (struct loan){.loop = loop, .data = sqe->user_data};
    add_parts(loan, sqe);
    if (loan->count > 0) {
        furnish(loan);
        redirect(loan, sqe);
    }
    loan->next = *link;
    *link = loan;
}

/* Give the owner what the kernel wrote. */
static void give_back(const struct loan *loan, int result)
{
    size_t left = (size_t)result;
    for (size_t i = 0; i < loan->count; i++) {
        const struct part *part = &loan->parts[i];
        size_t size = part->data ? pier__at_most(part->size, left) : part->size;
        if (part->data) left -= size;
        if (part->out && part->own) memcpy(part->own, part->lent, size);
    }
    if (!loan->msg) return;
    const struct msghdr *lent = (const void *)loan->parts[MESSAGE].lent;
    loan->msg->msg_namelen = lent->msg_namelen;
    loan->msg->msg_controllen = lent->msg_controllen;
    loan->msg->msg_flags = lent->msg_flags;
}

/* Nobody touches these pages any more. */
static void take_away(const struct loan *loan)
{
    struct area *place = &book->kept[book->oldest++ % KEPT];
    if (pier__seam_system.mprotect(loan->area, loan->size, PROT_NONE) < 0)
        stop("pier: pages that were lent cannot be taken away\n");
    if (place->start) (void)pier__seam_system.munmap(place->start, place->size);
    *place = (struct area){.start = loan->area, .size = loan->size};
}

void pier__retire_end(struct pier__loop *loop, uint64_t data, int result)
{
    struct loan **link = book ? find(loop, data) : NULL, *loan = link ? *link : NULL;
    if (!loan) stop("pier: a result for an operation that has ended\n");
    if (loan->area && !loan->nowhere && result == -EFAULT) stop("pier: the kernel found no page\n");
    if (loan->area && result >= 0) give_back(loan, result);
    if (loan->area) take_away(loan);
    *link = loan->next;
    pier__seam_system.release(loan);
}

void pier__retire_done(struct pier__loop *loop, uint64_t data)
{
    if (book && *find(loop, data)) stop("pier: an operation ends that the kernel still has\n");
}

void pier__retire_close(struct pier__loop *loop)
{
    for (size_t i = 0; book && i < BUCKETS; i++) {
        for (const struct loan *loan = book->loans[i]; loan; loan = loan->next) {
            if (loan->loop == loop) stop("pier: a ring closes over what it was lent\n");
        }
    }
    for (size_t i = 0; book && i < KEPT; i++) {
        const struct area *area = &book->kept[i];
        if (area->start) (void)pier__seam_system.munmap(area->start, area->size);
    }
    pier__seam_system.release(book);
    book = NULL;
}

#endif
