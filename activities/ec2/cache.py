"""A small cache of facts that change slowly: types, prices, placement scores."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from activities.ec2.errors import Ec2Failure

T = TypeVar("T")


class Cache(Generic[T]):
    """Keeps each fact for `ttl_s`. Thread-safe; the same fact may be asked for twice at once."""

    def __init__(self, ttl_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._ttl_s = ttl_s
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[Hashable, tuple[float, T]] = {}

    def get(self, key: Hashable, ask: Callable[[], T], *, stale_ok: bool = False) -> T:
        """`stale_ok`: an old fact is better than a failure to get a new one."""
        with self._lock:
            kept = self._kept.get(key)
        if kept and self._clock() - kept[0] < self._ttl_s:
            return kept[1]
        try:
            fact = ask()
        except Ec2Failure:
            if kept and stale_ok:
                return kept[1]
            raise
        with self._lock:
            self._kept[key] = (self._clock(), fact)
        return fact
