"""From rows and EC2's answers to cases: for every server what it needs, where it may go, what holds for it."""

from __future__ import annotations

import json
import logging
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import TypeAdapter

from activities.autopilot.offers import hours
from activities.ec2.market import MarketFacts
from activities.ec2.outlines import Outlines
from activities.ec2.subnets import subnet_by_zone
from db.queries.autopilot import ClientRow, FleetRow
from domain.autopilot.candidates import Kind, kind_of, spot_pools, wanted_by
from domain.autopilot.evaluation import Case
from domain.autopilot.policy import AutopilotPolicy, Wish, resolve
from domain.autopilot.verdict import Standing
from domain.blueprint import Blueprint
from domain.deciding.facts import Needs, Placement, ReplicaMode
from domain.pools import Lifecycle, Pool
from domain.ranking import TypeFacts
from domain.servers import Handoff, ServerPolicy

log = logging.getLogger(__name__)

_POLICY, _WISH = TypeAdapter(ServerPolicy), TypeAdapter(Wish)
# Both instances are paid for while one hands over to the other, hours (measured on AWS by type of handoff: launch and
# warm-up for all, a full snapshot beside it where the zone changes).
_OVERLAP_H = {Handoff.STATELESS: 0.1, Handoff.VOLUMES: 0.1, Handoff.SNAPSHOT: 0.5}


@dataclass(frozen=True)
class Known:
    """A server with what its policies and EC2 say."""

    row: FleetRow
    policy: ServerPolicy
    autopilot: AutopilotPolicy
    outline: Blueprint


class Facts:
    def __init__(self, market: MarketFacts, outlines: Outlines) -> None:
        self._market = market
        self._outlines = outlines

    def known(self, region: str, rows: Sequence[FleetRow], clients: Mapping[str, ClientRow]) -> list[Known]:
        """Those that EC2 knows; one that it does not is left to those who look after lost instances."""
        outlines = self._outlines.of(region, [row.instance_id for row in rows])
        wishes = {client: _WISH.validate_python(row.autopilot or {}) for client, row in clients.items()}
        # Servers come in kinds: reading ten thousand policies one by one would take a second and more.
        policies: dict[tuple[str, str], tuple[ServerPolicy, AutopilotPolicy]] = {}
        found: list[Known] = []
        for row in rows:
            if (outline := outlines.get(row.instance_id)) is None:
                continue
            key = (row.client_id, json.dumps(row.policy, sort_keys=True))
            if key not in policies:
                policy = _POLICY.validate_python(row.policy)
                policies[key] = policy, resolve(policy.autopilot, wishes.get(row.client_id, Wish()))
            found.append(Known(row, *policies[key], outline))
        return found

    def prices(self, region: str, servers: Iterable[Known]) -> dict[tuple[str, str], float]:
        """(zone, type) -> USD per hour of all types that any of the servers may run on."""
        by_platform: defaultdict[str, set[str]] = defaultdict(set)
        for one in servers:
            named = one.policy.instance_types or self._types(region, one.row.home_type)
            by_platform[one.outline.platform] |= {*named, one.row.home_type, Pool.parse(one.row.pool).instance_type}
        found: dict[tuple[str, str], float] = {}
        for platform, types in sorted(by_platform.items()):
            found |= self._market.spot_prices(region, sorted(types), platform)
        return found

    def cases(
        self,
        region: str,
        servers: Sequence[Known],
        prices: Mapping[tuple[str, str], float],
        moved: Mapping[str, Sequence[datetime]],
        tried: Mapping[str, Collection[tuple[str, str]]],
    ) -> list[Case]:
        kinds: dict[Kind, frozenset[str]] = {}
        dear = self._on_demand(region, servers)
        found: list[Case] = []
        for one in servers:
            kind = kind_of(one.outline, one.policy, one.row.home_type)
            if kind not in kinds:
                kinds[kind] = self._pools(region, one, prices)
            usd = dear.get((one.row.home_type, one.outline.platform), math.inf)
            standing = Standing(
                policy=one.autopilot,
                moved_at=tuple(moved.get(one.row.server_id, ())),
                busy=one.row.busy,
                tried=frozenset(tried.get(one.row.server_id, ())),
            )
            placed = Placement(one.row.pool, hours(one.row.since), one.row.replica_pool)
            found.append(Case(one.row.server_id, one.row.client_id, placed, _needs(one, usd), kinds[kind], standing))
        return found

    def _pools(self, region: str, one: Known, prices: Mapping[tuple[str, str], float]) -> frozenset[str]:
        wanted = wanted_by(one.outline, one.policy, one.row.home_type)
        zones, _ = subnet_by_zone(self._market.subnets(region, one.outline), one.outline, one.policy)
        return spot_pools(wanted, self._types(region, one.row.home_type, one.policy), zones, prices)

    def _types(self, region: str, home: str, policy: ServerPolicy | None = None) -> dict[str, TypeFacts]:
        types = dict(self._market.named_types(region, [home, *(policy.instance_types if policy else [])]))
        if home in types and not (policy and policy.instance_types):
            types |= self._market.similar_types(region, types[home])
        return types

    def _on_demand(self, region: str, servers: Iterable[Known]) -> dict[tuple[str, str], float]:
        """(type, platform) -> USD per hour; one whose price is not known is absent."""
        by_platform: defaultdict[str, set[str]] = defaultdict(set)
        for one in servers:
            by_platform[one.outline.platform].add(one.row.home_type)
        return {
            (name, platform): usd
            for platform, names in by_platform.items()
            for name, usd in self._market.on_demand_prices(region, names, platform).items()
        }


def _needs(one: Known, on_demand_usd: float) -> Needs:
    zone = Pool.parse(one.row.pool).zone
    known = math.isfinite(on_demand_usd)
    return Needs(
        on_demand_pool=str(Pool(zone, one.row.home_type, Lifecycle.ON_DEMAND)),
        on_demand_usd=on_demand_usd,
        outage_usd_per_h=one.autopilot.outage_usd(on_demand_usd if known else 0.0),
        overlap_h=_OVERLAP_H[one.policy.handoff] + one.autopilot.keep_old_s / 3600,
        minimum_stay_h=one.autopilot.minimum_stay_h,
        replica=ReplicaMode(one.autopilot.replica.value),
    )
