#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""pier proxy between peers of every kind."""
import os
import signal
import socket
import threading
import time

import programs
from programs import PATIENCE, PIER, checksum, port_of, read_all, reset, wait_until


class Proxy(programs.Case):
    def proxy(self, target, *options, address="127.0.0.1:0"):
        server = self.start(PIER, "proxy", *options, address, target)
        line = server.line()
        self.assertRegex(line, r"^socket is listening on ")
        return server, line.split(" on ", 1)[1]

    def ended(self, server, number=signal.SIGTERM):
        server.kill(number)
        self.assertEqual(server.wait(), 0)
        return server.said.decode().splitlines()[-1]

    def between(self, *options):
        """(the proxy, a client, the target's end of its connection)"""
        target = self.listen()
        server, address = self.proxy("127.0.0.1:%d" % target.getsockname()[1], *options)
        client = self.connect(port_of(address))
        return server, client, self.accept(target)

    def test_megabytes_pass_both_ways_at_once(self):
        server, client, target = self.between("-v")
        sent = [os.urandom(5_000_000), os.urandom(3_000_000)]
        got = [None, None]

        def talk(i, s):
            writer = threading.Thread(target=lambda: (s.sendall(sent[i]), s.shutdown(socket.SHUT_WR)),
                                      daemon=True)
            writer.start()
            got[i] = read_all(s)
            writer.join(PATIENCE)

        threads = [threading.Thread(target=talk, args=pair, daemon=True)
                   for pair in enumerate((client, target))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        self.assertTrue(got == [sent[1], sent[0]])
        self.assertRegex(server.line(), r"^127\.0\.0\.1:\d+: 5000000 bytes there, 3000000 back, in "
                         r"\d+\.\d+ seconds$")
        self.assertEqual(self.ended(server), "1 clients, 1 at once at most, 5000000 bytes there, "
                         "3000000 back; 0 not connected, 0 broken, 0 stopped, 0 turned away")

    def test_each_direction_ends_by_itself(self):
        _, client, target = self.between()
        client.sendall(b"question")
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(read_all(target), b"question")
        time.sleep(0.1)
        target.sendall(b"late answer")
        self.assertEqual(client.recv(100), b"late answer")
        target.close()
        self.assertEqual(client.recv(100), b"")

    def test_the_targets_end_leaves_the_client_sending(self):
        _, client, target = self.between()
        target.sendall(b"done")
        target.shutdown(socket.SHUT_WR)
        self.assertEqual(read_all(client), b"done")
        client.sendall(b"not yet")
        client.close()
        self.assertEqual(read_all(target), b"not yet")

    def test_who_does_not_read_stops_the_other_side(self):
        _, client, target = self.between()
        client.settimeout(0.5)
        sent = 0
        with self.assertRaises(TimeoutError):
            while sent < 200_000_000:
                sent += client.send(b"x" * 65536)
        self.assertLess(sent, 50_000_000)
        client.settimeout(PATIENCE)
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(len(read_all(target)), sent)

    def test_a_reset_is_passed_on_as_one(self):
        server, client, target = self.between("-v")
        target.sendall(b"half")
        self.assertEqual(client.recv(4), b"half")
        reset(target)
        with self.assertRaises(ConnectionResetError):
            client.recv(100)
        self.assertIn("Connection reset by peer", server.line())
        server, client, target = self.between()
        client.sendall(b"half")
        self.assertEqual(target.recv(4), b"half")
        reset(client)
        with self.assertRaises(ConnectionResetError):
            target.recv(100)
        self.assertIn("1 broken", self.ended(server))

    def test_a_target_that_cannot_be_reached_is_a_reset(self):
        server, address = self.proxy(f"127.0.0.1:{self.refusing_port()}")
        with self.assertRaises(ConnectionResetError):
            self.connect(port_of(address)).recv(1)  # the reset may be as quick as the connection
        wait_until(lambda: "Connection refused" in server.errors, "it was not told")
        self.assertIn("1 not connected", self.ended(server))

    def test_silence_ends_a_client_but_not_before_its_time(self):
        silence, heard = 1, b""
        while silence >= 1 and len(heard) < 7:  # unless it was the machine that was silent
            began, heard = time.monotonic(), b""
            server, client, target = self.between("-w", "1")
            silence, last = self.drip(lambda: target.sendall(b"."), 1, began)
            with self.assertRaises(ConnectionResetError):
                while part := client.recv(100):
                    heard += part
        self.assertEqual(heard, b".......")
        self.assertGreaterEqual(time.monotonic() - last, 1)
        self.assertIn("1 broken", self.ended(server))

    def test_more_clients_than_it_may_serve_wait(self):
        echo = self.start(PIER, "echo", f"unix:{self.folder}/s")
        echo.line()
        server, address = self.proxy(f"unix:{self.folder}/s", "-m", "1")
        first, second = self.connect(port_of(address)), self.connect(port_of(address))
        first.sendall(b"first")
        self.assertEqual(first.recv(5), b"first")
        second.sendall(b"second")
        second.settimeout(0.3)
        with self.assertRaises(TimeoutError):
            second.recv(6)
        first.close()
        second.settimeout(PATIENCE)
        self.assertEqual(second.recv(6), b"second")

    def test_clients_may_finish_when_it_is_stopped(self):
        server, client, target = self.between("-d", PATIENCE)
        client.sendall(b"one")
        self.assertEqual(target.recv(3), b"one")
        server.kill(signal.SIGTERM)
        time.sleep(0.2)
        target.sendall(b"two")
        target.close()
        self.assertEqual(read_all(client), b"two")
        client.close()
        self.assertEqual(server.wait(), 0)
        self.assertIn(b"0 broken, 0 stopped", server.said)

    def test_clients_that_do_not_finish_are_left(self):
        server, client, target = self.between("-d", "0.3")
        client.sendall(b"one")
        self.assertEqual(target.recv(3), b"one")
        began = time.monotonic()
        server.kill(signal.SIGTERM)
        self.assertEqual(server.wait(), 0)
        self.assertGreaterEqual(time.monotonic() - began, 0.3)
        self.assertIn(b"0 broken, 1 stopped", server.said)
        with self.assertRaises(ConnectionResetError):
            target.recv(1)

    def test_a_hundred_clients_at_once_have_each_their_own(self):
        echo = self.start(PIER, "echo", "127.0.0.1:0")
        server, address = self.proxy(echo.line().split(" on ")[1])
        clients = [self.connect(port_of(address)) for _ in range(100)]
        for i, client in enumerate(clients):
            client.sendall(b"I am number %3d" % i)
        for i, client in enumerate(clients):
            self.assertEqual(client.recv(100), b"I am number %3d" % i)
            client.close()
        self.assertRegex(self.ended(server), r"^100 clients, .*1500 bytes there, 1500 back; 0 not")

    def test_every_backend_carries(self):
        for backend in ("epoll", "thread", ""):
            port = self.serve(lambda connection, _: connection.sendall(read_all(connection).upper()))
            server = self.start(PIER, "proxy", "127.0.0.1:0", f"127.0.0.1:{port}",
                                env={"PIER_BACKEND": backend})
            client = self.connect(port_of(server.line()))
            client.sendall(b"hello")
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(read_all(client), b"HELLO")

    def test_curl_and_socat_pass(self):
        web = self.folder / "page"
        self.random_file("page", 2_000_000)
        http = self.start("python3", "-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory",
                          self.folder, "0")
        port = int(http.line().split("port ")[1].split()[0])
        server, _ = self.proxy(f"127.0.0.1:{port}", address=f"unix:{self.folder}/s")
        copy = self.folder / "copy"
        self.assertEqual(self.run_program(self.tool("curl"), "-s", "--unix-socket", self.folder / "s",
                                          "-o", copy, "http://x/page")[0], 0)
        self.assertEqual(checksum(copy), checksum(web))
        said = self.run_program(self.tool("socat"), "-t", PATIENCE, "-", f"UNIX:{self.folder}/s",
                                input=b"GET /page HTTP/1.0\r\n\r\n")[1]
        self.assertTrue(said.endswith(web.read_bytes()))
        self.assertIn("0 broken", self.ended(server))
        self.assertFalse((self.folder / "s").exists())


if __name__ == "__main__":
    programs.main()
