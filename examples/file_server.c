/* SPDX-License-Identifier: MIT */
/* file_server FILE [PORT [CLIENTS]]: sends FILE to each client, its length on a line before it. */
#include <pier.h>
#include <stdio.h>
#include <stdlib.h>

/* NULL when all of it went, else what was wrong. */
static const char *send_file(int client, FILE *file)
{
    if (file == NULL || fseeko(file, 0, SEEK_END) != 0) return "it cannot be read";
    off_t length = ftello(file), begin = 0;
    char line[32];
    int digits = snprintf(line, sizeof line, "%lld\n", (long long)length);
    if (pier_sendall(client, line, (size_t)digits, 0) < 0) return pier_error();
    if (length == 0) return NULL; /* a count of 0 would mean "to the end" */
    ssize_t sent = pier_sendfile(client, fileno(file), &begin, (size_t)length);
    if (sent < 0) return pier_error();
    return sent == length ? NULL : "it became shorter";
}

int main(int argc, char **argv)
{
    if (argc < 2) return fprintf(stderr, "usage: file_server FILE [PORT [CLIENTS]]\n"), 2;
    char address[64];
    snprintf(address, sizeof address, ":%s", argc > 2 ? argv[2] : "12345");
    long clients = argc > 3 ? strtol(argv[3], NULL, 10) : -1;
    setvbuf(stdout, NULL, _IOLBF, 0); /* each line at once, into a pipe too */

    int server = pier_create_server(address, NULL);
    if (server < 0) return fprintf(stderr, "%s\n", pier_error()), 1;
    pier_addr here;
    pier_getsockname(server, &here);
    printf("socket is listening on %s\n", pier_addr_text(here).text);

    for (long served = 0; served != clients; served++) {
        pier_addr peer;
        int client = pier_accept(server, &peer);
        if (client < 0) return fprintf(stderr, "%s\n", pier_error()), 1;
        pier_settimeout(client, 30); /* who stands still does not hold up the next for ever */
        FILE *file = fopen(argv[1], "rb");
        const char *wrong = send_file(client, file);
        printf("%s: %s\n", pier_addr_text(pier_addr_unmap(peer)).text, wrong ? wrong : "has it");
        if (file != NULL) fclose(file);
        pier_close(client);
    }
    pier_close(server);
    return 0;
}
