"""The workload journal: one line when a workload starts, one when it has stopped, on any host.

A start is written once the workload holds its volume's lock, a stop before it releases the lock. When a
workload was killed, the process that reaps it writes the stop. So no two runs on one volume may overlap.
"""

from __future__ import annotations

import json
import os
import time

from lab.hosts import paths


def record(state_dir: str, event: str, instance: str, pid: int, volume: str, how: str) -> None:
    line = {"at": time.time(), "event": event, "instance": instance, "pid": pid, "volume": volume, "how": how}
    fd = os.open(paths.journal_file(state_dir), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.write(fd, (json.dumps(line) + "\n").encode())
    finally:
        os.close(fd)


def read(state_dir: str) -> list[dict[str, object]]:
    try:
        with open(paths.journal_file(state_dir), encoding="utf-8") as file:
            return [json.loads(line) for line in file]
    except FileNotFoundError:
        return []


def open_runs(state_dir: str) -> list[dict[str, object]]:
    """The start lines without a stop."""
    running: dict[object, dict[str, object]] = {}
    for line in read(state_dir):
        key = (line["instance"], line["pid"])
        if line["event"] == "start":
            running[key] = line
        else:
            running.pop(key, None)
    return list(running.values())


def close_runs(state_dir: str, instance: str, how: str, pid: int | None = None) -> None:
    """Write the stop of runs that could not write it themselves."""
    for run in open_runs(state_dir):
        if run["instance"] == instance and pid in (None, run["pid"]):
            record(state_dir, "stop", instance, int(str(run["pid"])), str(run["volume"]), how)


def overlaps(state_dir: str) -> list[tuple[dict[str, object], dict[str, object]]]:
    """Pairs of runs that were on one volume at once: (the earlier start, the later start)."""
    found = []
    running: dict[object, dict[str, object]] = {}
    for line in read(state_dir):
        volume = line["volume"]
        if not volume:
            continue
        current = running.get(volume)
        if line["event"] == "start":
            if current is not None:
                found.append((current, line))
            running[volume] = line
        elif current is not None and current["pid"] == line["pid"]:
            running.pop(volume)
    return found
