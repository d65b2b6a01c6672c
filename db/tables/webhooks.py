"""Webhooks, and the log of what was sent to them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import TABLE, Base
from db.tables.types import Ascii, UtcDateTime


class Webhook(Base):
    """Where a client wants its events told. `seen_seq`: its events up to this one have become deliveries.

    The secret is sealed (db.webhooks.secret_sealing): it has to sign, so a digest would not do.
    """

    __tablename__ = "webhooks"
    __table_args__ = (Index(None, "client_id", "created_at", "id"), Index(None, "state", "client_id"), TABLE)

    id: Mapped[str] = mapped_column(Ascii(64), primary_key=True)
    client_id: Mapped[str] = mapped_column(Ascii(64))
    url: Mapped[str] = mapped_column(String(2000))
    label: Mapped[str] = mapped_column(String(200), default="")
    kinds: Mapped[list[str]]  # domain.webhooks.event_kinds.Kind
    state: Mapped[str] = mapped_column(Ascii(16))  # active | paused | disabled (by us: it kept failing)
    secret_sealed: Mapped[str] = mapped_column(Ascii(255))
    seen_seq: Mapped[int] = mapped_column(BigInteger)
    failing_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    why: Mapped[str] = mapped_column(String(500), default="")  # it was disabled
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class WebhookDelivery(Base):
    """One event for one webhook, with every attempt's latest result. Its ID is the message's, in every attempt."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        Index("uq_webhook_deliveries_event", "webhook_id", "event_seq", unique=True),
        Index(None, "webhook_id", "created_at", "id"),
        Index("ix_webhook_deliveries_waiting", "handed_at", "created_at"),
        Index(None, "created_at"),
        TABLE,
    )

    id: Mapped[str] = mapped_column(Ascii(64), primary_key=True)
    webhook_id: Mapped[str] = mapped_column(Ascii(64))
    client_id: Mapped[str] = mapped_column(Ascii(64))
    event_seq: Mapped[int | None] = mapped_column(BigInteger)  # None: a test
    kind: Mapped[str] = mapped_column(Ascii(32))
    type: Mapped[str] = mapped_column(Ascii(64))
    payload: Mapped[dict[str, Any]]  # the message's data: events expire before deliveries do
    state: Mapped[str] = mapped_column(Ascii(16))  # domain.webhooks.contract.DeliveryState
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    response_code: Mapped[int | None] = mapped_column(Integer)
    duration_ms: Mapped[int | None] = mapped_column(Integer)
    error: Mapped[str] = mapped_column(String(500), default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    handed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # to its workflow
    next_try_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
