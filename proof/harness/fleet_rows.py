"""Fleets that were never launched: rows straight into the database, for pages with thousands of servers."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from db.event_log.writing import NewEvent, append_events
from db.fleet.agents import silent_after
from db.market.on_demand import keep_on_demand
from db.market.tiers import store_in_tiers
from db.tables import Agent, Base, Instance, Operation, PoolRow, Server
from domain.heartbeats import HEARTBEAT_S
from domain.market.observed_prices import PriceBounds, PriceSource, ReportedPrice
from domain.market.on_demand_prices import LINUX, OnDemandPrice

_NAMES = ("orders", "billing", "search", "build", "ledger", "mail", "metrics", "queue", "catalog", "reports")
ON_DEMAND = {"m5.large": 0.096, "m6i.xlarge": 0.192, "r5.large": 0.126, "c5.xlarge": 0.17, "r6g.xlarge": 0.2016}
_ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")
_HANDOFFS = ("volumes", "volumes", "stateless", "snapshot")
_CHUNK = 500


def seed_fleet(session: Session, client_id: str, count: int, *, seed: int = 7) -> list[str]:
    """Add `count` active servers in many states to a client, with an event each; returns their IDs.

    They have no workflow, and no instance in EC2.
    """
    draw, now = random.Random(f"{seed}/{client_id}"), datetime.now(UTC)
    rows: dict[type[Base], list[dict[str, Any]]] = {Server: [], Instance: [], Agent: [], Operation: []}
    ids = []
    for number in range(count):
        server_id = f"srv-{client_id[-8:]}-{number:05}"
        ids.append(server_id)
        made = _server(draw, now, client_id, server_id, number)
        for model, row in made:
            rows[model].append(row)
    session.execute(insert(PoolRow).prefix_with("IGNORE"), _pools(draw, now))
    keep_on_demand(session, _on_demand(now), now)
    store_in_tiers(session, _history(draw, now), PriceSource.FILE, PriceBounds(now), now)
    for model, all_rows in rows.items():
        for at in range(0, len(all_rows), _CHUNK):
            session.execute(insert(model), all_rows[at : at + _CHUNK])
    append_events(session, client_id, [NewEvent("server.adopted", now, one, payload={"name": one}) for one in ids])
    return ids


def _pools(draw: random.Random, now: datetime) -> list[dict[str, Any]]:
    """Prices of the fleet's pools that have none yet."""
    return [
        {
            "id": f"{zone}/{kind}/{lifecycle}",
            "region": "us-east-1",
            "zone": zone,
            "instance_type": kind,
            "lifecycle": lifecycle,
            "usd_per_hour": on_demand if lifecycle == "on-demand" else round(on_demand * draw.uniform(0.3, 0.6), 4),
            "priced_at": now,
        }
        for kind, on_demand in ON_DEMAND.items()
        for zone in _ZONES
        for lifecycle in ("spot", "on-demand")
    ]


def _on_demand(now: datetime) -> list[OnDemandPrice]:
    since = now - timedelta(days=90)
    return [OnDemandPrice("us-east-1", kind, LINUX, Decimal(str(usd)), since, "api") for kind, usd in ON_DEMAND.items()]


def _history(draw: random.Random, now: datetime) -> Iterator[ReportedPrice]:
    """A week of spot prices that move a little every few hours."""
    for kind, on_demand in ON_DEMAND.items():
        for zone in _ZONES:
            part = draw.uniform(0.32, 0.6)
            for hours in range(168, 0, -6):
                part = min(0.8, max(0.25, part * draw.uniform(0.94, 1.07)))
                at = now - timedelta(hours=hours - draw.random())
                yield ReportedPrice("us-east-1", zone, kind, at, f"{on_demand * part:.6f}")


def _server(
    draw: random.Random, now: datetime, client_id: str, server_id: str, number: int
) -> list[tuple[type[Base], dict[str, Any]]]:
    born = now - timedelta(days=draw.uniform(2, 60))
    kind, zone = draw.choice(list(ON_DEMAND)), draw.choice(_ZONES)
    spot = draw.random() < 0.78
    pool = f"{zone}/{kind}/{'spot' if spot else 'on-demand'}"
    usd = round(ON_DEMAND[kind] * (draw.uniform(0.28, 0.62) if spot else 1.0), 4)
    mood = draw.random()
    instance_id = f"i-{draw.getrandbits(68):017x}"
    owned = {"server_id": server_id, "client_id": client_id}
    server = _server_row(draw, born, now, owned, number)
    primary = _primary_row(born, owned, instance_id, pool, number) | {"usd_per_hour": usd}
    agent = _agent_row(draw, born, now, owned, instance_id, silent=mood <= 0.02)
    made: list[tuple[type[Base], dict[str, Any]]] = [(Server, server), (Instance, primary), (Agent, agent)]
    if number % 3:
        made.append((Operation, _operation(draw, now, owned, f"op-{server_id}-1", pool, mood)))
    return made


def _server_row(
    draw: random.Random, born: datetime, now: datetime, owned: dict[str, Any], number: int
) -> dict[str, Any]:
    return {
        "id": owned["server_id"],
        "client_id": owned["client_id"],
        "name": f"{_NAMES[number % len(_NAMES)]}-{number // len(_NAMES) + 1:03}",
        "region": "us-east-1",
        "account_id": "123456789012",
        "handoff": draw.choice(_HANDOFFS),
        "policy": {},
        "moves": [],
        "state": "active",
        "version": 1,
        "created_at": born,
        "updated_at": now,
    }


def _primary_row(born: datetime, owned: dict[str, Any], instance_id: str, pool: str, number: int) -> dict[str, Any]:
    zone, kind, lifecycle = pool.split("/")
    return {
        **owned,
        "id": instance_id,
        "state": "running_primary",
        "role": "primary",
        "pool": pool,
        "region": "us-east-1",
        "zone": zone,
        "instance_type": kind,
        "lifecycle": lifecycle,
        "private_ip": f"10.0.{number // 250}.{number % 250}",
        "created_at": born,
        "updated_at": born,
    }


def _agent_row(
    draw: random.Random, born: datetime, now: datetime, owned: dict[str, Any], instance_id: str, *, silent: bool
) -> dict[str, Any]:
    """One that is not silent was heard of an hour ahead, so that it stays so while a test lasts."""
    seen_at = now - timedelta(seconds=400) if silent else now - timedelta(seconds=draw.uniform(1, 8), hours=-1)
    return {
        "client_id": owned["client_id"],
        "instance_id": instance_id,
        "version": "0.1.0",
        "identity": {},
        "registered_at": born,
        "seen_at": seen_at,
        "due_at": silent_after(seen_at, HEARTBEAT_S),
    }


def _operation(
    draw: random.Random, now: datetime, owned: dict[str, Any], operation_id: str, pool: str, mood: float
) -> dict[str, Any]:
    running, attention = mood > 0.985, 0.98 < mood <= 0.985
    asked = now - (timedelta(seconds=draw.uniform(5, 90)) if running else timedelta(hours=draw.uniform(0.2, 200)))
    status = "running" if running else "needs_attention" if attention else "rolled_back" if mood < 0.04 else "committed"
    return {
        **owned,
        "id": operation_id,
        "kind": draw.choice(("switch", "switch", "switch", "failover", "replica_create")),
        "priority": 75,
        "status": status,
        "attention": attention,
        "attention_reason": "the old instance does not end: TerminateInstances is denied" if attention else "",
        "requested_by": "autopilot",
        "handoff": "volumes",
        "from_pool": pool.replace("spot", "on-demand"),
        "to_pool": pool,
        "outcome": None if running else status,
        "workflow_id": f"operation/{operation_id}",
        "requested_at": asked,
        "started_at": asked,
        "finished_at": None if running else asked + timedelta(seconds=draw.uniform(20, 140)),
    }
