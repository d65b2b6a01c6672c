"""Files of prices and of AWS's beliefs, into the records. Plain or gzip; see domain.market for their forms.

spot prices     CSV, or the answer of describe-spot-price-history
on-demand       CSV, or the Pricing API's price list
Spot Advisor    CSV, or spot-advisor-data.json
"""

from __future__ import annotations

import functools
import gzip
import itertools
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from db.engine.session import SessionFactory, in_transaction
from db.market.on_demand import keep_on_demand
from db.market.pool_prices import store_spot_prices
from db.market.scores_and_bands import keep_bands
from db.market.tiers import BatchResult
from domain.market import on_demand_prices, spot_advisor, spot_price_file
from domain.market.observed_prices import PriceBounds, PriceSource, ReportedPrice
from domain.market.on_demand_prices import BadMarketFile

BATCH = 10_000  # prices in one transaction
AT_ONCE = 2
_GZIP = b"\x1f\x8b"


def load_spot_prices(sessions: SessionFactory, path: Path, now: datetime) -> tuple[int, int]:
    """Keep a file's spot prices; return how many were new, and how many were set aside. Raise BadMarketFile."""
    observed = aside = 0
    for kept in keep_in_batches(
        sessions, spot_price_file.read_price_file(text_of(path)), PriceSource.FILE, PriceBounds(now)
    ):
        observed, aside = observed + kept.observed, aside + kept.set_aside
    return observed, aside


def keep_in_batches(
    sessions: SessionFactory, said: Iterable[ReportedPrice], source: PriceSource, known: PriceBounds
) -> Iterator[BatchResult]:
    """Keep prices, some thousand in a transaction, two of them at once: while one writes its rows down, the
    database takes in the other's."""
    now = known.now or datetime.now(UTC)

    def keep(batch: Sequence[ReportedPrice]) -> BatchResult:
        work = functools.partial(store_spot_prices, said=batch, source=source, known=known, now=now)
        return in_transaction(sessions, work)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        yield from threads.map(keep, by_pool(said))


def by_pool(said: Iterable[ReportedPrice], size: int = BATCH) -> Iterator[list[ReportedPrice]]:
    """Batches of about that size in the order of pools: no pool is in two of them, so that none waits for another."""
    batch: list[ReportedPrice] = []
    for _, prices in itertools.groupby(sorted(said, key=_place), key=_place):
        batch += prices
        if len(batch) >= size:
            yield batch
            batch = []
    if batch:
        yield batch


def _place(one: ReportedPrice) -> tuple[str, str]:
    return one[1:3]


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
