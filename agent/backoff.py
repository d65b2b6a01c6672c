"""How long to wait before the next try: doubling, with jitter, up to a limit."""

from __future__ import annotations

import random


class Backoff:
    """Seconds. Jitter keeps a fleet's agents from returning in step after an outage."""

    def __init__(self, first: float, most: float) -> None:
        self.first = first
        self.most = most
        self._now = first

    def next(self) -> float:
        delay = self._now
        self._now = min(self._now * 2, self.most)
        return delay * random.uniform(0.8, 1.0)  # noqa: S311  no secret depends on it

    def reset(self) -> None:
        self._now = self.first
