#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What a program sees of _socket without connecting: names, values, texts, oddities.

    tests/conformance/surface.py PYPIER [STOCK]

Both interpreters say it line by line, in a network of their own with only lo; the lines must be the
same, but for those of DIFFERS.
"""
import math
import os
import pathlib
import socket
import subprocess
import sys

# Where pier does otherwise, and why.
DIFFERS = {
    "socket(fileno=1099511627776)": "stock keeps the lower 32 bits, and takes what has that number",
    "bind 10 ('::1%lo', 0)": "glibc knows names of scopes for link-local addresses only",
}


def kind(value):
    """What can be compared of a value of _socket."""
    if isinstance(value, (int, str, bool)):
        return f"{type(value).__name__} {value!r}"
    if isinstance(value, type):
        return f"type {value.__module__}.{value.__qualname__} {[c.__name__ for c in value.__mro__]}"
    return type(value).__name__


def names():
    import _socket
    for name in dir(_socket):
        if name not in ("__loader__", "__spec__", "__file__", "__doc__"):
            yield f"value {name}", kind(getattr(_socket, name))
    for name in dir(_socket.socket):
        yield f"attribute {name}", type(getattr(_socket.socket, name)).__name__
    yield "sizeof", _socket.socket.__basicsize__ >= 48
    yield "flags", _socket.socket.__flags__ & (1 << 10)  # may be a base
    yield "shared types", (_socket.SocketType is _socket.socket, _socket.error is OSError,
                           _socket.timeout is TimeoutError)


def said(call):
    try:
        return repr(call())
    except BaseException as e:
        return f"{type(e).__name__}: {e} errno={getattr(e, 'errno', None)!r}"


def timeouts(a):
    for value in (math.nan, math.inf, -math.inf, 1e10, 1e9, 10**30, -0.0, 0, 1e-10, 30, 0.1, 1.5e-9,
                  True, "1", -1e-10, -1, 2**63, 2**33, None, 1e300, b"1"):
        yield f"settimeout({value!r})", lambda v=value: (a.settimeout(v), a.gettimeout(), a.getblocking())
        yield f"setdefaulttimeout({value!r})", lambda v=value: (
            socket.setdefaulttimeout(v), socket.getdefaulttimeout(), socket.setdefaulttimeout(None))
    a.settimeout(None)
    for value in 0, 1, 2, True, None, "x", 1.0, 2**70:
        yield f"setblocking({value!r})", lambda v=value: (a.setblocking(v), a.gettimeout())
    yield "recv after its time-out", lambda: (a.settimeout(.05), a.recv(1))
    yield "recv without waiting", lambda: (a.settimeout(0), a.recv(1))
    yield "send after that", lambda: a.send(b"x")


def closed():
    s = socket.socket()
    s.settimeout(1)
    s.close()
    for name, *args in (
            ("accept",), ("bind", ("", 0)), ("connect", ("127.0.0.1", 1)), ("connect_ex", ("127.0.0.1", 1)),
            ("detach",), ("fileno",), ("getpeername",), ("getsockname",), ("getsockopt", 1, 3),
            ("getsockopt", 1, 3, 4), ("listen",), ("recv", 1), ("recv", 0), ("recv_into", bytearray(1)),
            ("recv_into", bytearray()), ("recvfrom", 0), ("recvfrom_into", bytearray(1)), ("recvmsg", 0),
            ("recvmsg_into", []), ("send", b"x"), ("send", b""), ("sendall", b"x"), ("sendall", b""),
            ("sendto", b"x", ("127.0.0.1", 1)), ("sendmsg", [b"x"]), ("setblocking", True),
            ("setsockopt", 1, 2, 1), ("settimeout", 2), ("gettimeout",), ("shutdown", 2), ("close",),
            ("dup",), ("__repr__",)):
        yield f"closed.{name}{tuple(args)!r}", lambda n=name, a=args: getattr(s, n)(*a)


def connecting():
    def refused():
        s = socket.socket()
        answers = said(lambda: s.connect(("127.0.0.1", 1))), said(lambda: s.connect_ex(("127.0.0.1", 1)))
        answers += said(s.getpeername), said(lambda: s.send(b"x")), said(lambda: s.shutdown(2))
        s.close()
        return answers

    def bind_twice():
        with socket.create_server(("127.0.0.1", 0)) as held, socket.socket() as s:
            number = held.getsockname()[1]
            return (said(lambda: s.bind(("127.0.0.1", number))).replace(str(number), "N"),
                    said(lambda: s.listen()), said(lambda: s.accept() if s.settimeout(0) else s.accept()))

    def slowly():
        with socket.create_server(("127.0.0.1", 0), backlog=0) as l, socket.socket() as s:
            s.settimeout(0)
            name = l.getsockname()
            first = said(lambda: s.connect(name))
            peer = l.accept()[0]
            answers = [first, *(said(lambda: s.connect(name)) for _ in range(3)), s.connect_ex(name)]
            peer.close()
            return answers

    def full():
        with socket.create_server(("127.0.0.1", 0), backlog=0) as l:
            many = [socket.socket() for _ in range(4)]
            for s in many:
                s.settimeout(.1)
            answers = [said(lambda: s.connect(l.getsockname())) for s in many][-1:]
            answers.append(many[-1].connect_ex(l.getsockname()))
            for s in many:
                s.close()
            return answers

    yield "connect to nobody", refused
    yield "bind what is bound", bind_twice
    yield "connect without waiting", slowly
    yield "connect to a full queue", full
    yield "listen(-5)", lambda: socket.socket().listen(-5)
    yield "shutdown(9)", lambda: socket.socketpair()[0].shutdown(9)
    yield "shutdown of none", lambda: socket.socket().shutdown(2)
    yield "accept of none", lambda: socket.socket().accept()


def making():
    for args in ((), (999,), (2, 999), (2, 1, 999), (2, 1 | socket.SOCK_NONBLOCK), (1.0,), ("x",), (None,),
                 (2**40,), (2, 2**40), (-2,), (1, 5), (16, 3, 0), (17, 3, 0), (-1, -1, -1)):
        def make(args=args):
            with socket.socket(*args) as s:
                return s.family, s.type, s.proto, s.gettimeout(), os.get_inheritable(s.fileno())
        yield f"socket{args!r}", make
    for fd in -1, 1.0, "1", 2**40, 10000, None, 0, b"1", True, False, []:
        def take(fd=fd):
            s = socket.socket(fileno=fd)
            text = s.family, s.type, s.proto
            s.detach() if fd is not None else s.close()
            return text
        yield f"socket(fileno={fd!r})", take
    for args in ((), (2,), (1, 2), (1, 5), (1, 1, 7), ("x",), (1, 1 | socket.SOCK_NONBLOCK)):
        def pair(args=args):
            a, b = __import__("_socket").socketpair(*args)
            text = a.family, a.type, a.proto, a.gettimeout(), a.getsockname(), b.getpeername()
            a.close(), b.close()
            return text
        yield f"socketpair{args!r}", pair
    for fd in -1, 1.0, "1", 10000, None:
        yield f"close({fd!r})", lambda fd=fd: socket.close(fd)
        yield f"dup({fd!r})", lambda fd=fd: socket.dup(fd)
    yield "pickle", lambda: __import__("pickle").dumps(socket.socket())
    yield "weakref", lambda: __import__("weakref").ref(socket.socket())() is None
    yield "raw weakref", lambda: __import__("weakref").ref(__import__("_socket").socket())
    yield "raw repr", lambda: repr(__import__("_socket").socket.__new__(__import__("_socket").socket))
    yield "signature", lambda: __import__("inspect").signature(__import__("_socket").socket)


def options(a):
    for args in ((1, 3), (1, 3, 0), (1, 3, 1), (1, 3, -1), (1, 3, 1024), (1, 3, 1025), (1, 13), (1, 13, 8),
                 (99, 99), (99, 99, 4), (1, 25), (1, 25, 16), (), (1,), ("x", 1), (1, 3, 2**40), (1, 20, 16)):
        yield f"getsockopt{args!r}", lambda args=args: a.getsockopt(*args)
    for args in ((1, 2, 1), (1, 2, b""), (1, 2, b"\1\0\0\0"), (1, 2, "x"), (1, 2, 2**40), (1, 2, None, 4),
                 (1, 2, None), (1, 2, 1, 1), (), (1, 2, 1.5), (99, 99, 1), (1, 2, None, -1), (1, 2, True),
                 (1, 13, b"\1\0\0\0\2\0\0\0"), (1, 2, bytearray(4))):
        yield f"setsockopt{args!r}", lambda args=args: a.setsockopt(*args)


def look_ups():
    for args in (("localhost", True), (5, 1), ("localhost", 1.5), ("127.0.0.1", b"80"), (None, None),
                 ("127.0.0.1", "nosuch"), ("127.0.0.1", -1), ("127.0.0.1", 70000), ("127.0.0.1", 2**80),
                 ("127.0.0.1", 2**40), ("a" * 70, 1), (b"127.0.0.1\0x", 1), ("nosuch.invalid", 1), ("", 1),
                 (None, 80), ("::1", "http"), ("::1", " 80"), ("::1", "+80"), ("::1", "-80"), ("::1", "80 "),
                 ("::1", ""), ("::1", b"0080"), ("::1", "65536"), ("fe80::1%lo", 1), ("fe80::1%9", 1),
                 ("127.1", 0), ("0x7f.1", 0), ("1.2.3.4.5", 0), ("256.0.0.1", 0), ("a b", 0), ("a\tb", 0),
                 ("\u00e4.invalid", 0), ("\udcff", 0), (b"\xff", 0), ("x." * 200, 0), ("localhost", 1, 99),
                 ("127.0.0.1", 1, 0, 99), ("127.0.0.1", 1, 10), ("::1", 1, 2), ("127.0.0.1", 1, 0, 1, 0, 2),
                 ("localhost", 1, 0, 1, 0, 4), ("::1", "http", 0, 0, 0, 1024), ("::1", 1, 0, 0, 0, 1 << 20),
                 ("<broadcast>", 1), ("127.0.0.1",), ([], 1), ("::1q", 1), ("::1::2", 1), ("[::1]", 1)):
        yield f"getaddrinfo{args!r}", lambda args=args: sorted(socket.getaddrinfo(*args))
    hosts = ("127.0.0.1", "::1", "localhost", "", "<broadcast>", "255.255.255.255", "nosuch.invalid", "127.1",
             "1.2.3.4.5", "0.1.1.~1", "1+.1.1.1", "::1q", "::1::2", b"127.0.0.1", "a b", 5, None, "a\0b",
             "\u00e4.invalid", "x" * 64, "127.9.9.9")
    for name in "gethostbyname", "gethostbyname_ex", "gethostbyaddr":
        for host in hosts:
            if (name, host) != ("gethostbyname_ex", ""):  # stock shows a stale h_errno
                yield f"{name}({host!r})", lambda n=name, h=host: getattr(socket, n)(h)
    for args in ((("127.0.0.1", 80), 0), (("localhost", 80), 0), (("127.0.0.1", 80, 0), 0), (("::1", 80), 0),
                 (("::1", 80, 1, 2), 3), (("::1", 80, 2**20), 3), (("127.0.0.1", 70000), 3), (5, 0), ((), 0),
                 (("127.0.0.1", -1), 3), (("::1", 1, 0, 0, 0), 0), (("127.9.9.9", 80), 8), (["::1", 1], 3),
                 (("127.0.0.1", "x"), 3), (("fe80::1%lo", 80), 3), (("fe80::1", 80, 0, 1), 3),
                 (("127.0.0.1", 80), 1 << 20), (("a b", 1), 0), (("x" * 300, 1), 0), (("127.0.0.1", 9), 3)):
        yield f"getnameinfo{args!r}", lambda args=args: socket.getnameinfo(*args)
    for args in (("http",), ("http", "tcp"), ("http", "x"), ("nosuch",), (80,), ("",), (None,), ("a\0",)):
        yield f"getservbyname{args!r}", lambda args=args: socket.getservbyname(*args)
    for args in ((80,), (80, "tcp"), (1, "x"), (-1,), (65536,), ("80",), (None,), (0,), (2**40,)):
        yield f"getservbyport{args!r}", lambda args=args: socket.getservbyport(*args)
    for name in "tcp", "nosuch", "", 6, None:
        yield f"getprotobyname({name!r})", lambda n=name: socket.getprotobyname(n)
    for name in "lo", "nope", "", "x" * 15, "x" * 16, "x" * 40, b"lo", 1, None, "l\0o":
        yield f"if_nametoindex({name!r})", lambda n=name: socket.if_nametoindex(n)
    for index in 1, 0, 2**31, 2**32 + 1, -1, "1", 2**70, None, 1.0:
        yield f"if_indextoname({index!r})", lambda i=index: socket.if_indextoname(i)
    yield "if_nameindex()", socket.if_nameindex
    for name in "x" * 200, 5, None, b"\xff\0", "sur\udcff", "":
        yield f"sethostname({name!r})", lambda n=name: (socket.sethostname(n), socket.gethostname())


def numbers():
    for name in "htons", "ntohs", "htonl", "ntohl":
        for number in 0, 1, 0x1234, 0xffff, 0x10000, 0xffffffff, 2**32, -1, 2**80, -2**80, 1.0, "1", None, True:
            yield f"{name}({number!r})", lambda n=name, x=number: getattr(socket, n)(x)
    for text in ("1.2.3.4", "1.2", "1", "0x7f.1", "0177.1", "1.2.3.4 x", "1.2.3.4\tx", " 1.2.3.4", "1.2.3.4x", "",
                 "1.2.3.4.5", "256.1.1.1", "1..2", "4294967295", "4294967296", b"1.2.3.4", None, "1.2.3.4\0",
                 "00000000000000000000000000000001", "08", "1.2.3.4\n", "0x", "1.0x"):
        yield f"inet_aton({text!r})", lambda t=text: socket.inet_aton(t)
    for packed in b"1234", b"123", b"12345", bytearray(4), "1234", None, b"":
        yield f"inet_ntoa({packed!r})", lambda p=packed: socket.inet_ntoa(p)
    for family in 2, 10, 99, 0, "x":
        for text in ("1.2.3.4", "01.2.3.4", "1.2.3", "::1", "::", "::1%lo", "fe80::1%1", "1::2::3", ":", "", "::ffff:1.2.3.4",
                     "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::g", "12345::", "1:2:3:4:5:6:7:8:9", 5):
            yield f"inet_pton({family!r}, {text!r})", lambda f=family, t=text: socket.inet_pton(f, t)
        for packed in b"1234", b"\0" * 16, b"\0" * 10 + b"\xff\xff1234", b"\0\1" * 8, b"", b"x" * 5, "x":
            yield f"inet_ntop({family!r}, {packed!r})", lambda f=family, p=packed: socket.inet_ntop(f, p)
    for name in "CMSG_LEN", "CMSG_SPACE":
        for length in (0, 1, 4, 7, 8, 9, -1, 0x7fffffff, 0x7fffffff - 16, 0x7fffffff - 17, 0x7fffffff - 23,
                       0x7fffffff - 24, 0x7fffffff - 31, 0x7fffffff - 32, 2**63, "x"):
            yield f"{name}({length!r})", lambda n=name, l=length: getattr(socket, n)(l)


def messages(a, b):
    b.settimeout(1)
    for call in ("a.send()", "a.send('x')", "a.send(b'', 0, 0)", "a.send(None)", "a.sendall(1j)", "a.sendto(b'x')",
                 "a.sendto(b'x', 0, None, 1)", "a.sendto('x', None)", "a.sendto(b'x', 'y', None)",
                 "a.sendto(b'x', None)", "a.sendmsg()", "a.sendmsg(5)", "a.sendmsg(b'x')", "a.sendmsg(['x'])",
                 "a.sendmsg([b'x'], 5)", "a.sendmsg([b'x'], [5])", "a.sendmsg([b'x'], [(1, 1)])",
                 "a.sendmsg([b'x'], [(1, 1, 'y')])", "a.sendmsg([b'x'], [(1, 1, b'\\xff\\xff\\xff\\x7f')])",
                 "a.sendmsg([b'x'], None)", "a.sendmsg([b'x'], [], 0, None)", "a.sendmsg([], [])",
                 "a.sendmsg_afalg(op=1)", "a.recv()", "a.recv(-1)", "a.recv('x')", "a.recv(2**63)",
                 "a.recv_into(b'x')", "a.recv_into(bytearray(1), 2)", "a.recv_into(bytearray(1), -1)",
                 "a.recv_into(bytearray(1), flags=99999)", "a.recv_into(nbytes=1)", "a.recvfrom(-1)",
                 "a.recvfrom_into(bytearray(1), 2)", "a.recvfrom_into(bytearray(1), -1)", "a.recvmsg(-1)",
                 "a.recvmsg(1, -1)", "a.recvmsg(1, 2**40)", "a.recvmsg_into(5)", "a.recvmsg_into([b'x'])",
                 "a.recvmsg_into([bytearray(1)], -1)", "(a.send(b'hello'), b.recvmsg(3), b.recvmsg(10))",
                 "(a.send(b'hello'), b.recvmsg_into([bytearray(2), bytearray(9)]))",
                 "(a.sendmsg([b'x'], [(1, 1, b'\\0\\0\\0\\0')]), b.recvmsg(9)[:3])",
                 "(a.sendmsg([b'x', b'', b'yz']), b.recvmsg(9, 64))",
                 "a.connect_ex(('x',))", "a.connect(5)", "a.bind('x' * 200)", "a.bind(b'\\0' + b'x' * 108)",
                 "a.listen('x')", "a.shutdown('x')", "a.shutdown(2**40)", "a.listen(2**40)"):
        yield call, lambda c=call: eval(c, {"a": a, "b": b})


def addresses():
    for family, wrong in (2, (5, (), ("x",), ("", "x"), ("", -1), ("", 65536), ("", 2**40), ("", 0, 0), (None, 0),
                              ("a\0", 0), (b"127.0.0.1", 0), (bytearray(b"127.0.0.1"), 0), (5, 0), ["", 0],
                              ("nosuch.invalid", 0), ("256.1.1.1", 0), ("a b", 0), ("x" * 300, 0), ("::1", 0),
                              ("\u00e4" * 70, 0), ("<broadcast>", 0), ("255.255.255.255", 0), ("127.1", 0),
                              ("\udcff", 0), ("x.." , 0))), \
                         (10, (5, ("::1",), ("::1", 65536), ("::1", 0, 2**20), ("::1", 0, -1), ("::1", 0, 0, 2**33),
                               ("127.0.0.1", 0), ("<broadcast>", 0), ("::1", 0, 0, 0, 0), ("fe80::1%nope", 0),
                               ("::1%lo", 0), ("x" * 300, 0), ("::1q", 0), ("localhost", 0))), \
                         (1, (5, None, ("x",), "x" * 107, "x" * 108, "a\0b" * 30, b"\0" * 109, 1.0, "/nosuch/x")), \
                         (16, (5, (), (1,), ("x", 1), (0, 0, 0), (-1, 0), (2**33, 0))), \
                         (17, (5, ("lo",), ("nope", 0), ("", 0), ("lo", -1), ("lo", 65536), ("lo", 2**40),
                               ("lo", 0, 0, 0, b"x" * 9), ("lo", 0, 0, 0, "x"), ("x" * 20, 0))):
        for address in wrong:
            def bind(family=family, address=address):
                with socket.socket(family, socket.SOCK_RAW if family in (16, 17) else socket.SOCK_DGRAM) as s:
                    s.bind(address)
                    return family in (1, 17) or len(s.getsockname())
            yield f"bind {family} {address!r}", bind


def lines():
    for name, value in names():
        yield f"{name} = {value}"
    a, b = socket.socketpair()
    for probes in (timeouts(a), closed(), connecting(), making(), options(a), look_ups(), numbers(),
                   messages(*socket.socketpair()), addresses()):
        for name, call in probes:
            if name not in DIFFERS:
                yield f"{name}: {said(call)}"


def listen_to(interpreter):
    """The lines that an interpreter says, under its own name of this script."""
    here = pathlib.Path(__file__).resolve()
    done = subprocess.run(["/usr/bin/python3", here.parent / "run.py", "--enter", "0", interpreter, "-W", "ignore",
                           here, "--say"], cwd="/tmp", text=True, errors="surrogateescape",
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=120,
                          env={"PATH": "/usr/bin:/bin", "PYTHONIOENCODING": "utf-8:backslashreplace"})
    return done.stdout.splitlines() + [f"exit status {done.returncode}"]


def main(pypier, stock="/usr/bin/python3"):
    pypier = str(pathlib.Path(pypier).resolve())
    theirs, ours = listen_to(stock), listen_to(pypier)
    wrong = [(a, b) for a, b in zip(theirs, ours) if a != b]
    for a, b in wrong:
        print(f"stock {a}\npier  {b}\n")
    if len(theirs) != len(ours):
        print(f"stock says {len(theirs)} lines, pier {len(ours)}")
    print(f"{len(theirs)} lines, {len(wrong)} differ")
    return bool(wrong) or len(theirs) != len(ours) or len(theirs) < 1000


if __name__ == "__main__":
    if sys.argv[1:] == ["--say"]:
        os.chdir(os.path.realpath(__import__("tempfile").mkdtemp()))
        for line in lines():
            print(line.replace(os.getcwd(), "CWD"), flush=True)
        sys.exit(0)
    sys.exit(77 if os.getuid() else main(*sys.argv[1:]))
