"""What we live through in a pool goes into its reliability record, in the transaction that records it anyway.

What happened is written once, whoever tells it again: by the notice, by the instance, by the record's own number.
"""

from __future__ import annotations

from datetime import datetime

from activities.records.entry import RecordEntry
from db.market.pool_facts import append_pool_facts
from db.tables import Instance, Notice
from domain.host import NoticeKind, NoticeSource
from domain.market.pool_reliability import PoolFact, PoolFactKind
from domain.market.spot_price_file import region_of
from domain.pools import Pool


def record_notice(entry: RecordEntry, notice: Notice) -> None:
    """A notice, of an instance that is in the tables; found gone without one, it is lost."""
    row = entry.session.get(Instance, (notice.instance_id, entry.batch.server_id))
    if row is None or not row.pool:
        return
    kind = PoolFactKind.REBALANCE if notice.kind == NoticeKind.REBALANCE else PoolFactKind.NOTICE
    if notice.source == NoticeSource.LOST:
        kind = PoolFactKind.LOST
    _keep(entry, f"notice/{notice.notice_id}"[:191], row.pool, kind, notice.seen_at)


def record_launch(entry: RecordEntry, row: Instance) -> None:
    """EC2 has confirmed that it runs."""
    if row.pool and row.launch_confirmed_at is not None:
        asked_at = row.launch_requested_at
        seconds = (row.launch_confirmed_at - asked_at).total_seconds() if asked_at else None
        _keep(entry, f"launched/{row.id}", row.pool, PoolFactKind.LAUNCHED, row.launch_confirmed_at, seconds)


def record_no_capacity(entry: RecordEntry, pool: Pool) -> None:
    """A launch had no capacity, or none that came in time."""
    _keep(entry, f"{entry.batch.stream}/{entry.record.seq}"[:191], str(pool), PoolFactKind.NO_CAPACITY, entry.at)


def _keep(
    entry: RecordEntry, fact_id: str, pool: str, kind: PoolFactKind, at: datetime, seconds: float | None = None
) -> None:
    place = Pool.parse(pool)
    if place.spot:
        append_pool_facts(entry.session, [PoolFact(fact_id, region_of(place.zone), place, kind, at, seconds)])
