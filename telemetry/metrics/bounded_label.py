"""A label whose values come from outside has a bound: what is beyond it is counted as `other`."""

from __future__ import annotations

import threading

OTHER = "other"


class BoundedLabel:
    """Remembers the first `most` values; every further one is `other`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: set[str] = set()
        self._lock = threading.Lock()

    def __call__(self, value: str) -> str:
        with self._lock:
            if value not in self._known and len(self._known) < self._most:
                self._known.add(value)
            return value if value in self._known else OTHER
