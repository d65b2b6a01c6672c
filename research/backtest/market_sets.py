"""The sets of backtest A: series with one clock as a market, and the windows of it that are replayed."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

from domain.backtest.contract import NoData
from domain.backtest.market_history import MarketHistory, TickWindow
from research.backtest.traces import Trace

WEEK_H = 168.0
SEED = 7


def windows(market: MarketHistory, starts: int, part: TickWindow | None = None) -> list[TickWindow]:
    """`starts` windows of seven days, at random in `part` (default: all) with a fixed seed; one if it is shorter."""
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
    """The first half in time, on which parameters were chosen, and the second; None if they are shorter than a week."""
    middle = market.ticks // 2
    if middle * market.gap_h < WEEK_H:
        return None
    return TickWindow(0, middle), TickWindow(middle, market.ticks)


SPOT_SHARE = 0.3  # p3.2xlarge: 0.918 of 3.06 USD, observed in 2021 and 2023; where no price was recorded


def market_of(name: str, traces: Sequence[Trace], on_demand_usd: float) -> MarketHistory:
    """Series of one clock as pools of one market; it ends where the shortest does."""
    if not traces:
        raise NoData(f"no series for the set {name}")
    ticks = min(len(trace.up) for trace in traces)
    known = next((trace.prices for trace in traces if trace.prices), None)
    flat = [SPOT_SHARE * on_demand_usd] * ticks
    prices = [trace.prices or known or flat for trace in traces]
    return MarketHistory(
        name=name,
        pools=[trace.zone for trace in traces],
        regions=[trace.region for trace in traces],
        gap_h=traces[0].gap_h,
        up=list(zip(*(trace.up[:ticks] for trace in traces), strict=True)),
        prices=list(zip(*(one[:ticks] for one in prices), strict=True)),
        on_demand_usd=on_demand_usd,
    )


def availability_sets(traces: Sequence[Trace], on_demand: Mapping[str, float]) -> list[MarketHistory]:
    """A market for each clock and instance type; also one for each of its regions with four or more series."""
    groups: dict[str, list[Trace]] = defaultdict(list)
    for trace in traces:
        if trace.nodes == 1:
            groups[f"{_clock(trace)} {trace.instance_type}"].append(trace)
    for name, group in list(groups.items()):
        for region in sorted({trace.region for trace in group}):
            part = [trace for trace in group if trace.region == region]
            if 4 <= len(part) < len(group):
                groups[f"{name} {region}"] = part
    return [market_of(name, group, _price(group[0], on_demand)) for name, group in groups.items()]


def _clock(trace: Trace) -> str:
    """The collection that a series belongs to: its name up to the date."""
    found = re.match(r".*?\d{4}-\d{2}-\d{2}", trace.series_id)
    return found.group() if found else trace.series_id


def _price(trace: Trace, on_demand: Mapping[str, float]) -> float:
    usd = on_demand.get(trace.instance_type)
    if usd is None:
        raise NoData(f"ondemand.csv has no price of {trace.instance_type}, which {trace.series_id} needs")
    return usd
