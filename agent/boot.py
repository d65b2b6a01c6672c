"""Which boot of the machine this is, and when it was.

Both are read from the process that started us: the service manager is as old as the boot, and outlives our restarts.
The kernel's boot ID alone would not tell two containers apart, or two starts of one.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

PROC = Path("/proc")


def boot_id() -> str:
    kernel = (PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{kernel}/{_started_ticks(os.getppid())}"


def booted_at() -> datetime:
    """UTC."""
    lines = (PROC / "stat").read_text(encoding="ascii").splitlines()
    kernel_start = next(int(line.split()[1]) for line in lines if line.startswith("btime "))
    return datetime.fromtimestamp(kernel_start + _started_ticks(os.getppid()) / os.sysconf("SC_CLK_TCK"), UTC)


def _started_ticks(pid: int) -> int:
    """Field 22 of proc(5)'s stat, counted after the command name, which may hold spaces."""
    text = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    return int(text.rpartition(")")[2].split()[19])
