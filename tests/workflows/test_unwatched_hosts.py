"""The memo of a server's workflow names a host whose agent takes no watch, until it takes one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import pytest
import pytest_asyncio
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from domain import host
from domain.names import instance_queue
from domain.operations import OperationKind
from tests.workflows.ec2_state import LAUNCHED
from tests.workflows.fake_cloud import FakeActivities
from tests.workflows.server_under_test import ServerUnderTest, committed
from tests.workflows.server_without_agent import HOST, shorten_timeouts, start, until_memo_is, with_agent
from tests.workflows.workers import replays
from workflows import timeouts

pytestmark = pytest.mark.timeout(400)


@pytest_asyncio.fixture(loop_scope="session")
async def server(dev: Client, fakes: FakeActivities, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ServerUnderTest]:
    shorten_timeouts(monkeypatch)
    started = await start(dev, fakes, uuid4().hex[:12])
    yield started
    await started.assert_true()
    await started.end()


async def _longest(server: ServerUnderTest) -> list[timedelta]:
    """Of each watch of the host in this run: for how long it may be held."""
    history = await server.client.get_workflow_handle(server.handle.id).fetch_history()
    told = [
        event.activity_task_scheduled_event_attributes
        for event in history.events
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    ]
    return [
        one.start_to_close_timeout.ToTimedelta()
        for one in told
        if one.activity_type.name == host.HOST_WATCH and one.task_queue.name == instance_queue(HOST)
    ]


async def _run(server: ServerUnderTest) -> str | None:
    return (await server.client.get_workflow_handle(server.handle.id).describe()).run_id


async def test_a_host_that_takes_no_watch_is_told_until_it_holds_one(
    server: ServerUnderTest, fakes: FakeActivities
) -> None:
    await until_memo_is(server, [HOST])
    async with with_agent(server, fakes):
        await until_memo_is(server, [])
        assert (await _longest(server))[-2:] == [timedelta(seconds=1), timedelta(days=1)]


async def test_it_is_told_across_continue_as_new(server: ServerUnderTest, fakes: FakeActivities) -> None:
    await until_memo_is(server, [HOST])
    first = await _run(server)
    async with asyncio.timeout(60):
        while await _run(server) == first:  # noqa: ASYNC110  nobody tells of it
            await asyncio.sleep(0.1)
    await until_memo_is(server, [HOST])
    async with with_agent(server, fakes):
        await until_memo_is(server, [])


async def test_an_instance_that_is_the_servers_no_longer_is_not_told(server: ServerUnderTest) -> None:
    await until_memo_is(server, [HOST])
    committed(await server.do(OperationKind.REPLICA_DROP))
    await until_memo_is(server, [])


async def test_who_ended_before_its_watch_was_taken_is_missed_as_soon_as_by_its_heartbeat(
    dev: Client, fakes: FakeActivities, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after continue-as-new: the watch of the run before was the one whose heartbeat would have been missed."""
    monkeypatch.setattr(timeouts.WATCH_PACE, "shortest_s", 0.4)
    monkeypatch.setattr(timeouts, "WATCH_PICKUP_S", 24 * 3600.0)  # no test waits for so long
    server = await start(dev, fakes, uuid4().hex[:12])
    fakes.cloud.heard |= {one: asyncio.Queue() for one in LAUNCHED}
    fakes.cloud.ec2_state.end(HOST)
    await server.until(lambda view: view.shape.replica is None or view.shape.replica.instance_id != HOST)
    await server.at_rest()
    await server.end()


async def test_the_pace_at_which_it_is_replayed_decides_nothing(
    dev: Client, fakes: FakeActivities, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fleet that has grown since: not taken at once is then as long as not taken at all."""
    shorten_timeouts(monkeypatch)
    monkeypatch.setattr(timeouts.WATCH_PACE, "shortest_s", 0.2)
    server = await start(dev, fakes, uuid4().hex[:12])
    await until_memo_is(server, [HOST])
    monkeypatch.setattr(timeouts.WATCH_PACE, "hosts", 10**6)
    await replays(server)
    await server.end()
