"""A client's limits on how crowded a pool or zone may get: as shares, as numbers of instances, and who is where."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from domain.autopilot.decision_inputs import ServerPosition
from domain.autopilot.fleet_decision import NO_LIMITS, CrowdingLimits, RestOfFleet
from domain.pools import Pool


@dataclass(frozen=True)
class FleetLimits:
    """A client's limits, so that one lost pool does not take too many servers. Shares of its active servers, 0 to 1.

    `moves_at_once`: operations that the autopilot may have under way for this client; 0: as many as the control
    plane allows. A fleet too small to be spread keeps at least one server's place in every pool.
    """

    most_per_pool: float = 1.0
    most_per_zone: float = 1.0
    least_on_demand: float = 0.0
    moves_at_once: int = 0


@dataclass(frozen=True, slots=True)
class Arrival:
    """A server, or its replica, that moves to `pool`. Until it arrives it also counts in the pool `here`."""

    server_id: str
    pool: str
    here: str
    replica: bool = False


def crowding_limits(limits: FleetLimits, servers: int) -> CrowdingLimits:
    """Turn shares of so many servers into numbers of instances. A very small fleet keeps one place in every pool."""
    if (limits.most_per_pool, limits.most_per_zone, limits.least_on_demand) == (1.0, 1.0, 0.0):
        return NO_LIMITS
    return CrowdingLimits(
        per_pool=_most_instances(limits.most_per_pool, servers),
        per_zone=_most_instances(limits.most_per_zone, servers),
        on_demand_share=limits.least_on_demand,
    )


def with_positions(others: RestOfFleet, positions: Iterable[ServerPosition]) -> RestOfFleet:
    """Add servers that are not decided within the limits: they still take a place."""
    pools, zones = Counter(others.pools), Counter(others.zones)
    servers, on_demand = others.servers, others.on_demand
    for one in positions:
        servers += 1
        on_demand += not Pool.parse(one.pool).spot
        for pool in (Pool.parse(name) for name in (one.pool, one.replica) if name):
            if pool.spot:
                pools[str(pool)] += 1
                zones[pool.zone] += 1
    return RestOfFleet(pools, zones, servers, on_demand)


def with_arrivals(others: RestOfFleet, arrivals: Iterable[Arrival]) -> RestOfFleet:
    """Add servers on their way. Each counts in the pool it goes to, and as on-demand or spot as it will be there."""
    pools, zones, on_demand = Counter(others.pools), Counter(others.zones), others.on_demand
    for one in arrivals:
        to = Pool.parse(one.pool)
        if to.spot:
            pools[one.pool] += 1
            zones[to.zone] += 1
        if one.here and not one.replica:
            on_demand += Pool.parse(one.here).spot - to.spot
    return RestOfFleet(pools, zones, others.servers, on_demand)


def _most_instances(part: float, servers: int) -> int:
    return max(1, math.floor(part * servers + 1e-9)) if part < 1 else 0
