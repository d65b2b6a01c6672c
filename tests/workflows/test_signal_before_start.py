"""What is said about an operation before its server has heard that its child workflow has started.

A workflow task that tells both hands over the signal first (tests/workflows/signal_first.py)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from temporalio.client import Client
from temporalio.service import RPCError

from domain import ec2
from domain.names import operation_id
from domain.operations import SIGNAL_ABORT, SIGNAL_CANCEL, SIGNAL_COMMITTED, OperationKind, Outcome
from domain.servers import Handoff, ServerPolicy
from lab.stack.ports import Leases
from tests.workflows.ec2_state import OLD, REPLICA
from tests.workflows.fake_cloud import FakeActivities, FakeCloud
from tests.workflows.faults import while_in
from tests.workflows.server_under_test import PATIENCE_S, Clock, ServerUnderTest, TaskFailureLog, committed
from tests.workflows.signal_first import SignalFirst, hearing_signals_first
from tests.workflows.workers import on_own_temporal, replays

pytestmark = pytest.mark.timeout(120)


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def late(
    leases: Leases, fakes: FakeActivities, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Client]:
    directory = tmp_path_factory.mktemp("late")
    async with on_own_temporal(leases, fakes, directory, hearing_signals_first) as client:
        yield client


async def _server(late: Client, fakes: FakeActivities, name: str) -> ServerUnderTest:
    fakes.cloud = FakeCloud(Handoff.STATELESS)
    fakes.cloud.heard = {one: asyncio.Queue() for one in (OLD, REPLICA)}
    policy = ServerPolicy(handoff=Handoff.STATELESS, accepted_findings=["no_address_moves"])
    return await ServerUnderTest.start(
        late, Clock(late, skips=False), fakes.cloud, TaskFailureLog(), name, policy, replica=True
    )


async def _child_began(server: ServerUnderTest, operation: str) -> None:
    while True:
        try:
            await server.operation(operation).describe()
        except RPCError:
            await asyncio.sleep(0.02)
        else:
            return


@pytest.mark.parametrize("kind", [OperationKind.REPLICA_DROP, OperationKind.TERMINATE])
async def test_a_commit_that_is_told_before_the_start_is_heard(
    late: Client, fakes: FakeActivities, kind: OperationKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the server would watch what is being ended, and take its end for a loss."""
    server = await _server(late, fakes, f"commit-{kind.value}")
    ended = asyncio.Event()
    server.cloud.fault(while_in(ec2.TERMINATE, ended.wait, times=10**6))
    monkeypatch.setattr(SignalFirst, "awaited", SIGNAL_COMMITTED)
    accepted = await server.ask(kind)
    async with asyncio.timeout(PATIENCE_S):
        while (view := await server.view()).shape.replica is not None:  # noqa: ASYNC110  a query has no event
            await asyncio.sleep(0.05)
    assert view.running is not None, "the server heard of the commit only when all was done"
    ended.set()
    committed(await server.result(accepted.operation_id))
    await server.cloud.until(lambda: set(server.cloud.records.finished) == {accepted.operation_id}, PATIENCE_S)
    assert server.cloud.records.accepted == [accepted.operation_id], "nothing else was asked for"
    await replays(server)
    await server.end()


async def test_a_cancellation_that_is_heard_before_the_start_cancels(
    late: Client, fakes: FakeActivities, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await _server(late, fakes, "cancelled")
    launched = asyncio.Event()
    server.cloud.fault(while_in(ec2.LAUNCH, launched.wait))
    monkeypatch.setattr(SignalFirst, "awaited", SIGNAL_CANCEL)
    asking = asyncio.create_task(server.ask(OperationKind.SWITCH))
    operation = operation_id(server.ref.server_id, "r1")
    async with asyncio.timeout(PATIENCE_S):
        await _child_began(server, operation)
    await server.cancel(operation)
    assert (await asking).operation_id == operation
    await server.until_heard(operation, SIGNAL_ABORT)
    launched.set()
    result = await server.result(operation)
    assert result.outcome is Outcome.CANCELLED, result.receipt.reason
    await server.assert_true()
    await replays(server)
    await server.end()
