#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""pier listen and connect beyond one stream: datagrams, many clients, lines, hexadecimal, counts."""
import contextlib
import os
import pty
import signal
import socket
import subprocess
import threading
import time

import programs
from programs import PATIENCE, PIER, checksum, port_of, read_all, reset, wait_until


class Talk(programs.Case):
    def listener(self, *options, address="127.0.0.1:0", **more):
        server = self.start(PIER, "listen", "-v", *options, address, **more)
        line = server.error_line()
        self.assertRegex(line, r"^pier listen: listening on ")
        return server, line.removeprefix("pier listen: listening on ")

    def udp(self):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(s.close)
        s.settimeout(PATIENCE)
        s.bind(("127.0.0.1", 0))
        return s, "127.0.0.1:%d" % s.getsockname()[1]


class Datagrams(Talk):
    def test_connect_sends_each_line_of_a_terminal_as_a_datagram(self):
        s, address = self.udp()
        master, slave = pty.openpty()
        for fd in (master, slave):
            self.addCleanup(os.close, fd)
        client = self.start(PIER, "connect", "-u", address, stdin=slave)
        for line in (b"one\n", b"two\n"):
            os.write(master, line)
            data, peer = s.recvfrom(100)
            self.assertEqual(data, line)
            s.sendto(data.upper(), peer)
            wait_until(lambda: client.said.endswith(line.upper()), "no answer was shown")
        os.write(master, b"\x04")
        self.assertEqual((client.wait(), client.said), (0, b"ONE\nTWO\n"))

    def test_lines_are_datagrams_without_their_ends(self):
        s, address = self.udp()
        client = self.start(PIER, "connect", "-u", "-l", address, stdin=subprocess.PIPE)
        client.stdin.write(b"one\n\ntw")
        client.stdin.flush()
        time.sleep(0.1)
        client.stdin.write(b"o\r\nlast")
        client.stdin.close()
        got = [s.recvfrom(100) for _ in range(4)]
        self.assertEqual([data for data, _ in got], [b"one", b"", b"two", b"last"])
        s.sendto(b"answer", got[0][1])
        s.sendto(b"", got[0][1])
        self.assertEqual((client.wait(), client.said, client.errors), (0, b"answer\n\n", ""))

    def test_connect_waits_for_answers_a_second_after_the_end_of_stdin_or_for_as_long_as_is_said(self):
        for options, least in (([], 1), (["-w", "0.3"], 0.3)):
            s, address = self.udp()
            began = time.monotonic()
            self.assertEqual(self.run_program(PIER, "connect", "-u", *options, address, input=b"x"),
                             (0, b"", ""))
            self.assertGreaterEqual(time.monotonic() - began, least)
            self.assertEqual(s.recv(10), b"x")

    def test_a_closed_port_is_a_failure(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        status, _, errors = self.run_program(PIER, "connect", "-u", f"127.0.0.1:{port}", input=b"x")
        self.assertEqual(status, 1)
        self.assertIn("Connection refused", errors)
        for _ in range(10):  # told to a send or a receive, whichever comes first
            status, _, errors = self.run_program(PIER, "connect", "-u", "-l", f"127.0.0.1:{port}",
                                                 input=b"a\nb\nc\nd\n")
            self.assertEqual(status, 1)
            self.assertIn("Connection refused", errors)

    def test_the_longest_datagram_passes(self):
        server, address = self.listener("-u", stdin=subprocess.PIPE)
        data = os.urandom(65507)
        self.assertEqual(self.run_program(PIER, "connect", "-u", address, input=data)[0], 0)
        wait_until(lambda: server.said == data, "it did not come whole")

    def test_listen_talks_to_who_sends_first(self):
        server, address = self.listener("-u", stdin=subprocess.PIPE)
        first, second = self.udp()[0], self.udp()[0]
        first.sendto(b"first\n", ("127.0.0.1", port_of(address)))
        self.assertEqual(server.line(), "first")
        second.sendto(b"second\n", ("127.0.0.1", port_of(address)))
        server.stdin.write(b"answer\n")
        server.stdin.flush()
        self.assertEqual(first.recv(100), b"answer\n")
        first.sendto(b"more\n", ("127.0.0.1", port_of(address)))
        self.assertEqual(server.line(), "more")
        self.assertNotIn(b"second", server.said)
        server.kill(signal.SIGINT)
        self.assertEqual(server.wait(), -signal.SIGINT)

    def test_datagrams_over_unix_sockets_go_both_ways(self):
        for address in (f"unix:{self.folder}/s", f"unix:@{self.folder}"):
            server, _ = self.listener("-u", address=address, stdin=subprocess.PIPE)
            client = self.start(PIER, "connect", "-u", address, stdin=subprocess.PIPE)
            for speaker, hearer in [(client, server), (server, client)] * 2:
                speaker.stdin.write(b"hello\n")
                speaker.stdin.flush()
                self.assertEqual(hearer.line(), "hello")
            client.stdin.close()
            server.stdin.close()
            self.assertEqual(client.wait(), 0, client.errors)
            server.kill(signal.SIGINT)
            self.assertEqual(server.wait(), -signal.SIGINT, server.errors)
            self.assertEqual(os.listdir(self.folder), [])

    def test_a_sender_without_a_name_is_heard(self):
        path = f"{self.folder}/s"
        late, heard = True, None
        while late and heard != (0, b"hello"):  # unless it was the machine that was silent
            began = time.monotonic()
            server, _ = self.listener("-u", "-w", "0.5", address=f"unix:{path}")
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s, contextlib.suppress(OSError):
                s.sendto(b"hello", path)
            late = time.monotonic() - began >= 0.5
            heard = server.wait(), server.said
        self.assertEqual(heard, (0, b"hello"))

    def test_datagrams_from_and_to_ncat_and_socat(self):
        for command in ([self.tool("ncat"), "-u", "127.0.0.1"], None):
            server, address = self.listener("-u", stdin=subprocess.PIPE)
            words = [*command, port_of(address)] if command else \
                [self.tool("socat"), "-", "UDP:" + address]
            peer = self.start(*words, stdin=subprocess.PIPE)
            for speaker, hearer in ((peer, server), (server, peer)):
                speaker.stdin.write(b"hello\n")
                speaker.stdin.flush()
                self.assertEqual(hearer.line(), "hello")
            server.kill(signal.SIGINT)
            self.assertEqual(server.wait(), -signal.SIGINT)

    def test_datagrams_come_from_the_source_that_is_said(self):
        s, address = self.udp()
        source = self.udp()[0]
        port = source.getsockname()[1]
        source.close()
        client = self.start(PIER, "connect", "-u", "-s", f"127.0.0.1:{port}", address,
                            stdin=self.open(self.random_file("file", 10), "rb"))
        self.assertEqual(s.recvfrom(100)[1], ("127.0.0.1", port))
        self.assertEqual(client.wait(), 0)


class Stream(Talk):
    def test_connect_comes_from_the_source_that_is_said(self):
        server = self.listen()
        port = self.unused_port()
        client = self.start(PIER, "connect", "--source", f"127.0.0.2:{port}",
                            "127.0.0.1:%d" % server.getsockname()[1])
        connection, peer = server.accept()
        connection.close()
        self.assertEqual(peer, ("127.0.0.2", port))
        self.assertEqual(client.wait(), 0)

    def test_connect_takes_one_family_only(self):
        server = self.listen()
        port = server.getsockname()[1]
        status, _, errors = self.run_program(PIER, "connect", "-6", f"127.0.0.1:{port}")
        self.assertEqual(status, 1)
        self.assertIn("Address family", errors)
        client = self.start(PIER, "connect", "-4", f"localhost:{port}")
        self.accept(server).close()
        self.assertEqual(client.wait(), 0)

    def test_a_peer_that_leaves_while_stdin_pauses_is_a_failure(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            client = self.start(PIER, "connect", "127.0.0.1:%d" % server.getsockname()[1],
                                stdin=subprocess.PIPE)
            peer, _ = server.accept()
            peer.settimeout(PATIENCE)
            client.stdin.write(b"heard\n")
            client.stdin.flush()
            self.assertEqual(peer.recv(100), b"heard\n")
            peer.close()  # an end; to what comes then the kernel answers with a reset
            client.stdin.write(b"not heard\n")
            client.stdin.flush()
            self.assertEqual(client.wait(), 1)
            self.assertIn("not all of the standard input went", client.errors)

    def test_streams_over_abstract_names(self):
        server, _ = self.listener(address=f"unix:@{self.folder}", stdin=subprocess.PIPE)
        self.assertEqual(self.run_program(PIER, "connect", f"unix:@{self.folder}", input=b"hello\n")[0]
                         if not server.stdin.close() else None, 0)
        self.assertEqual((server.wait(), server.said), (0, b"hello\n"))

    def test_streams_over_vsock(self):
        self.need_vsock()
        server, address = self.listener(address="vsock:any:any", stdin=subprocess.PIPE)
        server.stdin.close()
        port = address.rsplit(":", 1)[1]
        self.assertEqual(self.run_program(PIER, "connect", f"vsock:1:{port}", input=b"hello")[0], 0)
        self.assertEqual((server.wait(), server.said), (0, b"hello"))

    def test_lines_have_cr_lf_on_the_wire_only(self):
        asked = []

        def answer(connection, _):
            asked.append(read_all(connection))
            for part in (b"one\r", b"\ntwo\n", b"a\rb\r\n\r", b"\n", b"end\r"):
                connection.sendall(part)
                time.sleep(0.02)

        port = self.serve(answer)
        self.assertEqual(self.run_program(PIER, "connect", "-l", f"127.0.0.1:{port}",
                                          input=b"hello\nyou\r\n\nlast"),
                         (0, b"one\ntwo\na\rb\n\nend\r", ""))
        self.assertEqual(asked, [b"hello\r\nyou\r\n\r\nlast"])

    def test_hex_shows_both_directions_with_their_offsets(self):
        port = self.serve(lambda connection, _: connection.sendall(read_all(connection)[:20]))
        data = bytes(range(240, 256)) + b"hello \x1b[31m"
        status, said, errors = self.run_program(PIER, "connect", "-x", f"127.0.0.1:{port}", input=data)
        self.assertEqual((status, errors), (0, ""))
        rows = said.decode("ascii").splitlines()
        self.assertEqual(rows[0], "> 00000000  f0 f1 f2 f3 f4 f5 f6 f7  f8 f9 fa fb fc fd fe ff  "
                         "................")
        self.assertRegex(rows[1], r"^> 00000010  68 65 6c 6c 6f 20 1b 5b  33 31 6d +hello \.\[31m$")
        self.assertRegex(rows[2], r"^< 00000000  f0 f1")
        self.assertRegex(rows[3], r"^< 00000010  68 65 6c 6c +hell$")
        self.assertEqual(len(rows), 4)

    def test_hex_of_much_has_every_byte(self):
        data = os.urandom(300_000)
        port = self.serve(lambda connection, _: connection.sendall(data))
        said = self.run_program(PIER, "connect", "-x", f"127.0.0.1:{port}")[1].decode()
        rows = [line for line in said.splitlines() if line.startswith("< ")]
        self.assertEqual(b"".join(bytes.fromhex(row[12:60]) for row in rows), data)

    def test_statistics_count_what_came_and_went(self):
        port = self.serve(lambda connection, _: connection.sendall(read_all(connection) * 2))
        status, _, errors = self.run_program(PIER, "connect", "-t", f"127.0.0.1:{port}",
                                             input=b"x" * 1000)
        self.assertEqual(status, 0)
        self.assertRegex(errors, r"^pier connect: 2000 bytes came \([\d.]+ [kMG]?B?(bytes)?/s\), "
                         r"1000 went \([^)]*\), in \d+\.\d{3} seconds\n$")


class Crowd(Talk):
    def test_keep_open_writes_what_came_of_a_line(self):
        server, address = self.listener("-k", "-l", "-w", "0.5", stdin=subprocess.DEVNULL)
        client = self.connect(port_of(address))
        client.sendall(b"first\npartial")
        wait_until(lambda: server.said == b"first\npartial", "the rest of it was lost")
        server.kill(signal.SIGINT)
        self.assertEqual(server.wait(), 0)
        self.assertIn("Timed out", server.errors)

    def test_keep_open_writes_what_all_clients_send(self):
        server, address = self.listener("-k", "-t")
        for i in range(3):
            client = self.connect(port_of(address))
            client.sendall(b"client %d\n" % i)
            client.close()
            self.assertEqual(server.line(), f"client {i}")
        server.kill(signal.SIGTERM)
        self.assertEqual(server.wait(), 0)
        self.assertIn("27 bytes came", server.errors)
        self.assertIn("3 clients, ", server.errors)

    def test_keep_open_sends_stdin_to_all_clients_and_not_before_the_first(self):
        server, address = self.listener("-k", stdin=subprocess.PIPE)
        server.stdin.write(b"welcome\n")
        server.stdin.flush()
        time.sleep(0.2)
        clients = [self.connect(port_of(address)) for _ in range(1)]
        self.assertEqual(clients[0].recv(100), b"welcome\n")
        clients += [self.connect(port_of(address)) for _ in range(2)]
        for client in clients[1:]:
            client.sendall(b"here\n")  # who is heard gets all from then on
            self.assertEqual(server.line(), "here")
        server.stdin.write(b"to all\n")
        server.stdin.close()
        for client in clients:
            self.assertEqual(read_all(client), b"to all\n")
        clients[0].sendall(b"still heard\n")
        self.assertEqual(server.line(), "still heard")
        server.kill(signal.SIGINT)
        self.assertEqual(server.wait(), 0)

    def test_keep_open_sends_a_file_whole_to_those_that_are_there(self):
        path = self.random_file("file", 3_000_000)
        fifo = self.folder / "fifo"
        os.mkfifo(fifo)
        hold = os.open(fifo, os.O_RDWR)
        self.addCleanup(os.close, hold)
        reader = os.open(fifo, os.O_RDONLY)
        self.addCleanup(os.close, reader)
        server, address = self.listener("-k", stdin=reader)
        copies, clients = [self.folder / f"copy{i}" for i in range(3)], []
        for copy in copies:
            clients.append(self.start(PIER, "connect", address, stdin=subprocess.PIPE,
                                      stdout=self.open(copy, "wb")))
            clients[-1].stdin.write(b"here\n")  # who is heard gets all from then on
            clients[-1].stdin.flush()
            self.assertEqual(server.line(), "here")
        writer = threading.Thread(target=self.pour, args=(path, hold), daemon=True)
        writer.start()
        writer.join(PATIENCE)
        size = path.stat().st_size
        wait_until(lambda: all(copy.stat().st_size == size for copy in copies), "it did not all come")
        for copy in copies:
            self.assertEqual(checksum(copy), checksum(path))

    def pour(self, path, fd):
        data = path.read_bytes()
        while data:  # a daemon's: it may be stuck if all is not well
            data = data[os.write(fd, data[:65536]):]

    def test_keep_open_does_not_mix_lines(self):
        server, address = self.listener("-k", "-l")
        clients = [self.connect(port_of(address)) for _ in range(2)]
        for part in (b"half", b" and half\r\n"):
            for i, client in enumerate(clients):
                client.sendall(b"%d " % i + part if part == b"half" else part)
            time.sleep(0.1)
        self.assertEqual(sorted([server.line(), server.line()]), ["0 half and half", "1 half and half"])

    def test_keep_open_goes_on_after_a_reset_and_limits_clients(self):
        server, address = self.listener("-k", "-m", "1", stdin=subprocess.PIPE)
        first, second = self.connect(port_of(address)), self.connect(port_of(address))
        first.sendall(b"first\n")
        self.assertEqual(server.line(), "first")
        second.sendall(b"second\n")
        time.sleep(0.2)
        self.assertEqual(server.said, b"first\n")
        reset(first)
        self.assertEqual(server.line(), "second")
        wait_until(lambda: "Connection reset by peer" in server.errors, "it does not tell of the reset")

    def test_keep_open_leaves_who_does_not_read_when_its_time_is_over(self):
        server, address = self.listener("-k", "-w", "0.5", stdin=self.open("/dev/zero", "rb"),
                                        stdout=subprocess.DEVNULL)
        began = time.monotonic()
        client = self.connect(port_of(address))
        wait_until(lambda: "Timed out" in server.errors or "has ended" in server.errors,
                   "it was not left")
        self.assertGreaterEqual(time.monotonic() - began, 0.5)
        client.close()

    def test_keep_open_over_unix_sockets_removes_the_path(self):
        server, _ = self.listener("-k", address=f"unix:{self.folder}/s")
        for _ in range(2):
            self.assertEqual(self.run_program(PIER, "connect", f"unix:{self.folder}/s",
                                              input=b"hello\n")[0], 0)
            self.assertEqual(server.line(), "hello")
        server.kill(signal.SIGTERM)
        self.assertEqual(server.wait(), 0)
        self.assertEqual(sorted(os.listdir(self.folder)), ["input"])

    def test_keep_open_fails_on_a_full_disk(self):
        server, address = self.listener("-k", stdout=self.open("/dev/full", "wb"))
        self.connect(port_of(address)).sendall(b"hello")
        self.assertEqual(server.wait(), 1)
        self.assertIn("standard output: No space left on device", server.errors)


if __name__ == "__main__":
    programs.main()
