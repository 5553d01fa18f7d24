#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Run the suite under noise that a correct library does not notice.

    tools/noise.py              one seed in each world
    tools/noise.py --soak       fifty seeds
    tools/noise.py task-uring   only this world

Noise is made by the seam (tests/fault.h): every test has signals that interrupt its calls and readiness
that turns out false; and the tests of what moves whole messages have streams that move a byte
at a time as well. A test that notices fails, but for those that tests/noise.txt lists with the reason.
"""
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import worlds

JOBS = 2 * int(os.environ.get("JOBS") or os.cpu_count())  # most of a test is waiting
LIMIT = 300  # seconds: megabytes a byte at a time take 45 of them on an idle machine
WHOLE = ("frame/", "file/", "serve/")  # what moves whole messages, whatever pieces they come in

# Megabytes a byte at a time, which in tasks take minutes: only in the long form.
SLOW = ("file/many_bytes_pass_unchanged_whatever_the_pieces", "frame/large_exact_reads_come_whole_after_lines",
        "frame/many_long_lines_come_whole")


def quiet(world, kind, prefixes=""):
    """The ids of the world's tests that must not notice this kind of noise; tests/noise.txt has the others."""
    noticing = [pattern for kinds, pattern in worlds.rows("noise.txt") if kind in kinds]
    return [name for name in worlds.runs(world) if name.startswith(prefixes)
            and not any(pattern.match(name) for pattern in noticing)]


def notices(run):
    """What a test said that failed under noise twice, or None: once may be how its threads met."""
    return once(*run) and once(*run)


def once(world, name, noise):
    """What a test said that failed under noise, or None."""
    env = {**os.environ, "PIER_TEST_MODE": world, "PIER_TEST_NOISE": noise}
    what = f"{name} with PIER_TEST_MODE={world} PIER_TEST_NOISE={noise}"
    try:
        done = subprocess.run([worlds.TESTS, name], env=env, stdin=subprocess.DEVNULL, timeout=LIMIT,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except subprocess.TimeoutExpired as late:
        return f"{what}: hangs\n{late.stdout or b''}"
    if done.returncode in (0, 77):
        return None
    said = done.stdout.decode(errors="replace")[-2000:]
    return f"{what}: exit status {done.returncode}\n{said}"


def main(arguments):
    asked = [world for world in worlds.WORLDS if world in arguments]
    soak = "--soak" in arguments
    slow = {("es1", name) for name in SLOW}
    seeds = range(1, 51 if soak else 2)
    runs = [(world, name, f"{kinds}:{seed}") for seed in seeds for world in asked or worlds.WORLDS
            for kinds, names in (("es", quiet(world, "e")), ("es1", quiet(world, "1", WHOLE)))
            for name in names if soak or world == "thread" or (kinds, name) not in slow]
    with ThreadPoolExecutor(JOBS) as pool:
        bad = [said for said in pool.map(notices, runs) if said]
    print("\n".join(bad))
    print(f"{len(runs)} noisy runs, {len(bad)} noticed")
    return bool(bad)


sys.exit(main(sys.argv[1:]))
