"""Which instance types and zones the demo plays in: they depend on the market in use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from demo.errors import DemoFailed

# No smaller than the first, all x86_64; a market from a file knows some of them.
KNOWN = (
    "m5.large",
    "m5a.large",
    "m4.large",
    "m6i.large",
    "c5.xlarge",
    "r5.large",
    "m5d.large",
    "r4.large",
)
_TYPES = 4
_ZONES = 3


@dataclass(frozen=True)
class Stalls:
    """Where the demo buys: everything begins in `home`, on demand."""

    home: str
    kind: str
    types: Sequence[str]
    zones: Sequence[str]

    @property
    def away(self) -> list[str]:
        """The zones that are not home."""
        return [zone for zone in self.zones if zone != self.home]


def choose(pools: Sequence[Mapping[str, Any]]) -> Stalls:
    """From the lab's list of pools; DemoFailed when the market has too little to play in.

    The type to begin with has an on-demand price; the others' spot prices lie below it. Home is the
    zone where most of them are sold, and each type is sold in every zone that is chosen.
    """
    spot = {
        (str(row["zone"]), str(row["instance_type"])): float(row["spot_price"]) for row in pools if row["spot_price"]
    }
    demand = {str(row["instance_type"]): float(row["on_demand_price"]) for row in pools if row["on_demand_price"]}
    kind = next((name for name in KNOWN if name in demand), None)
    if kind is None:
        raise DemoFailed(f"the market sells none of {', '.join(KNOWN)} on demand; give another PRICES file")
    cheaper = [pool for pool, price in spot.items() if pool[1] in KNOWN and price < demand[kind]]
    zones = _fullest(cheaper)
    types = [name for name in KNOWN if name in demand and all((zone, name) in cheaper for zone in zones)][:_TYPES]
    if len(zones) < 2 or len(types) < 3:
        raise DemoFailed(
            f"the market has {len(types)} of {', '.join(KNOWN)} in {len(zones)} zones, cheaper on spot than "
            f"{kind} on demand; the demo needs three types in two zones. Give another PRICES file"
        )
    return Stalls(zones[0], kind, types, zones)


def _fullest(pools: Sequence[tuple[str, str]]) -> list[str]:
    """The zones that sell most of these types, at most three."""
    count: dict[str, int] = {}
    for zone, _ in pools:
        count[zone] = count.get(zone, 0) + 1
    return sorted(count, key=lambda zone: (-count[zone], zone))[:_ZONES]
