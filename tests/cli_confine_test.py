#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the verbs that serve give up: seen from outside, by a debugger that lets them try."""
import contextlib
import ctypes
import errno
import os
import re
import signal
import socket
import struct
import subprocess
import time

import programs
from programs import PATIENCE, PIER, port_of, read_all, sanitized, wait_until

CREATE_RULESET = 444
VERSION = ctypes.CDLL(None, use_errno=True).syscall(CREATE_RULESET, None, 0, 1)


def needs_landlock(test):
    def run(self):
        if VERSION < 1:
            self.skipTest("this kernel has no Landlock")
        test(self)
    return run


class Confined(programs.Case):
    def setUp(self):
        super().setUp()
        self.secret = self.folder / "secret"
        self.secret.write_text("secret")

    def serving(self, verb, *words, tracer=(), **more):
        """(the program when it is confined, its address)"""
        program = self.start(*tracer, PIER, verb, *words, **more)
        if verb in ("listen", "receive"):
            line = program.error_line()
        else:
            line = program.line()
        self.assertRegex(line, " on ")
        if verb != "greet" and "-v" in words:
            wait_until(lambda: "confined" in program.errors, "it does not say whether it is confined")
        else:
            wait_until(lambda: self.no_new_privs(program.pid), "it has not shed its privileges")
        return program, line.split(" on ", 1)[1]

    def made_unix(self, path):
        s = socket.socket(socket.AF_UNIX)
        self.addCleanup(s.close)
        s.settimeout(PATIENCE)
        s.connect(path)
        return s

    def each_verb(self):
        """Every verb, with the words that it is started with."""
        target = self.listen()
        there = "127.0.0.1:%d" % target.getsockname()[1]
        for words in (["greet"], ["echo"], ["echo", "-u"], ["listen"], ["listen", "-u"], ["listen", "-k"],
                      ["proxy"], ["receive"]):
            last = {"proxy": [there], "receive": [f"{self.folder}/copy"]}.get(words[0], [])
            verbose = [] if words[0] == "greet" else ["-v"]
            yield words[0], [*words[1:], *verbose, "127.0.0.1:0", *last]

    @staticmethod
    def no_new_privs(pid):
        """Of all threads."""
        try:
            tasks = os.listdir(f"/proc/{pid}/task")
            return all("\nNoNewPrivs:\t1" in open(f"/proc/{pid}/task/{task}/status").read()
                       for task in tasks)
        except FileNotFoundError:
            return False

    @staticmethod
    def is_idle(pid):
        """Do all threads wait, and have for a while? One that is stopped elsewhere may hold a lock."""
        def look():
            with contextlib.suppress(FileNotFoundError):
                for task in os.listdir(f"/proc/{pid}/task"):
                    with open(f"/proc/{pid}/task/{task}/status") as file:
                        yield task, re.findall(r"(?m)^(?:State|\w+_ctxt_switches):.*$", file.read())

        before = list(look())
        time.sleep(0.1)
        return before == list(look()) and all("S (" in state[0] for _, state in before)

    def tried(self, pid, *calls):
        """What each call answers in all threads of a process: a set of results, or of -errno."""
        if sanitized():
            self.skipTest("a sanitized program is not debugged")
        wait_until(lambda: self.is_idle(pid), "it is always busy")
        command = [self.tool("gdb"), "-nx", "-batch", "-p", str(pid), "-ex", "set scheduler-locking on"]
        for number, call in enumerate(calls):
            name, arguments = call.split("(", 1)
            command += ["-ex", f'thread apply all printf "{number}: %d %d.\\n", ((int (*)()) {name})({arguments}, '
                        "*((int *(*)()) __errno_location)()"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        if re.search("ptrace: Operation not permitted", done.stderr):
            self.skipTest("no process may be debugged here")
        answers = [set() for _ in calls]
        for number, result, wrong in re.findall(r"(?m)^(\d+): (-?\d+) (\d+)\.$", done.stdout):
            answers[int(number)].add(-int(wrong) if result == "-1" else int(result))
        self.assertTrue(all(answers), done.stdout + done.stderr)
        return answers

    @staticmethod
    def connecting(port):
        """The call that connects to a port of this host."""
        address = struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", port, b"\x7f\0\0\1")
        text = "".join(f"\\{byte:03o}" for byte in address)
        return f'connect(((int (*)()) socket)({int(socket.AF_INET)}, {int(socket.SOCK_STREAM)}, 0), "{text}", 16)'

    def opening(self):
        return [f'open("{self.secret}", {os.O_RDONLY})', f'open("{self.secret}", {os.O_WRONLY})',
                f'open("{self.folder}/new", {os.O_WRONLY | os.O_CREAT}, 0600)',
                f'mkdir("{self.folder}/folder", 0700)', 'open("/proc/1/status", 0)']


class Rights(Confined):
    def confined(self, verb, *words, last=(), removes=False):
        """Starts it; what it needs not is denied to all of its threads."""
        refusing = self.refusing_port()
        program, _ = self.serving(verb, *words, "127.0.0.1:0", *last)
        calls = self.opening()
        if not removes:
            calls += [f'unlink("{self.secret}")', 'open("/etc/passwd", 0)']
        if VERSION >= 4:
            calls += [self.connecting(refusing)]
        for call, answers in zip(calls, self.tried(program.pid, *calls)):
            self.assertEqual(answers, {-errno.EACCES}, call)
        self.assertEqual(self.secret.read_text(), "secret")
        if not removes:
            self.assertFalse((self.folder / "new").exists())
        return program

    @needs_landlock
    def test_greet_is_confined_in_all_threads(self):
        self.confined("greet")

    @needs_landlock
    def test_echo_is_confined_in_all_threads(self):
        self.confined("echo", "-v")

    @needs_landlock
    def test_echo_of_datagrams_is_confined_in_all_threads(self):
        self.confined("echo", "-u", "-v")

    @needs_landlock
    def test_listen_is_confined_in_all_threads(self):
        self.confined("listen", "-v")

    @needs_landlock
    def test_listen_for_many_is_confined_in_all_threads(self):
        self.confined("listen", "-k", "-v")

    @needs_landlock
    def test_listen_for_datagrams_is_confined_in_all_threads(self):
        self.confined("listen", "-u", "-v")

    @needs_landlock
    def test_receive_is_confined_in_all_threads(self):
        self.confined("receive", "-v", last=[f"{self.folder}/copy"], removes=True)

    @needs_landlock
    def test_proxy_is_confined_in_all_threads_and_reaches_its_target_alone(self):
        port = self.listen().getsockname()[1]
        program = self.confined("proxy", "-v", last=[f"127.0.0.1:{port}"])
        self.assertEqual(self.tried(program.pid, self.connecting(port)), [{0}])

    @needs_landlock
    def test_a_proxy_to_a_name_reads_what_names_need_and_nothing_else(self):
        port = self.listen().getsockname()[1]
        program, _ = self.serving("proxy", "-v", "127.0.0.1:0", f"localhost:{port}")
        calls = [*self.opening(), f'open("/etc/hosts", {os.O_WRONLY})',
                 f'open("/etc/pier-new", {os.O_WRONLY | os.O_CREAT}, 0600)', 'open("/etc/hosts", 0)']
        *denied, allowed = self.tried(program.pid, *calls)
        self.assertEqual(denied, [{-errno.EACCES}] * len(denied))
        self.assertGreaterEqual(min(allowed), 0)

    def test_the_debugger_would_have_seen_it(self):
        """The same questions to a proxy that keeps its rights."""
        program = self.start(PIER, "proxy", "--unconfined", "127.0.0.1:0", ":1")
        program.line()
        opened, connected = self.tried(program.pid, f'open("{self.secret}", {os.O_RDWR})',
                                       self.connecting(self.refusing_port()))
        self.assertGreaterEqual(min(opened), 0)
        self.assertEqual(connected, {-errno.ECONNREFUSED})

    @needs_landlock
    def test_a_listener_whose_path_is_gone_may_not_even_remove_files(self):
        for kind, expected in ((["-k"], {0, -errno.ENOENT}), ([], {-errno.EACCES})):
            path = self.folder / f"s{len(kind)}"
            program, _ = self.serving("listen", "-v", *kind, f"unix:{path}", stdin=subprocess.PIPE)
            client = self.made_unix(str(path))
            wait_until(lambda: "connection from" in program.errors, "nobody came")
            wait_until(lambda: kind or not path.exists(), "its path stays")
            (self.folder / "other").write_text("")
            answers, = self.tried(program.pid, f'unlink("{self.folder}/other")')
            self.assertLessEqual(answers, expected)
            client.close()
            program.close()

    def swapped(self, tracer=()):
        """A receiver whose folder has become a link to another one, which has a partial file, too."""
        mine, other = self.folder / "mine", self.folder / "other"
        mine.mkdir()
        other.mkdir()
        (other / ".copy.pier-part").write_text("of somebody else")
        server, address = self.serving("receive", "-v", "127.0.0.1:0", f"{mine}/copy", tracer=tracer)
        mine.rename(self.folder / "moved")
        mine.symlink_to("other")
        sent = self.run_program(PIER, "send", self.secret, address)
        return sent, server, sorted(os.listdir(other))

    @needs_landlock
    def test_a_file_takes_its_name_in_the_folder_that_it_was_meant_for_only(self):
        sent, server, files = self.swapped()
        self.assertEqual((sent[0], server.wait()), (1, 1))
        self.assertIn("Permission denied", server.errors)
        self.assertIn("Permission denied", sent[2])
        self.assertEqual(files, [".copy.pier-part"])

    def test_all_threads_gain_no_privileges(self):
        for verb, words in self.each_verb():
            program, _ = self.serving(verb, *words)
            self.assertTrue(self.no_new_privs(program.pid), verb)
            program.close()


class Needs(Confined):
    """What the verbs must go on doing; their own tests run confined as well."""

    def test_a_proxy_finds_its_target_by_name_and_by_service(self):
        with open("/etc/services") if os.path.exists("/etc/services") else self.secret.open() as file:
            services = re.findall(r"(?m)^([a-z]+)\s+([1-9]\d{3,4})/tcp", file.read())
        targets = []
        for name, port in services:
            s = socket.socket()
            self.addCleanup(s.close)
            try:
                s.bind(("127.0.0.1", int(port)))
            except OSError:
                continue
            s.listen()
            s.settimeout(PATIENCE)
            targets = [(s, f"127.0.0.1:{name}"), (s, f"localhost:{name}")]
            break
        s = self.listen()
        port = s.getsockname()[1]
        for server, target in [*targets, (s, f"localhost:{port}"), (s, f"127.0.0.1:{port}"), (s, f":{port}")]:
            for options in ([], ["--unconfined"]):
                proxy = self.start(PIER, "proxy", *options, "127.0.0.1:0", target)
                client = self.connect(port_of(proxy.line()))
                there = self.accept(server)
                client.sendall(b"hello")
                self.assertEqual(there.recv(10), b"hello", target)
                proxy.close()

    @needs_landlock
    def test_nothing_that_a_resolver_asks_for_is_denied(self):
        if sanitized():
            self.skipTest("a sanitized program is not traced")
        trace = self.folder / "trace"
        proxy = self.start(self.tool("strace"), "-D", "-f", "-qq", "-o", trace, PIER, "proxy", "127.0.0.1:0",
                           "no-such-host.invalid:1234")
        with self.assertRaises(ConnectionResetError):
            self.connect(port_of(proxy.line())).recv(1)
        wait_until(lambda: "no-such-host.invalid" in proxy.errors, "it was not looked up")
        text = trace.read_text()
        self.assertRegex(text, r"landlock_restrict_self\(\d+, 0\) += 0")
        self.assertRegex(text, r'openat\([^)]*"/etc/hosts"[^)]*\) += \d')
        self.assertNotIn("EACCES", text)

    def test_a_proxy_reaches_unix_targets(self):
        for path, target in ((f"{self.folder}/s", f"unix:{self.folder}/s"),
                             (f"\0pier-{os.getpid()}", f"unix:@pier-{os.getpid()}")):
            server = self.listen(socket.AF_UNIX, path)
            proxy = self.start(PIER, "proxy", "127.0.0.1:0", target)
            client = self.connect(port_of(proxy.line()))
            there = self.accept(server)
            there.sendall(b"hello")
            there.shutdown(socket.SHUT_WR)
            self.assertEqual(read_all(client), b"hello")

    def test_datagrams_are_answered_to_abstract_names(self):
        for address, name in ((f"{self.folder}/e", f"unix:{self.folder}/e"),
                              (f"\0pier-e{os.getpid()}", f"unix:@pier-e{os.getpid()}")):
            echo = self.start(PIER, "echo", "-u", name)
            echo.line()
            for mine in (f"\0pier-c{os.getpid()}", f"{self.folder}/c{len(address)}"):
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
                    s.settimeout(PATIENCE)
                    s.bind(mine)
                    s.sendto(b"hello", address)
                    self.assertEqual(s.recv(10), b"hello")
            echo.kill(signal.SIGTERM)
            self.assertEqual(echo.wait(), 0)
            listener = self.start(PIER, "listen", "-u", "-v", name, stdin=subprocess.PIPE)
            listener.error_line()
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
                s.settimeout(PATIENCE)
                s.bind(f"\0pier-d{os.getpid()}")
                s.sendto(b"hello", address)
                wait_until(lambda: listener.said == b"hello", "nothing came")
                listener.stdin.write(b"answer")
                listener.stdin.flush()
                self.assertEqual(s.recv(10), b"answer")
            listener.close()
            if not address.startswith("\0"):
                os.unlink(address)  # it was killed

    def test_paths_are_removed_wherever_they_are(self):
        (self.folder / "below").mkdir()
        for path in ("s", "./s", "below/s", f"{self.folder}/s"):
            for verb, last in (("greet", []), ("echo", []), ("proxy", [":1"]), ("listen", ["-k"])):
                program, _ = self.serving(verb, *(["-v"] if verb != "greet" else []), f"unix:{path}", *last,
                                          cwd=self.folder)
                self.assertTrue((self.folder / path).exists())
                if verb == "listen":  # which takes signals only when it takes clients
                    self.made_unix(str(self.folder / path)).close()
                    wait_until(lambda: "connection from" in program.errors, "nobody came")
                program.kill(signal.SIGTERM)
                self.assertEqual(program.wait(), 0, program.errors)
                self.assertFalse((self.folder / path).exists())

    def test_a_file_is_received_into_any_folder(self):
        (self.folder / "below").mkdir()
        for name in ("copy", "./copy", "below/copy", f"{self.folder}/below/../copy"):
            program, _ = self.serving("receive", "-v", "unix:s", name, cwd=self.folder)
            status, _, errors = self.run_program(PIER, "send", self.secret, f"unix:{self.folder}/s")
            self.assertEqual((status, program.wait(), errors), (0, 0, ""), program.errors)
            self.assertEqual((self.folder / name).read_text(), "secret")
            (self.folder / name).unlink()
        self.assertEqual(sorted(os.listdir(self.folder)), ["below", "secret"])


class Kernels(Confined):
    def tracer(self, *injections):
        if sanitized():
            self.skipTest("a sanitized program is not traced")
        command = [self.tool("strace"), "-D", "-f", "-qq", "-o", self.folder / "trace",
                   "-e", "trace=/landlock|prctl"]
        for injection in injections:
            command += ["-e", f"inject={injection}"]
        if subprocess.run([*command, "true"], capture_output=True).returncode:
            self.skipTest("strace cannot trace here")
        return command

    def echoes(self, *injections):
        """What echo says on stderr about it, under a kernel that answers so."""
        program = self.start(*self.tracer(*injections), PIER, "echo", "-v", "127.0.0.1:0")
        client = self.connect(port_of(program.line()))
        client.sendall(b"hello")
        self.assertEqual(client.recv(10), b"hello")
        client.close()
        line = program.error_line()
        program.close()
        return line

    def test_a_kernel_without_it_or_with_it_switched_off_serves_as_well(self):
        for call, error in (("landlock_create_ruleset", "ENOSYS"), ("landlock_create_ruleset", "EOPNOTSUPP"),
                            ("landlock_create_ruleset", "EPERM"), ("landlock_restrict_self", "E2BIG")):
            if VERSION < 1 and call != "landlock_create_ruleset":
                continue
            self.assertEqual(self.echoes(f"{call}:error={error}"), "pier echo: not confined: this kernel has "
                             f"no Landlock for us: {os.strerror(getattr(errno, error))}")

    def test_it_is_silent_unless_it_is_asked(self):
        program = self.start(*self.tracer("landlock_create_ruleset:error=ENOSYS"), PIER, "greet", "127.0.0.1:0")
        self.assertEqual(read_all(self.connect(port_of(program.line()))), b"Thank you for connecting")
        self.assertEqual(program.errors, "")
        self.assertIn("PR_SET_NO_NEW_PRIVS", (self.folder / "trace").read_text())

    @needs_landlock
    def test_older_and_newer_kernels_are_asked_for_what_they_know(self):
        files = {1: 0x1fff, 2: 0x3fff, 3: 0x7fff, 4: 0x7fff, 5: 0xffff, 6: 0xffff, 99: 0xffff}
        for version, expected in files.items():
            if version > VERSION and not (version == 99 and VERSION >= 6):
                continue
            line = self.echoes(f"landlock_create_ruleset:retval={version}:when=1")
            ports = "any TCP port" if version < 4 else "no TCP connection"
            self.assertEqual(line, f"pier echo: confined by Landlock {version}: no file, {ports}")

    @needs_landlock
    def test_each_verb_tells_what_holds(self):
        port = self.listen().getsockname()[1]
        tcp = VERSION >= 4
        for verb, last, expected in (
                ("echo", [], "no file, no TCP connection"), ("listen", [], "no file, no TCP connection"),
                ("receive", [f"{self.folder}/x"], "only rename in FILE's folder, no TCP connection"),
                ("proxy", [f"127.0.0.1:{port}"], f"no file, TCP to port {port}"),
                ("proxy", [f"localhost:{port}"], f"only read what names need, TCP to port {port}"),
                ("proxy", [f"unix:{self.folder}/s"], "no file, no TCP connection")):
            program, _ = self.serving(verb, "-v", "127.0.0.1:0", *last)
            if not tcp:
                expected = expected.split(", ")[0] + ", any TCP port"
            self.assertRegex(program.errors, rf"(?m)^pier {verb}: confined by Landlock \d+: {expected}$")
            self.assertEqual(program.errors.count("confined"), 1)
            program.close()

    def test_without_it_a_swapped_folder_would_have_been_followed(self):
        """So that the test above shows what it means to."""
        Rights.swapped(self, self.tracer("landlock_create_ruleset:error=ENOSYS"))
        self.assertTrue((self.folder / "other/copy").exists())


if __name__ == "__main__":
    programs.main()
