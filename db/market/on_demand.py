"""On-demand prices, from AWS's Pricing API, its price list, or a file."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.dialects.mysql import insert
from sqlalchemy.orm import Session

from db.tables import OnDemandPriceRow, PriceSeries
from domain.market.on_demand_prices import LINUX, OnDemandPrice

# Of several prices valid since the same moment, the API's counts first, then the price list's, a file's, an estimate.
_STRENGTH = {"api": 3, "list": 2, "scaled": 0}


def keep_on_demand(session: Session, prices: Iterable[OnDemandPrice], now: datetime) -> int:
    """Keep the prices; a known one gets a new `seen_at`. Return how many came."""
    rows = [
        {
            "region": one.region,
            "instance_type": one.instance_type,
            "platform": one.platform,
            "valid_from": one.valid_from,
            "source": one.source,
            "usd_per_hour": one.usd,
            "seen_at": now,
        }
        for one in prices
    ]
    rows.sort(key=lambda row: (row["region"], row["instance_type"], row["valid_from"]))  # one order for all
    if rows:
        new = insert(OnDemandPriceRow)
        again = new.on_duplicate_key_update(usd_per_hour=new.inserted.usd_per_hour, seen_at=new.inserted.seen_at)
        session.execute(again, rows)
    return len(rows)


def on_demand_prices(session: Session, region: str, at: datetime, platform: str = LINUX) -> dict[str, Decimal]:
    """Type -> USD per hour at that time: the latest price valid by then, else the earliest one known.

    A price that was first read today is the best guess of last month's: AWS's hardly ever change (all 181
    types of us-east-1 that are in both lists cost the same in 2019 and in 2026).
    """
    row = OnDemandPriceRow
    columns = (row.instance_type, row.usd_per_hour, row.valid_from, row.source)
    query = select(*columns).where(row.region == region, row.platform == platform)
    best: dict[str, tuple[tuple[bool, float, int], Decimal]] = {}
    for name, usd, valid_from, source in session.execute(query):
        claim = _claim(valid_from, source, at)
        if name not in best or claim > best[name][0]:
            best[name] = claim, usd
    return {name: usd for name, (_, usd) in best.items()}


def on_demand_history(
    session: Session, region: str, platform: str = LINUX
) -> dict[str, list[tuple[datetime, Decimal]]]:
    """Type -> (valid from, USD per hour), in the order of time; of several at one moment the strongest source."""
    row = OnDemandPriceRow
    query = select(row).where(row.region == region, row.platform == platform)
    found: dict[str, dict[datetime, OnDemandPriceRow]] = {}
    for one in session.scalars(query):
        since = found.setdefault(one.instance_type, {})
        known = since.get(one.valid_from)
        if known is None or _STRENGTH.get(one.source, 1) > _STRENGTH.get(known.source, 1):
            since[one.valid_from] = one
    return {name: [(at, since[at].usd_per_hour) for at in sorted(since)] for name, since in found.items()}


def types_to_price(session: Session, region: str, seen_since: datetime, platform: str = LINUX) -> list[str]:
    """The types with a spot price in the region whose on-demand price was not read from the API since then."""
    row = OnDemandPriceRow
    known = select(row.instance_type).where(
        row.region == region, row.platform == platform, row.source == "api", row.seen_at >= seen_since
    )
    query = select(PriceSeries.instance_type).where(
        PriceSeries.region == region, PriceSeries.instance_type.not_in(known)
    )
    return sorted(set(session.scalars(query)))


def _claim(valid_from: datetime, source: str, at: datetime) -> tuple[bool, float, int]:
    valid, seconds = valid_from <= at, valid_from.timestamp()
    return valid, seconds if valid else -seconds, _STRENGTH.get(source, 1)
