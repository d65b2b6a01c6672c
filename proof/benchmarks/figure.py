"""One measured figure: what it is, how it was measured, its baseline, and whether its aim is met."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True)
class Figure:
    """`measured` and `baseline` name each value (p50, p95, n, ...) in `unit`, unless its name says another."""

    measure: str  # the module that measured it
    what: str
    unit: str
    measured: Mapping[str, float]
    baseline: Mapping[str, float]
    baseline_is: str
    aim: str
    met: bool | None  # None: it has no aim
    how: str
    because: str = ""  # where it falls short: what it waits for

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile. It is one of the values; of few values it is the largest."""
    return sorted(values)[max(0, math.ceil(share / 100 * len(values)) - 1)]


def summary(values: Sequence[float], *shares: float) -> dict[str, float]:
    """`{"p50": ..., "p95": ..., "n": ...}`."""
    wanted = shares or (50, 95)
    return {f"p{share:g}": round(percentile(values, share), 2) for share in wanted} | {"n": len(values)}


@dataclass(frozen=True)
class Machine:
    """The machine it was measured on. The load tells whether other programs ran beside it."""

    cores: int | None
    memory_gib: float
    processor: str
    system: str
    python: str
    load_before: Sequence[float] = ()
    load_after: Sequence[float] = ()

    @classmethod
    def here(cls) -> Machine:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        return cls(
            os.cpu_count(), round(memory, 1), _processor(), platform.platform(terse=True), platform.python_version()
        )


@dataclass
class MeasureRun:
    """One run of a measure: its figures, its time, and the machine's load."""

    measure: str
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    quick: bool = False
    took_s: float = 0.0
    database: str = ""
    machine: Machine = field(default_factory=Machine.here)
    figures: list[Figure] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()
