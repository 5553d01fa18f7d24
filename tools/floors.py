#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check that no file in src/ includes a room above its own.

src/floors.txt names the rooms, ground first: base wait sock net tls
A project include always names its room, "wait/await.h", so the eye can check it too.
Above them all lie cli/, examples/, bench/ and python/, which see the public headers only.
"""
import pathlib
import re
import sys

INCLUDE = re.compile(r'\s*#\s*include\s+"([^"]+)"')


def includes(path):
    for n, line in enumerate(path.read_text().splitlines(), 1):
        if m := INCLUDE.match(line):
            yield n, m.group(1), line.strip()


def sources(folder):
    return sorted(p for p in folder.rglob("*") if p.suffix in {".c", ".h", ".S"})


def main():
    top = pathlib.Path(__file__).resolve().parent.parent
    src = top / "src"
    rooms = (src / "floors.txt").read_text().split()
    errors = []
    for path in sources(src):
        room = path.relative_to(src).parts[0]
        where = path.relative_to(top)
        if room not in rooms:
            errors.append(f"{where}: no room of src/floors.txt")
            continue
        for n, name, line in includes(path):
            other = name.split("/")[0] if "/" in name else None
            if other not in rooms:
                errors.append(f"{where}:{n}: name the room: {line}")
            elif rooms.index(other) > rooms.index(room):
                errors.append(f"{where}:{n}: {room}/ may not look up into {other}/")
    for folder in ("cli", "examples", "bench", "python"):
        for path in sources(top / folder):
            for n, name, line in includes(path):
                if not (path.parent / name).is_file():
                    errors.append(f"{path.relative_to(top)}:{n}: public headers only: {line}")
    print("\n".join(errors) or f"{len(rooms)} rooms, no include looks up")
    return bool(errors)


sys.exit(main())
