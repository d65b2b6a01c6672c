"""How often an address may fail to sign in. Tokens cannot be guessed; the limit stops a client that keeps trying.

Each API process counts for itself: with several processes an address has that many times the tries.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable

FAILURES = 10
WINDOW_S = 60.0
ADDRESSES = 10_000


class FailedSignIns:
    """Failed attempts by address, in a window that begins with the first."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def wait_s(self, address: str) -> int:
        """Whole seconds until the address may try again; 0: now."""
        until, count = self._failed.get(address, (0.0, 0))
        left = until - self._clock()
        return math.ceil(left) if count >= FAILURES and left > 0 else 0

    def failed(self, address: str) -> None:
        until, count = self._failed.pop(address, (0.0, 0))
        now = self._clock()
        self._failed[address] = (until, count + 1) if now < until else (now + WINDOW_S, 1)
        if len(self._failed) > ADDRESSES:
            self._failed.popitem(last=False)
