"""Tenants: clients, their tokens, and who did what."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import TABLE, Base
from db.tables.types import Ascii, UtcDateTime


class Client(Base):
    """A tenant. `event_seq` is the number of its latest event: see `db.event_log.writing`."""

    __tablename__ = "clients"
    __table_args__ = (Index(None, "created_at", "id"), TABLE)

    id: Mapped[str] = mapped_column(Ascii(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    event_seq: Mapped[int] = mapped_column(BigInteger, default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    autopilot: Mapped[dict[str, Any] | None]  # domain.autopilot.policy.Wish
    limits: Mapped[dict[str, Any] | None]  # domain.autopilot.crowding.FleetLimits


class Token(Base):
    """A bearer token: `id` is its public part, the secret is kept as a hash alone."""

    __tablename__ = "tokens"
    __table_args__ = (Index(None, "client_id", "created_at"), TABLE)

    id: Mapped[str] = mapped_column(Ascii(64), primary_key=True)
    client_id: Mapped[str | None] = mapped_column(Ascii(64))  # None: an admin's
    kind: Mapped[str] = mapped_column(Ascii(16))  # admin | client
    secret_hash: Mapped[str] = mapped_column(Ascii(64))  # SHA-256, hex
    label: Mapped[str] = mapped_column(String(200), default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class SignIn(Base):
    """A person at the page, by a cookie. `id` is the cookie's digest; the cookie itself is nowhere.

    It stands on the token it was made with, and ends with it: revoked, its client deleted, or (the admin's of
    the environment) another.
    """

    __tablename__ = "sign_ins"
    __table_args__ = (Index(None, "expires_at"), TABLE)

    id: Mapped[str] = mapped_column(Ascii(64), primary_key=True)  # SHA-256, hex
    kind: Mapped[str] = mapped_column(Ascii(16))  # admin | client
    token_id: Mapped[str] = mapped_column(Ascii(64))
    secret_hash: Mapped[str] = mapped_column(Ascii(64))  # of the token: SHA-256, hex
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)  # to the minute
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Audit(Base):
    """Who did what over the API, and what came of it."""

    __tablename__ = "audit"
    __table_args__ = (Index(None, "client_id", "at"), Index(None, "at"), TABLE)

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    client_id: Mapped[str | None] = mapped_column(Ascii(64))
    token_id: Mapped[str | None] = mapped_column(Ascii(64))
    action: Mapped[str] = mapped_column(Ascii(64))  # server.switch, token.create, …
    subject: Mapped[str] = mapped_column(Ascii(191), default="")  # the ID of what it was done to
    request_id: Mapped[str | None] = mapped_column(Ascii(255))
    outcome: Mapped[str] = mapped_column(Ascii(64))  # accepted, refused: <why>, …
    remote_address: Mapped[str] = mapped_column(Ascii(64), default="")
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)
