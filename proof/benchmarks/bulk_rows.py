"""A large fleet and its market. The database makes the rows itself from a table of numbers, thousands per statement.

Every statement stays well under the session's read timeout. The rows are the same every time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, insert

from db.market import partitions
from db.savings.booking import SUMS
from db.savings.totals import Unit, unit_start
from db.tables import Client, PriceSeries
from domain.servers import ServerPolicy

REGION = "us-east-1"
ZONES = [f"{REGION}{letter}" for letter in "abcdef"]
CLIENTS = 40
RETIRED = 3  # instances that each server has had before
OPERATIONS, APART_DAYS = 10, 9  # of each server; of every hundredth server, one is unfinished
RESOURCES = 3
STATEMENT_ROWS = 25_000


@dataclass(frozen=True)
class FleetSize:
    """`prices`: half are observations over months of partitions, half are steps of canonical series."""

    servers: int
    events: int
    prices: int
    pools: int

    @property
    def steps(self) -> int:
        """Steps of each pool's series, and as many observations."""
        return self.prices // 2 // self.pools


@dataclass(frozen=True)
class Month:
    """The last whole month, so that every run sums a whole month of money."""

    since: datetime
    until: datetime

    @classmethod
    def before(cls, now: datetime) -> Month:
        until = unit_start(Unit.MONTH, now)
        return cls(unit_start(Unit.MONTH, until - timedelta(days=1)), until)

    @property
    def days(self) -> int:
        return (self.until - self.since).days


@dataclass(frozen=True)
class FilledDatabase:
    size: FleetSize
    month: Month
    first_day: datetime
    days: int
    pools: Sequence[tuple[str, str]]


def fill(engine: Engine, size: FleetSize, now: datetime) -> FilledDatabase:
    """Fill an empty schema of the latest revision."""
    days = 90
    first_day = (now - timedelta(days=days)).replace(hour=0, minute=0, second=0, microsecond=0)
    _numbers(engine, max(size.steps, STATEMENT_ROWS, size.servers))
    partitions.rotate(engine, first_day, timedelta(days=days))
    partitions.rotate(engine, now, timedelta(days=2 * days))
    pools = [(ZONES[n % len(ZONES)], f"x{n // len(ZONES)}.large") for n in range(size.pools)]
    with engine.begin() as connection:
        series = [{"id": n + 1, "region": REGION, "zone": z, "instance_type": t, "version": 1, "tail_source": "ec2",
                   "tail_last_source": "ec2"} for n, (z, t) in enumerate(pools)]  # fmt: skip
        connection.execute(insert(PriceSeries), series)
        connection.execute(insert(Client), _clients(size, now))
    month = Month.before(now)
    fleet = [*_fleet(size, month), *_operations(size, month), *_savings(size, month)]
    work = [*_prices(size, pools, first_day, days), *_events(size, now)]
    with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
        list(threads.map(lambda statement: _run(engine, statement), [*fleet, *work]))
    tables = "servers, instances, operations, events, resources, agents, price_observations, prices_canonical"
    _run(engine, f"ANALYZE TABLE {tables}, savings_hours, savings_days")
    return FilledDatabase(size, month, first_day, days, pools)


def _run(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)


def _numbers(engine: Engine, count: int) -> None:
    """`bench_numbers.n`: 1 to `count` at least."""
    _run(engine, "CREATE TABLE bench_numbers (n INT PRIMARY KEY) SELECT 1 AS n")
    have = 1
    while have < count:
        _run(engine, f"INSERT INTO bench_numbers SELECT n + {have} FROM bench_numbers")
        have *= 2


def _clients(size: FleetSize, now: datetime) -> list[dict[str, object]]:
    each = size.events // CLIENTS
    return [{"id": f"cli-{n}", "name": f"cli-{n}", "event_seq": each, "created_at": now} for n in range(CLIENTS)]


def _prices(size: FleetSize, pools: Sequence[tuple[str, str]], first_day: datetime, days: int) -> Iterable[str]:
    every = max(1, days * 86400 // size.steps)
    since = first_day.strftime("'%Y-%m-%d'")
    at, usd = f"{since} + INTERVAL (n - 1) * {every} SECOND", "0.03 + MOD(n, 97) / 1000"
    for number, (zone, kind) in enumerate(pools, start=1):
        yield (
            "INSERT INTO prices_canonical (series_id, from_at, until_at, usd_per_hour, kind, confidence, confirmed_at,"
            f" source) SELECT {number}, {at}, {at} + INTERVAL {every} SECOND, {usd}, 'observed', 1, {at}, 'ec2'"
            f" FROM bench_numbers WHERE n <= {size.steps} ORDER BY n"
        )
        yield (
            "INSERT INTO price_observations (region, zone, instance_type, at, source, usd_per_hour, seen_at)"
            f" SELECT '{REGION}', '{zone}', '{kind}', {at}, 'ec2', {usd}, {at}"
            f" FROM bench_numbers WHERE n <= {size.steps} ORDER BY n"
        )


def _events(size: FleetSize, now: datetime) -> Iterable[str]:
    each = size.events // CLIENTS
    since = now.strftime("'%Y-%m-%d'")
    payload = json.dumps({"step": "launch", "pool": "us-east-1a/m5.large/spot", "note": "as ever"})
    for client in range(CLIENTS):
        for first in range(0, each, STATEMENT_ROWS):
            yield (
                "INSERT INTO events (client_id, seq, recorded_at, type, server_id, operation_id, at, payload)"
                f" SELECT 'cli-{client}', n + {first}, {since} + INTERVAL n + {first} SECOND, 'operation.step',"
                f" CONCAT('srv-', n), CONCAT('op-', n), {since} + INTERVAL n + {first} SECOND, '{payload}'"
                f" FROM bench_numbers WHERE n <= {min(STATEMENT_ROWS, each - first)} ORDER BY n"
            )


def _fleet(size: FleetSize, month: Month) -> Iterable[str]:
    """Server n is of client n modulo CLIENTS; its primary is i-n-0, and those before it i-n-1 ..."""
    policy = json.dumps(asdict(ServerPolicy()))
    fleet, client, then = _each_server(size), _CLIENT, "'2026-01-01' + INTERVAL n SECOND"
    yield (
        "INSERT INTO servers (id, client_id, name, region, account_id, handoff, policy, moves, state, version,"
        f" created_at, updated_at) SELECT CONCAT('srv-', n), {client}, CONCAT('name-', n), '{REGION}', '1', 'volumes',"
        f" '{policy}', '[]', 'active', 1, {then}, {then} {fleet}"
    )
    heard = f"'{month.until:%Y-%m-%d}'"
    yield (
        "INSERT INTO agents (client_id, instance_id, version, identity, registered_at, seen_at, due_at)"
        f" SELECT {client}, CONCAT('i-', n, '-0'), '1', '{{}}', {then}, {heard}, {heard} {fleet}"
    )
    for life in range(RETIRED + 1):
        state, role = ("terminated", "NULL") if life else ("running_primary", "'primary'")
        yield (
            "INSERT INTO instances (id, server_id, client_id, state, role, pool, region, zone, instance_type,"
            " lifecycle, private_ip, spot_request_id, usd_per_hour, reason, created_at, updated_at)"
            f" SELECT CONCAT('i-', n, '-{life}'), CONCAT('srv-', n), {client}, '{state}', {role},"
            f" CONCAT('us-east-1a/x', MOD(n, 60), '.large/spot'), '{REGION}', 'us-east-1a',"
            " CONCAT('x', MOD(n, 60), '.large'), 'spot', '10.0.0.1', '', 0.05, '',"
            f" {then} - INTERVAL {life} DAY, {then} {fleet}"
        )
    for one in range(RESOURCES):
        yield (
            "INSERT INTO resources (client_id, server_id, operation_id, step, type, resource_id, state, how, details)"
            f" SELECT {client}, CONCAT('srv-', n), '', '', 'volume', CONCAT('vol-', n, '-{one}'), 'live', 'adopted',"
            f" '{{}}' {fleet}"
        )


def _operations(size: FleetSize, month: Month) -> Iterable[str]:
    """One operation of each server every APART_DAYS, back from the month's end; finished ones have a receipt."""
    steps = [{"name": "launch", "ms": 30_000, "calls": ["ec2:RunInstances"] * 3, "note": "as ever"}] * 10
    receipt = json.dumps({"control_outage_ms": 700, "steps": steps})
    for one in range(OPERATIONS):
        unfinished = f"MOD(n, 100) = {one}"
        at = f"'{month.until:%Y-%m-%d}' - INTERVAL {one * APART_DAYS} DAY - INTERVAL n SECOND"
        yield (
            "INSERT INTO operations (id, server_id, client_id, kind, priority, status, attention, attention_reason,"
            " request_id, body_digest, requested_by, asked_pool, handoff, from_pool, to_pool, reason, workflow_id,"
            f" workflow_run_id, requested_at, receipt) SELECT CONCAT('op-', n, '-{one}'), CONCAT('srv-', n), {_CLIENT},"
            f" 'switch', 75, IF({unfinished}, 'running', 'committed'), MOD(n, 1000) = {one}, '',"
            f" CONCAT('r-', n, '-{one}'), '', '', '', 'volumes', '', '', '', '', '', {at},"
            f" IF({unfinished}, NULL, '{receipt}') {_each_server(size)}"
        )


def _savings(size: FleetSize, month: Month) -> Iterable[str]:
    """The month's sums, by the hour for each client and by the day for each server."""
    sums, ones, since = ", ".join(SUMS), ", ".join("1" for _ in SUMS), f"'{month.since:%Y-%m-%d}'"
    yield (
        f"INSERT INTO savings_hours (client_id, hour, {sums}) SELECT id, {since} + INTERVAL n - 1 HOUR, {ones}"
        f" FROM clients JOIN bench_numbers WHERE n <= {24 * month.days}"
    )
    for day in range(month.days):
        yield (
            f"INSERT INTO savings_days (client_id, day, server_id, {sums})"
            f" SELECT {_CLIENT}, {since} + INTERVAL {day} DAY, CONCAT('srv-', n), {ones} {_each_server(size)}"
        )


_CLIENT = f"CONCAT('cli-', MOD(n, {CLIENTS}))"


def _each_server(size: FleetSize) -> str:
    return f"FROM bench_numbers WHERE n <= {size.servers}"


def today() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
