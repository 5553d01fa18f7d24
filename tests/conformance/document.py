# SPDX-License-Identifier: MIT
"""docs/conformance.md, from a run."""
import collections

HEAD = """\
# CPython's own tests judge pier

<!-- Written by tests/conformance/run.py --doc; do not edit. -->

`python/` is CPython's `_socket` on pier's public header and nothing else: each method parses its
arguments, makes one call of pier, and turns a code into Python's exception. With it the unchanged
standard library runs on pier, and so do the suites with which CPython tests its own `socket`, as
Debian 12 ships them (CPython 3.11.2, `libpython3.11-testsuite`).

Each suite runs twice: under the stock interpreter and under `pypier`, the same interpreter with pier's
module in place of the built-in one. A test that stock passes must pass; what stock skips must be
skipped, and nothing else; and what `tests/conformance/baseline/` has must be passed by one of them.

## The last run

| suite | run | ok | ok (stock) | skipped | skipped (stock) | failed |
|---|--:|--:|--:|--:|--:|--:|
"""

TAIL = """
## What is left out

`ThreadedVSOCKSocketStreamTest` connects to the hypervisor and hangs in every interpreter where
that does not answer.

## Beside the suites

- `tests/conformance/surface.py`: `dir(_socket)` and of the socket type, every value, the texts of
  errors and what odd arguments do, against stock.
- `tests/conformance/addresses.py`: addresses of every family, to the bytes that bind(2) gets and from
  the bytes of getsockname(2), against stock.
- `tests/conformance/fuzz.py`: random arguments into every function and method, against stock.
- `tests/conformance/shim.py`: pier's C versions of what `socket.py` adds (create_connection,
  create_server, sendfile, send_fds, recv_fds, getfqdn, has_dualstack_ipv6) under CPython's tests for them.
- `test_socket-epoll`, `test_socket-uring`: `test_socket` once more, each thread of it the main task of
  a loop on that backend, so that every call that waits parks a task.
- `test_socket` once more with the module and the library under AddressSanitizer and UBSan.

## Repeat it

    make conformance        # installs python3.11-dev and libpython3.11-testsuite if missing; as root

or one suite, or a program:

    tests/conformance/run.py build/release/python/pypier test_asyncore
    build/release/python/pypier -m http.server

or the wheel, with Debian's pip and setuptools:

    pip wheel --no-build-isolation --no-deps .
    python3 -m pier SCRIPT
"""


def row(comparison):
    stock, pier = comparison.stock, comparison.pier
    user = "" if comparison.user == "root" else f", as {comparison.user}"
    return (f"| {comparison.suite}{user} | {len(pier.tests)} | {pier.count('ok')} | {stock.count('ok')}"
            f" | {pier.count('skipped')} | {stock.count('skipped')} | {pier.count('failed')} |\n")


def total(comparisons):
    sums = [sum(values) for values in zip(*[
        (len(c.pier.tests), c.pier.count("ok"), c.stock.count("ok"), c.pier.count("skipped"),
         c.stock.count("skipped"), c.pier.count("failed")) for c in comparisons])]
    return "| **all** | " + " | ".join(map(str, sums)) + " |\n"


def skips(comparison):
    why = collections.Counter(t.why for t in comparison.pier.tests.values() if t.outcome == "skipped")
    if not why:
        return ""
    lines = [f"  - {count} × {reason.strip() or '(no reason given)'}\n"
             for reason, count in sorted(why.items(), key=lambda item: (-item[1], item[0]))]
    return f"- {comparison.name}\n" + "".join(lines)


def write_document(comparisons, path):
    text = HEAD + "".join(map(row, comparisons)) + total(comparisons)
    text += "\n## Why tests are skipped\n\nThe reasons are CPython's, and stock's are the same.\n\n"
    text += "".join(map(skips, comparisons)) + TAIL
    path.write_text(text)
