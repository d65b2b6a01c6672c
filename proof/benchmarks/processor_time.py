"""Processor time of processes: what a busy machine cannot distort as it does durations."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def milliseconds(pids: Mapping[str, int]) -> dict[str, float]:
    """Of user and system together, since each was started (proc(5), stat fields 14 and 15)."""
    return {name: _of(pid) for name, pid in pids.items()}


def between(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    return {name: after[name] - before[name] for name in before}


def _of(pid: int) -> float:
    # The second field is the program's name in brackets, and may hold anything.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return 1000 * (int(fields[11]) + int(fields[12])) / _TICKS


def memory_mib(pid: int) -> float:
    """Resident now (proc(5), `VmRSS`)."""
    status = Path(f"/proc/{pid}/status").read_text()
    kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    return round(int(kib) / 1024, 1)
