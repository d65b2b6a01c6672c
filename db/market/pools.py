"""Pools and their prices. The market is the same for every client."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.tables import PoolRow


def get_pool(session: Session, pool: str) -> PoolRow | None:
    return session.get(PoolRow, pool)


def cooling_pools(session: Session, region: str, now: datetime) -> list[PoolRow]:
    """The pools that must not be chosen now (invariant 10)."""
    return list(session.scalars(select(PoolRow).where(PoolRow.region == region, PoolRow.cool_down_until > now)))
