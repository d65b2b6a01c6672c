"""A backtest from the API's call to Temporal to the row that is kept: real workflow, real worker, real replay."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from activities.backtests import activity as backtests
from api.temporal.client import WorkflowClient
from db.tables import BacktestRow
from domain.names import CONTROL_QUEUE
from lab.stack.ports import Leases
from lab.stack.temporal import TemporalServer
from tests.integration.lab_cloud import A, clean, cloud
from tests.integration.test_backtests import HOME, Site, by_policy, site
from workflows.scheduled.backtest import BacktestWorkflow

__all__ = ["clean", "cloud", "site"]  # fixtures
pytest_plugins = ["tests.database_fixtures"]


@pytest.fixture(scope="module")
def temporal(leases: Leases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = TemporalServer(
        port=leases.port(), http=leases.port(), log=tmp_path_factory.mktemp("temporal") / "server.log"
    )
    process = server.process()
    process.start()
    try:
        process.wait_ready()
        yield f"127.0.0.1:{server.port}"
    finally:
        process.stop()


@asynccontextmanager
async def worker(address: str, site: Site) -> AsyncIterator[WorkflowClient]:
    client = await Client.connect(address)
    with ThreadPoolExecutor(4) as threads:
        async with Worker(
            client,
            task_queue=CONTROL_QUEUE,
            workflows=[BacktestWorkflow],
            activities=site.activities.all,
            activity_executor=threads,
        ):
            yield WorkflowClient(address, "default")


async def until(site: Site, backtest_id: str, *states: str, seconds: float = 90.0) -> BacktestRow:
    async with asyncio.timeout(seconds):
        while True:
            row = await asyncio.to_thread(site.row, backtest_id)
            if row.state in states:
                return row
            await asyncio.sleep(0.1)


async def ended(site: Site, backtest_id: str) -> BacktestRow:
    return await until(site, backtest_id, "done", "failed", "cancelled")


async def test_what_is_started_is_replayed_and_kept(temporal: str, site: Site) -> None:
    server = site.server()
    site.prices((A, 30.0, 0.035))
    asked = site.asked(server)
    async with worker(temporal, site) as operations:
        for _ in range(2):  # the same again is the one that there is
            await operations.start_backtest(asked, site.client_id)
        done = await ended(site, asked)
        await operations.start_backtest(asked, site.client_id)
    assert (done.state, done.problem) == ("done", "")
    assert by_policy(done)["policy"]["moves"] == 1
    assert done.result
    assert done.result["servers"][0]["start_pool"] == HOME


async def test_a_time_without_prices_ends_as_failed_with_the_reason(temporal: str, site: Site) -> None:
    asked = site.asked(site.server())
    async with worker(temporal, site) as operations:
        await operations.start_backtest(asked, site.client_id)
        done = await ended(site, asked)
    assert done.state == "failed"
    assert "there are no spot prices of us-east-1 from" in done.problem


async def test_a_replay_that_runs_is_ended_when_it_is_cancelled(
    temporal: str, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backtests, "COMMAND", (sys.executable, "-c", "import time; time.sleep(300)"))
    server = site.server()
    site.prices((A, 30.0, 0.035))
    asked = site.asked(server)
    async with worker(temporal, site) as operations:
        await operations.start_backtest(asked, site.client_id)
        await until(site, asked, "running")
        await operations.cancel_backtest(asked)
        done = await ended(site, asked)
    assert done.state == "cancelled"
