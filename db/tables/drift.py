"""Differences between EC2 and the records, as reconciliation found them, and what became of each."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Computed, Index, Integer, Numeric, String
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import TABLE, Base
from db.tables.types import Ascii, UtcDateTime


class DriftRow(Base):
    """One difference, from when it was first found until it is settled. Open at most once (`open_key`)."""

    __tablename__ = "drift"
    __table_args__ = (
        Index("uq_drift_open_key", "open_key", unique=True),
        Index(None, "client_id", "first_seen_at", "id"),
        Index(None, "client_id", "state", "first_seen_at"),
        Index(None, "state", "kind"),
        Index(None, "first_seen_at", "id"),
        TABLE,
    )

    id: Mapped[str] = mapped_column(Ascii(64), primary_key=True)
    client_id: Mapped[str] = mapped_column(Ascii(64), default="")  # empty: of no client of ours, admins see it
    server_id: Mapped[str] = mapped_column(Ascii(64), default="")
    region: Mapped[str] = mapped_column(Ascii(32))
    kind: Mapped[str] = mapped_column(Ascii(32))  # domain.reconciliation.drift.FindingKind
    resource_type: Mapped[str] = mapped_column(Ascii(32), default="")
    resource_id: Mapped[str] = mapped_column(Ascii(255), default="")
    ledger_id: Mapped[int] = mapped_column(BigInteger, default=0)  # resources.id; 0: it is about no record
    action: Mapped[str] = mapped_column(Ascii(16))  # domain.reconciliation.drift.Action
    reason: Mapped[str] = mapped_column(Ascii(32))
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)
    grace_s: Mapped[float] = mapped_column(Numeric(16, 6, asdecimal=False), default=0.0)
    state: Mapped[str] = mapped_column(Ascii(16))  # domain.reconciliation.drift.DriftState
    outcome: Mapped[str] = mapped_column(String(2000), default="")  # why an action failed, or what it did
    first_seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    times: Mapped[int] = mapped_column(Integer, default=1)  # looks that found it
    due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # None: nothing happens by itself
    asked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # the server's workflow, last
    tried_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # last, and `outcome` says why it was left
    settled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finding_key: Mapped[str] = mapped_column(Ascii(400))
    open_key: Mapped[str | None] = mapped_column(
        Ascii(400), Computed("CASE WHEN state = 'open' THEN finding_key END", persisted=True)
    )
