"""Amounts of the savings ledger: whole micro-dollars and seconds, so that they add up; and how they are rounded.

An amount is computed exactly (`domain.market.instance_cost`: micro-dollars per hour times microseconds) and rounded
once, when it becomes a part of an entry: to whole millionths of a dollar, half to even. Everything above an entry is a
sum of whole numbers, so hours, days, months, servers and clients agree to the last digit, however they are grouped.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

US_PER_HOUR = 3_600_000_000
MICRO_PER_USD = 1_000_000


def rounded(micro_usd_us: int) -> int:
    """Micro-dollars per hour times microseconds, as whole micro-dollars, half to even."""
    whole, rest = divmod(micro_usd_us, US_PER_HOUR)
    twice = 2 * rest
    return whole + (twice > US_PER_HOUR or (twice == US_PER_HOUR and whole % 2 == 1))


def micro_usd(usd: Decimal) -> int:
    """A price of six decimals as a whole number."""
    return int(usd.scaleb(6))


def usd(micro: int) -> Decimal:
    """Whole micro-dollars as dollars of six decimals; exact."""
    return Decimal(micro).scaleb(-6)


class Amounts(NamedTuple):
    """What some time cost, by part; what on-demand of the original type would have cost; how well both are known.

    A primary's time counts on both sides only where both its prices are known; the rest is `unpriced_s`.
    """

    primary: int = 0  # micro-dollars, here and below
    replica: int = 0
    overlap: int = 0
    snapshot: int = 0
    on_demand: int = 0
    unpriced_s: int = 0  # instance-seconds without a known price: in none of the sums
    filled_s: int = 0  # instance-seconds at a price that was carried on through a silence

    @property
    def cost(self) -> int:
        return self.primary + self.replica + self.overlap + self.snapshot

    @property
    def saved(self) -> int:
        """Negative where it cost more."""
        return self.on_demand - self.cost

    def plus(self, other: Amounts) -> Amounts:
        return Amounts(*(ours + theirs for ours, theirs in zip(self, other, strict=True)))

    def minus(self, other: Amounts) -> Amounts:
        return Amounts(*(ours - theirs for ours, theirs in zip(self, other, strict=True)))


NOTHING = Amounts()


def total(amounts: Iterable[Amounts]) -> Amounts:
    found = NOTHING
    for one in amounts:
        found = found.plus(one)
    return found
