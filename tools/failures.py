#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check docs/failures.md: every numbered failure has a test that exists, or a reason.

    tools/failures.py build/dev/tests/pier_tests

The document is a table whose rows begin with the failure's number. A row either names
tests, each in backquotes as `file/sentence`, or says "not handled: why".
"""
import pathlib
import re
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent
ROWS = range(1, 118)


def problem(row, tests):
    """What is wrong with the text of a row, or None."""
    named = re.findall(r"`([a-z0-9_]+/[a-z0-9_]+)`", row)
    for name in named:
        if name not in tests:
            return f"names no test of ours: {name}"
    if named or re.search(r"not handled: *\S", row):
        return None
    return 'names neither a test nor "not handled: why"'


def main():
    tests = set(subprocess.run([sys.argv[1], "--list"], check=True, capture_output=True,
                               text=True).stdout.split())
    document = TOP / "docs/failures.md"
    rows, errors = {}, []
    for line in document.read_text().splitlines():
        if not (m := re.match(r"\|\s*(\d+)\s*\|(.*)", line)):
            continue
        number = int(m.group(1))
        if number in rows or number not in ROWS:
            errors.append(f"row {number}: {'twice' if number in rows else 'no such failure'}")
        rows[number] = m.group(2)
    errors += [f"row {n} is missing" for n in ROWS if n not in rows]
    for number, row in sorted(rows.items()):
        if what := problem(row, tests):
            errors.append(f"row {number} {what}")
    print("\n".join(errors) or f"{len(rows)} failures, each with a test or a reason")
    return bool(errors)


sys.exit(main())
