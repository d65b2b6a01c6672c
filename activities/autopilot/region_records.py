"""What the records say of a region's market, as the autopilot decides on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.orm import Session

from db.market.on_demand import on_demand_prices
from db.market.price_records import PriceRecords, RecordedPrices
from db.market.supply_facts import read_supply_facts
from domain.autopilot.pool_supply import PoolKnowledge


@dataclass(frozen=True)
class RegionRecords:
    """`prices`: spot, of Linux. `on_demand`: type -> USD per hour, of Linux."""

    prices: RecordedPrices = field(default_factory=RecordedPrices)
    on_demand: dict[str, float] = field(default_factory=dict)
    known: PoolKnowledge = field(default_factory=PoolKnowledge)


def read_region_records(session: Session, prices: PriceRecords, region: str, now: datetime) -> RegionRecords:
    """Everything as of `now`, in a handful of statements."""
    return RegionRecords(
        prices=prices.of(session, region, now),
        on_demand={name: float(usd) for name, usd in on_demand_prices(session, region, now).items()},
        known=read_supply_facts(session, region, now),
    )
