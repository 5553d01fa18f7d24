/* SPDX-License-Identifier: MIT */
#include "base/ask.h"

#include "base/seam.h"

#include <errno.h>

int pier__ask_int(int fd, int name, int *out)
{
    int value = 0;
    socklen_t len = sizeof value;
    int err = pier__seam->getsockopt(fd, SOL_SOCKET, name, &value, &len);
    if (err >= 0 && len != sizeof value) err = -EINVAL;
    if (err >= 0) *out = value;
    return err;
}
