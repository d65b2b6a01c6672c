"""The markets of backtest B: the pools of one size class, hour by hour, without interruptions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from domain.backtest.market_history import MarketHistory, TickWindow
from research.backtest.price_histories import PriceHistory, hourly

MONTH_H = 720


def price_markets(history: PriceHistory, groups: Mapping[str, Sequence[str]]) -> Iterator[MarketHistory]:
    """A market per group with at least two pools; nobody can go to on-demand, so prices alone count."""
    first, hours = history.first_hour, history.last_hour - history.first_hour
    if hours < 1:
        return
    for group, types in groups.items():
        rows = {key: hourly(history.steps[key], first, hours) for key in sorted(history.steps) if key[0] in types}
        columns = {key: row for key, row in rows.items() if row}
        if len(columns) > 1:
            yield MarketHistory(
                name=f"{history.name} {group}",
                pools=[f"{zone}/{kind}/spot" for kind, zone in columns],
                regions=[zone[:-1] for _, zone in columns],
                gap_h=1.0,
                up=[(True,) * len(columns)] * hours,
                prices=list(zip(*columns.values(), strict=True)),
                on_demand_usd=math.inf,
            )


def months(market: MarketHistory) -> list[TickWindow]:
    """Thirty days each, one after the other; a shorter history is one window."""
    count = market.ticks // MONTH_H
    if not count:
        return [TickWindow(0, market.ticks)]
    return [TickWindow(number * MONTH_H, (number + 1) * MONTH_H) for number in range(count)]
