"""Workers without a cache replay a workflow at every task. What they do has to be what a later replay does.

The SDK's core takes a workflow task without commands and the next one for a single task, but only while the next is
new and nothing but an update brought it about (temporalio/sdk-rust issues 1146, 1606). A worker that restarted meets
that, and a history that it leaves cannot be replayed by the next one: the server's workflow would stand still for good.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import Client
from temporalio.worker import Replayer, Worker

import workflows.server.workflow
from domain.host import Notice, NoticeKind, NoticeSource
from domain.operations import SIGNAL_NOTICE, UPDATE_POLICY, OperationKind
from domain.records import RECORD
from domain.servers import Handoff, ServerPolicy
from lab.stack.ports import Leases
from tests.workflows.ec2_state import LAUNCHED, OLD
from tests.workflows.fake_cloud import FakeActivities, FakeCloud
from tests.workflows.faults import while_in
from tests.workflows.server_under_test import PATIENCE_S, Clock, ServerUnderTest, TaskFailureLog, committed
from tests.workflows.workers import on_own_temporal, replays, sandboxed, worker_of
from workflows.registry import WORKFLOWS

pytestmark = pytest.mark.timeout(400)


def forgetful(client: Client, task_queue: str, activities: Any, slots: int) -> Worker:
    return worker_of(client, task_queue, activities, slots, max_cached_workflows=0)


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def away(
    leases: Leases, fakes: FakeActivities, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Client]:
    async with on_own_temporal(leases, fakes, tmp_path_factory.mktemp("forgetful"), forgetful) as client:
        yield client


async def _server(away: Client, fakes: FakeActivities, name: str, handoff: Handoff) -> ServerUnderTest:
    fakes.cloud = FakeCloud(handoff, targets=handoff is Handoff.STATELESS, elastic=handoff is Handoff.VOLUMES)
    fakes.cloud.heard |= {one: asyncio.Queue() for one in (OLD, *LAUNCHED)}  # agents listen, and hear nothing
    policy = ServerPolicy(handoff=handoff, accepted_findings=["no_address_moves"])
    return await ServerUnderTest.start(away, Clock(away, skips=False), fakes.cloud, TaskFailureLog(), name, policy)


@pytest.mark.parametrize("handoff", [Handoff.STATELESS, Handoff.VOLUMES])
async def test_a_request_right_after_a_record_is_taken_up_as_it_is_replayed(
    away: Client, fakes: FakeActivities, handoff: Handoff
) -> None:
    """That the record is written is all that the task before the request tells: it has no command."""
    server = await _server(away, fakes, f"row-{handoff.value}", handoff)
    for number in range(3):
        await _recorded(server, number)
        committed(await server.do(OperationKind.SWITCH))
        await _still(server)
        await replays(server)
    await server.end()


async def test_a_policy_that_is_changed_right_after_a_record_is_replayed_in_the_same_order(
    away: Client, fakes: FakeActivities
) -> None:
    server = await _server(away, fakes, "policy", Handoff.VOLUMES)
    for number in range(2):
        await _recorded(server, number)
        policy = ServerPolicy(handoff=Handoff.VOLUMES, accepted_findings=["no_address_moves"], cool_down_s=8.0 + number)
        await server.handle.execute_update(UPDATE_POLICY, policy)
        await _still(server)
        await replays(server)
    committed(await server.do(OperationKind.SWITCH))
    await server.end()


async def _recorded(server: ServerUnderTest, number: int) -> None:
    """A notice that leads to nothing but a record, which takes its time; meanwhile a signal that leads to nothing."""
    meanwhile = asyncio.Event()
    server.cloud.fault(while_in(RECORD, meanwhile.wait))
    heard = Notice(f"i-other-{number}", NoticeKind.REBALANCE, NoticeSource.IMDS, datetime.now(UTC))
    await server.handle.signal(SIGNAL_NOTICE, heard)
    await server.cloud.until(lambda: server.cloud.faults[-1].hits == 1)
    await server.cancel("op-that-never-was")
    await _no_task(server)
    meanwhile.set()
    await _still(server)


async def _no_task(server: ServerUnderTest) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while (await server.handle.describe()).raw_description.HasField("pending_workflow_task"):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def _still(server: ServerUnderTest) -> None:
    """At rest, and its workflow knows that its last records are written."""
    await server.at_rest()
    async with asyncio.timeout(PATIENCE_S):
        while True:
            described = (await server.handle.describe()).raw_description
            records = [one for one in described.pending_activities if one.activity_type.name == RECORD]
            if not records and not described.HasField("pending_workflow_task"):
                return
            await asyncio.sleep(0.05)


async def test_a_run_is_begun_anew_before_it_takes_long_to_replay(
    away: Client, fakes: FakeActivities, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long before Temporal suggests it: a worker that takes the server up has to replay the run within one task."""
    monkeypatch.setattr(workflows.server.workflow, "LONGEST_HISTORY", 90)
    server = await _server(away, fakes, "long", Handoff.STATELESS)
    for _ in range(5):
        committed(await server.do(OperationKind.SWITCH))
        await server.at_rest()
    runs = [one async for one in away.list_workflows(f"WorkflowId = '{server.handle.id}'")]
    assert len(runs) > 1
    for run in runs:
        history = await away.get_workflow_handle(run.id, run_id=run.run_id).fetch_history()
        assert len(history.events) < 90 + 60, "the operation in which it grew too long was its last"
        await Replayer(workflows=WORKFLOWS, workflow_runner=sandboxed(), debug_mode=True).replay_workflow(history)
    await server.end()
