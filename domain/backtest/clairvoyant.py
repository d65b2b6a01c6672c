"""The cheapest way through a market that is known in advance, by dynamic programming.

It works backwards: the remaining cost from each place at a tick is that of the best next place plus the cost of the
move. It follows the rules of `billing`, and may leave one tick before a loss. While nothing changes, a move at the
first or the last tick is as good as any between them, so only those two are considered.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from domain.autopilot.move_cost import MoveProfile
from domain.backtest.market_history import ON_DEMAND, MarketHistory, TickWindow

INFINITE = float("inf")


class Clairvoyant:
    """`weight`: hours of on-demand that an hour of outage costs. Places are numbered with on-demand first."""

    def __init__(self, market: MarketHistory, window: TickWindow, weight: float) -> None:
        self._window, self._costs = window, _Costs(market, weight)
        self._marks = _marks(market, window)
        self._to_go = self._backwards(market)

    def least(self) -> float:
        """USD, from nowhere: the first launch is free."""
        return min(self._to_go[self._window.start])

    def least_from(self, pool: int) -> float:
        """USD when it begins there, and may leave at once."""
        start = self._window.start
        return self._costs.onward(start, self._to_go[start])[pool - ON_DEMAND]

    def path(self, came_from: int | None = None) -> list[int]:
        """The place at each tick, on the cheapest path. `came_from`: the place before; None: nowhere."""
        place, found = came_from, list[int]()
        for tick, until in zip(self._marks, [*self._marks[1:], self._window.stop], strict=True):
            to_go = self._to_go[tick]
            if place is None:
                place = min(range(len(to_go)), key=to_go.__getitem__) + ON_DEMAND
            else:
                place = self._costs.next(tick, to_go, place - ON_DEMAND) + ON_DEMAND
            found += [place] * (until - tick)
        return found

    def _backwards(self, market: MarketHistory) -> dict[int, list[float]]:
        """Cost from each mark to the end, by the place chosen at it."""
        to_go, until = [0.0] * (1 + len(market.pools)), self._window.stop
        found: dict[int, list[float]] = {}
        for tick in reversed(self._marks):
            if until < self._window.stop:
                to_go = self._costs.onward(until, to_go)
            hours = (until - tick) * market.gap_h
            to_go = [usd + hours * per_h for usd, per_h in zip(to_go, self._costs.be(tick), strict=True)]
            until = tick
            found[tick] = to_go
        return found


@dataclass(frozen=True)
class _Tick:
    """By place, on-demand first. `be`: USD per hour. `leave`: USD for a move anywhere; `leave_near`: in its zone."""

    be: Sequence[float]
    leave: Sequence[float]
    leave_near: Sequence[float]


class _Costs:
    """What it costs to be in each place at a tick, and to move away from it."""

    def __init__(self, market: MarketHistory, weight: float) -> None:
        self._market = market
        self._outage_usd_per_h = weight * market.on_demand_usd if weight else 0.0
        self._lost_usd = self._outage_usd_per_h * market.rules.outage_h
        self._known: dict[tuple[Sequence[bool], Sequence[float]], _Tick] = {}
        near: defaultdict[str, list[int]] = defaultdict(list)
        for place, zone in enumerate(market.zones):
            near[zone].append(place)
        self._near = [near[zone] for zone in market.zones]  # by place: those of its zone, itself among them

    def be(self, tick: int) -> Sequence[float]:
        return self._at(tick).be

    def onward(self, tick: int, to_go: Sequence[float]) -> list[float]:
        """For each place, the lesser of staying and of leaving at that tick."""
        best, at = min(to_go), self._at(tick)
        least = [stay if stay < best + usd else best + usd for stay, usd in zip(to_go, at.leave, strict=True)]
        if not self._near:
            return least
        nearest = [min(to_go[other] for other in some) for some in self._near]
        return [min(usd, n + leave) for usd, n, leave in zip(least, nearest, at.leave_near, strict=True)]

    def next(self, tick: int, to_go: Sequence[float], place: int) -> int:
        """The next place: the same one, unless another costs less including the move."""
        at = self._at(tick)
        best = min(range(len(to_go)), key=to_go.__getitem__)
        usd = to_go[best] + at.leave[place]
        if self._near:
            nearest = min(self._near[place], key=to_go.__getitem__)
            if to_go[nearest] + at.leave_near[place] < usd:
                best, usd = nearest, to_go[nearest] + at.leave_near[place]
        return best if to_go[place] > usd else place

    def _at(self, tick: int) -> _Tick:
        """Most ticks are like another one, so each kind is computed once."""
        key = self._market.up[tick], self._market.prices[tick]
        found = self._known.get(key)
        if found is None:
            places, on_demand = list(zip(*key, strict=True)), self._market.on_demand_usd
            be = [on_demand, *(usd if up else INFINITE for up, usd in places)]
            rules, here = self._market.rules, [(True, on_demand), *places]
            found = _Tick(be, list(self._left(rules.beyond, here)), list(self._left(rules.within, here)))
            self._known[key] = found
        return found

    def _left(self, move_profile: MoveProfile, places: Iterable[tuple[bool, float]]) -> Iterator[float]:
        gib = self._market.rules.data_gib
        return (move_profile.cost(usd, self._outage_usd_per_h, gib).usd if up else self._lost_usd for up, usd in places)


def _marks(market: MarketHistory, window: TickWindow) -> list[int]:
    """The first tick, and before and at each change of what is up or of a price."""
    changes = market.changes[bisect_right(market.changes, window.start) : bisect_left(market.changes, window.stop)]
    return sorted({window.start, *changes, *(tick - 1 for tick in changes)})
