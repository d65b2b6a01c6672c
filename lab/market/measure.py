"""Measure what the generator imitates, from real files.

    python -m lab.market.measure prices.csv.gz ondemand.csv [traces_series.csv traces_runs.csv.gz]

Prints one JSON object: per file the spot to on-demand ratio, the spread between zones, how often and
how far prices change (after repeated prices are dropped), and how long pools stay up and down.
"""

from __future__ import annotations

import csv
import gzip
import itertools
import json
import math
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lab.market.history import Pool, Series, load

DAY = 86400.0


def quantiles(values: Iterable[float]) -> dict[str, float]:
    """Nearest-rank quantiles; empty when there is nothing to rank."""
    ranked = sorted(values)
    if not ranked:
        return {}
    return {
        f"p{round(q * 100)}": round(ranked[min(len(ranked) - 1, int(q * len(ranked)))], 4)
        for q in (0.1, 0.25, 0.5, 0.75, 0.9)
    }


def without_repeats(series: Series) -> Series:
    """AWS repeats an unchanged price about once a day: those rows are no changes."""
    return [point for i, point in enumerate(series) if i == 0 or point[1] != series[i - 1][1]]


def mean_price(series: Series) -> float:
    """Weighted by the time for which each price held."""
    if len(series) < 2:
        return series[0][1]
    held = [(series[i + 1][0] - t, p) for i, (t, p) in enumerate(series[:-1])]
    return sum(s * p for s, p in held) / sum(s for s, _ in held)


def statistics(pools: Mapping[Pool, Series], on_demand: Mapping[str, float]) -> dict[str, object]:
    ends = [t for points in pools.values() for t in (points[0][0], points[-1][0])]
    days = (max(ends) - min(ends)) / DAY
    means = {pool: mean_price(points) for pool, points in pools.items()}
    by_type: dict[str, list[float]] = defaultdict(list)
    for (_, kind), price in means.items():
        by_type[kind].append(price)
    changes = {pool: without_repeats(points) for pool, points in pools.items()}
    steps = [math.log(b[1] / a[1]) for points in changes.values() for a, b in itertools.pairwise(points)]
    moving = [points for points in changes.values() if len(points) > 1]
    return {
        "pools": len(pools),
        "days": round(days, 1),
        "ratio": quantiles(p / on_demand[k] for (_, k), p in means.items() if k in on_demand),
        "zone_spread": quantiles((max(v) - min(v)) / (sum(v) / len(v)) for v in by_type.values() if len(v) > 1),
        "never_changes": round(1 - len(moving) / len(pools), 4),
        "changes_per_day": quantiles((len(points) - 1) / days for points in moving),
        "change_size": quantiles(abs(step) for step in steps),
        "rows_per_day": quantiles(len(points) / days for points in pools.values()),
        "lowest_to_highest": quantiles(min(p for _, p in s) / max(p for _, p in s) for s in moving),
    }


def stay_durations(series_file: Path, runs_file: Path) -> dict[str, object]:
    """How long a pool stayed up and down, in hours, over the one-node series; ends cut off are dropped."""
    with series_file.open() as lines:
        gaps = {r["series_id"]: float(r["gap_seconds"]) for r in csv.DictReader(lines) if r["nodes"] == "1"}
    up: list[float] = []
    down: list[float] = []
    with gzip.open(runs_file, "rt") as lines:
        grouped: dict[str, list[dict[str, str]]] = defaultdict(list)
        for row in csv.DictReader(lines):
            grouped[row["series_id"]].append(row)
    for name, runs in grouped.items():
        for run in runs[1:-1] if name in gaps else ():
            hours = int(run["length"]) * gaps[name] / 3600
            (up if int(run["value"]) > 0 else down).append(hours)
    return {"up_hours": quantiles(up), "down_hours": quantiles(down), "ups": len(up), "downs": len(down)}


def on_demand_file(path: Path, region: str) -> dict[str, float]:
    with path.open() as lines:
        rows = [row for row in csv.DictReader(lines) if row["region"] == region]
    return {row["instance_type"]: float(row["ondemand_usd_h"]) for row in rows if row["ondemand_usd_h"]}


def main(arguments: Sequence[str]) -> int:
    if len(arguments) not in (2, 4):
        sys.stderr.write("usage: measure PRICES ONDEMAND [TRACES_SERIES TRACES_RUNS]\n")
        return 2
    history = load(Path(arguments[0]))
    found = {"prices": statistics(history.series, on_demand_file(Path(arguments[1]), history.region))}
    if len(arguments) == 4:
        found["traces"] = stay_durations(Path(arguments[2]), Path(arguments[3]))
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
