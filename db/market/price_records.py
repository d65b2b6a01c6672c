"""Each pool's price as the decision policy knows it: now, and how far it usually changes. From the canonical series."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.market.pool_prices import collected_until
from db.tables import PriceCanonical, PriceSeries
from domain.autopilot.price_record import PriceRecord, with_price
from domain.market.consolidated_prices import HOLD
from domain.market.contract import STALE_AFTER, spot_collection
from domain.market.observed_prices import PoolKey

MEMORY = timedelta(days=42)  # three times what a change is remembered
_AT_ONCE = 400  # see db.market.canonical


@dataclass(frozen=True)
class RecordedPrices:
    """A region's pools. `collected`: of late, so that a pool without a price is not sold; else ask EC2 itself.

    `current`: pools whose price was said within a day or so; whether the others are still sold, EC2 knows.
    """

    collected: bool = False
    prices: dict[PoolKey, PriceRecord] = field(default_factory=dict)
    current: frozenset[PoolKey] = frozenset()


class PriceRecords:
    """Reads a region's records; of the series that have not changed since, the work is done once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, PriceRecord]] = {}  # series -> its version and what that came to
        self._lock = threading.Lock()

    def of(self, session: Session, region: str, now: datetime) -> RecordedPrices:
        """Of every pool of the region that was ever priced."""
        until = collected_until(session, spot_collection(region))
        query = select(
            PriceSeries.id, PriceSeries.version, PriceSeries.zone, PriceSeries.instance_type, PriceSeries.tail_last_at
        ).where(PriceSeries.region == region, PriceSeries.tail_at.is_not(None))
        rows = session.execute(query).all()
        with self._lock:
            self._read(session, [(row.id, row.version) for row in rows], now)
            known = {row.id: self._known[row.id][1] for row in rows if row.id in self._known}
        return RecordedPrices(
            collected=until is not None and until >= now - STALE_AFTER,
            prices={(row.zone, row.instance_type): known[row.id] for row in rows if row.id in known},
            current=frozenset(
                (row.zone, row.instance_type)
                for row in rows
                if row.tail_last_at is not None and now - row.tail_last_at <= HOLD
            ),
        )

    def _read(self, session: Session, wanted: Iterable[tuple[int, int]], now: datetime) -> None:
        versions = {number: version for number, version in wanted if self._known.get(number, (-1,))[0] != version}
        numbers = sorted(versions)
        for first in range(0, len(numbers), _AT_ONCE):
            some = numbers[first : first + _AT_ONCE]
            found = _records(session, some, now - MEMORY)
            self._known |= {number: (versions[number], record) for number, record in found.items()}


def _records(session: Session, numbers: Sequence[int], since: datetime) -> dict[int, PriceRecord]:
    """Of each series, its steps since then; of one that has none, the step in force."""
    row = PriceCanonical
    query = select(row.series_id, row.from_at, row.usd_per_hour).where(row.series_id.in_(numbers))
    steps = session.execute(query.where(row.from_at >= since).order_by(row.series_id, row.from_at)).all()
    by_series = groupby(steps, key=lambda step: step[0])
    found = {number: _folded([(at, float(usd)) for _, at, usd in some]) for number, some in by_series}
    for number in set(numbers) - set(found):
        last = select(row.from_at, row.usd_per_hour).where(row.series_id == number).order_by(row.from_at.desc())
        if (step := session.execute(last.limit(1)).first()) is not None:
            found[number] = _folded([(step[0], float(step[1]))])
    return found


def _folded(steps: Sequence[tuple[datetime, float]]) -> PriceRecord:
    first_at, first_usd = steps[0]
    record = PriceRecord(first_at.timestamp() / 3600, first_usd)
    for at, usd in steps[1:]:
        record = with_price(record, at.timestamp() / 3600, usd)
    return record
