#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""pier bench against servers that are good, slow, broken, killed and not there. No test asks for speed."""
import errno
import json
import os
import pty
import random
import re
import resource
import select
import signal
import socket
import subprocess
import threading
import time
import xml.etree.ElementTree as ET

import programs
from programs import BUILD, PATIENCE, PIER, port_of, reset, wait_until

LEVELS = {"p50": 50000, "p90": 90000, "p99": 99000, "p99.9": 99900, "max": 100000}


def rank(share, count):
    """Which of so many sorted values is the first that so large a share does not exceed."""
    return max(1, -(-share * count // 100000)) - 1


class Bench(programs.Case):
    def echo(self, *options, address="127.0.0.1:0"):
        """(a pier echo, its address)"""
        server = self.start(PIER, "echo", *options, address)
        return server, server.line().split(" on ", 1)[1]

    def bench(self, *words, **more):
        return self.run_program(PIER, "bench", *words, **more)

    def measure(self, *words, status=0, **more):
        """What --json tells."""
        got, said, errors = self.bench(*words, "--json", **more)
        self.assertEqual(got, status, errors)
        return json.loads(said)

    def talk(self, answer):
        """The address of a server of ours that calls answer(connection, number) in a thread for each client."""
        server = self.listen()

        def serve(connection, number):
            try:
                with connection:
                    answer(connection, number)
            except OSError:
                pass

        def run():
            number = 0
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                connection.settimeout(PATIENCE)
                threading.Thread(target=serve, args=(connection, number), daemon=True).start()
                number += 1

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self.addCleanup(server.shutdown, socket.SHUT_RDWR)
        return "127.0.0.1:%d" % server.getsockname()[1]

    def datagrams(self, answer):
        """The address of a server of datagrams: answer(socket, data, peer, number)."""
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind(("127.0.0.1", 0))
        over = threading.Event()

        def run():
            number = 0
            s.settimeout(0.1)
            while not over.is_set():
                try:
                    data, peer = s.recvfrom(65536)
                except OSError:
                    continue
                answer(s, data, peer, number)
                number += 1
            s.close()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self.addCleanup(thread.join, PATIENCE)
        self.addCleanup(over.set)
        return "127.0.0.1:%d" % s.getsockname()[1]

    def terminal(self, *words):
        """A bench whose stderr is a terminal, and the other end of that."""
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        program = subprocess.Popen([PIER, "bench", *words], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=slave)
        os.close(slave)

        def end():
            program.kill()
            program.wait()
            program.stdout.close()

        self.addCleanup(end)
        return program, master

    def see(self, master, what):
        """What a terminal shows, until it shows this."""
        seen, end = b"", time.monotonic() + PATIENCE
        while what not in seen:
            self.assertTrue(select.select([master], [], [], end - time.monotonic())[0], seen)
            seen += os.read(master, 65536)
        return seen


def echo_all(connection):
    while data := connection.recv(65536):
        connection.sendall(data)


class Kinds(Bench):
    def check(self, result, kind, address, size=64, connections=10):
        settings = result["settings"]
        self.assertEqual((settings["kind"], settings["address"], settings["size"],
                          settings["connections"]), (kind, address, size, connections))
        self.assertEqual(result["errors"], dict.fromkeys(
            ["total", "connect", "timeout", "reset", "ended", "wrong", "other"], 0))
        self.assertGreater(result["answered"], 0)
        self.assertGreaterEqual(result["answered"], result["requests"])
        self.assertGreaterEqual(result["seconds"], settings["duration"])
        self.assertAlmostEqual(result["requests_per_second"], result["requests"] / result["seconds"],
                               delta=0.01)
        self.assertAlmostEqual(result["bytes_per_second"], result["requests_per_second"] * size,
                               delta=size)
        self.assertIn(result["backend"], ("epoll", "uring"))
        self.assertEqual(result["format"], "pier bench 1")
        self.assertLess(abs(time.mktime(time.strptime(result["date"], "%Y-%m-%dT%H:%M:%SZ")) -
                            time.mktime(time.gmtime())), 3600)
        if kind != "bulk":
            self.check_latency(result["latency"], result["answered"])

    def check_latency(self, latency, count):
        steps = latency["distribution"]
        self.assertEqual((latency["count"], sum(n for _, n in steps)), (count, count))
        self.assertEqual([value for value, _ in steps], sorted({value for value, _ in steps}))
        for name, share in LEVELS.items():
            below, wanted = 0, rank(share, count) + 1
            for value, n in steps:
                below += n
                if below >= wanted:
                    break
            self.assertEqual(latency[name], value, name)
        self.assertEqual(latency["max"], steps[-1][0])
        self.assertLessEqual(latency["min"], latency["mean"])
        self.assertLessEqual(latency["mean"], latency["max"])

    def test_echo_over_tcp_on_both_backends(self):
        _, address = self.echo()
        for backend in ("epoll", None):
            env = {"PIER_BACKEND": backend} if backend else {}
            result = self.measure("echo", "-d", "0.3", address, env=env)
            self.check(result, "echo", address)
            self.assertEqual(result["peer"], address)
            if backend:
                self.assertEqual(result["backend"], backend)

    def test_churn_makes_a_connection_for_each_request(self):
        server, address = self.echo()
        result = self.measure("churn", "-d", "0.3", "-c", "3", address)
        self.check(result, "churn", address, connections=3)
        server.kill(signal.SIGTERM)
        self.assertEqual(server.wait(), 0)
        clients = int(server.said.decode().splitlines()[-1].split(" clients", 1)[0])
        self.assertEqual(clients, result["answered"] + 1)  # one found out whether anybody is there

    def test_echo_and_churn_over_unix_sockets(self):
        for address in (f"unix:{self.folder}/s", f"unix:@{self.folder}"):
            self.echo(address=address)
            for kind in ("echo", "churn"):
                self.check(self.measure(kind, "-d", "0.2", "-c", "200", address), kind, address,
                           connections=200)

    def test_echo_over_vsock(self):
        self.need_vsock()
        _, address = self.echo(address="vsock:any:any")
        address = "vsock:1:" + address.rsplit(":", 1)[1]
        self.check(self.measure("echo", "-d", "0.2", address), "echo", address)

    def test_echo_and_udp_over_ipv6(self):
        if not programs.has_ipv6():
            self.skipTest("no IPv6 here")
        for kind, options in (("echo", []), ("udp", ["-u"])):
            address = self.echo(*options, address="[::1]:0")[1]
            result = self.measure(kind, "-d", "0.2", address)
            self.check(result, kind, address)
            self.assertEqual(result["peer"], address)

    def test_names_are_looked_up_once(self):
        _, address = self.echo()
        result = self.measure("echo", "-d", "0.2", f"localhost:{port_of(address)}")
        self.assertEqual(result["peer"], address)

    def test_datagrams_of_udp_and_of_unix_sockets(self):
        for address in ("127.0.0.1:0", f"unix:{self.folder}/s", f"unix:@{self.folder}"):
            address = self.echo("-u", address=address)[1]
            for size in (1, 64, 9000):
                result = self.measure("udp", "-d", "0.2", "-s", str(size), address)
                self.check(result, "udp", address, size=size)
                self.assertEqual(result["settings"]["wait"], 1)

    def test_bulk_sends_whole_pieces_one_way(self):
        got = []

        def count(connection, _):
            while n := len(connection.recv(65536)):
                got.append(n)

        address = self.talk(count)
        result = self.measure("bulk", "-d", "0.3", "-s", "10000", "-c", "3", address)
        self.check(result, "bulk", address, size=10000, connections=3)
        wait_until(lambda: sum(got) >= result["answered"] * 10000, "it did not all come")
        self.assertEqual(result["latency"]["count"], 0)

    def test_bulk_to_pier_listen(self):
        server = self.start(PIER, "listen", "-v", "-k", "127.0.0.1:0", stdout=subprocess.DEVNULL)
        address = server.error_line().rsplit(" ", 1)[1]
        self.check(self.measure("bulk", "-d", "0.3", address), "bulk", address, size=65536)

    def test_bulk_does_not_wait_for_a_server_that_answers(self):
        _, address = self.echo()
        self.check(self.measure("bulk", "-d", "0.5", "-s", "1M", address), "bulk", address, size=1 << 20)

    def test_long_requests_come_back_while_they_are_sent(self):
        _, address = self.echo()
        self.check(self.measure("echo", "-d", "0.5", "-s", "3M", "-c", "2", address), "echo", address,
                   size=3 << 20, connections=2)

    def test_servers_of_socat(self):
        for what in ("EXEC:cat", "PIPE"):
            port = self.unused_port()
            self.start(self.tool("socat"), f"TCP-LISTEN:{port},fork,reuseaddr,bind=127.0.0.1", what)
            address = f"127.0.0.1:{port}"
            wait_until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, "no socat")
            for kind, size in (("echo", 64), ("echo", 300000), ("churn", 64)):
                if what == "PIPE" and size > 64:
                    continue  # which is as long as a pipe, and waits for itself
                self.check(self.measure(kind, "-d", "0.3", "-c", "3", "-s", str(size), address), kind,
                           address, size=size, connections=3)

    def test_hundreds_of_connections_in_one_loop(self):
        _, address = self.echo()
        result = self.measure("echo", "-d", "0.5", "-c", "500", address)
        self.check(result, "echo", address, connections=500)

    def test_the_text_tells_the_same(self):
        _, address = self.echo()
        status, said, errors = self.bench("echo", "-d", "0.2", address)
        self.assertEqual((status, errors), (0, ""))
        self.assertRegex(said.decode(), r"\Aecho of 64 bytes to 127\.0\.0\.1:\d+, 10 connections, "
                         r"(uring|epoll)\nrequests   \d+ in 0\.\d{3} s, \d+/s\nbytes      .+/s each way\n"
                         r"errors     0\nlatency    p50 +p90 +p99 +p99\.9 +max *\n( +[\d.]+ [mun]?s){5} *\n\Z")

    def test_what_begins_in_the_warm_up_does_not_count(self):
        # The only request begins in the warm-up, and has its answer after the end.
        def answer(connection, _):
            request = connection.recv(64)
            time.sleep(1.5)
            connection.sendall(request)
            echo_all(connection)

        address = self.talk(answer)
        status, said, errors = self.bench("echo", "-c", "1", "-W", "1", "-d", "0.2", "--json", address)
        self.assertEqual((status, errors), (1, "pier bench: no request had its answer\n"))
        result = json.loads(said)
        self.assertEqual((result["answered"], result["errors"]["total"]), (0, 0))


class Histogram(programs.Case):
    def test_percentiles_are_those_that_python_computes_exactly(self):
        random.seed(7)
        kinds = {
            "small": [random.randrange(3000) for _ in range(5000)],
            "even": [random.randrange(10 ** 9) for _ in range(20000)],
            "normal": [int(abs(random.gauss(1e6, 2e5))) for _ in range(20000)],
            "long-tailed": [int(random.lognormvariate(11, 2)) for _ in range(20000)],
            "two humps": [random.choice((10 ** 4, 10 ** 8)) + random.randrange(1000)
                          for _ in range(10001)],
            "edges": [(1 << i) + d for i in range(63) for d in (-1, 0, 1)],
            "largest": [2 ** 63 - 1, 2 ** 62, 0, 1],
            "one": [123456789],
            "none": [],
        }
        shares = [0, 1, 1000, *LEVELS.values()]
        for name, values in kinds.items():
            with self.subTest(name):
                status, said, _ = self.run_program(
                    BUILD / "tests/histogram", *shares,
                    input="".join(f"{value}\n" for value in values).encode())
                self.assertEqual(status, 0)
                first, *rows = said.decode().splitlines()
                *got, least, most, count = map(int, first.split())
                self.assertEqual((least, most, count),
                                 (min(values, default=0), max(values, default=0), len(values)))
                values.sort()
                for share, value in zip(shares, got):
                    exact = values[rank(share, count)] if values else 0
                    self.assertLessEqual(exact, value, share)
                    self.assertLessEqual(value, exact + exact // 1024, share)
                self.assertEqual(sum(int(row.split()[1]) for row in rows), count)
                tops = [int(row.split()[0]) for row in rows]
                self.assertEqual(tops, sorted(set(tops)))


class Rate(Bench):
    def test_every_request_that_was_due_is_accounted_for(self):
        _, address = self.echo()
        result = self.measure("echo", "-r", "300", "-d", "0.5", "-c", "4", address)
        self.assertEqual(result["answered"] + result["unsent"], 150)
        self.assertEqual(result["settings"]["rate"], 300)

    def test_requests_are_not_sent_before_they_are_due(self):
        times = []

        def answer(connection, _):
            while data := connection.recv(64):
                times.append(time.monotonic())
                connection.sendall(data)

        address = self.talk(answer)
        began = time.monotonic()
        self.measure("echo", "-r", "20", "-d", "0.5", "-c", "3", address)
        for i, moment in enumerate(sorted(times)):
            self.assertGreaterEqual(moment - began, 0.05 * i)

    def test_latency_counts_from_when_a_request_was_due(self):
        stalled = threading.Event()

        def answer(connection, _):
            while data := connection.recv(64):
                if not stalled.is_set():
                    time.sleep(0.5)
                    stalled.set()
                connection.sendall(data)

        result = self.measure("echo", "-r", "20", "-d", "3", "-c", "1", self.talk(answer))
        # Number k was due k/20 seconds after the first, and waited until that had its answer.
        slow = sorted((value for value, n in result["latency"]["distribution"] for _ in range(n)),
                      reverse=True)
        for k in range(8):
            self.assertGreaterEqual(slow[k], (0.5 - k / 20 - 0.001) * 1e9)

    def test_a_rate_that_is_not_reached_is_told(self):
        def slowly(connection, _):
            while data := connection.recv(64):
                time.sleep(0.1)
                connection.sendall(data)

        address = self.talk(slowly)
        status, said, _ = self.bench("echo", "-r", "1000", "-d", "0.5", "-c", "2", address)
        self.assertEqual(status, 0)
        self.assertRegex(said.decode(), r"unsent     4[89]\d were due and never begun")

    def test_a_rate_beyond_any_machine_ends_all_the_same(self):
        _, address = self.echo()
        result = self.measure("echo", "-r", "1000000000", "-d", "0.3", address)
        self.assertGreater(result["unsent"], 0)

    def test_rates_of_datagrams_of_churn_and_of_bulk(self):
        _, udp = self.echo("-u")
        _, tcp = self.echo()
        for kind, address in (("udp", udp), ("churn", tcp), ("bulk", tcp)):
            result = self.measure(kind, "-r", "100", "-d", "0.3", address)
            self.assertEqual(result["answered"] + result["unsent"] + result["lost"], 30, kind)


class Failures(Bench):
    def broken(self, answer, kind, *options):
        result = self.measure("echo", "-c", "2", "-d", "30", *options, self.talk(answer), status=1)
        self.assertEqual((result["errors"]["total"], result["errors"][kind], result["given_up"]),
                         (10, 10, 2), result["errors"])
        self.assertEqual(result["requests"], 0)

    def test_a_wrong_byte_is_no_answer(self):
        def change(connection, _):
            while data := connection.recv(64):
                connection.sendall(data[:40] + bytes([data[40] ^ 1]) + data[41:])
        self.broken(change, "wrong")

    def test_a_byte_too_many_is_no_answer(self):
        self.broken(lambda connection, _: (connection.sendall(connection.recv(64) + b"x"),
                                           connection.recv(1)), "wrong")

    def test_an_answer_of_another_request_is_none(self):
        def repeat(connection, _):
            first = connection.recv(64)
            connection.sendall(first)
            while connection.recv(64):
                connection.sendall(first)
        result = self.measure("echo", "-c", "1", "-d", "3", self.talk(repeat), status=1)
        self.assertGreater(result["errors"]["wrong"], 0)
        self.assertEqual(result["errors"]["total"], result["errors"]["wrong"])

    def test_a_peer_that_ends_too_early(self):
        self.broken(lambda connection, _: connection.sendall(connection.recv(64)[:63]), "ended")

    def test_a_peer_that_resets(self):
        self.broken(lambda connection, _: (connection.recv(64), reset(connection)), "reset")

    def test_a_peer_that_is_silent(self):
        began = time.monotonic()
        self.broken(lambda connection, _: connection.recv(1000) and connection.recv(1), "timeout",
                    "-w", "0.5")
        self.assertGreaterEqual(time.monotonic() - began, 5 * 0.5)

    def test_a_peer_that_drips_is_out_of_time_as_well(self):
        def drip(connection, _):
            for byte in connection.recv(64):
                connection.sendall(bytes([byte]))
                time.sleep(0.1)
        self.broken(drip, "timeout", "-w", "0.5")

    def test_connections_that_break_are_made_anew(self):
        answered = []

        def three(connection, number):
            for _ in range(3):
                connection.sendall(connection.recv(64))
                answered.append(number)

        result = self.measure("echo", "-c", "2", "-d", "3", self.talk(three), status=1)
        self.assertEqual(result["errors"]["total"],
                         result["errors"]["ended"] + result["errors"]["reset"])
        self.assertEqual(result["given_up"], 0)
        self.assertGreater(max(answered), 1)

    def place_of_nobody_else(self, kind):
        """An address whose port is given to no other program when its server is gone: elsewhere it is in use."""
        s = socket.socket(socket.AF_INET, kind)
        self.addCleanup(s.close)
        s.bind(("127.0.0.1", 0))
        return "127.0.0.2:%d" % s.getsockname()[1]

    def test_a_killed_server_ends_the_bench(self):
        for options, kind in ([], socket.SOCK_STREAM), (["-u"], socket.SOCK_DGRAM):
            server, address = self.echo(*options, address=self.place_of_nobody_else(kind))
            bench, master = self.terminal("udp" if options else "echo", "-d", "1000", "-w", "0.5",
                                          "-c", "3", address)
            self.see(master, b"/s, 0 errors")
            server.kill()
            said = bench.stdout.read().decode()
            self.assertEqual(bench.wait(PATIENCE), 1)
            self.assertRegex(said, r"errors     [1-9]")
            self.assertIn("Connection refused", said)
            self.assertIn("3 connections failed too often in a row", said)

    def is_gone(self, path):
        with socket.socket(socket.AF_UNIX) as s:
            return s.connect_ex(path) == errno.ECONNREFUSED

    def test_a_server_that_comes_back_is_measured_on(self):
        address = f"unix:{self.folder}/s"
        first, _ = self.echo(address=address)
        bench, master = self.terminal("echo", "-d", "1000", "-c", "3", address)
        self.see(master, b"/s, 0 errors")
        first.kill()
        first.wait()
        wait_until(lambda: self.is_gone(f"{self.folder}/s"), "the kernel keeps its socket")
        self.echo(address=address)
        seen = b""
        end = time.monotonic() + PATIENCE
        while not re.search(rb": [1-9]\d* requests/s, [1-9]\d* errors", seen):
            self.assertLess(time.monotonic(), end, seen)
            seen += os.read(master, 65536)
        bench.send_signal(signal.SIGINT)
        self.assertIn(b"errors     ", bench.stdout.read())
        self.assertEqual(bench.wait(PATIENCE), -signal.SIGINT)

    def test_a_killed_server_ends_every_kind_over_a_unix_socket(self):
        for kind in ("churn", "bulk", "udp"):
            address = f"unix:{self.folder}/{kind}"
            server, _ = self.echo(*(["-u"] if kind == "udp" else []), address=address)
            bench, master = self.terminal(kind, "-d", "1000", "-w", "0.5", "-c", "3", address)
            self.see(master, b"/s, 0 errors")
            server.kill()
            bench.stdout.read()
            self.assertEqual(bench.wait(PATIENCE), 1)

    def test_where_nobody_listens_it_says_so_before_it_begins(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind(("127.0.0.1", 0))
            closed = s.getsockname()[1]
        for kind, address, why in (
                ("echo", f"127.0.0.1:{self.refusing_port()}", "Connection refused"),
                ("churn", f"127.0.0.1:{self.refusing_port()}", "Connection refused"),
                ("bulk", f"unix:{self.folder}/s", "No such file or directory"),
                ("udp", f"127.0.0.1:{closed}", "Connection refused"),
                ("udp", f"unix:{self.folder}/s", "No such file or directory"),
                ("echo", "no-such-host.invalid:1", "no-such-host.invalid")):
            status, said, errors = self.bench(kind, "-d", "1000", address)
            self.assertEqual((status, said), (1, b""), address)
            self.assertRegex(errors, rf"^pier bench: .*{why}.*\n$")

    def test_a_silent_port_of_udp_is_told_before_it_begins(self):
        address = self.datagrams(lambda *_: None)
        status, said, errors = self.bench("udp", "-d", "1000", "-w", "0.1", address)
        self.assertEqual((status, said), (1, b""))
        self.assertIn("no answer to 3 datagrams, each within 0.1 seconds", errors)

    def test_lost_datagrams_are_counted_and_are_no_failure(self):
        address = self.datagrams(lambda s, data, peer, number: number % 3 == 2 or
                                 s.sendto(data, peer))
        result = self.measure("udp", "-c", "2", "-w", "0.4", "-d", "2", address)
        self.assertGreater(result["lost"], 0)
        self.assertGreater(result["answered"], 0)
        self.assertEqual(result["errors"]["total"], 0)

    def test_a_datagram_that_comes_too_late_is_none_for_the_next(self):
        delayed = []

        def delay(s, data, peer, _):
            if data[0] == 3 and not delayed:  # a request by its own number: the first may be asked twice
                delayed.append(data)
                time.sleep(0.8)
            s.sendto(data, peer)

        result = self.measure("udp", "-c", "1", "-w", "0.5", "-d", "3", self.datagrams(delay))
        self.assertGreaterEqual(result["lost"], 1)
        self.assertGreaterEqual(result["late"], 1)
        self.assertEqual(result["errors"]["total"], 0)

    def test_a_wrong_datagram_is_an_error(self):
        # The first one asks whether anybody is there.
        address = self.datagrams(lambda s, data, peer, _: s.sendto(
            data if data[0] == 1 else data[:-1] + bytes([data[-1] ^ 1]), peer))
        result = self.measure("udp", "-c", "1", "-d", "30", address, status=1)
        self.assertEqual(result["errors"]["wrong"], 5)

    def test_descriptors_are_raised_to_what_this_user_may_have(self):
        _, address = self.echo()
        limits = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 150))}
        self.assertEqual(self.measure("echo", "-c", "100", "-d", "0.2", address, **limits)["errors"]["total"],
                         0)
        status, said, errors = self.bench("echo", "-c", "200", address, **limits)
        self.assertEqual((status, said), (1, b""))
        self.assertRegex(errors, r"^pier bench: 200 connections are too many: they need \d+ descriptors, "
                         r"and this user may have 150 \(ulimit -Hn\)\n$")

    def test_wrong_command_lines(self):
        address = "127.0.0.1:1"
        for words in (
                [], ["echo"], [address], ["ping", address], ["echo", address, "x"],
                ["echo", "nonsense", ], ["echo", "-c", "0", address], ["echo", "-c", "-1", address],
                ["echo", "-c", "x", address], ["echo", "-c", "1000001", address],
                ["echo", "-s", "0", address], ["echo", "-s", "2G", address],
                ["udp", "-s", "65508", address], ["echo", "-d", "0", address],
                ["echo", "-d", "-1", address], ["echo", "-d", "nan", address],
                ["echo", "-r", "0", address], ["echo", "-r", "1.5", address],
                ["echo", "-w", "0", address], ["echo", "-W", "inf", address],
                ["bulk", "--plot", "x.svg", address], ["echo", "--plot"], ["echo", "-x", address]):
            status, said, errors = self.bench(*words, cwd=self.folder)
            self.assertEqual((status, said), (2, b""), words)
            self.assertRegex(errors, r"^pier bench: .*\(pier bench --help shows how\)\n$")
        self.assertEqual(sorted(os.listdir(self.folder)), [])


class Signals(Bench):
    def test_a_signal_ends_it_with_what_was_measured(self):
        _, address = self.echo()
        for number in (signal.SIGINT, signal.SIGTERM):
            bench, master = self.terminal("echo", "-d", "inf", "--json", address)
            self.see(master, b"requests/s, 0 errors")
            bench.send_signal(number)
            result = json.loads(bench.stdout.read())
            self.assertEqual(bench.wait(PATIENCE), -number)
            self.assertTrue(result["interrupted"])
            self.assertIsNone(result["settings"]["duration"])
            self.assertGreater(result["requests"], 0)
            self.assertEqual(result["errors"]["total"], 0)

    def test_a_signal_ends_it_while_a_server_is_silent(self):
        came = threading.Event()
        address = self.talk(lambda connection, _: (connection.recv(1), came.set(), connection.recv(99),
                                                   connection.recv(1)))
        bench = self.start(PIER, "bench", "echo", "-c", "3", "-w", "inf", address)
        self.assertTrue(came.wait(PATIENCE))
        time.sleep(0.1)
        bench.kill(signal.SIGINT)
        self.assertEqual(bench.wait(), -signal.SIGINT)
        self.assertIn(b"requests   0 in ", bench.said)
        self.assertIn(b"interrupted", bench.said)

    def test_a_signal_ends_it_while_it_connects(self):
        server = socket.socket()
        self.addCleanup(server.close)
        server.bind(("127.0.0.1", 0))
        server.listen(0)  # and nobody accepts: there is room for one or two
        port = server.getsockname()[1]
        bench = self.start(PIER, "bench", "echo", "-c", "20", "-w", "inf", f"127.0.0.1:{port}")
        waiting = b":%04X 02 " % port  # SYN_SENT, in /proc/net/tcp
        wait_until(lambda: waiting in b"\n".join(open("/proc/net/tcp", "rb")), "it does not connect")
        time.sleep(0.1)
        bench.kill(signal.SIGINT)
        self.assertEqual(bench.wait(), -signal.SIGINT)
        self.assertIn(b"requests   0 in 0.000 s", bench.said)

    def test_a_terminal_sees_how_it_goes_and_nobody_else(self):
        _, address = self.echo()
        bench, master = self.terminal("echo", "-d", "1", address)
        seen = self.see(master, b"requests/s, 0 errors")
        self.assertRegex(seen, rb"^\r\d+\.\d s: \d+ requests/s, 0 errors\x1b\[K")
        bench.stdout.read()
        self.assertEqual(bench.wait(PATIENCE), 0)
        self.assertEqual(self.bench("echo", "-d", "0.5", address)[2], "")


class Files(Bench):
    def test_an_earlier_result_is_printed_beside_this_one(self):
        _, address = self.echo()
        earlier = self.folder / "earlier.json"
        first = self.measure("echo", "-d", "0.2", address)
        earlier.write_text(json.dumps(first))
        status, said, errors = self.bench("echo", "-d", "0.2", "-c", "3", "--compare", earlier, address)
        if "built without jansson" in errors:
            self.skipTest("there is no jansson here")
        self.assertEqual((status, errors), (0, ""))
        table = said.decode().split("\n\n")[1]
        self.assertRegex(table, rf"\A +earlier +now +ratio   \(earlier: {first['date']}\)\n"
                         r"connections +10 +3   not the same\nrequests/s +\d+ +\d+ +\d+\.\d{3}\n"
                         r"bytes/s .*\nerrors +0 +0 +-\np50 +[\d.]+ [num]?s +[\d.]+ [num]?s +\d+\.\d{3}\n")
        self.assertEqual([row.split()[0] for row in table.splitlines()[-5:]], list(LEVELS))
        status, said, errors = self.bench("echo", "-d", "0.2", "--json", "--compare", earlier, address)
        self.assertEqual(status, 0)
        self.assertEqual(json.loads(said)["format"], "pier bench 1")
        self.assertIn("ratio", errors)

    def test_a_broken_or_foreign_file_is_told_before_it_begins(self):
        _, address = self.echo()
        good = self.measure("echo", "-d", "0.1", address)
        text = json.dumps(good)
        broken = {
            "empty": "", "half": text[:len(text) // 2], "more": text + "{}", "list": "[]",
            "number": "1", "foreign": '{"name": "x"}', "binary": "\0\1\2",
            "twice": text.replace('"lost": 0', '"lost": 0, "lost": 0'),
            "unknown": json.dumps({**good, "x": 1}),
            "missing": json.dumps({k: v for k, v in good.items() if k != "lost"}),
            "version": json.dumps({**good, "format": "pier bench 2"}),
            "type": json.dumps({**good, "requests_per_second": "1"}),
            "negative": json.dumps({**good, "seconds": -1}),
            "errors": json.dumps({**good, "errors": {**good["errors"], "total": 5}}),
            "kind": json.dumps({**good, "settings": {**good["settings"], "kind": "x"}}),
            "other kind": json.dumps({**good, "settings": {**good["settings"], "kind": "udp"}}),
            "count": json.dumps({**good, "latency": {**good["latency"], "count": 1 << 40}}),
            "order": json.dumps({**good, "latency": {**good["latency"], "p50": 1 << 60}}),
            "steps": json.dumps({**good, "latency": {**good["latency"], "distribution": [[1]]}}),
        }
        nobody = f"127.0.0.1:{self.refusing_port()}"
        path = self.folder / "earlier"
        for name, content in broken.items():
            path.write_text(content)
            status, said, errors = self.bench("echo", "--compare", path, nobody)
            if "built without jansson" in errors:
                self.skipTest("there is no jansson here")
            self.assertEqual((status, said), (1, b""), name)
            self.assertRegex(errors, rf"^pier bench: {path}: it is (no result|of bench udp).*\n$", name)
        for name in ("none", "."):
            status, said, errors = self.bench("echo", "--compare", self.folder / name, nobody)
            self.assertEqual((status, said), (1, b""))
            self.assertRegex(errors, rf"^pier bench: {self.folder}.*\n$")

    def test_a_plot_is_drawn_and_takes_its_name_when_it_is_whole(self):
        self.tool("gnuplot")
        address = f"unix:{self.folder}/a`touch x`'s $x @y"
        self.echo(address=address)
        plot, earlier = self.folder / "plot.svg", self.folder / "earlier.json"
        plot.write_text("old")
        inode = plot.stat().st_ino
        result = self.measure("echo", "-d", "0.2", "--plot", plot, address, cwd=self.folder)
        earlier.write_text(json.dumps(result))
        self.assertNotEqual(plot.stat().st_ino, inode)
        root = ET.parse(plot).getroot()
        self.assertEqual(root.tag, "{http://www.w3.org/2000/svg}svg")
        words = " ".join(text.strip() for text in root.itertext() if text.strip())
        for word in ("99.9 %", "latency in ms", f"pier bench echo {address}", result["date"]):
            self.assertIn(word, words)
        status, _, errors = self.bench("echo", "-d", "0.2", "--plot", plot, "--compare", earlier, address,
                                       cwd=self.folder)
        if "built without jansson" not in errors:
            self.assertEqual((status, errors), (0, ""))
            words = " ".join(ET.parse(plot).getroot().itertext())
            self.assertIn(f"earlier, {result['date']}", words)
        self.assertEqual(sorted(os.listdir(self.folder)),
                         sorted([address.rsplit("/", 1)[1], "earlier.json", "plot.svg"]))

    def test_a_missing_gnuplot_is_told_before_it_begins(self):
        nobody = f"127.0.0.1:{self.refusing_port()}"
        for path in (str(self.folder), ""):
            status, said, errors = self.bench("echo", "--plot", self.folder / "plot.svg", nobody,
                                              env={"PATH": path})
            self.assertEqual((status, said), (1, b""))
            self.assertIn("install gnuplot-nox", errors)
        self.assertEqual(os.listdir(self.folder), [])

    def test_a_gnuplot_that_fails_leaves_the_old_file(self):
        _, address = self.echo()
        plot, program = self.folder / "plot.svg", self.folder / "gnuplot"
        for script, why in (("echo half; echo first >&2; echo no paper >&2; exit 3", "no paper"),
                            ("kill -9 $$", "Interrupted"), ("exit 0", "gnuplot failed")):
            program.write_text(f"#!/bin/sh\n{script}\n")
            program.chmod(0o755)
            plot.write_text("old")
            status, said, errors = self.bench("echo", "-d", "0.1", "--plot", plot, address,
                                              env={"PATH": f"{self.folder}:{os.environ['PATH']}"})
            self.assertEqual(status, 1)
            self.assertIn(why, errors)
            self.assertIn(b"latency", said)  # it was measured all the same
            self.assertEqual(plot.read_text(), "old")
            self.assertEqual(sorted(os.listdir(self.folder)), ["gnuplot", "plot.svg"])

    def test_a_plot_that_cannot_be_written_is_told_before_it_begins(self):
        self.tool("gnuplot")
        nobody = f"127.0.0.1:{self.refusing_port()}"
        status, _, errors = self.bench("echo", "--plot", self.folder / "no/plot.svg", nobody)
        self.assertEqual(status, 1)
        self.assertIn("No such file or directory", errors)

    def test_a_full_disk_is_a_failure(self):
        _, address = self.echo()
        status, _, errors = self.bench("echo", "-d", "0.1", "--json", address,
                                       stdout=self.open("/dev/full", "wb"))
        self.assertEqual(status, 1)
        self.assertIn("No space left on device", errors)


if __name__ == "__main__":
    programs.main()
