/* SPDX-License-Identifier: MIT */
/* dualstack_server [PORT [CLIENTS]]: one socket that greets clients of IPv4 and of IPv6. */
#include <pier.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    char address[64];
    snprintf(address, sizeof address, ":%s", argc > 1 ? argv[1] : "12345");
    long clients = argc > 2 ? strtol(argv[2], NULL, 10) : -1;
    setvbuf(stdout, NULL, _IOLBF, 0); /* each line at once, into a pipe too */

    int server = pier_create_server(address, NULL);
    if (server < 0) return fprintf(stderr, "%s\n", pier_error()), 1;
    pier_addr here;
    pier_getsockname(server, &here);
    printf("socket is listening on %s, %s\n", pier_addr_text(here).text,
        pier_has_dualstack_ipv6() ? "for IPv4 and IPv6" : "for one family only");

    for (long served = 0; served != clients; served++) {
        pier_addr peer;
        int client = pier_accept(server, &peer);
        if (client < 0) return fprintf(stderr, "%s\n", pier_error()), 1;
        /* A client of IPv4 appears as ::ffff:127.0.0.1 here; unmapped it is itself again. */
        printf("Got connection from %s\n", pier_addr_text(pier_addr_unmap(peer)).text);
        pier_sendall(client, "Thank you for connecting", 24, 0);
        pier_close(client);
    }
    pier_close(server);
    return 0;
}
