"""On-demand prices, Linux, shared tenancy, USD per hour: what AWS lists, for the types the lab sells.

Within a family AWS's prices are linear in size, so the table holds the price of `large`.
"""

from __future__ import annotations

from collections.abc import Mapping

SIZES: Mapping[str, int] = {"large": 1, "xlarge": 2, "2xlarge": 4, "4xlarge": 8}
SHORT_FAMILIES = frozenset({"t3", "t3a", "t4g"})  # burstable types end at 2xlarge

LARGE: Mapping[str, Mapping[str, float]] = {
    "us-east-1": {
        "c5": 0.085,
        "c5a": 0.077,
        "c6a": 0.0765,
        "c6g": 0.068,
        "c6i": 0.085,
        "c7g": 0.0725,
        "m5": 0.096,
        "m5a": 0.086,
        "m6a": 0.0864,
        "m6g": 0.077,
        "m6i": 0.096,
        "m7g": 0.0816,
        "m7i": 0.1008,
        "r5": 0.126,
        "r5a": 0.113,
        "r6g": 0.1008,
        "r6i": 0.126,
        "t3": 0.0832,
        "t4g": 0.0672,
    },
    "sa-east-1": {
        "c5": 0.131,
        "c5a": 0.118,
        "c6a": 0.1179,
        "c6g": 0.1048,
        "c6i": 0.131,
        "m5": 0.153,
        "m5a": 0.138,
        "m6a": 0.1377,
        "m6g": 0.1224,
        "m6i": 0.153,
        "m7g": 0.1297,
        "m7i": 0.16065,
        "r5": 0.201,
        "r6g": 0.1611,
        "r6i": 0.201,
        "t3": 0.1344,
        "t4g": 0.1072,
    },
}

SINGLE: Mapping[str, Mapping[str, float]] = {
    "us-east-1": {"p3.2xlarge": 3.06, "g4dn.xlarge": 0.526},
    "sa-east-1": {"g4dn.xlarge": 0.894},
}

LOCATIONS: Mapping[str, str] = {
    "us-east-1": "US East (N. Virginia)",
    "us-east-2": "US East (Ohio)",
    "us-west-2": "US West (Oregon)",
    "eu-west-1": "EU (Ireland)",
    "sa-east-1": "South America (Sao Paulo)",
}


def on_demand_prices(region: str) -> dict[str, float]:
    """Every type sold on demand in `region`, with its price."""
    prices = dict(SINGLE.get(region, {}))
    for family, price in LARGE.get(region, {}).items():
        for size, factor in SIZES.items():
            if not (family in SHORT_FAMILIES and size == "4xlarge"):
                prices[f"{family}.{size}"] = round(price * factor, 6)
    return prices
