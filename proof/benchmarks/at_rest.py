"""A fleet at rest: what it costs to watch 100, 1 000 and 10 000 servers, and how long the API's lists take."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Engine, func, insert, select, update
from temporalio.client import Client, ScheduleHandle

from api.access.tokens import InstanceIdentity, sign_instance
from db.engine.session import make_engine
from db.fleet.agents import silent_after
from db.tables import Agent, Base, DriftRow, Instance, Operation, Resource, Server
from domain.heartbeats import HEARTBEAT_S, HEARTBEATS_A_SECOND, HeartbeatRate
from domain.names import CONTROL_QUEUE, WORKFLOW_TASK_S, ownership_tags, server_workflow_id
from domain.operations import SERVER_WORKFLOW, ServerInput
from domain.reconciliation.contract import RECONCILE_SCHEDULE
from domain.reconciliation.drift import DriftState
from domain.servers import Placement, ServerPolicy, ServerRef, ServerShape
from lab.stack.stack import Stack
from proof.benchmarks import counters
from proof.benchmarks.figure import Figure, summary
from proof.benchmarks.setup import MeasureSetup
from proof.benchmarks.simulated_fleet import SimulatedFleet, agent_process

NAME = "at_rest"
POOL = "us-east-1a/m5.large/spot"
PAST = 3  # ended operations of each server
STARTS_AT_ONCE = 64
BATCH, RECORDS, NEARLY = 200, 1000, 0.98
BEGIN_S, SETTLE_S = 900.0, 15.0
WINDOW_S = 120.0  # as long as reconciliation's interval, so that each window holds one pass
COUNTS, QUICK = (100, 1000, 10_000), (5, 10)
LISTS = ("/api/servers?limit=50", "/api/instances?limit=50", "/api/operations?limit=50")
LIST_AIM_MS = 50.0
NOT_OURS = frozenset({"agents", "lab"})
SLACK = 1.25  # "linear" compares two windows, and this much is noise
HOW = (
    "workflows, records and API as they are, with everything on for servers that nobody switches; agents simulated on"
    " the wire by one process: each polls its queue, answers the watch with beats (every 8 s; as seldom as 100 a second"
    " of all make it) and heartbeats over HTTP (every 15 s; as seldom as 50 a second make it); a dev Temporal"
    " server that keeps its state in a file; two minutes, with a pass of reconciliation; the processor time of"
    " the agents and of the lab, which stands for AWS and gives way to the others, is not counted"
)


def measure(setup: MeasureSetup) -> list[Figure]:
    figures: list[Figure] = []
    with setup.stack(hosts=False) as stack, stack.lab() as lab, stack.api(timeout=60) as http:
        assert stack.database is not None
        journal = stack.settings.var / "agents.jsonl"
        journal.touch()
        engine = make_engine(stack.database.url)
        with agent_process(stack, journal) as process:
            at = GrowingFleet(stack, SimulatedFleet(stack, lab, http, process), engine, journal)
            at.fleet.give_way("lab")  # it stands for AWS, which does not use this machine's processor
            first: dict[str, float] = {}
            for count in setup.choose(COUNTS, QUICK):
                began = time.monotonic()
                with _records_ahead_of_workflows(stack):
                    at.grow(count, BEGIN_S)
                setup.say(f"{NAME}: {at.begun} of {count} servers at rest after {time.monotonic() - began:.0f} s")
                time.sleep(setup.choose(SETTLE_S, 1.0))
                costs = _costs(setup, at.fleet, engine, at.begun)
                first = first or costs
                lists = _lists(http, setup.choose(100, 3))
                figures += [_cost_figure(count, costs, first), _list_figure(count, lists, figures)]
        engine.dispose()
    return figures


class GrowingFleet:
    """A fleet that grows: instances of the lab, their records, then a workflow and an agent each."""

    def __init__(self, stack: Stack, fleet: SimulatedFleet, engine: Engine, journal: Path) -> None:
        self.fleet = fleet
        self.begun = 0
        self._stack = stack
        self._engine = engine
        self._journal = journal
        self._instances: list[str] = []
        self._client_id = stack.credentials.client_id

    def grow(self, count: int, limit_s: float) -> None:
        """Grow to `count` records, and bring to rest as many of these servers as begin within the limit."""
        have = len(self._instances)
        self._instances += self.fleet.launched(count - have)
        tags = [ownership_tags(self._client_id, _server_id(n), "") for n in range(have, count)]
        self.fleet.tag(self._instances[have:], tags)
        for first in range(have, count, RECORDS):
            self._record(range(first, min(first + RECORDS, count)))
        ends = time.monotonic() + limit_s
        while self.begun < count and time.monotonic() < ends:
            batch = range(self.begun, min(self.begun + BATCH, count))
            asyncio.run(_begin(self._stack, [(n, self._instances[n]) for n in batch]))
            self._heard_of(batch)
            with self._journal.open("a") as lines:
                lines.writelines(json.dumps(line) + "\n" for line in self._boots(batch))
            self.begun = batch.stop
            # The answer to a poll may be lost. Such a watch is repeated after its heartbeat timeout.
            self.fleet.await_watched(int(NEARLY * self.begun))
        self.fleet.await_watched(self.begun)

    def _heard_of(self, numbers: Iterable[int]) -> None:
        """Register their agents. A heartbeat is not due before the first interval has passed."""
        now = datetime.now(UTC)
        heard = {"seen_at": now, "due_at": silent_after(now, self._pace.interval_s)}
        with self._engine.begin() as connection:
            those = Agent.instance_id.in_([self._instances[n] for n in numbers])
            connection.execute(update(Agent).where(those).values(heard))

    @property
    def _pace(self) -> HeartbeatRate:
        return HeartbeatRate(HEARTBEAT_S, HEARTBEATS_A_SECOND, len(self._instances))

    def _boots(self, numbers: Iterable[int]) -> Iterable[dict[str, Any]]:
        expires, who = datetime.now(UTC) + timedelta(hours=1), self._stack.credentials
        for n in numbers:
            bearer = InstanceIdentity(self._instances[n], who.client_id, _server_id(n), expires)
            token = sign_instance(who.signing_key, bearer)
            yield {"boot": self._instances[n], "token": token, "heartbeat_s": self._pace.interval_s}

    def _record(self, numbers: Iterable[int]) -> None:
        """Write what adoption would have written."""
        now = datetime.now(UTC)
        rows: dict[type[Base], list[dict[str, Any]]] = {}
        for n in numbers:
            for model, row in self._rows(n, now):
                rows.setdefault(model, []).append(row)
        with self._engine.begin() as connection:
            for model, made in rows.items():
                connection.execute(insert(model), made)

    def _rows(self, n: int, now: datetime) -> Iterator[tuple[type[Base], dict[str, Any]]]:
        """Of one server, in the order in which they refer to each other."""
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=n)
        client_id, region = self._client_id, self._stack.region
        owner = {"client_id": client_id, "created_at": at, "updated_at": at}
        server_id, instance_id = _server_id(n), self._instances[n]
        yield Server, {"id": server_id, "name": server_id, "region": region, "account_id": "1",
                       "handoff": "stateless", "policy": asdict(ServerPolicy()), "moves": [], "state": "active",
                       "version": 1, **owner}  # fmt: skip
        yield Instance, {"id": instance_id, "server_id": server_id, "state": "running_primary", "role": "primary",
                         "pool": POOL, "region": region, "zone": "us-east-1a", "instance_type": "m5.large",
                         "usd_per_hour": 0.03, **owner}  # fmt: skip
        yield Resource, {"client_id": client_id, "server_id": server_id, "type": "instance",
                         "resource_id": instance_id, "state": "live", "how": "adopted", "live_at": at}  # fmt: skip
        yield Agent, {"client_id": client_id, "instance_id": instance_id, "registered_at": at, "seen_at": now,
                      "due_at": silent_after(now, self._pace.interval_s)}  # fmt: skip
        for one in range(PAST):
            yield Operation, {"id": f"op-{n}-{one}", "server_id": server_id, "client_id": client_id,
                              "kind": "switch", "status": "committed",
                              "requested_at": at + timedelta(hours=one)}  # fmt: skip


@contextmanager
def _records_ahead_of_workflows(stack: Stack) -> Iterator[None]:
    """Pause reconciliation while the block runs: it would find thousands of servers without a workflow."""

    async def schedule() -> ScheduleHandle:
        return (await Client.connect(stack.temporal_address)).get_schedule_handle(RECONCILE_SCHEDULE)

    async def pause() -> None:
        await (await schedule()).pause(note="the fleet is being put together")

    async def unpause() -> None:
        await (await schedule()).unpause()

    asyncio.run(pause())
    try:
        yield
    finally:
        asyncio.run(unpause())


async def _begin(stack: Stack, instances: Iterable[tuple[int, str]]) -> None:
    client, turns = await Client.connect(stack.temporal_address), asyncio.Semaphore(STARTS_AT_ONCE)

    async def start(n: int, instance_id: str) -> None:
        ref = ServerRef(_server_id(n), stack.credentials.client_id, _server_id(n), stack.region)
        shape = ServerShape(primary=Placement(instance_id, POOL))
        async with turns:
            await client.start_workflow(
                SERVER_WORKFLOW,
                ServerInput(ref, ServerPolicy(), shape),
                id=server_workflow_id(ref.server_id),
                task_queue=CONTROL_QUEUE,
                task_timeout=timedelta(seconds=WORKFLOW_TASK_S),
            )

    await asyncio.gather(*(start(n, instance_id) for n, instance_id in instances))


def _server_id(n: int) -> str:
    return f"srv-{n:06d}"


def _costs(setup: MeasureSetup, at: SimulatedFleet, engine: Engine, count: int) -> dict[str, float]:
    asked, began = counters.statements(engine), time.monotonic()
    with at.cores_busy() as busy:
        time.sleep(setup.choose(WINDOW_S, 3.0))
    a_second = (counters.statements(engine) - asked) / (time.monotonic() - began)
    memory = {name: counters.memory_mib(pid) for name, pid in at.pids().items()}
    watched = at.watched
    setup.details[f"{count} servers"] = {"cores busy": busy, "memory, MiB": memory}
    setup.say(f"{NAME}: {count} servers: cores {busy}, MiB {memory}, {a_second:.0f} queries/s, {watched} watched")
    return {
        "cores busy": round(sum(ms for name, ms in busy.items() if name not in NOT_OURS), 2),
        "memory, MiB": round(sum(mib for name, mib in memory.items() if name not in NOT_OURS)),
        "queries a second": round(a_second, 1),
        "watched": watched,
        "operations begun": _begun(engine),
        "findings": _found(engine),
        "n": count,
    }


def _begun(engine: Engine) -> int:
    """Operations of servers that nobody touches. There must be none."""
    with engine.connect() as connection:
        since = datetime.now(UTC) - timedelta(hours=6)
        return connection.scalar(select(func.count()).where(Operation.requested_at > since)) or 0


def _found(engine: Engine) -> int:
    """Open findings of reconciliation. There must be none: the servers match their records."""
    with engine.connect() as connection:
        return connection.scalar(select(func.count()).where(DriftRow.state == DriftState.OPEN.value)) or 0


def _cost_figure(count: int, costs: dict[str, float], first: dict[str, float]) -> Figure:
    share = SLACK * costs["n"] / first["n"]
    linear = all(costs[name] <= share * first[name] for name in ("cores busy", "memory, MiB", "queries a second"))
    begun = costs["n"] == count
    at_rest = begun and costs["watched"] == count and not costs["operations begun"] and not costs["findings"]
    because = "" if begun else f"no more than {costs['n']:.0f} of {count:,} came to rest within {BEGIN_S:g} s"
    return Figure(NAME, f"fleet at rest, {costs['n']:,.0f} servers", "", costs, first, f"{first['n']:.0f} servers",
                  "linear or better, each watched", at_rest and linear, HOW,
                  because)  # fmt: skip


def _lists(http: httpx.Client, times: int) -> list[float]:
    """Milliseconds of every list, by turns, over one connection."""
    taken = []
    for number in range(times):
        for path in LISTS:
            began = time.perf_counter()
            http.get(path).raise_for_status()
            if number:
                taken.append(1000 * (time.perf_counter() - began))
    return taken


def _list_figure(count: int, taken: Sequence[float], figures: Sequence[Figure]) -> Figure:
    measured = summary(taken)
    before = next((one for one in figures if one.unit == "ms"), None)
    return Figure(NAME, f"API lists, {count:,} servers", "ms", measured, before.measured if before else measured,
                  "the smallest fleet", f"p95 under {LIST_AIM_MS:.0f} at 10,000", measured["p95"] < LIST_AIM_MS,
                  f"{HOW}. Lists of servers, instances and operations by turns, 50 rows a page, over one connection"
                  )  # fmt: skip
