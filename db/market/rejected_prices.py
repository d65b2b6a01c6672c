"""The prices that were set aside, counted and as they came."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.tables import PriceSetAside
from domain.market.observed_prices import SetAsideReason


def count_set_aside(session: Session, since: datetime) -> dict[SetAsideReason, int]:
    """How many different ones came since then, by reason."""
    query = select(PriceSetAside.reason, func.count()).where(PriceSetAside.seen_at >= since)
    return {SetAsideReason(reason): count for reason, count in session.execute(query.group_by(PriceSetAside.reason))}


def list_set_aside(session: Session, since: datetime, limit: int = 100) -> list[PriceSetAside]:
    """The newest first."""
    query = select(PriceSetAside).where(PriceSetAside.seen_at >= since).order_by(PriceSetAside.seen_at.desc())
    return list(session.scalars(query.limit(limit)))
