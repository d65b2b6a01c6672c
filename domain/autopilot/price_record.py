"""What is known of one pool's price: now, and how far its changes usually go."""

from __future__ import annotations

import math
from dataclasses import dataclass

from domain.autopilot.reliability import OutOfOrder

MEMORY_H = 336.0


@dataclass(frozen=True, slots=True)
class PriceRecord:
    """USD per hour until `at_h`. Changes are decayed sums over about two weeks."""

    at_h: float
    usd: float
    changes: float = 0.0  # how many
    moved: float = 0.0  # the sum of their sizes, relative to the price before

    def typical_change(self, prior_changes: float, prior_size: float) -> float:
        """Size of a usual change relative to the price; the prior loses weight as changes come."""
        return (prior_changes * prior_size + self.moved) / (prior_changes + self.changes)


def with_price(record: PriceRecord, at_h: float, usd: float) -> PriceRecord:
    """The record with one more price. Raise OutOfOrder if it is older than the record."""
    passed = at_h - record.at_h
    if passed < 0:
        raise OutOfOrder(f"priced at {at_h:.3f} h, but the record is of {record.at_h:.3f} h; sort prices by time")
    if usd == record.usd:
        return record
    keep = math.exp(-passed / MEMORY_H)
    return PriceRecord(at_h, usd, record.changes * keep + 1, record.moved * keep + abs(usd / record.usd - 1))
