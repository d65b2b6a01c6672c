"""The cheapest way through a market that is known in advance, by dynamic programming.

Backwards: the cost to go from each place at a tick is the price of the best next place plus what the
change costs. It obeys the rules of `billing`; it may leave one tick before a loss. While nothing
changes, a move at the first or the last tick is as good as any between, so only those are looked at.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from backtest.market import ON_DEMAND, Market, Window

INFINITE = float("inf")


class Clairvoyant:
    """`weight`: hours of on-demand that an hour of outage costs. Places are numbered with on-demand first."""

    def __init__(self, market: Market, window: Window, weight: float) -> None:
        self._window, self._costs = window, _Costs(market, weight)
        self._marks = _marks(market, window)
        self._to_go = self._backwards(market)

    def least(self) -> float:
        """USD, from nowhere: the first launch is free."""
        return min(self._to_go[self._window.start])

    def least_from(self, pool: int) -> float:
        """USD when it begins there, and may leave at once."""
        start = self._window.start
        stay = self._to_go[start][pool + 1]
        return min(stay, self.least() + self._costs.leave(start)[pool + 1])

    def path(self, came_from: int | None = None) -> list[int]:
        """The place at each tick, of the way that costs the least. `came_from`: None is nowhere."""
        place, found = came_from, list[int]()
        for tick, until in zip(self._marks, [*self._marks[1:], self._window.stop], strict=True):
            to_go = self._to_go[tick]
            best = min(range(len(to_go)), key=to_go.__getitem__)
            if place is None or to_go[place + 1] > to_go[best] + self._costs.leave(tick)[place + 1]:
                place = best + ON_DEMAND
            found += [place] * (until - tick)
        return found

    def _backwards(self, market: Market) -> dict[int, list[float]]:
        """Cost from each mark to the end, by the place chosen at it."""
        to_go, until = [0.0] * (1 + len(market.pools)), self._window.stop
        found: dict[int, list[float]] = {}
        for tick in reversed(self._marks):
            if until < self._window.stop:
                best, leave = min(to_go), self._costs.leave(until)
                to_go = [stay if stay < best + usd else best + usd for stay, usd in zip(to_go, leave, strict=True)]
            hours = (until - tick) * market.gap_h
            to_go = [usd + hours * per_h for usd, per_h in zip(to_go, self._costs.be(tick), strict=True)]
            until = tick
            found[tick] = to_go
        return found


class _Costs:
    """What it costs to be in each place at a tick, per hour, and to have left it; on-demand first."""

    def __init__(self, market: Market, weight: float) -> None:
        self._market = market
        self._lost_usd = weight * market.on_demand_usd * market.rules.outage_h if weight else 0.0
        self._known: dict[tuple[Sequence[bool], Sequence[float]], tuple[list[float], list[float]]] = {}

    def be(self, tick: int) -> list[float]:
        return self._at(tick)[0]

    def leave(self, tick: int) -> list[float]:
        return self._at(tick)[1]

    def _at(self, tick: int) -> tuple[list[float], list[float]]:
        """Most ticks are like some other, so each kind is reckoned once."""
        key = self._market.up[tick], self._market.prices[tick]
        found = self._known.get(key)
        if found is None:
            places, on_demand = list(zip(*key, strict=True)), self._market.on_demand_usd
            be = [on_demand, *(usd if up else INFINITE for up, usd in places)]
            overlap_h = self._market.rules.overlap_h
            leave = [overlap_h * usd if up else self._lost_usd for up, usd in places]
            found = self._known[key] = be, [overlap_h * on_demand, *leave]
        return found


def _marks(market: Market, window: Window) -> list[int]:
    """The first tick, and before and at each change of what is up or of a price."""
    changes = market.changes[bisect_right(market.changes, window.start) : bisect_left(market.changes, window.stop)]
    return sorted({window.start, *changes, *(tick - 1 for tick in changes)})
