"""Where the hub reads events: a client's events in MySQL, numbered without gaps in the order of their commits."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from threading import Lock

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from api.streams.hub import StreamEvent
from api.views.events import as_stream_event
from db.engine.session import SessionFactory
from db.event_log.reading import events_after, heads_query


class DatabaseEvents:
    """The hub's source; see `db.event_log.writing` for why the numbers have no gaps."""

    def __init__(self, sessions: SessionFactory) -> None:
        self._sessions = sessions
        self._connection: Connection | None = None
        self._lock = Lock()

    def heads(self, clients: Collection[str]) -> Mapping[str, int]:
        """Called many times a second. It keeps a connection of its own, so that a call is one statement."""
        with self._lock:
            try:
                return dict(self._open().execute(heads_query(clients)).all())
            except DBAPIError:
                self._close()
                raise

    def _open(self) -> Connection:
        if self._connection is None:
            with self._sessions() as session:
                engine = session.get_bind()
            assert isinstance(engine, Engine)
            self._connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        return self._connection

    def close(self) -> None:
        with self._lock:
            self._close()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()

    def after(self, client_id: str, seq: int, limit: int) -> Sequence[StreamEvent]:
        with self._sessions() as session:
            return [as_stream_event(event) for event in events_after(session, client_id, seq, limit).events]

    def oldest(self, client_id: str) -> int:
        with self._sessions() as session:
            return events_after(session, client_id, 0, 1).oldest_seq
