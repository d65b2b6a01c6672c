"""Events for readers, and how far each stream of records has been applied."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import TABLE, Base
from db.tables.types import Ascii, UtcDateTime


class Event(Base):
    """One change. `seq` counts per client without gaps; `at` is when it happened.

    `recorded_at` (when it was written, by the database's clock) is in the key because a table
    partitioned by time needs the time in every unique key; `seq` alone is unique per client
    already, by the counter that gives it (`db.event_log.writing`). No foreign key, for the same reason.
    """

    __tablename__ = "events"
    __table_args__ = (
        Index(None, "recorded_at", "client_id"),
        Index(None, "operation_id", "seq"),
        Index(None, "client_id", "recorded_at", "seq"),
        Index(None, "client_id", "server_id", "seq"),
        TABLE,
    )

    client_id: Mapped[str] = mapped_column(Ascii(64), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    type: Mapped[str] = mapped_column(Ascii(64))
    server_id: Mapped[str | None] = mapped_column(Ascii(64))
    instance_id: Mapped[str | None] = mapped_column(Ascii(64))
    operation_id: Mapped[str | None] = mapped_column(Ascii(64))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    payload: Mapped[dict[str, Any]]


class RecordStream(Base):
    """The last record of a stream that was applied: what makes a batch sent twice harmless."""

    __tablename__ = "record_streams"
    __table_args__ = (TABLE,)

    stream: Mapped[str] = mapped_column(Ascii(191), primary_key=True)
    applied_seq: Mapped[int] = mapped_column(BigInteger, default=0)
