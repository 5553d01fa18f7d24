#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Make the same calls in every world, and compare what comes of them.

    tools/differ.py              some hundred scripts of random calls
    tools/differ.py --soak       twenty thousand of them
    tools/differ.py SEED         the script of this seed, and what each world says
    DIFFER_BUILD=asan ...        as this preset has built the library

tests/differ/script.c makes the calls of a script: in a thread, and in tasks on epoll and on io_uring,
in loops of pier's and in those of others. The program cannot tell where it runs, so what the calls
return, which of them wait, and until which line, must be the same. A script whose worlds differ is run
again, slower and slower, for a busy machine may be the reason; if they still do, what does not matter
is taken out of it, and the rest is shown.
"""
import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import worlds

SCRIPT = worlds.TOP / "build" / os.environ.get("DIFFER_BUILD", "dev") / "tests/script"
WORLDS = (*worlds.WORLDS, "driven-epoll", "driven-uring")  # those are in a loop that another one drives
JOBS = 4 * int(os.environ.get("JOBS") or os.cpu_count())  # most of a script is waiting
LIMIT = 120  # seconds until a script is taken to hang
PACES = (1, 3, 8)  # how slowly a script that differs is run again

KINDS = ("tcp", "tcp", "stream", "stream", "seqpacket", "dgram", "udp")
SIZES = (0, 1, 2, 5, 5, 20, 20, 100, 1000)
LARGE = (70000, 300000, 1000000)

# What a script may have beside the rest. Duplicates, but no time-outs then, which would hold for them
# too: a thread says EAGAIN then, by the kernel. Cancelling, which there is in tasks alone. More than
# the kernel takes at once; but of a Unix peer that is gone poll(2) tells less than who blocks hears.
STYLES = ("dup", "large", "cancel", "cancel", "", "")


class Maker:
    """Makes the script of a seed: calls that make sense, most of the time, on a few sockets."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.style = self.rng.choice(STYLES)
        self.kinds = dict.fromkeys((0, 1), "tcp" if self.style == "large" else self.rng.choice(KINDS))

    def script(self):
        kind = self.kinds[0]
        alone = [f"open 0 0 {kind}", f"open 1 0 {kind}", "bind 0 0 -", "listen 0 5 -"]
        lines = [f"pair 0 1 {kind}"] if self.rng.random() < 0.7 else alone[:self.rng.randint(2, 4)]
        if self.rng.random() < 0.3:
            self.kinds[2] = self.rng.choice(KINDS)
            lines.append(f"open 2 0 {self.kinds[2]}")
        for _ in range(self.rng.randint(4, 14)):
            lines.append(self.line(len(lines)))
        return lines

    def line(self, number):
        if self.style == "cancel" and self.rng.random() < 0.3:
            return f"cancel 0 {self.rng.choice((number - 1, number - 1, self.rng.randrange(number)))} -"
        s = self.rng.choice((0, 0, 1, 1, 2, 3))
        verbs = self.verbs(self.kinds.get(s), self.rng.choice((0, 1, 2, 3)))
        verb = self.rng.choices(list(verbs), [weight for weight, _, _ in verbs.values()])[0]
        _, number, words = verbs[verb]
        if verb == "dup":
            self.kinds[number] = self.kinds.get(s)
        return f"{verb} {s} {number} {self.rng.choice(words) if words else '-'}"

    def size(self, *sizes):
        large = self.style == "large" and self.rng.random() < 0.2
        return self.rng.choice(LARGE if large else sizes or SIZES)

    def flags(self, *names):
        return self.rng.choice(names) if self.rng.random() < 0.3 else "-"

    def verbs(self, kind, other):
        """Of each verb its weight, its number, and its words to choose from."""
        stream, tcp = kind in ("tcp", "stream"), kind == "tcp"
        limits = self.style != "dup"
        see = [self.flags("peek", "dontwait", "trunc", *["waitall", "oob"] * tcp)]
        out = [self.flags("dontwait", *["oob"] * tcp)]
        some = SIZES[stream:]  # of a stream's no bytes a thread says so as soon as anything happens there
        return {
            "recv": (12, self.size(), see), "recvfrom": (4, self.size(*some), see),
            "recvmsg": (4, self.size(*some), see), "recv_many": (3, 0, [self.flags("peek", "dontwait")]),
            "recv_fd": (1, 0, [self.flags("peek", "dontwait")]), "exactly": (3 * stream, self.size(), []),
            "line": (3 * stream, self.size(3, 20, 100), []), "recvall": (2 * stream, self.size(3, 100, 2000), []),
            "send": (12, self.size(), out), "sendline": (2 * stream, self.size(0, 2, 20), []),
            "sendall": (4, self.size(), out), "sendmsg": (4, self.size(), out), "sendto": (1, other, []),
            "send_many": (3, self.size(0, 5, 50), [self.flags("dontwait")]), "send_file": (1, self.size(), []),
            "send_fd": (1, 0, [self.flags("dontwait")]), "shutdown": (4, 0, ["rd", "wr", "wr", "rdwr"]),
            "close": (3, 0, []), "timeout": (4 * limits, 0, ["0", "0.02", "100", "inf", "inf"]),
            "deadline": (3 * limits, 0, ["0", "100", "inf", "inf"]), "linger": (1, 0, []), "error": (2, 0, []),
            "pending": (1, 0, []), "forget": (1, 0, []), "readable": (3, 0, ["0", "0.02", "inf"]),
            "writable": (2, 0, ["0", "0.02", "inf"]), "dup": (2 * (not limits), other, []), "bind": (1, 0, []),
            "listen": (1, 5, []), "connect": (2, other, []), "accept": (2, other, []),
        }


def says(world, lines, pace):
    env = {**os.environ, "PIER_TEST_MODE": world, "DIFFER_PACE": str(pace)}
    try:
        done = subprocess.run([SCRIPT], input="\n".join(lines) + "\n", env=env, text=True, errors="replace",
                              timeout=LIMIT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except subprocess.TimeoutExpired:
        return "hangs"
    return done.stdout if done.returncode == 0 else f"{done.stdout}exit status {done.returncode}"


def outcomes(lines, pace):
    cancels = any(text.startswith("cancel") for text in lines)
    return {world: says(world, lines, pace) for world in WORLDS if world != "thread" or not cancels}


def differs(lines):
    """What the worlds say, if they do not agree however slowly they are asked; else None."""
    for pace in PACES:
        said = outcomes(lines, pace)
        if len(set(said.values())) == 1 and "never ends" not in said["task-epoll"]:
            return None
    return said


def shortened(lines, said):
    """What the worlds say of those lines that it takes for them to differ."""
    i = 0
    while i < len(lines):
        less = lines[:i] + lines[i + 1:]
        if found := differs(less):
            lines, said = less, found
        else:
            i += 1
    return said


def show(said):
    rows = [text.splitlines() for text in said.values()]
    out = []
    for n, lines in enumerate(zip(*rows)):
        alike = len(set(lines)) == 1
        out += [f"    {lines[0]}"] if alike else [f"  ! {world:13}{text}" for world, text in zip(said, lines)]
    if len({len(r) for r in rows}) > 1 or not out:
        out += [f"  ! {world:13}{text}" for world, text in said.items()]
    return "\n".join(out)


def examine(seed):
    lines = Maker(seed).script()
    said = differs(lines)
    return said and f"seed {seed}:\n{show(shortened(lines, said))}\n"


def main(arguments):
    if arguments and arguments != ["--soak"]:
        print(show(outcomes(Maker(int(arguments[0])).script(), 1)))
        return 0
    seeds = range(1, 20001 if "--soak" in arguments else 601)
    with ThreadPoolExecutor(JOBS) as pool:
        bad = [said for said in pool.map(examine, seeds) if said]
    print("\n".join(bad))
    print(f"{len(seeds)} scripts, {len(bad)} differ")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
