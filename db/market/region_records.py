"""What the records say about a region's market, as the autopilot needs it: prices, reliability, AWS's own warnings."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.market.incoming_prices import collected_until
from db.market.on_demand import on_demand_prices
from db.market.pool_facts import pool_facts_since, stays_since
from db.market.pools import cooling_pools
from db.market.scores_and_bands import bands_of, scores_of_types
from db.tables import PriceCanonical, PriceSeries
from domain.autopilot.pool_records import PriceRecord, with_price
from domain.autopilot.pool_supply import COOL_DOWN_WHY, PoolKnowledge, hours, prior_of
from domain.market.contract import STALE_AFTER, spot_collection
from domain.market.observed_prices import PoolKey
from domain.market.pool_reliability import MEMORY_H, PoolFact, PoolFactKind, pool_reliability
from domain.market.price_series import HOLD

MEMORY = timedelta(days=42)  # three times what a change is remembered
_AT_ONCE = 400  # see db.market.canonical


@dataclass(frozen=True)
class RecordedPrices:
    """The spot prices of a region's pools.

    `collected`: the collection is up to date, so a pool without a price is not sold. If it is not, EC2 must be asked.
    `current`: pools whose price was reported within about a day. Whether the others are still sold, only EC2 knows.
    """

    collected: bool = False
    prices: dict[PoolKey, PriceRecord] = field(default_factory=dict)
    current: frozenset[PoolKey] = frozenset()


@dataclass(frozen=True)
class RegionRecords:
    """`prices`: spot prices of Linux. `on_demand`: type -> USD per hour, of Linux. `known`: everything but prices."""

    prices: RecordedPrices = field(default_factory=RecordedPrices)
    on_demand: dict[str, float] = field(default_factory=dict)
    known: PoolKnowledge = field(default_factory=PoolKnowledge)


def read_region_records(session: Session, prices: PriceRecords, region: str, now: datetime) -> RegionRecords:
    """Everything as of `now`, in a handful of statements."""
    return RegionRecords(
        prices=prices.of(session, region, now),
        on_demand={name: float(usd) for name, usd in on_demand_prices(session, region, now).items()},
        known=read_supply_facts(session, region, now),
    )


class PriceRecords:
    """Reads a region's price records. A series that has not changed is not read again."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, PriceRecord]] = {}  # series -> its version and what that came to
        self._lock = threading.Lock()

    def of(self, session: Session, region: str, now: datetime) -> RecordedPrices:
        """The record of every pool of the region that ever had a price."""
        until = collected_until(session, spot_collection(region))
        query = select(
            PriceSeries.id, PriceSeries.version, PriceSeries.zone, PriceSeries.instance_type, PriceSeries.tail_last_at
        ).where(PriceSeries.region == region, PriceSeries.tail_at.is_not(None))
        rows = session.execute(query).all()
        with self._lock:
            self._read(session, [(row.id, row.version) for row in rows], now)
            known = {row.id: self._known[row.id][1] for row in rows if row.id in self._known}
        return RecordedPrices(
            collected=until is not None and until >= now - STALE_AFTER,
            prices={(row.zone, row.instance_type): known[row.id] for row in rows if row.id in known},
            current=frozenset(
                (row.zone, row.instance_type)
                for row in rows
                if row.tail_last_at is not None and now - row.tail_last_at <= HOLD
            ),
        )

    def _read(self, session: Session, wanted: Iterable[tuple[int, int]], now: datetime) -> None:
        versions = {number: version for number, version in wanted if self._known.get(number, (-1,))[0] != version}
        numbers = sorted(versions)
        for first in range(0, len(numbers), _AT_ONCE):
            some = numbers[first : first + _AT_ONCE]
            found = _records(session, some, now - MEMORY)
            self._known |= {number: (versions[number], record) for number, record in found.items()}


def _records(session: Session, numbers: Sequence[int], since: datetime) -> dict[int, PriceRecord]:
    """A record for each series from its steps since then; from the last step where there is none."""
    row = PriceCanonical
    query = select(row.series_id, row.from_at, row.usd_per_hour).where(row.series_id.in_(numbers))
    steps = session.execute(query.where(row.from_at >= since).order_by(row.series_id, row.from_at)).all()
    by_series = groupby(steps, key=lambda step: step[0])
    found = {number: _folded([(at, float(usd)) for _, at, usd in some]) for number, some in by_series}
    for number in set(numbers) - set(found):
        last = select(row.from_at, row.usd_per_hour).where(row.series_id == number).order_by(row.from_at.desc())
        if (step := session.execute(last.limit(1)).first()) is not None:
            found[number] = _folded([(step[0], float(step[1]))])
    return found


def _folded(steps: Sequence[tuple[datetime, float]]) -> PriceRecord:
    first_at, first_usd = steps[0]
    record = PriceRecord(first_at.timestamp() / 3600, first_usd)
    for at, usd in steps[1:]:
        record = with_price(record, at.timestamp() / 3600, usd)
    return record


_SCORES = timedelta(days=1)
_MOMENT = timedelta(microseconds=1)


def read_supply_facts(session: Session, region: str, now: datetime) -> PoolKnowledge:
    """What is known of the region's spot pools besides their prices: our own history, and what AWS says."""
    since = now - timedelta(hours=MEMORY_H)
    facts: defaultdict[str, list[PoolFact]] = defaultdict(list)
    for fact in pool_facts_since(session, region, since, now + _MOMENT):
        facts[str(fact.pool)].append(fact)
    stays = stays_since(session, region, since, now)
    bands, at_h = bands_of(session, region, now), hours(now)
    return PoolKnowledge(
        cooling_down={
            row.id: f"{COOL_DOWN_WHY}: {row.cool_down_reason}" for row in cooling_pools(session, region, now)
        },
        histories={
            pool: pool_reliability(facts.get(pool, ()), stays.get(pool, ()), prior_of(bands.get(_type(pool))), at_h)
            for pool in sorted({*facts, *stays})
        },
        watched=frozenset(pool for pool, some in stays.items() if any(stay.until_h >= at_h for stay in some)),
        bands=bands,
        scores=scores_of_types(session, region, now - _SCORES, now),
        rebalanced={
            pool: at_h - hours(max(one.at for one in some if one.kind is PoolFactKind.REBALANCE))
            for pool, some in facts.items()
            if any(one.kind is PoolFactKind.REBALANCE for one in some)
        },
    )


def _type(pool: str) -> str:
    return pool.split("/")[1]
