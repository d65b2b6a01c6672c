"""The hub: one reader of the database for every open event stream of this process.

A single task polls the heads of the clients that somebody watches, reads what is new once, and hands it to
that client's readers. A reader's backlog is bounded: who does not keep up is cut off and comes back with
`Last-Event-ID`, so nobody waits for anybody. Sequence numbers of one client are in commit order (db.event_log.writing),
so a position is all that a reader has to remember.
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
POLL_BUSY_S = 0.02  # where something happened, more follows: a step begins and ends
BUSY_S = 10.0
FEW_READERS = 100
POLL_DOWN_S = 1.0  # between tries while the database is down
BATCH = 500
BACKLOG_LIMIT = 2_000  # events a reader may lie behind before it is cut off


@dataclass(frozen=True)
class StreamEvent:
    """One event of a client, with its wire form, made once for all readers."""

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
        """Nothing will be asked any more."""
        ...

    def oldest(self, client_id: str) -> int:
        """The first sequence number that has not expired; head + 1 when all have."""
        ...


class Reader:
    """One open stream's side of the hub."""

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
        """Take events in, or be cut off when they no longer fit."""
        if len(self._pending) + len(events) > self._limit:
            self.cut.set()
            return
        self._pending.extend(events)
        self._ready.set()

    async def take(self, timeout_s: float) -> list[StreamEvent]:
        """Everything that is pending; empty when nothing came in time, which is the same in every call."""
        loop = asyncio.get_running_loop()
        self._wake_at = loop.time() + timeout_s
        if self._alarm is None:
            self._alarm = loop.call_at(self._wake_at, self._wake)
        await self._ready.wait()
        events, self._pending = self._pending, []
        self._ready.clear()
        return events

    def leave(self) -> None:
        """Nothing will be taken any more."""
        if self._alarm is not None:
            self._alarm.cancel()

    def _wake(self) -> None:
        """One timer goes on for as long as the stream: one for each event would cost a fifth of handing it out."""
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
        """Until it is cancelled."""
        try:
            await self._feed()
        finally:
            # Not cancelled with us: a thread may still be reading.
            await asyncio.shield(asyncio.to_thread(self.source.close))

    async def _feed(self) -> None:
        down = False
        while True:
            await self._watched.wait()
            try:
                await self._poll()
            except Exception as error:
                # Whatever it was, streams stay open and catch up: the database may be away for a while.
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
        """Many readers are better served by several events at once."""
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
                return  # the last reader left meanwhile, and perhaps another came: it starts anew
            position = self._positions[client_id] = events[-1].seq
            # Who came while the thread was reading has no start yet; the next poll gives it this position.
            for reader in self._readers[client_id]:
                if reader.start.done():
                    reader.offer(events)
            if len(events) < BATCH:
                return
