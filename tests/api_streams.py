"""Readers of the API's event streams, over a real socket."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import uvicorn

from api.app import create_app
from api.services import Services
from db.engine.session import in_transaction
from db.event_log.writing import NewEvent, append_events
from tests.api_world import Tenant, World

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


@dataclass
class ReceivedEvent:
    """One event on the wire."""

    id: str = ""
    type: str = ""
    data: Any = None
    comments: list[str] = field(default_factory=list)


async def events_of(answer: httpx.Response) -> AsyncIterator[ReceivedEvent]:
    seen = ReceivedEvent()
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
            seen = ReceivedEvent()


@asynccontextmanager
async def reading(
    http: httpx.AsyncClient, tenant: Tenant, path: str = "/api/events/stream", last: str = ""
) -> AsyncIterator[AsyncIterator[ReceivedEvent]]:
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


async def positioned(world: World) -> None:
    """Until the hub has told every reader where it begins."""
    hub = world.services.hub
    await until(lambda: hub.readers > 0 and all(r.start.done() for group in hub._readers.values() for r in group))
