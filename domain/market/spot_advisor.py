"""The Spot Instance Advisor: how often instances of a type were interrupted in a region, in five bands.

Band 0: below 5 % of instances in the trailing month, 1: 5 to 10, 2: 10 to 15, 3: 15 to 20, 4: above 20.
By region and type, not by zone. A weak prior: own history counts more as soon as there is any.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from domain.market.on_demand_prices import BadMarketFile

BANDS = range(5)
_COLUMNS = ("snapshot_date", "region", "instance_type", "interruption_band")


@dataclass(frozen=True, slots=True)
class InterruptionBand:
    region: str
    instance_type: str
    band: int
    as_of: datetime


def read_bands(text: str, as_of: datetime) -> list[InterruptionBand]:
    """AWS's `spot-advisor-data.json` as of that time, or CSV, whose rows have their own. Linux. Raise BadMarketFile."""
    if not text.strip():
        raise BadMarketFile(1, "the file is empty")
    return list(_from_json(text, as_of) if text.lstrip()[0] == "{" else _from_csv(text))


def _from_json(text: str, as_of: datetime) -> Iterator[InterruptionBand]:
    """spot_advisor -> region -> system -> type -> {"s": savings in percent, "r": band}."""
    try:
        regions: dict[str, Any] = json.loads(text)["spot_advisor"]
    except json.JSONDecodeError as error:
        raise BadMarketFile(error.lineno, f"not JSON: {error.msg}") from None
    except KeyError:
        raise BadMarketFile(1, "not the Spot Advisor's data: it has no spot_advisor") from None
    for region, systems in regions.items():
        for name, facts in systems.get("Linux", {}).items():
            yield InterruptionBand(region, name, _band(1, facts.get("r")), as_of)


def _from_csv(text: str) -> Iterator[InterruptionBand]:
    rows = csv.DictReader(text.splitlines())
    if lacking := [name for name in _COLUMNS if name not in (rows.fieldnames or ())]:
        raise BadMarketFile(1, f"missing column {', '.join(lacking)}")
    for row in rows:
        line = rows.line_num
        try:
            as_of = datetime.fromisoformat(row["snapshot_date"]).replace(tzinfo=UTC)
        except ValueError:
            raise BadMarketFile(line, f"bad date {row['snapshot_date']!r}") from None
        yield InterruptionBand(row["region"], row["instance_type"], _band(line, row["interruption_band"]), as_of)


def _band(line: int, said: object) -> int:
    text = str(said)
    if not text.isdecimal() or int(text) not in BANDS:
        raise BadMarketFile(line, f"bad band {said!r}: 0 to 4 are known")
    return int(text)
