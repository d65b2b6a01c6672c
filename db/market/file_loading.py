"""Loads files into the records: prices, and the Spot Advisor. Plain or gzip; domain.market has their formats.

spot prices     CSV, or the answer of describe-spot-price-history
on-demand       CSV, or the Pricing API's price list
Spot Advisor    CSV, or spot-advisor-data.json
"""

from __future__ import annotations

import gzip
from datetime import datetime
from pathlib import Path

from db.engine.session import SessionFactory, in_transaction
from db.market.incoming_prices import keep_in_batches
from db.market.on_demand import keep_on_demand
from db.market.scores_and_bands import keep_bands
from domain.market import on_demand_prices, spot_advisor, spot_price_file
from domain.market.observed_prices import PriceBounds, PriceSource
from domain.market.on_demand_prices import BadMarketFile

_GZIP = b"\x1f\x8b"


def load_spot_prices(sessions: SessionFactory, path: Path, now: datetime) -> tuple[int, int]:
    """Keep a file's spot prices; return how many were new, and how many were set aside. Raise BadMarketFile."""
    observed = aside = 0
    for kept in keep_in_batches(
        sessions, spot_price_file.read_price_file(text_of(path)), PriceSource.FILE, PriceBounds(now)
    ):
        observed, aside = observed + kept.observed, aside + kept.set_aside
    return observed, aside


def load_on_demand(sessions: SessionFactory, path: Path, now: datetime) -> int:
    """Keep a file's on-demand prices; return how many it holds. Raise BadMarketFile."""
    prices = on_demand_prices.read_on_demand_prices(text_of(path))
    return in_transaction(sessions, lambda session: keep_on_demand(session, prices, now))


def load_bands(sessions: SessionFactory, path: Path, as_of: datetime) -> int:
    """Keep the Spot Advisor's bands; return how many the file holds. `as_of`: of JSON, which does not tell."""
    bands = spot_advisor.read_bands(text_of(path), as_of)
    return in_transaction(sessions, lambda session: keep_bands(session, bands))


def text_of(path: Path) -> str:
    """Raise BadMarketFile for what is no text; OSError when there is no such file."""
    raw = path.read_bytes()
    try:
        return (gzip.decompress(raw) if raw.startswith(_GZIP) else raw).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise BadMarketFile(1, f"cannot be read: {error}") from None
