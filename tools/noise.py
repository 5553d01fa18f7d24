#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Run the suite under noise that a correct library does not notice.

    tools/noise.py              one seed
    tools/noise.py --soak       fifty seeds

Noise is made by the seam (tests/fault.h): every test has signals that interrupt its calls and readiness
that turns out false; and the tests of what moves whole messages have streams that move a byte
at a time as well. A test that notices fails, but for those that tests/noise.txt lists with the reason.
"""
import os
import pathlib
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

TOP = pathlib.Path(__file__).resolve().parent.parent
TESTS = TOP / "build/dev/tests/pier_tests"
JOBS = int(os.environ.get("JOBS") or os.cpu_count())
LIMIT = 300  # seconds: megabytes a byte at a time take 45 of them on an idle machine
WHOLE = ("frame/", "file/", "serve/")  # what moves whole messages, whatever pieces they come in


def exceptions(kind):
    """Patterns of the tests that notice this kind of noise, from tests/noise.txt."""
    lines = (TOP / "tests/noise.txt").read_text().splitlines()
    rows = [re.split(r"\s{2,}", line) for line in lines if line and line[0] != "#"]
    return [re.compile(pattern) for kinds, pattern, _reason in rows if kind in kinds]


def notices(run):
    """What a test said that failed under noise twice, or None: once may be how its threads met."""
    return once(*run) and once(*run)


def once(name, noise):
    """What a test said that failed under noise, or None."""
    env = {**os.environ, "PIER_TEST_NOISE": noise}
    try:
        done = subprocess.run([TESTS, name], env=env, stdin=subprocess.DEVNULL, timeout=LIMIT,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except subprocess.TimeoutExpired as late:
        return f"{name} with PIER_TEST_NOISE={noise}: hangs\n{late.stdout or b''}"
    if done.returncode in (0, 77):
        return None
    said = done.stdout.decode(errors="replace")[-2000:]
    return f"{name} with PIER_TEST_NOISE={noise}: exit status {done.returncode}\n{said}"


def main(arguments):
    listed = subprocess.run([TESTS, "--list"], check=True, capture_output=True, text=True).stdout
    every, whole = (
        [n for n in listed.split() if n.startswith(prefixes)
         and not any(pattern.match(n) for pattern in exceptions(kind))]
        for kind, prefixes in (("e", ""), ("1", WHOLE)))
    seeds = range(1, 51 if "--soak" in arguments else 2)
    runs = [(n, f"es:{seed}") for seed in seeds for n in every]
    runs += [(n, f"es1:{seed}") for seed in seeds for n in whole]
    with ThreadPoolExecutor(JOBS) as pool:
        bad = [said for said in pool.map(notices, runs) if said]
    print("\n".join(bad))
    print(f"{len(runs)} noisy runs of {len(every)} tests, {len(bad)} noticed")
    return bool(bad)


sys.exit(main(sys.argv[1:]))
