"""A region's pools as the decision policy sees them: prices from EC2 now, and what our own history says."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime

from db.models import PoolRow
from domain.deciding.facts import Offer
from domain.deciding.pricing import PriceRecord
from domain.deciding.reliability import first_seen
from domain.pools import Lifecycle, Pool

RESTING = "gave a notice or had no capacity a short while ago"
UNKNOWN_BAND = 2
_BAND_SHARE = (0.025, 0.075, 0.125, 0.175, 0.25)  # the middle of each; the last is open to above
_HOURS_A_MONTH = 730.0


def hazard_of_band(band: int) -> float:
    """Losses per hour of a Spot Advisor band, 0 to 4: the share of instances interrupted in the trailing month.

    The band says little of one zone's pool (it is per region and type, and old); it is where the record begins, and
    own evidence takes its place.
    """
    return -math.log(1 - _BAND_SHARE[band]) / _HOURS_A_MONTH


def hours(at: datetime) -> float:
    """Hours since 1970: the clock of the policy's records."""
    return at.timestamp() / 3600


def offers_of(
    prices: Mapping[tuple[str, str], float],
    known: Iterable[PoolRow],
    now: datetime,
    bands: Mapping[str, int] | None = None,
) -> dict[str, Offer]:
    """By pool. `bands`: the Spot Advisor's, by type. A pool in its cool-down is blocked (invariant 10)."""
    rows, bands = {row.id: row for row in known}, bands or {}
    at_h = hours(now)
    found: dict[str, Offer] = {}
    for (zone, kind), usd in prices.items():
        pool = str(Pool(zone, kind, Lifecycle.SPOT))
        found[pool] = Offer(
            pool=pool,
            price=PriceRecord(at_h, usd),
            reliability=first_seen(at_h, True, hazard_of_band(bands.get(kind, UNKNOWN_BAND))),
            blocked=_blocked(rows.get(pool), now),
            zone=zone,
        )
    return found


def _blocked(row: PoolRow | None, now: datetime) -> str:
    if row is None or row.cool_down_until is None or row.cool_down_until <= now:
        return ""
    return f"{RESTING}: {row.cool_down_reason}"
