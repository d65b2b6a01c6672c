"""Waiting for a condition within a stated limit, and why a scenario stops before its end.

ScenarioFailed
  WaitTimedOut    a condition did not come true within its limit
  RequestFailed   the API or the lab refused a request, or did not answer it
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class ScenarioFailed(Exception):
    """The message says what was being done, to what, and what came instead."""


class WaitTimedOut(ScenarioFailed):
    """The message ends with what was seen last."""


class RequestFailed(ScenarioFailed):
    """An HTTP answer that is no success. The message holds the text of its problem document. `status` 0: no answer."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status

    @property
    def outcome_unknown(self) -> bool:
        """The request may have worked. The caller may send it again with the same key."""
        return self.status == 0 or self.status >= 500


def until(
    what: str,
    limit_s: float,
    look: Callable[[], T | None],
    *,
    every_s: float = 0.1,
    last_seen: Callable[[], str] = lambda: "",
) -> T:
    """Call `look` until it returns something, and return that; raise WaitTimedOut after `limit_s`."""
    deadline = time.monotonic() + limit_s
    while True:
        found = look()
        if found is not None:
            return found
        if time.monotonic() > deadline:
            seen = last_seen()
            raise WaitTimedOut(f"{what}: not within {limit_s:g} s{f' ({seen})' if seen else ''}")
        time.sleep(every_s)
