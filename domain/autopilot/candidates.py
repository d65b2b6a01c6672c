"""Which pools a server may be moved to, by the same rules as for a switch that a person requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from domain.blueprint import Blueprint
from domain.planning import only_zone
from domain.pools import Lifecycle, Pool
from domain.ranking import PoolRequirements, TypeFacts, open_zones, possible_types
from domain.servers import ServerPolicy


@dataclass(frozen=True)
class ServerKind:
    """Servers of one kind may go to the same pools. Hashable, so that pools are looked up once for each kind."""

    region: str
    home_type: str
    architecture: str
    virtualization_type: str
    root_device_type: str
    ena_support: bool
    hibernation: bool
    tenancy: str
    platform: str
    vpc_id: str
    same_zone: str
    instance_types: tuple[str, ...]
    zones: tuple[str, ...]
    subnets: tuple[tuple[str, str], ...]
    max_spot_usd_per_hour: float | None
    denied: tuple[str, ...] = ()  # types, families and zones
    least: tuple[float | None, ...] = ()  # of network and EBS


def server_kind(outline: Blueprint, policy: ServerPolicy, home_type: str) -> ServerKind:
    return ServerKind(
        region=outline.region,
        home_type=home_type,
        architecture=outline.architecture,
        virtualization_type=outline.virtualization_type,
        root_device_type=outline.root_device_type,
        ena_support=outline.ena_support,
        hibernation=outline.hibernation,
        tenancy=outline.tenancy,
        platform=outline.platform,
        vpc_id=outline.vpc_id,
        same_zone=only_zone(outline, policy),
        instance_types=tuple(sorted(policy.instance_types)),
        zones=tuple(sorted(policy.zones)),
        subnets=tuple(sorted(policy.subnets.items())),
        max_spot_usd_per_hour=policy.max_spot_usd_per_hour,
        denied=(*sorted(policy.denied_types), *sorted(policy.denied_zones)),
        least=(policy.min_network_gbps, policy.min_ebs_mbps),
    )


def pool_requirements(outline: Blueprint, policy: ServerPolicy, home_type: str) -> PoolRequirements:
    """The server as ranking takes it, with the type it was adopted with: else moves could only go to larger types."""
    return PoolRequirements(outline, policy, same_zone=only_zone(outline, policy), home_type=home_type)


def spot_pools(
    wanted: PoolRequirements,
    types: Mapping[str, TypeFacts],
    zones: Mapping[str, str],
    prices: Mapping[tuple[str, str], float],
) -> frozenset[str]:
    """Pools that have a price and that the server can run in. `zones`: zones with a subnet of the server."""
    if wanted.blueprint.tenancy == "host":  # EC2 sells no spot on dedicated hosts
        return frozenset()
    allowed = open_zones(wanted.policy, zones)
    cap = wanted.policy.max_spot_usd_per_hour
    return frozenset(
        str(Pool(zone, kind, Lifecycle.SPOT))
        for kind in possible_types(wanted, types)
        for zone in allowed
        if (not wanted.same_zone or zone == wanted.same_zone)
        and (zone, kind) in prices
        and (cap is None or prices[zone, kind] <= cap)
    )
