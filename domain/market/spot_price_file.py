"""Spot prices of a file: CSV, or the answer of `describe-spot-price-history` as JSON.

CSV has the columns instance_type, az, timestamp, price_usd_h, and may have currency. A row whose values
make no sense is a price all the same, which is set aside with its reason; a file without rows is refused.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from typing import Any

from domain.market.observed_prices import ReportedPrice
from domain.market.on_demand_prices import LINUX, BadMarketFile

_COLUMNS = ("instance_type", "az", "timestamp", "price_usd_h")
_LINUX = (LINUX, f"{LINUX} (Amazon VPC)")
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d+")


def read_price_file(text: str) -> list[ReportedPrice]:
    """The file's prices of Linux pools, in its order. Raise BadMarketFile."""
    if not text.strip():
        raise BadMarketFile(1, "the file is empty")
    found = list(_from_json(text) if text.lstrip()[0] in "{[" else _from_csv(text))
    if not found:
        raise BadMarketFile(1, "the file holds no price")
    return found


def region_of(zone: str) -> str:
    """The region of a zone such as `us-east-1a` or the local zone `us-west-2-lax-1a`; empty when there is none."""
    found = _REGION.match(zone)
    return found.group() if found else ""


def _from_csv(text: str) -> Iterator[ReportedPrice]:
    lines = csv.reader(text.splitlines())
    header = [name.strip() for name in next(lines)]
    if lacking := [name for name in _COLUMNS if name not in header]:
        raise BadMarketFile(1, f"missing column {', '.join(lacking)}")
    kind, zone, at, price = (header.index(name) for name in _COLUMNS)
    currency = header.index("currency") if "currency" in header else None
    regions: dict[str, str] = {}
    for row in lines:
        if not row:
            continue
        if len(row) < len(header):
            raise BadMarketFile(lines.line_num, f"{len(row)} columns where {len(header)} are expected")
        where = row[zone]
        region = regions.get(where) or regions.setdefault(where, region_of(where))
        yield ReportedPrice(region, where, row[kind], row[at], row[price], "USD" if currency is None else row[currency])


def _from_json(text: str) -> Iterator[ReportedPrice]:
    try:
        content: Any = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadMarketFile(error.lineno, f"not JSON: {error.msg}") from None
    entries = content.get("SpotPriceHistory") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise BadMarketFile(1, "expected {'SpotPriceHistory': [...]}")
    for entry in entries:
        if not isinstance(entry, dict):
            raise BadMarketFile(1, "an entry of SpotPriceHistory is not an object")
        if entry.get("ProductDescription", LINUX) in _LINUX:
            zone, name, at = (str(entry.get(key, "")) for key in ("AvailabilityZone", "InstanceType", "Timestamp"))
            yield ReportedPrice(region_of(zone), zone, name, at, str(entry.get("SpotPrice", "")))
