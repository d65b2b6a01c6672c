"""Pools and their prices. The market is the same for every client."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.tables import PoolRow


def list_pools(session: Session, region: str, instance_type: str | None = None) -> list[PoolRow]:
    """Every pool of a region that has been seen, by zone and type."""
    query = select(PoolRow).where(PoolRow.region == region)
    if instance_type is not None:
        query = query.where(PoolRow.instance_type == instance_type)
    return list(session.scalars(query.order_by(PoolRow.id)))


def get_pool(session: Session, pool: str) -> PoolRow | None:
    return session.get(PoolRow, pool)


def cooling_pools(session: Session, region: str, now: datetime) -> list[PoolRow]:
    """The pools that must not be chosen now (invariant 10)."""
    return list(session.scalars(select(PoolRow).where(PoolRow.region == region, PoolRow.cool_down_until > now)))
