/* SPDX-License-Identifier: MIT */
/* unix_server [PATH [CLIENTS]]: the greeting server on a Unix socket. */
#include <pier.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "greeting.sock";
    long clients = argc > 2 ? strtol(argv[2], NULL, 10) : -1;
    setvbuf(stdout, NULL, _IOLBF, 0); /* each line at once, into a pipe too */

    char address[256];
    snprintf(address, sizeof address, "unix:%s", path);
    int server = pier_create_server(address, NULL); /* removes what a dead server left there */
    if (server < 0) return fprintf(stderr, "%s\n", pier_error()), 1;
    printf("socket is listening on %s\n", address);

    for (long served = 0; served != clients; served++) {
        int client = pier_accept(server, NULL);
        if (client < 0) return fprintf(stderr, "%s\n", pier_error()), 1;
        pier_credentials peer = {0};
        pier_getpeercred(client, &peer);
        printf("Got connection from process %d\n", (int)peer.pid);
        pier_sendall(client, "Thank you for connecting", 24, 0);
        pier_close(client);
    }
    pier_close(server);
    remove(path);
    return 0;
}
