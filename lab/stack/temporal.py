"""Temporal's development server as a process of ours."""

from __future__ import annotations

import asyncio
import os
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from google.protobuf.duration_pb2 import Duration
from temporalio.api.operatorservice.v1 import DeleteNamespaceRequest
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from lab.stack.processes import Probe, Process

NAMESPACE = "default"
RETENTION_S = 24 * 3600

# The dev server has one shard, whose queues are each polled at most 20 times a second by default,
# so that every hop of a workflow waits up to 50 ms. And it fires no timer, and repeats no activity,
# earlier than 1 s from now: that is the allowance for clocks that differ between hosts, and here is one
# host. Measured on two busy cores, an activity with retries 50 ms apart: 1000 ms apart before, 90 after.
# A task queue is four partitions by default, each with buffers of its own; every agent has a queue, which it
# alone polls. One partition: 0.5 MB of memory a queue instead of 1.6, and a third of the processor time at rest.
# It lets 1200 polls wait at once, and refuses the others: an agent has two, so the 601st host would not be heard.
DYNAMIC_CONFIG: Mapping[str, str] = {
    "history.transferProcessorMaxPollRPS": "2000",
    "history.timerProcessorMaxPollRPS": "2000",
    "history.timerProcessorMaxTimeShift": '"1ms"',
    "history.visibilityProcessorMaxPollRPS": "2000",
    "frontend.namespaceRPS": "10000",
    "frontend.rps": "10000",
    "frontend.namespaceCount": "50000",
    "matching.rps": "10000",
    "matching.numTaskqueueReadPartitions": "1",
    "matching.numTaskqueueWritePartitions": "1",
    "history.rps": "10000",
    "history.maxInFlightUpdates": "100",
    "history.maxTotalUpdates": "10000",
}


@dataclass(frozen=True)
class TemporalServer:
    """Ports on 127.0.0.1. Without a `database` file its state ends with it. No `ui` port: no web page."""

    port: int
    http: int  # its HTTP API, which the health probe asks
    log: Path
    ui: int | None = None
    database: Path | None = None
    search_attributes: Mapping[str, str] = field(default_factory=dict)  # name -> Keyword, Int, Datetime, ...
    dynamic_config: Mapping[str, str] = field(default_factory=lambda: DYNAMIC_CONFIG)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def process(self) -> Process:
        return Process(
            name="temporal",
            argv=self.arguments(),
            log=self.log,
            environment=_environment(),
            probe=self._probe(),
            ready_s=60,
            stop_s=10,
        )

    def arguments(self) -> Sequence[str]:
        argv = [str(Path(sys.executable).parent / "temporal"), "server", "start-dev", "--ip", "127.0.0.1"]
        argv += ["--port", str(self.port), "--http-port", str(self.http), "--log-level", "error"]
        argv += ["--headless"] if self.ui is None else ["--ui-port", str(self.ui), "--ui-disable-news-fetch"]
        if self.database:
            argv += ["--db-filename", str(self.database)]
        argv += ["--sqlite-pragma", "synchronous=1", "--sqlite-pragma", "journal_mode=wal"]
        for name, kind in self.search_attributes.items():
            argv += ["--search-attribute", f"{name}={kind}"]
        for key, value in self.dynamic_config.items():
            argv += ["--dynamic-config-value", f"{key}={value}"]
        return argv

    def _probe(self) -> Probe:
        # One client for all its probes: to make one reads the certificate store, 50 ms of a processor.
        client = httpx.Client(base_url=f"http://127.0.0.1:{self.http}", timeout=2, trust_env=False)

        def probe() -> str | None:
            answer = client.get(f"/api/v1/namespaces/{NAMESPACE}")
            return None if answer.is_success else f"namespace {NAMESPACE}: HTTP {answer.status_code}"

        return probe


def create_namespace(address: str) -> str:
    """Make a namespace that nobody else has on the server at this address, and return its name."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    asyncio.run(_register(address, name))
    return name


async def _register(address: str, name: str) -> None:
    client = await Client.connect(address)
    retention = Duration(seconds=RETENTION_S)
    await client.workflow_service.register_namespace(
        RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=retention)
    )


def delete_namespace(address: str, name: str) -> None:
    """Have the server delete it with all its workflows. One that has ended meanwhile has nothing left to delete."""
    asyncio.run(_delete(address, name))


async def _delete(address: str, name: str) -> None:
    try:
        client = await Client.connect(address)
        await client.operator_service.delete_namespace(DeleteNamespaceRequest(namespace=name))
    except (RPCError, RuntimeError):  # RuntimeError: nobody answers at the address
        return


def delete_state(database: Path) -> None:
    """Delete the state that a server, now stopped, has kept."""
    for path in database.parent.glob(f"{database.name}*"):  # SQLite's -wal and -shm are beside it
        path.unlink()


def _environment() -> Mapping[str, str]:
    # Not TEMPORAL_*: the CLI would take an address or a profile of the user's from there.
    return {name: value for name, value in os.environ.items() if not name.startswith("TEMPORAL_")}
