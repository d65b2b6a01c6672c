"""A large fleet's polls: each agent keeps two open, and none of them may be refused."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import PollActivityTaskQueueRequest
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
        queue = TaskQueue(name=instance_queue(f"i-{number}"))
        request = PollActivityTaskQueueRequest(namespace=client.namespace, task_queue=queue, identity="agent")
        try:
            await client.workflow_service.poll_activity_task_queue(request, timeout=timedelta(seconds=60))
        except RPCError as error:
            return error.status.name
        return "answered"

    polls = [asyncio.create_task(poll(n % HOSTS)) for n in range(POLLS * HOSTS)]
    done, waiting = await asyncio.wait(polls, timeout=5)
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert Counter(one.result() for one in done) == {}


def test_the_compose_files_temporal_lets_as_many_wait() -> None:
    told = yaml.safe_load(COMPOSED.read_text())
    assert told["frontend.namespaceCount"] == [{"value": 50_000}]
