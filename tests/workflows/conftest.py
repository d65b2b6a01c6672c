"""Servers, workers and a fresh fake cloud for each test.

Tests run on Temporal's dev server. Those whose workflow pauses for long run on the time-skipping
server, which skips timers alone (not the pauses between an activity's attempts), and refuses the
cancellation of an activity that has just ended, so that a race of several pools cannot run there.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import Client

from domain.servers import Handoff, ServerPolicy
from lab.stack.ports import Leases, accepts
from lab.stack.processes import Process
from lab.stack.temporal import DYNAMIC_CONFIG, TemporalServer
from tests.workflows.fake_cloud import FakeActivities, FakeCloud
from tests.workflows.server_under_test import Clock, ServerUnderTest, TaskFailureLog
from tests.workflows.workers import with_workers

Given = Callable[..., Awaitable[ServerUnderTest]]


@pytest.fixture
def skipping_address(leases: Leases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The time-skipping test server, as a process of ours.

    One for each test: after a test that skipped time it may stand still in the next, whose workflows then wait in vain.
    """
    port = leases.port()
    process = Process(
        name="temporal-test-server",
        argv=[str(Path(sys.executable).parent / "temporal-test-server"), str(port)],
        log=tmp_path_factory.mktemp("skipping") / "server.log",
        probe=lambda: None if accepts(port) else "no answer yet",
    )
    yield from _running(process, port)


@pytest.fixture(scope="session")
def dev_address(leases: Leases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A dev server that suggests continue-as-new after a short history."""
    server = TemporalServer(
        port=leases.port(),
        http=leases.port(),
        log=tmp_path_factory.mktemp("dev") / "server.log",
        dynamic_config={**DYNAMIC_CONFIG, "limit.historyCount.suggestContinueAsNew": "60"},
    )
    yield from _running(server.process(), server.port)


def _running(process: Process, port: int) -> Iterator[str]:
    process.start()
    try:
        process.wait_ready()
        yield f"127.0.0.1:{port}"
    finally:
        process.stop()


@pytest.fixture(scope="session")
def fakes() -> FakeActivities:
    return FakeActivities()


@pytest.fixture(autouse=True)
def quiet_activities() -> Iterator[None]:
    """Activities fail here on purpose, hundreds of times: their tracebacks would only cost time."""
    logger = logging.getLogger("temporalio.activity")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(before)


@pytest.fixture(scope="session")
def broken() -> Iterator[TaskFailureLog]:
    handler = TaskFailureLog()
    loggers = [logging.getLogger(name) for name in ("temporalio", "asyncio")]
    for logger in loggers:
        logger.addHandler(handler)
    yield handler
    for logger in loggers:
        logger.removeHandler(handler)


@pytest_asyncio.fixture(loop_scope="session")
async def skipping(skipping_address: str, fakes: FakeActivities) -> AsyncIterator[Client]:
    async with with_workers(skipping_address, fakes) as client:
        yield client


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def dev(dev_address: str, fakes: FakeActivities) -> AsyncIterator[Client]:
    async with with_workers(dev_address, fakes) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def given(
    dev: Client, fakes: FakeActivities, broken: TaskFailureLog, request: pytest.FixtureRequest
) -> AsyncIterator[Given]:
    """Makes the server under test; what must always hold is looked at when the test has ended."""
    async for make in _given(dev, False, fakes, broken, request):
        yield make


@pytest_asyncio.fixture(loop_scope="session")
async def given_skipping(
    skipping: Client, fakes: FakeActivities, broken: TaskFailureLog, request: pytest.FixtureRequest
) -> AsyncIterator[Given]:
    """The same, with time that is skipped while a workflow sleeps."""
    async for make in _given(skipping, True, fakes, broken, request):
        yield make


async def _given(
    client: Client, skips: bool, fakes: FakeActivities, broken: TaskFailureLog, request: pytest.FixtureRequest
) -> AsyncIterator[Given]:
    made: list[ServerUnderTest] = []
    broken.why.clear()

    async def make(
        handoff: Handoff = Handoff.STATELESS,
        *,
        targets: bool = False,
        elastic: bool = False,
        replica: bool = False,
        **policy: Any,
    ) -> ServerUnderTest:
        fakes.cloud = FakeCloud(handoff, targets=targets, elastic=elastic)
        accepted = {"accepted_findings": ["no_address_moves"], **policy}
        server = await ServerUnderTest.start(
            client,
            Clock(client, skips),
            fakes.cloud,
            broken,
            f"{abs(hash(request.node.nodeid)):x}",
            ServerPolicy(handoff=handoff, **accepted),
            replica=replica,
        )
        made.append(server)
        return server

    try:
        yield make
        for server in made:
            await server.assert_true()
        assert broken.why == []
    finally:
        for server in made:
            await server.end()
