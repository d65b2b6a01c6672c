"""Invariant 8, seen from outside: in order, and resumed without a miss."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from api.streams.database_events import DatabaseEvents
from api.streams.hub import Hub
from db.event_log.reading import events_after
from db.event_log.writing import NewEvent, expire_events
from tests.api_streams import PATIENCE_S, ReceivedEvent, events_of, numbered, positioned, reading, served, write
from tests.api_world import Tenant, World, problem_type, unique

pytest_plugins = ["tests.api_fixtures"]


@pytest.fixture
async def live(world: World) -> AsyncIterator[httpx.AsyncClient]:
    """The world behind a real server: ASGI transports in memory do not stream."""
    world.services.hub = Hub(DatabaseEvents(world.services.database.sessions))
    async with served(world.services) as url, httpx.AsyncClient(base_url=url, timeout=PATIENCE_S) as http:
        yield http


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
    got: list[ReceivedEvent] = []
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
