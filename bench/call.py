#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What does one call cost, beside libc and CPython?

    bench/call.py build/release/bench/call [--quick]

Instructions (callgrind) and system calls (strace) are counted exactly; times are the least
of several interleaved rounds, and mean something only as ratios within one run.
"""
import re
import subprocess
import sys
import tempfile

CALL = sys.argv[1]
PYTHON = "/usr/bin/python3"
WHO = ["libc", "pier", "CPython"]
ROUNDS, COUNT = 3 if "--quick" in sys.argv else 7, 100_000

SCRIPT = """
import socket, sys, time
kind, count = sys.argv[1], int(sys.argv[2])
timeout = float(sys.argv[3]) if len(sys.argv) > 3 else None
if kind == "unix":
    a, b = socket.socketpair()
else:
    server = socket.create_server(("127.0.0.1", 0))
    a = socket.create_connection(server.getsockname())
    b = server.accept()[0]
a.settimeout(timeout); b.settimeout(timeout)
buf = bytearray(64)
send, recv = a.send, b.recv_into
began = time.monotonic_ns()
for _ in range(count):
    send(buf); recv(buf)
print((time.monotonic_ns() - began) / count)
"""


def command(who, kind, count, timeout):
    last = [] if timeout is None else [str(timeout)]
    if who == "CPython":
        return [PYTHON, "-c", SCRIPT, kind, str(count)] + last
    return [CALL, who, kind, str(count)] + last


def run(args):
    return subprocess.run(args, check=True, capture_output=True, text=True)


def nanoseconds(args):
    return float(run(args).stdout)


def instructions(args):
    said = run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"] + args).stderr
    return int(re.search(r"Collected : (\d+)", said).group(1))


def system_calls(args):
    with tempfile.NamedTemporaryFile(mode="r") as out:
        run(["strace", "-f", "-c", "-U", "calls,name", "-o", out.name] + args)
        return sum(int(m.group(1)) for m in re.finditer(r"^ *(\d+) (?!total)", out.read(), re.M))


def exactly(count, who, kind, timeout):
    """What an iteration costs is what 1,000 more of them do."""
    few, many = (count(command(who, kind, n, timeout)) for n in (1000, 2000))
    return (many - few) / 1000


def main():
    print("One send and one receive of 64 bytes, on one thread\n")
    print(f"{'':20}{'':>10}" + "".join(f"{who:>10}" for who in WHO))
    for kind in "unix", "tcp":
        for timeout in None, 5:
            took = {who: [] for who in WHO}
            for _ in range(ROUNDS):
                for who in WHO:
                    took[who].append(nanoseconds(command(who, kind, COUNT, timeout)))
            least = {who: min(took[who]) for who in WHO}
            rows = {
                "ns": [least[who] for who in WHO],
                "ratio": [least[who] / least["libc"] for who in WHO],
                "calls": [exactly(system_calls, who, kind, timeout) for who in WHO],
                "instr.": [exactly(instructions, who, kind, timeout) for who in WHO],
            }
            title = f"{kind}, " + (f"time-out {timeout} s" if timeout else "no time-out")
            for name, row in rows.items():
                digits = 2 if name == "ratio" else 0
                print(f"{title:20}{name:>10}" + "".join(f"{n:10.{digits}f}" for n in row))
                title = ""


if __name__ == "__main__":
    main()
