"""Spot prices over a period, and the on-demand price of a type, as AWS reports them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from activities.ec2.clients import Clients
from activities.ec2.errors import doing
from domain.market.observed_prices import ReportedPrice
from domain.market.on_demand_prices import ORDINARY, SYSTEMS, OnDemandPrice, price_from_api

_MOST_OFFERS = 10


class SpotHistory:
    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def pages(
        self, region: str, products: Sequence[str], start: datetime, end: datetime
    ) -> Iterator[list[ReportedPrice]]:
        """Page after page, newest first, with the prices in force at the start. Raises `Ec2Failure`.

        It asks for all types: a type that is asked for by name and unknown fails the call.
        """
        with doing(f"reading the spot price history of {region}"):
            pages = (
                self._clients.ec2(region)
                .get_paginator("describe_spot_price_history")
                .paginate(StartTime=start, EndTime=end, ProductDescriptions=list(products))
            )
            for page in pages:
                yield [
                    ReportedPrice(
                        region,
                        row.get("AvailabilityZone", ""),
                        str(row.get("InstanceType", "")),
                        row.get("Timestamp", ""),
                        row.get("SpotPrice", ""),
                    )
                    for row in page.get("SpotPriceHistory", [])
                ]

    def on_demand(self, region: str, name: str, platform: str) -> OnDemandPrice | None:
        """One call of the Pricing API; None when it knows no price. Raises `Ec2Failure`."""
        fields = {
            "instanceType": name,
            "regionCode": region,
            "operatingSystem": SYSTEMS.get(platform, "Linux"),
            **ORDINARY,
        }
        with doing(f"reading the on-demand price of {name} in {region}"):
            answer = self._clients.pricing().get_products(
                ServiceCode="AmazonEC2",
                Filters=[{"Type": "TERM_MATCH", "Field": k, "Value": v} for k, v in fields.items()],
                MaxResults=_MOST_OFFERS,
            )
        return price_from_api(region, name, platform, answer.get("PriceList", []))
