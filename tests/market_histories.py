"""Small markets for tests of the backtest: made by hand, or drawn."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from hypothesis import strategies as st

from domain.backtest.market_history import MarketHistory

PRICES = (0.2, 0.3, 0.45)


def market(
    up: Sequence[Sequence[int]],
    prices: Sequence[Sequence[float]] | None = None,
    *,
    gap_h: float = 1.0,
    on_demand_usd: float = 1.0,
) -> MarketHistory:
    """`up[tick][pool]`: 1 or 0. Without prices each pool costs 0.3."""
    pools = len(up[0])
    return MarketHistory(
        name="small",
        pools=[f"us-east-1{'abcdefgh'[pool]}" for pool in range(pools)],
        regions=["us-east-1"] * pools,
        gap_h=gap_h,
        up=[tuple(map(bool, row)) for row in up],
        prices=[tuple(row) for row in prices or [[0.3] * pools] * len(up)],
        on_demand_usd=on_demand_usd,
    )


@st.composite
def markets(draw: st.DrawFn, *, most_ticks: int = 5, most_pools: int = 2) -> MarketHistory:
    ticks, pools = draw(st.integers(1, most_ticks)), draw(st.integers(1, most_pools))
    rows = st.lists(st.integers(0, 1), min_size=pools, max_size=pools)
    usd = st.lists(st.sampled_from(PRICES), min_size=pools, max_size=pools)
    up = draw(st.lists(rows, min_size=ticks, max_size=ticks))
    return market(up, draw(st.lists(usd, min_size=ticks, max_size=ticks)), gap_h=draw(st.sampled_from((0.1, 1.0))))


def long_market(seed: int = 1, *, ticks: int = 300, pools: int = 3, gap_h: float = 0.5) -> MarketHistory:
    """Pools that come and go for hours at a time, at prices that step now and then."""
    chance = random.Random(seed)
    columns, usds = [], []
    for _ in range(pools):
        up, usd, column, prices = True, chance.choice(PRICES), [], []
        for _ in range(ticks):
            up = up if chance.random() > 0.04 else not up
            usd = usd if chance.random() > 0.02 else round(usd * chance.uniform(0.9, 1.1), 4)
            column.append(up)
            prices.append(usd)
        columns.append(column)
        usds.append(prices)
    return market(list(zip(*columns, strict=True)), list(zip(*usds, strict=True)), gap_h=gap_h)


def write_history_folder(path: Path, *, weeks: int = 3, seed: int = 7) -> Path:
    """A folder like those that are replayed: two series of one clock, prices of one group, on-demand prices."""
    chance = random.Random(seed)
    ticks = weeks * 7 * 24
    series, runs = (
        ["series_id,kind,instance_type,zone,nodes,gap_seconds,n_ticks"],
        ["series_id,start_tick,length,value"],
    )
    for zone in ("us-east-1a", "us-east-1b"):
        name = f"avail1-2022-10-26-{zone}"
        series.append(f"{name},availability-1,p3.2xlarge,{zone},1,3600,{ticks}")
        at, value = 0, 1
        while at < ticks:
            length = min(ticks - at, chance.randint(4, 60) if value else chance.randint(1, 12))
            runs.append(f"{name},{at},{length},{value}")
            at, value = at + length, 1 - value
    prices = ["instance_type,az,timestamp,price_usd_h"]
    for zone in ("us-east-1a", "us-east-1b"):
        for day in range(35):
            usd = round(0.03 * chance.uniform(0.9, 1.1), 4)
            prices.append(f"m5.large,{zone},2021-03-{day + 1:02}T00:00:00Z,{usd}" if day < 31 else "")
    path.mkdir(parents=True, exist_ok=True)
    write(path, "traces_series.csv", series)
    write(path, "traces_runs.csv", runs)
    write(path, "traces_prices.csv", ["series_id,start_tick,length,price_usd_h"])
    write(path, "prices_us-east-1_2021.csv", [line for line in prices if line])
    on_demand = ["us-east-1,p3.2xlarge,3.06", "us-east-1,m5.large,0.096"]
    write(path, "ondemand.csv", ["region,instance_type,ondemand_usd_h", *on_demand])
    write(path, "pool_groups.csv", ["group,instance_type", "gp-2x8,m5.large"])
    bands = ["snapshot_date,region,instance_type,interruption_band", "2021-02-10,us-east-1,m5.large,1"]
    write(path, "spot_advisor_linux.csv", bands)
    return path


def write(path: Path, name: str, lines: Sequence[str]) -> None:
    (path / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
