"""What we lived through in a pool, as the decision policy's record of its reliability.

Evidence is what somebody of ours has seen: an instance of ours that ran there, a launch that was refused,
a notice, an instance that was lost. Of the rest of the time nothing is known, and nothing is counted: what
was learnt only fades. A pool that nobody of ours was ever in is as the Spot Advisor's band says.

How long a pool is without capacity after a loss is seen by nobody who does not try. It is taken for
`CLOSED_H`, or until a launch there succeeds; for as long nobody is sent there (see offers).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from domain.autopilot.pool_records import Reliability, first_observation, with_observation, without_observation
from domain.autopilot.tuning import SHAPE_WITH_RECORD
from domain.market.pool_facts import PoolFact, PoolFactKind

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
    """The record of one pool at `at_h`; nothing later is looked at. In whatever order the facts come."""
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
    """Whenever anything changes, in the order of time; the last is now."""
    found = {at_h, *downs, *opened, *(down + CLOSED_H for down in downs)}
    found.update(edge for stay in watched for edge in stay)
    return sorted(moment for moment in found if moment <= at_h)


def _until(record: Reliability, at_h: float, watched: Sequence[InstanceStay]) -> Reliability:
    """Nothing has happened since the record. A closed pool counts as seen: it is what its loss says."""
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
