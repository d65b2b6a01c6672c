"""A pool's prices as a series: the second tier (runs of an unchanged price) and the third (steps without a gap).

The second tier has one price per pool and minute; repeats are collapsed into runs. When several sources report a
price for one minute, EC2 counts before an agent, an agent before a file. Within one source the latest counts, and of
one instant the higher price, so that nothing looks cheaper than it may be. The order of arrival does not matter.

AWS repeats a price that does not change 24.0 hours after it was last said: of 184,015 gaps between two
rows of a pool, us-east-1 in 2021 (LucianaMarques/amazon-spot-dataset), 99 % are below 24.02 hours and 24
are above 26. So silence of up to `HOLD` means nothing: the same price within it is a repeat. After a longer
silence it is a new run, even at the same price.

The third tier has one step series per pool, without a gap from its first price on. A price holds until the next one,
since EC2's history lists every change. It is *observed* while it is repeated, and for `HOLD` after that. After a
longer silence the price is carried on as *filled*: the history may have a hole, or the pool is no longer sold.

Confidence is the chance that this is still exactly the price. While observed it is that of the source: EC2 1, an agent
0.9 (EC2's answer by way of a host that others may enter), a file 0.8. Once filled it halves with every day since the
price was last confirmed: of the pools of us-east-1 in 2021, 55 % had the same price a day later
(LucianaMarques/amazon-spot-dataset; in a quiet region, sa-east-1 in 2020, 88 %). The price itself is then seldom far
off: half of all changes are smaller than 0.2 %.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

from domain.market.observed_prices import PricePoint, PriceSource

HOLD = timedelta(hours=26)
_STRENGTH = {PriceSource.EC2: 2, PriceSource.AGENT: 1, PriceSource.FILE: 0}


class UnchangedPrice(NamedTuple):
    """A price from the moment it was first said until it was last said again, never more than HOLD in between."""

    at: datetime
    usd: Decimal  # per hour
    source: PriceSource
    last_at: datetime
    last_source: PriceSource


def minute_of(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


def consolidate(points: Iterable[PricePoint], known: Sequence[UnchangedPrice] = ()) -> list[UnchangedPrice]:
    """Turn one pool's points, in any order and any number of times, into runs in the order of time.

    `known`: runs that were found before, in the order of time. Their repeats may have been thinned out since; the
    run stays one run all the same.
    """
    winners = _winners(points)
    runs: list[UnchangedPrice] = []
    for minute in sorted(winners):
        at, usd, source = winners[minute]
        last = runs[-1] if runs else None
        if last is not None and last.usd == usd and (at - last.last_at <= HOLD or _held(known, last, at)):
            runs[-1] = UnchangedPrice(last.at, usd, last.source, at, source)
        else:
            runs.append(UnchangedPrice(at, usd, source, at, source))
    return runs


def merge_points(
    near: Sequence[UnchangedPrice], observed: Iterable[PricePoint], new: Iterable[PricePoint]
) -> list[UnchangedPrice]:
    """The runs that replace `near` once the points `new` are known.

    `near`: the last run that starts in a minute before every new point, all that start in between, and
    the first that starts in a minute after them. `observed`: every known point from the start of the first
    of these to the start of the last; none is needed when all new points are after the end of `near`.
    No other run of the pool changes, and the result is the same as if all points had come at once.
    """
    return consolidate([*_ends(near), *observed, *new], near)


def _ends(runs: Iterable[UnchangedPrice]) -> list[PricePoint]:
    points: list[PricePoint] = []
    for run in runs:
        points.append(PricePoint(run.at, run.usd, run.source))
        points.append(PricePoint(run.last_at, run.usd, run.last_source))
    return points


def _held(known: Sequence[UnchangedPrice], last: UnchangedPrice, at: datetime) -> bool:
    """Whether one known run covers both moments: then there were repeats between them."""
    place = bisect_right(known, minute_of(last.last_at), key=lambda run: minute_of(run.at))
    run = known[place - 1] if place else None
    return run is not None and run.usd == last.usd and minute_of(at) <= minute_of(run.last_at)


def _winners(points: Iterable[PricePoint]) -> dict[datetime, PricePoint]:
    winners: dict[datetime, PricePoint] = {}
    for point in points:
        minute = point.at.replace(second=0, microsecond=0)
        known = winners.get(minute)
        if known is None or _claim(point) > _claim(known):
            winners[minute] = point
    return winners


def _claim(point: PricePoint) -> tuple[int, datetime, Decimal]:
    return _STRENGTH[point.source], point.at, point.usd


HALF_LIFE = timedelta(hours=24)
TRUST = {PriceSource.EC2: 1.0, PriceSource.AGENT: 0.9, PriceSource.FILE: 0.8}


class PriceStepKind(StrEnum):
    OBSERVED = "observed"
    FILLED = "filled"


class PriceStep(NamedTuple):
    """A price from one moment to another (None: no end yet). `confidence` is that at its start."""

    from_at: datetime
    until_at: datetime | None
    usd: Decimal  # per hour
    kind: PriceStepKind
    confidence: float  # 0 to 1, four decimals
    confirmed_at: datetime  # when the price was last said
    source: PriceSource


class TimeSpan(NamedTuple):
    """A part of a pool's past; without an end (None), everything from a moment on."""

    from_at: datetime
    until_at: datetime | None


def price_steps(runs: Sequence[UnchangedPrice], until_at: datetime | None = None) -> list[PriceStep]:
    """Turn a pool's runs into its steps, in the order of time. `until_at`: where the run after them starts."""
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
    """The step in force at a moment; None before the first."""
    place = bisect_right(series, at, key=lambda step: step.from_at)
    if not place:
        return None
    step = series[place - 1]
    return step if step.until_at is None or at < step.until_at else None


def changed_spans(old: Sequence[PriceStep], new: Sequence[PriceStep]) -> list[TimeSpan]:
    """The spans in which the price differs, or was not known before; as few as possible."""
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
    """What to remove from the old and to insert from the new: everything but their common start and end."""
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
