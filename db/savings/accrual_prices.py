"""The prices that a time is accrued at: the canonical series of a region's pools, and on-demand."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy.orm import Session

from db.market.canonical import region_between
from db.market.on_demand import on_demand_history
from domain.savings.price_periods import RegionPrices, on_demand_series, spot_series


def prices_between(
    session: Session, regions: Collection[str], from_at: datetime, until_at: datetime
) -> dict[str, RegionPrices]:
    """By region. What the records hold no price of is not in it."""
    return {region: _prices(session, region, from_at, until_at) for region in sorted(regions)}


def _prices(session: Session, region: str, from_at: datetime, until_at: datetime) -> RegionPrices:
    spot = region_between(session, region, from_at, until_at)
    return RegionPrices(
        spot={pool: spot_series(steps) for pool, steps in spot.items()},
        on_demand={name: on_demand_series(valid) for name, valid in on_demand_history(session, region).items()},
    )
