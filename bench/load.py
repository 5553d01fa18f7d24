#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What does a server cost, beside its peers on the same machine?

    bench/load.py build/release/bench/load [--quick]

Starts each server of bench/servers/ on one core, loads it with bench/load.c from the same core or from
another one, and writes what it saw to load.json beside the program, for bench/report.py. The servers
take turns: each round goes through all of them, and begins with another one.

A server gets its listening socket as standard input. That socket and the clients' use the congestion
control "cubic", whatever the system's default is, and TCP_NODELAY.
"""
import json
import os
import pathlib
import platform
import resource
import socket
import subprocess
import sys
import typing

LOAD = pathlib.Path(sys.argv[1])
QUICK = "--quick" in sys.argv
ROUNDS, SECONDS, IDLE = (2, 0.25, 2000) if QUICK else (5, 1.2, 10000)


class Server(typing.NamedTuple):
    label: str
    command: str
    kind: str  # raw, peer or pier
    backend: str = ""  # of pier

    def arguments(self, mode):
        program, *rest = self.command.split()
        folder = pathlib.Path(__file__).parent if program.endswith(".py") else LOAD.parent
        return [folder / "servers" / program, mode, *rest]

    def environment(self):
        return {**os.environ, "PIER_BACKEND": self.backend} if self.backend else os.environ

    def is_what_it_says(self, pid):
        """pier falls back to epoll where there is no io_uring; then its row must not claim one."""
        files = {"": None, "uring": "anon_inode:[io_uring]", "epoll": "anon_inode:[eventpoll]"}
        return files[self.backend] in {None, *opened_by(pid)}


def opened_by(pid):
    for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            yield os.readlink(fd)
        except FileNotFoundError:  # closed meanwhile
            pass


class Measure(typing.NamedTuple):
    title: str
    load: str  # a mode of load.c
    server: str  # a mode of the servers
    connections: int
    size: int
    cores: int


SERVERS = {
    "pier_uring": Server("**pier**, io_uring", "pier_echo", "pier", "uring"),
    "pier_epoll": Server("**pier**, epoll", "pier_echo", "pier", "epoll"),
    "epoll": Server("epoll by hand", "epoll", "raw"),
    "uring": Server("io_uring by hand, single-shot", "uring", "raw"),
    "uring_multishot": Server("io_uring by hand, multishot", "uring_multishot", "raw"),
    "threads": Server("threads, blocking", "threads", "raw"),
    "libuv": Server("libuv", "libuv", "peer"),
    "libevent": Server("libevent", "libevent", "peer"),
    "go": Server("Go", "go_echo", "peer"),
    "uvloop": Server("Python, uvloop", "asyncio_echo.py uvloop", "peer"),
    "asyncio": Server("Python, asyncio", "asyncio_echo.py", "peer"),
}

MEASURES = {
    "echo": Measure("echo, client on the same core", "echo", "echo", 64, 64, 1),
    "echo_apart": Measure("echo, client on another core", "echo", "echo", 64, 64, 2),
    "large": Measure("echo of 16 KiB", "echo", "large", 64, 16384, 1),
    "churn": Measure("connect, one message, close", "churn", "echo", 64, 64, 1),
    "bulk": Measure("receiving in bulk, client on the same core", "bulk", "sink", 4, 65536, 1),
    "bulk_apart": Measure("receiving in bulk, client on another core", "bulk", "sink", 4, 65536, 2),
    "idle": Measure("idle connections", "idle", "echo", IDLE, 64, 1),
}


def listen():
    listener = socket.socket()
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted sockets inherit both
    listener.bind(("127.0.0.1", 0))
    listener.listen(4096)
    return listener


def wait_until_served(port):
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(b"x")
        client.shutdown(socket.SHUT_WR)
        while client.recv(64):
            pass


def on_core(core):
    return lambda: os.sched_setaffinity(0, {core})


def drive(measure, pid, port, core):
    arguments = [measure.load, port, pid, measure.connections, measure.size, SECONDS]
    done = subprocess.run([LOAD, *map(str, arguments)], preexec_fn=on_core(core), text=True,
                          capture_output=True, timeout=120)
    if done.returncode:
        raise ValueError(done.stderr.strip() or f"load ended with {done.returncode}")
    return json.loads(done.stdout)


def cost(measure, sample):
    """The figure of a sample: nanoseconds per request, ns per KiB, or bytes per connection."""
    if measure.load == "idle":
        return sample["private"]
    return sample["server_ns"] / (sample["bytes"] / 1024 if measure.load == "bulk" else sample["requests"])


def take(server, measure, cores):
    """One sample: a fresh server under the load of `measure`."""
    with listen() as listener:
        port = listener.getsockname()[1]
        process = subprocess.Popen(server.arguments(measure.server), stdin=listener,
                                   env=server.environment(), preexec_fn=on_core(cores[0]))
    try:
        wait_until_served(port)
        sample = drive(measure, process.pid, port, cores[measure.cores - 1])
        return {**sample, "cost": cost(measure, sample), "true": server.is_what_it_says(process.pid)}
    except (OSError, ValueError, ZeroDivisionError, subprocess.SubprocessError) as error:
        return {"error": str(error)}
    finally:
        process.kill()
        process.wait()


def rotated(names, by):
    by %= len(names)
    return names[by:] + names[:by]


def sample_all(servers, measures, cores):
    samples = {m: {s: [] for s in servers} for m in measures}
    for n in range(ROUNDS):
        for name, measure in measures.items():
            if measure.load == "idle" and n > 0:
                continue  # memory does not vary
            for s in rotated(list(servers), n * 4):
                sample = take(servers[s], measure, cores)
                samples[name][s].append(sample)
                if "error" in sample:
                    print(f"{s}, {name}: {sample['error']}", file=sys.stderr)
        print(f"round {n + 1} of {ROUNDS} is done", file=sys.stderr, flush=True)
    return samples


def show(servers, measures, samples):
    print("Least CPU of the server: ns per request (bulk: per KiB; idle: bytes per connection)\n")
    print(f"{'':18}" + "".join(f"{m:>12}" for m in measures))
    for s in servers:
        least = [min((x["cost"] for x in samples[m][s] if "error" not in x), default=None) for m in measures]
        print(f"{s:18}" + "".join(f"{'failed':>12}" if x is None else f"{x:12.0f}" for x in least))


def raise_limits():
    """A connection costs a descriptor in the client and one in the server."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < IDLE + 100:
        sys.exit(f"load.py: {IDLE} connections need `ulimit -n {IDLE + 100}`, and the limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def system():
    debian = pathlib.Path("/etc/debian_version")
    return {
        "cores": os.cpu_count(),
        "kernel": ".".join(platform.release().split(".")[:2]),
        "debian": debian.read_text().strip() if debian.exists() else "",
    }


def main():
    raise_limits()
    cores = sorted(os.sched_getaffinity(0))[:2]
    measures = {name: m for name, m in MEASURES.items() if m.cores <= len(cores)}
    servers = {name: s for name, s in SERVERS.items() if s.arguments("echo")[0].exists()}
    samples = sample_all(servers, measures, cores)
    show(servers, measures, samples)
    found = {
        "system": system(), "quick": QUICK, "rounds": ROUNDS, "seconds": SECONDS,
        "servers": {name: {"label": s.label, "kind": s.kind} for name, s in servers.items()},
        "measures": {name: m._asdict() for name, m in measures.items()},
        "samples": samples,
    }
    LOAD.with_suffix(".json").write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
