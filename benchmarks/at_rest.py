"""A fleet at rest: what it costs to watch 100, 1 000 and 10 000 servers, and how long the API's lists take then."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Engine, insert, text
from temporalio.client import Client

from api.tokens import InstanceIdentity, sign_instance
from benchmarks import processor
from benchmarks.figure import Figure, summary
from benchmarks.fleet_of_rows import Fleet, agents
from benchmarks.terms import Terms
from db.models import Agent, Instance, Operation, Server
from db.session import make_engine
from domain.names import CONTROL_QUEUE, WORKFLOW_TASK_S, server_workflow_id
from domain.operations import SERVER_WORKFLOW, ServerInput
from domain.servers import Placement, ServerPolicy, ServerRef, ServerShape
from stack.up import Stack

NAME = "at_rest"
POOL = "us-east-1a/m5.large/spot"
PAST = 3  # operations that each server has behind it
STARTS_AT_ONCE = 64
BATCH = 1000
COUNTS, QUICK = (100, 1000, 10_000), (5, 10)
LISTS = ("/api/servers?limit=50", "/api/instances?limit=50", "/api/operations?limit=50")
LIST_AIM_MS = 50.0
SLACK = 1.25  # "linear" is a measure of two windows; this much of it is noise
HOW = (
    "workflows, records and API as they are, with everything on for servers that nobody switches; agents simulated on"
    " the wire by one process: each polls its queue, answers the watch with a beat every 8 s, and heartbeats over HTTP"
    " every 15 s; a dev Temporal server that keeps its state in a file; the processor time of the agents is not counted"
)


def measure(terms: Terms) -> list[Figure]:
    figures: list[Figure] = []
    have = 0
    with terms.stack(hosts=False) as stack, stack.lab() as lab, stack.api(timeout=60) as http:
        assert stack.database is not None
        journal = stack.settings.var / "agents.jsonl"
        journal.touch()
        engine = make_engine(stack.database.url)
        with agents(stack, journal) as process:
            at = Fleet(stack, lab, http, process)
            first: dict[str, float] = {}
            for count in terms.choose(COUNTS, QUICK):
                began = time.monotonic()
                _add(stack, engine, journal, range(have, count))
                at.await_watched(count)
                terms.say(f"{NAME}: {count} servers at rest after {time.monotonic() - began:.0f} s")
                have = count
                time.sleep(terms.choose(20.0, 1.0))
                costs = _costs(terms, at, engine, count)
                first = first or costs
                lists = _lists(http, terms.choose(100, 3))
                figures += [_cost_figure(count, costs, first), _list_figure(count, lists, figures)]
        engine.dispose()
    return figures


def _add(stack: Stack, engine: Engine, journal: Path, numbers: range) -> None:
    for first in range(numbers.start, numbers.stop, BATCH):
        batch = range(first, min(first + BATCH, numbers.stop))
        _record(stack, engine, batch)
        asyncio.run(_begin(stack, batch))
        with journal.open("a") as lines:
            lines.writelines(json.dumps(line) + "\n" for line in _boots(stack, batch))


def _record(stack: Stack, engine: Engine, numbers: Iterable[int]) -> None:
    """What adoption would have left."""
    client_id, policy = stack.credentials.client_id, asdict(ServerPolicy())
    servers, instances, seen, past = [], [], [], []
    for n in numbers:
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=n)
        owner = {"client_id": client_id, "created_at": at, "updated_at": at}
        server_id, instance_id = _server_id(n), _instance_id(n)
        servers.append(
            {"id": server_id, "name": server_id, "region": stack.region, "account_id": "1", "handoff": "stateless",
             "policy": policy, "moves": [], "state": "active", "version": 1, **owner}
        )  # fmt: skip
        instances.append(
            {"id": instance_id, "server_id": server_id, "state": "running_primary", "role": "primary", "pool": POOL,
             "region": stack.region, "zone": "us-east-1a", "instance_type": "m5.large", "usd_per_hour": 0.03, **owner}
        )  # fmt: skip
        seen.append({"client_id": client_id, "instance_id": instance_id, "registered_at": at, "seen_at": at})
        past += [
            {"id": f"op-{n}-{one}", "server_id": server_id, "client_id": client_id, "kind": "switch",
             "status": "committed", "requested_at": at + timedelta(hours=one)}
            for one in range(PAST)
        ]  # fmt: skip
    with engine.begin() as connection:
        for model, rows in ((Server, servers), (Instance, instances), (Agent, seen), (Operation, past)):
            connection.execute(insert(model), rows)


async def _begin(stack: Stack, numbers: Iterable[int]) -> None:
    client, turns = await Client.connect(stack.temporal_address), asyncio.Semaphore(STARTS_AT_ONCE)

    async def start(n: int) -> None:
        ref = ServerRef(_server_id(n), stack.credentials.client_id, _server_id(n), stack.region)
        shape = ServerShape(primary=Placement(_instance_id(n), POOL))
        async with turns:
            await client.start_workflow(
                SERVER_WORKFLOW,
                ServerInput(ref, ServerPolicy(), shape),
                id=server_workflow_id(ref.server_id),
                task_queue=CONTROL_QUEUE,
                task_timeout=timedelta(seconds=WORKFLOW_TASK_S),
            )

    await asyncio.gather(*(start(n) for n in numbers))


def _boots(stack: Stack, numbers: Iterable[int]) -> Iterable[dict[str, Any]]:
    expires = datetime.now(UTC) + timedelta(hours=1)
    for n in numbers:
        bearer = InstanceIdentity(_instance_id(n), stack.credentials.client_id, _server_id(n), expires)
        yield {"boot": _instance_id(n), "token": sign_instance(stack.credentials.signing_key, bearer)}


def _server_id(n: int) -> str:
    return f"srv-{n:06d}"


def _instance_id(n: int) -> str:
    return f"i-{n:017x}"


def _costs(terms: Terms, at: Fleet, engine: Engine, count: int) -> dict[str, float]:
    asked, began = _questions(engine), time.monotonic()
    with at.cores_busy() as busy:
        time.sleep(terms.choose(60.0, 3.0))
    a_second = (_questions(engine) - asked) / (time.monotonic() - began)
    memory = {name: processor.memory_mib(pid) for name, pid in at.pids().items()}
    watched = int(at.agents.log_tail(1).split()[1])
    terms.details[f"{count} servers"] = {"cores busy": busy, "memory, MiB": memory}
    terms.say(f"{NAME}: {count} servers: cores {busy}, MiB {memory}, {a_second:.0f} queries/s, {watched} watched")
    return {
        "cores busy": round(sum(ms for name, ms in busy.items() if name != "agents"), 2),
        "memory, MiB": round(sum(mib for name, mib in memory.items() if name != "agents")),
        "queries a second": round(a_second, 1),
        "watched": watched,
        "n": count,
    }


def _questions(engine: Engine) -> int:
    with engine.connect() as connection:
        row = connection.execute(text("SHOW GLOBAL STATUS LIKE 'Questions'")).one()
        return int(row[1])


def _cost_figure(count: int, costs: dict[str, float], first: dict[str, float]) -> Figure:
    share = SLACK * count / first["n"]
    linear = all(costs[name] <= share * first[name] for name in ("cores busy", "memory, MiB", "queries a second"))
    met = linear and costs["watched"] == count
    return Figure(NAME, f"fleet at rest, {count:,} servers", "", costs, first, f"{first['n']:.0f} servers",
                  "linear or better, each watched", met, HOW)  # fmt: skip


def _lists(http: httpx.Client, times: int) -> list[float]:
    """Milliseconds of every list by turns, over one connection."""
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
