"""The market in use: prices now and before, capacity of pools, placement scores."""

from __future__ import annotations

import bisect
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.market.generator import generate
from lab.market.history import History, Series, load
from lab.market.on_demand import on_demand_prices

LIFECYCLES = ("spot", "on-demand")


@dataclass(frozen=True)
class Quote:
    """One row of price history."""

    zone: str
    instance_type: str
    at: float  # epoch seconds
    price: float  # USD per hour


class Market:
    """Pools of one region. Thread-safe.

    Capacity of a pool is how many further instances can be launched in it; None is without limit. An
    instance that ends gives nothing back: a pool set to 0 stays empty until it is set again.
    """

    def __init__(self, history: History, seed: int) -> None:
        self.region = history.region
        self.zones = history.zones
        self.seed = seed
        self.on_demand: Mapping[str, float] = on_demand_prices(history.region)
        self._series: dict[tuple[str, str], Series] = dict(history.series)
        self._capacity: dict[tuple[str, str, str], int] = {}
        self._lock = threading.Lock()

    def spot_price(self, zone: str, instance_type: str) -> float | None:
        series = self._series.get((zone, instance_type))
        if series is None:
            return None
        place = bisect.bisect_right(series, (time.time(), float("inf")))
        return series[max(0, place - 1)][1]

    def offered(self, zone: str, instance_type: str) -> bool:
        """A type is sold where it has a price; a type without any history is sold in every zone."""
        if (zone, instance_type) in self._series:
            return True
        return instance_type in self.on_demand and not any(k == instance_type for _, k in self._series)

    def types(self) -> set[str]:
        return {kind for _, kind in self._series} | set(self.on_demand)

    def quotes(self, types: Iterable[str], zones: Iterable[str], start: float | None, end: float | None) -> list[Quote]:
        """History up to now, newest first; the price in force at `start` is part of the answer, as on EC2."""
        wanted_types, wanted_zones = set(types), set(zones)
        until = min(end or time.time(), time.time())
        found: list[Quote] = []
        for (zone, kind), series in list(self._series.items()):
            if (wanted_types and kind not in wanted_types) or (wanted_zones and zone not in wanted_zones):
                continue
            last = bisect.bisect_right(series, (until, float("inf")))
            first = 0 if start is None else max(0, bisect.bisect_right(series, (start, float("inf"))) - 1)
            found.extend(Quote(zone, kind, at, price) for at, price in series[first:last])
        found.sort(key=lambda quote: (-quote.at, quote.instance_type, quote.zone))
        return found

    def set_price(self, zone: str, instance_type: str, price: float) -> None:
        """Set the price from now on. Later prices of the series are dropped."""
        with self._lock:
            now = time.time()
            old = self._series.get((zone, instance_type), [])
            self._series[(zone, instance_type)] = [point for point in old if point[0] < now] + [(now, price)]

    def set_capacity(self, zone: str, instance_type: str, lifecycle: str, room: int | None) -> None:
        with self._lock:
            if room is None:
                self._capacity.pop((zone, instance_type, lifecycle), None)
            else:
                self._capacity[(zone, instance_type, lifecycle)] = room

    def room(self, zone: str, instance_type: str, lifecycle: str) -> int | None:
        return self._capacity.get((zone, instance_type, lifecycle))

    def take(self, zone: str, instance_type: str, lifecycle: str, most: int, least: int) -> int:
        """Take up to `most` places; none (0) when fewer than `least` are left."""
        with self._lock:
            room = self._capacity.get((zone, instance_type, lifecycle))
            if room is None:
                return most
            taken = min(most, room)
            if taken < least:
                return 0
            self._capacity[(zone, instance_type, lifecycle)] = room - taken
            return taken

    def score(self, zone: str, types: Iterable[str], target: int) -> int:
        """1 to 10: better with more types that have room, and where spot is far below on-demand."""
        best, known = 1.0, 0
        for kind in types:
            price, limit = self.spot_price(zone, kind), self.on_demand.get(kind)
            room = self.room(zone, kind, "spot")
            if price is None or room == 0:
                continue
            known += 1
            saving = 1 - price / limit if limit else 0.6
            reach = 1.0 if room is None else min(1.0, room / max(1, target))
            best = max(best, 10 * reach * min(1.0, saving + 0.2))
        return max(1, min(10, round(best if known >= 3 else best - 1)))

    def pools(self) -> list[dict[str, object]]:
        rows: list[dict[str, object]] = []
        for zone, kind in sorted(self._series):
            rows.append(
                {
                    "region": self.region,
                    "zone": zone,
                    "instance_type": kind,
                    "spot_price": self.spot_price(zone, kind),
                    "on_demand_price": self.on_demand.get(kind),
                    "capacity": {name: self.room(zone, kind, name) for name in LIFECYCLES},
                }
            )
        return rows


def open_market(prices: Path | None, region: str, seed: int) -> Market:
    """From a file (its region wins over `region`), else generated. Raises BadPrices."""
    if prices is not None:
        return Market(load(prices).shifted(time.time()), seed)
    zones = [f"{region}{letter}" for letter in "abc"]
    table = on_demand_prices(region) or on_demand_prices("us-east-1")
    return Market(generate(region, zones, table, seed, time.time()), seed)
