"""What the records say of a region's market, as the autopilot decides on it and people look at it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from db.market.beliefs import bands_of, scores_of_types
from db.market.on_demand import on_demand_prices
from db.market.pool_history import stays_since
from db.market.price_records import PriceRecords, Recorded
from db.market.reliability import pool_facts_since
from db.queries.market import cooling_pools
from domain.autopilot.supply import RESTING, Known, hours, prior_of
from domain.market.lived import MEMORY_H, lived_through
from domain.market.observed import PoolKey
from domain.market.pool_facts import FactKind, PoolFact

_SCORES = timedelta(days=1)
_MOMENT = timedelta(microseconds=1)


@dataclass(frozen=True)
class RegionRecords:
    """`prices`: spot, of Linux. `on_demand`: type -> USD per hour, of Linux."""

    prices: dict[PoolKey, Recorded] = field(default_factory=dict)
    on_demand: dict[str, float] = field(default_factory=dict)
    known: Known = field(default_factory=Known)


def read(session: Session, prices: PriceRecords, region: str, now: datetime) -> RegionRecords:
    """Everything as of `now`, in a handful of statements."""
    return RegionRecords(
        prices=prices.of(session, region, now),
        on_demand={name: float(usd) for name, usd in on_demand_prices(session, region, now).items()},
        known=known(session, region, now),
    )


def known(session: Session, region: str, now: datetime) -> Known:
    """What is known of the region's spot pools beside their prices."""
    since = now - timedelta(hours=MEMORY_H)
    facts: defaultdict[str, list[PoolFact]] = defaultdict(list)
    for fact in pool_facts_since(session, region, since, now + _MOMENT):
        facts[str(fact.pool)].append(fact)
    stays = stays_since(session, region, since, now)
    bands, at_h = bands_of(session, region, now), hours(now)
    return Known(
        resting={row.id: f"{RESTING}: {row.cool_down_reason}" for row in cooling_pools(session, region, now)},
        lived={
            pool: lived_through(facts.get(pool, ()), stays.get(pool, ()), prior_of(bands.get(_type(pool))), at_h)
            for pool in sorted({*facts, *stays})
        },
        watched=frozenset(pool for pool, some in stays.items() if any(stay.until_h >= at_h for stay in some)),
        bands=bands,
        scores=scores_of_types(session, region, now - _SCORES, now),
        rebalanced={
            pool: at_h - hours(max(one.at for one in some if one.kind is FactKind.REBALANCE))
            for pool, some in facts.items()
            if any(one.kind is FactKind.REBALANCE for one in some)
        },
    )


def _type(pool: str) -> str:
    return pool.split("/")[1]
