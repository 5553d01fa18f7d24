/* SPDX-License-Identifier: MIT */
#include "base/seam.h"

#include <pier/message.h>

#include <stdlib.h>
#include <string.h>

/* libFuzzer: the walk over control messages reads no byte that is not there, and ends. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int close_nothing(int fd)
{
    (void)fd;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pier__seam seam = pier__seam_system;
    seam.close = close_nothing;
    pier__seam = &seam;

    size_t shift = size ? data[0] % 8 : 0;
    unsigned char *bytes = malloc(size + shift);
    if (!bytes) return 0;
    if (size) memcpy(bytes + shift, data, size);
    struct msghdr msg = {.msg_control = bytes + shift, .msg_controllen = size};

    size_t steps = 0;
    unsigned sum = 0;
    for (pier_cmsg cmsg = {0}; pier_cmsg_next(&msg, &cmsg); steps++) {
        for (size_t i = 0; i < cmsg.length; i++)
            sum += ((const unsigned char *)cmsg.data)[i];
        pier_credentials who;
        (void)pier_cmsg_credentials(&cmsg, &who);
    }
    volatile unsigned seen = sum; /* so that the bytes are really read */
    (void)seen;
    if (steps > size / sizeof(struct cmsghdr)) abort();
    (void)pier_cmsg_close_fds(&msg);
    if (pier_cmsg_close_fds(&msg) != 0) abort();
    free(bytes);
    pier__seam = &pier__seam_system;
    return 0;
}
