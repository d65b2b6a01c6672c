"""Operations and their measured steps."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, Computed, ForeignKey, Index, Integer, Numeric, String
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import TABLE, Base, seconds_between
from db.tables.types import Ascii, UtcDateTime

_RECORD = ("requested_at", "kind", "status", "control_outage_ms")
_OUTAGE_MS = "CAST(JSON_VALUE(receipt, '$.control_outage_ms') AS SIGNED)"


class Operation(Base):
    """One durable workflow run on a server. `attention` is a flag beside its status."""

    __tablename__ = "operations"
    __table_args__ = (
        Index("uq_operations_request", "client_id", "request_id", unique=True),
        Index(None, "client_id", "requested_at", "id"),
        Index(None, "client_id", "status", "requested_at"),
        Index(None, "client_id", "attention"),
        Index(None, "server_id", "requested_at", "id"),
        Index(None, "server_id", "status"),
        Index(None, "requested_at", "id"),
        Index(None, "status", "requested_at"),
        Index(None, "attention"),
        # What the summary counts over a month, without a look at the rows: their receipts are long.
        Index("ix_operations_client_record", "client_id", *_RECORD),
        Index("ix_operations_record", *_RECORD),
        TABLE,
    )

    id: Mapped[str] = mapped_column(Ascii(64), primary_key=True)
    server_id: Mapped[str] = mapped_column(Ascii(64))
    client_id: Mapped[str] = mapped_column(Ascii(64))
    kind: Mapped[str] = mapped_column(Ascii(32))
    priority: Mapped[int] = mapped_column(Integer, default=0)
    status: Mapped[str] = mapped_column(Ascii(32))  # domain.operations.OperationStatus
    attention: Mapped[bool] = mapped_column(Boolean, default=False)
    attention_reason: Mapped[str] = mapped_column(String(2000), default="")
    request_id: Mapped[str | None] = mapped_column(Ascii(255))
    body_digest: Mapped[str] = mapped_column(Ascii(128), default="")
    requested_by: Mapped[str] = mapped_column(Ascii(64), default="")
    asked_pool: Mapped[str] = mapped_column(Ascii(128), default="")  # empty: the best
    handoff: Mapped[str] = mapped_column(Ascii(16), default="")
    from_pool: Mapped[str] = mapped_column(Ascii(128), default="")
    to_pool: Mapped[str] = mapped_column(Ascii(128), default="")
    outcome: Mapped[str | None] = mapped_column(Ascii(32))
    reason: Mapped[str] = mapped_column(String(2000), default="")
    workflow_id: Mapped[str] = mapped_column(Ascii(191), default="")
    workflow_run_id: Mapped[str] = mapped_column(Ascii(64), default="")
    requested_at: Mapped[datetime] = mapped_column(UtcDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    receipt: Mapped[dict[str, Any] | None]
    duration_seconds: Mapped[float | None] = mapped_column(
        Numeric(16, 6, asdecimal=False), Computed(seconds_between("started_at", "finished_at"), persisted=True)
    )
    control_outage_ms: Mapped[int | None] = mapped_column(  # the receipt's; summed, never shown
        BigInteger, Computed(_OUTAGE_MS, persisted=True), deferred=True
    )


class OperationStep(Base):
    """A step of an operation, in the order they began; a step tried again is another row."""

    __tablename__ = "operation_steps"
    __table_args__ = (TABLE,)

    operation_id: Mapped[str] = mapped_column(
        Ascii(64), ForeignKey("operations.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(Ascii(64))
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ms: Mapped[int | None] = mapped_column(Integer)
    ok: Mapped[bool | None] = mapped_column(Boolean)  # None: running
    calls: Mapped[list[str]] = mapped_column(default=list)
    hooks: Mapped[list[Any]] = mapped_column(default=list)
    note: Mapped[str] = mapped_column(String(2000), default="")
