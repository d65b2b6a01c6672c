"""How many hosts there are to be heard."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.tables import Instance


def count_live_instances(session: Session) -> int:
    """Of every client; from the index of live instances alone."""
    return session.scalar(select(func.count()).where(Instance.live_id.is_not(None))) or 0
