"""Which instance types and zones a scenario uses. They depend on the lab's market."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from proof.harness.waiting import ScenarioFailed

# None is smaller than the first, and all are x86_64. A market from a file has some of them.
CANDIDATE_TYPES = (
    "m5.large",
    "m5a.large",
    "m4.large",
    "m6i.large",
    "c5.xlarge",
    "r5.large",
    "m5d.large",
    "r4.large",
)
_MOST_TYPES, _LEAST_TYPES = 4, 3
_MOST_ZONES, _LEAST_ZONES = 3, 2


@dataclass(frozen=True)
class MarketChoice:
    """Where a scenario buys. Every server begins in `home`, on demand."""

    home: str
    kind: str
    types: Sequence[str]
    zones: Sequence[str]

    @property
    def other_zones(self) -> list[str]:
        """All zones but `home`."""
        return [zone for zone in self.zones if zone != self.home]


def choose_market(pools: Sequence[Mapping[str, Any]]) -> MarketChoice:
    """Choose from the lab's list of pools. Raises ScenarioFailed when the market has too few.

    The first type has an on-demand price, and the spot prices of all types are below it. `home` is the
    zone that sells most of them, and every chosen zone sells every chosen type.
    """
    demand = {str(row["instance_type"]): float(row["on_demand_price"]) for row in pools if row["on_demand_price"]}
    kind = next((name for name in CANDIDATE_TYPES if name in demand), None)
    if kind is None:
        raise ScenarioFailed(
            f"the market sells none of {', '.join(CANDIDATE_TYPES)} on demand; give another PRICES file"
        )
    sold: dict[str, set[str]] = {}
    for row in pools:
        if row["instance_type"] in demand and row["spot_price"] and float(row["spot_price"]) < demand[kind]:
            sold.setdefault(str(row["zone"]), set()).add(str(row["instance_type"]))
    zones, types = _in_common(sold)
    if len(zones) < _LEAST_ZONES or len(types) < _LEAST_TYPES:
        raise ScenarioFailed(
            f"the demo needs {_LEAST_TYPES} of {', '.join(CANDIDATE_TYPES)} in {_LEAST_ZONES} zones, cheaper on spot"
            f" than {kind} on demand; this market has {', '.join(types) or 'none'}. Give another PRICES file"
        )
    return MarketChoice(zones[0], kind, types[:_MOST_TYPES], zones)


def _in_common(sold: Mapping[str, set[str]]) -> tuple[list[str], list[str]]:
    """Zones that have enough types in common, the one with most types first; and those types."""
    known = {zone: kinds & set(CANDIDATE_TYPES) for zone, kinds in sold.items()}
    zones: list[str] = []
    common = set(CANDIDATE_TYPES)
    for zone in sorted(known, key=lambda zone: (-len(known[zone]), zone)):
        if len(zones) < _MOST_ZONES and len(common & known[zone]) >= _LEAST_TYPES:
            zones.append(zone)
            common &= known[zone]
    return zones, [name for name in CANDIDATE_TYPES if zones and name in common]
