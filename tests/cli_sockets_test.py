#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""pier sockets, beside sockets that the test has made itself, and beside what ss(8) says."""
import errno
import os
import resource
import shutil
import socket
import struct
import subprocess
import sys

import programs
from programs import PIER, sanitized, wait_until

ME = os.getpid()
MINE = ("-p", ME)
TITLE = ["kind", "state", "recv-q", "send-q", "local", "peer", "processes"]


class Sockets(programs.Case):
    def tell(self, *words):
        """The rows: lists of kind, state, recv-q, send-q, local, peer and the rest of the line."""
        status, said, errors = self.run_program(PIER, "sockets", *words)
        self.assertEqual((status, errors), (0, ""), words)
        title, *rows = said.decode().splitlines()
        self.assertEqual(title.split(), TITLE)
        return [row.split(None, 6) for row in rows]

    def row(self, *words):
        rows = self.tell(*words)
        self.assertEqual(len(rows), 1, rows)
        return rows[0]

    def refused(self, *words, status=1):
        got, said, errors = self.run_program(PIER, "sockets", *words)
        self.assertEqual((got, said), (status, b""), words)
        self.assertRegex(errors, r"\Apier sockets: [^\n]*\n\Z")
        return errors

    def made(self, family, kind, address=None):
        s = socket.socket(family, kind)
        self.addCleanup(s.close)
        if address is not None:
            s.bind(address)
        return s

    def listening(self, family=socket.AF_INET, address=("127.0.0.1", 0), most=7):
        s = self.made(family, socket.SOCK_STREAM)
        s.bind(address)
        s.listen(most)
        return s

    def connected(self):
        """(a listener, a client, the other end of its connection)"""
        server = self.listening()
        client = self.connect(server.getsockname()[1])
        return server, client, self.accept(server)


class Internet(Sockets):
    def test_listeners_are_told_with_queue_and_process(self):
        server = self.listening()
        port = server.getsockname()[1]
        self.connect(port)
        kind, state, waiting, most, local, peer, process = self.row("-t", *MINE)
        self.assertEqual((kind, state, waiting, most, local, peer),
                         ("tcp", "listening", "1", "7", f"127.0.0.1:{port}", "-"))
        self.assertRegex(process, rf"^\S+\[{ME}\]$")

    def test_connections_are_told_at_both_ends_with_what_is_not_read(self):
        server, client, other = self.connected()
        client.sendall(b"hello")
        names = ["127.0.0.1:%d" % s.getsockname()[1] for s in (server, client)]
        self.assertEqual(len(self.tell(*MINE)), 1)
        rows = self.tell("-a", *MINE)
        self.assertEqual(rows[0][1], "listening")
        self.assertEqual(sorted(row[1:6] for row in rows[1:]), sorted([
            ["established", "5", "0", names[0], names[1]],
            ["established", "0", "0", names[1], names[0]]]))

    def test_states_have_names(self):
        server, client, other = self.connected()
        ends = ["127.0.0.1:%d" % s.getsockname()[1] for s in (server, client)]

        def states():
            return sorted(row[1] for row in self.tell("-at", ends[1])
                          if sorted(row[4:6]) == sorted(ends))

        self.assertEqual(states(), ["established", "established"])
        client.shutdown(socket.SHUT_WR)
        wait_until(lambda: states() == ["close-wait", "fin-wait-2"], "no half-closed connection")
        other.close()
        wait_until(lambda: states() == ["time-wait"], "no closed connection")
        self.assertEqual({row[6] for row in self.tell("-a", "127.0.0.1") if row[1] == "time-wait"}, {"-"})

    def test_both_families_are_told_apart(self):
        if not programs.has_ipv6():
            self.skipTest("no IPv6 here")
        for only, address, expected in ((1, "::1", "[::1]:%d"), (1, "::", "[::]:%d"), (0, "::", ":%d")):
            s = self.made(socket.AF_INET6, socket.SOCK_STREAM)
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
            s.bind((address, 0))
            s.listen()
            port = s.getsockname()[1]
            self.assertEqual(self.row(port, *MINE)[4], expected % port)
            self.assertEqual(self.row("-6", port, *MINE)[4], expected % port)
            if only:
                self.refused("-4", port, *MINE)
            else:
                self.assertEqual(self.row("-4", port, *MINE)[4], expected % port)
                client = self.connect(port)  # of IPv4
                other = self.accept(s)
                end = "127.0.0.1:%d" % client.getsockname()[1]
                self.assertEqual([sorted(row[4:6]) for row in self.tell("-a4", end, *MINE)],
                                 [sorted([end, f"127.0.0.1:{port}"])] * 2)
                self.refused("-a6", end, *MINE)
                other.close()
            s.close()

    def test_datagram_sockets_are_told(self):
        bound = self.made(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
        client = self.made(socket.AF_INET, socket.SOCK_DGRAM)
        client.connect(bound.getsockname())
        names = ["127.0.0.1:%d" % s.getsockname()[1] for s in (bound, client)]
        client.send(b"hello")
        row = self.row("-u", *MINE)
        self.assertEqual([row[:2], row[4:6]], [["udp", "bound"], [names[0], "-"]])
        self.assertGreaterEqual(int(row[2]), 5)  # the kernel counts its own memory
        rows = self.tell("-ua", *MINE)
        self.assertEqual([row[1] for row in rows], ["bound", "connected"])
        self.assertEqual(rows[1][4:6], names[::-1])
        self.refused("-t", *MINE)

    def test_where_is_a_port_a_service_or_an_address_at_either_end(self):
        server, client, _ = self.connected()
        port, other = (s.getsockname()[1] for s in (server, client))
        for where in (port, f":{port}", f"127.0.0.1:{port}", f"0127.0.0.1:{port}"[1:]):
            self.assertEqual(self.row(where, *MINE)[4], f"127.0.0.1:{port}")
            self.assertEqual(len(self.tell("-a", where, *MINE)), 3)
        self.assertEqual(len(self.tell("-a", other, *MINE)), 2)
        self.assertEqual(len(self.tell("-a", "127.0.0.1", *MINE)), 3)
        self.refused(f"127.0.0.2:{port}", *MINE)
        self.refused(f"[::1]:{port}", *MINE)
        self.run_program(PIER, "sockets", "http")  # whoever listens there
        self.assertEqual(self.run_program(PIER, "sockets", "-p", ME, "http")[0], 1)

    def test_who_waits_at_every_address_waits_at_each(self):
        port = self.listening(address=("0.0.0.0", 0)).getsockname()[1]
        self.assertEqual(self.row(f"127.0.0.1:{port}", *MINE)[4], f"0.0.0.0:{port}")
        self.refused(f"[::1]:{port}", *MINE)
        self.refused("127.0.0.1", *MINE)

    def test_all_of_many_are_told(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        count = min(900, soft - 100)
        ports = {self.made(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)).getsockname()[1]
                 for _ in range(count)}
        rows = self.tell("-u", *MINE)
        self.assertEqual([row[4] for row in rows], [f"127.0.0.1:{port}" for port in sorted(ports)])

    def test_it_agrees_with_ss(self):
        ss = self.tool("ss")
        self.connected()
        self.made(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))

        def by_ss():
            said = subprocess.run([ss, "-Hltun4"], capture_output=True, text=True, check=True).stdout
            return {(row[0], row[4]) for row in map(str.split, said.splitlines())}

        before = by_ss()
        ours = {(row[0], row[4]) for row in self.tell("-4") if not row[4].startswith(":")}
        after = by_ss()
        self.assertTrue(before & after)
        self.assertLessEqual(before & after, ours)
        self.assertLessEqual({row for row in ours if row in before or row in after}, before | after)


class Unix(Sockets):
    def test_paths_and_abstract_names_are_told_with_kind_and_peer(self):
        path, name = f"{self.folder}/s", f"\0pier-{ME}"
        server = self.listening(socket.AF_UNIX, path)
        datagrams = self.made(socket.AF_UNIX, socket.SOCK_DGRAM, name)
        packets = self.made(socket.AF_UNIX, socket.SOCK_SEQPACKET, name + "p")
        packets.listen(3)
        rows = {row[0]: row for row in self.tell("-x", *MINE)}
        self.assertEqual(rows["unix"][1:6], ["listening", "0", "7", f"unix:{path}", "-"])
        self.assertEqual(rows["unix-dgram"][1], "bound")
        self.assertEqual(rows["unix-dgram"][4:6], [f"unix:@pier-{ME}", "-"])
        self.assertEqual(rows["unix-packet"][1:6], ["listening", "0", "3", f"unix:@pier-{ME}p", "-"])
        client = self.made(socket.AF_UNIX, socket.SOCK_STREAM)
        client.connect(path)
        client.sendall(b"hello")
        other = self.accept(server)
        talking = [row for row in self.tell("-xa", f"unix:{path}") if row[1] == "connected"]
        self.assertEqual(sorted(row[4] for row in talking), ["-", f"unix:{path}"])
        for row in talking:
            if row[4] == "-":  # the client's end
                self.assertEqual(row[5], f"unix:{path}")
            else:  # its peer has no name, so its process stands there
                self.assertEqual(row[2], "5")
                self.assertRegex(row[5], rf"\[{ME}\]$")
        self.assertEqual(self.row(f"unix:@pier-{ME}")[0], "unix-dgram")
        self.refused("unix:@pier-nobody")
        other.close()

    def test_internet_and_unix_may_be_chosen_together(self):
        self.listening()
        self.listening(socket.AF_UNIX, f"{self.folder}/s")
        self.assertEqual([row[0] for row in self.tell("-tx", *MINE)], ["tcp", "unix"])
        self.assertEqual([row[0] for row in self.tell(*MINE)], ["tcp"])


class Processes(Sockets):
    HELD = """
import os, socket, sys
open("/proc/self/comm", "wb").write(os.fsencode(sys.argv[1]))
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen()
t = s.dup()
x = socket.socket(socket.AF_UNIX); x.bind(os.fsencode(sys.argv[2])); x.listen()
for _ in range(int(sys.argv[3])):
    if os.fork() == 0: sys.stdin.read(); os._exit(0)
print("ready", flush=True)
sys.stdin.read()
"""

    def holder(self, name, path, more=0):
        ends, end = os.pipe()
        program = self.start(sys.executable, "-c", self.HELD, name, path, more, stdin=ends)
        os.close(ends)
        self.addCleanup(os.close, end)  # before it is waited for
        self.assertEqual(program.line(), "ready")
        return program

    def test_a_process_may_be_named_or_numbered(self):
        name = f"pier-{ME % 10 ** 9}x"
        holder = self.holder(name, f"{self.folder}/s")
        for process in (name, holder.pid):
            self.assertEqual(self.row("-p", process)[6], f"{name}[{holder.pid}]")
        self.refused("-p", name[:-1])
        self.refused("-p", 2 ** 30)

    def test_a_name_that_the_kernel_has_cut_is_found_by_the_whole(self):
        name = f"p{ME % 10 ** 9:09}-quite-long"
        self.holder(name, f"{self.folder}/s")
        self.assertIn(name[:15], self.row("-p", name)[6])

    def test_a_socket_of_many_processes_names_the_first_and_counts_all(self):
        holder = self.holder("many", f"{self.folder}/s", more=9)
        process = self.row("-p", holder.pid)[6]
        self.assertRegex(process, r"^many\[\d+\](,many\[\d+\]){5},\.\.\. 10 in all$")

    def test_names_do_not_steer_the_terminal_nor_break_a_row(self):
        path = f"{self.folder}/\x1b[2J\nx"
        holder = self.holder("a\x1b]0;x\x07\n", path)
        status, said, errors = self.run_program(PIER, "sockets", "-tx", "-p", holder.pid)
        self.assertEqual((status, errors), (0, ""))
        self.assertEqual(len(said.splitlines()), 3)
        self.assertNotRegex(said, rb"[\x00-\x09\x0b-\x1f\x7f]")
        self.assertIn(b"\\x1b", said)

    def test_who_may_not_see_the_owners_is_told_so(self):
        if os.geteuid() != 0:
            self.skipTest("only root can be somebody else")
        self.folder.chmod(0o755)
        mine = self.folder / "pier"
        shutil.copy(PIER, mine)
        port = self.listening().getsockname()[1]
        status, said, errors = self.run_program(self.tool("setpriv"), "--reuid", "65534", "--regid", "65534",
                                                "--clear-groups", mine, "sockets", port, cwd="/")
        self.assertEqual(status, 0, errors)
        self.assertEqual(said.decode().splitlines()[1].split()[4:], [f"127.0.0.1:{port}", "-", "-"])
        self.assertEqual(errors, "pier sockets: who holds 1 of them this user may not see; root may\n")


class Bad(Sockets):
    def test_a_wrong_command_line_is_one_line_and_status_2(self):
        for words in (["1", "2"], ["-z"], ["--frobnicate"], ["-p"], ["65536"], ["99999999999"], [""], ["frobnicate"],
                      ["example.com:80"], ["[::1"], ["vsock:1:2"], [":frobnicate"], ["-5"],
                      ["unix:" + "x" * 200], ["\x1b[2J"], ["--all=1"], ["x" * 5000]):
            self.assertNotIn("\x1b", self.refused(*words, status=2))

    def test_output_that_goes_nowhere_is_a_failure(self):
        for stdout, closed in ((self.open("/dev/full", "wb"), None), (None, lambda: os.close(1))):
            program = self.start(PIER, "sockets", stdout=stdout, preexec_fn=closed)
            self.assertEqual(program.wait(), 1)
            self.assertRegex(program.errors, r"\Apier sockets: standard output: [^\n]*\n\Z")


class Kernels(Sockets):
    """Kernels that are not as ours, played by strace, which changes what netlink answers."""

    def played(self, *words, **tampered):
        if sanitized():
            self.skipTest("a sanitized program is not traced")
        command = [self.tool("strace"), "-f", "-qq", "-o", self.folder / "trace"]
        for call, how in tampered.items():
            command += ["-e", f"inject={call}:{how}"]
        if subprocess.run([*command, "true"], capture_output=True).returncode:
            self.skipTest("strace cannot trace here")
        return self.run_program(*command, PIER, "sockets", *words)

    @staticmethod
    def poked(kind, flags, sequence, body=b""):
        message = struct.pack("=IHHII", 16 + len(body), kind, flags, sequence, 0) + body
        return "poke_exit=@arg2=" + message.hex()

    def test_a_family_without_its_module_is_told_and_the_others_are_shown(self):
        s = self.made(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
        for kind in (2, 3):  # NLMSG_ERROR; NLMSG_DONE with an error
            status, said, errors = self.played("-tu", "-p", ME, recvfrom=self.poked(
                kind, 0, 1, struct.pack("=i", -errno.ENOENT)) + ":when=1")
            self.assertEqual(status, 1)
            self.assertIn("127.0.0.1:%d " % s.getsockname()[1], said.decode())
            self.assertEqual(errors, "pier sockets: this kernel has no tcp_diag, and does not tell of its "
                             "TCP sockets\n")

    def test_a_table_that_changed_is_read_again(self):
        port = self.listening().getsockname()[1]
        status, said, errors = self.played("-t", "-p", ME, recvfrom=self.poked(3, 0x10, 1) + ":when=1")
        self.assertEqual((status, errors), (0, ""))
        self.assertEqual(said.count(b"127.0.0.1:%d " % port), 1)

    def test_a_table_that_changes_for_ever_is_told_as_far_as_it_is_known(self):
        status, said, errors = self.played(recvfrom="error=ENOBUFS:when=1+")
        self.assertEqual(status, 0)
        self.assertEqual(said.decode().split(), TITLE)
        self.assertEqual(errors, "pier sockets: sockets came and went all the time: some may be missing\n")

    def test_answers_that_make_no_sense_are_a_failure(self):
        for poke in (self.poked(20, 0, 1, bytes(4))[:-8], "poke_exit=@arg2=" + struct.pack("=I", 5).hex(),
                     "poke_exit=@arg2=" + "ff" * 4, "retval=70000"):
            status, said, errors = self.played("-t", recvfrom=poke + ":when=1+")
            self.assertEqual(status, 1, poke)
            self.assertRegex(errors, r"\Apier sockets: the kernel does not tell of its sockets: [^\n]*\n\Z")

    def test_a_kernel_or_a_sandbox_without_netlink_is_a_failure(self):
        for error in ("EAFNOSUPPORT", "EPERM", "EPROTONOSUPPORT"):
            status, said, errors = self.played(socket=f"error={error}")
            self.assertEqual(status, 1)
            self.assertRegex(errors, r"\Apier sockets: the kernel does not tell of its sockets: [^\n]*\n\Z")


if __name__ == "__main__":
    programs.main()
