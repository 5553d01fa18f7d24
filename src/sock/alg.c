/* SPDX-License-Identifier: MIT */
#include "base/bits.h"
#include "base/trace.h"
#include "sock/io.h"
#include "sock/message.h"
#include "sock/table.h"

#include <pier/message.h>

#include <errno.h>
#include <linux/if_alg.h>
#include <string.h>

/* AF_ALG: what the kernel's ciphers are told beside the bytes. */

/*
 * The longest initialisation vector: the kernel's crypto API limits it to PAGE_SIZE / 8, of 4 KiB.
 */
#define IV_MOST 512

/* The order is Python's: operation, vector, length of the associated data. */
static int put_orders(struct msghdr *msg, size_t room, int op, const pier_afalg_opts *opts)
{
    const uint32_t operation = (uint32_t)op;
    int err = pier__cmsg_put(msg, room, SOL_ALG, ALG_SET_OP, &operation, sizeof operation);
    if (err < 0 || !opts) return err;
    if (opts->iv) {
        struct {
            uint32_t length;
            unsigned char bytes[IV_MOST];
        } iv = {.length = (uint32_t)opts->iv_length};
        memcpy(iv.bytes, opts->iv, opts->iv_length);
        err =
            pier__cmsg_put(msg, room, SOL_ALG, ALG_SET_IV, &iv, sizeof iv.length + opts->iv_length);
        if (err < 0) return err;
    }
    if (!opts->has_assoclen) return 0;
    const uint32_t assoclen = (uint32_t)opts->assoclen;
    return pier__cmsg_put(msg, room, SOL_ALG, ALG_SET_AEAD_ASSOCLEN, &assoclen, sizeof assoclen);
}

static int check_opts(int op, const pier_afalg_opts *opts)
{
    if (op < 0) return -EINVAL;
    if (!opts) return 0;
    for (size_t i = 0; i < PIER_COUNT(opts->reserved); i++)
        if (opts->reserved[i]) return -EINVAL;
    if (!opts->iv && opts->iv_length) return -EFAULT;
    if (opts->iv_length > IV_MOST) return -EINVAL;
    return opts->has_assoclen && opts->assoclen < 0 ? -EINVAL : 0;
}

static int64_t send_alg(const struct pier__use *use, const struct iovec *iov, size_t iov_count,
    int op, const pier_afalg_opts *opts, int flags)
{
    union {
        struct cmsghdr first;
        char bytes[2 * CMSG_SPACE(sizeof(uint32_t)) + CMSG_SPACE(sizeof(uint32_t) + IV_MOST)];
    } control;
    struct msghdr msg = {.msg_iovlen = iov_count, .msg_control = &control};
    const void *parts = iov;
    memcpy(&msg.msg_iov, &parts, sizeof parts); /* sendmsg only reads them */
    int err = check_opts(op, opts);
    if (err == 0) err = put_orders(&msg, sizeof control, op, opts);
    return err < 0 ? err : pier__sendmsg(use, &msg, flags);
}

ssize_t pier_sendmsg_afalg(int s, const struct iovec *iov, size_t iov_count, int op,
    const pier_afalg_opts *opts, int flags)
{
    pier_time began = pier__trace_begin();
    struct pier__use use;
    int64_t n = pier__enter(&use, s, PIER__WAITER);
    if (n == 0) {
        n = send_alg(&use, iov, iov_count, op, opts, flags);
        if (n < 0) pier__sock_failed("send a message on", s, &use, NULL, n);
        pier__leave(&use);
    } else {
        pier__sock_failed("send a message on", s, NULL, NULL, n);
    }
    if (PIER_UNLIKELY(began))
        pier__trace_end(
            began, s, n, "sendmsg_afalg(%d, %zu buffers, op %d, %#x)", s, iov_count, op, flags);
    return n;
}
