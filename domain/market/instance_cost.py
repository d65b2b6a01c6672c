"""What an instance in a pool costs over some time: the exact integral of the pool's step series.

Prices have six decimals and times are whole microseconds, so sums are taken in whole millionths of a
dollar times microseconds: parts of an interval add up to it, however it is cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from domain.market.price_series import PriceStep

HOUR = timedelta(hours=1)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class InstanceCost:
    """The cost of one instance from `from_at` to `until_at`, as far as its price is known."""

    from_at: datetime
    until_at: datetime
    micro_usd_us: int  # millionths of a dollar per hour, times microseconds
    known_us: int  # microseconds of it with a price

    @property
    def usd_seconds(self) -> Decimal:
        """USD per hour times seconds; exact. The cost in USD is this by 3600."""
        return Decimal(self.micro_usd_us).scaleb(-12)

    @property
    def usd(self) -> Decimal:
        """The cost, to 28 digits."""
        return self.usd_seconds / 3600

    @property
    def mean_usd_per_hour(self) -> Decimal | None:
        """The mean price of the time with a price, to 28 digits; None when there is none."""
        return Decimal(self.micro_usd_us) / self.known_us / 1_000_000 if self.known_us else None

    @property
    def known(self) -> float:
        """The part of the time with a price, 0 to 1."""
        return self.known_us / ((self.until_at - self.from_at) // _MICROSECOND)


def instance_cost(series: Iterable[PriceStep], from_at: datetime, until_at: datetime) -> InstanceCost:
    """The cost between two moments. Raise ValueError when they are not in order."""
    if not from_at < until_at:
        raise ValueError(f"{from_at.isoformat()} is not before {until_at.isoformat()}")
    total = known = 0
    for step in series:
        start = max(step.from_at, from_at)
        end = until_at if step.until_at is None else min(step.until_at, until_at)
        if start < end:
            length = (end - start) // _MICROSECOND
            total += int(step.usd.scaleb(6)) * length
            known += length
    return InstanceCost(from_at, until_at, total, known)


def whole_hours(from_at: datetime, until_at: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The whole hours of UTC that overlap the interval."""
    start = from_at.replace(minute=0, second=0, microsecond=0)
    while start < until_at:
        yield start, start + HOUR
        start += HOUR


def instance_cost_by_hour(series: list[PriceStep], from_at: datetime, until_at: datetime) -> list[InstanceCost]:
    """One for each whole hour that overlaps the interval, in the order of time."""
    return [instance_cost(series, start, end) for start, end in whole_hours(from_at, until_at)]
