/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into Python: bind() keeps the bytes it is given, getsockname() gives back bytes it
 * was told to. So Python's own idea of an address can be seen for families that this kernel
 * does not have. Python reaches the variables by ctypes.
 */
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

struct sockaddr_storage pier_shim_bound, pier_shim_answer;
int pier_shim_bound_length;
int pier_shim_answer_length = -1; /* -1: ask the kernel */

int bind(int fd, const struct sockaddr *addr, socklen_t len)
{
    (void)fd;
    pier_shim_bound_length = (int)len;
    memset(&pier_shim_bound, 0, sizeof pier_shim_bound);
    memcpy(&pier_shim_bound, addr, len < sizeof pier_shim_bound ? len : sizeof pier_shim_bound);
    return 0;
}

int getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
    if (pier_shim_answer_length < 0) return (int)syscall(SYS_getsockname, fd, addr, len);
    socklen_t length = (socklen_t)pier_shim_answer_length;
    memcpy(addr, &pier_shim_answer, length < *len ? length : *len);
    *len = length;
    return 0;
}
