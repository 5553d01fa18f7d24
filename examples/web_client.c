/* SPDX-License-Identifier: MIT */
/* web_client [HOST [PORT [PATH]]]: asks a web server for a page, and prints what it answers. */
#include <pier.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    const char *host = argc > 1 ? argv[1] : "www.example.com";
    const char *port = argc > 2 ? argv[2] : "80";
    const char *path = argc > 3 ? argv[3] : "/";

    char address[512], request[2048];
    snprintf(address, sizeof address, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
    int length = snprintf(request, sizeof request,
        "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, address);
    if ((size_t)length >= sizeof request) return fprintf(stderr, "%s: too long\n", path), 1;

    /* Ten seconds for all of it: the name, the connection, the page. */
    int s = pier_create_connection(address, &(pier_connection_opts){.deadline = pier_after(10)});
    pier_sendall(s, request, (size_t)length, 0);
    char data[4096];
    ssize_t n;
    while ((n = pier_recv(s, data, sizeof data, 0)) > 0)
        fwrite(data, 1, (size_t)n, stdout);
    if (n < 0) return fprintf(stderr, "%s\n", pier_error()), 1;
    pier_close(s);
    return fflush(stdout) == 0 ? 0 : 1;
}
