"""The deadline of one piece of work on the host, the request to stop it, and the error when it cannot be done."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from domain.host import HookRun

SLICE_S = 0.02


class HostError(Exception):
    """What could not be done on this host and why, with the hooks that ran until then.

    To the control plane it is `Failure.HOST_FAILED`.
    """

    def __init__(self, message: str, hooks: Sequence[HookRun] = ()) -> None:
        super().__init__(message)
        self.hooks = list(hooks)


class StopRequested(Exception):
    """The work has to stop: the agent is ending, the request was cancelled, or a newer one came."""


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
        """An earlier deadline for a part of the same work: a request to stop is for both."""
        return replace(self, ends=min(self.ends, time.monotonic() + seconds))

    def pause(self, seconds: float) -> None:
        """Wait, but not beyond the deadline; raises StopRequested as soon as the work has to stop."""
        if self.stop.wait(min(seconds, self.left)):
            raise StopRequested


class HostLock:
    """Work that changes the host is done one piece at a time. A newer request stops the one that runs.

    A server has one writer, its workflow. When a second request arrives while the first still runs,
    Temporal has already given up the first one (timeout, cancellation). To wait for it would cost a rescue
    its time. The same request once more counts as a newer one.
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
                raise HostError("an earlier request on this host did not stop in time")
        try:
            yield
        finally:
            self._running.release()
