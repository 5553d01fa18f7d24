/* SPDX-License-Identifier: MIT */
/*
 * file_client NAME [PORT [HOST]]: fetches a file from file_server. It arrives as NAME.part, and
 * takes its name only when it is complete: whoever finds NAME finds all of it.
 */
#include <pier.h>
#include <stdio.h>
#include <stdlib.h>

/* NULL when all of it has come, else what was wrong. */
static const char *receive(int s, FILE *file)
{
    char data[4096], *end;
    ssize_t n = pier_recv_line(s, data, sizeof data);
    if (n < 0) return pier_error();
    long long left = strtoll(data, &end, 10);
    if (n == 0 || end == data || *end != '\n' || left < 0) return "the server named no length";
    for (; left > 0; left -= n) {
        size_t most = left < (long long)sizeof data ? (size_t)left : sizeof data;
        n = pier_recv(s, data, most, 0);
        if (n < 0) return pier_error();
        if (n == 0) return "the connection ended in the middle of the file";
        if (fwrite(data, 1, (size_t)n, file) != (size_t)n) return "it cannot be written";
    }
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc < 2) return fprintf(stderr, "usage: file_client NAME [PORT [HOST]]\n"), 2;
    char address[512], part[1024];
    snprintf(address, sizeof address, "%s:%s", argc > 3 ? argv[3] : "127.0.0.1",
        argc > 2 ? argv[2] : "12345");
    int length = snprintf(part, sizeof part, "%s.part", argv[1]);
    if ((size_t)length >= sizeof part) return fprintf(stderr, "%s: too long\n", argv[1]), 1;

    int s = pier_create_connection(address, NULL);
    if (s < 0) return fprintf(stderr, "%s\n", pier_error()), 1;
    pier_settimeout(s, 30); /* a silence that long is the end */
    FILE *file = fopen(part, "wb");
    if (file == NULL) return perror(part), 1;
    const char *wrong = receive(s, file);
    if (fclose(file) != 0 && wrong == NULL) wrong = "it cannot be written";
    if (wrong == NULL && rename(part, argv[1]) != 0) wrong = "it cannot take its name";
    if (wrong != NULL) return remove(part), fprintf(stderr, "%s: %s\n", argv[1], wrong), 1;
    pier_close(s);
    return 0;
}
