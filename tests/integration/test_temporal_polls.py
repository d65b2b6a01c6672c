"""A large fleet's polls: each agent keeps two open, and none of them may be refused."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest, PollActivityTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError

from agent.worker_loop import POLLS
from domain.names import instance_queue
from lab.stack.ports import Leases
from lab.stack.settings import REPOSITORY
from lab.stack.temporal import TemporalServer

HOSTS = 700  # more than 1200 polls, which is where Temporal draws the line by default
COMPOSED = REPOSITORY / "deploy" / "temporal" / "dynamicconfig.yaml"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TemporalServer]:
    with Leases() as leases:
        made = TemporalServer(leases.port(), leases.port(), tmp_path / "temporal.log")
        process = made.process()
        process.start()
        try:
            process.wait_ready()
            yield made
        finally:
            process.stop()


async def test_every_agent_of_a_large_fleet_may_wait_for_work(server: TemporalServer) -> None:
    client = await Client.connect(server.address)

    async def poll(number: int) -> str:
        request = PollActivityTaskQueueRequest(
            namespace=client.namespace, task_queue=queue_of(number % HOSTS), identity=f"agent {number}"
        )
        try:
            await client.workflow_service.poll_activity_task_queue(request, timeout=timedelta(seconds=120))
        except RPCError as error:
            return error.status.name
        return "answered"

    polls = [asyncio.create_task(poll(number)) for number in range(POLLS * HOSTS)]
    for host in range(HOSTS):
        while await _waiting(client, host) < POLLS and not any(one.done() for one in polls):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    ended = [one.result() for one in polls if one.done()]
    for one in polls:
        one.cancel()
    await asyncio.gather(*polls, return_exceptions=True)
    assert Counter(ended) == {}


def queue_of(host: int) -> TaskQueue:
    return TaskQueue(name=instance_queue(f"i-{host}"))


async def _waiting(client: Client, host: int) -> int:
    """How many polls of a host wait at the server: one that it refuses does not come so far."""
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=queue_of(host),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
    )
    return len((await client.workflow_service.describe_task_queue(request, retry=True)).pollers)


def test_the_compose_files_temporal_lets_as_many_wait() -> None:
    told = yaml.safe_load(COMPOSED.read_text())
    assert told["frontend.namespaceCount"] == [{"value": 50_000}]
