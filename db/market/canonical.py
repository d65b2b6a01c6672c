"""What the canonical series say: a pool's prices, a region's day, and which part of the past has changed.

Changes are a queue for whoever has built on the prices (the savings ledger): take what is open, correct what was built
on it, settle it, all in one transaction. There is no order that a reader could skip: what commits late is still open.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Executable, and_, func, literal, literal_column, select, update
from sqlalchemy.orm import Session

from db.tables import PriceCanonical, PriceCorrection, PriceSeries
from db.tables.types import UtcDateTime
from domain.market.observed_prices import PoolKey, PriceSource
from domain.market.price_series import PriceStep, PriceStepKind

DAY = timedelta(days=1)
# Series named in one query: MariaDB turns a list of a thousand into a join, which reads each series whole
# (in_predicate_conversion_threshold).
_AT_ONCE = 400
_KINDS = {kind.value: kind for kind in PriceStepKind}
_SOURCES = {source.value: source for source in PriceSource}
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def _microseconds(column: Any) -> Any:
    """Since _EPOCH. Read as a number: PyMySQL takes longer to read a day's times than the server to find them."""
    return func.timestampdiff(literal_column("MICROSECOND"), literal_column("'2000-01-01'"), column)


_STEP = (
    _microseconds(PriceCanonical.from_at),
    _microseconds(PriceCanonical.until_at),
    PriceCanonical.usd_per_hour,
    PriceCanonical.kind,
    PriceCanonical.confidence,
    _microseconds(PriceCanonical.confirmed_at),
    PriceCanonical.source,
)


def series_between(
    session: Session, zone: str, instance_type: str, from_at: datetime, until_at: datetime
) -> list[PriceStep]:
    """The pool's steps that overlap the time, whole, in the order of time: the one in force at its start, and on."""
    before = select(func.max(PriceCanonical.from_at)).where(
        PriceCanonical.series_id == _id_of(zone, instance_type), PriceCanonical.from_at <= from_at
    )
    # Known before the table is read, so the key (series, time) is entered there.
    start = func.coalesce(before.scalar_subquery(), literal(from_at, UtcDateTime()))
    inside = PriceCanonical.from_at >= start, PriceCanonical.from_at < until_at
    rows = session.execute(_steps_of(zone, instance_type).where(*inside).order_by(PriceCanonical.from_at))
    found = [_step(row) for row in rows]
    return [step for step in found if step.until_at is None or step.until_at > from_at]


def region_between(
    session: Session, region: str, from_at: datetime, until_at: datetime
) -> dict[PoolKey, list[PriceStep]]:
    """Every pool's steps that overlap the time; of a region's day, a few thousand.

    The series are named one by one: only then is the key (series, time) entered once for each, at its step in
    force when the time begins and at those that start within it. Joined, each series would be read whole.
    """
    here = select(PriceSeries.id, PriceSeries.zone, PriceSeries.instance_type).where(PriceSeries.region == region)
    pools = {number: (zone, kind) for number, zone, kind in session.execute(here)}
    found: dict[PoolKey, list[PriceStep]] = {}
    numbers = sorted(pools)
    for place in range(0, len(numbers), _AT_ONCE):
        for query in _within(numbers[place : place + _AT_ONCE], from_at, until_at):
            for series_id, *row in session.execute(query):
                step = _step(row)
                if step.until_at is None or step.until_at > from_at:
                    found.setdefault(pools[series_id], []).append(step)
    return found


def _within(numbers: list[int], from_at: datetime, until_at: datetime) -> tuple[Executable, Executable]:
    """The steps in force at the start, and those that start later."""
    number, start = PriceCanonical.series_id, PriceCanonical.from_at
    ours = number.in_(numbers)
    first = select(number, func.max(start).label("start")).where(ours, start <= from_at).group_by(number).subquery()
    in_force = select(number, *_STEP).join(first, and_(number == first.c.series_id, start == first.c.start))
    return in_force, select(number, *_STEP).where(ours, start > from_at, start < until_at).order_by(number, start)


def day_of_prices(session: Session, region: str, day: datetime) -> dict[PoolKey, list[PriceStep]]:
    """A region's day of UTC."""
    start = day.replace(hour=0, minute=0, second=0, microsecond=0)
    return region_between(session, region, start, start + DAY)


def canonical_checksum(session: Session, region: str) -> int:
    """A number that stays the same as long as no canonical step of the region changes."""
    query = (
        select(PriceSeries.zone, PriceSeries.instance_type, *_STEP)
        .join(PriceCanonical, PriceCanonical.series_id == PriceSeries.id)
        .where(PriceSeries.region == region)
        .order_by(PriceSeries.zone, PriceSeries.instance_type, PriceCanonical.from_at)
    )
    total = 0
    for line in _lines(session.execute(query.execution_options(yield_per=5000))):
        total = zlib.crc32(line, total)
    return total


def _lines(rows: Any) -> Iterator[bytes]:
    for row in rows:
        yield "|".join(map(str, row)).encode()


def _steps_of(zone: str, instance_type: str) -> Any:
    return select(*_STEP).where(PriceCanonical.series_id == _id_of(zone, instance_type))


def _id_of(zone: str, instance_type: str) -> Any:
    here = PriceSeries.zone == zone, PriceSeries.instance_type == instance_type
    return select(PriceSeries.id).where(*here).scalar_subquery()


def _step(row: Any) -> PriceStep:
    from_at, until_at, usd, kind, confidence, confirmed_at, source = row
    until = None if until_at is None else _moment(until_at)
    return PriceStep(_moment(from_at), until, usd, _KINDS[kind], confidence, _moment(confirmed_at), _SOURCES[source])


def _moment(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


def open_corrections(session: Session, limit: int = 1000) -> list[PriceCorrection]:
    """The oldest changes that are not settled. `until_at` None: the change has no end."""
    unsettled = PriceCorrection.settled_at.is_(None)
    return list(session.scalars(select(PriceCorrection).where(unsettled).order_by(PriceCorrection.id).limit(limit)))


def settle_corrections(session: Session, ids: Iterable[int], now: datetime) -> None:
    session.execute(update(PriceCorrection).where(PriceCorrection.id.in_(list(ids))).values(settled_at=now))
