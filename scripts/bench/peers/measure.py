"""How the sides in Python are measured: the time of ingest and of answers, memory, and bytes in files."""

import os
import statistics
import time

ASKED = 5


def pids(root):
    """A process and all below it."""
    children = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as file:
                parent = int(file.read().rpartition(")")[2].split()[1])
        except FileNotFoundError:  # It has ended.
            continue
        children.setdefault(parent, []).append(int(pid))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def resident(root):
    """Bytes in memory; what processes share is counted once, which the sum of their resident sizes would not do."""
    total = 0
    for pid in pids(root):
        try:
            with open(f"/proc/{pid}/smaps_rollup") as file:
                total += sum(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total


def files(directory):
    total = 0
    for place, _, names in os.walk(directory):
        for name in names:
            try:
                status = os.lstat(os.path.join(place, name))
            except FileNotFoundError:  # A log that was removed meanwhile.
                continue
            # Blocks, not sizes: logs are sometimes preallocated, and sometimes sparse.
            total += status.st_blocks * 512
    return total


def timed(work):
    """The answer, and the median of the times that it takes, in ms."""
    times = []
    for _ in range(ASKED):
        begun = time.perf_counter()
        result = work()
        times.append((time.perf_counter() - begun) * 1_000)
    return result, statistics.median(times)


def run(side, names, users, batch):
    """Everything about one side: its `open` has made tables and nothing else yet."""
    memory, disk = resident(side.pid), files(side.directory)
    begun = time.perf_counter()
    for first in range(0, len(names), batch):
        side.record(names[first:first + batch], users[first:first + batch], first)
    side.flush()
    seconds = time.perf_counter() - begun
    grown, written = resident(side.pid) - memory, files(side.directory) - disk
    reported = side.memory_reported()
    side.settle()
    unique, unique_ms = timed(side.unique)
    combinations, combinations_ms = timed(side.combinations)
    return {
        "version": side.version,
        "eventsPerSecond": len(names) / seconds,
        "memory": grown,
        "memoryReported": reported,
        "written": written,
        "settled": side.settled_bytes(),
        "uniqueMs": unique_ms,
        "combinationsMs": combinations_ms,
        "unique": unique,
        "combinations": combinations,
    }
