#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""CPython's own test suites over pier, beside the stock interpreter.

    tests/conformance/run.py PYPIER [SUITE...]        run and compare; each suite a JUnit file
    tests/conformance/run.py --doc PYPIER             write docs/conformance.md too
    tests/conformance/run.py --baseline PYPIER        write what stock passes to baseline/
    tests/conformance/run.py --sanitized PYPIER       test_socket, with a PYPIER under ASan and UBSan

Every suite runs under Debian's /usr/bin/python3 and under PYPIER, as root and some as nobody too,
each run in a network and UTS namespace of its own with only lo up. A test fails when stock
passes it and pier does not, when one skips it and the other does not, or when the baseline
has it and neither passes it (unless missing.txt has the reason).
"""
import collections
import concurrent.futures
import ctypes
import fcntl
import fnmatch
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
STOCK = "/usr/bin/python3"
NOBODY = 65534
SKIPPED = 77
LIMIT = 240  # seconds for a suite

SUITES = {
    "test_socket": "test.test_socket",
    "test_timeout": "test.test_timeout",
    "test_socketserver": "test.test_socketserver",
    "test_selectors": "test.test_selectors",
    "test_epoll": "test.test_epoll",
    "test_asyncore": "test.test_asyncore",
    "test_asynchat": "test.test_asynchat",
    "_test_eintr": "test._test_eintr",
    "test_asyncio.test_sock_lowlevel": "test.test_asyncio.test_sock_lowlevel",
    "test_asyncio.test_streams": "test.test_asyncio.test_streams",
    "test_ssl": "test.test_ssl",
    "test_audit": "test.test_audit",
    "test_httplib": "test.test_httplib",
    "test_ftplib": "test.test_ftplib",
}
AS_NOBODY = ["test_socket"]

# test_socket's tests of what socket.py adds in Python, with pier's C versions in its place (shim.py).
SHIM = "test_socket-shim"
SUITES[SHIM] = "test.test_socket"
SHIM_TESTS = ["NetworkConnection*", "CreateServer*", "Sendfile*", "SendRecvFds*", "*.testHostnameRes"]
PYTHON_ONLY = {
    "NetworkConnectionNoServer.test_create_connection_timeout": "replaces socket.socket by a class of its own",
    "NetworkConnectionNoServer.test_create_connection_all_errors": "wants an exception for each attempt",
}

# test_socket once more, every thread of it the main task of a loop on this backend (suite.py).
TASKS = {"test_socket-epoll": "epoll", "test_socket-uring": "uring"}
SUITES |= dict.fromkeys(TASKS, "test.test_socket")

Run = collections.namedtuple("Run", "suite user who")  # who: "stock" or "pier"
Outcome = collections.namedtuple("Outcome", "outcome why seconds")
NOT_RUN = Outcome("not run", "", 0)
# What a leak's stack must name to be ours; CPython leaks at its end as it likes.
OURS = re.compile(r"/(src|python)/[\w/]+\.c:\d+")
NO_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd]")


class Result:
    """The outcomes of one run, by id without the module's name."""

    def __init__(self, run, path, status):
        self.tests, self.module, self.leaks, self.status, self.ended = {}, None, 0, status, False
        prefix = SUITES[run.suite] + "."
        for line in path.read_text().splitlines() if path.exists() else []:
            said = json.loads(line)
            if "id" in said:
                name = said["id"].removeprefix(prefix)
                if run.suite == SHIM and name in PYTHON_ONLY:
                    continue
                self.tests[name] = Outcome(said["outcome"], said["why"], said.get("seconds", 0))
            self.module = said.get("module", self.module)
            self.ended = self.ended or said.get("end", False)
            self.leaks = said.get("leaks", self.leaks)

    def of(self, name):
        return self.tests.get(name, NOT_RUN)

    def count(self, outcome):
        return sum(test.outcome == outcome for test in self.tests.values())


# Inside the namespaces.

def raise_lo():
    name_and_flags = struct.pack("16sh14x", b"lo", 0x1 | 0x40)  # IFF_UP | IFF_RUNNING
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, 0x8914, name_and_flags)  # SIOCSIFFLAGS


def enter(uid, *command):
    """Become a process with a network and a host name of its own, and then the command."""
    if ctypes.CDLL(None, use_errno=True).unshare(0x40000000 | 0x04000000) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    raise_lo()
    if int(uid):
        os.setgroups([])
        os.setresgid(*[int(uid)] * 3)
        os.setresuid(*[int(uid)] * 3)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # what a shell's & leaves ignored would stay so
    os.execv(command[0], command)


# Outside.

def reports_of(room):
    """What sanitizers wrote: of leaks, only those that are ours."""
    for path in room.glob("sanitizer.*"):
        for block in re.split(r"\n\n+", path.read_text(errors="replace")):
            leak = re.match(r"(Direct|Indirect) leak", block)
            if leak and OURS.search(block) or re.search("ERROR: AddressSanitizer|runtime error:", block):
                yield block


class Runner:
    def __init__(self, pypier, folder, sanitized):
        """Copies what is run to where nobody can read it, too."""
        self.sanitized = sanitized
        self.folder = pathlib.Path(folder)
        self.folder.chmod(0o755)
        for path in pathlib.Path(pypier), pathlib.Path(pypier).parent / "_socket.so", HERE / "suite.py", HERE / "shim.py":
            shutil.copy(path, self.folder)
        self.interpreters = {"stock": STOCK, "pier": str(self.folder / pathlib.Path(pypier).name)}

    def __call__(self, run, *wanted):
        uid = 0 if run.user == "root" else NOBODY
        room = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        os.chown(room, uid, uid)
        env = {"PATH": "/usr/bin:/bin", "HOME": str(room), "TMPDIR": str(room), "LANG": "C.UTF-8",
               **(self.sanitizers(room) if self.sanitized and run.who == "pier" else {})}
        module = SUITES[run.suite]
        if run.suite == SHIM:
            wanted = wanted or SHIM_TESTS
            if run.who == "pier":
                env["PIER_SHIM"] = "1"
        if run.suite in TASKS and run.who == "pier":
            env["PIER_TASKS"] = TASKS[run.suite]
        process = subprocess.Popen(
            [STOCK, __file__, "--enter", str(uid), self.interpreters[run.who],
             str(self.folder / "suite.py"), module, str(room / "outcomes"),
             *(f"{module}.{name}" for name in wanted)],
            cwd=room, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=open(room / "stderr", "wb"), start_new_session=True)
        try:
            status = process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            status = "too late"
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
        result = Result(run, room / "outcomes", status)
        result.stderr = (room / "stderr").read_text(errors="replace")
        result.reports = list(reports_of(room))
        return result

    @staticmethod
    def sanitizers(room):
        log = f"log_path={room}/sanitizer"
        return {"ASAN_OPTIONS": f"detect_leaks=1:exitcode=0:detect_stack_use_after_return=1:{log}",
                "UBSAN_OPTIONS": f"print_stacktrace=1:{log}", "LSAN_OPTIONS": f"exitcode=0:{log}",
                "PYTHONMALLOC": "malloc"}


def baseline_of(suite, user):
    path = HERE / "baseline" / f"{'test_socket' if suite in TASKS else suite}.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.split() for line in lines if not line.startswith("#")]
    return {words[0] for words in names if user == "root" or "root" not in words[1:]}


def reasons():
    for line in (HERE / "missing.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            pattern, reason = line.split(None, 1)
            yield pattern, reason


def complaint(name, stock, pier, expected, excuses):
    """What is wrong with this test; "" if nothing is."""
    if stock.outcome == "ok" and pier.outcome != "ok":
        return f"stock passes, pier: {pier.outcome}\n{pier.why}"
    if (stock.outcome == "skipped") != (pier.outcome == "skipped"):
        return f"stock: {stock.outcome} {stock.why}\npier: {pier.outcome} {pier.why}"
    if name in expected and "ok" not in (stock.outcome, pier.outcome):
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern, _ in excuses):
            return f"in the baseline, but stock: {stock.outcome} {stock.why}, pier: {pier.outcome}"
    return ""


class Comparison:
    def __init__(self, suite, user, stock, pier, suffix=""):
        self.suite, self.user, self.stock, self.pier = suite, user, stock, pier
        self.suffix = suffix
        self.expected, self.excuses = baseline_of(suite, user), list(reasons())

    @property
    def name(self):
        return self.suite + ("" if self.user == "root" else "-" + self.user) + self.suffix

    def names(self):
        return sorted({*self.stock.tests, *self.pier.tests, *self.expected})

    def complaints(self):
        found = {name: complaint(name, self.stock.of(name), self.pier.of(name), self.expected,
                                 self.excuses) for name in self.names()}
        return {name: text for name, text in found.items() if text}

    def about_the_run(self):
        """Complaints that concern no single test."""
        if self.stock.module != "built-in" or "_socket.so" not in str(self.pier.module):
            yield f"modules: stock {self.stock.module}, pier {self.pier.module}\n{self.pier.stderr[-2000:]}"
        for who, result in ("stock", self.stock), ("pier", self.pier):
            if not result.ended:
                yield f"{who} did not end: {result.status}\n{result.stderr[-4000:]}"
        yield from self.pier.reports
        if self.pier.leaks > self.stock.leaks:
            yield f"ResourceWarnings of sockets: stock {self.stock.leaks}, pier {self.pier.leaks}"

    def try_again(self, runner):
        """A test that failed once more beside other work gets a second chance, alone."""
        again = [name for name in self.complaints() if self.pier.of(name).outcome == "failed"]
        if not again or len(again) > 20:
            return
        second = runner(Run(self.suite, self.user, "pier"), *again)
        for name in again:
            if second.of(name).outcome == "ok":
                print(f"        {self.name}: {name} passed at the second try:\n"
                      + self.pier.of(name).why)
                self.pier.tests[name] = second.of(name)

    def write(self, folder):
        root = ET.Element("testsuite", name=f"conformance-{self.name}")
        complaints = self.complaints()
        for name in self.names():
            pier = self.pier.of(name)
            case = ET.SubElement(root, "testcase", name=f"conformance/{self.name}/{name}",
                                 classname=self.name, time=str(pier.seconds))
            if name in complaints:
                ET.SubElement(case, "failure", message="failed").text = NO_XML.sub("?", complaints[name])
            elif pier.outcome != "ok":
                ET.SubElement(case, "skipped", message=pier.why or self.stock.of(name).outcome)
        case = ET.SubElement(root, "testcase", name=f"conformance/{self.name}", classname=self.name)
        if text := "\n".join(self.about_the_run()):
            ET.SubElement(case, "failure", message="failed").text = NO_XML.sub("?", text)
        ET.ElementTree(root).write(folder / f"conformance-{self.name}.xml", encoding="utf-8",
                                   xml_declaration=True)

    def report(self):
        failed = {**self.complaints(), **{"": text for text in self.about_the_run()}}
        print(f"{self.name:36} ok {self.pier.count('ok')} (stock {self.stock.count('ok')})"
              f"  skipped {self.pier.count('skipped')} (stock {self.stock.count('skipped')})"
              + (f"  FAILED {len(failed)}" if failed else ""), flush=True)
        for name, text in failed.items():
            print("    " + f"{name}: {text}".replace("\n", "\n    "), flush=True)
        return bool(failed)


def run_all(runner, suites, jobs):
    """Comparisons, as they become complete. The long suites begin."""
    pairs = [(suite, "root") for suite in suites]
    if not runner.sanitized:
        pairs += [(suite, "nobody") for suite in suites if suite in AS_NOBODY]
    pairs.sort(key=lambda pair: pair[0] not in ("test_ssl", "test_socket", "test_selectors", SHIM, *TASKS))
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        runs = {Run(suite, user, who): None for suite, user in pairs for who in ("stock", "pier")}
        futures = {run: pool.submit(runner, run) for run in runs}
        for suite, user in pairs:
            stock, pier = (futures[Run(suite, user, who)].result() for who in ("stock", "pier"))
            yield Comparison(suite, user, stock, pier, "-sanitized" if runner.sanitized else "")


def write_baseline(comparisons):
    """The names that stock passes; "root" behind those that only root can."""
    passed = {(c.suite, c.user): {n for n, t in c.stock.tests.items() if t.outcome == "ok"}
              for c in comparisons}
    for (suite, user), names in passed.items():
        if user != "root" or suite in TASKS:
            continue
        nobody = passed.get((suite, "nobody"), names)
        lines = [name if name in nobody else f"{name} root" for name in sorted(names)]
        (HERE / "baseline" / f"{suite}.txt").write_text("\n".join(lines) + "\n")


def main(arguments):
    doc, baseline, sanitized = (f"--{word}" in arguments for word in ("doc", "baseline", "sanitized"))
    pypier, *suites = [a for a in arguments if not a.startswith("--")]
    if os.getuid() != 0:
        print("only root can make network namespaces and become nobody")
        return SKIPPED
    junit = TOP / "build/junit"
    junit.mkdir(parents=True, exist_ok=True)
    failed, comparisons = False, []
    with tempfile.TemporaryDirectory(prefix="pier-conformance-") as folder:
        runner = Runner(pypier, folder, sanitized)
        every = ["test_socket"] if sanitized else list(SUITES)
        for comparison in run_all(runner, suites or every, jobs=4):
            comparisons.append(comparison)
        for comparison in comparisons:
            comparison.try_again(runner)
            comparison.write(junit)
            failed |= comparison.report()
    if baseline:
        write_baseline(comparisons)
    if doc:
        from document import write_document
        write_document(comparisons, TOP / "docs/conformance.md")
    return failed


if __name__ == "__main__":
    if sys.argv[1] == "--enter":
        enter(*sys.argv[2:])
    sys.exit(main(sys.argv[1:]))
