"""The hub of event streams: a slow reader, a database that is away, a reader ahead of it."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Collection, Mapping, Sequence

import httpx
import pytest

from api.streams.hub import Hub, StreamEvent
from tests.api_streams import PATIENCE_S, ReceivedEvent, positioned, reading, served, until
from tests.api_world import Tenant, World

pytest_plugins = ["tests.api_fixtures"]


class ScriptedEvents:
    """Events without a database: `step` more can be seen at each poll; `down` polls fail first."""

    def __init__(self, total: int, step: int, size: int, down: int = 0) -> None:
        self.total, self.step, self.size, self.down = total, step, size, down
        self.visible = 0
        self.closed = False

    def heads(self, clients: Collection[str]) -> Mapping[str, int]:
        if self.down:
            self.down -= 1
            raise ConnectionError("the database is away")
        head = dict.fromkeys(clients, self.visible)
        self.visible = min(self.total, self.visible + self.step)
        return head

    def after(self, client_id: str, seq: int, limit: int) -> Sequence[StreamEvent]:
        return [self._event(n) for n in range(seq + 1, min(self.visible, seq + limit) + 1)]

    def oldest(self, client_id: str) -> int:
        return 1

    def close(self) -> None:
        self.closed = True

    def _event(self, seq: int) -> StreamEvent:
        frame = f"event: big\nid: {seq}\ndata: {json.dumps('x' * self.size)}\n\n"
        return StreamEvent(seq, "big", "", frame.encode())


async def test_a_slow_reader_is_cut_off_and_slows_nobody(world: World) -> None:
    source = ScriptedEvents(total=400, step=0, size=65_536)
    world.services.hub = hub = Hub(source, poll_s=0.005, limit=50)
    async with served(world.services) as url, httpx.AsyncClient(base_url=url, timeout=PATIENCE_S) as http:
        stuck = await connect_without_reading(url, world.tenant)
        async with reading(http, world.tenant, last="0") as stream:
            seen = [int((await read_at_ease(stream, source)).id) for _ in range(source.total)]
            await until(lambda: hub.readers == 1)
        assert seen == list(range(1, source.total + 1))
        got = await asyncio.to_thread(drain, stuck)
        assert 0 < got < source.total * source.size, "the connection is closed before everything was sent"


async def read_at_ease(stream: AsyncIterator[ReceivedEvent], source: ScriptedEvents) -> ReceivedEvent:
    """The writer stays ten events ahead of this reader, however busy the machine is: it is never the slow one."""
    if source.visible == 0:
        source.visible = 10
    event = await anext(stream)
    source.visible = min(source.total, int(event.id) + 10)
    return event


async def connect_without_reading(url: str, tenant: Tenant) -> socket.socket:
    host, port = url.removeprefix("http://").split(":")
    stuck = socket.socket()
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await asyncio.to_thread(stuck.connect, (host, int(port)))
    request = f"GET /api/events/stream HTTP/1.1\r\nHost: {host}\r\nLast-Event-ID: 0\r\n"
    stuck.sendall(f"{request}Authorization: Bearer {tenant.token}\r\n\r\n".encode())
    return stuck


def drain(stuck: socket.socket) -> int:
    """Read what is there until the other side's end; how many bytes it was."""
    stuck.settimeout(PATIENCE_S)
    size = 0
    with stuck:
        try:
            while chunk := stuck.recv(1 << 20):
                size += len(chunk)
        except ConnectionResetError:
            pass  # as good an end as any
    return size


async def test_a_stream_outlives_the_database_and_catches_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.streams.hub.POLL_DOWN_S", 0.01)
    world.services.hub = Hub(ScriptedEvents(total=30, step=7, size=10, down=5), poll_s=0.005)
    async with (
        served(world.services) as url,
        httpx.AsyncClient(base_url=url, timeout=PATIENCE_S) as http,
        reading(http, world.tenant, last="0") as stream,
    ):
        assert [int((await anext(stream)).id) for _ in range(30)] == list(range(1, 31))


class BlockedEvents(ScriptedEvents):
    """As if the hub's next look took long: it waits until `go` is set, and sees what is there by then."""

    def __init__(self) -> None:
        super().__init__(total=10, step=0, size=10)
        self.visible = 5
        self.go = threading.Event()
        self.go.set()

    def heads(self, clients: Collection[str]) -> Mapping[str, int]:
        assert self.go.wait(PATIENCE_S)
        return super().heads(clients)


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (8, [("big", "9"), ("big", "10")]),
        (10, []),
        (20, [("reset", "0"), *(("big", str(n)) for n in range(1, 11))]),
    ],
)
async def test_a_reader_ahead_of_the_hub_goes_on_where_it_was_unless_its_number_cannot_be(
    world: World, last: int, expected: list[tuple[str, str]]
) -> None:
    """Another API process told it of events that this one's hub, at work for an older reader, has not seen yet."""
    source = BlockedEvents()
    world.services.hub = Hub(source, poll_s=0.005)
    async with (
        served(world.services) as url,
        httpx.AsyncClient(base_url=url, timeout=PATIENCE_S) as http,
        reading(http, world.tenant) as older,
    ):
        await positioned(world)
        source.go.clear()
        async with reading(http, world.tenant, last=str(last)) as stream:
            source.visible = 10
            source.go.set()
            assert [int((await anext(older)).id) for _ in range(5)] == [6, 7, 8, 9, 10]
            source.visible = source.total = 11
            seen = []
            async for event in stream:
                if event.id == "11":
                    break
                if event.data is not None:
                    seen.append((event.type, event.id))
    assert seen == expected
