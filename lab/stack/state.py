"""What `make up` leaves for others to find: the supervisor's pid, whether everything is ready, and where it is."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path


class Phase(StrEnum):
    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True)
class StackState:
    """The content of `stack.json`. It holds no secrets."""

    phase: Phase
    pid: int
    urls: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    processes: Mapping[str, int | None] = field(default_factory=dict)
    message: str = ""


def write(var: Path, state: StackState) -> None:
    var.mkdir(parents=True, exist_ok=True)
    beside = var / "stack.json.new"
    beside.write_text(json.dumps(asdict(state), indent=2) + "\n")
    beside.replace(var / "stack.json")


def read(var: Path) -> StackState | None:
    try:
        found = json.loads((var / "stack.json").read_text())
    except FileNotFoundError:
        return None
    return StackState(**{**found, "phase": Phase(found["phase"])})


class StackLock:
    """The right to run a stack in a folder. One supervisor has it at a time, until it dies."""

    def __init__(self, var: Path) -> None:
        var.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(var / "stack.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)

    def take(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        os.close(self._descriptor)


def is_locked(var: Path) -> bool:
    """A supervisor is alive in this folder."""
    if not (var / "stack.lock").exists():
        return False
    hold = StackLock(var)
    try:
        return not hold.take()
    finally:
        hold.close()
