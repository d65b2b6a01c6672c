"""Backtests on a client's own history: what was asked, and what came out."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import TABLE, Base
from db.tables.types import Ascii, UtcDateTime


class BacktestRow(Base):
    """`state`: domain.backtest.contract.BacktestState. `asked`: the policy's changes, as JSON."""

    __tablename__ = "backtests"
    __table_args__ = (
        Index(None, "client_id", "requested_at", "id"),
        Index(None, "requested_at", "id"),
        TABLE,
    )

    id: Mapped[str] = mapped_column(Ascii(64), primary_key=True)
    client_id: Mapped[str] = mapped_column(Ascii(64))
    state: Mapped[str] = mapped_column(Ascii(16))
    server_ids: Mapped[list[str]]
    from_at: Mapped[datetime] = mapped_column(UtcDateTime)
    until_at: Mapped[datetime] = mapped_column(UtcDateTime)
    asked: Mapped[dict[str, Any]]
    model_id: Mapped[str] = mapped_column(Ascii(64), default="")
    body_digest: Mapped[str] = mapped_column(Ascii(64))
    requested_at: Mapped[datetime] = mapped_column(UtcDateTime)
    requested_by: Mapped[str] = mapped_column(Ascii(64))
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    problem: Mapped[str] = mapped_column(String(2000), default="")
    result: Mapped[dict[str, Any] | None]
