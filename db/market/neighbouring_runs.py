"""What of a pool's second tier may change when prices of a time come in, and what is known of that time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Executable, func, select
from sqlalchemy.orm import Session

from db.market.series import SeriesHead
from db.tables import PriceConsolidated, PriceObservation
from domain.market.consolidated_prices import UnchangedPrice, minute_of
from domain.market.observed_prices import PricePoint, PriceSource

_RUN = (
    PriceConsolidated.at,
    PriceConsolidated.usd_per_hour,
    PriceConsolidated.source,
    PriceConsolidated.last_at,
    PriceConsolidated.last_source,
)


@dataclass(frozen=True, slots=True)
class NeighbouringRuns:
    """`runs` and `points` as domain.market.consolidated_prices.mend wants them; the run after them starts at
    `next_at`.
    """

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
