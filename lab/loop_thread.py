"""An event loop in a thread of its own, for work that goes on while the caller waits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from anyio.from_thread import BlockingPortal, start_blocking_portal


@contextmanager
def loop_thread(name: str) -> Iterator[BlockingPortal]:
    """At the end, the tasks that are left are cancelled and waited for; anyio alone would let them finish."""
    with start_blocking_portal(name=name) as portal:
        try:
            yield portal
        finally:
            portal.call(portal.stop, True)
