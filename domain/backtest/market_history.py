"""A market as it was: which pools could be had at each tick, and for how much."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from domain.autopilot.move_cost import MoveProfile
from domain.backtest.errors import NoData
from domain.backtest.move_rules import USUAL_RULES, MoveRules

ON_DEMAND = -1  # instead of a pool's index
DAY_H = 24.0


@dataclass(frozen=True)
class MarketHistory:
    """`up[tick][pool]`, `prices[tick][pool]`: USD per hour. On-demand is always there, at one price.

    `zones`: of on-demand, then of each pool; empty: all moves are alike.
    """

    name: str
    pools: Sequence[str]
    regions: Sequence[str]  # of each pool
    gap_h: float
    up: Sequence[Sequence[bool]]
    prices: Sequence[Sequence[float]]
    on_demand_usd: float
    prior_hazards: Sequence[float] = ()  # losses per hour of each pool as published; empty: not known
    rules: MoveRules = USUAL_RULES
    zones: Sequence[str] = ()

    @property
    def ticks(self) -> int:
        return len(self.up)

    @cached_property
    def changes(self) -> list[int]:
        """Ticks at which anything is not as it was the tick before."""
        ups, prices = self.up, self.prices
        return [at for at in range(1, self.ticks) if ups[at] != ups[at - 1] or prices[at] != prices[at - 1]]

    def price(self, tick: int, pool: int) -> float:
        return self.on_demand_usd if pool == ON_DEMAND else self.prices[tick][pool]

    def is_up(self, tick: int, pool: int) -> bool:
        return pool == ON_DEMAND or self.up[tick][pool]

    def move_profile(self, before: int, pool: int) -> MoveProfile:
        """How one gets from one place to another by a planned move."""
        zones = self.zones
        same = bool(zones) and zones[before - ON_DEMAND] == zones[pool - ON_DEMAND]
        return self.rules.within if same else self.rules.beyond

    def day(self, tick: int) -> int:
        """Days since the first tick."""
        return int(tick * self.gap_h / DAY_H + 1e-6)


@dataclass(frozen=True)
class TickWindow:
    """Ticks `start` to `stop`, the latter not among them."""

    start: int
    stop: int

    def checked(self, market: MarketHistory) -> TickWindow:
        """Raise NoData, saying what there is, unless the market has every tick of it."""
        if not 0 <= self.start < self.stop <= market.ticks:
            hours = market.gap_h
            raise NoData(
                f"{market.name} covers hours 0 to {market.ticks * hours:.1f} (ticks 0 to {market.ticks - 1}); "
                f"asked for {self.start * hours:.1f} to {self.stop * hours:.1f}. Ask for a period within."
            )
        return self

    def days(self, market: MarketHistory) -> Iterator[tuple[int, TickWindow]]:
        """The window cut where the market's days end, each part with its day."""
        start = self.start
        while start < self.stop:
            day = market.day(start)
            stop = min(self.stop, math.ceil((day + 1) * DAY_H / market.gap_h - 1e-6))
            yield day, TickWindow(start, stop)
            start = stop
