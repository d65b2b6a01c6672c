"""Prices as they come: kept once each, and the latest of each pool beside the pool."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func
from sqlalchemy.dialects.mysql import insert
from sqlalchemy.orm import Session

from db.models import PoolRow, PriceObservation
from domain.pools import Lifecycle, Pool


@dataclass(frozen=True)
class Observation:
    region: str
    zone: str
    instance_type: str
    at: datetime
    usd_per_hour: float


def record_prices(session: Session, observations: Sequence[Observation], source: str) -> int:
    """Keep spot prices; one already known (same pool, time and source) changes nothing."""
    rows = [{**vars(o), "source": source} for o in observations]
    if not rows:
        return 0
    session.execute(insert(PriceObservation).prefix_with("IGNORE"), rows)
    for observation in _latest(observations):
        _price_pool(session, observation)
    return len(rows)


def record_on_demand(session: Session, pool: Pool, region: str, usd_per_hour: float, now: datetime) -> None:
    """The on-demand price of a zone and type, beside both its pools."""
    for lifecycle in Lifecycle:
        row = _pool_values(Pool(pool.zone, pool.instance_type, lifecycle), region)
        price: dict[str, object] = {"on_demand_usd_per_hour": usd_per_hour}
        if lifecycle is Lifecycle.ON_DEMAND:
            price |= {"usd_per_hour": usd_per_hour, "priced_at": now}
        session.execute(insert(PoolRow).values(**row, **price).on_duplicate_key_update(price))


def _latest(observations: Sequence[Observation]) -> Iterable[Observation]:
    newest: dict[tuple[str, str], Observation] = {}
    for observation in sorted(observations, key=lambda o: o.at):
        newest[observation.zone, observation.instance_type] = observation
    return [newest[key] for key in sorted(newest)]  # one order of locking for all writers


def _price_pool(session: Session, seen: Observation) -> None:
    pool = Pool(seen.zone, seen.instance_type, Lifecycle.SPOT)
    row = insert(PoolRow).values(**_pool_values(pool, seen.region), usd_per_hour=seen.usd_per_hour, priced_at=seen.at)
    # Assignments go from left to right: the price is compared before the time it is compared by changes.
    newer = func.coalesce(PoolRow.priced_at <= row.inserted.priced_at, True)
    price = func.if_(newer, row.inserted.usd_per_hour, PoolRow.usd_per_hour)
    at = func.if_(newer, row.inserted.priced_at, PoolRow.priced_at)
    session.execute(row.on_duplicate_key_update([("usd_per_hour", price), ("priced_at", at)]))


def _pool_values(pool: Pool, region: str) -> dict[str, object]:
    return {
        "id": str(pool),
        "region": region,
        "zone": pool.zone,
        "instance_type": pool.instance_type,
        "lifecycle": pool.lifecycle.value,
        "capacity_failures": 0,
        "notices": 0,
        "cool_down_reason": "",
    }
