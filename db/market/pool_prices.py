"""Spot prices as they come: stored in the three tiers, with the latest beside its pool; and how far collections are.

Progress is stored when a whole piece is in. What a dead worker left half done is collected again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.mysql import insert
from sqlalchemy.orm import Session

from db.market.tiers import BatchResult, store_in_tiers
from db.tables import PoolRow, PriceCollection
from domain.market.observed_prices import PoolKey, PriceBounds, PricePoint, PriceSource, ReportedPrice
from domain.pools import Lifecycle, Pool


def store_spot_prices(
    session: Session, said: Iterable[ReportedPrice], source: PriceSource, known: PriceBounds, now: datetime
) -> BatchResult:
    """Keep what was said in all three tiers, and price the pools. `now`: when it was heard."""
    kept = store_in_tiers(session, said, source, known, now)
    _price_pools(session, kept.newest, kept.regions)
    return kept


def _price_pools(session: Session, newest: Mapping[PoolKey, PricePoint], regions: Mapping[PoolKey, str]) -> None:
    pools = {str(Pool(*key, Lifecycle.SPOT)): key for key in newest}
    query = select(PoolRow.id, PoolRow.priced_at).where(PoolRow.id.in_(pools))
    priced = {pool: at for pool, at in session.execute(query) if at is not None} if pools else {}
    for pool in sorted(pools):  # one order of locking for all writers
        point = newest[pools[pool]]
        if pool not in priced or priced[pool] <= point.at:
            _price_pool(session, Pool.parse(pool), regions[pools[pool]], point)


def _price_pool(session: Session, pool: Pool, region: str, point: PricePoint) -> None:
    row = insert(PoolRow).values(**_pool_values(pool, region), usd_per_hour=point.usd, priced_at=point.at)
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


def collected_until(session: Session, name: str) -> datetime | None:
    """Everything said before is in; None: nothing has been collected yet."""
    row = session.get(PriceCollection, name)
    return row.until_at if row else None


def mark_collected(session: Session, name: str, until_at: datetime) -> None:
    """Forward only: of two collections at once the one that came further counts."""
    row = insert(PriceCollection).values(name=name, until_at=until_at)
    session.execute(
        row.on_duplicate_key_update(until_at=func.greatest(PriceCollection.until_at, row.inserted.until_at))
    )
