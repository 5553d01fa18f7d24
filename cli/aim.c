/* SPDX-License-Identifier: MIT */
/* Whom datagrams go to. */
#include "cli.h"

pier_addr aim(const char *address, int family, pier_time deadline)
{
    pier_addr to = pier_addr_parse(address, &(pier_parse_opts){.family = family});
    /* ":port" is this host, over IPv4, where a server of both families is, too. */
    if (to.error == 0 && to.pending & PIER_ADDR_ANY) {
        to.pending &= ~(uint32_t)PIER_ADDR_ANY;
        to = to.pending & PIER_ADDR_SERVICE ? pier_inet(family == AF_INET6 ? "::1" : "127.0.0.1",
                                                  pier_getservbyname(to.service, "udp"))
                                            : pier_inet("127.0.0.1", pier_addr_port(to));
    }
    return to.error < 0 ? to : pier_resolve(to, deadline);
}

int aim_socket(pier_addr to)
{
    if (to.error < 0) return to.error;
    int s = pier_socket(to.sa.any.sa_family, SOCK_DGRAM, 0);
    if (s < 0) return s;
    /* Without a name of its own nobody could answer it; the system chooses one. */
    int err = to.sa.any.sa_family == AF_UNIX ? pier_bind(s, pier_unix("")) : 0;
    if (err == 0) err = pier_connect(s, to);
    if (err == 0) return s;
    pier_close(s);
    return err;
}
