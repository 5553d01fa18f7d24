#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Addresses of every family, both ways, as pier's _socket and the stock one have them.

    tests/conformance/addresses.py PYPIER SHIM

SHIM (tests/python/shim.c) stands in for bind(2) and getsockname(2), so that the bytes can be seen
and given whatever families the kernel has. Both interpreters work through the same addresses;
what they say must be the same. Where the stock module leaves bytes of its stack in the padding, those
bytes are not compared.
"""
import ctypes
import os
import pathlib
import random
import socket
import subprocess
import sys

ROUNDS = 200
RNG = random.Random(3)

# Padding, by (family, protocol): bytes from, to. ANY protocol: None.
HOLES = {
    (socket.AF_NETLINK, None): (2, 4), (socket.AF_QIPCRTR, None): (2, 4),
    (socket.AF_CAN, socket.CAN_RAW): (8, 24), (socket.AF_CAN, socket.CAN_BCM): (8, 24),
    (socket.AF_CAN, socket.CAN_ISOTP): (16, 24), (socket.AF_CAN, socket.CAN_J1939): (21, 24),
    (socket.AF_BLUETOOTH, 3): (9, 10),
}


def u(bits):
    """A number of so many bits: small, near the end, or anywhere."""
    return RNG.choice([RNG.randrange(4), (1 << bits) - 1 - RNG.randrange(2), RNG.getrandbits(bits)])


def host6():
    data = bytearray(RNG.randbytes(16))
    for _ in range(RNG.randrange(16)):
        data[RNG.randrange(16)] = 0
    return socket.inet_ntop(socket.AF_INET6, bytes(data))


def device():
    return RNG.randbytes(6).hex(":")


def addresses():
    """(family, protocol, address) of all kinds."""
    yield from ((2, 0, (host, port)) for port in (0, 80, 65535, -1, 65536) for host in (
        "", "<broadcast>", "0.0.0.0", "255.255.255.255", "127.1", "0x7f.1", "1.2.3", b"1.2.3.4", "256.1.1.1"))
    yield from ((10, 0, ("::1", *rest)) for rest in ((0,), (1, 2), (1, 2, 3), (1, 2**20), (1, 2, 2**32 - 1)))
    yield from ((10, 0, (host, 1, 2, scope)) for host in ("", "fe80::1%1", "fe80::1%lo", "::") for scope in (0, 7))
    yield from ((1, 0, path) for path in (
        "", b"", "x", "x" * 107, "x" * 108, b"\0", b"\0x", b"\0" + b"y" * 107, b"\0" + b"y" * 108, "a\0b", b"a\0b",
        "\udcff", bytearray(b"x"), memoryview(b"xy"), b"\0\0\0", "\u00e4"))
    yield from ((socket.AF_PACKET, 0, ("lo", *rest)) for rest in (
        (0,), (65535,), (65536,), (1, 2), (1, 2, 3), (1, 2, 3, b""), (1, 2, 3, b"12345678"), (1, 2, 3, b"123456789")))
    yield from ((socket.AF_CAN, proto, (name,)) for proto in (1, 2) for name in ("", "lo", "x" * 16, "nope"))
    for _ in range(ROUNDS):
        yield socket.AF_INET, 0, (socket.inet_ntoa(RNG.randbytes(4)), u(16))
        yield socket.AF_RDS, 0, (socket.inet_ntoa(RNG.randbytes(4)), u(16))
        yield socket.AF_INET6, 0, (host6(), u(16), u(20), u(32))
        yield socket.AF_UNIX, 0, RNG.randbytes(RNG.randrange(109))
        for family in socket.AF_NETLINK, socket.AF_QIPCRTR, socket.AF_VSOCK:
            yield family, 0, (u(32), u(32))
        yield socket.AF_PACKET, 0, ("lo", u(16), u(8), u(16), RNG.randbytes(8))
        yield socket.AF_CAN, socket.CAN_ISOTP, (RNG.choice(["", "lo"]), u(32), u(32))
        yield socket.AF_CAN, socket.CAN_J1939, (RNG.choice(["", "lo"]), u(64), u(32), u(8))
        yield socket.AF_TIPC, 0, (RNG.randrange(5), u(32), u(32), u(32), *RNG.choice([(), (1,), (2,), (3,)]))
        yield socket.AF_ALG, 0, ("k" * RNG.randrange(15), "n" * RNG.randrange(65), u(16), u(16))
        yield socket.AF_BLUETOOTH, 0, (device(), u(20))
        yield socket.AF_BLUETOOTH, 1, (u(31),)
        yield socket.AF_BLUETOOTH, 2, device().upper().encode()
        yield socket.AF_BLUETOOTH, 3, (device(), u(12))
    for bad in "", "1:2:3:4:5", "1:2:3:4:5:6:7", "100:2:3:4:5:6", "1:2:3:4:5:g", 5, None:
        for proto in 0, 1, 2, 3, 4:
            yield socket.AF_BLUETOOTH, proto, bad
            yield socket.AF_BLUETOOTH, proto, (bad, 1)
    for family in 9, 15, 99:
        yield family, 0, ("x", 1)


def raw():
    """(family, protocol, bytes) as a kernel might give them."""
    sizes = ((2, 0, 16), (10, 0, 28), (16, 0, 12), (17, 0, 20), (21, 0, 16), (29, 1, 24), (29, 6, 24), (29, 7, 24),
             (30, 0, 16), (31, 0, 14), (31, 1, 6), (31, 2, 8), (31, 3, 10), (38, 0, 88), (40, 0, 16), (42, 0, 12))
    for _ in range(ROUNDS):
        for family, proto, size in sizes:
            data = bytearray(RNG.randbytes(size - 2))
            if family == 17:  # interface and length of the hardware address
                data[2:6] = RNG.choice([bytes(4), b"\1\0\0\0", b"\xff\0\0\0"])
                data[9] = RNG.randrange(9)
            if family == 29:
                data[2:6] = RNG.choice([bytes(4), b"\1\0\0\0"])
            if family == 30:
                data[0] = RNG.randrange(5)
            if family == 38:
                data = bytearray(RNG.choice([b"skcipher", b"x" * 14]).ljust(14, b"\0") + data[14:22]
                                 + RNG.choice([b"cbc(aes)", b"y" * 64]).ljust(64, b"\0"))
            yield family, proto, (21 if family == 21 else family).to_bytes(2, sys.byteorder) + data
        path = RNG.choice([b"", b"\0", b"/x\0", b"\0x", b"p" * 107 + b"\0", b"\0" + b"q" * 107, b"\xff\xfe\0",
                           b"\0" + RNG.randbytes(RNG.randrange(107))])
        yield 1, 0, b"\1\0" + path
        yield 2, 0, RNG.choice([9, 15, 99]).to_bytes(2, sys.byteorder) + RNG.randbytes(14)


def lines():
    shim = ctypes.CDLL(None)
    base = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound = (ctypes.c_char * 128).in_dll(shim, "pier_shim_bound")
    bound_length = ctypes.c_int.in_dll(shim, "pier_shim_bound_length")
    answer = (ctypes.c_char * 128).in_dll(shim, "pier_shim_answer")
    answer_length = ctypes.c_int.in_dll(shim, "pier_shim_answer_length")

    def attempt(family, proto, call):
        sock = socket.socket(family, socket.SOCK_DGRAM, proto, fileno=os.dup(base.fileno()))
        try:
            return call(sock)
        except Exception as e:
            return f"{type(e).__name__} {e}"
        finally:
            answer_length.value = -1
            os.close(sock.detach())

    def write(family, proto, address):
        def call(sock):
            sock.bind(address)
            data = bytearray(bytes(bound)[:bound_length.value])
            start, end = HOLES.get((family, proto), HOLES.get((family, None), (0, 0)))
            data[start:end] = bytes(end - start)
            if family == 29:
                data[2:4] = bytes(2)
            if family == 17:
                data[12 + data[11]:20] = bytes(8 - data[11])
            return bytes(data).hex()
        return attempt(family, proto, call)

    def read(family, proto, data):
        def call(sock):
            answer.raw = data.ljust(128, b"\0")
            answer_length.value = len(data)
            return sock.getsockname()
        return attempt(family, proto, call)

    for family, proto, address in addresses():
        shown = bytes(address) if isinstance(address, memoryview) else address
        yield f"write {family} {proto} {shown!r}: {write(family, proto, address)}"
    for family, proto, data in raw():
        yield f"read {family} {proto} {data.hex()}: {read(family, proto, data)!r}"


def listen_to(interpreter, shim):
    here = pathlib.Path(__file__).resolve()
    done = subprocess.run(["/usr/bin/python3", here.parent / "run.py", "--enter", "0", interpreter, here, "--say"],
                          text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=120,
                          env={"PATH": "/usr/bin:/bin", "PIER_SHIM": shim, "PYTHONIOENCODING": "utf-8:backslashreplace"})
    return done.stdout.splitlines() + [f"exit status {done.returncode}"]


def main(pypier, shim):
    pypier, shim = str(pathlib.Path(pypier).resolve()), str(pathlib.Path(shim).resolve())
    theirs, ours = listen_to("/usr/bin/python3", shim), listen_to(pypier, shim)
    wrong = [(a, b) for a, b in zip(theirs, ours) if a != b]
    for a, b in wrong[:50]:
        print(f"stock {a}\npier  {b}\n")
    print(f"{len(theirs)} and {len(ours)} addresses, {len(wrong)} differ")
    return bool(wrong) or len(theirs) != len(ours) or len(theirs) < 1000


if __name__ == "__main__":
    if sys.argv[1:] == ["--say"]:
        if shim := os.environ.pop("PIER_SHIM", None):
            os.environ["LD_PRELOAD"] = shim
            os.execv(sys.executable, [sys.executable, *sys.argv])
        for line in lines():
            print(line)
        sys.exit(0)
    sys.exit(77 if os.getuid() else main(*sys.argv[1:]))
