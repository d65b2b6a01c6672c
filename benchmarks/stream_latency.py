"""`python -m benchmarks.stream_latency`: from an event's commit to its readers, over two API processes.

Readers are plain connections in this process, half of them at each API; a writer commits events at random moments,
and again in bursts. The same machine reads and writes the clock. It also counts what the streams ask of the database
while nothing happens. The aim: 100 ms in the median, 250 ms at the 95th percentile.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from api.tokens import Kind, mint
from db import schema
from db.commands import create_client, create_token
from db.events import NewEvent, append_events
from db.session import SessionFactory, in_transaction, make_engine, make_session_factory
from stack import database
from stack.ports import Leases
from stack.settings import REPOSITORY, inherited

AIM_MS, AIM_LATE_MS = 100.0, 250.0
CLIENT = "cli-1"


@dataclass
class Timed:
    """When each event was committed, and how long after that each reader had it, ms."""

    committed: dict[int, float] = field(default_factory=dict)
    arrived: list[tuple[int, float]] = field(default_factory=list)
    ready: int = 0

    def latencies(self, numbers: set[int]) -> list[float]:
        found = [1000 * (at - self.committed[seq]) for seq, at in self.arrived if seq in numbers]
        return sorted(max(0.0, ms) for ms in found)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.stream_latency", description=__doc__)
    parser.add_argument("--readers", type=int, nargs="+", default=[1, 20, 1000])
    parser.add_argument("--events", type=int, default=60)
    given = parser.parse_args(arguments)
    console = Console()
    table = Table(
        "readers", "events", "median ms", "p95 ms", "worst ms", "burst of 100: median", "p95", "at rest: SQL/s"
    )
    met = True
    with Leases() as leases, tempfile.TemporaryDirectory() as folder:
        var = Path(folder)
        with database.private(var, leases.port()) as server:
            url = server.create_schema("stream")
            schema.upgrade(url)
            sessions = make_session_factory(make_engine(url))
            token = _client(sessions)
            ports = [leases.port(), leases.port()]
            with _apis(url, ports):
                for readers in given.readers:
                    row = asyncio.run(_measure(sessions, ports, token, readers, given.events))
                    median, late = row[0], row[1]
                    met = met and median <= AIM_MS and late <= AIM_LATE_MS
                    table.add_row(str(readers), str(given.events), *(f"{value:.1f}" for value in row))
        database.clean(var)
    console.print(table)
    console.print(f"aim: {AIM_MS:g} ms in the median, {AIM_LATE_MS:g} ms at p95: {'met' if met else 'NOT met'}")
    console.print(f"{os.cpu_count()} cores, shared; load {os.getloadavg()[0]:.1f}")
    return 0


def _client(sessions: SessionFactory) -> str:
    minted, now = mint(Kind.CLIENT), datetime.now(UTC)
    with sessions.begin() as session:
        create_client(session, CLIENT, "bench", now)
        create_token(session, minted.token_id, minted.digest, now, client_id=CLIENT)
    return minted.text


@contextmanager
def _apis(url: str, ports: Sequence[int]) -> Iterator[None]:
    plain = {**inherited(os.environ), "DATABASE_URL": url, "SPOT_SIGNING_KEY": "k" * 32, "SPOT_LOG_LEVEL": "ERROR"}
    running = [
        subprocess.Popen([sys.executable, "-m", "api"], cwd=REPOSITORY, env={**plain, "SPOT_API_PORT": str(port)})
        for port in ports
    ]
    try:
        for port in ports:
            _await(port)
        yield
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(20)


def _await(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/health/live", trust_env=False).is_success:
                return
        except httpx.TransportError:
            pass  # it starts
        time.sleep(0.1)
    raise TimeoutError(f"the API at port {port} does not answer")


async def _measure(
    sessions: SessionFactory, ports: Sequence[int], token: str, readers: int, events: int
) -> tuple[float, ...]:
    timed, chance = Timed(), random.Random(readers)
    tasks = [asyncio.create_task(_read(ports[n % len(ports)], token, timed)) for n in range(readers)]
    while timed.ready < readers:  # noqa: ASYNC110 - a count, not an event
        await asyncio.sleep(0.05)
    await asyncio.sleep(1)
    single = {await _commit(sessions, timed, chance.uniform(0.05, 0.4)) for _ in range(events)}
    burst = {await _commit(sessions, timed, 0) for _ in range(100)}
    await _all_arrived(timed, readers * (events + 100))
    at_rest = await _statements_at_rest(sessions)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    ours, theirs = timed.latencies(single), timed.latencies(burst)
    return statistics.median(ours), _p95(ours), ours[-1], statistics.median(theirs), _p95(theirs), at_rest


async def _commit(sessions: SessionFactory, timed: Timed, pause_s: float) -> int:
    await asyncio.sleep(pause_s)
    event = NewEvent("operation.step", datetime.now(UTC), "srv-1", None, "op-1", {"step": "launch", "state": "started"})

    def work() -> tuple[int, float]:
        seq = in_transaction(sessions, lambda session: append_events(session, CLIENT, [event]))
        return seq, time.monotonic()

    seq, timed.committed[seq] = await asyncio.to_thread(work)
    return seq


async def _read(port: int, token: str, timed: Timed) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"GET /api/events/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n"
    writer.write(head.encode())
    try:
        while line := await reader.readline():
            if line.startswith(b"retry:"):
                timed.ready += 1
            elif line.startswith(b"id: "):
                timed.arrived.append((int(line[4:]), time.monotonic()))
    finally:
        writer.close()


async def _all_arrived(timed: Timed, wanted: int) -> None:
    deadline = time.monotonic() + 60
    while len(timed.arrived) < wanted:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(timed.arrived)} of {wanted} arrived")
        await asyncio.sleep(0.05)


async def _statements_at_rest(sessions: SessionFactory) -> float:
    await asyncio.sleep(12)  # until the hubs are as calm as they get
    before, seconds = _questions(sessions), 5.0
    await asyncio.sleep(seconds)
    return (_questions(sessions) - before) / seconds


def _questions(sessions: SessionFactory) -> int:
    with sessions() as session:
        return int(session.execute(text("SHOW GLOBAL STATUS LIKE 'Questions'")).one()[1])


def _p95(values: Sequence[float]) -> float:
    return values[int(0.95 * (len(values) - 1))]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
