"""A record with its stream and session, and how its payload is read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from db.event_log.writing import NewEvent
from domain.records import Record, RecordBatch


class RecordRejected(Exception):
    """The record contradicts the tables. It becomes an event, and the stream goes on."""


@dataclass(frozen=True)
class RecordEntry:
    session: Session
    batch: RecordBatch
    record: Record

    @property
    def at(self) -> datetime:
        at = self.record.at
        return at if at.tzinfo else at.replace(tzinfo=UTC)

    @property
    def payload(self) -> dict[str, Any]:
        return self.record.payload

    @property
    def operation_id(self) -> str:
        """The operation that the record is about: the stream's own, or the one that the record names."""
        return self.batch.operation_id or self.text("operation_id")

    def text(self, key: str, limit: int = 2000) -> str:
        """A text that is too long is cut: that is no reason to lose the record."""
        value = self.payload.get(key)
        return "" if value is None else str(value)[:limit]

    def instant(self, key: str) -> datetime | None:
        return instant(self.payload.get(key))

    def event(self, event_type: str, /, *, instance_id: str | None = None, **payload: Any) -> NewEvent:
        return NewEvent(
            type=event_type,
            at=self.at,
            server_id=self.batch.server_id or None,
            instance_id=instance_id,
            operation_id=self.operation_id or None,
            payload={key: value for key, value in payload.items() if value is not None and value != ""},
        )

    def own(self, client_id: str, server_id: str, what: str) -> None:
        """Raises RecordRejected when `what` belongs to another server (invariant 7)."""
        if (client_id, server_id) != (self.batch.client_id, self.batch.server_id):
            raise RecordRejected(f"{what} belongs to another server")


def instant(value: object) -> datetime | None:
    """ISO 8601, UTC when it does not say; or epoch seconds."""
    if value is None or value == "":
        return None
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    parsed = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
