#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fail the Nth call under every test of the suite, and look for what must never happen.

    tools/torture.py              a sample, for each test a few of them; fewer in tasks
    tools/torture.py --soak       every N of every test in every world, once and from then on
    tools/torture.py frame/ ...   only tests whose ids begin so
    tools/torture.py task-uring   only this world

With a call failing, a test may fail too: what it asserts is no longer true. It may also wait for a
peer of its own that the failure kept away; such a test is stopped and counted, but is nothing wrong.
But it must not crash or be stopped by a sanitizer. That nothing hangs and nothing leaks is what
tests/fault_test.c asks for, in scenarios whose every wait is bounded.
"""
import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import worlds

JOBS = 4 * int(os.environ.get("JOBS") or os.cpu_count())  # most of a test is waiting
SAMPLE = {"thread": 4, "task-epoll": 1, "task-uring": 1}  # failures that a short run tries on each test
COUNTED, LIMIT, SOAK_LIMIT = 20, 2, 10  # seconds until a test is stopped: without a failure, with one
GRACEFUL = {0, 1, 77}

# Tests that make every failure themselves, and those of the pool's inside, which wait for a certain
# number of its threads to be at work: with one fewer they wait for ever, as they should.
LEFT_OUT = ("fault/", "harness/", "specimens/", "work/")


def ids(world, prefixes):
    return [name for name in worlds.runs(world) if not name.startswith(LEFT_OUT)
            and (not prefixes or name.startswith(tuple(prefixes)))]


def attempt(world, name, fault, limit):
    """(what went wrong or None, what it printed, was it stopped) for one test with one fault."""
    env = {**os.environ, "PIER_TEST_MODE": world, "PIER_TEST_FAULT": fault}
    with tempfile.TemporaryFile() as said:
        test = subprocess.Popen([worlds.TESTS, name], env=env, stdin=subprocess.DEVNULL, stdout=said,
                                stderr=subprocess.STDOUT, start_new_session=True)
        try:
            status = test.wait(limit)
        except subprocess.TimeoutExpired:
            status = None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(test.pid, signal.SIGKILL)  # and the children that a failing test left
        test.wait()
        said.seek(0)
        output = said.read().decode(errors="replace")
    crashed = status not in (*GRACEFUL, None) or "runtime error:" in output
    return (f"exit status {status}" if crashed else None), output, status is None


def faults(world, name, soak):
    """The faults to try under a test: it is run once to count its calls."""
    wrong, output, _ = attempt(world, name, "0", COUNTED)
    counted = re.search(r"^fault: (\d+) calls", output, re.M)
    if wrong or not counted:
        return []
    calls = range(1, int(counted.group(1)) + 1)
    every = [f"{n}{onwards}" for n in calls for onwards in ("", "+")]
    return every if soak else random.Random(world + name).sample(every, min(len(every), SAMPLE[world]))


def torture(world, name, soak):
    tried = faults(world, name, soak)
    bad, stopped = [], 0
    for fault in tried:
        wrong, output, waits = attempt(world, name, fault, SOAK_LIMIT if soak else LIMIT)
        stopped += waits
        if wrong:
            bad.append(f"{name} with PIER_TEST_MODE={world} PIER_TEST_FAULT={fault}: {wrong}\n{output[-2000:]}")
    return len(tried), stopped, bad


def main(arguments):
    soak = "--soak" in arguments
    asked = [world for world in worlds.WORLDS if world in arguments]
    prefixes = [a for a in arguments if not a.startswith("-") and a not in asked]
    tests = [(world, name) for world in asked or worlds.WORLDS for name in ids(world, prefixes)]
    with ThreadPoolExecutor(JOBS) as pool:
        results = list(pool.map(lambda test: torture(*test, soak), tests))
    bad = [line for *_, lines in results for line in lines]
    print("\n".join(bad))
    tried, stopped = (sum(result[i] for result in results) for i in (0, 1))
    print(f"{tried} faults under {len(tests)} tests, {stopped} stopped, {len(bad)} not graceful")
    return bool(bad)


sys.exit(main(sys.argv[1:]))
