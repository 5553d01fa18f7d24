/* SPDX-License-Identifier: MIT */
#include "base/seam.h"
#include "harness.h"

#include <errno.h>
#include <linux/if_alg.h>
#include <pier.h>
#include <string.h>
#include <sys/uio.h>

/* A kernel that has AF_ALG, as far as sendmsg(2) tells: it keeps what it is given. */
static struct pier__seam fake;
static struct {
    int calls, flags;
    size_t control_length, parts, bytes;
    _Alignas(struct cmsghdr) unsigned char control[1024];
} seen;

static ssize_t keep_message(int fd, const struct msghdr *msg, int flags)
{
    (void)fd;
    seen.calls++;
    seen.flags = flags;
    seen.control_length = msg->msg_controllen;
    assert_true(msg->msg_controllen <= sizeof seen.control);
    memcpy(seen.control, msg->msg_control, msg->msg_controllen);
    assert_null(msg->msg_name);
    seen.parts = msg->msg_iovlen;
    seen.bytes = 0;
    for (size_t i = 0; i < msg->msg_iovlen; i++)
        seen.bytes += msg->msg_iov[i].iov_len;
    return (ssize_t)seen.bytes;
}

static int stand_in(void)
{
    int s = pier_socket(AF_UNIX, SOCK_SEQPACKET, 0);
    assert_true(s >= 0);
    memset(&seen, 0, sizeof seen);
    fake = pier__seam_system;
    fake.sendmsg = keep_message;
    pier__seam = &fake;
    return s;
}

static void go_home(int s)
{
    pier__seam = &pier__seam_system;
    assert_int_equal(pier_close(s), 0);
}

/* What CPython's sock_sendmsg_afalg builds, with the macros of <sys/socket.h>. */
static size_t build_as_python(
    unsigned char control[static 1024], int op, const void *iv, size_t iv_length, int assoclen)
{
    struct msghdr msg = {.msg_control = control, .msg_controllen = CMSG_SPACE(4)};
    if (iv) msg.msg_controllen += CMSG_SPACE(sizeof(struct af_alg_iv) + iv_length);
    if (assoclen >= 0) msg.msg_controllen += CMSG_SPACE(4);
    memset(control, 0, msg.msg_controllen);

    struct cmsghdr *header = CMSG_FIRSTHDR(&msg);
    header->cmsg_level = SOL_ALG;
    header->cmsg_type = ALG_SET_OP;
    header->cmsg_len = CMSG_LEN(4);
    memcpy(CMSG_DATA(header), &op, 4);
    if (iv) {
        header = CMSG_NXTHDR(&msg, header);
        header->cmsg_level = SOL_ALG;
        header->cmsg_type = ALG_SET_IV;
        header->cmsg_len = CMSG_SPACE(sizeof(struct af_alg_iv) + iv_length);
        uint32_t length = (uint32_t)iv_length;
        memcpy(CMSG_DATA(header), &length, 4);
        memcpy(CMSG_DATA(header) + 4, iv, iv_length);
    }
    if (assoclen >= 0) {
        header = CMSG_NXTHDR(&msg, header);
        header->cmsg_level = SOL_ALG;
        header->cmsg_type = ALG_SET_AEAD_ASSOCLEN;
        header->cmsg_len = CMSG_LEN(4);
        memcpy(CMSG_DATA(header), &assoclen, 4);
    }
    return msg.msg_controllen;
}

/*
 * CPython gives the vector's message its padded length; the kernel asks for no more than iv_length
 * bytes.
 */
static void as_python_without_padding(unsigned char *control, size_t iv_length)
{
    struct cmsghdr *header = (struct cmsghdr *)(void *)(control + CMSG_SPACE(4));
    header->cmsg_len = CMSG_LEN(sizeof(struct af_alg_iv) + iv_length);
}

TEST(an_alg_message_says_operation_vector_and_length_in_this_order)
{
    _Alignas(struct cmsghdr) unsigned char expected[1024];
    char text[] = "a secret", more[] = "!";
    const struct iovec parts[] = {{text, 8}, {more, 1}};
    int s = stand_in();
    for (size_t n = 1; n <= 40; n++) {
        const pier_afalg_opts opts = {.iv = "0123456789012345678901234567890123456789",
            .iv_length = n,
            .assoclen = 17,
            .has_assoclen = true};
        assert_int_equal(pier_sendmsg_afalg(s, parts, 2, ALG_OP_ENCRYPT, &opts, MSG_MORE), 9);
        size_t length = build_as_python(expected, ALG_OP_ENCRYPT, opts.iv, n, 17);
        as_python_without_padding(expected, n);
        assert_int_equal(seen.control_length, length);
        assert_memory_equal(seen.control, expected, length);
    }
    assert_int_equal(seen.parts, 2);
    assert_int_equal(seen.flags & ~MSG_DONTWAIT, MSG_MORE | MSG_NOSIGNAL);
    go_home(s);
}

TEST(an_alg_message_may_say_the_operation_alone)
{
    _Alignas(struct cmsghdr) unsigned char expected[1024];
    int s = stand_in();
    assert_int_equal(pier_sendmsg_afalg(s, NULL, 0, ALG_OP_DECRYPT, NULL, 0), 0);
    size_t length = build_as_python(expected, ALG_OP_DECRYPT, NULL, 0, -1);
    assert_int_equal(seen.control_length, length);
    assert_memory_equal(seen.control, expected, length);
    assert_int_equal(pier_sendmsg_afalg(s, NULL, 0, 7, &(pier_afalg_opts){0}, 0), 0);
    assert_int_equal(build_as_python(expected, 7, NULL, 0, -1), seen.control_length);
    assert_memory_equal(seen.control, expected, length);
    go_home(s);
}

TEST(an_alg_message_may_leave_out_either)
{
    _Alignas(struct cmsghdr) unsigned char expected[1024];
    int s = stand_in();
    pier_afalg_opts opts = {.assoclen = 0, .has_assoclen = true};
    assert_int_equal(pier_sendmsg_afalg(s, NULL, 0, 1, &opts, 0), 0);
    assert_int_equal(build_as_python(expected, 1, NULL, 0, 0), seen.control_length);
    assert_memory_equal(seen.control, expected, seen.control_length);

    opts = (pier_afalg_opts){.iv = "", .iv_length = 0, .assoclen = 99};
    assert_int_equal(pier_sendmsg_afalg(s, NULL, 0, 1, &opts, 0), 0);
    assert_int_equal(build_as_python(expected, 1, "", 0, -1), seen.control_length);
    as_python_without_padding(expected, 0);
    assert_memory_equal(seen.control, expected, seen.control_length);
    go_home(s);
}

TEST(an_alg_message_refuses_what_makes_no_sense)
{
    static const char long_iv[513];
    char byte = 'x';
    const struct iovec part = {&byte, 1};
    int s = stand_in();
    assert_int_equal(pier_sendmsg_afalg(s, &part, 1, -1, NULL, 0), -EINVAL);
    pier_afalg_opts opts = {.assoclen = -1, .has_assoclen = true};
    assert_int_equal(pier_sendmsg_afalg(s, &part, 1, 0, &opts, 0), -EINVAL);
    opts = (pier_afalg_opts){.iv_length = 1};
    assert_int_equal(pier_sendmsg_afalg(s, &part, 1, 0, &opts, 0), -EFAULT);
    opts = (pier_afalg_opts){.iv = long_iv, .iv_length = sizeof long_iv};
    assert_int_equal(pier_sendmsg_afalg(s, &part, 1, 0, &opts, 0), -EINVAL);
    opts.iv_length = SIZE_MAX;
    assert_int_equal(pier_sendmsg_afalg(s, &part, 1, 0, &opts, 0), -EINVAL);
    for (int i = 0; i < 4; i++) {
        opts = (pier_afalg_opts){0};
        opts.reserved[i] = 1;
        assert_int_equal(pier_sendmsg_afalg(s, &part, 1, 0, &opts, 0), -EINVAL);
    }
    assert_int_equal(pier_sendmsg_afalg(s, NULL, 1, 0, NULL, 0), -EINVAL);
    assert_int_equal(seen.calls, 0);
    opts = (pier_afalg_opts){.iv = long_iv, .iv_length = 512, .has_assoclen = true};
    assert_int_equal(pier_sendmsg_afalg(s, &part, 1, 0, &opts, 0), 1);
    go_home(s);
}

TEST(an_alg_message_needs_a_socket)
{
    int s = pier_socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(pier_sendmsg_afalg(-ENOENT, NULL, 1, -1, NULL, 0), -ENOENT);
    assert_int_equal(pier_close(s), 0);
    assert_int_equal(pier_sendmsg_afalg(s, NULL, 0, 0, NULL, 0), -EBADF);
}

/* Against the kernel itself, where it has the cipher: AES-CBC of RFC 3602, case 1. */
TEST(the_kernel_encrypts_as_rfc_3602_says)
{
    int s = pier_socket(AF_ALG, SOCK_SEQPACKET, 0);
    if (s < 0) SKIP("no AF_ALG here");
    if (pier_bind(s, pier_alg("skcipher", "cbc(aes)", 0, 0)) < 0) SKIP("no cbc(aes) here");
    static const unsigned char key[] =
        "\x06\xa9\x21\x40\x36\xb8\xa1\x5b\x51\x2e\x03\xd5\x34\x12\x00\x06";
    static const unsigned char iv[] =
        "\x3d\xaf\xba\x42\x9d\x9e\xb4\x30\xb4\x22\xda\x80\x2c\x9f\xac\x41";
    static const unsigned char secret[] =
        "\xe3\x53\x77\x9c\x10\x79\xae\xb8\x27\x08\x94\x2d\xbe\x77\x18\x1a";
    assert_int_equal(pier_setsockopt(s, SOL_ALG, ALG_SET_KEY, key, 16), 0);
    int op = pier_accept(s, NULL);
    assert_true(op >= 0);
    char text[] = "Single block msg";
    unsigned char out[16];
    const struct iovec part = {text, 16};
    assert_int_equal(pier_sendmsg_afalg(op, &part, 1, ALG_OP_ENCRYPT,
                         &(pier_afalg_opts){.iv = iv, .iv_length = 16}, 0),
        16);
    assert_int_equal(pier_recv(op, out, sizeof out, 0), 16);
    assert_memory_equal(out, secret, 16);
    pier_close(op);
    pier_close(s);
}
