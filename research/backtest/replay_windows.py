"""Which parts of a series are replayed: a fixed seed, so that every run sees the same."""

from __future__ import annotations

import random

from domain.backtest.errors import NoData
from domain.backtest.market_history import MarketHistory, TickWindow

WEEK_H = 168.0
SEED = 7


def windows(market: MarketHistory, starts: int, part: TickWindow | None = None) -> list[TickWindow]:
    """`starts` windows of seven days, at random in `part` (all of it); one of the whole if it is shorter."""
    part = (part or TickWindow(0, market.ticks)).checked(market)
    length = min(round(WEEK_H / market.gap_h), part.stop - part.start)
    if length < 1:
        raise NoData(f"{market.name} is too short for a window")
    chance = random.Random(SEED)  # noqa: S311 - not a secret
    if part.stop - part.start == length:
        return [part]
    begins = sorted(chance.randint(part.start, part.stop - length) for _ in range(starts))
    return [TickWindow(at, at + length) for at in begins]


def halves(market: MarketHistory) -> tuple[TickWindow, TickWindow] | None:
    """The first half in time, on which parameters were chosen, and the second; None if they hold no week each."""
    middle = market.ticks // 2
    if middle * market.gap_h < WEEK_H:
        return None
    return TickWindow(0, middle), TickWindow(middle, market.ticks)
