"""Spot price histories, and the markets of backtest B made from them: pools of one size class, hour by hour.

A price holds from its time until the next one of the same pool. Nobody loses an instance in these markets.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from domain.backtest.contract import NoData
from domain.backtest.market_history import MarketHistory, TickWindow
from research.backtest.csv_rows import CsvRow, read_rows

COLUMNS = ("instance_type", "az", "timestamp", "price_usd_h")
PoolKey = tuple[str, str]  # type, zone
Steps = list[tuple[float, float]]  # hour since the epoch, USD per hour; in the order of time


@dataclass(frozen=True)
class PriceHistory:
    """One file. Hours are since the epoch; `steps` of each pool are in the order of time."""

    name: str
    steps: dict[PoolKey, Steps]

    @property
    def first_hour(self) -> int:
        """The first hour at which most pools have a price: AWS repeats each about once a day."""
        return int(min(steps[0][0] for steps in self.steps.values())) + 25

    @property
    def last_hour(self) -> int:
        return int(max(steps[-1][0] for steps in self.steps.values()))


def price_files(folder: Path) -> list[str]:
    """Names of the folder's price files, without `.gz`."""
    found = {path.name.removesuffix(".gz") for path in folder.glob("prices_*.csv*")}
    return sorted(name for name in found if name.endswith(".csv"))


def load_history(folder: Path, name: str) -> PriceHistory:
    steps: dict[PoolKey, Steps] = defaultdict(list)
    for row in read_rows(folder, name, COLUMNS):
        _append(row, steps[row.text("instance_type"), row.text("az")])
    if not steps:
        raise NoData(f"{name} has no prices")
    return PriceHistory(name.removesuffix(".csv").removeprefix("prices_"), dict(steps))


def hourly(steps: Steps, first_hour: int, hours: int) -> list[float] | None:
    """The price at each hour; None for a pool without a price at the first."""
    if not steps or steps[0][0] > first_hour:
        return None
    found, at, usd = [], 0, steps[0][1]
    for hour in range(first_hour, first_hour + hours):
        while at < len(steps) and steps[at][0] <= hour:
            usd = steps[at][1]
            at += 1
        found.append(usd)
    return found


def _append(row: CsvRow, steps: Steps) -> None:
    usd, hour = row.positive("price_usd_h"), _hour(row)
    if steps and hour < steps[-1][0]:
        raise row.bad("its time is before that of the line above it of the same pool; sort the file")
    if steps and hour == steps[-1][0] and usd != steps[-1][1]:
        raise row.bad("a second, different price of the same pool and time")
    if not steps or usd != steps[-1][1]:
        steps.append((hour, usd))


def _hour(row: CsvRow) -> float:
    text = row.text("timestamp")
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise row.bad(f"timestamp is {text!r}, not like 2021-03-02T14:45:01Z") from None
    if at.tzinfo is None:
        raise row.bad(f"timestamp {text} has no time zone; write it in UTC, with a Z")
    return at.timestamp() / 3600


MONTH_H = 720


def price_markets(history: PriceHistory, groups: Mapping[str, Sequence[str]]) -> Iterator[MarketHistory]:
    """A market for each group with at least two pools. On-demand has no price there, so only spot prices count."""
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
