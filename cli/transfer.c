/* SPDX-License-Identifier: MIT */
/* What both ends of a transfer need. */
#include "cli.h"

#include <string.h>

int transfer_line(int s, char out[TRANSFER_LINE])
{
    ssize_t n = pier_recv_line(s, out, TRANSFER_LINE);
    if (n < 0) return fail("%s", pier_error());
    if (n == 0 || out[n - 1] != '\n') return fail("the connection ended too early");
    out[n - 1] = '\0';
    return DONE;
}

/* Of a copy, so that more may be added. */
void transfer_sum(SHA2_CTX sum, char out[TRANSFER_SUM]) { SHA256End(&sum, out); }
