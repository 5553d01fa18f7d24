#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What does one call cost in Python, with pier's _socket and with the stock one?

    bench/python.py build/release/python/pypier

Both run in the same interpreter binary (PIER_SOCKET_SO=none leaves the stock module in place), in
interleaved rounds of which the least counts; system calls are strace's. Nanoseconds for a send and a
receive of 64 bytes.
"""
import os
import re
import subprocess
import sys

PYPIER = sys.argv[1]
ROUNDS, COUNT, COUNTED = 5, 50_000, 2_000

SCRIPT = """
import socket, sys, time
kind, receive, timeout, count = sys.argv[1], sys.argv[2], eval(sys.argv[3]), int(sys.argv[4])
if kind == "unix":
    a, b = socket.socketpair()
else:
    server = socket.create_server(("127.0.0.1", 0))
    a = socket.create_connection(server.getsockname())
    b = server.accept()[0]
a.settimeout(timeout); b.settimeout(timeout)
data, buf = bytes(64), bytearray(64)
send, recv, argument = a.send, getattr(b, receive), 64 if receive == "recv" else buf
began = time.monotonic_ns()
for _ in range(count):
    send(data); recv(argument)
print((time.monotonic_ns() - began) / count)
"""


def run(who, count, *case, under=()):
    env = {**os.environ, **({"PIER_SOCKET_SO": "none"} if who == "stock" else {})}
    return subprocess.run([*under, PYPIER, "-c", SCRIPT, *case, str(count)], env=env, check=True, text=True,
                          capture_output=True)


def system_calls(who, *case):
    """For each pair of calls, from two runs of different length."""
    def total(count):
        said = run(who, count, *case, under=("strace", "-f", "-c", "-U", "calls,name")).stderr
        return int(re.findall(r"(\d+) total", said)[-1])
    return (total(2 * COUNTED) - total(COUNTED)) / COUNTED


def main():
    print(f"{'':28}{'stock':>8}{'pier':>8}{'ratio':>8}   system calls")
    for kind in "unix", "tcp":
        for receive in "recv", "recv_into":
            for timeout in "None", "5":
                case = kind, receive, timeout
                least = {"stock": float("inf"), "pier": float("inf")}
                for _ in range(ROUNDS):
                    for who in least:
                        least[who] = min(least[who], float(run(who, COUNT, *case).stdout))
                ratio = least["pier"] / least["stock"]
                calls = " / ".join(f"{system_calls(who, *case):.2f}" for who in least)
                print(f"{kind:6}{receive:11}{'timeout ' + timeout:11}{least['stock']:8.0f}{least['pier']:8.0f}"
                      f"{ratio:8.2f}   {calls}", flush=True)


main()
