"""The hub: one reader of the database for every open event stream of this process.

One task polls the latest numbers of the clients that have readers, reads new events once, and gives them to all
readers of the client. A reader's backlog is bounded: one that does not keep up is cut off and comes back with
`Last-Event-ID`, so no reader waits for another. A client's numbers are in commit order (db.event_log.writing), so
a reader has to remember only one number.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

EVERY_TOKEN = "*"  # noqa: S105 - it is none
log = logging.getLogger(__name__)

POLL_S = 0.05
POLL_BUSY_S = 0.02  # after an event more follow soon: a step begins and ends
BUSY_S = 10.0
FEW_READERS = 100
POLL_DOWN_S = 1.0  # between tries while the database is down
BATCH = 500
BACKLOG_LIMIT = 2_000  # events that may wait for a reader before it is cut off


@dataclass(frozen=True)
class StreamEvent:
    """One event of a client, with the bytes to send, made once for all readers."""

    seq: int
    type: str
    operation_id: str
    frame: bytes
    final: bool = False  # the operation is over
    revokes: str = ""  # the token that it ends; EVERY_TOKEN: all of the client's


class EventSource(Protocol):
    """Where events come from; called from threads, and may raise when the database is down."""

    def heads(self, clients: Collection[str]) -> Mapping[str, int]:
        """The latest sequence number of each client, 0 for none."""
        ...

    def after(self, client_id: str, seq: int, limit: int) -> Sequence[StreamEvent]:
        """The client's events after `seq`, in order."""
        ...

    def close(self) -> None:
        """Close what is open: no more calls follow."""
        ...

    def oldest(self, client_id: str) -> int:
        """The first sequence number that has not expired; head + 1 when all have."""
        ...


class Reader:
    """The hub's side of one open stream."""

    def __init__(self, client_id: str, limit: int) -> None:
        self.client_id = client_id
        self.start: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.cut = asyncio.Event()
        self._limit = limit
        self._pending: list[StreamEvent] = []
        self._ready = asyncio.Event()
        self._wake_at = 0.0
        self._alarm: asyncio.TimerHandle | None = None

    def offer(self, events: Sequence[StreamEvent]) -> None:
        """Queue events for the reader; cut it off when they no longer fit."""
        if len(self._pending) + len(events) > self._limit:
            self.cut.set()
            return
        self._pending.extend(events)
        self._ready.set()

    async def take(self, timeout_s: float) -> list[StreamEvent]:
        """All pending events; empty when none came in time. `timeout_s` is the same in every call."""
        loop = asyncio.get_running_loop()
        self._wake_at = loop.time() + timeout_s
        if self._alarm is None:
            self._alarm = loop.call_at(self._wake_at, self._wake)
        await self._ready.wait()
        events, self._pending = self._pending, []
        self._ready.clear()
        return events

    def leave(self) -> None:
        """Stop the timer: no more calls of `take` follow."""
        if self._alarm is not None:
            self._alarm.cancel()

    def _wake(self) -> None:
        """One timer serves the whole stream: a timer for each event would cost a fifth of the time to send it."""
        loop = asyncio.get_running_loop()
        self._alarm = None
        if loop.time() >= self._wake_at:
            self._ready.set()
        else:
            self._alarm = loop.call_at(self._wake_at, self._wake)


class Hub:
    """Readers subscribe; `run` is the one task that feeds them."""

    def __init__(self, source: EventSource, *, poll_s: float = POLL_S, limit: int = BACKLOG_LIMIT) -> None:
        self.source = source
        self._poll_s = poll_s
        self._limit = limit
        self._readers: dict[str, set[Reader]] = defaultdict(set)
        self._positions: dict[str, int] = {}  # client -> last event handed out
        self._watched = asyncio.Event()
        self._busy_until = 0.0

    @property
    def readers(self) -> int:
        return sum(len(group) for group in self._readers.values())

    @contextmanager
    def subscribed(self, client_id: str) -> Iterator[Reader]:
        """A reader that gets every event after its `start`, which the next poll sets."""
        reader = Reader(client_id, self._limit)
        self._readers[client_id].add(reader)
        self._watched.set()
        try:
            yield reader
        finally:
            self._leave(reader)

    def _leave(self, reader: Reader) -> None:
        reader.leave()
        group = self._readers[reader.client_id]
        group.discard(reader)
        if not group:
            del self._readers[reader.client_id]
            self._positions.pop(reader.client_id, None)
        if not self._readers:
            self._watched.clear()

    async def run(self) -> None:
        """Feed the readers until cancelled."""
        try:
            await self._feed()
        finally:
            # Shielded: a thread may still be reading.
            await asyncio.shield(asyncio.to_thread(self.source.close))

    async def _feed(self) -> None:
        down = False
        while True:
            await self._watched.wait()
            try:
                await self._poll()
            except Exception as error:
                # Any error: streams stay open and catch up, since the database may only be down for a while.
                if not down:
                    log.warning("events cannot be read, streams wait: %s", error)
                down = True
                await asyncio.sleep(POLL_DOWN_S)
                continue
            if down:
                log.info("events can be read again")
            down = False
            await asyncio.sleep(self._pause_s())

    def _pause_s(self) -> float:
        """Poll faster after an event. With many readers do not: they are better served by several events at once."""
        quick = time.monotonic() < self._busy_until and self.readers <= FEW_READERS
        return min(self._poll_s, POLL_BUSY_S) if quick else self._poll_s

    async def _poll(self) -> None:
        heads = await asyncio.to_thread(self.source.heads, list(self._readers))
        for client_id, head in heads.items():
            # A client may have lost its last reader while a thread was reading.
            if client_id not in self._readers:
                continue
            position = self._positions.setdefault(client_id, head)
            self._start(client_id, position)
            if head > position:
                self._busy_until = time.monotonic() + BUSY_S
                await self._hand_out(client_id, position)

    def _start(self, client_id: str, position: int) -> None:
        for reader in self._readers[client_id]:
            if not reader.start.done():
                reader.start.set_result(position)

    async def _hand_out(self, client_id: str, position: int) -> None:
        while events := await asyncio.to_thread(self.source.after, client_id, position, BATCH):
            if self._positions.get(client_id) != position:
                return  # the last reader left meanwhile; if another came, it starts anew
            position = self._positions[client_id] = events[-1].seq
            # A reader that came while the thread was reading has no start yet: the next poll gives it this position.
            for reader in self._readers[client_id]:
                if reader.start.done():
                    reader.offer(events)
            if len(events) < BATCH:
                return
