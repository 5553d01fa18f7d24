# SPDX-License-Identifier: MIT
"""What tests of whole programs share: starting them, reading what they say, playing their peers.

A file of such tests ends with `programs.main()`. Run without arguments it runs all of its tests;
`--list` prints their names, one name runs that one, and 77 is the exit status of a skipped one:

    PIER_BUILD=build/dev tests/cli_get_test.py follows_redirections
"""
import contextlib
import hashlib
import http.server
import os
import pathlib
import queue
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

TOP = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("PIER_BUILD", TOP / "build/dev")).resolve()
SEEDS = TOP / "tests/seeds"
PIER = str(BUILD / "cli/pier")

# No test is about being fast: this only says when a program counts as hanging.
PATIENCE = float(os.environ.get("PIER_PATIENCE", 15))


def example(name):
    return str(BUILD / "examples" / name)


def seed(name):
    """The command that runs one of the tutorials' own programs."""
    return [sys.executable, "-u", str(SEEDS / (name + ".py"))]


class Program:
    """A running program whose output is read as it comes."""

    def __init__(self, command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, **more):
        env = {**os.environ, "LC_ALL": "C.UTF-8", **more.pop("env", {})}
        env.pop("PIER_TRACE", None)
        self.command = [str(word) for word in command]
        self.process = subprocess.Popen(self.command, stdin=stdin, stdout=stdout,
                                        stderr=subprocess.PIPE, env=env, **more)
        self.pid = self.process.pid
        self.stdin = self.process.stdin
        self.lines = queue.Queue()
        self.said, self.complained = b"", b""
        self.readers = [threading.Thread(target=self._read_errors, daemon=True)]
        if self.process.stdout:
            self.readers.append(threading.Thread(target=self._read, daemon=True))
        for reader in self.readers:
            reader.start()

    def _read(self):
        rest = b""
        while part := os.read(self.process.stdout.fileno(), 65536):
            self.said += part
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                self.lines.put(line.decode(errors="replace"))
        self.lines.put(None)

    def _read_errors(self):
        while part := os.read(self.process.stderr.fileno(), 65536):
            self.complained += part

    @property
    def errors(self):
        return self.complained.decode(errors="replace")

    def line(self):
        """The next line of stdout; None at its end."""
        try:
            return self.lines.get(timeout=PATIENCE)
        except queue.Empty:
            raise AssertionError(f"{self} says nothing more; so far: {self.said!r}") from None

    def error_line(self):
        """The first line of stderr, as soon as there is one."""
        wait_until(lambda: b"\n" in self.complained or self.process.poll() is not None,
                   f"{self} says nothing on stderr")
        return self.errors.split("\n")[0]

    def wait(self):
        """Until it has ended. Returns its exit status; all it said is in said and errors."""
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self} does not end; said {self.said[-500:]!r}, {self.errors!r}") \
                from None
        for reader in self.readers:
            reader.join(PATIENCE)
        return status

    def kill(self, number=signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    def close(self):
        self.kill()
        self.kill(signal.SIGCONT)
        self.process.wait()
        for reader in self.readers:
            reader.join(PATIENCE)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream:
                with contextlib.suppress(OSError):
                    stream.close()

    def __str__(self):
        return " ".join([pathlib.Path(self.command[0]).name, *self.command[1:]])


def wait_until(condition, otherwise):
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(otherwise)
        time.sleep(0.01)


def port_of(line):
    """The port in the last address of a line: "socket is listening on [::]:41022"."""
    found = re.findall(r"(?:[:\]]:?|port )(\d+)(?=,|$|\s)", line)
    assert found, f"no port in {line!r}"
    return int(found[-1])


def checksum(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def read_all(connection):
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def reset(connection):
    """Close so that the peer gets a reset instead of an end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
        return True
    except OSError:
        return False


def sanitized():
    return b"__sanitizer" in pathlib.Path(PIER).read_bytes() or \
        b"__tsan" in pathlib.Path(PIER).read_bytes()


class Case(unittest.TestCase):
    """A test of programs. Whatever it starts has ended when it has, and its folder is gone."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pier-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def start(self, *command, **more):
        program = Program(command, **more)
        self.addCleanup(program.close)
        return program

    def run_program(self, *command, input=None, **more):
        """(exit status, stdout, stderr) of a program that ends by itself."""
        if input is not None:
            path = self.folder / "input"
            path.write_bytes(input)
            more["stdin"] = self.open(path, "rb")
        program = self.start(*command, **more)
        status = program.wait()
        return status, program.said, program.errors

    def open(self, path, mode):
        file = open(path, mode)
        self.addCleanup(file.close)
        return file

    def tool(self, name):
        """The path of a program that may not be here."""
        found = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
        if not found:
            self.skipTest(f"{name} is not installed")
        return found

    def listen(self, family=socket.AF_INET, address=("127.0.0.1", 0)):
        s = socket.socket(family)
        self.addCleanup(s.close)
        s.settimeout(PATIENCE)
        s.bind(address)
        s.listen(16)
        return s

    def accept(self, server):
        connection, _ = server.accept()
        connection.settimeout(PATIENCE)
        self.addCleanup(connection.close)
        return connection

    def connect(self, port, host="127.0.0.1"):
        connection = socket.create_connection((host, port), PATIENCE)
        self.addCleanup(connection.close)
        return connection

    def serve(self, answer, clients=1):
        """A server of ours: answer(connection, number) for each client in turn. Returns its port."""
        server = self.listen()
        wrong = []

        def run():
            for number in range(clients):
                try:
                    connection, _ = server.accept()
                    connection.settimeout(PATIENCE)
                    with connection:
                        answer(connection, number)
                except OSError as e:
                    wrong.append(e)
                    return

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self.addCleanup(thread.join, PATIENCE)
        self.addCleanup(server.close)
        self.addCleanup(lambda: socket.socket().connect_ex(server.getsockname())
                        if thread.is_alive() else None)
        return server.getsockname()[1]

    def serve_folder(self, version):
        """The port of Python's web server of this test's folder."""
        folder = str(self.folder)

        class Handler(http.server.SimpleHTTPRequestHandler):
            protocol_version = version

            def __init__(self, *arguments):
                super().__init__(*arguments, directory=folder)

            def log_message(self, *arguments):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        self.addCleanup(server.server_close)
        self.addCleanup(thread.join)
        self.addCleanup(server.shutdown)
        return server.server_address[1]

    def drip(self, send, limit, began):
        """Send seven times, each well before the limit. Returns the longest silence since it all began, which on a busy
        machine may be beyond the limit all the same, and when the last one began."""
        silence, last = 0, began
        for _ in range(7):
            time.sleep(limit / 6)
            now = time.monotonic()
            with contextlib.suppress(OSError):
                send()
            silence = max(silence, time.monotonic() - last)
            last = now
        return silence, last

    def refusing_port(self):
        """A port where nobody listens, and nobody will."""
        s = socket.socket()
        self.addCleanup(s.close)
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]

    def need_vsock(self):
        """Skip the test where this machine cannot be reached by AF_VSOCK from itself."""
        try:
            with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as s:
                s.bind((1, 0xffffffff))
                s.listen()
                with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as c:
                    c.connect((1, s.getsockname()[1]))
        except OSError:
            self.skipTest("no loopback of AF_VSOCK here")

    def unused_port(self):
        """A port for a program that cannot choose one itself; below those that the kernel hands out."""
        for port in random.sample(range(20000, 30000), 100):
            with contextlib.suppress(OSError), socket.socket() as s:
                s.bind(("", port))
                return port
        self.fail("no port is free")

    def random_file(self, name, size):
        path = self.folder / name
        with open(path, "wb") as file:
            for _ in range(size >> 20):
                file.write(os.urandom(1 << 20))
            file.write(os.urandom(size & 0xfffff))
        return path


class Web(Case):
    """Has a web server that answers what it is told to."""

    def setUp(self):
        super().setUp()
        self.requests = []

    def answers(self, *answers):
        """The URL of a server that gives these answers to its clients, in turn; a list is sent piece by piece."""
        def answer(connection, number):
            request = b""
            while not request.endswith(b"\r\n\r\n"):
                part = connection.recv(65536)
                if not part:
                    return
                request += part
            self.requests.append(request.decode())
            pieces = answers[number]
            for piece in pieces if isinstance(pieces, list) else [pieces]:
                connection.sendall(piece)
                if isinstance(pieces, list):
                    time.sleep(0.01)
        return f"http://127.0.0.1:{self.serve(answer, len(answers))}"


def main():
    tests = {test._testMethodName.removeprefix("test_"): test
             for suite in unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
             for test in suite}
    wanted = sys.argv[1:]
    if wanted == ["--list"]:
        print("\n".join(tests))
        return
    if unknown := [name for name in wanted if name not in tests]:
        sys.exit(f"no such test: {' '.join(unknown)}")
    suite = unittest.TestSuite(tests[name] for name in wanted or tests)
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    if not result.wasSuccessful():
        sys.exit(1)
    sys.exit(77 if len(result.skipped) == result.testsRun else 0)
