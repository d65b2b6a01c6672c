"""A real agent process on a real Temporal server: served in time, interrupted in time, gone in time."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from temporalio import workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from agent.temporal_client import connect, renew
from domain.host import HOST_READY, HOST_WATCH, Notice, NoticeKind, ReadyReport, ReadyRequest, WatchRequest
from domain.names import instance_queue
from tests.unit.test_agent_fakes import CLIENT_TOKEN, INSTANCE, INSTANCE_TOKEN, FakeControl, FakeImds, eventually

ROOT = Path(__file__).parents[2]
PATIENCE = timedelta(seconds=120)
TRY_AGAIN = RetryPolicy(initial_interval=timedelta(milliseconds=100), backoff_coefficient=1.0)


@workflow.defn
class AskHost:
    """Is the host ready? Then the first notice it hears of."""

    @workflow.run
    async def run(self, instance: str) -> tuple[ReadyReport, Notice]:
        report = await workflow.execute_activity(
            HOST_READY,
            ReadyRequest("op-1"),
            task_queue=instance_queue(instance),
            result_type=ReadyReport,
            schedule_to_close_timeout=PATIENCE,
            heartbeat_timeout=timedelta(seconds=5),
            retry_policy=TRY_AGAIN,
        )
        notice = await workflow.execute_activity(
            HOST_WATCH,
            WatchRequest(),
            task_queue=instance_queue(instance),
            result_type=Notice,
            schedule_to_close_timeout=PATIENCE,
            heartbeat_timeout=timedelta(seconds=20),
            retry_policy=TRY_AGAIN,
        )
        return report, notice


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def temporal() -> Iterator[str]:
    """host:port of a dev server of our own."""
    port = free_port()
    command = [
        str(Path(sys.executable).parent / "temporal"),
        "server",
        "start-dev",
        "--headless",
        "--log-level",
        "error",
    ]
    command += ["--port", str(port), "--http-port", str(free_port()), "--metrics-port", str(free_port())]
    command += ["--dynamic-config-value", "history.transferProcessorMaxPollRPS=2000"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(60)


@pytest.fixture
async def client(temporal: str) -> AsyncIterator[Client]:
    for _ in range(1200):
        try:
            found = await Client.connect(temporal)
            break
        except RuntimeError:
            await asyncio.sleep(0.05)
    async with Worker(found, task_queue="ask", workflows=[AskHost], workflow_runner=UnsandboxedWorkflowRunner()):
        yield found


class Process:
    """One start of `python -m agent`, its log in a file."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.log_file = folder / "agent.log"
        kept = {name: os.environ[name] for name in ("PYTHONPYCACHEPREFIX", "PATH") if name in os.environ}
        fixed = {"SPOT_STATE_DIR": str(folder / "state"), "SPOT_HOOKS_DIR": str(folder / "hooks")}
        environment = kept | fixed | {"SPOT_LOG_LEVEL": "DEBUG", "PYTHONPATH": str(ROOT)} | settings
        with self.log_file.open("ab") as log:
            self.popen = subprocess.Popen([sys.executable, "-m", "agent"], env=environment, stderr=log, cwd=folder)

    def log(self) -> str:
        return self.log_file.read_text()

    def end(self) -> int:
        """SIGTERM; its exit code. An agent that does not end raises `TimeoutExpired`."""
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(60)


@contextmanager
def running(folder: Path, **settings: str) -> Iterator[Process]:
    process = Process(folder, **settings)
    try:
        yield process
    finally:
        process.popen.kill()
        process.popen.wait()


async def ask(client: Client, name: str) -> asyncio.Task[tuple[ReadyReport, Notice]]:
    handle = await client.start_workflow(AskHost.run, INSTANCE, id=name, task_queue="ask")
    return asyncio.create_task(handle.result())


async def watching(client: Client, name: str) -> None:
    """Until the workflow's watch has been taken by an agent."""
    handle = client.get_workflow_handle(name)
    for _ in range(6000):
        pending = (await handle.describe()).raw_description.pending_activities
        if any(p.activity_type.name == HOST_WATCH and p.last_worker_identity == INSTANCE for p in pending):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("no agent took the watch")


async def test_a_registered_agent_says_ready_and_tells_of_an_interruption(
    client: Client, temporal: str, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        imds = stack.enter_context(FakeImds().serving())
        control = stack.enter_context(FakeControl(temporal).serving())
        assert isinstance(imds, FakeImds)
        assert isinstance(control, FakeControl)
        agent = stack.enter_context(
            running(
                tmp_path,
                SPOT_CONTROL_URL=control.url,
                SPOT_TOKEN=CLIENT_TOKEN,
                AWS_EC2_METADATA_SERVICE_ENDPOINT=imds.url,
            )
        )
        answer = await ask(client, "interruption")
        await watching(client, "interruption")
        deadline = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=2)
        imds.interrupt(deadline)
        report, notice = await answer

        assert report.instance_id == INSTANCE
        assert (notice.kind, notice.deadline) == (NoticeKind.INTERRUPTION, deadline)
        await asyncio.to_thread(eventually, lambda: "/api/agents/notice" in control.paths())
        await asyncio.to_thread(eventually, lambda: "/api/agents/heartbeat" in control.paths())
        assert agent.end() == 0
        lines = [json.loads(line) for line in agent.log().splitlines()]
        told = next(at for at, line in enumerate(lines) if line["message"] == "notice from AWS")
        reads = [line for line in lines[:told] if str(line.get("path")).endswith("/spot/instance-action")]
        assert [line["status"] for line in reads].count(200) == 1, "the first read that shows it tells of it"
        assert CLIENT_TOKEN not in agent.log()
        assert INSTANCE_TOKEN not in agent.log()
        assert '"path": "/api/agents/register", "status": 200' in agent.log()


async def test_a_rescue_works_with_the_api_down_and_survives_a_restart_of_the_agent(
    client: Client, temporal: str, tmp_path: Path
) -> None:
    with FakeImds().serving() as imds:
        assert isinstance(imds, FakeImds)
        settings = {
            "SPOT_CONTROL_URL": f"http://127.0.0.1:{free_port()}",
            "SPOT_TOKEN": CLIENT_TOKEN,
            "SPOT_TEMPORAL_ADDRESS": temporal,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": imds.url,
        }
        with running(tmp_path, **settings) as first:
            answer = await ask(client, "restart")
            await watching(client, "restart")
            assert await asyncio.to_thread(first.end) == 0
        with running(tmp_path, **settings):
            imds.recommend_rebalance()
            _, notice = await answer
    assert notice.kind == NoticeKind.REBALANCE


async def test_an_agent_remembers_where_temporal_was_when_the_api_is_down_at_its_start(
    client: Client, temporal: str, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        imds = stack.enter_context(FakeImds().serving())
        control = stack.enter_context(FakeControl(temporal).serving())
        assert isinstance(imds, FakeImds)
        settings = {
            "SPOT_CONTROL_URL": control.url,
            "SPOT_TOKEN": CLIENT_TOKEN,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": imds.url,
        }
        with running(tmp_path, **settings) as first:
            await asyncio.to_thread(eventually, lambda: (tmp_path / "state/registration.json").exists())
            first.end()
        assert INSTANCE_TOKEN not in (tmp_path / "state/registration.json").read_text()
        assert isinstance(control, FakeControl)
        control.status["/api/agents/register"] = 503
        imds.interrupt(datetime.now(UTC) + timedelta(minutes=2))
        stack.enter_context(running(tmp_path, **settings))
        _, notice = await (await ask(client, "remembered"))
    assert notice.kind == NoticeKind.INTERRUPTION


async def test_the_connection_shows_its_token_and_a_newer_one_without_reconnecting(
    client: Client, temporal: str
) -> None:
    connection = await connect(temporal, client.namespace, "first", "i-1")
    assert connection.rpc_metadata == {"authorization": "Bearer first"}
    renew(connection, "second")
    assert connection.rpc_metadata == {"authorization": "Bearer second"}
