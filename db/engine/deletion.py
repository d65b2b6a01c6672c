"""Deletion of what is too old, a limited number of rows at a time: nobody waits long, and a replica keeps up."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, delete
from sqlalchemy.orm import InstrumentedAttribute, Session

from db.engine.session import SessionFactory, in_transaction

_ROWS = 1000  # in one transaction


def delete_in_batches(sessions: SessionFactory, key: InstrumentedAttribute[Any], old: Select[Any]) -> int:
    """Delete the rows whose key `old` selects; return how many. They are read first: a DELETE that searches locks."""
    batch = old.limit(_ROWS)

    def work(session: Session) -> int:
        chosen = list(session.scalars(batch))
        session.execute(delete(key.class_).where(key.in_(chosen)))
        return len(chosen)

    total = 0
    while True:
        total += (gone := in_transaction(sessions, work))
        if gone < _ROWS:
            return total
