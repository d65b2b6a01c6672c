"""Workers whose activities are played by the fake cloud."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from temporalio.client import Client
from temporalio.worker import Replayer, Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from domain.names import CONTROL_QUEUE, EMERGENCY_QUEUE, WEBHOOK_QUEUE, instance_queue
from lab.stack.ports import Leases
from lab.stack.temporal import TemporalServer
from tests.workflows.ec2_state import LAUNCHED, OLD, REPLICA
from tests.workflows.fake_cloud import FakeActivities
from tests.workflows.server_under_test import ServerUnderTest
from worker import make_worker
from workflows.registry import WORKFLOWS
from workflows.replay_guard import ReplayGuardRunner


@asynccontextmanager
async def with_workers(
    address: str, fakes: FakeActivities, identity: str = "tests", make: Callable[..., Worker] = make_worker
) -> AsyncIterator[Client]:
    """The control plane's two workers, as worker.py makes them, and an agent's for each host."""
    client = await Client.connect(address, identity=identity)
    workers = [make(client, queue, fakes.control(), 20) for queue in (CONTROL_QUEUE, EMERGENCY_QUEUE)]
    workers.append(make(client, WEBHOOK_QUEUE, fakes.webhooks(), 4))
    workers += [_agent(client, instance_id, fakes) for instance_id in (OLD, REPLICA, *LAUNCHED)]
    running = [asyncio.create_task(worker.run()) for worker in workers]
    yield client
    await asyncio.gather(*(worker.shutdown() for worker in workers))
    await asyncio.gather(*running)


def sandboxed() -> SandboxedWorkflowRunner:
    restrictions = SandboxRestrictions.default.with_passthrough_modules("domain", "workflows")
    return SandboxedWorkflowRunner(restrictions=restrictions, runner_class=ReplayGuardRunner)


def worker_of(client: Client, task_queue: str, activities: Any, slots: int, **how: Any) -> Worker:
    """One of another make than worker.py's, as `how` says."""
    return Worker(
        client,
        **{
            "task_queue": task_queue,
            "workflows": WORKFLOWS,
            "activities": activities,
            "max_concurrent_activities": slots,
            "workflow_runner": sandboxed(),
            **how,
        },
    )


async def replays(server: ServerUnderTest) -> None:
    """Its whole history, as a worker that has just started would have to."""
    history = await server.handle.fetch_history()
    await Replayer(workflows=WORKFLOWS, workflow_runner=sandboxed(), debug_mode=True).replay_workflow(history)


@asynccontextmanager
async def on_own_temporal(
    leases: Leases, fakes: FakeActivities, directory: Path, make: Callable[..., Worker]
) -> AsyncIterator[Client]:
    """Workers of another make, beside nobody else's."""
    server = TemporalServer(leases.port(), leases.port(), directory / "server.log")
    process = server.process()
    process.start()
    try:
        process.wait_ready()
        async with with_workers(f"127.0.0.1:{server.port}", fakes, make=make) as client:
            yield client
    finally:
        process.stop()


@asynccontextmanager
async def agent_of(client: Client, instance_id: str, fakes: FakeActivities) -> AsyncIterator[None]:
    """The agent's worker of one more host."""
    async with _agent(client, instance_id, fakes):
        yield


def _agent(client: Client, instance_id: str, fakes: FakeActivities) -> Worker:
    return Worker(
        client,
        task_queue=instance_queue(instance_id),
        activities=fakes.agent(),
        max_concurrent_activities=5,
        max_concurrent_activity_task_polls=1,
    )
