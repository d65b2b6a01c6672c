"""A reader of the client's event stream that disconnects and reconnects, and counts what it missed.

Every change is one event, numbered per client from 1 without gaps (invariant 8). So a reader that
reconnects with `Last-Event-ID` can tell by the numbers alone whether it got everything.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import httpx
from anyio.from_thread import BlockingPortal

log = logging.getLogger(__name__)
_AGAIN_S = 0.3
_SILENCE_S = 40.0  # a heartbeat comes every 15 s


@dataclass(frozen=True)
class Event:
    seq: int
    type: str
    server_id: str
    operation_id: str
    payload: dict[str, Any] = field(default_factory=dict)


@dataclass
class EventTally:
    """The latest number, how many numbers never came, and how many came twice."""

    last: int = 0
    missed: int = 0
    repeated: int = 0

    def count(self, seq: int) -> bool:
        """Whether this one is new."""
        if seq <= self.last:
            self.repeated += 1
            return False
        self.missed += seq - self.last - 1
        self.last = seq
        return True

    def missed_by(self, latest: int) -> int:
        """How many were never seen, when `latest` is the number of the last event."""
        return self.missed + max(0, latest - self.last)


class EventFollower:
    """Reads in the thread of the given portal. Any other thread may read its events and wait for them."""

    def __init__(self, portal: BlockingPortal, base_url: str, token: str) -> None:
        self._portal = portal
        self._base_url = base_url
        self._headers = {"Authorization": f"Bearer {token}"}
        self._changed = threading.Condition()
        self._events: list[Event] = []
        self._reading: Future[None] | None = None
        self.tally = EventTally()
        self.connections = 0

    def connect(self) -> None:
        """Connect after the last event that was seen, and reconnect until `disconnect`."""
        self._reading = self._portal.start_task_soon(self._read)

    def disconnect(self) -> None:
        """Close the connection."""
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    @property
    def position(self) -> int:
        """How many events there are so far, for a later `since`."""
        with self._changed:
            return len(self._events)

    def since(self, position: int) -> Sequence[Event]:
        with self._changed:
            return self._events[position:]

    def wait(self, position: int, seconds: float) -> Sequence[Event]:
        """The events after `position`. When there are none, wait up to `seconds` for some."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._events) > position, seconds)
            return self._events[position:]

    async def _read(self) -> None:
        timeout = httpx.Timeout(5.0, read=_SILENCE_S)
        async with httpx.AsyncClient(base_url=self._base_url, timeout=timeout, trust_env=False) as http:
            while True:
                try:
                    await self._connected(http)
                except httpx.HTTPError as error:
                    log.info("the event stream broke off: %s", error)
                await asyncio.sleep(_AGAIN_S)

    async def _connected(self, http: httpx.AsyncClient) -> None:
        headers = {**self._headers, "Last-Event-ID": str(self.tally.last)}
        async with http.stream("GET", "/api/events/stream", headers=headers) as answer:
            answer.raise_for_status()
            self.connections += 1
            async for event in parse_events(answer.aiter_lines()):
                self._take(event)

    def _take(self, event: Event) -> None:
        if not self.tally.count(event.seq):
            return
        with self._changed:
            self._events.append(event)
            self._changed.notify_all()


async def parse_events(lines: AsyncIterator[str]) -> AsyncIterator[Event]:
    """Server-Sent Events that carry one of the API's events. Comments and `reset` are skipped.

    After a `reset` the numbers jump, so what it skipped is counted as missed.
    """
    data, number = "", ""
    async for line in lines:
        name, _, value = line.partition(":")
        if name == "data":
            data += value.removeprefix(" ")
        elif name == "id":
            number = value.strip()
        elif not line:
            if number and data:
                found = json.loads(data)
                if "seq" in found:
                    yield _event(found)
            data = number = ""


def _event(found: dict[str, Any]) -> Event:
    return Event(
        seq=int(found["seq"]),
        type=str(found["type"]),
        server_id=str(found.get("server_id") or ""),
        operation_id=str(found.get("operation_id") or ""),
        payload=dict(found.get("payload") or {}),
    )
