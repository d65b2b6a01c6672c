"""On-demand prices from the Pricing API, from its price list as a file, or from a CSV file.

Only what runs as an ordinary instance counts: shared tenancy, no pre-installed software, used capacity
(Pricing API, attributes of `AmazonEC2`). Other currencies than USD (China's) are left out.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

LINUX = "Linux/UNIX"
# PlatformDetails of an instance -> `operatingSystem` of the Pricing API.
SYSTEMS: Mapping[str, str] = {
    LINUX: "Linux",
    "Red Hat Enterprise Linux": "RHEL",
    "SUSE Linux": "SUSE",
    "Ubuntu Pro": "Ubuntu Pro",
    "Windows": "Windows",
}
ORDINARY: Mapping[str, str] = {"tenancy": "Shared", "preInstalledSw": "NA", "capacitystatus": "Used"}
FIRST_EC2 = datetime(2006, 8, 25, tzinfo=UTC)  # used as the beginning where none is given
_COLUMNS = ("region", "instance_type", "ondemand_usd_h")
_MILLIONTH = Decimal("0.000001")


class BadMarketFile(ValueError):
    """A file is not valid; the message says the line and the reason."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")


@dataclass(frozen=True, slots=True)
class OnDemandPrice:
    """USD per hour from `valid_from` on. `source`: api, list, or what a CSV calls its own."""

    region: str
    instance_type: str
    platform: str
    usd: Decimal
    valid_from: datetime
    source: str


def price_from_api(region: str, name: str, platform: str, entries: Iterable[str]) -> OnDemandPrice | None:
    """The price among the entries that GetProducts gave for this type; the cheapest, should there be several.

    An entry is JSON in a string: terms -> OnDemand -> offer -> price dimension -> USD.
    """
    offers = [offer for entry in entries for offer in _offers(json.loads(entry).get("terms", {}))]
    found = [price for price in (_hourly(offer) for offer in offers) if price]
    if not found:
        return None
    usd, valid_from = min(found)
    return OnDemandPrice(region, name, platform, usd, valid_from, "api")


def read_on_demand_prices(text: str) -> list[OnDemandPrice]:
    """A price list of the Pricing API (JSON), or CSV. Raise BadMarketFile."""
    if not text.strip():
        raise BadMarketFile(1, "the file is empty")
    found = list(_from_list(text) if text.lstrip()[0] == "{" else _from_csv(text))
    if not found:
        raise BadMarketFile(1, "the file holds no on-demand price of an ordinary instance")
    return found


def _from_csv(text: str) -> Iterator[OnDemandPrice]:
    rows = csv.DictReader(text.splitlines())
    if lacking := [name for name in _COLUMNS if name not in (rows.fieldnames or ())]:
        raise BadMarketFile(1, f"missing column {', '.join(lacking)}")
    for row in rows:
        usd = _usd(row["ondemand_usd_h"])
        if usd is None or not row["region"] or "." not in (row["instance_type"] or ""):
            raise BadMarketFile(
                rows.line_num, f"no on-demand price: {row['instance_type']!r} {row['ondemand_usd_h']!r}"
            )
        source = (row.get("source") or "file").split(":")[0][:32]
        platform = row.get("platform") or LINUX
        yield OnDemandPrice(
            row["region"], row["instance_type"], platform, usd, _since(rows.line_num, row.get("price_as_of")), source
        )


def _since(line: int, text: str | None) -> datetime:
    """From `2019-04` or `2019-04-30`; FIRST_EC2 if empty."""
    if not text:
        return FIRST_EC2
    try:
        return datetime.fromisoformat(text if len(text) > 7 else f"{text}-01").replace(tzinfo=UTC)
    except ValueError:
        raise BadMarketFile(line, f"bad date {text!r}") from None


def _from_list(text: str) -> Iterator[OnDemandPrice]:
    """AWS's bulk price list: products by SKU, terms -> OnDemand by SKU."""
    try:
        content: dict[str, Any] = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadMarketFile(error.lineno, f"not JSON: {error.msg}") from None
    if not {"products", "terms"} <= content.keys():
        raise BadMarketFile(1, "not a price list: it has no products or no terms")
    platforms = {system: platform for platform, system in SYSTEMS.items()}
    terms: dict[str, Any] = content["terms"].get("OnDemand", {})
    for sku, product in content["products"].items():
        facts = product.get("attributes", {})
        platform = platforms.get(facts.get("operatingSystem", ""))
        if platform is None or any(facts.get(name) != value for name, value in ORDINARY.items()):
            continue
        for usd, since in filter(None, map(_hourly, terms.get(sku, {}).values())):
            yield OnDemandPrice(facts.get("regionCode", ""), facts["instanceType"], platform, usd, since, "list")


def _offers(terms: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list(terms.get("OnDemand", {}).values())


def _hourly(offer: Mapping[str, Any]) -> tuple[Decimal, datetime] | None:
    dimensions = offer.get("priceDimensions", {}).values()
    prices = [_usd(one.get("pricePerUnit", {}).get("USD")) for one in dimensions if one.get("unit") == "Hrs"]
    known = [price for price in prices if price]
    said = offer.get("effectiveDate")
    since = datetime.fromisoformat(said).astimezone(UTC) if said else FIRST_EC2
    return (max(known), since) if known else None


def _usd(text: object) -> Decimal | None:
    """USD per hour; None if it is not a price."""
    try:
        usd = Decimal(str(text)).quantize(_MILLIONTH)
    except InvalidOperation:
        return None
    return usd if 0 < usd < 100_000 else None
