"""What the autopilot decided, and what became of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Computed, Double, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import TABLE, Base
from db.tables.types import Ascii, UtcDateTime


class DecisionRow(Base):
    """One decision for one server. The same again is counted, not written again.

    `state`: see domain.autopilot.policy_gates.DecisionState. At most one decision of a server is open at a time.
    """

    __tablename__ = "decisions"
    __table_args__ = (
        Index(None, "client_id", "at", "id"),
        Index(None, "server_id", "at", "id"),
        Index(None, "client_id", "state", "at"),
        Index(None, "state", "at"),
        Index("uq_decisions_latest", "latest_server_id", unique=True),
        Index("uq_decisions_open", "open_server_id", unique=True),
        TABLE,
    )

    id: Mapped[str] = mapped_column(Ascii(64), primary_key=True)
    client_id: Mapped[str] = mapped_column(Ascii(64))
    server_id: Mapped[str] = mapped_column(Ascii(64))
    kind: Mapped[str] = mapped_column(Ascii(32))  # domain.autopilot.decision.Kind
    reason: Mapped[str] = mapped_column(Ascii(32))  # domain.autopilot.decision.Reason
    held_by: Mapped[str] = mapped_column(Ascii(32), default="")  # domain.autopilot.policy_gates.Gate
    from_pool: Mapped[str] = mapped_column(Ascii(128))
    to_pool: Mapped[str] = mapped_column(Ascii(128), default="")
    state: Mapped[str] = mapped_column(Ascii(16))
    priority: Mapped[int] = mapped_column(Integer, default=0)
    informed_by: Mapped[str] = mapped_column(
        Ascii(80), default=""
    )  # domain.autopilot.forecast_ratings; empty: built in
    figures: Mapped[dict[str, Any]]  # the inputs, and what they came to
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_at: Mapped[datetime] = mapped_column(UtcDateTime)  # when it was last found the same
    times: Mapped[int] = mapped_column(Integer, default=1)
    operation_id: Mapped[str | None] = mapped_column(Ascii(64))
    settled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    settled_by: Mapped[str] = mapped_column(Ascii(64), default="")  # token ID, or "autopilot"
    why: Mapped[str] = mapped_column(String(2000), default="")  # of its end
    latest_server_id: Mapped[str | None] = mapped_column(Ascii(64))  # of the server's latest decision alone
    open_server_id: Mapped[str | None] = mapped_column(
        Ascii(64),
        Computed("CASE WHEN state IN ('proposed', 'approved', 'asked') THEN server_id END", persisted=True),
    )


class ExperienceRow(Base):
    """How well losses were foreseen for one kind of needs: domain.autopilot.experience, as of `at`."""

    __tablename__ = "experiences"
    __table_args__ = (Index(None, "region", "at"), TABLE)

    key: Mapped[str] = mapped_column(Ascii(64), primary_key=True)  # domain.autopilot.experience.key_of
    region: Mapped[str] = mapped_column(Ascii(32))
    needs: Mapped[dict[str, Any]]  # in words, for people
    losses: Mapped[float] = mapped_column(Double)
    expected: Mapped[float] = mapped_column(Double)
    held: Mapped[dict[str, Any]]  # pool -> losses per hour foreseen
    at: Mapped[datetime] = mapped_column(UtcDateTime)
