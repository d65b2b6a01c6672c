"""What clients saw of a server: how long it was out, and who answered when.

A client sends one request after the other. A request has failed when it was refused, cut off, not
answered in time, or answered with anything but 200. The gap around failures begins at
the end of that client's last success before them, and ends at the end of its first success after them.

The outage of an operation is the longest gap of any client whose failures touch the operation's
window: from 0.1 s before it was requested to 1 s after it finished, or until the window of the
server's next operation begins. It is 0 when no request failed there. A gap holds the pause between
two requests too, so it is never measured too short.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

BEFORE_S = 0.1
AFTER_S = 1.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One request of one client. Instants are epoch seconds."""

    started: float
    ended: float
    ok: bool
    instance: str = ""  # that answered
    n: int = 0  # the write's number; 0: it was a read
    error: str = ""


@dataclass(frozen=True)
class Window:
    since: float
    until: float

    @classmethod
    def around(cls, requested: float, finished: float, then: float = math.inf) -> Window:
        """`then`: when the server's next operation was requested. Later failures belong to that one."""
        return cls(requested - BEFORE_S, max(finished, min(finished + AFTER_S, then - BEFORE_S)))

    def touches(self, since: float, until: float) -> bool:
        return since <= self.until and until >= self.since


@dataclass(frozen=True)
class Gap:
    """`since` to `until`: without a success. `first` to `last`: the failures in it."""

    since: float
    until: float
    first: float
    last: float
    failures: int

    @property
    def ms(self) -> int:
        return round(1000 * (self.until - self.since))


def gaps(samples: Iterable[Sample]) -> Iterator[Gap]:
    """The gaps of one client, in order. A gap without an end lasts until its last failure."""
    success_at: float | None = None
    failed: list[Sample] = []
    for sample in samples:
        if not sample.ok:
            failed.append(sample)
            continue
        if failed:
            yield _gap(success_at, failed, sample.ended)
            failed = []
        success_at = sample.ended
    if failed:
        yield _gap(success_at, failed, failed[-1].ended)


def outage_ms(clients: Iterable[Sequence[Sample]], window: Window) -> int:
    return max((gap.ms for gap in _touching(clients, window)), default=0)


def failed_requests(clients: Iterable[Sequence[Sample]], window: Window) -> int:
    return sum(
        1 for samples in clients for sample in samples if not sample.ok and window.touches(sample.started, sample.ended)
    )


def first_answer(clients: Iterable[Sequence[Sample]], after: float, by: Callable[[str], bool] = bool) -> float | None:
    """When the first request that was sent after `after` was answered by such an instance."""
    found = [
        sample.ended
        for samples in clients
        for sample in samples
        if sample.ok and sample.started >= after and by(sample.instance)
    ]
    return min(found, default=None)


def _touching(clients: Iterable[Sequence[Sample]], window: Window) -> Iterator[Gap]:
    for samples in clients:
        yield from (gap for gap in gaps(samples) if window.touches(gap.first, gap.last))


def _gap(success_at: float | None, failed: Sequence[Sample], until: float) -> Gap:
    first = failed[0].started
    return Gap(first if success_at is None else success_at, until, first, failed[-1].ended, len(failed))
