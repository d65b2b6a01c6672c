"""What happened to us in pools: facts, each appended once, and the times in which our instances ran there.

Both are of all clients, since the market is the same for all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.mysql import insert
from sqlalchemy.orm import Session

from db.tables import Instance, PoolFactRow
from domain.instance_states import ENDED, InstanceState
from domain.market.pool_reliability import InstanceStay, PoolFact, PoolFactKind
from domain.pools import Pool


def append_pool_facts(session: Session, facts: Iterable[PoolFact]) -> None:
    """Write the facts that are new. A `fact_id` names what happened, and a fact never changes."""
    rows = [
        {
            "fact_id": fact.fact_id,
            "region": fact.region,
            "pool": str(fact.pool),
            "kind": fact.kind.value,
            "at": fact.at,
            "seconds": fact.seconds,
        }
        for fact in facts
    ]
    if rows:
        rows.sort(key=lambda row: str(row["fact_id"]))  # all writers lock in the same order
        session.execute(insert(PoolFactRow).prefix_with("IGNORE"), rows)


def pool_facts_since(session: Session, region: str, since: datetime, until: datetime) -> list[PoolFact]:
    """Every pool's facts of the region from `since` up to, not including, `until`, in the order of time."""
    row = PoolFactRow
    columns = (row.fact_id, row.region, row.pool, row.kind, row.at, row.seconds)
    query = select(*columns).where(row.region == region, row.at >= since, row.at < until)
    return [
        PoolFact(fact_id, where, Pool.parse(pool), PoolFactKind(kind), at, seconds)
        for fact_id, where, pool, kind, at, seconds in session.execute(query.order_by(row.at, row.fact_id))
    ]


def count_facts(
    session: Session, region: str, since: datetime, until: datetime
) -> dict[str, dict[PoolFactKind, tuple[int, float | None]]]:
    """Pool -> kind -> the number of facts from `since` up to, not including, `until`, and their mean seconds if any."""
    row = PoolFactRow
    query = select(row.pool, row.kind, func.count(), func.avg(row.seconds)).where(
        row.region == region, row.at >= since, row.at < until
    )
    found: dict[str, dict[PoolFactKind, tuple[int, float | None]]] = {}
    for pool, kind, count, seconds in session.execute(query.group_by(row.pool, row.kind)):
        found.setdefault(pool, {})[PoolFactKind(kind)] = count, None if seconds is None else float(seconds)
    return found


_RUNS = (InstanceState.RUNNING_PRIMARY.value, InstanceState.RUNNING_REPLICA.value, InstanceState.PROMOTING.value)


def stays_since(session: Session, region: str, since: datetime, now: datetime) -> dict[str, list[InstanceStay]]:
    """By pool, the times in which an instance ran there, as far as they are after `since`.

    Of those that run now only the oldest is read, one row for each pool instead of ten thousand.
    """
    start = func.coalesce(Instance.launch_confirmed_at, Instance.created_at)
    end = func.coalesce(Instance.terminate_confirmed_at, Instance.terminate_requested_at, Instance.updated_at)
    ours = Instance.region == region, Instance.pool.endswith("/spot")
    runs = select(Instance.pool, func.min(start)).where(*ours, Instance.state.in_(_RUNS)).group_by(Instance.pool)
    ran = select(Instance.pool, start, end).where(
        *ours, Instance.state.in_([state.value for state in ENDED]), Instance.updated_at >= since
    )
    found: defaultdict[str, list[InstanceStay]] = defaultdict(list)
    for pool, from_at in session.execute(runs):
        if from_at < now:
            found[pool].append(_stay(max(from_at, since), now))
    for pool, from_at, until_at in session.execute(ran):
        if from_at < min(until_at, now) and until_at > since:
            found[pool].append(_stay(max(from_at, since), min(until_at, now)))
    return found


def _stay(from_at: datetime, until_at: datetime) -> InstanceStay:
    return InstanceStay(from_at.timestamp() / 3600, until_at.timestamp() / 3600)
