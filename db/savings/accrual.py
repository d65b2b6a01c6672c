"""Accrual of a whole fleet: what ran and what it cost is read in blocks of hours, and booked in small transactions.

It can be interrupted anywhere and repeated: nothing is booked twice. There is one accrual at a time.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from db.engine.session import SessionFactory
from db.market.canonical import open_corrections, settle_corrections
from db.savings.accrual_inputs import fleet_between, prices_between
from db.savings.accrual_lock import AccrualLock, hold_accrual_lock
from db.savings.booking import EntryCounts, book, hours_between, mark_accrued, read_progress
from db.tables import PriceCorrection
from domain.market.observed_prices import PoolKey
from domain.savings.accrual import HOUR, Accrual, hour_start
from domain.savings.price_periods import RegionPrices
from domain.savings.server_usage import ServerUsage

BLOCK = 24 * HOUR  # read at once
_SERVERS = 500  # in one transaction
_CORRECTIONS = 1000


@dataclass(frozen=True)
class AccrualResult:
    """`servers`: how many were looked at; entries that were added; late prices that were settled.

    `lacking`: (region, type) without an on-demand price.
    """

    servers: int = 0
    accruals: int = 0
    corrections: int = 0
    settled: int = 0
    lacking: frozenset[tuple[str, str]] = frozenset()

    def plus(self, servers: int, added: EntryCounts, lacking: frozenset[tuple[str, str]]) -> AccrualResult:
        return AccrualResult(
            max(self.servers, servers),
            self.accruals + added.accruals,
            self.corrections + added.corrections,
            self.settled,
            self.lacking | lacking,
        )


def accrue(sessions: SessionFactory, now: datetime, again: timedelta) -> AccrualResult:
    """Book every server's time up to now, and look again at what was booked `again` before the last time.

    Then what late prices have changed further back. The first time the ledger begins, `again` ago: what ran as
    what before is not known. Raise AccrualBusy while another accrual is under way.
    """
    with hold_accrual_lock(sessions) as held:
        return _accrue(held, now, again)


def _accrue(held: AccrualLock, now: datetime, again: timedelta) -> AccrualResult:
    begins, until = held.transaction(lambda session: read_progress(session, hour_start(now - again)))
    now = max(now, until)  # another machine booked with a clock ahead of ours
    start = max(begins, hour_start(until - again))
    done = AccrualResult()
    for block_start, block_end in _blocks(start, now):
        done = done.plus(*_block(held, block_start, block_end, now))
        held.transaction(functools.partial(mark_accrued, until_at=min(block_end, now)))
    return _correct(held, done, begins, start, now)


def _blocks(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    while start < end:
        yield start, min(start + BLOCK, hour_start(end) + HOUR)
        start += BLOCK


def _block(
    held: AccrualLock,
    start: datetime,
    end: datetime,
    now: datetime,
    chosen: Callable[[ServerUsage], bool] = lambda _: True,
) -> tuple[int, EntryCounts, frozenset[tuple[str, str]]]:
    with held.sessions() as session:
        servers = [one for one in fleet_between(session, start, min(end, now)) if chosen(one)]
        prices = prices_between(session, {one.region for one in servers}, start, end)
    accruals = {region: Accrual(found) for region, found in prices.items()}
    hours = hours_between(start, min(end, now))
    added = EntryCounts()
    for piece in _pieces(servers):
        work = functools.partial(book, servers=piece, hours=hours, accruals=accruals, now=now)
        added = added.plus(held.transaction(work))
    return len(servers), added, frozenset(_lacking(servers, prices))


def _lacking(servers: Iterable[ServerUsage], prices: Mapping[str, RegionPrices]) -> Iterator[tuple[str, str]]:
    for server in servers:
        if not server.instances:
            continue
        needed = {server.home_type, *(ran.instance_type for ran in server.instances if not ran.spot)}
        yield from ((server.region, kind) for kind in needed - prices[server.region].on_demand.keys() if kind)


def _pieces(servers: Sequence[ServerUsage]) -> Iterator[Sequence[ServerUsage]]:
    for start in range(0, len(servers), _SERVERS):
        yield servers[start : start + _SERVERS]


def _correct(
    held: AccrualLock, done: AccrualResult, begins: datetime, fresh_from: datetime, now: datetime
) -> AccrualResult:
    """Book what late prices changed before `fresh_from`. Later changes were read a moment ago, or will be.

    The corrections are read before the prices, and settled after their result is booked.
    """
    while True:
        with held.sessions() as session:
            late = open_corrections(session, _CORRECTIONS)
        if spans := _spans(late, begins, fresh_from):
            first = hour_start(min(from_at for from_at, _ in spans.values()))
            for start, end in _blocks(first, fresh_from):
                end = min(end, fresh_from)
                touched = functools.partial(_touched, spans=spans, start=start, end=end)
                done = done.plus(*_block(held, start, end, now, touched))
        held.transaction(functools.partial(settle_corrections, ids=[one.id for one in late], now=now))
        done = replace(done, settled=done.settled + len(late))
        if len(late) < _CORRECTIONS:
            return done


def _spans(
    late: Iterable[PriceCorrection], since: datetime, before: datetime
) -> dict[PoolKey, tuple[datetime, datetime]]:
    """By pool: from the first change to the end of the last."""
    found: dict[PoolKey, tuple[datetime, datetime]] = {}
    for one in late:
        pool, first, end = (one.zone, one.instance_type), max(one.from_at, since), min(one.until_at or before, before)
        if first < end:
            start, last = found.get(pool, (first, end))
            found[pool] = min(start, first), max(last, end)
    return found


def _touched(
    server: ServerUsage, spans: dict[PoolKey, tuple[datetime, datetime]], start: datetime, end: datetime
) -> bool:
    """Whether the server ran in one of the pools while the price was different."""
    for ran in server.instances:
        span = spans.get(ran.pool) if ran.spot else None
        if span and max(span[0], ran.from_at, start) < min(span[1], ran.until_at or end, end):
            return True
    return False
