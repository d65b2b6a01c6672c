"""Prices as steps of whole micro-dollars, and what of a time they cover."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

from domain.market.observed_prices import PoolKey
from domain.market.price_series import PriceStep, PriceStepKind
from domain.savings.amounts import micro_usd

_EVER = datetime(1, 1, 1, tzinfo=UTC)


class PricePeriod(NamedTuple):
    """A price per hour from one moment to another (None: until further notice)."""

    from_at: datetime
    until_at: datetime | None
    micro_usd: int
    filled: bool = False  # carried on through a silence of its source


@dataclass(frozen=True)
class RegionPrices:
    """A region's. Each series is in the order of time and does not overlap itself."""

    spot: Mapping[PoolKey, Sequence[PricePeriod]] = field(default_factory=dict)
    on_demand: Mapping[str, Sequence[PricePeriod]] = field(default_factory=dict)  # by instance type


def spot_series(steps: Iterable[PriceStep]) -> list[PricePeriod]:
    return [
        PricePeriod(one.from_at, one.until_at, micro_usd(one.usd), one.kind is PriceStepKind.FILLED) for one in steps
    ]


def on_demand_series(valid: Sequence[tuple[datetime, Decimal]]) -> list[PricePeriod]:
    """Of prices in the order of `valid_from`. What lies before the first is taken to have cost the same."""
    starts = [_EVER, *(since for since, _ in valid[1:])]
    ends: list[datetime | None] = [*starts[1:], None]
    return [PricePeriod(start, end, micro_usd(usd)) for start, end, (_, usd) in zip(starts, ends, valid, strict=True)]


def periods_within(series: Sequence[PricePeriod], from_at: datetime, until_at: datetime) -> Iterator[PricePeriod]:
    """The parts of the time that have a price, each cut to it."""
    place = max(0, bisect_right(series, from_at, key=lambda one: one.from_at) - 1)
    for one in series[place:]:
        if one.from_at >= until_at:
            return
        start = max(one.from_at, from_at)
        end = until_at if one.until_at is None else min(one.until_at, until_at)
        if start < end:
            yield PricePeriod(start, end, one.micro_usd, one.filled)
