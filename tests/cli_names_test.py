#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""pier port, address, resolve and explain, beside what Python makes of the same questions."""
import errno
import ipaddress
import os
import pathlib
import re
import socket

import programs
from programs import PIER


class Names(programs.Case):
    def tell(self, *words):
        status, said, errors = self.run_program(PIER, *words)
        self.assertEqual((status, errors), (0, ""), words)
        return said.decode()

    def refused(self, *words, status=1):
        got, said, errors = self.run_program(PIER, *words)
        self.assertEqual((got, said), (status, b""), words)
        self.assertRegex(errors, r"^pier \w+: [^\n]*\n$")
        return errors


class Port(Names):
    def services(self):
        """(name, port, protocol, aliases) of /etc/services."""
        try:
            lines = pathlib.Path("/etc/services").read_text().splitlines()
        except FileNotFoundError:
            self.skipTest("no /etc/services here")
        for line in lines:
            if words := line.split("#")[0].split():
                port, protocol = words[1].split("/")
                yield words[0], int(port), protocol, words[2:]

    def test_port_knows_what_the_tutorials_ask_for(self):
        for name, port in {"http": 80, "ftp": 21, "ftp-data": 20, "nntp": 119, "smtp": 25,
                           "telnet": 23, "pop3": 110}.items():
            self.assertRegex(self.tell("port", name), rf"(?m)^{name} +{port}/tcp\b")
            self.assertRegex(self.tell("port", str(port)), rf"(?m)^{name} +{port}/tcp\b")
        self.assertRegex(self.tell("port", "ftp"), r"(?m)^ftp-data +20/tcp$")

    def test_port_prints_every_service_of_the_system_in_its_order(self):
        printed = [line.split() for line in self.tell("port").splitlines()]
        self.assertEqual(printed, [[name, f"{port}/{protocol}", *aliases]
                                   for name, port, protocol, aliases in self.services()])

    def test_port_finds_every_service_both_ways_as_python_does(self):
        services = list(self.services())
        for name, port, protocol, aliases in services[::len(services) // 40 or 1]:
            for called in [name, name.upper(), *aliases]:
                self.assertRegex(self.tell("port", called), rf"(?m)^{re.escape(name)} +{port}/{protocol}")
            if protocol in ("tcp", "udp"):
                first = re.search(rf" (\d+)/{protocol}\b", self.tell("port", name)).group(1)
                self.assertEqual(int(first), socket.getservbyname(name, protocol))
            self.assertRegex(self.tell("port", str(port)), rf"(?m)^{re.escape(name)} +{port}/{protocol}")

    def test_port_tells_what_it_does_not_know(self):
        for text in ("frobnicate", "65535", "httpx"):
            self.assertIn(f"{text}: service/proto not found", self.refused("port", text))
        for text in ("65536", "99999999999999999999", ""):
            self.assertIn("port must be 0-65535", self.refused("port", text, status=2))


class Address(Names):
    def rows(self, text):
        rows = {}
        for line in self.tell("address", text).splitlines():
            rows.setdefault(line[:10].strip(), line[11:])
        return rows

    def test_address_tells_the_kind_of_an_address_as_python_does(self):
        kinds = {"loopback": "is_loopback", "link-local": "is_link_local", "multicast": "is_multicast",
                 "any address": "is_unspecified"}
        for text in """127.0.0.1 127.255.0.1 0.0.0.0 10.1.2.3 172.16.0.1 172.31.255.255 172.32.0.0
                192.168.1.1 169.254.3.4 224.0.0.1 239.1.1.1 8.8.8.8 255.255.255.255 240.0.0.1 192.0.2.7
                198.51.100.1 203.0.113.9 198.18.0.1 198.20.0.1 100.64.0.1 100.128.0.1
                :: ::1 fe80::1 febf::1 fc00::1 fdff::1 ff02::1 ff0e::1 2606:4700::1111
                2001:db8::1 3fff:ffff::1""".split():
            address = ipaddress.ip_address(text)
            meaning = self.rows(text)["meaning"]
            for word, question in kinds.items():
                self.assertEqual(word in meaning, getattr(address, question), f"{text}: {meaning}")
            if meaning == "global":
                self.assertTrue(address.is_global, text)
            if "RFC 1918" in meaning or "unique local" in meaning:
                self.assertTrue(address.is_private, text)
            if address.is_global and not address.is_multicast:
                self.assertEqual(meaning, "global", text)

    def test_address_tells_all_there_is(self):
        self.assertEqual(self.rows("127.0.0.1:80"), {
            "text": "127.0.0.1:80", "family": "AF_INET",
            "meaning": "loopback: this host alone (RFC 1122)", "strict": "yes", "port": "80 (http)"})
        self.assertEqual(self.rows("[fe80::1%eth0]:8"), {
            "text": "[fe80::1%eth0]:8", "family": "AF_INET6",
            "meaning": "link-local: this network alone (RFC 4291)", "scope": "eth0", "port": "8"})
        self.assertEqual(self.rows("fe80::1%7")["scope"], "interface 7")
        self.assertIn("missing", self.rows("fe80::1")["scope"])
        self.assertEqual(self.rows("[::ffff:10.0.0.1]:1")["mapped"], "10.0.0.1")
        self.assertEqual(self.rows("0:0:0:0:0:0:0:1")["text"], "::1")
        self.assertEqual(self.rows("unix:@a\\x00b")["text"], "unix:@a\\x00b")
        self.assertIn("abstract", self.rows("unix:@a")["meaning"])
        self.assertEqual(self.rows("unix:/run/x")["meaning"], "a path")
        self.assertEqual(self.rows("vsock:2:5"), {
            "text": "vsock:2:5", "family": "AF_VSOCK", "context": "the host", "port": "5"})
        self.assertEqual(self.rows("vsock:any:1")["context"], "any")
        self.assertIn("a name", self.rows("example.com:http")["meaning"])
        self.assertEqual(self.rows("example.com:http")["port"], "80 (http)")
        self.assertIn("either family", self.rows(":12345")["meaning"])
        self.assertIn("chooses", self.rows(":0")["port"])

    def test_address_tells_loose_text_from_strict(self):
        for text, canonical in {"127.1": "127.0.0.1", "0x7f.0.0.1": "127.0.0.1",
                                "010.0.0.1": "8.0.0.1", "2130706433": "127.0.0.1"}.items():
            rows = self.rows(text)
            self.assertEqual(rows["text"], canonical)
            self.assertNotEqual(rows["strict"], "yes")

    def test_address_refuses_what_is_none(self):
        for text in ("::1:80:90:", "1.2.3.256", "a..b:1", "[::1", "host:65536", "", "unix:" + "x" * 200):
            self.refused("address", text)


class Resolve(Names):
    def pairs(self, *words):
        return [tuple(line.split()) for line in self.tell("resolve", *words).splitlines()]

    def test_resolve_tells_what_python_finds(self):
        def text(info):
            host, port = info[4][:2]
            return info[0].name, f"[{host}]:{port}" if info[0] == socket.AF_INET6 else f"{host}:{port}"

        for host in ("localhost", socket.gethostname()):
            try:
                expected = {text(i) for i in socket.getaddrinfo(host, 80, type=socket.SOCK_STREAM)}
            except socket.gaierror:
                continue
            self.assertEqual(set(self.pairs(f"{host}:http")), expected)
            self.assertEqual(len(self.pairs(f"{host}:80")), len(expected))

    def test_resolve_takes_families_in_turn_as_connect_does(self):
        hosts = pathlib.Path("/etc/hosts")
        ns = self.tool("unshare")
        fake = self.folder / "hosts"
        fake.write_text("".join(f"{a} many.example\n" for a in
                                ("192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1", "2001:db8::2")))
        if os.geteuid() != 0 or self.run_program(ns, "-m", "true")[0] != 0:
            self.skipTest("no mount namespace here")
        status, said, errors = self.run_program(
            ns, "-m", "sh", "-c", f"mount --bind {fake} {hosts} && exec {PIER} resolve many.example:80")
        self.assertEqual((status, errors), (0, ""))
        families = [line.split()[0] for line in said.decode().splitlines()]
        self.assertEqual(len(families), 5)
        self.assertEqual(sorted(families[:4:2]), [families[0]] * 2)
        self.assertNotEqual(families[0], families[1])

    def test_resolve_takes_addresses_too_and_a_family_only(self):
        self.assertEqual(self.pairs("127.0.0.1"), [("AF_INET", "127.0.0.1")])
        self.assertEqual(self.pairs("[::1]:5"), [("AF_INET6", "[::1]:5")])
        self.assertEqual(self.pairs("::1"), [("AF_INET6", "::1")])
        self.assertEqual(self.pairs("unix:/run/x"), [("AF_UNIX", "unix:/run/x")])
        self.assertEqual({family for family, _ in self.pairs("-4", "localhost")}, {"AF_INET"})
        self.refused("resolve", "-6", "127.0.0.1:80")

    def test_resolve_tells_what_is_not_there(self):
        self.assertIn("nowhere.invalid", self.refused("resolve", "nowhere.invalid:80"))
        self.assertIn("frobnicate", self.refused("resolve", "localhost:frobnicate"))
        self.assertIn("host name", self.refused("resolve", "a..b", status=2))


class Explain(Names):
    def codes_of_the_header(self):
        text = (programs.TOP / "include/pier/error.h").read_text()
        return re.findall(r"^    (PIER_\w+) = (-\d+)", text, re.MULTILINE)

    def test_explain_knows_every_errno_of_the_system_by_name_and_number(self):
        for number, name in sorted(errno.errorcode.items())[::3]:
            for word in (name, name.lower(), str(number)):
                said = self.tell("explain", word)
                self.assertTrue(said.startswith(f"{name} ({number}): {os.strerror(number)}\n") or
                                number == errno.ETIME, said)

    def test_explain_has_a_cause_for_every_code_of_pier(self):
        skipped = {"PIER_EAI_INPROGRESS", "PIER_EAI_CANCELED", "PIER_EAI_NOTCANCELED",
                   "PIER_EAI_ALLDONE"}  # of getaddrinfo_a(3), which pier never calls
        for name, number in self.codes_of_the_header():
            by_name, by_number = self.tell("explain", name), self.tell("explain", number)
            self.assertEqual(by_name, by_number)
            self.assertIn(f"({number}): ", by_name)
            self.assertEqual("no call of a network" in by_name, name in skipped, name)

    def test_explain_has_a_cause_for_what_networks_return(self):
        for name in """ECONNREFUSED ECONNRESET ECONNABORTED EPIPE ETIMEDOUT ETIME EHOSTUNREACH ENETUNREACH
                EADDRINUSE EADDRNOTAVAIL EACCES EMFILE ENFILE ENOBUFS EMSGSIZE ENOTCONN EISCONN EALREADY
                EINPROGRESS EAGAIN EINTR ECANCELED EAFNOSUPPORT EPROTONOSUPPORT EPROTOTYPE EOPNOTSUPP
                EDESTADDRREQ EBADF EINVAL ENOMEM ENOENT EPERM EHOSTDOWN ENETDOWN ESHUTDOWN""".split():
            said = self.tell("explain", name)
            for row in ("means", "because", "try", "python"):
                self.assertRegex(said, rf"(?m)^  {row} ", name)

    def test_explain_tells_getaddrinfos_numbers_beside_the_systems(self):
        said = self.tell("explain", "-2")
        self.assertIn("ENOENT (2)", said)
        self.assertIn("EAI_NONAME (-10002)", said)
        self.assertNotIn("EAI", self.tell("explain", "2"))

    def test_explain_finds_a_sentence(self):
        self.assertIn("ECONNREFUSED (111)", self.tell("explain", "connection refused"))
        self.assertEqual(self.tell("explain", "Timed out"), self.tell("explain", "ETIME"))

    def test_explain_names_only_verbs_that_there_are(self):
        verbs = re.findall(r"(?m)^  (\w+) +\w", self.tell("--help"))
        text = (programs.TOP / "cli/causes.c").read_text()
        for verb in re.findall(r"\bpier ([a-z]+)", text.split("const struct cause", 1)[1]):
            if verb not in ("goes", "never"):
                self.assertIn(verb, verbs)

    def test_explain_tells_what_it_does_not_know(self):
        for word in ("EFROB", "4000", "-99999", "0", "99999999999999999999", "", "x" * 1000,
                     str(2**31), str(-2**31), str(-2**63)):
            self.assertIn("no error has this number or name", self.refused("explain", word))


if __name__ == "__main__":
    programs.main()
