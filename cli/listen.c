/* SPDX-License-Identifier: MIT */
/* pier listen: one client, on stdin and stdout. */
#include "cli.h"

#include <math.h>

static const char help[] =
    "    pier listen :12345 > page\n\n"
    "Wait for one client, then send it what comes on stdin and write to stdout what it sends.\n"
    "When stdin ends, the client is told so and may go on; when both have ended, so does pier.\n"
    "(If stdin is a terminal, pier ends with the client.) On a terminal, control characters from\n"
    "the client are shown as \\x1b.\n\n"
    "usage: pier listen [-v] [-w SECONDS] ADDRESS\n\n"
    "  ADDRESS              HOST:PORT, :PORT, [IPV6]:PORT or unix:PATH; port 0 lets the system\n"
    "                       choose, and is told on stderr\n"
    "  -v, --verbose        tell on stderr who listens and who came\n"
    "  -w, --wait SECONDS   give up when nobody comes for so long, or nothing moves either way\n"
    "  -h, --help\n";

static bool chosen_by_the_system(const char *address)
{
    pier_addr asked = pier_addr_parse(address, NULL);
    return pier_addr_port(asked) == 0 || (pier_addr_family(asked) == AF_UNIX && address[5] == '\0');
}

static int serve_one(const char *address, bool verbose, double seconds)
{
    struct server listener;
    if (server_open(&listener, address) < 0) return fail("%s", pier_error());
    pier_addr here, peer;
    pier_getsockname(listener.s, &here);
    if (verbose || chosen_by_the_system(address)) say("listening on %s", pier_addr_text(here).text);
    pier_settimeout(listener.s, seconds);
    int s = pier_accept(listener.s, &peer);
    server_close(&listener);
    if (s < 0) return fail("%s", pier_error());
    if (verbose) say("connection from %s", pier_addr_text(pier_addr_unmap(peer)).text);
    return relay(s, seconds);
}

int listen_main(int argc, char **argv)
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
    return serve_one(address, verbose, seconds);
}
