"""A step series made short enough to be drawn, without hiding how high or low it went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from domain.market.instance_cost import instance_cost
from domain.market.price_series import PriceStep, PriceStepKind, confidence_at


@dataclass(frozen=True, slots=True)
class ChartPiece:
    """A part of the time. `usd_per_hour`: the mean over it. Of a single step all three are its price.

    `kind` is observed when all of it was; `confidence` is the lowest in it, at its end.
    """

    from_at: datetime
    until_at: datetime
    usd_per_hour: float
    min_usd_per_hour: float
    max_usd_per_hour: float
    kind: PriceStepKind
    confidence: float


def chart_pieces(series: Sequence[PriceStep], from_at: datetime, until_at: datetime, most: int) -> list[ChartPiece]:
    """The steps within the time, cut to it; neighbours are put together until there are at most `most` of them.

    Raise ValueError when the times are not in order or `most` is below 1.
    """
    if not from_at < until_at or most < 1:
        raise ValueError(f"no chart of {most} pieces from {from_at.isoformat()} to {until_at.isoformat()}")
    within = [step for step in series if step.from_at < until_at and (step.until_at or until_at) > from_at]
    if len(within) <= most:
        return [_piece([step], from_at, until_at) for step in within]
    length = (until_at - from_at) / most
    groups: dict[int, list[PriceStep]] = {}
    for step in within:  # by when it starts: every step is in one piece, and no piece is empty
        groups.setdefault(int((max(step.from_at, from_at) - from_at) / length), []).append(step)
    return [_piece(group, from_at, until_at) for group in groups.values()]


def _piece(steps: Sequence[PriceStep], from_at: datetime, until_at: datetime) -> ChartPiece:
    start = max(steps[0].from_at, from_at)
    end = min(steps[-1].until_at or until_at, until_at)
    prices = [float(step.usd) for step in steps]
    mean = instance_cost(steps, start, end).mean_usd_per_hour
    return ChartPiece(
        from_at=start,
        until_at=end,
        usd_per_hour=prices[0] if mean is None else round(float(mean), 6),
        min_usd_per_hour=min(prices),
        max_usd_per_hour=max(prices),
        kind=PriceStepKind.OBSERVED
        if all(step.kind is PriceStepKind.OBSERVED for step in steps)
        else PriceStepKind.FILLED,
        confidence=min(confidence_at(step, min(step.until_at or end, end)) for step in steps),
    )
