"""`python -m proof.benchmarks.savings_accrual`: the ledger of savings for a whole fleet, database included.

Ten thousand servers in 360 pools with a price an hour. It books one hour, books it again (nothing to add), catches up
a day, and then adds one late price in every pool, which corrects the hours after it. The aim: an hour of ten
thousand servers in under ten seconds.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from sqlalchemy import insert

from db.engine import schema
from db.engine.session import SessionFactory, in_transaction, make_engine, make_session_factory
from db.market.incoming_prices import keep_in_batches
from db.market.on_demand import keep_on_demand
from db.savings.accrual import AccrualResult, accrue
from db.savings.totals import Unit, period_totals, server_totals
from db.tables import Client, Instance, Server
from domain.market.observed_prices import PriceBounds, PriceSource, ReportedPrice
from domain.market.on_demand_prices import LINUX, OnDemandPrice
from lab.stack import database
from lab.stack.ports import Leases

REGION = "us-east-1"
ZONES = [f"{REGION}{letter}" for letter in "abcdef"]
TYPES = [f"m{n}.large" for n in range(60)]
T0 = datetime(2026, 3, 2, 10, tzinfo=UTC)
CLIENTS = 10
AGAIN = timedelta(hours=3)
AIM_S = 10.0


def at(hours: float) -> datetime:
    return T0 + timedelta(hours=hours)


def fill(sessions: SessionFactory, count: int, chance: random.Random) -> None:
    said = [
        ReportedPrice(REGION, zone, kind, at(hour + chance.random()), f"{chance.uniform(0.02, 0.05):.4f}")
        for zone in ZONES
        for kind in TYPES
        for hour in range(-30, 30)
    ]
    for _ in keep_in_batches(sessions, said, PriceSource.EC2, PriceBounds(None)):
        pass
    on_demand = [OnDemandPrice(REGION, kind, LINUX, Decimal("0.096"), at(-10_000), "api") for kind in TYPES]
    in_transaction(sessions, lambda session: keep_on_demand(session, on_demand, T0))
    with sessions.begin() as session:
        session.execute(insert(Client), [_client(n) for n in range(CLIENTS)])
        session.execute(insert(Server), [_server(n) for n in range(count)])
        session.execute(insert(Instance), [row for n in range(count) for row in _instances(n, chance)])


def _client(n: int) -> dict[str, Any]:
    return {"id": f"cli-{n}", "name": f"cli-{n}", "event_seq": 0, "created_at": at(-100)}


def _server(n: int) -> dict[str, Any]:
    fixed = {"region": REGION, "account_id": "1", "handoff": "stateless", "policy": {}, "moves": [], "state": "active"}
    stamps = {"version": 1, "created_at": at(-100), "updated_at": at(-100)}
    return {"id": f"srv-{n}", "client_id": f"cli-{n % CLIENTS}", "name": f"n-{n}", **fixed, **stamps}


def _instances(n: int, chance: random.Random) -> Iterator[dict[str, Any]]:
    """First its own on-demand instance, then a spot instance. One server in ten switches within the hour."""
    switched = chance.random() if n % 10 == 0 else -50 + chance.random()
    for number, (since, until) in enumerate(((-100.0, switched + 0.05), (switched - 0.05, None))):
        lifecycle = "spot" if number else "on-demand"
        zone, kind = chance.choice(ZONES), chance.choice(TYPES)
        roles = [[at(switched).isoformat(), "primary"]] if number else [[at(since).isoformat(), "primary"]]
        yield {
            "id": f"i-{n}-{number}",
            "server_id": f"srv-{n}",
            "client_id": f"cli-{n % CLIENTS}",
            "state": "running_primary" if until is None else "terminated",
            "role": "primary" if until is None else None,
            "roles": roles if until is None else [*roles, [at(switched).isoformat(), None]],
            "pool": f"{zone}/{kind}/{lifecycle}",
            "region": REGION,
            "zone": zone,
            "instance_type": kind,
            "lifecycle": lifecycle,
            "created_at": at(since),
            "updated_at": at(since if until is None else until),
            "launch_confirmed_at": at(since),
            "terminate_requested_at": None if until is None else at(until),
        }


def measure(sessions: SessionFactory, console: Console) -> float:
    table = Table("what", "s", "entries", "corrections", box=None)

    @contextmanager
    def timed(what: str) -> Iterator[list[AccrualResult]]:
        done: list[AccrualResult] = []
        began = time.perf_counter()
        yield done
        took.append(time.perf_counter() - began)
        counts = (f"{done[0].accruals}", f"{done[0].corrections}") if done else ("", "")
        table.add_row(what, f"{took[-1]:.2f}", *counts)

    took: list[float] = []
    accrue(sessions, at(0), timedelta(0))
    with timed("an hour") as done:
        done.append(accrue(sessions, at(1), timedelta(0)))
    hour = took[-1]
    with timed("the same again, and three hours before") as done:
        done.append(accrue(sessions, at(1), AGAIN))
    with timed("a day, caught up") as done:
        done.append(accrue(sessions, at(25), AGAIN))
    late = [ReportedPrice(REGION, zone, kind, at(2.5), "0.0601") for zone in ZONES for kind in TYPES]
    for _ in keep_in_batches(sessions, late, PriceSource.EC2, PriceBounds(None)):
        pass
    with timed("a late price in every pool") as done:
        done.append(accrue(sessions, at(25), AGAIN))
    with timed("a client's day by hour"), sessions() as session:
        period_totals(session, "cli-1", Unit.HOUR, at(0), at(24))
    with timed("a client's month by day"), sessions() as session:
        period_totals(session, "cli-1", Unit.DAY, at(-700), at(24))
    with timed("a client's servers"), sessions() as session:
        server_totals(session, "cli-1", at(-700), at(24), 500)
    console.print(table)
    return hour


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", type=int, default=10_000)
    given = parser.parse_args()
    console = Console(width=120)
    with Leases() as leases, tempfile.TemporaryDirectory() as folder:
        with database.private(Path(folder), leases.port()) as server:
            url = server.create_schema("savings")
            schema.upgrade(url)
            engine = make_engine(url)
            sessions = make_session_factory(engine)
            fill(sessions, given.servers, random.Random(1))
            hour = measure(sessions, console)
            engine.dispose()
        database.clean(Path(folder))
    met = hour < AIM_S
    console.print(f"{given.servers} servers an hour: {hour:.1f} s, aim {AIM_S:.0f} s: {'met' if met else 'missed'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
