"""Amounts of the ledger: whole micro-dollars and seconds, so that they add up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Amounts(NamedTuple):
    """What a time cost, by part; what on-demand of the original type would have cost; and how well both are known.

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
        """Less than nothing where it cost more."""
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
