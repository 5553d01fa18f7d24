#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Everything beyond the plain suite that a change must pass.

    tools/check.py              all of it
    tools/check.py tidy docs    these checks
    tools/check.py --soak       the fault runs alone, in their long form

Each check is one unit in build/junit/check.xml; the suites that run here again (under
another compiler and under sanitizers) write a file each, one unit per test function.
"""
import os
import pathlib
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ET

TOP = pathlib.Path(__file__).resolve().parent.parent
JUNIT = TOP / "build/junit"
JOBS = os.environ.get("JOBS") or str(os.cpu_count())
TESTERS = str(2 * int(JOBS))  # most of a test is waiting
SKIPPED = 77
PYPIER = "build/release/python/pypier"
NO_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd]")

# Fault runs, by the seam and by bad input: what they find depends on how long they look.
FAULTS = ["tools/torture.py", "tools/noise.py", "tools/fuzz.sh"]

# Tests that run loops of their own, whatever world the suite is in.
LOOPS = ["task/", "ring/", "order/", "race/", "retire/"]

SANITIZERS = {
    "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "second_deadlock_stack=1:atexit_sleep_ms=0",
}


def build(preset, *options):
    return [["cmake", "--preset", preset, "--log-level=NOTICE", *options],
            ["cmake", "--build", "--preset", preset, "-j", JOBS, "--", "-k", "0"]]


def suite(preset):
    return [["ctest", "--preset", preset, "-j", TESTERS, "--no-tests=error",
             "--output-junit", str(JUNIT / f"{preset}.xml")]]


CHECKS = {
    "floors": [["tools/floors.py"]],
    "format": [["tools/format.sh", "--check"]],
    "headers": [["tools/headers.sh"]],
    "build_dev": build("dev"),
    "seam": [["tools/seam_lint.py", "build/dev/libpier.a"]],
    "symbols": [["tools/symbols.py", "build/dev/libpier.so"]],
    "quotes": [["tools/quotes.py"]],
    "names": [["tools/names.py"]],
    "snippets": [["tools/snippets.py"]],
    "failures": [["tools/failures.py", "build/dev/tests/pier_tests"]],
    "differ": [["tools/differ.py"]],
    "build_release": build("release", "-DPIER_WERROR=ON", "-DPIER_BENCH=ON", "-DPIER_PYTHON=ON"),
    "conformance": [["tests/conformance/run.py", PYPIER]],
    "build_asan_python": build("asan-python"),
    "sanitized": [["tests/conformance/run.py", "--sanitized", "build/asan-python/python/pypier"]],
    "surface": [["tests/conformance/surface.py", PYPIER]],
    "python_programs": [["tests/conformance/programs.py", PYPIER]],
    "wheel": [["tests/conformance/wheel.sh"]],
    "arguments": [["tests/conformance/fuzz.py", PYPIER]],
    "addresses": [["tests/conformance/addresses.py", PYPIER, "build/dev/tests/libpython_shim.so"]],
    "build_clang": build("clang"),
    "suite_clang": suite("clang"),
    "portable": [*build("portable"),
                 ["build/portable/tests/pier_tests", "switch/", "stack/", "overflow/"]],
    "build_retire": build("retire"),
    "suite_retire": suite("retire"),
    "loops_retire": [["build/retire/tests/pier_tests", *LOOPS]],
    "aarch64": [["tools/aarch64.sh"]],
    "valgrind": [["tools/valgrind.sh"]],
    "tidy": [["tools/tidy.sh"]],
    "build_asan": build("asan"),
    "suite_asan": suite("asan"),
    "differ_asan": [["env", "DIFFER_BUILD=asan", "tools/differ.py"]],
    "build_tsan": build("tsan"),
    "suite_tsan": suite("tsan"),
    "differ_tsan": [["env", "DIFFER_BUILD=tsan", "tools/differ.py"]],
    "docs": [["tools/docs.sh"]],
    "install": [["tools/install_test.sh"]],
    "package": [["tools/package_test.sh"]],
    "run": [["tools/run.sh"]],
}


def attempt(commands):
    """(exit status, output) of commands in turn, up to the first that fails."""
    output = ""
    for command in commands:
        done = subprocess.run(command, cwd=TOP, stdin=subprocess.DEVNULL, text=True, errors="replace",
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env={**SANITIZERS, **os.environ})
        output += done.stdout
        if done.returncode:
            return done.returncode, output
    return 0, output


def report(name, status, output, seconds):
    word = {0: "ok", SKIPPED: "skipped"}.get(status, "FAILED")
    print(f"{word:8}{name:16}{seconds:7.1f} s", flush=True)
    if word == "FAILED":
        print("\n".join("    " + line for line in output.splitlines()[-100:]), flush=True)
    elif word == "skipped":
        print("    " + output.strip().replace("\n", "\n    "), flush=True)
    return word


def unit(name, word, output, seconds):
    case = ET.Element("testcase", name=f"check/{name}", classname="check", time=f"{seconds:.3f}")
    if word == "FAILED":
        ET.SubElement(case, "failure", message="failed")
    elif word == "skipped":
        ET.SubElement(case, "skipped")
    ET.SubElement(case, "system-out").text = NO_XML.sub("?", output[-20000:])
    return case


def run(checks, junit):
    root = ET.Element("testsuite", name=junit.stem)
    failed = []
    for name, commands in checks.items():
        began = time.monotonic()
        status, output = attempt(commands)
        seconds = time.monotonic() - began
        word = report(name, status, output, seconds)
        if word == "FAILED":
            failed.append(name)
        # The tests of a suite are units themselves, if it came so far as to write them.
        written = JUNIT / f"{name.removeprefix('suite_')}.xml"
        if not (name.startswith("suite_") and written.exists()):
            root.append(unit(name, word, output, seconds))
    ET.ElementTree(root).write(junit, encoding="utf-8", xml_declaration=True)
    if failed:
        print("failed: " + " ".join(failed))
    return bool(failed)


def faults(soak):
    return {pathlib.Path(script).stem: [[script, "--soak"] if soak else [script]]
            for script in FAULTS if (TOP / script).exists()}


def main(arguments):
    JUNIT.mkdir(parents=True, exist_ok=True)
    if arguments == ["--soak"]:
        long = {name: CHECKS[name] for name in ("build_dev", "build_release")}
        long |= {name: CHECKS[name] for name in ("build_retire", "suite_retire", "loops_retire")}
        long |= {"differ": [["tools/differ.py", "--soak"]], "races": [["tools/races.sh"]]}
        long |= {"valgrind_worlds": [["tools/valgrind.sh", "--worlds"]]}
        arguments = [["tests/conformance/fuzz.py", PYPIER, "--soak"]]
        return run({**long, **faults(soak=True), "arguments": arguments}, JUNIT / "soak.xml")
    known = {**CHECKS, **faults(soak=False)}
    if unknown := [name for name in arguments if name not in known]:
        print(f"no such check: {' '.join(unknown)}; there are: {' '.join(known)}")
        return 2
    chosen = {name: known[name] for name in arguments} or known
    for name in chosen:
        if name.startswith("suite_"):
            (JUNIT / f"{name.removeprefix('suite_')}.xml").unlink(missing_ok=True)
    return run(chosen, JUNIT / "check.xml")


sys.exit(main(sys.argv[1:]))
