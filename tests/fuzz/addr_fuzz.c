/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer: addresses from text and from the kernel's bytes. The first byte of the input says
 * which, and sets the options; the rest is the text (up to its first NUL) or the bytes.
 *
 * clang -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -Iinclude -Isrc tests/fuzz/addr_fuzz.c …
 */
#include "base/addr.h"
#include "base/bits.h"

#include <pier/addr.h>
#include <pier/error.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(fact) ((fact) ? (void)0 : abort())

static bool documented(int error)
{
    switch (error) {
    case PIER_EADDRTEXT:
    case PIER_EPORT:
    case PIER_EHOSTTEXT:
    case PIER_EIFNAMELEN:
    case PIER_EPATHLEN:
    case PIER_ENOTSTRICT:
    case PIER_EIPTEXT:
    case PIER_EAI_ADDRFAMILY: return true;
    default: return false;
    }
}

/* What is read is printed, and read again as the same. */
static void fuzz_text(const char *text, const pier_parse_opts *opts)
{
    pier_addr a = pier_addr_parse(text, opts);
    pier_text printed = pier_addr_text(a);
    CHECK(memchr(printed.text, '\0', sizeof printed.text));
    if (a.error) {
        CHECK(documented(a.error));
        return;
    }
    CHECK(!opts->family || pier_addr_family(a) == opts->family);
    CHECK(!opts->numeric || !(a.pending & ~(uint32_t)PIER_ADDR_ANY));
    CHECK(a.pending ? a.length == 0 : a.length >= sizeof(sa_family_t));

    pier_addr b = pier_addr_parse(printed.text, opts);
    CHECK(pier_addr_equal(a, b));
    CHECK(strcmp(pier_addr_text(b).text, printed.text) == 0);
    CHECK(strcmp(pier_addr_host(b).text, pier_addr_host(a).text) == 0);
    CHECK(pier_addr_port(a) == pier_addr_port(b));
}

/* What the kernel wrote is shown; what has a text form is read again as the same. */
static void fuzz_bytes(const uint8_t *data, size_t size, socklen_t length)
{
    struct sockaddr_storage sa;
    memset(&sa, 0x55, sizeof sa);
    memcpy(&sa, data, size < sizeof sa ? size : sizeof sa);
    pier_addr a = pier__addr_from_sockaddr((struct sockaddr *)&sa, length);
    pier_text printed = pier_addr_text(a);
    CHECK(memchr(printed.text, '\0', sizeof printed.text) && printed.text[0]);
    (void)pier_addr_host(a);
    (void)pier_addr_port(a);
    CHECK(pier_addr_equal(a, a));
    CHECK(pier_addr_equal(a, pier__addr_from_sockaddr(&a.sa.any, a.length)));
    (void)pier_addr_unmap(a);

    pier_addr b = pier_addr_parse(printed.text, NULL);
    bool too_long = b.error == PIER_EPATHLEN && strlen(pier_addr_host(a).text) >= 108;
    CHECK(b.error ? documented(b.error) || too_long : pier_addr_equal(a, b));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int families[] = {0, AF_INET, AF_INET6, AF_UNIX, AF_VSOCK, 0, 0, 0};
    if (size < 2) return 0;
    unsigned way = data[0];
    if (way & 0x80) {
        fuzz_bytes(data + 2, size - 2, data[1]);
        return 0;
    }
    pier_parse_opts opts = {
        .strict = way & 1, .numeric = way & 2, .family = families[way >> 2 & 7]};
    char *text = malloc(size);
    CHECK(text);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    fuzz_text(text, &opts);
    free(text);
    return 0;
}
