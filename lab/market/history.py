"""Spot price history from a file, checked line by line.

Two forms: the answer of `describe-spot-price-history` as JSON, and CSV (also gzip) with the columns
`instance_type,az,timestamp,price_usd_h`. Only Linux rows of a JSON file are kept.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

COLUMNS = ("instance_type", "az", "timestamp", "price_usd_h")
LINUX = ("Linux/UNIX", "Linux/UNIX (Amazon VPC)")
ZONE = re.compile(r"^[a-z]{2}(-[a-z]+)+-\d[a-z]$")

Pool = tuple[str, str]  # zone, instance type
Series = list[tuple[float, float]]  # (epoch seconds from which it holds, USD per hour), ascending


class BadPrices(Exception):
    """A price file that cannot be used; says file, line and why."""

    def __init__(self, path: Path, line: int, reason: str) -> None:
        super().__init__(f"{path}, line {line}: {reason}")


@dataclass(frozen=True)
class History:
    region: str
    zones: tuple[str, ...]
    series: dict[Pool, Series]

    def shifted(self, now: float) -> History:
        """The same history, shifted so that its middle is `now`: half is past, half is future."""
        ends = [t for points in self.series.values() for t in (points[0][0], points[-1][0])]
        delta = now - (min(ends) + max(ends)) / 2
        moved = {pool: [(t + delta, p) for t, p in points] for pool, points in self.series.items()}
        return History(self.region, self.zones, moved)


def load(path: Path) -> History:
    """Read and check a price file. Raises BadPrices."""
    text = _text(path)
    if not text.strip():
        raise BadPrices(path, 1, "the file is empty")
    rows = _json_rows(path, text) if text.lstrip()[0] in "{[" else _csv_rows(path, text)
    series: dict[Pool, dict[float, float]] = {}
    region = ""
    for line, (instance_type, zone, timestamp, price) in rows:
        at, usd = _timestamp(path, line, timestamp), _price(path, line, price)
        if not instance_type or "." not in instance_type:
            raise BadPrices(path, line, f"bad instance type {instance_type!r}")
        if not ZONE.match(zone):
            raise BadPrices(path, line, f"bad availability zone {zone!r}")
        if region and zone[:-1] != region:
            raise BadPrices(path, line, f"zone {zone} is not in {region}: one file holds one region")
        region = zone[:-1]
        series.setdefault((zone, instance_type), {})[at] = usd
    if not series:
        raise BadPrices(path, 1, "the file holds no price")
    zones = tuple(sorted({zone for zone, _ in series}))
    return History(region, zones, {pool: sorted(points.items()) for pool, points in series.items()})


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
        return (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise BadPrices(path, 1, f"cannot be read: {error}") from error


Row = tuple[int, tuple[str, str, str, object]]


def _csv_rows(path: Path, text: str) -> Iterator[Row]:
    lines = csv.reader(text.splitlines())
    header = [name.strip() for name in next(lines)]
    lacking = [name for name in COLUMNS if name not in header]
    if lacking:
        raise BadPrices(path, 1, f"missing column {', '.join(lacking)}")
    places = [header.index(name) for name in COLUMNS]
    for row in lines:
        if not row:
            continue
        if len(row) < len(header):
            raise BadPrices(path, lines.line_num, f"{len(row)} columns where {len(header)} are expected")
        kind, zone, timestamp, price = (row[i].strip() for i in places)
        yield lines.line_num, (kind, zone, timestamp, price)


def _json_rows(path: Path, text: str) -> Iterator[Row]:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadPrices(path, error.lineno, f"not JSON: {error.msg}") from error
    entries = content.get("SpotPriceHistory") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise BadPrices(path, 1, "missing column SpotPriceHistory: expected {'SpotPriceHistory': [...]}")
    lines = _entry_lines(text)
    for number, entry in enumerate(entries):
        line = lines[number] if number < len(lines) else 1
        yield from _json_row(path, line, entry)


def _json_row(path: Path, line: int, entry: Any) -> Iterator[Row]:
    if not isinstance(entry, dict):
        raise BadPrices(path, line, "an entry is not an object")
    for name in ("InstanceType", "AvailabilityZone", "Timestamp", "SpotPrice"):
        if name not in entry:
            raise BadPrices(path, line, f"missing column {name}")
    if entry.get("ProductDescription", LINUX[0]) in LINUX:
        kind, zone, timestamp = (str(entry[n]) for n in ("InstanceType", "AvailabilityZone", "Timestamp"))
        yield line, (kind, zone, timestamp, entry["SpotPrice"])


def _entry_lines(text: str) -> list[int]:
    """The line on which each entry of the list starts (entries are flat objects)."""
    start = text.find("[", text.find('"SpotPriceHistory"'))
    lines, line = [], 1 + text.count("\n", 0, start)
    for char in text[start:]:
        if char == "{":
            lines.append(line)
        elif char == "\n":
            line += 1
    return lines


def _timestamp(path: Path, line: int, value: str) -> float:
    try:
        at = datetime.fromisoformat(value)
    except ValueError as error:
        raise BadPrices(path, line, f"bad timestamp {value!r}") from error
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _price(path: Path, line: int, value: object) -> float:
    try:
        price = float(str(value))
    except ValueError as error:
        raise BadPrices(path, line, f"bad price {value!r}: not a number") from error
    if not math.isfinite(price):
        raise BadPrices(path, line, f"bad price {value!r}: not a number")
    if price <= 0:
        raise BadPrices(path, line, f"bad price {value!r}: {'zero' if price == 0 else 'negative'}")
    return price
