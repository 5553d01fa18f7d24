/* SPDX-License-Identifier: MIT */
/* hostname_server [PORT [CLIENTS]]: greets at the address that this host's name stands for. */
#include <limits.h>
#include <pier.h>
#include <stdio.h>
#include <stdlib.h>

/* -1, which is no port, for text that is no number. */
static int number(const char *text)
{
    char *end;
    long value = strtol(text, &end, 10);
    return end != text && *end == '\0' && value >= 0 && value <= INT_MAX ? (int)value : -1;
}

int main(int argc, char **argv)
{
    int port = argc > 1 ? number(argv[1]) : 12345;
    long clients = argc > 2 ? number(argv[2]) : -1;
    setvbuf(stdout, NULL, _IOLBF, 0); /* each line at once, into a pipe too */

    int s = pier_socket(AF_INET, SOCK_STREAM, 0);
    char host[256];
    if (pier_gethostname(host, sizeof host) < 0) return fprintf(stderr, "%s\n", pier_error()), 1;
    pier_setsockopt_int(s, SOL_SOCKET, SO_REUSEADDR, 1); /* may be started again at once */
    pier_bind(s, pier_inet(host, port));
    if (pier_listen(s, 5) < 0) return fprintf(stderr, "%s\n", pier_error()), 1;
    pier_addr here;
    pier_getsockname(s, &here);
    printf("%s is listening on %s\n", host, pier_addr_text(here).text);

    for (long served = 0; served != clients; served++) {
        pier_addr addr;
        int con = pier_accept(s, &addr);
        if (con < 0) return fprintf(stderr, "%s\n", pier_error()), 1;
        printf("Connecting with %s\n", pier_addr_text(addr).text);
        pier_sendall(con, "Connection is successful", 24, 0);
        pier_close(con);
    }
    pier_close(s);
    return 0;
}
