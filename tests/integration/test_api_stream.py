"""Invariant 8, seen from outside: in order, resumed without a miss, and nobody waits for a slow reader."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import threading
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import uvicorn

from api.app import create_app
from api.services import Services
from api.streams.database_events import DatabaseEvents
from api.streams.hub import Hub, StreamEvent
from db.engine.session import in_transaction
from db.event_log.reading import events_after
from db.event_log.writing import NewEvent, append_events, expire_events
from tests.api_world import Tenant, World, problem_type, unique

pytest_plugins = ["tests.api_fixtures"]

PATIENCE_S = 60.0


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - the state is the code's under test, which has no event to wait for
            await asyncio.sleep(0.01)


class OwnServer(uvicorn.Server):
    """Leaves the signals to pytest."""

    def capture_signals(self) -> Any:
        return nullcontext()


@asynccontextmanager
async def served(services: Services) -> AsyncIterator[str]:
    """A real server on a free port, in this loop."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(create_app(services), log_config=None, timeout_graceful_shutdown=1)
    server = OwnServer(config)
    running = asyncio.create_task(server.serve([listener]))
    try:
        await until(lambda: server.started)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await running


@pytest.fixture
async def live(world: World) -> AsyncIterator[httpx.AsyncClient]:
    """The world behind a real server: ASGI transports in memory do not stream."""
    world.services.hub = Hub(DatabaseEvents(world.services.database.sessions))
    async with served(world.services) as url, httpx.AsyncClient(base_url=url, timeout=PATIENCE_S) as http:
        yield http


@dataclass
class Seen:
    """One event on the wire."""

    id: str = ""
    type: str = ""
    data: Any = None
    comments: list[str] = field(default_factory=list)


async def events_of(answer: httpx.Response) -> AsyncIterator[Seen]:
    seen = Seen()
    async for line in answer.aiter_lines():
        name, _, value = line.partition(": ")
        if line.startswith(":"):
            seen.comments.append(line)
        elif name == "id":
            seen.id = value
        elif name == "event":
            seen.type = value
        elif name == "data":
            seen.data = json.loads(value)
        elif not line:
            if seen.data is not None or seen.comments:
                yield seen
            seen = Seen()


@asynccontextmanager
async def reading(
    http: httpx.AsyncClient, tenant: Tenant, path: str = "/api/events/stream", last: str = ""
) -> AsyncIterator[AsyncIterator[Seen]]:
    headers = tenant.headers | ({"Last-Event-ID": last} if last else {})
    async with asyncio.timeout(PATIENCE_S), http.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield events_of(answer)


def write(world: World, tenant: Tenant, *events: NewEvent) -> int:
    sessions = world.services.database.sessions
    return in_transaction(sessions, lambda session: append_events(session, tenant.client_id, events))


def numbered(number: int, **values: Any) -> NewEvent:
    return NewEvent("server.policy", datetime.now(UTC), payload={"n": number}, **values)


async def test_a_reader_that_keeps_reconnecting_beside_writers_misses_nothing(
    world: World, live: httpx.AsyncClient
) -> None:
    chance = random.Random(7)
    total = 160
    start = write(world, world.tenant, numbered(-1))

    def writer(share: range) -> None:
        for number in share:
            write(world, world.tenant, numbered(number))
            write(world, world.other, numbered(10_000 + number))

    writers = [asyncio.create_task(asyncio.to_thread(writer, range(n, total, 4))) for n in range(4)]
    got: list[Seen] = []
    while len(got) < total:
        left = chance.randint(1, 25)
        async with reading(live, world.tenant, last=got[-1].id if got else str(start)) as stream:
            async for event in stream:
                if event.data is not None:
                    got.append(event)
                    left -= 1
                if left == 0 or len(got) == total:
                    break
    await asyncio.gather(*writers)

    assert [int(event.id) for event in got] == list(range(start + 1, start + 1 + total))
    assert sorted(event.data["payload"]["n"] for event in got) == list(range(total))


async def test_without_an_id_a_stream_begins_now(world: World, live: httpx.AsyncClient) -> None:
    write(world, world.tenant, numbered(1))
    async with reading(live, world.tenant) as stream:
        await positioned(world)
        latest = write(world, world.tenant, numbered(2))
        event = await anext(stream)
    assert (event.id, event.type, event.data["payload"]) == (str(latest), "server.policy", {"n": 2})


async def positioned(world: World) -> None:
    """Until the hub has told every reader where it begins."""
    hub = world.services.hub
    await until(lambda: hub.readers > 0 and all(r.start.done() for group in hub._readers.values() for r in group))


async def test_who_asks_for_expired_events_is_told_where_to_start_afresh(world: World, live: httpx.AsyncClient) -> None:
    last = write(world, world.tenant, numbered(1), numbered(2), numbered(3))
    sessions = world.services.database.sessions
    with sessions() as session:
        recorded_at = events_after(session, world.tenant.client_id, last - 1).events[0].recorded_at
    expire_events(sessions, before=recorded_at + timedelta(microseconds=1))
    newest = write(world, world.tenant, numbered(4))

    async with reading(live, world.tenant, last="1") as stream:
        reset, event = await anext(stream), await anext(stream)

    assert (reset.type, reset.data, reset.id) == ("reset", {"oldest": newest}, str(newest - 1))
    assert event.data["payload"] == {"n": 4}


async def test_an_operations_stream_begins_with_its_state_and_ends_with_it(
    world: World, live: httpx.AsyncClient
) -> None:
    operation = world.operation(world.server())
    other = unique("op")

    async with reading(live, world.tenant, f"/api/operations/{operation.id}/stream") as stream:
        snapshot = await anext(stream)
        now = datetime.now(UTC)
        write(
            world,
            world.tenant,
            NewEvent("operation.step", now, payload={"step": "launch"}, operation_id=operation.id),
            NewEvent("operation.committed", now, operation_id=other),
            NewEvent("operation.committed", now, operation_id=operation.id),
            NewEvent("instance.terminated", now, operation_id=operation.id),
        )
        rest = [event async for event in stream]

    assert (snapshot.type, snapshot.data["id"], snapshot.data["status"]) == ("snapshot", operation.id, "running")
    assert [event.type for event in rest if event.data is not None][:2] == ["operation.step", "operation.committed"]
    assert all(event.data["operation_id"] == operation.id for event in rest if event.data)


async def test_the_stream_of_an_operation_that_is_over_is_its_state(world: World, live: httpx.AsyncClient) -> None:
    operation = world.operation(world.server(), status="committed", receipt={"calls": 7})
    async with reading(live, world.tenant, f"/api/operations/{operation.id}/stream") as stream:
        seen = [event async for event in stream]
    assert [(event.type, event.data["receipt"]["calls"]) for event in seen] == [("snapshot", 7)]


async def test_an_idle_stream_shows_that_it_lives(
    world: World, live: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.streams.event_stream.HEARTBEAT_S", 0.02)
    async with reading(live, world.tenant) as stream:
        assert (await anext(stream)).comments


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "9" * 19])
async def test_an_id_that_is_none_is_refused(world: World, last: str) -> None:
    answer = await world.call("GET", "/api/events/stream", headers={"Last-Event-ID": last})
    assert (answer.status_code, problem_type(answer)) == (422, "invalid-request")


async def test_the_list_of_events_is_the_stream_in_pages(world: World) -> None:
    last = write(world, world.tenant, *(numbered(n) for n in range(5)))
    page = (await world.call("GET", f"/api/events?after={last - 5}&limit=3")).json()
    assert [event["payload"]["n"] for event in page["items"]] == [0, 1, 2]
    assert page["latest_seq"] == last
    assert not page["gap"]


class Scripted:
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
    source = Scripted(total=400, step=0, size=65_536)
    world.services.hub = hub = Hub(source, poll_s=0.005, limit=50)
    async with served(world.services) as url, httpx.AsyncClient(base_url=url, timeout=PATIENCE_S) as http:
        stuck = await connect_without_reading(url, world.tenant)
        async with reading(http, world.tenant, last="0") as stream:
            seen = [int((await read_at_ease(stream, source)).id) for _ in range(source.total)]
            await until(lambda: hub.readers == 1)
        assert seen == list(range(1, source.total + 1))
        got = await asyncio.to_thread(drain, stuck)
        assert 0 < got < source.total * source.size, "the connection is closed before everything was sent"


async def read_at_ease(stream: AsyncIterator[Seen], source: Scripted) -> Seen:
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
    world.services.hub = Hub(Scripted(total=30, step=7, size=10, down=5), poll_s=0.005)
    async with (
        served(world.services) as url,
        httpx.AsyncClient(base_url=url, timeout=PATIENCE_S) as http,
        reading(http, world.tenant, last="0") as stream,
    ):
        assert [int((await anext(stream)).id) for _ in range(30)] == list(range(1, 31))


class Held(Scripted):
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
    source = Held()
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


async def test_a_revoked_token_ends_the_streams_it_opened_and_no_others(world: World, live: httpx.AsyncClient) -> None:
    place = f"/api/clients/{world.tenant.client_id}/tokens"
    made = (await world.call("POST", place, json={"label": "page"})).json()
    theirs = Tenant(world.tenant.client_id, made["token"])
    async with reading(live, world.tenant) as ours, reading(live, theirs) as stream:
        await positioned(world)
        await world.call("DELETE", f"{place}/{made['id']}")
        assert [event.type async for event in stream][-1:] == ["token.revoked"]
        latest = write(world, world.tenant, numbered(1))
        async for event in ours:
            if event.id == str(latest):
                break


async def test_the_page_reads_its_stream_by_cookie_until_it_signs_out(
    world: World, live: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.streams.event_stream.HEARTBEAT_S", 0.02)
    monkeypatch.setattr("api.streams.event_stream.PERMISSION_CHECK_S", 0.1)
    page = {"Origin": str(live.base_url).rstrip("/")}
    signed = await live.post("/api/session", json={"token": world.tenant.token}, headers=page)
    async with asyncio.timeout(PATIENCE_S), live.stream("GET", "/api/events/stream") as answer:
        assert answer.status_code == 200
        stream = events_of(answer)
        await positioned(world)
        latest = write(world, world.tenant, numbered(1))
        while (await anext(stream)).id != str(latest):
            pass
        word = {**page, "X-CSRF-Token": signed.json()["csrf_token"]}
        assert (await live.delete("/api/session", headers=word)).status_code == 204
        assert {event.id async for event in stream} <= {""}


async def test_an_admins_page_names_its_client_in_the_streams_address(world: World, live: httpx.AsyncClient) -> None:
    """EventSource sets no header."""
    admin = Tenant("", world.admin["Authorization"][7:])
    assert (await world.http.get("/api/events/stream", headers=world.admin)).status_code == 403
    async with reading(live, admin, f"/api/events/stream?client_id={world.tenant.client_id}") as stream:
        await positioned(world)
        latest = write(world, world.tenant, numbered(1))
        assert (await anext(stream)).id == str(latest)
    async with live.stream(
        "GET", f"/api/events/stream?client_id={world.other.client_id}", headers=world.tenant.headers
    ) as answer:
        assert answer.status_code == 200
        await positioned(world)
        assert world.other.client_id not in world.services.hub._readers, "a client names nobody but itself"
