"""How far each collection has come. Said when a whole piece is in: what a dead worker left half done comes again."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func
from sqlalchemy.dialects.mysql import insert
from sqlalchemy.orm import Session

from db.tables import PriceCollection


def collected_until(session: Session, name: str) -> datetime | None:
    """Everything said before is in; None: nothing has been collected yet."""
    row = session.get(PriceCollection, name)
    return row.until_at if row else None


def mark_collected(session: Session, name: str, until_at: datetime) -> None:
    """Forward only: of two collections at once the one that came further counts."""
    row = insert(PriceCollection).values(name=name, until_at=until_at)
    session.execute(
        row.on_duplicate_key_update(until_at=func.greatest(PriceCollection.until_at, row.inserted.until_at))
    )
