"""Events: every change is one, written in the change's own transaction (invariant 8).

Why the numbers have no holes and no latecomers: an auto-increment ID is given when a row is
inserted and seen when its transaction commits, so 7 may become visible after 8, and a reader that
has passed 8 never looks back. Here the number comes from `clients.event_seq`, and raising it locks
the client's row until commit. Whoever holds number 8 began after 7 was committed, and a rolled back
transaction gives its numbers back. A reader that remembers one number misses nothing.

The price is that transactions of one client commit one after the other from that point on. So
`append_events` is the last locking step of a transaction, and is called once in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import CursorResult, delete, func, insert, select, update
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeEngine

from db.engine.session import SessionFactory, in_transaction
from db.tables import Client, Event
from db.tables.types import UtcDateTime

_UTC: TypeEngine[datetime] = UtcDateTime()


class UnknownClient(LookupError):
    """The client has no row, so its events cannot be numbered."""


@dataclass(frozen=True)
class NewEvent:
    type: str  # instance.promoting, operation.step, …
    at: datetime  # when it happened
    server_id: str | None = None
    instance_id: str | None = None
    operation_id: str | None = None
    payload: dict[str, Any] = field(default_factory=dict)


def append_events(session: Session, client_id: str, events: Sequence[NewEvent]) -> int:
    """Number and write the events; return the client's latest number.

    Raises UnknownClient. Holds the client's row until the transaction ends: see above.
    """
    raised = update(Client).where(Client.id == client_id).values(event_seq=Client.event_seq + len(events))
    session.execute(raised, execution_options={"synchronize_session": False})
    # The clock is read under the lock, so `recorded_at` rises with `seq`.
    now = func.utc_timestamp(6, type_=_UTC)
    row = session.execute(select(Client.event_seq, now).where(Client.id == client_id)).one_or_none()
    if row is None:
        raise UnknownClient(f"no client {client_id}: create it before anything is done for it")
    latest, recorded_at = row
    first = latest - len(events) + 1
    rows = [_row(client_id, first + n, recorded_at, event) for n, event in enumerate(events)]
    if rows:
        session.execute(insert(Event), rows)
    return latest


def _row(client_id: str, seq: int, recorded_at: datetime, event: NewEvent) -> dict[str, Any]:
    return {
        "client_id": client_id,
        "seq": seq,
        "recorded_at": recorded_at,
        "type": event.type,
        "server_id": event.server_id,
        "instance_id": event.instance_id,
        "operation_id": event.operation_id,
        "at": event.at,
        "payload": event.payload,
    }


def expire_events(sessions: SessionFactory, before: datetime, batch: int = 5000) -> int:
    """Delete events recorded before an instant; return how many.

    From the front of each client's stream only: what is left stays without gaps. In batches, so
    that no transaction is long.
    """
    cuts = select(Event.client_id, func.max(Event.seq)).where(Event.recorded_at < before).group_by(Event.client_id)
    with sessions() as session:
        found = session.execute(cuts).all()
    return sum(_expire_client(sessions, client_id, last, batch) for client_id, last in found)


def _expire_client(sessions: SessionFactory, client_id: str, last: int, batch: int) -> int:
    gone = 0
    while True:
        deleted = in_transaction(sessions, lambda session: _delete_front(session, client_id, last, batch))
        gone += deleted
        if deleted < batch:
            return gone


def _delete_front(session: Session, client_id: str, last: int, batch: int) -> int:
    oldest = select(Event.seq).where(Event.client_id == client_id, Event.seq <= last).order_by(Event.seq).limit(batch)
    front = oldest.subquery()
    cut = session.scalar(select(func.max(front.c.seq)))
    if cut is None:
        return 0
    result = session.execute(delete(Event).where(Event.client_id == client_id, Event.seq <= cut))
    assert isinstance(result, CursorResult)
    return result.rowcount
