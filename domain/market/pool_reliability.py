"""A pool's reliability record, made from what happened to us there.

Evidence is what we have seen ourselves: an instance of ours that ran there, a launch that was refused, a notice, an
instance that was lost. Nothing is known of the rest of the time, and nothing is counted: older evidence only fades.
A pool where we never were is rated by the band of the Spot Advisor.

How long a pool has no capacity after a loss can only be seen by trying. So it counts as closed for `CLOSED_H`, or
until a launch there succeeds. The autopilot sends nobody there meanwhile (see domain.autopilot.pool_supply).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from domain.autopilot.pool_records import Reliability, first_observation, with_observation, without_observation
from domain.autopilot.tuning import SHAPE_WITH_RECORD
from domain.pools import Pool


class PoolFactKind(StrEnum):
    NO_CAPACITY = "no_capacity"  # a launch was refused
    LAUNCHED = "launched"  # `seconds` from the request until it ran
    NOTICE = "notice"  # an interruption was announced
    REBALANCE = "rebalance"  # a rebalance recommendation
    LOST = "lost"  # an instance ended, and not by us


@dataclass(frozen=True, slots=True)
class PoolFact:
    """One thing that happened to us in a pool. `fact_id` names it, so that it is written once: a notice's ID, or an
    attempt's client token."""

    fact_id: str
    region: str
    pool: Pool
    kind: PoolFactKind
    at: datetime
    seconds: float | None = None


CLOSED_H = 0.5
MEMORY_H = 672.0  # four weeks: what is older weighs less than a fiftieth
_DOWN = frozenset({PoolFactKind.NO_CAPACITY, PoolFactKind.NOTICE, PoolFactKind.LOST})


class InstanceStay(NamedTuple):
    """A time in which at least one instance of ours ran in the pool, hours."""

    from_h: float
    until_h: float


def pool_reliability(
    facts: Iterable[PoolFact], stays: Iterable[InstanceStay], prior_hazard_per_h: float | None, at_h: float
) -> Reliability:
    """The record of one pool at `at_h`. Later facts are ignored; the order of the facts does not matter."""
    downs = sorted(hour for fact in facts if fact.kind in _DOWN and (hour := _hour(fact)) <= at_h)
    opened = sorted(hour for fact in facts if fact.kind is PoolFactKind.LAUNCHED and (hour := _hour(fact)) <= at_h)
    watched = _merged(stay for stay in stays if stay.from_h <= at_h)
    moments = _moments(downs, opened, watched, at_h)
    record, closed_until = first_observation(moments[0], True, prior_hazard_per_h, SHAPE_WITH_RECORD), moments[0]
    losses, launches = set(downs), set(opened)
    for moment in moments:
        record = _until(record, moment, watched)
        if moment in losses:
            record, closed_until = with_observation(record, moment, False), moment + CLOSED_H
        elif moment in launches or moment >= closed_until:
            record, closed_until = with_observation(record, moment, True), moment
    return record


def _moments(
    downs: Sequence[float], opened: Sequence[float], watched: Sequence[InstanceStay], at_h: float
) -> list[float]:
    """The moments at which anything changes, in the order of time; the last is now."""
    found = {at_h, *downs, *opened, *(down + CLOSED_H for down in downs)}
    found.update(edge for stay in watched for edge in stay)
    return sorted(moment for moment in found if moment <= at_h)


def _until(record: Reliability, at_h: float, watched: Sequence[InstanceStay]) -> Reliability:
    """Continue the record to `at_h` without an event. A closed pool counts as observed, because of its loss."""
    middle = (record.at_h + at_h) / 2
    seen = not record.up or any(stay.from_h <= middle <= stay.until_h for stay in watched)
    return with_observation(record, at_h, record.up) if seen else without_observation(record, at_h)


def _merged(stays: Iterable[InstanceStay]) -> list[InstanceStay]:
    found: list[InstanceStay] = []
    for stay in sorted(stays):
        if found and stay.from_h <= found[-1].until_h:
            found[-1] = InstanceStay(found[-1].from_h, max(found[-1].until_h, stay.until_h))
        else:
            found.append(stay)
    return found


def _hour(fact: PoolFact) -> float:
    return fact.at.timestamp() / 3600
