"""Reading events: in order, without a gap, and with a sign when the events asked for have expired."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import Session

from db.tables import Client, Event


@dataclass(frozen=True)
class EventPage:
    """`gap`: there were events after the asked-for number that are gone (expired), or the number is
    ahead of the stream (another database). The reader must start again from `oldest_seq - 1`.
    """

    events: list[Event]
    latest_seq: int
    oldest_seq: int  # of what can still be read; latest_seq + 1 when nothing can
    gap: bool = False


def latest_seq(session: Session, client_id: str) -> int:
    """The number of the client's latest event; 0 before the first, and for an unknown client."""
    return session.scalar(select(Client.event_seq).where(Client.id == client_id)) or 0


def events_after(
    session: Session, client_id: str, seq: int, limit: int = 500, operation_id: str | None = None
) -> EventPage:
    """The client's next events after `seq`, oldest first; of one operation if asked."""
    # `latest` is read first: whatever it counts was committed, so what is then not there has expired.
    latest = latest_seq(session, client_id)
    oldest = session.scalar(select(func.min(Event.seq)).where(Event.client_id == client_id)) or latest + 1
    query = select(Event).where(Event.client_id == client_id, Event.seq > seq)
    if operation_id is not None:
        query = query.where(Event.operation_id == operation_id)
    events = list(session.scalars(query.order_by(Event.seq).limit(limit)))
    if (
        operation_id is None and seq < latest and not _follows(events, seq)
    ):  # the events in between expired, perhaps just now
        oldest = events[0].seq if events else latest + 1
    if events:
        latest = max(latest, events[-1].seq)
    return EventPage(events, latest, oldest, gap=oldest > seq + 1 or seq > latest)


def _follows(events: list[Event], seq: int) -> bool:
    return bool(events) and events[0].seq == seq + 1


@dataclass(frozen=True)
class StreamEnds:
    """The first number that can still be read (one more than the latest: none can), and the latest."""

    oldest_seq: int
    latest_seq: int

    def has_gap(self, after: int) -> bool:
        """Whether a reader that has come to `after` has missed something, or was in another database."""
        return self.oldest_seq > after + 1 or after > self.latest_seq


def stream_ends(session: Session, client_id: str) -> StreamEnds:
    latest = latest_seq(session, client_id)
    oldest = session.scalar(select(func.min(Event.seq)).where(Event.client_id == client_id))
    return StreamEnds(latest + 1 if oldest is None else oldest, latest)


@dataclass(frozen=True)
class EventSearch:
    """A search. `types`: whole types, or beginnings that end in a dot. `since`, `until`: times of recording."""

    after: int = 0
    before: int | None = None
    server_id: str | None = None
    operation_id: str | None = None
    types: Collection[str] = ()
    since: datetime | None = None
    until: datetime | None = None
    newest_first: bool = False


def search_events(session: Session, client_id: str, search: EventSearch, limit: int) -> list[Event]:
    """The client's events that fit, at most `limit`."""
    query = select(Event).where(Event.client_id == client_id, Event.seq > search.after)
    if search.before is not None:
        query = query.where(Event.seq < search.before)
    if search.server_id is not None:
        query = query.where(Event.server_id == search.server_id)
    if search.operation_id is not None:
        query = query.where(Event.operation_id == search.operation_id)
    if search.types:
        query = query.where(or_(*(_of_type(one) for one in search.types)))
    # Numbers rise with the times of recording, so a time can be turned into a number.
    if search.since is not None:
        query = query.where(Event.seq >= _first_from(session, client_id, search.since))
    if search.until is not None:
        query = query.where(Event.seq < _first_from(session, client_id, search.until))
    order = Event.seq.desc() if search.newest_first else Event.seq
    return list(session.scalars(query.order_by(order).limit(limit)))


def _of_type(text: str) -> ColumnElement[bool]:
    return Event.type.startswith(text, autoescape=True) if text.endswith(".") else Event.type == text


def _first_from(session: Session, client_id: str, at: datetime) -> int:
    """The client's first number that was recorded then or later; one more than its latest if there is none."""
    query = select(Event.seq).where(Event.client_id == client_id, Event.recorded_at >= at)
    first = session.scalar(query.order_by(Event.recorded_at, Event.seq).limit(1))
    return latest_seq(session, client_id) + 1 if first is None else first


def heads_query(client_ids: Collection[str]) -> Select[str, int]:
    """The number of each client's latest event: one statement on the primary key."""
    return select(Client.id, Client.event_seq).where(Client.id.in_(list(client_ids)))
