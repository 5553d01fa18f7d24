# SPDX-License-Identifier: MIT
"""The tests of the suite, and the worlds that each of them runs in."""
import pathlib
import re
import subprocess

TOP = pathlib.Path(__file__).resolve().parent.parent
TESTS = TOP / "build/dev/tests/pier_tests"
WORLDS = ("thread", "task-epoll", "task-uring")


def rows(name):
    """The rows of a list in tests/: (what it holds for, a pattern of ids) of each."""
    lines = (TOP / "tests" / name).read_text().splitlines()
    for kinds, pattern, _reason in (re.split(r"\s{2,}", line) for line in lines if line and line[0] != "#"):
        yield kinds, re.compile(pattern.replace("*", ".*"))


def runs(world, tests=TESTS):
    """The ids of a world's tests: in tasks all but those of tests/tasks.txt."""
    listed = subprocess.run([tests, "--list"], check=True, capture_output=True, text=True).stdout
    out = [] if world == "thread" else [p for kind, p in rows("tasks.txt") if kind in ("*", world)]
    return [name for name in listed.split() if not any(p.fullmatch(name) for p in out)]
