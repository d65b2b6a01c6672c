"""What is sold in which zone, and for how much: types, offerings, price history, placement scores."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from moto.ec2.models.instance_types import INSTANCE_TYPES, InstanceType

from lab.ec2.calls import ActionResponse, action
from lab.ec2.errors import Ec2Error, missing
from lab.ec2.filters import page, select
from lab.ec2.records import Params, utc
from lab.ec2.world import World, type_facts
from lab.market.history import LINUX
from lab.market.market import Quote


def zone_ids(world: World) -> dict[str, str]:
    """The ID of each of the lab's zones, as moto maps them for every account alike."""
    known = {str(z.name): str(z.zone_id) for z in world.moto.describe_availability_zones()}
    return {zone: known.get(zone, zone) for zone in world.market.zones}


TYPE_PATHS = {name: ".".join(path) for name, path in InstanceType._filter_attributes.items()}
LINUX_FIRST = LINUX[0]


@action("DescribeInstanceTypes")
def describe_instance_types(world: World, params: Params) -> ActionResponse:
    """Every type that moto has facts of and the lab's region sells."""
    asked = params.get("InstanceTypes")
    if asked:
        found = [type_facts(str(kind)) for kind in asked]
    else:
        found = [dict(INSTANCE_TYPES[k]) for k in sorted(world.market.types()) if k in INSTANCE_TYPES]
    rows, token = page(select(found, params.get("Filters"), TYPE_PATHS), params, 100)
    return {"InstanceTypes": rows, "NextToken": token}


@action("DescribeInstanceTypeOfferings")
def describe_instance_type_offerings(world: World, params: Params) -> ActionResponse:
    where = str(params.get("LocationType") or "region")
    if where == "availability-zone-id":
        raise Ec2Error("InvalidParameterValue", "The lab knows zones by name alone, not by ID")
    places = world.market.zones if where == "availability-zone" else (world.region,)
    found = [
        {"InstanceType": kind, "LocationType": where, "Location": place}
        for kind in sorted(world.market.types())
        for place in places
        if where == "region" or world.market.offered(place, kind)
    ]
    paths = {"location": "Location", "instance-type": "InstanceType"}
    rows, token = page(select(found, params.get("Filters"), paths), params)
    return {"InstanceTypeOfferings": rows, "NextToken": token}


@action("DescribeAvailabilityZones")
def describe_availability_zones(world: World, params: Params) -> ActionResponse:
    found = [
        {
            "ZoneName": zone,
            "ZoneId": zone_ids(world)[zone],
            "ZoneType": "availability-zone",
            "State": "available",
            "OptInStatus": "opt-in-not-required",
            "RegionName": world.region,
            "GroupName": world.region,
            "NetworkBorderGroup": world.region,
        }
        for zone in world.market.zones
        if not params.get("ZoneNames") or zone in params["ZoneNames"]
    ]
    paths = {"zone-name": "ZoneName", "zone-id": "ZoneId", "state": "State", "region-name": "RegionName"}
    return {"AvailabilityZones": select(found, params.get("Filters"), paths)}


def _filtered(params: Params, name: str) -> list[str]:
    return [str(v) for f in params.get("Filters") or () if f.get("Name") == name for v in f.get("Values") or ()]


def _epoch(value: Any) -> float | None:
    if not isinstance(value, datetime):
        return None
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()


def _quotes(world: World, params: Params, later_page: bool) -> list[Quote]:
    """All pages of a query come from the answer to its first page."""
    key = repr(sorted((k, str(v)) for k, v in params.items() if k != "NextToken"))
    if later_page and key in world.quote_cache:
        return world.quote_cache[key]
    zones = [str(params["AvailabilityZone"])] if params.get("AvailabilityZone") else []
    found = world.market.quotes(
        [*(params.get("InstanceTypes") or ()), *_filtered(params, "instance-type")],
        [*zones, *_filtered(params, "availability-zone")],
        _epoch(params.get("StartTime")),
        _epoch(params.get("EndTime")),
    )
    if len(world.quote_cache) >= CACHED_QUERIES:
        world.quote_cache.pop(next(iter(world.quote_cache)))
    world.quote_cache[key] = found
    return found


CACHED_QUERIES = 8
HISTORY_FILTERS = {"availability-zone", "instance-type", "product-description", "spot-price", "timestamp"}


@action("DescribeSpotPriceHistory")
def describe_spot_price_history(world: World, params: Params) -> ActionResponse:
    """Newest first; the price in force at StartTime is included. Pages of one query stay consistent."""
    for one in params.get("Filters") or ():
        if one.get("Name") not in HISTORY_FILTERS:
            raise Ec2Error("InvalidParameterValue", f"The filter '{one.get('Name')}' is invalid")
    products = [*(params.get("ProductDescriptions") or ()), *_filtered(params, "product-description")]
    if products and not set(products) & set(LINUX):
        return {"SpotPriceHistory": [], "NextToken": ""}
    quotes = _quotes(world, params, bool(params.get("NextToken")))
    paged, token = page(quotes, params)
    rows = [
        {
            "AvailabilityZone": quote.zone,
            "InstanceType": quote.instance_type,
            "ProductDescription": next((p for p in products if p in LINUX), LINUX_FIRST),
            "SpotPrice": f"{quote.price:.6f}",
            "Timestamp": utc(quote.at),
        }
        for quote in paged
    ]
    return {"SpotPriceHistory": rows, "NextToken": token or ""}


@action("GetSpotPlacementScores")
def get_spot_placement_scores(world: World, params: Params) -> ActionResponse:
    """A score from 1 to 10 for each zone (SingleAvailabilityZone), or for the region, by its best zone."""
    if not params.get("TargetCapacity"):
        raise missing("TargetCapacity")
    types = [str(t) for t in params.get("InstanceTypes") or ()]
    if not types:
        types = sorted(world.market.types())
    for kind in types:
        type_facts(kind)
    target = int(params["TargetCapacity"])
    regions = params.get("RegionNames")
    if regions and world.region not in regions:
        return {"SpotPlacementScores": []}
    scores = {zone: world.market.score(zone, types, target) for zone in world.market.zones}
    if params.get("SingleAvailabilityZone"):
        rows = [
            {"Region": world.region, "AvailabilityZoneId": zone_ids(world)[zone], "Score": scores[zone]}
            for zone in world.market.zones
        ]
    else:
        rows = [{"Region": world.region, "Score": max(scores.values())}]
    rows.sort(key=lambda row: -int(str(row["Score"])))
    return {"SpotPlacementScores": rows}
