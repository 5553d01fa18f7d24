#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check that the reference tells of every name that the library exports, and all it must.

    tools/documented.py build/docs/xml

A function's comment says which threads may call it ("Threads: any.") and what Python
calls it. A name without any comment is refused by Doxygen itself.
"""
import pathlib
import re
import sys
import xml.etree.ElementTree as ET

TOP = pathlib.Path(__file__).resolve().parent.parent


def documented(xml):
    """The comment of each function."""
    found = {}
    for group in pathlib.Path(xml).glob("group__*.xml"):
        for member in ET.parse(group).getroot().iter("memberdef"):
            if member.get("kind") == "function":
                found[member.findtext("name")] = " ".join(
                    text for part in ("briefdescription", "detaileddescription")
                    for text in member.find(part).itertext())
    return found


def main():
    comments = documented(sys.argv[1])
    exported = set(re.findall(r"\b(pier_\w+);", (TOP / "src/pier.map").read_text()))
    errors = [f"{name}: exported, but the reference is silent" for name in exported - set(comments)]
    errors += [f"{name}: in the reference, but not exported" for name in set(comments) - exported]
    for name, text in comments.items():
        errors += [f'{name}: its comment does not say "{word}"'
                   for word in ("Threads:", "Python") if word not in text]
    print("\n".join(sorted(errors)) or f"{len(exported)} functions, all of them documented")
    return bool(errors)


sys.exit(main())
