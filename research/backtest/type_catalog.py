"""On-demand prices, and which types are of one size: the groups of backtest B."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

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
