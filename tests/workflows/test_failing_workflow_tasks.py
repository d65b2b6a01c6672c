"""Reconciliation finds a server's workflow whose tasks fail: Temporal lists it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.reconciliation.workflow_liveness import WorkflowLiveness
from domain.operations import SERVER_WORKFLOW
from domain.reconciliation.facts import GracePeriods
from lab.stack.ports import Leases
from lab.stack.temporal import DYNAMIC_CONFIG, TemporalServer
from tests.workflows.server_under_test import PATIENCE_S

pytestmark = pytest.mark.timeout(200)
_SOON = {**DYNAMIC_CONFIG, "system.numConsecutiveWorkflowTaskProblemsToTriggerSearchAttribute": "1"}


@workflow.defn(name=SERVER_WORKFLOW)
class Broken:
    @workflow.run
    async def run(self) -> None:
        raise RuntimeError("the code of another version")


@workflow.defn(name=SERVER_WORKFLOW)
class RepairedWorkflow:
    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: False)


@pytest_asyncio.fixture(loop_scope="session")
async def client(leases: Leases, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    log = tmp_path_factory.mktemp("still") / "server.log"
    server = TemporalServer(leases.port(), leases.port(), log, dynamic_config=_SOON)
    process = server.process()
    process.start()
    try:
        process.wait_ready()
        yield await Client.connect(server.address)
    finally:
        process.stop()


def _worker(client: Client, code: type) -> Worker:
    return Worker(client, task_queue="still", workflows=[code], workflow_runner=UnsandboxedWorkflowRunner())


async def _until(liveness: WorkflowLiveness, wanted: set[str]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while await liveness.failing() != wanted:  # noqa: ASYNC110  Temporal's list lags
            await asyncio.sleep(0.1)


async def test_a_workflow_whose_tasks_fail_is_listed_until_a_worker_has_the_right_code(client: Client) -> None:
    nothing: Any = None
    liveness = WorkflowLiveness(nothing, client, GracePeriods(), lambda: datetime.now(UTC))
    assert await liveness.failing() == set()
    async with _worker(client, Broken):
        await client.start_workflow(SERVER_WORKFLOW, id="server/srv-1", task_queue="still")
        await _until(liveness, {"server/srv-1"})
    async with _worker(client, RepairedWorkflow):
        await _until(liveness, set())
