#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Add up the JUnit files of a folder: prints "N passed, N failed, N skipped".

    tools/summary.py build/junit [MORE_FAILURES]

Fails when a unit failed, or none passed.
"""
import pathlib
import sys
import xml.etree.ElementTree as ET


def outcome(case):
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    if case.find("skipped") is not None or case.get("status") in ("disabled", "notrun"):
        return "skipped"
    return "failed" if case.get("status") == "fail" else "passed"


def main():
    counts = {"passed": 0, "failed": int(sys.argv[2]) if len(sys.argv) > 2 else 0, "skipped": 0}
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*.xml")):
        try:
            cases = list(ET.parse(path).iter("testcase"))
        except ET.ParseError as e:
            print(f"{path}: {e}")
            counts["failed"] += 1
            continue
        for case in cases:
            what = outcome(case)
            counts[what] += 1
            if what == "failed":
                print(f"failed: {path.stem}: {case.get('name')}")
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**counts), flush=True)
    return bool(counts["failed"]) or not counts["passed"]


sys.exit(main())
