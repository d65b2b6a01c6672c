"""Pricing and Service Quotas: two JSON services that moto does not answer well."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from moto.ec2.models.instance_types import INSTANCE_TYPES

from lab.ec2.errors import Ec2Error
from lab.ec2.filters import page
from lab.ec2.records import ACCOUNT, Params
from lab.ec2.world import World
from lab.market.on_demand import LOCATIONS, on_demand_prices

QUOTAS = {
    "L-34B43A08": ("All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests", "spot"),
    "L-1216C47A": ("Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", "on_demand"),
}
TERM, RATE = "JRTCKXETXF", "6YS6EN2CT7"  # AWS's codes for on-demand terms and hourly rates


def get_products(world: World, params: Params) -> dict[str, Any]:
    """AmazonEC2 alone, Linux, shared tenancy. Each entry is JSON in a string, as AWS answers."""
    if params.get("ServiceCode") != "AmazonEC2":
        raise Ec2Error("InvalidParameterException", "The lab prices the service AmazonEC2 alone")
    products: list[dict[str, Any]] = []
    for region in sorted({world.region, *LOCATIONS}):
        prices = dict(world.market.on_demand) if region == world.region else on_demand_prices(region)
        products.extend(_product(region, kind, usd) for kind, usd in sorted(prices.items()))
    for one in params.get("Filters") or ():
        field, value = str(one.get("Field")), str(one.get("Value"))
        products = [p for p in products if p["product"]["attributes"].get(field) == value]
    rows, token = page(products, params, 100)
    answer: dict[str, Any] = {"FormatVersion": "aws_v1", "PriceList": [json.dumps(row) for row in rows]}
    return {**answer, "NextToken": token} if token else answer


def _product(region: str, kind: str, usd: float) -> dict[str, Any]:
    facts = INSTANCE_TYPES.get(kind, {})
    sku = hashlib.sha256(f"{region}/{kind}".encode()).hexdigest()[:16].upper()
    attributes = {
        "servicecode": "AmazonEC2",
        "location": LOCATIONS.get(region, region),
        "locationType": "AWS Region",
        "regionCode": region,
        "instanceType": kind,
        "vcpu": str(facts.get("VCpuInfo", {}).get("DefaultVCpus", "")),
        "memory": f"{facts.get('MemoryInfo', {}).get('SizeInMiB', 0) / 1024:g} GiB",
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
        "licenseModel": "No License required",
        "marketoption": "OnDemand",
        "operation": "RunInstances",
    }
    rate = {
        "rateCode": f"{sku}.{TERM}.{RATE}",
        "unit": "Hrs",
        "beginRange": "0",
        "endRange": "Inf",
        "description": f"${usd:.10f} per On Demand Linux {kind} Instance Hour",
        "appliesTo": [],
        "pricePerUnit": {"USD": f"{usd:.10f}"},
    }
    offer = {
        "sku": sku,
        "offerTermCode": TERM,
        "termAttributes": {},
        "effectiveDate": "2026-01-01T00:00:00Z",
        "priceDimensions": {rate["rateCode"]: rate},
    }
    return {
        "product": {"productFamily": "Compute Instance", "sku": sku, "attributes": attributes},
        "serviceCode": "AmazonEC2",
        "terms": {"OnDemand": {f"{sku}.{TERM}": offer}},
        "version": "lab",
        "publicationDate": "2026-01-01T00:00:00Z",
    }


def get_service_quota(world: World, params: Params) -> dict[str, Any]:
    return {"Quota": _quota(world, str(params.get("QuotaCode")))}


def list_service_quotas(world: World, params: Params) -> dict[str, Any]:
    return {"Quotas": [_quota(world, code) for code in QUOTAS]}


def _quota(world: World, code: str) -> dict[str, Any]:
    if code not in QUOTAS:
        raise Ec2Error("NoSuchResourceException", f"The request failed because the quota {code} does not exist")
    name, field = QUOTAS[code]
    return {
        "ServiceCode": "ec2",
        "ServiceName": "Amazon Elastic Compute Cloud (Amazon EC2)",
        "QuotaArn": f"arn:aws:servicequotas:{world.region}:{ACCOUNT}:ec2/{code}",
        "QuotaCode": code,
        "QuotaName": name,
        "Value": getattr(world.quotas, field),
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
    }


ANSWERS = {
    "AWSPriceListService.GetProducts": get_products,
    "ServiceQuotasV20190624.GetServiceQuota": get_service_quota,
    "ServiceQuotasV20190624.ListServiceQuotas": list_service_quotas,
}
