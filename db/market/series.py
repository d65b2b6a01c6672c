"""The pools' series: found, made, and held by whoever writes to their tiers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Executable, select
from sqlalchemy.orm import Session

from db.engine.bulk import insert_missing_rows
from db.tables import PriceSeries
from domain.market.consolidated_prices import UnchangedPrice
from domain.market.observed_prices import PoolKey, PriceSource

_COLUMNS = tuple(PriceSeries.__table__.c)


@dataclass(frozen=True, slots=True)
class SeriesHead:
    """A pool's series and its newest run."""

    id: int
    region: str
    zone: str
    instance_type: str
    version: int
    sealed_until: datetime | None
    tail: UnchangedPrice | None

    @property
    def pool(self) -> PoolKey:
        return self.zone, self.instance_type


def series_heads(session: Session, pools: Iterable[PoolKey]) -> dict[PoolKey, SeriesHead]:
    """The series of those pools that have one, as last committed."""
    wanted = set(pools)
    zones, types = {zone for zone, _ in wanted}, {kind for _, kind in wanted}
    query = select(*_COLUMNS).where(PriceSeries.zone.in_(zones), PriceSeries.instance_type.in_(types))
    return {head.pool: head for head in _heads(session, query) if head.pool in wanted}


def lock_series(session: Session, regions: Mapping[PoolKey, str]) -> dict[PoolKey, SeriesHead]:
    """The series of the pools, made where missing, and ours until the transaction ends."""
    known = series_heads(session, regions)
    missing = sorted(pool for pool in regions if pool not in known)
    if missing:
        columns = ("region", "zone", "instance_type", "version", "tail_source", "tail_last_source")
        insert_missing_rows(session, "price_series", columns, [(regions[p], *p, 0, "", "") for p in missing])
        known |= series_heads(session, missing)
    ids = [head.id for head in known.values()]
    # One order for all writers: none waits for another that waits for it.
    query = select(*_COLUMNS).where(PriceSeries.id.in_(ids)).order_by(PriceSeries.id).with_for_update()
    return {head.pool: head for head in _heads(session, query)}


def _heads(session: Session, query: Executable) -> list[SeriesHead]:
    return [
        SeriesHead(row.id, row.region, row.zone, row.instance_type, row.version, row.sealed_until, _tail(row))
        for row in session.execute(query)
    ]


def _tail(row: Any) -> UnchangedPrice | None:
    if row.tail_at is None:
        return None
    return UnchangedPrice(
        row.tail_at, row.tail_usd, PriceSource(row.tail_source), row.tail_last_at, PriceSource(row.tail_last_source)
    )
