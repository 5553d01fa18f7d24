#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Random values into every function and method of _socket: what stock refuses, pier refuses alike.

    tests/conformance/fuzz.py PYPIER [--soak] [SEED]

Both interpreters make the same calls, each on sockets of its own, in a network with only lo; for each call the
class of the outcome must be the same: an exception's, or the result's type.
"""
import os
import pathlib
import random
import subprocess
import sys

CALLS = 25_000
KINDS = ("tcp", "tcp6", "udp", "unix", "pair", "pair", "listener", "connected", "closed", "netlink") * 9
KINDS += ("raw",)  # whose closing takes the kernel 10 ms
METHODS = ("_accept", "bind", "close", "connect", "connect_ex", "detach", "fileno", "getblocking", "getpeername",
           "getsockname", "getsockopt", "gettimeout", "listen", "recv", "recv_into", "recvfrom", "recvfrom_into",
           "recvmsg", "recvmsg_into", "send", "sendall", "sendmsg", "sendmsg_afalg", "sendto", "setblocking",
           "setsockopt", "settimeout", "shutdown", "__init__", "__repr__")
FUNCTIONS = ("CMSG_LEN", "CMSG_SPACE", "close", "dup", "getaddrinfo", "getdefaulttimeout", "gethostbyaddr",
             "gethostbyname", "gethostbyname_ex", "gethostname", "getnameinfo", "getprotobyname", "getservbyname",
             "getservbyport", "htonl", "htons", "if_indextoname", "if_nameindex", "if_nametoindex", "inet_aton",
             "inet_ntoa", "inet_ntop", "inet_pton", "ntohl", "ntohs", "socket", "socketpair")

# Where pier does otherwise: (callable, stock's class, pier's class). Stock keeps the lower 32 bits of a descriptor.
DIFFERS = {("close", "OSError", "OverflowError"), ("dup", "OSError", "OverflowError")}


class Random(random.Random):
    def number(self):
        return self.choice([0, 1, 2, 3, 4, 10, 16, -1, -2, 17, 80, 255, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1,
                            -2**31, 2**63 - 1, 2**63, -2**63, 2**70, self.getrandbits(6), self.getrandbits(16)])

    def text(self):
        return self.choice(["", "x", "127.0.0.1", "::1", "localhost", "1.2.3", "fe80::1%lo", "<broadcast>", "a\0b",
                            "\udcff", "\u00e4", "x" * 70, "x" * 300, "lo", "http", "tcp", "256.0.0.1", "a b", "::g",
                            "".join(self.choices("019.:%x-\u00df ", k=self.randrange(8)))])

    def data(self):
        return self.choice([b"", b"x", b"\0", b"1234", b"\x7f\0\0\1", b"\1\0\0\0", bytes(16), b"127.0.0.1", b"/proc/x",
                            b"y" * 200, self.randbytes(self.randrange(12))])

    def buffer(self):
        data = self.data()
        return self.choice([data, bytearray(data), memoryview(data), memoryview(bytearray(data))])

    def address(self):
        host = self.choice([self.text(), self.data(), "127.0.0.1", "127.0.0.1", "::1", ""])
        return self.choice([(host, self.choice([0, 1, 1, self.number()])), (host, 1, 0, 0), self.text(), self.data(),
                            (self.number(), self.number()), (host,), [host, 1], None,
                            tuple(self.value(1) for _ in range(self.randrange(5)))])

    def value(self, depth=0):
        makers = [self.number, self.number, self.text, self.buffer, self.data, lambda: None, lambda: True,
                  lambda: self.choice([0.0, 1.5, -1.0, float("inf"), float("nan"), 1e300, 1j]), lambda: object()]
        if depth < 2:
            makers += [self.address, lambda: [self.value(depth + 1) for _ in range(self.randrange(3))],
                       lambda: tuple(self.value(depth + 1) for _ in range(self.randrange(4)))]
        return self.choice(makers)()

    def arguments(self, name):
        if name in ("bind", "connect", "connect_ex") and self.random() < .8:
            return (self.address(),)
        if name == "sendto" and self.random() < .7:
            return (self.buffer(), *self.choice([(), (0,), (self.number(),)]), self.address())
        if name in ("getsockopt", "setsockopt") and self.random() < .7:
            first = self.choice([1, 6, 41, 0]), self.randrange(30)
            last = self.choice([(), (1,), (self.number(),), (self.buffer(),), (None, 4)])
            return first + last
        if name in ("recv", "recvfrom", "recvmsg") and self.random() < .7:
            return tuple(self.choice([0, 1, 10, 100, -1, 2**63]) for _ in range(self.randrange(1, 4)))
        if name == "sendmsg" and self.random() < .7:
            control = [(1, self.choice([1, 2, 9]), self.buffer()) for _ in range(self.randrange(3))]
            return ([self.buffer() for _ in range(self.randrange(3))], control)
        return tuple(self.value() for _ in range(self.choice([0, 1, 1, 1, 2, 2, 3, 4])))


def dangerous(name, args):
    """Would it touch this process's own descriptors, or take all memory?"""
    numbers = [a for a in args if isinstance(a, int)]
    if name in ("close", "dup") and numbers and abs(numbers[0]) % 2**32 < 5000:
        return True
    if name in ("recv", "recvfrom", "recvmsg") and any(10**6 < n < 2**62 for n in numbers):
        return True
    return name in ("socket", "__init__") and len(args) > 3 and args[3] is not None


def make(socket, kind, keep):
    """A socket of this kind that never waits; what must live beside it goes into keep."""
    if kind in ("pair", "unix"):
        s, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM if kind == "unix" else socket.SOCK_DGRAM)
        other.send(b"hello")
        keep.append(other)
    elif kind in ("listener", "connected"):
        s = socket.socket()
        s.bind(("127.0.0.1", 0))
        s.listen(2)
        if kind == "connected":
            keep.append(s)
            s = socket.socket()
            s.connect(keep[-1].getsockname())
    else:
        s = {"tcp": lambda: socket.socket(), "closed": lambda: socket.socket(),
             "tcp6": lambda: socket.socket(socket.AF_INET6), "udp": lambda: socket.socket(2, 2),
             "netlink": lambda: socket.socket(16, 3, 0), "raw": lambda: socket.socket(17, 2, 0)}[kind]()
    if kind == "closed":
        s.close()
    else:
        s.settimeout(0)
    return s


def outcome(call, args):
    try:
        result = call(*args)
    except Exception as e:
        return type(e).__name__
    if hasattr(result, "detach"):
        result.close()
    if isinstance(result, tuple):
        for part in result:
            if hasattr(part, "detach"):
                part.close()
    return type(result).__name__


def say(seed):
    import _socket
    rng = Random(seed)
    for n in range(CALLS):
        keep = []
        if rng.random() < .25:
            name, kind = rng.choice(FUNCTIONS), "_socket"
            call = getattr(_socket, name)
        else:
            name, kind = rng.choice(METHODS), rng.choice(KINDS)
            sock = make(_socket, kind, keep)
            call = getattr(sock, name)
            keep.append(sock)
        args = rng.arguments(name)
        shown = " ".join(repr(args).split(" at 0x")[0:1])[:200]
        if not dangerous(name, args):
            print(f"{n} {kind}.{name} {outcome(call, args)} {shown!r}")
        for s in keep:
            if s.fileno() >= 0:
                s.close()


def listen_to(interpreter, seed):
    here = pathlib.Path(__file__).resolve()
    done = subprocess.run(["/usr/bin/python3", here.parent / "run.py", "--enter", "0", interpreter, "-W", "ignore", here,
                           "--say", str(seed)], cwd="/proc/self", text=True, stdin=subprocess.DEVNULL, timeout=600,
                          stdout=subprocess.PIPE, env={"PATH": "/usr/bin:/bin", "RES_OPTIONS": "attempts:1 timeout:1",
                                                       "PYTHONIOENCODING": "utf-8:backslashreplace"})
    return done.stdout.splitlines() + [f"end end.end status {done.returncode}"]


def compare(pypier, seed):
    theirs, ours = listen_to("/usr/bin/python3", seed), listen_to(pypier, seed)
    wrong = 0
    for a, b in zip(theirs, ours):
        name, stock, pier = a.split()[1].partition(".")[2], a.split()[2], b.split()[2]
        if stock != pier and (name, stock, pier) not in DIFFERS:
            wrong += 1
            if wrong < 40:
                print(f"seed {seed}: stock {a}\n{'':{len(str(seed)) + 7}}pier  {b}\n")
    print(f"seed {seed}: {len(theirs)} and {len(ours)} calls, {wrong} differ", flush=True)
    return wrong or len(theirs) != len(ours)


def main(arguments):
    soak = "--soak" in arguments
    pypier, *seeds = [a for a in arguments if a != "--soak"]
    seeds = [int(s) for s in seeds] or range(1, 100 if soak else 5)
    return any([compare(str(pathlib.Path(pypier).resolve()), seed) for seed in seeds])


if __name__ == "__main__":
    if sys.argv[1] == "--say":
        say(int(sys.argv[2]))
        sys.exit(0)
    sys.exit(77 if os.getuid() else main(sys.argv[1:]))
