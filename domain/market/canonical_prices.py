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

from domain.market.consolidated_prices import HOLD, UnchangedPrice
from domain.market.observed_prices import PriceSource

HALF_LIFE = timedelta(hours=24)
TRUST = {PriceSource.EC2: 1.0, PriceSource.AGENT: 0.9, PriceSource.FILE: 0.8}


class PriceStepKind(StrEnum):
    OBSERVED = "observed"
    FILLED = "filled"


class PriceStep(NamedTuple):
    """A price from one moment to another (None: until further notice). `confidence` is that at its start."""

    from_at: datetime
    until_at: datetime | None
    usd: Decimal  # per hour
    kind: PriceStepKind
    confidence: float  # 0 to 1, four decimals
    confirmed_at: datetime  # when the price was last said
    source: PriceSource


class TimeSpan(NamedTuple):
    """A part of a pool's past, or all from a moment on (None)."""

    from_at: datetime
    until_at: datetime | None


def price_steps(runs: Sequence[UnchangedPrice], until_at: datetime | None = None) -> list[PriceStep]:
    """The series of a pool's runs, in the order of time; `until_at`: where the run after them starts."""
    series: list[PriceStep] = []
    ends: list[datetime | None] = [*(run.at for run in runs[1:]), until_at]
    for run, next_at in zip(runs, ends, strict=False):
        ends_at = run.last_at + HOLD
        source = max(run.source, run.last_source, key=TRUST.__getitem__)
        if next_at is not None and next_at <= ends_at:
            series.append(
                PriceStep(run.at, next_at, run.usd, PriceStepKind.OBSERVED, TRUST[source], run.last_at, source)
            )
            continue
        series.append(PriceStep(run.at, ends_at, run.usd, PriceStepKind.OBSERVED, TRUST[source], run.last_at, source))
        series.append(
            PriceStep(
                ends_at, next_at, run.usd, PriceStepKind.FILLED, faded_confidence(source, HOLD), run.last_at, source
            )
        )
    return series


def faded_confidence(source: PriceSource, silence: timedelta) -> float:
    """Confidence in a price of this source when nothing has confirmed it for so long."""
    trust = TRUST[source]
    return round(trust if silence < HOLD else trust * 0.5 ** (silence / HALF_LIFE), 4)


def confidence_at(step: PriceStep, at: datetime) -> float:
    """Confidence in the step's price at a moment within it."""
    return (
        step.confidence
        if step.kind is PriceStepKind.OBSERVED
        else faded_confidence(step.source, at - step.confirmed_at)
    )


def step_at(series: Sequence[PriceStep], at: datetime) -> PriceStep | None:
    """The step of a moment; None before the first."""
    place = bisect_right(series, at, key=lambda step: step.from_at)
    if not place:
        return None
    step = series[place - 1]
    return step if step.until_at is None or at < step.until_at else None


def changed_spans(old: Sequence[PriceStep], new: Sequence[PriceStep]) -> list[TimeSpan]:
    """Where the price differs, or was not known before: as few spans as there can be."""
    if not old:
        return [TimeSpan(new[0].from_at, new[-1].until_at)] if new else []
    edges = sorted({step.from_at for step in (*old, *new)} | {s.until_at for s in (*old, *new) if s.until_at})
    ends_open = any(series and series[-1].until_at is None for series in (old, new))
    spans: list[TimeSpan] = []
    for from_at, until_at in pairwise([*edges, None] if ends_open else edges):
        if from_at is not None and _usd(old, from_at) != _usd(new, from_at):
            _append(spans, from_at, until_at)
    return spans


def differing_slices(old: Sequence[NamedTuple], new: Sequence[NamedTuple]) -> tuple[slice, slice]:
    """What to take out of the old and what to put in from the new: all but their common start and end."""
    most = min(len(old), len(new))
    head = next((i for i in range(most) if old[i] != new[i]), most)
    tail = next((i for i in range(most - head) if old[-1 - i] != new[-1 - i]), most - head)
    return slice(head, len(old) - tail), slice(head, len(new) - tail)


def _usd(series: Sequence[PriceStep], at: datetime) -> Decimal | None:
    step = step_at(series, at)
    return step.usd if step else None


def _append(spans: list[TimeSpan], from_at: datetime, until_at: datetime | None) -> None:
    if spans and spans[-1].until_at == from_at:
        spans[-1] = TimeSpan(spans[-1].from_at, until_at)
    else:
        spans.append(TimeSpan(from_at, until_at))
