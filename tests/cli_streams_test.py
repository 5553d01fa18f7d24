#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every verb with standard streams that are closed, full, left by their reader, or a terminal; and
ended by Ctrl-C. A verb plays a scene of its own (SCENES), in which a peer sees exactly what is
meant for it, whatever becomes of the streams."""
import contextlib
import errno
import fcntl
import os
import pathlib
import pty
import re
import signal
import socket
import struct
import subprocess
import termios
import threading
import time

import programs
from programs import PATIENCE, PIER, read_all, sanitized, wait_until

ESCAPES = b"\x1b[2J\x1b]0;title\x07\x9b31m\r\x08"
FILE = b"A file.\n" * 1000


class Streams(programs.Case):
    def setUp(self):
        super().setUp()
        self.path = self.folder / "s"

    def verbs(self):
        said = self.run_program(PIER, "--help")[1].decode()
        verbs = re.findall(r"(?m)^  (\w+) +\w", said)
        self.assertEqual([verb for verb in verbs if verb not in self.SCENES], [],
                         "a verb without a scene here")
        return verbs

    # Peers. A scene is a function that starts the program by start(words...), plays its peer until
    # both are done, and returns the program and what the peer got.

    def unix_server(self, path, answer):
        """One client at a Unix path: what answer(connection) returns lands in the list that is returned."""
        server = self.listen(socket.AF_UNIX, str(path))
        server.settimeout(0.1)
        got, over = [], threading.Event()

        def next_client():
            while not over.is_set():  # nobody may come at all
                with contextlib.suppress(TimeoutError):
                    return server.accept()[0]
            raise OSError

        def run():
            with contextlib.suppress(OSError):
                connection = next_client()
                server.close()
                connection.settimeout(PATIENCE)
                with connection:
                    got.append(answer(connection))

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self.addCleanup(thread.join, PATIENCE)
        self.addCleanup(over.set)
        return got, thread

    def call(self, program, path):
        """A connection to the program, or None if it has ended instead."""
        s = socket.socket(socket.AF_UNIX)
        self.addCleanup(s.close)
        s.settimeout(PATIENCE)
        wait_until(lambda: s.connect_ex(str(path)) == 0 or program.process.poll() is not None,
                   f"{program} does not listen")
        return s if program.process.poll() is None else None

    def talk_to(self, program, said, end):
        """What a client gets that says something, and then ends the program, if that does not end itself."""
        got = b""
        s = self.call(program, self.path)
        if s:
            with contextlib.suppress(OSError):  # it may have ended, or have answered and left
                s.sendall(said)
                s.shutdown(socket.SHUT_WR)
            with contextlib.suppress(OSError):
                got = read_all(s)
        if end:
            program.kill(end)
        program.wait()
        return program, got

    def greet(self, start, say=b"", end=signal.SIGTERM):
        return self.talk_to(start("greet", f"unix:{self.path}"), b"", end)

    def echo(self, start, say=b"hello", end=signal.SIGTERM):
        return self.talk_to(start("echo", f"unix:{self.path}"), say, end)

    def listen_verb(self, start, say=b"hello", options=()):
        return self.talk_to(start("listen", *options, f"unix:{self.path}"), say, None)

    def listen_to_many(self, start, say=b"hello"):
        program = start("listen", "-k", f"unix:{self.path}", stdin=subprocess.PIPE)
        s = self.call(program, self.path)
        s.sendall(say)
        return program, s

    def connect_verb(self, start, say=b"hello", options=()):
        def answer(connection):
            connection.sendall(say)
            connection.shutdown(socket.SHUT_WR)
            return read_all(connection)

        got, thread = self.unix_server(self.path, answer)
        program = start("connect", *options, f"unix:{self.path}")
        program.wait()
        thread.join(PATIENCE)
        return program, b"".join(got)

    def get(self, start, say=b"page"):
        asked = []

        def answer(connection, _):
            request = b""
            while not request.endswith(b"\r\n\r\n") and (part := connection.recv(65536)):
                request += part
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + say)
            connection.shutdown(socket.SHUT_WR)
            asked.append(request + read_all(connection))

        program = start("get", f"http://127.0.0.1:{self.serve(answer)}/")
        program.wait()
        wait_until(lambda: asked, "nobody asked")
        self.assertTrue(asked[0].startswith(b"GET / HTTP/1.1\r\n") and asked[0].endswith(b"\r\n\r\n"))
        return program, b"GET" * asked[0].count(b"\r\n\r\n")

    def proxy(self, start, say=b"hello", end=signal.SIGTERM):
        def answer(connection):
            data = read_all(connection)
            with contextlib.suppress(OSError):
                connection.sendall(data)

        self.unix_server(self.folder / "target", answer)
        return self.talk_to(start("proxy", f"unix:{self.path}", f"unix:{self.folder}/target"),
                            say, end)

    def send(self, start):
        receiver = self.start(PIER, "receive", "-v", f"unix:{self.path}", self.folder / "copy")
        receiver.error_line()
        program = start("send", self.file(), f"unix:{self.path}")
        program.wait()
        self.assertEqual(receiver.wait(), 0)
        return program, (self.folder / "copy").read_bytes()

    def receive(self, start):
        program = start("receive", f"unix:{self.path}", self.folder / "copy")
        wait_until(lambda: f" 00010000 0001 01 " in self.listening(), "it does not listen")
        status, _, errors = self.run_program(PIER, "send", self.file(), f"unix:{self.path}")
        self.assertEqual((status, errors), (0, ""))
        program.wait()
        return program, (self.folder / "copy").read_bytes()

    def listening(self):
        return "".join(line for line in pathlib.Path("/proc/net/unix").read_text().splitlines()
                       if line.endswith(f" {self.path}"))

    def file(self):
        (self.folder / "file").write_bytes(FILE)
        return self.folder / "file"

    def sockets(self, start):
        """One of ours alone: all those of a machine might be more than a terminal takes unread."""
        name = f"{self.folder}/one"
        with self.listen(socket.AF_UNIX, name):
            os.unlink(name)
            program = start("sockets", f"unix:{name}")
            program.wait()
        return program, b""

    def lookup(self, *words):
        def scene(start):
            program = start(*words)
            program.wait()
            return program, b""
        return scene

    @property
    def scenes(self):
        return {verb: scene.__get__(self) if callable(scene) else self.lookup(verb, *scene)
                for verb, scene in self.SCENES.items()}

    # verb: its scene, or the words with which it answers and ends.
    SCENES = {"greet": greet, "echo": echo, "get": get, "listen": listen_verb,
              "connect": connect_verb, "proxy": proxy, "send": send, "receive": receive,
              "port": ["http"], "address": ["127.1"], "resolve": ["127.0.0.1"],
              "explain": ["ECONNREFUSED"], "sockets": sockets, "bench": ["--help"]}

    # What a peer gets of each; and which verbs print nothing on stdout.
    PEERS = {"greet": b"Thank you for connecting", "echo": b"hello", "proxy": b"hello", "get": b"GET",
             "send": FILE, "receive": FILE}
    SILENT = ["send", "receive"]

    def play(self, verb, **more):
        """(status, stderr, what the peer got)"""
        for left in ("s", "target", "copy", "file"):
            (self.folder / left).unlink(missing_ok=True)
        program, got = self.scenes[verb](lambda *words, **own: self.start(PIER, *words, **more, **own))
        status = program.wait()
        # What it gave up to be confined, which -v tells, is the kernel's affair.
        said = re.sub(r"(?m)^pier \w+: (not )?confined.*\n", "", program.errors)
        return status, said, got


def closed(*descriptors):
    def close():
        for fd in descriptors:
            os.close(fd)
    return close


class Every(Streams):
    def test_every_verb_plays_its_scene(self):
        for verb in self.verbs():
            status, errors, got = self.play(verb)
            self.assertEqual((status, errors, got), (0, "", self.PEERS.get(verb, b"")), verb)

    def test_every_verb_runs_without_stdin(self):
        for verb in self.verbs():
            status, errors, got = self.play(verb, preexec_fn=closed(0))
            self.assertEqual((status, errors, got), (0, "", self.PEERS.get(verb, b"")), verb)

    def test_every_verb_runs_without_stderr(self):
        for verb in self.verbs():
            status, _, got = self.play(verb, preexec_fn=closed(2))
            self.assertEqual((status, got), (0, self.PEERS.get(verb, b"")), verb)

    def test_every_verb_without_stdout_fails_if_it_prints_and_peers_see_nothing_of_it(self):
        for descriptors in [(1,), (0, 1), (0, 1, 2)]:
            for verb in self.verbs():
                status, errors, got = self.play(verb, preexec_fn=closed(*descriptors))
                self.assertEqual(status, verb not in self.SILENT, verb)
                self.assertEqual(errors, "" if status == 0 or 2 in descriptors else
                                 f"pier {verb}: standard output: Bad file descriptor\n")
                self.assertIn(got, [self.PEERS.get(verb, b""), b""], verb)

    def test_every_verb_that_prints_fails_on_a_full_disk(self):
        for verb in self.verbs():
            status, errors, got = self.play(verb, stdout=self.open("/dev/full", "wb"))
            self.assertEqual(status, verb not in self.SILENT, verb)
            self.assertEqual(errors, "" if status == 0 else
                             f"pier {verb}: standard output: No space left on device\n")
            self.assertIn(got, [self.PEERS.get(verb, b""), b""], verb)

    def left_pipe(self):
        reader, writer = os.pipe()
        os.close(reader)
        self.addCleanup(os.close, writer)
        return writer

    def test_every_verb_that_prints_ends_by_sigpipe_when_its_reader_has_left(self):
        for verb in self.verbs():
            status, errors, _ = self.play(verb, stdout=self.left_pipe())
            self.assertEqual((status, errors), (0 if verb in self.SILENT else -signal.SIGPIPE, ""), verb)

    def test_every_verb_that_prints_fails_where_sigpipe_is_ignored(self):
        for verb in self.verbs():
            status, errors, _ = self.play(verb, stdout=self.left_pipe(), restore_signals=False)
            self.assertEqual(status, verb not in self.SILENT, verb)
            self.assertEqual(errors, "" if status == 0 else
                             f"pier {verb}: standard output: Broken pipe\n", verb)


class Screen(Streams):
    """A terminal that reads along."""

    def terminal(self, columns=0):
        """Both ends, and a list that fills with what is shown."""
        master, slave = pty.openpty()
        attributes = termios.tcgetattr(slave)
        attributes[1] &= ~termios.OPOST
        termios.tcsetattr(slave, termios.TCSANOW, attributes)
        if columns:
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        for fd in (master, slave):
            self.addCleanup(os.close, fd)
        os.set_blocking(master, False)
        return master, slave

    def shown(self, master):
        said = b""
        with contextlib.suppress(BlockingIOError):
            while part := os.read(master, 65536):
                said += part
        return said

    def until_shown(self, master, what):
        said = b""

        def more():
            nonlocal said
            said += self.shown(master)
            return what in said

        wait_until(more, "nothing is shown")
        return said

    def test_what_peers_say_cannot_steer_a_terminal(self):
        scenes = {
            "listen": lambda start: self.listen_verb(start, ESCAPES),
            "listen -l": lambda start: self.listen_verb(start, ESCAPES, ["-l"]),
            "listen -x": lambda start: self.listen_verb(start, ESCAPES, ["-x"]),
            "connect": lambda start: self.connect_verb(start, ESCAPES),
            "connect -l": lambda start: self.connect_verb(start, ESCAPES, ["-l"]),
            "connect -x": lambda start: self.connect_verb(start, ESCAPES, ["-x"]),
            "get": lambda start: self.get(start, ESCAPES),
        }
        for name, scene in scenes.items():
            self.path.unlink(missing_ok=True)
            master, slave = self.terminal()
            program, _ = scene(lambda *words, **own: self.start(PIER, *words, stdout=slave, **own))
            self.assertEqual((program.wait(), program.errors), (0, ""), name)
            said = self.shown(master)
            self.assertRegex(said.replace(b"\n", b""), rb"^[ -~]+$", name)
            self.assertIn(b"1b 5b 32 4a" if name.endswith("-x") else rb"\x1b[2J\x1b]0;title\x07\x9b31m",
                          said, name)

    def test_what_many_clients_say_cannot_steer_a_terminal(self):
        master, slave = self.terminal()
        program, s = self.listen_to_many(
            lambda *words, **own: self.start(PIER, *words, stdout=slave, **own), ESCAPES)
        said = self.until_shown(master, rb"\x1b[2J")
        s.close()
        program.kill(signal.SIGINT)
        self.assertEqual(program.wait(), 0)
        self.assertRegex((said + self.shown(master)).replace(b"\n", b""), rb"^[ -~]+$")

    def test_datagrams_cannot_steer_a_terminal(self):
        master, slave = self.terminal()
        program = self.start(PIER, "listen", "-u", f"unix:{self.path}", stdout=slave)
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(s.close)
        wait_until(lambda: s.connect_ex(str(self.path)) == 0, "it does not listen")
        s.send(ESCAPES)
        said = self.until_shown(master, rb"\x1b[2J")
        program.kill(signal.SIGINT)
        program.wait()
        self.assertRegex((said + self.shown(master)).replace(b"\n", b""), rb"^[ -~]+$")

    def test_names_of_peers_cannot_steer_a_terminal(self):
        for verb, words in {"greet": [], "echo": ["-v"], "listen": ["-v"], "receive": ["-v"]}.items():
            self.path.unlink(missing_ok=True)
            master, slave = self.terminal()
            file = [self.folder / "copy"] if verb == "receive" else []
            program = self.start(PIER, verb, *words, f"unix:{self.path}", *file, stdout=slave)
            name = self.folder / "\x1b[31m\r\n"
            name.unlink(missing_ok=True)
            with socket.socket(socket.AF_UNIX) as s:
                s.bind(str(name))
                s.settimeout(PATIENCE)
                wait_until(lambda: s.connect_ex(str(self.path)) == 0, "it does not listen")
                with contextlib.suppress(OSError):
                    s.sendall(b"\x1b[31m\n")
                    s.shutdown(socket.SHUT_WR)
                    read_all(s)
            program.kill(signal.SIGTERM)
            program.wait()
            said = self.shown(master) + program.complained
            self.assertIn(rb"/\x1b[31m\x0d\x0a", said, verb)
            self.assertRegex(said.replace(b"\n", b""), rb"^[ -~]*$", verb)

    def test_complaints_are_coloured_on_a_terminal_unless_unwanted(self):
        for verb in self.verbs():
            for wanted, env in {True: {"NO_COLOR": ""}, False: {"NO_COLOR": "1"}}.items():
                master, slave = self.terminal()
                process = subprocess.run([PIER, verb, "--frob"], stderr=slave, stdin=subprocess.DEVNULL,
                                         env={**os.environ, "TERM": "xterm", **env})
                self.assertEqual(process.returncode, 2)
                said = self.shown(master)
                self.assertEqual(b"\x1b[" in said, wanted, verb)
                self.assertIn(b"there is no option --frob", said)

    def test_every_verb_prints_text_alone_on_a_terminal(self):
        for verb in self.verbs():
            master, slave = self.terminal()
            self.assertEqual(self.play(verb, stdout=slave, env={"NO_COLOR": "1"})[0], 0, verb)
            self.assertRegex(self.shown(master).replace(b"\n", b""),
                             rb"^[ -~]*$", verb)


class Interrupted(Screen):
    """Ctrl-C, typed at the terminal that a program controls."""

    def on_terminal(self, *words, columns=80):
        """A program whose stdin, stdout and stderr are a terminal of its own."""
        pid, master = pty.fork()
        if pid == 0:
            os.environ.update(LC_ALL="C.UTF-8", TERM="dumb")
            os.execv(PIER, [PIER, *map(str, words)])
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.addCleanup(os.close, master)
        program = Typed(pid, master)
        self.addCleanup(program.close)
        return program

    def test_ctrl_c_ends_servers_well(self):
        for verb, more in {"greet": [], "echo": [], "proxy": [f"unix:{self.folder}/target"]}.items():
            self.path.unlink(missing_ok=True)
            program = self.on_terminal(verb, f"unix:{self.path}", *more)
            program.until(b"socket is listening on")
            program.type(b"\x03")
            self.assertEqual(program.wait(), 0, program.said)
            self.assertFalse(self.path.exists(), verb)

    def test_a_signal_leaves_no_path_and_no_empty_file(self):
        # ThreadSanitizer keeps a signal back until a call that it knows, as liburing's own are not.
        backend = {"PIER_BACKEND": "epoll"} if sanitized() else {}
        for words in (["listen", "-v"], ["listen", "-v", "-u"], ["listen", "-v", "-k"], ["greet"], ["echo", "-u"],
                      ["receive", "-v"]):
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
                program = self.start(PIER, *words, f"unix:{self.path}",
                                     *[self.folder / "copy"] * (words[0] == "receive"),
                                     stdin=subprocess.PIPE, env=backend)
                said = program.error_line() if "-v" in words else program.line()
                self.assertRegex(said, " on unix:")  # now it knows the path itself
                program.kill(number)
                self.assertIn(program.wait(), [0, -number])
                self.assertEqual(os.listdir(self.folder), [], words)

    def test_who_gives_up_leaves_no_path(self):
        program, s = self.listen_to_many(lambda *words, **own: self.start(
            PIER, *words, stdout=self.open("/dev/full", "wb"), **own))
        self.assertEqual(program.wait(), 1)
        self.assertEqual(program.errors, "pier listen: standard output: No space left on device\n")
        self.assertEqual(self.run_program(PIER, "receive", "-w", "0.1", f"unix:{self.path}",
                                          self.folder / "copy")[0], 1)
        self.assertEqual(self.run_program(PIER, "receive", "unix:/nowhere/s", self.folder / "copy")[0], 1)
        self.assertEqual(os.listdir(self.folder), [])

    def test_progress_of_receiving_is_one_line_on_a_terminal(self):
        source = self.random_file("source", 5_000_000)
        for options in ([], ["-q"]):
            receiver = self.on_terminal("receive", "-v", *options, f"unix:{self.path}", self.folder / "copy")
            receiver.until(b"listening on")
            self.assertEqual(self.run_program(PIER, "send", source, f"unix:{self.path}")[0], 0)
            self.assertEqual(receiver.wait(), 0)
            said = receiver.said.decode().partition("connection from unix:")[2].split("\r\n")
            self.assertEqual((said[0], said[-1], len(said)), ("", "", 2 if options else 3))
            if not options:
                self.assertRegex(said[1].split("\r")[-1], r"^100% \[=+\] 5\.00 MB of 5\.00 MB, .* left")

    def test_ctrl_c_ends_a_crowd_well(self):
        program = self.on_terminal("listen", "-k", "-v", f"unix:{self.path}")
        program.until(b"listening on")
        s = socket.socket(socket.AF_UNIX)
        self.addCleanup(s.close)
        s.connect(str(self.path))
        program.until(b"connection from")
        program.type(b"\x03")
        self.assertEqual(program.wait(), 0, program.said)
        self.assertFalse(self.path.exists())

    def test_ctrl_c_in_the_middle_ends_what_waits_for_one_peer(self):
        server = self.listen(socket.AF_UNIX, str(self.path))
        for words, peer in {("connect", f"unix:{self.path}"): server,
                            ("send", str(self.file()), f"unix:{self.path}"): server}.items():
            program = self.on_terminal(*words)
            connection = self.accept(peer)
            if words[0] == "send":
                connection.recv(100)
            program.type(b"\x03")
            self.assertEqual(program.wait(), -signal.SIGINT, words)
            self.assertIn(connection.recv(100), [b""])

    def test_ctrl_c_in_the_middle_of_receiving_leaves_what_came_for_the_next_try(self):
        source = self.random_file("source", 30_000_000)
        receiver = self.on_terminal("receive", "-v", f"unix:{self.path}", self.folder / "copy")
        receiver.until(b"listening on")
        sender = self.on_terminal("send", source, f"unix:{self.path}")
        part = self.folder / ".copy.pier-part"
        wait_until(lambda: part.exists() and part.stat().st_size > 0 or sender.ended() is not None,
                   "nothing comes")
        receiver.type(b"\x03")
        if receiver.wait() == 0:  # it was quicker
            self.assertEqual(sender.wait(), 0)
            return
        self.assertEqual(sender.wait(), 1, sender.said)
        self.assertFalse((self.folder / "copy").exists())
        self.path.unlink(missing_ok=True)
        again = self.start(PIER, "receive", "-v", f"unix:{self.path}", self.folder / "copy")
        again.error_line()
        status, _, errors = self.run_program(PIER, "send", source, f"unix:{self.path}")
        self.assertEqual((status, again.wait()), (0, 0))
        self.assertIn("going on after", errors)
        self.assertEqual(programs.checksum(self.folder / "copy"), programs.checksum(source))

    def test_ctrl_c_in_the_middle_of_sending_fails_at_the_receiver(self):
        source = self.random_file("source", 30_000_000)
        receiver = self.start(PIER, "receive", "-v", f"unix:{self.path}", self.folder / "copy")
        receiver.error_line()
        sender = self.on_terminal("send", source, f"unix:{self.path}")
        part = self.folder / ".copy.pier-part"
        wait_until(lambda: part.exists() and part.stat().st_size > 0 or sender.ended() is not None,
                   "nothing comes")
        sender.type(b"\x03")
        if sender.wait() != 0:
            self.assertEqual(receiver.wait(), 1)
            self.assertIn("the next try goes on from there", receiver.errors)
            self.assertFalse((self.folder / "copy").exists())

    def test_ctrl_c_in_the_middle_of_a_page_leaves_nothing(self):
        server = self.listen()
        program = self.on_terminal("get", "-o", self.folder / "page",
                                   "http://127.0.0.1:%d/" % server.getsockname()[1])
        connection = self.accept(server)
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 100000)
        program.until(b"% ")
        program.type(b"\x03")
        self.assertEqual(program.wait(), -signal.SIGINT)
        self.assertEqual(os.listdir(self.folder), [])

    def test_ctrl_z_and_going_on_loses_nothing(self):
        self.unix_server(self.path, lambda connection: (
            connection.sendall(b"one\n"), time.sleep(0.2), connection.sendall(b"two\n")))
        program = self.on_terminal("connect", f"unix:{self.path}")
        program.until(b"one")
        program.type(b"\x1a")
        time.sleep(0.3)
        os.kill(program.pid, signal.SIGCONT)
        program.until(b"two")
        self.assertEqual(program.wait(), 0)


class Typed:
    """A program on a terminal of its own."""

    def __init__(self, pid, master):
        self.pid, self.master, self.said, self.status = pid, master, b"", None
        os.set_blocking(master, False)

    def read(self):
        try:
            self.said += os.read(self.master, 65536)
        except BlockingIOError:
            pass
        except OSError as e:
            if e.errno != errno.EIO:
                raise

    def until(self, mark):
        def more():
            self.read()
            return mark in self.said
        wait_until(more, f"it does not say {mark!r}")

    def type(self, text):
        os.write(self.master, text)

    def ended(self):
        self.read()
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status

    def wait(self):
        wait_until(lambda: self.ended() is not None, f"it does not end; said {self.said[-500:]!r}")
        return self.status

    def close(self):
        if self.ended() is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)


if __name__ == "__main__":
    programs.main()
