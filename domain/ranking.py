"""Which pools a server can run in, and in what order: a pure function of facts to candidates.

Spot pools first, by price weighed with risk; then on-demand, where the list always ends. The asked
pool goes before all, if it is possible at all; if not, `Impossible` says why and what is.

Risk is EC2's placement score of the zone (1 to 10, `GetSpotPlacementScores`): each point short of
10 counts like 4 % on the price, so that a pool has to be clearly cheaper to make up for scarce
capacity, but price decides among pools of one zone (FIELD: the first choice is nearly everything).
Prices within 1 % of each other count as one: then the server's own type and zone go first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from domain.blueprint import Blueprint
from domain.pools import Candidate, Lifecycle, Pool
from domain.servers import ServerPolicy

SCORE_WEIGHT = 0.04
MAX_GROWTH = 2.0  # a type may have at most twice the vCPUs and memory of the one it replaces
UNKNOWN_SCORE = 5  # where EC2 gives none
ON_DEMAND_PLACES = 2  # places kept for on-demand, if so many are asked for


class PoolImpossible(ValueError):
    """The requested pool is not possible; the message says why, and what is."""


@dataclass(frozen=True)
class TypeFacts:
    """An instance type as DescribeInstanceTypes describes it."""

    name: str
    architectures: tuple[str, ...]
    virtualization_types: tuple[str, ...]
    vcpus: int
    memory_mib: int
    root_device_types: tuple[str, ...] = ("ebs",)
    burstable: bool = False
    current_generation: bool = True
    accelerated: bool = False  # GPU, inference or FPGA
    bare_metal: bool = False
    ena: str = "required"  # required, supported, unsupported
    hibernation: bool = False
    network_gbps: float = 0.0  # baseline; 0: not known
    ebs_mbps: float = 0.0


@dataclass(frozen=True)
class CurrentMarket:
    """The market now. Prices in USD per hour; an unknown price is absent.

    `subnets`: zone -> subnet to launch in. `closed`: zone -> why nothing can be launched there.
    `offered`: the (zone, type) pairs that EC2 lists as sold; empty: not known.
    """

    types: Mapping[str, TypeFacts]
    spot: Mapping[tuple[str, str], float]
    on_demand: Mapping[str, float]
    subnets: Mapping[str, str]
    closed: Mapping[str, str] = field(default_factory=dict)
    scores: Mapping[str, int] = field(default_factory=dict)
    offered: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True)
class PoolRequirements:
    """What the pools are for."""

    blueprint: Blueprint
    policy: ServerPolicy
    asked: str = ""
    avoid: frozenset[str] = frozenset()
    same_zone: str = ""
    limit: int = 8
    home_type: str = ""  # what a type must be like; empty: the one it runs on now

    @property
    def home(self) -> Pool:
        now = Pool.parse(self.blueprint.pool)
        return replace(now, instance_type=self.home_type) if self.home_type else now


def why_type_unfit(old: Blueprint, kind: TypeFacts) -> str:
    """Why this image, with these settings, cannot run on that type at all; empty when it can."""
    if old.architecture and old.architecture not in kind.architectures:
        return f"its image is {old.architecture}, {kind.name} runs {' or '.join(kind.architectures)}"
    if old.virtualization_type and old.virtualization_type not in kind.virtualization_types:
        return f"its image is {old.virtualization_type}, which {kind.name} cannot run"
    if old.root_device_type and old.root_device_type not in kind.root_device_types:
        return f"its root device is {old.root_device_type}, which {kind.name} cannot have"
    if kind.ena == "required" and not old.ena_support:
        return f"{kind.name} needs an image with the ENA driver, which its image lacks"
    if old.hibernation and not kind.hibernation:
        return f"it is set up to hibernate, which {kind.name} cannot"
    return ""


def is_similar_type(current: TypeFacts, other: TypeFacts) -> bool:
    """Whether a type may be chosen without being named: not smaller than the current one, and of the same sort."""
    return (
        other.current_generation
        and current.vcpus <= other.vcpus <= MAX_GROWTH * current.vcpus
        and current.memory_mib <= other.memory_mib <= MAX_GROWTH * current.memory_mib
        and (current.burstable or not other.burstable)
        and other.accelerated == current.accelerated
        and other.bare_metal == current.bare_metal
        and bool(set(other.architectures) & set(current.architectures))
    )


def possible_types(wanted: PoolRequirements, types: Mapping[str, TypeFacts]) -> list[str]:
    """The types of the policy, else types similar to the current one; only those that can run its image."""
    named = wanted.policy.instance_types
    current = types.get(wanted.home.instance_type)
    if named:
        chosen = [types[name] for name in named if name in types]
    elif current is None:
        return []
    else:
        chosen = [kind for kind in types.values() if kind == current or is_similar_type(current, kind)]
    return sorted(
        kind.name
        for kind in chosen
        if not why_type_unfit(wanted.blueprint, kind) and not why_type_denied(wanted.policy, kind)
    )


def why_type_denied(policy: ServerPolicy, kind: TypeFacts) -> str:
    """Why the policy excludes the type; empty when it does not."""
    if policy.denies(kind.name):
        return f"the server's policy denies {kind.name} (denied_types)"
    needs = (
        ("min_network_gbps", policy.min_network_gbps, kind.network_gbps, "Gbit/s of network"),
        ("min_ebs_mbps", policy.min_ebs_mbps, kind.ebs_mbps, "Mbit/s to EBS"),
    )
    for name, least, has, what in needs:
        if least is not None and has < least:
            known = f"has {has:g}" if has else "does not tell its"
            return f"{kind.name} {known} {what}, the server's policy asks for {least:g} ({name})"
    return ""


def open_zones(policy: ServerPolicy, zones: Iterable[str]) -> list[str]:
    """Those that the policy allows."""
    return [zone for zone in zones if (not policy.zones or zone in policy.zones) and zone not in policy.denied_zones]


def rank_pools(wanted: PoolRequirements, market: CurrentMarket) -> list[Pool]:
    """The pools in the order in which to try them, at most `limit`. Raise PoolImpossible for the requested one."""
    asked = [_checked(wanted, market)] if wanted.asked else []
    spot = _without(_spot_pools(wanted, market), asked)
    tail = _without(_on_demand_pools(wanted, market), asked)
    # On-demand keeps its places at the end, however many spot pools there are.
    kept = min(len(tail), ON_DEMAND_PLACES, max(wanted.limit - len(asked), 1))
    spot = spot[: max(wanted.limit - len(asked) - kept, 0)]
    room = max(wanted.limit - len(asked) - len(spot), kept)
    return asked + spot + tail[:room]


def explain_ranking(pools: Iterable[Pool], wanted: PoolRequirements, market: CurrentMarket) -> list[Candidate]:
    """Candidates with their figures and, in words, the reason for their rank."""
    return [_candidate(pool, wanted, market) for pool in pools]


def price(pool: Pool, market: CurrentMarket) -> float:
    """USD per hour; 0 when it is not known."""
    if pool.spot:
        return market.spot.get((pool.zone, pool.instance_type), 0.0)
    return market.on_demand.get(pool.instance_type, 0.0)


def _without(pools: list[Pool], others: list[Pool]) -> list[Pool]:
    return [pool for pool in pools if pool not in others]


def _zones(wanted: PoolRequirements, market: CurrentMarket) -> list[str]:
    """Zones where a launch is allowed, the server's own first."""
    allowed = open_zones(wanted.policy, sorted(market.subnets))
    if wanted.same_zone:
        allowed = [zone for zone in allowed if zone == wanted.same_zone]
    return sorted(allowed, key=lambda zone: (zone != wanted.home.zone, zone))


def _spot_pools(wanted: PoolRequirements, market: CurrentMarket) -> list[Pool]:
    """Spot pools below the owner's limit, and below the on-demand price."""
    if wanted.blueprint.tenancy == "host":  # EC2 sells no spot on dedicated hosts
        return []
    cap = market.on_demand.get(wanted.home.instance_type) or math.inf
    pools = [
        Pool(zone, kind, Lifecycle.SPOT)
        for zone in _zones(wanted, market)
        for kind in possible_types(wanted, market.types)
        if 0 < market.spot.get((zone, kind), 0.0) < cap
    ]
    pools = [pool for pool in pools if str(pool) not in wanted.avoid and not _too_dear(pool, wanted, market)]
    return sorted(pools, key=lambda pool: _order(pool, wanted, market))


def _too_dear(pool: Pool, wanted: PoolRequirements, market: CurrentMarket) -> bool:
    limit = wanted.policy.max_spot_usd_per_hour
    return pool.spot and limit is not None and price(pool, market) > limit


def _order(pool: Pool, wanted: PoolRequirements, market: CurrentMarket) -> tuple[int, bool, bool, float, str]:
    weighed = weighed_price(price(pool, market), market.scores.get(pool.zone))
    step = round(math.log(weighed) / math.log(1.01))  # in steps of 1 %: what differs by less counts as equal
    home = wanted.home
    return step, pool.instance_type != home.instance_type, pool.zone != home.zone, weighed, str(pool)


def weighed_price(usd: float, score: int | None) -> float:
    return usd * (1 + SCORE_WEIGHT * (10 - (UNKNOWN_SCORE if score is None else score)))


def _on_demand_pools(wanted: PoolRequirements, market: CurrentMarket) -> list[Pool]:
    """The type itself, own zone first; then other possible types, cheapest first."""
    home = wanted.home.instance_type
    kinds = possible_types(wanted, market.types)
    if not wanted.policy.instance_types and home not in kinds and not wanted.policy.denies(home):
        kinds.append(home)  # in any case: the server runs on it now
    kinds.sort(key=lambda kind: (kind != home, market.on_demand.get(kind, math.inf), kind))
    pools = [Pool(zone, kind, Lifecycle.ON_DEMAND) for kind in kinds for zone in _zones(wanted, market)]
    return [pool for pool in pools if str(pool) not in wanted.avoid and _is_sold(pool, market)]


def _is_sold(pool: Pool, market: CurrentMarket) -> bool:
    return not market.offered or (pool.zone, pool.instance_type) in market.offered


def _checked(wanted: PoolRequirements, market: CurrentMarket) -> Pool:
    try:
        pool = Pool.parse(wanted.asked)
    except ValueError as error:
        raise PoolImpossible(str(error)) from error
    for why in (_bad_type(pool, wanted, market), _bad_zone(pool, wanted, market), _bad_market(pool, wanted, market)):
        if why:
            raise PoolImpossible(f"{pool} cannot be used: {why}")
    return pool


def _bad_type(pool: Pool, wanted: PoolRequirements, market: CurrentMarket) -> str:
    kind, named = market.types.get(pool.instance_type), wanted.policy.instance_types
    possible = ", ".join(possible_types(wanted, market.types)[:12]) or "none"
    if kind is None:
        return f"this region has no type {pool.instance_type}. Possible: {possible}."
    if why := why_type_unfit(wanted.blueprint, kind):
        return f"{why}. Possible: {possible}."
    if why := why_type_denied(wanted.policy, kind):
        return f"{why}. Change the policy, or take one of: {possible}."
    if named and pool.instance_type not in named:
        return f"the server's policy allows the types {', '.join(named)}. Change the policy, or take one of them."
    return ""


def _bad_zone(pool: Pool, wanted: PoolRequirements, market: CurrentMarket) -> str:
    zones = ", ".join(_zones(wanted, market)) or "none"
    if wanted.same_zone and pool.zone != wanted.same_zone:
        return f"its volumes cannot leave {wanted.same_zone}. Take that zone, or the handoff `snapshot`."
    if wanted.policy.zones and pool.zone not in wanted.policy.zones:
        return f"the server's policy allows the zones {', '.join(wanted.policy.zones)}."
    if pool.zone in wanted.policy.denied_zones:
        return f"the server's policy denies the zone. Possible zones: {zones}."
    if pool.zone in market.closed:
        return f"{market.closed[pool.zone]}. Possible zones: {zones}."
    if pool.zone not in market.subnets:
        return f"the server's network has no subnet in {pool.zone}. Possible zones: {zones}; or make a subnet there."
    return ""


def _bad_market(pool: Pool, wanted: PoolRequirements, market: CurrentMarket) -> str:
    if str(pool) in wanted.avoid:
        return "it gave a notice or had no capacity a short while ago. Ask again later, or take another pool."
    if pool.spot and wanted.blueprint.tenancy == "host":
        return "EC2 sells no spot capacity on dedicated hosts."
    if pool.spot and (pool.zone, pool.instance_type) not in market.spot:
        sold = sorted({zone for zone, kind in market.spot if kind == pool.instance_type})
        return f"EC2 sells no spot {pool.instance_type} there. It does in: {', '.join(sold) or 'no zone'}."
    if not pool.spot and not _is_sold(pool, market):
        sold = sorted({zone for zone, kind in market.offered if kind == pool.instance_type})
        return f"EC2 does not sell {pool.instance_type} there. It does in: {', '.join(sold) or 'no zone'}."
    if _too_dear(pool, wanted, market):
        return (
            f"it costs {price(pool, market):.4f} USD/h, above the policy's limit of "
            f"{wanted.policy.max_spot_usd_per_hour:.4f}. Raise the limit, or take another pool."
        )
    return ""


def _candidate(pool: Pool, wanted: PoolRequirements, market: CurrentMarket) -> Candidate:
    score = market.scores.get(pool.zone) if pool.spot else None
    return Candidate(
        pool=pool,
        subnet_id=market.subnets[pool.zone],
        usd_per_hour=price(pool, market),
        on_demand_usd_per_hour=market.on_demand.get(pool.instance_type, 0.0),
        reason=_reason(pool, wanted, market, score),
        placement_score=score,
    )


def _reason(pool: Pool, wanted: PoolRequirements, market: CurrentMarket, score: int | None) -> str:
    why = (
        "asked for"
        if str(pool) == wanted.asked
        else "cheapest for its risk"
        if pool.spot
        else "always there to fall back on"
    )
    parts = [why, _figures(pool, wanted, market)]
    if score is not None:
        parts.append(f"placement score {score} of 10")
    if pool.zone == wanted.home.zone:
        parts.append("same zone")
    if pool.instance_type == wanted.home.instance_type:
        parts.append("same type")
    return "; ".join(parts)


def _figures(pool: Pool, wanted: PoolRequirements, market: CurrentMarket) -> str:
    usd, home = price(pool, market), wanted.home.instance_type
    reference = market.on_demand.get(home, 0.0)
    if not usd:
        return "price not known"
    if not reference:
        return f"{usd:.4f} USD/h; the on-demand price of {home} is not known"
    if not pool.spot and pool.instance_type == home:
        return f"{usd:.4f} USD/h"
    saving = 100 * (1 - usd / reference)
    return (
        f"{usd:.4f} USD/h, {abs(saving):.0f} % {'below' if saving >= 0 else 'above'} on-demand {home} ({reference:.4f})"
    )
