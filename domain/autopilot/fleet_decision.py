"""Decisions for all servers of a client, within its limits on crowding.

The market is appraised once for all servers with equal needs. Each server is then decided by `decide_server`, with
full pools barred, and after that each replica by `decide_replica`. A decision takes its place at once, and no place is
given back: a server that leaves a pool is still there until its move is done.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from domain.autopilot.appraisal import Appraisal
from domain.autopilot.decision import Decision, DecisionKind, DecisionReason
from domain.autopilot.decision_inputs import ServerPosition
from domain.autopilot.policy import ReplicaMode
from domain.autopilot.replica_decision import decide_replica
from domain.autopilot.server_decision import decide_server, within_minimum_stay
from domain.autopilot.tuning import Tuning


@dataclass(frozen=True, slots=True)
class FleetMember:
    """A server of the fleet. `market`: the key of the appraisal for its needs."""

    server: str
    position: ServerPosition
    market: str


@dataclass(frozen=True, slots=True)
class CrowdingLimits:
    """What a client asks of its fleet. 0: no limit. On-demand capacity does not crowd."""

    per_pool: int = 0  # instances, replicas among them
    per_zone: int = 0
    on_demand_share: float = 0.0  # at least this part of the servers, 0 to 1

    def __post_init__(self) -> None:
        if self.per_pool < 0 or self.per_zone < 0:
            raise ValueError("a limit per pool or zone is a number of instances, or 0 for none")
        if not 0 <= self.on_demand_share <= 1:
            raise ValueError(f"on_demand_share is {self.on_demand_share}; it is a part of the fleet, from 0 to 1")


NO_LIMITS = CrowdingLimits()


@dataclass(frozen=True, slots=True)
class RestOfFleet:
    """Servers of the client that are not decided now: how many there are, and their instances by pool and zone."""

    pools: Mapping[str, int] = field(default_factory=dict)
    zones: Mapping[str, int] = field(default_factory=dict)
    servers: int = 0
    on_demand: int = 0  # of the servers


NO_REST = RestOfFleet()


def decide_fleet(
    members: Sequence[FleetMember],
    markets: Mapping[str, Appraisal],
    tuning: Tuning,
    limits: CrowdingLimits = NO_LIMITS,
    others: RestOfFleet = NO_REST,
) -> dict[str, Decision]:
    """Decisions by server. Servers that have lost their pool choose first, then in the order given."""
    places = _Places(members, markets, limits, others)
    floor = math.ceil(limits.on_demand_share * (len(members) + others.servers) - 1e-9)
    on_demand = others.on_demand + sum(_on_demand(one, markets) for one in members)
    found: dict[str, Decision] = {}
    for one in sorted(members, key=lambda one: not _lost(one, markets)):
        decision = _decide(one, markets[one.market], tuning, places)
        if decision.kind is DecisionKind.MOVE and _on_demand(one, markets):
            if on_demand <= floor:
                decision = _waiting(one, decision, DecisionReason.ON_DEMAND_SHARE)
            else:
                on_demand -= 1
        on_demand += decision.kind is DecisionKind.ON_DEMAND
        if decision.kind is DecisionKind.MOVE:
            places.take(decision.pool)
        found[one.server] = decision
    return found | _to_on_demand(members, markets, found, floor - on_demand)


def decide_replicas(
    members: Sequence[FleetMember],
    markets: Mapping[str, Appraisal],
    moves: Mapping[str, Decision],
    tuning: Tuning,
    limits: CrowdingLimits = NO_LIMITS,
    others: RestOfFleet = NO_REST,
) -> dict[str, Decision]:
    """Decisions by server, for those that have a replica or may need one. `moves`: decisions for the servers."""
    asked = [
        one for one in members if one.position.replica or markets[one.market].needs.replica is not ReplicaMode.NONE
    ]
    if not asked:
        return {}
    places = _Places(members, markets, limits, others)
    for decision in moves.values():
        if decision.kind is DecisionKind.MOVE:
            places.take(decision.pool)
    found: dict[str, Decision] = {}
    for one in asked:
        found[one.server] = decide_replica(one.position, markets[one.market], tuning, places.full)
        if found[one.server].kind is DecisionKind.REPLICA:
            places.take(found[one.server].pool)
    return found


class _Places:
    """How many instances are where, and which pools are full."""

    def __init__(
        self,
        members: Iterable[FleetMember],
        markets: Mapping[str, Appraisal],
        limits: CrowdingLimits,
        others: RestOfFleet,
    ) -> None:
        self._limits = limits
        self._zone = {pool: one.rated.zone for market in markets.values() for pool, one in market.by_pool.items()}
        self._in_zone: dict[str, list[str]] = defaultdict(list)
        for pool, zone in self._zone.items():
            self._in_zone[zone].append(pool)
        self._count: Counter[str] = Counter(others.pools)
        self._zone_count: Counter[str] = Counter(others.zones)
        self.full: set[str] = set()
        for pool, zone in self._zone.items():
            self._close(pool, zone)
        for one in members:
            self.take(one.position.pool)
            self.take(one.position.replica)

    def take(self, pool: str) -> None:
        zone = self._zone.get(pool)
        if zone is None:  # on-demand, or nowhere
            return
        self._count[pool] += 1
        self._zone_count[zone] += 1
        self._close(pool, zone)

    def _close(self, pool: str, zone: str) -> None:
        if 0 < self._limits.per_pool <= self._count[pool]:
            self.full.add(pool)
        if zone and 0 < self._limits.per_zone <= self._zone_count[zone]:
            self.full.update(self._in_zone[zone])


def _decide(one: FleetMember, market: Appraisal, tuning: Tuning, places: _Places) -> Decision:
    decision = decide_server(one.position, market, tuning, places.full)
    if decision.kind is DecisionKind.MOVE or not places.full:
        return decision
    freely = decide_server(one.position, market, tuning)
    return decision if freely.kind is not DecisionKind.MOVE else replace(decision, reason=DecisionReason.CROWDED)


def _waiting(one: FleetMember, decision: Decision, reason: DecisionReason) -> Decision:
    return replace(decision, kind=DecisionKind.WAIT, pool=one.position.pool, reason=reason)


def _to_on_demand(
    members: Sequence[FleetMember], markets: Mapping[str, Appraisal], found: Mapping[str, Decision], missing: int
) -> dict[str, Decision]:
    """Send as many as are missing from spot to on-demand: first those that save least on spot, risk included."""
    if missing <= 0:
        return {}
    staying = [one for one in members if found[one.server].kind is DecisionKind.STAY and _can_go(one, markets)]
    staying.sort(key=lambda one: -_saving_lost(one, markets))
    return {one.server: _leave(one, markets[one.market]) for one in staying[:missing]}


def _leave(one: FleetMember, market: Appraisal) -> Decision:
    now, needs = market.by_pool[one.position.pool], market.needs
    pool, usd = needs.on_demand_pool, needs.on_demand_usd
    move = needs.move(one.position, pool, now.price_usd)
    return Decision(DecisionKind.ON_DEMAND, pool, DecisionReason.ON_DEMAND_SHARE, now.cost_usd, usd, move)


def _saving_lost(one: FleetMember, markets: Mapping[str, Appraisal]) -> float:
    market = markets[one.market]
    return market.by_pool[one.position.pool].cost_usd - market.needs.on_demand_usd


def _can_go(one: FleetMember, markets: Mapping[str, Appraisal]) -> bool:
    market = markets[one.market]
    return math.isfinite(market.needs.on_demand_usd) and not within_minimum_stay(one.position, market)


def _on_demand(one: FleetMember, markets: Mapping[str, Appraisal]) -> bool:
    return one.position.pool == markets[one.market].needs.on_demand_pool


def _lost(one: FleetMember, markets: Mapping[str, Appraisal]) -> bool:
    now = markets[one.market].by_pool.get(one.position.pool)
    return not _on_demand(one, markets) and (now is None or not now.up)
