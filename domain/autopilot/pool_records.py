"""What is known of one pool: a record of its availability, and one of its price. Each grows by one observation.

A record holds nothing from after its own time, so a decision made on it cannot look ahead.

The hazard of losing an instance falls with the time its pool has been up, from minutes to days, as
scale * (hours + offset) ** -power (fitted on public traces of scarce types, 2022 to 2023: what has been
up for 15 minutes is lost at about 1.1 an hour, for 2.5 hours at 0.3, for a day at 0.07). The expected
number of losses between two ages is its integral. A pool whose losses differ from what is expected of
it gets a factor, shrunk towards 1 by a gamma prior.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

AVAILABILITY_MEMORY_H = 24.0
LOSSES_MEMORY_H = 168.0
RECENT_LOSS, RECENT_LOSS_H = 1.0, 0.5  # for about half an hour a loss counts that much more


class OutOfOrder(ValueError):
    """An observation is older than the record it was to extend."""


@dataclass(frozen=True, slots=True)
class HazardShape:
    """Losses per hour of a pool that has been up for `h` hours: scale * (h + offset_h) ** -power."""

    scale: float = 0.6
    offset_h: float = 0.15
    power: float = 0.7

    def rate(self, up_h: float) -> float:
        return self.scale * math.pow(up_h + self.offset_h, -self.power)

    def expected(self, from_h: float, to_h: float) -> float:
        """Losses expected between two ages; the integral of the rate."""
        left = 1 - self.power
        if not left:
            return self.scale * math.log((to_h + self.offset_h) / (from_h + self.offset_h))
        return self.scale / left * (math.pow(to_h + self.offset_h, left) - math.pow(from_h + self.offset_h, left))

    def age(self, rate_per_h: float) -> float:
        """The hours up at which the hazard is this; 0 if it never is as high."""
        return max(0.0, math.pow(self.scale / rate_per_h, 1 / self.power) - self.offset_h)


SHAPE = HazardShape()


@dataclass(frozen=True, slots=True)
class Reliability:
    """One pool's availability as observed until `at_h`. Counts of losses decay, so that old evidence fades."""

    at_h: float
    up: bool
    since_h: float  # when it last came up or went down; for the first observation: that time, or earlier by its prior
    up_share: float = 0.0  # decayed hours up, as a part of AVAILABILITY_MEMORY_H
    seen_share: float = 0.0  # decayed hours observed, likewise
    losses: float = 0.0  # decayed
    expected: float = 0.0  # decayed: what the shape alone would have lost

    @property
    def availability(self) -> float:
        """Decaying mean over about a day, 0 to 1; before any time has passed, what it is now."""
        return self.up_share / self.seen_share if self.seen_share else float(self.up)

    @property
    def up_h(self) -> float:
        return self.at_h - self.since_h if self.up else 0.0

    def factor(self, prior_losses: float) -> float:
        """How many times more often it is lost than the shape says. `prior_losses` is the weight of a factor of 1."""
        return (prior_losses + self.losses) / (prior_losses + self.expected)


def first_observation(
    at_h: float, up: bool, prior_hazard_per_h: float | None = None, shape: HazardShape = SHAPE
) -> Reliability:
    """A record of one observation.

    A prior (such as the Spot Advisor's band as losses per hour) counts as the age at which the shape
    has that hazard: it fades as the pool grows older, and is forgotten at the first loss. Pass the `shape`
    with which the hazard will be computed, so that it starts as the prior says.
    """
    age = shape.age(prior_hazard_per_h) if prior_hazard_per_h else 0.0
    return Reliability(at_h, up, at_h - age if up else at_h)


def with_observation(record: Reliability, at_h: float, up: bool) -> Reliability:
    """Add one observation. Raise OutOfOrder if it is older than the record."""
    passed = at_h - record.at_h
    if passed < 0:
        raise OutOfOrder(f"observed at {at_h:.3f} h, but the record is of {record.at_h:.3f} h; sort them by time")
    day, week = math.exp(-passed / AVAILABILITY_MEMORY_H), math.exp(-passed / LOSSES_MEMORY_H)
    age = record.up_h
    lost = record.up and not up
    return Reliability(
        at_h=at_h,
        up=up,
        since_h=record.since_h if record.up == up else at_h,
        up_share=record.up_share * day + (1 - day) * record.up,
        seen_share=record.seen_share * day + (1 - day),
        losses=record.losses * week + lost,
        expected=record.expected * week + (SHAPE.expected(age, age + passed) if record.up else 0.0),
    )


def without_observation(record: Reliability, at_h: float) -> Reliability:
    """The record at a later time, when nothing was observed in between: evidence fades, and none is added.

    Raise OutOfOrder if that time is before the record's.
    """
    passed = at_h - record.at_h
    if passed < 0:
        raise OutOfOrder(f"asked for {at_h:.3f} h, but the record is of {record.at_h:.3f} h; sort by time")
    day, week = math.exp(-passed / AVAILABILITY_MEMORY_H), math.exp(-passed / LOSSES_MEMORY_H)
    return replace(
        record,
        at_h=at_h,
        up_share=record.up_share * day,
        seen_share=record.seen_share * day,
        losses=record.losses * week,
        expected=record.expected * week,
    )


def tightness(regions: Sequence[str], records: Sequence[Reliability]) -> list[float]:
    """For each record, how many other pools of its region are down more than is usual for them.

    Divided by their number plus 2, since one other pool says less than five. Above 0, capacity is short.
    """
    count: dict[str, int] = {}
    beyond: dict[str, float] = {}
    for region, record in zip(regions, records, strict=True):
        count[region] = count.get(region, 0) + 1
        beyond[region] = beyond.get(region, 0.0) + _beyond(record)
    return [
        (beyond[region] - _beyond(record)) / (count[region] + 1)
        for region, record in zip(regions, records, strict=True)
    ]


def _beyond(record: Reliability) -> float:
    """0 for a pool as it usually is; 1 for one that is down for the first time; more just after its loss."""
    if record.up:
        return record.availability - 1
    return record.availability + RECENT_LOSS * math.exp((record.since_h - record.at_h) / RECENT_LOSS_H)


CHANGES_MEMORY_H = 336.0


@dataclass(frozen=True, slots=True)
class PriceRecord:
    """A pool's price in USD per hour, as known at `at_h`. Its changes are decayed sums over about two weeks."""

    at_h: float
    usd: float
    changes: float = 0.0  # how many
    moved: float = 0.0  # the sum of their sizes, relative to the price before

    def typical_change(self, prior_changes: float, prior_size: float) -> float:
        """Usual size of a change, relative to the price. The prior loses weight as changes are seen."""
        return (prior_changes * prior_size + self.moved) / (prior_changes + self.changes)


def with_price(record: PriceRecord, at_h: float, usd: float) -> PriceRecord:
    """Add one price. Raise OutOfOrder if it is older than the record."""
    passed = at_h - record.at_h
    if passed < 0:
        raise OutOfOrder(f"priced at {at_h:.3f} h, but the record is of {record.at_h:.3f} h; sort prices by time")
    if usd == record.usd:
        return record
    keep = math.exp(-passed / CHANGES_MEMORY_H)
    return PriceRecord(at_h, usd, record.changes * keep + 1, record.moved * keep + abs(usd / record.usd - 1))
