#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check that the headers, src/pier.map and the shared library name the same functions.

    tools/symbols.py build/dev/libpier.so
"""
import pathlib
import re
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
DECLARATION = re.compile(r"\bPIER_API\b[^;{(]*?\b(pier_\w+)\s*[(;\[]")
VERSION = "PIER_0.1"


def declared():
    names = set()
    for header in (TOP / "include").rglob("*.h"):
        names |= set(DECLARATION.findall(COMMENT.sub("", header.read_text())))
    return names


def mapped():
    text = COMMENT.sub("", (TOP / "src/pier.map").read_text())
    return set(re.findall(r"\b(pier_\w+);", text))


def exported(library):
    out = subprocess.run(["nm", "-D", "--defined-only", "--with-symbol-versions", library],
                         check=True, capture_output=True, text=True).stdout
    names, strange = set(), []
    for symbol in (line.split()[-1] for line in out.splitlines()):
        name, _, version = symbol.partition("@@")
        if symbol == VERSION:
            continue
        names.add(name)
        if version != VERSION:
            strange.append(f"{symbol}: exported without the version {VERSION}")
    return names, strange


def main():
    headers, listed = declared(), mapped()
    library, errors = exported(sys.argv[1])
    for have, have_where, lack, lack_where in (
        (headers, "include/", listed, "src/pier.map"),
        (listed, "src/pier.map", headers, "include/"),
        (listed, "src/pier.map", library, sys.argv[1]),
        (library, sys.argv[1], listed, "src/pier.map"),
    ):
        errors += [f"{name}: in {have_where}, not in {lack_where}" for name in sorted(have - lack)]
    print("\n".join(errors) or f"{len(library)} symbols, the same everywhere")
    return bool(errors) or not library


sys.exit(main())
