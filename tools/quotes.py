#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check that the programs quoted in the documents are the ones in examples/.

A code block that follows the line <!-- from examples/NAME.c --> has to stand in that
file, line for line.
"""
import pathlib
import re
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent
QUOTE = re.compile(r"^<!-- from (\S+) -->\n+```\w*\n(.*?)^```", re.DOTALL | re.MULTILINE)


def main():
    errors, count = [], 0
    for document in [TOP / "README.md", *sorted((TOP / "docs").glob("*.md"))]:
        for name, text in QUOTE.findall(document.read_text()):
            count += 1
            source = TOP / name
            if not source.is_file():
                errors.append(f"{document.relative_to(TOP)} quotes {name}, which is not there")
            elif f"\n{text}" not in f"\n{source.read_text()}":
                errors.append(f"{document.relative_to(TOP)} quotes {name} wrongly")
    print("\n".join(errors) or f"{count} quotations, all true")
    return bool(errors)


sys.exit(main())
