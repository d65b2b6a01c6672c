"""Facts of instance types: on-demand prices, groups of one size (backtest B), and bands of the Spot Advisor."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from domain.backtest.contract import NoData
from research.backtest.csv_rows import read_rows

ON_DEMAND = ("region", "instance_type", "ondemand_usd_h")
GROUPS = ("group", "instance_type")


def load_on_demand(folder: Path) -> dict[tuple[str, str], float]:
    """USD per hour by (region, type)."""
    found: dict[tuple[str, str], float] = {}
    for row in read_rows(folder, "ondemand.csv", ON_DEMAND):
        key = row.text("region"), row.text("instance_type")
        if key in found:
            raise row.bad(f"a second price of {key[1]} in {key[0]}")
        found[key] = row.positive("ondemand_usd_h")
    return found


def load_groups(folder: Path) -> dict[str, list[str]]:
    """The types of each group, in the order of the file."""
    found: dict[str, list[str]] = defaultdict(list)
    for row in read_rows(folder, "pool_groups.csv", GROUPS):
        found[row.text("group")].append(row.text("instance_type"))
    return dict(found)


COLUMNS = ("snapshot_date", "region", "instance_type", "interruption_band")
# Below 5 %, 5 to 10 %, 10 to 15 %, 15 to 20 %, above: the middle of each; the last has no upper end, 25 % is assumed.
MONTHLY = (0.025, 0.075, 0.125, 0.175, 0.25)
MONTH_H = 720.0


def load_hazards(folder: Path, region: str, before: str) -> dict[str, float]:
    """Losses per hour by type, from the last snapshot up to the day `before` (such as 2021-03-02)."""
    bands: dict[str, dict[str, int]] = {}
    for row in read_rows(folder, "spot_advisor_linux.csv", COLUMNS):
        day = row.text("snapshot_date")
        if row.text("region") == region and day <= before:
            band = row.whole("interruption_band")
            if band >= len(MONTHLY):
                raise row.bad(f"interruption_band is {band}; there are 0 to {len(MONTHLY) - 1}")
            bands.setdefault(day, {})[row.text("instance_type")] = band
    if not bands:
        raise NoData(f"spot_advisor_linux has nothing of {region} up to {before}")
    return _hazards(bands[max(bands)])


def _hazards(bands: Mapping[str, int]) -> dict[str, float]:
    return {kind: -math.log1p(-MONTHLY[band]) / MONTH_H for kind, band in bands.items()}
