"""The third tier: one gapless step series per pool, from its first price on, each step observed or filled.

A price that EC2 has told holds until the next one: its history lists every change. It is *observed* while
it is repeated, and for `HOLD` after that, when silence still says nothing. After a longer silence the price
is carried on as *filled*: the history may have been collected with a hole, or the pool is no longer sold.

Confidence is the chance that this is still the very price. While observed it is its source's: EC2 1, an
agent 0.9 (EC2's word through a host that others may enter), a file 0.8. Once filled it halves with every
day since the price was last confirmed: of the pools of us-east-1 in 2021, 55 % had the same price a day
later (LucianaMarques/amazon-spot-dataset; in a quiet region, sa-east-1 in 2020, 88 %). The price itself is
then seldom far off: half of all changes are smaller than 0.2 %.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

from domain.market.consolidated_prices import HOLD, Run
from domain.market.observed_prices import Source

HALF_LIFE = timedelta(hours=24)
TRUST = {Source.EC2: 1.0, Source.AGENT: 0.9, Source.FILE: 0.8}


class Kind(StrEnum):
    OBSERVED = "observed"
    FILLED = "filled"


class Step(NamedTuple):
    """A price from one moment to another (None: until further notice). `confidence` is that at its start."""

    from_at: datetime
    until_at: datetime | None
    usd: Decimal  # per hour
    kind: Kind
    confidence: float  # 0 to 1, four decimals
    confirmed_at: datetime  # when the price was last said
    source: Source


class Span(NamedTuple):
    """A part of a pool's past, or all from a moment on (None)."""

    from_at: datetime
    until_at: datetime | None


def steps(runs: Sequence[Run], until_at: datetime | None = None) -> list[Step]:
    """The series of a pool's runs, in the order of time; `until_at`: where the run after them starts."""
    series: list[Step] = []
    ends: list[datetime | None] = [*(run.at for run in runs[1:]), until_at]
    for run, next_at in zip(runs, ends, strict=False):
        ends_at = run.last_at + HOLD
        source = max(run.source, run.last_source, key=TRUST.__getitem__)
        if next_at is not None and next_at <= ends_at:
            series.append(Step(run.at, next_at, run.usd, Kind.OBSERVED, TRUST[source], run.last_at, source))
            continue
        series.append(Step(run.at, ends_at, run.usd, Kind.OBSERVED, TRUST[source], run.last_at, source))
        series.append(Step(ends_at, next_at, run.usd, Kind.FILLED, faded(source, HOLD), run.last_at, source))
    return series


def faded(source: Source, silence: timedelta) -> float:
    """Confidence in a price of this source when nothing has confirmed it for so long."""
    trust = TRUST[source]
    return round(trust if silence < HOLD else trust * 0.5 ** (silence / HALF_LIFE), 4)


def confidence_at(step: Step, at: datetime) -> float:
    """Confidence in the step's price at a moment within it."""
    return step.confidence if step.kind is Kind.OBSERVED else faded(step.source, at - step.confirmed_at)


def in_force(series: Sequence[Step], at: datetime) -> Step | None:
    """The step of a moment; None before the first."""
    place = bisect_right(series, at, key=lambda step: step.from_at)
    if not place:
        return None
    step = series[place - 1]
    return step if step.until_at is None or at < step.until_at else None


def changed(old: Sequence[Step], new: Sequence[Step]) -> list[Span]:
    """Where the price differs, or was not known before: as few spans as there can be."""
    if not old:
        return [Span(new[0].from_at, new[-1].until_at)] if new else []
    edges = sorted({step.from_at for step in (*old, *new)} | {s.until_at for s in (*old, *new) if s.until_at})
    ends_open = any(series and series[-1].until_at is None for series in (old, new))
    spans: list[Span] = []
    for from_at, until_at in pairwise([*edges, None] if ends_open else edges):
        if from_at is not None and _usd(old, from_at) != _usd(new, from_at):
            _append(spans, from_at, until_at)
    return spans


def differing(old: Sequence[NamedTuple], new: Sequence[NamedTuple]) -> tuple[slice, slice]:
    """What to take out of the old and what to put in from the new: all but their common start and end."""
    most = min(len(old), len(new))
    head = next((i for i in range(most) if old[i] != new[i]), most)
    tail = next((i for i in range(most - head) if old[-1 - i] != new[-1 - i]), most - head)
    return slice(head, len(old) - tail), slice(head, len(new) - tail)


def _usd(series: Sequence[Step], at: datetime) -> Decimal | None:
    step = in_force(series, at)
    return step.usd if step else None


def _append(spans: list[Span], from_at: datetime, until_at: datetime | None) -> None:
    if spans and spans[-1].until_at == from_at:
        spans[-1] = Span(spans[-1].from_at, until_at)
    else:
        spans.append(Span(from_at, until_at))
