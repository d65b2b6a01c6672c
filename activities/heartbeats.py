"""Heartbeats of activities that call EC2 or write records, so that a dead worker is noticed before their timeout.

An attempt may take as long as AWS does, several seconds. Without heartbeats, a worker that is killed in the middle of
a handoff would leave the service down for all of that time. One thread beats for all activities.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import Context, copy_context

from temporalio import activity

_BEAT_S = 1.0


class _HeartbeatThread:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._alive: dict[object, Context] = {}
        self._thread: threading.Thread | None = None

    def add(self, key: object, context: Context) -> None:
        with self._lock:
            self._alive[key] = context
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="ec2-pulse", daemon=True)
                self._thread.start()

    def remove(self, key: object) -> None:
        with self._lock:
            del self._alive[key]

    def _run(self) -> None:
        pause = threading.Event()
        while not pause.wait(_BEAT_S):
            with self._lock:
                # Under the lock: none of these has ended, and so each may heartbeat.
                for context in self._alive.values():
                    with suppress(RuntimeError):  # its worker's event loop has ended
                        context.run(activity.heartbeat)


_heartbeat_thread = _HeartbeatThread()


@contextmanager
def heartbeats() -> Iterator[None]:
    """Heartbeat while the body runs. Does nothing outside of Temporal."""
    if not activity.in_activity():
        yield
        return
    key = object()
    _heartbeat_thread.add(key, copy_context())
    try:
        yield
    finally:
        _heartbeat_thread.remove(key)
