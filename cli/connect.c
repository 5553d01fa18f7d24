/* SPDX-License-Identifier: MIT */
/* pier connect: a server, on stdin and stdout. */
#include "cli.h"

#include <math.h>

static const char help[] =
    "    pier connect localhost:12345 < page\n\n"
    "Connect, then send what comes on stdin and write to stdout what the server sends.\n"
    "When stdin ends, the server is told so and may go on; when both have ended, so does pier.\n"
    "(If stdin is a terminal, pier ends with the server.) On a terminal, control characters from\n"
    "the server are shown as \\x1b.\n\n"
    "usage: pier connect [-v] [-w SECONDS] ADDRESS\n\n"
    "  ADDRESS              HOST:PORT, :PORT (this host), [IPV6]:PORT or unix:PATH\n"
    "  -v, --verbose        tell on stderr when the connection stands\n"
    "  -w, --wait SECONDS   give up when connecting takes so long, or nothing moves either way\n"
    "  -h, --help\n";

static int dial(const char *address, bool verbose, double seconds)
{
    int s =
        pier_create_connection(address, &(pier_connection_opts){.deadline = pier_after(seconds)});
    if (s < 0) return fail("%s", pier_error());
    pier_setdeadline(s, PIER_NEVER); /* it was for connecting */
    pier_addr peer;
    pier_getpeername(s, &peer);
    if (verbose) say("connected to %s", pier_addr_text(peer).text);
    return relay(s, seconds);
}

int connect_main(int argc, char **argv)
{
    static const struct option options[] = {
        {"verbose", no_argument, NULL, 'v'},
        {"wait", required_argument, NULL, 'w'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    bool verbose = false;
    double seconds = INFINITY;
    int c, status;
    char *address;
    while ((c = getopt_long(argc, argv, ":vw:h", options, NULL)) != -1) {
        switch (c) {
        case 'v': verbose = true; break;
        case 'w':
            if ((status = read_seconds(optarg, &seconds)) != DONE) return status;
            break;
        case 'h': return print_help(help);
        default: return misused_option(c, argv);
        }
    }
    if ((status = address_argument(argc, argv, &address)) != DONE) return status;
    return dial(address, verbose, seconds);
}
