"""A worker that answered a query ahead of a task takes that task up as it will be replayed.

After one that was killed: the query comes with all history that there is, so that the workflow hears of the end of an
operation before any task tells it, and of the request in that task after it. A replay is given both at once.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetStickyTaskQueueRequest
from temporalio.client import Client
from temporalio.worker import Worker

from domain import host
from domain.host import Notice, NoticeKind, NoticeSource
from domain.names import CONTROL_QUEUE, instance_queue
from domain.operations import UPDATE_POLICY, OperationKind
from domain.servers import Handoff, ServerPolicy
from lab.stack.ports import Leases
from lab.stack.settings import REPOSITORY
from tests.workflows.ec2_state import LAUNCHED, OLD
from tests.workflows.fake_cloud import FakeActivities, FakeCloud
from tests.workflows.server_under_test import PATIENCE_S, Clock, ServerUnderTest, TaskFailureLog, committed
from tests.workflows.workers import on_own_temporal, replays
from worker import make_worker

pytestmark = pytest.mark.timeout(400)


def activities_only(client: Client, task_queue: str, activities: object, slots: int) -> Worker:
    """Of the queue of ordinary work; the others as worker.py makes them."""
    if task_queue != CONTROL_QUEUE:
        return make_worker(client, task_queue, activities, slots)  # type: ignore[arg-type]
    return Worker(client, task_queue=task_queue, activities=activities, max_concurrent_activities=slots)  # type: ignore[arg-type]


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def alone(
    leases: Leases, fakes: FakeActivities, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Client]:
    async with on_own_temporal(leases, fakes, tmp_path_factory.mktemp("alone"), activities_only) as client:
        yield client


@asynccontextmanager
async def standing_by(client: Client, log: Path) -> AsyncIterator[Process]:
    """A process that could take up workflows at once. On a busy machine it takes long to load, and Temporal gives up a
    query that finds no worker for some seconds."""
    argv = ["-m", "tests.workflows.workflow_worker_process", client.service_client.config.target_host]
    with log.open("a") as lines:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *argv, cwd=REPOSITORY, stdin=PIPE, stdout=PIPE, stderr=lines
        )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n", f"it did not start: see {log}"
    try:
        yield process
    finally:
        await _kill(process)


@asynccontextmanager
async def at_work(process: Process) -> AsyncIterator[None]:
    """It takes up workflows, until it is killed."""
    assert process.stdin is not None
    process.stdin.write(b"begin\n")
    try:
        yield
    finally:
        await _kill(process)


async def _kill(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGKILL)
    await process.wait()


async def _described(server: ServerUnderTest) -> tuple[set[str], bool]:
    """The queues of the watches that are under way, and whether Temporal has something for its workflow."""
    told = (await server.handle.describe()).raw_description
    watches = [one for one in told.pending_activities if one.activity_type.name == host.HOST_WATCH]
    return {one.activity_options.task_queue.name for one in watches}, told.HasField("pending_workflow_task")


async def _until(server: ServerUnderTest, *, watched: bool, told: bool) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            queues, something = await _described(server)
            if (instance_queue(OLD) in queues, something) == (watched, told):
                return
            await asyncio.sleep(0.05)


async def _forget_killed_worker(server: ServerUnderTest) -> None:
    """Temporal would offer the query to the killed worker first, and wait for its answer."""
    execution = WorkflowExecution(workflow_id=server.handle.id)
    request = ResetStickyTaskQueueRequest(namespace=server.client.namespace, execution=execution)
    await server.client.workflow_service.reset_sticky_task_queue(request)


async def test_what_a_query_had_it_hear_before_its_task_is_taken_up_as_it_is_replayed(
    alone: Client, fakes: FakeActivities, tmp_path: Path
) -> None:
    fakes.cloud = FakeCloud(Handoff.STATELESS, targets=True)
    fakes.cloud.heard |= {one: asyncio.Queue() for one in (OLD, *LAUNCHED)}
    policy = ServerPolicy(handoff=Handoff.STATELESS)
    server = await ServerUnderTest.start(
        alone, Clock(alone, skips=False), fakes.cloud, TaskFailureLog(), "beside", policy
    )
    log = tmp_path / "worker.log"
    async with (
        standing_by(alone, log) as first_worker,
        standing_by(alone, log) as second_worker,
        standing_by(alone, log) as third_worker,
    ):
        async with at_work(first_worker):
            first = await server.ask(OperationKind.SWITCH, keep_old_s=3600.0)
            await server.until(lambda view: view.shape.primary is not None and view.shape.primary.instance_id != OLD)
            # Nobody wants its answer any more: a task in which there is nothing to do.
            fakes.cloud.heard[OLD].put_nowait(Notice(OLD, NoticeKind.REBALANCE, NoticeSource.IMDS, datetime.now(UTC)))
            await _until(server, watched=False, told=False)
        await _forget_killed_worker(server)
        looking = asyncio.create_task(server.view())
        for _ in range(20):  # nothing tells that the query has arrived: that many answers later it has
            await server.handle.describe()
        await server.operation(first.operation_id).terminate()
        await _until(server, watched=False, told=True)
        changing = asyncio.create_task(server.handle.execute_update(UPDATE_POLICY, replace(policy, cool_down_s=8.0)))
        async with at_work(second_worker):
            await looking
            await changing
            await server.at_rest()
        await replays(server)
        async with at_work(third_worker):
            committed(await server.switch())
        await server.end()
