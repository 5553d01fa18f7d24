#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check the names of pier's in the documents.

Every pier_… and PIER_… that a document mentions is in the headers, every pier__… in the library, and
docs/python.md mentions every function.
"""
import pathlib
import re
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
NAME = re.compile(r"(?<![\w./-])(?:pier_[a-z0-9_]*[a-z0-9]|PIER_[A-Z0-9_]*[A-Z0-9])\b")
# What is no part of the library: the environment, the program of the tests.
OTHERS = {"PIER_TRACE", "PIER_BACKEND", "pier_tests"}


def mentioned(text):
    """Names in a document; a name with … or * after it stands for many."""
    return set(NAME.findall(re.sub(r"(?<!\w)(pier|PIER)_\w*[…*]", "", text)))


def main():
    declared = set()
    for header in (TOP / "include").rglob("*.h"):
        declared |= set(re.findall(r"\b(?:pier|PIER)_\w+", COMMENT.sub("", header.read_text())))
    internal = set()
    for source in (TOP / "src").glob("*/*.[ch]"):
        internal |= set(re.findall(r"\bpier__\w+", COMMENT.sub("", source.read_text())))
    exported = set(re.findall(r"\b(pier_\w+);", (TOP / "src/pier.map").read_text()))
    errors, count = [], 0
    for document in [TOP / "README.md", TOP / "CHANGELOG.md", *sorted((TOP / "docs").glob("*.md"))]:
        names = mentioned(document.read_text())
        count += len(names)
        errors += [f"{document.relative_to(TOP)}: there is no {name}"
                   for name in sorted(names - declared - internal - exported - OTHERS)]
    told = mentioned((TOP / "docs/python.md").read_text())
    errors += [f"docs/python.md: not a word of {name}" for name in sorted(exported - told)]
    print("\n".join(errors) or f"{count} names in the documents, all of them ours")
    return bool(errors)


sys.exit(main())
