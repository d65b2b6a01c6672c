"""Policies of a line or two, to compare with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from domain.backtest.market_history import ON_DEMAND, MarketHistory
from domain.backtest.offers_by_tick import Offers


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
class AnyUp:
    """The first pool that is up, until it is lost."""

    market: MarketHistory

    def choose(self, tick: int, current: int | None) -> int:
        up = self.market.up[tick]
        if current is not None and current != ON_DEMAND and up[current]:
            return current
        return next((pool for pool, is_up in enumerate(up) if is_up), ON_DEMAND)


@dataclass(frozen=True)
class BestAvailability:
    """The pool of the best decaying mean among those up for `after_h`, until it is lost."""

    offers: Sequence[Offers]
    after_h: float = 0.0
    found: dict[int, int] = field(default_factory=dict)  # by tick: the same for all runs

    def choose(self, tick: int, current: int | None) -> int:
        if current is not None and current != ON_DEMAND and self.offers[tick][current].reliability.up:
            return current
        if tick not in self.found:
            self.found[tick] = self._best(tick)
        return self.found[tick]

    def _best(self, tick: int) -> int:
        records = [offer.reliability for offer in self.offers[tick]]
        ready = [pool for pool, record in enumerate(records) if record.up and record.up_h >= self.after_h]
        return max(ready, key=lambda pool: records[pool].availability, default=ON_DEMAND)


@dataclass(frozen=True)
class Cheapest:
    """The cheapest pool at each moment, whatever a move costs."""

    market: MarketHistory

    def choose(self, tick: int, current: int | None) -> int:
        prices, up = self.market.prices[tick], self.market.up[tick]
        ready = [pool for pool in range(len(prices)) if up[pool]]
        return min(ready, key=lambda pool: (prices[pool], pool != current), default=ON_DEMAND)
