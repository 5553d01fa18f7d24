#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Python's addresses and pier's, side by side, both ways.

    addr.py SHIM ORACLE

For an address in Python's form, the bytes that CPython hands to bind() must be those that
pier's constructor makes; and what CPython reads from the bytes of getsockname() must be what
pier's text, host and port say. SHIM (shim.c) stands in for both calls, so that it matters not
which families the kernel has; ORACLE (addr_oracle.c) speaks for pier. Where CPython leaves
bytes of its stack in the padding, those bytes are not compared; pier's are zero.
"""
import ctypes
import os
import random
import re
import socket
import subprocess
import sys

if os.environ.get("LD_PRELOAD") != sys.argv[1]:
    os.environ["LD_PRELOAD"] = sys.argv[1]
    os.execv(sys.executable, [sys.executable, "-I", *sys.argv])
del os.environ["LD_PRELOAD"]  # the shim is for this process alone

ROUNDS = 400
RNG = random.Random(20)
SHIM = ctypes.CDLL(None)
BASE = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)  # its descriptor serves for all
ORACLE = subprocess.Popen([sys.argv[2]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

checked = {}
failures = []


class Error(str):
    """The name of an error of pier's."""


class Address:
    """An address as pier has it."""

    def __init__(self, data, text, host, port):
        self.data = bytes.fromhex(data[1:])
        self.text = os.fsdecode(bytes.fromhex(text[1:]))
        self.host = os.fsdecode(bytes.fromhex(host[1:]))
        self.port = int(port)


def word(value):
    if isinstance(value, int):
        return str(value)
    return "x" + (value if isinstance(value, bytes) else os.fsencode(value)).hex()


def pier(verb, *args):
    print(verb, *map(word, args), file=ORACLE.stdin, flush=True)
    answer = ORACLE.stdout.readline().split()
    assert answer, "the oracle has died"
    return Address(*answer) if len(answer) == 4 else Error(answer[0])


def borrowed(family, proto):
    """A Python socket of any family, over a descriptor of this kernel's."""
    return socket.socket(family, socket.SOCK_DGRAM, proto, fileno=BASE.fileno())


def python_bytes(family, proto, address):
    sock = borrowed(family, proto)
    try:
        sock.bind(address)
    finally:
        sock.detach()
    length = ctypes.c_int.in_dll(SHIM, "pier_shim_bound_length").value
    return bytes((ctypes.c_char * 128).in_dll(SHIM, "pier_shim_bound"))[:length]


def python_reads(family, proto, data):
    sock = borrowed(family, proto)
    answer_length = ctypes.c_int.in_dll(SHIM, "pier_shim_answer_length")
    answer = (ctypes.c_char * 128).in_dll(SHIM, "pier_shim_answer")
    try:
        answer.raw = data.ljust(128, b"\0")
        answer_length.value = len(data)
        return sock.getsockname()
    finally:
        answer_length.value = -1
        sock.detach()


def masked(data, holes):
    data = bytearray(data)
    for start, end in holes:
        data[start:end] = bytes(len(data[start:end]))
    return bytes(data)


def check(kind, what, ours, theirs):
    checked[kind] = checked.get(kind, 0) + 1
    if ours != theirs:
        failures.append(f"{kind} {what!r}\n    pier   {ours!r}\n    Python {theirs!r}")


def same_bytes(kind, family, proto, address, call, holes=()):
    """Python's address and pier's constructor make the same bytes."""
    ours, theirs = pier(*call), python_bytes(family, proto, address)
    if isinstance(ours, Error):
        check(kind, address, ours, theirs)
    else:
        check(kind, address, ours.data.hex(), masked(theirs, holes).hex())


def both_refuse(kind, family, proto, address, call, exception, name):
    try:
        theirs = python_bytes(family, proto, address).hex()
    except exception:
        theirs = name
    ours = pier(*call)
    check(kind, address, ours if isinstance(ours, Error) else ours.data.hex(), theirs)


def u(bits):
    """A number of so many bits: small, near the end, or anywhere."""
    return RNG.choice([RNG.randrange(4), (1 << bits) - 1 - RNG.randrange(2), RNG.getrandbits(bits)])


def inet():
    hosts = ["", "<broadcast>", "0.0.0.0", "255.255.255.255", "127.0.0.1", "127.1", "0x7f.1",
             "0177.0.0.1", "1", "0x7f000001", "017700000001", "1.2.3", "0"]
    hosts += [socket.inet_ntoa(RNG.randbytes(4)) for _ in range(ROUNDS)]
    for family, verb in (socket.AF_INET, "inet"), (socket.AF_RDS, "rds"):
        for host in hosts:
            port = u(16)
            same_bytes(verb, family, 0, (host, port), (verb, host, port))
        for port in -1, 65536, 70000, 2**31 - 1:
            both_refuse(verb, family, 0, ("127.0.0.1", port),
                        (verb, "127.0.0.1", port % 2**32), OverflowError, "PIER_EPORT")
    for _ in range(ROUNDS):
        data = b"\2\0" + RNG.randbytes(6) + bytes(8)
        host, port = python_reads(socket.AF_INET, 0, data)
        ours = pier("raw", data)
        check("inet read", data, (ours.text, ours.host, ours.port), (f"{host}:{port}", host, port))


def ipv6_bytes():
    data = bytearray(RNG.randbytes(16))
    for _ in range(RNG.randrange(16)):
        data[RNG.randrange(16)] = 0
    return bytes(data) if RNG.randrange(8) else bytes(10) + b"\xff\xff" + bytes(data[:4])


def inet6():
    for number in range(ROUNDS):
        host = socket.inet_ntop(socket.AF_INET6, ipv6_bytes()) if number else ""
        port, flow, scope = u(16), u(20), u(32)
        if RNG.randrange(4) == 0 and scope and host:
            host += "%1"  # the tuple's scope wins
        same_bytes("inet6", socket.AF_INET6, 0, (host, port, flow, scope),
                   ("inet6", host, port, flow, scope))
    same_bytes("inet6", socket.AF_INET6, 0, ("::1", 80), ("inet6", "::1", 80, 0, 0))
    for flow in 0x100000, 2**32 - 1:
        both_refuse("inet6", socket.AF_INET6, 0, ("::1", 80, flow), ("inet6", "::1", 80, flow, 0),
                    OverflowError, "PIER_EFLOWINFO")
    both_refuse("inet6", socket.AF_INET6, 0, ("::1", 65536), ("inet6", "::1", 65536, 0, 0),
                OverflowError, "PIER_EPORT")
    both_refuse("inet6", socket.AF_INET6, 0, ("127.0.0.1", 1), ("inet6", "127.0.0.1", 1, 0, 0),
                socket.gaierror, "EAI_ADDRFAMILY")
    for _ in range(ROUNDS):
        data = (socket.AF_INET6.to_bytes(2, sys.byteorder) + RNG.randbytes(2) + bytes(4) +
                ipv6_bytes() + u(32).to_bytes(4, sys.byteorder))
        host, port, _flow, scope = python_reads(socket.AF_INET6, 0, data)
        host += f"%{scope}" if scope else ""
        ours = pier("raw", data)
        check("inet6 read", data, (ours.text, ours.host, ours.port),
              (f"[{host}]:{port}", host, port))


def unescape(text):
    return re.sub(rb"\\x(..)", lambda match: bytes.fromhex(match[1].decode()), os.fsencode(text))


def unix():
    for length in range(108):
        path = RNG.randbytes(length).replace(b"\0", b"x")
        if path:
            same_bytes("unix", socket.AF_UNIX, 0, path, ("unix", path))
            same_bytes("unix", socket.AF_UNIX, 0, os.fsdecode(path), ("unix", path))
        name = RNG.randbytes(length)
        same_bytes("abstract", socket.AF_UNIX, 0, b"\0" + name, ("abstract", name))
    same_bytes("unix", socket.AF_UNIX, 0, "", ("unix", ""))
    both_refuse("unix", socket.AF_UNIX, 0, "x" * 108, ("unix", "x" * 108), OSError, "PIER_EPATHLEN")
    both_refuse("abstract", socket.AF_UNIX, 0, b"\0" * 109, ("abstract", b"\0" * 108), OSError,
                "PIER_EPATHLEN")
    family = socket.AF_UNIX.to_bytes(2, sys.byteorder)
    for length in range(109):
        for lead in b"", b"\0", b"@":
            data = (lead + RNG.randbytes(length))[:108]
            theirs = python_reads(socket.AF_UNIX, 0, family + data)
            if isinstance(theirs, bytes):
                theirs = b"unix:@", theirs[1:]
            else:
                theirs = b"unix:", os.fsencode(theirs)
            text = pier("raw", family + data).text
            prefix = re.match("unix:@?", text)[0]
            check("unix read", data, (prefix.encode(), unescape(text[len(prefix):])), theirs)


def pairs():
    """Families whose addresses are two numbers."""
    for verb, family, text, holes in (
            ("netlink", socket.AF_NETLINK, "netlink(pid {}, groups 0x{:x})", [(2, 4)]),
            ("vsock", socket.AF_VSOCK, "vsock:{}:{}", []),
            ("qipcrtr", socket.AF_QIPCRTR, "qipcrtr(node {}, port {})", [(2, 4)])):
        for _ in range(ROUNDS):
            address = u(32), u(32)
            same_bytes(verb, family, 0, address, (verb, *address), holes)
            ours = pier(verb, *address)
            theirs = text.format(*python_reads(family, 0, ours.data))
            if verb == "vsock":
                theirs = theirs.replace(str(2**32 - 1), "any")
            check(verb + " read", ours.data, ours.text, theirs)


def packet():
    for _ in range(ROUNDS):
        proto, pkttype, hatype = u(16), u(8), u(16)
        hwaddr = RNG.randbytes(RNG.randrange(9))
        holes = [(12 + len(hwaddr), 20)]
        same_bytes("packet", socket.AF_PACKET, 0, ("lo", proto, pkttype, hatype, hwaddr),
                   ("packet", "lo", proto, pkttype, hatype, hwaddr), holes)
        for interface in "lo", "":
            ours = pier("packet", interface, proto, pkttype, hatype, hwaddr)
            name, proto, pkttype, hatype, hwaddr = python_reads(socket.AF_PACKET, 0, ours.data)
            name = f"#{socket.if_nametoindex(name)}" if name else "any"
            hwaddr_text = " " + hwaddr.hex(":") if hwaddr else ""
            check("packet read", ours.data, ours.text,
                  f"packet({name}, protocol 0x{proto:04x}, type {pkttype}, "
                  f"hardware {hatype}{hwaddr_text})")
    both_refuse("packet", socket.AF_PACKET, 0, ("lo", 65536), ("packet", "lo", 65536, 0, 0, b""),
                OverflowError, "PIER_ERANGE")
    both_refuse("packet", socket.AF_PACKET, 0, ("lo", 1, 0, 0, b"123456789"),
                ("packet", "lo", 1, 0, 0, b"123456789"), ValueError, "PIER_EHWADDRLEN")


def can():
    index = {"": "any", "lo": f"#{socket.if_nametoindex('lo')}"}
    for interface in "", "lo":
        for proto in socket.CAN_RAW, socket.CAN_BCM:
            same_bytes("can", socket.AF_CAN, proto, (interface,), ("can", interface),
                       [(2, 4), (8, 24)])
        ours = pier("can", interface)
        check("can read", ours.data, ours.text,
              f"can({index[python_reads(socket.AF_CAN, socket.CAN_RAW, ours.data)[0]]})")
        for _ in range(ROUNDS):
            ids = u(32) | 1, u(32)
            same_bytes("isotp", socket.AF_CAN, socket.CAN_ISOTP, (interface, *ids),
                       ("isotp", interface, *ids), [(2, 4), (16, 24)])
            ours = pier("isotp", interface, *ids)
            name, rx, tx = python_reads(socket.AF_CAN, socket.CAN_ISOTP, ours.data)
            check("isotp read", ours.data, ours.text, f"can({index[name]}, rx 0x{rx:x}, tx 0x{tx:x})")

            fields = u(64), u(32) | 1, u(8)
            same_bytes("j1939", socket.AF_CAN, socket.CAN_J1939, (interface, *fields),
                       ("j1939", interface, *fields), [(2, 4), (21, 24)])
            ours = pier("j1939", interface, *fields)
            name, node, pgn, place = python_reads(socket.AF_CAN, socket.CAN_J1939, ours.data)
            check("j1939 read", ours.data, ours.text,
                  f"can({index[name]}, name 0x{node:x}, pgn 0x{pgn:x}, address 0x{place:x})")
    both_refuse("can", socket.AF_CAN, socket.CAN_RAW, ("a" * 16,), ("can", "a" * 16), OSError,
                "PIER_EIFNAMELEN")


def tipc():
    for _ in range(ROUNDS):
        kind = RNG.choice([socket.TIPC_ADDR_NAMESEQ, socket.TIPC_ADDR_NAME, socket.TIPC_ADDR_ID])
        fields, scope = (u(32), u(32), u(32)), RNG.randrange(4)
        same_bytes("tipc", socket.AF_TIPC, 0, (kind, *fields, scope), ("tipc", kind, *fields, scope))
        ours = pier("tipc", kind, *fields, scope)
        kind, one, two, three, scope = python_reads(socket.AF_TIPC, 0, ours.data)
        check("tipc read", ours.data, ours.text, {
            socket.TIPC_ADDR_NAMESEQ: f"tipc(names {one} {two}-{three}, scope {scope})",
            socket.TIPC_ADDR_NAME: f"tipc(name {one} {two}, scope {scope})",
            socket.TIPC_ADDR_ID: f"tipc(node 0x{one:x} ref {two}, scope {scope})"}[kind])
    fields = 1, 2, 3
    same_bytes("tipc", socket.AF_TIPC, 0, (socket.TIPC_ADDR_NAME, *fields),
               ("tipc", socket.TIPC_ADDR_NAME, *fields, socket.TIPC_CLUSTER_SCOPE))


def alg():
    for _ in range(ROUNDS):
        kind, name = "k" * RNG.randrange(14), "n" * RNG.randrange(64)
        numbers = u(16), u(16)  # CPython takes no more
        same_bytes("alg", socket.AF_ALG, 0, (kind, name, *numbers), ("alg", kind, name, *numbers))
        ours = pier("alg", kind, name, *numbers)
        kind, name, feat, mask = python_reads(socket.AF_ALG, 0, ours.data)
        numbers = f", feat 0x{feat:x}, mask 0x{mask:x}" if feat or mask else ""
        check("alg read", ours.data, ours.text, f"alg({kind}, {name}{numbers})")
    both_refuse("alg", socket.AF_ALG, 0, ("k" * 14, "n"), ("alg", "k" * 14, "n", 0, 0), ValueError,
                "PIER_EALGTYPE")
    both_refuse("alg", socket.AF_ALG, 0, ("k", "n" * 64), ("alg", "k", "n" * 64, 0, 0), ValueError,
                "PIER_EALGNAME")


def bluetooth():
    """Only where Python was built with BlueZ's headers, and no field that 3.11 does not set:
    those are in addr_family_test.c."""
    if not hasattr(socket, "BTPROTO_RFCOMM"):
        print("this Python knows no Bluetooth")
        return
    for _ in range(ROUNDS):
        device = RNG.randbytes(6)
        text = RNG.choice([device.hex(":"), ":".join(f"{byte:X}" for byte in device)])
        psm, channel, number = u(16), u(8), u(15)
        for verb, proto, address, call, holes in (
                ("l2cap", socket.BTPROTO_L2CAP, (text, psm), (text, psm, 0, 0), []),
                ("rfcomm", socket.BTPROTO_RFCOMM, (text, channel), (text, channel), [(9, 10)]),
                ("hci", socket.BTPROTO_HCI, (number,), (number, 0), [(4, 6)]),
                ("sco", socket.BTPROTO_SCO, text.encode(), (text,), [])):
            same_bytes(verb, socket.AF_BLUETOOTH, proto, address, (verb, *call), holes)
            ours = pier(verb, *call)
            theirs = python_reads(socket.AF_BLUETOOTH, proto, ours.data)
            if verb == "hci":
                device = theirs[0] if isinstance(theirs, tuple) else theirs
                check("hci read", ours.data, ours.text, f"hci(device {device}, channel 0)")
                continue
            theirs = theirs if isinstance(theirs, str) else theirs[0]
            check(verb + " read", ours.data, ours.host.upper(), theirs)
    for bad in "", "1:2:3:4:5", "1:2:3:4:5:6:7", "100:2:3:4:5:6", "1:2:3:4:5:g":
        both_refuse("sco", socket.AF_BLUETOOTH, socket.BTPROTO_SCO, bad.encode(), ("sco", bad),
                    OSError, "PIER_EBDADDR")


def unknown():
    for family in 9, 44, 99:  # X.25 is one that Python has no form for
        data = family.to_bytes(2, sys.byteorder) + RNG.randbytes(14)
        theirs = python_reads(socket.AF_INET, 0, data)
        check("unknown read", data, (family, pier("raw", data).data[2:]), theirs)


def main():
    for part in inet, inet6, unix, pairs, packet, can, tipc, alg, bluetooth, unknown:
        part()
    ORACLE.stdin.close()
    status = ORACLE.wait()
    for kind, count in checked.items():
        print(f"{kind:16}{count:6}")
    print("\n".join(failures[:40]))
    print(f"{sum(checked.values())} comparisons, {len(failures)} differences")
    return 1 if failures or status else 0


if __name__ == "__main__":
    sys.exit(main())
