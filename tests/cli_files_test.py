#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""pier send and receive: whole files, cut-off ones, and peers that lie."""
import contextlib
import fcntl
import hashlib
import os
import pty
import signal
import socket
import struct
import subprocess
import termios
import time

import programs
from programs import PATIENCE, PIER, checksum, port_of, read_all, reset, wait_until

EMPTY = hashlib.sha256().hexdigest()


class Files(programs.Case):
    def receiver(self, *options, name="copy", address="127.0.0.1:0", **more):
        server = self.start(PIER, "receive", "-v", *options, address, self.folder / name, **more)
        line = server.error_line()
        self.assertRegex(line, r"^pier receive: listening on ")
        return server, line.removeprefix("pier receive: listening on ")

    def transfer(self, path, *options, **more):
        server, address = self.receiver(**more)
        sender = self.start(PIER, "send", *options, path, address)
        self.assertEqual((sender.wait(), server.wait()), (0, 0), sender.errors + server.errors)
        return sender.errors

    def part(self, name="copy"):
        return self.folder / f".{name}.pier-part"

    def test_a_file_arrives_whole(self):
        for size in (0, 1, 63, 64, 65, 1000, 262144, 5_000_001):
            path = self.random_file("file", size)
            self.assertEqual(self.transfer(path), "")
            self.assertEqual(checksum(self.folder / "copy"), checksum(path))
            self.assertFalse(self.part().exists())

    def test_a_file_arrives_over_a_unix_socket(self):
        path = self.random_file("file", 2_000_000)
        self.transfer(path, address=f"unix:{self.folder}/s")
        self.assertEqual(checksum(self.folder / "copy"), checksum(path))
        self.assertEqual(sorted(os.listdir(self.folder)), ["copy", "file"])

    def test_an_old_file_is_replaced_with_its_permissions_through_a_link(self):
        path = self.random_file("file", 1000)
        (self.folder / "old").write_text("old")
        (self.folder / "old").chmod(0o640)
        (self.folder / "copy").symlink_to("old")
        self.transfer(path)
        self.assertTrue((self.folder / "copy").is_symlink())
        self.assertEqual(checksum(self.folder / "old"), checksum(path))
        self.assertEqual((self.folder / "old").stat().st_mode & 0o777, 0o640)

    def interrupted(self, path, size):
        """A receiver that has got `size` bytes of a file, and then a reset."""
        server, address = self.receiver()
        s = self.connect(port_of(address))
        file = s.makefile("rwb", 0)
        file.write(b"pier-send 1 %d\n" % path.stat().st_size)
        has = file.readline().split()
        self.assertEqual(has[0], b"have")
        file.write(b"from 0\n" + path.read_bytes()[:size])
        wait_until(lambda: self.part().exists() and self.part().stat().st_size == size, "it did not come")
        reset(s)
        file.close()
        self.assertEqual(server.wait(), 1)
        self.assertIn(f"{size} of {path.stat().st_size} bytes came", server.errors)

    def test_a_file_that_was_cut_off_goes_on_where_it_stopped(self):
        path = self.random_file("file", 3_000_000)
        (self.folder / "copy").write_text("old")
        self.interrupted(path, 1_234_567)
        self.assertEqual((self.folder / "copy").read_text(), "old")
        self.assertEqual(self.transfer(path),
                         "pier send: going on after 1234567 of 3000000 bytes\n")
        self.assertEqual(checksum(self.folder / "copy"), checksum(path))
        self.assertFalse(self.part().exists())

    def test_a_cut_off_file_is_sent_anew_if_it_is_another(self):
        self.interrupted(self.random_file("file", 1_000_000), 500_000)
        for size in (1_000_000, 1000):
            other = self.random_file("other", size)
            self.assertEqual(self.transfer(other), "")
            self.assertEqual(checksum(self.folder / "copy"), checksum(other))
            self.part().write_bytes(b"rest of something")

    def test_killing_either_side_leaves_no_name_and_the_next_try_goes_on(self):
        path = self.random_file("file", 30_000_000)
        for victim in ("sender", "receiver"):
            server, address = self.receiver()
            sender = self.start(PIER, "send", path, address)
            wait_until(lambda: self.part().exists() and self.part().stat().st_size > 100_000 or
                       sender.process.poll() is not None, "nothing came")
            (sender if victim == "sender" else server).kill()
            server.wait()
            sender.wait()
            if (self.folder / "copy").exists():  # it was quicker than we
                (self.folder / "copy").unlink()
                continue
            self.assertLessEqual(self.part().stat().st_size, 30_000_000)
        self.transfer(path)
        self.assertEqual(checksum(self.folder / "copy"), checksum(path))

    def test_a_wrong_checksum_gives_no_name_and_nothing_to_go_on_from(self):
        server, address = self.receiver()
        s = self.connect(port_of(address))
        s.sendall(b"pier-send 1 5\n")
        s.sendall(b"from 0\nhellosum " + EMPTY.encode() + b"\n")
        got = read_all(s)
        self.assertEqual(server.wait(), 1)
        self.assertIn(b"have 0 " + EMPTY.encode(), got)
        self.assertIn(b"\nbad the checksum is wrong", got)
        self.assertEqual(os.listdir(self.folder), [])

    def test_the_checksum_is_sha256(self):
        for size in (1, 55, 56, 63, 64, 65, 119, 120, 128, 300_000):
            data = os.urandom(size)
            server, address = self.receiver()
            s = self.connect(port_of(address))
            s.sendall(b"pier-send 1 %d\nfrom 0\n%bsum %s\n" %
                      (size, data, hashlib.sha256(data).hexdigest().encode()))
            self.assertEqual(read_all(s), b"have 0 " + EMPTY.encode() + b"\nok\n")
            self.assertEqual(server.wait(), 0)
            self.assertEqual((self.folder / "copy").read_bytes(), data)

    def test_peers_that_lie_are_refused(self):
        for line, expected in {b"GET / HTTP/1.1\r\n": "that is no pier send",
                               b"pier-send 1 -5\n": "that is no pier send",
                               b"pier-send 1 " + b"9" * 400 + b"\n": "",
                               b"x" * 10000: "", b"": "too early",
                               b"\x1b[31m\n": "\\x1b[31m",
                               b"pier-send 1 10\nfrom 5\n": "the sender says: from 5",
                               b"pier-send 1 10\nfrom 0\nshort": "5 of 10 bytes came",
                               b"pier-send 1 1\nfrom 0\nxsum hello\n": "the sender says: sum hello",
                               }.items():
            server, address = self.receiver("-w", "5")
            s = self.connect(port_of(address))
            s.sendall(line)
            with contextlib.suppress(OSError):  # it may have heard enough, and be gone
                s.shutdown(socket.SHUT_WR)
            self.assertEqual(server.wait(), 1, line)
            self.assertIn(expected, server.errors)
            self.assertNotIn("\x1b", server.errors)
            self.assertFalse((self.folder / "copy").exists())
            self.part().unlink(missing_ok=True)

    def test_receivers_that_lie_are_a_failure(self):
        path = self.random_file("file", 1000)
        for answer, expected in {b"": "too early", b"bad no room\x1b\n": "the receiver says: bad no room",
                                 b"have 0 " + EMPTY.encode() + b"\nbad disk\n": "the receiver says: bad disk",
                                 b"have 0 " + EMPTY.encode() + b"\n": "the connection ended"}.items():
            def play(connection, _):
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)
                read_all(connection)
            status, _, errors = self.run_program(PIER, "send", path, f"127.0.0.1:{self.serve(play)}")
            self.assertEqual(status, 1, errors)
            self.assertIn(expected, errors)
            self.assertNotIn("\x1b", errors)

    def test_a_file_that_is_too_long_is_refused_and_both_say_so(self):
        server, address = self.receiver("--max-size", "1K")
        status, _, errors = self.run_program(PIER, "send", self.random_file("file", 1025), address)
        self.assertEqual((status, server.wait()), (1, 1))
        for said in (errors, server.errors):
            self.assertIn("1025 bytes are more than may come, 1024", said)
        self.transfer(self.random_file("file", 1024))

    def test_a_full_disk_is_known_before(self):
        mount = self.tool("mount")
        if os.geteuid() != 0:
            self.skipTest("only root can make a small disk")
        small = self.folder / "small"
        small.mkdir()
        if subprocess.run([mount, "-t", "tmpfs", "-o", "size=1m", "none", small],
                          capture_output=True).returncode:
            self.skipTest("no file system may be mounted here")
        self.addCleanup(subprocess.run, ["umount", "-l", small])
        server, address = self.receiver(name="small/copy")
        status, _, errors = self.run_program(PIER, "send", self.random_file("file", 2_000_000), address)
        self.assertEqual((status, server.wait()), (1, 1))
        for said in (errors, server.errors):
            self.assertIn("no room for 2000000 bytes", said)
        self.assertEqual(os.listdir(small), [])

    def test_what_is_no_regular_file_is_refused(self):
        for path in (self.folder, "/dev/null"):
            status, _, errors = self.run_program(PIER, "send", path, ":1")
            self.assertEqual(status, 1)
            self.assertIn("it is no regular file", errors)
            self.assertEqual(self.run_program(PIER, "receive", ":0", path)[0], 1)
        self.assertIn("No such file", self.run_program(PIER, "send", self.folder / "none", ":1")[2])
        self.assertIn("No such file", self.run_program(PIER, "receive", ":0", self.folder / "a/b")[2])

    def test_a_file_that_cannot_be_read_is_a_failure_at_once(self):
        path = "/sys/class/net/lo/speed"  # it has a size, and no content
        if not os.path.exists(path):
            self.skipTest("there is no file that can be opened and not be read")
        server, address = self.receiver()
        sender = self.start(PIER, "send", path, address)
        self.assertEqual((sender.wait(), server.wait()), (1, 1))
        self.assertIn("Invalid argument", sender.errors)

    def test_two_receivers_do_not_write_into_one_file(self):
        self.receiver()
        status, _, errors = self.run_program(PIER, "receive", "127.0.0.1:0", self.folder / "copy")
        self.assertEqual(status, 1)
        self.assertIn("another pier is receiving into it", errors)

    def test_a_partial_file_of_somebody_else_is_not_gone_on_from(self):
        (self.folder / "elsewhere").write_text("mine")
        self.part().symlink_to("elsewhere")
        self.assertEqual(self.run_program(PIER, "receive", "127.0.0.1:0", self.folder / "copy")[0], 1)
        self.part().unlink()
        os.link(self.folder / "elsewhere", self.part())
        status, _, errors = self.run_program(PIER, "receive", "127.0.0.1:0", self.folder / "copy")
        self.assertEqual(status, 1)
        self.assertIn("somebody else made it", errors)
        self.assertEqual((self.folder / "elsewhere").read_text(), "mine")

    def test_a_file_that_changes_while_it_is_sent_is_refused(self):
        path = self.random_file("file", 50_000_000)
        server, address = self.receiver()
        server.kill(signal.SIGSTOP)
        sender = self.start(PIER, "send", path, address)
        time.sleep(0.2)
        server.kill(signal.SIGCONT)
        os.truncate(path, 40_000_000)
        statuses = sender.wait(), server.wait()
        if statuses != (0, 0):  # it may have begun with the shorter one
            self.assertIn("it has become shorter", sender.errors)
            self.assertFalse((self.folder / "copy").exists())

    def test_silence_is_a_failure_after_its_time(self):
        server = self.listen()
        began = time.monotonic()
        status, _, errors = self.run_program(PIER, "send", "-w", "0.4", self.random_file("file", 10),
                                             "127.0.0.1:%d" % server.getsockname()[1])
        self.assertEqual(status, 1)
        self.assertIn("Timed out", errors)
        receiver, address = self.receiver("-w", "2")
        self.connect(port_of(address))
        self.assertEqual(receiver.wait(), 1)
        self.assertGreaterEqual(time.monotonic() - began, 2.4)

    def progress(self, *options, columns=80):
        """What a terminal shows of a transfer that takes a while."""
        path = self.random_file("file", 5_000_000)
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        server, address = self.receiver()
        process = subprocess.Popen([PIER, "send", *options, str(path), address], stderr=slave,
                                   stdin=subprocess.DEVNULL)
        os.close(slave)
        self.addCleanup(process.wait)
        said = b""
        try:
            while part := os.read(master, 65536):
                said += part
        except OSError:
            pass  # the terminal of a process that has ended
        self.assertEqual((process.wait(), server.wait()), (0, 0))
        return said.decode()

    def test_progress_is_one_line_on_a_terminal(self):
        for columns in (80, 120, 40, 10):
            said = self.progress(columns=columns)
            self.assertEqual(said.count("\n"), 1)
            last = said.split("\r")[-2] if said.endswith("\r\n") else said.split("\r")[-1]
            self.assertRegex(last, r"^100% (\[=+\])? ?5\.00 MB of 5\.00 MB, [\d.]+ [kMG]B/s, 0:00 left")
            if columns >= 80:
                for line in said.replace("\x1b[K", "").split("\r"):
                    self.assertLess(len(line.strip("\n")), columns)
                self.assertIn("[", said)

    def test_progress_may_be_turned_off_and_is_for_terminals(self):
        self.assertEqual(self.progress("-q"), "")
        self.assertEqual(self.transfer(self.random_file("file", 100_000)), "")


if __name__ == "__main__":
    programs.main()
