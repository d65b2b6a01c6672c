"""A market as it was: which pools were up at each tick, their prices, and what a move between them costs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from domain.autopilot.move_cost import MoveProfile
from domain.backtest.contract import NoData

PLANNED_MOVE = MoveProfile(overlap_h=0.2)  # paid twice, and no outage


@dataclass(frozen=True)
class MoveRules:
    """What a planned move of `data_gib` costs within a zone and beyond it, and how long the outage of a loss is.

    A move beyond the zone must not cost less than one within it: the clairvoyant relies on that.
    """

    within: MoveProfile = PLANNED_MOVE
    beyond: MoveProfile = PLANNED_MOVE
    outage_h: float = 0.2 - 2 / 60  # the notice comes two minutes before
    data_gib: int = 0

    def __post_init__(self) -> None:
        near, far = self.within, self.beyond
        if far.overlap_h < near.overlap_h or far.outage_h < near.outage_h or far.copies < near.copies:
            raise ValueError(f"a move beyond the zone ({far}) costs less than one within it ({near})")

    @property
    def overlap_h(self) -> float:
        """Of any move, for markets where zones make no difference."""
        return self.beyond.overlap_h


USUAL_RULES = MoveRules()

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
        """Ticks at which anything differs from the tick before."""
        ups, prices = self.up, self.prices
        return [at for at in range(1, self.ticks) if ups[at] != ups[at - 1] or prices[at] != prices[at - 1]]

    def price(self, tick: int, pool: int) -> float:
        return self.on_demand_usd if pool == ON_DEMAND else self.prices[tick][pool]

    def is_up(self, tick: int, pool: int) -> bool:
        return pool == ON_DEMAND or self.up[tick][pool]

    def move_profile(self, before: int, pool: int) -> MoveProfile:
        """The profile of a planned move from one place to another."""
        zones = self.zones
        same = bool(zones) and zones[before - ON_DEMAND] == zones[pool - ON_DEMAND]
        return self.rules.within if same else self.rules.beyond

    def day(self, tick: int) -> int:
        """Days since the first tick."""
        return int(tick * self.gap_h / DAY_H + 1e-6)


@dataclass(frozen=True)
class TickWindow:
    """Ticks from `start` up to, not including, `stop`."""

    start: int
    stop: int

    def checked(self, market: MarketHistory) -> TickWindow:
        """Return the window; raise NoData, saying what there is, unless the market has every tick of it."""
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
