"""A server's history: its instances, their events and notices, its operations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.tables import Event, Instance, Notice, Operation

T = TypeVar("T")
MOST = 200  # of each kind, the latest
MOST_EVENTS = 2_000


@dataclass(frozen=True)
class TimelineRows:
    """Each part oldest first. `events`: those of its instances, as far as they have not expired."""

    instances: Sequence[Instance]
    events: Sequence[Event]
    notices: Sequence[Notice]
    operations: Sequence[Operation]


def server_history(session: Session, client_id: str, server_id: str) -> TimelineRows:
    """The caller has checked that the server is the client's."""
    instances = select(Instance).where(Instance.server_id == server_id)
    events = select(Event).where(
        Event.client_id == client_id, Event.server_id == server_id, Event.type.startswith("instance.")
    )
    notices = select(Notice).where(Notice.server_id == server_id)
    operations = select(Operation).where(Operation.server_id == server_id)
    return TimelineRows(
        _oldest_first(session.scalars(instances.order_by(Instance.created_at.desc()).limit(MOST)).all()),
        _oldest_first(session.scalars(events.order_by(Event.seq.desc()).limit(MOST_EVENTS)).all()),
        _oldest_first(session.scalars(notices.order_by(Notice.seen_at.desc()).limit(MOST)).all()),
        _oldest_first(session.scalars(operations.order_by(Operation.requested_at.desc()).limit(MOST)).all()),
    )


def _oldest_first(rows: Sequence[T]) -> Sequence[T]:
    return rows[::-1]
