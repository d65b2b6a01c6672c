"""The pools' series: found, created, locked by their writer; and the runs that new prices of a time may change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Executable, func, select
from sqlalchemy.orm import Session

from db.engine.bulk import insert_missing_rows
from db.tables import PriceConsolidated, PriceObservation, PriceSeries
from domain.market.observed_prices import PoolKey, PricePoint, PriceSource
from domain.market.price_series import UnchangedPrice, minute_of

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
    """The series of the pools, created where missing, and locked until the transaction ends."""
    known = series_heads(session, regions)
    missing = sorted(pool for pool in regions if pool not in known)
    if missing:
        columns = ("region", "zone", "instance_type", "version", "tail_source", "tail_last_source")
        insert_missing_rows(session, "price_series", columns, [(regions[p], *p, 0, "", "") for p in missing])
        known |= series_heads(session, missing)
    ids = [head.id for head in known.values()]
    # All writers lock in the same order, so there is no deadlock.
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


_RUN = (
    PriceConsolidated.at,
    PriceConsolidated.usd_per_hour,
    PriceConsolidated.source,
    PriceConsolidated.last_at,
    PriceConsolidated.last_source,
)


@dataclass(frozen=True, slots=True)
class NeighbouringRuns:
    """`runs` and `points` as `merge_points` needs them. The run after them starts at `next_at`."""

    runs: list[UnchangedPrice]
    points: list[PricePoint]
    next_at: datetime | None


def read_neighbouring_runs(session: Session, head: SeriesHead, low: datetime, high: datetime) -> NeighbouringRuns:
    """For new points from the minute `low` to the minute `high`."""
    ours, minute = PriceConsolidated.series_id == head.id, PriceConsolidated.minute
    before = session.scalar(select(func.max(minute)).where(ours, minute < low))
    start = low if before is None else before
    query = select(*_RUN).where(ours).order_by(minute)
    runs = _runs(session, query.where(minute.between(start, high)))
    after = _runs(session, query.where(minute > high).limit(2))
    end = minute_of(after[0].at) if after else None
    return NeighbouringRuns([*runs, *after[:1]], _points(session, head, start, end), after[1].at if after[1:] else None)


def _runs(session: Session, query: Executable) -> list[UnchangedPrice]:
    rows = session.execute(query).all()
    return [
        UnchangedPrice(at, usd, PriceSource(source), last_at, PriceSource(last))
        for at, usd, source, last_at, last in rows
    ]


def _points(session: Session, head: SeriesHead, start: datetime, end: datetime | None) -> list[PricePoint]:
    seen = PriceObservation
    query = select(seen.at, seen.usd_per_hour, seen.source).where(
        seen.zone == head.zone, seen.instance_type == head.instance_type, seen.at >= start
    )
    rows = session.execute(query if end is None else query.where(seen.at < end)).all()
    return [PricePoint(at, usd, PriceSource(source)) for at, usd, source in rows]
