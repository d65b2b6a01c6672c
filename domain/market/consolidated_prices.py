"""The second tier: one price per pool and minute, with what only repeats it collapsed into runs.

Whose word counts, when several speak of one pool in one minute: EC2's before an agent's before a file's;
of one source the latest within the minute; of one instant the dearer, so that nothing looks cheaper than
it may be. A minute's winner does not depend on the order in which the words came.

AWS repeats a price that does not change 24.0 hours after it was last said: of 184,015 gaps between two
rows of a pool, us-east-1 in 2021 (LucianaMarques/amazon-spot-dataset), 99 % are below 24.02 hours and 24
are above 26. So silence of up to `HOLD` says nothing; what is said again within it is a repeat, and after
a longer silence it is news: a run of its own, even at the same price.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
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
    """One pool's points, in any order and any number of times, as runs in the order of time.

    `known`: runs that were found before, in the order of time. Repeats within one of them, which may have
    been thinned out since, still hold it together.
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
    """The runs that take the place of `near`, once `new` is known.

    `near`: the last run that starts in a minute before every new point, all that start in between, and
    the first that starts in a minute after them. `observed`: every known point from the start of the first
    of these to the start of the last; when all that is new comes after the last word of `near`, none is
    needed. Then no other run of the pool is touched, and the result is as if all points had come at once.
    """
    return consolidate([*_ends(near), *observed, *new], near)


def _ends(runs: Iterable[UnchangedPrice]) -> list[PricePoint]:
    points: list[PricePoint] = []
    for run in runs:
        points.append(PricePoint(run.at, run.usd, run.source))
        points.append(PricePoint(run.last_at, run.usd, run.last_source))
    return points


def _held(known: Sequence[UnchangedPrice], last: UnchangedPrice, at: datetime) -> bool:
    """One known run holds both moments. Neighbours of its price that do had repeats of it between them."""
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
