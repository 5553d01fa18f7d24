#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes docs/performance.md and its charts from what the benchmarks of one run left behind.

    bench/report.py build/release/bench [FOLDER]

load.json is bench/load.py's; call.txt and udp.txt, if they are there, are what those benchmarks
printed. The charts are drawn by gnuplot. FOLDER is docs/ unless given.
"""
import json
import pathlib
import re
import statistics
import subprocess
import sys

RESULTS = pathlib.Path(sys.argv[1])
DOCS = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else pathlib.Path(__file__).parent.parent / "docs")
FOUND = json.loads((RESULTS / "load.json").read_text())
SERVERS, MEASURES = FOUND["servers"], FOUND["measures"]
BASE = "epoll"
NOISE = 0.05
COLOURS = {"pier": 0xC8502D, "raw": 0x8C8C8C, "peer": 0x4A7BA6}
LATENCIES = ["p50", "p90", "p99", "p99.9", "max"]
CHARTED = ["pier_uring", "pier_epoll", "epoll", "uring_multishot", "threads", "libuv", "go"]

HEAD = """# Performance

What pier costs beside other ways to write the same server. `make bench` measures all of this, anew and
side by side on one machine, and writes this page (`QUICK=1 make bench`: sooner, and roughly).

The machine: {cores} cores, Linux {kernel}{debian}; the peers are those that Debian ships. All traffic is
over loopback, with the congestion control cubic.{form}

How to read it:

- **CPU time of the server** is the measure, all that its process used in user space and in the kernel,
  divided by the requests it answered. Requests per second depend on the client as well. Each server
  runs on one core; the client on the same one, which is the calmest way to measure, or on another.
- A figure is the **least of {rounds} rounds** of {seconds} s; latencies and rates are the median of the
  rounds. In each round all servers take turns. The spread is the distance from the least round to the
  worst, and tells how quiet the machine was.
- A **ratio** compares with level-triggered epoll written by hand: 1.15 means that the server needs so
  much less that it could do 1.15 times the work. Believe no difference below 5 %.
- Absolute times belong to this machine and this run. The ratios travel better, but not everywhere:
  the dearer system calls are, the more io_uring gains.
"""

TEXTS = {
    "echo": "{connections} connections, each of which sends {size} bytes and waits for their echo.",
    "latency": "As a client on another core sees it, in microseconds. {connections} requests are always "
               "under way, so this is mostly the time in the queue; and the tail is the machine's noise "
               "before it is the server's.",
    "large": "{connections} connections and messages of 16 KiB; the client on the same core.",
    "churn": "{connections} clients at a time connect, send {size} bytes, wait for their echo and close; "
             "on the same core. Nanoseconds per connection.",
    "bulk": "{connections} connections send as fast as they can, 64 KiB per call; the server drops "
            "what it gets. On two cores the figures depend much on how the two keep step.",
    "idle": "{connections} connections that echoed once and are silent since. Bytes of user memory that "
            "each of them costs the server (private to it, and its proportional share); what the kernel "
            "holds for a TCP connection, of which every server needs the same, is not in it.",
}


def good(measure, server):
    return [x for x in FOUND["samples"].get(measure, {}).get(server, []) if "error" not in x]


def cost(measure, server):
    return min((x["cost"] for x in good(measure, server)), default=None)


def median(measure, server, value):
    return statistics.median(value(x) for x in good(measure, server))


def ratio(measure, server, base=BASE):
    own, other = cost(measure, server), cost(measure, base)
    return other / own if own and other else None


def spread(measure, server):
    costs = [x["cost"] for x in good(measure, server)]
    return f"{100 * (max(costs) / min(costs) - 1):.0f} %" if costs and min(costs) else "-"


def in_use(server):
    return all(x["true"] for m in MEASURES for x in good(m, server))


def label(server):
    return SERVERS[server]["label"] + ("" if in_use(server) else " (asked for, but **not in use** here)")


def plain(server):
    return label(server).replace("*", "")


def shown(value, digits=0):
    return "-" if value is None else f"{value:,.{digits}f}"


def ranked(measure):
    """The servers, the cheapest first, and those that failed last."""
    return sorted(SERVERS, key=lambda s: (cost(measure, s) is None, cost(measure, s)))


def table(heads, rows):
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "--:|" * (len(heads) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def rate(sample):
    return sample["requests"] / sample["seconds"]


def work_table(measure, unit, rate_name, value, digits=0):
    """A row for each server: with the client on its core, and on another one if that was measured."""
    placed = [m for m in (measure, f"{measure}_apart") if m in MEASURES]
    heads, rows = [""], []
    for m in placed:
        heads += [unit if m == measure else f"{unit}, two cores", "ratio", "spread"]
    for s in ranked(measure):
        row = [label(s)]
        for m in placed:
            row += [shown(cost(m, s)), shown(ratio(m, s), 2), spread(m, s)]
        row.append(shown(median(placed[-1], s, value) if good(placed[-1], s) else None, digits))
        rows.append(row)
    return table(heads + [rate_name], rows)


def latency_table():
    def row(s):
        return [label(s)] + [shown(median("echo_apart", s, lambda x: x[p])) for p in LATENCIES]
    servers = [s for s in SERVERS if good("echo_apart", s)]
    servers.sort(key=lambda s: median("echo_apart", s, lambda x: x["p50"]))
    return table(["", *LATENCIES], [row(s) for s in servers])


def idle_table():
    def row(s):
        taken = good("idle", s)
        return [label(s), shown(cost("idle", s)), shown(taken[0]["pss"] if taken else None)]
    return table(["", "private", "proportional"], [row(s) for s in ranked("idle")])


def ahead(measure):
    """An honest sentence about who does better than pier, and by how much."""
    own = [cost(measure, s) for s in SERVERS if SERVERS[s]["kind"] == "pier"]
    own = [c for c in own if c is not None]
    if not own:
        return ""
    others = [s for s in ranked(measure) if SERVERS[s]["kind"] != "pier" and cost(measure, s) is not None]
    better = [s for s in others if cost(measure, s) < (1 - NOISE) * min(own)]
    if not better:
        return "Nothing here needs less than pier's better half, by more than noise."
    return "Needs less than pier's better half: " + "; ".join(
        f"{plain(s)} by {100 * (1 - cost(measure, s) / min(own)):.0f} %" for s in better) + "."


def gnuplot(script):
    subprocess.run(["gnuplot"], input=script, text=True, check=True)


def chart(name, size, title, lines):
    gnuplot("\n".join([
        f"set terminal svg noenhanced font 'sans-serif,12' size {size} background rgb 'white'",
        f"set output '{DOCS}/performance-{name}.svg'", "set tmargin 3",
        f"set label '{title}' at screen 0.5, screen 1 center offset 0,-1.2", *lines]) + "\n")
    return f"![{title}](performance-{name}.svg)"


def bars(measure, title):
    """Lying bars, the cheapest on top; the numbers stand at their ends, so there is no scale."""
    servers = [s for s in ranked(measure) if cost(measure, s) is not None]
    if not servers:
        return ""
    data = [f"{n} {cost(measure, s)} {COLOURS[SERVERS[s]['kind']]} "
            f"\"{shown(cost(measure, s))}\" \"{plain(s)}\"" for n, s in enumerate(servers)]
    return chart(measure, f"760,{50 + 26 * len(servers)}", title, [
        "$data << END", *data, "END", "unset key", "set style fill solid", "set border 2", "unset xtics",
        "set ytics nomirror scale 0", f"set yrange [{len(servers) - 0.4}:-0.6]",
        f"set xrange [0:{1.15 * max(cost(measure, s) for s in servers)}]",
        "plot $data using (0):1:(0):2:($1-0.35):($1+0.35):3:ytic(5) with boxxyerror lc rgb variable, "
        "$data using 2:1:4 with labels left offset 0.5,0"])


def latency_chart():
    """Where a line rises is the share of requests that had to wait so long."""
    servers = [s for s in CHARTED if s in SERVERS and good("echo_apart", s)]
    lines = ["set logscale y", "set ylabel 'microseconds'", "set format y '%.0f'", "set key below", "set grid",
             "set xrange [-0.2:4.2]",
             "set xtics (" + ", ".join(f"'{p}' {n}" for n, p in enumerate(LATENCIES)) + ")"]
    for s in servers:
        points = [f"{n} {median('echo_apart', s, lambda x: x[p])}" for n, p in enumerate(LATENCIES)]
        lines += [f"${s} << END", *points, "END"]
    plots = [f"${s} with linespoints lw {3 if SERVERS[s]['kind'] == 'pier' else 1.5} title '{plain(s)}'"
             for s in servers]
    return chart("latency", "760,420", "Latency of an echo", lines + ["plot " + ", ".join(plots)])


def section(title, measure, tables, charts, text=None):
    said = TEXTS[text or measure].format(**MEASURES[measure])
    return "\n\n".join([f"## {title}", said, *charts, *tables] + ([] if text else [ahead(measure)]))


def call_results():
    """{"tcp, no time-out": {"ns": {"libc": ..., "pier": ..., "CPython": ...}, ...}, ...}"""
    path = RESULTS / "call.txt"
    results, who, title = {}, [], ""
    for line in path.read_text().splitlines() if path.exists() else []:
        if line.split() == ["libc", "pier", "CPython"]:
            who = line.split()
        elif who and (m := re.fullmatch(r"(.{20}) *(\S+)((?: +[\d.]+)+)", line)):
            title = m.group(1).strip() or title
            results.setdefault(title, {})[m.group(2)] = dict(zip(who, map(float, m.group(3).split())))
    return results


def call_section(results):
    rows = []
    for title, facts in results.items():
        for who in ("libc", "pier", "CPython"):
            figures = [shown(facts[row][who], 2 if row == "ratio" else 0) for row in facts]
            rows.append([f"{title}: {'**pier**' if who == 'pier' else who}", *figures])
    return "\n\n".join([
        "## One blocking call", "A send and a receive of 64 bytes between two sockets of one thread, outside any "
        "task. With a time-out, C programs poll before each call; so does CPython. The ratio is the time over "
        "libc's; system calls and instructions in user space are counted, not timed.",
        table(["", "ns", "ratio", "system calls", "instructions"], rows)])


def udp_section():
    path = RESULTS / "udp.txt"
    if not path.exists() or not path.read_text().strip():
        return ""
    return f"## UDP\n\n```\n{path.read_text().strip()}\n```"


def aims(calls):
    """(what, the aim, the figure, whether it was reached)"""
    def at_least(what, value, aim):
        return [what, f"at least {aim:.2f}", shown(value, 2), value is not None and value >= aim]

    def at_most(what, value, aim, digits=2):
        return [what, f"at most {aim:,.{digits}f}", shown(value, digits), value is not None and value <= aim]

    def against(measure, server, base=BASE):
        return ratio(measure, server, base) if in_use(server) else None

    def excess(measure, server):
        inverse = against(measure, server)
        return 1 / inverse if inverse else None

    rows = [
        at_least("echo on io_uring, against epoll by hand", against("echo", "pier_uring"), 1.15),
        at_least("echo on io_uring, against multishot by hand",
                 against("echo", "pier_uring", "uring_multishot"), 0.95),
        at_least("echo on epoll, against epoll by hand", against("echo", "pier_epoll"), 0.97),
        at_least("churn on io_uring, against epoll by hand", against("churn", "pier_uring"), 1.10),
    ]
    for backend, name in ("pier_uring", "io_uring"), ("pier_epoll", "epoll"):
        rows.append(at_most(f"CPU of bulk on {name}, over epoll by hand", excess("bulk", backend), 1.05))
        if "idle" in MEASURES:
            idle = cost("idle", backend) if in_use(backend) else None
            rows.append(at_most(f"bytes per idle connection on {name}", idle, 5120, 0))
    for title, facts in calls.items():
        if title.endswith("no time-out"):
            rows.append(at_most(f"time of a blocking call, over libc ({title})", facts["ratio"]["pier"], 1.02))
        else:
            rows.append(at_most(f"system calls of send and receive ({title})", facts["calls"]["pier"], 2, 0))
    return rows


def aims_section(rows):
    return "\n\n".join([
        "## Aims", "What pier means to reach, and whether this run did.",
        table(["", "aim", "figure", "reached"], [[*row[:3], "yes" if row[3] else "**no**"] for row in rows])])


def failures():
    lines = sorted({f"- {plain(s)}, {MEASURES[m]['title']}: {x['error']}"
                    for m, of in FOUND["samples"].items() for s, xs in of.items() for x in xs if "error" in x})
    return "\n".join(["## Failures", "", *lines]) if lines else ""


def head():
    system, debian = FOUND["system"], FOUND["system"]["debian"]
    return HEAD.format(
        cores=system["cores"], kernel=system["kernel"], debian=f", Debian {debian}" if debian else "",
        form=" **These are figures of the quick form, and rough.**" if FOUND["quick"] else "",
        rounds=FOUND["rounds"], seconds=FOUND["seconds"]).strip()


def write():
    calls = call_results()
    parts = [head(), section("Echo", "echo", [work_table("echo", "ns per request", "requests/s", rate)], [
        bars("echo", "Server CPU per request, client on the same core (ns; less is better)")])]
    if "echo_apart" in MEASURES:
        parts.append(section("Latency", "echo_apart", [latency_table()], [latency_chart()], text="latency"))
    parts.append(section("Larger messages", "large", [
        work_table("large", "ns per request", "requests/s", rate)], [
        bars("large", "Server CPU per echo of 16 KiB (ns; less is better)")]))
    parts.append(section("Short connections", "churn", [
        work_table("churn", "ns", "connections/s", rate)], [
        bars("churn", "Server CPU per connection (ns; less is better)")]))
    parts.append(section("Receiving in bulk", "bulk", [work_table(
        "bulk", "ns per KiB", "Gbit/s", lambda x: 8e-9 * x["bytes"] / x["seconds"], 1)], [
        bars("bulk", "Server CPU per KiB received, client on the same core (ns; less is better)")]))
    if "idle" in MEASURES:
        parts.append(section("Idle connections", "idle", [idle_table()], [
            bars("idle", "User memory per idle connection (bytes; less is better)")]))
    parts.append(udp_section())
    parts.append(call_section(calls) if calls else "")
    rows = aims(calls)
    parts += [aims_section(rows), failures()]
    (DOCS / "performance.md").write_text("\n\n".join(part for part in parts if part) + "\n")
    for row in rows:
        print(f"{'reached' if row[3] else 'MISSED':8} {row[0]}: {row[2]}, {row[1]}")


DOCS.mkdir(exist_ok=True)
write()
