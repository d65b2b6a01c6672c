"""A client's limits as the fleet's decisions want them: numbers of instances, and who is where."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from domain.autopilot.decision_inputs import ServerPosition
from domain.autopilot.fleet_decision import NO_LIMITS, CrowdingLimits, RestOfFleet
from domain.autopilot.limits import FleetLimits
from domain.pools import Pool


@dataclass(frozen=True, slots=True)
class Arrival:
    """A server on its way to `pool`, or its replica; until it is there it has its place `here` as well."""

    server_id: str
    pool: str
    here: str
    replica: bool = False


def crowding_limits(limits: FleetLimits, servers: int) -> CrowdingLimits:
    """Parts of so many servers as numbers; a fleet too small to be spread keeps one place in every pool."""
    if (limits.most_per_pool, limits.most_per_zone, limits.least_on_demand) == (1.0, 1.0, 0.0):
        return NO_LIMITS
    return CrowdingLimits(
        per_pool=_places(limits.most_per_pool, servers),
        per_zone=_places(limits.most_per_zone, servers),
        on_demand_share=limits.least_on_demand,
    )


def with_positions(others: RestOfFleet, position: Iterable[ServerPosition]) -> RestOfFleet:
    """The others and these: who is not decided within limits still has its place."""
    pools, zones = Counter(others.pools), Counter(others.zones)
    servers, on_demand = others.servers, others.on_demand
    for one in position:
        servers += 1
        on_demand += not Pool.parse(one.pool).spot
        for pool in (Pool.parse(name) for name in (one.pool, one.replica) if name):
            if pool.spot:
                pools[str(pool)] += 1
                zones[pool.zone] += 1
    return RestOfFleet(pools, zones, servers, on_demand)


def with_arrivals(others: RestOfFleet, arrivals: Iterable[Arrival]) -> RestOfFleet:
    """Whoever is on its way has its place already where it goes, and is on demand, or not, as it will be there."""
    pools, zones, on_demand = Counter(others.pools), Counter(others.zones), others.on_demand
    for one in arrivals:
        to = Pool.parse(one.pool)
        if to.spot:
            pools[one.pool] += 1
            zones[to.zone] += 1
        if one.here and not one.replica:
            on_demand += Pool.parse(one.here).spot - to.spot
    return RestOfFleet(pools, zones, others.servers, on_demand)


def _places(part: float, servers: int) -> int:
    return max(1, math.floor(part * servers + 1e-9)) if part < 1 else 0
