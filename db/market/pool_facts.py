"""The pools' reliability record: what we lived through in each, appended once, read by region."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.mysql import insert
from sqlalchemy.orm import Session

from db.tables import PoolFactRow
from domain.market.pool_facts import PoolFact, PoolFactKind
from domain.pools import Pool


def append_pool_facts(session: Session, facts: Iterable[PoolFact]) -> None:
    """Write the facts that are not written yet: a `fact_id` stands for what happened, and that stays as it was."""
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
        rows.sort(key=lambda row: str(row["fact_id"]))  # one order of locking for all writers
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
    """Pool -> kind -> how many from `since` up to, not including, `until`, and their mean seconds, if they have any."""
    row = PoolFactRow
    query = select(row.pool, row.kind, func.count(), func.avg(row.seconds)).where(
        row.region == region, row.at >= since, row.at < until
    )
    found: dict[str, dict[PoolFactKind, tuple[int, float | None]]] = {}
    for pool, kind, count, seconds in session.execute(query.group_by(row.pool, row.kind)):
        found.setdefault(pool, {})[PoolFactKind(kind)] = count, None if seconds is None else float(seconds)
    return found
