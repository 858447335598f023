"""Kimball Edge beside what one would pick instead: the same stream, the same two questions. `make bench-databases`.

Every side of every round has processes and a directory of its own, and the sides take turns. A side has one writer, which
sends a batch when the one before is answered. Answers must be exact; those of Kimball Edge may be off by its documented error.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from statistics import median

import measure
import stream
from sides import SIDES

HERE = Path(__file__).parent
OURS = "kimball-edge"
LABELS = {OURS: "Kimball Edge", "postgres": "PostgreSQL", "redis": "Redis", "clickhouse": "ClickHouse (chdb)", "duckdb": "DuckDB"}
# How likely a new user of an event is taken for a known one, at most (README, `error_probability`).
ERROR_PROBABILITY = 1e-4


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--events", type=int, default=2_000_000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--sides", default=",".join(LABELS), help="some of the sides, with commas")
    options.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options.add_argument("--stream", help=argparse.SUPPRESS)
    options.add_argument("--directory", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.side:
        one(SIDES[given.side], given.stream, given.directory)
    else:
        bench(given.sides.split(","), given.events, given.rounds)


def one(side, path, directory):
    """One side in a process of its own: two of them are libraries, whose memory is that of the process."""
    names, users = stream.read(path)
    with side.open(directory) as opened:
        print(json.dumps(measure.run(opened, names, users, side.batch)))


def bench(sides, events, rounds):
    runs = {side: [] for side in sides}
    with tempfile.TemporaryDirectory(prefix="kimball-edge-peers-") as place:
        path = os.path.join(place, "stream")
        stream.write(path, events)
        unique, combinations = stream.answer(path)
        file_system = subprocess.run(["stat", "-f", "-c", "%T", place], capture_output=True, text=True).stdout.strip()
        for number in range(rounds):
            for turn in range(len(sides)):
                # Another side begins every round.
                side = sides[(number + turn) % len(sides)]
                print(f"round {number + 1} of {rounds}: {LABELS[side]}", file=sys.stderr)
                result = run(side, path)
                result["deviation"] = compare(side, result, unique, combinations)
                runs[side].append(result)
    print_tables(runs, events, rounds, unique, combinations, file_system)


def run(side, path):
    # Not below the directory of the stream: PostgreSQL's account could not enter that.
    with tempfile.TemporaryDirectory(prefix="kimball-edge-peer-") as directory:
        if side == OURS:
            command = ["node", HERE / "ours.mjs", path, directory, json.dumps(stream.NAMES), stream.GOAL]
        else:
            command = [sys.executable, __file__, "--side", side, "--stream", path, "--directory", directory]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise SystemExit(f"make bench-databases: {LABELS[side]} failed")
        return json.loads(done.stdout.splitlines()[-1])


def compare(side, result, unique, combinations):
    """How many users answers are off by: the sum over events, and over combinations."""
    off = [distance(dict(map(tuple, result["unique"])), unique),
           distance({frozenset(before): count for before, count in result["combinations"]}, combinations)]
    goal_users = unique[stream.GOAL]
    # A user who is taken for known is missing from one event; one whose past is misread moves between two combinations.
    allowed = [ERROR_PROBABILITY * unique.total(), 2 * ERROR_PROBABILITY * len(stream.NAMES) * goal_users] if side == OURS else [0, 0]
    if off[0] > allowed[0] or off[1] > allowed[1]:
        raise SystemExit(f"make bench-databases: {LABELS[side]} is off by {off} users, {allowed} are allowed")
    return off


def distance(answer, exact):
    return sum(abs(answer.get(key, 0) - exact.get(key, 0)) for key in answer.keys() | exact.keys())


def print_tables(runs, events, rounds, unique, combinations, file_system):
    pairs = unique.total()
    print(f"""{events:,} events, {pairs:,} distinct pairs of user and event; {unique[stream.GOAL]:,} users completed the goal, \
with {len(combinations):,} combinations before it.
Medians of {rounds} rounds, {date.today()}; {os.cpu_count()} × {cpu()}, {memory_gib():.0f} GiB, {file_system} for files; \
{", ".join(results[0]["version"] for results in runs.values())}.

| | batch | events/s | at rest, bytes a pair | as written, bytes a pair | in memory, bytes a pair | by its own account |
|---|---:|---:|---:|---:|---:|---:|""")
    for side, results in runs.items():
        of = lambda name: median(result[name] for result in results)
        batch = SIDES[side].batch if side in SIDES else 1_000
        reported = "" if results[0]["memoryReported"] is None else f"{of('memoryReported') / pairs:.1f}"
        print(f"| {LABELS[side]} | {batch:,} | {of('eventsPerSecond'):,.0f} | {of('settled') / pairs:.1f} "
              f"| {of('written') / pairs:.1f} | {of('memory') / pairs:.1f} | {reported} |")
    print("""
| | unique users per event, ms | users per combination, ms | off by, users of events | off by, users of combinations |
|---|---:|---:|---:|---:|""")
    for side, results in runs.items():
        times = [median(result[name] for result in results) for name in ("uniqueMs", "combinationsMs")]
        worst = [max(result["deviation"][place] for result in results) for place in (0, 1)]
        print(f"| {LABELS[side]} | {times[0]:,.1f} | {times[1]:,.1f} | {worst[0]} | {worst[1]} |")


def cpu():
    with open("/proc/cpuinfo") as file:
        return next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), "unknown CPU")


def memory_gib():
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


main()
