"""What of the canonical past has changed, for whoever has counted on it (the savings ledger).

A queue: take what is open, put right what was built on it, settle it, all in one transaction. It holds no
order that a reader could skip: what commits late is simply still open.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from db.tables import PriceCorrection


def open_corrections(session: Session, limit: int = 1000) -> list[PriceCorrection]:
    """The oldest that nobody has settled. `until_at` None: until further notice."""
    unsettled = PriceCorrection.settled_at.is_(None)
    return list(session.scalars(select(PriceCorrection).where(unsettled).order_by(PriceCorrection.id).limit(limit)))


def settle_corrections(session: Session, ids: Iterable[int], now: datetime) -> None:
    session.execute(update(PriceCorrection).where(PriceCorrection.id.in_(list(ids))).values(settled_at=now))
