"""Availability and preemption series: whether one instance could be had at each tick."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from domain.backtest.contract import BadData, NoData
from research.backtest.csv_rows import CsvRow, read_rows

SERIES = ("series_id", "kind", "instance_type", "zone", "nodes", "gap_seconds", "n_ticks")
RUNS = ("series_id", "start_tick", "length", "value")
PRICES = ("series_id", "start_tick", "length", "price_usd_h")


@dataclass(frozen=True)
class Trace:
    """One series. `up[tick]`: whether an instance could be had, or ran. Prices in USD per hour."""

    series_id: str
    instance_type: str
    zone: str
    nodes: int
    gap_h: float
    up: Sequence[bool]
    prices: Sequence[float]  # per tick; empty where none were recorded

    @property
    def region(self) -> str:
        return self.zone[:-1]


def load_traces(folder: Path) -> list[Trace]:
    """Every series of the folder, in the order of its list. With several nodes, up means that all of them are."""
    listed = {row.text("series_id"): row for row in read_rows(folder, "traces_series.csv", SERIES)}
    values = _expanded(folder, "traces_runs.csv", RUNS, "value", listed)
    prices = _expanded(folder, "traces_prices.csv", PRICES, "price_usd_h", listed)
    return [_trace(row, values.get(name, []), prices.get(name, [])) for name, row in listed.items()]


def _trace(row: CsvRow, values: list[float], prices: list[float]) -> Trace:
    ticks, nodes = row.whole("n_ticks", 1), row.whole("nodes", 1)
    if not values:
        raise NoData(f"{row.text('series_id')} is listed, but traces_runs has nothing of it")
    for name, found in (("values", values), ("prices", prices)):
        if found and len(found) != ticks:
            raise row.bad(f"n_ticks is {ticks}, but there are {len(found)} {name}")
    if max(values) > nodes:
        raise row.bad(f"nodes is {nodes}, but the series goes up to {max(values):.0f}")
    return Trace(
        series_id=row.text("series_id"),
        instance_type=row.text("instance_type"),
        zone=row.text("zone"),
        nodes=nodes,
        gap_h=row.positive("gap_seconds") / 3600,
        up=[value >= nodes for value in values],
        prices=prices,
    )


def _expanded(
    folder: Path, name: str, columns: Sequence[str], value: str, listed: dict[str, CsvRow]
) -> dict[str, list[float]]:
    """Expand run lengths to ticks. Raise BadData where a series has a hole or an overlap."""
    found: dict[str, list[float]] = {}
    for row in read_rows(folder, name, columns):
        series, start = row.text("series_id"), row.whole("start_tick")
        if series not in listed:
            raise row.bad(f"{series} is not in traces_series")
        ticks = found.setdefault(series, [])
        if start != len(ticks):
            raise BadData(row.file, row.line, f"{series} starts at tick {start}, {len(ticks)} was next")
        one = float(row.whole(value)) if value == "value" else row.positive(value)
        ticks.extend([one] * row.whole("length", 1))
    return found
