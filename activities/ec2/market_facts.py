"""The market as EC2 and the Pricing API describe it. Facts only; `domain.ranking` decides."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from activities.ec2.activity import parallel
from activities.ec2.clients import Cache, Clients
from activities.ec2.errors import Ec2Failure, doing
from activities.ec2.spot_history import SpotHistory
from domain.blueprint import Blueprint
from domain.ranking import MAX_GROWTH, TypeFacts

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import FilterTypeDef, InstanceTypeInfoTypeDef

log = logging.getLogger(__name__)

_SIX_HOURS_S = 6 * 3600.0
# EC2 grants few new placement-score questions a day, and the answer changes slowly.
_SCORES_TTL_S = 600.0
_FEWEST_TYPES_TO_SCORE = 3  # below, EC2's scores are not useful (EC2 user guide, "Spot placement score")
_MOST_FILTER_VALUES = 200


class MarketFacts:
    """Asks AWS, and caches what changes slowly."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._history = SpotHistory(clients)
        self._types: Cache[dict[str, TypeFacts]] = Cache(_SIX_HOURS_S)
        self._offered: Cache[frozenset[tuple[str, str]]] = Cache(_SIX_HOURS_S)
        self._on_demand: Cache[float] = Cache(_SIX_HOURS_S)
        self._scores: Cache[dict[str, int]] = Cache(_SCORES_TTL_S)

    def named_types(self, region: str, names: Iterable[str]) -> dict[str, TypeFacts]:
        """Those that exist. They are asked for by filter: one unknown name would fail the whole call otherwise."""
        wanted = tuple(sorted(set(names)))
        filters: list[FilterTypeDef] = [{"Name": "instance-type", "Values": list(wanted)}]
        return self._types.get((region, wanted), lambda: self._ask_types(region, filters), stale_ok=True)

    def similar_types(self, region: str, current: TypeFacts) -> dict[str, TypeFacts]:
        """Every type that may replace the current one (`domain.ranking.alike` decides)."""
        vcpus = range(current.vcpus, int(MAX_GROWTH * current.vcpus) + 1)[:_MOST_FILTER_VALUES]
        filters: list[FilterTypeDef] = [
            {"Name": "current-generation", "Values": ["true"]},
            {"Name": "processor-info.supported-architecture", "Values": list(current.architectures)},
            {"Name": "vcpu-info.default-vcpus", "Values": [str(n) for n in vcpus]},
            {"Name": "bare-metal", "Values": [str(current.bare_metal).lower()]},
        ]
        key = (region, "like", current)
        return self._types.get(key, lambda: self._ask_types(region, filters), stale_ok=True)

    def spot_prices(self, region: str, types: Sequence[str], platform: str) -> dict[tuple[str, str], float]:
        """(zone, type) -> USD per hour now. With start and end both now, EC2 returns the prices in force."""
        now, prices = datetime.now(UTC), dict[tuple[str, str], float]()
        if not types:
            return prices
        # Accounts that still have EC2-Classic see VPC prices under a name of their own.
        products = [platform, f"{platform} (Amazon VPC)"]
        with doing(f"reading spot prices of {len(types)} types"):
            pages = (
                self._clients.ec2(region)
                .get_paginator("describe_spot_price_history")
                .paginate(
                    StartTime=now,
                    EndTime=now,
                    InstanceTypes=cast(Any, list(types)),
                    ProductDescriptions=products,
                )
            )
            for page in pages:
                for row in page.get("SpotPriceHistory", []):
                    pool = (row.get("AvailabilityZone", ""), str(row.get("InstanceType", "")))
                    prices.setdefault(pool, float(row.get("SpotPrice", "0")))  # newest first
        return prices

    def on_demand_prices(self, region: str, types: Iterable[str], platform: str) -> dict[str, float]:
        """Best effort: the Pricing API is served from one region, and a rescue must not wait for it."""
        names = sorted(set(types))
        prices = parallel([functools.partial(self._on_demand_price, region, name, platform) for name in names])
        return {name: usd for name, usd in zip(names, prices, strict=True) if usd}

    def offered(self, region: str, types: Iterable[str]) -> frozenset[tuple[str, str]]:
        """(zone, type) pairs that are offered; empty when EC2 gives no answer."""
        names = tuple(sorted(set(types)))
        try:
            return self._offered.get((region, names), lambda: self._ask_offered(region, names), stale_ok=True)
        except Ec2Failure as failed:
            log.warning("instance type offerings are not known: %s", failed.message)
            return frozenset()

    def scores(self, region: str, types: Sequence[str]) -> dict[str, int]:
        """Zone -> placement score of one more instance of any of these types; empty when unknown."""
        if len(types) < _FEWEST_TYPES_TO_SCORE:
            return {}
        key = (region, tuple(sorted(types)))
        try:
            return self._scores.get(key, lambda: self._ask_scores(region, types), stale_ok=True)
        except Ec2Failure as failed:
            log.warning("placement scores are not known: %s", failed.message)
            return {}

    def image_facts(self, region: str, image_id: str) -> dict[str, Any]:
        """Architecture, virtualisation and the like, for a blueprint that was not inspected."""
        with doing(f"looking at image {image_id}"):
            images = self._clients.ec2(region).describe_images(ImageIds=[image_id]).get("Images", [])
        if not images:
            return {}
        return {
            "architecture": images[0].get("Architecture", ""),
            "virtualization_type": images[0].get("VirtualizationType", "hvm"),
            "root_device_type": images[0].get("RootDeviceType", "ebs"),
            "root_device_name": images[0].get("RootDeviceName", ""),
            "ena_support": images[0].get("EnaSupport", True),
            "platform": images[0].get("PlatformDetails", "Linux/UNIX"),
        }

    def subnets(self, region: str, old: Blueprint) -> list[dict[str, Any]]:
        """Every subnet of the blueprint's VPC; of the default VPC when it names none."""
        ec2 = self._clients.ec2(region)
        with doing("looking at the subnets a replacement could use"):
            vpc_id = old.vpc_id
            if not vpc_id and old.subnet_id:
                named = ec2.describe_subnets(SubnetIds=[old.subnet_id]).get("Subnets", [])
                vpc_id = named[0].get("VpcId", "") if named else ""
            if vpc_id:
                wanted: FilterTypeDef = {"Name": "vpc-id", "Values": [vpc_id]}
            else:
                wanted = {"Name": "default-for-az", "Values": ["true"]}
            pages = ec2.get_paginator("describe_subnets").paginate(Filters=[wanted])
            return [dict(subnet) for page in pages for subnet in page.get("Subnets", [])]

    def _ask_types(self, region: str, filters: list[FilterTypeDef]) -> dict[str, TypeFacts]:
        with doing("looking up instance types"):
            pages = self._clients.ec2(region).get_paginator("describe_instance_types").paginate(Filters=filters)
            found = [_facts(kind) for page in pages for kind in page.get("InstanceTypes", [])]
        return {kind.name: kind for kind in found}

    def _ask_offered(self, region: str, names: tuple[str, ...]) -> frozenset[tuple[str, str]]:
        with doing("looking up where instance types are sold"):
            pages = (
                self._clients.ec2(region)
                .get_paginator("describe_instance_type_offerings")
                .paginate(LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": list(names)}])
            )
            return frozenset(
                (offer.get("Location", ""), str(offer.get("InstanceType", "")))
                for page in pages
                for offer in page.get("InstanceTypeOfferings", [])
            )

    def _on_demand_price(self, region: str, name: str, platform: str) -> float:
        def ask() -> float:
            found = self._history.on_demand(region, name, platform)
            return float(found.usd) if found else 0.0

        try:
            return self._on_demand.get((region, name, platform), ask, stale_ok=True)
        except Ec2Failure as failed:
            log.warning("the on-demand price of %s is not known: %s", name, failed.message)
            return 0.0

    def _ask_scores(self, region: str, types: Sequence[str]) -> dict[str, int]:
        ec2 = self._clients.ec2(region)
        with doing("reading placement scores"):
            zones = ec2.describe_availability_zones().get("AvailabilityZones", [])
            scores = ec2.get_spot_placement_scores(
                InstanceTypes=list(types), TargetCapacity=1, SingleAvailabilityZone=True, RegionNames=[region]
            ).get("SpotPlacementScores", [])
        names = {zone.get("ZoneId", ""): zone.get("ZoneName", "") for zone in zones}
        known = ((names.get(s.get("AvailabilityZoneId", "")), s.get("Score", 0)) for s in scores)
        return {zone: score for zone, score in known if zone}


def _facts(kind: InstanceTypeInfoTypeDef) -> TypeFacts:
    accelerators = ("GpuInfo", "InferenceAcceleratorInfo", "FpgaInfo", "NeuronInfo", "MediaAcceleratorInfo")
    network = kind.get("NetworkInfo", {})
    return TypeFacts(
        name=str(kind.get("InstanceType", "")),
        architectures=tuple(kind.get("ProcessorInfo", {}).get("SupportedArchitectures", [])),
        virtualization_types=tuple(kind.get("SupportedVirtualizationTypes", ["hvm"])),
        vcpus=kind.get("VCpuInfo", {}).get("DefaultVCpus", 0),
        memory_mib=kind.get("MemoryInfo", {}).get("SizeInMiB", 0),
        root_device_types=tuple(kind.get("SupportedRootDeviceTypes", ["ebs"])),
        burstable=kind.get("BurstablePerformanceSupported", False),
        current_generation=kind.get("CurrentGeneration", True),
        accelerated=any(name in kind for name in accelerators),
        bare_metal=kind.get("BareMetal", False),
        ena=str(network.get("EnaSupport", "supported")),
        hibernation=kind.get("HibernationSupported", False),
        network_gbps=sum(card.get("BaselineBandwidthInGbps", 0.0) for card in network.get("NetworkCards", [])),
        ebs_mbps=float(kind.get("EbsInfo", {}).get("EbsOptimizedInfo", {}).get("BaselineBandwidthInMbps", 0)),
    )
