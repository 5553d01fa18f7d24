#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The command pier, run for real: against itself, ncat, socat, and against peers that do what no
peer should."""
import contextlib
import os
import pathlib
import pty
import re
import signal
import socket
import subprocess
import termios
import threading
import time

import programs
from programs import PATIENCE, PIER, checksum, port_of, read_all, reset, wait_until

THANKS = b"Thank you for connecting"
BIG = 50_000_000


class Command(programs.Web):
    """What holds for every verb."""

    def verbs(self):
        """All of them, as pier --help lists them."""
        return re.findall(r"(?m)^  (\w+) +\w", self.run_program(PIER, "--help")[1].decode())

    def test_help_begins_with_an_example(self):
        verbs = self.verbs()
        self.assertIn("connect", verbs)
        for words in [["--help"], ["-h"], ["help"]] + \
                [[verb, option] for verb in verbs for option in ("--help", "-h")]:
            status, said, errors = self.run_program(PIER, *words)
            self.assertEqual((status, errors), (0, ""), words)
            self.assertTrue(said.startswith(b"    pier "), words)
            self.assertIn(b"usage: pier ", said)

    def test_help_of_a_verb_may_be_asked_for_in_two_ways(self):
        self.assertEqual(self.run_program(PIER, "help", "get"),
                         self.run_program(PIER, "get", "--help"))

    def test_version_is_the_librarys(self):
        header = (programs.TOP / "include/pier/version.h").read_text()
        version = header.split('define PIER_VERSION       "')[1].split('"')[0]
        for backend in ("epoll", "thread", ""):
            status, said, errors = self.run_program(PIER, "--version", env={"PIER_BACKEND": backend})
            self.assertEqual((status, errors), (0, ""))
            self.assertRegex(said.decode(), rf"^pier {re.escape(version)}, tasks wait with "
                             rf"{backend if backend == 'epoll' else '(epoll|uring)'}\n$")

    def test_help_tells_of_every_option_and_operand_of_its_usage(self):
        for verb in self.verbs():
            said = self.run_program(PIER, verb, "--help")[1].decode()
            usage = re.search(r"usage: pier ((?:.+\n)+)", said).group(1)
            for option, letter in re.findall(r"\[(--?(\w)[\w-]*)", usage):
                self.assertRegex(said, rf"(?m)^  {option}[ ,]", verb)
            for operand in re.sub(r"\[-[^]]*\]", "", usage).split()[1:]:
                self.assertRegex(said, rf"(?m)^  {re.escape(operand)} ", verb)
            for line in said.split("\n"):
                self.assertLessEqual(len(line), 100, f"{verb}: {line}")

    def test_the_help_of_a_verb_tells_what_its_files_table_says_in_order(self):
        for verb in self.verbs():
            said = self.run_program(PIER, verb, "--help")[1].decode()
            listed = re.findall(r"(?m)^  (?:-(\w), |    )?--([\w-]+)", said)
            self.assertEqual(listed[-1], ("h", "help"), verb)
            letters = [letter for letter, _ in listed if letter]
            self.assertEqual(len(letters), len(set(letters)), f"{verb} has a letter twice")
            self.assertEqual(len(listed), len(set(listed)), f"{verb} has a name twice")

    def coloured(self, *words, **env):
        """Does what stands on a terminal hold an escape sequence?"""
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        self.run_program(PIER, *words, stdout=slave, env={"TERM": "xterm", "NO_COLOR": "", **env})
        os.close(slave)
        return b"\x1b[" in os.read(master, 65536)

    def test_colours_are_for_terminals_that_want_them(self):
        for words in [["--help"], ["get", "--help"]]:
            self.assertTrue(self.coloured(*words))
            self.assertFalse(self.coloured(*words, NO_COLOR="1"))
            self.assertFalse(self.coloured(*words, TERM="dumb"))
            self.assertNotIn(b"\x1b", self.run_program(PIER, *words, env={"TERM": "xterm"})[1])

    def test_a_reader_of_the_help_may_leave(self):
        reader, writer = os.pipe()
        os.close(reader)
        program = self.start(PIER, "--help", stdout=writer)
        os.close(writer)
        self.assertEqual((program.wait(), program.errors), (-signal.SIGPIPE, ""))

    def test_without_a_verb_it_tells_of_them_and_fails(self):
        status, said, errors = self.run_program(PIER)
        self.assertEqual((status, said), (2, b""))
        self.assertIn("connect", errors)

    def test_misuse_is_status_2_and_one_line(self):
        for line, expected in {
            "frobnicate": "there is no verb frobnicate",
            "help frobnicate": "there is no verb frobnicate",
            "greet": "the ADDRESS is missing",
            "get": "the URL is missing",
            "listen :1 :2": ":2 is one too many",
            "get http://a/ http://b/": "http://b/ is one too many",
            "connect --frob :1": "there is no option --frob",
            "connect -z :1": "there is no option -z",
            "connect -vz :1": "there is no option -z",
            "connect --source nowhere :1": "nowhere: malformed address",
            "listen -u -k :1": "-k is too much",
            "listen -m 2 :1": "without -k there is one client",
            "listen -k -m 0 :1": "0 is no number above 0",
            "listen -k -m 1K :1": "1K is no number above 0",
            "connect --verbose=3 :1": "--verbose=3 takes no value",
            "connect :1 -w": "-w needs a value",
            "get http://a/ --output": "--output needs a value",
            "get -w 0 http://a/": "0 is no number of seconds above 0",
            "get -w -1 http://a/": "-1 is no number of seconds above 0",
            "get -w nan http://a/": "nan is no number of seconds above 0",
            "listen -w 2x :1": "2x is no number of seconds above 0",
            "bench echo -r 1000000001 :1": "1000000001 requests a second are too many",
            "listen 12345": "12345: malformed address",
            "listen :65536": ":65536: port must be 0-65535",
            "connect localhost:80abc": "localhost:80abc: port must be 0-65535",
            "connect ::1:80": "::1:80: malformed address",
            "connect unix:" + "x" * 108: "AF_UNIX path too long",
            "get https://a/": "https is not spoken yet, only http",
            "get HTTPS://a/": "https is not spoken yet, only http",
            "get ftp://a/": "only http is spoken here",
            "get http://": "it names no host",
            "get http://:80/": "it names no host",
            "get http://a:0/": "the port is not between 1 and 65535",
            "get http://a:65536/": "the port is not between 1 and 65535",
            "get http://a:80abc/": "the port is no number",
            "get http://a:99999999999999999999999/": "the port is no number",
            "get http://user:secret@a/": "a user in a URL is not taken here",
            "get http://[::1/": "a bracket is missing",
            "get http://[::1]x/": "only a port may follow the bracket",
            "get http://[hello]/": "that is no IPv6 address",
            "get http://a<b/": "a character that no host has",
            "get http://\u00fc.example/": "xn--",
            "get http://" + "a" * 300 + "/": "the host is too long",
            "get http://a/" + "a" * 9000: "it is too long",
        }.items():
            status, said, errors = self.run_program(PIER, *line.split(" "))
            self.assertEqual((status, said), (2, b""), line)
            self.assertIn(expected, errors, line)
            self.assertRegex(errors, r"^pier( \w+)?: [^\n]* --help shows how\)\n$", line)

    def test_misuse_quotes_no_control_characters(self):
        for words in [["\x1b[31m"], ["get", "--\x1b[31m"], ["get", "http://a\x1b/"],
                      ["get", "http://a/\x1b"], ["connect", "a\nb:1"], ["get", "-w", "\x1b", "a"]]:
            status, _, errors = self.run_program(PIER, *words)
            self.assertEqual(status, 2, words)
            self.assertNotIn("\x1b", errors)
            self.assertEqual(errors.count("\n"), 1)

    def test_help_that_cannot_be_written_is_a_failure(self):
        for words in [["--help"], ["--version"], ["get", "--help"]]:
            status, _, errors = self.run_program(PIER, *words, stdout=self.open("/dev/full", "wb"))
            self.assertEqual(status, 1)
            self.assertIn("No space left on device", errors)

    def closed(self, *descriptors):
        def close():
            for fd in descriptors:
                os.close(fd)
        return close

    def test_closed_standard_streams_do_not_become_sockets(self):
        url = self.answers(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage")
        target = self.folder / "page"
        status, _, _ = self.run_program(PIER, "get", "-o", target, url, preexec_fn=self.closed(0, 1, 2))
        self.assertEqual(status, 0)
        self.assertEqual(target.read_text(), "page")

    def test_closed_stdout_is_a_failure_that_reaches_no_peer(self):
        server = self.listen()
        client = self.start(PIER, "connect", "127.0.0.1:%d" % server.getsockname()[1],
                            preexec_fn=self.closed(0, 1))
        connection = self.accept(server)
        connection.sendall(b"hello")
        self.assertEqual(client.wait(), 1)
        self.assertIn("standard output: Bad file descriptor", client.errors)
        with contextlib.suppress(ConnectionResetError):
            self.assertEqual(read_all(connection), b"")

    def test_closed_stdin_is_an_end(self):
        port = self.serve(lambda connection, _: connection.sendall(read_all(connection) + b"end"))
        status, said, errors = self.run_program(PIER, "connect", f"127.0.0.1:{port}",
                                                preexec_fn=self.closed(0))
        self.assertEqual((status, said, errors), (0, b"end", ""))


class Greet(programs.Case):
    def greeter(self, address="127.0.0.1:0"):
        server = self.start(PIER, "greet", address)
        return server, server.line()

    def test_greet_thanks_each_client(self):
        server, line = self.greeter()
        self.assertRegex(line, r"^socket is listening on 127\.0\.0\.1:[1-9]\d*$")
        for _ in range(3):
            self.assertEqual(read_all(self.connect(port_of(line))), THANKS)
            self.assertRegex(server.line(), r"^Got connection from 127\.0\.0\.1:\d+$")

    def test_greet_greets_both_families_at_a_bare_port(self):
        if not programs.has_ipv6():
            self.skipTest("no IPv6 here")
        server, line = self.greeter(":0")
        for host, text in [("127.0.0.1", r"127\.0\.0\.1"), ("::1", r"\[::1\]")]:
            self.assertEqual(read_all(self.connect(port_of(line), host)), THANKS)
            self.assertRegex(server.line(), rf"^Got connection from {text}:\d+$")

    def test_greet_greets_over_a_unix_socket_and_removes_it(self):
        path = self.folder / "s"
        server, line = self.greeter(f"unix:{path}")
        self.assertEqual(line, f"socket is listening on unix:{path}")
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(PATIENCE)
            s.connect(str(path))
            self.assertEqual(read_all(s), THANKS)
        server.kill(signal.SIGINT)
        self.assertEqual(server.wait(), 0)
        self.assertFalse(path.exists())

    def test_greet_ends_on_ctrl_c_and_on_sigterm(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            server, line = self.greeter()
            self.assertEqual(read_all(self.connect(port_of(line))), THANKS)
            server.kill(number)
            self.assertEqual((server.wait(), server.errors), (0, ""))

    def test_greet_survives_clients_that_reset(self):
        server, line = self.greeter()
        server.kill(signal.SIGSTOP)
        for _ in range(20):
            reset(self.connect(port_of(line)))
        server.kill(signal.SIGCONT)
        self.assertEqual(read_all(self.connect(port_of(line))), THANKS)

    def test_greet_tells_that_its_address_is_in_use(self):
        _, line = self.greeter()
        port = port_of(line)
        status, said, errors = self.run_program(PIER, "greet", f"127.0.0.1:{port}")
        self.assertEqual((status, said), (1, b""))
        self.assertRegex(errors, rf"^pier greet: .*127\.0\.0\.1:{port}.*: Address already in use")

    def test_greet_greets_pythons_client(self):
        _, line = self.greeter()
        self.assertEqual(self.run_program(*programs.seed("greeting_client"), port_of(line)),
                         (0, THANKS + b"\n", ""))


class Talk(programs.Case):
    """listen and connect."""

    def listener(self, *options, address="127.0.0.1:0", **more):
        """A pier listen, and the address at which it does."""
        server = self.start(PIER, "listen", *options, address, **more)
        line = server.error_line()
        self.assertRegex(line, r"^pier listen: listening on ")
        return server, line.removeprefix("pier listen: listening on ")

    def copy(self, name):
        path = self.folder / name
        return path, self.open(path, "wb")

    def exchange(self, listen_command, connect_command, size):
        """Both send `size` bytes at once; both must end well, and hold what the other sent."""
        sent = [self.random_file("from_listener", size), self.random_file("from_client", size)]
        got, files = zip(self.copy("at_listener"), self.copy("at_client"))
        listener, address = listen_command(self.open(sent[0], "rb"), files[0])
        client = connect_command(address, self.open(sent[1], "rb"), files[1])
        for program in (client, listener):
            self.assertEqual(program.wait(), 0, f"{program}: {program.errors}")
        self.assertEqual(checksum(got[0]), checksum(sent[1]))
        self.assertEqual(checksum(got[1]), checksum(sent[0]))

    def ours_listening(self, stdin, stdout):
        return self.listener(stdin=stdin, stdout=stdout)

    def ours_connecting(self, address, stdin, stdout):
        return self.start(PIER, "connect", address, stdin=stdin, stdout=stdout)

    def test_50_megabytes_go_both_ways_at_once(self):
        self.exchange(self.ours_listening, self.ours_connecting, BIG)

    def test_50_megabytes_go_both_ways_over_a_unix_socket(self):
        path = self.folder / "s"

        def listening(stdin, stdout):
            return self.listener("-v", address=f"unix:{path}", stdin=stdin, stdout=stdout)

        self.exchange(listening, self.ours_connecting, BIG)
        self.assertFalse(path.exists())

    def test_megabytes_go_both_ways_with_ncat_as_the_client(self):
        ncat = self.tool("ncat")

        def connecting(address, stdin, stdout):
            return self.start(ncat, *address.rsplit(":", 1), stdin=stdin, stdout=stdout)

        self.exchange(self.ours_listening, connecting, 20_000_000)

    def test_megabytes_go_both_ways_with_socat_as_the_client(self):
        socat = self.tool("socat")

        def connecting(address, stdin, stdout):
            return self.start(socat, "-t", PATIENCE, "-", "TCP:" + address, stdin=stdin, stdout=stdout)

        self.exchange(self.ours_listening, connecting, 20_000_000)

    def foreign_listener(self, command, stdin, stdout):
        port = self.unused_port()
        program = self.start(*command(port), stdin=stdin, stdout=stdout)
        wait_until(lambda: f":{port:04X} 00000000:0000 0A" in
                   pathlib.Path("/proc/net/tcp").read_text(), f"{program} does not listen")
        return program, f"127.0.0.1:{port}"

    def test_megabytes_go_both_ways_with_ncat_as_the_server(self):
        ncat = self.tool("ncat")
        self.exchange(lambda stdin, stdout: self.foreign_listener(
            lambda port: (ncat, "-l", "127.0.0.1", port), stdin, stdout),
            self.ours_connecting, 20_000_000)

    def test_megabytes_go_both_ways_with_socat_as_the_server(self):
        socat = self.tool("socat")
        self.exchange(lambda stdin, stdout: self.foreign_listener(
            lambda port: (socat, "-t", PATIENCE, "-", f"TCP-LISTEN:{port},bind=127.0.0.1"),
            stdin, stdout), self.ours_connecting, 20_000_000)

    def test_every_byte_passes_through_unchanged(self):
        data = bytes(range(256)) * 100 + b"\r\n\0\r\xff\xfe\x1b[31m"
        port = self.serve(lambda connection, _: connection.sendall(read_all(connection)))
        self.assertEqual(self.run_program(PIER, "connect", f"127.0.0.1:{port}", input=data),
                         (0, data, ""))

    def test_connect_is_silent_and_tells_more_when_asked(self):
        port = self.serve(lambda connection, _: None, clients=2)
        self.assertEqual(self.run_program(PIER, "connect", f"127.0.0.1:{port}"), (0, b"", ""))
        self.assertEqual(self.run_program(PIER, "connect", "-v", f"127.0.0.1:{port}"),
                         (0, b"", f"pier connect: connected to 127.0.0.1:{port}\n"))

    def test_listen_is_silent_at_a_given_port_and_tells_more_when_asked(self):
        for options in [[], ["-v"]]:
            port = self.unused_port()
            server = self.start(PIER, "listen", *options, f"127.0.0.1:{port}")
            client = socket.socket()
            self.addCleanup(client.close)
            wait_until(lambda: client.connect_ex(("127.0.0.1", port)) == 0, "it does not listen")
            client.sendall(b"hello")
            client.close()
            self.assertEqual((server.wait(), server.said), (0, b"hello"))
            self.assertEqual("connection from 127.0.0.1:" in server.errors, options == ["-v"])
            self.assertEqual(server.errors == "", options == [])

    def test_listen_takes_one_client_only(self):
        server, address = self.listener(stdin=subprocess.PIPE)
        first = self.connect(port_of(address))
        first.sendall(b"first\n")
        self.assertEqual(server.line(), "first")
        with self.assertRaises(ConnectionRefusedError):
            self.connect(port_of(address))

    def test_listen_removes_its_unix_socket_as_soon_as_the_client_is_there(self):
        path = self.folder / "s"
        server, _ = self.listener("-v", address=f"unix:{path}", stdin=subprocess.PIPE)
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(path))
            s.sendall(b"here\n")
            self.assertEqual(server.line(), "here")
            self.assertFalse(path.exists())

    def test_end_of_stdin_is_told_and_the_answer_still_read(self):
        def answer(connection, _):
            question = read_all(connection)
            time.sleep(0.2)
            connection.sendall(b"you said " + question)

        port = self.serve(answer)
        self.assertEqual(self.run_program(PIER, "connect", f"127.0.0.1:{port}", input=b"hello"),
                         (0, b"you said hello", ""))

    def test_end_of_the_peer_does_not_end_the_sending(self):
        received = []

        def listen_on(connection, _):
            connection.sendall(b"I am done")
            connection.shutdown(socket.SHUT_WR)
            received.append(read_all(connection))

        port = self.serve(listen_on)
        client = self.start(PIER, "connect", f"127.0.0.1:{port}", stdin=subprocess.PIPE)
        wait_until(lambda: client.said == b"I am done", "nothing came")
        for part in (b"but ", b"I ", b"am ", b"not"):
            client.stdin.write(part)
            client.stdin.flush()
            time.sleep(0.05)
        client.stdin.close()
        self.assertEqual((client.wait(), client.errors), (0, ""))
        wait_until(lambda: received, "it did not all arrive")
        self.assertEqual(received, [b"but I am not"])

    def test_each_line_goes_out_at_once(self):
        server, address = self.listener(stdin=subprocess.PIPE)
        client = self.start(PIER, "connect", address, stdin=subprocess.PIPE)
        for speaker, hearer in [(client, server), (server, client)] * 3:
            speaker.stdin.write(b"hello\n")
            speaker.stdin.flush()
            self.assertEqual(hearer.line(), "hello")
        client.stdin.close()
        server.stdin.close()
        self.assertEqual((client.wait(), server.wait()), (0, 0))

    def test_a_peer_that_resets_is_a_failure_with_its_name(self):
        server = self.listen()
        port = server.getsockname()[1]
        client = self.start(PIER, "connect", f"127.0.0.1:{port}", stdin=subprocess.PIPE)
        connection = self.accept(server)
        connection.sendall(b"almo")
        wait_until(lambda: client.said == b"almo", "nothing came")
        reset(connection)
        self.assertEqual(client.wait(), 1)
        self.assertRegex(client.errors,
                         rf"^pier connect: .*127\.0\.0\.1:{port}: Connection reset by peer\n$")

    def test_what_came_before_a_broken_send_is_still_written(self):
        def answer(connection, _):
            connection.sendall(b"x" * 100_000)
            connection.recv(1)

        port = self.serve(answer)
        client = self.start(PIER, "connect", f"127.0.0.1:{port}", stdin=self.open("/dev/zero", "rb"))
        self.assertEqual(client.wait(), 1)
        self.assertLessEqual(len(client.said), 100_000)
        self.assertRegex(client.errors, r"^pier connect: .*(Connection reset|Broken pipe)")

    def test_a_killed_peer_is_noticed(self):
        server, address = self.listener(stdin=subprocess.PIPE)
        client = self.start(PIER, "connect", address, stdin=self.open("/dev/zero", "rb"),
                            stdout=subprocess.DEVNULL)
        wait_until(lambda: server.said, "nothing came")
        server.kill()
        self.assertEqual(client.wait(), 1)
        self.assertRegex(client.errors, r"(Connection reset by peer|Broken pipe)\n$")

    def test_a_peer_that_is_gone_from_a_unix_socket_ends_an_idle_stdin(self):
        path = self.folder / "s"
        server = self.listen(socket.AF_UNIX, str(path))
        client = self.start(PIER, "connect", f"unix:{path}", stdin=subprocess.PIPE)
        connection = self.accept(server)
        connection.sendall(b"bye\n")
        connection.close()
        self.assertEqual((client.wait(), client.said), (0, b"bye\n"))

    def test_nobody_listening_is_a_failure_with_the_address(self):
        port = self.refusing_port()
        status, said, errors = self.run_program(PIER, "connect", f"127.0.0.1:{port}")
        self.assertEqual((status, said), (1, b""))
        self.assertRegex(errors, rf"^pier connect: .*127\.0\.0\.1:{port}.*: Connection refused\n$")

    def test_a_name_that_is_not_there_is_a_failure_with_the_name(self):
        status, said, errors = self.run_program(PIER, "connect", "nowhere.invalid:80")
        self.assertEqual((status, said), (1, b""))
        self.assertIn("nowhere.invalid:80", errors)

    def test_a_reader_that_leaves_ends_it(self):
        reader, writer = os.pipe()
        client = self.start(PIER, "connect", "127.0.0.1:%d" % self.flood(), stdin=subprocess.PIPE,
                            stdout=writer)
        os.close(writer)
        os.read(reader, 100)
        os.close(reader)
        self.assertEqual(client.wait(), -signal.SIGPIPE)

    def test_a_reader_that_leaves_is_an_error_where_sigpipe_is_ignored(self):
        reader, writer = os.pipe()
        client = self.start(PIER, "connect", "127.0.0.1:%d" % self.flood(), stdin=subprocess.PIPE,
                            stdout=writer, restore_signals=False)
        os.close(writer)
        os.read(reader, 100)
        os.close(reader)
        self.assertEqual(client.wait(), 1)
        self.assertEqual(client.errors, "pier connect: standard output: Broken pipe\n")

    def flood(self):
        """The port of a server that sends until nobody listens."""
        def pour(connection, _):
            with contextlib.suppress(OSError):
                while True:
                    connection.sendall(b"x" * 65536)
        return self.serve(pour)

    def test_a_full_disk_is_a_failure(self):
        status, _, errors = self.run_program(PIER, "connect", "127.0.0.1:%d" % self.flood(),
                                             stdout=self.open("/dev/full", "wb"))
        self.assertEqual(status, 1)
        self.assertEqual(errors, "pier connect: standard output: No space left on device\n")

    def test_a_stdin_that_cannot_be_read_is_a_failure(self):
        fd = os.open(self.folder, os.O_RDONLY)
        self.addCleanup(os.close, fd)
        server = self.listen()
        status, _, errors = self.run_program(
            PIER, "connect", "127.0.0.1:%d" % server.getsockname()[1], stdin=fd)
        self.assertEqual(status, 1)
        self.assertEqual(errors, "pier connect: standard input: Is a directory\n")

    def test_standard_streams_that_do_not_block_are_waited_for(self):
        path = self.random_file("file", 3_000_000)
        ends = socket.socketpair()
        for end in ends:
            self.addCleanup(end.close)
        ends[0].setblocking(False)
        port = self.serve(lambda connection, _: connection.sendall(read_all(connection)))
        client = self.start(PIER, "connect", f"127.0.0.1:{port}", stdin=ends[0], stdout=ends[0])
        ends[0].close()
        data, got = path.read_bytes(), []
        reader = threading.Thread(target=lambda: got.append(read_all(ends[1])), daemon=True)
        reader.start()
        for begin in range(0, len(data), 500_000):
            ends[1].sendall(data[begin:begin + 500_000])
            time.sleep(0.02)
        ends[1].shutdown(socket.SHUT_WR)
        self.assertEqual((client.wait(), client.errors), (0, ""))
        reader.join(PATIENCE)
        self.assertEqual(got, [data])

    def position(self, program):
        """How much of its stdin, a file, a program has read."""
        return int(pathlib.Path(f"/proc/{program.pid}/fdinfo/0").read_text().split()[1])

    def test_a_peer_that_does_not_read_stops_the_reading_of_stdin(self):
        server = self.listen()
        client = self.start(PIER, "connect", "127.0.0.1:%d" % server.getsockname()[1],
                            stdin=self.open(self.random_file("file", BIG), "rb"))
        connection = self.accept(server)
        positions = [-1, 0]
        while positions[-1] != positions[-2]:
            time.sleep(0.3)
            positions.append(self.position(client))
        self.assertLess(positions[-1], BIG / 2)
        self.assertEqual(len(read_all_of(connection, BIG)), BIG)

    def test_a_slow_reader_of_stdout_does_not_stop_the_sending(self):
        server = self.listen()
        path = self.random_file("file", 20_000_000)
        reader, writer = os.pipe()
        client = self.start(PIER, "connect", "127.0.0.1:%d" % server.getsockname()[1],
                            stdin=self.open(path, "rb"), stdout=writer)
        os.close(writer)
        connection = self.accept(server)
        flood = threading.Thread(target=connection.sendall, args=(b"y" * 20_000_000,), daemon=True)
        flood.start()
        self.assertEqual(len(read_all(connection)), 20_000_000)
        got = 0
        while part := os.read(reader, 1 << 20):
            got += len(part)
            if got == 20_000_000:
                connection.shutdown(socket.SHUT_WR)
        os.close(reader)
        self.assertEqual((client.wait(), got), (0, 20_000_000))

    def survivor(self, say):
        """A client that is there still after seven times say(client, connection); and when the last was."""
        server = self.listen()
        while True:
            began = time.monotonic()
            client = self.start(PIER, "connect", "-w", "1.5", "127.0.0.1:%d" % server.getsockname()[1],
                                stdin=subprocess.PIPE)
            connection = self.accept(server)
            silence, last = self.drip(lambda: say(client, connection), 1.5, began)
            if client.process.poll() is None:
                return client, connection, last
            # Unless it was the machine that was silent.
            self.assertGreaterEqual(max(silence, time.monotonic() - last), 1.5, client.errors)

    def test_wait_ends_a_silence_not_before_its_time(self):
        client, _, last = self.survivor(lambda client, connection: connection.sendall(b"."))
        self.assertEqual(client.wait(), 1)
        self.assertGreaterEqual(time.monotonic() - last, 1.5)
        self.assertEqual(client.errors, "pier connect: nothing came or went for 1.5 seconds\n")

    def test_wait_counts_what_is_sent_too(self):
        client, connection, _ = self.survivor(
            lambda client, connection: (client.stdin.write(b"."), client.stdin.flush()))
        self.assertEqual(connection.recv(1), b".")
        self.assertEqual(client.wait(), 1)

    def test_wait_ends_a_peer_that_does_not_read(self):
        server = self.listen()
        client = self.start(PIER, "connect", "-w", "0.4", "127.0.0.1:%d" % server.getsockname()[1],
                            stdin=self.open("/dev/zero", "rb"))
        self.accept(server)
        self.assertEqual(client.wait(), 1)
        self.assertIn("nothing came or went", client.errors)

    def test_wait_ends_an_idle_stdin_after_the_peers_end(self):
        server = self.listen()
        client = self.start(PIER, "connect", "-w", "0.4", "127.0.0.1:%d" % server.getsockname()[1],
                            stdin=subprocess.PIPE)
        connection = self.accept(server)
        connection.shutdown(socket.SHUT_WR)
        self.assertEqual(client.wait(), 1)
        self.assertIn("nothing came or went", client.errors)

    def test_wait_does_not_count_a_slow_reader_of_stdout(self):
        server = self.listen()
        reader, writer = os.pipe()
        client = self.start(PIER, "connect", "-w", "1.5", "127.0.0.1:%d" % server.getsockname()[1],
                            stdout=writer)
        os.close(writer)
        connection = self.accept(server)
        connection.sendall(b"z" * 500_000)
        connection.shutdown(socket.SHUT_WR)
        time.sleep(2)
        got = 0
        while part := os.read(reader, 1 << 20):
            got += len(part)
        os.close(reader)
        self.assertEqual((client.wait(), client.errors, got), (0, "", 500_000))

    def test_wait_ends_listening_when_nobody_comes(self):
        began = time.monotonic()
        server, _ = self.listener("-w", "0.3")
        self.assertEqual(server.wait(), 1)
        self.assertGreaterEqual(time.monotonic() - began, 0.3)
        self.assertIn("Timed out", server.errors)

    def test_stopping_and_going_on_loses_nothing(self):
        path = self.random_file("file", 20_000_000)
        server, address = self.listener(stdout=self.open(self.folder / "copy", "wb"))
        client = self.start(PIER, "connect", address, stdin=self.open(path, "rb"))
        for program in [client, server] * 10:
            program.kill(signal.SIGSTOP)
            time.sleep(0.01)
            program.kill(signal.SIGCONT)
        self.assertEqual((client.wait(), server.wait()), (0, 0))
        self.assertEqual(checksum(self.folder / "copy"), checksum(path))

    def test_interrupted_calls_lose_nothing(self):
        strace = self.tool("strace")
        if subprocess.run([strace, "-o", "/dev/null", "true"], capture_output=True).returncode:
            self.skipTest("strace may not trace here")
        if programs.sanitized():
            self.skipTest("sanitizers and ptrace do not mix")
        data = os.urandom(1_000_000)
        port = self.serve(lambda connection, _: connection.sendall(read_all(connection)))
        storm = [option for call in ("read", "write", "recvfrom", "sendto", "poll", "ppoll", "connect")
                 for option in ("-e", f"inject={call}:error=EINTR:when=3+2")]
        # The loader's own reads come first, and it does not expect to be interrupted.
        storm[1] = "inject=read:error=EINTR:when=40+2"
        status, said, errors = self.run_program(
            strace, "-f", "-o", "/dev/null", *storm, PIER, "connect", f"127.0.0.1:{port}", input=data)
        self.assertEqual((status, errors), (0, ""))
        self.assertEqual(said, data)


def read_all_of(connection, size):
    data = bytearray()
    while len(data) < size and (part := connection.recv(1 << 20)):
        data += part
    return data


class Terminal(programs.Web):
    """Where a user looks at it."""

    def terminal(self):
        master, slave = pty.openpty()
        attributes = termios.tcgetattr(slave)
        attributes[1] &= ~termios.OPOST  # its own additions would hide ours
        termios.tcsetattr(slave, termios.TCSANOW, attributes)
        for fd in (master, slave):
            self.addCleanup(os.close, fd)
        return master, slave

    def shown(self, data, **env):
        """What a terminal gets to see of a peer's bytes."""
        master, slave = self.terminal()
        port = self.serve(lambda connection, _: connection.sendall(data))
        status, _, errors = self.run_program(PIER, "connect", f"127.0.0.1:{port}", stdout=slave,
                                             env=env)
        self.assertEqual((status, errors), (0, ""))
        return os.read(master, 65536)

    def test_text_is_shown_as_it_is(self):
        for text in ["hello\n", "two\r\nlines\r\n", "a\tb\n", "gr\u00fc\u00df dich, \u4e16\u754c \U0001f600\n"]:
            self.assertEqual(self.shown(text.encode()), text.encode())

    def test_control_characters_are_made_harmless(self):
        for data, expected in {
            b"\x1b[31mred\x1b]0;title\x07": rb"\x1b[31mred\x1b]0;title\x07",
            b"over\rwritten\n": b"over\\x0dwritten\n",
            b"\x00\x08\x7f\x9b": rb"\x00\x08\x7f\x9b",
            "\u009b31m".encode(): rb"\xc2\x9b31m",
            b"\xc0\x9b\xe0\x82\x9b\xf5\x80\x80\x80": rb"\xc0\x9b\xe0\x82\x9b\xf5\x80\x80\x80",
            b"\xed\xa0\x80": rb"\xed\xa0\x80",
            b"cut \xe4\xb8": rb"cut \xe4\xb8",
            b"cut \xe4A": rb"cut \xe4A",
            b"end\r": rb"end\x0d",
        }.items():
            self.assertEqual(self.shown(data), expected)

    def test_characters_are_put_together_again(self):
        master, slave = self.terminal()

        def drip(connection, _):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in "\u4e16\r\n\U0001f600".encode():
                connection.sendall(bytes([byte]))
                time.sleep(0.02)

        self.assertEqual(self.run_program(PIER, "connect", f"127.0.0.1:{self.serve(drip)}",
                                          stdout=slave)[0], 0)
        self.assertEqual(os.read(master, 100), "\u4e16\r\n\U0001f600".encode())

    def test_bytes_beyond_ascii_are_harmless_where_the_locale_does_not_know_them(self):
        self.assertEqual(self.shown("\u00fc".encode(), LC_ALL="C"), rb"\xc3\xbc")

    def test_a_page_on_a_terminal_is_harmless_too(self):
        master, slave = self.terminal()
        url = self.answers(b"HTTP/1.1 200 OK\r\n\r\n\x1b[2Jpage\r")
        self.assertEqual(self.run_program(PIER, "get", url, stdout=slave)[0], 0)
        self.assertEqual(os.read(master, 100), rb"\x1b[2Jpage\x0d")

    def test_messages_never_carry_a_peers_control_characters(self):
        for answer in [b"\x1b[31mHello\r\n", b"HTTP/1.1 404 \x1b[31m\r\n\r\n",
                       b"HTTP/1.1 301 x\r\nLocation: http://\x1b[31m/\r\n\r\n",
                       b"HTTP/1.1 200 x\r\nContent-Length: \x1b[31m\r\n\r\n"]:
            status, said, errors = self.run_program(PIER, "get", self.answers(answer))
            self.assertEqual((status, said), (1, b""))
            self.assertIn("\\x1b[31m", errors)
            self.assertNotIn("\x1b", errors)

    def test_a_terminal_as_stdin_ends_with_the_peer(self):
        _, slave = self.terminal()
        port = self.serve(lambda connection, _: connection.sendall(b"bye\n"))
        client = self.start(PIER, "connect", f"127.0.0.1:{port}", stdin=slave)
        self.assertEqual((client.wait(), client.said, client.errors), (0, b"bye\n", ""))

    def test_ctrl_d_at_a_terminal_is_an_end_of_stdin(self):
        master, slave = self.terminal()
        port = self.serve(lambda connection, _: connection.sendall(read_all(connection).upper()))
        client = self.start(PIER, "connect", f"127.0.0.1:{port}", stdin=slave)
        os.write(master, b"hello\n\x04")
        self.assertEqual((client.wait(), client.said), (0, b"HELLO\n"))


if __name__ == "__main__":
    programs.main()
