# SPDX-License-Identifier: MIT
"""Run one of CPython's test modules and write down each outcome as it comes.

    suite.py MODULE OUTCOMES [PATTERN...]

Only tests whose id matches a PATTERN, if there is one; under pier's C versions of socket.py's functions if
PIER_SHIM is set (shim.py); in tasks if PIER_TASKS names their backend. OUTCOMES gets a line of JSON for each test, so that a run that hangs still tells how far it came.
It is imported again by children that multiprocessing spawns: nothing happens at import.
"""
import fnmatch
import json
import os
import sys
import tempfile
import time
import unittest
import warnings

# Connects to the hypervisor, which never answers: it hangs in every interpreter.
LEFT_OUT = ("ThreadedVSOCKSocketStreamTest",)


class Recorder(unittest.TestResult):
    def __init__(self, out):
        super().__init__()
        self.out = out
        self.said = {}
        self.began = {}

    def say(self, test, outcome, why=""):
        # A failed subtest has spoken for its test.
        if self.said.setdefault(test.id(), outcome) == outcome:
            seconds = time.monotonic() - self.began.get(test.id(), time.monotonic())
            line = {"id": test.id(), "outcome": outcome, "why": str(why), "seconds": round(seconds, 3)}
            print(json.dumps(line), file=self.out, flush=True)

    def startTest(self, test):
        super().startTest(test)
        self.began[test.id()] = time.monotonic()

    def addSuccess(self, test):
        self.say(test, "ok")

    def addSkip(self, test, reason):
        self.say(test, "skipped", reason)

    def addExpectedFailure(self, test, err):
        self.say(test, "ok")

    def addUnexpectedSuccess(self, test):
        self.say(test, "failed", "unexpected success")

    def addFailure(self, test, err):
        self.say(test, "failed", self._exc_info_to_string(err, test))

    def addError(self, test, err):
        self.say(test, "failed", self._exc_info_to_string(err, test))

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.say(test, "failed", self._exc_info_to_string(err, test))


def tests_of(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from tests_of(test)
        else:
            yield test


def chosen(suite, wanted):
    """The suite without what is left out; only `wanted`, if there is any."""
    kept = type(suite)()
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            kept.addTest(chosen(test, wanted))
        elif not any(name in test.id() for name in LEFT_OUT) and (
                not wanted or any(fnmatch.fnmatchcase(test.id(), pattern) for pattern in wanted)):
            kept.addTest(test)
    return kept


def live_in_tasks(backend):
    """From now on every new thread is the main task of a loop; returns how to call a function in one."""
    import _socket
    import _thread
    import threading
    start = _thread.start_new_thread

    def start_in_task(function, args, kwargs={}):
        return start(_socket._run_in_task, (backend, lambda: function(*args, **kwargs), ()))

    _thread.start_new_thread = _thread.start_new = threading._start_new_thread = start_in_task
    return lambda function, *args: _socket._run_in_task(backend, function, args)


def main(*arguments):
    backend = os.environ.get("PIER_TASKS")
    run = live_in_tasks(backend) if backend else lambda function, *args: function(*args)
    run(judge, *arguments)


def judge(module, outcomes, *wanted):
    from test import support
    support.use_resources = ["network"]
    support.verbose = False
    leaks = 0

    def count(message, category, *rest, **more):
        nonlocal leaks
        leaks += issubclass(category, ResourceWarning) and "socket" in str(message)

    warnings.simplefilter("always", ResourceWarning)
    warnings.showwarning = count
    import _socket
    if os.environ.pop("PIER_SHIM", None):
        import shim
        shim.install()
    with open(outcomes, "w") as out, tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        print(json.dumps({"module": getattr(_socket, "__file__", "built-in")}), file=out, flush=True)
        result = Recorder(out)
        try:
            suite = unittest.defaultTestLoader.loadTestsFromName(module)
        except unittest.SkipTest as skip:
            print(json.dumps({"id": module, "outcome": "skipped", "why": str(skip)}), file=out)
        else:
            chosen(suite, wanted).run(result)
        print(json.dumps({"end": True, "leaks": leaks}), file=out, flush=True)
        os.chdir("/")


if __name__ == "__main__":
    main(*sys.argv[1:])
