"""What a sequence of places in a market costs. This module knows choices and the market, but no policy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from domain.backtest.contract import BacktestError
from domain.backtest.market_history import ON_DEMAND, MarketHistory, TickWindow


@dataclass(frozen=True)
class Bill:
    """One run, or several: USD, hours, and counts. `outage_h` is that of interruptions; see `move_outage_h`."""

    money_usd: float = 0.0
    outage_h: float = 0.0
    moves: float = 0
    interruptions: float = 0
    hours: float = 0.0
    always_on_demand_usd: float = 0.0
    move_outage_h: float = 0.0  # of planned moves
    snapshot_usd: float = 0.0  # of planned moves; part of the money

    def j(self, weight: float) -> float:
        """Money and outage in USD: an hour of outage costs `weight` hours of on-demand."""
        if not weight:
            return self.money_usd
        return self.money_usd + weight * (self.outage_h + self.move_outage_h) * self.always_on_demand_usd / self.hours


def total(bills: Iterable[Bill], share: float = 1.0) -> Bill:
    """A `share` of the sum of bills of one market, which has one on-demand price."""
    found = list(bills)
    return Bill(
        money_usd=share * sum(one.money_usd for one in found),
        outage_h=share * sum(one.outage_h for one in found),
        moves=share * sum(one.moves for one in found),
        interruptions=share * sum(one.interruptions for one in found),
        hours=share * sum(one.hours for one in found),
        always_on_demand_usd=share * sum(one.always_on_demand_usd for one in found),
        move_outage_h=share * sum(one.move_outage_h for one in found),
        snapshot_usd=share * sum(one.snapshot_usd for one in found),
    )


def bill(market: MarketHistory, window: TickWindow, choices: Sequence[int], came_from: int | None = None) -> Bill:
    """`choices[i]`: the pool at tick `window.start + i`. `came_from`: where it was before; None: nowhere."""
    money, moves, interruptions, out_h, snapshot_usd = 0.0, 0, 0, 0.0, 0.0
    ups, prices, gap_h, on_demand_usd = market.up, market.prices, market.gap_h, market.on_demand_usd
    before = choices[0] if came_from is None else came_from
    for tick, pool in zip(range(window.start, window.stop), choices, strict=True):
        if pool != ON_DEMAND and not ups[tick][pool]:
            raise BacktestError(f"{market.name}, tick {tick}: {market.pools[pool]} is down, nothing can run there")
        if pool != before:
            if market.is_up(tick, before):
                moves += 1
                move_profile = market.move_profile(before, pool)
                money += move_profile.overlap_h * market.price(tick, before)
                out_h += move_profile.outage_h
                snapshot_usd += move_profile.snapshot_usd(market.rules.data_gib)
            else:
                interruptions += 1
            before = pool
        money += gap_h * (on_demand_usd if pool == ON_DEMAND else prices[tick][pool])
    hours = gap_h * (window.stop - window.start)
    return Bill(
        money_usd=money + snapshot_usd,
        outage_h=interruptions * market.rules.outage_h,
        moves=moves,
        interruptions=interruptions,
        hours=hours,
        always_on_demand_usd=hours * on_demand_usd,
        move_outage_h=out_h,
        snapshot_usd=snapshot_usd,
    )


def by_day(
    market: MarketHistory, window: TickWindow, choices: Sequence[int], came_from: int | None = None
) -> dict[int, Bill]:
    """The same by the market's days, since the cost of one day says little about the next."""
    found, before = dict[int, Bill](), came_from
    for day, part in window.days(market):
        some = choices[part.start - window.start : part.stop - window.start]
        found[day] = bill(market, part, some, before)
        before = some[-1]
    return found
