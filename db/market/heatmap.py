"""A region's market over some time, one row for each pool."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.market.canonical import region_between
from db.market.on_demand import on_demand_prices
from db.market.pool_facts import count_facts
from db.market.pool_reports import DAY, PoolCounts, pool_counts
from db.market.scores_and_bands import scores_of_types
from db.tables import PoolRow
from domain.market.price_series import confidence_at
from domain.pools import Lifecycle, Pool

_MOMENT = timedelta(microseconds=1)


@dataclass(frozen=True)
class HeatmapRow:
    """One pool. Money is USD per hour; the price is that at the end of the time."""

    pool: str
    zone: str
    instance_type: str
    usd_per_hour: float
    on_demand_usd_per_hour: float | None
    share_of_on_demand: float | None
    min_usd_per_hour: float
    max_usd_per_hour: float
    kind: str  # a PriceStepKind
    confidence: float
    lived: PoolCounts
    placement_score: int | None
    cool_down_until: datetime | None


def region_heatmap(session: Session, region: str, from_at: datetime, until_at: datetime) -> list[HeatmapRow]:
    """Every spot pool of the region that had a price at the end of the time, by zone and type."""
    series = region_between(session, region, from_at, until_at)
    dear = {name: float(usd) for name, usd in on_demand_prices(session, region, until_at).items()}
    counts = count_facts(session, region, from_at, until_at)
    scores = scores_of_types(session, region, until_at - DAY, until_at)
    resting = _cooling_down(session, region, until_at)
    found: list[HeatmapRow] = []
    for (zone, kind), steps in sorted(series.items()):
        last = steps[-1]
        if last.until_at is not None and last.until_at < until_at:
            continue
        pool, usd, on_demand = str(Pool(zone, kind, Lifecycle.SPOT)), float(last.usd), dear.get(kind)
        prices = [float(step.usd) for step in steps]
        score = scores.get((zone, kind))
        found.append(
            HeatmapRow(
                pool=pool,
                zone=zone,
                instance_type=kind,
                usd_per_hour=usd,
                on_demand_usd_per_hour=on_demand,
                share_of_on_demand=round(usd / on_demand, 4) if on_demand else None,
                min_usd_per_hour=min(prices),
                max_usd_per_hour=max(prices),
                kind=last.kind.value,
                confidence=confidence_at(last, max(last.from_at, until_at - _MOMENT)),
                lived=pool_counts(counts.get(pool, {})),
                placement_score=score.score if score else None,
                cool_down_until=resting.get(pool),
            )
        )
    return found


def _cooling_down(session: Session, region: str, at: datetime) -> dict[str, datetime]:
    query = select(PoolRow.id, PoolRow.cool_down_until).where(PoolRow.region == region, PoolRow.cool_down_until > at)
    return {pool: until for pool, until in session.execute(query) if until is not None}
