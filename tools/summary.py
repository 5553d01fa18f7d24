#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Add up the JUnit files of a folder: prints "N passed, N failed, N skipped".

    tools/summary.py build/junit [MORE_FAILURES]

Before that, each unit that failed and the end of what it said, and the same sum for each world of the suite (the
name of such a unit begins with that of its world). Fails when a unit failed, or none passed.
"""
import pathlib
import sys
import xml.etree.ElementTree as ET

LINES = 30  # of what a failed unit said
UNITS = 20  # that are shown in full: when everything fails it is for one reason
WORLDS = ("thread", "task-epoll", "task-uring")
SUM = "{passed} passed, {failed} failed, {skipped} skipped"


def outcome(case):
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    if case.find("skipped") is not None or case.get("status") in ("disabled", "notrun"):
        return "skipped"
    return "failed" if case.get("status") == "fail" else "passed"


def end_of(case):
    """The last lines that a unit said, and why it counts as failed if there are none."""
    why = [part.get("message", "") for part in case if part.tag in ("failure", "error")]
    said = (case.findtext("system-out") or "").rstrip().splitlines()[-LINES:]
    return [*filter(None, why), *said]


def main():
    counts = {"passed": 0, "failed": int(sys.argv[2]) if len(sys.argv) > 2 else 0, "skipped": 0}
    worlds = {world: dict.fromkeys(counts, 0) for world in WORLDS}
    failed = []
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
            world = case.get("name").split("/")[0]
            if world in worlds:
                worlds[world][what] += 1
            if what == "failed":
                failed.append((f"{path.stem}: {case.get('name')}", end_of(case)))
    for name, said in failed[:UNITS]:
        print(f"\nfailed: {name}", *said, sep="\n    ")
    for name, _ in failed[UNITS:]:
        print(f"failed: {name}")
    for world, sums in worlds.items():
        print(f"{world}: {SUM.format(**sums)}")
    print(SUM.format(**counts), flush=True)
    return bool(counts["failed"]) or not counts["passed"]


sys.exit(main())
