#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check that nothing in the library but base/seam calls the world directly.

    tools/seam_lint.py build/dev/libpier.a

Every object but the seam's own may lean on pier's symbols and on functions that are
pure: no system call, no allocation, no clock, no randomness, no resolver. Whatever
else it needs belongs into the seam (src/base/seam.h), where a test can stand in for it.
"""
import re
import subprocess
import sys

# Arithmetic on memory and text, and locks: what needs no world.
PURE = re.compile(
    r"""pier_\w+
    |mem(c?cpy|pcpy|move|set|cmp|r?chr|mem)|rawmemchr|explicit_bzero
    |str(n?len|n?cmp|n?casecmp|r?chr|chrnul|n?cpy|n?cat|str|casestr|c?spn|pbrk|sep|tok_r)|stpn?cpy
    |v?snprintf|__isoc(99|23)_sscanf|(__isoc23_)?strto(l|ll|ul|ull|d|imax|umax)
    |__(mem|st[rp]n?|v?sn?printf)\w*_chk|__ctype_(b|tolower|toupper)_loc|tolower|toupper
    |inet_(pton|ntop|aton)|(ntoh|hton)[sl]|qsort|bsearch|l?l?abs
    |__?isnan|__?isinf|__(fpclassify|signbit)\w*|floor|ceil|trunc|fmod|ldexp
    |sig(emptyset|fillset|addset|delset|ismember)
    |pthread_(mutex|cond|condattr|mutexattr|rwlock|attr|key|once)\w*
    |pthread_(self|equal|detach|join|atfork|getspecific|setspecific|setcancelstate)
    |__errno_location
    |__tls_get_addr|_GLOBAL_OFFSET_TABLE_|__stack_chk_fail
    """,
    re.VERBOSE,
)

# What catches a pthread_exit(3).
EXITS = r"__sigsetjmp|__pthread_(un)?register_cancel|__pthread_unwind_next"

# Who uses the two that seam.h calls in place.
TRIES = ["await", "backend_epoll", "backend_uring", "connect", "io", "op", "park"]

# What one file needs by what it is.
ALLOWED = {
    **dict.fromkeys(TRIES, r"recv|send"),
    "file": r"fopencookie|setvbuf|fclose|fileno",  # a FILE over a socket
    "idna": r"idn2_\w+",
    "left": EXITS,
    "work": EXITS,
    "switch_portable": r"(get|make|swap)context|pthread_sigmask",  # where there is no assembly
}


def undefined_of(library):
    """(object, symbol) for each undefined symbol of each object in the library."""
    out = subprocess.run(["nm", "--undefined-only", "--print-file-name", library],
                         check=True, capture_output=True, text=True).stdout
    for line in out.splitlines():
        where, symbol = line.rsplit(None, 2)[0], line.split()[-1]
        obj = where.split(":")[1]
        yield re.sub(r"\.[cS]\.o$", "", obj), symbol


def main():
    found = sorted(set(undefined_of(sys.argv[1])))
    if not found:
        print(f"{sys.argv[1]}: no objects to look at")
        return 1
    bad = []
    for obj, symbol in found:
        allowed = ALLOWED.get(obj)
        if obj == "seam" or PURE.fullmatch(symbol):
            continue
        if not (allowed and re.fullmatch(allowed, symbol)):
            bad.append(f"{obj}.c calls {symbol}() directly: it belongs behind the seam")
    print("\n".join(bad) or f"{len({obj for obj, _ in found})} objects, all through the seam")
    return bool(bad)


sys.exit(main())
