"""Server-Sent Events over the hub: in order, resumable, with a comment every 15 seconds."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event
from starlette.types import Receive, Scope, Send

from api.streams.hub import BATCH, EVERY_TOKEN, POLL_DOWN_S, Hub, Reader, StreamEvent

log = logging.getLogger(__name__)

HEARTBEAT_S = 15.0
PERMISSION_CHECK_S = 60.0  # between two checks whether the reader may still read
RETRY_MS = 1_000
_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}  # nginx would hold events back
_COMMENT = b": waiting\n\n"


@dataclass(frozen=True)
class Snapshot:
    """The present state of a stream's subject; `final`: nothing more will happen to it."""

    data: str
    final: bool


@dataclass(frozen=True)
class Subject:
    """The operation that a stream is about: the stream begins with its state and ends with its end."""

    operation_id: str
    snapshot: Callable[[], Awaitable[Snapshot]]

    def part_of(self, events: Sequence[StreamEvent]) -> list[StreamEvent]:
        return [event for event in events if event.operation_id == self.operation_id]


@dataclass(frozen=True)
class StreamPermission:
    """Whether the reader may still read: checked every minute, and at once at an event that ends its token."""

    token_id: str
    holds: Callable[[], Awaitable[bool]]

    def ended_by(self, events: Sequence[StreamEvent]) -> bool:
        return any(event.revokes in (EVERY_TOKEN, self.token_id) for event in events if event.revokes)


class EventStream(StreamingResponse):
    """A client's events after `last_seq` (None: from now on), or those of one operation.

    Not FastAPI's response from a generator: this one can drop a peer that does not read.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        hub: Hub,
        client_id: str,
        last_seq: int | None,
        permission: StreamPermission,
        subject: Subject | None = None,
    ) -> None:
        super().__init__(_nothing(), headers=_HEADERS)
        self._hub = hub
        self._client_id = client_id
        self._last_seq = last_seq
        self._had = 0  # the last event that the reader has already, if it is ahead of the hub
        self._permission = permission
        self._subject = subject

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._hub.subscribed(self._client_id) as reader:
            self.body_iterator = self._body(reader)
            sending = asyncio.ensure_future(super().__call__(scope, receive, send))
            cut = asyncio.ensure_future(reader.cut.wait())
            try:
                await asyncio.wait({sending, cut}, return_when=asyncio.FIRST_COMPLETED)
                if not sending.done():
                    # `send` may be stuck at a peer that does not read: only leaving closes the connection.
                    log.info("a slow stream was cut off", extra={"client": self._client_id})
            finally:
                cut.cancel()
                sending.cancel()
                await asyncio.wait({sending, cut})
            if not sending.cancelled() and (error := sending.exception()) is not None:
                raise error

    async def _body(self, reader: Reader) -> AsyncIterator[bytes]:
        yield format_sse_event(retry=RETRY_MS)
        while not reader.start.done():
            await asyncio.wait({reader.start}, timeout=HEARTBEAT_S)
            if not reader.start.done():
                yield _COMMENT
        start = reader.start.result()
        snapshot: Snapshot | None = None
        async for chunk_or_snapshot in self._opening():
            if isinstance(chunk_or_snapshot, Snapshot):
                snapshot = chunk_or_snapshot
            else:
                yield chunk_or_snapshot
        if self._last_seq is not None:
            async for chunk in self._catch_up(self._last_seq, start):
                yield chunk
        if snapshot is not None and snapshot.final:
            return
        async for chunk in self._live(reader):
            yield chunk

    async def _opening(self) -> AsyncIterator[bytes | Snapshot]:
        """The subject's state. It is read after the subscription, so that no event falls between the two."""
        while self._subject is not None:
            try:
                snapshot = await self._subject.snapshot()
            except Exception as error:
                yield await _wait_for_database(error)
                continue
            yield format_sse_event(event="snapshot", data_str=snapshot.data)
            yield snapshot
            return

    async def _catch_up(self, last: int, until: int) -> AsyncIterator[bytes]:
        """What was missed between the reader's last event and the hub's position."""
        source = self._hub.source
        checked = False
        while last != until:
            try:
                if not checked:
                    oldest = await asyncio.to_thread(source.oldest, self._client_id)
                    expired = last + 1 < oldest
                    if not expired and last > until and await self._exists(last):
                        # Another process gave the reader events that this hub has not read yet.
                        self._had = last
                        return
                    if expired or last > until:
                        last = min(oldest - 1, until)
                        yield format_sse_event(event="reset", data_str=json.dumps({"oldest": oldest}), id=str(last))
                    checked = True
                    continue
                events = await asyncio.to_thread(source.after, self._client_id, last, BATCH)
            except Exception as error:
                yield await _wait_for_database(error)
                continue
            events = [event for event in events if event.seq <= until]
            if not events:
                return
            last = events[-1].seq
            yield self._frames(events)

    async def _exists(self, seq: int) -> bool:
        """False: the number is of another database, or of a state before a restore."""
        heads = await asyncio.to_thread(self._hub.source.heads, [self._client_id])
        return heads.get(self._client_id, 0) >= seq

    async def _live(self, reader: Reader) -> AsyncIterator[bytes]:
        looked_at = time.monotonic()
        while True:
            events = await reader.take(HEARTBEAT_S)
            yield self._frames([event for event in events if event.seq > self._had]) or _COMMENT
            if self._permission.ended_by(events):
                return
            if time.monotonic() - looked_at >= PERMISSION_CHECK_S:
                if not await self._permission.holds():
                    return
                looked_at = time.monotonic()
            if self._subject is not None and any(event.final for event in self._subject.part_of(events)):
                return

    def _frames(self, events: Sequence[StreamEvent]) -> bytes:
        if self._subject is not None:
            events = self._subject.part_of(events)
        return b"".join(event.frame for event in events)


async def _wait_for_database(error: Exception) -> bytes:
    log.warning("a stream waits for the database: %s", error)
    await asyncio.sleep(POLL_DOWN_S)
    return _COMMENT


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""
