#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compile the short pieces of C in the documents.

A code block that follows the line <!-- compile --> is a whole program if it includes
<pier.h>, else statements in a function that has the names of CONTEXT. A piece of C must be
marked so or be a quotation (tools/quotes.py); the sketch of a thing that is no C has no
"c" after its backquotes.
"""
import pathlib
import re
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"(?:^ *(<!--[^\n]*-->)\n+)?^ *```c\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
FLAGS = ["-std=c17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-Wno-unused", "-fsyntax-only",
         "-Iinclude", "-xc", "-"]
CONTEXT = """
#include <pier.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
extern int s, server, client, file, pair[2];
extern ssize_t n;
extern char buf[4096], page[65536], line[1024];
extern const char *request, *host, *text;
extern pier_addr peer, from;
extern void greet(int client, void *arg), shout(int client, void *arg);
extern int look_into_database(void *question), question;
int snippet(void);
int snippet(void)
{
#line 1
"""


def main():
    errors, count = [], 0
    for document in [TOP / "README.md", *sorted((TOP / "docs").glob("*.md"))]:
        text, name = document.read_text(), document.relative_to(TOP)
        for match in BLOCK.finditer(text):
            mark, code = match.groups()
            where = f"{name}:{text[:match.start(2)].count(chr(10)) + 1}"
            if mark and mark.startswith("<!-- from "):
                continue
            if mark != "<!-- compile -->":
                errors.append(f"{where}: neither a quotation nor marked <!-- compile -->")
                continue
            whole = code if "#include <pier.h>" in code else f"{CONTEXT}{code}return 0;\n}}\n"
            done = subprocess.run(["gcc", *FLAGS], cwd=TOP, input=whole, text=True,
                                  capture_output=True)
            count += 1
            if done.returncode:
                errors.append(f"{where}:\n{done.stderr}")
    print("\n".join(errors) or f"{count} pieces of C, all of them compile")
    return bool(errors)


sys.exit(main())
