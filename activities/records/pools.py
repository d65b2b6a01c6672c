"""Cool-downs: pools that gave a notice or had no capacity rest for a while (invariant 10)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.mysql import insert
from sqlalchemy.orm import Session

from activities.records import reliability
from activities.records.entry import RecordEntry
from activities.records.instances import region_of
from db.event_log.writing import NewEvent
from db.tables import PoolRow
from db.tables.types import UtcDateTime
from domain.errors import Failure
from domain.pools import Pool

# Failures that say something about the pool: a quota of the account does not.
_CAPACITY = frozenset({Failure.NO_CAPACITY.value, "launch was not confirmed"})
_NOTICE_WORDS = ("notice", "interrupt", "rebalance")


def cool_down(entry: RecordEntry) -> list[NewEvent]:
    """For all clients, since they share the market. A shorter cool-down never cuts a longer one."""
    pool = Pool.parse(entry.text("pool", 128))
    until = entry.instant("until")
    if until is None:
        raise ValueError("a cool-down needs its end: until")
    reason = entry.text("reason", 500)
    _keep(entry.session, pool, until, reason)
    if reason in _CAPACITY:
        reliability.record_no_capacity(entry, pool)
    return [entry.event("pool.cool_down", pool=str(pool), until=until.isoformat(), reason=reason)]


def pools_in_cool_down(session: Session, region: str) -> dict[str, datetime]:
    """Pools of the region whose cool-down has not ended, by the database's clock, which all workers share."""
    now = func.utc_timestamp(6, type_=UtcDateTime())
    query = select(PoolRow.id, PoolRow.cool_down_until).where(PoolRow.region == region, PoolRow.cool_down_until > now)
    return {pool: until for pool, until in session.execute(query).all() if until is not None}


def _keep(session: Session, pool: Pool, until: datetime, reason: str) -> None:
    noticed = any(word in reason.lower() for word in _NOTICE_WORDS)
    row = insert(PoolRow).values(
        id=str(pool),
        region=region_of(pool.zone),
        zone=pool.zone,
        instance_type=pool.instance_type,
        lifecycle=pool.lifecycle.value,
        cool_down_until=until,
        cool_down_reason=reason,
        capacity_failures=int(not noticed),
        notices=int(noticed),
    )
    former = func.coalesce(PoolRow.cool_down_until, row.inserted.cool_down_until)
    again = row.on_duplicate_key_update(
        cool_down_until=func.greatest(former, row.inserted.cool_down_until),
        cool_down_reason=row.inserted.cool_down_reason,
        capacity_failures=PoolRow.capacity_failures + row.inserted.capacity_failures,
        notices=PoolRow.notices + row.inserted.notices,
    )
    session.execute(again)
