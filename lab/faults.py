"""Faults on request: calls that fail, are late, are held, or whose answer is lost; throttling; missing permissions."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any

KINDS = ("fail", "delay", "lose", "throttle", "hold")
MOMENTS = ("before", "after")
LONGEST_HOLD_S = 60.0  # a hold ends by itself after this time


@dataclass
class Fault:
    """Meets the `nth` matching call from now on, and the `times` - 1 calls after it."""

    action: str
    kind: str
    nth: int = 1
    times: int = 1
    code: str = "InternalError"
    message: str = "An internal error has occurred"
    status: int = 500
    seconds: float = 1.0
    when: str = "after"  # a hold: before the call's work is done, or after it; its answer is lost either way
    match: dict[str, str] = field(default_factory=dict)
    seen: int = 0
    held: int = 0  # calls that a hold has stopped
    id: int = 0

    @property
    def spent(self) -> bool:
        return self.seen >= self.nth + self.times - 1


class Faults:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._made = 0
        self._released = threading.Condition(self._lock)

    def add(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Add a fault. Raises ValueError for an invalid one."""
        known = {name: asked[name] for name in Fault.__dataclass_fields__ if name in asked}
        if asked.get("kind") not in KINDS or not asked.get("action"):
            raise ValueError(f"a fault needs an action, and a kind of {', '.join(KINDS)}")
        if asked.get("when", "after") not in MOMENTS:
            raise ValueError(f"a hold is when {' or '.join(MOMENTS)} the call's work is done")
        if asked.get("kind") == "fail" and "status" not in asked and "code" in asked:
            known["status"] = 500 if str(asked["code"]) in ("InternalError", "InsufficientInstanceCapacity") else 400
        with self._lock:
            self._made += 1
            fault = Fault(**{**known, "id": self._made, "seen": 0, "held": 0})
            self._faults.append(fault)
        return asdict(fault)

    def list_all(self) -> list[dict[str, Any]]:
        with self._lock:
            return [{**asdict(fault), "spent": fault.spent} for fault in self._faults]

    def clear(self) -> None:
        """End all faults. Held calls end without an answer."""
        with self._released:
            self._faults.clear()
            self._released.notify_all()

    def hold(self, fault: Fault) -> None:
        """Hold a call until the fault is cleared, or for a minute."""
        with self._released:
            fault.held += 1
            self._released.wait_for(lambda: fault not in self._faults, LONGEST_HOLD_S)

    def fault_for_call(self, action: str, params: Mapping[str, Any]) -> Fault | None:
        """The fault that this call meets, if any. Every matching fault counts the call."""
        hit: Fault | None = None
        with self._lock:
            for fault in self._faults:
                if fault.spent or not fnmatchcase(action, fault.action) or not _matches(fault.match, params):
                    continue
                fault.seen += 1
                if hit is None and fault.seen >= fault.nth:
                    hit = fault
        return hit


def _matches(match: Mapping[str, str], params: Mapping[str, Any]) -> bool:
    flat = flatten(params)
    return all(_one(str(name), str(value), flat) for name, value in match.items())


def _one(name: str, value: str, flat: Mapping[str, str]) -> bool:
    """`name` may be a full path (`Placement.AvailabilityZone`), its first part, or its last."""
    return any(
        fnmatchcase(found, value)
        for path, found in flat.items()
        if name in (path, path.split(".")[0], path.split(".")[-1])
    )


def flatten(params: Any, prefix: str = "") -> dict[str, str]:
    """`{"Placement": {"AvailabilityZone": z}}` as `{"Placement.AvailabilityZone": z}`; list places are numbers."""
    if isinstance(params, Mapping):
        pairs = [(str(k), v) for k, v in params.items()]
    elif isinstance(params, list):
        pairs = [(str(i), v) for i, v in enumerate(params, 1)]
    else:
        return {prefix: "true" if params is True else "false" if params is False else str(params)}
    found: dict[str, str] = {}
    for name, value in pairs:
        found.update(flatten(value, f"{prefix}.{name}" if prefix else name))
    return found


class Throttle:
    """A token bucket over all calls to EC2. Without a rate nothing is throttled."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rate: float | None = None
        self._burst = 0.0
        self._tokens = 0.0
        self._at = 0.0

    def set(self, rate: float | None, burst: float | None) -> None:
        with self._lock:
            self._rate = rate
            self._burst = self._tokens = float(burst or rate or 0)
            self._at = time.monotonic()

    def allow(self) -> bool:
        with self._lock:
            if self._rate is None:
                return True
            now = time.monotonic()
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
            self._at = now
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True


class Permissions:
    """Actions that are denied (`ec2:RunInstances`, `*` allowed), for everyone or for one access key."""

    def __init__(self) -> None:
        self._denied: dict[str, list[str]] = {}

    def deny(self, actions: list[str], access_key: str = "*") -> None:
        self._denied[access_key] = [str(a) for a in actions]

    def list_all(self) -> dict[str, list[str]]:
        return {key: list(actions) for key, actions in self._denied.items() if actions}

    def denied(self, action: str, access_key: str) -> bool:
        patterns = [*self._denied.get("*", ()), *self._denied.get(access_key, ())]
        return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns)
