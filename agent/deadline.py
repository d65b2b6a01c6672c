"""A turn: one piece of work on the host, with its deadline and the word to let go."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from agent.host_error import HostError

SLICE_S = 0.02


class StopRequested(Exception):
    """The work was told to stop: the agent is ending, the request was cancelled, or a newer one came."""


@dataclass(frozen=True)
class Deadline:
    ends: float  # on the monotonic clock
    stop: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        return cls(time.monotonic() + seconds)

    @property
    def left(self) -> float:
        return max(0.0, self.ends - time.monotonic())

    def within(self, seconds: float) -> Deadline:
        """The same turn with an earlier end."""
        return replace(self, ends=min(self.ends, time.monotonic() + seconds))

    def pause(self, seconds: float) -> None:
        """Wait, but no longer than the turn lasts; raises LetGo as soon as it is told to."""
        if self.stop.wait(min(seconds, self.left)):
            raise StopRequested


class HostLock:
    """Work that changes the host is done one piece at a time, and the newest request is the one meant.

    A server has one writer, its workflow: when a second request arrives while the first still runs,
    Temporal has given the first up already (timeout, cancellation), and waiting for it would only
    cost a rescue its time. A repetition of the same request is a newer one, too.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._running = threading.Lock()
        self._newest: Deadline | None = None

    @contextmanager
    def hold(self, deadline: Deadline) -> Iterator[None]:
        with self._guard:
            if self._newest is not None:
                self._newest.stop.set()
            self._newest = deadline
        while not self._running.acquire(timeout=SLICE_S):
            if deadline.stop.is_set():
                raise StopRequested
            if not deadline.left:
                raise HostError("an earlier request on this host did not let go in time")
        try:
            yield
        finally:
            self._running.release()
