"""Pools: one, a page of them, and those in a cool-down. They are the same for every client."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.engine.paging import Page
from db.tables import PoolRow


def get_pool(session: Session, pool: str) -> PoolRow | None:
    return session.get(PoolRow, pool)


def cooling_pools(session: Session, region: str, now: datetime) -> list[PoolRow]:
    """The pools that must not be chosen now (invariant 10)."""
    return list(session.scalars(select(PoolRow).where(PoolRow.region == region, PoolRow.cool_down_until > now)))


def page_of_pools(
    session: Session,
    *,
    region: str | None = None,
    instance_type: str | None = None,
    cursor: str | None = None,
    limit: int = 100,
) -> Page[PoolRow]:
    """A page of pools by name. The cursor is the last pool of the page before."""
    query = select(PoolRow)
    if region is not None:
        query = query.where(PoolRow.region == region)
    if instance_type is not None:
        query = query.where(PoolRow.instance_type == instance_type)
    if cursor is not None:
        query = query.where(PoolRow.id > cursor)
    rows = list(session.scalars(query.order_by(PoolRow.id).limit(limit + 1)))
    return Page(rows[:limit], rows[limit - 1].id if len(rows) > limit else None)
