"""Spot price histories: a price holds from its time until the next of the same pool."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from domain.backtest.errors import NoData
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
        """The first at which most pools have a price: AWS names each about once a day."""
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
