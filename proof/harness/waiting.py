"""Waiting for a condition, within a limit that is always said."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from proof.harness.errors import WaitTimedOut

T = TypeVar("T")


def until(
    what: str,
    limit_s: float,
    look: Callable[[], T | None],
    *,
    every_s: float = 0.1,
    last_seen: Callable[[], str] = lambda: "",
) -> T:
    """Look again and again until it gives something, and return that; raise Overdue after `limit_s`."""
    deadline = time.monotonic() + limit_s
    while True:
        found = look()
        if found is not None:
            return found
        if time.monotonic() > deadline:
            seen = last_seen()
            raise WaitTimedOut(f"{what}: not within {limit_s:g} s{f' ({seen})' if seen else ''}")
        time.sleep(every_s)
