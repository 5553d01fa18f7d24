/* SPDX-License-Identifier: MIT */
/*
 * What a request sends: eight bytes that tell its number, then bytes at random that all requests
 * have in common. So an answer that belongs to another request, or has lost a piece, is no answer.
 */
#include "bench.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD = 8 };

static char *bytes_of_all;
static size_t size;

int message_begin(uint64_t length)
{
    size = (size_t)length;
    bytes_of_all = malloc(size);
    if (bytes_of_all == NULL) return fail("no memory for %zu bytes", size);
    uint64_t state = 0x9e3779b97f4a7c15; /* any, but the same in every run */
    for (size_t i = 0; i < size; i++) {
        /* Marsaglia's xorshift64 */
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes_of_all[i] = (char)(state >> 56);
    }
    return DONE;
}

static size_t make_head(uint64_t number, char head[HEAD])
{
    for (int i = 0; i < HEAD; i++)
        head[i] = (char)(number >> (8 * i));
    return size < HEAD ? size : HEAD;
}

ssize_t message_send(int s, uint64_t number, uint64_t offset, int flags)
{
    char head[HEAD];
    size_t in_head = make_head(number, head);
    if (offset >= in_head) return pier_send(s, bytes_of_all + offset, size - (size_t)offset, flags);
    struct iovec parts[] = {
        {head + offset, in_head - (size_t)offset}, {bytes_of_all + in_head, size - in_head}};
    return pier_sendmsg(s, &(struct msghdr){.msg_iov = parts, .msg_iovlen = 2}, flags);
}

bool message_fits(uint64_t number, uint64_t offset, const char *bytes, size_t length)
{
    char head[HEAD];
    size_t in_head = make_head(number, head);
    if (length > size || offset > size - length) return false;
    for (; length > 0 && offset < in_head; offset++, length--)
        if (*bytes++ != head[offset]) return false;
    return memcmp(bytes, bytes_of_all + offset, length) == 0;
}

bool message_is_late(uint64_t number, const char *bytes, size_t length)
{
    uint64_t other = 0;
    if (length != size) return false;
    if (size < HEAD) return true;
    for (int i = HEAD; i-- > 0;)
        other = other << 8 | (unsigned char)bytes[i];
    return other < number && message_fits(other, 0, bytes, length);
}
