#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every program of examples/, run for real, with itself and with Python's as its peer."""
import os
import signal
import socket
import subprocess
import threading
import time

import programs
from programs import PATIENCE, example, port_of, read_all, reset, seed

THANKS = "Thank you for connecting"


class Greeting(programs.Case):
    def server(self, *arguments):
        server = self.start(example("greeting_server"), 0, *arguments)
        return server, port_of(server.line())

    def test_greeting_server_thanks_each_client(self):
        server, port = self.server()
        for _ in range(3):
            self.assertEqual(self.run_program(example("greeting_client"), port),
                             (0, THANKS.encode() + b"\n", ""))
            self.assertRegex(server.line(), r"^Got connection from 127\.0\.0\.1:\d+$")

    def test_greeting_server_tells_the_port_that_it_got(self):
        server = self.start(example("greeting_server"), 0)
        self.assertRegex(server.line(), r"^socket is listening on 0\.0\.0\.0:[1-9]\d*$")

    def test_greeting_server_ends_after_so_many_clients(self):
        server, port = self.server(2)
        for _ in range(2):
            self.assertEqual(read_all(self.connect(port)), THANKS.encode())
        self.assertEqual(server.wait(), 0)

    def test_greeting_server_may_be_started_again_at_once(self):
        port = self.unused_port()
        for _ in range(2):
            server = self.start(example("greeting_server"), port, 1)
            self.assertEqual(port_of(server.line()), port)
            self.assertEqual(read_all(self.connect(port)), THANKS.encode())
            self.assertEqual(server.wait(), 0)

    def test_greeting_server_greets_pythons_client(self):
        _, port = self.server()
        self.assertEqual(self.run_program(*seed("greeting_client"), port),
                         (0, THANKS.encode() + b"\n", ""))

    def test_greeting_client_is_greeted_by_pythons_server(self):
        server = self.start(*seed("greeting_server"), 0)
        server.line()
        port = int(server.line().split()[-1])
        server.line()
        self.assertEqual(self.run_program(example("greeting_client"), port),
                         (0, THANKS.encode() + b"\n", ""))
        self.assertEqual(server.wait(), 0)
        self.assertIn("Got connection from ('127.0.0.1', ", server.said.decode())

    def test_greeting_client_takes_a_host_name(self):
        _, port = self.server()
        self.assertEqual(self.run_program(example("greeting_client"), port, "localhost"),
                         (0, THANKS.encode() + b"\n", ""))

    def test_greeting_server_survives_clients_that_reset(self):
        server, port = self.server()
        server.kill(signal.SIGSTOP)
        for _ in range(5):
            reset(self.connect(port))
        server.kill(signal.SIGCONT)
        self.assertEqual(read_all(self.connect(port)), THANKS.encode())

    def test_greeting_server_tells_that_its_port_is_in_use(self):
        taken = self.listen(address=("", 0)).getsockname()[1]
        status, said, errors = self.run_program(example("greeting_server"), taken)
        self.assertEqual((status, said), (1, b""))
        self.assertRegex(errors, rf"^bind 0\.0\.0\.0:{taken}: Address already in use.*\n$")

    def test_greeting_server_refuses_what_is_no_port(self):
        for port in ["65536", "-1", "80abc", "99999999999", "4294967376", "", "http"]:
            status, said, errors = self.run_program(example("greeting_server"), port)
            self.assertEqual((status, said), (1, b""), port)
            self.assertIn("port must be 0-65535", errors)

    def test_greeting_client_tells_that_nobody_listens(self):
        port = self.refusing_port()
        self.assertEqual(self.run_program(example("greeting_client"), port),
                         (1, b"", f"connect to 127.0.0.1:{port}: Connection refused\n"))


class Hostname(programs.Case):
    def setUp(self):
        super().setUp()
        try:
            host = socket.gethostbyname(socket.gethostname())
            socket.socket().bind((host, 0))
        except OSError as e:
            self.skipTest(f"the name of this host leads nowhere: {e}")

    def test_hostname_server_greets_at_this_hosts_name(self):
        server = self.start(example("hostname_server"), 0, 1)
        line = server.line()
        self.assertTrue(line.startswith(socket.gethostname() + " is listening on "), line)
        self.assertEqual(self.run_program(example("hostname_client"), port_of(line)),
                         (0, b"Connection is successful\n", ""))
        self.assertRegex(server.line(), r"^Connecting with [\d.]+:\d+$")
        self.assertEqual(server.wait(), 0)

    def test_hostname_server_greets_pythons_client(self):
        server = self.start(example("hostname_server"), 0)
        self.assertEqual(self.run_program(*seed("hostname_client"), port_of(server.line())),
                         (0, b"Connection is successful\n", ""))

    def test_hostname_client_is_greeted_by_pythons_server(self):
        server = self.start(*seed("hostname_server"), 0)
        self.assertEqual(self.run_program(example("hostname_client"), port_of(server.line())),
                         (0, b"Connection is successful\n", ""))


class Web(programs.Case):
    PAGE = b"<p>A page.\n" * 20000

    def serve_page(self):
        (self.folder / "page.html").write_bytes(self.PAGE)
        return self.serve_folder("HTTP/1.0")

    def test_web_client_fetches_a_page(self):
        status, said, errors = self.run_program(
            example("web_client"), "127.0.0.1", self.serve_page(), "/page.html")
        self.assertEqual((status, errors), (0, ""))
        head, _, page = said.partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.0 200 OK\r\n"), head)
        self.assertEqual(page, self.PAGE)

    def test_web_client_prints_what_pythons_prints(self):
        port = self.serve_page()
        ours = self.run_program(example("web_client"), "127.0.0.1", port, "/page.html")
        theirs = self.run_program(*seed("web_client"), "127.0.0.1", port, "/page.html")

        def undated(answer):
            return b"\n".join(line for line in answer.split(b"\n") if not line.startswith(b"Date:"))

        self.assertEqual(undated(ours[1]), undated(theirs[1]))

    def test_web_client_names_the_host_that_is_not_there(self):
        status, said, errors = self.run_program(example("web_client"), "nowhere.invalid")
        self.assertEqual((status, said), (1, b""))
        self.assertIn("nowhere.invalid:80", errors)

    def test_web_client_gives_up_on_a_silent_server(self):
        # Its ten seconds are too long for a test; that it waits, and that a reset ends it, will do.
        server = self.listen()
        client = self.start(example("web_client"), "127.0.0.1", server.getsockname()[1])
        connection = self.accept(server)
        self.assertTrue(connection.recv(4096).startswith(b"GET / HTTP/1.1\r\nHost: 127.0.0.1:"))
        self.assertIsNone(client.process.poll())
        reset(connection)
        self.assertEqual(client.wait(), 1)
        self.assertIn("Connection reset by peer", client.errors)


class Udp(programs.Case):
    def server(self):
        server = self.start(example("udp_server"), 0)
        return server, port_of(server.line())

    def test_udp_server_echoes_to_each_client(self):
        server, port = self.server()
        for text in ["Hello", "again"]:
            self.assertEqual(self.run_program(example("udp_client"), port, "127.0.0.1", text),
                             (0, text.encode() + b"\n", ""))
            self.assertRegex(server.line(), r"^Got 5 bytes from 127\.0\.0\.1:\d+$")

    def test_udp_server_echoes_to_pythons_client(self):
        _, port = self.server()
        self.assertEqual(self.run_program(*seed("udp_client"), port, "Hello"),
                         (0, f"Hello from ('127.0.0.1', {port})\n".encode(), ""))

    def test_udp_client_gets_the_echo_of_pythons_server(self):
        server = self.start(*seed("udp_server"), 0)
        self.assertEqual(self.run_program(example("udp_client"), port_of(server.line())),
                         (0, b"Hello, are you there?\n", ""))

    def test_udp_server_echoes_the_empty_and_the_longest_datagram(self):
        _, port = self.server()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(PATIENCE)
            for data in [b"", os.urandom(65507)]:
                s.sendto(data, ("127.0.0.1", port))
                self.assertEqual(s.recvfrom(65536)[0], data)

    def test_udp_client_asks_again_when_a_datagram_is_lost(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(PATIENCE)
            s.bind(("127.0.0.1", 0))
            client = self.start(example("udp_client"), s.getsockname()[1])
            s.recvfrom(100)
            _, addr = s.recvfrom(100)
            s.sendto(b"the second", addr)
            self.assertEqual(client.line(), "the second")

    def test_udp_client_tells_that_nobody_is_there(self):
        status, said, errors = self.run_program(example("udp_client"), self.unused_port())
        self.assertEqual((status, said), (1, b""))
        self.assertIn("Connection refused", errors)


class Unix(programs.Case):
    def setUp(self):
        super().setUp()
        self.path = self.folder / "greeting.sock"

    def test_unix_server_thanks_each_client(self):
        server = self.start(example("unix_server"), self.path, 2)
        self.assertEqual(server.line(), f"socket is listening on unix:{self.path}")
        for _ in range(2):
            client = self.start(example("unix_client"), self.path)
            self.assertEqual((client.wait(), client.said), (0, THANKS.encode() + b"\n"))
            self.assertEqual(server.line(), f"Got connection from process {client.pid}")
        self.assertEqual(server.wait(), 0)
        self.assertFalse(self.path.exists())

    def test_unix_server_greets_pythons_client(self):
        self.start(example("unix_server"), self.path).line()
        self.assertEqual(self.run_program(*seed("unix_client"), self.path),
                         (0, THANKS.encode() + b"\n", ""))

    def test_unix_client_is_greeted_by_pythons_server(self):
        self.start(*seed("unix_server"), self.path).line()
        self.assertEqual(self.run_program(example("unix_client"), self.path),
                         (0, THANKS.encode() + b"\n", ""))

    def test_unix_server_takes_the_place_of_one_that_was_killed(self):
        first = self.start(example("unix_server"), self.path)
        first.line()
        first.close()
        self.assertTrue(self.path.exists())
        self.start(example("unix_server"), self.path).line()
        self.assertEqual(self.run_program(example("unix_client"), self.path)[0], 0)

    def test_unix_server_leaves_a_living_one_alone(self):
        self.start(example("unix_server"), self.path).line()
        status, _, errors = self.run_program(example("unix_server"), self.path)
        self.assertEqual(status, 1)
        self.assertIn("Address already in use", errors)
        self.assertEqual(self.run_program(example("unix_client"), self.path)[0], 0)

    def test_unix_programs_refuse_a_path_that_is_too_long(self):
        for program in ["unix_server", "unix_client"]:
            status, _, errors = self.run_program(example(program), "x" * 108)
            self.assertEqual(status, 1)
            self.assertIn("AF_UNIX path too long", errors)


class News(programs.Case):
    def setUp(self):
        super().setUp()
        self.server = self.start(example("news_server"), 0, stdin=subprocess.PIPE)
        self.port = port_of(self.server.line())

    def tell(self, text):
        self.server.stdin.write(text)
        self.server.stdin.flush()

    def reader(self):
        """A reader that gets the news already: until it does, there are some to get."""
        s = self.connect(self.port)
        s.settimeout(0.05)
        lines = s.makefile("rb")
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            self.tell(b"are you there?\n")
            try:
                if s.recv(1, socket.MSG_PEEK):
                    break
            except TimeoutError:
                pass
        s.settimeout(PATIENCE)
        return s, lines

    def test_news_server_tells_all_and_what_is_queued_at_the_end(self):
        readers = [self.reader() for _ in range(5)]
        quitter, _ = readers.pop()
        quitter.close()
        news = b"".join(b"%d\n" % i for i in range(500))
        self.tell(news)
        self.server.stdin.close()
        for s, lines in readers:
            told = [line for line in lines.read().splitlines(True) if b"there" not in line]
            self.assertEqual(b"".join(told), news)
            s.close()
        self.assertEqual((self.server.wait(), self.server.errors), (0, ""))

    def test_news_server_is_not_held_up_by_a_slow_reader(self):
        slow, _ = self.reader()
        _, lines = self.reader()
        line = b"x" * 150 + b"\n"
        for _ in range(40):  # far more than the kernel and a queue hold
            self.tell(line * 500 + b"so far\n")
            for told in lines:
                if told == b"so far\n":
                    break
        slow.close()
        self.server.stdin.close()
        self.assertEqual((self.server.wait(), self.server.errors), (0, ""))

    def test_news_server_tells_that_its_port_is_in_use(self):
        taken = self.listen(address=("", 0)).getsockname()[1]
        status, _, errors = self.run_program(example("news_server"), taken)
        self.assertEqual(status, 1)
        self.assertIn("Address already in use", errors)


class Chat(programs.Case):
    def setUp(self):
        super().setUp()
        self.server = self.start(example("chat_server"), 0)
        self.port = port_of(self.server.line())

    def member(self):
        s = self.connect(self.port)
        name = "%s:%d" % s.getsockname()
        self.assertEqual(self.server.line(), name + " came")
        return s, s.makefile("r"), name

    def test_chat_server_tells_each_line_to_the_others(self):
        (a, a_lines, a_name), (b, b_lines, b_name), (c, c_lines, _) = (self.member() for _ in "abc")
        a.sendall(b"Hello\r\n")
        for lines in (b_lines, c_lines):
            self.assertEqual(lines.readline(), f"{a_name}: Hello\n")
        b.sendall(b"without its end")
        b.shutdown(socket.SHUT_WR)
        for lines in (a_lines, c_lines):
            self.assertEqual(lines.readline(), f"{b_name}: without its end\n")
        self.assertEqual(self.server.line(), f"{b_name} left")

    def test_chat_server_is_not_held_up_by_a_slow_reader(self):
        slow, _, slow_name = self.member()
        reader, lines, _ = self.member()
        speaker, _, _ = self.member()
        text = b"x" * 1000 + b"\n"
        heard = 0

        def listen():
            nonlocal heard
            for _ in lines:
                heard += 1

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        # More than the kernel holds for the slow one; said no faster than the other can hear it.
        gone = False
        for said in range(1, 50001):
            speaker.sendall(text)
            if said % 100 == 0:
                programs.wait_until(lambda: heard >= said, "the reader was held up, or dropped")
                gone = slow_name + " left" in self.server.said.decode()
                if gone:
                    break
        self.assertTrue(gone, "the slow one was never dropped")
        self.assertGreater(len(read_all(slow)), 0)
        reader.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE)

    def test_chat_server_ends_a_line_that_has_no_end(self):
        bomb, _, name = self.member()
        other, lines, _ = self.member()
        speaker, _, _ = self.member()
        bomb.sendall(b"y" * 100000)
        self.assertEqual(self.server.line(), f"{name} left")
        speaker.sendall(b"still here\n")
        self.assertIn("still here", lines.readline())
        other.close()

    def test_chat_server_survives_members_that_reset(self):
        stayed, lines, _ = self.member()
        for _ in range(10):
            s, its_lines, name = self.member()
            its_lines.close()
            reset(s)
            self.assertEqual(self.server.line(), f"{name} left")
        speaker, _, name = self.member()
        speaker.sendall(b"who is there?\n")
        self.assertEqual(lines.readline(), f"{name}: who is there?\n")
        stayed.close()


class Dualstack(programs.Case):
    def test_dualstack_server_greets_both_families(self):
        if not programs.has_ipv6():
            self.skipTest("no IPv6 here")
        server = self.start(example("dualstack_server"), 0, 2)
        line = server.line()
        self.assertRegex(line, r"^socket is listening on \[::\]:\d+, for IPv4 and IPv6$")
        port = int(line.split(":")[-1].split(",")[0])
        for host, text in [("127.0.0.1", r"127\.0\.0\.1"), ("::1", r"\[::1\]")]:
            self.assertEqual(read_all(self.connect(port, host)), THANKS.encode())
            self.assertRegex(server.line(), rf"^Got connection from {text}:\d+$")
        self.assertEqual(server.wait(), 0)


class Timeout(programs.Case):
    def test_timeout_client_gives_up_on_silence(self):
        server = self.listen()
        began = time.monotonic()
        client = self.start(example("timeout_client"), server.getsockname()[1], 0.5)
        self.assertEqual(client.wait(), 1)
        self.assertGreaterEqual(time.monotonic() - began, 0.5)
        self.assertRegex(client.errors, r"^gave up after \d+\.\d s: .*127\.0\.0\.1:\d+: Timed out\n$")

    def test_timeout_client_gives_up_on_a_server_that_only_drips(self):
        server = self.listen()
        began = time.monotonic()
        client = self.start(example("timeout_client"), server.getsockname()[1], 1)
        connection = self.accept(server)
        with self.assertRaises(OSError):
            for _ in range(1000):
                connection.sendall(b".")
                time.sleep(0.1)
        self.assertEqual(client.wait(), 1)
        self.assertGreaterEqual(time.monotonic() - began, 3)
        self.assertGreaterEqual(len(client.said), 2)
        self.assertRegex(client.errors, r"^gave up after \d+\.\d s: .*Timed out\n$")

    def test_timeout_client_prints_what_comes_in_time(self):
        port = self.serve(lambda connection, _: connection.sendall(b"in time\n"))
        self.assertEqual(self.run_program(example("timeout_client"), port, 10),
                         (0, b"in time\n", ""))


class File(programs.Case):
    def send(self, path, clients=1):
        server = self.start(example("file_server"), path, 0, clients)
        return server, port_of(server.line())

    def fetch(self, port):
        return self.run_program(example("file_client"), self.folder / "copy", port)

    def test_file_arrives_whole(self):
        for size in [3_000_001, 1, 0]:
            path = self.random_file("file", size)
            server, port = self.send(path)
            self.assertEqual(self.fetch(port), (0, b"", ""))
            self.assertEqual((self.folder / "copy").read_bytes(), path.read_bytes())
            self.assertRegex(server.line(), r"^127\.0\.0\.1:\d+: has it$")
            self.assertEqual(server.wait(), 0)
        self.assertEqual(sorted(os.listdir(self.folder)), ["copy", "file"])

    def test_file_that_is_cut_off_never_takes_its_name(self):
        for sent in [b"", b"10", b"10\n", b"10\nhalf", b"no number\n", b"-1\n", b"\n"]:
            port = self.serve(lambda connection, _: connection.sendall(sent))
            status, _, errors = self.fetch(port)
            self.assertEqual(status, 1, sent)
            self.assertIn("copy: ", errors)
            self.assertEqual(os.listdir(self.folder), [])

    def test_file_that_is_cut_off_leaves_the_old_one_alone(self):
        (self.folder / "copy").write_text("old")
        port = self.serve(lambda connection, _: connection.sendall(b"10\nnew"))
        self.assertEqual(self.fetch(port)[0], 1)
        self.assertEqual((self.folder / "copy").read_text(), "old")

    def test_file_server_goes_on_when_a_client_leaves(self):
        path = self.random_file("file", 20_000_000)
        server, port = self.send(path, 2)
        connection = self.connect(port)
        connection.recv(10)
        reset(connection)
        self.assertEqual(self.fetch(port)[0], 0)
        self.assertEqual(programs.checksum(self.folder / "copy"), programs.checksum(path))
        self.assertEqual(server.wait(), 0)

    def test_file_server_tells_that_there_is_no_file(self):
        server, port = self.send(self.folder / "missing")
        status, _, errors = self.fetch(port)
        self.assertEqual(status, 1)
        self.assertIn("the server named no length", errors)
        self.assertIn("it cannot be read", server.line())

    def test_file_goes_to_pythons_client(self):
        path = self.random_file("file", 100_000)
        _, port = self.send(path)
        length, _, data = read_all(self.connect(port)).partition(b"\n")
        self.assertEqual((int(length), data), (100_000, path.read_bytes()))


class ServeGreeter(programs.Case):
    def test_serve_greeter_greets_many_at_once_and_drains(self):
        server = self.start(example("serve_greeter"), 0)
        port = port_of(server.line())
        clients = [self.connect(port) for _ in range(50)]
        for client in clients:
            self.assertEqual(read_all(client), THANKS.encode())
        server.kill(signal.SIGTERM)
        self.assertEqual(server.wait(), 0)
        self.assertTrue(server.said.decode().endswith("greeted 50 clients\n"), server.said)

    def test_serve_greeter_tells_that_its_port_is_in_use(self):
        taken = self.start(example("serve_greeter"), 0)
        port = port_of(taken.line())
        status, said, errors = self.run_program(example("serve_greeter"), port)
        self.assertEqual((status, said), (1, b""))
        self.assertIn("Address already in use", errors)


class GlibClient(programs.Case):
    def client(self, *addresses):
        if not os.path.exists(example("glib_client")):
            self.skipTest("built without GLib (tools/setup.sh test installs libglib2.0-dev)")
        return self.run_program(example("glib_client"), *addresses)

    def test_glib_client_asks_several_servers_at_once(self):
        ports = []
        for _ in range(3):
            server = self.start(example("greeting_server"), 0)
            ports.append(port_of(server.line()))
        for backend in ("epoll", "uring"):
            os.environ["PIER_BACKEND"] = backend
            self.addCleanup(os.environ.pop, "PIER_BACKEND", None)
            status, said, errors = self.client(*(f"127.0.0.1:{port}" for port in ports))
            self.assertEqual((status, errors), (0, ""))
            *greetings, end = said.decode().splitlines()
            self.assertEqual(sorted(greetings),
                             sorted(f"127.0.0.1:{port} says {THANKS}" for port in ports))
            self.assertRegex(end, r"^GLib went on for \d+ ticks$")

    def test_glib_client_goes_on_while_it_waits_for_a_server(self):
        def keep_waiting(connection, _):
            time.sleep(0.2)
            reset(connection)
        port = self.serve(keep_waiting)
        status, said, errors = self.client(f"127.0.0.1:{port}")
        self.assertEqual(status, 0)
        self.assertRegex(errors, "Connection reset by peer")
        self.assertGreaterEqual(int(said.split()[-2]), 1)

    def test_glib_client_tells_that_nobody_listens(self):
        port = self.refusing_port()
        status, said, errors = self.client(f"127.0.0.1:{port}")
        self.assertEqual(status, 0)
        self.assertIn("Connection refused", errors)
        self.assertIn(b"GLib went on", said)


class All(programs.Case):
    def test_every_example_is_run(self):
        tests = (programs.TOP / "tests/examples_test.py").read_text()
        for source in sorted((programs.TOP / "examples").glob("*.c")):
            self.assertIn(f'("{source.stem}")', tests.replace("program)", '("unix_client")'),
                          "no test runs it")

    def test_every_example_is_one_page(self):
        for source in (programs.TOP / "examples").glob("*.c"):
            self.assertLess(len(source.read_text().splitlines()), 90, source.name)

    def test_every_example_includes_public_headers_only(self):
        for source in (programs.TOP / "examples").glob("*.c"):
            self.assertNotIn('#include "', source.read_text(), source.name)
            preprocessed = subprocess.run(
                ["cc", "-E", "-I", programs.TOP / "include", source], capture_output=True, text=True)
            self.assertNotIn(f"{programs.TOP}/src/", preprocessed.stdout, source.name)


if __name__ == "__main__":
    programs.main()
