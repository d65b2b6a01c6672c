"""A server whose replica runs without an agent: nobody takes its watch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from temporalio.client import Client

from activities.reconciliation.workflow_liveness import WorkflowLiveness
from domain.reconciliation.facts import GracePeriods
from domain.servers import Handoff, ServerPolicy
from tests.workflows.ec2_state import OLD
from tests.workflows.fake_cloud import FakeActivities, FakeCloud
from tests.workflows.server_under_test import Clock, ServerUnderTest, TaskFailureLog
from tests.workflows.workers import agent_of
from workflows import timeouts
from workflows.server import host_watch

HOST = "i-without-an-agent"


def shorten_timeouts(patch: pytest.MonkeyPatch) -> None:
    """What takes minutes takes a second."""
    patch.setattr(timeouts, "WATCH_PICKUP_S", 1.0)
    patch.setattr(timeouts, "WATCH_TRIAL_S", 1.0)
    patch.setattr(host_watch, "_PAUSE_S", (0.05,))


async def start(client: Client, fakes: FakeActivities, name: str) -> ServerUnderTest:
    fakes.cloud = FakeCloud(Handoff.STATELESS)
    fakes.cloud.heard = {OLD: asyncio.Queue()}
    clock, policy = Clock(client, skips=False), ServerPolicy(handoff=Handoff.STATELESS)
    return await ServerUnderTest.start(
        client, clock, fakes.cloud, TaskFailureLog(), name, policy, replica=True, replica_id=HOST
    )


@asynccontextmanager
async def with_agent(server: ServerUnderTest, fakes: FakeActivities) -> AsyncIterator[None]:
    fakes.cloud.heard[HOST] = asyncio.Queue()
    async with agent_of(server.client, HOST, fakes):
        yield


async def until_memo_is(server: ServerUnderTest, wanted: list[str]) -> None:
    """As reconciliation reads it from Temporal's list, which lags."""
    nothing: Any = None
    liveness = WorkflowLiveness(nothing, server.client, GracePeriods(), lambda: datetime.now(UTC))
    async with asyncio.timeout(60):
        while (await liveness.without_watch()).get(server.handle.id) != wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
