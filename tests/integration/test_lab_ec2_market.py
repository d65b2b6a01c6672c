"""Prices, offerings and placement scores of the lab."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.integration.lab_ec2 import ZONE_A, ZONE_B, Lab, ec2, lab

__all__ = ["ec2", "lab"]  # fixtures


def test_price_history_comes_in_pages_newest_first(lab: Lab, ec2: Any) -> None:
    asked = {"InstanceTypes": ["m5.large", "c5.large"], "ProductDescriptions": ["Linux/UNIX"]}
    paged: list[dict[str, Any]] = []
    for page in ec2.get_paginator("describe_spot_price_history").paginate(**asked, PaginationConfig={"PageSize": 7}):
        assert len(page["SpotPriceHistory"]) <= 7
        paged.extend(page["SpotPriceHistory"])
    whole = ec2.describe_spot_price_history(**asked, MaxResults=1000)["SpotPriceHistory"]
    assert paged[: len(whole)] == whole
    stamps = [row["Timestamp"] for row in paged]
    assert stamps == sorted(stamps, reverse=True)
    assert {row["AvailabilityZone"] for row in paged} == set(lab.world["zones"])


def test_from_now_on_the_history_is_the_current_price_of_each_pool(lab: Lab, ec2: Any) -> None:
    lab.post(f"/pools/{ZONE_A}/r5.large/spot/price", price=0.0777)
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1))
    found = ec2.describe_spot_price_history(InstanceTypes=["r5.large"], StartTime=now)["SpotPriceHistory"]
    assert len(found) == len(lab.world["zones"])
    assert {row["AvailabilityZone"]: row["SpotPrice"] for row in found}[ZONE_A] == "0.077700"


def test_on_demand_prices_have_the_shape_of_the_price_list(lab: Lab) -> None:
    wanted = {"instanceType": "m5.large", "regionCode": "us-east-1", "operatingSystem": "Linux", "tenancy": "Shared"}
    filters = [{"Type": "TERM_MATCH", "Field": k, "Value": v} for k, v in wanted.items()]
    (product,) = lab.client("pricing").get_products(ServiceCode="AmazonEC2", Filters=filters)["PriceList"]
    offer = next(iter(json.loads(product)["terms"]["OnDemand"].values()))
    assert float(next(iter(offer["priceDimensions"].values()))["pricePerUnit"]["USD"]) == 0.096


def test_scores_and_offerings_are_answered(ec2: Any) -> None:
    scores = ec2.get_spot_placement_scores(
        InstanceTypes=["m5.large", "c5.large", "r5.large"], TargetCapacity=1, SingleAvailabilityZone=True
    )["SpotPlacementScores"]
    zones = {z["ZoneId"] for z in ec2.describe_availability_zones()["AvailabilityZones"]}
    assert {row["AvailabilityZoneId"] for row in scores} == zones
    assert all(1 <= row["Score"] <= 10 for row in scores)
    offered = ec2.describe_instance_type_offerings(
        LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": ["m5.large"]}]
    )
    assert {row["Location"] for row in offered["InstanceTypeOfferings"]} == {ZONE_A, ZONE_B, "us-east-1c"}
    facts = ec2.describe_instance_types(InstanceTypes=["m6g.large"])["InstanceTypes"][0]
    assert facts["ProcessorInfo"]["SupportedArchitectures"] == ["arm64"]
