"""Spot prices as they come in: kept in all tiers, the latest of each pool beside the pool, and how far we are.

A collection counts as done up to a time only when the whole piece before it is in. What a worker left half done when
it died is collected again.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.mysql import insert
from sqlalchemy.orm import Session

from db.engine.session import SessionFactory, in_transaction
from db.market.tiers import BatchResult, store_in_tiers
from db.tables import PoolRow, PriceCollection
from domain.market.observed_prices import PoolKey, PriceBounds, PricePoint, PriceSource, ReportedPrice
from domain.pools import Lifecycle, Pool

BATCH = 10_000  # prices in one transaction
AT_ONCE = 2


def keep_in_batches(
    sessions: SessionFactory, said: Iterable[ReportedPrice], source: PriceSource, known: PriceBounds
) -> Iterator[BatchResult]:
    """Keep prices in transactions of some thousands, two at a time, so that the database is never idle."""
    now = known.now or datetime.now(UTC)

    def keep(batch: Sequence[ReportedPrice]) -> BatchResult:
        work = functools.partial(store_spot_prices, said=batch, source=source, known=known, now=now)
        return in_transaction(sessions, work)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        yield from threads.map(keep, by_pool(said))


def by_pool(said: Iterable[ReportedPrice], size: int = BATCH) -> Iterator[list[ReportedPrice]]:
    """Batches of about that size. No pool is in two of them, so that no batch waits for another."""
    batch: list[ReportedPrice] = []
    for _, prices in itertools.groupby(sorted(said, key=_place), key=_place):
        batch += prices
        if len(batch) >= size:
            yield batch
            batch = []
    if batch:
        yield batch


def _place(one: ReportedPrice) -> tuple[str, str]:
    return one[1:3]


def store_spot_prices(
    session: Session, said: Iterable[ReportedPrice], source: PriceSource, known: PriceBounds, now: datetime
) -> BatchResult:
    """Keep reported prices in all three tiers, and set the pools' latest price. `now`: when they came in."""
    kept = store_in_tiers(session, said, source, known, now)
    _set_pool_prices(session, kept.newest, kept.regions)
    return kept


def _set_pool_prices(session: Session, newest: Mapping[PoolKey, PricePoint], regions: Mapping[PoolKey, str]) -> None:
    pools = {str(Pool(*key, Lifecycle.SPOT)): key for key in newest}
    query = select(PoolRow.id, PoolRow.priced_at).where(PoolRow.id.in_(pools))
    priced = {pool: at for pool, at in session.execute(query) if at is not None} if pools else {}
    for pool in sorted(pools):  # one order of locking for all writers
        point = newest[pools[pool]]
        if pool not in priced or priced[pool] <= point.at:
            _set_pool_price(session, Pool.parse(pool), regions[pools[pool]], point)


def _set_pool_price(session: Session, pool: Pool, region: str, point: PricePoint) -> None:
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
    """The time up to which all prices are in; None: nothing has been collected yet."""
    row = session.get(PriceCollection, name)
    return row.until_at if row else None


def mark_collected(session: Session, name: str, until_at: datetime) -> None:
    """Only ever forward: of two collections at the same time, the one that came further counts."""
    row = insert(PriceCollection).values(name=name, until_at=until_at)
    session.execute(
        row.on_duplicate_key_update(until_at=func.greatest(PriceCollection.until_at, row.inserted.until_at))
    )
