"""Policies of a line or two, with which the product's policy is compared."""

from __future__ import annotations

from dataclasses import dataclass

from domain.backtest.market_history import ON_DEMAND, MarketHistory


@dataclass(frozen=True)
class StayPut:
    """One pool while it is up, on-demand otherwise."""

    market: MarketHistory
    pool: int

    def choose(self, tick: int, current: int | None) -> int:
        return self.pool if self.market.up[tick][self.pool] else ON_DEMAND


@dataclass(frozen=True)
class AlwaysOnDemand:
    def choose(self, tick: int, current: int | None) -> int:
        return ON_DEMAND


@dataclass(frozen=True)
class Cheapest:
    """The cheapest pool at each moment, whatever a move costs."""

    market: MarketHistory

    def choose(self, tick: int, current: int | None) -> int:
        prices, up = self.market.prices[tick], self.market.up[tick]
        ready = [pool for pool in range(len(prices)) if up[pool]]
        return min(ready, key=lambda pool: (prices[pool], pool != current), default=ON_DEMAND)
