"""From rows and EC2's answers to cases: for every server what it needs, where it may go, and its conditions."""

from __future__ import annotations

import json
import logging
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import TypeAdapter

from activities.ec2.attached_volumes import AttachedVolumes
from activities.ec2.clients import Clients
from activities.ec2.instance_outlines import InstanceOutlines
from activities.ec2.market_facts import MarketFacts
from activities.ec2.subnets import subnet_by_zone
from db.autopilot.fleet import ClientRow, FleetRow
from db.market.region_records import RecordedPrices, RegionRecords
from domain.autopilot.candidates import ServerKind, pool_requirements, server_kind, spot_pools
from domain.autopilot.contract import REQUESTED_BY
from domain.autopilot.decision_inputs import Needs, ServerPosition
from domain.autopilot.fleet_evaluation import ServerCase
from domain.autopilot.policy import AutopilotPolicy, AutopilotPreferences, resolve_policy
from domain.autopilot.policy_gates import ServerConditions
from domain.autopilot.pool_records import PriceRecord, with_price
from domain.autopilot.pool_supply import hours
from domain.blueprint import Blueprint
from domain.market.observed_prices import PoolKey
from domain.market.on_demand_prices import LINUX
from domain.planning import move_profile_to, only_zone
from domain.pools import Lifecycle, Pool
from domain.ranking import TypeFacts
from domain.servers import Handoff, Retire, ServerPolicy

log = logging.getLogger(__name__)

Prices = dict[PoolKey, PriceRecord]  # (zone, type) -> its price, of one platform
_ELSEWHERE = ""  # any zone but the server's own
_POLICY, _PREFERENCES = TypeAdapter(ServerPolicy), TypeAdapter(AutopilotPreferences)


@dataclass(frozen=True)
class ServerContext:
    """A server with what its policies and EC2 say. `left_out`: what EC2 did not tell, so that figures leave it out."""

    row: FleetRow
    policy: ServerPolicy
    autopilot: AutopilotPolicy
    outline: Blueprint
    left_out: str = ""

    @property
    def copied(self) -> bool:
        """Whether a move may copy its volumes by snapshots: only then does their size matter."""
        return not only_zone(self.outline, self.policy) and (
            self.policy.handoff is Handoff.SNAPSHOT or bool(self.outline.data_volumes)
        )


class FleetFacts:
    def __init__(self, market: MarketFacts, outlines: InstanceOutlines, attached: AttachedVolumes) -> None:
        self._market = market
        self._outlines = outlines
        self._attached = attached

    @classmethod
    def from_clients(cls, clients: Clients) -> FleetFacts:
        return cls(MarketFacts(clients), InstanceOutlines(clients), AttachedVolumes(clients))

    def servers(self, region: str, rows: Sequence[FleetRow], clients: Mapping[str, ClientRow]) -> list[ServerContext]:
        """The servers whose instance EC2 knows. Lost instances are left to the reconciliation."""
        outlines = self._outlines.of(region, [row.instance_id for row in rows])
        of_clients = {client: _PREFERENCES.validate_python(row.autopilot or {}) for client, row in clients.items()}
        # Many servers share a policy: reading ten thousand one by one would take more than a second.
        policies: dict[tuple[str, str], tuple[ServerPolicy, AutopilotPolicy]] = {}
        found: list[ServerContext] = []
        for row in rows:
            if (outline := outlines.get(row.instance_id)) is None:
                continue
            key = (row.client_id, json.dumps(row.policy, sort_keys=True))
            if key not in policies:
                policy = _POLICY.validate_python(row.policy)
                policies[key] = (
                    policy,
                    resolve_policy(policy.autopilot, of_clients.get(row.client_id, AutopilotPreferences())),
                )
            found.append(ServerContext(row, *policies[key], outline))
        return self._with_volumes(region, found)

    def _with_volumes(self, region: str, servers: list[ServerContext]) -> list[ServerContext]:
        """Read sizes of volumes. Where that fails, snapshots of a move count as free, and the decision says so."""
        copied = {one.row.instance_id: one.outline.root_device_name for one in servers if one.copied}
        if not copied:
            return servers
        looked = self._attached.of(region, copied)
        found: list[ServerContext] = []
        for one in servers:
            volumes = looked.volumes.get(one.row.instance_id)
            if volumes is not None:
                one = replace(one, outline=replace(one.outline, block_devices=volumes))
            elif one.row.instance_id in copied:
                one = replace(one, left_out=f"the snapshots of a move: {looked.problem}")
            found.append(one)
        return found

    def prices(
        self, region: str, servers: Iterable[ServerContext], records: RegionRecords, now: datetime
    ) -> dict[str, Prices]:
        """By platform, the prices of all types that any of the servers may run on.

        From the records; EC2 itself is asked for what is not collected.
        """
        by_platform: defaultdict[str, set[str]] = defaultdict(set)
        running: defaultdict[str, set[PoolKey]] = defaultdict(set)
        kinds: set[tuple[str, str, tuple[str, ...]]] = set()
        for one in servers:
            here = Pool.parse(one.row.pool)
            by_platform[one.outline.platform] |= {one.row.home_type, here.instance_type}
            kinds.add((one.outline.platform, one.row.home_type, tuple(one.policy.instance_types)))
            if here.spot:
                running[one.outline.platform].add((here.zone, here.instance_type))
        for platform, home, named in kinds:
            by_platform[platform] |= set(named or self._types(region, home))
        return {
            platform: self._priced(region, platform, types, running[platform], records, now)
            for platform, types in sorted(by_platform.items())
        }

    def _priced(
        self,
        region: str,
        platform: str,
        types: Collection[str],
        running: Collection[PoolKey],
        records: RegionRecords,
        now: datetime,
    ) -> Prices:
        recorded = records.prices if platform == LINUX else RecordedPrices()
        known = {pool: price for pool, price in recorded.prices.items() if pool[1] in types}
        found = {pool: price for pool, price in known.items() if recorded.collected and pool in recorded.current}
        # In a region that is collected, a pool that never had a price is not sold.
        unsure = {kind for _, kind in known.keys() - found} if recorded.collected else set(types)
        if unsure:
            told = self._market.spot_prices(region, sorted(unsure), platform)
            found |= {pool: _with_current_price(known.get(pool), usd, hours(now)) for pool, usd in told.items()}
        # A server in a pool that is no longer sold still runs: at its last price.
        return found | {pool: known[pool] for pool in running if pool in known and pool not in found}

    def cases(
        self,
        region: str,
        servers: Sequence[ServerContext],
        prices: Mapping[str, Prices],
        records: RegionRecords,
        moved: Mapping[str, Sequence[datetime]],
        tried: Mapping[str, Collection[tuple[str, str]]],
    ) -> list[ServerCase]:
        kinds: dict[ServerKind, frozenset[str]] = {}
        on_demand = self._on_demand(region, servers, records)
        found: list[ServerCase] = []
        for one in servers:
            if not _is_priced(one, prices[one.outline.platform]):
                # Without a price it would count as lost, and be moved at once.
                log.warning("nothing is decided for %s: no price of %s is known", one.row.server_id, one.row.pool)
                continue
            kind = server_kind(one.outline, one.policy, one.row.home_type)
            if kind not in kinds:
                usd_of = {pool: price.usd for pool, price in prices[one.outline.platform].items()}
                kinds[kind] = self._pools(region, one, usd_of)
            conditions = ServerConditions(
                policy=one.autopilot,
                moved_at=tuple(moved.get(one.row.server_id, ())),
                busy=one.row.busy,
                keeps_old_instance=one.row.keeps_old_instance,
                tried=frozenset(tried.get(one.row.server_id, ())),
            )
            found.append(
                ServerCase(
                    server_id=one.row.server_id,
                    client_id=one.row.client_id,
                    position=ServerPosition(
                        one.row.pool, hours(one.row.since), one.row.replica_pool, one.outline.data_gib
                    ),
                    needs=_needs(one, on_demand),
                    pools=kinds[kind],
                    conditions=conditions,
                    region=region,
                    platform=one.outline.platform,
                    replica_ours=_has_our_replica(one),
                    left_out=one.left_out,
                )
            )
        return found

    def _pools(self, region: str, one: ServerContext, prices: Mapping[tuple[str, str], float]) -> frozenset[str]:
        wanted = pool_requirements(one.outline, one.policy, one.row.home_type)
        zones, _ = subnet_by_zone(self._market.subnets(region, one.outline), one.outline, one.policy)
        return spot_pools(wanted, self._types(region, one.row.home_type, one.policy), zones, prices)

    def _types(self, region: str, home: str, policy: ServerPolicy | None = None) -> dict[str, TypeFacts]:
        types = dict(self._market.named_types(region, [home, *(policy.instance_types if policy else [])]))
        if home in types and not (policy and policy.instance_types):
            types |= self._market.similar_types(region, types[home])
        return types

    def _on_demand(
        self, region: str, servers: Iterable[ServerContext], records: RegionRecords
    ) -> dict[tuple[str, str], float]:
        """(type, platform) -> USD per hour; one whose price is not known is absent."""
        by_platform: defaultdict[str, set[str]] = defaultdict(set)
        for one in servers:
            by_platform[one.outline.platform] |= {one.row.home_type, _on_demand_pool(one).instance_type}
        found: dict[tuple[str, str], float] = {}
        for platform, names in by_platform.items():
            recorded = records.on_demand if platform == LINUX else {}
            found |= {(name, platform): recorded[name] for name in names if name in recorded}
            if lacking := sorted(names - recorded.keys()):
                told = self._market.on_demand_prices(region, lacking, platform)
                found |= {(name, platform): usd for name, usd in told.items()}
        return found


def _with_current_price(known: PriceRecord | None, usd: float, at_h: float) -> PriceRecord:
    """The record may be of a time after now, if its clock is ahead of ours. That is no error."""
    return with_price(known, max(at_h, known.at_h), usd) if known else PriceRecord(at_h, usd)


def _needs(one: ServerContext, on_demand: Mapping[tuple[str, str], float]) -> Needs:
    """The outage's cost depends on the type the server came with, the on-demand price on the pool it would be in."""
    pool, platform = _on_demand_pool(one), one.outline.platform
    within = move_profile_to(one.outline, one.outline.zone, one.autopilot.keep_old_s)
    stays = only_zone(one.outline, one.policy)
    return Needs(
        on_demand_pool=str(pool),
        on_demand_usd=on_demand.get((pool.instance_type, platform), math.inf),
        outage_usd_per_h=one.autopilot.outage_usd(on_demand.get((one.row.home_type, platform), 0.0)),
        within=within,
        beyond=within if stays else move_profile_to(one.outline, _ELSEWHERE, one.autopilot.keep_old_s),
        minimum_stay_h=one.autopilot.minimum_stay_h,
        replica=one.autopilot.replica,
    )


def _on_demand_pool(one: ServerContext) -> Pool:
    """Its pool if that is on-demand (a rescue may have used another type); else its own type in its zone."""
    here = Pool.parse(one.row.pool)
    return Pool(here.zone, here.instance_type if not here.spot else one.row.home_type, Lifecycle.ON_DEMAND)


def _is_priced(one: ServerContext, prices: Prices) -> bool:
    here = Pool.parse(one.row.pool)
    return not here.spot or (here.zone, here.instance_type) in prices


def _has_our_replica(one: ServerContext) -> bool:
    """Whether the autopilot may drop its replica. A person's, or an old instance kept by policy, it may not."""
    return one.row.replica_by.startswith(REQUESTED_BY) and one.policy.retire is not Retire.KEEP_REPLICA
