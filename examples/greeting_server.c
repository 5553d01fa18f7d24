/* SPDX-License-Identifier: MIT */
/* greeting_server [PORT [CLIENTS]]: thanks each client for connecting, or the first CLIENTS. */
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

    int server = pier_socket(AF_INET, SOCK_STREAM, 0);
    pier_setsockopt_int(server, SOL_SOCKET, SO_REUSEADDR, 1); /* may be started again at once */
    pier_bind(server, pier_inet("", port));
    if (pier_listen(server, 5) < 0) return fprintf(stderr, "%s\n", pier_error()), 1;
    pier_addr here;
    pier_getsockname(server, &here);
    printf("socket is listening on %s\n", pier_addr_text(here).text);

    for (long served = 0; served != clients; served++) {
        pier_addr peer;
        int client = pier_accept(server, &peer);
        if (client < 0) return fprintf(stderr, "%s\n", pier_error()), 1;
        printf("Got connection from %s\n", pier_addr_text(peer).text);
        pier_sendall(client, "Thank you for connecting", 24, 0);
        pier_close(client);
    }
    pier_close(server);
    return 0;
}
