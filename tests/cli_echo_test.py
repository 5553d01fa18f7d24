#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""pier echo, heard by Python, socat and ncat."""
import os
import re
import signal
import socket
import threading
import time

import programs
from programs import PATIENCE, PIER, checksum, port_of, read_all, reset, wait_until


class Echo(programs.Case):
    def echo(self, *options, address="127.0.0.1:0"):
        server = self.start(PIER, "echo", *options, address)
        line = server.line()
        self.assertRegex(line, r"^socket is (listening|waiting) on ")
        return server, line.split(" on ", 1)[1]

    def ended(self, server, number=signal.SIGTERM):
        """The last line of a server that is asked to stop."""
        server.kill(number)
        self.assertEqual(server.wait(), 0)
        self.assertRegex(server.errors, r"\A(pier echo: (not )?confined\b[^\n]*\n)?\Z")  # by -v
        return server.said.decode().splitlines()[-1]

    def unix_socket(self, kind, path):
        s = socket.socket(socket.AF_UNIX, kind)
        self.addCleanup(s.close)
        s.settimeout(PATIENCE)
        if kind == socket.SOCK_DGRAM:
            s.bind(str(self.folder / "client"))
        s.connect(path)
        return s

    def exchange(self, s, data):
        writer = threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR)))
        writer.start()
        got = read_all(s)
        writer.join()
        return got

    def test_echo_says_back_megabytes_and_half_closes(self):
        server, address = self.echo()
        data = os.urandom(5_000_000)
        self.assertEqual(self.exchange(self.connect(port_of(address)), data), data)
        self.assertEqual(self.ended(server), "1 clients, 1 at once at most, 5000000 bytes echoed; "
                         "0 broken, 0 stopped, 0 turned away")

    def test_echo_over_unix_streams_removes_its_path(self):
        for address in (f"unix:{self.folder}/s", f"unix:@{self.folder}"):
            server, told = self.echo(address=address)
            self.assertEqual(told, address)
            path = told.removeprefix("unix:").replace("@", "\0")
            self.assertEqual(self.exchange(self.unix_socket(socket.SOCK_STREAM, path), b"hello"),
                             b"hello")
            self.assertIn("1 clients", self.ended(server, signal.SIGINT))
            self.assertEqual(os.listdir(self.folder), [])

    def test_echo_of_datagrams_over_udp(self):
        server, address = self.echo("-u")
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(s.close)
        s.settimeout(PATIENCE)
        for data in (b"", b"x", os.urandom(60_000)):
            s.sendto(data, ("127.0.0.1", port_of(address)))
            self.assertEqual(s.recv(65536), data)
        self.assertEqual(self.ended(server), "3 datagrams, 60001 bytes echoed; 0 not answered")

    def test_echo_of_datagrams_at_a_bare_port_takes_both_families(self):
        if not programs.has_ipv6():
            self.skipTest("no IPv6 here")
        server, address = self.echo("-u", "-v", address=":0")
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            with socket.socket(family, socket.SOCK_DGRAM) as s:
                s.settimeout(PATIENCE)
                s.sendto(b"hello", (host, port_of(address)))
                self.assertEqual(s.recv(100), b"hello")
        self.assertRegex(server.line(), r"^5 bytes from 127\.0\.0\.1:\d+$")
        self.assertRegex(server.line(), r"^5 bytes from \[::1\]:\d+$")

    def test_echo_of_datagrams_over_unix_counts_who_cannot_be_answered(self):
        path = str(self.folder / "s")
        server, _ = self.echo("-u", address=f"unix:{path}")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as nameless:
            nameless.sendto(b"hello", path)
        s = self.unix_socket(socket.SOCK_DGRAM, path)
        s.send(b"hello")
        self.assertEqual(s.recv(100), b"hello")
        self.assertEqual(self.ended(server), "2 datagrams, 5 bytes echoed; 1 not answered")
        self.assertFalse(os.path.exists(path))

    def test_echo_takes_over_a_path_that_was_left_behind(self):
        path = str(self.folder / "s")
        for _ in range(2):
            server, _ = self.echo("-u", address=f"unix:{path}")
            server.kill()
            server.wait()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as living:
            os.unlink(path)
            living.bind(path)
            status, _, errors = self.run_program(PIER, "echo", "-u", f"unix:{path}")
        self.assertEqual(status, 1)
        self.assertIn("Address already in use", errors)

    def test_echo_lets_more_clients_than_it_may_serve_wait(self):
        server, address = self.echo("--max-clients", "2")
        clients = [self.connect(port_of(address)) for _ in range(3)]
        for client in clients:
            client.sendall(b"hello")
        for client in clients[:2]:
            self.assertEqual(client.recv(5), b"hello")
        clients[2].settimeout(0.3)
        with self.assertRaises(TimeoutError):
            clients[2].recv(5)
        clients[2].settimeout(PATIENCE)
        clients[0].close()
        self.assertEqual(clients[2].recv(5), b"hello")
        for client in clients:
            client.close()
        self.assertRegex(self.ended(server), r"^3 clients, 2 at once at most, 15 bytes")

    def test_echo_lets_clients_finish_when_it_is_stopped(self):
        server, address = self.echo("--drain", PATIENCE)
        client = self.connect(port_of(address))
        client.sendall(b"one")
        self.assertEqual(client.recv(3), b"one")
        server.kill(signal.SIGTERM)
        time.sleep(0.2)
        client.sendall(b"two")
        self.assertEqual(client.recv(3), b"two")
        client.close()
        self.assertEqual(server.wait(), 0)
        self.assertIn(b"6 bytes echoed; 0 broken, 0 stopped", server.said)

    @staticmethod
    def is_told(server):
        """Has it taken the signal that it was sent? One that is pending comes once, however often it is sent."""
        with open(f"/proc/{server.pid}/status") as status:
            pending = int(re.search(r"(?m)^ShdPnd:\s*(\w+)$", status.read()).group(1), 16)
        return not pending >> signal.SIGTERM - 1 & 1

    def test_echo_leaves_clients_that_do_not_finish(self):
        for signals, options in ((1, ("--drain", "0.3")), (2, ("--drain", "1000"))):
            server, address = self.echo(*options)
            client = self.connect(port_of(address))
            client.sendall(b"one")
            self.assertEqual(client.recv(3), b"one")
            began = time.monotonic()
            server.kill(signal.SIGTERM)
            if signals == 2:
                wait_until(lambda: self.is_told(server), "it does not hear")
                server.kill(signal.SIGTERM)
            self.assertEqual(server.wait(), 0)
            if signals == 1:
                self.assertGreaterEqual(time.monotonic() - began, 0.3)
            self.assertIn(b"1 stopped", server.said)

    def test_echo_counts_clients_that_break_and_leaves_those_that_are_silent(self):
        server, address = self.echo("-w", "0.3", "-v")
        began = time.monotonic()
        silent = self.connect(port_of(address))
        self.assertEqual(silent.recv(1), b"")
        self.assertGreaterEqual(time.monotonic() - began, 0.3)
        self.assertIn("1 broken", self.ended(server))
        server, address = self.echo("-v")
        broken = self.connect(port_of(address))
        broken.sendall(b"x")
        self.assertEqual(broken.recv(1), b"x")
        reset(broken)
        wait_until(lambda: b"Connection reset" in server.said, "the reset was not seen")
        self.assertIn("1 broken", self.ended(server))

    def test_echo_ends_on_a_signal_that_comes_at_once(self):
        for _ in range(5):
            server, _ = self.echo()
            self.assertIn("0 clients", self.ended(server))

    def test_echo_that_nobody_wants_to_hear_is_a_failure(self):
        path = f"{self.folder}/s"
        server = self.start(PIER, "echo", f"unix:{path}", stdout=self.open("/dev/full", "wb"))
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(PATIENCE)
            wait_until(lambda: s.connect_ex(path) == 0, "it does not listen")
            s.sendall(b"x")
            self.assertEqual(s.recv(1), b"x")
        server.kill(signal.SIGTERM)
        self.assertEqual(server.wait(), 1)
        self.assertIn("standard output: No space left on device", server.errors)

    def test_echo_answers_socat_and_ncat(self):
        path = self.random_file("file", 3_000_000)
        server, address = self.echo()
        port = port_of(address)
        for command in [(self.tool("socat"), "-t", PATIENCE, "-", f"TCP:127.0.0.1:{port}"),
                        (self.tool("ncat"), "127.0.0.1", port)]:
            copy = self.folder / "copy"
            program = self.start(*command, stdin=self.open(path, "rb"), stdout=self.open(copy, "wb"))
            self.assertEqual(program.wait(), 0, program.errors)
            self.assertEqual(checksum(copy), checksum(path))
        self.assertIn("6000000 bytes echoed", self.ended(server))

    def test_echo_answers_socats_datagrams(self):
        socat = self.tool("socat")
        server, address = self.echo("-u")
        self.assertEqual(self.run_program(socat, "-t", "1", "-", f"UDP:{address}", input=b"hello"),
                         (0, b"hello", ""))
        self.assertIn("1 datagrams", self.ended(server))


if __name__ == "__main__":
    programs.main()
